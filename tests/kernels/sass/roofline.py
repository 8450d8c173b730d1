#!/usr/bin/env python3
"""What bounds the kernels of kernels/cuda, on paper, as Markdown tables.

  roofline.py [--cuobjdump PROGRAM] OBJECT...

Bytes have to wait for memory; instructions take issue slots and pipes of one of the four parts of a
multiprocessor. All of this in cycles of a part, of which the larger counts. Instructions are those
of the machine code: whole loops, or the shortest way through what a warp has to do (ways.py).
head_dim is 128. A table whose kernels are not in the objects is left out.
"""

import argparse
import collections
import dataclasses
import sys

sys.dont_write_bytecode = True
import gate  # noqa: E402  (beside this file)
import bounds  # noqa: E402
import sass  # noqa: E402

FP32 = ("FFMA", "FMUL", "FADD")
ALU = ("LOP3", "PRMT", "SHF", "IADD3", "IADD", "VIADD", "ISETP", "FSETP", "SEL", "FSEL", "FMNMX",
       "FMNMX3", "LEA", "MOV", "IMNMX", "VIMNMX", "VIMNMX3")
SHARED = ("SHFL", "MOVM", "LDG", "STG", "LDS", "STS", "LDL", "STL")  # one unit for all four parts
FP64 = ("DADD", "DMUL", "DFMA", "F2F")
PIPES = ("issue", "FP32", "ALU", "tensor", "MUFU", "load", "FP64")


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
    fp64: int

    def memory_cycles(self, n_bytes):
        """Of a part, whose share of the bandwidth is that of one of all parts."""
        return n_bytes * self.multiprocessors * 4 * self.ghz / self.gb_per_s

    def pipe_cycles(self, code):
        imad = code.count("IMAD")
        return {
            "issue": len(code.instructions),
            "FP32": max(self.fp32 * (code.count(*FP32) + imad), 2 * imad),
            "ALU": 2 * code.count(*ALU),
            "tensor": self.imma * code.count("IMMA") + self.hmma * code.count("HMMA"),
            "MUFU": 8 * code.count("MUFU", "F2F", "F2I", "POPC", "FLO"),
            "load": 4 * code.count(*SHARED),
            "FP64": self.fp64 * code.count(*FP64),
        }

    def work_cycles(self, work):
        """Of [(times, code)]: the pipe that takes longest, and how long."""
        total = collections.Counter()
        for times, code in work:
            for pipe, cycles in self.pipe_cycles(code).items():
                total[pipe] += times * cycles
        return max(total.items(), key=lambda item: item[1])


DEVICES = {
    "A100": Device("sm_80", 108, 1.41, 2039, 2, 8, 8, 4),
    "H100": Device("sm_90", 132, 1.755, 3350, 1, 8, 8, 2),
    "L40S": Device("sm_89", 142, 2.52, 864, 1, 16, 16, 64),
    "RTX 4090": Device("sm_89", 128, 2.52, 1008, 1, 16, 32, 64),
    "B200": Device("sm_100", 148, 1.85, 8000, 1, 8, 8, 2),
}


class Kernels:
    """Kernels of all objects, by short name and architecture."""

    def __init__(self, kernels):
        self.found = collections.defaultdict(dict)
        for kernel in kernels:
            self.found[gate.short_name(kernel.name)][kernel.arch] = kernel

    def has(self, *names):
        return all(name in self.found for name in names)

    def of(self, name, device):
        """The device's own code, or that of the last architecture before it."""
        def number(arch):
            return int(arch.removeprefix("sm_"))
        kernels = self.found[name]
        return kernels[max((arch for arch in kernels if number(arch) <= number(device.arch)),
                           key=number)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("objects", nargs="+")
    options = parser.parse_args()
    kernels = Kernels([kernel for path in options.objects
                       for kernel in sass.read(options.cuobjdump, path)])
    for names, table in bounds.TABLES:
        if kernels.has(*names):
            print("\n".join(table(kernels, DEVICES)) + "\n")


if __name__ == "__main__":
    main()
