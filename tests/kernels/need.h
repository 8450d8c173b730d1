#pragma once
// need(): the value of a Result, or an exception with its error. For tests; any thread.

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "config/result.h"

namespace tq::kernels::test {

template <class T>
T need(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().describe());
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

}  // namespace tq::kernels::test
