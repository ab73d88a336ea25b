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
