// The levels of RowCodec are those of a fit that knows nothing of its encoder.
#include "tests/quant/level_fit.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "quant/row_codec.h"

using tq::quant::RowCodec;
using tq::quant::testing::Book;
using tq::quant::testing::fit_books;
using tq::quant::testing::level_error;
using tq::quant::testing::make_groups;

namespace {

constexpr uint64_t kSeed = 4001;

RowCodec make_codec(int bits, int group) {
  return RowCodec::create({.dim = group, .bits = bits, .group = group}).value();
}

std::vector<Book> books_of(const RowCodec& codec) {
  std::vector<Book> books;
  for (int book = 0; book < codec.scale_format().n_books(); ++book) {
    books.emplace_back(codec.levels(book).begin(), codec.levels(book).end());
  }
  return books;
}

}  // namespace

// 1 % of error and some levels: the rounding to int8, and a fit on fewer groups, of other numbers.
// At 4 bits, and with several codebooks, neighbours may move together at hardly any cost.
TEST_CASE("the levels of the row codec are a fixed point of search and Lloyd's step",
          "[level_fit]") {
  INFO("seed " << kSeed);
  constexpr int kValues = 1 << 15;
  for (const int bits : {2, 3, 4}) {
    for (const int group : {16, 64}) {
      CAPTURE(bits, group);
      const int n_groups = kValues / group;
      const RowCodec codec = make_codec(bits, group);
      const std::vector<Book> tabled = books_of(codec);
      const std::vector<Book> refit =
          fit_books(bits, codec.scale_format().book_bits,
                    make_groups({.group = group, .n_groups = n_groups, .seed = kSeed + 1}), group);
      REQUIRE(tabled.size() == refit.size());
      const double apart = bits == 4 || tabled.size() > 1 ? 6.0 : 3.0;
      for (size_t b = 0; b < tabled.size(); ++b) {
        REQUIRE(tabled[b].size() == refit[b].size());
        for (size_t k = 0; k < tabled[b].size(); ++k) {
          CAPTURE(b, k);
          CHECK(std::abs(tabled[b][k] - refit[b][k]) <= apart);
        }
      }
      const std::vector<float> fresh =
          make_groups({.group = group, .n_groups = n_groups, .seed = kSeed + 2});
      CHECK(level_error(tabled, fresh, group) <= 1.01 * level_error(refit, fresh, group));
    }
  }
}

// Minutes. Prints kFitted of quant/row_codec.cpp.
TEST_CASE("generate the levels of the row codec", "[.generate]") {
  for (const int bits : {2, 3, 4}) {
    for (const int group : {16, 64}) {
      const int book_bits = make_codec(bits, group).scale_format().book_bits;
      const std::vector<Book> books = fit_books(
          bits, book_bits,
          make_groups({.group = group, .n_groups = (1 << 20) / group, .seed = kSeed}), group);
      std::printf("    {%d, %d, %d, {", bits, group, book_bits);
      const char* comma = "";
      for (const Book& book : books) {
        for (const double level : book) {
          std::printf("%s%ld", comma, std::lround(level));
          comma = ", ";
        }
      }
      std::printf("}},\n");
      std::fflush(stdout);
    }
  }
}
