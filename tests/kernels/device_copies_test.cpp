// Blocks on their way between a device's arena and one in ordinary memory: every byte of them
// arrives, no other is touched, and attention cannot tell.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_backend.h"
#include "tests/kernels/need.h"
#include "tests/kernels/regions.h"

namespace tq::kernels {
namespace {

using test::for_parts;
using test::kRegions;
using test::n_blocks;
using test::need;
using test::part_bytes;
using test::part_of;
using test::Region;

constexpr uint64_t kSeed = 20261128;
constexpr KvFormat kFormats[] = {KvFormat::kBf16, KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3,
                                 KvFormat::kTq2};
constexpr std::byte kPoison{0xa5};

AttentionOptions make_options(KvFormats formats, quant::KvShape shape) {
  AttentionOptions options;
  options.shape = shape;
  options.kv.formats = formats;
  options.n_heads = 2 * shape.n_kv_heads;
  return options;
}

std::unique_ptr<DeviceAttention> make_device(KvFormats formats, quant::KvShape shape) {
  return need(cuda::make_device_attention(make_options(formats, shape), nullptr));
}

// A block's bytes in one region, part after part.
size_t block_bytes(const quant::BlockLayout& layout, Region region) {
  const size_t n_parts = layout.hot_block_bytes() / layout.hot_part_bytes();
  return n_parts * part_bytes(layout, region);
}

std::vector<std::byte> read(DeviceAttention& device,
                            const KvArena& arena,
                            Region region,
                            int block) {
  std::vector<std::byte> bytes(block_bytes(arena.layout(), region));
  size_t at = 0;
  for_parts(arena, BlockId{block}, [&](const TilePlace& place) {
    const auto part = part_of(arena, region, place);
    REQUIRE(device.read(std::span(bytes).subspan(at, part.size()), part.data()).ok());
    at += part.size();
  });
  return bytes;
}
void write(DeviceAttention& device,
           const KvArena& arena,
           Region region,
           int block,
           std::span<const std::byte> bytes) {
  size_t at = 0;
  for_parts(arena, BlockId{block}, [&](const TilePlace& place) {
    const auto part = part_of(arena, region, place);
    REQUIRE(device.write(part.data(), bytes.subspan(at, part.size())).ok());
    at += part.size();
  });
}

void poison(DeviceAttention& device, const KvArena& arena) {
  for (const Region region : kRegions) {
    const std::vector<std::byte> bytes(block_bytes(arena.layout(), region), kPoison);
    for (int b = 0; b < n_blocks(arena, region); ++b) write(device, arena, region, b, bytes);
  }
}

// `n` copies between random blocks of pools of these sizes.
std::vector<BlockCopy> random_copies(int n, int n_from, int n_to, std::mt19937& rng) {
  std::vector<int> from(static_cast<size_t>(n_from)), to(static_cast<size_t>(n_to));
  std::iota(from.begin(), from.end(), 0);
  std::iota(to.begin(), to.end(), 0);
  std::shuffle(from.begin(), from.end(), rng);
  std::shuffle(to.begin(), to.end(), rng);
  std::vector<BlockCopy> copies;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    copies.push_back({.from = BlockId{from[i]}, .to = BlockId{to[i]}});
  }
  return copies;
}

// Fills the device's arena, copies some blocks of each pool out and in again to other places, and
// looks at every byte of both arenas.
void check_round_trip(DeviceAttention& device, PoolSizes here, PoolSizes there, PoolSizes moved) {
  std::mt19937 rng(kSeed);
  const KvArena arena = need(device.allocate(here));
  const KvArena host = need(device.allocate_host(there));
  std::vector<std::vector<std::vector<std::byte>>> filled;  // by region and block
  for (const Region region : kRegions) {
    auto& blocks = filled.emplace_back();
    for (int b = 0; b < n_blocks(arena, region); ++b) {
      auto& bytes = blocks.emplace_back(block_bytes(device.layout(), region));
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
      write(device, arena, region, b, bytes);
    }
  }
  poison(device, host);
  const auto hot_out = random_copies(moved.hot_blocks, here.hot_blocks, there.hot_blocks, rng);
  const auto sealed_out =
      random_copies(moved.sealed_blocks, here.sealed_blocks, there.sealed_blocks, rng);
  REQUIRE(
      device.copy_blocks({.from = &arena, .to = &host, .hot = hot_out, .sealed = sealed_out}).ok());
  for (const Region region : kRegions) {
    for (int b = 0; b < n_blocks(arena, region); ++b) {
      CHECK(read(device, arena, region, b) == filled[static_cast<size_t>(region)][size_t(b)]);
    }
  }
  poison(device, arena);

  const auto back = [&](const std::vector<BlockCopy>& out, int n) {
    std::vector<BlockCopy> in = random_copies(static_cast<int>(out.size()), n, n, rng);
    for (size_t i = 0; i < in.size(); ++i) in[i].from = out[i].to;
    return in;
  };
  const auto hot_in = back(hot_out, here.hot_blocks);
  const auto sealed_in = back(sealed_out, here.sealed_blocks);
  REQUIRE(
      device.copy_blocks({.from = &host, .to = &arena, .hot = hot_in, .sealed = sealed_in}).ok());
  for (const Region region : kRegions) {
    const auto& out = region == Region::kHot ? hot_out : sealed_out;
    const auto& in = region == Region::kHot ? hot_in : sealed_in;
    const auto& original = filled[static_cast<size_t>(region)];
    const std::vector<std::byte> untouched(block_bytes(device.layout(), region), kPoison);
    const auto expect = [&](const KvArena& one, int b, BlockId BlockCopy::*place,
                            const std::vector<BlockCopy>& copies) {
      const auto found = std::ranges::find(copies, BlockId{b}, place);
      const bool came = found != copies.end();
      const auto i = static_cast<size_t>(came ? found - copies.begin() : 0);
      CHECK(read(device, one, region, b) ==
            (came ? original[static_cast<size_t>(raw(out[i].from))] : untouched));
    };
    for (int b = 0; b < n_blocks(host, region); ++b) expect(host, b, &BlockCopy::to, out);
    for (int b = 0; b < n_blocks(arena, region); ++b) expect(arena, b, &BlockCopy::to, in);
  }
}

}  // namespace

TEST_CASE("device copies: blocks of every pair of formats go to the host and come back") {
  INFO("seed " << kSeed);
  for (const KvFormat k : kFormats) {
    for (const KvFormat v : kFormats) {
      // 80 dimensions at 3 bits are padded; three heads make scales of an odd number of words. One
      // pool is a slab, the other two, so that layers lie differently far apart.
      const auto device = make_device({k, v}, {.n_layers = 3, .n_kv_heads = 3, .head_dim = 80});
      CAPTURE(to_string(KvFormats{k, v}));
      check_round_trip(*device, {.hot_blocks = 4, .sealed_blocks = 5},
                       {.hot_blocks = 3, .sealed_blocks = quant::kSlabTiles + 2},
                       {.hot_blocks = 2, .sealed_blocks = 4});
    }
  }
}

TEST_CASE("device copies: parts of more words than a block of threads has on their way") {
  INFO("seed " << kSeed);
  const auto device = make_device({}, {.n_layers = 1, .n_kv_heads = 2, .head_dim = 256});
  check_round_trip(*device, {.hot_blocks = 3, .sealed_blocks = 2},
                   {.hot_blocks = 2, .sealed_blocks = 3}, {.hot_blocks = 2, .sealed_blocks = 2});
}

TEST_CASE("device copies: more blocks than a launch takes, or of one pool alone") {
  INFO("seed " << kSeed);
  const auto device = make_device({}, {.n_layers = 1, .n_kv_heads = 1, .head_dim = 64});
  check_round_trip(*device, {.hot_blocks = 1, .sealed_blocks = 600},
                   {.hot_blocks = 0, .sealed_blocks = 520},
                   {.hot_blocks = 0, .sealed_blocks = 513});
  check_round_trip(*device, {.hot_blocks = 2, .sealed_blocks = 0},
                   {.hot_blocks = 2, .sealed_blocks = 0}, {.hot_blocks = 2, .sealed_blocks = 0});
}

namespace {

constexpr int kRows = 70;

// One sequence: a sink, a sealed block, and one that is not full.
struct Places {
  BlockId sink, sealed, last;
};

class Attended {
 public:
  explicit Attended(KvFormats formats)
      : device(make_device(formats, kShape)),
        arena(need(device->allocate({.hot_blocks = 4, .sealed_blocks = 3}))),
        q_(put(4)),
        out_(put(4)) {
    PagedBatch batch = of_rows(kRows);
    batch.hot_indptr = {0, 3};
    batch.hot_blocks = {BlockId{2}, BlockId{0}, BlockId{3}};
    batch.hot_first = {0, 32, 64};
    batch.sealed_indptr = {0, 0};
    const AttnPlan* plan = need(device->plan(batch, arena));
    for (LayerIdx layer = 0; layer < kShape.n_layers; ++layer) {
      const KvArena::Region k = put(2), v = put(2);
      need(device->append({.plan = plan,
                           .arena = &arena,
                           .layer = layer,
                           .k = span_of(k, kRows, 2),
                           .v = span_of(v, kRows, 2)}));
      need(device->wait());
    }
    need(device->seal({.arena = &arena, .hot = BlockId{0}, .sealed = BlockId{1}}));
  }

  // Of the last row, whose key lies there already, in all layers.
  std::vector<float> attend(Places places) {
    PagedBatch batch = of_rows(1);
    batch.hot_indptr = {0, 2};
    batch.hot_blocks = {places.sink, places.last};
    batch.hot_first = {0, 64};
    batch.sealed_indptr = {0, 1};
    batch.sealed_blocks = {places.sealed};
    const AttnPlan* plan = need(device->plan(batch, arena));
    const size_t n = static_cast<size_t>(4 * kShape.head_dim);
    std::vector<float> outs(2 * n);
    for (LayerIdx layer = 0; layer < kShape.n_layers; ++layer) {
      need(device->attend({.plan = plan,
                           .arena = &arena,
                           .layer = layer,
                           .scale = 0.125f,
                           .q = span_of(q_, 1, 4),
                           .out = {reinterpret_cast<float*>(out_.get()), n}}));
      const auto of_layer = std::span(outs).subspan(static_cast<size_t>(layer) * n, n);
      need(device->read(std::as_writable_bytes(of_layer), out_.get()));
    }
    return outs;
  }

 private:
  static constexpr quant::KvShape kShape{.n_layers = 2, .n_kv_heads = 2, .head_dim = 64};

  static PagedBatch of_rows(int n) {
    PagedBatch batch;
    batch.n_tokens = n;
    batch.n_seqs = 1;
    batch.token_indptr = {0, n};
    batch.first_position = {kRows - n};
    return batch;
  }
  KvArena::Region put(int n_heads) {
    std::vector<float> rows(static_cast<size_t>(kRows * n_heads * kShape.head_dim));
    for (float& x : rows) x = normal_(rng_);
    const auto bytes = std::as_bytes(std::span(rows));
    KvArena::Region region = need(device->allocate_bytes("rows", bytes.size()));
    need(device->write(region.get(), bytes));
    return region;
  }
  static std::span<const float> span_of(const KvArena::Region& region, int n_tokens, int n_heads) {
    return {reinterpret_cast<const float*>(region.get()),
            static_cast<size_t>(n_tokens * n_heads * kShape.head_dim)};
  }

  std::mt19937 rng_{kSeed};
  std::normal_distribution<float> normal_;

 public:
  std::unique_ptr<DeviceAttention> device;
  KvArena arena;

 private:
  KvArena::Region q_, out_;
};

}  // namespace

TEST_CASE("device copies: attention has the same bits after blocks went and came back elsewhere") {
  INFO("seed " << kSeed);
  for (const KvFormats formats : {KvFormats{}, KvFormats{KvFormat::kTq3, KvFormat::kTq2}}) {
    Attended one(formats);
    DeviceAttention& device = *one.device;
    const KvArena host = need(device.allocate_host({.hot_blocks = 3, .sealed_blocks = 2}));
    const std::vector<float> before =
        one.attend({.sink = BlockId{2}, .sealed = BlockId{1}, .last = BlockId{3}});
    REQUIRE(std::ranges::any_of(before, [](float x) { return x != 0.0f; }));

    const BlockCopy hot_out[] = {{BlockId{2}, BlockId{0}}, {BlockId{3}, BlockId{2}}};
    const BlockCopy sealed_out[] = {{BlockId{1}, BlockId{1}}};
    need(device.copy_blocks(
        {.from = &one.arena, .to = &host, .hot = hot_out, .sealed = sealed_out}));
    poison(device, one.arena);
    const BlockCopy hot_in[] = {{BlockId{2}, BlockId{1}}, {BlockId{0}, BlockId{3}}};
    const BlockCopy sealed_in[] = {{BlockId{1}, BlockId{0}}};
    need(device.copy_blocks({.from = &host, .to = &one.arena, .hot = hot_in, .sealed = sealed_in}));
    const std::vector<float> after =
        one.attend({.sink = BlockId{3}, .sealed = BlockId{0}, .last = BlockId{1}});
    CHECK(std::memcmp(before.data(), after.data(), before.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("device copies: what cannot be copied is refused by its field") {
  const quant::KvShape shape{.n_layers = 1, .n_kv_heads = 1, .head_dim = 64};
  const auto device = make_device({}, shape);
  const auto other = make_device({KvFormat::kTq8, KvFormat::kTq8}, shape);
  const KvArena arena = need(device->allocate({.hot_blocks = 4, .sealed_blocks = 2}));
  const KvArena host = need(device->allocate_host({.hot_blocks = 3, .sealed_blocks = 5}));
  const KvArena of_other = need(other->allocate_host({.hot_blocks = 3, .sealed_blocks = 5}));
  const auto where = [&](const CopyCall& call) {
    const auto done = device->copy_blocks(call);
    if (done.ok()) return std::string("copied");
    CHECK(done.error().code == Code::kInvalidArgument);
    return done.error().where;
  };
  CHECK(where({.from = &arena, .to = &host}) == "copied");
  CHECK(where({.from = nullptr, .to = &host}) == "from");
  CHECK(where({.from = &arena, .to = nullptr}) == "to");
  CHECK(where({.from = &of_other, .to = &arena}) == "from");
  CHECK(where({.from = &arena, .to = &of_other}) == "to");
  CHECK(where({.from = &arena, .to = &arena}) == "to");
  const auto hot = [&](std::vector<BlockCopy> copies) {
    return where({.from = &arena, .to = &host, .hot = copies});
  };
  const auto sealed = [&](std::vector<BlockCopy> copies) {
    return where({.from = &arena, .to = &host, .sealed = copies});
  };
  CHECK(hot({{BlockId{3}, BlockId{2}}}) == "copied");
  CHECK(hot({{BlockId{3}, BlockId{2}}, {BlockId{4}, BlockId{0}}}) == "hot[1].from");
  CHECK(hot({{BlockId{0}, BlockId{3}}}) == "hot[0].to");
  CHECK(hot({{kNoBlock, BlockId{0}}}) == "hot[0].from");
  CHECK(hot({{BlockId{0}, BlockId{1}}, {BlockId{1}, BlockId{1}}}) == "hot[1].to");
  CHECK(sealed({{BlockId{1}, BlockId{4}}, {BlockId{1}, BlockId{3}}}) == "copied");
  CHECK(sealed({{BlockId{2}, BlockId{0}}}) == "sealed[0].from");
  CHECK(sealed({{BlockId{0}, BlockId{5}}}) == "sealed[0].to");
  CHECK(device->allocate_host({.hot_blocks = -1, .sealed_blocks = 0}).error().where == "sizes");
}

}  // namespace tq::kernels
