#!/usr/bin/env python3
"""Plants faults in the CUDA kernels' source, one at a time, and sees that a test fails on each.

  mutate.py BUILD_DIR [WORDS...]     faults whose file or description holds one of the words;
                                     default: all

Each fault (mutants.py) is a change of a few characters in a copy of one file. The unit that holds
it is compiled for the CPU, as for tq_cuda_emulated_test, linked with the rest of that program, and
run on the one test case that should see it. The unchanged source goes first and must pass. Ends
with 1 if a fault survives, or no longer applies.
"""

import argparse
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from mutants import MUTANTS  # noqa: E402  (beside this file)

ROOT = pathlib.Path(__file__).resolve().parents[3]
KERNELS = pathlib.Path("kernels/cuda")
PROGRAM = "tq_cuda_emulated_test"
LIBRARY = "tq_cuda_emulated"  # of the objects that it is linked with, which come first
OBJECTS = f"tests/kernels/CMakeFiles/{LIBRARY}.dir/"
UNCHANGED = ("the unchanged source", "append.cu", "", "", "append",
             "a batch without tokens does nothing")
RUN_SECONDS = 900  # a bound, far from what a test case takes


class Broken(Exception):
    """A fault that could not be tried."""


class Program:
    """How the build makes PROGRAM, and how to make one with a unit of it replaced."""

    def __init__(self, build):
        self.build = build
        commands = subprocess.run(["ninja", "-C", build, "-t", "commands", PROGRAM], check=True,
                                  text=True, stdout=subprocess.PIPE).stdout.splitlines()
        self.link = next(line for line in commands if f" -o bin/{PROGRAM} " in line)
        self.compile = {}
        for line in commands:
            unit = re.search(rf"{LIBRARY}\.dir/\S*{KERNELS}/(\w+)\.cu\.o -c ", line)
            if unit:
                self.compile[unit.group(1)] = line

    def run(self, command):
        done = subprocess.run(command, cwd=self.build, shell=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Broken(f"does not build:\n{done.stdout[-2000:]}")

    def make(self, unit, folder):
        """Compiles the unit with the files in `folder` before the tree's own, then links."""
        line = self.compile[unit]
        source, output = (re.search(rf" {option} (\S+)", line).group(1) for option in ("-c", "-o"))
        ours = folder / KERNELS / f"{unit}.cu"
        compiler = line[line.index("/c++ "):]  # without ccache
        compiler = line[:line.index("/c++ ")].split()[-1] + compiler
        compiler = re.sub(r" -MD -MT \S+ -MF \S+", "", compiler).replace(" -O3 ", " -O1 ", 1)
        compiler = compiler.replace(" -I", f" -I{shlex.quote(str(folder))} -I", 1)
        compiler = compiler.replace(f" -o {output}", f" -o {folder}/unit.o")
        self.run(compiler.replace(f" -c {source}", f" -c {ours if ours.exists() else source}"))
        # First, since the linker keeps the first copy of a template that several units have.
        link = self.link.replace(f" {output} ", " ")
        self.run(link.replace(f" {OBJECTS}", f" {folder}/unit.o {OBJECTS}", 1)
                 .replace(f" -o bin/{PROGRAM} ", f" -o {folder}/program "))
        return folder / "program"


def change(file, old, new, folder):
    text = (ROOT / KERNELS / file).read_text()
    if old and text.count(old) != 1:
        raise Broken(f"{old!r} occurs {text.count(old)} times in {file}")
    copy = folder / KERNELS / file
    copy.parent.mkdir(parents=True)
    copy.write_text(text.replace(old, new) if old else text)


def passes(program, mutant):
    """Whether the test case passes; it stops at its first failure."""
    _, file, old, new, unit, case = mutant
    with tempfile.TemporaryDirectory(dir=program.build) as name:
        folder = pathlib.Path(name)
        change(file, old, new, folder)
        path = program.make(unit, folder)
        try:
            done = subprocess.run([path, "--abort", case.replace(",", r"\,")], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            return False
    if "No test cases matched" in done.stdout:
        raise Broken(f"there is no test case {case!r}")
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS
              if not options.words or any(word in text for word in options.words
                                         for text in mutant[:2])]
    program = Program(options.build.resolve())
    if not passes(program, UNCHANGED):
        print("the unchanged source fails")
        return 1
    caught, bad = 0, []
    for mutant in chosen:
        try:
            verdict = "SURVIVED" if passes(program, mutant) else "caught"
        except Broken as error:
            verdict = f"broken: {error}"
        caught += verdict == "caught"
        if verdict != "caught":
            bad.append(mutant[0])
        print(f"{mutant[1]:18} {mutant[0]}: {verdict}", flush=True)
    print(f"caught {caught}/{len(chosen)}" + "".join(f"\n  not: {name}" for name in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
