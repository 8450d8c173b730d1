#pragma once
// Where and of what a benchmark's numbers are: every table starts with it. Any thread.

#include <string>
#include <string_view>

namespace tq::bench {

std::string_view commit() noexcept;  // git describe --always --dirty, as of the build
std::string machine();               // model of the CPU, threads, load average when asked
std::string_view compiler() noexcept;

// "machine …; commit …; …": one line for the head of a table.
std::string provenance();

}  // namespace tq::bench
