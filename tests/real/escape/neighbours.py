"""Two nodes of different clusters: an object of each kind in one, and tries to reach them
as root of the user namespace of the other."""

import contextlib
import json
import os

from environment import expect, run

from .origins import Origin, program

LIMITS = ("memory.limit_in_bytes", "memory.max", "cpu.shares", "cpu.weight", "pids.max")
V1_FREEZER = os.path.isdir("/sys/fs/cgroup/freezer")


class Node:
    """A node as the host sees it."""

    def __init__(self, container):
        self.container = container
        shown = json.loads(run(["docker", "inspect", container]).ok().out)[0]
        self.id, self.pid = shown["Id"], shown["State"]["Pid"]
        volumes = [m for m in shown["Mounts"] if m["Type"] == "volume"]
        expect(volumes, f"{container} has no volume")
        # Directories of the node, and the paths that they have on the host.
        layers = shown["GraphDriver"]["Data"]
        directory = os.path.dirname(shown["HostnamePath"])
        self.folders = {volumes[0]["Destination"]: [volumes[0]["Source"]],
                        "/root": [f"{layers['UpperDir']}/root", f"{layers['MergedDir']}/root"],
                        "/dev/shm": [f"{directory}/mounts/shm"]}

    def run(self, script, timeout=30):
        return run(["docker", "exec", self.container, "sh", "-c", script], timeout=timeout)

    def paths(self, name):
        """The paths on the host of a file that is in each of the folders."""
        return [f"{path}/{name}" for paths in self.folders.values() for path in paths]

    def cgroups(self):
        """The directories of its cgroups."""
        found = {}
        with open(f"/proc/{self.pid}/cgroup") as f:
            for line in f:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                # The first process may be in a cgroup below that of the container.
                top = path[:path.index(self.id) + len(self.id)] if self.id in path else None
                directory = os.path.normpath(f"/sys/fs/cgroup/{controllers.removeprefix('name=')}/{top}")
                if top and os.path.isdir(directory):
                    found[directory] = None
        return list(found)

    def limits(self):
        """Its limits, by file."""
        found = {}
        for path in (f"{group}/{name}" for group in self.cgroups() for name in LIMITS):
            if os.path.exists(path):
                with open(path) as f:
                    found[path] = f.read().strip()
        return found

    @contextlib.contextmanager
    def resident(self, mark):
        """Runs resident.pl in the node, and yields what is needed to reach it."""
        origin = Origin("", "node", ["docker", "exec", "-i", self.container])
        with origin.start(program("resident.pl"), {}, mark, *self.folders) as running:
            facts = running.rows("ready")
            yield {"TARGET": str(process(mark)), "MARK": mark, "KEY": facts["key"], "SHM": facts["shm"],
                   "CGROUP": ":".join(self.cgroups()), "FILES": ":".join(self.paths(mark))}


class Freezer:
    """Lets a node move its first process into a separate cgroup that is frozen."""

    def __init__(self, node):
        self.node = node
        top = "/sys/fs/cgroup/freezer" if V1_FREEZER else "/sys/fs/cgroup"
        self.file, frozen, self.thawed = ("freezer.state", "FROZEN", "THAWED") if V1_FREEZER else ("cgroup.freeze", "1", "0")
        self.script = (f"mkdir {top}/frozen && echo 1 > {top}/frozen/cgroup.procs && "
                       f"echo {frozen} > {top}/frozen/{self.file} && grep {frozen} {top}/frozen/{self.file}")
        self.group = next(g for g in node.cgroups() if g.startswith(f"{top}/"))

    def freeze(self):
        self.node.run(self.script, timeout=10).ok()

    def thaw(self):
        """Thaws it as root of the host. The cgroup does not exist if the node is deleted."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), open(f"{self.group}/frozen/{self.file}", "w") as f:
            f.write(self.thawed)


def process(mark):
    """The id on the host of a resident.pl in a node."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as command, open(f"/proc/{pid}/uid_map") as ids:
            # The client of the engine has the same arguments, but is not in the namespace.
            if mark in command.read().split("\0") and ids.read().split()[1] != "0":
                found.append(int(pid))
    expect(len(found) == 1, f"processes with {mark}: {found}")
    return found[0]


def tries(target, user, network):
    """Tries to reach a resident.pl as root of the user namespace of a node, or as root of
    the host. Returns the rows by key."""
    variables = {**target, "USER": str(user.pid) if user else "", "NETWORK": str(network.pid)}
    done = run(["timeout", "-k", "2", "60", "perl", "-"], env=variables, data=program("neighbour.pl"), timeout=70)
    done.ok()
    return {key: rest for key, *rest in (line.split("\t") for line in done.out.splitlines())}
