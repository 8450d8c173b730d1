#!/usr/bin/env bash
# clang-tidy with .clang-tidy over the files of a build: cmake/lint.sh BUILD_DIR [FILE...]
# Without files: all of them, or only those that differ from the commit LINT_SINCE.
#
# CUDA: clang 14 knows neither CUDA 13 nor its headers for devices. Kernels are read as the tests
# compile them for the CPU, against tests/kernels/simt, which is all of their source but for the PTX
# of ptx.cuh; files of calls to the CUDA runtime as ordinary C++.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
shift

# clang cannot read GCC's precompiled headers: a copy of the commands goes without.
mkdir -p "$build/lint"
python3 - "$build" >"$build/lint/files.txt" <<'PYTHON'
import json, os, re, shlex, sys
build = sys.argv[1]
root = os.getcwd()
folders = ("config", "quant", "kernels", "models", "engine", "server", "bench", "tests")
commands, files = [], set()
entries = json.load(open(os.path.join(build, "compile_commands.json")))
is_nvcc = re.compile(r"\S*nvcc(?=\s)").search
for_cpu = {entry["file"] for entry in entries if not is_nvcc(entry["command"])}
for entry in entries:
    path = os.path.relpath(entry["file"], root)
    if path.split(os.sep)[0] not in folders:
        continue
    words = shlex.split(entry["command"])
    while words and not re.search(r"(?:g\+\+|c\+\+|clang\+\+|nvcc)[\d.-]*$", words[0]):
        words.pop(0)  # ccache and its environment
    kept, skip = [], 0
    for i, word in enumerate(words):
        if skip:
            skip -= 1
        elif word in ("-Winvalid-pch", "-fpch-preprocess"):
            continue
        elif word == "-include" and "cmake_pch" in words[i + 1]:
            skip = 1
        else:
            kept.append(word)
    if kept[0].endswith("nvcc"):
        if entry["file"] in for_cpu:
            continue
        toolkit = os.path.dirname(os.path.dirname(kept[0]))
        kept = ["c++", "-std=c++20", "-isystem", os.path.join(toolkit, "include"), "-I" + root,
                "-x", "c++", "-c", entry["file"]]
    entry["command"] = shlex.join(kept)
    commands.append(entry)
    files.add(path)
json.dump(commands, open(os.path.join(build, "lint", "compile_commands.json"), "w"))
print("\n".join(sorted(files)))
PYTHON

if (($#)); then
  printf '%s\n' "$@" >"$build/lint/files.txt"
elif [[ -n ${LINT_SINCE:-} ]]; then
  git diff --name-only "$LINT_SINCE" | grep -Fxf "$build/lint/files.txt" \
    >"$build/lint/some.txt" || true
  mv "$build/lint/some.txt" "$build/lint/files.txt"
fi
printf 'lint: clang-tidy over %s files\n' "$(grep -c . "$build/lint/files.txt")"
# GCC's own -Wno-... options are no news. In a template clang 14 warns of braces that it elided
# itself.
xargs -r -d '\n' -n 1 -P "$(nproc)" clang-tidy --quiet -p "$build/lint" \
  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-c99-designator \
  --extra-arg=-Wno-missing-braces <"$build/lint/files.txt"
