"""Clients that hold connections without using them cannot block other clients. The
tests send slow request heads to the API, incomplete requests to the bootstrap
listener, and many logins at the same time. The server uses the simulator and may open
1024 files.
Options: --connections, --half, --logins.
Needs: cargo build -p jeroboam --example idle_agents, or IDLE_AGENTS."""

import contextlib
import errno
import os
import resource
import socket
import ssl
import threading
import time

import pytest
from environment import Failed, expect, wait_for
from idle_agents import Agents, Host
from simulated import complete, create

pytestmark = pytest.mark.measured
FILES = 1024
# The maximum number of seconds that a request of another client may take.
IN_TIME = 2.0
MEMORY_KIB = 200 * 1000 * 1000 // 1024
# The address from which the program with the agents connects.
AGENT = "127.1.0.0"


class Limited(Host):
    """A server that may open only FILES files."""

    def __init__(self):
        super().__init__()
        program = os.path.join(self.state, "limited")
        with open(program, "w") as f:
            f.write(f'#!/bin/sh\nulimit -n {FILES}\nexec "{self.bin}" "$@"\n')
        os.chmod(program, 0o755)
        self.bin = program

    def login(self, user, password, project):
        body = {"auth": {"identity": {"methods": ["password"], "password": {
            "user": {"name": user, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}}
        return self.call("POST", "/identity/v3/auth/tokens", body, cloud=None)

    def figure(self, name):
        for line in self.call("GET", "/metrics", cloud=None).raw.decode().splitlines():
            if line.startswith(f"jeroboam_{name} "):
                return int(float(line.split()[1]))
        raise Failed(f"/metrics has no jeroboam_{name}")


class SlowHeads:
    """Many connections to one address, each of which sends one byte of a request head
    per second. If the server closes a connection, another one is opened."""

    def __init__(self, address, count):
        host, port = address.split("//")[1].rstrip("/").split(":")
        self.address, self.count, self.opened = (host, int(port)), count, 0
        self.sockets, self.stopping, self.wrong = [], threading.Event(), None
        self.complete = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def connect(self):
        s = socket.socket()
        s.setblocking(False)
        done = s.connect_ex(self.address)
        if done not in (0, errno.EINPROGRESS):
            s.close()
            raise OSError(done, os.strerror(done))
        self.opened += 1
        return s

    def work(self):
        try:
            while not self.stopping.is_set():
                begun = time.monotonic()
                kept = []
                for s in self.sockets:
                    try:
                        s.send(b"G")
                        kept.append(s)
                    except BlockingIOError:
                        kept.append(s)
                    except OSError:
                        s.close()
                self.sockets = kept
                while len(self.sockets) < self.count and not self.stopping.is_set():
                    self.sockets.append(self.connect())
                self.complete.set()
                self.stopping.wait(max(0, 1 - (time.monotonic() - begun)))
        except OSError as e:
            self.wrong = e
        finally:
            self.complete.set()

    def __enter__(self):
        self.thread.start()
        self.complete.wait()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        for s in self.sockets:
            s.close()


def timed(what, request, wanted):
    """Sends a request and returns the seconds that it took. Fails if the status is
    another one than `wanted` or if it took longer than IN_TIME."""
    begun = time.monotonic()
    try:
        got = request()
    except OSError as e:
        raise Failed(f"{what}: {e} after {time.monotonic() - begun:.1f} s") from None
    took = time.monotonic() - begun
    expect(got.status == wanted, f"{what}: {got.status} {got.raw[:300]}")
    expect(took < IN_TIME, f"{what}: {took:.1f} s")
    return took


@pytest.fixture(scope="module")
def server(option):
    """A server with a simulated cluster whose agents do not run."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    expect(hard > option("connections", 2000) + 200, f"{hard} open files are too few for this test")
    server = Limited()
    try:
        server.agents(own=True)
        server.start()
        server.template()
        create([server], 1, 1)
        complete(server, 1, 120)
        server.stop()
        server.agents(own=False)
        server.start()
        yield server
    finally:
        left = server.close()
    expect(not left, f"left: {', '.join(left)}")


def test_slow_request_heads(server, option, report):
    count = option("connections", 2000)
    demo = server.credentials("jeroboam-demo")
    server.token("jeroboam-demo")
    longest, requests, end = 0, 0, time.monotonic() + 8
    with SlowHeads(server.address, count) as slow:
        while time.monotonic() < end:
            for what, request, wanted in [("list", lambda: server.magnum("GET", "/clusters"), 200),
                                          ("login", lambda: server.login(*demo), 201)]:
                longest = max(longest, timed(what, request, wanted))
                requests += 1
        expect(slow.wrong is None, f"the slow clients failed: {slow.wrong}")
        # The connections that the server closed are being replaced.
        wait_for("all slow clients", 5, lambda: len(slow.sockets) == count, 0.01)
        opened = slow.opened
    evicted = server.figure("api_connections_evicted_total")
    expect(server.figure("api_connections_refused_total") == 0, "connections were refused")
    wait_for("few connections", 20, lambda: server.figure("api_connections") < 10)
    report(f"{opened} slow connections, {evicted} evicted; {requests} requests, the longest {longest * 1000:.0f} ms")


def test_logins_of_unknown_users(server, option, report):
    count = option("logins", 64)
    wrong, statuses, lock = [], {}, threading.Lock()
    together = threading.Barrier(count)
    before = server.memory()

    def work(number):
        together.wait()
        try:
            got = server.login(f"unknown-{number}", "not the password", "demo")
        except OSError as e:
            wrong.append(str(e))
            return
        with lock:
            statuses[got.status] = statuses.get(got.status, 0) + 1
        refused = got.status == 503 and got.headers["Retry-After"]
        if got.status != 401 and not refused:
            wrong.append(f"{got.status} {got.raw[:200]}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect(not wrong, "; ".join(wrong[:3]))
    memory = server.memory()
    expect(memory < MEMORY_KIB, f"{memory} KiB resident")
    report(f"{statuses}; {before / 1024:.0f} MiB before, {memory / 1024:.0f} MiB afterwards")


class HalfSent:
    """Connections from one address to the bootstrap listener, with incomplete requests:
    a third of them sends nothing, a third sends a part of the head, and a third sends
    the head and one byte of the body."""

    HEAD = b"POST /bootstrap/v1/hello HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

    def __init__(self, port, source, count):
        self.port, self.source, self.sockets = port, source, []
        for number in range(count):
            # The server may refuse some of these connections.
            with contextlib.suppress(OSError):
                self.sockets.append(self.open(number % 3))

    def open(self, kind):
        plain = socket.create_connection(("127.0.0.1", self.port), 5, (self.source, 0))
        if kind == 0:
            return plain
        secure = pinned().wrap_socket(plain)
        secure.sendall(self.HEAD[:40] if kind == 1 else self.HEAD + b"Content-Length: 1000\r\n\r\n{")
        return secure

    def close(self):
        for s in self.sockets:
            s.close()


def pinned():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate is not relevant for this test.
    context.verify_mode = ssl.CERT_NONE
    return context


def ask(port, source):
    """Sends a request with an unknown token and returns the status of the answer."""
    with socket.create_connection(("127.0.0.1", port), IN_TIME, (source, 0)) as plain:
        with pinned().wrap_socket(plain) as secure:
            secure.sendall(b"GET /bootstrap/v1/join HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n")
            return int(secure.recv(64).split()[1])


def test_half_sent_requests_of_agents(server, option, report):
    count = option("half", 140)
    agents, half = None, HalfSent(server.port, AGENT, count)
    try:
        begun = time.monotonic()
        agents = Agents(server, server.seeds()[:1])
        agents.up(1, 5)
        took = time.monotonic() - begun
        half.close()
        half = HalfSent(server.port, AGENT, count)
        for source in (AGENT, "127.0.0.1"):
            status = ask(server.port, source)
            expect(status == 401, f"a request from {source}: {status}")
        # The agent must keep its session during this time.
        time.sleep(1)
        expect("ended" not in agents.read(), agents.output[:500])
        streams = server.stats()["agents"]["streams"]
        expect(streams >= 1, f"{streams} streams")
        evicted = server.figure("agent_connections_evicted_total")
        report(f"a session after {took * 1000:.0f} ms; {evicted} evicted")
    except OSError as e:
        raise Failed(f"bootstrap: {e}") from None
    finally:
        half.close()
        if agents:
            agents.stop()
