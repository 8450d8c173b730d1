#pragma once
// The families of formats, a file each; registry.cpp gives them their names. Each function fails
// where head_dim does not suit the format. Any thread.

#include "bench/formats/kv_codec.h"
#include "bench/formats/parts.h"

namespace tq::bench {

// float_formats.cpp: a value at a time.
MadeCodec make_bf16(const KvCodecOptions& options);
MadeCodec make_fp8(const KvCodecOptions& options);      // e4m3, scale 1: vLLM's default
MadeCodec make_fp8_row(const KvCodecOptions& options);  // e4m3, an fp16 scale per row

// block_formats.cpp: what other engines' weight and cache types do to blocks of a row.
MadeCodec make_q8_0(const KvCodecOptions& options);   // ggml: 32 values, fp16 scale
MadeCodec make_q4_0(const KvCodecOptions& options);   // ggml: 32 values, fp16 signed max / -8
MadeCodec make_nvfp4(const KvCodecOptions& options);  // 16 values e2m1, scale e4m3

// min_max_formats.cpp: equal steps between the least and the largest value, both stored as fp16.
MadeCodec make_min_max(const KvCodecOptions& options, int bits);  // per row
MadeCodec make_kivi(const KvCodecOptions& options, int bits);     // keys by channel

// store_formats.cpp: what the KV store does, bit by bit.
MadeCodec make_store(const KvCodecOptions& options, int bits);

// turbo_formats.cpp: TurboQuant as its paper has it (arXiv 2504.19874).
MadeCodec make_turbo_mse(const KvCodecOptions& options, int bits);  // Algorithm 1
MadeCodec make_turbo_ip(const KvCodecOptions& options, int bits);   // Algorithm 2
// A quarter of the channels at bits + 1, the others at bits.
MadeCodec make_outlier(const KvCodecOptions& options, int bits);

// trellis_formats.cpp: rotated, then trellis-coded, fp16 scale per row.
MadeCodec make_trellis(const KvCodecOptions& options, int bits);

}  // namespace tq::bench
