"""Small expressions of one construct each (expressions.txt: rows of them, errors.txt: one that
fails per line), and a seeded generator of random ones."""

import pathlib
import random

VARIABLES = {
    "i": 7,
    "n": -3,
    "z": 0,
    "big": 18446744073709551615,
    "f": 2.5,
    "g": -0.125,
    "s": "Hello World",
    "u": "naïve 世界🌍 ǆ ß",
    "e": "",
    "w": " \t padded\n\u00a0",
    "lines": "one\n\ntwo\r\nthree\u2028four",
    "html": '<a href="x">&\'</a>',
    "l": [3, 1, 2],
    "m": ["b", "A", "c", "a"],
    "mixed": [1, "1", 1.0, True, None, [], {}],
    "d": {"b": 1, "a": [1, 2], "items": "shadow", "1": None},
    "yes": True,
    "no": False,
    "null": None,
    "users": [
        {"name": "Zoe", "age": 31, "tags": ["x", "y"], "active": True},
        {"name": "adam", "age": 4, "tags": [], "active": False},
        {"name": "Bob", "age": 31, "tags": ["z"]},
    ],
    "deep": {"a": {"b": {"c": [10, {"k": "v"}]}}},
}


def read_lines(name):
    return (pathlib.Path(__file__).parent / name).read_text(encoding="utf-8").strip().split("\n")


def split_row(row):
    """The expressions of a row, which commas outside brackets and strings part."""
    parts, depth, quote, start, at = [], 0, "", 0, 0
    while at < len(row):
        c = row[at]
        if quote:
            if c == "\\":
                at += 1
            elif c == quote:
                quote = ""
        elif c in "\"'":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(row[start:at].strip())
            start = at + 1
        at += 1
    return parts + [row[start:].strip()]


def written():
    for row in read_lines("expressions.txt"):
        for part in split_row(row):
            yield "{{ " + part + " }}"
            yield "{{ [" + part + "] }}"
    for line in read_lines("errors.txt"):
        yield "{{ " + line + " }}"


class Generator:
    """Random expressions over VARIABLES; a third are errors, which must be errors here too."""

    NAMES = ["i", "n", "z", "f", "g", "s", "u", "e", "l", "m", "d", "yes", "no", "null", "missing"]
    ATOMS = NAMES + [
        "1",
        "0",
        "-2",
        "2.5",
        "'a'",
        "'Lo'",
        "''",
        "[]",
        "[1, 'x']",
        "(1, 2)",
        "{}",
        "{'a': 1}",
    ]
    ATOMS += ["users", "deep", "none", "true", "range(3)", "html", "mixed"]
    BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in"]
    BINARY += ["and", "or"]
    FILTERS = ["length", "upper", "lower", "title", "first", "last", "list", "join", "join('-')"]
    FILTERS += [
        "string",
        "int",
        "float",
        "round",
        "abs",
        "sum",
        "min",
        "max",
        "sort",
        "reverse|list",
    ]
    FILTERS += [
        "unique|list",
        "tojson",
        "default('q')",
        "d('q', true)",
        "trim",
        "replace('a', 'b')",
    ]
    FILTERS += ["items|list", "dictsort", "map('string')|list", "map(attribute='name')|list", "e"]
    FILTERS += ["select('string')|list", "selectattr('age')|list", "batch(2)|list", "indent"]
    FILTERS += ["wordcount", "capitalize", "safe", "reject|list", "select|list", "slice(2)|list"]
    TESTS = ["defined", "none", "string", "number", "integer", "float", "mapping", "sequence"]
    TESTS += ["iterable", "true", "false", "boolean", "undefined", "odd", "even", "divisibleby(2)"]
    TESTS += ["in [1, 'a']", "eq(1)", "not none", "not defined", "upper", "lower", "callable"]
    SUFFIXES = ["[0]", "[-1]", "[1:]", "[::-1]", "['a']", ".a", ".name", ".b", "[:2]", ".0"]
    SUFFIXES += [".upper()", ".strip()", ".split()", ".get('a')", ".items()|list", ".keys()|list"]
    SUFFIXES += [
        ".startswith('H')",
        ".split('l')",
        ".replace('l', 'L')",
        ".count('l')",
        ".index(1)",
    ]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def expression(self, depth):
        pick = self.random.random()
        if depth == 0 or pick < 0.12:
            return self.random.choice(self.ATOMS)
        inner = lambda: self.expression(depth - 1)  # noqa: E731
        if pick < 0.40:
            return f"{inner()} {self.random.choice(self.BINARY)} {inner()}"
        if pick < 0.48:
            return f"({inner()})"
        if pick < 0.64:
            return f"{inner()}|{self.random.choice(self.FILTERS)}"
        if pick < 0.74:
            return f"{inner()} is {self.random.choice(self.TESTS)}"
        if pick < 0.88:
            suffix = self.random.choice(self.SUFFIXES)
            # jinja2 folds a slice of a literal and then forgives a wrong type; only of a literal.
            atoms = self.NAMES if ":" in suffix else self.ATOMS
            return f"{self.random.choice(atoms)}{suffix}"
        if pick < 0.92:
            return f"{inner()} if {inner()} else {inner()}"
        if pick < 0.95:
            return f"not {inner()}"
        return f"[{inner()}, {inner()}]"

    def sources(self, n):
        for _ in range(n):
            yield "{{ " + self.expression(self.random.choice((1, 2, 2, 3))) + " }}"
