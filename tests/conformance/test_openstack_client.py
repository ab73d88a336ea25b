"""The unmodified `openstack` client (python-openstackclient and
python-magnumclient from PyPI) against a private server, on a real Docker
Engine. The expected texts of errors are those of Magnum."""

import os
import re
import socket

import kube
import pytest
from environment import VENV, Docker, expect, run, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
TEMPLATE = ("coe", "cluster", "template")
BASE = ("--coe", "swarm", "--image", "swarm", "--external-network", "public", "--keypair", "default",
        "--flavor", "m1.small", "--master-flavor", "m1.small")


class Client:
    def __init__(self, server):
        self.s = server
        self.dir = server.directory("certificates")
        self.docker = None

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

    def nothing_left(self):
        left = self.s.left()
        expect(not left, f"left behind: {left}")
        expect(self.s.leaks() == [], f"leaks: {self.s.leaks()}")


@pytest.fixture(scope="module")
def client(server):
    return Client(server)


def test_both_clouds_log_in(client):
    """Both clouds of clouds.yaml."""
    for cloud in ("jeroboam", "jeroboam-demo"):
        token = client.s.openstack("token", "issue", "-f", "json", cloud=cloud).json()
        expect(token["id"] and token["project_id"], f"token issue: {token}")


def test_wrong_password_is_refused(client):
    env = dict(client.s.env, OS_CLOUD="jeroboam-demo")
    run([f"{VENV}/bin/openstack", "--os-password", "wrong", "token", "issue"], env=env).refused("401")


def test_catalogue_names_the_services(client):
    names = {row["Type"] for row in client.s.openstack("catalog", "list", "-f", "json", cloud="jeroboam").json()}
    expect({"identity", "container-infra"} <= names, f"catalogue has {names}")


def test_project_and_user_are_created_and_used(client):
    admin = {"cloud": "jeroboam"}
    client.s.openstack("project", "create", "harbour", "-f", "json", **admin).ok()
    client.s.openstack("user", "create", "--project", "harbour", "--password", "s3cret-pilot", "pilot", **admin).ok()
    client.s.openstack("role", "add", "--project", "harbour", "--user", "pilot", "member", **admin).ok()
    rows = client.s.openstack("role", "assignment", "list", "--user", "pilot", "--names", "-f", "json", **admin).json()
    expect(any(r["Role"] == "member" for r in rows), f"assignments: {rows}")
    # The new user logs in and sees the new project.
    path = os.path.join(client.s.state, "clouds.yaml")
    with open(path) as f:
        base = f.read()
    auth = re.search(r"auth_url: (\S+)", base).group(1)
    entry = (f"  pilot:\n    auth:\n      auth_url: {auth}\n      username: pilot\n      password: s3cret-pilot\n"
             "      project_name: harbour\n      user_domain_name: Default\n      project_domain_name: Default\n"
             "    region_name: RegionOne\n    identity_api_version: 3\n")
    with open(path, "w") as f:
        f.write(base + entry)
    client.s.openstack("token", "issue", cloud="pilot").ok()
    client.s.openstack("project", "create", "harbour", **admin).refused("409")
    client.s.openstack("user", "create", "other", cloud="pilot").refused("403")


def test_template_is_created_shown_and_listed(client):
    client.s.openstack(*TEMPLATE, "create", "t1", *BASE, "--labels", "a=1,b=two").ok()
    shown = client.s.openstack(*TEMPLATE, "show", "t1", "-f", "json").json()
    expect(shown["coe"] == "swarm" and shown["image_id"] == "swarm", f"shown: {shown}")
    expect(shown["labels"] == {"a": "1", "b": "two"}, f"labels: {shown['labels']}")
    expect(shown["server_type"] == "vm" and shown["cluster_distro"], f"shown: {shown}")
    rows = client.s.openstack(*TEMPLATE, "list", "-f", "json").json()
    expect([r["name"] for r in rows] == ["t1"], f"list: {rows}")


def test_template_is_updated(client):
    client.s.openstack(*TEMPLATE, "create", "t2", *BASE).ok()
    client.s.openstack(*TEMPLATE, "update", "t2", "--name", "t2b", "--tag", "blue").ok()
    shown = client.s.openstack(*TEMPLATE, "show", "t2b", "-f", "json").json()
    expect(shown["tags"] == "blue", f"tags: {shown['tags']}")
    got = client.s.magnum("PATCH", "/clustertemplates/t2b",
                          [{"op": "replace", "path": "/labels/x", "value": "y"}])
    expect(got.status == 400 and "Couldn't apply patch" in got.detail, f"replace what is not: {got.status} {got.detail}")
    got = client.s.magnum("PATCH", "/clustertemplates/t2b", [{"op": "add", "path": "/labels/x", "value": "y"}])
    expect(got.status == 200 and got.body["labels"]["x"] == "y", f"add a label: {got.status} {got.detail}")


def test_template_is_deleted(client):
    client.s.openstack(*TEMPLATE, "delete", "t2b").ok()
    client.s.openstack(*TEMPLATE, "show", "t2b").refused("ClusterTemplate t2b could not be found", "404")


def test_invalid_templates_are_refused(client):
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
        client.s.openstack(*create, *args).refused(text, "400")
    client.s.openstack(*create, *BASE, "--public").refused("403")
    rows = client.s.openstack(*TEMPLATE, "list", "-f", "json").json()
    expect(all(r["name"] != "bad" for r in rows), "a refused template is listed")


def test_invalid_bodies_are_refused(client, report):
    post = lambda body, **more: client.s.magnum("POST", "/clusters", body, **more)  # noqa: E731
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
    listed = client.s.magnum("GET", "/clusters").body["clusters"]
    if listed:
        wrong.append(f"a refused cluster is listed: {[c['name'] for c in listed]}")
    expect(not wrong, "\n".join(wrong))
    report(f"{len(cases)} bodies")


def test_invalid_versions_are_refused(client):
    header = lambda v: {"OpenStack-API-Version": v}  # noqa: E731
    got = client.s.magnum("GET", "/clusters", headers=header("container-infra 9.9"))
    expect(got.status == 406, f"9.9: {got.status} {got.raw[:200]}")
    got = client.s.magnum("GET", "/clusters", headers=header("container-infra one"))
    expect(got.status in (400, 406), f"one: {got.status} {got.raw[:200]}")
    got = client.s.magnum("GET", "/clusters", headers=header(None))
    expect(got.status == 200 and got.headers["OpenStack-API-Version"].endswith("1.1"),
           f"no version: {got.status} {got.headers['OpenStack-API-Version']}")
    expect(got.headers["x-openstack-request-id"].startswith("req-"), "no request id")


def test_requests_without_a_token_are_refused(client):
    for token in (None, "gAAAAA-not-a-token"):
        got = client.s.magnum("GET", "/clusters", cloud=None, headers={"X-Auth-Token": token})
        expect(got.status == 401 and got.body["error"]["code"] == 401, f"{token}: {got.status} {got.raw[:200]}")


def test_invalid_paging_is_refused(client):
    cases = [("limit=0", "Limit must be positive"), ("sort_key=zzz", "zzz"), ("sort_dir=up", "Invalid sort direction"),
             ("marker=zz", ""), ("foo=1", "Unknown argument")]
    for query, text in cases:
        got = client.s.magnum("GET", f"/clusters?{query}")
        expect(got.status == 400 and text in got.detail, f"{query}: {got.status} {got.detail}")


def test_cluster_of_1_manager_and_2_workers_is_created(client):
    client.s.openstack("coe", "cluster", "create", "c1", "--cluster-template", "t1", "--node-count", "2").ok()
    status, _ = client.s.status("c1")
    expect(status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"), f"just created, it is {status}")
    client.s.until("c1", "CREATE_COMPLETE", 120)
    shown = client.s.openstack("coe", "cluster", "show", "c1", "-f", "json").json()
    expect(shown["node_count"] == 2 and len(shown["node_addresses"]) == 2, f"shown: {shown}")
    expect(len(shown["master_addresses"]) == 1, f"masters: {shown['master_addresses']}")
    expect(shown["api_address"].startswith("tcp://") and shown["api_address"].endswith(":2376"), shown["api_address"])
    rows = client.s.openstack("coe", "cluster", "list", "-f", "json").json()
    expect([(r["name"], r["status"]) for r in rows] == [("c1", "CREATE_COMPLETE")], f"list: {rows}")


def test_another_project_does_not_see_it(client):
    uuid = client.s.magnum("GET", "/clusters/c1").body["uuid"]
    for key in ("c1", uuid):
        client.s.openstack("coe", "cluster", "show", key, cloud="pilot").refused(f"Cluster {key} could not be found", "404")
    got = client.s.magnum("DELETE", f"/clusters/{uuid}", cloud="pilot")
    expect(got.status == 404, f"delete from another project: {got.status}")
    got = client.s.magnum("GET", f"/certificates/{uuid}", cloud="pilot")
    expect(got.status in (403, 404), f"certificate of another project: {got.status}")
    expect(client.s.status("c1")[0] == "CREATE_COMPLETE", "another project touched the cluster")
    expect(client.s.magnum("GET", "/clusters", cloud="pilot").body["clusters"] == [], "another project lists it")


def test_its_template_cannot_be_deleted(client):
    # The client prints the refusal, but its exit status is 0.
    output = client.s.openstack(*TEMPLATE, "delete", "t1").text
    expect("is referenced by one or multiple clusters" in output and "400" in output, output)
    client.s.openstack(*TEMPLATE, "show", "t1").ok()


def test_config_opens_the_cluster(client):
    out = client.s.openstack("coe", "cluster", "config", "c1", "--dir", client.dir, "--output-certs").ok().out
    printed = dict(re.findall(r"export (\w+)=(\S+)", out))
    expect(printed.get("DOCKER_TLS_VERIFY") == "True" and printed.get("DOCKER_CERT_PATH") == client.dir, out)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        expect(os.path.getsize(os.path.join(client.dir, name)) > 100, f"{name} is empty")
    client.docker = Docker(printed["DOCKER_HOST"], client.dir)
    nodes = client.docker.ready(3)
    expect(sum(1 for n in nodes if n["ManagerStatus"]) == 1, f"managers: {nodes}")


def test_no_access_without_a_certificate(client):
    # Without DOCKER_CERT_PATH the client has no certificate to offer.
    env = {k: v for k, v in client.docker.env.items() if k not in ("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")}
    env["DOCKER_CONFIG"] = os.path.join(client.dir, "no-certificates")
    bare = run(["docker", "--tls", "node", "ls"], env=env)
    expect(bare.code != 0, f"without a certificate: {bare.text}")


def test_service_runs_on_each_node(client, report):
    client.service("hello", 8081, 3)
    addresses = client.addresses()
    for address in addresses:
        page = wait_for(f"http://{address}:8081", 30, lambda a=address: run(["curl", "-sS", "-m", "3", f"http://{a}:8081/"]).ok().out, 0.2)
        expect(page.strip(), "an empty page")
    report(f"{len(addresses)} nodes answer")


def test_containers_do_not_reach_the_server(client):
    """Only the agents of nodes connect to the bootstrap listener; containers reach what is
    beside it in the network of the nodes."""
    gateway, node = kube.gateway(client.s), next(iter(kube.containers(client.s).values()))
    socket.create_connection((gateway, 9512), 5).close()
    peer = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {client.addresses()[-1]} 8081 || exit 7"
    for network in ("bridge", "host"):
        call = run(["docker", "exec", node, "docker", "run", "--rm", "--network", network, "--entrypoint", "sh", "jeroboam/echo:1",
                    "-c", f"{peer}; nc -w 2 {gateway} 9512 </dev/null"])
        expect(call.code not in (0, 7), f"{network}: {call.code} {call.text}")


def test_ca_show_and_sign(client):
    ca = client.s.openstack("coe", "ca", "show", "c1").ok().out
    expect("BEGIN CERTIFICATE" in ca, ca)
    key, csr = os.path.join(client.dir, "k2.pem"), os.path.join(client.dir, "k2.csr")
    run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", csr, "-subj", "/CN=pilot"]).ok()
    signed = client.s.openstack("coe", "ca", "sign", "c1", csr).ok().out
    cert, ca_file = os.path.join(client.dir, "k2.crt"), os.path.join(client.dir, "ca-shown.pem")
    for path, text in ((cert, signed), (ca_file, ca)):
        with open(path, "w") as f:
            f.write(text)
    output = run(["openssl", "verify", "-CAfile", ca_file, cert]).ok().out
    expect("OK" in output, output)
    with open(csr, "w") as f:
        f.write("no request at all\n")
    client.s.openstack("coe", "ca", "sign", "c1", csr).refused("400")


def test_ca_rotate(client):
    """New certificates work, and tasks are not moved."""
    before = client.running("hello", 3)
    old = client.s.openstack("coe", "ca", "show", "c1").ok().out
    client.s.openstack("coe", "ca", "rotate", "c1").ok()

    def rotated():
        return client.s.magnum("GET", "/certificates/c1").body["pem"].strip() != old.strip()

    wait_for("another CA", 60, rotated, 0.2)
    client.s.until("c1", ("CREATE_COMPLETE", "UPDATE_COMPLETE"), 60)
    client.s.openstack("coe", "cluster", "config", "c1", "--dir", client.dir, "--output-certs", "--force").ok()
    client.docker.ready(3)
    expect(client.running("hello", 3) == before, "tasks moved")


@pytest.mark.parametrize("count", [3, 1])
def test_resize(client, count):
    client.s.openstack("coe", "cluster", "resize", "c1", str(count)).ok()
    client.s.until("c1", "UPDATE_COMPLETE", 120)
    shown = client.s.openstack("coe", "cluster", "show", "c1", "-f", "json").json()
    expect(shown["node_count"] == count and len(shown["node_addresses"]) == count, f"shown: {shown}")
    client.docker.ready(count + 1)
    client.running("hello", count + 1)


def test_node_count_is_updated_by_json_patch(client):
    got = client.s.magnum("PATCH", "/clusters/c1", [{"op": "replace", "path": "/node_count", "value": 2}])
    expect(got.status == 202, f"patch: {got.status} {got.detail}")
    client.s.until("c1", "UPDATE_COMPLETE", 120)
    client.docker.ready(3)


def test_invalid_changes_are_refused(client):
    patch = lambda body, **more: client.s.magnum("PATCH", "/clusters/c1", body, **more)  # noqa: E731
    cases = [
        (patch([{"op": "add", "path": "/labels/x", "value": "y"}]), "cannot change cluster property(ies) labels"),
        (patch([{"op": "move", "path": "/node_count", "value": 1}]), "op"),
        (patch([{"op": "replace", "path": "/uuid", "value": "x"}]), "'/uuid' is an internal attribute"),
        (patch([{"op": "remove", "path": "/cluster_template_id"}]), "is a mandatory attribute"),
        (patch([{"op": "replace", "path": "/node_count"}]), "needs value"),
        (patch([{"op": "replace", "path": "node_count", "value": 1}]), "pattern"),
        (patch({"op": "replace"}), ""),
        (client.s.magnum("POST", "/clusters/c1/actions/resize", {"node_count": -1}), "node_count"),
        (client.s.magnum("POST", "/clusters/c1/actions/resize", {}), "node_count"),
        (client.s.magnum("POST", "/clusters/c1/actions/resize", {"node_count": 1, "nodegroup": "default-master"}), "master"),
    ]
    wrong = [f"wanted 400 '{text}', got {got.status} '{got.detail[:200]}'" for got, text in cases
             if got.status != 400 or text not in got.detail]
    expect(not wrong, "\n".join(wrong))
    expect(client.s.magnum("GET", "/clusters/c1").body["node_count"] == 2, "a refused change was made")


def test_delete_leaves_nothing(client):
    client.s.openstack("coe", "cluster", "delete", "c1").ok()
    client.s.until("c1", "GONE", 90)
    client.s.openstack("coe", "cluster", "show", "c1").refused("Cluster c1 could not be found", "404")
    client.nothing_left()


def test_delete_while_creating_leaves_nothing(client):
    client.s.openstack("coe", "cluster", "create", "c2", "--cluster-template", "t1", "--node-count", "1").ok()
    client.s.openstack("coe", "cluster", "delete", "c2").ok()
    client.s.until("c2", "GONE", 90)
    client.nothing_left()


def test_template_without_clusters_is_deleted(client):
    client.s.openstack(*TEMPLATE, "delete", "t1").ok()


def test_server_stops_on_sigterm(client):
    client.s.stop()
