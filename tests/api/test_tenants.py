"""What tenants see of each other, and what they may do on the host. Each test
reproduces a defect that an earlier release had, or checks a promise of the operator
guide."""

import os
import subprocess

import pytest
from callers import DOMAIN, SETTINGS, Callers
from environment import Server, wait_for

IDENTITY = "/identity/v3"
MAGNUM = "/container-infra/v1"


@pytest.fixture
def servers():
    """Starts servers with other settings; closes them afterwards."""
    started = []

    def start(settings=SETTINGS, flags=("--demo-project",)):
        server = Server(settings=settings)
        server.before = {}
        server.flags = list(flags)
        started.append(server)
        server.start()
        return server
    yield start
    for server in started:
        server.close()


def template(callers, token, **more):
    body = {"name": callers.name("template"), "coe": "swarm", "image_id": "swarm", "external_network_id": "public",
            "keypair_id": "default", "flavor_id": "m1.tiny", "master_flavor_id": "m1.tiny", **more}
    return callers.made(f"{MAGNUM}/clustertemplates", body, "uuid", token=token)


def test_every_cluster_shows_its_isolation(callers):
    cluster = callers.cluster()
    got = callers.ask("GET", f"{MAGNUM}/clusters/{cluster}", token=callers.tokens["member"])
    assert got.body["isolation"] == "user-namespace"
    listed = callers.ask("GET", f"{MAGNUM}/clusters/detail", token=callers.tokens["member"]).body["clusters"]
    assert {c["isolation"] for c in listed} == {"user-namespace"}


def test_a_rule_says_which_projects_get_root_on_the_host(servers, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("{}\n")
    callers = Callers(servers(f'policy_file = "{policy}"\n{SETTINGS}'))
    member = callers.tokens["member"]
    level = {"labels": {"isolation": "host-root"}}
    body = {"name": "refused", "cluster_template_id": template(callers, member, **level), "node_count": 1}
    got = callers.ask("POST", f"{MAGNUM}/clusters", body, token=member)
    assert got.status == 403 and "host-root" in got.detail, f"{got.status} {got.detail}"
    policy.write_text(f'"cluster:create:host-root": "project_id:{callers.home}"\n')
    wait_for("the new rule", 5, lambda: callers.ask(
        "POST", f"{MAGNUM}/clusters", body, token=member).status == 202)
    shown = callers.ask("GET", f"{MAGNUM}/clusters/refused", token=member).body
    assert shown["isolation"] == "host-root"
    foreign = callers.tokens["foreign"]
    body = {"name": "refused", "cluster_template_id": template(callers, foreign, **level), "node_count": 1}
    assert callers.ask("POST", f"{MAGNUM}/clusters", body, token=foreign).status == 403


def test_the_demo_project_exists_only_on_request(servers):
    with_demo, without = servers(), servers(flags=())
    for server, expected in ((with_demo, True), (without, False)):
        got = server.call("GET", f"{IDENTITY}/projects", cloud="jeroboam")
        assert ("demo" in [p["name"] for p in got.body["projects"]]) is expected


def test_an_administrator_of_a_domain_does_not_see_clusters_of_others(callers):
    cluster = callers.cluster()
    domain = callers.domain()
    name = callers.name("chief")
    callers.grant(f"domains/{domain}", callers.user(name, domain), "admin")
    body = {"auth": {"scope": {"domain": {"id": domain}}, "identity": {"methods": ["password"], "password": {
        "user": {"name": name, "domain": {"id": domain}, "password": f"secret of {name}"}}}}}
    got = callers.server.call("POST", f"{IDENTITY}/auth/tokens", body, cloud=None)
    assert got.status == 201, got.raw[:300]
    token = got.headers["X-Subject-Token"]
    for path in ("/clusters", "/clusters/detail", "/clusters?all_tenants=true"):
        got = callers.ask("GET", MAGNUM + path, token=token)
        assert got.status in (400, 403) or got.body["clusters"] == [], f"{path}: {got.status} {got.raw[:300]}"
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/actions/resize")):
        body = {"node_count": 2} if method == "POST" else None
        got = callers.ask(method, f"{MAGNUM}/clusters/{cluster}{path}", body, token=token)
        assert got.status in (403, 404), f"{method} {path}: {got.status} {got.raw[:300]}"


def test_a_range_of_another_tenant_is_refused_at_once_and_not_described(callers):
    cidr, owner = "192.168.77.0/24", callers.tokens["member"]
    labels = {"fixed_subnet_cidr": cidr}
    body = {"name": callers.name("cluster"), "cluster_template_id": template(callers, owner), "node_count": 1,
            "labels": labels}
    made = callers.made(f"{MAGNUM}/clusters", body, "uuid", token=owner)
    callers.server.until(made, "CREATE_COMPLETE", 60, cloud="jeroboam")
    other = callers.tokens["foreign"]
    own = template(callers, other)
    for wanted in (cidr, "192.168.76.0/22", "192.168.77.128/25"):
        body = {"name": "taker", "cluster_template_id": own, "node_count": 1, "labels": {"fixed_subnet_cidr": wanted}}
        got = callers.ask("POST", f"{MAGNUM}/clusters", body, token=other)
        assert got.status == 400 and "in use" in got.detail, f"{wanted}: {got.status} {got.detail}"
        assert made not in got.detail and (wanted == cidr or cidr not in got.detail)


@pytest.mark.parametrize("cidr", ["10.77.5.0/24", "192.168.0.0/21", "172.16.0.0/16"])
def test_no_project_takes_the_ranges_that_others_need(callers, cidr):
    """The first range is in the pool from which the server allocates; the others are
    larger than a cluster may have."""
    member = callers.tokens["member"]
    body = {"name": "taker", "cluster_template_id": template(callers, member), "node_count": 1,
            "labels": {"fixed_subnet_cidr": cidr}}
    got = callers.ask("POST", f"{MAGNUM}/clusters", body, token=member)
    assert got.status == 400 and "fixed_subnet_cidr" in got.detail, f"{got.status} {got.detail}"


def test_a_range_is_taken_as_soon_as_a_cluster_is_accepted(callers):
    member = callers.tokens["member"]
    of = template(callers, member)
    body = {"cluster_template_id": of, "node_count": 1, "labels": {"fixed_subnet_cidr": "192.168.90.0/24"}}
    seen = [callers.ask("POST", f"{MAGNUM}/clusters", {**body, "name": f"n{n}"}, token=member).status
            for n in range(2)]
    assert seen == [202, 400]


def test_a_network_without_a_subnet_and_a_range_without_effect_are_refused(callers):
    member = callers.tokens["member"]
    body = {"name": "refused", "cluster_template_id": template(callers, member), "node_count": 1,
            "fixed_network": "public"}
    got = callers.ask("POST", f"{MAGNUM}/clusters", body, token=member)
    assert got.status == 400 and "no subnet" in got.detail, f"{got.status} {got.detail}"


def test_no_caller_learns_which_objects_of_other_domains_exist(callers):
    domain, name = callers.domain(), callers.name("chief")
    callers.grant(f"domains/{domain}", callers.user(name, domain), "manager")
    body = {"auth": {"scope": {"domain": {"id": domain}}, "identity": {"methods": ["password"], "password": {
        "user": {"name": name, "domain": {"id": domain}, "password": f"secret of {name}"}}}}}
    manager = callers.server.call("POST", f"{IDENTITY}/auth/tokens", body, cloud=None).headers["X-Subject-Token"]
    user, project, role = callers.users["reader"], callers.home, callers.roles["member"]
    for token in (manager, callers.tokens["member"], callers.tokens["reader"]):
        for path in ("users/{}", "users/{}/projects", "projects/{}", "projects/{}/users/" + user + "/roles/" + role,
                     "projects/" + project + "/users/{}/roles/" + role):
            methods = ("PUT", "DELETE", "GET") if "roles" in path else ("GET",) if path.endswith("s") else (
                "GET", "DELETE")
            for method in methods:
                known = project if path.startswith("projects/{}") else user
                seen = [callers.ask(method, f"{IDENTITY}/{path.format(id)}", token=token)
                        for id in (known, "0" * 32)]
                if token != manager and method == "GET" and seen[0].status == 200:
                    # Users see themselves and their projects.
                    continue
                texts = [got.raw.decode().replace(known, "ID").replace("0" * 32, "ID") for got in seen]
                assert seen[0].status in (403, 404) and texts[0] == texts[1], f"{method} {path}: {texts}"


@pytest.mark.parametrize("method,path,body", [
    ("POST", f"{IDENTITY}/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {
        "user": {"name": 5, "domain": DOMAIN, "password": "hunter2"}}}}}),
    ("POST", f"{IDENTITY}/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": "hunter2"}}}),
    ("POST", f"{IDENTITY}/auth/tokens", {"auth": {"identity": {"methods": ["application_credential"],
                                                              "application_credential": {"secret": ["hunter2"]}}}}),
    ("POST", f"{IDENTITY}/users", {"user": {"name": "a", "password": ["hunter2"]}}),
    ("POST", f"{IDENTITY}/users", {"user": {"name": "a", "password": {"x": "hunter2"}}}),
    ("POST", f"{MAGNUM}/certificates", {"cluster_uuid": "a", "csr": "-----BEGIN PRIVATE KEY-----\nhunter2\n"}),
])
def test_secrets_are_not_repeated_in_errors(callers, method, path, body):
    got = callers.ask(method, path, body)
    assert 400 <= got.status < 500 and b"hunter2" not in got.raw, f"{got.status} {got.raw[:300]}"
    assert "hunter2" not in callers.server.log(50)


def test_a_client_certificate_lives_as_long_as_its_caller_says(callers, tmp_path):
    cluster = callers.cluster()
    key, csr = tmp_path / "key.pem", tmp_path / "csr.pem"
    subprocess.run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", csr,
                    "-subj", "/CN=someone"], check=True, capture_output=True)
    body = {"cluster_uuid": cluster, "csr": csr.read_text(), "expiration_seconds": 600}
    got = callers.ask("POST", f"{MAGNUM}/certificates", body, token=callers.tokens["member"])
    assert got.status == 201, f"{got.status} {got.raw[:300]}"

    def ends_within(pem, seconds):
        return subprocess.run(["openssl", "x509", "-noout", "-checkend", str(seconds)], input=pem, text=True,
                              capture_output=True).returncode != 0
    assert ends_within(got.body["pem"], 601) and not ends_within(got.body["pem"], 500)
    del body["expiration_seconds"]
    got = callers.ask("POST", f"{MAGNUM}/certificates", body, token=callers.tokens["member"])
    assert ends_within(got.body["pem"], 6 * 365 * 86_400), "it ends some day"
    body["expiration_seconds"] = 10**9
    assert callers.ask("POST", f"{MAGNUM}/certificates", body, token=callers.tokens["member"]).status == 400


def test_the_database_is_named_by_a_file_or_a_variable(servers, tmp_path):
    url = f"sqlite:{tmp_path}/named.db"
    os.chmod(tmp_path, 0o700)
    named = tmp_path / "url"
    named.write_text(url + "\n")
    named.chmod(0o600)
    servers(flags=("--database-file", str(named))).stop()
    assert (tmp_path / "named.db").exists()
    os.environ["JEROBOAM_DATABASE"] = f"sqlite:{tmp_path}/variable.db"
    try:
        servers().stop()
    finally:
        del os.environ["JEROBOAM_DATABASE"]
    assert (tmp_path / "variable.db").exists()
