#!/usr/bin/env python3
"""Certificates of nodes that live 90 seconds: after two minutes every serving
certificate was replaced while API server, etcd, kubelets and pods kept running; the
Docker API of a swarm keeps its open connections; a node that was off for longer
than the lifetime of its certificates rejoins.  renewal.py"""

import json
import os
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kube  # noqa: E402
from environment import OWN_POOL, Docker, Failed, expect, run_scenarios, run, wait_for  # noqa: E402

LIFE = 90
SETTINGS = f"[clusters]\nnode_certificate_seconds = {LIFE}\n\n{OWN_POOL}"
KUBE, SWARM = "renewed", "swarmed"
# The scenarios end at least this long after the clusters were complete.
WATCHED = 120


class Renewal:
    def __init__(self, server):
        self.s = server
        self.dirs = {name: server.directory(name) for name in (KUBE, SWARM)}
        self.kubectl = kube.Kubectl(self.dirs[KUBE])
        self.begun = self.first = self.stood = self.follower = None
        self.stopped = 0.0

    def container(self, cluster, end):
        found = [c for h, c in kube.containers(self.s).items() if h.startswith(cluster) and h.endswith(end)]
        expect(len(found) == 1, f"{cluster} {end}: {found}")
        return found[0]

    # --- what is asked ----------------------------------------------------------

    def seen(self, container, port):
        """`start date` of what a port of a node serves, as curl says it."""
        said = run(["docker", "exec", container, "curl", "-skv", "-m", "5", "-o", "/dev/null",
                    f"https://127.0.0.1:{port}"], timeout=15).text
        dates = [line.split("date:")[1].strip() for line in said.splitlines() if "start date:" in line]
        expect(dates, f"{container}:{port}: {said}")
        return dates[0]

    def certificates(self):
        master, worker = self.container(KUBE, "-master-0"), self.container(KUBE, "-node-0")
        found = {name: self.seen(container, port) for name, container, port in [
            ("apiserver", master, 6443), ("etcd", master, 2379), ("etcd's peers", master, 2380),
            ("the master's kubelet", master, 10250), ("the worker's kubelet", worker, 10250)]}
        host = self.shown(SWARM)["api_address"].split("//")[1].split(":")[0]
        found["the swarm's door"] = ssl.get_server_certificate((host, 2376), timeout=5)
        return found

    def shown(self, name):
        got = self.s.magnum("GET", f"/clusters/{name}")
        expect(got.status == 200, f"show: {got.status} {got.detail}")
        return got.body

    def started(self):
        """When each container of ours was started, and how often again."""
        ids = sorted(kube.containers(self.s).values())
        shape = "{{.Name}} {{.State.StartedAt}} {{.RestartCount}}"
        return run(["docker", "inspect", "--format", shape, *ids]).ok().out.splitlines()

    def restarts(self):
        """How often each pod's containers were started again."""
        pods = self.kubectl.items("pods", "-A")
        return {p["metadata"]["name"]: sum(c["restartCount"] for c in p["status"].get("containerStatuses", [])) for p in pods}

    # --- scenarios --------------------------------------------------------------

    def create(self):
        for name, coe, body in ((KUBE, "kubernetes", {"node_count": 2}), (SWARM, "swarm", {"node_count": 0})):
            template = {"name": coe, "coe": coe, "image_id": coe, "external_network_id": "public",
                        "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.small"}
            got = self.s.magnum("POST", "/clustertemplates", template)
            expect(got.status == 201, f"template: {got.status} {got.detail}")
            got = self.s.magnum("POST", "/clusters", dict(body, name=name, cluster_template_id=coe, master_count=1))
            expect(got.status == 202, f"create: {got.status} {got.detail}")
        for name in (KUBE, SWARM):
            self.s.until(name, "CREATE_COMPLETE", 120)
        self.begun = time.monotonic()
        self.first, self.stood = self.certificates(), self.started()
        for name, directory in self.dirs.items():
            self.s.openstack("coe", "cluster", "config", name, "--dir", directory, *(["--output-certs"] if name == SWARM else [])).ok()
        self.kubectl.apply(kube.deployment("echo", 2), kube.service("echo", "ClusterIP"))
        wait_for("echo pods", 60, lambda: len(self.kubectl.pods("app=echo")) == 2)
        docker = Docker(self.shown(SWARM)["api_address"], self.dirs[SWARM])
        # Stays open for longer than the certificate lives.
        self.follower = subprocess.Popen(["docker", *docker.flags, "events"], stdin=subprocess.DEVNULL, text=True,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(
                                             {k: v for k, v in os.environ.items() if not k.startswith("DOCKER")},
                                             DOCKER_HOST=docker.env["DOCKER_HOST"]))

    def away(self):
        """A worker that is stopped while its certificates end. The cluster's
        DNS stood on whichever nodes were Ready first, perhaps on this one only:
        a rollout spreads it over all."""
        dns = ("-n", "kube-system", "rollout")
        self.kubectl(*dns, "restart", "deployment/coredns").ok()
        self.kubectl(*dns, "status", "deployment/coredns", "--timeout=60s").ok()
        places = {p["spec"]["nodeName"] for p in self.kubectl.items("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")
                  if kube.available(p)}
        expect(any(not place.endswith("-node-1") for place in places), f"DNS stands on {places}")
        container = self.container(KUBE, "-node-1")
        run(["docker", "stop", "-t", "15", container]).ok()
        self.stopped = time.monotonic()
        self.stood = [line for line in self.stood if container not in line]

    def replaced(self):
        def probe():
            now = self.certificates()
            old = [name for name, was in self.first.items() if now[name] == was]
            if old:
                raise Failed(f"still the first: {', '.join(old)}")
            return now

        wait_for("every certificate was replaced", LIFE, probe, 1)
        return f"{len(self.first)} certificates, {time.monotonic() - self.begun:.0f} s after the clusters stood"

    def works(self):
        # A fresh user certificate, by the unmodified client.
        wait_for(f"{WATCHED} seconds", WATCHED + 10, lambda: time.monotonic() - self.begun > WATCHED, 1)
        self.s.openstack("coe", "cluster", "config", KUBE, "--dir", self.dirs[KUBE], "--force").ok()
        nodes = self.kubectl.nodes()
        ready = [n for n, yes in nodes.items() if yes]
        expect(len(ready) == 2, f"nodes: {nodes}")
        pods = self.kubectl.pods("app=echo")
        pod = next(n for n, p in pods.items() if not p["spec"]["nodeName"].endswith("-node-1"))
        expect(self.kubectl.get(pod, "echo"), "the service does not answer by its name")
        self.kubectl("logs", pod).ok()
        # Scheduler, controllers and kubelet do their work.
        self.kubectl.apply(kube.deployment("late", 1))
        wait_for("a new pod runs", 30, lambda: self.kubectl.pods("app=late"))
        docker = Docker(self.shown(SWARM)["api_address"], self.dirs[SWARM])
        docker.ready(1, 10)

    def undisturbed(self):
        container = self.container(KUBE, "-node-1")
        now = [line for line in self.started() if container not in line]
        expect(now == self.stood, f"containers were started again:\n{self.stood}\n{now}")
        again = {name: count for name, count in self.restarts().items() if count}
        expect(not again, f"containers of pods were started again: {again}")
        ended = self.follower.poll()
        said = self.follower.stdout.read() if ended is not None else ""
        expect(ended is None, f"an open connection to the swarm's door ended with {ended}: {said}")
        said = run(["docker", "exec", self.container(KUBE, "-master-0"), "cat", "/var/log/jeroboam/events.log"]).ok().out
        events = [json.loads(line) for line in said.splitlines()]
        starts = [e["component"] for e in events if e["event"] == "start"]
        for name in ("etcd", "kube-apiserver", "containerd"):
            expect(starts.count(name) == 1, f"{name} was started {starts.count(name)} times:\n{said}")

    def rejoins(self):
        wait_for("its certificates are over", LIFE + 10, lambda: time.monotonic() - self.stopped > LIFE, 1)
        container = self.container(KUBE, "-node-1")
        begun = time.monotonic()
        run(["docker", "start", container]).ok()

        def ready():
            nodes = self.kubectl.nodes()
            if all(nodes.values()):
                return True
            raise Failed(f"{nodes}")

        wait_for("all nodes Ready", 60, ready, 0.5)
        took = time.monotonic() - begun
        kube.healthy(self.s, KUBE, 30)
        return f"Ready {took:.1f} s after its start"

    def rebuilt(self):
        container = self.container(KUBE, "-node-0")
        before = self.shown(KUBE)["node_addresses"]
        run(["docker", "rm", "-fv", container]).ok()
        wait_for("health tells", 10, lambda: "was removed" in str(self.shown(KUBE)["health_status_reason"]))
        begun = time.monotonic()
        got = self.s.magnum("POST", f"/clusters/{KUBE}/actions/resize", {"node_count": 2})
        expect(got.status == 202, f"{got.status} {got.detail}")
        self.s.until(KUBE, "UPDATE_COMPLETE", 90)
        took = time.monotonic() - begun
        nodes = self.kubectl.nodes()
        expect(len(nodes) == 3 and all(nodes.values()), f"nodes: {nodes}")
        expect(self.container(KUBE, "-node-0") == container and self.shown(KUBE)["node_addresses"] == before, "another node")
        wait_for("echo pods", 60, lambda: len(self.kubectl.pods("app=echo")) == 2)
        return f"after {took:.1f} s"

    def gone(self):
        for name in (KUBE, SWARM):
            got = self.s.magnum("DELETE", f"/clusters/{name}")
            expect(got.status == 204, f"delete: {got.status} {got.detail}")
        for name in (KUBE, SWARM):
            self.s.until(name, "GONE", 120)
        expect(not self.s.left() and self.s.leaks() == [], f"left: {self.s.left()} {self.s.leaks()}")

    def run_all(self, scenarios):
        if not scenarios.run("the server starts", lambda: f"{self.s.start():.0f} ms"):
            return
        try:
            if scenarios.run("two clusters whose nodes' certificates live 90 s", self.create):
                scenarios.run("a worker is stopped", self.away)
                scenarios.run("every serving certificate is replaced", self.replaced)
                scenarios.run("after two minutes the clusters work", self.works)
                scenarios.run("nothing that serves was started again", self.undisturbed)
                scenarios.run("a worker with expired certificates rejoins", self.rejoins)
                scenarios.run("a deleted worker is rebuilt by a resize", self.rebuilt)
            scenarios.run("delete leaves nothing", self.gone)
        finally:
            if self.follower:
                self.follower.kill()
                self.follower.wait()
                self.follower.stdout.close()


if __name__ == "__main__":
    sys.exit(run_scenarios(lambda scenarios, server: Renewal(server).run_all(scenarios), SETTINGS))
