// The cut of a step's attention: every query in one block, every visible tile in one part.
#include <catch2/catch.hpp>
#include <map>
#include <tuple>

#include "kernels/cuda/attend_plan.h"

namespace tq::kernels::cuda {
namespace {

constexpr int kBlockTokens = 64;
constexpr int kKvHeads = 2;

// Sequences of n_sealed sealed blocks, then hot ones up to their last row.
struct Shape {
  int32_t n_sealed;
  int32_t first_position;
  int32_t n_rows;
};

PagedBatch make_batch(const std::vector<Shape>& shapes) {
  PagedBatch batch;
  batch.token_indptr = batch.hot_indptr = batch.sealed_indptr = {0};
  for (const Shape& shape : shapes) {
    batch.n_tokens += shape.n_rows;
    ++batch.n_seqs;
    batch.first_position.push_back(shape.first_position);
    const int32_t end = shape.first_position + shape.n_rows;
    for (int32_t first = shape.n_sealed * kBlockTokens; first < end; first += kBlockTokens) {
      batch.hot_blocks.push_back(BlockId{static_cast<int32_t>(batch.hot_blocks.size())});
      batch.hot_first.push_back(first);
    }
    for (int32_t i = 0; i < shape.n_sealed; ++i) batch.sealed_blocks.push_back(BlockId{i});
    batch.token_indptr.push_back(batch.n_tokens);
    batch.hot_indptr.push_back(static_cast<int32_t>(batch.hot_blocks.size()));
    batch.sealed_indptr.push_back(static_cast<int32_t>(batch.sealed_blocks.size()));
  }
  return batch;
}

}  // namespace

TEST_CASE("every query and tile is attended to once", "[attend_plan]") {
  const std::vector<Shape> shapes{
      {0, 0, 1}, {30, 1930, 1}, {0, 0, 0}, {3, 200, 77}, {700, 44801, 3}};
  const PagedBatch batch = make_batch(shapes);
  for (const int group : {1, 3, 4, 8, 16}) {
    AttendPlan plan;
    plan.build(batch, {.block_tokens = kBlockTokens, .n_kv_heads = kKvHeads, .group = group});
    INFO("group " << group);
    std::map<std::tuple<int, int, int>, int> n_times;  // sequence, KV head, query
    for (const QueryBlock& block : plan.blocks) {
      REQUIRE(block.n_queries >= 1);
      REQUIRE(block.n_queries <= kAttendQueries);
      for (int i = 0; i < block.n_queries; ++i) {
        ++n_times[{block.seq, block.kv_head, block.query + i}];
      }
    }
    CHECK(n_times.size() == static_cast<size_t>(batch.n_tokens * kKvHeads * group));
    for (const auto& [query, n] : n_times) CHECK(n == 1);

    std::vector<int> states(static_cast<size_t>(plan.n_states));
    std::map<int, int> tiles_of_block;  // by first state
    int n_small = 0;
    for (const AttendItem& item : plan.items) {
      const bool small = item.block.n_queries <= kAttendQueries / 2;
      CHECK(small == (&item - plan.items.data() < plan.n_small_items));
      n_small += small;
      ++states.at(static_cast<size_t>(item.state));
      const int part = item.state - item.block.first_state;
      REQUIRE(part >= 0);
      REQUIRE(part < item.block.n_parts);
      tiles_of_block[item.block.first_state] += item.end_tile - item.first_tile;
    }
    CHECK(n_small == plan.n_small_items);
    std::map<int, int> last_query;  // of the item that a state belongs to
    for (const AttendItem& item : plan.row_items) {
      REQUIRE(item.block.n_queries >= 1);
      REQUIRE(item.block.n_queries <= kAttendRowQueries);
      for (int first = 0; first < item.block.n_queries; first += kAttendQueries) {
        const int state = item.state + first / kAttendQueries * item.block.n_parts;
        const int first_state =
            item.block.first_state + first / kAttendQueries * item.block.n_parts;
        ++states.at(static_cast<size_t>(state));
        tiles_of_block[first_state] += item.end_tile - item.first_tile;
        last_query[first_state] = item.block.query + item.block.n_queries - 1;
      }
    }
    CHECK(states == std::vector<int>(states.size(), 1));
    for (const QueryBlock& block : plan.blocks) {
      const Shape& shape = shapes[static_cast<size_t>(block.seq)];
      const int own = block.query + block.n_queries - 1;
      const auto of_item = last_query.find(block.first_state);
      const int last = of_item == last_query.end() ? own : of_item->second;
      CHECK(last >= own);
      CHECK(tiles_of_block[block.first_state] == (shape.first_position + last / group) / kTile + 1);
    }
    CHECK(plan.row_items.empty() == false);  // 77 rows
  }
}

TEST_CASE("a sequence is cut in the same way whatever else is in the batch", "[attend_plan]") {
  const auto parts_of_last = [](const std::vector<Shape>& shapes) {
    AttendPlan plan;
    plan.build(make_batch(shapes), {.block_tokens = kBlockTokens, .n_kv_heads = 1, .group = 4});
    return plan.blocks.back().n_parts;
  };
  const Shape decode{700, 44801, 1};
  CHECK(parts_of_last({decode}) > 16);  // enough for a device
  CHECK(parts_of_last({{3, 200, 77}, {30, 1930, 1}, decode}) == parts_of_last({decode}));
  // More rows, fewer parts.
  CHECK(parts_of_last({{700, 44801, 64}}) > parts_of_last({{700, 44801, 512}}));
  CHECK(parts_of_last({{700, 44801, 2048}}) == 1);
  CHECK(parts_of_last({{3, 200, 77}, {700, 44801, 64}}) == parts_of_last({{700, 44801, 64}}));
}

}  // namespace tq::kernels::cuda
