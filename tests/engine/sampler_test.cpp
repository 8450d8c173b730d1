// Sampler against a naive reference that sorts everything in double precision, and draws against
// the exact distribution.

#include "engine/sampler.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/support/seeded.h"

using namespace tq;
using namespace tq::engine;

namespace {

struct Row {
  std::vector<float> logits;
  SamplingParams params;
  std::vector<TokenId> tokens{0};
  int64_t n_prompt = 1;
  std::vector<TokenId> banned;
  uint64_t seed = 1;
};

// Samples with output token number `token_idx`, by padding the output; penalties are off in those
// tests.
Result<Sampled> sample(Sampler& sampler, const Row& row) {
  static std::vector<float> scratch;
  scratch = row.logits;
  return sampler.sample({.params = &row.params,
                         .seed = row.seed,
                         .tokens = row.tokens,
                         .n_prompt = row.n_prompt,
                         .banned = row.banned},
                        scratch);
}

TokenId token_of(Sampler& sampler, const Row& row) {
  const auto sampled = sample(sampler, row);
  REQUIRE(sampled.ok());
  return sampled->token;
}

std::vector<float> random_logits(test::Seeded& random, int n) {
  std::vector<float> logits;
  for (int i = 0; i < n; ++i) {  // a sum of uniforms: bell-shaped, as logits are
    double x = 0.0;
    for (int k = 0; k < 6; ++k) x += random.unit() - 0.5;
    logits.push_back(static_cast<float>(3.0 * x));
  }
  return logits;
}

// The distribution that the documented order of filters leaves.
std::vector<double> reference(const Row& row) {
  struct Item {
    size_t token;
    double logit;
    double p;
  };
  const SamplingParams& s = row.params;
  std::vector<double> logits(row.logits.begin(), row.logits.end());
  for (const auto& [token, bias] : s.logit_bias) logits[static_cast<size_t>(token)] += bias;
  for (size_t t = 0; t < logits.size(); ++t) {
    const auto id = static_cast<TokenId>(t);
    const bool seen = std::ranges::count(row.tokens, id) > 0;
    const auto n_out = std::count(row.tokens.begin() + row.n_prompt, row.tokens.end(), id);
    if (seen)
      logits[t] =
          logits[t] > 0 ? logits[t] / s.repetition_penalty : logits[t] * s.repetition_penalty;
    if (n_out > 0)
      logits[t] -= s.presence_penalty + s.frequency_penalty * static_cast<double>(n_out);
  }
  std::vector<Item> items;
  for (size_t t = 0; t < logits.size(); ++t) {
    if (std::ranges::count(row.banned, static_cast<TokenId>(t)) == 0) {
      items.push_back({t, logits[t] / s.temperature, 0.0});
    }
  }
  const auto normalise = [&] {
    double max = -1e300;
    for (const Item& i : items) max = std::max(max, i.logit);
    double sum = 0.0;
    for (Item& i : items) sum += i.p = std::exp(i.logit - max);
    for (Item& i : items) i.p /= sum;
  };
  const auto keep_mass = [&](double mass) {
    double sum = 0.0;
    size_t n = 0;
    while (n < items.size() && sum < mass) sum += items[n++].p;
    items.resize(std::max<size_t>(1, n));
  };
  const auto by_p = [](const Item& a, const Item& b) { return a.p > b.p; };
  normalise();
  std::ranges::stable_sort(items, by_p);
  if (s.top_k > 0) items.resize(std::min(items.size(), static_cast<size_t>(s.top_k)));
  if (s.typical_p < 1.0f) {
    normalise();
    double entropy = 0.0;
    for (const Item& i : items) entropy -= i.p * std::log(i.p);
    std::ranges::stable_sort(items, [&](const Item& a, const Item& b) {
      return std::abs(-std::log(a.p) - entropy) < std::abs(-std::log(b.p) - entropy);
    });
    keep_mass(s.typical_p);
    std::ranges::stable_sort(items, by_p);
  }
  if (s.top_p < 1.0f) {
    normalise();
    keep_mass(s.top_p);
  }
  normalise();
  if (s.min_p > 0.0f) {
    const double best = items.front().p;
    std::erase_if(items, [&](const Item& i) { return i.p < s.min_p * best; });
    normalise();
  }
  std::vector<double> p(row.logits.size(), 0.0);
  for (const Item& i : items) p[i.token] = i.p;
  return p;
}

// The chi-square statistic that a sound sampler exceeds once in a million tests (Wilson and
// Hilferty's approximation of the quantile; 4.753 is the normal one).
double chi_square_limit(int degrees) {
  const double k = 2.0 / (9.0 * degrees);
  return degrees * std::pow(1.0 - k + 4.753 * std::sqrt(k), 3);
}

void check_distribution(Row row, int n_draws) {
  const std::vector<double> expected = reference(row);
  std::vector<int> counts(expected.size(), 0);
  Sampler sampler;
  for (int i = 0; i < n_draws; ++i) {
    row.seed = static_cast<uint64_t>(i);
    ++counts[static_cast<size_t>(token_of(sampler, row))];
  }
  double chi = 0.0;
  int cells = 0;
  double rest_expected = 0.0;  // cells with few expected draws are taken together
  double rest_counted = 0.0;
  for (size_t t = 0; t < counts.size(); ++t) {
    if (expected[t] == 0.0) {
      INFO("token " << t << " was filtered out");
      REQUIRE(counts[t] == 0);
      continue;
    }
    const double e = expected[t] * n_draws;
    if (e < 5.0) {
      rest_expected += e;
      rest_counted += counts[t];
      continue;
    }
    chi += (counts[t] - e) * (counts[t] - e) / e;
    ++cells;
  }
  if (rest_expected > 0.0) {
    chi += (rest_counted - rest_expected) * (rest_counted - rest_expected) / rest_expected;
    ++cells;
  }
  if (cells > 1) CHECK(chi < chi_square_limit(cells - 1));
}

}  // namespace

TEST_CASE("draws follow the exact distribution under each filter and all together") {
  const uint64_t seed = 7;
  INFO("seed " << seed);
  test::Seeded random(seed);
  Row row;
  row.logits = random_logits(random, 200);
  SECTION("temperature 1") {}
  SECTION("temperature 0.3") { row.params.temperature = 0.3f; }
  SECTION("temperature 2") { row.params.temperature = 2.0f; }
  SECTION("top_k") { row.params.top_k = 7; }
  SECTION("top_p") { row.params.top_p = 0.6f; }
  SECTION("min_p") { row.params.min_p = 0.2f; }
  SECTION("typical_p") { row.params.typical_p = 0.5f; }
  SECTION("bias") { row.params.logit_bias = {{3, 4.0f}, {5, -100.0f}}; }
  SECTION("banned") { row.banned = {0, 1, 2, 3, 4, 5, 6, 7}; }
  SECTION("all") {
    row.params.temperature = 0.8f;
    row.params.top_k = 60;
    row.params.typical_p = 0.95f;
    row.params.top_p = 0.9f;
    row.params.min_p = 0.02f;
    row.params.repetition_penalty = 1.3f;
    row.params.presence_penalty = 0.4f;
    row.params.frequency_penalty = 0.2f;
    row.tokens = {1, 2, 3, 4, 4, 4, 5, 6};
    row.n_prompt = 3;
  }
  check_distribution(row, 20'000);
}

TEST_CASE("each filter keeps exactly the reference's tokens") {
  const uint64_t seed = 11;
  INFO("seed " << seed);
  test::Seeded random(seed);
  Sampler sampler;
  for (int round = 0; round < 300; ++round) {
    Row row;
    row.logits = random_logits(random, static_cast<int>(random.in(1, 40)));
    if (random.chance(0.5)) row.params.top_k = static_cast<int>(random.in(1, 45));
    if (random.chance(0.5)) row.params.top_p = static_cast<float>(0.05 + 0.9 * random.unit());
    if (random.chance(0.5)) row.params.typical_p = static_cast<float>(0.05 + 0.9 * random.unit());
    if (random.chance(0.5)) row.params.min_p = static_cast<float>(random.unit());
    row.params.temperature = static_cast<float>(0.2 + 2.0 * random.unit());
    const std::vector<double> expected = reference(row);
    std::vector<bool> drawn(expected.size(), false);
    for (int i = 0; i < 400; ++i) {
      row.seed = random.next();
      drawn[static_cast<size_t>(token_of(sampler, row))] = true;
    }
    for (size_t t = 0; t < expected.size(); ++t) {
      INFO("round " << round << " token " << t << " p " << expected[t]);
      if (expected[t] == 0.0) REQUIRE_FALSE(drawn[t]);
      // Missed by 400 draws with probability e^-40 if the filter keeps it.
      if (expected[t] > 0.1) REQUIRE(drawn[t]);
    }
  }
}

TEST_CASE("top_p keeps no token behind those that reach it") {
  Sampler sampler;
  Row row;
  row.logits = {1.0f, 0.0f, 1.0f, 1.0f, 1.0f};
  row.params.temperature = 0.01f;
  row.params.top_p = 0.5f;  // just two of four, of equal weight: those of the lowest ids
  std::vector<int> drawn(row.logits.size(), 0);
  for (row.seed = 0; row.seed < 200; ++row.seed) {
    ++drawn[static_cast<size_t>(token_of(sampler, row))];
  }
  CHECK(drawn[0] > 50);
  CHECK(drawn[0] + drawn[2] == 200);
}

TEST_CASE("greedy takes the largest logit, the lowest id on ties, at every length") {
  Sampler sampler;
  test::Seeded random(3);
  for (int n = 1; n <= 40; ++n) {
    for (int round = 0; round < 20; ++round) {
      Row row;
      row.params.temperature = 0.0f;
      for (int i = 0; i < n; ++i) row.logits.push_back(static_cast<float>(random.in(-2, 2)));
      const auto best = std::ranges::max_element(row.logits) - row.logits.begin();
      REQUIRE(token_of(sampler, row) == best);
    }
  }
}

TEST_CASE("penalties act on prompt and output as documented") {
  Sampler sampler;
  Row row;
  row.params.temperature = 0.0f;
  row.logits = {5.0f, 4.9f, 1.0f, -1.0f};
  row.tokens = {0, 1};
  row.n_prompt = 1;
  CHECK(token_of(sampler, row) == 0);
  row.params.presence_penalty = 1.0f;  // of the output only: token 1
  row.params.logit_bias = {{1, 1.0f}};
  CHECK(token_of(sampler, row) == 0);
  row.params.presence_penalty = 0.5f;
  CHECK(token_of(sampler, row) == 1);
  row.params.repetition_penalty = 6.0f;  // both are divided: 0.83 and 0.48
  CHECK(token_of(sampler, row) == 2);
  row.params.repetition_penalty = 1.0f;
  row.params.presence_penalty = 0.0f;
  row.params.frequency_penalty = 0.3f;
  row.tokens = {0, 1, 1, 1, 1};  // four times
  CHECK(token_of(sampler, row) == 0);
  // The workspace is clean again: the same call twice gives the same.
  CHECK(token_of(sampler, row) == 0);
}

TEST_CASE("logprobs are those of the raw row, whatever is done to it") {
  Sampler sampler;
  test::Seeded random(5);
  Row row;
  row.logits = random_logits(random, 100);
  row.params.logprobs = true;
  row.params.top_logprobs = 5;
  row.params.temperature = 0.5f;
  row.params.top_k = 3;
  row.params.logit_bias = {{42, 50.0f}};
  double sum = 0.0;
  for (const float logit : row.logits) sum += std::exp(static_cast<double>(logit));
  const auto logprob = [&](TokenId t) {
    return row.logits[static_cast<size_t>(t)] - std::log(sum);
  };

  const auto sampled = sample(sampler, row);
  REQUIRE(sampled.ok());
  CHECK(sampled->token == 42);
  // fp32 logits of magnitude < 16: one rounding of the result is below 2^-20.
  CHECK(std::abs(sampled->logprob - logprob(42)) < 1e-5);
  std::vector<TokenId> order(100);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](TokenId a, TokenId b) {
    return row.logits[static_cast<size_t>(a)] > row.logits[static_cast<size_t>(b)];
  });
  REQUIRE(sampled->top.size() == 5);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(sampled->top[i].token == order[i]);
    CHECK(std::abs(sampled->top[i].logprob - logprob(order[i])) < 1e-5);
  }
}

TEST_CASE("a row that is not finite is an error, wherever the value stands") {
  Sampler sampler;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (size_t at = 0; at < 19; ++at) {
      Row row;
      row.logits.assign(19, 1.0f);
      row.logits[at] = bad;
      row.params.temperature = at % 2 == 0 ? 0.0f : 1.0f;
      const auto sampled = sample(sampler, row);
      REQUIRE_FALSE(sampled.ok());
      CHECK(sampled.error().code == Code::kInternal);
    }
  }
  Row row;  // and nothing left to draw from
  row.logits = {1.0f, 2.0f};
  row.banned = {0, 1};
  for (const float temperature : {0.0f, 1.0f}) {
    row.params.temperature = temperature;
    CHECK(sample(sampler, row).error().code == Code::kInvalidArgument);
  }
}

TEST_CASE("extreme temperatures and biases neither overflow nor draw what is excluded") {
  Sampler sampler;
  Row row;
  row.logits = {-3e38f, 3e38f, 2.9e38f};
  for (const float temperature : {1e-30f, 1e-3f, 1.0f, 1e6f}) {
    row.params.temperature = temperature;
    CHECK(token_of(sampler, row) == 1);
  }
}

TEST_CASE("a draw depends on the seed and the token's index, and on nothing else") {
  test::Seeded random(9);
  Row row;
  row.logits = random_logits(random, 300);
  row.tokens = {1, 2, 3, 4, 5};
  row.n_prompt = 2;  // output token number 3
  Sampler fresh;
  const TokenId token = token_of(fresh, row);
  Sampler used;
  for (int i = 0; i < 10; ++i) {
    Row other;
    other.logits = random_logits(random, 500);
    other.params.top_p = 0.5f;
    other.seed = random.next();
    token_of(used, other);
  }
  CHECK(token_of(used, row) == token);
  row.tokens = {9, 8, 7, 6};  // another prompt and output, the same index
  row.n_prompt = 1;
  CHECK(token_of(used, row) == token);

  // Streams of neighbouring seeds and indices are uncorrelated: 10^4 pairs, three standard errors.
  double sum = 0.0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    sum += (uniform_at(i, 5) - 0.5) * (uniform_at(i + 1, 5) - 0.5);
    sum += (uniform_at(5, i) - 0.5) * (uniform_at(5, i + 1) - 0.5);
  }
  CHECK(std::abs(sum / 20'000) < 3.0 * (1.0 / 12.0) / std::sqrt(20'000.0));
}
