# Writes OUTPUT, a C++ file that names the commit, if it changed. Runs at every build: a benchmark
# that names
# the commit of the last configuration would lie.
set(commit "unknown")
if(GIT)
  execute_process(
    COMMAND ${GIT} describe --always --dirty --abbrev=12
    WORKING_DIRECTORY ${SOURCE_DIR}
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
  if(status EQUAL 0)
    set(commit "${described}")
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "bench/machine.h"

namespace tq::bench {
std::string_view commit() noexcept { return "@commit@"; }
}  // namespace tq::bench
]] @ONLY)
