"""bench/compare_llamacpp with small programs in the places of llama.cpp's and ours: what it asks of
them, what it makes of their figures, and what it says when one is missing or odd. No server stays.

  compare_llamacpp_test.py PATH_OF_COMPARE_LLAMACPP
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

SCRIPT = sys.argv.pop() if len(sys.argv) > 1 else "compare_llamacpp"

# All write their arguments down. A bench takes the next of the speeds that the test has laid out.
FAKE = """#!{python}
import http.client, http.server, json, os, pathlib, sys, time
folder = pathlib.Path({folder!r})
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")

def flag(name):
    return sys.argv[sys.argv.index(name) + 1]

def next_speed(side):
    speeds = json.loads((folder / "speeds").read_text())
    if not speeds[side]:
        sys.exit("no speed is left")
    speed = speeds[side].pop(0)
    (folder / "speeds").write_text(json.dumps(speeds))
    return speed

{answer}
"""
LLAMA = """
side = flag("-ctk") + ("" if flag("-fa") == "1" else " plain")
row = {"n_prompt": int(flag("-p")), "n_gen": int(flag("-n")), "n_depth": int(flag("-d")),
       "avg_ts": next_speed(side), "build_number": 7}
ballast = b"x" * (96 << 20)
print(json.dumps([row]))
"""
# What it says of a server: that it was there, and the speed of whatever side that server is.
OURS = """
about = {"machine": "a machine", "commit": "abc", "compiler": "a compiler", "seed": 1}
if sys.argv[1] == "kv":
    speed = next_speed("ours")
    figures = {"results": [{"decode_tokens_per_s": speed, "prefill_tokens_per_s": 2 * speed}]}
else:
    connection = http.client.HTTPConnection(flag("--url").removeprefix("http://"))
    connection.request("GET", "/side")
    side = connection.getresponse().read().decode()
    n_tokens = int(flag("--requests")) * int(flag("--output"))
    speed = next_speed(side) if flag("--seed") != "0" else 1  # 0: warms up
    figures = {"output_tokens": n_tokens, "seconds": n_tokens / speed,
               "milliseconds": {"time to first token": {"p50": 1000 / speed}}}
pathlib.Path(flag("--json")).write_text(json.dumps({**about, **figures}))
"""
SERVER = """
if "--help" in sys.argv:
    sys.exit(print("--no-webui  no page\\n--cache-ram N  of prompts"))
side = "ours"
if "-ctk" in sys.argv:
    side = flag("-ctk") + ("" if flag("-fa") == "on" else " plain")
questions = 0

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global questions
        questions += self.path == "/health"
        self.send_response(503 if questions < 2 else 200)  # loads the model at first
        self.end_headers()
        self.wfile.write(side.encode())

with open(folder / "pids", "a") as pids:
    print(os.getpid(), file=pids)
http.server.HTTPServer((flag("--host"), int(flag("--port"))), Handler).serve_forever()
"""
SIDES = ("ours", "f16", "f16 plain", "q8_0", "q4_0")


class CompareLlamacpp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.peer = self.folder / "peer"
        (self.peer / "bin").mkdir(parents=True)
        self.model = self.folder / "model.gguf"
        self.model.touch()
        self.speeds({side: [10.0] * 9 for side in SIDES})
        self.program(self.folder / "turboquant-bench", OURS)
        self.program(self.folder / "turboquant-server", SERVER)
        self.program(self.peer / "bin/llama-bench", LLAMA)
        self.program(self.peer / "bin/llama-server", SERVER)

    def program(self, path, answer):
        path.write_text(FAKE.format(python=sys.executable, folder=str(self.folder),
                                    name=path.name, answer=answer))
        path.chmod(0o755)

    def speeds(self, by_side):
        (self.folder / "speeds").write_text(json.dumps(by_side))

    def calls(self):
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def assert_servers_are_gone(self, n_servers):
        pids = [int(line) for line in (self.folder / "pids").read_text().splitlines()]
        self.assertEqual(len(pids), n_servers)
        for pid in pids:
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    def started(self, *flags, peer=True, path=""):
        command = [sys.executable, "-B", SCRIPT, "--model", self.model, "--bench",
                   self.folder / "turboquant-bench", "--json", self.folder / "out.json", *flags]
        if peer:
            command += ["--peer", self.peer]
        environment = {**os.environ, "PATH": path, "OMP_WAIT_POLICY": "PASSIVE"}
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=environment)

    def compare(self, *flags, **where):
        with self.started(*flags, **where) as script:
            stdout, stderr = script.communicate(timeout=120)
        return subprocess.CompletedProcess(script.args, script.returncode, stdout, stderr)

    def rows(self, *flags, **where):
        done = self.compare(*flags, **where)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / "out.json").read_text()), done.stdout

    def fails(self, expected, *flags, **where):
        done = self.compare(*flags, **where)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(expected, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_runs_in_turns_and_counts_medians(self):
        self.speeds({"ours": [20, 90, 30, 6], "f16": [10, 30, 10, 4], "f16 plain": [8, 50, 9, 9],
                     "q8_0": [9, 40, 8, 8], "q4_0": [5, 5, 5, 3]})
        document, text = self.rows("--depth", "0", "--rounds", "3", "--output", "16")
        row, = document["rows"]
        peaks = row.pop("peak_bytes")
        self.assertEqual(row, {"depth": 0, "ours": 30,
                               "llamacpp": {"f16": 10, "q8_0": 9, "q4_0": 5},
                               "flash_attention": {"f16": True, "q8_0": True, "q4_0": True},
                               "best": "f16", "ours_to_best": 3})
        self.assertIn("| decode at 0 | 30.0 | 10.0 | 9.0 | 5.0 | 3.00 |", text)
        self.assertLess(peaks["ours"], 96 << 20)
        for kv_type in ("f16", "q8_0", "q4_0"):
            self.assertGreater(peaks[kv_type], 96 << 20)
            self.assertLess(peaks[kv_type], 192 << 20)
        self.assertEqual((document["machine"], document["llamacpp_build"],
                          document["omp_wait_policy"]), ("a machine", 7, "PASSIVE"))
        sides = [(call[call.index("-ctk") + 1], call[call.index("-fa") + 1])
                 if "-ctk" in call else "ours" for call in self.calls()]
        self.assertEqual(sides, ["ours", ("f16", "1"), ("f16", "0"), ("q8_0", "1"),
                                 ("q4_0", "1")] * 3)

    def test_takes_f16_without_flash_attention_where_that_is_faster(self):
        self.speeds({"ours": [20], "f16": [10], "f16 plain": [16], "q8_0": [12]})
        document, text = self.rows("--depth", "0", "--rounds", "1", "--types", "q8_0,f16")
        row, = document["rows"]
        self.assertEqual((row["llamacpp"], row["best"], row["ours_to_best"]),
                         ({"f16": 16, "q8_0": 12}, "f16", 1.25))
        self.assertEqual(row["flash_attention"], {"f16": False, "q8_0": True})
        self.assertIn("| decode at 0 | 20.0 | 16.0 (-fa 0) | 12.0 | 1.25 |", text)

    def test_asks_both_for_the_same(self):
        document, _ = self.rows("--depth", "64,0", "--rounds", "1", "--output", "16",
                                "--threads", "3", "--kv", "tq3")
        self.assertEqual([row["depth"] for row in document["rows"]], [0, 64])
        calls = self.calls()
        self.assertEqual(calls[5][:2], ["turboquant-bench", "kv"])
        ours = dict(zip(calls[5][2::2], calls[5][3::2]))
        theirs = dict(zip(calls[9][1::2], calls[9][2::2]))
        self.assertEqual((ours["--model"], ours["--context"], ours["--output"], ours["--threads"]),
                         (str(self.model), "64", "16", "3"))
        self.assertEqual((theirs["-m"], theirs["-d"], theirs["-n"], theirs["-t"], theirs["-p"]),
                         (str(self.model), "64", "16", "3", "0"))
        self.assertEqual((ours["--kv"], theirs["-ctk"], theirs["-ctv"], theirs["-fa"]),
                         ("tq3", "q4_0", "q4_0", "1"))

    def test_compares_prefill(self):
        document, text = self.rows("--prompt", "512", "--rounds", "1", "--types", "q4_0")
        self.assertEqual(document["rows"], [])  # unless asked for
        row, = document["prefill"]
        self.assertEqual((row["prompt"], row["ours"], row["llamacpp"]), (512, 20, {"q4_0": 10}))
        self.assertIn("| prefill of 512 | 20.0 | 10.0 | 2.00 |", text)
        ours, theirs = self.calls()
        self.assertEqual(ours[ours.index("--context") + 1], "512")
        theirs = dict(zip(theirs[1::2], theirs[2::2]))
        self.assertEqual((theirs["-p"], theirs["-n"], theirs["-d"]), ("512", "0", "0"))

    def test_writes_each_row_when_it_is_there(self):
        self.speeds({"ours": [20, 20], "q8_0": [10]})
        self.fails("ended with exit code 1: no speed is left", "--depth", "0,64", "--rounds", "1",
                   "--types", "q8_0")
        document = json.loads((self.folder / "out.json").read_text())
        self.assertEqual([row["depth"] for row in document["rows"]], [0])

    def test_serves(self):
        self.speeds({"ours": [40, 20, 20], "f16": [10, 10, 10], "f16 plain": [1, 1, 1],
                     "q8_0": [8, 8, 25], "q4_0": [2, 2, 2]})
        document, text = self.rows("--streams", "8", "--rounds", "3", "--requests", "2",
                                   "--output", "16", "--stream-prompt", "100", "--threads", "2")
        row, = document["serving"]
        self.assertEqual((row["streams"], row["ours"], row["llamacpp"], row["ours_to_best"]),
                         (8, 20, {"f16": 10, "q8_0": 8, "q4_0": 2}, 2))
        self.assertEqual(row["first_token_ms"]["llamacpp"], {"f16": 100, "q8_0": 125, "q4_0": 500})
        self.assertEqual(row["first_token_ms"]["ours_to_best"], 0.5)
        self.assertIn("| streams 8, ms to first token | 50.0 | 100.0 | 125.0 | 500.0 | 0.50 |",
                      text)
        self.assert_servers_are_gone(5 * 3)
        calls = self.calls()
        ours, theirs = (next(call for call in calls if call[0] == name and "--port" in call)
                        for name in ("turboquant-server", "llama-server"))
        self.assertEqual([ours[ours.index(flag) + 1] for flag in
                          ("--threads", "--seqs-max", "--prefix-cache")], ["2", "8", "off"])
        self.assertEqual([theirs[theirs.index(flag) + 1] for flag in
                          ("-t", "-tb", "-np", "-c", "-ctk", "-fa", "--cache-ram")],
                         ["2", "2", "8", str(8 * (125 + 16 + 1)), "f16", "on", "0"])
        self.assertIn("--no-webui", theirs)
        self.assertNotIn("--no-cache-prompt", theirs)  # this version does not know it
        loads = [call for call in calls if call[1] == "serve"]
        self.assertEqual({call[call.index("--requests") + 1] for call in loads[1::2]}, {"16"})
        seeds = [int(call[call.index("--seed") + 1]) for call in loads]
        self.assertEqual(len(set(seeds[1::2])), 3)  # a round's, the same for each of its sides
        self.assertGreaterEqual(min(b - a for a, b in zip(sorted(set(seeds)),
                                                          sorted(set(seeds))[1:])), 16)

    def test_leaves_no_server_behind(self):
        serve = ("--streams", "1", "--rounds", "1")
        self.program(self.folder / "turboquant-bench", "sys.exit('connection refused')")
        self.fails("connection refused", *serve)
        self.assert_servers_are_gone(1)
        self.program(self.folder / "turboquant-bench", OURS.replace(
            'int(flag("--output"))', '(int(flag("--output")) - 1)'))
        self.fails("tokens, not 1 times", *serve)
        self.assert_servers_are_gone(2)
        self.program(self.folder / "turboquant-server", "sys.exit('no such format')")
        self.fails("no such format", *serve)
        self.fails("there is no", "--server", self.folder / "none", *serve)
        (self.peer / "bin/llama-server").unlink()
        self.fails("no llama-server in", *serve)

    def test_stops_its_server_when_it_is_stopped(self):
        self.program(self.folder / "turboquant-bench", "time.sleep(600)")
        with self.started("--streams", "1", "--rounds", "1") as script:
            deadline = time.monotonic() + 60
            while not any(call[1] == "serve" for call in self.calls()):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            script.terminate()
            self.assertNotEqual(script.wait(60), 0)
        self.assert_servers_are_gone(1)

    def test_finds_the_peer_on_path(self):
        document, _ = self.rows("--depth", "0", "--rounds", "1", peer=False,
                                path=str(self.peer / "bin"))
        self.assertEqual(len(document["rows"]), 1)

    def test_says_what_is_missing(self):
        self.fails("no llama-bench on PATH", peer=False, path=str(self.folder))
        (self.peer / "bin/llama-bench").unlink()
        self.fails("no llama-bench in")
        self.assertEqual(self.calls(), [])  # before anything is run
        self.program(self.peer / "llama-bench", LLAMA)
        self.fails("there is no", "--bench", self.folder / "none")
        self.model.unlink()
        self.fails("there is no")

    def test_says_what_went_wrong(self):
        peer = self.peer / "bin/llama-bench"
        for answer, expected in (
                ("sys.exit('no such cache type')", "no such cache type"),
                ("os.abort()", "ended of signal SIGABRT"),
                ("print('| model | size |')", "not understood"),
                ("print(json.dumps([]))", "not understood"),
                (LLAMA.replace('int(flag("-d"))', "12"), "another run's figures")):
            with self.subTest(expected):
                self.program(peer, answer)
                self.fails(expected, "--depth", "0", "--rounds", "1")

    def test_refuses_odd_arguments(self):
        for flags in (("--depth", "-1"), ("--depth", "x"), ("--rounds", "0"), ("--threads", "0"),
                      ("--prompt", "0"), ("--streams", "0"), ("--types", "f16,q5_1")):
            with self.subTest(flags):
                self.fails(flags[0], *flags)


if __name__ == "__main__":
    unittest.main()
