#!/usr/bin/env python3
"""Runs the tests of a device under one tool of NVIDIA's compute-sanitizer.

  sanitize.py [--sanitizer PROGRAM] TOOL TESTS

TESTS is tq_cuda_test, TOOL one of memcheck, racecheck, synccheck and initcheck. Ends with 1 where
the tool finds something, with 77 (skipped) where there is no device or no compute-sanitizer; under
TQ_REQUIRE_CUDA=1 these are failures too.
"""

import argparse
import os
import shutil
import subprocess
import sys

SKIPPED = 77
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
# The tools slow kernels a hundred times: all but the long ones.
TESTS = "~[simulation]~\"every pair of formats and head_dim equals the oracle\""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sanitizer", default="compute-sanitizer")
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("tests")
    arguments = parser.parse_args()
    found = subprocess.run([arguments.tests, "--list-tags"], stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:  # no device: the program says so, and whether that is a failure
        print(found.stdout, end="")
        return found.returncode
    if shutil.which(arguments.sanitizer) is None:
        print("no compute-sanitizer here (it comes with the CUDA toolkit)")
        return 1 if os.environ.get("TQ_REQUIRE_CUDA") == "1" else SKIPPED
    return subprocess.run([arguments.sanitizer, "--tool", arguments.tool, "--error-exitcode", "1",
                           arguments.tests, TESTS]).returncode


if __name__ == "__main__":
    sys.exit(main())
