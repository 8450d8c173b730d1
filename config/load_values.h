#pragma once
// Text -> value, for settings: the same rules for flags, environment and file. Pure; any thread.
// Errors carry no `where`: the caller knows which source gave the text.

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"

namespace tq::load {

struct IntRange {
  int64_t min = 0;
  int64_t max = 0;
};

// Decimal digits with an optional sign, nothing else; out of `range` is an error that names it.
Result<int64_t> parse_int(std::string_view text, IntRange range);

// Decimal or 0x-prefixed, the whole of uint64_t.
Result<uint64_t> parse_seed(std::string_view text);

// "auto" gives 0; else a number with an optional fraction and one of B, KiB, MiB, GiB, TiB, KB, MB,
// GB, TB (case does not matter; no unit: bytes).
Result<uint64_t> parse_bytes(std::string_view text);
std::string format_bytes(
    uint64_t bytes);  // the shortest text that parse_bytes() reads back exactly

// A decimal fraction above 0, at most 1.
Result<double> parse_fraction(std::string_view text);
std::string format_fraction(double fraction);  // the shortest text that reads back exactly

// on, true, yes, 1 / off, false, no, 0.
Result<bool> parse_switch(std::string_view text);

}  // namespace tq::load
