"""Requests that break the rules of HTTP or of JSON: every service answers in its own
format, and none with a server error."""

import json
import re
import socket

import pytest
from callers import SETTINGS as SIMULATOR

# A body that stalls is refused after a second.
SETTINGS = SIMULATOR + "[limits]\nbody_stall_seconds = 1\n"
IDENTITY = "/identity/v3"
MAGNUM = "/container-infra/v1"
# The default of `limits.header_bytes`.
HEADER_BYTES = 64 * 1024
# A route with a body of each service.
ROUTES = [f"{IDENTITY}/auth/tokens", f"{IDENTITY}/users", f"{MAGNUM}/clustertemplates", "/jeroboam/v1/images"]
# A path of each service.
PATHS = [f"{IDENTITY}/users", f"{MAGNUM}/clusters", "/jeroboam/v1/stats", "/healthz"]
UNKNOWN = [f"{IDENTITY}/nowhere", f"{MAGNUM}/nowhere", "/jeroboam/v1/nowhere", "/nowhere"]


@pytest.fixture(scope="module")
def settings():
    return SETTINGS


class Got:
    """One answer to bytes on a connection of their own."""

    def __init__(self, raw):
        head, _, self.raw = raw.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1").lower()
        assert self.head.startswith("http/1.1 "), raw[:300]
        self.status = int(self.head[9:12])

    def check(self, path, *statuses):
        """The status, and the format of the errors of the service."""
        what = f"{path}: {self.head} {self.raw[:300]}"
        assert self.status in statuses, what
        assert "content-type: application/json" in self.head and "x-openstack-request-id: req-" in self.head, what
        body = json.loads(self.raw)
        if path.startswith(MAGNUM) and self.status != 401:
            assert body["errors"][0]["status"] == self.status and body["errors"][0]["title"], what
        else:
            assert body["error"]["code"] == self.status and body["error"]["message"], what


def exchange(callers, data, ended=False):
    """Sends bytes and reads until the server closes the connection, which it must do
    within some seconds."""
    host, port = callers.server.address.split("//")[1].rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=15) as connection:
        connection.sendall(data)
        if ended:
            connection.shutdown(socket.SHUT_WR)
        raw = b""
        while part := connection.recv(65_536):
            raw += part
    return Got(raw)


def request(callers, path, body=b"", headers="", method="POST", media="application/json"):
    token = callers.tokens["member"] if path.startswith(MAGNUM) else callers.server.token("jeroboam")
    if "content-length" not in headers.lower() and "chunked" not in headers:
        headers += f"Content-Length: {len(body)}\r\n"
    if media:
        headers += f"Content-Type: {media}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode("latin-1") + body


# Bodies that do not arrive.

@pytest.mark.parametrize("path", ROUTES)
def test_a_malformed_or_short_body_is_400(callers, path):
    chunked = "Transfer-Encoding: chunked\r\n"
    for body in (b"zz\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}", b"2\r\n{}xx0\r\n\r\n"):
        exchange(callers, request(callers, path, body, chunked)).check(path, 400)
    for headers in ("Content-Length: 100\r\n", "Content-Length: 99999999999\r\n"):
        exchange(callers, request(callers, path, b"{}", headers), ended=True).check(path, 400)
    exchange(callers, request(callers, path, b"9\r\n{}", chunked), ended=True).check(path, 400)


@pytest.mark.parametrize("path", ROUTES)
def test_a_late_body_is_408(callers, path):
    got = exchange(callers, request(callers, path, b"{", "Content-Length: 100\r\n"))
    got.check(path, 408)
    assert "connection: close" in got.head


@pytest.mark.parametrize("path", ROUTES)
def test_a_large_body_is_413_and_is_not_asked_for(callers, path):
    exchange(callers, request(callers, path, b'"' + b"x" * (2 << 20) + b'"')).check(path, 413)
    headers = "Expect: 100-continue\r\nContent-Length: 50000000\r\n"
    exchange(callers, request(callers, path, b"", headers)).check(path, 413)
    headers = "Expect: 100-continue\r\nContent-Length: 2\r\n"
    assert exchange(callers, request(callers, path, b"{}", headers)).status == 100


# Heads.

@pytest.mark.parametrize("path", PATHS + UNKNOWN)
def test_a_large_head_is_431(callers, path):
    for headers in (f"A: {'x' * HEADER_BYTES}\r\n", "".join(f"A: {'x' * 1000}\r\n" for _ in range(70))):
        exchange(callers, request(callers, path, b"", headers, "GET")).check(path, 431)


@pytest.mark.parametrize("path", PATHS + UNKNOWN)
def test_other_methods_are_405_or_404(callers, path):
    for method in ("OPTIONS", "TRACE", "FOO", "PUT"):
        got = exchange(callers, request(callers, path, b"", "", method))
        got.check(path, 404 if path in UNKNOWN else 405)
        assert got.status == 404 or "allow: " in got.head


@pytest.mark.parametrize("path", PATHS + UNKNOWN)
def test_two_hosts_are_refused(callers, path):
    exchange(callers, request(callers, path, b"", "Host: y\r\n", "GET")).check(path, 400)


def test_the_host_of_a_target_is_in_the_links(callers):
    data = b"GET http://a.example/identity HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n"
    got = exchange(callers, data)
    assert got.status == 300 and b"http://a.example/" in got.raw and b"b.example" not in got.raw
    data = b"GET http://user@a.example/identity HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
    exchange(callers, data).check("/identity", 400)


def test_malformed_heads_are_client_errors_without_a_body(callers):
    good = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    for data in (b"no request\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                 b"GET /healthz HTTP/2.0\r\n\r\n", b"GET /a b HTTP/1.1\r\n\r\n", good + b"no colon\r\n\r\n",
                 good + b"A: \x01\r\n\r\n", good + b"Content-Length: -1\r\n\r\n",
                 good + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                 good + b"Transfer-Encoding: gzip\r\n\r\n", good + b"A: b\r\n" * 200 + b"\r\n",
                 b"GET /" + b"x" * 66_000 + b" HTTP/1.1\r\n\r\n"):
        got = exchange(callers, data)
        assert 400 <= got.status < 500 and got.raw == b"", f"{data[:50]}: {got.head}"


def test_no_answer_to_head_has_a_body_or_is_a_server_error(callers):
    document = callers.server.call("GET", "/openapi.json", cloud=None).body
    for path, operations in document["paths"].items():
        at = re.sub(r"{[^}]*}", "x", path)
        status = {}
        for method in ("GET", "HEAD"):
            got = exchange(callers, request(callers, at, b"", "", method))
            status[method] = got.status
            assert got.status < 500 and (method == "GET" or got.raw == b""), f"{method} {at}: {got.head}"
        # Magnum has no HEAD.
        assert status["HEAD"] in (status["GET"], 405) if at.startswith(MAGNUM) else status["HEAD"] == status["GET"], at


# JSON.

@pytest.mark.parametrize("path", ROUTES)
def test_what_is_not_json_is_refused(callers, path):
    for body in (b"{", b"{} x", b"   ", b"\xef\xbb\xbf{}", b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"[" * 50_000,
                 b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"a": 1e999}', b'{"a": ' + b"9" * 400 + b"}",
                 "{}".encode("utf-16"), b"[]", b"null", b'"x"', b"1"):
        exchange(callers, request(callers, path, body)).check(path, 400)
    # The last of two fields with the same name is used, as by Python.
    exchange(callers, request(callers, path, b'{"name": 1, "name": 2, "auth": 1, "auth": {}}')).check(path, 400)


@pytest.mark.parametrize("path", ROUTES)
def test_other_media_types_are_refused(callers, path):
    for media in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "\xff"):
        # Keystone answers 400.
        got = exchange(callers, request(callers, path, b"{}", media=media))
        got.check(path, *((400, 415) if path.startswith(IDENTITY) else (415,)))


# Control characters.

TEMPLATE = {"coe": "swarm", "image_id": "swarm", "external_network_id": "public"}


@pytest.mark.parametrize("path,body,field", [
    (f"{IDENTITY}/users", {"user": {"name": "aXb"}}, "name"),
    (f"{IDENTITY}/users", {"user": {"name": "ab", "default_project_id": "aXb"}}, "default_project_id"),
    (f"{IDENTITY}/projects", {"project": {"name": "ab", "tags": ["aXb"]}}, "tags"),
    (f"{IDENTITY}/roles", {"role": {"name": "aXb"}}, "name"),
    (f"{IDENTITY}/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "aXb", "domain": {"id": "default"}, "password": "x"}}}}}, "name"),
    (f"{MAGNUM}/clustertemplates", dict(TEMPLATE, name="aXb"), "name"),
    (f"{MAGNUM}/clustertemplates", dict(TEMPLATE, name="ab", labels={"aXb": "c"}), "labels")])
@pytest.mark.parametrize("character", ["\0", "\x01", "\t", "\n", "\r", "\x1b", "\x7f"])
def test_names_and_ids_have_no_control_characters(callers, path, body, field, character):
    body = json.dumps(body).replace("X", json.dumps(character)[1:-1]).encode()
    got = exchange(callers, request(callers, path, body))
    got.check(path, 400)
    assert f"{field}: the character " in got.raw.decode() and "remove it" in got.raw.decode()


def test_texts_have_ends_of_lines_and_no_other_control_characters(callers):
    text = "one\ttwo\r\nthree\n"
    user = {"name": callers.name("user"), "description": text}
    assert callers.made(f"{IDENTITY}/users", {"user": user}, "user")["description"] == text
    template = dict(TEMPLATE, name=callers.name("template"), labels={"note": text})
    token = callers.tokens["member"]
    made = callers.made(f"{MAGNUM}/clustertemplates", template, None, token=token)
    assert made["labels"]["note"] == text
    user = {"user": {"name": callers.name("user"), "description": "\x1b[2J"}}
    got = callers.ask("POST", f"{IDENTITY}/users", user)
    assert got.status == 400 and b"description: the character U+001B" in got.raw
    at = f"{MAGNUM}/clustertemplates/{made['uuid']}"
    for field, value, status in (("name", "a\nb", 400), ("name", "ab", 200)):
        patch = [{"op": "replace", "path": f"/{field}", "value": value}]
        assert callers.ask("PATCH", at, patch, token=token).status == status, value
