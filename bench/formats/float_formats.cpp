// Values rounded one at a time: bf16, and the 8-bit floats of other engines' caches.
#include <span>

#include "bench/formats/formats.h"
#include "bench/formats/parts.h"
#include "quant/float16.h"

namespace tq::bench {

MadeCodec make_bf16(const KvCodecOptions& options) {
  return make_grouped(options, options.head_dim, 16.0, [](std::span<float> row) {
    for (float& value : row) value = quant::bf16_to_float(quant::float_to_bf16(value));
  });
}

MadeCodec make_fp8(const KvCodecOptions& options) {
  return make_grouped(options, options.head_dim, 8.0, [](std::span<float> row) {
    for (float& value : row) value = round_to(kE4m3, value);
  });
}

MadeCodec make_fp8_row(const KvCodecOptions& options) {
  const double bits = 8.0 + 16.0 / options.head_dim;
  return make_grouped(options, options.head_dim, bits, [](std::span<float> row) {
    const float scale = round_to_fp16(largest_magnitude(row) / kE4m3.max);
    for (float& value : row) value = scale > 0.0f ? scale * round_to(kE4m3, value / scale) : 0.0f;
  });
}

}  // namespace tq::bench
