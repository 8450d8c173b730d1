#pragma once
// TQ_CHECK(cond, "what is wrong", values...): a broken invariant. Stays on in release builds;
// prints the condition, the place and the values to stderr, then aborts. Never for a user's input.
// Any thread.

#include <sstream>
#include <string>

namespace tq::detail {

[[noreturn]] void check_failed(const char* condition,
                               const char* file,
                               int line,
                               const std::string& message) noexcept;

template <class... Values>
std::string check_message(const char* text, const Values&... values) {
  std::ostringstream out;
  out << text;
  ((out << ' ' << values), ...);
  return out.str();
}

}  // namespace tq::detail

#define TQ_CHECK(condition, ...)                                            \
  do {                                                                      \
    if (!(condition)) [[unlikely]]                                          \
      ::tq::detail::check_failed(#condition, __FILE__, __LINE__,            \
                                 ::tq::detail::check_message(__VA_ARGS__)); \
  } while (false)
