// What sampling asks of rows on a device against plain loops over them. Sums of weights are exact,
// so equal means equal.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "kernels/cuda/cuda_select.h"
#include "kernels/cuda/device.h"
#include "kernels/device_select.h"
#include "kernels/token_weight.h"
#include "tests/kernels/device_array.h"
#include "tests/support/loop_select.h"
#include "tests/support/seeded.h"

namespace tq::kernels::test {
namespace {

constexpr uint32_t kSeed = 20261128;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
// One token, a lane's, a granule's and one more, one to a group and one more, those of models.
constexpr int kSizes[] = {1, 7, 255, 256, 257, 2049, 32000, 50257, 151936};

struct Question {
  std::vector<float> logits{};  // [n_rows, row_size]
  int32_t row_size = 0;
  int32_t n_tokens = 0;
  std::vector<RowQuery> raw_queries{};
  std::vector<LogitChange> changes{};
  std::vector<RowQuery> queries{};

  SelectCall call(float* at) const {
    return {.logits = at,
            .n_rows = static_cast<int32_t>(logits.size()) / row_size,
            .row_size = row_size,
            .n_tokens = n_tokens,
            .raw_queries = raw_queries,
            .changes = changes,
            .queries = queries};
  }
};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(std::as_bytes(a), std::as_bytes(b));
}

// That `top` holds what the answer may hold: no token twice, none with another logit, and all that
// reach the least of them.
void check_top(const RowAnswer& answer, int32_t n_top, std::span<const float> row) {
  std::set<TokenId> tokens;
  float least = kInf;
  for (const TokenLogit& entry : answer.top) {
    REQUIRE(tokens.insert(entry.token).second);
    REQUIRE(row[static_cast<size_t>(entry.token)] == entry.logit);
    least = std::min(least, entry.logit);
  }
  const auto n_allowed = std::ranges::count_if(row, [](float x) { return x > kExcludedLogit; });
  CHECK(answer.top.size() >= static_cast<size_t>(std::min<ptrdiff_t>(n_top, n_allowed)));
  const auto reached = [&](float x) { return x >= least && x > kExcludedLogit; };
  CHECK(static_cast<size_t>(std::ranges::count_if(row, reached)) == answer.top.size());
}

void check_answer(const RowAnswer& got,
                  const RowAnswer& want,
                  const RowQuery& query,
                  std::span<const float> row,
                  bool too_many) {
  INFO("row " << query.row << ", n_top " << query.n_top << ", factor " << query.factor << ", u "
              << query.u);
  REQUIRE(got.is_finite == want.is_finite);
  if (!want.is_finite) return;
  CHECK(got.max == want.max);
  CHECK(got.total == want.total);
  CHECK(got.drawn == want.drawn);
  CHECK(got.drawn_logit == want.drawn_logit);
  if (too_many) {
    CHECK(got.top.empty());
  } else {
    check_top(got, query.n_top, row);
  }
}

// too_many: rows whose logits are too many alike.
void check(const Question& question, const std::set<int32_t>& too_many = {}) {
  tq::test::LoopSelect loops(question.logits.size());
  auto after = question.logits;
  need(loops.select(question.call(after.data())));
  const DeviceArray<float> there(question.logits);
  const auto device = cuda::make_cuda_select(nullptr);
  need(device->select(question.call(there.data())));
  need(cuda::wait(nullptr));
  const auto row = [&](const std::vector<float>& logits, int32_t index) {
    return std::span(logits).subspan(static_cast<size_t>(index * question.row_size),
                                     static_cast<size_t>(question.n_tokens));
  };
  for (size_t i = 0; i < question.raw_queries.size(); ++i) {
    const RowQuery& query = question.raw_queries[i];
    INFO("before the changes");
    check_answer(device->raw_answer(i), loops.raw_answer(i), query, row(question.logits, query.row),
                 too_many.contains(query.row));
  }
  for (size_t i = 0; i < question.queries.size(); ++i) {
    const RowQuery& query = question.queries[i];
    check_answer(device->answer(i), loops.answer(i), query, row(after, query.row),
                 too_many.contains(query.row));
  }
  CHECK(same_bits(there.read(), after));
  CHECK(same_bits(device->raw_logits(), loops.raw_logits()));
}

}  // namespace

TEST_CASE("device select: rows of any length", "[device_select]") {
  for (const int size : kSizes) {
    INFO("size " << size << ", seed " << kSeed);
    // Longer than what may be drawn: models pad their vocabulary.
    Question question{.logits = random_values(int64_t{2} * (size + 3), 3.0f, kSeed),
                      .row_size = size + 3,
                      .n_tokens = size};
    for (const int32_t row : {1, 0}) {
      question.queries.push_back({.row = row, .n_top = 1});
      question.queries.push_back({.row = row, .n_top = 40});
      question.queries.push_back({.row = row, .factor = weight_factor(0.7f), .u = 0.3});
    }
    question.queries.push_back({.n_top = kSelectTopMax, .factor = weight_factor(1.0f)});
    check(question);
  }
}

TEST_CASE("device select: a number falls on the token that plain loops find", "[device_select]") {
  constexpr int kSize = 5000;
  for (const float temperature : {0.05f, 1.0f, 30.0f}) {
    INFO("temperature " << temperature << ", seed " << kSeed);
    Question question{
        .logits = random_values(kSize, 3.0f, kSeed), .row_size = kSize, .n_tokens = kSize};
    tq::test::Seeded random(kSeed);
    for (int i = 0; i < 60; ++i) {
      question.queries.push_back({.factor = weight_factor(temperature), .u = random.unit()});
    }
    for (const double u : {0.0, 0x1p-53, 1.0 - 0x1p-53}) {
      question.queries.push_back({.factor = weight_factor(temperature), .u = u});
    }
    check(question);
  }
}

TEST_CASE("device select: rows that leave nothing to chance", "[device_select]") {
  constexpr int kSize = 3000;
  constexpr int kAlike = 5, kEqual = 6;
  Question question{.row_size = kSize, .n_tokens = kSize};
  const auto add = [&](auto fill) {
    auto row = random_values(kSize, 2.0f, kSeed);
    fill(row);
    question.logits.insert(question.logits.end(), row.begin(), row.end());
  };
  add([](auto& row) { row[kSize - 1] = 1e30f; });                        // one huge
  add([](auto& row) { row[0] = -3e38f, row[7] = 3e38f; });               // differences overflow
  add([](auto& row) { std::ranges::sort(row); });                        // the largest side by side
  add([](auto& row) { std::ranges::fill(row, -0.0f), row[5] = 0.0f; });  // zeros of both signs
  add([](auto& row) { std::fill_n(row.begin() + 100, 60, 9.0f); });      // ties at the bound
  add([](auto& row) { std::fill_n(row.begin() + 64, 900, 9.0f); });      // more than there is room
  add([](auto& row) { std::ranges::fill(row, 1.5f); });
  add([](auto& row) {
    for (float& x : row) x = x < 0 ? x * 1e36f : x * 1e-42f;
  });  // subnormal
  for (int32_t row = 0; row <= kEqual + 1; ++row) {
    for (const double u : {0.0, 0.5, 0.999999}) {
      question.queries.push_back({.row = row, .n_top = 50, .factor = weight_factor(1.0f), .u = u});
    }
  }
  check(question, {3, kAlike, kEqual});
}

TEST_CASE("device select: a row that is not finite is told, and no other", "[device_select]") {
  constexpr int kSize = 2100;
  for (const int at : {0, 31, 1024, kSize - 1}) {
    for (const float value : {kNan, kInf, -kInf}) {
      INFO("at " << at << ", " << value);
      Question question{
          .logits = random_values(3 * kSize, 2.0f, kSeed), .row_size = kSize, .n_tokens = kSize};
      question.logits[static_cast<size_t>(kSize + at)] = value;
      for (int32_t row = 0; row < 3; ++row) {
        question.queries.push_back({.row = row, .factor = weight_factor(1.0f), .u = 0.5});
      }
      check(question);
      // Also where a change would hide it.
      question.changes = {{.row = 1, .token = at, .is_banned = 1}, {.row = 2, .is_banned = 1}};
      check(question);
    }
  }
  // What stands behind the tokens that may be drawn is not looked at.
  Question padded{.logits = {1.0f, 2.0f, kNan}, .row_size = 3, .n_tokens = 2};
  padded.queries = {{.factor = weight_factor(1.0f), .u = 0.5}};
  check(padded);
}

TEST_CASE("device select: changes come between the two kinds of queries", "[device_select]") {
  constexpr int kSize = 700;
  constexpr int kRows = 3;
  Question question{
      .logits = random_values(kRows * kSize, 2.0f, kSeed), .row_size = kSize, .n_tokens = kSize};
  for (int32_t row = 0; row < kRows; ++row) {
    question.raw_queries.push_back({.row = row, .n_top = 20, .factor = weight_factor(1.0f)});
    question.queries.push_back({.row = row, .n_top = 20, .factor = weight_factor(0.5f), .u = 0.4});
  }
  for (TokenId t = 0; t < 400; ++t) {
    question.changes.push_back({.row = 1 + t % 2,
                                .token = 3 * (t / 2) + 1,
                                .bias = t % 5 == 0 ? 4.0f : 0.0f,
                                .repetition = t % 3 == 0 ? 1.3f : 1.0f,
                                .penalty = t % 7 == 0 ? 0.5f : 0.0f,
                                .is_banned = t % 11 == 0});
  }
  check(question);
  // And all of a row excluded, but for none or a few.
  for (const TokenId n_left : {0, 3}) {
    question.changes.clear();
    for (TokenId t = n_left; t < kSize; ++t) {
      question.changes.push_back({.token = t, .is_banned = 1});
    }
    check(question);
  }
}

TEST_CASE("device select: fetches a row", "[device_select]") {
  const auto values = random_values(3 * 100, 1.0f, kSeed);
  const DeviceArray<float> there(values);
  const auto device = cuda::make_cuda_select(nullptr);
  const auto row = need(device->fetch(there.data() + 100, 90));
  CHECK(same_bits(row, std::span(values).subspan(100, 90)));
}

TEST_CASE("device select: weights are those of the exact function", "[device_select]") {
  constexpr double kLog2e = 1.44269504088896341;
  for (const float temperature : {0.3f, 1.0f, 5.0f}) {
    const float factor = weight_factor(temperature);
    CHECK(token_weight(7.0f, 7.0f, factor) == 1.0f);
    double last = 1.0;
    for (float logit = 7.0f; logit > 7.0f - 30.0f * temperature; logit -= 0.01f) {
      const double x = (double{logit} - 7.0) * kLog2e / temperature;
      const double want = std::exp2(x);
      const double got = token_weight(logit, 7.0f, factor);
      // Two roundings of x, the rest of a few more; half a quantum.
      const double most = want * (2 * 0x1p-24 * std::abs(x) * 0.7 + 8 * 0x1p-24) + 0x1p-34;
      CHECK(std::abs(got - want) <= most);
      CHECK(got == std::ldexp(std::round(std::ldexp(got, 33)), -33));
      CHECK(got <= last * (1 + 0x1p-20));
      last = got;
    }
  }
  CHECK(token_weight(-3e38f, 3e38f, weight_factor(1.0f)) == 0.0f);
  CHECK(token_weight(1.0f, 1.0f, weight_factor(1e-45f)) == 1.0f);
  CHECK(token_weight(0.9f, 1.0f, weight_factor(1e-45f)) == 0.0f);
}

TEST_CASE("device select: calls that cannot be are refused by the field's name",
          "[device_select]") {
  const DeviceArray<float> logits(std::vector<float>(2 * 8, 0.0f));
  const auto device = cuda::make_cuda_select(nullptr);
  const std::vector<RowQuery> good{{.row = 1, .factor = 1.0f, .u = 0.5}};
  const auto select = [&](auto change) {
    std::vector<RowQuery> queries = good;
    std::vector<LogitChange> changes{{.row = 1, .token = 7}};
    SelectCall call{.logits = logits.data(), .n_rows = 2, .row_size = 8, .n_tokens = 8};
    change(call, queries[0], changes[0]);
    call.queries = queries;
    call.changes = changes;
    return device->select(call);
  };
  const auto refused = [&](auto change, const std::string& field) {
    const Result<void> done = select(change);
    return !done.ok() && done.error().code == Code::kInvalidArgument && done.error().where == field;
  };
  CHECK(select([](auto&, auto&, auto&) {}).ok());
  CHECK(refused([](auto& c, auto&, auto&) { c.logits = nullptr; }, "logits"));
  CHECK(refused([](auto& c, auto&, auto&) { c.n_rows = 0; }, "n_rows"));
  CHECK(refused([](auto& c, auto&, auto&) { c.n_rows = 65536; }, "n_rows"));
  CHECK(refused([](auto& c, auto&, auto&) { c.row_size = (1 << 20) + 1; }, "row_size"));
  CHECK(refused([](auto& c, auto&, auto&) { c.n_tokens = 9; }, "n_tokens"));
  CHECK(refused([](auto& c, auto&, auto&) { c.n_tokens = 0; }, "n_tokens"));
  CHECK(refused([](auto&, auto& q, auto&) { q.row = 2; }, "row"));
  CHECK(refused([](auto&, auto& q, auto&) { q.row = -1; }, "row"));
  CHECK(refused([](auto&, auto& q, auto&) { q.n_top = 0; }, "n_top"));
  CHECK(refused([](auto&, auto& q, auto&) { q.n_top = kSelectTopMax + 1; }, "n_top"));
  CHECK(refused([](auto&, auto& q, auto&) { q.factor = -1.0f; }, "factor"));
  CHECK(refused([](auto&, auto& q, auto&) { q.factor = kInf; }, "factor"));
  CHECK(refused([](auto&, auto& q, auto&) { q.u = 1.0; }, "u"));
  CHECK(refused([](auto&, auto& q, auto&) { q.factor = 0.0f; }, "u"));
  CHECK(refused([](auto&, auto&, auto& c) { c.row = 2; }, "change.row"));
  CHECK(refused([](auto&, auto&, auto& c) { c.token = 8; }, "change.token"));
  std::vector<RowQuery> raw = good;
  raw[0].row = 2;
  CHECK(refused([&](auto& c, auto&, auto&) { c.raw_queries = raw; }, "row"));
}

}  // namespace tq::kernels::test
