#!/usr/bin/env python3
"""What bounds the attention kernels of head_dim 128, on paper, as a Markdown table.

  roofline.py [--cuobjdump PROGRAM] OBJECT...

A tile of 32 tokens is one turn of a kernel's loop, by one warp, for as many queries of a KV head as
the kernel takes. Its bytes have to wait for memory; its instructions take issue slots and pipes of
one of the four parts of a multiprocessor. All of this in cycles of a part, of which the larger
counts. All instructions of the loop are counted, those of rescaling too, which seldom run.
"""

import argparse
import dataclasses
import sys

sys.dont_write_bytecode = True
import gate  # noqa: E402  (beside this file)
import sass  # noqa: E402

TILE, DIM = 32, 128
FORMATS = (16, 8, 4, 3, 2)
FP32 = ("FFMA", "FMUL", "FADD")
ALU = ("LOP3", "PRMT", "SHF", "IADD3", "IADD", "VIADD", "ISETP", "FSETP", "SEL", "FSEL", "FMNMX",
       "FMNMX3", "LEA", "MOV")
SHARED = ("SHFL", "MOVM", "LDG", "LDL", "STL")  # one unit for all four parts


@dataclasses.dataclass(frozen=True)
class Device:
    """Sources of the numbers: kernels/cuda/README.md."""
    arch: str
    multiprocessors: int
    ghz: float
    gb_per_s: float
    fp32: int  # cycles that a part's pipe takes for one instruction of a warp
    imma: int
    hmma: int

    def memory_cycles(self, n_bytes):
        return n_bytes * self.multiprocessors * 4 * self.ghz / self.gb_per_s

    def pipe_cycles(self, loop):
        imad = loop.count("IMAD")
        return {
            "issue": len(loop.instructions),
            "FP32": max(self.fp32 * (loop.count(*FP32) + imad), 2 * imad),
            "ALU": 2 * loop.count(*ALU),
            "tensor": self.imma * loop.count("IMMA") + self.hmma * loop.count("HMMA"),
            "MUFU": 8 * loop.count("MUFU"),
            "load": 4 * loop.count(*SHARED),
        }


DEVICES = {
    "A100": Device("sm_80", 108, 1.41, 2039, 2, 8, 8),
    "H100": Device("sm_90", 132, 1.755, 3350, 1, 8, 8),
    "L40S": Device("sm_89", 142, 2.52, 864, 1, 16, 16),
    "RTX 4090": Device("sm_89", 128, 2.52, 1008, 1, 16, 32),
    "B200": Device("sm_100", 148, 1.85, 8000, 1, 8, 8),
}


def tile_bytes(bits):
    """Codes of both halves, and the scale bytes and exponents of coded ones."""
    scales = TILE * (DIM // 16 + DIM // 64) + 2 if bits < 16 else 0
    return 2 * TILE * DIM * bits // 8 + scales


def loops_by_kernel(kernels):
    """{(bits, queries): {arch: the loop over sealed tiles}}"""
    found = {}
    for kernel in kernels:
        measured = gate.measure(kernel, [])
        k_bits, v_bits, dim, queries = gate.attend_sizes(measured.name) or (0, 1, 0, 0)
        if k_bits == v_bits and dim == DIM and not gate.is_biased(measured.name):
            found.setdefault((k_bits, queries), {})[kernel.arch] = measured.loops[0]
    return found


def code_for(device, loops):
    """The device's own code, or that of the last architecture before it."""
    def number(arch):
        return int(arch.removeprefix("sm_"))
    return loops[max((arch for arch in loops if number(arch) <= number(device.arch)), key=number)]


def table(kernels):
    found = loops_by_kernel(kernels)
    yield "| format | queries | bytes / token | " + " | ".join(DEVICES) + " |"
    yield "|---|--:|--:|" + "---|" * len(DEVICES)
    for bits in FORMATS:
        for queries in (4, 8):
            n_bytes = tile_bytes(bits)
            cells = []
            for device in DEVICES.values():
                memory = device.memory_cycles(n_bytes)
                pipes = device.pipe_cycles(code_for(device, found[bits, queries]))
                pipe = max(pipes, key=pipes.get)
                gain = tile_bytes(16) / n_bytes * min(1.0, memory / pipes[pipe])
                cells.append(f"{memory:.0f}, {pipe} {pipes[pipe]:.0f}: {gain:.1f}x")
            name = "bf16" if bits == 16 else f"tq{bits}"
            yield f"| {name} | {queries} | {n_bytes / TILE:.1f} | " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("objects", nargs="+")
    options = parser.parse_args()
    print("\n".join(table([kernel for path in options.objects
                           for kernel in sass.read(options.cuobjdump, path)])))


if __name__ == "__main__":
    main()
