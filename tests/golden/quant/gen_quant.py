"""Writes golden.txt: what quant/ must produce to the last bit, computed by code that shares nothing with it.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 && venv/bin/python gen_quant.py

The codebook comes from plain Lloyd iteration on a 400-point quadrature, the Walsh-Hadamard transform from the
definition's butterflies on numpy float32, QR from Gram-Schmidt in double, the generator from Python integers.
"""

import math
import pathlib
import struct

import numpy as np

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
SIGNS, QR, QJL, DATA = 1, 2, 3, 4


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def portable_log(x):
    m, exponent = math.frexp(x)  # [0.5, 1)
    m, exponent = m * 2.0, exponent - 1
    if m >= 1.41421356237309504880:
        m, exponent = m * 0.5, exponent + 1
    s = (m - 1.0) / (m + 1.0)
    total = 0.0
    for i in range(12, -1, -1):
        total = total * (s * s) + 1.0 / (2.0 * i + 1.0)
    return exponent * 0.693147180559945309417 + 2.0 * s * total


class Rng:
    def __init__(self, seed, stream):
        self.state = mix((seed + GOLDEN) & MASK) ^ mix((stream * GOLDEN) & MASK)
        self.spare = None

    def bits(self):
        self.state = (self.state + GOLDEN) & MASK
        return mix(self.state)

    def uniform(self):
        return (self.bits() >> 11) * 2.0**-53

    def gaussian(self):
        if self.spare is not None:
            value, self.spare = self.spare, None
            return value
        while True:
            u = 2.0 * self.uniform() - 1.0
            v = 2.0 * self.uniform() - 1.0
            s = u * u + v * v
            if s >= 1.0 or s == 0.0:
                continue
            factor = math.sqrt(-2.0 * portable_log(s) / s)
            self.spare = v * factor
            return u * factor

    def sign(self):
        return -1.0 if self.bits() >> 63 else 1.0


def gaussian_rows(seed, n, dim):
    rng = Rng(seed, DATA)
    return np.array([[rng.gaussian() for _ in range(dim)] for _ in range(n)]).astype(np.float32)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def lloyd(dim, bits):
    """Centroids and boundaries, both ascending, in double."""
    n = 1 << (bits - 1)
    c = (np.arange(n) + 0.5) / n * min(0.9, 3.5 / math.sqrt(dim))
    far = min(math.pi / 2, 14 / math.sqrt(dim))
    for _ in range(20000):
        edges = np.concatenate([[0.0], np.arcsin((c[1:] + c[:-1]) / 2), [far]])
        half = (edges[1:] - edges[:-1]) / 2
        angle = (edges[1:] + edges[:-1])[:, None] / 2 + half[:, None] * NODES
        density = np.exp((dim - 2) * np.log(np.cos(angle))) * WEIGHTS
        updated = (density * np.sin(angle)).sum(1) / density.sum(1)
        done = np.abs(updated - c).max() < 1e-17 + 2e-16 * c[-1]
        c = updated
        if done:
            break
    centroids = np.concatenate([-c[::-1], c])
    return centroids, (centroids[1:] + centroids[:-1]) / 2


def butterflies(row):
    row = row.copy()
    half = 1
    while half < len(row):
        for start in range(0, len(row), 2 * half):
            a = row[start : start + half].copy()
            b = row[start + half : start + 2 * half].copy()
            row[start : start + half] = a + b
            row[start + half : start + 2 * half] = a - b
        half *= 2
    return row


class Hadamard:
    def __init__(self, dim, seed):
        rng = Rng(seed, SIGNS)
        self.signs = np.array([[rng.sign() for _ in range(dim)] for _ in range(2)], np.float32)

    def apply(self, row):
        for signs in self.signs:
            row = butterflies(row * signs)
        return row * np.float32(1.0 / len(row))


def combine(matrix, row):
    """sum_i matrix[i] * row[i] in float32, in the order of i."""
    total = np.zeros(matrix.shape[1], np.float32)
    for line, factor in zip(matrix, row):
        total += line * factor
    return total


class Qr:
    def __init__(self, dim, seed):
        rng = Rng(seed, QR)
        rows = np.array([[rng.gaussian() for _ in range(dim)] for _ in range(dim)])
        for i in range(dim):
            for _ in range(2):
                for k in range(i):
                    rows[i] -= (rows[i] @ rows[k]) * rows[k]
            rows[i] /= math.sqrt(rows[i] @ rows[i])
        self.matrix = rows.astype(np.float32)

    def apply(self, row):
        return combine(np.ascontiguousarray(self.matrix.T), row)


def nearest(boundaries32, t):
    return int((np.float32(t) > boundaries32).sum())


def norm_of(row):
    return math.sqrt(sum_in_order(float(v) * float(v) for v in row))


def sum_in_order(values):
    total = 0.0
    for value in values:
        total += value
    return total


# Codebooks by bits and coordinates per scale; what fits them is tests/quant/level_fit.cpp.
BOOKS = {
    (2, 16): [[-127, -48, 25, 123], [-127, -33, 22, 80], [-127, -54, 7, 79], [-127, -54, -5, 46]],
    (2, 64): [[-127, -44, 21, 97]],
    (3, 16): [[-127, -79, -46, -18, 9, 35, 65, 108], [-127, -85, -53, -27, -3, 21, 47, 81]],
    (3, 64): [[-127, -78, -45, -19, 6, 32, 62, 101]],
    (4, 16): [[-127, -100, -81, -65, -50, -37, -25, -14, -2, 9, 22, 35, 50, 66, 84, 108]],
    (4, 64): [[-127, -98, -77, -60, -46, -33, -21, -10, 1, 12, 24, 35, 48, 63, 81, 104]],
    (8, 16): [range(-127, 128)],
    (8, 64): [range(-127, 128)],
}


def scale_of(magnitude, n_magnitudes):
    """3 mantissa bits below those of an exponent whose largest stands for 2^0; 0 is for subnormals."""
    exponent, mantissa = magnitude >> 3, magnitude & 7
    part = (8 + mantissa) / 8 * 2.0**exponent if exponent else 2 * mantissa / 8
    return part / 2.0 ** ((n_magnitudes >> 3) - 1)


# Where the search of a scale starts, over the group's largest magnitude, and its length.
SEARCHES = {
    (2, 16): (0.7, 7),
    (2, 64): (0.5, 8),
    (3, 16): (0.9, 8),
    (3, 64): (0.7, 7),
    (4, 16): (0.9, 8),
    (4, 64): (0.9, 6),
    (8, 16): (1.0, 2),
    (8, 64): (1.0, 2),
}


def code_group(group, bits, books, search, exponent):
    """Scale byte and codes: all candidates tried one by one."""
    unit = [float(v) * 2.0 ** (127 - exponent) for v in group]
    largest = max(abs(v) for v in unit)
    n_magnitudes = 128 // len(books)
    if largest < scale_of(1, n_magnitudes) / 2:
        return 0, [0] * len(unit)
    start, count = search
    # What the start is compared with is rounded to an fp16 first, whose least step is that of the scales / 128.
    unit_of_fp16 = scale_of(1, n_magnitudes) / 2.0**-17
    aim = unit_of_fp16 * float(np.float16(np.float32(start) * np.float32(largest) / np.float32(unit_of_fp16)))
    first = max([1] + [m for m in range(1, n_magnitudes) if scale_of(m, n_magnitudes) <= aim])
    best = (math.inf, 0, [])
    for magnitude in range(first, first + count):
        magnitude = min(magnitude, n_magnitudes - 1)
        scale = scale_of(magnitude, n_magnitudes)
        steps = [int(np.rint(np.clip(np.float32(v) * (np.float32(2032) / np.float32(scale)), -6000, 6000))) for v in unit]
        for book, levels in enumerate(books):
            edges = [8 * (a + b) for a, b in zip(levels, levels[1:])]
            for sign in (1, -1) if bits != 8 else (1,):
                if bits == 8:  # a half goes upwards
                    codes = [min(max((s + 8) // 16, -127), 127) for s in steps]
                    error = sum((16 * c - s) ** 2 for c, s in zip(codes, steps))
                else:
                    codes = [sum(sign * s > e for e in edges) for s in steps]
                    error = sum((16 * levels[c] - sign * s) ** 2 for c, s in zip(codes, steps))
                error = float(np.float32(error) * np.float32(scale * scale))
                if error < best[0]:
                    byte = magnitude | book * n_magnitudes | (0x80 if sign < 0 else 0)
                    best = (error, byte, [c % 256 for c in codes])
    return best[1], best[2]


def row_codec(row, bits, group):
    """The exponent, the scales and the codes of a rotated row that lies alone in its tile."""
    exponent = math.frexp(float(np.abs(row).max()))[1] + 127
    scales, codes = b"", []
    for start in range(0, len(row), group):
        scale, part = code_group(row[start : start + group], bits, BOOKS[bits, group], SEARCHES[bits, group], exponent)
        scales += bytes([scale])
        codes += part
    return bytes([exponent]) + scales, codes


def pack(codes, bits):
    """Planes of 8, 4, 2, 1 bits, low bits first; each starts on a byte."""
    out, low = b"", 0
    for width in (8, 4, 2, 1):
        if bits & width:
            number = 0
            for i, code in enumerate(codes):
                number |= (code >> low & ((1 << width) - 1)) << (i * width)
            out += number.to_bytes((len(codes) * width + 7) // 8, "little")
            low += width
    return out


def turbo_mse(row, rotation, bits):
    centroids, boundaries = lloyd(len(row), bits)
    norm = norm_of(row)
    unit = np.array([float(v) * (1.0 / norm) for v in row]).astype(np.float32)
    codes = [nearest(boundaries.astype(np.float32), v) for v in rotation.apply(unit)]
    return pack(codes, bits), np.float32(norm).tobytes()


def turbo_ip(row, rotation, seed, bits):
    dim = len(row)
    centroids, boundaries = lloyd(dim, bits - 1)
    rng = Rng(seed, QJL)
    projection = np.array([[rng.gaussian() for _ in range(dim)] for _ in range(dim)]).astype(np.float32)
    norm = norm_of(row)
    unit = np.array([float(v) * (1.0 / norm) for v in row]).astype(np.float32)
    rotated = rotation.apply(unit)
    codes = [nearest(boundaries.astype(np.float32), v) for v in rotated]
    residual = rotated - centroids.astype(np.float32)[codes]
    signs = [int(v >= 0) for v in combine(np.ascontiguousarray(projection.T), residual)]
    gamma = np.float32(norm_of(residual)).tobytes()
    return pack(codes, bits - 1) + pack(signs, 1), np.float32(norm).tobytes(), gamma


def tile(lanes, depth, bits, codes):
    """Bytes of a tile of the KV store, from the words of the format's description."""
    unit = 32 if bits == 3 else 32 // bits
    words = []
    padded = -(-depth // unit) * unit
    code = lambda lane, e: codes[lane][e] if e < depth else 0
    for group in range(padded // unit):
        entries = range(group * unit, (group + 1) * unit)
        if bits != 3:
            for lane in range(lanes):
                words.append(sum(code(lane, e) << (bits * i) for i, e in enumerate(entries)))
            continue
        for lane in range(lanes):
            words.append(sum((code(lane, e) >> 2) << i for i, e in enumerate(entries)))
        for part in (entries[:16], entries[16:]):
            for lane in range(lanes):
                words.append(sum((code(lane, e) & 3) << (2 * i) for i, e in enumerate(part)))
    return struct.pack(f"<{len(words)}I", *words)


def main():
    lines = []

    def put(name, data):
        lines.append(f"{name} {data.hex()}")

    rng = Rng(42, DATA)
    put("rng.bits", struct.pack("<8Q", *[rng.bits() for _ in range(8)]))
    rng = Rng(42, QR)
    put("rng.gaussian", struct.pack("<64d", *[rng.gaussian() for _ in range(64)]))
    for dim in (64, 80, 128):
        for bits in (1, 2, 3, 4):
            put(f"codebook.{dim}.{bits}", lloyd(dim, bits)[0].astype("<f8").tobytes())
    for dim in (64, 80, 128):
        rotation = Qr(dim, 7) if dim == 80 else Hadamard(dim, 7)
        for index, row in enumerate(gaussian_rows(1000 + dim, 2, dim)):
            rotated = rotation.apply(row)
            put(f"rotated.{dim}.{index}", rotated.astype("<f4").tobytes())
            for bits in (2, 3, 4, 8):
                for group in (16, 64):
                    scales, codes = row_codec(rotated, bits, group)
                    put(f"row.{dim}.{index}.{bits}.{group}", scales + pack(codes, bits))
        row = gaussian_rows(2000 + dim, 1, dim)[0]
        for bits in (1, 2, 3, 4, 5):
            put(f"mse.{dim}.{bits}", b"".join(turbo_mse(row, rotation, bits)))
        for bits in (2, 3, 4):
            put(f"ip.{dim}.{bits}", b"".join(turbo_ip(row, rotation, 7, bits)))
    for lanes, depth, bits in ((32, 64, 4), (64, 32, 4), (32, 80, 3), (80, 32, 3), (32, 64, 2), (32, 64, 8), (32, 64, 16)):
        rng = Rng(lanes * 1000 + depth, DATA)
        codes = [[rng.bits() >> (64 - bits) for _ in range(depth)] for _ in range(lanes)]
        put(f"tile.{lanes}.{depth}.{bits}", tile(lanes, depth, bits, codes))
    path = pathlib.Path(__file__).with_name("golden.txt")
    path.write_text("\n".join(lines) + "\n")
    print(f"{path.name}: {len(lines)} entries, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
