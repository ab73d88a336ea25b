"""An older release together with this one. Servers of both releases use one database
and create, resize and delete simulated clusters; each server is stopped and started
again. A node image of the older release runs with the newer server. If the releases
cannot work together, the server must refuse with a message. No object may be lost,
created twice or left behind.
Options: --old COMMIT, --clusters, --nodes.

The older release is built once from the history of this repository and kept in the
cache, which takes ten minutes. COMMIT is by default the first one that checks the
schema of the database. Instead, JEROBOAM_OLD can name a directory that contains
`jeroboam` and `jeroboam-node` of the older release."""

import os
import re
import subprocess
import threading

import pytest
from environment import BIN, CACHE, ROOT, expect, run, wait_for
from own_engine import private_engine
from simulated import Simulated, complete, create, delete_all, statuses

# The first test may build the older release.
pytestmark = pytest.mark.timeout(3600)
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
    """A server of one of the releases, with simulated nodes."""

    def __init__(self, program, database, with_=None):
        super().__init__(database, with_)
        self.bin = program
        # Releases without this flag always create the demo project.
        if "--demo-project" not in run([program, "serve", "--help"]).ok().out:
            self.flags = []

    def started(self):
        """Starts the server and returns whether it runs. If it refuses to start, its
        message must name the schema and the remedy."""
        try:
            self.start()
            return True
        except Exception as e:  # noqa: BLE001 (environment.Gone is raised for a server that ends)
            expect("schema" in str(e) and "newer release" in str(e), f"it ended without saying why: {e}")
            self.refusal = next(line for line in str(e).splitlines() if "newer release" in line)
            return False

    def resize(self, name, count):
        """Repeats the resize until it is accepted, because it is refused while the
        cluster is in progress."""
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
        # Whether the two releases can run at the same time.
        self.together = True

    def at_work(self, over):
        """Resizes the clusters through the older server repeatedly until `over` is set;
        the last resize adds one node to the original size."""
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
        """Expects one container for each node, and as many addresses in the API."""
        have = self.older.environment("SELECT count(*) FROM sim_container")[0][0]
        expect(have == clusters * nodes, f"{have} containers for {clusters * nodes} nodes")
        wait_for("no leaks", 30, lambda: not self.newer.leaks(), 0.5)
        for row in self.newer.magnum("GET", "/clusters/detail?limit=1000").body["clusters"]:
            shown = len(row["node_addresses"]) + len(row["master_addresses"])
            expect(shown == nodes, f"{row['name']} shows {shown} addresses")

    def close(self):
        self.newer.close()
        self.older.close()


@pytest.fixture(scope="module")
def old(option):
    return built(option("old", FIRST))


@pytest.fixture(scope="module")
def mixed(old, database, option):
    mixed = Mixed(old, database.database(), option("clusters", 12), option("nodes", 3))
    yield mixed
    mixed.close()


@pytest.fixture(scope="module")
def engine(old):
    """A private engine with the node image of the older release."""
    run([os.path.join(ROOT, "images", "swarm", "build.sh")], timeout=600, env={
        "AGENT": os.path.join(old, "jeroboam-node"), "TAG": "jeroboam/swarm:older", "JEROBOAM_CACHE": CACHE}).ok()
    with private_engine(["jeroboam/swarm:older"]) as engine:
        run(["docker", "tag", "jeroboam/swarm:older", "jeroboam/swarm:latest"]).ok()
        yield engine


@pytest.fixture(scope="module")
def settings(engine):
    return engine.settings


@pytest.mark.ordered
class TestServers:
    def test_older_release_creates_clusters(self, mixed):
        mixed.older.start()
        mixed.older.template()
        create([mixed.older], mixed.clusters // 2, mixed.nodes - 1)
        complete(mixed.older, mixed.clusters // 2, 120)

    def test_newer_one_starts_while_they_are_resized(self, mixed, report):
        """The newer server is started while the older one works. If it cannot share
        the database, it says so, and starts when the older one has ended."""
        for cloud in ("jeroboam-demo", "jeroboam"):
            mixed.newer.tokens[cloud] = mixed.older.token(cloud)
        over = threading.Event()
        work = threading.Thread(target=mixed.at_work, args=(over,))
        work.start()
        try:
            beside = mixed.newer.started()
        finally:
            over.set()
            work.join()
        if not beside:
            mixed.older.stop()
            mixed.newer.start()
        mixed.at_rest("UPDATE_COMPLETE", mixed.clusters // 2)
        mixed.counted(mixed.clusters // 2, mixed.nodes + 1)
        report(getattr(mixed.newer, "refusal", "beside the older one"))

    def test_older_one_is_started_beside_it(self, mixed, report):
        """Both servers accept requests and do the work. Clusters that one of them has
        created can be changed through the other."""
        mixed.older.stop()
        mixed.together = mixed.older.started()
        both = [mixed.older, mixed.newer] if mixed.together else [mixed.newer]
        for n in range(mixed.clusters // 2):
            both[n % len(both)].resize(f"c{n}", mixed.nodes - 1)
        mixed.at_rest("UPDATE_COMPLETE", mixed.clusters // 2)
        mixed.counted(mixed.clusters // 2, mixed.nodes)
        for row in mixed.newer.magnum("GET", "/clusters?limit=1000").body["clusters"]:
            expect(both[0].magnum("DELETE", f"/clusters/{row['uuid']}").status == 204, "delete")
        mixed.gone()
        create(both, mixed.clusters, mixed.nodes - 1)
        mixed.at_rest("CREATE_COMPLETE", mixed.clusters)
        mixed.counted(mixed.clusters, mixed.nodes)
        report("both work" if mixed.together else "the older one is refused")

    def test_one_is_killed_in_the_middle_of_its_work(self, mixed):
        """One server is killed while it works, and the other one completes the work."""
        one, other = (mixed.older, mixed.newer) if mixed.together else (mixed.newer, None)
        for n in range(mixed.clusters):
            one.resize(f"c{n}", mixed.nodes)
        one.kill9()
        if other is None:
            one.start()
        mixed.at_rest("UPDATE_COMPLETE", mixed.clusters)
        mixed.counted(mixed.clusters, mixed.nodes + 1)
        if mixed.together:
            expect(mixed.older.started(), "the older one does not start again")

    def test_delete_leaves_nothing(self, mixed, report):
        took = delete_all(mixed.newer, 180)
        expect(mixed.older.environment("SELECT count(*) FROM sim_container")[0][0] == 0, "containers are left")
        for name, server in (("older", mixed.older), ("newer", mixed.newer)):
            lines = [line for line in server.log(10**6).splitlines() if ERROR.search(line)]
            # If the older server refused to start, it logged that as an error.
            expect(not lines or (name == "older" and not mixed.together), f"log of the {name} server: {lines[:3]}")
        report(f"{took:.1f} s")


@pytest.mark.engine
@pytest.mark.ordered
class TestAgents:
    """Real nodes with the older agent."""

    def test_swarm_of_the_older_node_image(self, server, report):
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
            report(f"refused: {seen[1]}")
            return
        got = server.magnum("POST", "/clusters/c/actions/resize", {"node_count": 2})
        expect(got.status == 202, f"{got.status} {got.detail}")
        server.until("c", "UPDATE_COMPLETE", 120)
        report("it works")

    def test_swarm_is_deleted(self, server):
        expect(server.magnum("DELETE", "/clusters/c").status == 204, "delete")
        server.until("c", "GONE", 120)
        expect(not server.leaks() and not server.left(), f"left: {server.leaks()} {server.left()}")
