"""One server under the load of `turboquant-bench serve`, ours or llama.cpp's."""

import functools
import http.client
import json
import math
import socket
import time

from processes import POLL_SECONDS, run, running

START_SECONDS_MAX = 300
HEALTH_SECONDS_MAX = 5  # of one question
REQUEST_SECONDS_MAX = 900
SEED_STRIDE = 1 << 20  # request i of a seed is request 0 of seed + i
TOKENS_PER_WORD_MAX = 1.25  # of the prompts, which are of common words; more is an error
WARM_UP_OUTPUT = 8  # tokens of the one request before those that count

# Each request is new, so a prefix cache would take memory and give nothing: it is off on both
# sides. Flags of llama-server that not every version has, with their arguments.
PEER_FLAGS = {"--no-webui": (), "--no-cache-prompt": (), "--cache-ram": (0,)}


def ours(options, streams):
    return [options.server, "--model", options.model, "--threads", options.threads,
            "--kv", options.kv, "--seqs-max", streams, "--prefix-cache", "off"]


def theirs(options, program, side, streams):
    slot = options.stream_prompt * TOKENS_PER_WORD_MAX + options.output + 1  # a first token
    return [program, "-m", options.model, "-t", options.threads, "-tb", options.threads,
            "-ctk", side.kv_type, "-ctv", side.kv_type, "-fa", "on" if side.flash else "off",
            "-ngl", 0, "-np", streams, "-c", streams * math.ceil(slot), *known_flags(program)]


@functools.lru_cache
def known_flags(program):
    text = run([program, "--help"]).stdout()
    return [word for flag, arguments in PEER_FLAGS.items() if flag in text
            for word in (flag, *arguments)]


def measure(options, command, streams, number, folder):
    """Figures of a server that runs for this one load, and the document that it was read from.
    The prompts are those of the round, the same for each server."""
    port = free_port()
    with running([*command, "--host", "127.0.0.1", "--port", port]) as server:
        wait_until_healthy(server, port)
        load(options, port, folder, streams=1, requests=1, seed=0, output=WARM_UP_OUTPUT)
        document = load(options, port, folder, streams=streams,
                        requests=streams * options.requests, seed=(number + 1) * SEED_STRIDE,
                        output=options.output)
        if server.ends_within(0):
            server.fail(f"ended {server.ending()} under load")
    return {"tokens_per_s": document["output_tokens"] / document["seconds"],
            "first_token_ms": document["milliseconds"]["time to first token"]["p50"],
            "peak_bytes": server.peak_bytes}, document


def load(options, port, folder, streams, requests, seed, output):
    out = folder / "serve.json"
    # Completions, not chat: both sides get the same text, and none parses what is random.
    client = run([options.bench, "serve", "--url", f"http://127.0.0.1:{port}", "--completions",
                  "--streams", streams, "--requests", requests, "--prompt", options.stream_prompt,
                  "--output", output, "--seed", seed, "--timeout", REQUEST_SECONDS_MAX,
                  "--json", out])
    document = json.loads(out.read_text())
    if document["output_tokens"] != requests * output:
        client.fail(f"got {document['output_tokens']} tokens, not {requests} times {output}")
    return document


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_healthy(server, port):
    deadline = time.monotonic() + START_SECONDS_MAX
    while not is_healthy(port):
        if server.ends_within(POLL_SECONDS):
            server.fail(f"ended {server.ending()} before it served")
        if time.monotonic() > deadline:
            server.fail(f"did not serve within {START_SECONDS_MAX} s")


def is_healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_SECONDS_MAX)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
