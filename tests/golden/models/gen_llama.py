#!/usr/bin/env python3
"""Tiny checkpoints and the logits that Hugging Face transformers computes for them.

    pip install torch==2.11.0 transformers==4.57.1 safetensors numpy
    python tests/golden/models/gen_llama.py

Each case is a folder: config.json and model.safetensors as transformers saves them, tokens.txt (one prompt),
logits.f32 (little-endian fp32, [n_tokens, vocab_size], of an fp32 forward pass with eager attention), and
logits_bf16_kv.f32, the same with each k and v row rounded to bf16 as our store holds them: the first shows
what 16-bit rows cost, the second leaves fp32 rounding as the only difference.
Weights are random but of a trained model's scale (std 1/sqrt(n_inputs)), so that logits differ from token to
token. Deterministic: the seed is a case's place in CASES.
"""

import json
import pathlib

import torch
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

ROOT = pathlib.Path(__file__).parent
N_TOKENS = 90  # more than two KV blocks of 32

COMMON = dict(vocab_size=96, hidden_size=64, intermediate_size=80, num_hidden_layers=2,
              num_attention_heads=2, num_key_value_heads=1, head_dim=64,
              max_position_embeddings=512, attn_implementation="eager")

CASES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**COMMON)),
    "llama_tied_gqa3": (LlamaForCausalLM, LlamaConfig(**{
        **COMMON, "num_attention_heads": 3, "num_key_value_heads": 1, "tie_word_embeddings": True,
        "rope_theta": 100000.0})),
    "llama3_rope": (LlamaForCausalLM, LlamaConfig(**{
        **COMMON, "rope_theta": 500000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})),
    "llama_linear_rope": (LlamaForCausalLM, LlamaConfig(**{
        **COMMON, "rope_scaling": {"rope_type": "linear", "factor": 4.0}})),
    "llama_yarn": (LlamaForCausalLM, LlamaConfig(**{
        **COMMON, "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
                                   "original_max_position_embeddings": 128}})),
    "mistral": (MistralForCausalLM, MistralConfig(**{**COMMON, "sliding_window": None})),
    "qwen2_bias": (Qwen2ForCausalLM, Qwen2Config(**COMMON)),
    "qwen3_qk_norm": (Qwen3ForCausalLM, Qwen3Config(**COMMON)),
    "qwen2_large_bias": (Qwen2ForCausalLM, Qwen2Config(**COMMON)),
}


def enlarge_key_biases(model):
    """As trained models have them: hundreds, in the pairs that RoPE turns slowly."""
    slow = [28, 29, 30, 31, 60, 61, 62, 63]
    for layer in model.model.layers:
        bias = layer.self_attn.k_proj.bias.data
        bias[slow] = 512.0 * bias[slow].sign() + 32.0 * bias[slow]


def randomise(model, generator):
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            std = 1.0 if "embed_tokens" in name else parameter.shape[1] ** -0.5
            parameter.data = torch.randn(parameter.shape, generator=generator) * std
        elif name.endswith(".bias"):
            parameter.data = torch.randn(parameter.shape, generator=generator) * 2.0
        else:  # norms
            parameter.data = 1.0 + 0.2 * torch.randn(parameter.shape, generator=generator)
        parameter.data = parameter.data.to(torch.bfloat16).to(torch.float32)


def with_bf16_kv(attention):
    def rounded(module, query, key, value, *arguments, **options):
        key, value = (x.to(torch.bfloat16).to(torch.float32) for x in (key, value))
        return attention(module, query, key, value, *arguments, **options)
    return rounded


def forward(model, tokens):
    with torch.no_grad():
        return model(tokens[None]).logits[0].float().contiguous()


def forward_bf16_kv(model, tokens):
    modules = (modeling_llama, modeling_mistral, modeling_qwen2, modeling_qwen3)
    saved = [module.eager_attention_forward for module in modules]
    for module, attention in zip(modules, saved):
        module.eager_attention_forward = with_bf16_kv(attention)
    try:
        return forward(model, tokens)
    finally:
        for module, attention in zip(modules, saved):
            module.eager_attention_forward = attention


def main():
    for seed, (name, (cls, config)) in enumerate(CASES.items()):
        generator = torch.Generator().manual_seed(seed)
        model = cls(config).eval()
        randomise(model, generator)
        if name == "qwen2_large_bias":
            enlarge_key_biases(model)
        model.tie_weights()
        tokens = torch.randint(0, config.vocab_size, (N_TOKENS,), generator=generator)
        logits = forward(model, tokens)
        logits_bf16_kv = forward_bf16_kv(model, tokens)
        assert not torch.equal(logits, logits_bf16_kv)
        folder = ROOT / name
        model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
        (folder / "generation_config.json").unlink(missing_ok=True)
        (folder / "tokens.txt").write_text(" ".join(map(str, tokens.tolist())) + "\n")
        (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())
        if name != "qwen2_large_bias":  # its rows do not hold the biases
            (folder / "logits_bf16_kv.f32").write_bytes(logits_bf16_kv.numpy().astype("<f4").tobytes())
        config_file = folder / "config.json"
        config_file.write_text(json.dumps(json.loads(config_file.read_text()), indent=1) + "\n")
        print(f"{name}: seed {seed}, logits std {logits.std():.3f}, "
              f"bf16 kv costs {(logits - logits_bf16_kv).std():.2e}")


if __name__ == "__main__":
    main()
