"""What the neighbour, the server and the engine answer, and what the host has left."""

import contextlib
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY = "/sys/fs/cgroup/memory"


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")


class Samples:
    """The durations of the requests to one address in milliseconds, and the errors of
    those that were not answered."""

    def __init__(self, rows=()):
        self.times = [ms for ms, _ in rows]
        self.errors = [why for _, why in rows if why]

    def add(self, other):
        self.times += other.times
        self.errors += other.errors

    @property
    def p50(self):
        return percentile(self.times, 0.5)

    @property
    def p99(self):
        return percentile(self.times, 0.99)


class Probe:
    """probe.py with these targets; for use in a `with` block."""

    def __init__(self, targets):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "probe.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(targets) + "\n")
        self.process.stdin.flush()

    def cut(self):
        """What was measured since the last call, by target."""
        self.process.stdin.write("cut\n")
        self.process.stdin.flush()
        return {name: Samples(rows) for name, rows in json.loads(self.process.stdout.readline()).items()}

    def during(self, seconds):
        self.cut()
        time.sleep(seconds)
        return self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Host:
    """Resources of the host that all nodes share."""

    def __init__(self, groups):
        # The memory cgroups of the attacking nodes.
        self.groups = groups

    def seen(self):
        found = {}
        with open("/proc/meminfo") as f:
            found["memory"] = next(int(line.split()[1]) >> 10 for line in f if line.startswith("MemAvailable"))
        with open("/proc/sys/fs/file-nr") as f:
            found["files"] = int(f.read().split()[0])
        with open("/proc/sys/net/netfilter/nf_conntrack_count") as f:
            found["flows"] = int(f.read())
        found["charged"] = sum(charged(group) for group in self.groups)
        return found


def charged(group):
    """MiB that count for the limit of a cgroup, apart from the page cache, which the host
    can use for something else at any time."""
    total = 0
    for name in ("memory.usage_in_bytes", "memory.current"):
        with contextlib.suppress(FileNotFoundError), open(f"{group}/{name}") as f:
            total = int(f.read()) >> 20
    with contextlib.suppress(FileNotFoundError), open(f"{group}/memory.stat") as f:
        stat = dict(line.split() for line in f)
        cache = int(stat.get("total_active_file", stat.get("active_file", 0)))
        cache += int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
        total -= cache >> 20
    return total
