"""The gate on listings made here: one that passes, and what each fault makes of it."""

import unittest

import gate
import sass

MANGLED = "_ZN2tq7kernels4cuda6attendILi4ELi4ELi64ELi4EEEvNS1_12AttendParamsE"
NAME = "attend<4,4,64,4>"
NORM = ("_ZN2tq7kernels4cuda8_GLOBAL_11norm_kernelILNS0_11ElementTypeE2ELi4EEEvNS0_"
        "14DeviceNormCallE")
LIMIT = gate.Limit("attend<*,*,64,*>", "*", 128, 8960, 168, 3)
BUDGETS = {(4, 4, 64, 4): 60, ("hot", 16, 64, 4): 60}


def listing(lines):
    """cuobjdump's text for instructions, 16 bytes each."""
    return "\n".join(f"        /*{16 * i:04x}*/{line:>40} ;   /* 0x0000000000000000 */\n"
                     f"{'':40}/* 0x000fe20000000a00 */" for i, line in enumerate(lines))


def loop(first, body):
    """A loop of a conditional branch back to instruction `first`, which is the first of `body`."""
    return body + [f"@P0 BRA 0x{16 * first:x}"]


SEALED = ["LDG.E.128.CONSTANT R4, [R2.64]"] * 4 + ["IMMA.16832.S8.S8 R8, R4, R6, RZ"] * 16
HOT = ["LDG.E.128.CONSTANT R4, [R2.64]"] * 16 + ["HMMA.16816.F32.BF16 R8, R4, R6, R8"] * 16


def kernel_text(sealed=SEALED, hot=HOT, before=("S2R R2, SR_TID.X",)):
    lines = list(before)
    lines += loop(len(lines), sealed)
    lines += loop(len(lines), hot)
    lines += ["EXIT", f"BRA 0x{16 * (len(lines) + 1):x}"]
    return f"arch = sm_90\n\t\tFunction : {MANGLED}\n" + listing(lines)


def resources(registers=168, stack=0, shared=1024, local=0):
    return (f"arch = sm_90\n Function {MANGLED}:\n"
            f"  REG:{registers} STACK:{stack} SHARED:{shared} LOCAL:{local} CONSTANT[0]:808\n")


def messages(resource_text, sass_text, limits=(LIMIT,), budgets=None):
    (kernel,) = sass.parse(resource_text, sass_text)
    return list(gate.check(gate.measure(kernel, limits), budgets or BUDGETS))


class Gate(unittest.TestCase):
    def expect(self, fragment, *texts, **others):
        found = messages(*texts, **others)
        self.assertEqual(len(found), 1, found)
        self.assertIn(fragment, found[0])

    def test_passes(self):
        self.assertEqual(messages(resources(), kernel_text()), [])

    def test_resources(self):
        code = kernel_text()
        self.expect("2 blocks", resources(shared=70 << 10), code)
        self.assertEqual(len(messages(resources(registers=176), code)), 2)  # and blocks
        self.expect("bytes of stack", resources(stack=8), code)
        self.expect("bytes of local memory", resources(local=8), code)
        for spill in ("STL [R1], R5", "LDL R5, [R1]"):
            self.expect("1 accesses to local memory", resources(),
                        kernel_text(before=("S2R R2, SR_TID.X", spill)))

    def test_loops(self):
        def sealed(fragment, body):
            self.expect(fragment, resources(), kernel_text(body))

        sealed("61 instructions", SEALED + ["IADD3 R1, R1, R2, R3"] * 40)
        sealed("3 LDG.128, not 4", ["LDG.E.64 R4, [R2]"] + SEALED[1:])
        sealed("15 IMMA, not 16", SEALED[:-1] + ["IMAD R1, R2, R3, R4"])
        self.expect("1 loops", resources(), kernel_text(hot=["FADD R1, R2, R3"]))

    def test_vector_loads(self):
        limit = gate.Limit("norm_kernel<?,4>", "*", 512, 0, 168, 0)
        for n_loads, expected in ((8, []), (7, ["7 loads of 16 bytes (at least 8)"])):
            texts = (text.replace(MANGLED, NORM) for text in (
                resources(), f"arch = sm_90\n\t\tFunction : {MANGLED}\n" +
                listing(["LDG.E.128 R4, [R2.64]"] * n_loads + ["EXIT"])))
            self.assertEqual(messages(*texts, limits=(limit,)), expected)

    def test_calls(self):
        call = SEALED + ["CALL.REL.NOINC 0x8000"]
        self.expect("calls a function", resources(), kernel_text(call))
        n = 1 + len(SEALED)
        leave = SEALED + [f"@P2 CALL.REL.NOINC 0x{16 * (n + 2):x}"]  # as ptxas leaves a loop
        self.assertEqual(messages(resources(), kernel_text(leave)), [])

    def test_bias(self):
        # Its loops are within those of tiles, and have instructions of their own.
        biased = MANGLED.replace("6attendILi4ELi4ELi64ELi4E", "13attend_biasedILi4ELi4ELi64E")
        limits = (gate.Limit("attend_biased<*,*,64>", "*", 128, 11008, 255, 2),)
        budgets = {(4, 4, 64, 8): 60, ("hot", 16, 64, 8): 60}
        products = ["IMMA.16832.S8.S8 R8, R4, R6, RZ"] * 24
        hot = ["LDG.E.128.CONSTANT R4, [R2.64]"] * 16 + ["HMMA.16816.F32.BF16 R8, R4, R6, R8"] * 24
        sums = ["FFMA R1, R2, R3, R1"] * gate.BIAS_INSTRUCTIONS
        for n_more, said in ((20, []), (60, ["sealed tiles has"])):
            body = SEALED[:4] + products
            body += loop(1 + len(body), sums[:-n_more] + ["FADD R1, R2, R3"] * 2 * n_more)
            text = kernel_text(body, hot).replace(MANGLED, biased)
            found = messages(resources().replace(MANGLED, biased), text, limits, budgets)
            self.assertEqual(len(found), len(said), found)
            for message, part in zip(found, said):
                self.assertIn(part, message)

    def test_rows(self):
        rows = MANGLED.replace("6attendILi4ELi4ELi64ELi4E", "11attend_rowsILi64E")
        limits = (gate.Limit("attend_rows<64>", "*", 128, 9856, 168, 3),)
        for n, said in ((32, 0), (31, 1), (33, 1)):
            lines = ["S2R R2, SR_TID.X"]
            lines += loop(1, ["HMMA.16816.F32.BF16 R8, R4, R6, R8"] * n) + ["EXIT"]
            text = f"arch = sm_90\n\t\tFunction : {rows}\n" + listing(lines)
            found = messages(resources().replace(MANGLED, rows), text, limits)
            self.assertEqual(len(found), said, found)

    def test_contraction(self):
        name = MANGLED.replace("6attendILi4ELi4ELi64ELi4E", "12weigh_kernel")
        limits = (gate.Limit("weigh_kernel", "*", 256, 0, 168, 1),)
        for opcode, said in (("FADD", 0), ("FFMA", 1), ("DFMA", 1)):
            lines = ["S2R R2, SR_TID.X", f"{opcode} R1, R2, R3", "EXIT"]
            text = f"arch = sm_90\n\t\tFunction : {name}\n" + listing(lines)
            found = messages(resources().replace(MANGLED, name), text, limits)
            self.assertEqual(len(found), said, found)

    def test_tables(self):
        self.expect("no line in limits.txt", resources(), kernel_text(), limits=())
        self.expect("no budget", resources(), kernel_text(), budgets={(4, 4, 64, 4): 60})

    def test_occupancy(self):
        # Registers come in portions of 256 to a warp, so 129 of them are 136.
        for registers, blocks in ((128, 4), (129, 3), (168, 3), (169, 2), (255, 2)):
            (kernel,) = sass.parse(resources(registers), kernel_text())
            self.assertEqual(gate.blocks_per_multiprocessor(kernel, LIMIT), blocks, registers)


class Sass(unittest.TestCase):
    def loops_of(self, lines):
        (kernel,) = sass.parse("", f"arch = sm_90\n\t\tFunction : {MANGLED}\n" + listing(lines))
        return [[i.address // 16 for i in loop.instructions]
                for loop in sass.loops(kernel.instructions)]

    def test_innermost(self):
        lines = ["MOV R1, R2", "FADD R1, R2, R3", "FMUL R1, R2, R3", "@P0 BRA 0x20", "@P1 BRA 0x10",
                 "EXIT"]
        self.assertEqual(self.loops_of(lines), [[2, 3]])

    def test_uniform_branch(self):
        lines = ["MOV R1, R2", "FADD R1, R2, R3", "BRA.U UP0, 0x10", "@P1 BRA 0x0", "EXIT"]
        self.assertEqual(self.loops_of(lines), [[1, 2]])
        lines[2:3] = ["BRA.U UP0, 0x30", "FMUL R1, R2, R3"]
        lines[4] = "@P1 BRA 0x10"
        self.assertEqual(self.loops_of(lines), [[1, 2, 3, 4]])

    def test_blocks_out_of_line(self):
        # What lies behind the end but comes back is of the loop, but not where only diverged warps
        # go there.
        lines = ["MOV R1, R2", "@P1 BRA 0x50", "FMUL R1, R2, R3", "@P0 BRA 0x10", "EXIT",
                 "FADD R1, R1, R1", "BRA 0x20"]
        self.assertEqual(self.loops_of(lines), [[1, 2, 3, 5, 6]])
        lines[1] = "BRA.DIV UR4, 0x50"
        self.assertEqual(self.loops_of(lines), [[1, 2, 3]])

    def test_table(self):
        # A jump by a table may go to what nothing else leads to.
        lines = ["BRX R4 -0x10", "MOV R1, R2", "FADD R1, R2, R3", "@P0 BRA 0x20", "BRA 0x80",
                 "MOV R1, R2", "FMUL R1, R2, R3", "@P0 BRA 0x60", "EXIT"]
        self.assertEqual(self.loops_of(lines), [[2, 3], [6, 7]])

    def test_jump_back_into_the_middle(self):
        # Not a loop: the way there does not pass the place that is jumped to.
        lines = ["@P1 BRA 0x30", "MOV R1, R2", "FMUL R1, R2, R3", "FADD R1, R2, R3", "@P0 BRA 0x20",
                 "EXIT"]
        self.assertEqual(self.loops_of(lines), [])

    def test_names(self):
        self.assertEqual(gate.short_name(MANGLED), NAME)
        plain = "_ZN2tq7kernels4cuda8_GLOBAL_11seal_kernelENS1_10SealParamsE"
        self.assertEqual(gate.short_name(plain), "seal_kernel")
        self.assertEqual(gate.short_name(NORM), "norm_kernel<2,4>")


if __name__ == "__main__":
    unittest.main()
