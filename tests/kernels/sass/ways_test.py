"""Ways through listings made here, and what roofline.py makes of them."""

import re
import unittest

import bounds
import gate_test
import roofline
import sass
from ways import Code


def code_of(lines):
    text = f"arch = sm_90\n\t\tFunction : {gate_test.MANGLED}\n" + gate_test.listing(lines)
    (kernel,) = sass.parse("", text)
    return Code(kernel)


# An exit, two alternatives, a loop with something that seldom runs, and a slow path out of line.
LINES = ["ISETP.GT P0, R1, R2",
         "@P0 EXIT",             # 1
         "@P1 BRA 0x60",         # 2
         "LDG.E R1, [R2.64]",    # 3
         "IADD3 R1, R1, R2, R3",
         "BRA 0x80",
         "LDG.E.U16 R1, [R2.64]",  # 6
         "MOV R1, R2",
         "FADD R1, R2, R3",      # 8: the loop
         "@P2 BRA 0xc0",
         "SHFL.BFLY R1, R2, R3",  # 10
         "FMUL R1, R2, R3",
         "@P3 BRA 0x80",         # 12
         "@P4 CALL.REL.NOINC 0x100",
         "STG.E [R2.64], R1",    # 14
         "EXIT",
         "MUFU.RCP R1, R2",      # 16
         "RET.REL.NODEC R4"]


class Ways(unittest.TestCase):
    def addresses(self, code, blocks):
        return blocks and [i.address // 16 for i in code.code(blocks).instructions]

    def test_shortest(self):
        code = code_of(LINES)
        self.assertEqual(self.addresses(code, code.way([0], to_end=True)),
                         [0, 1, 2, 6, 7, 8, 9, 12, 13, 14, 15])

    def test_stops(self):
        code = code_of(LINES)
        shuffles, (stores,) = code.holding("SHFL"), code.holding("STG")
        self.assertEqual(self.addresses(code, code.way([0, *shuffles, stores], to_end=True)),
                         [0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
        either = set(code.holding("LDG"))
        self.assertEqual(len(either), 2)
        self.assertEqual(code.way([0, either, stores]), code.way([0, stores]))
        (slow,) = code.holding("MUFU")
        self.assertIsNone(code.way([0, slow, stores]))

    def test_barred(self):
        code = code_of(LINES)
        (shuffle,), (head,) = code.holding("SHFL"), code.holding("FADD")
        self.assertIsNone(code.way([shuffle, head], barred=head))
        self.assertIsNotNone(code.way([shuffle, head]))

    def test_turn(self):
        code = code_of(LINES)
        (loop,) = sass.loops([i for block in code.blocks for i in block])
        self.assertEqual([i.address // 16 for i in code.turn(loop).instructions], [8, 9, 12])
        self.assertEqual([i.address // 16 for i in code.turn(loop, "SHFL").instructions],
                         [8, 9, 10, 11, 12])


# Of attend_rows: how many words a format's half loads, and instructions that only it has.
LOADS = {2: 2, 3: 3, 4: 4, 8: 8}


def arm(bits, n_more):
    if bits == 16:
        return ["LDG.E R1, [R2.64]", "STS [R1], R2"] * 4 + ["@P2 BRA start"]
    return (["LDG.E R1, [R2.64]"] * LOADS[bits] + ["PRMT R1, R2, R3, R4", "STS [R1], R2"] * 16 +
            ["IADD3 R1, R2, R3, R4"] * n_more)


def switch(half, n_more):
    """Half the formats behind a table, as nvcc's switches are, the others behind a comparison."""
    lines = ["@P0 BRA other" + half, "BRX R4 -0x10"]
    for bits in (8, 4):
        lines += arm(bits, n_more) + ["BRA join" + half]
    lines += [f"other{half}:", f"@P1 BRA three{half}", f"@P2 BRA two{half}", f"copy{half}:"]
    lines += [line.replace("start", "copy" + half) for line in arm(16, 0)] + [f"BRA join{half}"]
    lines += [f"three{half}:"] + arm(3, n_more) + [f"BRA join{half}", f"two{half}:"]
    return lines + arm(2, n_more) + [f"join{half}:"]


def assemble(lines):
    labels, code = {}, []
    for line in lines:
        if line.endswith(":"):
            labels[line[:-1]] = f"0x{16 * len(code):x}"
        else:
            code.append(line)
    return [re.sub(r"BRA (\w+)", lambda found: f"BRA {labels[found.group(1)]}", line)
            for line in code]


ROWS = (["S2R R2, SR_TID.X", "loop:", "BAR.SYNC 0x0", "@P3 BRA hot"] + switch("k", 7) +
        switch("v", 5) + ["join:", "BAR.SYNC 0x0", "@P4 BRA next"] +
        ["HMMA.16816.F32.BF16 R8, R4, R6, R8"] * 3 + ["@P5 BRA same", "SHFL.BFLY R1, R2, R3",
         "same:"] + ["HMMA.16816.F32.BF16 R8, R4, R6, R8"] * 2 + ["next:", "@P6 BRA loop", "EXIT",
         "hot:"] + arm(16, 0)[:-1] + ["@P2 BRA hot", "BRA join"])


class Rows(unittest.TestCase):
    def test_formats(self):
        text = f"arch = sm_90\n\t\tFunction : {gate_test.MANGLED}\n"
        (kernel,) = sass.parse("", text + gate_test.listing(assemble(ROWS)))
        rows = bounds.RowsCode(kernel)
        for bits, loads in LOADS.items():
            work = rows.decoding(bits)
            self.assertEqual([(times, code.count("LDG"), code.count("IADD3"), code.count("STS"))
                              for times, code in work], [(1, 2 * loads, 12, 32)])
        # 16 words of each half, 4 a turn.
        self.assertEqual(sum(times * code.count("STS") for times, code in rows.decoding(16)), 32)
        ((times, code),) = rows.products()
        self.assertEqual((times, code.count("HMMA"), code.count("SHFL")), (1, 5, 1))


class Work(unittest.TestCase):
    def test_largest_pipe(self):
        device = roofline.DEVICES["H100"]
        code = code_of(["FADD R1, R2, R3"] * 6 + ["LOP3 R1, R2, R3"] * 4 + ["EXIT"])
        few, many = code.code([0]), code_of(["LOP3 R1, R2, R3"] * 3 + ["EXIT"]).code([0])
        self.assertEqual(device.work_cycles([(1, few)]), ("issue", 11))
        self.assertEqual(device.work_cycles([(1, few), (2.0, many)]), ("ALU", 20))

    def test_candidates(self):
        # quant/row_codec.cpp has no search of its own for values of 8 bits.
        self.assertEqual([bounds.candidates(bits, group) for bits, group in
                          ((4, 16), (4, 64), (2, 16), (8, 16), (8, 64))], [8, 6, 7, 2, 2])


if __name__ == "__main__":
    unittest.main()
