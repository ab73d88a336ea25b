#!/usr/bin/env python3
"""What users of every peer complain about: a status that lags behind the
facts, a delete that hangs, a failure without its cause, objects left over."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from environment import Failed, expect, run_scenarios, run, wait_for  # noqa: E402

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
        """Id and host name of the node with this word in its name."""
        label = f"label=io.jeroboam.installation={self.server.installation()}"
        for line in run(["docker", "ps", "-aq", "--filter", label]).ok().out.split():
            host = run(["docker", "inspect", "-f", "{{.Config.Hostname}}", line]).ok().out.strip()
            if word in host:
                return line, host
        raise Failed(f"no container of {word}")

    def health(self, uuid, status, node, word):
        """Seconds until the health says so of the node."""
        begun = time.monotonic()

        def probe():
            shown = self.show(uuid)
            reason = shown["health_status_reason"] or {}
            return shown["health_status"] == status and reason.get(f"{node}.Ready") == word
        wait_for(f"{status} with {node} {word}", 30, probe)
        return time.monotonic() - begun


def run_all(scenarios, server):
    w = Environment(server)
    made = {}

    def start():
        w.server.start()
        w.template("truth")
        made["id"] = w.create("truth", 2)
        w.server.until(made["id"], "CREATE_COMPLETE", 90)
        wait_for("HEALTHY", 20, lambda: w.show(made["id"])["health_status"] == "HEALTHY")

    def dies():
        container, host = w.container("-node-1")
        run(["docker", "kill", container]).ok()
        took = w.health(made["id"], "UNHEALTHY", host, "False")
        expect(took <= LAG, f"reported after {took:.1f} s")
        reason = w.show(made["id"])["health_status_reason"]
        said = reason.get(f"{host}.Server", "")
        expect("SHUTOFF" in said or "killed from outside" in said, json.dumps(reason))
        run(["docker", "start", container]).ok()
        back = w.health(made["id"], "HEALTHY", host, "True")
        return f"reported after {took:.2f} s, well again {back:.1f} s after its start"

    def pauses():
        container, host = w.container("-node-0")
        run(["docker", "pause", container]).ok()
        took = w.health(made["id"], "UNHEALTHY", host, "False")
        expect(took <= LAG, f"reported after {took:.1f} s")
        run(["docker", "unpause", container]).ok()
        w.health(made["id"], "HEALTHY", host, "True")
        return f"reported after {took:.2f} s"

    def removed():
        expect(not w.server.leaks(), f"before: {w.server.leaks()}")
        container, host = w.container("-node-1")
        run(["docker", "rm", "-fv", container]).ok()
        took = w.health(made["id"], "UNHEALTHY", host, "False")
        expect(took <= LAG, f"reported after {took:.1f} s")
        found = w.server.leaks()
        expect(any(leak["side"] == "Ledger" for leak in found), f"leaks: {found}")
        return f"reported after {took:.2f} s; {found[0]['what']}"

    def manager():
        container, host = w.container("-master-0")
        run(["docker", "kill", container]).ok()
        took = w.health(made["id"], "UNHEALTHY", host, "False")
        expect(took <= LAG, f"reported after {took:.1f} s")
        reason = w.show(made["id"])["health_status_reason"]
        expect("no master" in reason["api"], json.dumps(reason))
        return f"reported after {took:.2f} s"

    def foreign():
        name = "jb-srv-00000000-dead-4bee-8000-000000000000"
        label = f"io.jeroboam.installation={w.server.installation()}"
        run(["docker", "create", "--name", name, "--label", label, "jeroboam/echo:1"]).ok()
        try:
            found = [leak for leak in w.server.leaks() if leak["name"] == name]
            expect(found and found[0]["side"] == "Engine", f"{found}")
            expect("docker rm" in found[0]["what"], f"{found}")
        finally:
            run(["docker", "rm", "-fv", name])

    def gone():
        begun = time.monotonic()
        w.delete(made["id"])
        expect(not w.server.leaks(), f"leaks: {w.server.leaks()}")
        return f"{time.monotonic() - begun:.1f} s"

    def waits():
        """While something holds the network the delete says what; then it ends."""
        uuid = w.create("held", 1)
        w.server.until(uuid, "CREATE_COMPLETE", 90)
        container, _ = w.container("held")
        nets = json.loads(run(["docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", container]).ok().out)
        net = next(iter(nets))
        run(["docker", "run", "-d", "--rm", "--name", "truth-guest", "--network", net, "jeroboam/echo:1"]).ok()
        try:
            expect(w.server.magnum("DELETE", f"/clusters/{uuid}").status == 204, "delete")

            def reported_after():
                status, reason = w.server.status(uuid)
                expect(status == "DELETE_IN_PROGRESS", f"{status}: {reason}")
                if "truth-guest" not in (reason or ""):
                    raise Failed(f"{status}: {reason}")
                return reason
            reason = wait_for("the reason names the guest", 30, reported_after)
        finally:
            run(["docker", "rm", "-f", "truth-guest"])
        w.server.until(uuid, "GONE", 60)
        return reason[:200]

    def causes():
        """The first cause stands in status_reason: the host is full."""
        w.template("huge", flavor_id="m1.large", master_flavor_id="m1.large")
        uuid = w.create("huge", 60, template="huge")
        w.server.until(uuid, "CREATE_FAILED", 60)
        status, reason = w.server.status(uuid)
        expect("host" in reason and ("memory" in reason or "vcpu" in reason.lower() or "ram" in reason.lower()), reason)
        w.delete(uuid)
        expect(not w.server.leaks(), f"leaks: {w.server.leaks()}")
        return reason[:200]

    if scenarios.run("a cluster is complete and healthy", start):
        scenarios.run("a killed worker is reported at once and recovers", dies)
        scenarios.run("a paused worker is reported at once and recovers", pauses)
        scenarios.run("a removed worker is reported, also as a leak", removed)
        scenarios.run("a stopped manager is reported", manager)
        scenarios.run("a foreign container is a leak of the engine's side", foreign)
        scenarios.run("a broken cluster can be deleted", gone)
        scenarios.run("a delete reports what it waits for", waits)
        scenarios.run("a full host is the first cause", causes)
    scenarios.run("nothing is left", lambda: expect(not server.left(), f"left: {server.left()}"))


if __name__ == "__main__":
    sys.exit(run_scenarios(run_all))
