#include "models/weights/gguf.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "config/limits.h"
#include "models/weights/block_types.h"

namespace tq::models {
namespace {

constexpr uint32_t kMagic = 0x46554747;   // "GGUF"
constexpr uint64_t kKeyBytesMax = 65535;  // GGUF's own limit
constexpr uint64_t kTensorNameBytesMax = 255;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kAlignmentMax = 1 << 20;
// The least that one entry takes in the file; bounds the counts before anything is stored.
constexpr uint64_t kKeyValueBytesMin = 8 + 1 + 4 + 1;
constexpr uint64_t kTensorInfoBytesMin = 8 + 1 + 4 + 8 + 4 + 8;

// Bytes of a fixed-size element; 0 for strings, arrays and unknown types.
uint64_t element_bytes(GgufType type) noexcept {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool: return 1;
    case GgufType::kU16:
    case GgufType::kI16: return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32: return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64: return 8;
    case GgufType::kString:
    case GgufType::kArray: return 0;
  }
  return 0;
}

// ggml's type numbers. nullopt: not decoded here.
std::optional<WeightType> weight_type(uint32_t ggml_type) noexcept {
  switch (ggml_type) {
    case 0: return WeightType::kF32;
    case 1: return WeightType::kF16;
    case 2: return WeightType::kQ4_0;
    case 3: return WeightType::kQ4_1;
    case 6: return WeightType::kQ5_0;
    case 7: return WeightType::kQ5_1;
    case 8: return WeightType::kQ8_0;
    case 12: return WeightType::kQ4_K;
    case 13: return WeightType::kQ5_K;
    case 14: return WeightType::kQ6_K;
    case 30: return WeightType::kBF16;
    default: return std::nullopt;
  }
}

// Reads forward through the file; every read is checked against what is left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> file, const std::string& path) : file_(file), path_(path) {}

  uint64_t at() const noexcept { return at_; }
  uint64_t left() const noexcept { return file_.size() - at_; }
  std::span<const std::byte> between(uint64_t begin, uint64_t end) const {
    return file_.subspan(begin, end - begin);
  }

  Error corrupt(const std::string& message) const { return corrupt_at(at_, message); }
  Error corrupt_at(uint64_t offset, const std::string& message) const {
    return Error{Code::kCorrupt, message + " at byte " + std::to_string(offset), path_};
  }

  template <class T>
  Result<T> read(const std::string& what) {
    if (left() < sizeof(T)) return corrupt("the file ends inside " + what);
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  Result<void> skip(uint64_t n_bytes, const std::string& what) {
    if (n_bytes > left()) {
      return corrupt(what + " claims " + std::to_string(n_bytes) + " bytes, " +
                     std::to_string(left()) + " are left");
    }
    at_ += n_bytes;
    return {};
  }

  Result<std::string_view> read_string(const std::string& what, uint64_t n_bytes_max) {
    TQ_ASSIGN(const uint64_t length, read<uint64_t>(what));
    if (length > n_bytes_max) {
      return corrupt(what + " is " + std::to_string(length) + " bytes long, the limit is " +
                     std::to_string(n_bytes_max));
    }
    const char* begin = reinterpret_cast<const char*>(file_.data() + at_);
    TQ_TRY(skip(length, what));
    return std::string_view(begin, length);
  }

 private:
  std::span<const std::byte> file_;
  const std::string& path_;
  uint64_t at_ = 0;
};

Result<GgufType> read_type(Cursor& in, const std::string& what) {
  TQ_ASSIGN(const uint32_t raw_type, in.read<uint32_t>(what));
  if (raw_type > static_cast<uint32_t>(GgufType::kF64)) {
    return in.corrupt(what + " has the unknown value type " + std::to_string(raw_type));
  }
  return static_cast<GgufType>(raw_type);
}

Result<void> check_bools(const Cursor& in, const GgufValue& value, const std::string& what) {
  if (value.element != GgufType::kBool) return {};
  for (const std::byte flag : value.payload) {
    if (std::to_integer<int>(flag) > 1) {
      return in.corrupt_at(value.offset, what + " holds a bool that is neither 0 nor 1");
    }
  }
  return {};
}

Result<GgufValue> read_value(Cursor& in, const std::string& what) {
  GgufValue value;
  TQ_ASSIGN(value.element, read_type(in, what));
  if (value.element == GgufType::kArray) {
    value.is_array = true;
    TQ_ASSIGN(value.element, read_type(in, what));
    if (value.element == GgufType::kArray) return in.corrupt(what + " is an array of arrays");
    TQ_ASSIGN(value.count, in.read<uint64_t>(what));
  }
  value.offset = in.at();
  const uint64_t size = element_bytes(value.element);
  const uint64_t size_min = size == 0 ? sizeof(uint64_t) : size;  // a string is at least its length
  if (value.count > in.left() / size_min) {
    return in.corrupt(what + " claims " + std::to_string(value.count) + " elements of type " +
                      std::string(to_string(value.element)) + ", " + std::to_string(in.left()) +
                      " bytes are left");
  }
  if (size != 0) {
    TQ_TRY(in.skip(value.count * size, what));
  } else {
    for (uint64_t i = 0; i < value.count; ++i) {
      TQ_TRY(in.read_string(what, limits::kModelHeaderBytesMax));
    }
  }
  value.payload = in.between(value.offset, in.at());
  TQ_TRY(check_bools(in, value, what));
  return value;
}

Result<std::map<std::string_view, GgufValue>> read_metadata(Cursor& in, uint64_t count) {
  std::map<std::string_view, GgufValue> metadata;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string place = "metadata key " + std::to_string(i);
    TQ_ASSIGN(const std::string_view key, in.read_string(place, kKeyBytesMax));
    if (key.empty()) return in.corrupt(place + " is empty");
    TQ_ASSIGN(const GgufValue value, read_value(in, "metadata key " + shown(key)));
    if (!metadata.emplace(key, value).second) {
      return in.corrupt("metadata key " + shown(key) + " appears twice, again");
    }
    if (in.at() > limits::kModelHeaderBytesMax) {
      return in.corrupt("the metadata is longer than the limit of " +
                        std::to_string(limits::kModelHeaderBytesMax) + " bytes");
    }
  }
  return metadata;
}

// Offsets are still relative to the data section.
Result<GgufTensor> read_tensor_info(Cursor& in, uint64_t index) {
  GgufTensor tensor;
  const std::string place = "tensor " + std::to_string(index);
  TQ_ASSIGN(tensor.name, in.read_string("the name of " + place, kTensorNameBytesMax));
  if (tensor.name.empty()) return in.corrupt("the name of " + place + " is empty");
  const std::string what = "tensor " + shown(tensor.name);
  TQ_ASSIGN(const uint32_t rank, in.read<uint32_t>(what));
  if (rank < 1 || rank > static_cast<uint32_t>(limits::kTensorRankMax)) {
    return in.corrupt(what + " has " + std::to_string(rank) + " dimensions, allowed are 1 to " +
                      std::to_string(limits::kTensorRankMax));
  }
  for (uint32_t i = 0; i < rank; ++i) {
    TQ_ASSIGN(const uint64_t size, in.read<uint64_t>(what));
    if (size < 1 || size > static_cast<uint64_t>(INT64_MAX)) {
      return in.corrupt(what + " has a dimension of " + std::to_string(size));
    }
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
  }
  TQ_ASSIGN(const uint32_t ggml_type, in.read<uint32_t>(what));
  const std::optional<WeightType> type = weight_type(ggml_type);
  if (!type) {
    return Error{Code::kUnsupported,
                 what + " has ggml type " + std::to_string(ggml_type) +
                     "; read are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K",
                 std::string()};
  }
  tensor.type = *type;
  TQ_ASSIGN(tensor.offset, in.read<uint64_t>(what));
  return tensor;
}

// Turns a relative offset into the tensor's bytes.
Result<void> place_tensor(const Cursor& in,
                          std::span<const std::byte> file,
                          uint64_t data_begin,
                          uint64_t alignment,
                          GgufTensor& tensor) {
  const std::string what = "tensor " + shown(tensor.name);
  const std::optional<int64_t> size = tensor_bytes(tensor.type, tensor.shape);
  if (!size) {
    return in.corrupt(what + " has a shape that overflows or does not fill whole blocks of " +
                      std::string(to_string(tensor.type)) + "; directory ends");
  }
  if (tensor.offset % alignment != 0) {
    return in.corrupt(what + " has the offset " + std::to_string(tensor.offset) +
                      ", not a multiple of the alignment " + std::to_string(alignment) +
                      "; data starts");
  }
  const uint64_t room = file.size() - data_begin;
  if (tensor.offset > room || static_cast<uint64_t>(*size) > room - tensor.offset) {
    return in.corrupt_at(data_begin, what + " takes " + std::to_string(*size) + " bytes from " +
                                         std::to_string(tensor.offset) + ", the file has " +
                                         std::to_string(room) + " bytes of data, which starts");
  }
  tensor.offset += data_begin;
  tensor.bytes = file.subspan(tensor.offset, static_cast<size_t>(*size));
  return {};
}

Result<void> check_directory(const Cursor& in, const std::vector<GgufTensor>& tensors) {
  std::set<std::string_view> names;
  std::vector<const GgufTensor*> by_offset;
  for (const GgufTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return in.corrupt_at(tensor.offset,
                           "tensor " + shown(tensor.name) + " appears twice, again with data");
    }
    by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor& before = *by_offset[i - 1];
    if (before.offset + before.bytes.size() > by_offset[i]->offset) {
      return in.corrupt_at(by_offset[i]->offset, "tensors " + shown(before.name) + " and " +
                                                     shown(by_offset[i]->name) + " overlap");
    }
  }
  return {};
}

struct Header {
  uint32_t version;
  uint64_t n_tensors;
  uint64_t n_keys;
};

Result<Header> read_header(Cursor& in, const std::string& path) {
  TQ_ASSIGN(const uint32_t magic, in.read<uint32_t>("the GGUF magic"));
  if (magic != kMagic) return Error{Code::kCorrupt, "no GGUF file (wrong magic at byte 0)", path};
  Header header{};
  TQ_ASSIGN(header.version, in.read<uint32_t>("the version"));
  if (header.version != 2 && header.version != 3) {
    const bool swapped = header.version != 0 && (header.version & 0xffffu) == 0;
    return Error{Code::kUnsupported,
                 swapped ? "big-endian GGUF files are not read"
                         : "GGUF version " + std::to_string(header.version) + "; read are 2 and 3",
                 path};
  }
  TQ_ASSIGN(header.n_tensors, in.read<uint64_t>("the tensor count"));
  TQ_ASSIGN(header.n_keys, in.read<uint64_t>("the metadata count"));
  if (header.n_keys > in.left() / kKeyValueBytesMin) {
    return in.corrupt("the file is too short for its " + std::to_string(header.n_keys) +
                      " metadata keys");
  }
  if (header.n_tensors > in.left() / kTensorInfoBytesMin) {
    return in.corrupt("the file is too short for its " + std::to_string(header.n_tensors) +
                      " tensors");
  }
  return header;
}

}  // namespace

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string path) {
  GgufFile file;
  file.path_ = std::move(path);
  Cursor in(bytes, file.path_);
  TQ_ASSIGN(const Header header, read_header(in, file.path_));
  file.version_ = header.version;
  TQ_ASSIGN(file.metadata_, read_metadata(in, header.n_keys));
  TQ_ASSIGN(const int64_t alignment,
            file.get_int_or("general.alignment", static_cast<int64_t>(kDefaultAlignment)));
  if (alignment < 1 || alignment > static_cast<int64_t>(kAlignmentMax) ||
      (alignment & (alignment - 1)) != 0) {
    return in.corrupt("metadata key \"general.alignment\" is " + std::to_string(alignment) +
                      ", no power of two up to 2^20; metadata ends");
  }
  for (uint64_t i = 0; i < header.n_tensors; ++i) {
    auto tensor = read_tensor_info(in, i);
    if (!tensor) {
      Error error = std::move(tensor).error();
      error.where = file.path_;
      return error;
    }
    file.tensors_.push_back(std::move(tensor).value());
  }
  const uint64_t mask = static_cast<uint64_t>(alignment) - 1;
  const uint64_t data_begin = (in.at() + mask) & ~mask;
  if (!file.tensors_.empty() && data_begin > bytes.size()) {
    return in.corrupt("the file ends before its tensor data; directory ends");
  }
  for (GgufTensor& tensor : file.tensors_) {
    TQ_TRY(place_tensor(in, bytes, data_begin, mask + 1, tensor));
  }
  TQ_TRY(check_directory(in, file.tensors_));
  return file;
}

}  // namespace tq::models
