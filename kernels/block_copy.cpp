#include "kernels/block_copy.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/batch_check.h"

namespace tq::kernels {
namespace {

Error bad(std::string field, std::string message) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(field)};
}

Result<void> check_side(const quant::BlockLayout& layout,
                        const KvArena* arena,
                        std::string_view field) {
  const Result<void> fits = check_arena(layout, arena);
  if (!fits.ok()) return bad(std::string(field), fits.error().message);
  return {};
}

struct Pools {  // blocks of the arenas
  int32_t from = 0;
  int32_t to = 0;
};

Result<void> check_pool(std::string_view field, std::span<const BlockCopy> copies, Pools pools) {
  std::vector<bool> written(static_cast<size_t>(pools.to), false);
  const auto is_in = [](BlockId block, int32_t n) { return raw(block) >= 0 && raw(block) < n; };
  const auto outside = [](const std::string& where, BlockId block, int32_t n) {
    return bad(where, "block " + std::to_string(raw(block)) + " is not in the pool of " +
                          std::to_string(n));
  };
  for (size_t i = 0; i < copies.size(); ++i) {
    const BlockCopy& copy = copies[i];
    const std::string where = std::string(field) + "[" + std::to_string(i) + "].";
    if (!is_in(copy.from, pools.from)) return outside(where + "from", copy.from, pools.from);
    if (!is_in(copy.to, pools.to)) return outside(where + "to", copy.to, pools.to);
    if (written[static_cast<size_t>(raw(copy.to))]) {
      return bad(where + "to", "block " + std::to_string(raw(copy.to)) + " is written twice");
    }
    written[static_cast<size_t>(raw(copy.to))] = true;
  }
  return {};
}

}  // namespace

Result<void> check_copy(const quant::BlockLayout& layout, const CopyCall& call) {
  TQ_TRY(check_side(layout, call.from, "from"));
  TQ_TRY(check_side(layout, call.to, "to"));
  if (call.from == call.to) return bad("to", "is the arena that is read");
  const PoolSizes from = call.from->sizes();
  const PoolSizes to = call.to->sizes();
  TQ_TRY(check_pool("hot", call.hot, {.from = from.hot_blocks, .to = to.hot_blocks}));
  return check_pool("sealed", call.sealed, {.from = from.sealed_blocks, .to = to.sealed_blocks});
}

}  // namespace tq::kernels
