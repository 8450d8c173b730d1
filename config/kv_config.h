#pragma once
// KvConfig: how the KV cache is held. Plain value, filled by config/load.h, read-only afterwards.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config/result.h"

namespace tq {

// How one half (K or V) of a sealed block is coded. kBf16: rows as they are.
enum class KvFormat : uint8_t { kBf16, kTq8, kTq4, kTq3, kTq2 };

std::string_view to_string(KvFormat format) noexcept;  // "bf16", "tq8", "tq4", "tq3", "tq2"

// Formats of the keys and of the values. kernels/ instantiates each half on its own.
struct KvFormats {
  KvFormat k = KvFormat::kTq4;
  KvFormat v = KvFormat::kTq4;
  bool operator==(const KvFormats&) const = default;
  constexpr bool sealed_is_hot() const noexcept {
    return k == KvFormat::kBf16 && v == KvFormat::kBf16;
  }
};

std::string to_string(KvFormats formats);  // "tq4", or "tq4/tq3" where the halves differ

// Pairs by what they are for: "quality", "balanced" (the default), "small". The root README.md has
// the measurements that chose them.
struct KvPreset {
  std::string_view name;
  KvFormats formats;
};
std::span<const KvPreset> kv_presets() noexcept;

// What parse_kv_formats() takes, for messages: "bf16, tq8, ..., quality, ... or a pair K/V such as
// tq4/tq3".
std::string kv_format_names();

// "tq4", "bf16", "K/V" as in "tq4/tq2", or the name of a preset. An unknown name is an error that
// lists the known ones.
Result<KvFormats> parse_kv_formats(std::string_view text);

// The random orthogonal transform applied to each head vector before it is coded.
enum class RotationKind : uint8_t {
  kAuto,      // Hadamard where head_dim is a power of two, QR elsewhere
  kHadamard,  // random signs, then the fast Walsh-Hadamard transform
  kQr,        // Q of a Gaussian matrix: the paper's, dense
};

struct KvConfig {
  KvFormats formats;
  RotationKind rotation = RotationKind::kAuto;
  uint64_t seed = 0x5eed;  // of every rotation; same seed, same codes

  // Counts of tokens; all but the first are multiples of it.
  int block_tokens = 32;    // of a block: a multiple of 32
  int sink_tokens = 64;     // first ones of a sequence, kept 16 bit for good
  int window_tokens = 256;  // at least so many last ones stay 16 bit: quant/README.md, "Levers"
  // Blocks are sealed when a position crosses a multiple of this, so what a token attends to
  // depends on its position alone, never on the batch.
  int seal_stride_tokens = 128;
  uint64_t budget_bytes = 0;  // for both pools; 0: a share of free memory, printed in the plan
  bool prefix_cache = true;
};

// Tokens [sink, sealed_until(position)) of a sequence are sealed when `position` is computed: whole
// blocks that end at least window_tokens before the last seal point. The one rule that engine,
// tests and the simulation share. Result is a multiple of block_tokens, never below sink_tokens.
constexpr int64_t sealed_until(const KvConfig& kv, int64_t position) noexcept {
  if (kv.formats.sealed_is_hot()) return kv.sink_tokens;
  const int64_t seal_point = position / kv.seal_stride_tokens * kv.seal_stride_tokens;
  const int64_t horizon = (seal_point - kv.window_tokens) / kv.block_tokens * kv.block_tokens;
  return horizon > kv.sink_tokens ? horizon : kv.sink_tokens;
}

}  // namespace tq
