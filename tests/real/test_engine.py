"""The Docker Engine is stopped or killed, and started again. Each cluster becomes healthy
again without intervention, with the same containers. Another program in place of the
engine's runtime for nodes is noticed. The engine is a private one in a
network namespace, so that other tests are not affected."""

import json
import time

import pytest
from environment import BIN, Failed, expect, run, wait_for
from own_engine import RUNTIME

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
IMAGES = ["jeroboam/swarm:latest", "jeroboam/kubernetes:latest"]
COES = ("swarm", "kubernetes")


class Clusters:
    """A cluster of each COE."""

    def __init__(self, server, engine):
        self.s, self.engine = server, engine
        self.made, self.original = {}, None

    def containers(self):
        return sorted(run(["docker", "ps", "-aq", "--no-trunc"]).ok().out.split())

    def healthy(self, coe, seconds):
        def probe():
            shown = self.s.magnum("GET", f"/clusters/{self.made[coe]}").body
            if shown["health_status"] != "HEALTHY":
                raise Failed(json.dumps(shown["health_status_reason"]))
            return True
        wait_for(f"{coe} HEALTHY", seconds, probe)

    def again(self, end):
        """Ends the engine by calling `end`, and starts it again. Returns how long it took
        until the engine and all clusters worked again."""
        end()
        # While the engine is down, nodes must not be reported as lost.
        for coe in COES:
            expect(self.s.status(self.made[coe])[0] == "CREATE_COMPLETE", f"{coe}: {self.s.status(self.made[coe])}")
        begun = time.monotonic()
        self.engine.start()
        took = [f"the engine {time.monotonic() - begun:.1f} s"]
        # Containers that the engine starts again are not Ready at once.
        time.sleep(2)
        for coe in COES:
            self.healthy(coe, 120)
            took.append(f"{coe} {time.monotonic() - begun:.1f} s")
        expect(self.containers() == self.original, "other containers than before")
        self.nodes()
        return f"from its start on: {', '.join(took)}, all nodes Ready {time.monotonic() - begun:.1f} s"

    def nodes(self):
        """Waits until all nodes are Ready, as the clusters themselves report it."""
        hosts = {}
        for container in self.original:
            hosts[run(["docker", "inspect", "-f", "{{.Config.Hostname}}", container]).ok().out.strip()] = container
        master = next(c for h, c in hosts.items() if h.startswith("kubernetes-") and "-master-" in h)
        manager = next(c for h, c in hosts.items() if h.startswith("swarm-") and "-master-" in h)

        def ready():
            k8s = run(["docker", "exec", master, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "get", "nodes",
                       "--no-headers"]).ok().out.splitlines()
            swarm = run(["docker", "exec", manager, "docker", "node", "ls", "--format", "{{.Status}}"]).ok().out.split()
            if not (len(k8s) == 2 and all(" Ready" in line for line in k8s) and swarm == ["Ready", "Ready"]):
                raise Failed(f"{k8s} {swarm}")
            return True
        wait_for("all nodes Ready, asked inside", 60, ready)


@pytest.fixture(scope="module")
def settings(engine):
    return engine.settings


@pytest.fixture(scope="module")
def clusters(server, engine):
    return Clusters(server, engine)


def test_swarm_and_kubernetes_cluster_are_healthy(clusters):
    for coe in COES:
        got = clusters.s.magnum("POST", "/clustertemplates", {
            "name": coe, "coe": coe, "image_id": coe, "external_network_id": "public", "keypair_id": "default",
            "flavor_id": "m1.small", "master_flavor_id": "m1.medium"})
        expect(got.status == 201, f"{got.status} {got.detail}")
        got = clusters.s.magnum("POST", "/clusters", {"name": coe, "cluster_template_id": coe, "node_count": 1})
        expect(got.status == 202, f"{got.status} {got.detail}")
        clusters.made[coe] = got.body["uuid"]
    for uuid in clusters.made.values():
        clusters.s.until(uuid, "CREATE_COMPLETE", 150)
    for coe in COES:
        clusters.healthy(coe, 30)
    clusters.original = clusters.containers()


@pytest.mark.parametrize("end", ["stop", "stop", "die", "kill_all"], ids=["stopped", "stopped-again", "killed", "killed-with-containers"])
def test_engine_ends_and_is_started(clusters, engine, end, report):
    report(clusters.again(getattr(engine, end)))


def program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_another_program_as_runtime_is_noticed(clusters, engine, tmp_path):
    """A node of it would have no user namespace."""
    config = tmp_path / "jeroboam.toml"
    config.write_text(engine.settings)
    check = [BIN, "host", "check", "--config", str(config)]
    expect("ready" in run(check).ok().out, "the host is ready")
    other = program(tmp_path / "other", 'exec runc "$@"')
    engine.register(other)
    run(check).refused(f"{other}, is not jeroboam-runtime", "jeroboam host prepare")
    # The machine may lack this capability. The current directory is that of the container.
    without = "sed -i 's/,\"CAP_SYS_RESOURCE\"//g; s/\"CAP_SYS_RESOURCE\",//g' config.json"
    liar = program(tmp_path / "liar", f'[ "$*" = --jeroboam-version ] && exec {RUNTIME} "$@"\n{without}\nexec runc "$@"')
    engine.register(liar)
    run(check).ok()
    got = clusters.s.magnum("POST", "/clusters", {"name": "liar", "cluster_template_id": "swarm", "node_count": 0})
    expect(got.status == 202, f"{got.status} {got.detail}")
    uuid = clusters.made["liar"] = got.body["uuid"]
    clusters.s.until(uuid, "CREATE_FAILED", 60)
    why = clusters.s.magnum("GET", f"/clusters/{uuid}").body["status_reason"]
    expect("was started without its user namespace and was removed" in why, why)
    expect(clusters.containers() == clusters.original, "a container is left")
    engine.register(RUNTIME)


def test_delete_leaves_nothing(clusters):
    for uuid in clusters.made.values():
        expect(clusters.s.magnum("DELETE", f"/clusters/{uuid}").status == 204, "delete")
    for uuid in clusters.made.values():
        clusters.s.until(uuid, "GONE", 90)
    expect(not clusters.s.leaks(), f"leaks: {clusters.s.leaks()}")
    expect(not clusters.containers(), f"left: {clusters.containers()}")
