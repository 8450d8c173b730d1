// Rotated rows, scaled to variance 1 and trellis-coded; see trellis.h.
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bench/formats/formats.h"
#include "bench/formats/parts.h"
#include "bench/formats/trellis.h"

namespace tq::bench {
namespace {

// The scale is the least-squares one for the codes.
void round_trellis(const Trellis& trellis, std::span<float> row) {
  double norm2 = 0.0;
  for (const float value : row) norm2 += static_cast<double>(value) * value;
  if (norm2 == 0.0) return;
  const double inverse = std::sqrt(static_cast<double>(row.size()) / norm2);
  std::vector<float> unit(row.size());
  for (size_t j = 0; j < row.size(); ++j) unit[j] = static_cast<float>(row[j] * inverse);
  std::vector<uint8_t> chosen(row.size());
  trellis.encode(unit, chosen);

  double along = 0.0;
  double square = 0.0;
  for (size_t j = 0; j < row.size(); ++j) {
    const double level = trellis.levels()[chosen[j]];
    along += row[j] * level;
    square += level * level;
  }
  const float scale = round_to_fp16(static_cast<float>(along / square));
  for (size_t j = 0; j < row.size(); ++j) row[j] = scale * trellis.levels()[chosen[j]];
}

}  // namespace

MadeCodec make_trellis(const KvCodecOptions& options, int bits) {
  MadeCodec inner = make_grouped(options, options.head_dim, bits + 16.0 / options.head_dim,
                                 [trellis = Trellis(trellis_levels(bits))](std::span<float> row) {
                                   round_trellis(trellis, row);
                                 });
  return make_rotated(std::move(inner), options);
}

}  // namespace tq::bench
