#pragma once
// Writes GGUF bytes field by field, so that tests can lie in any of them. Test code only.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "models/weights/gguf.h"

namespace tq::models::testing {

class GgufBuilder {
 public:
  template <class T>
  GgufBuilder& put(T value) {
    const auto* begin = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof(T));
    return *this;
  }

  GgufBuilder& header(uint64_t n_tensors, uint64_t n_keys, uint32_t version = 3) {
    return put<uint32_t>(0x46554747).put(version).put(n_tensors).put(n_keys);
  }

  GgufBuilder& text(std::string_view value) {
    put<uint64_t>(value.size());
    const auto* begin = reinterpret_cast<const std::byte*>(value.data());
    bytes_.insert(bytes_.end(), begin, begin + value.size());
    return *this;
  }

  GgufBuilder& key(std::string_view name, GgufType type) {
    return text(name).put<uint32_t>(static_cast<uint32_t>(type));
  }
  GgufBuilder& key_u32(std::string_view name, uint32_t value) {
    return key(name, GgufType::kU32).put(value);
  }
  GgufBuilder& key_array(std::string_view name, GgufType element, uint64_t count) {
    return key(name, GgufType::kArray).put<uint32_t>(static_cast<uint32_t>(element)).put(count);
  }

  // dims in the file's order, innermost first.
  GgufBuilder& tensor(std::string_view name,
                      std::initializer_list<uint64_t> dims,
                      uint32_t ggml_type,
                      uint64_t offset) {
    text(name).put<uint32_t>(static_cast<uint32_t>(dims.size()));
    for (const uint64_t size : dims) put(size);
    return put(ggml_type).put(offset);
  }

  // Zeros up to the alignment, then n_bytes of data.
  GgufBuilder& data(size_t n_bytes, size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment + n_bytes);
    return *this;
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }
  Result<GgufFile> parse() const { return GgufFile::parse(bytes_, "made.gguf"); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace tq::models::testing
