#!/usr/bin/env python3
"""The rules of the house style that a script can check. See README.md beside this file.

  check.py [--root DIR] [--only RULE,...]   every rule over the tree; one line per violation
  check.py --lone-headers                   headers without a .cpp of their own, for CMakeLists.txt
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import cpp_text  # noqa: E402  (beside this file)

LAYERS = ["config", "quant", "kernels", "models", "engine", "server"]  # each sees those before it
TOP_LEVEL = LAYERS + ["bench", "cmake", "docker", "tests"]
SKIPPED_FOLDERS = {"build", ".deps", ".git", ".cache", "__pycache__", "results"}
CPP = {".h", ".cpp", ".cu", ".cuh"}
SCRIPTS = {".py", ".sh", ".cmake"}
TEXT = CPP | SCRIPTS | {".md", ".txt", ".yaml", ".yml", ".json", ".toml", ""}

MAX = {"line": 100, "file": 400, "header": 200, "function": 70, "device": 120, "root_cmake": 150}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
TORCH = re.compile(r"^(?:torch|ATen|c10)/")
CUDA = re.compile(r"^(?:cuda|cub/|cublas|cutlass|cute/|nv|mma\.h|cooperative_groups)")
ALLOW = re.compile(r"tidy-allow\((\w+)\): \w+")
# Split, so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:wo" r"rk|ro" r"ot|ho" r"me/\w+|tmp/" r"dl)(?:/|\b)")
BARE_MARK = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b(?!\(#\d+\): )")
DEAD_CODE = re.compile(
    r"^(?:return\b[^.]*;|#\s*(?:include|define|if)\b.*|(?:if|for|while) \(.*[;{]|"
    r"(?:auto|const) .* = .*;|[\w:.>\[\]-]+\(.*\);|"
    r"[\w:.>\[\]*-]+(?: [\w:<>&*]+)? [-+*/|&^]?= .*;|[}{]+;?|else \{)$")


class File:
    """One file of the tree; path is relative to its root, with slashes."""

    def __init__(self, root, path):
        self.path = path
        self.folder = path.split("/")[0] if "/" in path else ""
        self.suffix = os.path.splitext(path)[1]
        self.text = (root / path).read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.split("\n")
        self.is_cpp = self.suffix in CPP
        # A body is compiled once per instruction set, in that one's namespace: text, not a header.
        self.is_body = path.startswith("kernels/") and "TQ_ISA" in self.text
        self.is_header = self.suffix in {".h", ".cuh"} and not self.is_body
        self.is_golden = path.startswith("tests/golden/") and self.suffix not in CPP | SCRIPTS

    def includes(self):
        """(line, quote, name) of each include that is not in a comment."""
        code = cpp_text.blank(self.text) if self.is_cpp else ""
        for match in INCLUDE.finditer(self.text):
            if "#" in code[match.start():match.end()]:
                yield self.text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def read_tree(root):
    files = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(d for d in folders if d not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = pathlib.Path(folder, name).relative_to(root).as_posix()
            is_text = os.path.splitext(name)[1] in TEXT and name != "LICENSE"
            if is_text and not os.path.islink(root / path):
                files.append(File(root, path))
    return files


# ---- Rules: each takes the files and the root, and yields (path, line, message) --------------


def rule_layers(files, root):
    """Includes name the folder and point downward; LibTorch and CUDA stay in their rooms."""
    for file in files:
        for line, quote, name in file.includes():
            target = name.split("/")[0]
            if quote == '"':
                if target not in TOP_LEVEL or "/" not in name or ".." in name:
                    yield file.path, line, f'"{name}" does not name its folder'
                elif file.folder in LAYERS and (
                        target not in LAYERS or LAYERS.index(target) > LAYERS.index(file.folder)):
                    yield file.path, line, f"{file.folder}/ must not include {target}/"
            elif TORCH.match(name) and file.folder in LAYERS:
                if file.folder != "models" and not file.path.startswith("engine/torch_runner."):
                    yield file.path, line, f"LibTorch ({name}) outside models/, torch_runner"
            elif CUDA.match(name) and not file.path.startswith(("kernels/cuda/", "tests/kernels")):
                yield file.path, line, f"CUDA ({name}) outside kernels/cuda/"


def rule_headers(files, root):
    """`#pragma once`, then a comment; no `using namespace`; x.cpp includes its x.h first."""
    paths = {file.path for file in files}
    for file in files:
        if file.is_header:
            lines = [line for line in file.lines if line.strip()]
            if not lines or lines[0] != "#pragma once":
                yield file.path, 1, "does not start with #pragma once"
            elif len(lines) < 2 or not lines[1].startswith("//"):
                yield file.path, 2, "has no first comment (what it is, who owns it, which thread)"
            for match in re.finditer(r"\busing\s+namespace\b", cpp_text.blank(file.text)):
                line = file.text.count("\n", 0, match.start()) + 1
                yield file.path, line, "`using namespace` in a header"
        elif file.suffix == ".cpp":
            own = file.path[:-4] + ".h"
            first = next(file.includes(), (1, "", ""))
            if own in paths and first[2] != own:
                yield file.path, first[0], f'does not include "{own}" first'


def rule_preprocessor(files, root):
    """`#if` only under kernels/cpu/ and kernels/cuda/."""
    for file in files:
        if not file.is_cpp or file.path.startswith(("kernels/cpu/", "kernels/cuda/")):
            continue
        for number, line in enumerate(cpp_text.blank(file.text).split("\n"), 1):
            if re.match(r"\s*#\s*(?:if|ifdef|ifndef|elif)\b", line):
                yield file.path, number, "#if outside kernels/cpu/ and kernels/cuda/"


def rule_lengths(files, root):
    """Lines, functions, files, headers and the root CMakeLists.txt have a maximum."""
    for file in files:
        if file.is_golden or file.suffix not in CPP | SCRIPTS and file.path != "CMakeLists.txt":
            continue
        for number, line in enumerate(file.lines, 1):
            is_data = file.path.startswith("tests/golden/")  # generators hold lines of sample text
            if len(line) > MAX["line"] and not is_data:
                yield file.path, number, f"line of {len(line)} columns (max {MAX['line']})"
        n_lines = len(file.text.splitlines())
        limit = MAX["header"] if file.is_header else MAX["file"]
        limit = MAX["root_cmake"] if file.path == "CMakeLists.txt" else limit
        if n_lines > limit:
            yield file.path, 1, f"file of {n_lines} lines (max {limit})"
        if file.is_cpp:
            for first, last, device in cpp_text.functions(file.text):
                limit = MAX["device" if device else "function"]
                if last - first + 1 > limit:
                    yield file.path, first, f"function of {last - first + 1} lines (max {limit})"


def rule_comments(files, root):
    """No mark without an issue number, no commented-out code."""
    for file in files:
        if file.is_golden or file.path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(file.lines, 1):
            if BARE_MARK.search(line):
                yield file.path, number, "mark without an issue number: NAME(#12): what"
            comment = re.match(r"^\s*//+ ?\s*(.*?)\s*$", line) if file.is_cpp else None
            if comment and DEAD_CODE.match(comment.group(1)):
                yield file.path, number, "commented-out code"


def rule_whitespace(files, root):
    """No tabs, no blanks at line ends, one line break at the end."""
    for file in files:
        if file.is_golden:
            continue
        for number, line in enumerate(file.lines, 1):
            if "\t" in line and os.path.basename(file.path) != "Makefile":
                yield file.path, number, "tab"
            if line != line.rstrip():
                yield file.path, number, "blank at the end of the line"
        if file.text and (not file.text.endswith("\n") or file.text.endswith("\n\n")):
            yield file.path, len(file.lines), "file does not end with exactly one line break"


def rule_paths(files, root):
    """No path of somebody's machine."""
    for file in files:
        if file.path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(file.lines, 1):
            match = MACHINE_PATH.search(line)
            if match and len(line) < 10_000:
                yield file.path, number, f"path of one machine ({match.group()})"


def rule_readme(files, root):
    """Each folder at the top has a README.md; no other folder appears there."""
    paths = {file.path for file in files}
    for entry in sorted(p.name for p in root.iterdir() if p.is_dir()):
        if entry in SKIPPED_FOLDERS or entry.startswith("."):
            continue
        if entry not in TOP_LEVEL:
            yield entry, 1, f"folder outside the plan: {', '.join(TOP_LEVEL)}"
        elif f"{entry}/README.md" not in paths:
            yield f"{entry}/README.md", 1, "missing"


def rule_shell(files, root):
    """Shell scripts parse."""
    for file in files:
        if file.suffix == ".sh" or file.text.startswith("#!/usr/bin/env bash"):
            done = subprocess.run(["bash", "-n", file.path], cwd=root, capture_output=True,
                                  text=True)
            if done.returncode:
                yield file.path, 1, done.stderr.strip().split("\n")[0]


def rule_format(files, root):
    """clang-format 14 would change nothing."""
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        yield ".clang-format", 1, "clang-format is not installed (cmake/setup.sh test)"
        return
    paths = [file.path for file in files if file.is_cpp]

    def run(path):
        done = subprocess.run([tool, "--dry-run", "-Werror", path], cwd=root, capture_output=True,
                              text=True)
        found = re.search(r":(\d+):\d+: error:", done.stderr)
        return path, done.returncode, int(found.group(1)) if found else 1

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, code, line in pool.map(run, paths):
            if code:
                yield path, line, "clang-format would change it (make format)"


RULES = {name[5:]: rule for name, rule in list(globals().items()) if name.startswith("rule_")}


def allowed(lines, line, rule):
    """A rule may be broken next to a comment that says why: `tidy-allow(rule): reason`."""
    near = range(max(0, line - 3), min(len(lines), line + 1))
    if rule == "lengths" and line == 1:
        near = range(len(lines))  # length of the file
    return any((found := ALLOW.search(lines[i])) and found.group(1) == rule for i in near)


def violations(root, only=None):
    files = read_tree(root)
    lines = {file.path: file.lines for file in files}
    for name, rule in RULES.items():
        if only and name not in only:
            continue
        for path, line, message in rule(files, root):
            if not allowed(lines.get(path, []), line, name):
                yield f"{path}:{line}: [{name}] {message}"


def lone_headers(root):
    """Headers that no .cpp of the same name includes first, as "torch PATH" or "plain PATH"."""
    files = {file.path: file for file in read_tree(root) if file.is_cpp}
    needs_torch = {}

    def torch(path):
        if path not in needs_torch:
            needs_torch[path] = False  # ends cycles
            needs_torch[path] = any(
                TORCH.match(name) or (name in files and torch(name))
                for _, _, name in files[path].includes())
        return needs_torch[path]

    for path, file in files.items():
        if file.suffix == ".h" and file.folder in LAYERS and path[:-2] + ".cpp" not in files:
            if not path.startswith(("kernels/cpu/", "kernels/cuda/")):
                yield f"{'torch' if torch(path) else 'plain'} {path}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    parser.add_argument("--only", help=f"of: {', '.join(RULES)}")
    parser.add_argument("--lone-headers", action="store_true")
    args = parser.parse_args()
    root = args.root.resolve()
    if args.lone_headers:
        print("\n".join(lone_headers(root)))
        return 0
    found = list(violations(root, set(args.only.split(",")) if args.only else None))
    print("\n".join(found) if found else "tidy: clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
