#!/usr/bin/env python3
"""Side by side with the Python original, `turboquant==0.2.0` from PyPI, on the same vectors.

  python -m venv venv && venv/bin/pip install -r bench/original/requirements.txt
  venv/bin/python bench/original/compare.py --bench build/release/bin/turboquant-bench

Vectors and queries are Gaussian, from a seed, and go to `turboquant-bench quant --vectors` as .npy
files. Both sides use one thread. Speeds are taken in rounds, the two programs in turns, so that a
slow spell of the machine falls on both; medians count, and a ratio is the median of the rounds'.
Prints a Markdown table; --json writes the same figures.
"""

import argparse
import inspect
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the original's use of numpy.trapz
    from turboquant import TurboQuantCache, TurboQuantIP, TurboQuantMSE
    from turboquant import cache as original_cache
    from turboquant.core import compute_memory_bytes

IP_DRAWS = 64  # Algorithm 2 is unbiased over the draw of its projection: as turboquant-bench does
RUNS = 3  # timed, of each quantiser in a round

# Ours: name in the accuracy table, in the speed table, and in the Markdown.
OURS = {
    "mse": ("mse plain", "TurboMse", "ours, Algorithm 1"),
    "keys": ("KV keys", "KV keys", "ours, KV keys"),
    "values": ("KV values", "KV values", "ours, KV values"),
    "ip": ("ip", "TurboIp", "ours, Algorithm 2"),
}
ORIGINAL = {"mse": "original, Algorithm 1", "ip": "original, Algorithm 2"}
# What each of ours is compared with.
PEER = {"mse": "mse", "keys": "mse", "values": "mse", "ip": "ip"}


def make(kind, dim, bits, seed=42):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantiser = TurboQuantMSE if kind == "mse" else TurboQuantIP
        return quantiser(dim, bits=bits, device="cpu", seed=seed)


def round_trip(kind, bits, x):
    """Decoded rows. Algorithm 2 deals them to several draws, as turboquant-bench does."""
    rows = torch.from_numpy(x)
    if kind == "mse":
        quantiser = make(kind, x.shape[1], bits)
        return quantiser.dequantize(*quantiser.quantize(rows)).numpy()
    parts = []
    for draw in range(IP_DRAWS):
        first, last = len(x) * draw // IP_DRAWS, len(x) * (draw + 1) // IP_DRAWS
        if first == last:
            continue
        quantiser = make(kind, x.shape[1], bits, seed=1000 + 2 * draw)  # S takes seed + 1
        parts.append(quantiser.dequantize(*quantiser.quantize(rows[first:last])).numpy())
    return np.concatenate(parts)


def estimate(values):
    half_width = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    return {"mean": float(values.mean()), "half_width_95": float(half_width)}


def accuracy(x, q, decoded):
    """The definitions of bench/quant_accuracy.h, in double."""
    x, q, decoded = (a.astype(np.float64) for a in (x, q, decoded))
    x_square = (x * x).sum(1)
    lengths = np.sqrt(x_square * (q * q).sum(1))
    exact = (q * x).sum(1) / lengths
    error = (q * decoded).sum(1) / lengths - exact
    own = (x * decoded).sum(1) / x_square
    return {
        "mse": estimate(((x - decoded) ** 2).sum(1) / x_square),
        "slope": estimate((exact + error + own) / (exact + 1.0)),
        "error": estimate(error),
        "error_square_times_dim": estimate(error * error * x.shape[1]),
    }


def stored_row_bytes(x, bits):
    """Bytes that the original's KV cache holds for one key or value of one head."""
    cache = TurboQuantCache(bits=bits)
    rows = torch.from_numpy(x[:512])[None, None]  # [batch, heads, tokens, dim]
    cache.update(rows, rows, 0)
    layer = cache.layers[0]
    n_coded = rows.shape[2] - layer.residual_len  # the newest stay as they are
    return layer.memory_usage_bytes()["compressed_bytes"] / (2 * n_coded)


def time_original(quantisers, rows):
    """Vectors per second of an encode and a decode over all rows, by (kind, bits): medians of a
    round's runs, as turboquant-bench's are."""
    seconds = {key: ([], []) for key in quantisers}
    for _ in range(RUNS):
        for key, quantiser in quantisers.items():
            start = time.perf_counter()
            encoded = quantiser.quantize(rows)
            middle = time.perf_counter()
            quantiser.dequantize(*encoded)
            seconds[key][0].append(middle - start)
            seconds[key][1].append(time.perf_counter() - middle)
    return {key: {"encode": len(rows) / statistics.median(encode),
                  "decode": len(rows) / statistics.median(decode)}
            for key, (encode, decode) in seconds.items()}


def run_bench(options, folder, flags):
    out = folder / "bench.json"
    command = [options.bench, "quant", "--vectors", folder / "x.npy", "--queries",
               folder / "q.npy", "--bits-min", min(options.bits), "--bits-max", max(options.bits),
               "--no-spikes", "--json", out, *flags]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{options.bench} failed: {done.stderr.strip()}")
    return json.loads(out.read_text())


def time_ours(options, folder):
    table = run_bench(options, folder, ["--no-accuracy", "--runs", RUNS])["speed"]
    speeds = {}
    for kind, (_, name, _) in OURS.items():
        for row in table:
            if row["quantiser"] == name:
                speeds[kind, row["bits"]] = {"encode": row["encode_per_s"],
                                             "decode": row["decode_per_s"],
                                             "bytes": row["row_bytes"]}
    return speeds


def compare_dim(options, dim, folder):
    rng = np.random.default_rng([options.seed, dim])
    x = rng.standard_normal((options.rows, dim), dtype=np.float32)
    q = rng.standard_normal((options.rows, dim), dtype=np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "q.npy", q)
    rows = []
    for kind in ORIGINAL:
        for bits in options.bits:
            stored = stored_row_bytes(x, bits) if kind == "mse" else None
            claimed = compute_memory_bytes(dim, bits, 1, two_stage=kind == "ip")["total_bytes"]
            rows.append({"quantiser": ORIGINAL[kind], "kind": kind, "ours": False, "dim": dim,
                         "bits": bits, "row_bytes_stored": stored, "row_bytes_packed": claimed,
                         **accuracy(x, q, round_trip(kind, bits, x))})
    document = run_bench(options, folder, ["--no-speed"])
    for kind, (name, _, label) in OURS.items():
        for row in document["accuracy"]:
            if row["quantiser"] == name and row["bits"] in options.bits:
                fields = ("mse", "slope", "error", "error_square_times_dim")
                rows.append({"quantiser": label, "kind": kind, "ours": True, "dim": dim,
                             "bits": row["bits"], **{field: row[field] for field in fields}})
    add_speeds(options, folder, torch.from_numpy(x), rows)
    return rows, document


def add_speeds(options, folder, x, rows):
    quantisers = {(kind, bits): make(kind, x.shape[1], bits)
                  for kind in ORIGINAL for bits in options.bits}
    time_original(quantisers, x)  # warms up; turboquant-bench does so in each call
    rounds = []
    for _ in range(options.rounds):
        rounds.append((time_original(quantisers, x), time_ours(options, folder)))
    for row in rows:
        key = (row["kind"], row["bits"])
        for what in ("encode", "decode"):
            side = 1 if row["ours"] else 0
            row[f"{what}_per_s"] = statistics.median(r[side][key][what] for r in rounds)
            if row["ours"]:
                peer = (PEER[row["kind"]], row["bits"])
                row[f"{what}_ratio"] = statistics.median(
                    r[1][key][what] / r[0][peer][what] for r in rounds)
        if row["ours"]:
            row["row_bytes_stored"] = row["row_bytes_packed"] = rounds[0][1][key]["bytes"]


def facts():
    """What the original does otherwise than the paper, each found out here and now."""
    found = {}
    quantiser = make("mse", 128, 4)
    x = torch.randn(20_000, 128, generator=torch.Generator().manual_seed(7))
    y = ((x / x.norm(dim=1, keepdim=True)) @ quantiser.rotation_t).flatten().double().sort().values
    book = quantiser.codebook.double()

    def distance(means):
        return round(float(((means - book) / book).abs().max()), 4)

    equal = torch.stack([part.mean() for part in y.chunk(16)])
    found["4-bit centroids, largest relative distance from the means of 16 equally likely bins"] = (
        distance(equal))
    cells = torch.bucketize(y, (book[1:] + book[:-1]) / 2)
    own = torch.stack([y[cells == code].mean() for code in range(16)])
    found["and from the means of the cells that they code (the optimum: 0)"] = distance(own)
    projection = make("ip", 128, 4).S
    found["variance of an entry of Algorithm 2's projection, times d (the paper: 128)"] = round(
        float(projection.var()) * 128, 3)
    same = original_cache._get_quantizer(64, 4, "cpu") is original_cache._get_quantizer(
        64, 4, "cpu")
    found["all KV caches of a head size and width share one quantiser"] = same
    parameters = inspect.signature(TurboQuantCache.__init__).parameters
    found["the KV cache takes a seed"] = "seed" in parameters
    return found


def interval(value):
    return f"{value['mean']:.5f} ± {value['half_width_95']:.5f}"


def number(row, field, pattern="{:.0f}", scale=1.0):
    return pattern.format(row[field] * scale) if row.get(field) is not None else "–"


def print_tables(rows):
    print("\n| d | b | quantiser | rel. MSE | slope of <q,x~> on <q,x> | d·E e² | E e "
          "| bytes a row, packed | as stored |\n|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['dim']} | {row['bits']} | {row['quantiser']} | {interval(row['mse'])} "
              f"| {interval(row['slope'])} | {interval(row['error_square_times_dim'])} "
              f"| {interval(row['error'])} | {number(row, 'row_bytes_packed')} "
              f"| {number(row, 'row_bytes_stored')} |")
    print("\nA row is a key or a value of one head; bf16 takes 2·d bytes.\n\n"
          "| d | b | quantiser | encode, 1000/s | decode, 1000/s | encode, × original "
          "| decode, × original |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['dim']} | {row['bits']} | {row['quantiser']} "
              f"| {number(row, 'encode_per_s', scale=1e-3)} "
              f"| {number(row, 'decode_per_s', scale=1e-3)} "
              f"| {number(row, 'encode_ratio', '{:.2f}')} "
              f"| {number(row, 'decode_ratio', '{:.2f}')} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bench", required=True, type=pathlib.Path, help="turboquant-bench")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4], choices=[2, 3, 4])
    parser.add_argument("--rows", type=int, default=8000, help="vectors; at least 1000")
    parser.add_argument("--rounds", type=int, default=7, help="of the speeds")
    parser.add_argument("--seed", type=int, default=1, help="of the vectors")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    options = parser.parse_args()
    if options.rows < 1000 or options.rounds < 1:
        parser.error("--rows must be at least 1000 and --rounds at least 1")
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for dim in options.dims:
            measured, document = compare_dim(options, dim, pathlib.Path(folder))
            rows += measured
        found = facts()
    rows.sort(key=lambda row: (row["dim"], row["bits"], row["kind"] == "ip", row["ours"]))
    print(f"{document['machine']}; commit: {document['commit']}; {document['compiler']}; "
          f"torch {torch.__version__}, numpy {np.__version__}; {options.rows} vectors, "
          f"{options.rounds} rounds, seed {options.seed}")
    print_tables(rows)
    print("\nOf the original, checked in this run:\n")
    for name, value in found.items():
        print(f"* {name}: {value}")
    if options.json:
        keep = {key: document[key] for key in ("machine", "commit", "compiler")}
        keep.update(benchmark="original", torch=torch.__version__, numpy=np.__version__,
                    rows=options.rows, rounds=options.rounds, seed=options.seed)
        options.json.write_text(json.dumps({**keep, "facts": found, "results": rows}, indent=1))


if __name__ == "__main__":
    main()
