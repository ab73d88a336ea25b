"""What root in a node can do to the host. The test tries the known ways, as root in
a worker of a swarm and of a Kubernetes cluster, and compares the result with the
table in the operator guide. Every attempt is harmless (host_root.pl describes how).
--update-golden writes the table into the guide."""

import os
import subprocess
import tempfile

import pytest
from environment import ROOT, Docker, expect, names, run

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
GUIDE = os.path.join(ROOT, "docs", "isolation.md")
BEGIN = "<!-- Written by tests/real/test_host_root.py --update-golden -->"
END = "<!-- End of the table of test_host_root.py -->"
UNKNOWN = "not in the tested kernel"
NONE = "no capability "
RULES = "no device rule"
# The key that host_root.pl prints, what is tried, and why it is possible or refused.
SETTINGS = """[clusters.isolation]
host_root = "all"
"""
WAYS = [
    ("core-pattern", "let the kernel run a program as root of the host (`kernel.core_pattern`)", "not namespaced"),
    ("disk", "mount a disk that the host has mounted, and read a file of the host", "`SYS_ADMIN`; from Linux 6.6 on, such a mount does not open the device, so no device rule applies"),
    ("socket-disk", "call the engine's API by its socket, through that mount", "`SYS_ADMIN`"),
    ("socket", "call the engine's API by a socket in the node", "not mounted"),
    ("handle", "open files of the host by handle", NONE + "`DAC_READ_SEARCH`"),
    ("processes", "see, signal or trace processes of the host", "own PID namespace"),
    ("release-agent", "let the kernel run a program when a cgroup ends (`release_agent`)", "own cgroup namespace"),
    ("uevent-helper", "let the kernel run a program for a device event (`uevent_helper`)", "sysfs is writable"),
    ("module", "load a kernel module", NONE + "`SYS_MODULE`"),
    ("kexec", "boot another kernel", NONE + "`SYS_BOOT`"),
    ("reboot", "restart the host (`reboot`)", NONE + "`SYS_BOOT`"),
    ("sysrq", "restart or stop the host (`sysrq-trigger`)", "procfs is writable"),
    ("clock", "set the clock", NONE + "`SYS_TIME`"),
    ("memory", "read the host's memory (`/dev/mem`)", RULES + ", " + NONE + "`SYS_RAWIO`"),
    ("ports", "use I/O ports (`/dev/port`)", RULES + ", " + NONE + "`SYS_RAWIO`"),
    ("iopl", "use I/O ports (`iopl`)", NONE + "`SYS_RAWIO`"),
    ("disk-open", "read a disk of the host, mounted or not", RULES + ", but a node can give itself one: see `devices.allow`"),
    ("loop", "make loop devices (`/dev/loop-control`)", RULES + ", but a node can give itself one: see `devices.allow`"),
    ("rules", "give itself a device rule and open that device (cgroup v1, `devices.allow`)", "`SYS_ADMIN`; cgroups are writable"),
    ("sysctl", "change sysctls of the whole machine (`vm.swappiness`, `kernel.printk`)", "not namespaced"),
    ("sysfs", "change settings of the host's devices in `/sys`", "sysfs is writable"),
    ("swap", "switch swap off", "`SYS_ADMIN`"),
    ("limits", "lift the node's own limits of memory and CPU", "cgroups are writable"),
    ("priority", "raise its priority (negative nice)", "`SYS_NICE`"),
    ("rlimit", "raise hard limits of processes", NONE + "`SYS_RESOURCE`"),
    ("kernel-log", "read the kernel's log", "`SYSLOG`"),
    ("debugfs", "mount debugfs", "`SYS_ADMIN`"),
    ("tracefs", "mount tracefs: trace the kernel and with it all processes", "`SYS_ADMIN`"),
    ("bpf", "load BPF programs that watch the kernel", "`SYS_ADMIN`"),
    ("perf", "watch a whole CPU (`perf`)", "`SYS_ADMIN`"),
]


def guide_table():
    """The table in the guide as text, and the result that it lists for each way."""
    with open(GUIDE) as f:
        text = f.read()
    expect(BEGIN in text and END in text, f"{GUIDE}: the marks of the table are missing")
    block = text.split(BEGIN)[1].split(END)[0].strip("\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    return block, {row[0]: row[1] for row in rows if len(row) == 3}


def table(found, listed, writing=False):
    """The text of the table. A way that this machine does not support keeps the
    result that the guide lists for it. A way that the guide lists as not in the
    tested kernel keeps that, too, unless the table is written again."""
    lines = ["| what root in a node tries | result | because |", "|---|---|---|"]
    for key, text, because in WAYS:
        kept = found[key] == "absent" or listed.get(text) == UNKNOWN and not writing
        state = listed.get(text, UNKNOWN) if kept else found[key]
        lines.append(f"| {text} | {state} | {because} |")
    return "\n".join(lines)


class HostRoot:
    def __init__(self, server, update):
        self.s, self.update = server, update
        self.found = {}

    def nodes(self):
        """Host name and container name of a worker of each cluster."""
        for name in names("container", f"label=io.jeroboam.installation={self.s.installation()}"):
            host = run(["docker", "inspect", "-f", "{{.Config.Hostname}}", name]).ok().out.strip()
            if "-node-" in host:
                yield host, name

    def disk(self):
        """Creates a file on a disk of the host. Returns the file, which is deleted when it
        is closed, and the variables that host_root.pl needs to look for it."""
        for directory in (self.s.state, os.path.expanduser("~"), "/var/tmp"):
            device = os.stat(directory).st_dev
            mount = mount_of(device, directory)
            if os.major(device) and mount:
                canary = tempfile.NamedTemporaryFile("w", dir=directory, prefix="jeroboam-canary-")
                canary.write(self.s.state)
                canary.flush()
                socket = os.path.realpath("/var/run/docker.sock")
                at = mount_of(device, socket) if os.path.exists(socket) and os.stat(socket).st_dev == device else None
                return canary, {
                    "DISK": f"{os.major(device)}:{os.minor(device)}", "FSTYPE": mount[2], "CANARY": inside(mount, canary.name),
                    "CANARY_TEXT": self.s.state, "SOCKET": inside(at, socket) if at else ""}
        return None, {}


def mount_of(device, path):
    """The mount of the device through which the path is visible: the root of the
    mount in its file system, its mount point, its type."""
    best = None
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields, rest = line.split(" - ")
            _, _, number, root, point = fields.split()[:5]
            if number == f"{os.major(device)}:{os.minor(device)}" and f"{path}/".startswith(point.rstrip("/") + "/"):
                if best is None or len(point) >= len(best[1]):
                    best = root, point, rest.split()[0]
    return best


def inside(mount, path):
    """A path of this machine as a path in the file system of its mount."""
    return os.path.join(mount[0], os.path.relpath(path, mount[1])).lstrip("/")


@pytest.fixture(scope="module")
def clusters(server, option):
    return HostRoot(server, option("update_golden"))


def test_swarm_and_kubernetes_cluster(clusters):
    for coe in ("swarm", "kubernetes"):
        got = clusters.s.magnum("POST", "/clustertemplates", {
            "name": coe, "coe": coe, "image_id": coe, "external_network_id": "public", "keypair_id": "default",
            "flavor_id": "m1.small", "master_flavor_id": "m1.small"})
        expect(got.status == 201, f"{got.status} {got.detail}")
        got = clusters.s.magnum("POST", "/clusters", {
            "name": coe, "cluster_template_id": coe, "node_count": 1, "labels": {"isolation": "host-root"}})
        expect(got.status == 202, f"{got.status} {got.detail}")
    for coe in ("swarm", "kubernetes"):
        clusters.s.until(coe, "CREATE_COMPLETE", 90)


def test_every_cluster_shows_its_isolation_level(clusters):
    """The API and our command line show it; unmodified clients ignore the field."""
    for coe in ("swarm", "kubernetes"):
        level = clusters.s.magnum("GET", f"/clusters/{coe}").body["isolation"]
        expect(level == "host-root", level)
        clusters.s.openstack("coe", "cluster", "show", coe, "-f", "json").json()
    shown = clusters.s.cli("cluster", "show", "swarm", cloud="jeroboam-demo").ok().out
    expect(any("isolation" in line and "host-root" in line for line in shown.splitlines()), shown)


def test_member_of_the_project_is_root_in_the_nodes(clusters):
    """A member of the project reaches root in a node by the cluster's own API."""
    certificates = clusters.s.directory("tls")
    clusters.s.cli("cluster", "config", "swarm", "--dir", certificates, cloud="jeroboam-demo").ok()
    address = clusters.s.magnum("GET", "/clusters/swarm").body["api_address"]
    output = Docker(address.replace("https:", "tcp:"), certificates)(
        "run", "--rm", "--network", "host", "--volume", "/:/node", "jeroboam/echo:1",
        "chroot", "/node", "sh", "-c", "id -u; cat /var/lib/jeroboam/seed.json").ok().out
    expect(output.startswith("0\n") and "swarm" in output, output[:300])


def test_ways_to_the_host_are_tried(clusters, report):
    mark = f"jeroboam-mark-{os.getpid()}"
    engine = run(["docker", "info", "--format", "{{.ID}}"]).ok().out.strip()
    canary, disk = clusters.disk()
    process = subprocess.Popen(["sh", "-c", "read end", mark], stdin=subprocess.PIPE)
    with open(os.path.join(ROOT, "tests", "real", "host_root.pl")) as f:
        probe = f.read()
    try:
        for host, container in clusters.nodes():
            given = [w for k, v in {"MARK": mark, "ENGINE": engine, **disk}.items() for w in ("--env", f"{k}={v}")]
            output = run(["docker", "exec", "-i", *given, container, "timeout", "-k", "2", "15", "perl", "-"],
                       data=probe, timeout=20).ok().out
            clusters.found[host] = dict(line.split("\t")[:2] for line in output.splitlines())
            seen = {line.split("\t")[0]: line.split("\t")[2] for line in output.splitlines()}
            expect(set(clusters.found[host]) == {w[0] for w in WAYS}, f"{host}: other ways were tried: {output}")
    finally:
        process.communicate(b"\n")
        if canary:
            canary.close()
    first, *others = clusters.found.values()
    for key, text, _ in WAYS:
        report(f"{first[key]:<9}{text}{'  [' + seen[key] + ']' if seen[key] else ''}")
    expect(others and all(other == first for other in others), f"the nodes differ: {clusters.found}")


def test_operator_guide_is_right(clusters, report):
    found = next(iter(clusters.found.values()))
    block, listed = guide_table()
    if clusters.update:
        with open(GUIDE) as f:
            text = f.read()
        head, tail = text.split(BEGIN)[0], text.split(END)[1]
        with open(GUIDE, "w") as f:
            f.write(f"{head}{BEGIN}\n\n{table(found, listed, writing=True)}\n\n{END}{tail}")
        report("written")
        return
    wrong = [text for key, text, _ in WAYS if found[key] == "possible" and listed.get(text) == "refused"]
    expect(not wrong, f"the guide says that these are refused: {wrong}")
    now = table(found, listed)
    other = [line for line in now.splitlines() if line not in block.splitlines()]
    expect(block == now, f"the guide has another table; write it with --update-golden. Lines that it lacks: {other}")
    states = [found[key] for key, _, _ in WAYS]
    report(", ".join(f"{states.count(s)} {s}" for s in ("possible", "refused", "absent")))


def test_delete_leaves_nothing(clusters):
    for coe in ("swarm", "kubernetes"):
        expect(clusters.s.magnum("DELETE", f"/clusters/{coe}").status == 204, "delete")
    for coe in ("swarm", "kubernetes"):
        clusters.s.until(coe, "GONE", 60)
    expect(not clusters.s.left() and clusters.s.leaks() == [], f"left: {clusters.s.left()} {clusters.s.leaks()}")
