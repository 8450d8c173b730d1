#include "bench/quality/needle.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>

#include "quant/random.h"

namespace tq::bench {
namespace {

constexpr std::array<std::string_view, kNeedles> kNames{"Amsterdam", "Berlin",   "Cairo",  "Dublin",
                                                        "Edinburgh", "Florence", "Geneva", "Havana",
                                                        "Istanbul",  "Jakarta"};

struct Needle {
  std::string_view name;
  std::string number;  // five digits
};

std::array<Needle, kNeedles> make_needles(uint64_t seed) {
  quant::Rng rng(seed, quant::RngStream::kData);
  std::array<Needle, kNeedles> needles;
  for (size_t i = 0; i < kNeedles; ++i) {
    needles[i] = {kNames[i], std::to_string(10000 + rng.below(90000))};
  }
  return needles;
}

std::string fact(const Needle& needle) {
  return "\nThe secret number of " + std::string(needle.name) + " is " + needle.number + ".\n";
}

std::vector<TokenId> encode(const Subject& subject, const std::string& text) {
  return subject.tokenizer().encode(text, {.add_special = false, .parse_special = false});
}

// `length` tokens: the text with the facts at depths 5 %, 15 % ... 95 %.
std::vector<TokenId> haystack(const Subject& subject,
                              const Text& text,
                              std::span<const Needle> needles,
                              int64_t length) {
  std::vector<std::vector<TokenId>> facts;
  int64_t n_facts = 0;
  for (const Needle& needle : needles) {
    facts.push_back(encode(subject, fact(needle)));
    n_facts += static_cast<int64_t>(facts.back().size());
  }
  const int64_t n_text = length - n_facts;
  std::vector<TokenId> all;
  int64_t used = 0;
  for (size_t i = 0; i <= facts.size(); ++i) {
    const int64_t until =
        i == facts.size() ? n_text : n_text * static_cast<int64_t>(2 * i + 1) / (2 * kNeedles);
    all.insert(all.end(), text.tokens.begin() + used, text.tokens.begin() + until);
    used = until;
    if (i < facts.size()) all.insert(all.end(), facts[i].begin(), facts[i].end());
  }
  return all;
}

// Of the token among all, 1 the most likely; equal logits of lower ids come first.
int64_t rank_of(TokenId token, std::span<const float> logits) {
  const float own = logits[static_cast<size_t>(token)];
  int64_t rank = 1;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > own || (logits[i] == own && i < static_cast<size_t>(token))) ++rank;
  }
  return rank;
}

}  // namespace

Result<NeedleScore> find_needles(Subject& subject,
                                 KvStore& store,
                                 const Text& text,
                                 const NeedleOptions& options) {
  const int64_t length = options.length / store.seal_stride() * store.seal_stride();
  if (static_cast<int64_t>(text.tokens.size()) < length || length < 512) {
    return Error{Code::kInvalidArgument,
                 "needles want a length of 512 to " + std::to_string(text.tokens.size()) +
                     " tokens of text '" + text.name + "'",
                 "--needle"};
  }
  const auto needles = make_needles(options.seed);
  TQ_TRY(subject.feed(store, 0, haystack(subject, text, needles, length), length, {}));

  NeedleScore score{.length = length};
  int64_t n_tokens = 0;
  double log_ranks = 0.0;
  for (const Needle& needle : needles) {
    // The next question takes the place of the last: one pass over the haystack serves all ten.
    std::vector<TokenId> tokens =
        encode(subject, "\n\nQuestion: what is the secret number of " + std::string(needle.name) +
                            "?\nAnswer: the secret number of " + std::string(needle.name) + " is");
    const auto asked = static_cast<int64_t>(tokens.size());
    const auto answer = encode(subject, " " + needle.number);
    tokens.insert(tokens.end(), answer.begin(), answer.end());
    bool is_exact = true;
    TQ_TRY(subject.feed(store, length, std::span(tokens).first(tokens.size() - 1),
                        length + asked - 1, [&](int64_t position, std::span<const float> logits) {
                          const auto next = static_cast<size_t>(position + 1 - length);
                          const int64_t rank = rank_of(tokens[next], logits);
                          is_exact = is_exact && rank == 1;
                          score.token_top += rank == 1 ? 1.0 : 0.0;
                          log_ranks += std::log(static_cast<double>(rank));
                          ++n_tokens;
                        }));
    score.exact += is_exact ? 1.0 / kNeedles : 0.0;
  }
  score.token_top /= static_cast<double>(n_tokens);
  score.mean_rank = std::exp(log_ranks / static_cast<double>(n_tokens));
  return score;
}

}  // namespace tq::bench
