"""C++ source as text: blanks comments and literals, finds functions. No parser; knows our style."""

import re

# What may stand between a function's closing parenthesis and its body.
_TAIL = re.compile(r"(?:\s*(?:const|noexcept(?:\([^()]*\))?|override|final|mutable|&&?|try))*\s*$")
_SCOPE = re.compile(r"^(?:\[\[[^\]]*\]\]\s*)?(?:template\s*<.*>\s*)?(?:typedef\s+)?"
                    r"(?:inline\s+)?(?:namespace|class|struct|union|enum|extern\s+\"\"|concept)\b",
                    re.S)
_RAW = re.compile(r'(?:u8|[uUL])?R"([^ ()\\\t\n]{0,16})\(')


def _literal_end(text, i):
    """Index behind the string or character literal that starts at i."""
    quote = text[i]
    i += 1
    while i < len(text) and text[i] != quote and text[i] != "\n":
        i += 2 if text[i] == "\\" else 1
    return i + 1


def blank(text, keep_comments=False):
    """The text with comments and the insides of literals as spaces; line breaks stay."""
    out, i = [], 0

    def put(piece, hide):
        out.append(re.sub(r"[^\n]", " ", piece) if hide else piece)

    while i < len(text):
        two = text[i:i + 2]
        raw = _RAW.match(text, i) if text[i] in "uULR" else None
        if raw and not (i and (text[i - 1].isalnum() or text[i - 1] == "_")):
            end = text.find(")" + raw.group(1) + '"', raw.end())
            end = len(text) if end < 0 else end + len(raw.group(1)) + 2
            put(text[i:end], True)
        elif two == "//":
            end = text.find("\n", i)
            end = len(text) if end < 0 else end
            put(text[i:end], not keep_comments)
        elif two == "/*":
            end = text.find("*/", i + 2)
            end = len(text) if end < 0 else end + 2
            put(text[i:end], not keep_comments)
        elif text[i] == '"' or (text[i] == "'" and not (i and text[i - 1].isalnum())):
            end = _literal_end(text, i)
            put('""' if end - i >= 2 else text[i:end], False)
            put(text[i + 2:end], True)
        else:
            end = i + 1
            put(text[i], False)
        i = end
    return "".join(out)


def _is_function_head(head):
    head = head.strip()
    if not head or "(" not in head or _SCOPE.match(head):
        return False
    head = re.sub(r"->[^(){};]*(?:\([^()]*\)[^(){};]*)?$", "", head)  # trailing return type
    head = re.sub(r"\brequires\b.*$", "", head, flags=re.S) or head
    head = _TAIL.sub("", head)
    return head.endswith(")")


def functions(text):
    """Yields (first line, last line, is device code) of every function that is not in another."""
    code = re.sub(r"(?m)^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", lambda m: re.sub(r"[^\n]", " ", m.group()),
                  blank(text))
    stack = []  # of: (kind, line of the head, device), kind in "scope", "function", "other"
    head_start, line = 0, 1
    for i, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == "{":
            head = code[head_start:i]
            inside = any(kind != "scope" for kind, _, _ in stack)
            kind = "other"
            if not inside and _is_function_head(head):
                kind = "function"
            elif not inside and _SCOPE.match(head.strip()):
                kind = "scope"
            first = line - head.lstrip().count("\n")
            stack.append((kind, first, bool(re.search(r"__(?:global|device)__", head))))
            head_start = i + 1
        elif char == "}":
            if stack:
                kind, first, device = stack.pop()
                if kind == "function":
                    yield first, line, device
            head_start = i + 1
        elif char == ";":
            head_start = i + 1
        elif char == ":" and re.search(r"\b(?:public|private|protected)\s*$", code[head_start:i]):
            head_start = i + 1
