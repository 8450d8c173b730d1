#!/usr/bin/env python3
"""Holds the machine code of kernels/cuda to the limits in limits.txt and loops.txt.

  gate.py [--cuobjdump PROGRAM] [--table FILE] [--update] [OBJECT...]

--table writes what was measured as Markdown, --update writes loops.txt anew from it. Ends with 1
where a limit is broken, with 77 (skipped) where there is no object or no cuobjdump.
"""

import argparse
import dataclasses
import fnmatch
import math
import pathlib
import re
import shutil
import sys

sys.dont_write_bytecode = True
import sass  # noqa: E402  (beside this file)

HERE = pathlib.Path(__file__).parent
SKIPPED = 77
REGISTERS = 65536  # of a multiprocessor, given to a warp in portions of 256
VALUE_BITS = (16, 8, 4, 3, 2)  # columns of loops.txt
BIAS_INSTRUCTIONS = 520  # of a key bias, in a loop, at most: its own loops are unrolled in part


@dataclasses.dataclass(frozen=True)
class Device:
    """CUDA C++ Programming Guide, table of compute capabilities."""
    warps: int
    shared: int    # bytes of a multiprocessor
    reserved: int  # of them, for each block, beside what the listing counts (since sm_90: all)


DEVICES = {"sm_80": Device(64, 164 << 10, 1024), "sm_86": Device(48, 100 << 10, 1024),
           "sm_89": Device(48, 100 << 10, 1024), "sm_90": Device(64, 228 << 10, 0),
           "sm_100": Device(64, 228 << 10, 0), "sm_120": Device(48, 100 << 10, 0)}


@dataclasses.dataclass(frozen=True)
class Limit:
    """A line of limits.txt."""
    kernel: str
    archs: str
    threads: int
    dynamic_shared: int
    registers: int
    blocks: int

    def fits(self, name, arch):
        return fnmatch.fnmatchcase(name, self.kernel) and (
            self.archs == "*" or arch in self.archs.split(","))


def short_name(mangled):
    """_ZN2tq..6attendILi4ELi2ELi64ELi8EEE.. is attend<4,2,64,8>; an enumerator is its number."""
    at, names = len("_ZN"), []
    while found := re.compile(r"\d+").match(mangled, at):
        at = found.end() + int(found.group())
        names.append(mangled[found.end():at])
    arguments = re.compile(r"I((?:L(?:i|N\w+?E)\d+E)+)E").match(mangled, at)
    return names[-1] + (f"<{','.join(re.findall(r'(?:Li|E)([0-9]+)E', arguments.group(1)))}>"
                        if arguments else "")


# Whose arithmetic has the CPU's bits (kernels/token_weight.h).
UNCONTRACTED = ("weigh_kernel", "settle_kernel")


def attend_sizes(name):
    """(bits of keys, of values, head_dim, queries) of an attention kernel, or None."""
    if found := re.fullmatch(r"attend_biased<(\d+),(\d+),(\d+)>", name):
        return tuple(map(int, found.groups())) + (8,)
    found = re.fullmatch(r"attend<(\d+),(\d+),(\d+),(\d+)>", name)
    return tuple(map(int, found.groups())) if found else None


def is_biased(name):
    return name.startswith("attend_biased<")


def work(k_bits, v_bits, dim, queries):
    """What a loop over tiles must hold, by kernels/cuda/attend_*.cuh: no more, no less."""
    steps, products = math.ceil(dim / 32), queries // 4
    loads = {16: 4, 8: 2, 4: 1, 3: 2, 2: 1}
    terms = {16: 0, 8: 1, 4: 2, 3: 1, 2: 1}
    return {
        "IMMA": 2 * steps * (products * terms[k_bits] + terms[v_bits]),
        "HMMA": 4 * steps * (products * (k_bits == 16) + (v_bits == 16)),
        "LDG.128": steps * (loads[k_bits] + loads[v_bits]),
    }


def vector_loads(name):
    """LDG.128 that a kernel of rows holds, at least, by kernels/cuda/layers.cu."""
    norm = re.fullmatch(r"norm_kernel<\d,(\d+)>", name)
    if norm:
        return 2 * int(norm.group(1))  # x and weights
    return 2 if name.startswith("swiglu_kernel<") else 0  # gate and up


def row_products(name):
    """HMMA of a prefill kernel's one loop, by kernels/cuda/attend_rows_steps.cuh; or None."""
    rows = re.fullmatch(r"attend_rows<(\d+)>", name)
    return int(rows.group(1)) // 2 if rows else None


def blocks_per_multiprocessor(kernel, limit):
    device = DEVICES[kernel.arch]
    warps = math.ceil(limit.threads / 32)
    by_registers = REGISTERS // (math.ceil(kernel.registers * 32 / 256) * 256) // warps
    shared = limit.dynamic_shared + kernel.shared + device.reserved
    return min(by_registers, device.warps // warps, device.shared // max(shared, 1))


@dataclasses.dataclass
class Measured:
    """A kernel beside its limits."""
    name: str
    kernel: sass.Kernel
    limit: Limit | None
    loops: list  # with tensor-core instructions: of sealed tiles, then of hot ones

    def blocks(self):
        return blocks_per_multiprocessor(self.kernel, self.limit)


def measure(kernel, limits):
    name = short_name(kernel.name)
    limit = next((limit for limit in limits if limit.fits(name, kernel.arch)), None)
    opcodes = ("IMMA", "HMMA") if attend_sizes(name) or row_products(name) else ()
    loops = sass.loops(kernel.instructions, *opcodes)
    return Measured(name, kernel, limit, loops)


def check_loop(loop, what, expected, budget):
    n = len(loop.instructions)
    if budget is None:
        yield f"{what} has no budget in loops.txt"
    elif n > budget:
        yield f"{what} has {n} instructions (at most {budget})"
    for opcode, count in expected.items():
        if loop.count(opcode) != count:
            yield f"{what} has {loop.count(opcode)} {opcode}, not {count}"
    if loop.calls():
        yield f"{what} calls a function"


def check(measured, budgets):
    """What is wrong with one kernel, as sentences."""
    kernel, limit = measured.kernel, measured.limit
    if limit is None:
        yield "has no line in limits.txt"
        return
    if not kernel.instructions or not kernel.registers:
        yield "its code or its resources were not found"
    code = sass.Loop(kernel.instructions)
    for what, value, most in (("registers", kernel.registers, limit.registers),
                              ("bytes of stack", kernel.stack, 0),
                              ("bytes of local memory", kernel.local, 0),
                              ("accesses to local memory", code.count("LDL", "STL"), 0)):
        if value > most:
            yield f"{value} {what} (at most {most})"
    if measured.blocks() < limit.blocks:
        yield f"{measured.blocks()} blocks to a multiprocessor (at least {limit.blocks})"
    n_loads = code.count("LDG.128")
    if n_loads < vector_loads(measured.name):
        yield f"{n_loads} loads of 16 bytes (at least {vector_loads(measured.name)})"
    n_fused = code.count("FFMA", "DFMA")
    if n_fused and measured.name in UNCONTRACTED:
        yield f"{n_fused} fused multiply-adds, where the CPU rounds twice"
    products = row_products(measured.name)
    if products is not None and [loop.count("HMMA") for loop in measured.loops] != [products]:
        yield f"its loops have not just {products} HMMA in all"
    sizes = attend_sizes(measured.name)
    if sizes is None:
        return
    if len(measured.loops) != 2:
        yield f"{len(measured.loops)} loops with tensor-core instructions, not 2"
        return
    hot = ("hot", 16) + sizes[2:]
    for loop, what, halves, key in zip(measured.loops, ("the loop of sealed tiles",
                                                        "the loop of hot tiles"),
                                       (sizes, (16, 16) + sizes[2:]), (sizes, hot)):
        budget = budgets.get(key)
        if budget is not None and is_biased(measured.name):
            budget += BIAS_INSTRUCTIONS
        yield from check_loop(loop, what, work(*halves), budget)


def rows_of(path):
    lines = (line.split("#")[0].split() for line in path.read_text().splitlines())
    return [words for words in lines if words]


def read_limits(path=HERE / "limits.txt"):
    return [Limit(words[0], words[1], *map(int, words[2:])) for words in rows_of(path)]


def read_budgets(path=HERE / "loops.txt"):
    """{(keys' bits or "hot", values' bits, head_dim, queries): instructions}"""
    budgets = {}
    for keys, dim, queries, *numbers in rows_of(path):
        k_bits = keys if keys == "hot" else int(keys)
        for v_bits, number in zip(VALUE_BITS, numbers):
            budgets[k_bits, v_bits, int(dim), int(queries)] = int(number)
    return budgets


def budgets_text(measured, old_text):
    """loops.txt with budgets 3 % above the largest count of any architecture; keeps its head."""
    largest = {}
    for one in measured:
        sizes = attend_sizes(one.name)
        if sizes is None or is_biased(one.name) or len(one.loops) != 2:
            continue
        for key, loop in zip((sizes, ("hot", 16) + sizes[2:]), one.loops):
            largest[key] = max(largest.get(key, 0), len(loop.instructions))
    lines = [line for line in old_text.splitlines() if line.startswith("#")]
    for keys in ("hot",) + VALUE_BITS:
        for dim in sorted({key[2] for key in largest if key[0] == keys}):
            for queries in (4, 8):
                counts = [largest.get((keys, v_bits, dim, queries)) for v_bits in VALUE_BITS]
                lines.append(f"{keys:>5} {dim:9} {queries:8}   " + "".join(
                    f"{math.ceil(n * 1.03):7}" for n in counts if n is not None))
    return "\n".join(lines) + "\n"


def table(measured):
    yield ("| kernel | arch | registers | shared, bytes | blocks / SM | loop | IMMA | HMMA | "
           "LDG.128 |")
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for one in sorted((one for one in measured if one.limit), key=lambda one: (
            len(one.kernel.arch), one.kernel.arch, attend_sizes(one.name) or (), one.name)):
        loop = one.loops[0] if attend_sizes(one.name) else None
        counts = [len(loop.instructions)] + [
            loop.count(opcode) for opcode in ("IMMA", "HMMA", "LDG.128")] if loop else [""] * 4
        shared = one.limit.dynamic_shared + one.kernel.shared
        cells = [f"`{one.name}`", one.kernel.arch, one.kernel.registers, shared, one.blocks(),
                 *counts]
        yield "| " + " | ".join(map(str, cells)) + " |"


HEAD = """# What nvcc makes of kernels/cuda

`make sass`; no GPU is needed, and none was used. `attend<bits of keys, of values, head_dim,
queries>`; loop: instructions of its loop over sealed tiles, for one tile of 32 tokens. No kernel
has a stack, local memory or spilled registers.

"""


def report(measured):
    return HEAD + "\n".join(table(measured)) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("objects", nargs="*")
    options = parser.parse_args()
    cuobjdump = shutil.which(options.cuobjdump)
    if not options.objects or cuobjdump is None:
        print("skipped: " + ("built without CUDA" if not options.objects else
                             "there is no cuobjdump (cmake/setup.sh sass)"))
        return SKIPPED
    limits = read_limits()
    measured = [measure(kernel, limits) for path in options.objects
                for kernel in sass.read(cuobjdump, path)]
    budgets_path = HERE / "loops.txt"
    if options.update:
        budgets_path.write_text(budgets_text(measured, budgets_path.read_text()))
    budgets = read_budgets(budgets_path)
    n_wrong = 0
    for one in measured:
        for message in check(one, budgets):
            n_wrong += 1
            print(f"{one.name} {one.kernel.arch}: {message}")
    if options.table and measured:
        options.table.write_text(report(measured))
    archs = sorted({one.kernel.arch for one in measured}, key=lambda arch: int(arch[3:]))
    print(f"{len(measured)} kernels ({', '.join(archs)}): {n_wrong} limits broken")
    return 1 if n_wrong or not measured else 0


if __name__ == "__main__":
    sys.exit(main())
