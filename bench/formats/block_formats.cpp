// Blocks of a row as other engines code them: ggml's q8_0 and q4_0 to the bit, and NVFP4.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>

#include "bench/formats/formats.h"
#include "bench/formats/parts.h"
#include "quant/float16.h"

namespace tq::bench {
namespace {

constexpr int kGgmlBlock = 32;
constexpr int kNvfp4Block = 16;

float as_fp16(float value) { return quant::fp16_to_float(quant::float_to_fp16(value)); }

// Like ggml, codes come from the scale before its rounding to fp16.
void round_q8_0(std::span<float> block) {
  const float scale = largest_magnitude(block) / 127.0f;
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  const float stored = as_fp16(scale);
  for (float& value : block) value = stored * std::round(value * inverse);
}

// The value of largest magnitude becomes code 0 of 0..15, whatever its sign: -8 times the scale.
void round_q4_0(std::span<float> block) {
  const float largest = *std::max_element(
      block.begin(), block.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
  const float scale = largest / -8.0f;
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  const float stored = as_fp16(scale);
  for (float& value : block) {
    const int code = std::min(15, static_cast<int>(static_cast<int8_t>(value * inverse + 8.5f)));
    value = stored * static_cast<float>(code - 8);
  }
}

// The format's one fp32 per tensor is here one per (layer, head, half), set by the first block seen
// as a calibration would, with a factor of 16 left for larger values: no bits per row.
class Nvfp4 final : public KvCodec {
 public:
  double bits_per_value(bool /*is_key*/) const noexcept override { return 4.0 + 8.0 / kNvfp4Block; }

  void round_trip(std::span<float> rows, const RowPlace& place) override {
    constexpr float kHeadroom = 16.0f;
    const float tensor = tensor_.at(place, [&] {
      const float scale = kHeadroom * largest_magnitude(rows) / (kE4m3.max * kE2m1.max);
      return scale > 0.0f ? scale : 1.0f;
    });
    for (size_t i = 0; i < rows.size(); i += kNvfp4Block) {
      const std::span<float> block = rows.subspan(i, kNvfp4Block);
      const float scale = tensor * round_to(kE4m3, largest_magnitude(block) / kE2m1.max / tensor);
      for (float& value : block) {
        value = scale > 0.0f ? scale * round_to(kE2m1, value / scale) : 0.0f;
      }
    }
  }

 private:
  PerHead<float> tensor_;
};

}  // namespace

MadeCodec make_q8_0(const KvCodecOptions& options) {
  return make_grouped(options, kGgmlBlock, 8.0 + 16.0 / kGgmlBlock, round_q8_0);
}

MadeCodec make_q4_0(const KvCodecOptions& options) {
  return make_grouped(options, kGgmlBlock, 4.0 + 16.0 / kGgmlBlock, round_q4_0);
}

MadeCodec make_nvfp4(const KvCodecOptions& options) {
  TQ_TRY(check_groups(options, kNvfp4Block));
  return std::unique_ptr<KvCodec>(std::make_unique<Nvfp4>());
}

}  // namespace tq::bench
