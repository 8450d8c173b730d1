#include "config/load_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace tq::load {
namespace {

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return out;
}

Error bad(std::string message) { return Error{Code::kInvalidArgument, std::move(message), ""}; }

std::string quoted(std::string_view text) {
  constexpr size_t kShown = 80;
  return "'" + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "...'" : "'");
}

struct Unit {
  std::string_view name;
  uint64_t bytes;
};
// Largest first, so that format_bytes() finds the shortest; binary before decimal.
constexpr std::array<Unit, 9> kUnits{{{"tib", 1ull << 40},
                                      {"gib", 1ull << 30},
                                      {"mib", 1ull << 20},
                                      {"kib", 1ull << 10},
                                      {"tb", 1'000'000'000'000ull},
                                      {"gb", 1'000'000'000ull},
                                      {"mb", 1'000'000ull},
                                      {"kb", 1'000ull},
                                      {"b", 1ull}}};

}  // namespace

Result<int64_t> parse_int(std::string_view text, IntRange range) {
  int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = !text.empty() && end == text.data() + text.size();
  if (ec == std::errc::invalid_argument || !whole) {
    return bad(quoted(text) + " is not a whole number");
  }
  if (ec == std::errc::result_out_of_range || value < range.min || value > range.max) {
    return bad(quoted(text) + " is out of range; it must be " + std::to_string(range.min) + " to " +
               std::to_string(range.max));
  }
  return value;
}

Result<uint64_t> parse_seed(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = hex ? text.substr(2) : text;
  uint64_t value = 0;
  const auto [end, ec] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
  if (ec != std::errc() || digits.empty() || end != digits.data() + digits.size()) {
    return bad(quoted(text) + " is not a seed; it must be a number below 2^64, decimal or 0x...");
  }
  return value;
}

Result<uint64_t> parse_bytes(std::string_view text) {
  const std::string lower = lowered(text);
  if (lower == "auto") return uint64_t{0};
  const auto wrong = [&] {
    return bad(quoted(text) + " is not a size; write it as 2GiB, 512MiB, 1.5GB or auto");
  };
  double number = 0.0;
  const auto [end, ec] =
      std::from_chars(lower.data(), lower.data() + lower.size(), number, std::chars_format::fixed);
  if (ec != std::errc() || !std::isfinite(number) || number < 0.0) return wrong();
  std::string_view unit(end, static_cast<size_t>(lower.data() + lower.size() - end));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  uint64_t scale = unit.empty() ? 1 : 0;
  for (const Unit& known : kUnits) {
    if (unit == known.name) scale = known.bytes;
  }
  if (scale == 0) return wrong();
  const double bytes = number * static_cast<double>(scale);
  constexpr double kBytesMax = 9.0e18;  // below 2^63, so that sums of sizes stay in range
  if (bytes > kBytesMax) return bad(quoted(text) + " is out of range");
  return static_cast<uint64_t>(bytes);
}

std::string format_bytes(uint64_t bytes) {
  if (bytes == 0) return "auto";
  constexpr std::array<const char*, 4> kNames{"TiB", "GiB", "MiB", "KiB"};
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (bytes % kUnits[i].bytes == 0) return std::to_string(bytes / kUnits[i].bytes) + kNames[i];
  }
  return std::to_string(bytes);
}

Result<double> parse_fraction(std::string_view text) {
  double number = 0.0;
  const auto [end, ec] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (ec != std::errc() || end != text.data() + text.size() || !(number > 0.0 && number <= 1.0)) {
    return bad(quoted(text) + " is not a share; it must be a number above 0, at most 1");
  }
  return number;
}

std::string format_fraction(double fraction) {
  std::array<char, 400> text{};  // the least double has 324 zeros
  const auto [end, ec] =
      std::to_chars(text.data(), text.data() + text.size(), fraction, std::chars_format::fixed);
  return ec == std::errc() ? std::string(text.data(), end) : std::string();
}

Result<bool> parse_switch(std::string_view text) {
  const std::string lower = lowered(text);
  for (const char* yes : {"on", "true", "yes", "1"}) {
    if (lower == yes) return true;
  }
  for (const char* no : {"off", "false", "no", "0"}) {
    if (lower == no) return false;
  }
  return bad(quoted(text) + " is neither on nor off");
}

}  // namespace tq::load
