"""What root in a node can do to the host and to nodes of others. The test tries the
known ways as root in a worker of a Swarm and of a Kubernetes cluster of each isolation
level, in a privileged pod, and in a privileged pod that shares everything with its node,
and compares the result with the tables in docs/isolation.md. Every attempt is harmless
(escape/calls.pl describes how). --update-golden writes the tables.

With `user-namespace`, each way must be refused, or the test must prove that it changes
nothing of the host. Root of such a node must not reach another node even with the view of
the host's processes and files."""

import contextlib
import json
import os
import re
import socket
import tempfile

import kube
import pytest
from environment import Docker, Failed, expect, grants, names, run
from escape import table
from escape.neighbours import Freezer, Node, tries
from escape.origins import KINDS, PROBE, Running, in_parallel, kubernetes, program, swarm
from escape.ways import WAYS

pytestmark = [pytest.mark.engine, pytest.mark.ordered, pytest.mark.timeout(150)]
FLAGS = ["--allow-host-root"]
COES = {"swarm": swarm, "kubernetes": kubernetes}
LEVELS = ("host-root", "user-namespace")
# Ways that may be possible with user-namespace, because what they change belongs to the
# node: test_what_is_possible_does_not_reach_the_host is the proof for each.
OF_THE_NODE = {"limits-pod", "pid-max", "forwarding", "user-limits", "host-name", "mqueue", "binfmt_misc"}
# Files in /proc and /sys that belong to namespaces of the node: network, IPC, PID, user,
# and UTS. What is written into /proc/pressure affects only the process that writes, and every
# user of a host may do it.
OWN_FILES = re.compile(
    r"/proc/sys/(net/|user/max_|fs/mqueue/|kernel/(auto_msgmni|(msg|sem|shm)\w*|ns_last_pid|pid_max|hostname|domainname)$)"
    r"|/sys/devices/virtual/net/|/proc/pressure/(cpu|io|memory)$")
# The errors of a refusal. The abstract sockets of another network namespace do not exist.
DENIED = ("Operation not permitted", "Permission denied")
DENIED_BY_KEY = {"abstract-socket": ("Connection refused",)}
# What the host has instead of the node's values.
FILES_OF_HOST = {"pid-max": "/proc/sys/kernel/pid_max", "forwarding": "/proc/sys/net/ipv4/ip_forward",
                 "user-limits": "/proc/sys/user/max_user_namespaces"}


class Escape:
    def __init__(self, server, update):
        self.s, self.update = server, update
        self.mark = f"jeroboam-mark-{os.getpid()}"
        self.clusters = {f"{coe}-{level}": (coe, level) for coe in COES for level in LEVELS}
        # Origins and workers by cluster; rows of the probe by origin, and on the host.
        self.origins, self.workers, self.rows, self.on_host = {}, {}, {}, {}
        self.containers = []
        self.freezer = None

    def level(self, origin):
        return self.clusters[origin.cluster][1]

    def all_origins(self, level):
        return [o for origins in self.origins.values() for o in origins if self.level(o) == level]

    def find_workers(self):
        label = f"label=io.jeroboam.installation={self.s.installation()}"
        self.containers = names("container", label)
        uuids = {self.s.magnum("GET", f"/clusters/{name}").body["uuid"]: name for name in self.clusters}
        for container in self.containers:
            text = "{{.Config.Hostname}} {{.Config.Labels}}"
            shown = run(["docker", "inspect", "-f", text, container]).ok().out
            if "-node-" in shown.split()[0]:
                owner = [name for uuid, name in uuids.items() if f"-{uuid[:8]}-" in shown.split()[0]]
                expect(len(owner) == 1, f"{shown} is of {owner}")
                self.workers[owner[0]] = container
        expect(set(self.workers) == set(self.clusters), f"workers: {self.workers}")

    def result(self, level):
        """The result of each way: that of the origin where most is possible."""
        rows = [self.rows[origin] for origin in self.all_origins(level)]
        states = {way.key: {row[way.key][0] for row in rows} for way in WAYS}
        return {key: next(s for s in ("possible", "refused", "absent") if s in found) for key, found in states.items()}


def disk(state):
    """Creates a file on a disk of the host. Returns the file, which is deleted when it
    is closed, and the variables that the probe needs to look for it."""
    for directory in (state, os.path.expanduser("~"), "/var/tmp"):
        device = os.stat(directory).st_dev
        mount = mount_of(device, directory)
        if os.major(device) and mount:
            canary = tempfile.NamedTemporaryFile("w", dir=directory, prefix="jeroboam-canary-")
            canary.write(state)
            canary.flush()
            engine = engine_socket()
            at = mount_of(device, engine) if os.path.exists(engine) and os.stat(engine).st_dev == device else None
            return canary, {
                "DISK": f"{os.major(device)}:{os.minor(device)}", "FSTYPE": mount[2], "CANARY": inside(mount, canary.name),
                "CANARY_TEXT": state, "SOCKET": inside(at, engine) if at else ""}
    return contextlib.nullcontext(), {}


def engine_socket():
    return os.path.realpath(os.environ.get("DOCKER_HOST", "/var/run/docker.sock").removeprefix("unix://"))


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


def contents(path):
    with open(path) as f:
        return f.read().strip()


@contextlib.contextmanager
def mounted(kind):
    """A new mount of a file system of the kernel, with the host's view."""
    with tempfile.TemporaryDirectory(prefix="jeroboam-mount-") as directory:
        run(["mount", "-t", kind, kind, directory]).ok()
        try:
            yield directory
        finally:
            run(["umount", directory]).ok()


def values_of_host(worker):
    """What the host sees of everything that the ways of OF_THE_NODE change."""
    found = {key: contents(path) for key, path in FILES_OF_HOST.items()}
    found["host-name"] = socket.gethostname()
    with mounted("mqueue") as directory:
        found["mqueue"] = sorted(os.listdir(directory))
    with mounted("binfmt_misc") as directory:
        found["binfmt_misc"] = sorted(os.listdir(directory))
    expect("register" in found["binfmt_misc"], f"binfmt_misc is empty: {found}")
    found["limits-pod"] = Node(worker).limits()
    expect(found["limits-pod"], f"no limits of {worker} were found")
    return found


@pytest.fixture(scope="module")
def escape(server, option):
    escape = Escape(server, option("update_golden"))
    yield escape
    # Otherwise the engine cannot remove the container.
    if escape.freezer:
        escape.freezer.thaw()


def test_clusters_of_both_levels(escape):
    for coe in COES:
        got = escape.s.magnum("POST", "/clustertemplates", {
            "name": coe, "coe": coe, "image_id": coe, "external_network_id": "public", "keypair_id": "default",
            "flavor_id": "m1.small", "master_flavor_id": "m1.small"})
        expect(got.status == 201, f"{got.status} {got.detail}")
    for name, (coe, level) in escape.clusters.items():
        got = escape.s.magnum("POST", "/clusters", {
            "name": name, "cluster_template_id": coe, "node_count": 1, "labels": {"isolation": level}})
        expect(got.status == 202, f"{got.status} {got.detail}")
    for name in escape.clusters:
        escape.s.until(name, "CREATE_COMPLETE", 90)
    escape.find_workers()


def test_every_cluster_shows_its_isolation_level(escape):
    """The API and our command line show it; unmodified clients ignore the field."""
    for name, (_, level) in escape.clusters.items():
        shown = escape.s.magnum("GET", f"/clusters/{name}").body["isolation"]
        expect(shown == level, f"{name}: {shown}")
    escape.s.openstack("coe", "cluster", "show", "swarm-host-root", "-f", "json").json()
    shown = escape.s.cli("cluster", "show", "swarm-host-root", cloud="jeroboam-demo").ok().out
    expect(any("isolation" in line and "host-root" in line for line in shown.splitlines()), shown)


def test_member_of_the_project_is_root_in_the_nodes(escape):
    """A member of the project reaches root in a node by the cluster's own API."""
    for level in LEVELS:
        name = f"swarm-{level}"
        certificates = escape.s.directory(f"tls-{level}")
        escape.s.cli("cluster", "config", name, "--dir", certificates, cloud="jeroboam-demo").ok()
        address = escape.s.magnum("GET", f"/clusters/{name}").body["api_address"]
        output = Docker(address.replace("https:", "tcp:"), certificates)(
            "run", "--rm", "--network", "host", "--volume", "/:/node", "jeroboam/echo:1",
            "chroot", "/node", "sh", "-c", "id -u; cat /var/lib/jeroboam/seed.json").ok().out
        expect(output.startswith("0\n") and "swarm" in output, output[:300])


def test_privileged_pods_start(escape):
    def origins(name):
        return COES[escape.clusters[name][0]](name, escape.workers[name], escape.s)

    escape.origins = dict(zip(escape.clusters, in_parallel(origins, list(escape.clusters))))
    for name, origins in escape.origins.items():
        expect([o.kind for o in origins] == list(KINDS), f"{name}: {origins}")


def pods(escape, level):
    """The client of the Kubernetes cluster of a level, and a function that makes pods."""
    def pod(name, **spec):
        container = {"name": "echo", "image": kube.ECHO, "imagePullPolicy": "IfNotPresent",
                     "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "kube-public"}, "spec": {
            "terminationGracePeriodSeconds": 0, "containers": [container], "volumes": [{"name": "data", "emptyDir": {}}],
            **spec}}

    return kube.Kubectl(os.path.join(escape.s.state, f"kube-kubernetes-{level}")), pod


def output_of(kubectl, name, command):
    kubectl("wait", "-n", "kube-public", "--for=condition=Ready", "--timeout=30s", f"pod/{name}", timeout=40).ok()
    return kubectl("exec", "-n", "kube-public", name, "--", "sh", "-c", command).ok().out


@pytest.mark.parametrize("level", LEVELS)
def test_pods_have_the_default_seccomp_profile_of_the_runtime(escape, level):
    kubectl, pod = pods(escape, level)
    kubectl.apply(pod("filtered", securityContext={"seccompProfile": {"type": "RuntimeDefault"}}))
    status = output_of(kubectl, "filtered", "cat /proc/self/status")
    expect("Seccomp:\t2\n" in status, status)


def test_pods_have_user_namespaces_in_nodes_without(escape):
    kubectl, pod = pods(escape, "host-root")
    kubectl.apply(pod("mapped", hostUsers=False))
    shown = output_of(kubectl, "mapped", "touch /data/file; stat -c %u /data/file; cat /proc/self/uid_map").split()
    expect(shown[:2] == ["0", "0"] and int(shown[2]) >= 65536, f"owner of the file, and ids: {shown}")


def test_pods_with_user_namespaces_are_refused_in_nodes_with_one(escape):
    kubectl, pod = pods(escape, "user-namespace")
    for body in (pod("mapped", hostUsers=False), pod("unmapped", hostUsers=True)):
        done = kubectl("create", "-f", "-", data=json.dumps(body))
        if body["spec"]["hostUsers"]:
            done.ok()
        else:
            done.refused("hostUsers: false is not possible", "isolation level host-root")


def test_ways_to_the_host_are_tried(escape, report):
    variables = {"ENGINE": run(["docker", "info", "--format", "{{.ID}}"]).ok().out.strip(), "MARK": escape.mark}
    canary, of_disk = disk(escape.s.state)
    origins = [o for level in LEVELS for o in escape.all_origins(level)]
    with canary, Running(["perl", "-e", program("resident.pl"), "--", escape.mark]) as resident:
        variables.update(of_disk, SHM=resident.rows("ready")["shm"])
        text = program(*PROBE)
        # The nodes at the same time, but not the pods of a node: they would change the
        # same values.
        for kind in KINDS:
            same = [o for o in origins if o.kind == kind]
            for origin, rows in zip(same, in_parallel(lambda o: o.perl(text, variables), same)):
                escape.rows[origin] = {key: rest for key, *rest in rows}
                expect(set(escape.rows[origin]) == {way.key for way in WAYS}, f"{origin}: other ways were tried: {rows}")
        done = run(["timeout", "-k", "2", "20", "perl", "-"], env={**variables, "ENGINE_SOCKET": engine_socket()},
                   data=program("calls.pl", "objects.pl"), timeout=30).ok()
        escape.on_host = {key: rest for key, *rest in (line.split("\t") for line in done.out.splitlines())}
    for way in WAYS:
        cells = [f"{level}: {escape.result(level)[way.key]}" for level in LEVELS]
        report(f"{', '.join(cells)}: {way.text}")


def test_nodes_of_a_level_give_the_same_result(escape):
    for level in LEVELS:
        for kind in KINDS:
            first, other = [escape.rows[o] for o in escape.all_origins(level) if o.kind == kind]
            differ = [f"{key}: {first[key]} {other[key]}" for key in first if first[key][0] != other[key][0]]
            expect(not differ, f"{kind}, {level}: {differ}")


def test_probe_works(escape):
    """The probe finds what is possible with host-root, and reaches the objects of the host
    from the host. Otherwise a refusal would prove nothing."""
    found = escape.result("host-root")
    wanted = ["core-pattern", "disk", "sysctl", "sysfs", "swap", "key", "kernel-log", "debugfs", "devtmpfs", "perf", "freeze",
              "limits-memory", "limits-cpu", "limits-processes", "priority"]
    refused = {key: found[key] for key in wanted if found[key] != "possible"}
    expect(not refused, f"the probe does not find: {refused}")
    refused = {key: row for key, row in escape.on_host.items() if row[0] != "possible"}
    expect(escape.on_host and not refused, f"not reached on the host: {refused}")


def test_user_namespace_has_no_way_to_the_host(escape, report):
    for origin in escape.all_origins("user-namespace"):
        wrong = {key: row for key, row in escape.rows[origin].items() if row[0] == "possible" and key not in OF_THE_NODE}
        expect(not wrong, f"{origin} can: {wrong}")
    states = list(escape.result("user-namespace").values())
    report(", ".join(f"{states.count(s)} {s}" for s in ("possible", "refused", "absent")))


def test_what_is_possible_does_not_reach_the_host(escape, report):
    """Each origin changes what it can, and the host's values stay."""
    text = program("changes.pl")
    proven = set()
    for origin in escape.all_origins("user-namespace"):
        possible = {key for key, row in escape.rows[origin].items() if row[0] == "possible"}
        worker = escape.workers[origin.cluster]
        mark = f"changed-{os.getpid()}"
        before = values_of_host(worker)
        with origin.start(text, {"MARK": mark}) as running:
            inside = running.rows("changed")
            during = values_of_host(worker)
        expect(set(inside) == possible & OF_THE_NODE, f"{origin}: changed {inside}, possible are {possible}")
        for key, value in inside.items():
            expect(value != str(before[key]) and "none" not in value, f"{origin}: {key} was not changed: {value}")
            expect(during[key] == before[key], f"{origin} has changed {key} of the host: {before[key]} {during[key]}")
        for key in {"host-name", "mqueue", "binfmt_misc"} & set(inside):
            expect(mark in inside[key], f"{origin}: {key}: {inside}")
        expect(values_of_host(worker) == before, f"{origin}: something was not restored: {before}")
        proven |= set(inside)
    report(f"the host is not affected by: {', '.join(sorted(proven))}")


def test_no_other_setting_of_the_host_is_writable(escape, report):
    """The probe tries a choice of settings; here all files in /proc and /sys are
    checked."""
    text = program("sweep.pl")
    origins = [o for level in LEVELS for o in escape.all_origins(level) if o.kind != "pod"]
    for origin, rows in zip(origins, in_parallel(lambda o: o.perl(text, {}), origins)):
        others = [row[0] for row in rows if not OWN_FILES.match(row[0])]
        if escape.level(origin) == "user-namespace":
            expect(not others, f"{origin} may write: {others[:20]}")
            expect(len(rows) > 50, f"{origin}: {rows}")
        else:
            expect(len(others) > 100, f"the check finds only these with host-root: {others}")
        report(f"{origin}: {len(rows)} files are writable, {len(others)} of them are the host's")


@pytest.mark.parametrize("attacker, victim", [("swarm", "kubernetes"), ("kubernetes", "swarm")])
def test_node_of_another_cluster_is_out_of_reach(escape, report, attacker, victim):
    """As root of one node's user namespace with the host's view of processes and files.
    The same tries succeed against a process of the own node, or as root of the host."""
    own = Node(escape.workers[f"{attacker}-user-namespace"])
    other = Node(escape.workers[f"{victim}-user-namespace"])
    with own.resident(f"{escape.mark}-own") as mine, other.resident(f"{escape.mark}-other") as foreign:
        attacked = tries(foreign, user=own, network=own)
        at_home = tries(mine, user=own, network=own)
        as_root = tries(foreign, user=None, network=other)
    wrong = {key: row for key, row in attacked.items() if row[0] != "refused"}
    expect(not wrong, f"root of {attacker} reaches {victim}: {wrong}")
    kinds = {key.split(" ")[0] for key in attacked}
    works = {key.split(" ")[0] for found in (at_home, as_root) for key, row in found.items() if row[0] == "possible"}
    expect(kinds == works, f"without an effect also where they must have one: {kinds - works}: {at_home} {as_root}")
    odd = {key: row for key, row in attacked.items() if row[1] not in DENIED_BY_KEY.get(key, DENIED)}
    expect(not odd, f"refused for another reason: {odd}")
    report(f"{len(attacked)} tries refused; {sum(r[0] == 'possible' for r in at_home.values())} of them work at home, "
           f"{sum(r[0] == 'possible' for r in as_root.values())} as root of the host")


@pytest.mark.parametrize("coe", COES)
def test_programs_that_the_host_starts_cannot_be_taken_over(escape, report, coe):
    """While the host starts programs in a node, processes of its runtime are in the node."""
    results = {}
    for level in LEVELS:
        origin = escape.origins[f"{coe}-{level}"][0]
        with origin.start(program("runtime.pl"), {}) as running:
            running.rows("ready")
            for _ in range(10):
                run(["docker", "exec", escape.workers[origin.cluster], "true"]).ok()
            output, _ = running.process.communicate(timeout=20)
        results[level] = {key: (int(done), int(tried)) for key, done, tried in map(str.split, output.splitlines())}
    wrong = {key: row for key, row in results["user-namespace"].items() if row[0] or row[1] < 10}
    expect(not wrong and results["user-namespace"], f"successes and tries with user-namespace: {wrong}")
    works = all(done for done, _ in results["host-root"].values())
    expect(works, f"the tries do not succeed with host-root: {results}")
    report(f"successes and tries: {results}")


@pytest.mark.parametrize("coe", COES)
def test_mounts_of_a_node_do_not_reach_the_host(escape, coe):
    node = Node(escape.workers[f"{coe}-user-namespace"])
    name = f"mount-{os.getpid()}"
    folders = " ".join(node.folders)
    node.run(f"for d in {folders}; do mkdir $d/{name} && mount -t tmpfs {name} $d/{name}; done").ok()
    try:
        expect(contents(f"/proc/{node.pid}/mountinfo").count(f" - tmpfs {name} ") == len(node.folders), "not mounted")
        for process in (1, "self", os.getppid()):
            seen = [line for line in contents(f"/proc/{process}/mountinfo").splitlines() if name in line]
            expect(not seen, f"seen by {process}: {seen}")
    finally:
        node.run(f"for d in {folders}; do umount $d/{name}; rmdir $d/{name}; done").ok()


@pytest.mark.parametrize("coe", COES)
def test_setuid_file_of_a_node_is_out_of_reach(escape, coe):
    """Files of a node are owned by root on the disk of the host, also with the setuid bit.
    So no user of the host may reach them."""
    node = Node(escape.workers[f"{coe}-user-namespace"])
    name = f"setuid-{os.getpid()}"
    folders = " ".join(node.folders)
    node.run(f"for d in {folders}; do cp /usr/bin/id $d/{name} && chmod 4755 $d/{name}; done").ok()
    try:
        for path in node.paths(name):
            if "/shm/" in path:
                continue
            state = os.stat(path)
            expect(state.st_uid == 0 and state.st_mode & 0o4000, f"{path}: {state}")
            # The shell, because setpriv itself still has capabilities when it starts a program.
            user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", 'exec "$0" -u']
            expect(run([*user, "/usr/bin/id"]).ok().out == "65534\n", "no ordinary user of the host")
            run([*user, path]).refused("Permission denied")
    finally:
        node.run(f"for d in {folders}; do rm -f $d/{name}; done").ok()


@pytest.mark.parametrize("level", LEVELS)
def test_documented_table_is_right(escape, report, level):
    found = escape.result(level)
    block, before = table.listed(level)
    if escape.update:
        table.write(level, table.rendered(level, found, before, writing=True))
        report("written")
        return
    wrong = [way.text for way in WAYS if found[way.key] == "possible" and before.get(way.text) == "refused"]
    expect(not wrong, f"the page says that these are refused: {wrong}")
    now = table.rendered(level, found, before)
    other = [line for line in now.splitlines() if line not in block.splitlines()]
    expect(block == now, f"the page has another table; write it with --update-golden. Lines that it lacks: {other}")
    states = list(found.values())
    report(", ".join(f"{states.count(s)} {s}" for s in ("possible", "refused", "absent")))


def test_node_freezes_itself(escape):
    """With cgroup v1, processes that are frozen do not end when they are killed."""
    escape.freezer = Freezer(Node(escape.workers["swarm-user-namespace"]))
    escape.freezer.freeze()


def test_frozen_node_can_be_deleted(escape):
    name = "swarm-user-namespace"
    expect(escape.s.magnum("DELETE", f"/clusters/{name}").status == 204, "delete")
    escape.s.until(name, "GONE", 15)


def test_delete_leaves_nothing(escape):
    granted = grants(escape.containers)
    workers = [escape.workers[name] for name, (_, level) in escape.clusters.items() if level == "user-namespace"]
    workers.remove(escape.workers["swarm-user-namespace"])
    expect(workers and set(workers) <= set(granted.values()), f"no grants of {workers}: {granted}")
    escape.freezer.thaw()
    for name in escape.clusters:
        # One is deleted already.
        status = escape.s.magnum("DELETE", f"/clusters/{name}").status
        expect(status in (204, 404) if name == "swarm-user-namespace" else status == 204, f"delete {name}: {status}")
    for name in escape.clusters:
        escape.s.until(name, "GONE", 60)
    expect(not escape.s.left() and escape.s.leaks() == [], f"left: {escape.s.left()} {escape.s.leaks()}")
    expect(not grants(escape.containers), f"grants: {grants(escape.containers)}")
