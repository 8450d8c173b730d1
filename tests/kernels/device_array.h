#pragma once
// Values in the memory of a device, for tests, between guards that no kernel may write:
// DeviceArray, and DeviceElements for rows of an ElementType. Throws where the device fails. One
// thread.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/device_layers.h"
#include "quant/float16.h"
#include "tests/kernels/need.h"

namespace tq::kernels::test {

inline constexpr ElementType kTypes[] = {ElementType::kF32, ElementType::kF16, ElementType::kBf16};
inline constexpr float kPoison = 12345.0f;

inline std::string name_of(ElementType type) {
  return type == ElementType::kF32 ? "fp32" : type == ElementType::kF16 ? "fp16" : "bf16";
}

inline std::vector<float> random_values(int64_t n, float scale, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(rng);
  return values;
}

inline std::vector<float> poison(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), kPoison);
}

class DeviceBytes {
 public:
  // Starts as a copy of `bytes`.
  explicit DeviceBytes(std::span<const std::byte> bytes) : n_(bytes.size()) {
    region_ = need(cuda::allocate_device("a test", n_ + 2 * kGuard));
    std::vector<std::byte> whole(n_ + 2 * kGuard, kGuardByte);
    std::copy(bytes.begin(), bytes.end(), whole.begin() + kGuard);
    need(cuda::copy(region_.get(), whole.data(), whole.size(), nullptr));
    need(cuda::wait(nullptr));
  }

  std::byte* data() const { return region_.get() + kGuard; }

  std::vector<std::byte> read() const {
    std::vector<std::byte> whole(n_ + 2 * kGuard);
    need(cuda::copy(whole.data(), region_.get(), whole.size(), nullptr));
    need(cuda::wait(nullptr));
    for (size_t i = 0; i < kGuard; ++i) {
      if (whole[i] != kGuardByte || whole[kGuard + n_ + i] != kGuardByte) {
        throw std::runtime_error("a kernel wrote beside its output");
      }
    }
    return {whole.begin() + kGuard, whole.end() - kGuard};
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr std::byte kGuardByte{0xa5};
  size_t n_;
  KvArena::Region region_{nullptr, nullptr};
};

template <class T>
class DeviceArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  explicit DeviceArray(const std::vector<T>& values) : bytes_(std::as_bytes(std::span(values))) {}

  T* data() const { return reinterpret_cast<T*>(bytes_.data()); }
  std::vector<T> read() const {
    const std::vector<std::byte> bytes = bytes_.read();
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

 private:
  DeviceBytes bytes_;
};

inline std::vector<std::byte> to_elements(ElementType type, const std::vector<float>& values) {
  const auto n = static_cast<size_t>(element_bytes(type));
  std::vector<std::byte> bytes(values.size() * n);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = type == ElementType::kF16 ? quant::float_to_fp16(values[i])
                                                    : quant::float_to_bf16(values[i]);
    const void* const from = type == ElementType::kF32 ? static_cast<const void*>(&values[i])
                                                       : static_cast<const void*>(&half);
    std::memcpy(bytes.data() + i * n, from, n);
  }
  return bytes;
}

inline std::vector<float> to_floats(ElementType type, const std::vector<std::byte>& bytes) {
  const auto n = static_cast<size_t>(element_bytes(type));
  std::vector<float> values(bytes.size() / n);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half = 0;
    if (type == ElementType::kF32) {
      std::memcpy(&values[i], bytes.data() + i * n, n);
      continue;
    }
    std::memcpy(&half, bytes.data() + i * n, n);
    values[i] = type == ElementType::kF16 ? quant::fp16_to_float(half) : quant::bf16_to_float(half);
  }
  return values;
}

inline std::vector<float> rounded(ElementType type, const std::vector<float>& values) {
  return to_floats(type, to_elements(type, values));
}

class DeviceElements {
 public:
  DeviceElements(ElementType type, const std::vector<float>& values)
      : type_(type), bytes_(to_elements(type, values)) {}

  std::byte* data() const { return bytes_.data(); }
  std::vector<float> read() const { return to_floats(type_, bytes_.read()); }

 private:
  ElementType type_;
  DeviceBytes bytes_;
};

}  // namespace tq::kernels::test
