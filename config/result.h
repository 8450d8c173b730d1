#pragma once
// Result<T>: a value, or an Error that says what failed, why, and which field or file it concerns.
// For expected failures only; a broken invariant is a TQ_CHECK (config/check.h). Any thread.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "config/check.h"

namespace tq {

// What kind of failure; the server maps each to one HTTP status (server/openai_api.h).
enum class Code {
  kInvalidArgument,  // 400: the caller's value is wrong
  kContextLength,    // 400, code "context_length_exceeded"
  kUnauthorized,     // 401
  kForbidden,        // 403
  kNotFound,         // 404
  kTooLarge,         // 413
  kOverloaded,       // 429: a bounded queue or pool is full; try again
  kCancelled,        // 499: the client went away, or asked for it
  kInternal,         // 500
  kUnsupported,      // 501: known, but not built here
  kUnavailable,      // 503: starting, draining, or unhealthy
  kDeadline,         // 408: a time limit passed
  kCorrupt,          // a file does not hold what its format promises
  kIo,               // the operating system refused
};

std::string_view to_string(Code code) noexcept;

struct Error {
  Code code = Code::kInternal;
  std::string message;  // one sentence for a person: the value, the limit, what to do
  std::string where;    // path of the field ("messages.2.content", "--kv") or file; may be empty

  // "where: message (code)", for logs and start-up errors.
  std::string describe() const;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T held) : state_(std::in_place_index<0>, std::move(held)) {}          // NOLINT: implicit
  Result(Error failed) : state_(std::in_place_index<1>, std::move(failed)) {}  // NOLINT: implicit

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  T& value() & {
    TQ_CHECK(ok(), "value() of a failed Result", error_text());
    return std::get<0>(state_);
  }
  const T& value() const& {
    TQ_CHECK(ok(), "value() of a failed Result", error_text());
    return std::get<0>(state_);
  }
  T&& value() && {
    TQ_CHECK(ok(), "value() of a failed Result", error_text());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    TQ_CHECK(!ok(), "error() of a successful Result");
    return std::get<1>(state_);
  }
  Error&& error() && {
    TQ_CHECK(!ok(), "error() of a successful Result");
    return std::get<1>(std::move(state_));
  }

 private:
  std::string error_text() const { return ok() ? std::string() : std::get<1>(state_).describe(); }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error failed) : error_(std::move(failed)) {}  // NOLINT: implicit

  bool ok() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return ok(); }
  const Error& error() const& {
    TQ_CHECK(!ok(), "error() of a successful Result");
    return *error_;
  }
  Error&& error() && {
    TQ_CHECK(!ok(), "error() of a successful Result");
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace tq

// Returns the error of `expr` from the enclosing function, which itself returns a Result.
#define TQ_TRY(expr)                                                                               \
  do {                                                                                             \
    if (auto tq_try_result = (expr); !tq_try_result.ok()) return std::move(tq_try_result).error(); \
  } while (false)

// TQ_ASSIGN(auto x, f()): declares x with the value of f(), or returns its error.
#define TQ_ASSIGN_CAT2(a, b) a##b
#define TQ_ASSIGN_CAT(a, b) TQ_ASSIGN_CAT2(a, b)
#define TQ_ASSIGN(declaration, expr) \
  TQ_ASSIGN_IMPL(declaration, expr, TQ_ASSIGN_CAT(tq_assign_result_, __LINE__))
#define TQ_ASSIGN_IMPL(declaration, expr, name)   \
  auto name = (expr);                             \
  if (!name.ok()) return std::move(name).error(); \
  declaration = std::move(name).value()
