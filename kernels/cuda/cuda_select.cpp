#include "kernels/cuda/cuda_select.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "config/check.h"
#include "config/limits.h"
#include "kernels/cuda/call_check.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/select_launch.h"
#include "kernels/kv_arena.h"

namespace tq::kernels::cuda {
namespace {

// Groups of tokens hide some of the largest, so a few more than n_top reach the bound: 589 for 512,
// on average, where logits come in no special order.
constexpr int32_t top_room(int32_t n_top) { return n_top + n_top / 2 + 64; }

Result<void> check_queries(const SelectCall& call, std::span<const RowQuery> queries) {
  for (const RowQuery& query : queries) {
    TQ_TRY(check_in("row", query.row, 0, call.n_rows - 1));
    TQ_TRY(check_in("n_top", query.n_top, 1, kSelectTopMax));
    if (!(query.factor >= 0.0f) || !std::isfinite(query.factor)) {
      return bad("factor", "is not a number of 0 or more");
    }
    if (!(query.u < 1.0)) return bad("u", "is not below 1");
    if (query.u >= 0.0 && query.factor == 0.0f) return bad("u", "is of a row without weights");
  }
  return {};
}

Result<void> check(const SelectCall& call) {
  TQ_TRY(check_in("n_rows", call.n_rows, 1, kDeviceRowsMax));
  TQ_TRY(check_in("row_size", call.row_size, 1, limits::kVocabMax));
  TQ_TRY(check_in("n_tokens", call.n_tokens, 1, call.row_size));
  TQ_TRY(check_in("queries", static_cast<int64_t>(call.queries.size() + call.raw_queries.size()), 0,
                  kDeviceRowsMax));
  TQ_TRY(check_queries(call, call.raw_queries));
  TQ_TRY(check_queries(call, call.queries));
  for (const LogitChange& change : call.changes) {
    TQ_TRY(check_in("change.row", change.row, 0, call.n_rows - 1));
    TQ_TRY(check_in("change.token", change.token, 0, call.n_tokens - 1));
  }
  return check_pointers({{"logits", call.logits, sizeof(float)}});
}

// Arrays laid end to end.
class Layout {
 public:
  template <class T>
  size_t add(size_t n) {
    const size_t at = size_;
    size_ += (n * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  size_t size() const noexcept { return size_; }

 private:
  static constexpr size_t kAlignment = 16;
  size_t size_ = 0;
};

// Memory that is kept until more is needed, and then doubled at least.
class Memory {
 public:
  template <class Allocate>
  Result<void> reserve(size_t n_bytes, Allocate allocate) {
    if (n_bytes <= size_) return {};
    const size_t size = std::max(n_bytes, 2 * size_);
    size_ = 0;
    region_ = KvArena::Region(nullptr, nullptr);  // before more is asked for
    TQ_ASSIGN(region_, allocate(size));
    size_ = size;
    return {};
  }
  template <class T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(region_.get() + offset);
  }

 private:
  KvArena::Region region_{nullptr, nullptr};
  size_t size_ = 0;
};

class CudaSelect final : public DeviceSelect {
 public:
  explicit CudaSelect(Stream stream) : stream_(stream) {}

  Result<void> select(const SelectCall& call) override;
  RowAnswer raw_answer(size_t query) const override {
    TQ_CHECK(query < n_raw_, "no such query", query, n_raw_);
    return answer_of(query);
  }
  RowAnswer answer(size_t query) const override {
    TQ_CHECK(n_raw_ + query < n_queries_, "no such query", query, n_queries_ - n_raw_);
    return answer_of(n_raw_ + query);
  }
  std::span<const float> raw_logits() const override { return {answered<float>(raw_), n_changes_}; }
  Result<std::span<float>> fetch(const float* row, int32_t n) override;

 private:
  Result<void> lay_out(const SelectCall& call);
  void fill(const SelectCall& call);
  SelectParams params(const SelectCall& call) const;
  RowAnswer answer_of(size_t query) const;
  // In ordinary memory answers lie behind what was sent, so that it stays as it was.
  template <class T>
  T* answered(size_t offset) const {
    return host_.at<T>(filled_end_ + offset - facts_);
  }

  Stream stream_;
  Memory host_, device_, row_;
  size_t n_raw_ = 0, n_queries_ = 0, n_changes_ = 0, n_granules_ = 0;
  // Where arrays lie on the device. Up to filled_end_ they are sent there, as they lie in ordinary
  // memory; from facts_ to answers_end_ they come back.
  size_t queries_ = 0, changes_ = 0, facts_ = 0, bad_rows_ = 0, filled_end_ = 0;
  size_t raw_ = 0, top_ = 0, answers_end_ = 0;
  size_t maxima_ = 0, sums_ = 0;  // on the device only
};

Result<void> CudaSelect::lay_out(const SelectCall& call) {
  n_raw_ = call.raw_queries.size();
  n_queries_ = n_raw_ + call.queries.size();
  n_changes_ = call.changes.size();
  n_granules_ = static_cast<size_t>((call.n_tokens + kGranule - 1) / kGranule);
  size_t n_top = 0;
  for (const auto queries : {call.raw_queries, call.queries}) {
    for (const RowQuery& query : queries) n_top += static_cast<size_t>(top_room(query.n_top));
  }
  Layout layout;
  queries_ = layout.add<SelectQuery>(n_queries_);
  changes_ = layout.add<LogitChange>(n_changes_);
  facts_ = layout.add<SelectFacts>(n_queries_);
  bad_rows_ = layout.add<int32_t>(static_cast<size_t>(call.n_rows));
  filled_end_ = layout.size();
  raw_ = layout.add<float>(n_changes_);
  top_ = layout.add<TokenLogit>(n_top);
  answers_end_ = layout.size();
  TQ_TRY(host_.reserve(filled_end_ + answers_end_ - facts_, allocate_pinned));
  maxima_ = layout.add<float>(n_queries_ * kSelectGroups);
  sums_ = layout.add<double>(n_queries_ * n_granules_);
  return device_.reserve(layout.size(),
                         [](size_t n) { return allocate_device("the choice of tokens", n); });
}

void CudaSelect::fill(const SelectCall& call) {
  auto* query = host_.at<SelectQuery>(queries_);
  int32_t top_first = 0;
  for (const auto queries : {call.raw_queries, call.queries}) {
    for (const RowQuery& asked : queries) {
      const int32_t room = top_room(asked.n_top);
      *query++ = {.asked = asked, .top_first = top_first, .top_size = room};
      top_first += room;
    }
  }
  std::ranges::copy(call.changes, host_.at<LogitChange>(changes_));
  std::fill_n(host_.at<SelectFacts>(facts_), n_queries_, SelectFacts{});
  std::fill_n(host_.at<int32_t>(bad_rows_), call.n_rows, 0);
}

SelectParams CudaSelect::params(const SelectCall& call) const {
  return {.logits = call.logits,
          .row_size = call.row_size,
          .n_tokens = call.n_tokens,
          .n_granules = static_cast<int32_t>(n_granules_),
          .queries = device_.at<SelectQuery>(queries_),
          .changes = device_.at<LogitChange>(changes_),
          .n_changes = static_cast<int32_t>(n_changes_),
          .facts = device_.at<SelectFacts>(facts_),
          .bad_rows = device_.at<int32_t>(bad_rows_),
          .raw = device_.at<float>(raw_),
          .top = device_.at<TokenLogit>(top_),
          .maxima = device_.at<float>(maxima_),
          .sums = device_.at<double>(sums_)};
}

Result<void> CudaSelect::select(const SelectCall& call) {
  TQ_TRY(check(call));
  TQ_TRY(lay_out(call));
  fill(call);
  TQ_TRY(copy(device_.at<std::byte>(0), host_.at<std::byte>(0), filled_end_, stream_));
  SelectParams of_part = params(call);
  if (n_raw_ > 0) TQ_TRY(launch_select(of_part, static_cast<int32_t>(n_raw_), stream_));
  if (n_changes_ > 0) TQ_TRY(launch_change(of_part, stream_));
  if (n_queries_ > n_raw_) {
    of_part.queries += n_raw_;
    of_part.facts += n_raw_;
    of_part.maxima += n_raw_ * kSelectGroups;
    of_part.sums += n_raw_ * n_granules_;
    TQ_TRY(launch_select(of_part, static_cast<int32_t>(n_queries_ - n_raw_), stream_));
  }
  return copy(answered<std::byte>(facts_), device_.at<std::byte>(facts_), answers_end_ - facts_,
              stream_);
}

RowAnswer CudaSelect::answer_of(size_t query) const {
  const SelectQuery& place = host_.at<SelectQuery>(queries_)[query];
  const SelectFacts& facts = answered<SelectFacts>(facts_)[query];
  const bool fits = facts.n_top <= place.top_size;
  return {.is_finite = answered<int32_t>(bad_rows_)[place.asked.row] == 0,
          .max = facts.max,
          .total = facts.total,
          .drawn = facts.drawn,
          .drawn_logit = facts.drawn_logit,
          .top = {answered<TokenLogit>(top_) + place.top_first,
                  fits ? static_cast<size_t>(facts.n_top) : 0}};
}

Result<std::span<float>> CudaSelect::fetch(const float* row, int32_t n) {
  const auto size = static_cast<size_t>(n);
  TQ_TRY(row_.reserve(size * sizeof(float), allocate_pinned));
  TQ_TRY(copy(row_.at<float>(0), row, size * sizeof(float), stream_));
  TQ_TRY(wait(stream_));
  return std::span<float>(row_.at<float>(0), size);
}

}  // namespace

std::unique_ptr<DeviceSelect> make_cuda_select(Stream stream) {
  return std::make_unique<CudaSelect>(stream);
}

}  // namespace tq::kernels::cuda
