"""Faults for mutate.py: (what it is, file in kernels/cuda, text, text instead, unit to compile, the
test case that should see it). A text must occur exactly once."""

LAYER = "device layers: "
EMBED = LAYER + "embeddings are looked up"
NORM = LAYER + "RMSNorm with the residual sum before it"
CHOSEN = LAYER + "RMSNorm of some rows leaves x as it is"
SWIGLU = LAYER + "SwiGLU, also far outside of what floats can exponentiate"
TURN = LAYER + "heads are turned by their positions"
HEADS = LAYER + "biases are added and heads normed before they turn"
BLOCKS = LAYER + "numbers of heads that fill no block"

SELECT = "device select: "
LENGTHS = SELECT + "rows of any length"
FALLS = SELECT + "a number falls on the token that plain loops find"
EXTREME = SELECT + "rows that leave nothing to chance"
FINITE = SELECT + "a row that is not finite is told, and no other"
CHANGES = SELECT + "changes come between the two kinds of queries"

COPIES = "device copies: blocks of every pair of formats go to the host and come back"
LARGE = "device copies: parts of more words than a block of threads has on their way"
MANY = "device copies: more blocks than a launch takes, or of one pool alone"

APPEND = "every backend appends any rows to the same bytes"
SEAL = "every backend seals any rows to the same bytes"
ODD = "odd lengths, decode and prefill, all groups"          # tq4
ADVERSARIAL = "adversarial data"                             # growing scores first; 3 and 2 bits
RAGGED = "a ragged batch of decodes and prefills"            # head_dim 96
WHOLE = "scores of whole queries have no error of their own"  # all formats of keys
THREE = "blocks of three tiles"
PEAKED = "sealed values with nearly all the weight"
PARTS = "several parts: contexts of more than 1024 tokens"
ALL = "every pair of formats and head_dim equals the oracle"  # bf16 first, at 64 and 80
BIAS = "a key bias adds its share to the scores, wherever the key lies"  # tq4 first
TURNS = "a key bias turns with the positions of each sequence"
HALVES = "rows of 16 bits are those of fp32, rounded once"
BAD_ROW = "a row that cannot be sealed is told by the next call that waits, once"

MUTANTS = [
    # Rows into the store.
    ("a tile's rows of words are one too short", "append.cu",
     "(j / 2 * kTile + token) * 2", "(j / 2 * (kTile - 1) + token) * 2", "append", APPEND),
    ("the slot after a row is not cleared", "append.cu",
     "if (at.clears_next != 0) pair[1] = 0;", "", "append", APPEND),
    ("a butterfly's difference has the wrong sign", "rotation.cuh",
     "x + other : other - x", "x + other : x - other", "append", APPEND),
    ("the second round takes the first one's signs", "rotation.cuh",
     "rotation.signs + round * kDim", "rotation.signs", "append", APPEND),

    ("lanes without a coordinate of 80 write one", "rotation.cuh",
     "|| 32 * i + lane < kDim", "|| 32 * i + lane < 96", "append", APPEND),

    # Blocks on their way to the host.
    ("the layers of a copy are as far apart as those of its source", "copy_blocks.cu",
     "region.to + layer * region.to_layer_stride", "region.to + layer * region.from_layer_stride",
     "copy_blocks", COPIES),
    ("a copy ends after a thread's first words", "copy_blocks.cu",
     "first < n_words; first += kThreads * kLoads", "first < kThreads; first += kThreads * kLoads",
     "copy_blocks", LARGE),
    ("blocks of a second launch are those of the first", "copy_blocks.cu",
     "tiles = tiles.subspan(n);", "tiles = tiles.first(tiles.size() - n);",
     "copy_blocks", MANY),
    ("all heads of a copy go where the first one lies", "copy_blocks.cu",
     "static_cast<size_t>(tile.to + head)", "static_cast<size_t>(tile.to)", "copy_blocks", COPIES),
    ("scales stay where they are", "copy_blocks.cu",
     "layout.scale_part_bytes()", "0", "copy_blocks", COPIES),

    # Sealing.
    ("padding of 3 bits is left as it was", "seal.cu",
     "      at[2 * kTile] = 0;\n", "", "seal", SEAL),
    ("a row with NaN is not told", "seal.cu", "    *params.bad = 1;\n", "", "seal", BAD_ROW),
    ("codes are read before the warp has staged them", "seal.cu",
     "  __syncwarp();\n", "", "seal", SEAL),
    ("maxima and tables are read before the block has written them", "seal.cu",
     "  __syncthreads();\n", "", "seal", SEAL),
    ("the shared exponent saturates one too late", "seal.cu",
     "(largest >> 23) + 1u, 253u)", "(largest >> 23) + 1u, 254u)", "seal", SEAL),
    ("low bits of two groups are swapped", "seal.cu",
     "at[(1 + index % 2) * kTile]", "at[(2 - index % 2) * kTile]", "seal", SEAL),
    ("a codebook's number is one bit too low", "seal_search.cuh",
     "book << (7 - kBookBits)", "book << (6 - kBookBits)", "seal", SEAL),
    ("of equal errors the last one wins", "seal_search.cuh",
     "if (error >= least)", "if (error > least)", "seal", SEAL),
    ("one candidate is not tried", "seal_search.cuh",
     "candidate < codec.n_candidates", "candidate < codec.n_candidates - 1", "seal", SEAL),

    # Rows of a layer.
    ("layers: the last, partial block of a looked-up row is left out", "layers.cu",
     "ceil_div(n_packs, threads)", "n_packs / threads", "layers", EMBED),
    ("layers: a row's sums are read before all warps have written them", "layers.cu",
     "  if (lane == 0) sums[warp] = sum;\n  __syncthreads();\n",
     "  if (lane == 0) sums[warp] = sum;\n", "layers", NORM),
    ("layers: the last vectors of a row are not normed", "layers.cu",
     "row_grid(ceil_div(n_packs, kPacks)", "row_grid(n_packs / kPacks", "layers", NORM),
    ("layers: all vectors of a thread take the first one's weights", "layers.cu",
     "weights.packs[pack].x[i]", "weights.packs[0].x[i]", "layers", NORM),
    ("layers: the residual sum is not kept", "layers.cu",
     "if (adds && call.rows == nullptr)", "if (adds && call.rows != nullptr)", "layers", NORM),
    ("layers: rows that are only read are written", "layers.cu",
     "if (adds && call.rows == nullptr)", "if (adds)", "layers", CHOSEN),
    ("layers: a chosen row is written where it came from", "layers.cu",
     "row_of<kType>(call.y, out_row, call.size)", "row_of<kType>(call.y, row, call.size)",
     "layers", CHOSEN),
    ("layers: gate and up are swapped", "layers.cu",
     "product.x[i] *= silu(gate.x[i])", "product.x[i] = gate.x[i] * silu(product.x[i])",
     "layers", SWIGLU),
    ("layers: a gate's exponent is not bounded", "layers.cu",
     "expf(fminf(-gate, 88.0f))", "expf(-gate)", "layers", SWIGLU),
    ("layers: halves of a word are swapped", "elements.cuh",
     ">> 16 * (i % 2)", ">> 16 * (1 - i % 2)", "layers", EMBED),
    ("layers: pairs lie half a head apart where fewer dimensions turn", "layers.cu",
     "return {index, index + call.n_pairs};", "return {index, index + kDim / 2};",
     "layers", TURN),
    ("layers: interleaved pairs are not", "layers.cu",
     "if (call.interleaved) return {2 * index, 2 * index + 1};", "", "layers", TURN),
    ("layers: heads turn backwards", "layers.cu",
     "turns[index];", "{turns[index].x, -turns[index].y};", "layers", TURN),
    ("layers: the magnitude is left out of sines", "layers.cu",
     "call.magnitude, sine * call.magnitude", "call.magnitude, sine", "layers", TURN),
    ("layers: angles are reduced to half a turn", "layers.cu",
     "2.0 * (turns - rint(turns))", "2.0 * turns - rint(2.0 * turns)", "layers", TURN),
    ("layers: angles are reduced in float", "layers.cu",
     "const double turns = angle *", "const float turns = angle *", "layers", TURN),
    ("layers: heads turn before the angles are there", "layers.cu",
     "  }\n  __syncthreads();\n  if (!exists) return;", "  }\n  if (!exists) return;",
     "layers", TURN),
    ("layers: values turn too", "layers.cu",
     "if (!place.is_v && index < call.n_pairs)", "if (index < call.n_pairs)", "layers", TURN),
    ("layers: keys take the norm of queries", "layers.cu",
     "is_q ? call.q_norm : call.k_norm", "call.q_norm", "layers", HEADS),
    ("layers: a norm leaves out the second of each pair", "layers.cu",
     "squares += x.first[i] * x.first[i] + x.second[i] * x.second[i]",
     "squares += x.first[i] * x.first[i]", "layers", HEADS),
    ("layers: a bias is its neighbour's", "layers.cu",
     "x.second[i] += bias.second[i]", "x.second[i] += bias.first[i]", "layers", HEADS),
    ("layers: the last heads find no warp", "layers.cu",
     "ceil_div(n_heads, kHeadWarps)", "n_heads / kHeadWarps + (n_heads < kHeadWarps)",
     "layers", BLOCKS),

    # The choice of tokens.
    ("select: the last, partial granule is left out", "select.cu",
     "g < p.n_granules; g += kSelectParts", "g < p.n_tokens / kGranule; g += kSelectParts",
     "select", LENGTHS),
    ("select: a row's padding is looked at", "select.cu",
     "token < p.n_tokens ? seat.row[token]", "token < p.row_size ? seat.row[token]",
     "select", LENGTHS),
    ("select: one token too few reaches the bound", "select.cu",
     "if (n_reach[bit] >= n_top) bound", "if (n_reach[bit] >= n_top - 1) bound",
     "select", LENGTHS),
    ("select: a bound is not built to its last bit", "select.cu",
     "for (int bit = 31; bit >= 0; --bit) {", "for (int bit = 31; bit >= 24; --bit) {",
     "select", EXTREME),
    ("select: maxima are counted before the counters are zero", "select.cu",
     "n_reach[thread] = 0;\n  __syncthreads();\n", "n_reach[thread] = 0;\n", "select", LENGTHS),
    ("select: excluded tokens are answered", "select.cu",
     "fmaxf(from_key(bound), kLeastLogit)", "from_key(bound)", "select", CHANGES),
    ("select: negative logits order backwards", "select.cu",
     "bits >> 31 != 0 ? ~bits : bits", "bits >> 31 != 0 ? bits : bits", "select", EXTREME),
    ("select: a sum leaves half the lanes out", "select.cu",
     "distance < kWarp; distance *= 2) value +=", "distance < kWarp / 2; distance *= 2) value +=",
     "select", FALLS),
    ("select: a number falls on the token before", "select.cu",
     "before + through <= target", "before + through < target - 1.0", "select", FALLS),
    ("select: what comes before a stretch is forgotten", "select.cu",
     "  before += shuffle(through - own, chosen);\n", "", "select", FALLS),
    ("select: sums of a stretch are those of another distance", "select.cu",
     "if (lane >= distance) through", "if (lane > distance) through", "select", FALLS),
    ("select: infinity and NaN are not told", "select.cu",
     "taint += logits.x[i] - logits.x[i];", "taint += 0.0f * (first - first);",
     "select", FINITE),
    ("select: a change hides what is not finite", "select.cu",
     "  if (*logit - *logit != 0.0f) p.bad_rows[change.row] = 1;\n", "", "select", FINITE),
    ("select: a change is another row's", "select.cu",
     "static_cast<int64_t>(change.row) * p.row_size + change.token",
     "static_cast<int64_t>(0 * change.row) * p.row_size + change.token", "select", CHANGES),

    # Scores.
    ("a key is multiplied by its neighbour's scale", "attend_keys.cuh",
     "(tile.scales[step][product], 2 * m + r)", "(tile.scales[step][product], 2 * r + m)",
     "attend_k4", ODD),
    ("lanes take the other group's coefficients", "attend_queries.cuh",
     "kOnce || (t < 2) == first", "kOnce || (t < 2) != first", "attend_k4", ODD),
    ("lanes choose the other group's coefficients", "attend_queries.cuh",
     "(t < 2) == (product == 0)", "(t < 2) != (product == 0)", "attend_k4", ALL),
    ("halves of four queries are not added", "attend_keys.cuh",
     "scores[m][i] += __shfl_xor_sync(~0u, scores[m][i], 2)", "scores[m][i] *= 2.0f",
     "attend_k4", ODD),
    ("codebooks of 3 bits are swapped", "attend_codes.cuh",
     "scale & 0x40u ? books[1] : books[0]", "scale & 0x40u ? books[0] : books[1]",
     "attend_k3", WHOLE),
    ("codebook bits at 2 bits are swapped", "attend_codes.cuh",
     "return scale & 0x40u ? high : low;", "return scale & 0x20u ? high : low;",
     "attend_k2", WHOLE),
    ("a query sees one key too few", "attend.cuh",
     "<= position[i % 2]", "< position[i % 2]", "attend_k4", ODD),
    ("a query sees the keys behind it", "attend.cuh",
     "scores[m][i] = seen ? scores[m][i] : -INFINITY;", "(void)seen;", "attend_k4", ODD),

    # Rows that end within a step.
    ("a row of 80 is taken for one of 96", "attend_place.cuh",
     "|| 32 * step + dim < kDim", "|| 32 * step + dim < 96", "attend_k16", ALL),
    ("the last four dimensions of 80 are dropped", "attend_merge.cuh",
     "reaches<kDim>(j, 4 * g)", "reaches<kDim>(j, 4 * g + 4)", "attend_k16", ALL),

    # Key biases.
    ("queries are turned the other way", "attend_bias.cuh",
     "a.x[n] * c + b.x[n] * s", "a.x[n] * c - b.x[n] * s", "attend_k4", BIAS),
    ("pairs lie apart where they are neighbours", "attend_bias.cuh",
     "first + (bias.interleaved ? 1 : bias.n_pairs)", "first + bias.n_pairs", "attend_k4", BIAS),
    ("all heads take the first one's bias", "attend_bias.cuh",
     "static_cast<size_t>(kv_head) * kDim * kTile",
     "static_cast<size_t>(0 * kv_head) * kDim * kTile", "attend_k4", BIAS),
    ("a bias is not scaled", "attend_bias.cuh",
     "fmaf(share, p.scale_log2, scores[m][i])", "scores[m][i] + share", "attend_k4", BIAS),
    ("a bias is read before all lanes have summed it", "attend_bias.cuh",
     "  turned[lane] = sum;\n  __syncwarp();\n", "  turned[lane] = sum;\n", "attend_k4", BIAS),
    ("sums of a bias replace queries that are still read", "attend_bias.cuh",
     "  __syncwarp();\n  turned[lane] = sum;\n", "  turned[lane] = sum;\n", "attend_k4", BIAS),
    ("queries are turned before the block has loaded them", "attend_bias.cuh",
     "  __syncthreads();\n", "", "attend_k4", BIAS),
    ("all tiles of a sequence turn as its first", "attend.cuh",
     "sealed_first[here]", "sealed_first[n_before + 0 * here]", "attend_k4", TURNS),
    ("sealed tiles turn as the first sequence's", "attend.cuh",
     "sealed_first[here]", "sealed_first[here - n_before]", "attend_k4", TURNS),
    ("hot tiles turn by none", "attend.cuh",
     "add_bias<kDim>(p, queries.kv_head, start, lane, scores)",
     "add_bias<kDim>(p, queries.kv_head, 0, lane, scores)", "attend_k4", BIAS),

    # The running softmax.
    ("totals are not rescaled", "attend_softmax.cuh",
     "      l[i] *= factor;\n", "", "attend_k4", ADVERSARIAL),
    ("what sums start from is not rescaled", "attend_softmax.cuh",
     "      start[i] *= factor;\n", "", "attend_k4", ADVERSARIAL),
    ("lanes rescale without a vote", "attend_softmax.cuh",
     "if (__any_sync(~0u, largest[0] > sums.m[0] + 8.0f || largest[1] > sums.m[1] + 8.0f))",
     "if (largest[0] > sums.m[0] + 8.0f || largest[1] > sums.m[1] + 8.0f)", "attend_k4",
     ADVERSARIAL),
    ("a maximum leaves half the lanes out", "attend_softmax.cuh",
     "lanes < 32; lanes *= 2", "lanes < 16; lanes *= 2", "attend_k4", ODD),

    # Sums of values.
    ("weights are not transposed", "attend_values.cuh",
     "transpose_8x8(permute_bytes(pairs[0], pairs[1], 0x5410))",
     "permute_bytes(pairs[0], pairs[1], 0x5410)", "attend_k4", ODD),
    ("all dimensions take the first group's scales", "attend_values.cuh",
     "b[32 * j / kValueGroup]", "b[0]", "attend_k4", PEAKED),
    ("a pair of tokens that is not written is read", "attend_values.cuh",
     "2 * pair < n_tokens &&", "2 * pair <= n_tokens &&", "attend_k4", ODD),
    ("a value is multiplied by its neighbour's scale", "attend_values.cuh",
     "scale_value<0>(tile.scales[group], 2 * m + i / 2)",
     "scale_value<0>(tile.scales[group], 2 * (i / 2) + m)", "attend_k4", PEAKED),
    ("the largest weight is that of the first group alone", "attend_values.cuh",
     "fmaxf(largest[i % 2], fabsf(scaled[group][m][i]))",
     "fmaxf(largest[i % 2], fabsf(scaled[0][m][i]))", "attend_k4", PEAKED),
    ("even and odd tokens of 3 bits are swapped", "attend_codes.cuh",
     "{(low & 0x3333u) | (high & 0x4444u), (low >> 2 & 0x3333u) | high >> 16}",
     "{(low >> 2 & 0x3333u) | high >> 16, (low & 0x3333u) | (high & 0x4444u)}",
     "attend_k4", ADVERSARIAL),

    # Tiles, warps and parts.
    ("all heads read the first one's tiles", "attend.cuh",
     "sealed_parts[tile] + head;", "sealed_parts[tile];", "attend_k4", THREE),
    ("all heads read the first one's hot tiles", "attend.cuh",
     "hot_parts[tile] + head", "hot_parts[tile] + 0 * head", "attend_k4", THREE),
    ("values take the exponent of keys", "attend_place.cuh",
     "part.exponents + half.exponent_offset", "part.exponents", "attend_k4", PEAKED),
    ("values take the scales of keys", "attend_place.cuh",
     "(half.scale_offset + Tile::first_scale(lane))", "Tile::first_scale(lane)", "attend_k4",
     PEAKED),
    ("a warp leaves out its last tile", "attend.cuh",
     "const bool more = tile < end;", "const bool more = tile + kAttendWarps < end;",
     "attend_k4", THREE),
    ("a hot tile is left out behind sealed ones", "attend.cuh",
     "- warp + kAttendWarps - 1) / kAttendWarps", "- warp + kAttendWarps) / kAttendWarps",
     "attend_k4", ODD),
    ("warps are merged before they have written", "attend_merge.cuh",
     "  __syncthreads();\n", "", "attend_k4", ODD),
    ("the first warp's sums are forgotten", "attend_merge.cuh",
     "float sum = 0.0f, total = 0.0f;\n    for (int w = 0;",
     "float sum = 0.0f, total = 0.0f;\n    for (int w = 1;", "attend_k4", ODD),
    ("parts are added without their weights", "combine.cuh",
     "total = fmaf(weight, l[part * kStride], total);", "total += l[part * kStride];",
     "attend", PARTS),
    ("the fold's states are one query apart", "combine.cuh",
     "states + column * kDim + lane", "states + (column + 1) * kDim + lane", "attend", ODD),
    ("rows of fp16 and bf16 are swapped", "combine.cuh",
     "type == ElementType::kF16 ?", "type != ElementType::kF16 ?", "attend", HALVES),

    # Prefill.
    ("a tile is decoded while a warp still reads the last one", "attend_rows.cuh",
     "    __syncthreads();  // every warp is done with the last one\n", "", "attend_rows", RAGGED),
    ("a tile is read before it is decoded", "attend_rows.cuh",
     "    __syncthreads();\n    if (idle", "    if (idle", "attend_rows", RAGGED),
    ("a row does not see its own key", "attend_rows.cuh",
     "i % 2 <= position[i / 2];", "i % 2 < position[i / 2];", "attend_rows", RAGGED),
    ("a warp skips the tile of its last row", "attend_rows.cuh",
     "start > last_position", "start + kTile > last_position", "attend_rows", RAGGED),
    ("parts of rows share a state", "attend_rows.cuh",
     "row / kAttendQueries * item.block.n_parts", "row / kAttendQueries", "attend_rows", PARTS),
    ("rows' totals are those of a lane", "attend_rows.cuh",
     "sums.l[r] += __shfl_xor_sync(~0u, sums.l[r], 2);", "", "attend_rows", RAGGED),
    ("rows' sums are not rescaled", "attend_rows_steps.cuh",
     "sums.o[n][2 * r] *= factor;", "", "attend_rows", ADVERSARIAL),
    ("rows' weights take the scale of the token before", "attend_rows_steps.cuh",
     "weights[n][2 * r + 1] * scale.y", "weights[n][2 * r + 1] * scale.x", "attend_rows", PEAKED),
    ("a key's second half has the first one's scale", "decode_tile.cuh",
     "factors[pair / 8]", "factors[0]", "attend_rows", WHOLE),
    ("the two parts of a level are joined, not added", "decode_tile.cuh",
     "((a & 0x7f7f7f7fu) + (b & 0x7f7f7f7fu)) ^ ((a ^ b) & 0x80808080u)", "a | b",
     "attend_rows", PEAKED),
    ("a token that is not written is a value of a row", "decode_tile.cuh",
     "2 * pair < n_tokens ? words[i] : 0",
     "2 * pair < n_tokens + kTile ? words[i] : 0", "attend_rows", RAGGED),
]
