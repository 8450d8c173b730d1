#pragma once
// What every subcommand does with its samples and its figures. Any thread.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/result.h"

namespace tq::bench {

// Nearest rank: the smallest value that at least `share` of all values do not exceed; 0.5 is the
// median. values is not empty.
double quantile(std::vector<double> values, double share);

// Writes a text to the file that a flag names; no path: nothing to do.
Result<void> write_file(const std::string& path, const std::string& text, const char* flag);

// Adds machine, commit, compiler and seed to the document and writes it; no path: nothing to do.
Result<void> write_json(const std::string& path, nlohmann::json document, uint64_t seed);

// printf into a string: the cells of a table.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

// Prints the error as a subcommand does; the exit code of main().
int fail(const Error& error);

}  // namespace tq::bench
