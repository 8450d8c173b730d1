"""bench/compare_llamacpp with two small programs in the places of llama-bench and turboquant-bench:
what it asks of them, what it makes of their figures, and what it says when one is missing or odd.

  compare_llamacpp_test.py PATH_OF_COMPARE_LLAMACPP
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = sys.argv.pop() if len(sys.argv) > 1 else "compare_llamacpp"

# Both write their arguments down, and take the next of the speeds that the test has laid out.
FAKE = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
flags = dict(zip(sys.argv[{skip}::2], sys.argv[{skip} + 1::2]))
side = flags.get("-ctk", "ours")
speeds = json.loads((folder / "speeds").read_text())
speed = speeds[side].pop(0)
(folder / "speeds").write_text(json.dumps(speeds))
{answer}
"""
LLAMA = """
row = {"n_gen": int(flags["-n"]), "n_depth": int(flags["-d"]), "avg_ts": speed, "build_number": 7}
print(json.dumps([row]))
"""
OURS = """
pathlib.Path(flags["--json"]).write_text(json.dumps({
    "machine": "a machine", "commit": "abc", "compiler": "a compiler", "seed": 1,
    "results": [{"decode_tokens_per_s": speed}]}))
"""


class CompareLlamacpp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.peer = self.folder / "peer"
        (self.peer / "bin").mkdir(parents=True)
        self.model = self.folder / "model.gguf"
        self.model.touch()
        self.speeds({side: [10.0] * 9 for side in ("ours", "f16", "q8_0", "q4_0")})
        self.program(self.folder / "turboquant-bench", OURS, skip=2)
        self.program(self.peer / "bin/llama-bench", LLAMA, skip=1)

    def program(self, path, answer, skip):
        path.write_text(FAKE.format(python=sys.executable, folder=str(self.folder),
                                    name=path.name, skip=skip, answer=answer))
        path.chmod(0o755)

    def speeds(self, by_side):
        (self.folder / "speeds").write_text(json.dumps(by_side))

    def calls(self):
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def compare(self, *flags, peer=True, path=""):
        command = [sys.executable, "-B", SCRIPT, "--model", self.model, "--bench",
                   self.folder / "turboquant-bench", "--json", self.folder / "out.json", *flags]
        if peer:
            command += ["--peer", self.peer]
        environment = {**os.environ, "PATH": path, "OMP_WAIT_POLICY": "PASSIVE"}
        return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=120, env=environment)

    def rows(self, *flags, **where):
        done = self.compare(*flags, **where)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / "out.json").read_text())["rows"], done.stdout

    def fails(self, expected, *flags, **where):
        done = self.compare(*flags, **where)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(expected, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_runs_in_turns_and_counts_medians(self):
        self.speeds({"ours": [20, 90, 30, 6], "f16": [10, 30, 10, 4], "q8_0": [9, 40, 8, 8],
                     "q4_0": [5, 5, 5, 3]})
        rows, text = self.rows("--depth", "0", "--rounds", "3", "--output", "16", "--threads", "2")
        self.assertEqual(rows, [{"depth": 0, "ours": 30,
                                 "llamacpp": {"f16": 10, "q8_0": 9, "q4_0": 5},
                                 "best": "f16", "ours_to_best": 3}])
        self.assertIn("| 0 | 30.0 | 10.0 | 9.0 | 5.0 | 3.00 |", text)
        about = json.loads((self.folder / "out.json").read_text())
        self.assertEqual((about["machine"], about["llamacpp_build"], about["omp_wait_policy"]),
                         ("a machine", 7, "PASSIVE"))
        sides = [call[call.index("-ctk") + 1] if "-ctk" in call else "ours"
                 for call in self.calls()]
        self.assertEqual(sides, ["ours", "f16", "q8_0", "q4_0"] * 3)

    def test_asks_both_for_the_same(self):
        rows, _ = self.rows("--depth", "64,0", "--rounds", "1", "--output", "16", "--threads", "3",
                            "--kv", "tq3")
        self.assertEqual([row["depth"] for row in rows], [0, 64])
        calls = self.calls()
        ours = calls[4][2:]
        self.assertEqual(calls[4][:2], ["turboquant-bench", "kv"])
        ours = dict(zip(ours[::2], ours[1::2]))
        theirs = dict(zip(calls[7][1::2], calls[7][2::2]))
        self.assertEqual((ours["--model"], ours["--context"], ours["--output"], ours["--threads"]),
                         (str(self.model), "64", "16", "3"))
        self.assertEqual((theirs["-m"], theirs["-d"], theirs["-n"], theirs["-t"]),
                         (str(self.model), "64", "16", "3"))
        self.assertEqual((ours["--kv"], theirs["-ctk"], theirs["-ctv"], theirs["-fa"]),
                         ("tq3", "q4_0", "q4_0", "1"))

    def test_finds_the_peer_on_path(self):
        rows, _ = self.rows("--depth", "0", "--rounds", "1", peer=False,
                            path=str(self.peer / "bin"))
        self.assertEqual(len(rows), 1)

    def test_says_what_is_missing(self):
        self.fails("no llama-bench on PATH", peer=False, path=str(self.folder))
        (self.peer / "bin/llama-bench").unlink()
        self.fails("no llama-bench in")
        self.assertEqual(self.calls(), [])  # before anything is run
        self.program(self.peer / "llama-bench", LLAMA, skip=1)
        self.fails("there is no", "--bench", self.folder / "none")
        self.model.unlink()
        self.fails("there is no")

    def test_says_what_went_wrong(self):
        peer = self.peer / "bin/llama-bench"
        for answer, expected in (
                ("sys.exit('no such cache type')", "no such cache type"),
                ("print('| model | size |')", "not understood"),
                ("print(json.dumps([]))", "not understood"),
                (LLAMA.replace('int(flags["-d"])', "12"), "another run's figures")):
            with self.subTest(expected):
                self.program(peer, answer, skip=1)
                self.fails(expected, "--depth", "0", "--rounds", "1")

    def test_refuses_odd_arguments(self):
        for flags in (("--depth", "-1"), ("--depth", "x"), ("--rounds", "0"), ("--threads", "0")):
            with self.subTest(flags):
                self.fails(flags[0], *flags)


if __name__ == "__main__":
    unittest.main()
