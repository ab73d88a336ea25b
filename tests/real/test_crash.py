"""Kills the server (SIGKILL) during create, resize and delete, and starts it again. The
moments are random within the measured duration of each operation; the seed is printed.
Each operation must be completed, and no object may be left over or created twice. With
--engine, a random choice decides for each moment whether the server, dockerd, both, or
dockerd with all containers are killed; the engine is then a private one in a network
namespace, whose containers may leave no processes, cgroups and directories either.
Options: --coe, --seed, --moments, --engine."""

import contextlib
import os
import random
import shutil
import tempfile
import time

import kube
import pytest
from environment import Failed, expect, names, run, wait_for
from own_engine import private_engine
from runtime_container import left

pytestmark = pytest.mark.engine
OPERATIONS = ("create", "resize", "shrink", "delete")
WORKERS, MORE, FEWER = 2, 3, 1
VICTIMS = ("server", "engine", "server and engine", "engine and containers")
SIZES = {"create": WORKERS, "resize": MORE, "shrink": FEWER}
TEMPLATE = {"name": "crash", "external_network_id": "public", "keypair_id": "default", "flavor_id": "m1.tiny",
            "master_flavor_id": "m1.small"}


# Where an engine, containerd and runc keep their containers.
CONTAINERS = ("data/containers", "exec/runtime-runc/moby", "exec/containerd/daemon/io.containerd.runtime.v2.task/moby")


class Crashes:
    def __init__(self, server, coe, engine=None):
        self.s, self.coe, self.engine = server, coe, engine
        self.duration = {}
        # Number of volumes of a cluster by number of workers, from clusters without a crash.
        self.volumes = {}
        self.count = 0
        # Ids of containers in the private engine.
        self.seen = set()

    # --- the operations: each returns when the server has accepted it -------

    def create(self):
        self.count += 1
        self.name = f"crash{self.count}"
        got = self.s.magnum("POST", "/clusters", {"name": self.name, "cluster_template_id": "crash", "node_count": WORKERS})
        expect(got.status == 202, f"create: {got.status} {got.detail}")
        self.uuid = got.body["uuid"]

    def resize(self, count=MORE):
        got = self.s.magnum("POST", f"/clusters/{self.uuid}/actions/resize", {"node_count": count})
        expect(got.status == 202, f"resize: {got.status} {got.detail}")

    def shrink(self):
        self.resize(FEWER)

    def delete(self):
        got = self.s.magnum("DELETE", f"/clusters/{self.uuid}")
        expect(got.status == 204, f"delete: {got.status} {got.detail}")

    # --- what must hold -----------------------------------------------------

    def settled(self, seconds=180):
        """Waits for a final status of the cluster and returns it with its reason."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status, reason = self.s.status(self.uuid)
            if status == "GONE" or status.endswith(("_COMPLETE", "_FAILED")):
                return status, reason
            time.sleep(0.05)
        raise Failed(f"still {status} ({reason}) {seconds} s after the restart\n{self.s.log()}")

    def nodes_are(self, workers):
        """Expects exactly one container per node, as many addresses in the API, and nodes
        that are all Ready."""
        shown = self.s.magnum("GET", f"/clusters/{self.uuid}").body
        expect(len(shown["node_addresses"]) == workers and len(shown["master_addresses"]) == 1,
               f"addresses: {shown['master_addresses']} {shown['node_addresses']}")
        mark = f"label=io.jeroboam.installation={self.s.installation()}"
        expect(len(names("container", mark)) == workers + 1, f"containers: {names('container', mark)}")
        expect(len(names("network", mark)) == 1, f"networks: {names('network', mark)}")
        volumes = names("volume", mark)
        expect(len(volumes) == self.volumes.setdefault(workers, len(volumes)), f"volumes: {volumes}")
        expect(self.s.leaks() == [], f"leaks: {self.s.leaks()}")
        wanted = set(kube.containers(self.s))

        def members():
            nodes = self.kubernetes_nodes() if self.coe == "kubernetes" else self.swarm_nodes()
            expect(set(nodes) == wanted and all(nodes.values()), f"nodes are {nodes}, containers {wanted}")
            return True
        if self.engine:
            # Containers that have started again with the engine are not Ready at once.
            wait_for("all nodes Ready, asked inside", 60, members, 0.5)
        else:
            members()

    def kubernetes_nodes(self):
        """Whether each node of the cluster is Ready, by name."""
        directory = tempfile.mkdtemp(prefix="jeroboam-kube-")
        try:
            self.s.openstack("coe", "cluster", "config", self.name, "--dir", directory).ok()
            return kube.Kubectl(directory).nodes()
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def swarm_nodes(self):
        """Whether each node of a swarm is Ready, by name, as its manager reports it."""
        manager = next(c for name, c in kube.containers(self.s).items() if "-master-" in name)
        result = run(["docker", "exec", manager, "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}"]).ok()
        # A node that has just joined has no name yet.
        rows = (line.rpartition(" ") for line in result.out.splitlines())
        return {name: status == "Ready" for name, _, status in rows}

    def remember_containers(self):
        """Adds the containers of which the engine or its runtimes know."""
        for folder in CONTAINERS:
            with contextlib.suppress(FileNotFoundError):
                self.seen.update(os.listdir(f"{self.engine.dir}/{folder}"))

    def nothing_left_on_the_host(self):
        """Waits until the containers of the private engine have left nothing: containerd
        needs a moment."""
        self.remember_containers()

        def none_left():
            found = [line for container in self.seen for line in left(self.engine, container)]
            expect(not found, f"left on the host: {found}")
            return True
        wait_for("nothing is left on the host", 20, none_left, 0.5)
        self.seen.clear()

    def nothing_left(self):
        objects = self.s.left()
        expect(not objects, f"left behind: {objects}")
        expect(self.s.leaks() == [], f"leaks: {self.s.leaks()}")
        rows = self.s.magnum("GET", "/clusters").body["clusters"]
        expect(rows == [], f"rows: {rows}")
        if self.engine:
            self.nothing_left_on_the_host()

    def clear(self):
        if self.s.status(self.uuid)[0] != "GONE":
            self.delete()
            self.s.until(self.uuid, "GONE", 120)
        self.nothing_left()

    # --- the runs -------------------------------------------------------------

    def measure(self):
        for name, final in (("create", "CREATE_COMPLETE"), ("resize", "UPDATE_COMPLETE"), ("shrink", "UPDATE_COMPLETE"),
                            ("delete", "GONE")):
            begun = time.monotonic()
            getattr(self, name)()
            self.s.until(self.uuid, final, 180)
            self.duration[name] = time.monotonic() - begun
            if name != "delete":
                self.nodes_are(SIZES[name])
        self.nothing_left()

    def step(self):
        """The current activity, as reported by the server."""
        got = self.s.call("GET", f"/jeroboam/v1/clusters/{self.uuid}/progress")
        if got.status != 200 or not isinstance(got.body, dict):
            return self.s.status(self.uuid)[0]
        last = [(s.get("at") or "", f"{n.get('name')} {s.get('name')} {s.get('status')}")
                for n in got.body.get("nodes") or [] for s in n.get("steps") or []]
        return f"{got.body.get('status')} {max(last)[1] if last else 'no step yet'}"

    def restart(self, victim, downtime):
        """Kills the victim and starts it again; an engine stays down for `downtime` seconds."""
        if "server" in victim:
            self.s.kill9()
        if self.engine:
            self.remember_containers()
        if "engine" in victim:
            self.engine.kill_all() if "containers" in victim else self.engine.die()
            # This pause is random, too.
            time.sleep(downtime)
            self.engine.start()
        if "server" in victim:
            self.s.start(60)

    def crash(self, operation, fraction, victim, downtime):
        if operation != "create":
            self.create()
            self.s.until(self.uuid, "CREATE_COMPLETE", 180)
        moment = fraction * self.duration[operation]
        begun = time.monotonic()
        getattr(self, operation)()
        if moment > 0.05:
            # This test needs a moment in time, not a state to wait for.
            time.sleep(max(0.0, begun + moment - 0.02 - time.monotonic()))
        hit = self.step()
        at = (time.monotonic() - begun) * 1000
        self.restart(victim, downtime)
        status, reason = self.settled()
        final = {"create": "CREATE_COMPLETE", "delete": "GONE"}.get(operation, "UPDATE_COMPLETE")
        expect(status == final, f"{victim} killed at {at:.0f} ms ({hit}): {status} {reason}")
        if operation != "delete":
            self.nodes_are(SIZES[operation])
        self.clear()
        return f"at {at:.0f} ms, {hit}: then {status} after {time.monotonic() - begun:.1f} s"

    def recover(self):
        """Cleans up after a failed test, so that the next one starts without clusters."""
        if not self.s.process or self.s.process.poll() is not None:
            self.s.start(60)
        self.clear()


def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        numbers = range(metafunc.config.getoption("moments") or 10)
        metafunc.parametrize("number", numbers, ids=[f"{n + 1}-{OPERATIONS[n % 4]}" for n in numbers])


@pytest.fixture(scope="module")
def engine(option):
    """A private engine if --engine is given, else None."""
    if not option("engine"):
        yield None
        return
    with private_engine([f"jeroboam/{option('coe')}:latest"]) as engine:
        yield engine


@pytest.fixture(scope="module")
def settings(engine):
    return engine and engine.settings


@pytest.fixture(scope="module")
def crashes(server, engine, option):
    """The server, after the duration of each operation was measured without a crash."""
    got = server.magnum("POST", "/clustertemplates", dict(TEMPLATE, coe=option("coe"), image_id=option("coe")))
    expect(got.status == 201, f"{got.status} {got.detail}")
    crashes = Crashes(server, option("coe"), engine)
    crashes.measure()
    return crashes


def test_each_operation_without_a_crash(crashes, report):
    report(", ".join(f"{k} {v * 1000:.0f} ms" for k, v in crashes.duration.items()))


def test_operation_is_completed_after_a_crash(crashes, number, option, report):
    draw = random.Random(f"{option('seed')} {number}")
    fraction, downtime = draw.random(), draw.uniform(0, 5)
    victim = draw.choice(VICTIMS) if crashes.engine else "server"
    report(f"kill -9 of the {victim} at {fraction * 100:.0f} % with seed {option('seed')}")
    try:
        report(crashes.crash(OPERATIONS[number % 4], fraction, victim, downtime))
    except Exception:
        crashes.recover()
        raise
