#include "tests/quant/level_fit.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "quant/random.h"
#include "quant/row_codec.h"

namespace tq::quant::testing {
namespace {

// Scales that are tried, as parts of the group's largest magnitude.
constexpr float kFrom = 0.35f;
constexpr float kTo = 2.0f;
constexpr int kRounds = 60;

// How much a codebook's positive levels move up and down where it is split in two.
constexpr double kSplit = 0.15;

struct Found {
  size_t book = 0;
  float scale = 0.0f;
  double error = std::numeric_limits<double>::infinity();
};

// The nearest level of every value under one scale.
class Search {
 public:
  explicit Search(const Book& levels) : levels_(levels.begin(), levels.end()) {
    for (float& level : levels_) level *= kLevelUnit;
    for (size_t k = 0; k + 1 < levels_.size(); ++k) {
      boundaries_.push_back(0.5f * (levels_[k] + levels_[k + 1]));
    }
  }

  size_t code_of(float value) const noexcept {
    size_t code = 0;
    for (const float boundary : boundaries_) code += value > boundary ? 1 : 0;
    return code;
  }

  double error(std::span<const float> group, float scale) const noexcept {
    const float inverse = 1.0f / scale;
    float sum = 0.0f;
    for (const float value : group) {
      const float part = value * inverse;
      const float off = part - levels_[code_of(part)];
      sum += off * off;
    }
    return static_cast<double>(scale) * scale * sum;
  }

 private:
  std::vector<float> levels_;  // over kTopLevel
  std::vector<float> boundaries_;
};

std::vector<Search> make_searches(const std::vector<Book>& books) {
  return {books.begin(), books.end()};
}

Found best_of(const std::vector<Search>& searches, std::span<const float> group) {
  float largest = 0.0f;
  for (const float value : group) largest = std::max(largest, std::abs(value));
  Found found;
  for (int byte = 1; byte <= ScaleFormat{}.largest(); ++byte) {
    const float size = ScaleFormat{}.value(static_cast<uint8_t>(byte));
    if (size < kFrom * largest || size > kTo * largest) continue;
    for (const float scale : {size, -size}) {
      for (size_t book = 0; book < searches.size(); ++book) {
        const double off = searches[book].error(group, scale);
        if (off < found.error) found = {book, scale, off};
      }
    }
  }
  return found;
}

// Lloyd's step: every level becomes the mean of what took it, over the scales.
void refit(std::vector<Book>& books, std::span<const float> groups, int group) {
  const std::vector<Search> searches = make_searches(books);
  struct Cell {
    double moment = 0.0;  // sum of scale * value
    double mass = 0.0;    // sum of scale^2
  };
  std::vector<std::vector<Cell>> cells(books.size(), std::vector<Cell>(books.front().size()));
  for (size_t i = 0; i < groups.size(); i += static_cast<size_t>(group)) {
    const std::span<const float> part = groups.subspan(i, static_cast<size_t>(group));
    const Found found = best_of(searches, part);
    const double scale = found.scale;
    for (const float value : part) {
      Cell& cell = cells[found.book][searches[found.book].code_of(value / found.scale)];
      cell.moment += scale * value;
      cell.mass += scale * scale;
    }
  }
  for (size_t b = 0; b < books.size(); ++b) {
    double top = 0.0;
    for (size_t k = 0; k < books[b].size(); ++k) {
      books[b][k] = cells[b][k].moment / cells[b][k].mass;
      top = std::max(top, std::abs(books[b][k]));
    }
    for (double& level : books[b]) level *= kTopLevel / top;
  }
}

std::vector<Book> split(const std::vector<Book>& books) {
  std::vector<Book> twice;
  for (const Book& book : books) {
    for (const double factor : {1.0 + kSplit, 1.0 - kSplit}) {
      twice.push_back(book);
      for (double& level : twice.back()) level *= level > 0.0 ? factor : 1.0;
    }
  }
  return twice;
}

}  // namespace

std::vector<float> make_groups(const GroupSample& sample) {
  const auto group = static_cast<size_t>(sample.group);
  std::vector<float> values(static_cast<size_t>(sample.n_groups) * group);
  Rng rng(sample.seed, RngStream::kData);
  for (size_t i = 0; i < values.size(); i += group) {
    const double size = std::exp2(rng.uniform()) / 16.0;
    for (size_t j = 0; j < group; ++j) values[i + j] = static_cast<float>(size * rng.gaussian());
  }
  return values;
}

std::vector<Book> fit_books(int bits, int book_bits, std::span<const float> groups, int group) {
  // Equal steps, of which one end is at the top and the other one step short of it.
  const size_t n = size_t{1} << bits;
  Book even(n);
  for (size_t k = 0; k < n; ++k) {
    even[k] = kTopLevel * (2.0 * static_cast<double>(k) / static_cast<double>(n) - 1.0);
  }
  std::vector<Book> books{even};
  for (int stage = 0; stage <= book_bits; ++stage) {
    if (stage > 0) books = split(books);
    const int rounds = stage == book_bits ? kRounds : kRounds / 3;
    for (int round = 0; round < rounds; ++round) refit(books, groups, group);
  }
  return books;
}

double level_error(const std::vector<Book>& books, std::span<const float> groups, int group) {
  const std::vector<Search> searches = make_searches(books);
  double sum = 0.0;
  for (size_t i = 0; i < groups.size(); i += static_cast<size_t>(group)) {
    sum += best_of(searches, groups.subspan(i, static_cast<size_t>(group))).error;
  }
  return sum;
}

}  // namespace tq::quant::testing
