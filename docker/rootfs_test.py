#!/usr/bin/env python3
"""Runs the steps of docker/Dockerfile in debootstrap roots, where no Docker engine runs.

The Dockerfile itself is read, so that what is tested is what is shipped: FROM, WORKDIR, COPY, RUN,
USER, ENV, HEALTHCHECK and ENTRYPOINT mean here what they mean there, as far as the file uses them.
The last stage is then started as its user, in a network of its own; the health check must pass, a
chat must answer, and SIGTERM must end the server with status 0.

  docker/rootfs_test.py WORK_DIR     needs root and debootstrap; else it exits with 77 (skipped)
"""

import ctypes
import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
SKIPPED = 77
HEALTHY_S_MAX = 60
STOP_S_MAX = 45
MODELS = ROOT / ".deps" / "models"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC_PRIVATE = 0x4000 | (1 << 18)


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def unshare(flags):
    if LIBC.unshare(flags):
        sys.exit(f"rootfs: unshare: {os.strerror(ctypes.get_errno())}")


class Stage:
    """One FROM: a root, and the state that later instructions see."""

    def __init__(self, root):
        self.root = root
        self.workdir, self.user = "/", "root"
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.entrypoint, self.health = [], ""
        # How this machine reaches the network; a Docker engine sees to that by itself.
        proxy = re.compile(r"(?i)(https?|no)_proxy$")
        self.network = {k: v for k, v in os.environ.items() if proxy.match(k)}

    def inside(self, path):
        path = path if path.startswith("/") else os.path.join(self.workdir, path)
        return self.root / path.lstrip("/")

    def chroot(self, command):
        """The command line that runs `command` (a list) in here."""
        env = [f"{k}={v}" for k, v in {**self.network, **self.env}.items()]
        cd = f"cd {shlex.quote(self.workdir)} && exec \"$@\""
        return ["env", "-i", *env, "chroot", f"--userspec={self.user}", str(self.root),
                "/bin/sh", "-c", cd, "sh", *command]


class Builder:
    def __init__(self, work):
        self.work = work
        self.stages, self.names = [], {}

    def base(self):
        """Debian 12's minimal system, made once."""
        base = self.work / "base"
        if not base.exists():
            part = self.work / "base.part"
            shutil.rmtree(part, ignore_errors=True)
            run("debootstrap", "--variant=minbase", "bookworm", part)
            part.rename(base)
        return base

    def from_(self, args):
        image, *rest = args.split()
        if not image.startswith("debian:bookworm"):
            sys.exit(f"rootfs: FROM {image}: only Debian 12 is known here")
        root = self.work / f"stage{len(self.stages)}"
        shutil.rmtree(root, ignore_errors=True)
        run("cp", "-a", self.base(), root)
        for path in ("etc/resolv.conf", "etc/hosts"):
            shutil.copy("/" + path, root / path)
        ca = pathlib.Path("/usr/local/share/ca-certificates")
        if ca.is_dir():
            shutil.copytree(ca, root / str(ca)[1:], dirs_exist_ok=True)
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
        acquire = [line for line in dump.stdout.splitlines() if line.startswith("Acquire::")]
        (root / "etc/apt/apt.conf.d/99machine").write_text("\n".join(acquire) + "\n")
        for folder in ("proc", "dev"):
            run("mount", "--rbind", "/" + folder, root / folder)
        self.stages.append(Stage(root))
        if rest:
            self.names[rest[1]] = self.stages[-1]

    def copy(self, stage, args):
        words = args.split()
        source_root, ignored = ROOT, set()
        if words[0].startswith("--from="):
            source_root = self.names[words.pop(0)[7:]].root
        else:
            lines = (ROOT / ".dockerignore").read_text().split()
            ignored = {line.removeprefix("**/") for line in lines}
        *sources, target = words
        for source in sources:
            origin = source_root / source.lstrip("/")
            if origin.is_dir():
                shutil.copytree(origin, stage.inside(target), symlinks=True, dirs_exist_ok=True,
                                ignore=lambda _, names: ignored & set(names))
            else:
                folder = stage.inside(target)
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy2(origin, folder)

    def step(self, word, args):
        print(f"rootfs: {word} {args}", flush=True)
        if word == "FROM":
            return self.from_(args)
        stage = self.stages[-1]
        if word == "WORKDIR":
            stage.workdir = args
            stage.inside(args).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            self.copy(stage, args)
        elif word == "RUN":
            run(*stage.chroot(["/bin/sh", "-c", args]))
        elif word == "USER":
            stage.user = args
        elif word == "ENV":
            for pair in shlex.split(args):
                name, value = pair.split("=", 1)
                stage.env[name] = value.replace("$PATH", stage.env["PATH"])
        elif word == "HEALTHCHECK":
            stage.health = args.split("CMD ", 1)[1]
        elif word == "ENTRYPOINT":
            stage.entrypoint = json.loads(args)
        elif word not in ("VOLUME", "EXPOSE", "STOPSIGNAL"):
            sys.exit(f"rootfs: {word}: not known here")


def instructions(text):
    """(word, arguments) of each instruction; comments gone, continued lines joined."""
    lines = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", lines).split("\n"):
        if line.strip():
            word, args = line.split(None, 1)
            yield word, args.strip()


def loopback_up():
    unshare(CLONE_NEWNET)
    with socket.socket() as any_socket:
        flags = struct.pack("16sh14x", b"lo", 1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, flags)  # SIOCSIFFLAGS


def chat():
    body = {"model": "any", "max_tokens": 8,
            "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    with urllib.request.urlopen("http://127.0.0.1:8000/v1/models", timeout=10) as answer:
        body["model"] = json.load(answer)["data"][0]["id"]
    request = urllib.request.Request(
        "http://127.0.0.1:8000/v1/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def wait_healthy(stage, server):
    start = time.monotonic()
    check = stage.chroot(["/bin/sh", "-c", stage.health])
    while subprocess.run(check, capture_output=True).returncode:
        if server.poll() is not None:
            sys.exit(f"rootfs: the server ended with status {server.returncode}")
        if time.monotonic() - start > HEALTHY_S_MAX:
            sys.exit(f"rootfs: not healthy after {HEALTHY_S_MAX} s")
        time.sleep(0.2)
    print(f"rootfs: healthy after {time.monotonic() - start:.1f} s", flush=True)


def try_image(stage):
    models = stage.inside("/models")
    models.mkdir(exist_ok=True)
    run("mount", "--bind", MODELS, models)
    loopback_up()
    server = subprocess.Popen(stage.chroot(stage.entrypoint + ["--bits", "4"]))
    try:
        wait_healthy(stage, server)
        answer = chat()
        print(f"rootfs: answer: {answer!r}", flush=True)
        if not answer.strip():
            sys.exit("rootfs: empty answer")
        server.send_signal(signal.SIGTERM)
        status = server.wait(timeout=STOP_S_MAX)
        if status:
            sys.exit(f"rootfs: status {status} after SIGTERM")
    finally:
        server.kill()


def main():
    missing = [tool for tool in ("debootstrap", "chroot") if not shutil.which(tool)]
    if os.geteuid() or missing:
        print("rootfs: skipped: needs root and", ", ".join(missing) or "root")
        return SKIPPED
    work = pathlib.Path(sys.argv[1]).resolve()
    work.mkdir(parents=True, exist_ok=True)
    # Mounts of this process only: they end with it, and nothing outside sees them.
    unshare(CLONE_NEWNS)
    if LIBC.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        sys.exit(f"rootfs: mount: {os.strerror(ctypes.get_errno())}")
    run(ROOT / "cmake/setup.sh", "model")
    builder = Builder(work)
    for word, args in instructions((ROOT / "docker/Dockerfile").read_text()):
        builder.step(word, args)
    try_image(builder.stages[-1])
    print("rootfs: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
