"""Processes whose time is bounded and whose peak memory is known."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

RUN_SECONDS_MAX = 3600
STOP_SECONDS_MAX = 30  # from SIGTERM to SIGKILL
POLL_SECONDS = 0.02
SHOWN_CHARACTERS = 2000  # of what a failed process wrote


class Process:
    """A running child. Its output goes to files: a pipe that nobody reads would block it."""

    def __init__(self, command):
        self.command = [str(word) for word in command]
        self.exit_code = None
        self.peak_bytes = None  # at the end. Linux counts from the fork: no less than this script's
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        try:
            self._child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                           stdout=self._out, stderr=self._err)
        except OSError as failure:
            sys.exit(f"{self}: {failure}")

    def __str__(self):
        return " ".join(self.command)

    def ends_within(self, seconds):
        deadline = time.monotonic() + seconds
        while self.exit_code is None:
            pid, status, usage = os.wait4(self._child.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
                self.peak_bytes = usage.ru_maxrss * 1024
                self._child.returncode = self.exit_code  # or Popen would wait for it as well
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(POLL_SECONDS)
        return True

    def stop(self):
        if self.ends_within(0):
            return
        os.kill(self._child.pid, signal.SIGTERM)
        if not self.ends_within(STOP_SECONDS_MAX):
            os.kill(self._child.pid, signal.SIGKILL)
            self.ends_within(STOP_SECONDS_MAX)

    def ending(self):
        if self.exit_code < 0:
            return f"of signal {signal.Signals(-self.exit_code).name}"
        return f"with exit code {self.exit_code}"

    def stdout(self):
        return self._text(self._out)

    def fail(self, what):
        wrote = self._text(self._err).strip() or self.stdout().strip()
        sys.exit(f"{self} {what}: {wrote[-SHOWN_CHARACTERS:]}")

    @staticmethod
    def _text(file):
        file.seek(0)
        return file.read().decode(errors="replace")


@contextlib.contextmanager
def running(command):
    """A process that ends at the latest with the block."""
    process = Process(command)
    try:
        yield process
    finally:
        process.stop()


def run(command):
    """A process that ended well."""
    with running(command) as process:
        if not process.ends_within(RUN_SECONDS_MAX):
            process.fail(f"took more than {RUN_SECONDS_MAX} s")
        if process.exit_code != 0:
            process.fail(f"ended {process.ending()}")
        return process
