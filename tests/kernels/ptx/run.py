#!/usr/bin/env python3
"""Runs the CUDA kernels' PTX, as nvcc embedded it, under the tests of the emulated backend.

  run.py [--cuobjdump PROGRAM] [--faults] TESTS [OBJECT]

TESTS is tq_cuda_emulated_test. All kernels of OBJECT must run and pass. --faults plants those of
faults.py in the PTX instead, one at a time, and each must be seen. Ends with 1 where something is
wrong, with 77 (skipped) where there is no object, no cuobjdump, or no PTX in the object.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from faults import FAULTS  # noqa: E402  (beside this file)

SKIPPED = 77
# Minutes of the same kernels again: their place is the run from source.
TESTS = "[every_kernel],~[simulation]~\"every pair of formats and head_dim equals the oracle\""
RUN_SECONDS = 1500  # a bound, far from what it takes


class Broken(Exception):
    """A fault that could not be tried."""


def run_tests(program, path, *arguments):
    """(whether all passed, what was printed)"""
    done = subprocess.run([program, *arguments], env={**os.environ, "TQ_PTX": str(path)}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=RUN_SECONDS)
    if "No test cases matched" in done.stdout or "ptx: ran" not in done.stdout:
        raise Broken(f"no test of PTX ran: {done.stdout[:300]}")
    return done.returncode == 0, done.stdout


def check_all(program, path):
    passed, text = run_tests(program, path, TESTS)
    print(text)
    return 0 if passed and "ptx: not run" not in text else 1


def plant(text, kernel, pattern, replacement, number):
    """The text with the number-th match (from 0; from -1 backwards) in a kernel replaced."""
    start = re.search(rf"^\.(?:visible \.)?entry \w*{kernel}\w*\($", text, re.MULTILINE)
    if start is None:
        raise Broken(f"there is no kernel {kernel}")
    end = text.index("\n}\n", start.end())
    matches = list(re.compile(pattern, re.MULTILINE).finditer(text, start.end(), end))
    if not -len(matches) <= number < len(matches):
        raise Broken(f"{len(matches)} matches of {pattern!r} in {kernel}")
    match = matches[number]
    return text[:match.start()] + match.expand(replacement) + text[match.end():]


def check_faults(program, text, folder):
    n_caught = 0
    for what, kernel, pattern, replacement, number, case in FAULTS:
        path = folder / "fault.ptx"
        try:
            path.write_text(plant(text, kernel, pattern, replacement, number))
            passed, printed = run_tests(program, path, "--abort", case.replace(",", r"\,"))
            # The emulator's words, which Catch2 breaks into lines; without them a result was wrong.
            reason = re.search(r" thread \d+: ([^;]*;)|: (an unknown [^;]*;)",
                               " ".join(printed.split()))
            verdict = "SURVIVED" if passed else (
                f"caught: {reason[1] or reason[2]}" if reason else "caught: a wrong result")
        except Broken as error:
            verdict = f"broken: {error}"
        n_caught += verdict.startswith("caught")
        print(f"{what}: {verdict}", flush=True)
    print(f"caught {n_caught}/{len(FAULTS)}")
    return 0 if n_caught == len(FAULTS) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("tests", type=pathlib.Path)
    parser.add_argument("object", nargs="?")
    options = parser.parse_args()
    cuobjdump = shutil.which(options.cuobjdump)
    if options.object is None or cuobjdump is None:
        print("skipped: " + ("built without CUDA" if options.object is None else
                             "there is no cuobjdump (cmake/setup.sh sass)"))
        return SKIPPED
    text = subprocess.run([cuobjdump, "--dump-ptx", options.object], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    if ".entry" not in text:
        print("skipped: built for real devices only, so without PTX")
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if options.faults:
            return check_faults(options.tests, text, folder)
        path = folder / "kernels.ptx"
        path.write_text(text)
        return check_all(options.tests, path)


if __name__ == "__main__":
    sys.exit(main())
