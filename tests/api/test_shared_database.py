"""Two servers on one PostgreSQL database: a change by one server takes effect on the
other immediately. Values with NUL characters, which PostgreSQL cannot store, are
refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from callers import SETTINGS, Callers
from environment import Server
from postgres import Postgres

IDENTITY = "/identity/v3"


@pytest.fixture(scope="module")
def pair():
    database, started = Postgres(), []
    try:
        url = database.database()
        for _ in range(2):
            keys = started[0].state if started else None
            settings = f'database = "{url}"\n' + (f'key_dir = "{keys}/keys"\n' if keys else "") + SETTINGS
            server = Server(settings=settings)
            server.before = {}
            started.append(server)
            server.start()
        yield Callers(started[0]), started[1]
    finally:
        for server in reversed(started):
            server.close()
        database.close()


def test_a_stolen_token_ends_with_a_password_change_at_another_server(pair):
    callers, other = pair
    name = callers.name("victim")
    user = callers.user(name)
    callers.grant(f"projects/{callers.home}", user, "member")
    stolen = callers.login(name, {"project": {"id": callers.home}})
    body = {"auth": {"scope": {"project": {"id": callers.home}},
                     "identity": {"methods": ["token"], "token": {"id": stolen}}}}

    def renew(server):
        return server.call("POST", f"{IDENTITY}/auth/tokens", body, cloud=None)
    assert renew(callers.server).status == 201, "and now the server has the token in its cache"
    change = {"user": {"original_password": f"secret of {name}", "password": "another secret"}}
    assert other.call("POST", f"{IDENTITY}/users/{user}/password", change, cloud=None).status == 204
    assert renew(callers.server).status == 401
    assert renew(other).status == 401


def test_a_role_that_another_server_revoked_changes_nothing_here(pair):
    callers, other = pair
    name = callers.name("chief")
    user = callers.user(name)
    callers.grant("system", user, "admin")
    token = callers.login(name, {"system": {"all": True}})

    def ask(method, path, body=None):
        return other.call(method, IDENTITY + path, body, cloud=None, headers={"X-Auth-Token": token})
    assert ask("GET", "/users").status == 200, "and now the other server has the token in its cache"
    revoked = f"{IDENTITY}/system/users/{user}/roles/{callers.roles['admin']}"
    assert callers.ask("DELETE", revoked).status == 204
    grant = f"/system/users/{user}/roles/{callers.roles['admin']}"
    victim = {"user": {"password": "stolen"}}
    seen = [ask("PUT", grant).status, ask("POST", "/users", {"user": {"name": callers.name("back-door")}}).status,
            ask("PATCH", f"/users/{callers.users['admin']}", victim).status,
            ask("DELETE", f"/projects/{callers.other}").status]
    assert seen == [401] * 4


def test_requests_at_the_same_time_leave_nothing_without_its_parent(pair):
    callers, other = pair

    def at_other(method, path, body=None):
        return other.call(method, IDENTITY + path, body, cloud=None,
                          headers={"X-Auth-Token": callers.tokens["system_admin"]})
    with ThreadPoolExecutor(6) as pool:
        for _ in range(8):
            domain, user = callers.domain(), callers.user()
            project = callers.project(domain=domain)
            role = callers.roles["member"]
            grant = f"projects/{project}/users/{user}/roles/{role}"
            child = {"project": {"name": callers.name("child"), "domain_id": domain, "parent_id": project}}
            asked = [pool.submit(callers.ask, "DELETE", f"{IDENTITY}/projects/{project}"),
                     pool.submit(at_other, "PUT", f"/{grant}"),
                     pool.submit(at_other, "POST", "/projects", child)]
            answers = [a.result() for a in asked]
            assert {a.status for a in answers} <= {201, 204, 403, 404}, [a.raw[:200] for a in answers]
            gone = callers.ask("GET", f"{IDENTITY}/projects/{project}").status == 404
            children = callers.ask("GET", f"{IDENTITY}/projects?parent_id={project}").body["projects"]
            held = callers.ask("GET", f"{IDENTITY}/role_assignments?user.id={user}").body["role_assignments"]
            assert not (gone and (children or held)), (children, held)

            off = {"domain": {"enabled": False}}
            assert callers.ask("PATCH", f"{IDENTITY}/domains/{domain}", off).status == 200
            made = {"user": {"name": callers.name("late"), "domain_id": domain}}
            asked = [pool.submit(at_other, "POST", "/users", made),
                     pool.submit(callers.ask, "DELETE", f"{IDENTITY}/domains/{domain}"),
                     pool.submit(at_other, "POST", "/users", {"user": {**made["user"], "name": callers.name("late")}})]
            answers = [a.result() for a in asked]
            assert answers[1].status == 204 and {answers[0].status, answers[2].status} <= {201, 404}
            for many in ("users", "projects"):
                left = callers.ask("GET", f"{IDENTITY}/{many}?domain_id={domain}").body[many]
                assert not left, left


@pytest.mark.parametrize("path", [f"{IDENTITY}/users/a%00b", "/container-infra/v1/clusters/%00",
                                  f"{IDENTITY}/users?name=%00"])
def test_nul_in_a_path_is_400_on_postgresql(pair, path):
    callers, _ = pair
    assert callers.ask("GET", path).status == 400


def test_nul_in_a_body_is_400_on_postgresql(pair):
    callers, _ = pair
    login = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "a\u0000b", "domain": {"id": "default"}, "password": "x"}}}}}
    got = callers.server.call("POST", f"{IDENTITY}/auth/tokens", login, cloud=None)
    assert got.status == 400, got.raw[:300]
    got = callers.ask("POST", f"{IDENTITY}/users", {"user": {"name": "a\u0000b", "password": "x"}})
    assert got.status == 400, got.raw[:300]
    template = {"name": "a", "coe": "swarm", "image_id": "swarm", "external_network_id": "public",
                "labels": {"a": "b\u0000"}}
    got = callers.ask("POST", "/container-infra/v1/clustertemplates", template)
    assert got.status == 400, got.raw[:300]


def test_one_of_several_requests_at_the_same_time_gets_a_range(pair):
    callers, other = pair
    of = callers.template()
    wanted = ["192.168.40.0/24", "192.168.40.0/25", "192.168.40.128/25"]

    def take(at):
        server = (callers.server, other)[at % 2]
        body = {"name": f"taker{at}", "cluster_template_id": of, "node_count": 1,
                "labels": {"fixed_subnet_cidr": wanted[at % 3]}}
        return server.call("POST", "/container-infra/v1/clusters", body, cloud=None,
                           headers={"X-Auth-Token": callers.tokens["member"]})
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(take, range(12)))
    accepted = [a for a in answers if a.status == 202]
    refused = [a for a in answers if a.status == 400 and "in use" in a.detail]
    assert len(accepted) + len(refused) == 12, [(a.status, a.raw[:200]) for a in answers]
    # The two halves do not overlap.
    assert 1 <= len(accepted) <= 2
