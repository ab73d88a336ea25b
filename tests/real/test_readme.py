"""The steps of a new user: `./x up`, the tour of the README verbatim, and `./x down`,
after which nothing may be left. They run in a private home directory, on a private
port."""

import os
import re
import shutil
import socket
import subprocess
import tempfile

import pytest
from environment import BIN, KINDS, ROOT, expect, names, run

# The first step may build.
pytestmark = [pytest.mark.engine, pytest.mark.ordered, pytest.mark.timeout(900)]
FLAGS = ["--debug"] if os.path.basename(os.path.dirname(BIN)) == "debug" else []


class Home:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="jeroboam-home-")
        self.before = {kind: set(names(kind)) for kind in KINDS}
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        old = os.environ
        self.env = {
            "HOME": self.dir, "JEROBOAM_LISTEN": f"127.0.0.1:{port}", "JEROBOAM_STATE": None,
            # Clients print their output for the shell that this variable names.
            "SHELL": "/bin/bash",
            # The cache and the toolchain are those of the machine, not of the private home.
            "XDG_CACHE_HOME": old.get("XDG_CACHE_HOME") or os.path.join(old["HOME"], ".cache"),
            "CARGO_HOME": old.get("CARGO_HOME") or os.path.join(old["HOME"], ".cargo"),
            "RUSTUP_HOME": old.get("RUSTUP_HOME") or os.path.join(old["HOME"], ".rustup"),
            "PATH": os.path.join(old["HOME"], ".cargo/bin") + ":" + old["PATH"],
        }
        os.makedirs(os.path.join(self.dir, ".cache"))
        os.symlink(os.path.join(self.env["XDG_CACHE_HOME"], "jeroboam"), os.path.join(self.dir, ".cache", "jeroboam"))
        # The tour names the release build; here the build under test replaces it.
        os.makedirs(os.path.join(self.dir, "work", "target"))
        os.symlink(os.path.dirname(BIN), os.path.join(self.dir, "work", "target", "release"))

    def x(self, *args, timeout=600):
        return run([os.path.join(ROOT, "x"), *args], env=self.env, timeout=timeout)

    def left(self):
        found = [f"{kind} {n}" for kind in KINDS for n in names(kind) if n not in self.before[kind]]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
                with open(f"/proc/{pid}/environ", "rb") as f:
                    ours = f"HOME={self.dir}".encode() in f.read().split(b"\0")
            except OSError:
                continue
            if ours and b"serve" in words:
                found.append(f"process {pid}")
        return found


def tour():
    """The indented blocks in the section `A tour` of the README."""
    with open(os.path.join(ROOT, "README.md")) as f:
        part = re.search(r"^## A tour$(.*?)^## ", f.read(), re.M | re.S).group(1)
    lines = [line[4:] for line in part.splitlines() if line.startswith("    ")]
    expect(len(lines) > 10, f"the tour has {len(lines)} lines")
    return "\n".join(lines)


def last(text, lines):
    return "\n".join(line[:300] for line in text.splitlines()[-lines:])


@pytest.fixture(scope="module")
def home():
    home = Home()
    try:
        yield home
    finally:
        home.x("down")
        shutil.rmtree(home.dir, ignore_errors=True)


def test_up_ends_with_a_cluster_that_runs_a_service(home):
    result = home.x("up", *FLAGS, timeout=900).ok()
    for word in ("Ready", "Running", "./x down", "cluster engine: "):
        expect(word in result.out, f"'{word}' is not in:\n{result.out}")


def test_up_again_finds_it(home):
    home.x("up", *FLAGS).ok()


def test_tour_works_as_written(home):
    # A script has to wait explicitly where a user would wait between two commands.
    def waits(line):
        made = re.match(r"openstack coe cluster (create|resize|delete) (\S+)", line)
        if made and made.group(1) == "delete":
            return f"{line}\nwhile jeroboam cluster list | grep -q {made.group(2)}; do sleep 0.2; done"
        if made:
            return f"{line}\nuntil jeroboam cluster list | grep {made.group(2)} | grep -q _COMPLETE; do sleep 0.2; done"
        return line
    script = "\n".join(waits(line) for line in tour().replace("\\\n", " ").splitlines())
    done = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], cwd=os.path.join(home.dir, "work"), timeout=240,
                          env={k: v for k, v in {**os.environ, **home.env}.items() if v is not None},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    # With `set -x` the shell prints each command to stderr; the last ones show what failed.
    expect(done.returncode == 0, f"ended with {done.returncode}:\n{last(done.stderr, 14)}\n... after:\n{last(done.stdout, 5)}")
    expect("leak" not in done.stdout.lower() or "no leak" in done.stdout.lower(), done.stdout[-1000:])


@pytest.mark.parametrize("time", ["once", "again"])
def test_down_leaves_nothing(home, time):
    home.x("down").ok()
    expect(not home.left(), f"left: {home.left()}")
