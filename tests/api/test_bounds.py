"""Limits on the resources that one caller can use, and lists: pages, links, filters."""

import json
import threading
import urllib.parse

import pytest
from callers import DOMAIN

IDENTITY = "/identity/v3"
MAGNUM = "/container-infra/v1"
# Resident memory that 64 concurrent logins may add, KiB.
MAX_ADDED_MEMORY = 200 * 1024
LARGEST_PAGE = 9 * 1024 * 1024


def resident(server, field):
    with open(f"/proc/{server.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(field))


def test_64_logins_of_unknown_users_are_bounded_in_memory(callers):
    seen, headers = [], []

    def attempt(n):
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": f"nobody{n}", "domain": DOMAIN, "password": "wrong"}}}}}
        got = callers.server.call("POST", f"{IDENTITY}/auth/tokens", body, cloud=None)
        seen.append(got.status)
        if got.status == 503:
            headers.append(got.headers["Retry-After"])
    before = resident(callers.server, "VmRSS")
    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 64 and set(seen) <= {401, 503} and all(headers), seen
    assert resident(callers.server, "VmHWM") - before < MAX_ADDED_MEMORY


def test_pages_are_bounded_in_bytes_and_nothing_is_left_out(callers):
    token, names = callers.tokens["foreign"], set()
    labels = {f"l{n}": "x" * 15_000 for n in range(4)}
    for _ in range(160):
        body = {"name": callers.name("large"), "coe": "swarm", "image_id": "swarm", "external_network_id": "public",
                "labels": labels}
        names.add(body["name"])
        callers.made(f"{MAGNUM}/clustertemplates", body, "uuid", token=token)
    path, found, pages = f"{MAGNUM}/clustertemplates/detail?limit=1000&sort_key=name", set(), 0
    while path:
        got = callers.ask("GET", path, token=token)
        assert got.status == 200 and len(got.raw) < LARGEST_PAGE, f"{got.status}, {len(got.raw)} bytes"
        found |= {t["name"] for t in got.body["clustertemplates"]}
        pages += 1
        following = got.body.get("next")
        assert following is None or "sort_key=name" in following
        path = following and following[following.index(MAGNUM):]
    assert names <= found and pages > 1


@pytest.mark.parametrize("noun,query", [("users", "enabled=true"), ("projects", "domain_id=default"),
                                        ("roles", "sort_key=name"), ("users", "name__contains=e")])
def test_links_of_a_page_keep_the_query(callers, noun, query):
    for _ in range(3):
        callers.user(), callers.project()
    path, pages = f"{IDENTITY}/{noun}?limit=1&{query}", 0
    first = callers.ask("GET", path)
    if first.status == 400:
        # Keystone does not have this parameter for this list; it is refused, not ignored.
        assert query.split("=")[0] in first.raw.decode()
        return
    links = first.body["links"]
    assert len(first.body[noun]) == 1 and links["next"], first.raw[:300]
    following = urllib.parse.parse_qs(urllib.parse.urlsplit(links["next"]).query)
    assert following["limit"] == ["1"] and "marker" in following, links
    assert set(query.split("=")[:1]) <= set(following)
    assert query in links["self"]
    seen = {first.body[noun][0]["id"]}
    link = links["next"]
    while link and pages < 5:
        got = callers.ask("GET", link[link.index(IDENTITY):])
        assert got.status == 200 and seen.isdisjoint(x["id"] for x in got.body[noun])
        seen |= {x["id"] for x in got.body[noun]}
        link, pages = got.body["links"]["next"], pages + 1


def test_pages_of_role_assignments_end(callers):
    whole = callers.ask("GET", f"{IDENTITY}/role_assignments").body["role_assignments"]
    found, link, pages = [], f"{IDENTITY}/role_assignments?limit=4", 0
    while link and pages < 100:
        got = callers.ask("GET", link[link.index(IDENTITY):])
        found += got.body["role_assignments"]
        link, pages = got.body["links"]["next"], pages + 1
    key = str
    assert sorted(found, key=key) == sorted(whole, key=key) and pages > 2


def test_filters_that_are_not_built_are_never_ignored(callers):
    for query in ("tags=x", "tags-any=x", "description=x"):
        got = callers.ask("GET", f"{IDENTITY}/projects?{query}")
        assert got.status == 400 or got.body["projects"] == [], f"{query}: {got.status} {got.raw[:300]}"


def test_nothing_of_a_disabled_domain_gives_a_token(callers):
    domain, project = callers.domain(), callers.project()
    name = callers.name("user")
    callers.grant(f"projects/{project}", callers.user(name, domain), "member")
    auth = {"auth": {"scope": {"project": {"id": project}}, "identity": {"methods": ["password"], "password": {
        "user": {"name": name, "domain": {"id": domain}, "password": f"secret of {name}"}}}}}

    def login():
        return callers.server.call("POST", f"{IDENTITY}/auth/tokens", auth, cloud=None)

    token = login().headers["X-Subject-Token"]
    got = callers.ask("PATCH", f"{IDENTITY}/domains/{domain}", {"domain": {"enabled": False}})
    assert got.status == 200, got.raw[:300]
    assert login().status == 401
    got = callers.server.call("GET", f"{IDENTITY}/auth/tokens", cloud=None, headers={
        "X-Auth-Token": callers.tokens["admin"], "X-Subject-Token": token})
    assert got.status == 404


def test_a_project_below_a_disabled_one_is_disabled_too(callers):
    parent = callers.project()
    body = {"project": {"name": callers.name("child"), "domain_id": "default", "parent_id": parent}}
    child = callers.made(f"{IDENTITY}/projects", body, "project")["id"]

    def enable(project, enabled):
        return callers.ask("PATCH", f"{IDENTITY}/projects/{project}", {"project": {"enabled": enabled}}).status
    assert enable(parent, False) == 403, "the child is enabled"
    assert enable(child, False) == 200
    assert enable(parent, False) == 200
    assert enable(child, True) == 403


@pytest.mark.parametrize("body", [
    {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "a\u0000b", "domain": DOMAIN, "password": "x"}}}}},
    {"auth": {"identity": {"methods": ["token"], "token": {"id": "\u0000"}}}}])
def test_nul_in_a_login_is_refused(callers, body):
    got = callers.server.call("POST", f"{IDENTITY}/auth/tokens", body, cloud=None)
    assert got.status in (400, 401) and json.loads(got.raw)["error"]["code"] == got.status


# Sizes of clusters.

@pytest.mark.parametrize("count, labels", [
    (253, {}), (14, {"fixed_subnet_cidr": "192.168.201.0/28"}), (3, {"max_node_count": "2"}),
    (1, {"min_node_count": "2"})])
def test_a_size_that_does_not_fit_is_refused_at_once(callers, count, labels):
    body = {"name": callers.name("cluster"), "cluster_template_id": callers.template(), "node_count": count,
            "labels": labels}
    got = callers.ask("POST", f"{MAGNUM}/clusters", body, token=callers.tokens["member"])
    assert got.status == 400 and "node_count" in got.detail, f"{got.status} {got.raw[:300]}"


def test_a_cluster_does_not_outgrow_its_subnet(callers):
    body = {"name": callers.name("cluster"), "cluster_template_id": callers.template(), "node_count": 11,
            "labels": {"fixed_subnet_cidr": "192.168.202.0/28"}}
    member = callers.tokens["member"]
    made = callers.made(f"{MAGNUM}/clusters", body, "uuid", token=member)
    callers.server.until(made, "CREATE_COMPLETE", 60, cloud="jeroboam")
    path, version = f"{MAGNUM}/clusters/{made}", {"OpenStack-API-Version": "container-infra 1.7"}
    got = callers.server.call("POST", f"{path}/actions/resize", {"node_count": 13}, cloud=None,
                              headers={"X-Auth-Token": member, **version})
    assert got.status == 400 and "13 free addresses" in got.detail, f"{got.status} {got.raw[:300]}"
    change = [{"op": "replace", "path": "/node_count", "value": 13}]
    got = callers.ask("PATCH", path, change, token=member)
    assert got.status == 400 and "13 free addresses" in got.detail, f"{got.status} {got.raw[:300]}"
    assert callers.ask("PATCH", path, [{**change[0], "value": 12}], token=member).status == 202
    callers.server.until(made, "UPDATE_COMPLETE", 60, cloud="jeroboam")
