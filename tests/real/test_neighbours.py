"""A cluster uses up everything that it can, as root in a node and in a privileged pod.
Meanwhile the cluster of another tenant, the server and the engine on the same host must
answer every request. Each attack lasts some seconds, and is compared with the quiet times
before it. --attacker says which kind of cluster attacks; the neighbour is of the other kind.
--update-golden writes the table in docs/isolation.md."""

import os
import re
import shutil
import subprocess
import time

import pytest
from environment import Failed, expect, names, run
from escape.neighbours import Node
from escape.origins import Origin, kubernetes, swarm
from noise import neighbour, table
from noise.attacker import Attacker
from noise.measure import Host, Probe, Samples
from noise.probe import ask
from noise.ways import ATTACKS

pytestmark = [pytest.mark.engine, pytest.mark.ordered, pytest.mark.timeout(1500)]
IMAGES = ["jeroboam/swarm:latest", "jeroboam/kubernetes:latest"]
ORIGINS = {"swarm": swarm, "kubernetes": kubernetes}
QUIET = 3
TRIES = [(attack, kind) for attack in ATTACKS for kind in (("node", "pod") if attack.pod else ("node",))]
# A p99 below this (ms) is no disturbance, whatever the ratio is.
FLOOR = 5
RATIO = 10


class Neighbours:
    def __init__(self, server, engine, attacking):
        self.s, self.engine = server, engine
        self.coes = {"attacker": attacking, "victim": "kubernetes" if attacking == "swarm" else "swarm"}
        self.nodes, self.attacker, self.targets = {}, None, {}
        self.quiet, self.results, self.broken = {}, {}, []

    def create(self):
        clouds = {"attacker": "jeroboam-demo", "victim": neighbour.other_tenant(self.s)}
        for name, cloud in clouds.items():
            coe = self.coes[name]
            keypair = {"keypair_id": "default"} if name == "attacker" else {}
            got = self.s.magnum("POST", "/clustertemplates", {
                "name": coe, "coe": coe, "image_id": coe, "external_network_id": "public", "flavor_id": "m1.small",
                "master_flavor_id": "m1.small", **keypair}, cloud=cloud)
            expect(got.status == 201, f"{got.status} {got.detail}")
            got = self.s.magnum("POST", "/clusters", {
                "name": name, "cluster_template_id": coe, "node_count": 1, "labels": {"isolation": "user-namespace"}}, cloud=cloud)
            expect(got.status == 202, f"{got.status} {got.detail}")
        for name, cloud in clouds.items():
            self.s.until(name, "CREATE_COMPLETE", 150, cloud=cloud)
        for container in names("container", f"label=io.jeroboam.installation={self.s.installation()}"):
            host_name = run(["docker", "inspect", "-f", "{{.Config.Hostname}}", container]).ok().out
            owner, kind = host_name.split("-")[0], re.search("master|node", host_name)[0]
            self.nodes[owner, kind] = Node(container)
        expect(len(self.nodes) == 4, f"nodes: {self.nodes}")

    def prepare(self):
        master, worker = self.nodes["attacker", "master"], self.nodes["attacker", "node"]
        self.attacker = Attacker(worker, master, {o.kind: o for o in self.origins()}, self.recreate)
        self.attacker.origins["master"] = Origin("attacker", "master", ["docker", "exec", "-i", master.container])
        service = neighbour.publish(self.coes["victim"], *(self.nodes["victim", kind].container for kind in ("master", "node")))
        neighbour.answers(service, ask)
        host, port = self.s.listen.split(":")
        head = f"Host: {self.s.listen}\r\nConnection: close\r\nX-Auth-Token: {self.s.token('neighbour')}\r\n\r\n"
        self.targets = {
            "neighbour": service,
            "server": {"host": host, "port": int(port), "request": f"GET /container-infra/v1/clusters HTTP/1.1\r\n{head}"},
            "engine": {"socket": self.engine.socket,
                       "request": "GET /containers/json HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"}}

    def origins(self):
        return ORIGINS[self.coes["attacker"]]("attacker", self.nodes["attacker", "node"].container, self.s)

    def recreate(self):
        worker, master = (self.nodes["attacker", kind].container for kind in ("node", "master"))
        if self.coes["attacker"] == "swarm":
            run(["docker", "exec", worker, "docker", "rm", "-f", "pod", "host-pod"], timeout=60)
        else:
            run(["docker", "exec", master, *neighbour.KUBECTL, "delete", "pod", "pod", "host-pod", "--force", "--ignore-not-found"],
                timeout=60).ok()
            shutil.rmtree(os.path.join(self.s.state, "kube-attacker"))
        self.origins()

    def attack(self, probe, attack, kind):
        """Measures quiet times and those of an attack from an origin."""
        self.attacker.refresh(self.attacker.origins[kind])
        groups = [g for node in (self.attacker.worker, self.attacker.master) for g in node.cgroups() if "unified" not in g]
        host = Host([g for g in groups if "memory" in g or not os.path.isdir("/sys/fs/cgroup/memory")])
        for name, samples in probe.during(QUIET).items():
            self.quiet.setdefault(name, Samples()).add(samples)
        before, most = host.seen(), {}
        probe.cut()
        running = []
        if attack.partner:
            running.append(self.attacker.start(self.attacker.origins["master"], attack.partner, attack.seconds))
        running.append(self.attacker.start(self.attacker.origins[kind], attack.key, attack.seconds))
        begun = time.monotonic()
        end = begun + attack.seconds + 4
        while time.monotonic() < end and any(p.poll() is None for p in running):
            now = host.seen()
            seen = {name: now[name] - before[name] for name in ("files", "flows")}
            seen["uncharged"] = before["memory"] - now["memory"] - (now["charged"] - before["charged"])
            most = {name: max(value, most.get(name, 0)) for name, value in seen.items()}
            time.sleep(0.1)
        took = time.monotonic() - begun
        self.attacker.clean(self.attacker.origins[kind])
        said = []
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            said += process.stdout.read().strip().splitlines()[-2:]
        self.results[attack.key, kind] = probe.cut(), most
        is_new = any(Node(node.container).pid != node.pid for node in (self.attacker.worker, self.attacker.master))
        # An attack that did not take place would prove nothing.
        expect(not any("aborted" in line for line in said), f"the program is wrong: {said}")
        expect(is_new or took > attack.seconds * 0.8, f"the attack ended after {took:.1f} s: {said}")
        return [*(["the node was restarted"] if is_new else []), *said]


@pytest.fixture(scope="module")
def settings(engine):
    return f"{engine.settings}isolate = true\n"


@pytest.fixture(scope="module")
def neighbours(server, engine, option):
    return Neighbours(server, engine, option("attacker"))


@pytest.fixture(scope="module")
def probe(neighbours):
    with Probe(neighbours.targets) as probe:
        yield probe


def test_clusters_of_two_tenants(neighbours, report):
    neighbours.create()
    neighbours.prepare()
    report(f"{neighbours.coes['attacker']} attacks, {neighbours.coes['victim']} is the neighbour")


@pytest.mark.parametrize("attack, kind", TRIES, ids=[f"{attack.key}-{kind}" for attack, kind in TRIES])
def test_attack(neighbours, probe, report, attack, kind):
    try:
        said = neighbours.attack(probe, attack, kind)
    except Failed as e:
        # The others are tried nevertheless.
        neighbours.broken.append(f"{attack.key} of a {kind}: {e}")
        report(str(e)[:300])
        return
    found, most = neighbours.results[attack.key, kind]
    for name, samples in found.items():
        quiet = neighbours.quiet[name]
        report(f"{name}: quiet p50 {quiet.p50:.1f} p99 {quiet.p99:.1f} ms, now p50 {samples.p50:.1f} p99 {samples.p99:.1f} ms of "
               f"{len(samples.times)}; {len(samples.errors)} unanswered {sorted(set(samples.errors))[:2]}")
    report(f"{most}; {'; '.join(said)[:300]}")


def test_every_attack_took_place(neighbours):
    expect(not neighbours.broken, f"{neighbours.broken}")


def test_every_request_is_answered(neighbours):
    wrong = {f"{key} of a {kind}: {name}": len(samples.errors) for (key, kind), (found, _) in neighbours.results.items()
             for name, samples in found.items() if samples.errors}
    expect(not wrong, f"unanswered: {wrong}")


def test_figures_are_documented(neighbours, option, report):
    if option("update_golden"):
        table.write(table.rendered({a.key: a.text for a in ATTACKS}, neighbours.quiet, neighbours.results))
        report("written")


def test_delete_leaves_nothing(neighbours):
    """Also the cluster that has attacked can be deleted."""
    clouds = {"attacker": "jeroboam-demo", "victim": "neighbour"}
    for name, cloud in clouds.items():
        expect(neighbours.s.magnum("DELETE", f"/clusters/{name}", cloud=cloud).status == 204, f"delete {name}")
    for name, cloud in clouds.items():
        neighbours.s.until(name, "GONE", 90, cloud=cloud)


def test_no_request_waits_long(neighbours):
    wrong = {}
    for (key, kind), (found, _) in neighbours.results.items():
        for name, samples in found.items():
            limit = RATIO * max(FLOOR, neighbours.quiet[name].p99)
            if samples.p99 > limit:
                wrong[f"{key} of a {kind}: {name}"] = f"{samples.p99:.0f} ms, at most {limit:.0f}"
    expect(not wrong, f"{wrong}")
