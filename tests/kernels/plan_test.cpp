// plan() refuses every kind of malformed batch with an error that names the field; so do the other
// calls.
#include <catch2/catch.hpp>

#include <cmath>
#include <functional>
#include <limits>

#include "kernels/tile_table.h"
#include "tests/kernels/world.h"

namespace tq::kernels::test {
namespace {

// Two sequences: 40 rows from position 0, and one row at position 70 behind two sealed blocks... of
// which the second sequence has one hot block for positions 64 .. 95.
PagedBatch good_batch() {
  PagedBatch batch;
  batch.n_tokens = 41;
  batch.n_seqs = 2;
  batch.token_indptr = {0, 40, 41};
  batch.first_position = {0, 70};
  batch.hot_indptr = {0, 2, 3};
  batch.hot_blocks = {BlockId{3}, BlockId{0}, BlockId{7}};
  batch.hot_first = {0, 32, 64};
  batch.sealed_indptr = {0, 0, 2};
  batch.sealed_blocks = {BlockId{1}, BlockId{5}};
  return batch;
}

struct Malformed {
  const char* field;  // that the error must name
  std::function<void(PagedBatch&)> spoil;
};

const std::vector<Malformed>& malformed() {
  static const std::vector<Malformed> all{
      {"n_seqs", [](PagedBatch& b) { b.n_seqs = -1; }},
      {"n_tokens", [](PagedBatch& b) { b.n_tokens = -1; }},
      {"token_indptr", [](PagedBatch& b) { b.n_tokens = 42; }},
      {"token_indptr", [](PagedBatch& b) { b.token_indptr.pop_back(); }},
      {"token_indptr", [](PagedBatch& b) { b.token_indptr[0] = 1; }},
      {"token_indptr", [](PagedBatch& b) { b.token_indptr[1] = 42; }},
      {"token_indptr", [](PagedBatch& b) { b.token_indptr.clear(); }},
      {"first_position", [](PagedBatch& b) { b.first_position.pop_back(); }},
      {"first_position", [](PagedBatch& b) { b.first_position[1] = -1; }},
      {"hot_indptr", [](PagedBatch& b) { b.hot_indptr.push_back(3); }},
      {"hot_indptr", [](PagedBatch& b) { b.hot_indptr[1] = 4; }},
      {"hot_indptr", [](PagedBatch& b) { b.hot_blocks.push_back(BlockId{8}); }},
      {"hot_first", [](PagedBatch& b) { b.hot_first.pop_back(); }},
      {"hot_first", [](PagedBatch& b) { b.hot_first[1] = 33; }},
      {"hot_first", [](PagedBatch& b) { b.hot_first[0] = -32; }},
      {"hot_first", [](PagedBatch& b) { std::swap(b.hot_first[0], b.hot_first[1]); }},
      {"hot_first", [](PagedBatch& b) { b.hot_first[1] = 0; }},
      {"hot_first", [](PagedBatch& b) { b.hot_first[2] = 96; }},  // the row at 70 has no block
      {"hot_blocks", [](PagedBatch& b) { b.hot_blocks[2] = BlockId{8}; }},
      {"hot_blocks", [](PagedBatch& b) { b.hot_blocks[2] = kNoBlock; }},
      {"hot_blocks", [](PagedBatch& b) { b.hot_blocks[2] = BlockId{3}; }},  // written by both
      {"hot_blocks", [](PagedBatch& b) { b.hot_blocks[1] = BlockId{3}; }},  // written twice by one
      {"sealed_indptr", [](PagedBatch& b) { b.sealed_indptr[2] = 1; }},
      {"sealed_indptr",
       [](PagedBatch& b) { b.sealed_indptr[1] = 1; }},  // sealed, but not before row 0
      {"sealed_blocks", [](PagedBatch& b) { b.sealed_blocks[0] = BlockId{6}; }},
      {"hot_indptr",
       [](PagedBatch& b) {
         b.first_position[1] = 95, b.sealed_blocks.pop_back(), b.sealed_indptr[2] = 1;
       }},
  };
  return all;
}

AttentionOptions attention_options() {
  AttentionOptions options;
  options.shape = {.n_layers = 2, .n_kv_heads = 1, .head_dim = 64};
  options.n_heads = 2;
  return options;
}

bool names(const Error& error, std::string_view field) {
  return error.where.starts_with(field) && error.code == Code::kInvalidArgument &&
         !error.message.empty();
}

}  // namespace

TEST_CASE("plan() refuses malformed batches and names the field", "[plan]") {
  for (const std::string& name : backends_under_test()) {
    const auto backend = make_test_backend(name, attention_options());
    const KvArena arena = backend->allocate({.hot_blocks = 8, .sealed_blocks = 6}).value();
    INFO(name);
    const auto good = backend->plan(good_batch(), arena);
    REQUIRE(good.ok());
    CHECK(good.value()->batch().n_tokens == 41);
    int index = 0;
    for (const Malformed& one : malformed()) {
      PagedBatch batch = good_batch();
      one.spoil(batch);
      INFO("case " << index++ << ", " << one.field);
      const auto plan = backend->plan(batch, arena);
      REQUIRE(!plan.ok());
      INFO(plan.error().describe());
      CHECK(names(plan.error(), one.field));
    }
  }
}

TEST_CASE("a key bias that does not fit is refused", "[plan]") {
  const TileTurns turns({.frequencies = std::vector<float>(32, 0.1f)}, 64);  // positions below 64
  const auto bias_of = [&](int n_kv_heads, int head_dim) {
    return KeyBias::create(std::vector<float>(static_cast<size_t>(n_kv_heads * head_dim), 1.0f),
                           n_kv_heads, turns);
  };
  CHECK(names(bias_of(0, 64).error(), "key_bias"));
  CHECK(names(bias_of(1, 32).error(), "key_bias"));  // fewer coordinates than turn
  CHECK(names(KeyBias::create(std::vector<float>(64, INFINITY), 1, turns).error(), "key_bias"));
  for (const std::string& name : backends_under_test()) {
    INFO(name);
    const auto backend = make_test_backend(name, attention_options());
    KvArena arena = backend->allocate({.hot_blocks = 8, .sealed_blocks = 6}).value();
    const AttnPlan* const plan = backend->plan(good_batch(), arena).value();
    const std::vector<float> q(41 * 128);
    std::vector<float> out(q.size());
    for (const int n_kv_heads : {1, 2}) {  // the batch reaches position 70; heads are one
      const KeyBias bias = bias_of(n_kv_heads, 64).value();
      const auto refused = backend->attend({.plan = plan,
                                            .arena = &arena,
                                            .layer = 1,
                                            .scale = 0.125f,
                                            .key_bias = &bias,
                                            .q = q,
                                            .out = out});
      CHECK(names(refused.error(), "key_bias"));
    }
  }
}

TEST_CASE("a table of tiles: where they lie, and at which positions", "[plan]") {
  const auto table_of = [](std::vector<int32_t> hot_first, int32_t n_sealed, int block_tokens) {
    PagedBatch batch;
    batch.n_seqs = 1;
    batch.hot_indptr = {0, static_cast<int32_t>(hot_first.size())};
    for (size_t i = 0; i < hot_first.size(); ++i) {
      batch.hot_blocks.push_back(BlockId{static_cast<int32_t>(20 + i)});
    }
    batch.hot_first = std::move(hot_first);
    batch.sealed_indptr = {0, n_sealed};
    for (int32_t i = 0; i < n_sealed; ++i) batch.sealed_blocks.push_back(BlockId{17 - i});
    TileTable table;
    table.build(batch, quant::BlockLayout::create({.n_layers = 1, .n_kv_heads = 2, .head_dim = 64},
                                                  {}, block_tokens)
                           .value());
    return table;
  };
  using Ints = std::vector<int32_t>;
  // Sealed blocks hold the positions that hot ones leave free.
  CHECK(table_of({64, 96}, 2, 32).sealed.positions == Ints{0, 32});
  CHECK(table_of({0, 32, 128}, 2, 32).sealed.positions == Ints{64, 96});
  CHECK(table_of({0, 64, 160}, 3, 32).sealed.positions == Ints{32, 96, 128});
  CHECK(table_of({0}, 0, 32).sealed.positions.empty());
  // Tile 17 is the second of the second slab, which two heads of the first lie before.
  const TileTable one = table_of({0, 64}, 2, 32);
  CHECK(one.sealed.parts == Ints{33, 32});
  CHECK(one.sealed.indptr == Ints{0, 2});
  CHECK(one.hot.parts == Ints{36, 37});
  CHECK(one.hot.positions == Ints{0, 64});
  // Block 5 of 96 tokens begins with the last tile of the first slab.
  PagedBatch batch;
  batch.n_seqs = 2;
  batch.hot_indptr = {0, 0, 1};
  batch.hot_blocks = {BlockId{5}};
  batch.hot_first = {96};
  batch.sealed_indptr = {0, 0, 1};
  batch.sealed_blocks = {BlockId{0}};
  TileTable three;
  three.build(
      batch,
      quant::BlockLayout::create({.n_layers = 1, .n_kv_heads = 2, .head_dim = 64}, {}, 96).value());
  CHECK(three.hot.indptr == Ints{0, 0, 3});
  CHECK(three.hot.parts == Ints{15, 32, 33});
  CHECK(three.hot.positions == Ints{96, 128, 160});
  CHECK(three.sealed.indptr == Ints{0, 0, 3});
  CHECK(three.sealed.parts == Ints{0, 1, 2});
  CHECK(three.sealed.positions == Ints{0, 32, 64});
}

TEST_CASE("append, attend and seal refuse wrong spans, layers and blocks", "[plan]") {
  for (const std::string& name : backends_under_test()) {
    const auto backend = make_test_backend(name, attention_options());
    KvArena arena = backend->allocate({.hot_blocks = 8, .sealed_blocks = 6}).value();
    const AttnPlan* const plan = backend->plan(good_batch(), arena).value();
    const std::vector<float> kv(41 * 64);
    const std::vector<float> q(41 * 128);
    std::vector<float> out(q.size());
    const AppendCall append{.plan = plan, .arena = &arena, .layer = 1, .k = kv, .v = kv};
    const AttendCall attend{
        .plan = plan, .arena = &arena, .layer = 1, .scale = 0.125f, .q = q, .out = out};
    INFO(name);
    const auto with = [](auto call, auto change) {
      change(call);
      return call;
    };
    CHECK(names(backend->append(with(append, [](auto& c) { c.layer = 2; })).error(), "layer"));
    CHECK(names(backend->append(with(append, [](auto& c) { c.k = c.k.subspan(1); })).error(), "k"));
    CHECK(names(backend->append(with(append, [](auto& c) { c.v = {}; })).error(), "v"));
    CHECK(
        names(backend->append(with(append, [](auto& c) { c.arena = nullptr; })).error(), "arena"));
    CHECK(names(backend->attend(with(attend, [](auto& c) { c.layer = -1; })).error(), "layer"));
    CHECK(names(backend->attend(with(attend, [](auto& c) { c.q = c.q.subspan(2); })).error(), "q"));
    CHECK(names(backend->attend(with(attend, [](auto& c) { c.out = c.out.first(64); })).error(),
                "out"));
    CHECK(names(backend
                    ->attend(with(
                        attend, [](auto& c) { c.scale = std::numeric_limits<float>::quiet_NaN(); }))
                    .error(),
                "scale"));
    CHECK(names(backend->seal({.arena = &arena, .hot = BlockId{8}, .sealed = BlockId{0}}).error(),
                "hot"));
    CHECK(names(backend->seal({.arena = &arena, .hot = BlockId{0}, .sealed = kNoBlock}).error(),
                "sealed"));

    AttentionOptions other = attention_options();
    other.kv.formats = {KvFormat::kTq2, KvFormat::kTq4};
    const auto stranger = make_test_backend(name, other);
    CHECK(names(stranger->plan(good_batch(), arena).error(), "arena"));
  }
}

TEST_CASE("seal() refuses rows with NaN or infinity", "[plan]") {
  for (const std::string& name : backends_under_test()) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const auto backend = make_test_backend(name, attention_options());
      KvArena arena = backend->allocate({.hot_blocks = 8, .sealed_blocks = 6}).value();
      const AttnPlan* const plan = backend->plan(good_batch(), arena).value();
      std::vector<float> k(41 * 64, 0.5f);
      k[10 * 64 + 3] = bad;
      const std::vector<float> v(41 * 64, 0.25f);
      for (LayerIdx layer = 0; layer < 2; ++layer) {
        REQUIRE(backend
                    ->append({.plan = plan,
                              .arena = &arena,
                              .layer = layer,
                              .k = layer == 1 ? k : v,
                              .v = v})
                    .ok());
      }
      const auto sealed = backend->seal({.arena = &arena, .hot = BlockId{3}, .sealed = BlockId{0}});
      INFO(name);
      REQUIRE(!sealed.ok());
      CHECK(sealed.error().code == Code::kInternal);
    }
  }
}

}  // namespace tq::kernels::test
