#include "models/tokenizer/pre_tokenizer.h"

namespace tq::models::text {
namespace {

// Joins neighbouring spans as `behavior` says. In place: the write position never passes the read
// one.
void join_spans(SplitBehavior behavior, std::vector<Span>& spans) {
  if (behavior == SplitBehavior::kIsolated || spans.empty()) return;
  size_t n_kept = 0;
  bool previous_match = false;
  for (size_t i = 0; i < spans.size(); ++i) {
    const Span span = spans[i];
    bool join = false;
    switch (behavior) {
      case SplitBehavior::kRemoved:
        if (span.is_match) continue;
        break;
      case SplitBehavior::kContiguous: join = n_kept > 0 && span.is_match == previous_match; break;
      case SplitBehavior::kMergedWithPrevious:
        join = n_kept > 0 && span.is_match && !previous_match;
        break;
      case SplitBehavior::kMergedWithNext:
        join = n_kept > 0 && !span.is_match && previous_match;
        break;
      case SplitBehavior::kIsolated: break;
    }
    previous_match = span.is_match;
    if (join) {
      spans[n_kept - 1].end = span.end;
    } else {
      spans[n_kept++] = span;
    }
  }
  spans.resize(n_kept);
}

void split_piece(const SplitStep& step, std::string_view piece, PreTokenizer::Scratch& scratch) {
  step.pattern.find_all(piece, scratch.spans);
  if (step.invert) {
    for (Span& span : scratch.spans) span.is_match = !span.is_match;
  }
  join_spans(step.behavior, scratch.spans);
  for (const Span& span : scratch.spans) {
    scratch.next.push_back(piece.substr(span.begin, span.end - span.begin));
  }
}

void metaspace_piece(const MetaspaceStep& step,
                     std::string_view piece,
                     Place place,
                     bool first,
                     PreTokenizer::Scratch& scratch) {
  std::string& out = scratch.owned.emplace_back();
  for (const char c : piece) {
    if (c == ' ') {
      out += step.replacement;
    } else {
      out += c;
    }
  }
  using Prefix = MetaspaceStep::Prefix;
  const bool begins_text = first && place == Place::kTextStart;
  const bool continues = first && place == Place::kAfterByte;
  const bool wants_prefix =
      step.prefix == Prefix::kAlways ? !continues : step.prefix == Prefix::kFirst && begins_text;
  if (wants_prefix && !out.starts_with(step.replacement)) out.insert(0, step.replacement);
  const std::string_view whole = out;
  size_t begin = 0;
  if (step.split) {
    for (size_t at = whole.find(step.replacement, 1); at != whole.npos;
         at = whole.find(step.replacement, at + step.replacement.size())) {
      scratch.next.push_back(whole.substr(begin, at - begin));
      begin = at;
    }
  }
  scratch.next.push_back(whole.substr(begin));
}

}  // namespace

void PreTokenizer::split(std::string_view text, Place place, Scratch& scratch) const {
  scratch.pieces.clear();
  scratch.owned.clear();
  if (!text.empty()) scratch.pieces.push_back(text);
  for (const Step& step : steps_) {
    scratch.next.clear();
    for (size_t i = 0; i < scratch.pieces.size(); ++i) {
      const std::string_view piece = scratch.pieces[i];
      if (const auto* split_step = std::get_if<SplitStep>(&step)) {
        split_piece(*split_step, piece, scratch);
      } else if (const auto* metaspace = std::get_if<MetaspaceStep>(&step)) {
        metaspace_piece(*metaspace, piece, place, i == 0, scratch);
      } else if (piece.starts_with(' ') || (i == 0 && place == Place::kAfterByte)) {
        scratch.next.push_back(piece);
      } else {
        std::string& spaced = scratch.owned.emplace_back(1, ' ');
        spaced += piece;
        scratch.next.push_back(spaced);
      }
    }
    scratch.pieces.swap(scratch.next);
  }
}

}  // namespace tq::models::text
