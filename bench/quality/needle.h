#pragma once
// Needle test: keys and values planted at ten depths of a text, then asked for one by one. Says
// whether a coded cache still finds what it holds, which mean divergence hardly shows. One thread.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/quality/subject.h"
#include "bench/quality/text_set.h"
#include "config/result.h"

namespace tq::bench {

inline constexpr int kNeedles = 10;

struct NeedleOptions {
  int64_t length = 0;  // tokens before a question, rounded down to a multiple of the seal stride
  uint64_t seed = 1;   // of names and numbers
};

struct NeedleScore {
  int64_t length = 0;
  double exact = 0.0;      // share of needles whose greedy answer is right, every token of it
  double token_top = 0.0;  // share of the answers' tokens that are the most likely one
  double mean_rank = 0.0;  // geometric mean of the right tokens' ranks, from 1
};

// `text` is what the needles lie in. The store is new and holds length + 128 tokens.
Result<NeedleScore> find_needles(Subject& subject,
                                 KvStore& store,
                                 const Text& text,
                                 const NeedleOptions& options);

}  // namespace tq::bench
