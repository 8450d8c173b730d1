#pragma once
// PreTokenizer: cuts a normalised text into the pieces that merging never crosses. Immutable; any
// thread, with a Scratch per call.

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "models/tokenizer/pattern.h"
#include "models/tokenizer/place.h"

namespace tq::models::text {

enum class SplitBehavior {
  kIsolated,            // each match and each gap is a piece
  kRemoved,             // gaps only
  kContiguous,          // neighbouring matches are one piece
  kMergedWithPrevious,  // a match ends the piece before it
  kMergedWithNext,      // a match begins the piece after it
};

struct SplitStep {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // gaps are matches and matches are gaps
};

// ByteLevel's add_prefix_space: a piece that does not begin with a space gets one.
struct PrefixSpaceStep {};

// Spaces become `replacement`, which also begins a piece that lacks it.
struct MetaspaceStep {
  enum class Prefix { kNever, kFirst, kAlways };

  std::string replacement;
  Prefix prefix = Prefix::kAlways;  // kFirst: only where the caller's text begins
  bool split = true;                // cut before each replacement
};

class PreTokenizer {
 public:
  using Step = std::variant<SplitStep, PrefixSpaceStep, MetaspaceStep>;

  // Pieces point into the text or into `owned`; both must outlive their use.
  struct Scratch {
    std::vector<std::string_view> pieces;
    std::vector<std::string_view> next;
    std::vector<Span> spans;
    std::deque<std::string> owned;
  };

  template <class S>
  void add(S step) {
    steps_.emplace_back(std::in_place_type<S>, std::move(step));
  }

  // The pieces of `text`, well-formed UTF-8, in scratch.pieces; none is empty.
  void split(std::string_view text, Place place, Scratch& scratch) const;

 private:
  std::deque<Step> steps_;
};

}  // namespace tq::models::text
