#pragma once
// Strict reading of a JSON object: each field is asked for by name, type and range, errors carry
// the field's path ("messages.2.content"), and what nobody asked for is found. Null is as good as
// absent. Plain values; any thread.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace tq::server {

using Json = nlohmann::ordered_json;

// Body -> JSON. Depth and members per object are bounded before anything is built: nlohmann copies
// and prints by recursion, and an ordered object finds a member by a linear search.
Result<Json> parse_json(std::string_view text);

inline constexpr int kJsonDepthMax = 64;
inline constexpr int kJsonMembersMax = 4096;

struct NumberRange {
  double min = 0.0;
  double max = 0.0;
  bool min_open = false;  // min itself is out of range
};

struct IntegerRange {
  int64_t min = 0;
  int64_t max = 0;
};

class Fields {
 public:
  // `object` outlives the reader. kInvalidArgument where it is no object.
  static Result<Fields> open(const Json& object, std::string path);

  std::string path(std::string_view key) const;
  Error wrong(std::string_view key, std::string message) const;  // kInvalidArgument at path(key)
  Error unsupported(std::string_view key, std::string message) const;  // kUnsupported at path(key)

  const Json* find(std::string_view key);  // nullptr where absent or null
  Result<std::optional<bool>> boolean(std::string_view key);
  Result<std::optional<int64_t>> integer(std::string_view key, IntegerRange range);
  Result<std::optional<double>> number(std::string_view key, NumberRange range);
  Result<std::optional<std::string>> text(std::string_view key, size_t bytes_max);

  void ignore(std::string_view key);  // known and harmless

  // Error at the first field that nobody asked for.
  Result<void> expect_no_more() const;

 private:
  Fields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {}

  const Json* object_;
  std::string path_;
  std::vector<std::string> seen_;
};

}  // namespace tq::server
