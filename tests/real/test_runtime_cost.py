"""What a user namespace costs a node: containers of the Kubernetes node image are started by
runc and by `jeroboam-runtime` in turn, in a private engine. Only an optimised program has
the times of a release: build it with `cargo build --release -p runtime`, and name the
directory with --runtime. Options: --rounds, --runtime."""

import contextlib
import os
import statistics
import subprocess
import time

import own_engine
import pytest
from environment import expect, run
from own_engine import private_engine
from runtime_container import FIRST, GRANTS, SIZE, docker, first_process, grant, inspect, mapped, mounts, read

pytestmark = [pytest.mark.engine, pytest.mark.measured]
IMAGE = "jeroboam/kubernetes:latest"
# A goal of the project.
MOST_MS = 60
# Options of a node that the server sends, except the names.
NODE = ["--network", "none", "--cgroupns", "private", "--cap-drop", "ALL", "--security-opt", "seccomp=unconfined", "--security-opt",
        "apparmor=unconfined", "--security-opt", "systempaths=unconfined", "--tmpfs", "/run:exec", "--tmpfs", "/tmp:exec",
        "--memory", "512m", "--pids-limit", "2048", "--entrypoint", "sleep"]


@pytest.fixture(scope="module")
def engine(option):
    os.makedirs(GRANTS, 0o700, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if option("runtime"):
            patch.setattr(own_engine, "RUNTIME", option("runtime"))
        with private_engine([IMAGE]) as engine:
            run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", GRANTS]).ok()
            yield engine


def create(name, isolated):
    options = ["--runtime", "jeroboam-userns", "--env", f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"] if isolated else []
    docker("create", "--name", name, "--volume", f"{name}:/var/lib/containerd", *NODE, *options, IMAGE, "1000").ok()


def remove(name):
    docker("rm", "-fv", name).ok()
    docker("volume", "rm", name).ok()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{GRANTS}/{FIRST}-{SIZE}")


def processor_ms(engine):
    """Processor time of the engine, its containerd, shims, and all that they waited for."""
    total = 0
    for pid in own_engine.processes(engine.dir):
        with contextlib.suppress(OSError, IndexError):
            total += sum(map(int, read(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15]))
    return total * 1000 / os.sysconf("SC_CLK_TCK")


def timed(call):
    begun = time.monotonic()
    call().ok()
    return (time.monotonic() - begun) * 1000


def one(engine, name, isolated):
    """Milliseconds of the start, of the processor, of an exec and of the removal."""
    create(name, isolated)
    before = processor_ms(engine)
    start = timed(lambda: docker("start", name))
    processor = processor_ms(engine) - before
    if isolated:
        mapped(first_process(name), FIRST)
    execution = timed(lambda: docker("exec", name, "true"))
    begun = time.monotonic()
    remove(name)
    return start, processor, execution, (time.monotonic() - begun) * 1000


def quantiles(values):
    return f"{statistics.median(values):.0f} (p90 {sorted(values)[len(values) * 9 // 10]:.0f})"


def test_time_of_starts(engine, option, report):
    report(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {read('/proc/version').split()[2]}, "
           f"runtime {os.path.getsize(own_engine.RUNTIME) >> 10} KiB")
    rows = {False: [], True: []}
    for isolated in rows:
        one(engine, "warm", isolated)
    for turn in range(option("rounds", 10)):
        # The order changes, so that neither profits from the other.
        for isolated in ((False, True) if turn % 2 else (True, False)):
            rows[isolated].append(one(engine, f"cost{turn}", isolated))
    for number, what in enumerate(("start", "processor time of a start", "exec", "removal")):
        runc, ours = ([row[number] for row in rows[isolated]] for isolated in (False, True))
        more = statistics.median(b - a for a, b in zip(runc, ours))
        report(f"{what}: runc {quantiles(runc)} ms, with a user namespace {quantiles(ours)} ms, median difference {more:+.0f} ms")
        if number == 0:
            added = more
    expect(added <= MOST_MS, f"a user namespace adds {added:.0f} ms to a start; the goal is {MOST_MS} ms")


def disk(directory):
    return int(subprocess.run(["du", "-skx", directory], stdout=subprocess.PIPE, text=True, check=False).stdout.split()[0])


def owners(directories):
    """Owner and time of the last change of each file."""
    found = {}
    for directory in directories:
        for folder, names, files in os.walk(directory):
            for path in [folder, *(f"{folder}/{name}" for name in [*names, *files])]:
                with contextlib.suppress(FileNotFoundError):
                    stat = os.lstat(path)
                    found[path] = (stat.st_uid, stat.st_gid, stat.st_ctime_ns)
    return found


def test_disk_and_memory(engine, report):
    """No file of the image is copied or changed, and the runtime leaves no process."""
    layers, size, memory = None, {}, {}
    for isolated in (False, True):
        name = f"disk{int(isolated)}"
        before = disk(f"{engine.dir}/data")
        create(name, isolated)
        lower = [layer for layer in inspect(name, "{{.GraphDriver.Data.LowerDir}}").split(":") if not layer.endswith("-init/diff")]
        layers = layers or (lower, owners(lower))
        docker("start", name).ok()
        size[isolated] = disk(f"{engine.dir}/data") - before
        pid = first_process(name)
        memory[isolated] = sum(int(line.split()[1]) for other in [pid, *shims(engine)]
                               for line in read(f"/proc/{other}/smaps_rollup").splitlines() if line.startswith("Pss:"))
        expect(owners(lower) == layers[1], "files of the image have changed")
        remove(name)
    report(f"disk of a container {size[False]} KiB with runc, {size[True]} KiB with a user namespace; "
           f"memory of its process and its shim {memory[False]} and {memory[True]} KiB; {len(layers[1])} files of the image unchanged")
    expect(size[True] < size[False] + 1024, f"disk: {size}")
    expect(memory[True] < memory[False] + 4096, f"memory: {memory}")
    expect(not mounts(), f"left: {mounts()}")


def shims(engine):
    return [pid for pid in own_engine.processes(engine.dir) if "containerd-shim" in read(f"/proc/{pid}/cmdline")]
