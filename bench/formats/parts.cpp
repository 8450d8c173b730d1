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

  double bits_per_value(bool /*is_key*/) const noexcept override { return bits_; }

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
  Rotated(std::unique_ptr<KvCodec> inner, quant::Rotation rotation)
      : inner_(std::move(inner)), rotation_(std::move(rotation)) {}

  double bits_per_value(bool is_key) const noexcept override {
    return inner_->bits_per_value(is_key);
  }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    rotation_.apply(rows);
    inner_->round_trip(rows, place);
    rotation_.apply_inverse(rows);
  }

 private:
  std::unique_ptr<KvCodec> inner_;
  quant::Rotation rotation_;
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

MadeCodec make_rotated(MadeCodec inner, const KvCodecOptions& options) {
  TQ_ASSIGN(std::unique_ptr<KvCodec> codec, std::move(inner));
  TQ_ASSIGN(quant::Rotation rotation,
            quant::Rotation::create({.dim = options.head_dim, .seed = options.seed}));
  return std::unique_ptr<KvCodec>(std::make_unique<Rotated>(std::move(codec), std::move(rotation)));
}

}  // namespace tq::bench
