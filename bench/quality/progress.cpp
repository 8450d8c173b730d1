#include "bench/quality/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace tq::bench {

Progress::Progress(int64_t n_total)
    : n_total_(std::max<int64_t>(n_total, 1)), is_shown_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (is_shown_) std::fputs("\r\033[K", stderr);
}

void Progress::add(int64_t n, const std::string& label) {
  constexpr int kWidth = 40;
  n_done_ = std::min(n_done_ + n, n_total_);
  if (!is_shown_) return;
  const auto filled = static_cast<int>(kWidth * n_done_ / n_total_);
  const std::string bar = std::string(static_cast<size_t>(filled), '#') +
                          std::string(static_cast<size_t>(kWidth - filled), '.');
  std::fprintf(stderr, "\r\033[K[%s] %3d %%  %s", bar.c_str(),
               static_cast<int>(100 * n_done_ / n_total_), label.c_str());
  std::fflush(stderr);
}

}  // namespace tq::bench
