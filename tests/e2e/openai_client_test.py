"""Drives the real program with the real model through the clients that users have: the `openai`
package (streamed, unstreamed, async, 16 at once) and curl. Standard library and openai only.

    python3 openai_client_test.py --server BIN --model FILE [--kv tq4]

Every wait is bounded; exits 0 only if every check held.
"""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request

import openai

from program import CALL_S, KEY, START_S, Server, check, get, metric, user


class Suite:
    def __init__(self, url, kv):
        self.url = url
        self.kv = kv
        self.client = openai.OpenAI(
            base_url=url + "/v1", api_key=KEY, timeout=CALL_S, max_retries=0)
        self.model = self.client.models.list().data[0].id

    def chat(self, text, **more):
        return self.client.chat.completions.create(
            model=self.model, messages=user(text), temperature=0, **more)

    def test_models(self):
        check(self.client.models.retrieve(self.model).id == self.model, "model by id")

    def test_unstreamed_equals_streamed(self):
        whole = self.chat("What is the capital of France?", max_tokens=24)
        choice = whole.choices[0]
        check(choice.message.role == "assistant", "role")
        check("Paris" in choice.message.content, "greedy answer: " + choice.message.content)
        check(whole.usage.total_tokens ==
              whole.usage.prompt_tokens + whole.usage.completion_tokens, "usage adds up")
        text, usage, finishes = "", None, []
        for chunk in self.chat("What is the capital of France?", max_tokens=24, stream=True,
                               stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for part in chunk.choices:
                text += part.delta.content or ""
                if part.finish_reason:
                    finishes.append(part.finish_reason)
        check(text == choice.message.content, "streamed %r, whole %r" % (text, choice.message))
        check(finishes == [choice.finish_reason], "one finish reason")
        check(usage.completion_tokens == whole.usage.completion_tokens, "usage of the stream")

    def test_completions(self):
        answer = self.client.completions.create(
            model=self.model, prompt=["Once upon a time", "The sun is"], max_tokens=8,
            temperature=0, logprobs=2, n=2)
        check(len(answer.choices) == 4, "two prompts, two choices each")
        check(answer.choices[0].text == answer.choices[1].text, "greedy choices are equal")
        logprobs = answer.choices[0].logprobs
        check(len(logprobs.tokens) == len(logprobs.token_logprobs) > 0, "logprobs per token")
        check("".join(logprobs.tokens) == answer.choices[0].text, "tokens join to the text")
        check(all(value <= 0.0 for value in logprobs.token_logprobs), "logprobs are logs")

    def test_chat_logprobs(self):
        answer = self.chat("Say hi.", max_tokens=4, logprobs=True, top_logprobs=3)
        content = answer.choices[0].logprobs.content
        check(len(content) >= 1 and len(content[0].top_logprobs) == 3, "top logprobs")
        check(content[0].top_logprobs[0].logprob == content[0].logprob, "greedy takes the best")

    def test_seed_and_stop(self):
        def sampled():
            return self.client.chat.completions.create(
                model=self.model, messages=user("Invent a name."), temperature=1.0, seed=7,
                max_tokens=16).choices[0].message.content
        check(sampled() == sampled(), "the same seed gives the same answer")
        full = self.chat("Count: one, two, three", max_tokens=32).choices[0].message.content
        middle = full[len(full) // 2:len(full) // 2 + 3]
        cut = self.chat("Count: one, two, three", max_tokens=32, stop=[middle])
        check(cut.choices[0].message.content == full[:full.index(middle)], "cut at the stop string")
        check(cut.choices[0].finish_reason == "stop", "finish reason of a stop string")

    def test_errors(self):
        def refused(kind, **more):
            try:
                self.chat("x", **more)
            except kind as error:
                return error
            raise AssertionError("no %s for %r" % (kind.__name__, more))
        bad = refused(openai.BadRequestError, top_p=5)
        check(bad.param == "top_p" and bad.type == "invalid_request_error", repr(bad.body))
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        lacking = refused(openai.InternalServerError, tools=tools)
        check(lacking.status_code == 501 and lacking.param == "tools", repr(lacking.body))
        try:
            self.chat("word " * 20000, max_tokens=5)
            raise AssertionError("no error for a prompt over the context")
        except openai.BadRequestError as error:
            check(error.code == "context_length_exceeded", repr(error.body))
            check(re.search(r"\d+", error.message), "the numbers are in the message")
        try:
            self.client.chat.completions.create(model="other", messages=user("x"))
            raise AssertionError("no error for another model")
        except openai.NotFoundError as error:
            check(error.code == "model_not_found", repr(error.body))
        stranger = openai.OpenAI(base_url=self.url + "/v1", api_key="wrong", max_retries=0)
        try:
            stranger.models.list()
            raise AssertionError("a wrong key was let in")
        except openai.AuthenticationError:
            pass

    def test_async_16_at_once(self):
        async def run():
            client = openai.AsyncOpenAI(
                base_url=self.url + "/v1", api_key=KEY, timeout=CALL_S, max_retries=2)

            async def one(i):
                prompt = user("Write a sentence about the number %d." % (i % 4))
                if i % 2:
                    answer = await client.chat.completions.create(
                        model=self.model, messages=prompt, max_tokens=24, temperature=0)
                    return i, answer.choices[0].message.content
                text = ""
                stream = await client.chat.completions.create(
                    model=self.model, messages=prompt, max_tokens=24, temperature=0, stream=True)
                async for chunk in stream:
                    text += chunk.choices[0].delta.content or ""
                return i, text

            try:
                return await asyncio.wait_for(
                    asyncio.gather(*(one(i) for i in range(16))), timeout=CALL_S)
            finally:
                await client.close()

        answers = dict(asyncio.run(run()))
        check(all(answers.values()), "every answer has text")
        # Greedy output of a sequence does not depend on the batch it ran in.
        for i in range(16):
            check(answers[i] == answers[(i + 4) % 16], "answers %d and %d differ: %r, %r" % (
                i, (i + 4) % 16, answers[i], answers[(i + 4) % 16]))

    def test_eight_chats_interleave(self):
        arrivals = []  # (stream, n-th piece), as they came
        lock = threading.Lock()

        def one(i):
            n = 0
            for chunk in self.chat("Tell story number %d." % i, max_tokens=48, stream=True,
                                   extra_body={"ignore_eos": True}):
                if chunk.choices and chunk.choices[0].delta.content:
                    with lock:
                        arrivals.append((i, n))
                    n += 1

        threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=CALL_S)
            check(not thread.is_alive(), "a stream did not end")
        ends = {}
        for place, (stream, _) in enumerate(arrivals):
            ends[stream] = place
        begins = [next(p for p, (s, _) in enumerate(arrivals) if s == i) for i in range(8)]
        check(len(ends) == 8, "all streams had text")
        check(max(begins) < min(ends.values()), "every stream began before any ended")

    def test_curl(self):
        body = json.dumps({"model": self.model, "stream": True, "max_tokens": 8,
                           "messages": user("Hello")})
        done = subprocess.run(
            ["curl", "-sN", "--max-time", "120", "-i", self.url + "/v1/chat/completions", "-H",
             "Content-Type: application/json", "-H", "X-Api-Key: " + KEY, "-d", body],
            capture_output=True, text=True, timeout=150, check=True)
        head, _, events = done.stdout.replace("\r\n", "\n").partition("\n\n")
        check("200 OK" in head and "text/event-stream; charset=utf-8" in head, head)
        lines = [line for line in events.split("\n") if line]
        check(all(line.startswith("data: ") or line == ": ping" for line in lines), events)
        check(lines[-1] == "data: [DONE]", "ends with [DONE]")
        first = json.loads(lines[0][6:])
        check(first["choices"][0]["delta"] == {"role": "assistant", "content": ""}, lines[0])

    def test_tokens(self):
        def post(path, body):
            request = urllib.request.Request(
                self.url + path, json.dumps(body).encode(),
                {"Content-Type": "application/json", "Authorization": "Bearer " + KEY})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        text = "Grüße, 世界! \U0001f600"
        tokens = post("/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"]
        check(post("/detokenize", {"tokens": tokens})["prompt"] == text, "round trip")
        prompt = post("/apply-template", {"messages": user("hi")})["prompt"]
        check("hi" in prompt and prompt.endswith("assistant\n"), repr(prompt))

    def test_metrics(self):
        status, _ = get(self.url + "/health")
        check(status == 200, "health")
        _, page = get(self.url + "/metrics")
        check(metric(page, "vllm:generation_tokens_total") > 0, "tokens were counted")
        check(metric(page, "vllm:time_to_first_token_seconds_count") > 0, "TTFT was counted")
        ratio = metric(page, "turboquant:kv_bytes_ratio")
        sealed = metric(page, "turboquant:kv_bytes_per_token", 'state="sealed"')
        hot = metric(page, "turboquant:kv_bytes_per_token", 'state="hot"')
        check(abs(ratio - sealed / hot) < 1e-9, "the ratio is that of its parts")
        if self.kv == "tq4":
            check(ratio <= 0.27, "KV bytes per token at tq4: %.4f of bf16" % ratio)

    def test_long_answer_seals_blocks(self):
        """A context past sink and window holds codes: blocks of the sealed pool are in use."""
        seen = []
        stream = self.chat("Tell me everything. " * 160, max_tokens=64, stream=True,
                           extra_body={"ignore_eos": True})
        for chunk in stream:
            if len(seen) < 3 and chunk.choices and chunk.choices[0].delta.content:
                _, page = get(self.url + "/metrics")
                seen.append(metric(page, "turboquant:kv_blocks_used", 'state="sealed"'))
        if self.kv != "bf16":
            check(max(seen) > 0, "sealed blocks in use: %r" % seen)

    def run(self):
        failed = 0
        for name in sorted(vars(Suite)):
            if not name.startswith("test_"):
                continue
            begin = time.monotonic()
            try:
                getattr(self, name)()
                print("ok    %-34s %6.1f s" % (name, time.monotonic() - begin), flush=True)
            except Exception:  # the next check still tells something
                failed += 1
                print("FAIL  %s" % name, flush=True)
                traceback.print_exc()
        return failed


def drain_under_load(server, url, model):
    """SIGTERM while streams run: they finish, and the process exits with 0."""
    client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, timeout=CALL_S, max_retries=0)
    finishes, started, lock = [], threading.Event(), threading.Lock()
    began = set()

    def one(i):
        for chunk in client.chat.completions.create(
                model=model, messages=user("Tell story %d." % i), max_tokens=64, stream=True,
                extra_body={"ignore_eos": True}):
            if not chunk.choices:
                continue
            with lock:
                if chunk.choices[0].delta.content:
                    began.add(i)
                if len(began) == 4:
                    started.set()
                if chunk.choices[0].finish_reason:
                    finishes.append(chunk.choices[0].finish_reason)

    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    check(started.wait(timeout=CALL_S), "the streams began")
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(timeout=CALL_S)
        check(not thread.is_alive(), "a stream hung in the drain")
    check(finishes == ["length"] * 4, "every stream finished: %r" % finishes)
    check(server.process.wait(timeout=60) == 0, "exit status after the drain")
    try:
        get(url + "/health")
        raise AssertionError("the server still answers")
    except (urllib.error.URLError, ConnectionError):
        pass
    print("ok    drain_under_load", flush=True)


def same_alone_and_together(binary, model, kv):
    """Greedy answers to prompts past sink and window, most of which is attended to as codes, do not
    depend on what else runs. Without the prefix cache: each is computed afresh."""
    server = Server([binary, "--model", model, "--kv", kv, "--port", "0", "--kv-memory", "256MiB",
                     "--prefix-cache", "false"])
    try:
        client = openai.OpenAI(base_url=server.wait_ready() + "/v1", api_key="none", timeout=CALL_S,
                               max_retries=0)
        name = client.models.list().data[0].id
        prompts = ["Chapter %d. %s What happens next?" % (i, "The ship sails on and on. " * n)
                   for i, n in enumerate((90, 105, 120, 135))]

        def answer(i):
            whole = client.chat.completions.create(
                model=name, messages=user(prompts[i]), temperature=0, max_tokens=24,
                extra_body={"ignore_eos": True})
            check(whole.usage.prompt_tokens > 576, "%d tokens" % whole.usage.prompt_tokens)
            return whole.choices[0].message.content

        together = [None] * len(prompts)

        def one(i):
            together[i] = answer(i)

        threads = [threading.Thread(target=one, args=(i,), daemon=True)
                   for i in range(len(prompts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=CALL_S)
            check(not thread.is_alive(), "an answer did not come")
        alone = [answer(i) for i in range(len(prompts))]
        check(all(alone) and alone == together, "alone %r, together %r" % (alone, together))
    finally:
        server.stop()
    print("ok    same_alone_and_together", flush=True)


def dry_run(binary, model, kv):
    done = subprocess.run([binary, "--model", model, "--kv", kv, "--dry-run"],
                          capture_output=True, text=True, timeout=START_S, check=True)
    check("memory plan" in done.stdout and "bytes per token" in done.stdout, done.stdout)
    bad = subprocess.run([binary, "--model", model, "--bits", "4", "--kv", "tq4"],
                         capture_output=True, text=True, timeout=30, check=False)
    check(bad.returncode == 2 and "--bits" in bad.stderr, bad.stderr)
    gpu = subprocess.run([binary, "--model", model, "--device", "cuda", "--dry-run"],
                         capture_output=True, text=True, timeout=START_S, check=False)
    if gpu.returncode != 0:  # no device here: said, and no other is taken
        check(gpu.returncode == 1 and "--device" in gpu.stderr and "CUDA" in gpu.stderr, gpu.stderr)
    else:
        check("activations" in gpu.stdout, gpu.stdout)
    print("ok    dry_run", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--kv", default="tq4")
    options = parser.parse_args()

    dry_run(options.server, options.model, options.kv)
    same_alone_and_together(options.server, options.model, options.kv)
    server = Server([options.server, "--model", options.model, "--kv", options.kv, "--port", "0",
                     "--api-key", KEY, "--kv-memory", "256MiB", "--log-level", "info",
                     "--drain-ms", str(int(CALL_S * 1000))])
    failed = 0
    try:
        url = server.wait_ready()
        suite = Suite(url, options.kv)
        failed += suite.run()
        drain_under_load(server, url, suite.model)
    except Exception:
        failed += 1
        traceback.print_exc()
    finally:
        server.stop()
    if failed:
        print("---- output of the server ----\n" + server.text())
    print("%s: %d failed" % ("FAILED" if failed else "passed", failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
