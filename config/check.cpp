#include "config/check.h"

#include <cstdio>
#include <cstdlib>

namespace tq::detail {

void check_failed(const char* condition,
                  const char* file,
                  int line,
                  const std::string& message) noexcept {
  std::fprintf(stderr, "check failed: %s\n  at %s:%d\n  %s\n", condition, file, line,
               message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace tq::detail
