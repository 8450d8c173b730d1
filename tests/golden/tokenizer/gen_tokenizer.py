#!/usr/bin/env python3
"""Writes the tokenizers of the golden tests and what they make of lines.jsonl.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python gen_tokenizer.py [--smollm2 SmolLM2-135M-Instruct.Q4_1.gguf]

sentencepiece is pinned to the version of Debian 12, which the server links: later ones choose otherwise
between unigram paths of equal score.
Without --smollm2 the golden files of that model stay as they are. Outputs, NAME being a tokenizer:
  NAME.tokenizer.json, tiny_bpe.model, tiny_unigram.model, tiny_bpe.vocab.json: small tokenizers, trained here
  NAME.ids.bin   one FNV-1a of each line's ids (each id as 4 bytes, little endian), 8 bytes each
  pre/NAME.bin   the same for the pre-tokenisers that GGUF files name, one for each GROUP lines
  samples.json   some ids in full, so that a failure can be read
  manifest.json  versions and settings
"""

import argparse
import importlib.metadata
import json
import pathlib
import struct

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
GROUP = 8
SAMPLE_EVERY = 271  # lines
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PREFIX = r"[^\r\n\p{L}\p{N}]?"
TEKKEN = f"{PREFIX}{UPPER}*{LOWER}+|{PREFIX}{UPPER}+{LOWER}*|" + r"\p{N}" + TAIL
GPT4O = f"{PREFIX}{UPPER}*{LOWER}+{CONTRACTIONS}?|{PREFIX}{UPPER}+{LOWER}*{CONTRACTIONS}?|" + r"\p{N}{1,3}" + TAIL
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
# The cased letters of deepseek-llm's file, as code points since some of them are canonical duplicates.
CASED = """41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c
38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b 1d6b-1d77
1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe
1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124
2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183 2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2 2cf3
a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f
104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df 1e900-1e943""".split()
CASED = "".join("-".join(chr(int(end, 16)) for end in item.split("-")) for item in CASED)
DEEPSEEK_PUNCTUATION = "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
DEEPSEEK_V3 = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
# tokenizer.ggml.pre -> the expressions of the model's own tokenizer.json, and whether it normalises (NFC).
NAMED = {
    "gpt-2": ([GPT2], False),
    "smollm": ([r"\p{N}", GPT2], False),
    "default": ([r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], False),
    "falcon": ([r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"], False),
    "llama-bpe": ([LLAMA3], False),
    "qwen2": ([QWEN2], True),
    "qwen35": ([QWEN35], True),
    "tekken": ([TEKKEN], False),
    "gpt-4o": ([GPT4O], False),
    "deepseek-llm": (["[\r\n]", f"\\s?[{CASED}]+", DEEPSEEK_PUNCTUATION, r"\s+$", CJK, r"\p{N}+"], False),
    "deepseek-coder": (["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"], False),
    "deepseek-v3": ([r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK_V3], False),
}


def read_lines():
    with open(HERE / "lines.jsonl", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def fnv1a(ids, value=0xCBF29CE484222325):
    for byte in b"".join(struct.pack("<i", i) for i in ids):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(use_regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def train(tokenizer, lines, vocab_size, special=(), alphabet=()):
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(special), show_progress=False,
                                  initial_alphabet=list(alphabet))
    tokenizer.train_from_iterator(lines, trainer)


def llama3(lines):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(LLAMA3), byte_level()])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, lines, 2000, alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)])])
    return tokenizer


def qwen2(lines):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(QWEN2), byte_level()])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    train(tokenizer, lines, 1500, alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    return tokenizer


def llama2(lines):
    """As converted from sentencepiece: no pre-tokeniser, byte fallback, unknowns fused."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    train(trained, [line.replace("▁", "_") for line in lines[:6000]], 2400)
    model = json.loads(trained.to_str())["model"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    # Characters that lines hold but the vocabulary lacks exercise the fallback.
    dropped = {t for t in model["vocab"] if len(t) == 1 and ord(t) > 0x3000}
    keep = [t for t in sorted(model["vocab"], key=model["vocab"].get) if not dropped & set(t)]
    tokens += [t for t in keep if t not in tokens]
    merges = [tuple(m) for m in model["merges"] if not dropped & set(m[0] + m[1])]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def metaspace(lines):
    """The newer form of the same, and no fallback: unknown characters, fused."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    train(tokenizer, lines[:3000], 1500, special=["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def gemma(lines):
    """Spaces replaced by the normaliser, then cut where they stand; unknowns not fused."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    train(tokenizer, lines[2000:5000], 1500, special=["<unk>", "<s>", "</s>"])
    return tokenizer


def mixed(lines):
    """The rest of the building blocks at once."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex("[‘’]"), "'"), normalizers.Strip(True, True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\s*[\r\n]"), "merged_with_next"), pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex(r"[\p{L}\p{M}\p{N}\p{P}\p{S}]+"), "isolated", True),
        byte_level(use_regex=True, prefix=True)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, lines, 1200, alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens([AddedToken("<s>"), AddedToken("</s>", rstrip=True), AddedToken("<mask>", lstrip=True)])
    tokenizer.add_tokens([AddedToken("word", single_word=True), AddedToken("The", normalized=True),
                          AddedToken("É", normalized=True, lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", tokenizer.token_to_id("</s>")),
                                                            ("<s>", tokenizer.token_to_id("<s>")))
    return tokenizer


def smollm2(path):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields

    def strings(key):
        return [bytes(fields[key].parts[i]).decode("utf-8") for i in fields[key].data]

    tokens = strings("tokenizer.ggml.tokens")
    merges = [tuple(m.split(" ")) for m in strings("tokenizer.ggml.merges")]
    types = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       byte_level(use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([t for t, kind in zip(tokens, types) if kind == 3])
    return tokenizer


def named(base, patterns, nfc, ignore_merges):
    document = json.loads(base.to_str())
    document["model"]["ignore_merges"] = ignore_merges
    tokenizer = Tokenizer.from_str(json.dumps(document))
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(p) for p in patterns] + [byte_level()])
    return tokenizer


def write_ids(name, all_ids, samples):
    with open(HERE / f"{name}.ids.bin", "wb") as out:
        for ids in all_ids:
            out.write(struct.pack("<Q", fnv1a(ids)))
    samples[name] = {str(i): all_ids[i] for i in range(0, len(all_ids), SAMPLE_EVERY)}


def write_named(base, lines):
    (HERE / "pre").mkdir(exist_ok=True)
    for name, (patterns, nfc) in NAMED.items():
        tokenizer = named(base, patterns, nfc, name in ("llama-bpe", "tekken"))
        all_ids = [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]
        with open(HERE / "pre" / f"{name}.bin", "wb") as out:
            for at in range(0, len(lines), GROUP):
                out.write(struct.pack("<Q", fnv1a([i for ids in all_ids[at:at + GROUP] for i in ids])))


def write_sentencepiece(lines, samples):
    # Of few scripts, so that the characters of the others need the byte fallback.
    texts = [line.replace("\0", "") for line in lines if line.strip() and max(line) < "\u0460"]
    for kind in ("bpe", "unigram"):
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(texts), model_prefix=str(HERE / f"tiny_{kind}"), model_type=kind, vocab_size=1500,
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.99,
            num_threads=1, minloglevel=2)
        (HERE / f"tiny_{kind}.vocab").unlink()
        processor = sentencepiece.SentencePieceProcessor(model_file=str(HERE / f"tiny_{kind}.model"))
        write_ids(f"tiny_{kind}", [processor.EncodeAsIds(line) for line in lines], samples)
        if kind == "bpe":
            ids = range(processor.GetPieceSize())
            kinds = [2 if processor.IsUnknown(i) else 3 if processor.IsControl(i) else 6 if processor.IsByte(i) else 1
                     for i in ids]
            with open(HERE / "tiny_bpe.vocab.json", "w", encoding="utf-8") as out:
                json.dump({"tokens": [processor.IdToPiece(i) for i in ids], "token_types": kinds,
                           "scores": [processor.GetScore(i) for i in ids]}, out, ensure_ascii=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm2", type=pathlib.Path)
    arguments = parser.parse_args()
    lines = read_lines()
    samples_path = HERE / "samples.json"
    samples = json.loads(samples_path.read_text()) if samples_path.exists() else {}
    made = {make.__name__: make(lines) for make in (llama3, qwen2, llama2, metaspace, gemma, mixed)}
    for name, tokenizer in made.items():
        document = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        (HERE / f"{name}.tokenizer.json").write_text(document, encoding="utf-8")
        write_ids(name, [tokenizer.encode(line).ids for line in lines], samples)
    write_named(made["llama3"], lines)
    write_sentencepiece(lines, samples)
    if arguments.smollm2:
        tokenizer = smollm2(arguments.smollm2)
        write_ids("smollm2", [tokenizer.encode(line).ids for line in lines], samples)
    samples_path.write_text(json.dumps(samples, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    manifest = {"generator": "tests/golden/tokenizer/gen_tokenizer.py", "lines": len(lines), "group": GROUP,
                "versions": {p: importlib.metadata.version(p) for p in ("tokenizers", "sentencepiece", "gguf")}}
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(json.dumps(manifest))


if __name__ == "__main__":
    main()
