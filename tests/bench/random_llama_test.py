"""bench/random_llama, read back by the package that wrote: shapes, types, weights, tokenizer.

  random_llama_test.py PATH_OF_RANDOM_LLAMA
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import gguf
    import numpy as np
except ImportError as missing:
    print(missing)
    sys.exit(77)  # what CTest takes for skipped

SCRIPT = sys.argv.pop() if len(sys.argv) > 1 else "random_llama"
SHAPE = {"layers": 2, "hidden": 64, "heads": 4, "kv-heads": 2, "head-dim": 32, "intermediate": 96,
         "context": 256, "rope-theta": 5000, "seed": 3}
TOKENS = ["<s>", "a", "b", "Ġé"] * 32


class RandomLlama(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        writer = gguf.GGUFWriter(self.folder / "tokenizer.gguf", "qwen2")
        writer.add_block_count(7)  # of another model: not copied
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(TOKENS)
        writer.add_token_types([3] + [1] * (len(TOKENS) - 1))
        writer.add_bos_token_id(0)
        writer.add_chat_template("{{ messages }}")
        self.close(writer)

    @staticmethod
    def close(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def run_script(self, name, **flags):
        command = [sys.executable, "-B", SCRIPT, "--tokenizer", self.folder / "tokenizer.gguf",
                   "--out", self.folder / name]
        for flag, value in {**SHAPE, **flags}.items():
            command += [f"--{flag}", value]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=120)

    def write(self, name, **flags):
        done = self.run_script(name, **flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return gguf.GGUFReader(self.folder / name)

    def test_writes_the_model_that_is_asked_for(self):
        for kind, error in (("bf16", 2**-8), ("q4_0", 0.2)):
            with self.subTest(kind):
                reader = self.write("model.gguf", type=kind)
                tensors = {tensor.name: tensor for tensor in reader.tensors}
                self.assertEqual(len(tensors), 2 + 9 * 2)
                self.assertNotIn("output.weight", tensors)  # tied
                self.assertEqual(list(tensors["blk.1.attn_q.weight"].shape), [64, 128])
                self.assertEqual(list(tensors["blk.1.attn_v.weight"].shape), [64, 64])
                self.assertEqual(list(tensors["blk.0.ffn_down.weight"].shape), [96, 64])
                self.assertEqual(list(tensors["token_embd.weight"].shape), [64, len(TOKENS)])
                for tensor in tensors.values():
                    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
                    if "norm" in tensor.name:
                        self.assertEqual(tensor.tensor_type.name, "F32")
                        self.assertTrue((values == 1).all())
                        continue
                    self.assertEqual(tensor.tensor_type.name.lower(), kind)
                    # 4096 values or more: 5 standard errors of a standard deviation are 6 %.
                    self.assertAlmostEqual(float(np.std(values)) * 8, 1, delta=0.06 + error)
                    self.assertLess(abs(float(np.mean(values))) * 8, 5 / 64)

    def test_says_what_it_is_and_has_the_tokenizer(self):
        reader = self.write("model.gguf")
        said = {name: field.contents() for name, field in reader.fields.items()}
        for key, expected in (
                ("general.architecture", "llama"), ("llama.block_count", 2),
                ("llama.embedding_length", 64), ("llama.attention.head_count", 4),
                ("llama.attention.head_count_kv", 2), ("llama.attention.key_length", 32),
                ("llama.feed_forward_length", 96), ("llama.context_length", 256),
                ("llama.rope.freq_base", 5000), ("llama.vocab_size", len(TOKENS)),
                ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.tokens", TOKENS),
                ("tokenizer.ggml.token_type", [3] + [1] * (len(TOKENS) - 1)),
                ("tokenizer.ggml.bos_token_id", 0), ("tokenizer.chat_template", "{{ messages }}")):
            self.assertEqual(said[key], expected, key)
        self.assertNotIn("qwen2.block_count", said)

    def test_a_seed_gives_the_same_file(self):
        for name, seed in (("a", 3), ("b", 3), ("c", 4)):
            self.write(name, seed=seed)
        first, again, other = ((self.folder / name).read_bytes() for name in "abc")
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_refuses_what_cannot_be(self):
        for expected, flags in (("no multiple of --kv-heads", {"kv-heads": 3}),
                                ("--hidden must be", {"type": "q4_0", "hidden": 48}),
                                ("must be at least 1", {"layers": 0}),
                                ("cannot write", {"out": self.folder / "none/model.gguf"}),
                                ("cannot write", {"tokenizer": SCRIPT})):
            with self.subTest(expected):
                done = self.run_script("model.gguf", **flags)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(expected, done.stderr)
                self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
