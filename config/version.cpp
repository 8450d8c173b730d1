#include "config/version.h"

namespace tq {

std::string_view version() noexcept { return TQ_VERSION; }

}  // namespace tq
