#!/usr/bin/env python3
"""Makes the texts of `turboquant-bench quality`: texts.py DIR

  prose.txt      Newton's Opticks (1730), in the public domain; ships with the sources of Go
  code.txt       net/http/server.go of Go 1.19
  languages.txt  the Debian FAQ in German, French, Japanese, Russian and Chinese, by turns

All from Debian 12 packages, fetched with apt-get (no root needed); what goes in and what comes out
is pinned by checksum.
"""

import gzip
import hashlib
import itertools
import pathlib
import subprocess
import sys
import tempfile

GO = "golang-1.19-src", "usr/share/go-1.19/src/"
FAQ = "usr/share/doc/debian/FAQ/debian-faq.%s.txt.gz"
SOURCES = {
    "opticks": (GO[0], GO[1] + "testdata/Isaac.Newton-Opticks.txt",
                "d4a9ac22462b35e7821a4f2706c211093da678620a8f9997989ee7cf8d507bbd"),
    "server": (GO[0], GO[1] + "net/http/server.go",
               "75a0cf6d426ff571d300de6fde0d2f4c24ece8e99b6261e0e862ef95077d6874"),
    "de": ("debian-faq-de", FAQ % "de",
           "902c50f614342a5dfd7338a0ff79d830b9280db8cf3c6d94a8fe692c3080ec58"),
    "fr": ("debian-faq-fr", FAQ % "fr",
           "a02ac9c0c8578eeda71e72f15f09acdfc2b6b3c31f8c19bff32972e47e0ad2ae"),
    "ja": ("debian-faq-ja", FAQ % "ja",
           "9a7ddbaa3856500ba57436378682afcda30376bc7d14948b0769c3397a287bbb"),
    "ru": ("debian-faq-ru", FAQ % "ru",
           "f257d035ed73bc09c63d3d41513a4d1900dcb6634b1ae74be61be025aee41c2a"),
    "zh": ("debian-faq-zh-cn", FAQ % "zh-cn",
           "675bffba7d8bba9548dd918f4431e55a6b94364d0d824bcb8ed146cd04680040"),
}
RESULTS = {
    "prose": "c0ec6cf7e60e09f6c0648ece90783c1f1d0d4b1a397f4827d03c88c2e573eabd",
    "code": "75a0cf6d426ff571d300de6fde0d2f4c24ece8e99b6261e0e862ef95077d6874",
    "languages": "5a9c2b46cac765360f7202d59bf8be11c947e8bbac4207793174fb1981543271",
}


def fetch(folder):
    """The sources' bytes by name."""
    packages = sorted({package for package, _, _ in SOURCES.values()})
    got = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages],
                         cwd=folder, check=False, stdout=subprocess.DEVNULL)
    if got.returncode != 0:
        sys.exit("texts: apt-get download failed; if it knows no packages, run apt-get update")
    for deb in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
    found = {}
    for name, (package, path, sha256) in SOURCES.items():
        data = (folder / path).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            sys.exit(f"texts: {path} of {package} has the wrong checksum")
        found[name] = gzip.decompress(data) if path.endswith(".gz") else data
    return {name: data.decode() for name, data in found.items()}


def paragraphs(text):
    """Past the table of contents, which is the same in all languages."""
    parts = [part.strip("\n") for part in text[len(text) // 4:].split("\n\n")]
    return [part for part in parts if len(part) > 80]


def make(sources):
    opticks = sources["opticks"]
    begin = opticks.index("_Part of the ensuing Discourse")
    turns = itertools.zip_longest(
        *(paragraphs(sources[name]) for name in ("de", "fr", "ja", "ru", "zh")), fillvalue="")
    return {
        "prose": opticks[begin:begin + 200000],
        "code": sources["server"],
        "languages": "\n\n".join(itertools.chain.from_iterable(turns))[:100000],
    }


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as folder:
        texts = make(fetch(pathlib.Path(folder)))
    for name, text in texts.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        if RESULTS[name] != digest:
            sys.exit(f"texts: {name}.txt has checksum {digest}, expected {RESULTS[name]}")
        (target / f"{name}.txt").write_text(text, newline="\n")


if __name__ == "__main__":
    main()
