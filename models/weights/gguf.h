#pragma once
// GgufFile: the metadata and tensor directory of a GGUF file (v2 and v3, little-endian), checked in
// full and kept as views into the caller's bytes: nothing is copied, so no count in the file can
// make it allocate more than a small multiple of the file's own size. Immutable after parse(); any
// thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "models/weights/weight_source.h"

namespace tq::models {

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

std::string_view to_string(GgufType type) noexcept;

// One metadata value as it lies in the file. An array has `count` elements of type `element`; a
// scalar is an array of one. Strings in `payload` are a u64 length and the bytes; every length was
// checked.
struct GgufValue {
  GgufType element = GgufType::kU8;
  bool is_array = false;
  uint64_t count = 1;
  std::span<const std::byte> payload;
  uint64_t offset = 0;  // of the payload in the file, for messages
};

struct GgufTensor {
  std::string_view name;       // ggml's
  std::vector<int64_t> shape;  // outermost first, the reverse of the file's order
  WeightType type = WeightType::kF32;
  uint64_t offset = 0;  // in the file
  std::span<const std::byte> bytes;
};

class GgufFile {
 public:
  // `file` must outlive the result. path: for messages only.
  static Result<GgufFile> parse(std::span<const std::byte> file, std::string path);

  const std::string& path() const noexcept { return path_; }
  uint32_t version() const noexcept { return version_; }
  const std::vector<GgufTensor>& tensors() const noexcept { return tensors_; }
  const std::map<std::string_view, GgufValue>& metadata() const noexcept { return metadata_; }

  bool has(std::string_view key) const { return metadata_.count(key) != 0; }

  // Typed access. A missing key is kNotFound; another type, or a value out of range, is kCorrupt;
  // both name the key. Integers of every width are accepted, floats from F32, F64 and integers.
  Result<int64_t> get_int(std::string_view key) const;
  Result<double> get_float(std::string_view key) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::vector<std::string_view>> get_strings(std::string_view key) const;
  Result<std::vector<int32_t>> get_ints(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;

  // The same with a value for a missing key; a key of the wrong type is still an error.
  Result<int64_t> get_int_or(std::string_view key, int64_t missing) const;
  Result<double> get_float_or(std::string_view key, double missing) const;
  Result<bool> get_bool_or(std::string_view key, bool missing) const;

 private:
  GgufFile() = default;
  Result<const GgufValue*> look_up(std::string_view key, bool array) const;
  Error wrong(std::string_view key, const GgufValue& value, std::string_view expected) const;

  std::string path_;
  uint32_t version_ = 0;
  std::map<std::string_view, GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
};

// A name from a file made fit for a message: quoted, at most 80 bytes, control and non-ASCII bytes
// escaped.
std::string shown(std::string_view name);

}  // namespace tq::models
