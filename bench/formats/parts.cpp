#include "bench/formats/parts.h"

#include <algorithm>
#include <string>
#include <utility>

#include "config/check.h"
#include "quant/float16.h"
#include "quant/rotation.h"

namespace tq::bench {
namespace {

constexpr float kFp16Max = 65504.0f;

class Grouped final : public KvCodec {
 public:
  Grouped(int group, double bits, GroupRounder rounder)
      : group_(static_cast<size_t>(group)), bits_(bits), rounder_(std::move(rounder)) {}

  double bits_per_value() const noexcept override { return bits_; }

  void round_trip(std::span<float> rows, const RowPlace&) override {
    TQ_CHECK(rows.size() % group_ == 0, "rows of whole groups", rows.size(), group_);
    for (size_t i = 0; i < rows.size(); i += group_) rounder_(rows.subspan(i, group_));
  }

 private:
  size_t group_;
  double bits_;
  GroupRounder rounder_;
};

class Rotated final : public KvCodec {
 public:
  Rotated(std::unique_ptr<KvCodec> inner, std::vector<quant::Rotation> rotations, int n_kv_heads)
      : inner_(std::move(inner)), rotations_(std::move(rotations)), n_kv_heads_(n_kv_heads) {}

  double bits_per_value() const noexcept override { return inner_->bits_per_value(); }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    const auto head = static_cast<size_t>(place.layer * n_kv_heads_ + place.kv_head);
    const quant::Rotation& rotation = rotations_.size() == 1 ? rotations_[0] : rotations_.at(head);
    rotation.apply(rows);
    inner_->round_trip(rows, place);
    rotation.apply_inverse(rows);
  }

 private:
  std::unique_ptr<KvCodec> inner_;
  std::vector<quant::Rotation> rotations_;  // one, or [n_layers, n_kv_heads]
  int n_kv_heads_;
};

class HeadExponent final : public KvCodec {
 public:
  explicit HeadExponent(std::unique_ptr<KvCodec> inner) : inner_(std::move(inner)) {}

  double bits_per_value() const noexcept override { return inner_->bits_per_value(); }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    const int exponent = exponents_.at(place, [&] {
      const float largest = largest_magnitude(rows);
      return largest > 0.0f ? 3 - std::ilogb(largest) : 0;
    });
    for (float& value : rows) value = std::ldexp(value, exponent);
    inner_->round_trip(rows, place);
    for (float& value : rows) value = std::ldexp(value, -exponent);
  }

 private:
  std::unique_ptr<KvCodec> inner_;
  PerHead<int> exponents_;
};

class HeadOffset final : public KvCodec {
 public:
  HeadOffset(std::unique_ptr<KvCodec> inner, int head_dim)
      : inner_(std::move(inner)), dim_(static_cast<size_t>(head_dim)) {}

  double bits_per_value() const noexcept override { return inner_->bits_per_value(); }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    if (!place.is_key) return inner_->round_trip(rows, place);
    const std::vector<float>& offset = offsets_.at(place, [&] { return mean_of(rows); });
    for (size_t i = 0; i < rows.size(); ++i) rows[i] -= offset[i % dim_];
    inner_->round_trip(rows, place);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] += offset[i % dim_];
  }

 private:
  std::vector<float> mean_of(std::span<const float> rows) const {
    std::vector<double> sums(dim_, 0.0);
    for (size_t i = 0; i < rows.size(); ++i) sums[i % dim_] += rows[i];
    std::vector<float> mean(dim_);
    const size_t n_rows = rows.size() / dim_;
    const auto n = static_cast<double>(n_rows);
    for (size_t j = 0; j < dim_; ++j) mean[j] = static_cast<float>(sums[j] / n);
    return mean;
  }

  std::unique_ptr<KvCodec> inner_;
  size_t dim_;
  PerHead<std::vector<float>> offsets_;
};

}  // namespace

float round_to_fp16(float value) noexcept {
  return quant::fp16_to_float(quant::float_to_fp16(std::clamp(value, -kFp16Max, kFp16Max)));
}

float largest_magnitude(std::span<const float> values) noexcept {
  float largest = 0.0f;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

Result<void> check_groups(const KvCodecOptions& options, int group) {
  if (options.head_dim > 0 && options.head_dim % group == 0) return {};
  return Error{Code::kInvalidArgument,
               "this format codes " + std::to_string(group) + " values at a time, and head_dim " +
                   std::to_string(options.head_dim) + " is no multiple of that",
               "head_dim"};
}

MadeCodec make_grouped(const KvCodecOptions& options,
                       int group,
                       double bits,
                       GroupRounder rounder) {
  TQ_TRY(check_groups(options, group));
  return std::unique_ptr<KvCodec>(std::make_unique<Grouped>(group, bits, std::move(rounder)));
}

MadeCodec make_rotated(MadeCodec inner,
                       const KvCodecOptions& options,
                       RotationKind kind,
                       RotationScope scope) {
  TQ_ASSIGN(std::unique_ptr<KvCodec> codec, std::move(inner));
  const int n = scope == RotationScope::kShared ? 1 : options.n_layers * options.n_kv_heads;
  std::vector<quant::Rotation> rotations;
  for (int head = 0; head < n; ++head) {
    TQ_ASSIGN(quant::Rotation rotation,
              quant::Rotation::create({.kind = kind,
                                       .dim = options.head_dim,
                                       .seed = options.seed + static_cast<uint64_t>(head)}));
    rotations.push_back(std::move(rotation));
  }
  return std::unique_ptr<KvCodec>(
      std::make_unique<Rotated>(std::move(codec), std::move(rotations), options.n_kv_heads));
}

MadeCodec make_head_exponent(MadeCodec inner) {
  TQ_ASSIGN(std::unique_ptr<KvCodec> codec, std::move(inner));
  return std::unique_ptr<KvCodec>(std::make_unique<HeadExponent>(std::move(codec)));
}

std::unique_ptr<KvCodec> make_head_offset(std::unique_ptr<KvCodec> inner, int head_dim) {
  return std::make_unique<HeadOffset>(std::move(inner), head_dim);
}

}  // namespace tq::bench
