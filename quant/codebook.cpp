#include "quant/codebook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>

#include "config/check.h"

namespace tq::quant {
namespace {

constexpr int kNodes = 16;  // Gauss-Legendre, per panel of at most one standard deviation

struct GaussLegendre {
  std::array<double, kNodes> x;  // on [-1, 1]
  std::array<double, kNodes> w;
};

// Nodes by Newton's method on the Legendre polynomial.
GaussLegendre make_gauss_legendre() {
  GaussLegendre rule{};
  for (int i = 0; i < kNodes; ++i) {
    double x = std::cos(std::numbers::pi * (i + 0.75) / (kNodes + 0.5));
    double derivative = 1.0;
    for (int iteration = 0; iteration < 20; ++iteration) {
      double previous = 1.0;
      double value = x;
      for (int n = 2; n <= kNodes; ++n) {
        const double next = ((2 * n - 1) * x * value - (n - 1) * previous) / n;
        previous = value;
        value = next;
      }
      derivative = kNodes * (x * value - previous) / (x * x - 1.0);
      x -= value / derivative;
    }
    rule.x[static_cast<size_t>(i)] = x;
    rule.w[static_cast<size_t>(i)] = 2.0 / ((1.0 - x * x) * derivative * derivative);
  }
  return rule;
}

// The density of a coordinate, and its moments over an interval of the positive half.
class SphereDensity {
 public:
  explicit SphereDensity(int dim) : dim_(dim), rule_(make_gauss_legendre()) {
    norm_ = 0.5 / angle_integral(0.0, std::numbers::pi / 2.0);
  }

  // (1 - t^2)^power, without cancellation near t = 0.
  static double power_of_cosine(double t, double power) {
    return t >= 1.0 ? 0.0 : std::exp(power * std::log1p(-t * t));
  }

  double density(double t) const { return norm_ * power_of_cosine(t, 0.5 * (dim_ - 3)); }

  // With t = sin(angle), f dt = norm cos(angle)^(d-2) d(angle): smooth for every d >= 2.
  double mass(double from, double to) const {
    return norm_ * angle_integral(std::asin(from), std::asin(to));
  }

  // The first moment has a primitive: -norm (1 - t^2)^((d-1)/2) / (d - 1).
  double first_moment(double from, double to) const {
    const double power = 0.5 * (dim_ - 1);
    return norm_ * (power_of_cosine(from, power) - power_of_cosine(to, power)) / (dim_ - 1);
  }

 private:
  double angle_integral(double from, double to) const {
    // cos^d(angle) < exp(-d angle^2 / 2): beyond 12 standard deviations lies less than 1e-31.
    const double sigma = 1.0 / std::sqrt(static_cast<double>(dim_));
    to = std::min(to, std::max(from, 12.0 * sigma));
    const int n_panels = std::max(1, static_cast<int>(std::ceil((to - from) / sigma)));
    const double half = 0.5 * (to - from) / n_panels;
    double sum = 0.0;
    for (int panel = 0; panel < n_panels; ++panel) {
      const double middle = from + (2 * panel + 1) * half;
      for (size_t i = 0; i < kNodes; ++i) {
        const double s = std::sin(middle + half * rule_.x[i]);
        sum += rule_.w[i] * std::exp(0.5 * (dim_ - 2) * std::log1p(-s * s));
      }
    }
    return sum * half;
  }

  int dim_;
  GaussLegendre rule_;
  double norm_ = 1.0;
};

// The positive half of the quantiser while it converges. Cell k is [edge(k), edge(k + 1)].
struct HalfQuantiser {
  const SphereDensity* density;
  std::vector<double> c;  // centroids, ascending, > 0

  double edge(size_t k) const {
    if (k == 0) return 0.0;
    return k == c.size() ? 1.0 : 0.5 * (c[k - 1] + c[k]);
  }
  double mass(size_t k) const { return density->mass(edge(k), edge(k + 1)); }
  double moment(size_t k) const { return density->first_moment(edge(k), edge(k + 1)); }
};

// Starting points: quantiles of f^(1/3), the optimal point density for many levels (Panter and
// Dite).
std::vector<double> starting_points(int dim, size_t n) {
  constexpr int kSteps = 4096;
  const double sigma = std::sqrt(3.0 / dim);
  const double angle_max = std::min(std::numbers::pi / 2.0, 8.0 * sigma);
  std::vector<double> cumulative(kSteps + 1, 0.0);
  for (int i = 0; i < kSteps; ++i) {
    const double s = std::sin(angle_max * (i + 0.5) / kSteps);
    const double weight = std::exp(dim / 6.0 * std::log1p(-s * s));
    cumulative[static_cast<size_t>(i) + 1] = cumulative[static_cast<size_t>(i)] + weight;
  }
  std::vector<double> points(n);
  size_t step = 0;
  for (size_t k = 0; k < n; ++k) {
    const double target =
        cumulative.back() * (static_cast<double>(k) + 0.5) / static_cast<double>(n);
    while (cumulative[step + 1] < target) ++step;
    const double part = (target - cumulative[step]) / (cumulative[step + 1] - cumulative[step]);
    points[k] = std::sin(angle_max * (static_cast<double>(step) + part) / kSteps);
  }
  return points;
}

// One Newton step on g_k = c_k mass_k - moment_k, half the gradient of the distortion. Its Jacobian
// is tridiagonal, because a boundary moves with its two neighbours only.
std::vector<double> newton_step(const HalfQuantiser& q) {
  const size_t n = q.c.size();
  std::vector<double> lower(n, 0.0), diagonal(n), upper(n, 0.0), step(n);
  for (size_t k = 0; k < n; ++k) {
    diagonal[k] = q.mass(k);
    step[k] = q.moment(k) - q.c[k] * diagonal[k];
    if (k > 0) {
      lower[k] = -0.5 * (q.c[k] - q.edge(k)) * q.density->density(q.edge(k));
      diagonal[k] += lower[k];
    }
    if (k + 1 < n) {
      upper[k] = 0.5 * (q.c[k] - q.edge(k + 1)) * q.density->density(q.edge(k + 1));
      diagonal[k] += upper[k];
    }
  }
  for (size_t k = 1; k < n; ++k) {
    const double factor = lower[k] / diagonal[k - 1];
    diagonal[k] -= factor * upper[k - 1];
    step[k] -= factor * step[k - 1];
  }
  for (size_t k = n; k-- > 0;) {
    if (k + 1 < n) step[k] -= upper[k] * step[k + 1];
    step[k] /= diagonal[k];
  }
  return step;
}

bool is_ordered(const std::vector<double>& c) {
  return c.front() > 0.0 && c.back() < 1.0 &&
         std::adjacent_find(c.begin(), c.end(), std::greater_equal<>()) == c.end();
}

// Lloyd's iteration brings any start close; Newton then converges quadratically where Lloyd would
// need thousands of rounds at 8 bits.
void converge(HalfQuantiser& q) {
  constexpr int kLloydRounds = 30;
  constexpr int kNewtonRounds = 60;
  const size_t n = q.c.size();
  std::vector<double> next(n);
  for (int round = 0; round < kLloydRounds; ++round) {
    for (size_t k = 0; k < n; ++k) next[k] = q.moment(k) / q.mass(k);
    q.c = next;
  }
  for (int round = 0; round < kNewtonRounds; ++round) {
    const std::vector<double> step = newton_step(q);
    double largest = 0.0;
    for (const double value : step) largest = std::max(largest, std::abs(value));
    double damping = 1.0;
    do {
      for (size_t k = 0; k < n; ++k) next[k] = q.c[k] + damping * step[k];
      damping *= 0.5;
    } while (!is_ordered(next) && damping > 1e-6);
    q.c = next;
    if (largest < 1e-14 * q.c.back()) return;
  }
}

}  // namespace

Result<Codebook> make_codebook(int dim, int bits) {
  if (dim < 2 || dim > kCodebookDimMax) {
    return Error{Code::kInvalidArgument,
                 "a codebook needs a dimension of 2 to " + std::to_string(kCodebookDimMax) +
                     ", not " + std::to_string(dim),
                 "dim"};
  }
  if (bits < 1 || bits > kBitsMax) {
    return Error{Code::kInvalidArgument, "a codebook has 1 to 8 bits, not " + std::to_string(bits),
                 "bits"};
  }
  const SphereDensity density(dim);
  const size_t n = size_t{1} << (bits - 1);
  HalfQuantiser half{&density, starting_points(dim, n)};
  converge(half);

  Codebook book;
  book.dim = dim;
  book.bits = bits;
  for (size_t k = n; k-- > 0;) book.centroids.push_back(-half.c[k]);
  book.centroids.insert(book.centroids.end(), half.c.begin(), half.c.end());
  for (size_t k = n; k-- > 1;) book.boundaries.push_back(-half.edge(k));
  for (size_t k = 0; k < n; ++k) book.boundaries.push_back(half.edge(k));
  book.mse = mse_with_levels(book, book.centroids);
  return book;
}

double mse_with_levels(const Codebook& codebook, std::span<const double> levels) {
  TQ_CHECK(levels.size() == codebook.centroids.size(), "one level per centroid", levels.size());
  // d E(t - l)^2 = d (E t^2 - 2 sum l moment + sum l^2 mass), E t^2 = 1/d; both halves count alike.
  const SphereDensity density(codebook.dim);
  const size_t n = levels.size() / 2;
  double sum = 0.0;
  for (size_t k = 0; k < n; ++k) {
    const double from = codebook.boundaries[n - 1 + k];
    const double to = k + 1 < n ? codebook.boundaries[n + k] : 1.0;
    const double moment = density.first_moment(from, to);
    const double mass = density.mass(from, to);
    for (const double level : {levels[n + k], -levels[n - 1 - k]}) {
      sum += level * (level * mass - 2.0 * moment);
    }
  }
  return 1.0 + codebook.dim * sum;
}

double theorem1_bound(int bits) noexcept {
  return std::sqrt(3.0) * std::numbers::pi / 2.0 * std::pow(4.0, -bits);
}

}  // namespace tq::quant
