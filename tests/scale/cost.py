#!/usr/bin/env python3
"""Measures the processor time of the server per request, for one or two binaries, and
prints it. Usage: cost.py [--old OTHER_BINARY] [--clusters 1000] [--requests 500]"""

import argparse
import contextlib
import http.client
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from environment import BIN, Server, expect, wait_for  # noqa: E402

SETTINGS = '[infra]\ndriver = "simulator"\npool = "10.0.0.0/8"\n'
TEMPLATE = {"coe": "swarm", "image_id": "swarm", "external_network_id": "public",
            "keypair_id": "default", "flavor_id": "m1.tiny", "master_flavor_id": "m1.tiny",
            "labels": {"a": "1", "b": "2"}}
# Argon2id of "cost" with 8 KiB and one pass, which takes some microseconds.
CHEAP_HASH = "$argon2id$v=19$m=8,t=1,p=1$eiMmOPTdPXbG8duUVKf+Zw$r0z8LEOpRje/gcZg4IG5hb/3xrluaJ2db8bo4X2vNhg"


class Client:
    """A client that keeps one connection open."""

    def __init__(self, server):
        self.pid = server.process.pid
        self.connection = http.client.HTTPConnection(server.address.split("//")[1].rstrip("/"), timeout=60)
        self.token = server.token("jeroboam")

    def ask(self, method, path, body=None, headers=None):
        send = {"X-Auth-Token": self.token, "Content-Type": "application/json",
                "OpenStack-API-Version": "container-infra latest", **(headers or {})}
        self.connection.request(method, path, body if body is None else json.dumps(body), send)
        got = self.connection.getresponse()
        return got.status, got.read()

    def are_complete(self):
        _, raw = self.ask("GET", "/container-infra/v1/clusters")
        return {c["status"] for c in json.loads(raw)["clusters"]} == {"CREATE_COMPLETE"}

    def cost(self, count, *request, **more):
        """Milliseconds of processor time for each of `count` requests."""
        self.ask(*request, **more)
        before = self.ticks()
        for _ in range(count):
            status, raw = self.ask(*request, **more)
            expect(status < 300, f"{request[:2]}: {status} {raw[:300]}")
        return (self.ticks() - before) * 1000 / os.sysconf("SC_CLK_TCK") / count

    def ticks(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])


def password_login(server, client, count):
    """The cost of a login without that of its hash: the stored hash is replaced by one
    that is cheap to verify."""
    with contextlib.closing(sqlite3.connect(os.path.join(server.state, "jeroboam.sqlite"))) as db, db:
        db.execute("UPDATE identity_user SET password_hash = ? WHERE name = 'admin'", [CHEAP_HASH])
    domain = {"id": "default"}
    user = {"name": "admin", "domain": domain, "password": "cost"}
    return client.cost(count, "POST", "/identity/v3/auth/tokens", body={"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": domain}}}})


def figures(binary, options):
    server = Server(bin=binary, settings=SETTINGS)
    server.before = {}
    try:
        server.start()
        client = Client(server)
        _, raw = client.ask("POST", "/container-infra/v1/clustertemplates", {**TEMPLATE, "name": "cost"})
        template = json.loads(raw)["uuid"]
        for at in range(options.clusters):
            status, raw = client.ask("POST", "/container-infra/v1/clusters", {
                "name": f"c{at}", "cluster_template_id": template, "node_count": 2})
            expect(status == 202, f"create: {status} {raw[:300]}")
        # Nothing else costs processor time while requests are measured.
        wait_for("all clusters", 300, client.are_complete, step=0.5)
        many = options.requests
        source = {"methods": ["token"], "token": {"id": client.token}}
        issue = {"auth": {"identity": source, "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}
        few = max(many // 10, 5)
        return {
            f"list of {options.clusters} clusters": client.cost(few, "GET", "/container-infra/v1/clusters"),
            f"list of {options.clusters} clusters, detail": client.cost(
                few, "GET", "/container-infra/v1/clusters/detail"),
            "template show": client.cost(many, "GET", f"/container-infra/v1/clustertemplates/{template}"),
            "template create": client.cost(many, "POST", "/container-infra/v1/clustertemplates", body=TEMPLATE),
            "token validation": client.cost(many, "GET", "/identity/v3/auth/tokens",
                                            headers={"X-Subject-Token": client.token}),
            "project list": client.cost(many, "GET", "/identity/v3/projects"),
            "login by token": client.cost(many, "POST", "/identity/v3/auth/tokens", body=issue),
            "password login without the hash": password_login(server, client, many),
        }
    finally:
        server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", help="another binary to compare with")
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    old = figures(options.old, options) if options.old else {}
    for name, new in figures(BIN, options).items():
        print(f"{name:45} {f'{old[name]:8.3f} ms ->' if old else ''} {new:8.3f} ms")


if __name__ == "__main__":
    main()
