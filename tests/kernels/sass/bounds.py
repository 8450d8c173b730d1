"""The tables of roofline.py: what each kernel reads, writes and runs."""

import pathlib
import re

import sass
from ways import Code

TILE, DIM = 32, 128
FORMATS = (16, 8, 4, 3, 2)
ROOT = pathlib.Path(__file__).resolve().parents[3]
# A decode step as an example: Llama 3.1 8B, each sequence of 32 K tokens, rows of 16 bits.
HIDDEN, FFN, HEADS, KV_HEADS, CONTEXT = 4096, 14336, 32, 8, 32768
VOCAB, ROWS = 151936, 32  # of the table of sampling
SELECT_BLOCKS, SELECT_WARPS = 8, 8  # of a row, of a block: kernels/cuda/select_launch.h
BOUND_BITS = 20  # that are looked at for n_top = 512


def name_of(bits):
    return "bf16" if bits == 16 else f"tq{bits}"


def tile_bytes(bits):
    """Codes of both halves, and the scale bytes and exponents of coded ones."""
    scales = TILE * (DIM // 16 + DIM // 64) + 2 if bits < 16 else 0
    return 2 * TILE * DIM * bits // 8 + scales


def head(devices, *columns):
    yield "| " + " | ".join((*columns, *devices)) + " |"
    yield "|---|" + "--:|" * (len(columns) - 1) + "---|" * len(devices)


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def bound(device, n_bytes, work):
    pipe, cycles = device.work_cycles(work)
    return f"{device.memory_cycles(n_bytes):.0f}, {pipe} {cycles:.0f}"


# Decode attention: a tile of 32 tokens is one turn of a kernel's loop, by one warp, for as many
# queries of a KV head as the kernel takes. Those of rescaling count too, which seldom run.

def tile_loop(kernel):
    return sass.loops(kernel.instructions, "IMMA", "HMMA")[0]


def attend_table(kernels, devices):
    yield from head(devices, "format", "queries", "bytes / token")
    for bits in FORMATS:
        for queries in (4, 8):
            n_bytes = tile_bytes(bits)
            cells = []
            for device in devices.values():
                loop = tile_loop(kernels.of(f"attend<{bits},{bits},{DIM},{queries}>", device))
                _, cycles = device.work_cycles([(1, loop)])
                gain = tile_bytes(16) / n_bytes * min(1.0, device.memory_cycles(n_bytes) / cycles)
                cells.append(f"{bound(device, n_bytes, [(1, loop)])}: {gain:.1f}x")
            yield row(name_of(bits), queries, f"{n_bytes / TILE:.1f}", *cells)


# Prefill: a block's four warps decode a tile, each a quarter, then take it for 16 queries each.

ROW_WARPS = 4


class RowsCode:
    """A warp's way through a sealed tile of attend_rows<128>.

    Of a format that is decoded, a half's share is one block of 16 words to shared memory; of bf16
    it is a loop that copies 4 a turn. Blocks of keys lead to those of values; the more bits, the
    more words are loaded on the way.
    """

    def __init__(self, kernel):
        code = self.code = Code(kernel)
        self.start, self.joined = code.holding("BAR")
        decoders = [block for block in code.holding("PRMT") if code.count(block, "STS") == 16]
        copies = [block for block, after in enumerate(code.edges)
                  if block in after and code.count(block, "LDG") == code.count(block, "STS") == 4
                  and not code.count(block, "FMUL")]
        self.keys = self.in_order([one for one in decoders if self.leads(one, decoders)])
        self.values = self.in_order([one for one in decoders if one not in self.keys.values()])
        (self.keys[16],) = [one for one in copies if self.leads(one, self.values.values())]
        (self.values[16],) = [one for one in copies if one != self.keys[16]
                              and self.leads(self.keys[16], [one])]

    def leads(self, block, others):
        return any(block != other and self.code.way([block, other], barred=self.start)
                   for other in others)

    def in_order(self, blocks):
        """{bits: block}"""
        loads = {self.code.code(self.code.way([self.start, block, self.joined],
                                              barred=self.start)).count("LDG"): block
                 for block in blocks}
        bits = sorted(FORMATS)[:-1]
        assert len(loads) == len(bits), loads
        return dict(zip(bits, (block for _, block in sorted(loads.items()))))

    def decoding(self, bits):
        """[(times, code)] from the tile's start to where all warps have done their share."""
        stops = [self.start, self.keys[bits], self.values[bits], self.joined]
        way = self.code.way(stops, barred=self.start)[:-1]
        turns = [(3, self.code.code([block])) for block in stops[1:3] if bits == 16]
        return [(1, self.code.code(way)), *turns]

    def products(self):
        """From there to the next tile; scores are rescaled."""
        back = max(block for block, after in enumerate(self.code.edges) if self.start in after)
        stops = [block for block in self.code.holding("HMMA", "SHFL")
                 if self.joined < block < back]
        return [(1, self.code.code(self.code.way([self.joined, *stops, back])))]


def length(work):
    return sum(times * len(code.instructions) for times, code in work)


def rows_table(kernels, devices):
    ways = {name: RowsCode(kernels.of(f"attend_rows<{DIM}>", device))
            for name, device in devices.items()}
    yield from head(devices, "format", "bytes / tile", "to decode", "products")
    for bits in FORMATS:
        n_bytes = tile_bytes(bits)
        cells = []
        for name, device in devices.items():
            work = ways[name].decoding(bits) + ways[name].products()
            _, cycles = device.work_cycles(work)
            tensor = sum(times * device.pipe_cycles(code)["tensor"] for times, code in work)
            share = tensor / max(cycles, device.memory_cycles(n_bytes) / ROW_WARPS)
            cells.append(f"{bound(device, n_bytes / ROW_WARPS, work)}: {100 * share:.0f} %")
        counted = ways["H100"]
        yield row(name_of(bits), n_bytes, length(counted.decoding(bits)),
                  length(counted.products()), *cells)


# Sampling: microseconds of a batch. A warp's share of a row is the same in both passes.

def survey_work(kernel):
    (loop,) = sass.loops(kernel.instructions, "LDG")
    return [(lane_tokens() / loop.count("LDG"), loop)]


def weigh_work(kernel, weighs):
    """The search for the bound, then the row; no logit reaches the bound on the shortest way."""
    code = Code(kernel)
    loops = sass.loops(kernel.instructions, "LDG")
    loop = (max if weighs else min)(loops, key=lambda one: one.count("DADD"))  # or just one
    (search,) = sass.loops(kernel.instructions, "ATOMS")
    turn = code.turn(loop, *(["DADD"] if weighs else []))
    return [(BOUND_BITS / search.count("ATOMS"), search),
            (lane_tokens() / loop.count("LDG"), turn)]


def lane_tokens():
    return VOCAB / (SELECT_BLOCKS * SELECT_WARPS * 32)


def select_table(kernels, devices):
    passes = (
        ("survey", "survey_kernel", 4, survey_work),
        ("weigh", "weigh_kernel", 0, lambda kernel: weigh_work(kernel, True)),
        ("weigh, none wanted", "weigh_kernel", 0, lambda kernel: weigh_work(kernel, False)),
    )
    yield from head(devices, "pass", "instructions / token")
    for name, kernel_name, token_bytes, work_of in passes:
        cells = []
        for device in devices.values():
            work = work_of(kernels.of(kernel_name, device))
            # The multiprocessor with most blocks of the batch.
            blocks = -(-ROWS * SELECT_BLOCKS // device.multiprocessors)
            pipe, cycles = device.work_cycles(work)
            memory = 1e-3 * ROWS * VOCAB * token_bytes / device.gb_per_s
            us = 1e-3 * blocks * SELECT_WARPS / 4 * cycles / device.ghz
            cells.append(f"{memory:.1f}, {pipe} {us:.1f}" if token_bytes else f"{pipe} {us:.1f}")
        counted = length(work_of(kernels.of(kernel_name, devices["H100"]))) / lane_tokens()
        yield row(name, f"{counted:.1f}", *cells)


# The rest: cycles of a part for one row or tile, by as many warps as it has.

def candidates(bits, group):
    """Scales that the search tries, quant/row_codec.cpp."""
    text = (ROOT / "quant/row_codec.cpp").read_text()
    fitted = {(int(b), int(g)): int(n) for b, g, n in re.findall(
        r"\{(\d),\s*(\d+),\s*\d,\s*[\d.]+f,\s*(\d+),", text)}
    return fitted.get((bits, group), fitted[bits, 16])


def seal_work(kernel, bits):
    """The search of a tile's groups, one candidate a turn: all but the packing of codes."""
    books = {8: 0, 4: 1, 3: 2, 2: 4}[bits]
    loops = sass.loops(kernel.instructions, "F2I")
    work = []
    for group, lookups in ((16, 2 * books), (64, 2 * min(books, 1))):
        loop = next(one for one in loops
                    if one.count("F2I") == group and one.count("LDS") == lookups * group)
        work.append((DIM // group * candidates(bits, group), loop))
    return work


def row_work(kernel):
    """Through all blocks that load or store, to the end."""
    code = Code(kernel)
    return [(1, code.code(code.way([0, *code.holding("LDG", "STG")], to_end=True)))]


def heads_work(kernel):
    """Without bias and norm; through one of the blocks that load a head, and that for angles."""
    code = Code(kernel)
    return [(1, code.code(code.way([0, set(code.holding("U16")), set(code.holding("STS"))],
                                   to_end=True)))]


def rotation_work(kernel):
    """Through two rounds of a fast rotation, of 20 shuffles each."""
    code = Code(kernel)
    block = next(block for block in code.holding("BFLY") if code.count(block, "BFLY") >= 20)
    way = code.way([0, block], to_end=True)
    return [(1, code.code(way)), (40 // code.count(block, "BFLY") - 1, code.code([block]))]


def combine_work(kernel):
    parts = CONTEXT // 1024
    largest = next(loop for loop in sass.loops(kernel.instructions, "FMNMX"))
    fold = next(loop for loop in sass.loops(kernel.instructions, "MUFU") if loop.count("LDG"))
    return rotation_work(kernel) + [(parts / largest.count("FMNMX"), largest),
                                    (parts / fold.count("MUFU"), fold)]


def other_rows():
    """(what, kernel, bytes, times, work): of how many there are for a row of a step's layer."""
    parts = CONTEXT // 1024

    def warps(n):
        return lambda kernel: [(n * times, code) for times, code in row_work(kernel)]

    yield ("norm, a row of 4096", "norm_kernel<2,2>", 12 * HIDDEN, 2, warps(HIDDEN // 256))
    yield ("SwiGLU, a row of 14336", "swiglu_kernel<2>", 6 * FFN, 1, warps(FFN // 256))
    yield ("head with RoPE", f"heads_kernel<2,{DIM}>", 6 * DIM, HEADS + 2 * KV_HEADS, heads_work)
    yield "rotate, a query", f"rotate_kernel<{DIM}>", 8 * DIM, HEADS, rotation_work
    yield "append, a row of K or V", f"append_kernel<{DIM}>", 6 * DIM, 2 * KV_HEADS, rotation_work
    yield (f"combine, {parts} parts of a query", f"combine<{DIM}>",
           parts * 4 * (DIM + 2) + 2 * DIM, HEADS, combine_work)
    for bits in FORMATS[1:]:
        yield (f"seal, a tile to {name_of(bits)}", "seal_kernel",
               tile_bytes(16) + tile_bytes(bits), KV_HEADS / TILE if bits == 4 else 0,
               lambda kernel, bits=bits: seal_work(kernel, bits))


def others_table(kernels, devices):
    yield from head(devices, "kernel", "bytes", "instructions")
    in_step = 0.0
    for what, name, n_bytes, times, work_of in other_rows():
        in_step += times * n_bytes
        yield row(what, n_bytes, f"{length(work_of(kernels.of(name, devices['H100']))):.0f}",
                  *(bound(device, n_bytes, work_of(kernels.of(name, device)))
                    for device in devices.values()))
    codes = CONTEXT / TILE * KV_HEADS * tile_bytes(4)
    yield ""
    yield (f"Of a row in a decode step, a layer: {in_step / 1e3:.0f} KB beside "
           f"{codes / 1e6:.1f} MB of tq4: {100 * in_step / codes:.1f} %")


TABLES = (
    ([f"attend<{bits},{bits},{DIM},{queries}>" for bits in FORMATS for queries in (4, 8)],
     attend_table),
    ([f"attend_rows<{DIM}>"], rows_table),
    (["survey_kernel", "weigh_kernel"], select_table),
    ([name for _, name, *_ in other_rows()], others_table),
)
