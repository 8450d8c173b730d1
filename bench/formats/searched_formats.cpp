// Rotated rows in groups whose scale is searched; see group_search.h.
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bench/formats/formats.h"
#include "bench/formats/group_search.h"
#include "bench/formats/parts.h"

namespace tq::bench {

MadeCodec make_searched(const KvCodecOptions& options, const SearchedFormat& format) {
  const int group = format.group > 0 ? format.group : options.head_dim;
  TQ_TRY(check_groups(options, 16));
  const double scale_bits = is_byte(format.scale) ? 8.0 : 16.0;
  GroupSearch search(group_levels(format.bits, group, format.scale), format.scale);
  MadeCodec inner = make_grouped(
      options, group, format.bits + scale_bits / group,
      [search = std::move(search),
       codes = std::vector<uint8_t>(static_cast<size_t>(group))](std::span<float> values) mutable {
        const float scale = search.search(values, codes);
        for (size_t j = 0; j < values.size(); ++j) values[j] = scale * search.levels()[codes[j]];
      });
  if (format.scale == SearchedScale::kSignedE4m3) inner = make_head_exponent(std::move(inner));
  return make_rotated(std::move(inner), options, RotationKind::kAuto, RotationScope::kShared);
}

}  // namespace tq::bench
