#!/usr/bin/env python3
"""An older release beside this one: both servers on one database make, resize
and delete simulated clusters, each is stopped and started again, and a node
image of the older release runs under the newer server. What does not work must
be refused in words; nothing may be lost, doubled or left behind.
two_releases.py [--old COMMIT] [--clusters 12] [--nodes 3] [--only postgres|mariadb|agent]

The older release is built from the history of this repository at COMMIT, by
default the first commit that checks the schema of the database, once, into the
cache; that takes ten minutes. JEROBOAM_OLD names a directory that has
`jeroboam` and `jeroboam-node` already."""

import argparse
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mariadb import MariaDb  # noqa: E402
from own_engine import INSIDE, run_with_private_engine  # noqa: E402
from postgres import Postgres  # noqa: E402
from test_simulated import Simulated, complete, create, delete_all, statuses  # noqa: E402
from environment import BIN, CACHE, ROOT, Failed, Scenarios, expect, run, wait_for  # noqa: E402

FIRST = "0428d07"
ERROR = re.compile(r"\bERROR\b|panicked|An internal error")


def built(commit):
    """The directory of the older release's programs."""
    given = os.environ.get("JEROBOAM_OLD")
    if given:
        return given
    commit = run(["git", "-C", ROOT, "rev-parse", commit]).ok().out.strip()
    where = os.path.join(CACHE, "releases", commit)
    if not os.path.exists(os.path.join(where, "complete")):
        tree, target = os.path.join(where, "tree"), os.path.join(where, "target")
        if not os.path.isdir(tree):
            run(["git", "-C", ROOT, "worktree", "add", "--detach", "--force", tree, commit]).ok()
        subprocess.run(["cargo", "build", "--locked", "-p", "jeroboam", "-p", "node"], cwd=tree, check=True,
                       env=dict(os.environ, CARGO_TARGET_DIR=target))
        for name in ("jeroboam", "jeroboam-node"):
            os.replace(os.path.join(target, "debug", name), os.path.join(where, name))
        run(["git", "-C", ROOT, "worktree", "remove", "--force", tree]).ok()
        with open(os.path.join(where, "complete"), "w"):
            pass
    return where


class Release(Simulated):
    """A simulated server of some release."""

    def __init__(self, program, database, with_=None):
        super().__init__(database, with_)
        self.bin = program
        # Releases before the flag always make the demo project.
        if "--demo-project" not in run([program, "serve", "--help"]).ok().out:
            self.flags = []

    def started(self):
        """Whether it runs; a refusal must name the schema and the way out."""
        try:
            self.start()
            return True
        except Exception as e:  # noqa: BLE001 (environment.Gone is raised for a server that ends)
            expect("schema" in str(e) and "newer release" in str(e), f"it ended without saying why: {e}")
            self.said = next(line for line in str(e).splitlines() if "newer release" in line)
            return False

    def resize(self, name, count):
        """Until it is accepted; a cluster in progress refuses."""
        def probe():
            got = self.magnum("POST", f"/clusters/{name}/actions/resize", {"node_count": count})
            expect(got.status < 500, f"resize: {got.status} {got.detail}")
            return got.status == 202
        wait_for(f"{name} takes a resize", 60, probe, 0.2)


class Mixed:
    def __init__(self, old, url, clusters, nodes):
        self.clusters, self.nodes = clusters, nodes
        self.older = Release(os.path.join(old, "jeroboam"), url)
        self.newer = Release(BIN, url, with_=self.older)
        # Whether the older one still works concurrently with the newer one.
        self.together = True

    def alone(self):
        self.older.start()
        self.older.template()
        create([self.older], self.clusters // 2, self.nodes - 1)
        complete(self.older, self.clusters // 2, 120)

    def upgraded(self):
        """While the older one is in the middle of work: a newer one that cannot
        share the database says so, and starts when the older one has ended."""
        for cloud in ("jeroboam-demo", "jeroboam"):
            self.newer.tokens[cloud] = self.older.token(cloud)
        over = threading.Event()
        work = threading.Thread(target=self.at_work, args=(over,))
        work.start()
        try:
            beside = self.newer.started()
        finally:
            over.set()
            work.join()
        if not beside:
            self.older.stop()
            self.newer.start()
        self.at_rest("UPDATE_COMPLETE", self.clusters // 2)
        self.counted(self.clusters // 2, self.nodes + 1)
        return getattr(self.newer, "said", "beside the older one")

    def at_work(self, over):
        """The older one resizes its clusters again and again, at last to one
        node more than they had."""
        count = self.nodes
        while not over.is_set() or count != self.nodes:
            count = 2 * self.nodes - 1 - count
            for n in range(self.clusters // 2):
                self.older.resize(f"c{n}", count)

    def at_rest(self, status, count):
        wait_for(f"{count} clusters {status}", 120, lambda: statuses(self.newer) == {status: count}, 0.25)

    def gone(self):
        def probe():
            rows = self.newer.magnum("GET", "/clusters/detail?limit=1000").body["clusters"]
            left = [(r["name"], r["status"], r["status_reason"]) for r in rows]
            expect(not left, f"still there: {left}")
            return True
        wait_for("all are gone", 30, probe, 0.25)

    def counted(self, clusters, nodes):
        """As many containers as nodes, and the API shows as many."""
        have = self.older.environment("SELECT count(*) FROM sim_container")[0][0]
        expect(have == clusters * nodes, f"{have} containers for {clusters * nodes} nodes")
        wait_for("no leaks", 30, lambda: not self.newer.leaks(), 0.5)
        for row in self.newer.magnum("GET", "/clusters/detail?limit=1000").body["clusters"]:
            shown = len(row["node_addresses"]) + len(row["master_addresses"])
            expect(shown == nodes, f"{row['name']} shows {shown} addresses")

    def side_by_side(self):
        """Both take calls and do the work: what one begins the other ends."""
        self.older.stop()
        self.together = self.older.started()
        both = [self.older, self.newer] if self.together else [self.newer]
        for n in range(self.clusters // 2):
            both[n % len(both)].resize(f"c{n}", self.nodes - 1)
        self.at_rest("UPDATE_COMPLETE", self.clusters // 2)
        self.counted(self.clusters // 2, self.nodes)
        for row in self.newer.magnum("GET", "/clusters?limit=1000").body["clusters"]:
            expect(both[0].magnum("DELETE", f"/clusters/{row['uuid']}").status == 204, "delete")
        self.gone()
        create(both, self.clusters, self.nodes - 1)
        self.at_rest("CREATE_COMPLETE", self.clusters)
        self.counted(self.clusters, self.nodes)
        return "both work" if self.together else "the older one is refused"

    def handed_over(self):
        """Killed in the middle of its work: the other release goes on."""
        one, other = (self.older, self.newer) if self.together else (self.newer, None)
        for n in range(self.clusters):
            one.resize(f"c{n}", self.nodes)
        one.kill9()
        if other is None:
            one.start()
        self.at_rest("UPDATE_COMPLETE", self.clusters)
        self.counted(self.clusters, self.nodes + 1)
        if self.together:
            expect(self.older.started(), "the older one does not start again")

    def emptied(self):
        took = delete_all(self.newer, 180)
        expect(self.older.environment("SELECT count(*) FROM sim_container")[0][0] == 0, "containers are left")
        for name, server in (("older", self.older), ("newer", self.newer)):
            lines = [line for line in server.log(10**6).splitlines() if ERROR.search(line)]
            # A refusal to start is one.
            expect(not lines or (name == "older" and not self.together), f"log of the {name} server: {lines[:3]}")
        return f"{took:.1f} s"

    def close(self):
        self.newer.close()
        self.older.close()

    def run_all(self, scenarios, database):
        return (scenarios.run(f"{database}: the older release makes clusters", self.alone)
                and scenarios.run("the newer one starts on them while they are resized", self.upgraded)
                and scenarios.run("the older one is started beside it", self.side_by_side)
                and scenarios.run("one is killed in the middle of its work", self.handed_over)
                and scenarios.run("all is deleted, nothing is left", self.emptied))


def agent(scenarios, server, engine):
    """Real nodes with the older agent."""
    engine.load()
    run(["docker", "tag", "jeroboam/swarm:older", "jeroboam/swarm:latest"]).ok()
    server.start()

    def made():
        got = server.magnum("POST", "/clustertemplates", {
            "name": "t", "coe": "swarm", "image_id": "swarm", "external_network_id": "public", "keypair_id": "default",
            "flavor_id": "m1.small", "master_flavor_id": "m1.small"})
        expect(got.status == 201, f"{got.status} {got.detail}")
        got = server.magnum("POST", "/clusters", {"name": "c", "cluster_template_id": "t", "node_count": 1,
                                                  "create_timeout": 2})
        expect(got.status == 202, f"{got.status} {got.detail}")
        seen = []

        def probe():
            status, reason = server.status("c")
            seen[:] = [status, reason]
            return status in ("CREATE_COMPLETE", "CREATE_FAILED")
        wait_for("the cluster is done", 180, probe, 0.2)
        if seen[0] == "CREATE_FAILED":
            expect(re.search(r"agent|node image|protocol", seen[1]), f"refused without saying why: {seen[1]}")
            return f"refused: {seen[1]}"
        got = server.magnum("POST", "/clusters/c/actions/resize", {"node_count": 2})
        expect(got.status == 202, f"{got.status} {got.detail}")
        server.until("c", "UPDATE_COMPLETE", 120)
        return "it works"

    def gone():
        expect(server.magnum("DELETE", "/clusters/c").status == 204, "delete")
        server.until("c", "GONE", 120)
        expect(not server.leaks() and not server.left(), f"left: {server.leaks()} {server.left()}")

    if scenarios.run("a swarm of the older node image under the newer server", made):
        scenarios.run("it is deleted, nothing is left", gone)


def older_image(old):
    run([os.path.join(ROOT, "images", "swarm", "build.sh")], timeout=600, env={
        "AGENT": os.path.join(old, "jeroboam-node"), "TAG": "jeroboam/swarm:older", "JEROBOAM_CACHE": CACHE}).ok()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--old", default=FIRST, metavar="COMMIT")
    args.add_argument("--clusters", type=int, default=12)
    args.add_argument("--nodes", type=int, default=3)
    args.add_argument("--only", choices=["postgres", "mariadb", "agent"])
    args.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    args = args.parse_args()
    if INSIDE in sys.argv:
        return run_with_private_engine(__file__, [], agent)
    old = built(args.old)
    scenarios = Scenarios()
    begun = time.monotonic()
    try:
        for name, kind in (("postgres", Postgres), ("mariadb", MariaDb)):
            if args.only in (None, name):
                database = kind()
                mixed = Mixed(old, database.database(), args.clusters, args.nodes)
                try:
                    mixed.run_all(scenarios, name)
                finally:
                    mixed.close()
                    database.close()
    except KeyboardInterrupt:
        scenarios.failed.append("interrupted: the time was over")
    except Failed as e:
        scenarios.failed.append(str(e))
    code = scenarios.end() if args.only != "agent" else 0
    print(f"{time.monotonic() - begun:.0f} s")
    if args.only in (None, "agent"):
        older_image(old)
        code = run_with_private_engine(__file__, ["jeroboam/swarm:older"], agent) or code
    return code


if __name__ == "__main__":
    sys.exit(main())
