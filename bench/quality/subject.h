#pragma once
// Subject: the model whose outputs are compared: weights, tokenizer, and one decoder that reads
// from whichever KvStore it is given. One thread (the linear layers and attention share a pool of
// their own).

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "bench/quality/kv_store.h"
#include "config/engine_config.h"
#include "config/result.h"
#include "kernels/cpu/thread_pool.h"
#include "models/decoder.h"
#include "models/tokenizer/tokenizer.h"
#include "models/weights/weight_source.h"

namespace tq::bench {

struct SubjectOptions {
  std::string model_path;
  std::string backend = "auto";
  int n_threads = 1;
  ComputeType dtype = ComputeType::kAuto;
};

class Subject {
 public:
  static Result<std::unique_ptr<Subject>> load(const SubjectOptions& options);
  ~Subject();

  const models::ModelSpec& spec() const noexcept { return source_->spec(); }
  const models::Tokenizer& tokenizer() const noexcept { return *tokenizer_; }

  Result<std::unique_ptr<KvStore>> make_store(std::string_view name,
                                              const KvConfig& kv,
                                              int64_t context_max,
                                              int edge_layers_16);

  // logits [vocab_size] of one position.
  using Visit = std::function<void(int64_t position, std::span<const float> logits)>;

  // Computes tokens at positions [first, first + tokens.size()) of the store's sequence, [0, first)
  // having been fed before; visits those at logits_from and later, in order.
  Result<void> feed(KvStore& store,
                    int64_t first,
                    std::span<const TokenId> tokens,
                    int64_t logits_from,
                    const Visit& visit);

 private:
  class CurrentAttention;
  explicit Subject(const SubjectOptions& options);
  Result<void> step(KvStore& store,
                    int64_t first,
                    std::span<const TokenId> tokens,
                    int64_t logits_from,
                    const Visit& visit);

  SubjectOptions options_;
  kernels::cpu::ThreadPool pool_;
  std::unique_ptr<models::WeightSource> source_;
  std::unique_ptr<models::Tokenizer> tokenizer_;
  std::unique_ptr<CurrentAttention> attention_;
  std::unique_ptr<models::Decoder> decoder_;
};

}  // namespace tq::bench
