// The names of the formats. To add one: its family's file, its line here.
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bench/formats/formats.h"
#include "bench/formats/kv_codec.h"
#include "bench/formats/parts.h"

namespace tq::bench {
namespace {

using Options = KvCodecOptions;

template <MadeCodec (*Make)(const Options&)>
MadeCodec rotated(const Options& o) {
  return make_rotated(Make(o), o);
}

// A family whose one parameter is its bits.
template <MadeCodec (*Make)(const Options&, int), int Bits>
MadeCodec with_bits(const Options& o) {
  return Make(o, Bits);
}

constexpr KvCodecEntry kEntries[] = {
    {"bf16", "rounded to bf16", make_bf16},
    {"fp8", "e4m3 with scale 1, vLLM's default", make_fp8},
    {"fp8_row", "e4m3, fp16 scale per row", make_fp8_row},
    {"q8_0", "ggml: blocks of 32, fp16 scale", make_q8_0},
    {"q8_0_rot", "q8_0 of the rotated row", rotated<make_q8_0>},
    {"q4_0", "ggml: blocks of 32, fp16 scale, signed max at -8", make_q4_0},
    {"q4_0_rot", "q4_0 of the rotated row", rotated<make_q4_0>},
    {"nvfp4", "blocks of 16 e2m1, e4m3 scale; the tensor's fp32 from the first block", make_nvfp4},
    {"nvfp4_rot", "nvfp4 of the rotated row", rotated<make_nvfp4>},
    {"int4_minmax", "equal steps from min to max of a row, both fp16", with_bits<make_min_max, 4>},
    {"kivi4", "KIVI: min-max, keys per channel over 32 tokens, values per 32 channels",
     with_bits<make_kivi, 4>},
    {"kivi2", "KIVI at 2 bits", with_bits<make_kivi, 2>},

    {"tq8", "the store: rotation, an 8-bit scale per 16 coordinates of a key, per 64 of a value",
     with_bits<make_store, 8>},
    {"tq4", "tq8 at 4 bits: searched scales, levels fitted to them", with_bits<make_store, 4>},
    {"tq3", "tq4 at 3 bits", with_bits<make_store, 3>},
    {"tq2", "tq4 at 2 bits", with_bits<make_store, 2>},

    {"tq4_mse", "TurboQuant's Algorithm 1: rotation, Lloyd-Max centroids, fp16 length per row",
     with_bits<make_turbo_mse, 4>},
    {"tq3_mse", "Algorithm 1 at 3 bits", with_bits<make_turbo_mse, 3>},
    {"tq2_mse", "Algorithm 1 at 2 bits", with_bits<make_turbo_mse, 2>},
    {"tq1_mse", "Algorithm 1 at 1 bit", with_bits<make_turbo_mse, 1>},
    {"tq4_ip", "Algorithm 2: 3 bits and a QJL bit", with_bits<make_turbo_ip, 4>},
    {"tq3_ip", "Algorithm 2: 2 bits and a QJL bit", with_bits<make_turbo_ip, 3>},
    {"tq2_ip", "Algorithm 2: 1 bit and a QJL bit", with_bits<make_turbo_ip, 2>},
    {"tq3.5", "a quarter of the channels, outliers by norm, at 4 bits, the others at 3",
     with_bits<make_outlier, 3>},
    {"tq2.5", "a quarter of the channels, outliers by norm, at 3 bits, the others at 2",
     with_bits<make_outlier, 2>},

    {"trellis4", "rotated, 256-state trellis, fp16 scale per row", with_bits<make_trellis, 4>},
    {"trellis3", "trellis4 at 3 bits", with_bits<make_trellis, 3>},
    {"trellis2", "trellis4 at 2 bits", with_bits<make_trellis, 2>},
};

Error unknown(std::string_view name) {
  std::string known;
  for (const KvCodecEntry& entry : kEntries) known.append(" ").append(entry.name);
  return Error{Code::kInvalidArgument, "no KV format \"" + std::string(name) + "\"; known:" + known,
               "--kv"};
}

}  // namespace

std::span<const KvCodecEntry> kv_codecs() noexcept { return kEntries; }

Result<std::unique_ptr<KvCodec>> make_kv_codec(std::string_view name,
                                               const KvCodecOptions& options) {
  for (const KvCodecEntry& entry : kEntries) {
    if (entry.name == name) return entry.make(options);
  }
  return unknown(name);
}

}  // namespace tq::bench
