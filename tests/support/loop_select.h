#pragma once
// LoopSelect: DeviceSelect by plain loops over rows in ordinary memory: what its kernels are
// compared with, and a device for tests of what stands on it. One thread.

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "kernels/device_select.h"

namespace tq::test {

class LoopSelect final : public kernels::DeviceSelect {
 public:
  // Answers that have more tokens are left out of, as on a device.
  explicit LoopSelect(size_t top_room) : top_room_(top_room) {}

  Result<void> select(const kernels::SelectCall& call) override {
    const auto row_of = [&](int32_t row) {
      return std::span(call.logits + int64_t{row} * call.row_size,
                       static_cast<size_t>(call.n_tokens));
    };
    finite_.clear();
    for (int32_t r = 0; r < call.n_rows; ++r) {
      finite_.push_back(std::ranges::all_of(row_of(r), [](float x) { return std::isfinite(x); }));
    }
    raw_answers_.clear();
    answers_.clear();
    raw_.clear();
    for (const auto& query : call.raw_queries) {
      raw_answers_.push_back(answer_one(query, row_of(query.row)));
    }
    for (const auto& change : call.changes) {
      float& logit = row_of(change.row)[static_cast<size_t>(change.token)];
      raw_.push_back(logit);
      logit = kernels::changed_logit(logit, change);
    }
    for (const auto& query : call.queries) {
      answers_.push_back(answer_one(query, row_of(query.row)));
    }
    return {};
  }
  kernels::RowAnswer raw_answer(size_t query) const override {
    return raw_answers_.at(query).answer();
  }
  kernels::RowAnswer answer(size_t query) const override { return answers_.at(query).answer(); }
  std::span<const float> raw_logits() const override { return raw_; }
  Result<std::span<float>> fetch(const float* row, int32_t n) override {
    ++n_fetched_;
    row_.assign(row, row + n);
    return std::span(row_);
  }

  int n_fetched() const { return n_fetched_; }

 private:
  struct Answer {
    kernels::RowAnswer facts;
    std::vector<kernels::TokenLogit> top;

    kernels::RowAnswer answer() const {
      kernels::RowAnswer whole = facts;
      whole.top = top;
      return whole;
    }
  };

  Answer answer_one(const kernels::RowQuery& query, std::span<const float> row) const {
    Answer answer;
    answer.facts.is_finite = finite_[static_cast<size_t>(query.row)];
    if (!answer.facts.is_finite) return answer;
    answer.facts.max = std::ranges::max(row);
    if (answer.facts.max == kernels::kExcludedLogit) return answer;
    if (query.factor > 0.0f) weigh(query, row, answer.facts);
    std::vector<float> sorted(row.begin(), row.end());
    std::ranges::sort(sorted, std::greater<>());
    const float least = sorted[std::min(sorted.size(), static_cast<size_t>(query.n_top)) - 1];
    for (size_t t = 0; t < row.size(); ++t) {
      if (row[t] < least || row[t] == kernels::kExcludedLogit) continue;
      answer.top.push_back({static_cast<TokenId>(t), row[t]});
    }
    if (answer.top.size() > top_room_) answer.top.clear();
    return answer;
  }

  static void weigh(const kernels::RowQuery& query,
                    std::span<const float> row,
                    kernels::RowAnswer& facts) {
    const auto weight = [&](float x) { return kernels::token_weight(x, facts.max, query.factor); };
    for (const float x : row) facts.total += weight(x);
    double through = 0.0;
    for (size_t t = 0; query.u >= 0.0 && facts.drawn < 0; ++t) {
      through += weight(row[t]);
      if (through <= query.u * facts.total) continue;
      facts.drawn = static_cast<TokenId>(t);
      facts.drawn_logit = row[t];
    }
  }

  size_t top_room_;
  std::vector<bool> finite_;
  std::vector<Answer> raw_answers_;
  std::vector<Answer> answers_;
  std::vector<float> raw_;
  std::vector<float> row_;
  int n_fetched_ = 0;
};

}  // namespace tq::test
