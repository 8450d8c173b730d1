#include "bench/quality/subject_flags.h"

#include <algorithm>
#include <thread>

namespace tq::bench {

void add_subject_flags(CLI::App& app, SubjectOptions& options) {
  options.model_path = ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  options.n_threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  app.add_option("--model", options.model_path, "GGUF file or Hugging Face folder")
      ->capture_default_str();
  app.add_option("--threads", options.n_threads, "of the model")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--backend", options.backend, "auto, scalar, avx2, avx512, neon")
      ->capture_default_str();
}

}  // namespace tq::bench
