"""Keys are rotated by command while servers create simulated clusters and accept each
other's tokens. No call is refused, every cluster is completed, no secret is sealed
with a retired key, and no log contains an error. The test runs with two servers on
PostgreSQL and with one server on SQLite.
Options: --clusters, --nodes."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest
from environment import Failed, expect, run
from simulated import Simulated, complete, create, delete_all

ERROR = re.compile(r"\bERROR\b|panicked|An internal error")


class Callers:
    """A thread for each server logs in at this server and calls it and the next one,
    until `stop`."""

    def __init__(self, servers):
        self.servers, self.ended, self.wrong, self.calls = servers, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(len(servers))]
        for t in self.threads:
            t.start()

    def work(self, n):
        issuer, other = self.servers[n], self.servers[(n + 1) % len(self.servers)]
        kept = issuer.token("jeroboam-demo")
        while not self.ended.is_set():
            issuer.tokens.pop("jeroboam-demo", None)
            try:
                for token in (kept, issuer.token("jeroboam-demo")):
                    for server in (issuer, other):
                        got = server.magnum("GET", "/clusters?limit=1", cloud=None, headers={"X-Auth-Token": token})
                        self.calls += 1
                        if got.status != 200:
                            self.wrong.append(f"{got.status} {got.detail}")
            except (OSError, Failed, KeyError) as e:
                self.wrong.append(repr(e))
            time.sleep(0.02)

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join()
        expect(not self.wrong, f"{len(self.wrong)} of {self.calls} calls: {self.wrong[:3]}")
        return self.calls


def key(server, *args, fails=False):
    done = server.cli("key", *args, "--state-dir", server.state, "--config", server.config)
    return done if fails else done.ok()


def keys(server, kind):
    return key(server, "list", "--json").json()[kind]


def secrets(server, wanted):
    """How many secrets of the database are sealed with keys of this role."""
    return sum(k["secrets"] for k in keys(server, "sealing") if k["role"] == wanted)


def rotate_all(first, servers, clusters, nodes):
    callers = Callers(servers)
    try:
        creation = threading.Thread(target=create, args=(servers, clusters, nodes - 1))
        creation.start()
        key(first, "rotate", "fernet")
        key(first, "rotate", "fernet", fails=True).refused("are valid until", "--force")
        old = next(k["id"] for k in keys(first, "sealing") if k["role"] == "primary")
        key(first, "rotate", "sealing", "--stage")
        key(first, "rotate", "sealing")
        creation.join()
        complete(first, clusters, 300)
        key(first, "rotate", "sealing")
        # A rotation that is killed in the middle is continued.
        args = [first.bin, "key", "rotate", "sealing", "--state-dir", first.state, "--config", first.config]
        with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as command:
            command.stdout.readline()
            command.send_signal(signal.SIGKILL)
        left = secrets(first, "secondary")
        key(first, "reseal")
        expect(secrets(first, "secondary") == 0, "secrets with older keys are left")
        found = [k["id"] for k in keys(first, "sealing") if k["role"] == "secondary"]
        expect(old in found and len(found) == 3, f"secondary keys: {found}")
        for id in found:
            key(first, "retire", id)
        key(first, "retire", found[0], fails=True).refused("not a secondary sealing key")
        expect(len(keys(first, "sealing")) == 1, "all older keys are retired")
    finally:
        calls = callers.stop()
    for server in servers:
        server.stop()
        server.start()
    for n in range(clusters):
        cli = first.cli("cluster", "config", f"c{n}", "--dir", first.directory(f"tls{n}"), cloud="jeroboam-demo")
        cli.ok()
    gone = delete_all(first, 180)
    for server in servers:
        lines = [line for line in server.log(10**6).splitlines() if ERROR.search(line)]
        expect(not lines, f"log: {lines[:3]}")
    return (f"{calls} calls with tokens of either server; {left} secrets were left by the killed command; "
            f"deleted in {gone:.1f} s")


@pytest.mark.postgres
def test_rotation_beside_two_servers_on_postgres(postgres, option, report):
    url = postgres.database()
    first = Simulated(url)
    second = Simulated(url, with_=first)
    try:
        first.start()
        first.template()
        second.start()
        # Only the first server has the initial passwords, because it created the users.
        os.symlink(os.path.join(first.state, "clouds.yaml"), os.path.join(second.state, "clouds.yaml"))
        report(rotate_all(first, [first, second], option("clusters", 12), option("nodes", 3)))
    finally:
        second.close()
        first.close()


def test_rotation_beside_one_server_on_sqlite(option, report):
    server = Simulated()
    try:
        server.start()
        server.template()
        report(rotate_all(server, [server], option("clusters", 12), option("nodes", 3)))
    finally:
        server.close()


def test_files_that_others_can_read_are_refused(report):
    """Secrets that others can read are refused, by the server and by commands."""
    server = Simulated()
    os.chmod(server.state, 0o755)
    url = os.path.join(server.directory("data"), "clusters.db")
    os.chmod(os.path.dirname(url), 0o755)
    start = ["serve", "--state-dir", server.state, "--listen", "127.0.0.1:0"]
    try:
        server.start()
        server.stop()
        for path, args in (
                (url, ["--database", f"sqlite:{url}"]),
                (f"{url}-wal", ["--database", f"sqlite:{url}"]),
                (os.path.join(server.state, "clouds.yaml"), []),
                (os.path.join(server.state, "url"), ["--database-file", os.path.join(server.state, "url")])):
            with open(path, "a") as f:
                f.write("postgres://a:secret@127.0.0.1:1/j\n" if path.endswith("url") else "")
            os.chmod(path, 0o644)
            for command in (start, ["key", "list", "--state-dir", server.state]):
                done = run([server.bin, *command, *args], timeout=20).refused("others can read", f"chmod -R go= {path}")
                expect("secret" not in done.text, done.text)
            os.chmod(path, 0o600)
        report("a database elsewhere, its log, clouds.yaml, a file with a URL")
    finally:
        server.close()
