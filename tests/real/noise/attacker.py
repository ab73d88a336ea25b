"""The cluster that attacks: starts programs in its nodes and pods, and removes what is
left of them."""

import contextlib
import os
import signal
import subprocess
import time

from environment import Failed, expect, run, wait_for
from escape.neighbours import Node

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = "JEROBOAM_NOISE"
# Memory that no limit counts, and disk, in MiB: the machine of the test has to survive.
BOUND, DISK = 2048, 3072


def program():
    texts = []
    for part in ("attacks.pl", "network.pl", "main.pl"):
        with open(os.path.join(HERE, part)) as f:
            texts.append(f.read())
    return "".join(texts)


class Attacker:
    """`worker` and `master` are nodes (escape.neighbours.Node), `origins` the places in
    the worker where programs can run; `recreate` makes the pods again."""

    def __init__(self, worker, master, origins, recreate):
        self.worker, self.master, self.origins, self.recreate = worker, master, origins, recreate
        self.mark = f"{os.getpid()}"

    def refresh(self, origin):
        """Waits until programs can run there. The kernel may have killed the node, whose
        processes are then others, and the kubelet may have ended the pod for good."""
        def works():
            self.worker, self.master = Node(self.worker.container), Node(self.master.container)
            run(origin.command({}, "true"), env=origin.env, timeout=10).ok()
            return True
        try:
            wait_for(f"the {origin.kind} works", 20, works, 0.5)
        except Failed:
            if origin.kind == "pod":
                self.recreate()
            wait_for(f"the {origin.kind} works", 60, works, 0.5)

    def address(self, node):
        shown = run(["docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}}\n{{end}}",
                     node.container]).ok().out
        return shown.split()[:2]

    def variables(self, origin, other):
        own, gateway = self.address(self.worker if origin.kind != "master" else self.master)
        folder = next(iter(self.worker.folders)) if origin.kind != "pod" else "/"
        return {MARK: self.mark, "BOUND": str(BOUND), "DISK": str(DISK), "OWN": own, "GATEWAY": gateway,
                "PEER": self.address(other)[0], "FOLDER": f"{folder}/noise-{self.mark}"}

    def start(self, origin, key, seconds):
        other = self.worker if origin.kind == "master" else self.master
        variables = self.variables(origin, other)
        script = 'mkdir -p "$FOLDER"; exec timeout -s KILL "$2" perl - "$1" "$3"'
        command = origin.command(variables, "sh", "-c", script, "sh", key, str(seconds + 3), str(seconds))
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env=dict(os.environ, **(origin.env or {})))
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(program())
            process.stdin.close()
        return process

    def processes(self):
        """The processes on the host that an attack has left."""
        found = []
        for node in (self.worker, self.master):
            groups = []
            # A node that ran out of memory has ended with its processes.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                groups = node.cgroups()
            for group in groups:
                for directory, _, names in os.walk(group):
                    if "cgroup.procs" in names:
                        with contextlib.suppress(OSError), open(f"{directory}/cgroup.procs") as f:
                            found += f.read().split()
                break
        return [int(pid) for pid in set(found) if self.is_ours(pid)]

    def is_ours(self, pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as f:
            return f"{MARK}={self.mark}".encode() in f.read().split(b"\0")
        return False

    def clean(self, origin):
        """Kills what is left, and removes its files."""
        end = time.monotonic() + 60
        while left := self.processes():
            expect(time.monotonic() < end, f"{len(left)} processes of the attack cannot be killed")
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        def removed():
            folders = " ".join(f"{f}/noise-*" for f in (*self.worker.folders, "/run"))
            done = self.worker.run(f"rm -rf {folders}; rmdir /sys/fs/cgroup/*/noise-*/* /sys/fs/cgroup/*/noise-* 2>/dev/null; "
                                   "true", timeout=30)
            if done.code:
                raise Failed(done.text)
            return True
        wait_for("the attacking node answers again", 90, removed, 0.5)
        with contextlib.suppress(Failed):
            run(origin.command({}, "sh", "-c", "rm -rf /noise-* /dev/shm/noise-* /run/noise-*"), env=origin.env, timeout=20)
