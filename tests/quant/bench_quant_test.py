"""turboquant-bench quant as a program: figures that parse, the paper's inequalities in its JSON,
files of vectors, good and bad.

  bench_quant_test.py PATH_OF_TURBOQUANT_BENCH
"""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

BENCH = sys.argv.pop() if len(sys.argv) > 1 else "turboquant-bench"
SVG = "{http://www.w3.org/2000/svg}"


def npy(values, shape, descr="<f4", order="False", version=1):
    head = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}".encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + length + head + struct.pack(
        f"<{len(values)}f", *values)


class QuantBench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        draw = random.Random(20261124)
        self.values = [draw.gauss(0, 2) for _ in range(300 * 32)]

    def quant(self, *flags):
        return subprocess.run([BENCH, "quant", "--no-spikes", "--no-speed", *map(str, flags)],
                              capture_output=True, text=True, timeout=120)

    def results(self, *flags):
        out = self.folder / "out.json"
        done = self.quant("--json", out, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(out.read_text())

    def put(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def refused(self, says, *flags):
        done = self.quant(*flags)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(says, done.stderr)

    def test_figures_parse_and_are_the_same_twice(self):
        for name in ("first", "second"):
            self.results("--dim", 64, 96, "--pairs", 200, "--svg", self.folder / name)
        for figure, series in (("distortion", 5), ("inner_product", 6), ("bias", 5)):
            data = (self.folder / "first" / f"{figure}.svg").read_bytes()
            self.assertEqual(data, (self.folder / "second" / f"{figure}.svg").read_bytes())
            root = ElementTree.fromstring(data)
            self.assertEqual(root.tag, SVG + "svg")
            texts = [text.text for text in root.iter(SVG + "text")]
            legend = [text for text in texts if "Theorem" in text or "Algorithm" in text
                      or "d = " in text]
            self.assertGreaterEqual(len(legend), series, texts)
            self.assertNotIn("nan", data.decode().lower())
            for line in root.iter(SVG + "polyline"):
                self.assertEqual(len(line.get("points").split()), 4)  # 1 to 4 bits
        self.refused("--svg", "--no-accuracy", "--svg", self.folder / "none")
        file = self.put("file", b"")
        self.refused("--svg", "--dim", 64, "--pairs", 20, "--svg", file / "under")

    def test_the_paper_holds_in_the_json(self):
        rows = self.results("--pairs", 1000)["accuracy"]
        plain = [row for row in rows if row["quantiser"] == "mse plain"]
        ip = [row for row in rows if row["quantiser"] == "ip"]
        cases = [(dim, bits) for dim in (64, 96, 128, 256) for bits in (1, 2, 3, 4)]
        self.assertEqual([(row["dim"], row["bits"]) for row in plain], cases)
        self.assertEqual([(row["dim"], row["bits"]) for row in ip], cases)
        for row in plain:
            self.assertLess(row["lower_bound"], row["mse"]["mean"])
            self.assertLess(row["mse"]["mean"], row["mse_bound"])
            # Twice the 95 % interval: 1 in 10 000 samples of the right mean fall outside.
            self.assertLess(abs(row["mse"]["mean"] - row["mse_theory"]),
                            2 * row["mse"]["half_width_95"])
        for row in ip:
            self.assertLess(row["lower_bound"], row["error_square_times_dim"]["mean"])
            self.assertLess(row["error_square_times_dim"]["mean"], row["error_bound_times_dim"])
            self.assertLess(abs(row["slope"]["mean"] - 1), 2 * row["slope"]["half_width_95"])

    def test_vectors_come_from_npy_of_any_version_and_from_raw_rows(self):
        flags = ("--bits-min", 3, "--bits-max", 3)
        raw = self.put("x.f32", struct.pack(f"<{len(self.values)}f", *self.values))
        expected = self.results("--vectors", raw, "--dim", 32, *flags)["accuracy"]
        self.assertAlmostEqual(expected[0]["mse"]["mean"], 0.0326, delta=0.003)  # d = 32
        for version in (1, 2):
            path = self.put(f"{version}.npy", npy(self.values, "(300, 32)", version=version))
            self.assertEqual(self.results("--vectors", path, *flags)["accuracy"], expected)
        # Each vector as its own query: the error is that of its length, -D of the plain scale.
        own = self.results("--vectors", raw, "--queries", raw, "--dim", 32, *flags)["accuracy"]
        self.assertAlmostEqual(own[0]["error"]["mean"], own[0]["slope"]["mean"] - 1, places=9)
        self.assertLess(own[0]["error"]["mean"], -0.02)

    def test_bad_files_are_refused_by_name(self):
        good = npy(self.values, "(300, 32)")
        cases = {
            "two dimensions": npy(self.values, "(9600,)"),
            "'<f4'": npy(self.values, "(300, 32)", descr="<f8"),
            "C order": npy(self.values, "(300, 32)", order="True"),
            "cut short": good[:11],
            "header is cut short": good[:8] + b"\xff\xff" + good[10:200],
            "unknown .npy version": good[:6] + b"\x09" + good[7:],
            "bytes of values": good[:-4],
            "2 to 4096 values": npy(self.values, "(9600, 1)"),
            "1 to 1000000 vectors": npy([], "(0, 32)"),
            "vector 299 holds NaN": npy(self.values[:-1] + [float("nan")], "(300, 32)"),
            "vector 0 is zero": npy([0.0] * 32 + self.values[32:], "(300, 32)"),
        }
        for says, data in cases.items():
            with self.subTest(says):
                path = self.put("bad.npy", data)
                self.refused(says, "--vectors", path)
                self.refused(str(path), "--vectors", path)
        path = self.put("good.npy", good)
        self.refused("--dim says 64", "--vectors", path, "--dim", 64)
        self.refused("one dimension", "--vectors", path, "--dim", 32, 64)
        raw = self.put("raw", struct.pack("<64f", *self.values[:64]))
        self.refused("--dim", "--vectors", raw)
        self.refused("a query for each", "--vectors", path, "--queries", raw, "--dim", 32)
        self.refused("need --vectors", "--queries", path)
        self.refused("cannot read", "--vectors", self.folder / "absent")
        self.refused("cannot read", "--vectors", self.folder)
        self.refused("--bits-max", "--bits-min", 4, "--bits-max", 3)


if __name__ == "__main__":
    unittest.main()
