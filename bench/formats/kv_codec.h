#pragma once
// KvCodec: one way to hold keys or values in fewer bits, for measuring its cost: rows go in, what
// decoding them would give comes out. Ours and those of other engines stand side by side here; only
// those that win move into the store (kernels/). One thread at a time.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/result.h"

namespace tq::bench {

// What the rows are. A codec may keep state per (layer, head, half), for instance a mean that it
// took from the first block.
struct RowPlace {
  LayerIdx layer = 0;
  int kv_head = 0;
  bool is_key = false;
  int64_t first_position = 0;  // of rows[0] in its sequence
};

struct KvCodecOptions {
  int n_layers = 1;
  int n_kv_heads = 1;
  int head_dim = 64;
  uint64_t seed = 0x5eed;  // of rotations and projections
};

class KvCodec {
 public:
  virtual ~KvCodec() = default;

  // Per number of head_dim, scales and all side data that a row needs included.
  virtual double bits_per_value(bool is_key) const noexcept = 0;
  double mean_bits_per_value() const noexcept {
    return (bits_per_value(true) + bits_per_value(false)) / 2;
  }

  // rows [n_rows, head_dim], consecutive positions of one head, finite: replaced by what decoding
  // gives. n_rows is a block of the store (a multiple of 32).
  virtual void round_trip(std::span<float> rows, const RowPlace& place) = 0;
};

struct KvCodecEntry {
  std::string_view name;         // as for --kv: "tq4", "q4_0_rot"
  std::string_view description;  // one line: where it is from, how it works
  Result<std::unique_ptr<KvCodec>> (*make)(const KvCodecOptions& options) = nullptr;
};

// Every format, in the order of the tables.
std::span<const KvCodecEntry> kv_codecs() noexcept;

// An unknown name, or a head_dim that the format cannot take, is an error that says so.
Result<std::unique_ptr<KvCodec>> make_kv_codec(std::string_view name,
                                               const KvCodecOptions& options);

}  // namespace tq::bench
