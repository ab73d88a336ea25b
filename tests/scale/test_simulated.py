#!/usr/bin/env python3
"""Many simulated clusters through the API: how fast one server makes them,
the size of the database, the cost of lists; two servers on one PostgreSQL of
which one is killed; and failed updates that are rolled back. Measurements are
only reported.
simulated.py [--clusters 1000] [--nodes 10] [--pair 50] [--only size|pair|back]"""

import argparse
import contextlib
import os
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from postgres import Postgres  # noqa: E402
from environment import Failed, Gone, Server, Scenarios, expect, wait_for  # noqa: E402

TEMPLATE = {"name": "simulated", "coe": "swarm", "image_id": "swarm", "external_network_id": "public",
            "keypair_id": "default", "flavor_id": "m1.tiny", "master_flavor_id": "m1.tiny"}
CONFIG = """
{top}
[infra]
driver = "simulator"
pool = "10.0.0.0/8"
simulator = "{environment}"
"""


class Simulated(Server):
    """A server whose containers are simulated, in a simulator that others may
    share."""

    def __init__(self, database=None, with_=None):
        super().__init__()
        self.before = {}
        home = with_ or self
        top = f'key_dir = "{home.state}/keys"\n' + (f'database = "{database}"' if database else "")
        self.config = os.path.join(self.state, "simulated.toml")
        with open(self.config, "w") as f:
            f.write(CONFIG.format(top=top, environment=os.path.join(home.state, "world.sqlite")))

    def environment(self, statement, *values):
        """Reads or changes the simulated infrastructure."""
        db = sqlite3.connect(os.path.join(self.state, "world.sqlite"), timeout=10)
        try:
            with db:
                return db.execute(statement, values).fetchall()
        finally:
            db.close()

    def break_next(self, message):
        """The next container that starts fails; a repeat does not help."""
        self.environment("INSERT INTO sim_fault (id, step, name, transient, message, times) VALUES (?, 'Start', '', 0, ?, 1)",
                   os.urandom(16).hex(), message)

    def memory(self):
        """Resident, in KiB."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def cpu(self):
        """Seconds of processor time since the start."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def statements(self):
        return self.call("GET", "/jeroboam/v1/stats", cloud="jeroboam").body["queries"]

    def commits(self):
        """As the figures say; none from a server without figures."""
        with contextlib.suppress(OSError, Failed):
            for line in self.call("GET", "/metrics", cloud=None).raw.decode().splitlines():
                if line.startswith("jeroboam_db_commits_total "):
                    return int(float(line.split()[1]))
        return None

    def template(self):
        got = self.magnum("POST", "/clustertemplates", TEMPLATE)
        expect(got.status == 201, f"{got.status} {got.detail}")


def create(servers, count, workers, callers=8):
    """Creates the clusters on the servers in turn; seconds until all were
    accepted. A server that dies meanwhile loses its calls to the others."""
    at, lock, wrong = iter(range(count)), threading.Lock(), []

    def work():
        while True:
            with lock:
                n = next(at, None)
            if n is None or wrong:
                return
            try:
                got = servers[n % len(servers)].magnum("POST", "/clusters", {
                    "name": f"c{n}", "cluster_template_id": "simulated", "node_count": workers, "create_timeout": 60})
                if got.status != 202:
                    wrong.append(f"c{n}: {got.status} {got.detail}")
            except OSError as e:
                wrong.append(f"c{n}: {e}")

    begun = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(callers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect(not wrong, "; ".join(wrong[:3]))
    return time.monotonic() - begun


def statuses(server):
    """How many clusters have which status."""
    count, marker = {}, ""
    while True:
        got = server.magnum("GET", f"/clusters?limit=1000{marker}")
        expect(got.status == 200, f"list: {got.status} {got.detail}")
        rows = got.body["clusters"]
        for row in rows:
            count[row["status"]] = count.get(row["status"], 0) + 1
        if not got.body.get("next"):
            return count
        marker = f"&marker={rows[-1]['uuid']}"


def complete(server, count, seconds):
    """Until all clusters are CREATE_COMPLETE; none may fail."""
    shown = [time.monotonic()]

    def probe():
        seen = statuses(server)
        if seen.get("CREATE_FAILED"):
            rows = server.magnum("GET", "/clusters/detail?limit=1000").body["clusters"]
            reasons = [r["status_reason"] for r in rows if r["status"] == "CREATE_FAILED"]
            raise Gone(f"{seen}: {reasons[:3]}")
        if time.monotonic() - shown[0] > 15:
            shown[0] = time.monotonic()
            print(f"        {seen}")
        return seen.get("CREATE_COMPLETE", 0) == count
    # To list many clusters costs what their making is measured by.
    wait_for(f"{count} clusters complete", seconds, probe, 0.25 if count <= 100 else 1)


def asked(server, act):
    """The fewest queries between two looks at the count: what agents ask
    meanwhile is left out."""
    def once():
        before = server.statements()
        act()
        return server.statements() - before
    return min(once() for _ in range(20))


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))]


def delete_all(server, seconds):
    begun = time.monotonic()
    rows = server.magnum("GET", "/clusters?limit=1000").body["clusters"]
    for row in rows:
        expect(server.magnum("DELETE", f"/clusters/{row['uuid']}").status == 204, "delete")
    wait_for("all clusters gone", seconds, lambda: not server.magnum("GET", "/clusters?limit=1").body["clusters"], 0.25)
    wait_for("no leaks", 30, lambda: not server.leaks(), 0.5)
    return time.monotonic() - begun


def size(scenarios, clusters, nodes):
    server = Simulated()
    made = [False]

    def start():
        took = server.start()
        server.template()
        server.empty = server.memory()
        return f"ready after {took:.0f} ms, {server.empty / 1024:.1f} MiB resident"

    def make():
        begun, cpu, statements, commits = time.monotonic(), server.cpu(), server.statements(), server.commits()
        accepted = create([server], clusters, nodes - 1)
        complete(server, clusters, 60 + clusters * nodes * 0.2)
        took = time.monotonic() - begun
        made[0] = True
        each = f"{(server.statements() - statements) / clusters / nodes:.1f} statements"
        if commits is not None:
            each += f" and {(server.commits() - commits) / clusters / nodes:.1f} commits"
        return (f"accepted in {accepted:.1f} s ({clusters / accepted:.0f}/s), complete after {took:.1f} s: "
                f"{clusters / took:.2f} clusters/s, {clusters * nodes / took:.1f} nodes/s, {server.cpu() - cpu:.1f} s of processor, "
                f"{each} for each node")

    def weigh():
        files = [os.path.join(server.state, "jeroboam.sqlite" + end) for end in ("", "-wal")]
        total = sum(os.path.getsize(f) for f in files if os.path.exists(f))
        busy = server.memory()
        each = (busy - server.empty) / clusters
        return (f"database {total / 1e6:.1f} MB, {total / clusters / 1e3:.1f} kB per cluster; "
                f"{busy / 1024:.1f} MiB resident, {each:.1f} KiB per cluster")

    def listing():
        took = []
        server.magnum("GET", "/clusters?limit=1000")
        for _ in range(200):
            begun = time.monotonic()
            got = server.magnum("GET", "/clusters?limit=1000")
            took.append((time.monotonic() - begun) * 1000)
            expect(len(got.body["clusters"]) == min(clusters, 1000), f"{len(got.body['clusters'])} rows")
        # What agents ask in the same time is none of the list's.
        pause = percentile(took, 0.5) / 1000
        queries = asked(server, lambda: server.magnum("GET", "/clusters?limit=1000")) - asked(server, lambda: time.sleep(pause))
        return (f"{len(got.body['clusters'])} rows, {len(got.raw) / 1e3:.0f} kB: median {percentile(took, 0.5):.1f} ms, "
                f"p99 {percentile(took, 0.99):.1f} ms, {queries} queries")

    def restart():
        server.stop()
        took = server.start()
        time.sleep(3)
        return f"ready after {took:.0f} ms, {server.memory() / 1024:.1f} MiB resident 3 s later"

    try:
        if scenarios.run("a server with the simulator", start):
            scenarios.run(f"{clusters} clusters of {nodes} nodes", make)
            if made[0]:
                scenarios.run("their database size", weigh)
                scenarios.run(f"the list of {min(clusters, 1000)}", listing)
                scenarios.run("a restart on them", restart)
                scenarios.run("all are deleted, nothing is left", lambda: f"{delete_all(server, 60 + clusters):.1f} s")
    finally:
        server.close()


def pair(scenarios, clusters, nodes):
    postgres = Postgres()
    alone = [0.0]

    def one():
        server = Simulated(postgres.database())
        try:
            server.start()
            server.template()
            begun = time.monotonic()
            create([server], clusters, nodes - 1)
            complete(server, clusters, 300)
            alone[0] = time.monotonic() - begun
            return f"{alone[0]:.1f} s"
        finally:
            server.close()

    def two():
        url = postgres.database()
        first = Simulated(url)
        second = Simulated(url, with_=first)
        try:
            first.start()
            first.template()
            second.start()
            second.tokens["jeroboam-demo"] = first.token("jeroboam-demo")
            second.tokens["jeroboam"] = first.token("jeroboam")
            begun = time.monotonic()
            create([first, second], clusters, nodes - 1)
            time.sleep(max(0.5, alone[0] / 3 - (time.monotonic() - begun)))
            seen = statuses(second)
            first.kill9()
            complete(second, clusters, 300)
            took = time.monotonic() - begun
            expect(not second.leaks(), f"leaks: {second.leaks()}")
            gone = delete_all(second, 120)
            return f"{took:.1f} s ({took - alone[0]:+.1f} s), killed when they were {seen}; deleted in {gone:.1f} s"
        finally:
            second.close()
            first.close()

    try:
        scenarios.run(f"one server on PostgreSQL makes {clusters} clusters of {nodes} nodes", one)
        if alone[0]:
            scenarios.run("two servers, of which one is killed, make as many", two)
    finally:
        postgres.close()


def back(scenarios):
    """Of two workers that are to come one cannot start."""
    server = Simulated()
    broken = "OCI runtime create failed"

    def nodes():
        """The objects of the cluster in the simulator: containers
        and members of the swarm."""
        return [server.environment(f"SELECT count(*) FROM sim_{table}")[0][0] for table in ("container", "member")]

    def update(*more):
        """By the unmodified client."""
        server.break_next(broken)
        server.openstack("coe", "cluster", "update", "c0", "--node-count", "4", *more).ok()

    def taken_back(begun):
        server.until("c0", "ROLLBACK_COMPLETE", 60)
        took = time.monotonic() - begun
        got = server.magnum("GET", "/clusters/c0").body
        expect(broken in got["status_reason"] and "step server failed" in got["status_reason"], got["status_reason"])
        expect(got["node_count"] == 2 and len(got["node_addresses"]) == 2, f"{got['node_count']} {got['node_addresses']}")
        expect(nodes() == [3, 3], f"containers and members: {nodes()}")
        expect(not server.leaks(), f"leaks: {server.leaks()}")
        return f"after {took:.1f} s: {got['status_reason']}"

    def start():
        server.start()
        server.template()
        create([server], 1, 2)
        complete(server, 1, 60)
        expect(nodes() == [3, 3], f"containers and members: {nodes()}")

    def by_the_client():
        begun = time.monotonic()
        update("--rollback")
        return taken_back(begun)

    def killed(moment):
        begun = time.monotonic()
        server.break_next(broken)
        got = server.magnum("PATCH", "/clusters/c0?rollback=true", [{"op": "replace", "path": "/node_count", "value": 4}])
        expect(got.status == 202, f"{got.status} {got.detail}")
        seen = server.until("c0", (moment, "ROLLBACK_COMPLETE"), 60)
        server.kill9()
        server.start()
        return f"when it was {seen}; {taken_back(begun)}"

    def kept():
        update()
        wait_for("c0 UPDATE_FAILED", 60, lambda: server.status("c0")[0] == "UPDATE_FAILED")
        got = server.magnum("GET", "/clusters/c0").body
        expect(got["node_count"] == 4 and broken in got["status_reason"], f"{got['node_count']} {got['status_reason']}")
        got = server.magnum("POST", "/clusters/c0/actions/resize", {"node_count": 4})
        expect(got.status == 202, f"{got.status} {got.detail}")
        server.until("c0", "UPDATE_COMPLETE", 60)
        expect(nodes() == [5, 5], f"containers and members: {nodes()}")

    try:
        if scenarios.run("a simulated cluster of one and two", start):
            scenarios.run("a failed update is rolled back", by_the_client)
            for moment in ("UPDATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"):
                scenarios.run(f"also where the server is killed in {moment}", lambda: killed(moment))
            scenarios.run("without --rollback what is there stays", kept)
            scenarios.run("it is deleted, nothing is left", lambda: f"{delete_all(server, 60):.1f} s")
    finally:
        server.close()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--clusters", type=int, default=40)
    args.add_argument("--nodes", type=int, default=10)
    args.add_argument("--pair", type=int, default=50)
    args.add_argument("--pair-nodes", type=int, default=3)
    args.add_argument("--only", choices=["size", "pair", "back"])
    args = args.parse_args()
    scenarios = Scenarios()
    try:
        if args.only in (None, "size"):
            size(scenarios, args.clusters, args.nodes)
        if args.only in (None, "pair"):
            pair(scenarios, args.pair, args.pair_nodes)
        if args.only in (None, "back"):
            back(scenarios)
    except KeyboardInterrupt:
        scenarios.failed.append("interrupted: the time was over")
    except Failed as e:
        scenarios.failed.append(str(e))
    return scenarios.end()


if __name__ == "__main__":
    sys.exit(main())
