#include "bench/quality/subject.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "config/check.h"
#include "kernels/layer_kernels.h"
#include "models/model_text.h"

namespace tq::bench {

// Stands before the store's attention, so that one decoder serves all stores.
class Subject::CurrentAttention final : public kernels::PagedAttention {
 public:
  void use(kernels::PagedAttention& attention) noexcept { current_ = &attention; }

  std::string_view name() const noexcept override { return current_->name(); }
  const quant::BlockLayout& layout() const noexcept override { return current_->layout(); }
  Result<kernels::KvArena> allocate(kernels::PoolSizes sizes) override {
    return current_->allocate(sizes);
  }
  Result<const kernels::AttnPlan*> plan(const kernels::PagedBatch& batch,
                                        const kernels::KvArena& arena) override {
    return current_->plan(batch, arena);
  }
  Result<void> append(const kernels::AppendCall& call) override { return current_->append(call); }
  Result<void> seal(const kernels::SealCall& call) override { return current_->seal(call); }
  Result<void> attend(const kernels::AttendCall& call) override { return current_->attend(call); }

 private:
  kernels::PagedAttention* current_ = nullptr;
};

Subject::Subject(const SubjectOptions& options)
    : options_(options),
      pool_(options.n_threads),
      attention_(std::make_unique<CurrentAttention>()) {}

Subject::~Subject() = default;

Result<std::unique_ptr<Subject>> Subject::load(const SubjectOptions& options) {
  std::unique_ptr<Subject> subject(new Subject(options));
  TQ_ASSIGN(subject->source_, models::open_model(options.model_path));
  TQ_ASSIGN(subject->tokenizer_, models::load_tokenizer(options.model_path));
  TQ_ASSIGN(const kernels::LayerKernels layer_kernels,
            kernels::find_layer_kernels(options.backend));
  try {
    TQ_ASSIGN(subject->decoder_,
              models::make_decoder(
                  *subject->source_, *subject->attention_,
                  {.dtype = options.dtype, .layer = layer_kernels, .pool = &subject->pool_}));
  } catch (const std::exception& failure) {  // LibTorch, or no memory
    return Error{Code::kInternal, std::string("loading the model: ") + failure.what(),
                 options.model_path};
  }
  return subject;
}

Result<std::unique_ptr<KvStore>> Subject::make_store(std::string_view name,
                                                     const KvConfig& kv,
                                                     int64_t context_max,
                                                     int edge_layers_16) {
  return make_kv_store(name, {.spec = &spec(),
                              .kv = kv,
                              .edge_layers_16 = edge_layers_16,
                              .context_max = context_max,
                              .backend = options_.backend,
                              .pool = &pool_});
}

Result<void> Subject::feed(KvStore& store,
                           int64_t first,
                           std::span<const TokenId> tokens,
                           int64_t logits_from,
                           const Visit& visit) {
  attention_->use(store.attention());
  const int64_t stride = store.seal_stride();
  while (!tokens.empty()) {
    const int64_t seal_point = (first / stride + 1) * stride;
    const auto n =
        static_cast<size_t>(std::min(static_cast<int64_t>(tokens.size()), seal_point - first));
    TQ_TRY(step(store, first, tokens.first(n), logits_from, visit));
    tokens = tokens.subspan(n);
    first += static_cast<int64_t>(n);
  }
  return {};
}

Result<void> Subject::step(KvStore& store,
                           int64_t first,
                           std::span<const TokenId> tokens,
                           int64_t logits_from,
                           const Visit& visit) {
  const auto n = static_cast<int64_t>(tokens.size());
  std::vector<int32_t> positions;
  std::vector<int32_t> logit_rows;
  for (int64_t i = 0; i < n; ++i) {
    positions.push_back(static_cast<int32_t>(first + i));
    if (first + i >= logits_from) logit_rows.push_back(static_cast<int32_t>(i));
  }
  TQ_ASSIGN(const kernels::AttnPlan* plan, store.advance(first, n));
  try {
    TQ_ASSIGN(const std::span<float> logits, decoder_->forward({.tokens = tokens,
                                                                .positions = positions,
                                                                .logit_rows = logit_rows,
                                                                .plan = plan,
                                                                .arena = &store.arena()}));
    const auto vocab = static_cast<size_t>(spec().vocab_size);
    for (size_t i = 0; i < logit_rows.size(); ++i) {
      visit(first + logit_rows[i], logits.subspan(i * vocab, vocab));
    }
  } catch (const std::exception& failure) {  // LibTorch, or no memory
    return Error{Code::kInternal, std::string("model step: ") + failure.what(), ""};
  }
  return {};
}

}  // namespace tq::bench
