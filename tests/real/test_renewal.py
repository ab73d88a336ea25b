"""The certificates of nodes are valid for 90 seconds. After two minutes every serving
certificate was replaced, while API server, etcd, kubelets and pods kept running. The
Docker API of a swarm keeps its open connections. A node that was stopped for longer
than the lifetime of its certificates rejoins."""

import json
import os
import ssl
import subprocess
import time

import kube
import pytest
from environment import WAITING_POOL, Docker, Failed, expect, run, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
LIFE = 90
SETTINGS = f"[clusters]\nnode_certificate_seconds = {LIFE}\n\n{WAITING_POOL}"
KUBE, SWARM = "renewed", "swarmed"
# The tests end at least this many seconds after the clusters were complete.
WATCHED = 120


class Renewal:
    def __init__(self, server):
        self.s = server
        self.dirs = {name: server.directory(name) for name in (KUBE, SWARM)}
        self.kubectl = kube.Kubectl(self.dirs[KUBE])
        self.begun = self.first = self.start_times = self.follower = None
        self.stopped = 0.0

    def container(self, cluster, end):
        found = [c for h, c in kube.containers(self.s).items() if h.startswith(cluster) and h.endswith(end)]
        expect(len(found) == 1, f"{cluster} {end}: {found}")
        return found[0]

    # --- queries ----------------------------------------------------------------

    def seen(self, container, port):
        """The start date of the certificate that a port of a node serves, as curl prints
        it."""
        output = run(["docker", "exec", container, "curl", "-skv", "-m", "5", "-o", "/dev/null",
                    f"https://127.0.0.1:{port}"], timeout=15).text
        dates = [line.split("date:")[1].strip() for line in output.splitlines() if "start date:" in line]
        expect(dates, f"{container}:{port}: {output}")
        return dates[0]

    def certificates(self):
        master, worker = self.container(KUBE, "-master-0"), self.container(KUBE, "-node-0")
        found = {name: self.seen(container, port) for name, container, port in [
            ("apiserver", master, 6443), ("etcd", master, 2379), ("etcd's peers", master, 2380),
            ("the master's kubelet", master, 10250), ("the worker's kubelet", worker, 10250)]}
        host = self.shown(SWARM)["api_address"].split("//")[1].split(":")[0]
        found["the swarm's Docker API"] = ssl.get_server_certificate((host, 2376), timeout=5)
        return found

    def shown(self, name):
        got = self.s.magnum("GET", f"/clusters/{name}")
        expect(got.status == 200, f"show: {got.status} {got.detail}")
        return got.body

    def started(self):
        """For each container of our nodes, when it was started and how often it was
        restarted."""
        ids = sorted(kube.containers(self.s).values())
        shape = "{{.Name}} {{.State.StartedAt}} {{.RestartCount}}"
        return run(["docker", "inspect", "--format", shape, *ids]).ok().out.splitlines()

    def restarts(self):
        """How often the containers of each pod were restarted."""
        pods = self.kubectl.items("pods", "-A")
        return {p["metadata"]["name"]: sum(c["restartCount"] for c in p["status"].get("containerStatuses", [])) for p in pods}


@pytest.fixture(scope="module")
def clusters(server):
    clusters = Renewal(server)
    yield clusters
    if clusters.follower:
        clusters.follower.kill()
        clusters.follower.wait()
        clusters.follower.stdout.close()


def test_two_clusters_whose_certificates_last_90_seconds(clusters):
    for name, coe, body in ((KUBE, "kubernetes", {"node_count": 2}), (SWARM, "swarm", {"node_count": 0})):
        template = {"name": coe, "coe": coe, "image_id": coe, "external_network_id": "public",
                    "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.small"}
        got = clusters.s.magnum("POST", "/clustertemplates", template)
        expect(got.status == 201, f"template: {got.status} {got.detail}")
        got = clusters.s.magnum("POST", "/clusters", dict(body, name=name, cluster_template_id=coe, master_count=1))
        expect(got.status == 202, f"create: {got.status} {got.detail}")
    for name in (KUBE, SWARM):
        clusters.s.until(name, "CREATE_COMPLETE", 120)
    clusters.begun = time.monotonic()
    clusters.first, clusters.start_times = clusters.certificates(), clusters.started()
    for name, directory in clusters.dirs.items():
        clusters.s.openstack("coe", "cluster", "config", name, "--dir", directory, *(["--output-certs"] if name == SWARM else [])).ok()
    clusters.kubectl.apply(kube.deployment("echo", 2), kube.service("echo", "ClusterIP"))
    wait_for("echo pods", 60, lambda: len(clusters.kubectl.pods("app=echo")) == 2)
    docker = Docker(clusters.shown(SWARM)["api_address"], clusters.dirs[SWARM])
    # This connection stays open for longer than the certificate is valid.
    clusters.follower = subprocess.Popen(["docker", *docker.flags, "events"], stdin=subprocess.DEVNULL, text=True,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(
                                         {k: v for k, v in os.environ.items() if not k.startswith("DOCKER")},
                                         DOCKER_HOST=docker.env["DOCKER_HOST"]))


def test_worker_is_stopped(clusters):
    """Stops a worker until its certificates have expired. The pods of the cluster's DNS
    may all run on this worker, because they were placed on the first nodes that were
    Ready. A rollout spreads them over all nodes first."""
    dns = ("-n", "kube-system", "rollout")
    clusters.kubectl(*dns, "restart", "deployment/coredns").ok()
    clusters.kubectl(*dns, "status", "deployment/coredns", "--timeout=60s").ok()
    places = {p["spec"]["nodeName"] for p in clusters.kubectl.items("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")
              if kube.available(p)}
    expect(any(not place.endswith("-node-1") for place in places), f"DNS is on {places}")
    container = clusters.container(KUBE, "-node-1")
    run(["docker", "stop", "-t", "15", container]).ok()
    clusters.stopped = time.monotonic()
    clusters.start_times = [line for line in clusters.start_times if container not in line]


def test_every_serving_certificate_is_replaced(clusters, report):
    def probe():
        now = clusters.certificates()
        old = [name for name, was in clusters.first.items() if now[name] == was]
        if old:
            raise Failed(f"still the first: {', '.join(old)}")
        return now

    wait_for("every certificate was replaced", LIFE, probe, 1)
    report(f"{len(clusters.first)} certificates, {time.monotonic() - clusters.begun:.0f} s after the clusters were complete")


def test_clusters_work_after_two_minutes(clusters):
    # The unmodified client gets a new certificate for the user.
    wait_for(f"{WATCHED} seconds", WATCHED + 10, lambda: time.monotonic() - clusters.begun > WATCHED, 1)
    clusters.s.openstack("coe", "cluster", "config", KUBE, "--dir", clusters.dirs[KUBE], "--force").ok()
    nodes = clusters.kubectl.nodes()
    ready = [n for n, yes in nodes.items() if yes]
    expect(len(ready) == 2, f"nodes: {nodes}")
    pods = clusters.kubectl.pods("app=echo")
    pod = next(n for n, p in pods.items() if not p["spec"]["nodeName"].endswith("-node-1"))
    expect(clusters.kubectl.get(pod, "echo"), "the service does not answer by its name")
    clusters.kubectl("logs", pod).ok()
    # A new pod shows that scheduler, controllers and kubelet still work.
    clusters.kubectl.apply(kube.deployment("late", 1))
    wait_for("a new pod runs", 30, lambda: clusters.kubectl.pods("app=late"))
    docker = Docker(clusters.shown(SWARM)["api_address"], clusters.dirs[SWARM])
    docker.ready(1, 10)


def test_nothing_that_serves_was_restarted(clusters):
    container = clusters.container(KUBE, "-node-1")
    now = [line for line in clusters.started() if container not in line]
    expect(now == clusters.start_times, f"containers were started again:\n{clusters.start_times}\n{now}")
    again = {name: count for name, count in clusters.restarts().items() if count}
    expect(not again, f"containers of pods were started again: {again}")
    ended = clusters.follower.poll()
    output = clusters.follower.stdout.read() if ended is not None else ""
    expect(ended is None, f"an open connection to the swarm's Docker API ended with {ended}: {output}")
    output = run(["docker", "exec", clusters.container(KUBE, "-master-0"), "cat", "/var/log/jeroboam/events.log"]).ok().out
    events = [json.loads(line) for line in output.splitlines()]
    starts = [e["component"] for e in events if e["event"] == "start"]
    for name in ("etcd", "kube-apiserver", "containerd"):
        expect(starts.count(name) == 1, f"{name} was started {starts.count(name)} times:\n{output}")


def test_worker_with_expired_certificates_rejoins(clusters, report):
    wait_for("its certificates have expired", LIFE + 10, lambda: time.monotonic() - clusters.stopped > LIFE, 1)
    container = clusters.container(KUBE, "-node-1")
    begun = time.monotonic()
    run(["docker", "start", container]).ok()

    def ready():
        nodes = clusters.kubectl.nodes()
        if all(nodes.values()):
            return True
        raise Failed(f"{nodes}")

    wait_for("all nodes Ready", 60, ready, 0.5)
    took = time.monotonic() - begun
    kube.healthy(clusters.s, KUBE, 30)
    report(f"Ready {took:.1f} s after its start")


def test_deleted_worker_is_replaced_by_a_resize(clusters, report):
    container = clusters.container(KUBE, "-node-0")
    before = clusters.shown(KUBE)["node_addresses"]
    run(["docker", "rm", "-fv", container]).ok()
    wait_for("health reports it", 10, lambda: "was removed" in str(clusters.shown(KUBE)["health_status_reason"]))
    begun = time.monotonic()
    got = clusters.s.magnum("POST", f"/clusters/{KUBE}/actions/resize", {"node_count": 2})
    expect(got.status == 202, f"{got.status} {got.detail}")
    clusters.s.until(KUBE, "UPDATE_COMPLETE", 90)
    took = time.monotonic() - begun
    nodes = clusters.kubectl.nodes()
    expect(len(nodes) == 3 and all(nodes.values()), f"nodes: {nodes}")
    expect(clusters.container(KUBE, "-node-0") == container and clusters.shown(KUBE)["node_addresses"] == before, "another node")
    wait_for("echo pods", 60, lambda: len(clusters.kubectl.pods("app=echo")) == 2)
    report(f"after {took:.1f} s")


def test_delete_leaves_nothing(clusters):
    for name in (KUBE, SWARM):
        got = clusters.s.magnum("DELETE", f"/clusters/{name}")
        expect(got.status == 204, f"delete: {got.status} {got.detail}")
    for name in (KUBE, SWARM):
        clusters.s.until(name, "GONE", 120)
    expect(not clusters.s.left() and clusters.s.leaks() == [], f"left: {clusters.s.left()} {clusters.s.leaks()}")
