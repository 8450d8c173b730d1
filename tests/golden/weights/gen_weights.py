#!/usr/bin/env python3
"""Writes the golden files of tests/models_weights: tiny models and reference decodings.

    pip install gguf==0.19.0 safetensors==0.8.0 numpy==2.4.6
    python3 tests/golden/weights/gen_weights.py          # rewrites the files beside this script

gguf-py's writer makes the GGUF files and its numpy dequantize() is the reference; safetensors' own
writer makes the Hugging Face folders. The seed is fixed, so a second run changes nothing.
"""
import json
import pathlib
import shutil

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors import TensorSpec, serialize

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20240917
RNG = np.random.default_rng(SEED)
BLOCK_TYPES = [T.Q8_0, T.Q4_0, T.Q4_1, T.Q4_K, T.Q5_K, T.Q6_K]


def fnv1a(data: bytes) -> str:
    """64-bit FNV-1a, hexadecimal; the tests compute the same over decoded fp32 bytes."""
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def to_bf16(values: np.ndarray) -> np.ndarray:
    """Round to nearest even, as uint16 bits; finite input."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def random_blocks(qtype: T, n_blocks: int, finite: bool) -> np.ndarray:
    """Random bytes; with `finite` the fp16 scales are made small numbers."""
    _, size = gguf.GGML_QUANT_SIZES[qtype]
    raw = RNG.integers(0, 256, (n_blocks, size), dtype=np.uint8)
    if finite:
        at = {T.Q6_K: [size - 2], T.Q4_1: [0, 2], T.Q4_K: [0, 2], T.Q5_K: [0, 2]}.get(qtype, [0])
        for offset in at:
            scales = (RNG.standard_normal(n_blocks) * 0.01).astype(np.float16)
            raw[:, offset : offset + 2] = scales.view(np.uint8).reshape(n_blocks, 2)
    return raw


def write_block_decodings(types: list[T]) -> None:
    """TYPE.raw: bytes as in a file; TYPE.f32: what they decode to. Scales may be NaN or Inf."""
    folder = HERE / "decode"
    for qtype in types:
        elements, _ = gguf.GGML_QUANT_SIZES[qtype]
        raw = random_blocks(qtype, 8192 // elements, finite=False)
        with np.errstate(all="ignore"):
            values = gguf.quants.dequantize(raw, qtype).astype(np.float32)
        (folder / f"{qtype.name}.raw").write_bytes(raw.tobytes())
        (folder / f"{qtype.name}.f32").write_bytes(values.tobytes())


def write_decodings() -> None:
    folder = HERE / "decode"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_block_decodings(BLOCK_TYPES)
    halves = np.concatenate([np.arange(0, 65536, 16), np.arange(0, 1040), np.arange(0x7BF0, 0x7C10),
                             np.arange(0xFBF0, 0xFC10)]).astype(np.uint16)
    (folder / "F16.raw").write_bytes(halves.tobytes())
    (folder / "F16.f32").write_bytes(halves.view(np.float16).astype(np.float32).tobytes())
    brains = RNG.integers(0, 65536, 4096, dtype=np.uint16)
    (folder / "BF16.raw").write_bytes(brains.tobytes())
    (folder / "BF16.f32").write_bytes((brains.astype(np.uint32) << 16).tobytes())
    floats = RNG.standard_normal(1024).astype(np.float32)
    (folder / "F32.raw").write_bytes(floats.tobytes())
    (folder / "F32.f32").write_bytes(floats.tobytes())


class Model:
    """One tiny GGUF and the manifest of what it decodes to."""

    def __init__(self, name: str, arch: str):
        self.name = name
        self.arch = arch
        self.path = HERE / f"{name}.gguf"
        self.writer = gguf.GGUFWriter(self.path, arch)
        self.tensors: dict[str, dict] = {}

    def add(self, name: str, shape: tuple, qtype: T) -> None:
        if qtype in (T.F32, T.F16):
            dtype = np.float32 if qtype == T.F32 else np.float16
            data = (RNG.standard_normal(shape) * 0.1).astype(dtype)
            values = data.astype(np.float32)
            self.writer.add_tensor(name, data)
        elif qtype == T.BF16:
            bits = to_bf16(RNG.standard_normal(shape) * 0.1)
            values = (bits.astype(np.uint32) << 16).view(np.float32)
            self.writer.add_tensor(name, bits.view(np.uint8).reshape(*shape[:-1], shape[-1] * 2),
                                   raw_dtype=qtype)
        else:
            elements, size = gguf.GGML_QUANT_SIZES[qtype]
            if qtype in (T.Q4_K, T.Q5_K, T.Q6_K):  # gguf-py decodes these and does not encode them
                n_blocks = int(np.prod(shape)) // elements
                raw = random_blocks(qtype, n_blocks, finite=True)
                raw = raw.reshape(*shape[:-1], shape[-1] // elements * size)
            else:
                raw = gguf.quants.quantize(
                    (RNG.standard_normal(shape) * 0.1).astype(np.float32), qtype)
            values = gguf.quants.dequantize(raw, qtype).astype(np.float32)
            self.writer.add_tensor(name, raw, raw_dtype=qtype)
        self.tensors[name] = {"shape": list(shape), "type": qtype.name,
                              "fnv1a": fnv1a(np.ascontiguousarray(values).tobytes())}

    def layers(self, sizes: dict, types: dict, biases: bool = False, norms: bool = False) -> None:
        hidden, wide = sizes["hidden"], sizes["intermediate"]
        q, kv = sizes["heads"] * sizes["head_dim"], sizes["kv_heads"] * sizes["head_dim"]
        for i in range(sizes["layers"]):
            b = f"blk.{i}."
            self.add(b + "attn_norm.weight", (hidden,), T.F32)
            self.add(b + "attn_q.weight", (q, hidden), types["q"])
            self.add(b + "attn_k.weight", (kv, hidden), types["k"])
            self.add(b + "attn_v.weight", (kv, hidden), types["v"])
            if biases:
                self.add(b + "attn_q.bias", (q,), T.F32)
                self.add(b + "attn_k.bias", (kv,), T.F32)
                self.add(b + "attn_v.bias", (kv,), T.F32)
            if norms:
                self.add(b + "attn_q_norm.weight", (sizes["head_dim"],), T.F32)
                self.add(b + "attn_k_norm.weight", (sizes["head_dim"],), T.F32)
            self.add(b + "attn_output.weight", (hidden, q), types["o"])
            self.add(b + "ffn_norm.weight", (hidden,), T.F32)
            self.add(b + "ffn_gate.weight", (wide, hidden), types["gate"])
            self.add(b + "ffn_up.weight", (wide, hidden), types["up"])
            self.add(b + "ffn_down.weight", (hidden, wide), types["down"])

    def sizes(self, s: dict, context: int, base: float) -> None:
        w = self.writer
        w.add_name(self.name)
        w.add_block_count(s["layers"])
        w.add_context_length(context)
        w.add_embedding_length(s["hidden"])
        w.add_feed_forward_length(s["intermediate"])
        w.add_head_count(s["heads"])
        w.add_head_count_kv(s["kv_heads"])
        w.add_layer_norm_rms_eps(1e-5)
        w.add_rope_freq_base(base)
        w.add_rope_dimension_count(s["head_dim"])
        if s["heads"] * s["head_dim"] != s["hidden"]:
            w.add_key_length(s["head_dim"])
            w.add_value_length(s["head_dim"])

    def vocabulary(self, n_tokens: int) -> None:
        w = self.writer
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("smollm")
        tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        tokens += [chr(ord("a") + i % 26) * (1 + i // 26) for i in range(n_tokens - 3)]
        w.add_token_list(tokens)
        w.add_token_types([3, 3, 3] + [1] * (n_tokens - 3))
        w.add_token_merges(["a a", "b b", "c c"])
        w.add_bos_token_id(1)
        w.add_eos_token_id(2)
        w.add_unk_token_id(0)
        w.add_add_bos_token(False)
        w.add_add_space_prefix(False)
        w.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")

    def close(self) -> None:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        manifest = {"tensors": self.tensors}
        (HERE / f"{self.name}.json").write_text(json.dumps(manifest, indent=1) + "\n")


def write_ggufs() -> None:
    # llama: grouped queries, tied embeddings, the 32-value types, a vocabulary.
    m = Model("tiny_llama", "llama")
    s = dict(layers=2, hidden=64, intermediate=96, heads=4, kv_heads=2, head_dim=16)
    m.sizes(s, 128, 100000.0)
    m.vocabulary(96)
    m.add("token_embd.weight", (96, 64), T.Q8_0)
    m.layers(s, dict(q=T.Q4_1, k=T.Q4_0, v=T.Q8_0, o=T.F16, gate=T.Q4_1, up=T.Q4_0, down=T.BF16))
    m.add("output_norm.weight", (64,), T.F32)
    m.close()

    # llama 3: own output matrix, rope_freqs of llama3 scaling.
    m = Model("tiny_llama3", "llama")
    s = dict(layers=1, hidden=32, intermediate=32, heads=2, kv_heads=1, head_dim=16)
    m.sizes(s, 256, 500000.0)
    m.writer.add_vocab_size(24)
    m.writer.add_tensor("rope_freqs.weight", np.array([1, 1, 1, 1.5, 3, 8, 8, 8], dtype=np.float32))
    m.add("token_embd.weight", (24, 32), T.Q4_0)
    m.add("output.weight", (24, 32), T.Q4_1)
    m.layers(s, dict(q=T.Q4_0, k=T.Q4_0, v=T.Q4_0, o=T.Q4_0, gate=T.Q4_0, up=T.Q4_0, down=T.Q4_0))
    m.add("output_norm.weight", (32,), T.F32)
    m.close()

    # qwen2: q, k, v biases, YaRN.
    m = Model("tiny_qwen2", "qwen2")
    s = dict(layers=1, hidden=32, intermediate=64, heads=2, kv_heads=2, head_dim=16)
    m.sizes(s, 512, 1000000.0)
    m.writer.add_vocab_size(16)
    m.writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    m.writer.add_rope_scaling_factor(4.0)
    m.writer.add_rope_scaling_orig_ctx_len(128)
    m.add("token_embd.weight", (16, 32), T.F16)
    m.layers(s, dict(q=T.F16, k=T.F16, v=T.F16, o=T.F16, gate=T.Q8_0, up=T.Q8_0, down=T.Q8_0),
             biases=True)
    m.add("output_norm.weight", (32,), T.F32)
    m.close()

    # qwen3: norms of q and k, a head dimension that is not hidden / heads, the 256-value types.
    m = Model("tiny_qwen3", "qwen3")
    s = dict(layers=1, hidden=256, intermediate=32, heads=2, kv_heads=1, head_dim=16)
    m.sizes(s, 512, 1000000.0)
    m.writer.add_vocab_size(16)
    m.add("token_embd.weight", (16, 256), T.Q6_K)
    m.layers(s, dict(q=T.Q4_K, k=T.Q5_K, v=T.Q6_K, o=T.Q4_0, gate=T.Q4_K, up=T.Q5_K, down=T.Q8_0),
             norms=True)
    m.add("output_norm.weight", (256,), T.F32)
    m.close()


def hf_tensors(s: dict, dtype: str, biases: bool, norms: bool, tied: bool) -> dict:
    hidden, wide = s["hidden"], s["intermediate"]
    q, kv = s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"]
    shapes = {"model.embed_tokens.weight": (s["vocab"], hidden), "model.norm.weight": (hidden,)}
    if not tied:
        shapes["lm_head.weight"] = (s["vocab"], hidden)
    for i in range(s["layers"]):
        p = f"model.layers.{i}."
        shapes |= {p + "input_layernorm.weight": (hidden,),
                   p + "post_attention_layernorm.weight": (hidden,),
                   p + "self_attn.q_proj.weight": (q, hidden),
                   p + "self_attn.k_proj.weight": (kv, hidden),
                   p + "self_attn.v_proj.weight": (kv, hidden),
                   p + "self_attn.o_proj.weight": (hidden, q),
                   p + "mlp.gate_proj.weight": (wide, hidden),
                   p + "mlp.up_proj.weight": (wide, hidden),
                   p + "mlp.down_proj.weight": (hidden, wide)}
        if biases:
            shapes |= {p + "self_attn.q_proj.bias": (q,), p + "self_attn.k_proj.bias": (kv,),
                       p + "self_attn.v_proj.bias": (kv,)}
        if norms:
            shapes |= {p + "self_attn.q_norm.weight": (s["head_dim"],),
                       p + "self_attn.k_norm.weight": (s["head_dim"],)}
    tensors = {}
    for name, shape in shapes.items():
        values = (RNG.standard_normal(shape) * 0.1).astype(np.float32)
        if dtype == "bfloat16":
            bits = to_bf16(values)
            values = (bits.astype(np.uint32) << 16).view(np.float32)
            data = bits
        elif dtype == "float16":
            half = values.astype(np.float16)
            values = half.astype(np.float32)
            data = half
        else:
            data = values
        tensors[name] = ({"dtype": dtype, "shape": list(shape), "data": data},
                         {"shape": list(shape), "fnv1a": fnv1a(values.tobytes()),
                          "type": {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[dtype]})
    return tensors


def safetensors_bytes(tensors: dict, names: list) -> bytes:
    # The arrays stay alive in `tensors` while serialize() reads through the pointers.
    specs = {}
    for name in names:
        t = tensors[name][0]
        specs[name] = TensorSpec(dtype=t["dtype"], shape=t["shape"],
                                 data_ptr=t["data"].ctypes.data, data_len=t["data"].nbytes)
    return bytes(serialize(specs, {"format": "pt"}))


def write_folder(name: str, config: dict, tensors: dict, n_shards: int, extra: dict) -> None:
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for file, text in extra.items():
        (folder / file).write_text(text)
    names = list(tensors)
    if n_shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors, names))
    else:
        weight_map = {}
        for shard in range(n_shards):
            file = f"model-{shard + 1:05d}-of-{n_shards:05d}.safetensors"
            mine = names[shard::n_shards]
            weight_map |= {n: file for n in mine}
            (folder / file).write_bytes(safetensors_bytes(tensors, mine))
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    manifest = {"tensors": {n: tensors[n][1] for n in names}}
    (HERE / f"{name}.json").write_text(json.dumps(manifest, indent=1) + "\n")


def write_folders() -> None:
    s = dict(layers=2, hidden=32, intermediate=48, heads=4, kv_heads=2, head_dim=8, vocab=40)
    common = dict(hidden_act="silu", hidden_size=32, intermediate_size=48, num_attention_heads=4,
                  num_key_value_heads=2, num_hidden_layers=2, vocab_size=40, rms_norm_eps=1e-5)
    write_folder(
        "hf_llama",
        common | dict(architectures=["LlamaForCausalLM"], model_type="llama", attention_bias=False,
                      max_position_embeddings=2048, rope_theta=500000.0, tie_word_embeddings=False,
                      rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                        high_freq_factor=4.0,
                                        original_max_position_embeddings=512)),
        hf_tensors(s, "bfloat16", False, False, False), 1,
        {"tokenizer_config.json": json.dumps({"chat_template": "{{ messages[0]['content'] }}"})})
    write_folder(
        "hf_qwen2",
        common | dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", sliding_window=1024,
                      use_sliding_window=False, max_position_embeddings=2048,
                      tie_word_embeddings=True,
                      rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
        hf_tensors(s, "float16", True, False, True), 3,
        {"tokenizer_config.json": json.dumps(
            {"chat_template": [{"name": "tool_use", "template": "tools"},
                               {"name": "default", "template": "plain {{ bos_token }}"}]})})
    write_folder(
        "hf_qwen3",
        common | dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", head_dim=16,
                      max_position_embeddings=1024, rope_theta=1000000.0, tie_word_embeddings=True,
                      sliding_window=None, use_sliding_window=False),
        hf_tensors(s | dict(head_dim=16), "float32", False, True, True), 1,
        {"tokenizer_config.json": json.dumps({"chat_template": "from the field"}),
         "chat_template.jinja": "from the file"})


if __name__ == "__main__":
    write_decodings()
    write_ggufs()
    write_folders()
    write_block_decodings([T.Q5_0, T.Q5_1])  # last: the files above keep their random numbers
