"""Promises of the API. Each test reproduces a defect that an earlier release had."""

import json
import os
import socket
import stat

import pytest
from callers import DOMAIN, SETTINGS, Callers
from environment import Server, expect

IDENTITY = "/identity/v3"
MAGNUM = "/container-infra/v1"


def validate(callers, subject, caller, method="GET", query=""):
    return callers.server.call(method, f"{IDENTITY}/auth/tokens{query}", cloud=None, headers={
        "X-Auth-Token": caller, "X-Subject-Token": subject})


def by_token(callers, token, scope):
    body = {"auth": {"scope": scope, "identity": {"methods": ["token"], "token": {"id": token}}}}
    return callers.server.call("POST", f"{IDENTITY}/auth/tokens", body, cloud=None)


def login(callers, name, scope=None):
    auth = {"identity": {"methods": ["password"], "password": {"user": {
        "name": name, "domain": DOMAIN, "password": f"secret of {name}"}}}}
    if scope:
        auth["scope"] = scope
    return callers.server.call("POST", f"{IDENTITY}/auth/tokens", {"auth": auth}, cloud=None)


# Tokens.

def test_a_system_reader_validates_tokens_and_a_service_revokes_none(callers):
    user = callers.user("robot")
    callers.grant(f"projects/{callers.home}", user, "service")
    robot = callers.login("robot", {"project": {"id": callers.home}})
    subject = callers.fresh_token()
    assert validate(callers, subject, callers.tokens["system_reader"]).status == 200
    assert validate(callers, subject, robot).status == 200
    assert validate(callers, subject, robot, "DELETE").status == 403
    assert validate(callers, subject, callers.tokens["reader"]).status == 403


def test_padding_does_not_make_another_token(callers):
    subject = callers.fresh_token()
    admin = callers.tokens["admin"]
    assert validate(callers, subject + "==", admin).status == 200
    assert validate(callers, subject, admin, "DELETE").status == 204
    assert validate(callers, subject + "=", admin).status == 404
    assert validate(callers, subject, admin).status == 404


def test_tokens_issued_from_a_token_are_revoked_with_it(callers):
    scope = {"project": {"id": callers.home}}
    first = login(callers, "member", "unscoped").headers["X-Subject-Token"]
    second = by_token(callers, first, scope).headers["X-Subject-Token"]
    third = by_token(callers, second, scope).headers["X-Subject-Token"]
    admin = callers.tokens["admin"]
    assert validate(callers, second, admin, "DELETE").status == 204
    assert validate(callers, third, admin).status == 404
    assert validate(callers, first, admin).status == 200
    again = by_token(callers, first, scope).headers["X-Subject-Token"]
    assert validate(callers, again, admin).status == 200
    assert validate(callers, first, admin, "DELETE").status == 204
    assert validate(callers, again, admin).status == 404


def test_a_single_token_of_a_chain_can_be_revoked(callers):
    first = login(callers, "member", "unscoped").headers["X-Subject-Token"]
    second = by_token(callers, first, {"project": {"id": callers.home}}).headers["X-Subject-Token"]
    admin = callers.tokens["admin"]
    assert validate(callers, first, admin, "DELETE", "?cascade=false").status == 204
    assert validate(callers, first, admin).status == 404
    assert validate(callers, second, admin).status == 200


def test_a_disabled_default_project_gives_an_unscoped_token(callers):
    project = callers.project()
    name = callers.name("user")
    body = {"user": {"name": name, "password": f"secret of {name}", "default_project_id": project}}
    user = callers.made(f"{IDENTITY}/users", body, "user")["id"]
    callers.grant(f"projects/{project}", user, "member")
    assert login(callers, name).body["token"]["project"]["id"] == project
    callers.ask("PATCH", f"{IDENTITY}/projects/{project}", {"project": {"enabled": False}})
    got = login(callers, name)
    assert got.status == 201 and "project" not in got.body["token"]


def test_application_credentials_are_named_in_their_tokens(callers):
    token = callers.tokens["app_credential"]
    got = validate(callers, token, callers.tokens["admin"])
    assert got.body["token"]["application_credential"]["restricted"] is True


def test_access_rules_limit_what_a_credential_does_in_every_service(callers):
    rules = [{"service": "container-infra", "path": "/v1/clusters", "method": "GET"},
             {"service": "identity", "path": "/v3/regions", "method": "GET"}]
    token = callers.credential_token(access_rules=rules)
    for method, path, want in (
            ("GET", f"{MAGNUM}/clusters", 200), ("GET", f"{MAGNUM}/clusters/", 200),
            ("GET", f"{MAGNUM}/clusters/detail", 401), ("POST", f"{MAGNUM}/clusters", 401),
            ("GET", f"{MAGNUM}/clustertemplates", 401), ("GET", f"{IDENTITY}/regions", 200),
            ("GET", f"{IDENTITY}/auth/projects", 401), ("GET", "/jeroboam/v1/stats", 401)):
        got = callers.server.call(method, path, {}, cloud=None, headers={"X-Auth-Token": token})
        assert got.status == want, f"{method} {path}: {got.status} {got.raw[:300]}"


def test_a_trust_lets_another_user_create_clusters(callers):
    trustee = callers.user("trustee")
    body = {"trust": {"trustor_user_id": callers.users["member"], "trustee_user_id": trustee,
                      "project_id": callers.home, "impersonation": True, "roles": [{"name": "member"}]}}
    path = f"{IDENTITY}/OS-TRUST/trusts"
    trust = callers.made(path, body, "trust", token=callers.tokens["member"])["id"]
    token = callers.login("trustee", {"OS-TRUST:trust": {"id": trust}})
    body = {"name": callers.name("cluster"), "cluster_template_id": callers.template(), "node_count": 1}
    made = callers.made(f"{MAGNUM}/clusters", body, "uuid", token=token)
    shown = callers.ask("GET", f"{MAGNUM}/clusters/{made}", token=callers.tokens["member"]).body
    assert shown["user_id"] == callers.users["member"] and shown["project_id"] == callers.home
    assert callers.ask("DELETE", f"{path}/{trust}", token=callers.tokens["member"]).status == 204
    assert callers.ask("GET", f"{MAGNUM}/clusters", token=token).status == 401


def test_the_catalogue_needs_a_scope(callers):
    token = login(callers, "member", "unscoped").headers["X-Subject-Token"]
    got = callers.server.call("GET", f"{IDENTITY}/auth/catalog", cloud=None, headers={"X-Auth-Token": token})
    assert got.status == 403


# Options with a security meaning: each is enforced or refused.

@pytest.mark.parametrize("options", [
    {"multi_factor_auth_enabled": True}, {"multi_factor_auth_rules": [["totp"]]},
    {"lock_password": 1}, {"no_such_option": True}])
def test_options_without_effect_are_refused(callers, options):
    body = {"user": {"name": callers.name("user"), "options": options}}
    assert callers.ask("POST", f"{IDENTITY}/users", body).status == 400


def test_a_locked_password_is_not_changed_by_its_user(callers):
    name = callers.name("user")
    body = {"user": {"name": name, "password": "old", "options": {"lock_password": True}}}
    user = callers.made(f"{IDENTITY}/users", body, "user")["id"]
    change = {"user": {"original_password": "old", "password": "new"}}
    got = callers.server.call("POST", f"{IDENTITY}/users/{user}/password", change, cloud=None)
    assert got.status == 400


def test_immutable_projects_stay(callers):
    body = {"project": {"name": callers.name("project"), "options": {"immutable": True}}}
    project = callers.made(f"{IDENTITY}/projects", body, "project")["id"]
    assert callers.ask("DELETE", f"{IDENTITY}/projects/{project}").status == 403


@pytest.mark.parametrize("label,value", [
    ("kube_allow_priv", "false"), ("master_lb_allowed_cidrs", "10.0.0.0/8"),
    ("keystone_auth_enabled", "false"), ("selinux_mode", "disabled")])
def test_labels_that_would_protect_but_do_not_are_refused(callers, label, value):
    body = {"name": callers.name("template"), "coe": "kubernetes", "image_id": "kubernetes",
            "external_network_id": "public", "keypair_id": "default", "labels": {label: value}}
    got = callers.ask("POST", f"{MAGNUM}/clustertemplates", body, token=callers.tokens["member"])
    # The simulated engine has no Kubernetes image, but labels are checked before images.
    assert got.status == 400 and label in got.detail, f"{got.status} {got.detail}"


# Ranges that tenants choose.

@pytest.mark.parametrize("cidr", [
    "8.8.8.0/24", "127.0.0.0/8", "169.254.169.0/24", "172.16.0.0/12", "0.0.0.0/8", "224.0.0.0/4",
    "10.0.0.0/30", "::/0", "not a range"])
def test_ranges_of_the_host_and_of_others_are_refused(callers, cidr):
    body = {"name": callers.name("template"), "coe": "swarm", "image_id": "swarm",
            "external_network_id": "public", "keypair_id": "default", "flavor_id": "m1.tiny",
            "labels": {"fixed_subnet_cidr": cidr}}
    template = callers.ask("POST", f"{MAGNUM}/clustertemplates", body, token=callers.tokens["member"])
    if template.status == 201:
        body = {"name": callers.name("cluster"), "cluster_template_id": template.body["uuid"]}
        got = callers.ask("POST", f"{MAGNUM}/clusters", body, token=callers.tokens["member"])
        assert got.status == 400, f"{got.status} {got.raw[:300]}"
    else:
        assert template.status == 400


# Input.

def test_bodies_of_identity_are_bounded(callers):
    raw = b'{"auth": "' + b"x" * 114_688 + b'"}'
    got = callers.server.call("POST", f"{IDENTITY}/auth/tokens", cloud=None, raw=raw)
    assert got.status == 413 and got.body["error"]["code"] == 413


def test_labels_are_bounded(callers):
    for labels in ({f"l{i}": "x" for i in range(300)}, {"l": "x" * 20_000}):
        body = {"name": callers.name("template"), "coe": "swarm", "image_id": "swarm",
                "external_network_id": "public", "labels": labels}
        got = callers.ask("POST", f"{MAGNUM}/clustertemplates", body, token=callers.tokens["member"])
        assert got.status == 400 and len(got.raw) < 10_000


@pytest.mark.parametrize("path", [f"{IDENTITY}/users/%00", f"{IDENTITY}/users?name=%0a", f"{IDENTITY}/users/%ff",
                                  f"{MAGNUM}/clusters/%00", f"{MAGNUM}/clusters/%ff"])
def test_control_characters_and_broken_text_are_400_in_the_format_of_the_service(callers, path):
    got = callers.ask("GET", path)
    assert got.status == 400, f"{got.status} {got.raw[:200]}"
    assert "errors" in got.body if path.startswith(MAGNUM) else got.body["error"]["code"] == 400


@pytest.mark.parametrize("path,method,status", [
    (f"{IDENTITY}/nowhere", "GET", 404), (f"{IDENTITY}/users", "PUT", 405),
    (f"{MAGNUM}/nowhere", "GET", 404), (f"{MAGNUM}/clusters", "PUT", 405)])
def test_unknown_paths_and_methods_have_the_body_of_the_service(callers, path, method, status):
    got = callers.ask(method, path)
    assert got.status == status
    assert "errors" in got.body if path.startswith(MAGNUM) else got.body["error"]["code"] == status
    assert status == 404 or got.headers["Allow"]


@pytest.mark.parametrize("path", [f"{IDENTITY}/users?nmae=x", f"{IDENTITY}/projects?color=x",
                                  f"{IDENTITY}/users?name__like=x", f"{MAGNUM}/clusters?color=x"])
def test_unknown_filters_are_refused(callers, path):
    assert callers.ask("GET", path).status == 400


@pytest.mark.parametrize("noun", ["user", "project", "role", "domain"])
def test_names_that_differ_in_case_only_are_duplicates(callers, noun):
    name = callers.name("Some")
    assert callers.ask("POST", f"{IDENTITY}/{noun}s", {noun: {"name": name}}).status == 201
    assert callers.ask("POST", f"{IDENTITY}/{noun}s", {noun: {"name": name.upper()}}).status == 409


def test_unknown_attributes_of_users_are_kept(callers):
    body = {"user": {"name": callers.name("user"), "phone": "123"}}
    user = callers.made(f"{IDENTITY}/users", body, "user")
    assert callers.ask("GET", f"{IDENTITY}/users/{user['id']}").body["user"]["phone"] == "123"


def test_a_domain_manager_does_not_change_an_administrator(callers):
    boss, root = callers.user("boss"), callers.user("root")
    callers.grant("domains/default", boss, "manager")
    callers.grant("system", root, "admin")
    token = callers.login("boss", {"domain": DOMAIN})
    body = {"user": {"password": "stolen"}}
    assert callers.ask("PATCH", f"{IDENTITY}/users/{root}", body, token=token).status == 403
    assert callers.ask("DELETE", f"{IDENTITY}/users/{root}", token=token).status == 403


# Addresses and files.

def raw_request(server, text):
    host, port = server.address.split("//")[1].rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(text.encode())
        return connection.recv(65_536).decode(errors="replace")


@pytest.mark.parametrize("host", ["a/b", "a b", "a\"b", "<script>", "a:b:c", "a@b", "x:99999"])
def test_a_malformed_host_is_refused(callers, host):
    got = raw_request(callers.server, f"GET /identity HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert got.startswith("HTTP/1.1 400"), got[:300]


def texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_the_public_endpoint_is_in_every_link():
    public = "https://clusters.example.org"
    server = Server(settings=f'public_endpoint = "{public}"\n{SETTINGS}')
    try:
        server.start()
        here = server.address.rstrip("/").split("//")[1]
        callers = Callers(server)
        callers.cluster()
        token = callers.tokens["member"]
        for path in ("/identity", IDENTITY, f"{IDENTITY}/auth/catalog", f"{IDENTITY}/auth/projects",
                     "/container-infra", MAGNUM, f"{MAGNUM}/clusters?limit=1", f"{MAGNUM}/clusters/detail",
                     f"{MAGNUM}/clustertemplates?limit=1"):
            got = callers.server.call("GET", path, cloud=None, headers={"X-Auth-Token": token})
            links = [text for text in texts(got.body) if text.startswith("http")]
            ours = [link for link in links if "openstack.org" not in link]
            assert ours and all(link.startswith(public) for link in ours), f"{path}: {ours}"
            assert here not in json.dumps(got.body) and here not in str(got.headers)
        for path in (f"{IDENTITY}/users", f"{MAGNUM}/clusters"):
            got = callers.server.call("GET", path, cloud=None)
            assert got.status == 401 and f'uri="{public}/identity/v3"' in got.headers["WWW-Authenticate"]
        body = {"name": callers.name("template"), "coe": "swarm", "image_id": "swarm",
                "external_network_id": "public", "keypair_id": "default", "flavor_id": "m1.tiny"}
        got = callers.ask("POST", f"{MAGNUM}/clustertemplates", body, token=token)
        assert got.headers["Location"].startswith(public)
    finally:
        server.close()


def test_others_cannot_read_what_the_server_writes(callers):
    for name in os.listdir(callers.server.state):
        path = os.path.join(callers.server.state, name)
        if name in ("home", "server.log", "server.out", "test.toml"):
            continue
        mode = stat.S_IMODE(os.stat(path).st_mode)
        assert mode & 0o077 == 0, f"{name}: {mode:o}"


def test_a_key_that_others_can_read_is_refused():
    server = Server(settings=SETTINGS)
    try:
        server.start()
        server.stop()
        key = os.path.join(server.state, "keys", "fernet", "0")
        # A directory above the key that others cannot enter would protect it as well.
        folders = [server.state, os.path.join(server.state, "keys"), os.path.dirname(key)]
        for path, mode in [*((folder, 0o755) for folder in folders), (key, 0o644)]:
            os.chmod(path, mode)
        with pytest.raises(Exception, match="others can read"):
            server.start()
        for path, mode in [*((folder, 0o700) for folder in folders), (key, 0o600)]:
            os.chmod(path, mode)
        server.start()
    finally:
        server.close()


def test_the_policy_file_takes_effect_without_a_restart(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("# nothing yet\n")
    server = Server(settings=f'policy_file = "{policy}"\n{SETTINGS}')
    try:
        server.start()
        callers = Callers(server)

        def listed():
            return callers.ask("GET", f"{IDENTITY}/users", token=callers.tokens["member"]).status
        assert listed() == 403
        policy.write_text('"identity:list_users": "role:member"\n')
        from environment import wait_for
        wait_for("the new rule", 5, lambda: listed() == 200)
        policy.write_text('"identity:list_users": "role:member and"\n')
        wait_for("the log", 5, lambda: "the current rules stay in effect" in server.log(50))
        expect(listed() == 200, "a file with an error changes nothing")
        policy.write_text("")
        wait_for("the default", 5, lambda: listed() == 403)
        got = server.cli("policy", "check", str(policy))
        assert got.code == 0, got.text
        policy.write_text('"identity:no_such_rule": "@"\n')
        server.cli("policy", "check", str(policy)).refused("no_such_rule")
    finally:
        server.close()
