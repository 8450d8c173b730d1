"""The real program as a test starts it, and what tests ask of its answers."""

import re
import subprocess
import threading
import time
import urllib.request

KEY = "e2e-secret"
START_S = 180.0  # a debug build of a busy machine loads slowly
CALL_S = 180.0


class Server:
    """The program on a free port; its output is collected."""

    def __init__(self, arguments, environment=None):
        self.output = []
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line)

    def text(self):
        return "".join(self.output)

    def wait_ready(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            found = re.search(r"listening on (http://[0-9.:]+)", self.text())
            if found and "curl -N" in self.text():
                return found.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError("the server did not start:\n" + self.text())

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def user(text):
    return [{"role": "user", "content": text}]


def get(url, headers=None):
    request = urllib.request.Request(url, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, answer.read().decode()


def metric(page, name, labels=""):
    """The first sample of a family whose labels hold `labels`."""
    for line in page.splitlines():
        if line.startswith(name + "{") and labels in line:
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError("no metric " + name)
