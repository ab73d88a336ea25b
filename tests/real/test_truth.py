"""Common complaints about comparable services: a status that lags behind the facts, a
delete that hangs, a failure without its cause, and objects that are left over."""

import json
import time

import pytest
from environment import Failed, expect, run, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.ordered, pytest.mark.measured]
TEMPLATE = {"coe": "swarm", "image_id": "swarm", "external_network_id": "public",
            "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.small"}
# Seconds that a status may lag behind the facts.
LAG = 2.0


class Environment:
    def __init__(self, server):
        self.server = server

    def template(self, name, **more):
        got = self.server.magnum("POST", "/clustertemplates", {**TEMPLATE, "name": name, **more})
        expect(got.status == 201, f"{got.status} {got.detail}")

    def create(self, name, workers, template="truth", **more):
        got = self.server.magnum("POST", "/clusters", {
            "name": name, "cluster_template_id": template, "node_count": workers, **more})
        expect(got.status == 202, f"{got.status} {got.detail}")
        return got.body["uuid"]

    def show(self, uuid):
        got = self.server.magnum("GET", f"/clusters/{uuid}")
        expect(got.status == 200, f"{got.status} {got.detail}")
        return got.body

    def delete(self, uuid):
        expect(self.server.magnum("DELETE", f"/clusters/{uuid}").status == 204, "delete")
        self.server.until(uuid, "GONE", 60)

    def container(self, word):
        """Container id and host name of the node whose host name contains the word."""
        label = f"label=io.jeroboam.installation={self.server.installation()}"
        for line in run(["docker", "ps", "-aq", "--filter", label]).ok().out.split():
            host = run(["docker", "inspect", "-f", "{{.Config.Hostname}}", line]).ok().out.strip()
            if word in host:
                return line, host
        raise Failed(f"no container of {word}")

    def health(self, uuid, status, node, word):
        """Waits until the cluster has this health status and this word for the node.
        Returns the seconds that it took."""
        begun = time.monotonic()

        def probe():
            shown = self.show(uuid)
            reason = shown["health_status_reason"] or {}
            return shown["health_status"] == status and reason.get(f"{node}.Ready") == word
        wait_for(f"{status} with {node} {word}", 30, probe)
        return time.monotonic() - begun


@pytest.fixture(scope="module")
def truth(server):
    return Environment(server)


def test_cluster_is_complete_and_healthy(truth):
    truth.template("truth")
    truth.uuid = truth.create("truth", 2)
    truth.server.until(truth.uuid, "CREATE_COMPLETE", 90)
    wait_for("HEALTHY", 20, lambda: truth.show(truth.uuid)["health_status"] == "HEALTHY")


def test_killed_worker_is_reported_and_recovers(truth, report):
    container, host = truth.container("-node-1")
    run(["docker", "kill", container]).ok()
    took = truth.health(truth.uuid, "UNHEALTHY", host, "False")
    expect(took <= LAG, f"reported after {took:.1f} s")
    reason = truth.show(truth.uuid)["health_status_reason"]
    reported = reason.get(f"{host}.Server", "")
    expect("SHUTOFF" in reported or "killed from outside" in reported, json.dumps(reason))
    run(["docker", "start", container]).ok()
    back = truth.health(truth.uuid, "HEALTHY", host, "True")
    report(f"reported after {took:.2f} s, well again {back:.1f} s after its start")


def test_paused_worker_is_reported_and_recovers(truth, report):
    container, host = truth.container("-node-0")
    run(["docker", "pause", container]).ok()
    took = truth.health(truth.uuid, "UNHEALTHY", host, "False")
    expect(took <= LAG, f"reported after {took:.1f} s")
    run(["docker", "unpause", container]).ok()
    truth.health(truth.uuid, "HEALTHY", host, "True")
    report(f"reported after {took:.2f} s")


def test_removed_worker_is_reported_also_as_a_leak(truth, report):
    expect(not truth.server.leaks(), f"before: {truth.server.leaks()}")
    container, host = truth.container("-node-1")
    run(["docker", "rm", "-fv", container]).ok()
    took = truth.health(truth.uuid, "UNHEALTHY", host, "False")
    expect(took <= LAG, f"reported after {took:.1f} s")
    found = truth.server.leaks()
    expect(any(leak["side"] == "Ledger" for leak in found), f"leaks: {found}")
    report(f"reported after {took:.2f} s; {found[0]['what']}")


def test_stopped_manager_is_reported(truth, report):
    container, host = truth.container("-master-0")
    run(["docker", "kill", container]).ok()
    took = truth.health(truth.uuid, "UNHEALTHY", host, "False")
    expect(took <= LAG, f"reported after {took:.1f} s")
    reason = truth.show(truth.uuid)["health_status_reason"]
    expect("no master" in reason["api"], json.dumps(reason))
    report(f"reported after {took:.2f} s")


def test_foreign_container_is_a_leak_of_the_engine(truth):
    name = "jb-srv-00000000-dead-4bee-8000-000000000000"
    label = f"io.jeroboam.installation={truth.server.installation()}"
    run(["docker", "create", "--name", name, "--label", label, "jeroboam/echo:1"]).ok()
    try:
        found = [leak for leak in truth.server.leaks() if leak["name"] == name]
        expect(found and found[0]["side"] == "Engine", f"{found}")
        expect("docker rm" in found[0]["what"], f"{found}")
    finally:
        run(["docker", "rm", "-fv", name])


def test_broken_cluster_can_be_deleted(truth, report):
    begun = time.monotonic()
    truth.delete(truth.uuid)
    expect(not truth.server.leaks(), f"leaks: {truth.server.leaks()}")
    report(f"{time.monotonic() - begun:.1f} s")


def test_delete_reports_what_it_waits_for(truth, report):
    """While a container uses the network, `status_reason` names it; afterwards the
    delete is completed."""
    uuid = truth.create("held", 1)
    truth.server.until(uuid, "CREATE_COMPLETE", 90)
    container, _ = truth.container("held")
    nets = json.loads(run(["docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", container]).ok().out)
    net = next(iter(nets))
    run(["docker", "run", "-d", "--rm", "--name", "truth-guest", "--network", net, "jeroboam/echo:1"]).ok()
    try:
        expect(truth.server.magnum("DELETE", f"/clusters/{uuid}").status == 204, "delete")

        def reported_after():
            status, reason = truth.server.status(uuid)
            expect(status == "DELETE_IN_PROGRESS", f"{status}: {reason}")
            if "truth-guest" not in (reason or ""):
                raise Failed(f"{status}: {reason}")
            return reason
        reason = wait_for("the reason names the guest", 30, reported_after)
    finally:
        run(["docker", "rm", "-f", "truth-guest"])
    truth.server.until(uuid, "GONE", 60)
    report(reason[:200])


def test_full_host_is_the_first_cause(truth, report):
    """status_reason names the first cause: the host is full."""
    truth.template("huge", flavor_id="m1.large", master_flavor_id="m1.large")
    uuid = truth.create("huge", 60, template="huge")
    truth.server.until(uuid, "CREATE_FAILED", 60)
    status, reason = truth.server.status(uuid)
    expect("host" in reason and ("memory" in reason or "vcpu" in reason.lower() or "ram" in reason.lower()), reason)
    truth.delete(uuid)
    expect(not truth.server.leaks(), f"leaks: {truth.server.leaks()}")
    report(reason[:200])


def test_nothing_is_left(server):
    expect(not server.left(), f"left: {server.left()}")
