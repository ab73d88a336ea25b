#!/usr/bin/env python3
"""The unmodified `openstack` client (python-openstackclient and
python-magnumclient from PyPI) against a server of its own, on a real Docker
Engine. Texts of errors are Magnum's. Each scenario prints a line; the last line
counts."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from environment import Docker, expect, run_scenarios, run, wait_for  # noqa: E402

TEMPLATE = ("coe", "cluster", "template")
BASE = ("--coe", "swarm", "--image", "swarm", "--external-network", "public", "--keypair", "default",
        "--flavor", "m1.small", "--master-flavor", "m1.small")


class Client:
    """The scenarios, in the order in which a user experiences them."""

    def __init__(self, server):
        self.s = server
        self.dir = server.directory("certificates")
        self.docker = None

    # --- identity ---------------------------------------------------------

    def log_in(self):
        for cloud in ("jeroboam", "jeroboam-demo"):
            token = self.s.openstack("token", "issue", "-f", "json", cloud=cloud).json()
            expect(token["id"] and token["project_id"], f"token issue: {token}")

    def wrong_password(self):
        env = dict(self.s.env, OS_CLOUD="jeroboam-demo")
        from environment import VENV
        run([f"{VENV}/bin/openstack", "--os-password", "wrong", "token", "issue"], env=env).refused("401")

    def catalogue(self):
        names = {row["Type"] for row in self.s.openstack("catalog", "list", "-f", "json", cloud="jeroboam").json()}
        expect({"identity", "container-infra"} <= names, f"catalogue has {names}")

    def project_and_user(self):
        admin = {"cloud": "jeroboam"}
        self.s.openstack("project", "create", "harbour", "-f", "json", **admin).ok()
        self.s.openstack("user", "create", "--project", "harbour", "--password", "s3cret-pilot", "pilot", **admin).ok()
        self.s.openstack("role", "add", "--project", "harbour", "--user", "pilot", "member", **admin).ok()
        rows = self.s.openstack("role", "assignment", "list", "--user", "pilot", "--names", "-f", "json", **admin).json()
        expect(any(r["Role"] == "member" for r in rows), f"assignments: {rows}")
        # The new user logs in and sees the new project.
        path = os.path.join(self.s.state, "clouds.yaml")
        with open(path) as f:
            base = f.read()
        auth = re.search(r"auth_url: (\S+)", base).group(1)
        entry = (f"  pilot:\n    auth:\n      auth_url: {auth}\n      username: pilot\n      password: s3cret-pilot\n"
                 "      project_name: harbour\n      user_domain_name: Default\n      project_domain_name: Default\n"
                 "    region_name: RegionOne\n    identity_api_version: 3\n")
        with open(path, "w") as f:
            f.write(base + entry)
        self.s.openstack("token", "issue", cloud="pilot").ok()
        self.s.openstack("project", "create", "harbour", **admin).refused("409")
        self.s.openstack("user", "create", "other", cloud="pilot").refused("403")

    # --- templates --------------------------------------------------------

    def templates(self):
        self.s.openstack(*TEMPLATE, "create", "t1", *BASE, "--labels", "a=1,b=two").ok()
        shown = self.s.openstack(*TEMPLATE, "show", "t1", "-f", "json").json()
        expect(shown["coe"] == "swarm" and shown["image_id"] == "swarm", f"shown: {shown}")
        expect(shown["labels"] == {"a": "1", "b": "two"}, f"labels: {shown['labels']}")
        expect(shown["server_type"] == "vm" and shown["cluster_distro"], f"shown: {shown}")
        rows = self.s.openstack(*TEMPLATE, "list", "-f", "json").json()
        expect([r["name"] for r in rows] == ["t1"], f"list: {rows}")

    def update_a_template(self):
        self.s.openstack(*TEMPLATE, "create", "t2", *BASE).ok()
        self.s.openstack(*TEMPLATE, "update", "t2", "--name", "t2b", "--tag", "blue").ok()
        shown = self.s.openstack(*TEMPLATE, "show", "t2b", "-f", "json").json()
        expect(shown["tags"] == "blue", f"tags: {shown['tags']}")
        got = self.s.magnum("PATCH", "/clustertemplates/t2b",
                            [{"op": "replace", "path": "/labels/x", "value": "y"}])
        expect(got.status == 400 and "Couldn't apply patch" in got.detail, f"replace what is not: {got.status} {got.detail}")
        got = self.s.magnum("PATCH", "/clustertemplates/t2b", [{"op": "add", "path": "/labels/x", "value": "y"}])
        expect(got.status == 200 and got.body["labels"]["x"] == "y", f"add a label: {got.status} {got.detail}")

    def delete_a_template(self):
        self.s.openstack(*TEMPLATE, "delete", "t2b").ok()
        self.s.openstack(*TEMPLATE, "show", "t2b").refused("ClusterTemplate t2b could not be found", "404")

    def wrong_templates(self):
        create = (*TEMPLATE, "create", "bad")
        cases = [
            (("--coe", "swarm", "--image", "nope", "--external-network", "public"), "Image nope could not be found"),
            (("--coe", "quantum", "--image", "swarm", "--external-network", "public"), "coe"),
            ((*BASE[:4], "--external-network", "zz"), "Unable to find external network zz"),
            ((*BASE[:6], "--flavor", "zz"), "Unable to find flavor zz"),
            ((*BASE, "--network-driver", "foo"), "Network driver type foo is not supported"),
            ((*BASE, "--dns-nameserver", "elsewhere"), "Expected a single dns address or comma separated dns list"),
        ]
        for args, text in cases:
            self.s.openstack(*create, *args).refused(text, "400")
        self.s.openstack(*create, *BASE, "--public").refused("403")
        rows = self.s.openstack(*TEMPLATE, "list", "-f", "json").json()
        expect(all(r["name"] != "bad" for r in rows), "a refused template is listed")

    # --- bad input on the wire ---------------------------------------------

    def wrong_bodies(self):
        post = lambda body, **more: self.s.magnum("POST", "/clusters", body, **more)  # noqa: E731
        base = {"name": "bad", "cluster_template_id": "t1"}
        cases = [
            (400, "valid JSON", dict(body=None, raw=b"{nope")),
            (415, "Unknown mimetype", dict(body=base, headers={"Content-Type": "text/plain"})),
            (400, "Unknown attribute for argument cluster: zzz", dict(body=dict(base, zzz=1))),
            (400, "name", dict(body=dict(base, name="1-starts-with-a-digit"))),
            (400, "name", dict(body=dict(base, name="a" * 243))),
            (400, "node_count", dict(body=dict(base, node_count=-1))),
            (400, "node_count", dict(body=dict(base, node_count=10**9))),
            (400, "node_count", dict(body=dict(base, node_count="many"))),
            (400, "master_count", dict(body=dict(base, master_count=0))),
            (400, "size cannot be an even number", dict(body=dict(base, master_count=2))),
            (400, "labels", dict(body=dict(base, labels="a=1"))),
            (404, "ClusterTemplate nope could not be found", dict(body=dict(base, cluster_template_id="nope"))),
            (404, "Unable to find keypair nope", dict(body=dict(base, keypair="nope"))),
            (400, "Unable to find flavor nope", dict(body=dict(base, flavor_id="nope"))),
            (400, "Cannot set read only field", dict(body=dict(base, api_address="x"))),
            (400, "", dict(body=[base])),
            (400, "cluster_template_id", dict(body={"name": "bad"})),
        ]
        wrong = []
        for status, text, request in cases:
            got = post(**request)
            if got.status != status or text not in got.detail:
                wrong.append(f"{str(request)[:120]}: wanted {status} '{text}', got {got.status} '{got.detail[:200]}'")
        listed = self.s.magnum("GET", "/clusters").body["clusters"]
        if listed:
            wrong.append(f"a refused cluster is listed: {[c['name'] for c in listed]}")
        expect(not wrong, "\n".join(wrong))
        return f"{len(cases)} bodies"

    def wrong_versions(self):
        header = lambda v: {"OpenStack-API-Version": v}  # noqa: E731
        got = self.s.magnum("GET", "/clusters", headers=header("container-infra 9.9"))
        expect(got.status == 406, f"9.9: {got.status} {got.raw[:200]}")
        got = self.s.magnum("GET", "/clusters", headers=header("container-infra one"))
        expect(got.status in (400, 406), f"one: {got.status} {got.raw[:200]}")
        got = self.s.magnum("GET", "/clusters", headers=header(None))
        expect(got.status == 200 and got.headers["OpenStack-API-Version"].endswith("1.1"),
               f"no version: {got.status} {got.headers['OpenStack-API-Version']}")
        expect(got.headers["x-openstack-request-id"].startswith("req-"), "no request id")

    def no_token(self):
        for token in (None, "gAAAAA-not-a-token"):
            got = self.s.magnum("GET", "/clusters", cloud=None, headers={"X-Auth-Token": token})
            expect(got.status == 401 and got.body["error"]["code"] == 401, f"{token}: {got.status} {got.raw[:200]}")

    def wrong_paging(self):
        cases = [("limit=0", "Limit must be positive"), ("sort_key=zzz", "zzz"), ("sort_dir=up", "Invalid sort direction"),
                 ("marker=zz", ""), ("foo=1", "Unknown argument")]
        for query, text in cases:
            got = self.s.magnum("GET", f"/clusters?{query}")
            expect(got.status == 400 and text in got.detail, f"{query}: {got.status} {got.detail}")

    # --- a cluster ----------------------------------------------------------

    def create_a_cluster(self):
        self.s.openstack("coe", "cluster", "create", "c1", "--cluster-template", "t1", "--node-count", "2").ok()
        status, _ = self.s.status("c1")
        expect(status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"), f"just created, it is {status}")
        self.s.until("c1", "CREATE_COMPLETE", 120)
        shown = self.s.openstack("coe", "cluster", "show", "c1", "-f", "json").json()
        expect(shown["node_count"] == 2 and len(shown["node_addresses"]) == 2, f"shown: {shown}")
        expect(len(shown["master_addresses"]) == 1, f"masters: {shown['master_addresses']}")
        expect(shown["api_address"].startswith("tcp://") and shown["api_address"].endswith(":2376"), shown["api_address"])
        rows = self.s.openstack("coe", "cluster", "list", "-f", "json").json()
        expect([(r["name"], r["status"]) for r in rows] == [("c1", "CREATE_COMPLETE")], f"list: {rows}")

    def another_tenant(self):
        uuid = self.s.magnum("GET", "/clusters/c1").body["uuid"]
        for key in ("c1", uuid):
            self.s.openstack("coe", "cluster", "show", key, cloud="pilot").refused(f"Cluster {key} could not be found", "404")
        got = self.s.magnum("DELETE", f"/clusters/{uuid}", cloud="pilot")
        expect(got.status == 404, f"delete from another project: {got.status}")
        got = self.s.magnum("GET", f"/certificates/{uuid}", cloud="pilot")
        expect(got.status in (403, 404), f"certificate of another project: {got.status}")
        expect(self.s.status("c1")[0] == "CREATE_COMPLETE", "another project touched the cluster")
        expect(self.s.magnum("GET", "/clusters", cloud="pilot").body["clusters"] == [], "another project lists it")

    def a_template_in_use(self):
        # The client prints the refusal and still ends with 0.
        said = self.s.openstack(*TEMPLATE, "delete", "t1").text
        expect("is referenced by one or multiple clusters" in said and "400" in said, said)
        self.s.openstack(*TEMPLATE, "show", "t1").ok()

    def config(self):
        out = self.s.openstack("coe", "cluster", "config", "c1", "--dir", self.dir, "--output-certs").ok().out
        printed = dict(re.findall(r"export (\w+)=(\S+)", out))
        expect(printed.get("DOCKER_TLS_VERIFY") == "True" and printed.get("DOCKER_CERT_PATH") == self.dir, out)
        for name in ("ca.pem", "cert.pem", "key.pem"):
            expect(os.path.getsize(os.path.join(self.dir, name)) > 100, f"{name} is empty")
        self.docker = Docker(printed["DOCKER_HOST"], self.dir)
        nodes = self.docker.ready(3)
        expect(sum(1 for n in nodes if n["ManagerStatus"]) == 1, f"managers: {nodes}")

    def no_certificate_no_entry(self):
        # Without DOCKER_CERT_PATH the client has no certificate to offer.
        env = {k: v for k, v in self.docker.env.items() if k not in ("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")}
        env["DOCKER_CONFIG"] = os.path.join(self.dir, "no-certificates")
        bare = run(["docker", "--tls", "node", "ls"], env=env)
        expect(bare.code != 0, f"without a certificate: {bare.text}")

    def a_service_on_each_node(self):
        self.service("hello", 8081, 3)
        addresses = self.addresses()
        for address in addresses:
            said = wait_for(f"http://{address}:8081", 30, lambda a=address: run(["curl", "-sS", "-m", "3", f"http://{a}:8081/"]).ok().out, 0.2)
            expect(said.strip(), "an empty page")
        return f"{len(addresses)} nodes answer"

    def service(self, name, port, count):
        self.docker("service", "create", "--detach", "--name", name, "--mode", "global", "--endpoint-mode", "dnsrr",
                    "--no-resolve-image", "--publish", f"mode=host,published={port},target=80", "jeroboam/echo:1").ok()
        self.running(name, count)

    def running(self, name, count):
        def probe():
            rows = self.docker("service", "ps", name, "--filter", "desired-state=running",
                               "--format", "{{.Node}} {{.CurrentState}}").ok().out.splitlines()
            on = {r.split()[0] for r in rows if " Running " in r}
            return on if len(on) == count else None
        return wait_for(f"{name} on {count} nodes", 60, probe, 0.2)

    def addresses(self):
        shown = self.s.magnum("GET", "/clusters/c1").body
        return shown["master_addresses"] + shown["node_addresses"]

    def ca_show_and_sign(self):
        ca = self.s.openstack("coe", "ca", "show", "c1").ok().out
        expect("BEGIN CERTIFICATE" in ca, ca)
        key, csr = os.path.join(self.dir, "k2.pem"), os.path.join(self.dir, "k2.csr")
        run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", csr, "-subj", "/CN=pilot"]).ok()
        signed = self.s.openstack("coe", "ca", "sign", "c1", csr).ok().out
        cert, ca_file = os.path.join(self.dir, "k2.crt"), os.path.join(self.dir, "ca-shown.pem")
        for path, text in ((cert, signed), (ca_file, ca)):
            with open(path, "w") as f:
                f.write(text)
        said = run(["openssl", "verify", "-CAfile", ca_file, cert]).ok().out
        expect("OK" in said, said)
        with open(csr, "w") as f:
            f.write("no request at all\n")
        self.s.openstack("coe", "ca", "sign", "c1", csr).refused("400")

    def ca_rotate(self):
        before = self.running("hello", 3)
        old = self.s.openstack("coe", "ca", "show", "c1").ok().out
        self.s.openstack("coe", "ca", "rotate", "c1").ok()

        def rotated():
            return self.s.magnum("GET", "/certificates/c1").body["pem"].strip() != old.strip()

        wait_for("another CA", 60, rotated, 0.2)
        self.s.until("c1", ("CREATE_COMPLETE", "UPDATE_COMPLETE"), 60)
        self.s.openstack("coe", "cluster", "config", "c1", "--dir", self.dir, "--output-certs", "--force").ok()
        self.docker.ready(3)
        expect(self.running("hello", 3) == before, "tasks moved")

    def resize(self, count):
        self.s.openstack("coe", "cluster", "resize", "c1", str(count)).ok()
        self.s.until("c1", "UPDATE_COMPLETE", 120)
        shown = self.s.openstack("coe", "cluster", "show", "c1", "-f", "json").json()
        expect(shown["node_count"] == count and len(shown["node_addresses"]) == count, f"shown: {shown}")
        self.docker.ready(count + 1)
        self.running("hello", count + 1)

    def update(self):
        got = self.s.magnum("PATCH", "/clusters/c1", [{"op": "replace", "path": "/node_count", "value": 2}])
        expect(got.status == 202, f"patch: {got.status} {got.detail}")
        self.s.until("c1", "UPDATE_COMPLETE", 120)
        self.docker.ready(3)

    def wrong_changes(self):
        patch = lambda body, **more: self.s.magnum("PATCH", "/clusters/c1", body, **more)  # noqa: E731
        cases = [
            (patch([{"op": "add", "path": "/labels/x", "value": "y"}]), "cannot change cluster property(ies) labels"),
            (patch([{"op": "move", "path": "/node_count", "value": 1}]), "op"),
            (patch([{"op": "replace", "path": "/uuid", "value": "x"}]), "'/uuid' is an internal attribute"),
            (patch([{"op": "remove", "path": "/cluster_template_id"}]), "is a mandatory attribute"),
            (patch([{"op": "replace", "path": "/node_count"}]), "needs value"),
            (patch([{"op": "replace", "path": "node_count", "value": 1}]), "pattern"),
            (patch({"op": "replace"}), ""),
            (self.s.magnum("POST", "/clusters/c1/actions/resize", {"node_count": -1}), "node_count"),
            (self.s.magnum("POST", "/clusters/c1/actions/resize", {}), "node_count"),
            (self.s.magnum("POST", "/clusters/c1/actions/resize", {"node_count": 1, "nodegroup": "default-master"}), "master"),
        ]
        wrong = [f"wanted 400 '{text}', got {got.status} '{got.detail[:200]}'" for got, text in cases
                 if got.status != 400 or text not in got.detail]
        expect(not wrong, "\n".join(wrong))
        expect(self.s.magnum("GET", "/clusters/c1").body["node_count"] == 2, "a refused change was made")

    def delete(self):
        self.s.openstack("coe", "cluster", "delete", "c1").ok()
        self.s.until("c1", "GONE", 90)
        self.s.openstack("coe", "cluster", "show", "c1").refused("Cluster c1 could not be found", "404")
        self.nothing_left()

    def nothing_left(self):
        left = self.s.left()
        expect(not left, f"left behind: {left}")
        expect(self.s.leaks() == [], f"leaks: {self.s.leaks()}")

    def delete_while_creating(self):
        self.s.openstack("coe", "cluster", "create", "c2", "--cluster-template", "t1", "--node-count", "1").ok()
        self.s.openstack("coe", "cluster", "delete", "c2").ok()
        self.s.until("c2", "GONE", 90)
        self.nothing_left()

    def template_of_the_past(self):
        self.s.openstack(*TEMPLATE, "delete", "t1").ok()

    def server_stops(self):
        self.s.stop()

    def run_all(self, scenarios):
        if not scenarios.run("the server starts", lambda: f"{self.s.start():.0f} ms"):
            return
        for name, scenario in [
            ("both clouds of clouds.yaml log in", self.log_in),
            ("a wrong password is refused", self.wrong_password),
            ("the catalogue names the services", self.catalogue),
            ("a project and a user are created and used", self.project_and_user),
            ("a template is created, shown, listed", self.templates),
            ("a template is updated", self.update_a_template),
            ("a template is deleted", self.delete_a_template),
            ("wrong templates are refused", self.wrong_templates),
            ("wrong bodies are refused", self.wrong_bodies),
            ("wrong versions are refused", self.wrong_versions),
            ("no token, no answer", self.no_token),
            ("wrong paging is refused", self.wrong_paging),
        ]:
            scenarios.run(name, scenario)
        if scenarios.run("a cluster of 1 manager and 2 workers is created", self.create_a_cluster):
            for name, scenario in [
                ("another project does not see it", self.another_tenant),
                ("its template cannot be deleted", self.a_template_in_use),
            ]:
                scenarios.run(name, scenario)
            if scenarios.run("cluster config: docker --tlsverify node ls, all Ready", self.config):
                for name, scenario in [
                    ("without a certificate there is no entry", self.no_certificate_no_entry),
                    ("a service runs on each node", self.a_service_on_each_node),
                    ("ca show, ca sign", self.ca_show_and_sign),
                    ("ca rotate: new certificates work, tasks stay", self.ca_rotate),
                    ("resize to 3 workers", lambda: self.resize(3)),
                    ("resize to 1 worker", lambda: self.resize(1)),
                    ("update node_count to 2 by JSON Patch", self.update),
                ]:
                    scenarios.run(name, scenario)
            scenarios.run("wrong changes are refused", self.wrong_changes)
        scenarios.run("delete leaves nothing", self.delete)
        scenarios.run("delete while creating leaves nothing", self.delete_while_creating)
        scenarios.run("the template goes when its clusters are gone", self.template_of_the_past)
        scenarios.run("the server stops on SIGTERM", self.server_stops)


if __name__ == "__main__":
    sys.exit(run_scenarios(lambda scenarios, server: Client(server).run_all(scenarios)))
