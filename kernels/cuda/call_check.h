#pragma once
// Checks of what a call names, as errors that name the field. Any thread.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "config/result.h"

namespace tq::kernels::cuda {

inline Error bad(std::string_view field, std::string message) {
  return Error{Code::kInvalidArgument, std::move(message), std::string(field)};
}

struct Pointer {
  std::string_view field;
  const void* at;
  uintptr_t alignment;  // bytes
};

inline Result<void> check_aligned(std::initializer_list<Pointer> pointers) {
  for (const Pointer& pointer : pointers) {
    if (reinterpret_cast<uintptr_t>(pointer.at) % pointer.alignment != 0) {
      return bad(pointer.field,
                 "is not aligned to " + std::to_string(pointer.alignment) + " bytes");
    }
  }
  return {};
}

inline Result<void> check_pointers(std::initializer_list<Pointer> pointers) {
  for (const Pointer& pointer : pointers) {
    if (pointer.at == nullptr) return bad(pointer.field, "is null");
  }
  return check_aligned(pointers);
}

inline Result<void> check_in(std::string_view field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return bad(field, std::to_string(value) + " is not from " + std::to_string(least) + " to " +
                        std::to_string(most));
}

}  // namespace tq::kernels::cuda
