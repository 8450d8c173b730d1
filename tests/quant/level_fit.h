#pragma once
// What the levels of RowCodec (quant/row_codec.cpp) come from: the fixed point of a full search for
// the scales of Gaussian groups and Lloyd's step for the levels, in floats and doubles, sharing
// nothing with the codec but the values of scales. Pure; any thread.

#include <cstdint>
#include <span>
#include <vector>

namespace tq::quant::testing {

inline constexpr double kTopLevel = 127.0;

struct GroupSample {
  int group = 16;
  int n_groups = 1024;
  uint64_t seed = 0;
};

// Groups of N(0, 1) values, each times a factor between 1 and 2 of its own, since scales are finer
// in some places than in others; over 16, so that all magnitudes are below 1.
std::vector<float> make_groups(const GroupSample& sample);

// 2^bits levels, ascending, the largest magnitude kTopLevel, not rounded.
using Book = std::vector<double>;

// 2^book_bits codebooks, of which each group takes the best one.
std::vector<Book> fit_books(int bits, int book_bits, std::span<const float> groups, int group);

// Sum of squared errors of groups under their best codebooks and scales, of either sign.
double level_error(const std::vector<Book>& books, std::span<const float> groups, int group);

}  // namespace tq::quant::testing
