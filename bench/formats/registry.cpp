// The names of the formats. To add one: its family's file, its line here.
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "bench/formats/formats.h"
#include "bench/formats/kv_codec.h"
#include "bench/formats/parts.h"

namespace tq::bench {
namespace {

using Options = KvCodecOptions;

constexpr std::string_view kOffsetSuffix = "+off";

template <MadeCodec (*Make)(const Options&)>
MadeCodec rotated(const Options& o) {
  return make_rotated(Make(o), o, RotationKind::kAuto, RotationScope::kShared);
}

template <TurboFormat F>
MadeCodec turbo(const Options& o) {
  return make_turbo(o, F);
}

template <SearchedFormat F>
MadeCodec searched(const Options& o) {
  return make_searched(o, F);
}

// A family whose one parameter is its bits.
template <MadeCodec (*Make)(const Options&, int), int Bits>
MadeCodec with_bits(const Options& o) {
  return Make(o, Bits);
}

constexpr ScaleRule kPlain = ScaleRule::kPlain;
constexpr ScaleRule kMatched = ScaleRule::kMatched;
constexpr SearchedScale kSigned = SearchedScale::kSignedE4m3;

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

    {"tq4", "the store: rotation, int8 Lloyd-Max levels, unbiased fp16 scale",
     turbo<TurboFormat{.bits = 4}>},
    {"tq3", "tq4 at 3 bits", turbo<TurboFormat{.bits = 3}>},
    {"tq2", "tq4 at 2 bits", turbo<TurboFormat{.bits = 2}>},
    {"tq1", "tq4 at 1 bit", turbo<TurboFormat{.bits = 1}>},
    {"tq4_plain", "tq4, scale |x|", turbo<TurboFormat{.bits = 4, .rule = kPlain}>},
    {"tq3_plain", "tq3, scale |x|", turbo<TurboFormat{.bits = 3, .rule = kPlain}>},
    {"tq2_plain", "tq2, scale |x|", turbo<TurboFormat{.bits = 2, .rule = kPlain}>},
    {"tq4_matched", "tq4, scale keeps the norm", turbo<TurboFormat{.bits = 4, .rule = kMatched}>},
    {"tq3_matched", "tq3, scale keeps the norm", turbo<TurboFormat{.bits = 3, .rule = kMatched}>},
    {"tq2_matched", "tq2, scale keeps the norm", turbo<TurboFormat{.bits = 2, .rule = kMatched}>},
    {"tq4_float", "tq4, float centroids", turbo<TurboFormat{.bits = 4, .float_centroids = true}>},
    {"tq3_float", "tq3, float centroids", turbo<TurboFormat{.bits = 3, .float_centroids = true}>},
    {"tq2_float", "tq2, float centroids", turbo<TurboFormat{.bits = 2, .float_centroids = true}>},
    {"tq4_qr", "tq4, dense QR rotation",
     turbo<TurboFormat{.bits = 4, .rotation = RotationKind::kQr}>},
    {"tq4_perhead", "tq4, a rotation per layer and head",
     turbo<TurboFormat{.bits = 4, .scope = RotationScope::kPerHead}>},
    {"tq4_ip", "TurboQuant's Algorithm 2: 3 bits and a QJL bit", with_bits<make_turbo_ip, 4>},
    {"tq3_ip", "Algorithm 2: 2 bits and a QJL bit", with_bits<make_turbo_ip, 3>},
    {"tq2_ip", "Algorithm 2: 1 bit and a QJL bit", with_bits<make_turbo_ip, 2>},
    {"tq3.5", "a quarter of the channels, outliers by norm, at 4 bits, the others at 3",
     with_bits<make_outlier, 3>},
    {"tq2.5", "a quarter of the channels, outliers by norm, at 3 bits, the others at 2",
     with_bits<make_outlier, 2>},

    {"tqg4", "rotated groups of 32, searched 8-bit scale, fitted levels",
     searched<SearchedFormat{.bits = 4}>},
    {"tqg3", "tqg4 at 3 bits", searched<SearchedFormat{.bits = 3}>},
    {"tqg2", "tqg4 at 2 bits", searched<SearchedFormat{.bits = 2}>},
    {"tqg4_16", "tqg4, groups of 16", searched<SearchedFormat{.bits = 4, .group = 16}>},
    {"tqg3_16", "tqg3, groups of 16", searched<SearchedFormat{.bits = 3, .group = 16}>},
    {"tqg2_16", "tqg2, groups of 16", searched<SearchedFormat{.bits = 2, .group = 16}>},
    {"tqg4_64", "tqg4, groups of 64", searched<SearchedFormat{.bits = 4, .group = 64}>},
    {"tqg3_64", "tqg3, groups of 64", searched<SearchedFormat{.bits = 3, .group = 64}>},
    {"tqg2_64", "tqg2, groups of 64", searched<SearchedFormat{.bits = 2, .group = 64}>},
    {"tqg4_row", "tqg4, one searched fp16 scale per row",
     searched<SearchedFormat{.bits = 4, .group = 0, .scale = SearchedScale::kFp16}>},
    {"tqg3_row", "tqg3, one searched fp16 scale per row",
     searched<SearchedFormat{.bits = 3, .group = 0, .scale = SearchedScale::kFp16}>},
    {"tqg2_row", "tqg2, one searched fp16 scale per row",
     searched<SearchedFormat{.bits = 2, .group = 0, .scale = SearchedScale::kFp16}>},
    {"tqg4_f", "tqg4, searched fp16 scale",
     searched<SearchedFormat{.bits = 4, .scale = SearchedScale::kFp16}>},
    {"tqg4_u", "tqg4_f, its scale made unbiased",
     searched<SearchedFormat{.bits = 4, .scale = SearchedScale::kFp16Unbiased}>},
    {"tqs4", "tqg4 with a signed 8-bit scale, which mirrors lopsided levels",
     searched<SearchedFormat{.bits = 4, .scale = kSigned}>},
    {"tqs3", "tqs4 at 3 bits", searched<SearchedFormat{.bits = 3, .scale = kSigned}>},
    {"tqs2", "tqs4 at 2 bits", searched<SearchedFormat{.bits = 2, .scale = kSigned}>},
    {"tqs4_16", "tqs4, groups of 16",
     searched<SearchedFormat{.bits = 4, .group = 16, .scale = kSigned}>},
    {"tqs3_16", "tqs3, groups of 16",
     searched<SearchedFormat{.bits = 3, .group = 16, .scale = kSigned}>},
    {"tqs2_16", "tqs2, groups of 16",
     searched<SearchedFormat{.bits = 2, .group = 16, .scale = kSigned}>},
    {"tqs4_64", "tqs4, groups of 64",
     searched<SearchedFormat{.bits = 4, .group = 64, .scale = kSigned}>},
    {"tqs3_64", "tqs3, groups of 64",
     searched<SearchedFormat{.bits = 3, .group = 64, .scale = kSigned}>},
    {"tqs2_64", "tqs2, groups of 64",
     searched<SearchedFormat{.bits = 2, .group = 64, .scale = kSigned}>},

    {"trellis4", "rotated, 256-state trellis, fp16 scale per row", with_bits<make_trellis, 4>},
    {"trellis3", "trellis4 at 3 bits", with_bits<make_trellis, 3>},
    {"trellis2", "trellis4 at 2 bits", with_bits<make_trellis, 2>},
};

Error unknown(std::string_view name) {
  std::string known;
  for (const KvCodecEntry& entry : kEntries) known.append(" ").append(entry.name);
  return Error{Code::kInvalidArgument,
               "no KV format \"" + std::string(name) + "\"; known, each with or without \"" +
                   std::string(kOffsetSuffix) + "\":" + known,
               "--kv"};
}

}  // namespace

std::span<const KvCodecEntry> kv_codecs() noexcept { return kEntries; }

Result<std::unique_ptr<KvCodec>> make_kv_codec(std::string_view name,
                                               const KvCodecOptions& options) {
  const bool has_offset = name.ends_with(kOffsetSuffix);
  const std::string_view base =
      has_offset ? name.substr(0, name.size() - kOffsetSuffix.size()) : name;
  for (const KvCodecEntry& entry : kEntries) {
    if (entry.name != base) continue;
    TQ_ASSIGN(std::unique_ptr<KvCodec> codec, entry.make(options));
    if (!has_offset) return codec;
    return make_head_offset(std::move(codec), options.head_dim);
  }
  return unknown(name);
}

}  // namespace tq::bench
