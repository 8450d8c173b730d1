#!/usr/bin/env python3
"""Writes lines.jsonl: the texts on which tokenizers are compared, one JSON string a line.

Seeded; only characters that Unicode 14 assigns, since libraries disagree about newer ones. Run it only to
change the texts: every golden file beside it depends on them.
"""

import json
import pathlib
import random
import unicodedata

HERE = pathlib.Path(__file__).parent
SEED = 20240611

SCRIPTS = {
    "latin": [(0x41, 0x5A), (0x61, 0x7A)],
    "latin-extended": [(0xC0, 0x24F), (0x1E00, 0x1EFF)],
    "ipa": [(0x250, 0x2FF)],
    "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
    "cyrillic": [(0x400, 0x52F)],
    "armenian": [(0x531, 0x58F)],
    "hebrew": [(0x591, 0x5F4)],
    "arabic": [(0x620, 0x6FF), (0xFB50, 0xFDFF)],
    "syriac": [(0x700, 0x74F)],
    "devanagari": [(0x900, 0x97F)],
    "bengali": [(0x980, 0x9FF)],
    "tamil": [(0xB80, 0xBFF)],
    "thai": [(0xE01, 0xE5B)],
    "tibetan": [(0xF00, 0xFDA)],
    "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)],
    "jamo": [(0x1100, 0x11FF)],
    "ethiopic": [(0x1200, 0x137F)],
    "cherokee": [(0x13A0, 0x13FD), (0xAB70, 0xABBF)],
    "mongolian": [(0x1800, 0x18AA)],
    "khmer": [(0x1780, 0x17F9)],
    "hiragana": [(0x3041, 0x309F)],
    "katakana": [(0x30A0, 0x30FF), (0xFF66, 0xFF9D)],
    "han": [(0x4E00, 0x9FFF), (0x3400, 0x4DBF)],
    "hangul": [(0xAC00, 0xD7A3)],
    "han-b": [(0x20000, 0x2A6DD)],
    "fullwidth": [(0xFF01, 0xFF5E)],
    "math-letters": [(0x1D400, 0x1D7FF)],
    "cuneiform": [(0x12000, 0x12399)],
    "symbols": [(0x2010, 0x2BFF)],
    "deseret": [(0x10400, 0x1044F)],
    "adlam": [(0x1E900, 0x1E959)],
}
DIGITS = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９", "⁰¹²³⁴⁵⁶⁷⁸⁹", "½⅓¼¾⅛", "ⅠⅡⅢⅣⅤⅻ", "①②③⑳", "𝟎𝟏𝟐𝟗", "一二三"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\u00a0", "\u0085", "\u2003", "\u2028", "\u2029", "\u3000", "\u200b", "\u180e", "\x0b", "\x0c", "\x1c", "\u1680", "\u202f"]
WORDS = """the of and to in is you that it he was for on are as with his they I at be this have from or
one had by word but not what all were we when your can said there use an each which she do how their if will
up other about out many then them these so some her would make like him into time has look two more write go
see number no way could people my than first water been call who oil its now find long down day did get come
made may part tokenizer attention quantization streaming benchmark""".split()
CONTRACTIONS = ["I'm", "you're", "they'll", "we've", "he'd", "it's", "can't", "I'M", "YOU'RE", "IT'S", "'tis", "rock'n'roll", "it’s", "'ſ", "''s", "l'été", "'re're", "d'", "O'Reilly's"]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇫🇷", "1️⃣", "❤️", "☎", "🧑🏿‍🚀", "👁️‍🗨️", "🫠", "🤷‍♀️", "\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F"]
MARKS = [chr(c) for c in range(0x300, 0x370)] + ["\u0591", "\u05b0", "\u064b", "\u0651", "\u093c", "\u0e48", "\u3099", "\u309a", "\u20d0", "\u1dc0"]
CANONICAL = ["Å", "Ω", "K", "\u0344", "\u0958", "\u2adc", "\ufb1d", "\uf900", "e\u0301", "o\u0302\u0323", "a\u0323\u0302", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0915\u093c", "\u1e9b\u0323", "\U0001d15e", "n\u0303o", "ﬁ", "Ǆ", "ß", "İ"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<s>", "</s>", "<unk>", "<tool_call>", "</tool_call>", "<mask>", "word", "[SEP]", "<|im_end", "|>", "<|", "<0x0A>", "<0xFF>", "▁", "Ġ", "Ċ", "▁the"]
CONTROL = [chr(c) for c in list(range(0x20)) + [0x7F, 0x80, 0x9F, 0xAD, 0x200C, 0x200D, 0x200E, 0x2060, 0xFEFF, 0xFFF9, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0xE000, 0xF8FF, 0x1FFFE, 0xF0000, 0x10FFFD, 0x10FFFF]]
TYPES = ["int", "auto", "const std::string&", "float", "size_t", "std::vector<int>", "def", "fn", "let mut", "var", "func"]
OPERATORS = ["=", "==", "+=", "->", "=>", "::", "<<", "&&", "||", "!=", "<=", "...", "??", "#", "@", "$", "/*", "*/", "//", "\\", "%", "^", "~", "`", ";", "{", "}", "()", "[]", "<>"]


def assigned(ranges):
    return [chr(c) for a, b in ranges for c in range(a, b + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


class Texts:
    def __init__(self):
        self.rng = random.Random(SEED)
        self.alphabets = {name: assigned(ranges) for name, ranges in SCRIPTS.items()}
        self.any = assigned([(0, 0x2FFFF)])

    def word(self, name=None, longest=9):
        alphabet = self.alphabets[name or self.rng.choice(list(self.alphabets))]
        return "".join(self.rng.choice(alphabet) for _ in range(self.rng.randint(1, longest)))

    def join(self, parts, odd=0.15):
        out = []
        for part in parts:
            out.append(part)
            out.append(self.rng.choice(SPACES) if self.rng.random() < odd else " ")
        return "".join(out[:-1])

    def script(self):
        name = self.rng.choice(list(self.alphabets))
        return self.join([self.word(name) for _ in range(self.rng.randint(1, 8))])

    def mixed(self):
        return self.join([self.word() for _ in range(self.rng.randint(1, 8))], odd=0.4)

    def english(self):
        words = [self.rng.choice(WORDS + CONTRACTIONS) for _ in range(self.rng.randint(1, 16))]
        for i, word in enumerate(words):
            roll = self.rng.random()
            if roll < 0.1:
                words[i] = word.capitalize()
            elif roll < 0.15:
                words[i] = word.upper()
            elif roll < 0.25:
                words[i] = word + self.rng.choice(list(",.;:!?)\"'—…"))
            elif roll < 0.28:
                words[i] = str(self.rng.randint(0, 10 ** self.rng.randint(1, 12)))
        return self.join(words, odd=0.05)

    def name(self):
        parts = [self.rng.choice(WORDS) for _ in range(self.rng.randint(1, 3))]
        style = self.rng.randrange(4)
        if style == 0:
            return "_".join(parts)
        if style == 1:
            return "".join(p.capitalize() for p in parts)
        if style == 2:
            return parts[0] + "".join(p.capitalize() for p in parts[1:])
        return "_".join(parts).upper()

    def code(self):
        r = self.rng
        indent = r.choice(["", "  ", "    ", "        ", "\t", "\t\t", " \t "])
        kind = r.randrange(6)
        if kind == 0:
            text = f"{r.choice(TYPES)} {self.name()}({self.name()}, {r.randint(0, 9999)}) {{"
        elif kind == 1:
            text = f"{self.name()}[{r.randint(0, 99)}] {r.choice(OPERATORS)} {self.name()}.{self.name()}(0x{r.getrandbits(32):X});"
        elif kind == 2:
            text = f"if {self.name()} {r.choice(OPERATORS)} {r.random():.6f}:\n{indent}    return '{self.name()}'"
        elif kind == 3:
            text = json.dumps({self.name(): [r.randint(-5, 5), None, self.name()]}) + ","
        elif kind == 4:
            text = f'<{self.name()} class="{self.name()}">{self.name()}</{self.name()}>  <!-- {self.name()} -->'
        else:
            text = " ".join(r.choice(OPERATORS) for _ in range(r.randint(1, 8)))
        return indent + text + r.choice(["", "\n", "\r\n", "  ", "\n\n\n"])

    def numbers(self):
        def number():
            digits = self.rng.choice(DIGITS)
            return "".join(self.rng.choice(digits) for _ in range(self.rng.randint(1, 12)))
        return "".join(number() + self.rng.choice(["", " ", ",", ".", "-", "e", "%", "\n", "  "]) for _ in range(self.rng.randint(1, 6)))

    def emoji(self):
        return "".join(self.rng.choice(EMOJI + [" ", "x", "!"]) for _ in range(self.rng.randint(1, 8)))

    def spaces(self):
        run = lambda: self.rng.choice(SPACES) * self.rng.randint(1, 6)
        return "".join(run() if self.rng.random() < 0.7 else self.rng.choice(WORDS + ["1", ".", "é"]) for _ in range(self.rng.randint(1, 9)))

    def marks(self):
        out = []
        for _ in range(self.rng.randint(1, 8)):
            base = self.rng.choice(CANONICAL + ["a", "E", "i", "ก", "क", "か", " ", "한"])
            out.append(base + "".join(self.rng.choice(MARKS) for _ in range(self.rng.randint(0, 4))))
        return "".join(out)

    def control(self):
        return "".join(self.rng.choice(CONTROL + ["a", " ", "b1"]) for _ in range(self.rng.randint(1, 10)))

    def special(self):
        pieces = [self.rng.choice(SPECIAL + WORDS[:20] + [" ", "  ", "\n", "é", "."]) for _ in range(self.rng.randint(1, 10))]
        return "".join(pieces)

    def anything(self):
        return "".join(self.rng.choice(self.any) for _ in range(self.rng.randint(1, 16)))

    def long(self):
        unit = self.rng.choice(["a", "ab", "=", "-", " ", "\n", "ha", "0", "é", "中", "aA", "_x", "\u0301", "😀"])
        text = unit * self.rng.randint(40, 200)
        return text + self.rng.choice(["", "x", " ", "!"])


def main():
    texts = Texts()
    kinds = [(texts.script, 2200), (texts.mixed, 900), (texts.english, 2000), (texts.code, 1800),
             (texts.numbers, 600), (texts.emoji, 500), (texts.spaces, 800), (texts.marks, 600),
             (texts.control, 400), (texts.special, 600), (texts.anything, 300), (texts.long, 60)]
    lines = [""] + CONTRACTIONS + EMOJI + SPACES + SPECIAL + CANONICAL
    for make, n in kinds:
        lines += [make() for _ in range(n)]
    with open(HERE / "lines.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            text = json.dumps(line, ensure_ascii=False)
            # These would end a line in some editors; a JSON escape is the same string.
            for c in "\x7f\x85\u2028\u2029\ufeff":
                text = text.replace(c, f"\\u{ord(c):04x}")
            out.write(text + "\n")
    print(f"seed {SEED}: {len(lines)} lines")


if __name__ == "__main__":
    main()
