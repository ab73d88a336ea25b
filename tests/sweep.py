#!/usr/bin/env python3
"""Removes what test runs that were cut off have left: the containers, networks
and volumes of installations whose state directory is not locked any more, and
those directories. An engine that starts again would start such nodes again."""

import fcntl
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from environment import KINDS  # noqa: E402

LABEL = "io.jeroboam.installation"
# Directories created by environment.py and test_readme.py.
STATES = ("jeroboam-test-*", "jeroboam-home-*/.local/share/jeroboam")


def held(state):
    """Whether a server holds the lock of this state directory. A recent directory without
    a lock file counts as held, because its server may be about to create the file."""
    try:
        with open(os.path.join(state, "lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return time.time() - os.stat(state).st_mtime < 600
    except OSError:
        return True
    return False


def remove(installation):
    gone = []
    for kind, (look, remove_command) in KINDS.items():
        listed = subprocess.run([*look, "--filter", f"label={LABEL}={installation}"], capture_output=True, text=True, check=False)
        found = listed.stdout.split()
        if found:
            subprocess.run([*remove_command, *found], capture_output=True, check=False)
            gone += [f"{kind} {name}" for name in found]
    return gone


def main():
    for pattern in STATES:
        for state in glob.glob(os.path.join(tempfile.gettempdir(), pattern)):
            if held(state):
                continue
            try:
                with open(os.path.join(state, "installation")) as f:
                    gone = remove(f.read().strip())
            except OSError:
                gone = []
            for what in gone:
                print(f"left by a run that was cut off: {what} is removed")
            top = os.path.join(tempfile.gettempdir(), os.path.relpath(state, tempfile.gettempdir()).split(os.sep)[0])
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
