#pragma once
// What every subcommand that runs a model asks about it. Main thread only.

#include <CLI/CLI.hpp>

#include "bench/quality/subject.h"

namespace tq::bench {

// --model, --threads and --backend. The defaults: the model that the set-up brings, all cores.
void add_subject_flags(CLI::App& app, SubjectOptions& options);

}  // namespace tq::bench
