"""Many simulated clusters through the API: how fast one server creates them, the size
of the database, and the cost of lists; two servers on one PostgreSQL database, one of
which is killed; and failed updates that are rolled back. Measurements are only
reported.
Options: --clusters, --nodes, --pair, --pair-nodes."""

import os
import time

import pytest
from environment import expect, wait_for
from simulated import Simulated, complete, create, delete_all, statuses

# The duration depends on the requested number of clusters.
pytestmark = pytest.mark.timeout(0)
BROKEN = "OCI runtime create failed"


def count_queries(server, act):
    """The number of queries that `act` causes: the minimum of several attempts, because
    agents cause queries at the same time."""
    def once():
        before = server.statements()
        act()
        return server.statements() - before
    return min(once() for _ in range(20))


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))]


@pytest.fixture(scope="class")
def server():
    server = Simulated()
    yield server
    server.close()


@pytest.fixture(scope="module")
def clusters(option):
    return option("clusters", 40)


@pytest.fixture(scope="module")
def nodes(option):
    return option("nodes", 10)


@pytest.mark.ordered
class TestSize:
    def test_server_with_the_simulator(self, server, report):
        took = server.start()
        server.template()
        server.empty = server.memory()
        report(f"ready after {took:.0f} ms, {server.empty / 1024:.1f} MiB resident")

    def test_clusters_are_created(self, server, clusters, nodes, report):
        begun, cpu, statements, commits = time.monotonic(), server.cpu(), server.statements(), server.commits()
        accepted = create([server], clusters, nodes - 1)
        complete(server, clusters, 60 + clusters * nodes * 0.2)
        took = time.monotonic() - begun
        each = f"{(server.statements() - statements) / clusters / nodes:.1f} statements"
        if commits is not None:
            each += f" and {(server.commits() - commits) / clusters / nodes:.1f} commits"
        report(f"{clusters} clusters of {nodes} nodes: accepted in {accepted:.1f} s ({clusters / accepted:.0f}/s), complete after "
               f"{took:.1f} s: {clusters / took:.2f} clusters/s, {clusters * nodes / took:.1f} nodes/s, "
               f"{server.cpu() - cpu:.1f} s of processor, {each} for each node")

    def test_size_of_database_and_memory(self, server, clusters, report):
        files = [os.path.join(server.state, "jeroboam.sqlite" + end) for end in ("", "-wal")]
        total = sum(os.path.getsize(f) for f in files if os.path.exists(f))
        busy = server.memory()
        each = (busy - server.empty) / clusters
        report(f"database {total / 1e6:.1f} MB, {total / clusters / 1e3:.1f} kB per cluster; "
               f"{busy / 1024:.1f} MiB resident, {each:.1f} KiB per cluster")

    def test_list(self, server, clusters, report):
        took = []
        server.magnum("GET", "/clusters?limit=1000")
        for _ in range(200):
            begun = time.monotonic()
            got = server.magnum("GET", "/clusters?limit=1000")
            took.append((time.monotonic() - begun) * 1000)
            expect(len(got.body["clusters"]) == min(clusters, 1000), f"{len(got.body['clusters'])} rows")
        # The queries that agents cause in the same time are subtracted.
        pause = percentile(took, 0.5) / 1000
        queries = count_queries(server, lambda: server.magnum("GET", "/clusters?limit=1000")) - count_queries(server, lambda: time.sleep(pause))
        report(f"{len(got.body['clusters'])} rows, {len(got.raw) / 1e3:.0f} kB: median {percentile(took, 0.5):.1f} ms, "
               f"p99 {percentile(took, 0.99):.1f} ms, {queries} queries")

    def test_restart(self, server, report):
        server.stop()
        took = server.start()
        time.sleep(3)
        report(f"ready after {took:.0f} ms, {server.memory() / 1024:.1f} MiB resident 3 s later")

    def test_delete_leaves_nothing(self, server, clusters, report):
        report(f"{delete_all(server, 60 + clusters):.1f} s")


@pytest.mark.postgres
@pytest.mark.ordered
class TestPair:
    """Two servers, one of which is killed, create as many clusters as one server does."""

    alone = None

    def test_one_server(self, postgres, option, report):
        clusters, nodes = option("pair", 50), option("pair_nodes", 3)
        server = Simulated(postgres.database())
        try:
            server.start()
            server.template()
            begun = time.monotonic()
            create([server], clusters, nodes - 1)
            complete(server, clusters, 300)
            TestPair.alone = time.monotonic() - begun
            report(f"{clusters} clusters of {nodes} nodes: {self.alone:.1f} s")
        finally:
            server.close()

    def test_two_servers_of_which_one_is_killed(self, postgres, option, report):
        clusters, nodes = option("pair", 50), option("pair_nodes", 3)
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
            time.sleep(max(0.5, self.alone / 3 - (time.monotonic() - begun)))
            seen = statuses(second)
            first.kill9()
            complete(second, clusters, 300)
            took = time.monotonic() - begun
            expect(not second.leaks(), f"leaks: {second.leaks()}")
            gone = delete_all(second, 120)
            report(f"{took:.1f} s ({took - self.alone:+.1f} s), killed when they were {seen}; deleted in {gone:.1f} s")
        finally:
            second.close()
            first.close()


@pytest.mark.ordered
class TestRollback:
    """An update adds two workers, one of which cannot start."""

    @staticmethod
    def nodes(server):
        """How many containers and members of the swarm the simulator has."""
        return [server.environment(f"SELECT count(*) FROM sim_{table}")[0][0] for table in ("container", "member")]

    @staticmethod
    def update(server, *more):
        """Starts the update with the unmodified client."""
        server.break_next(BROKEN)
        server.openstack("coe", "cluster", "update", "c0", "--node-count", "4", *more).ok()

    def rolled_back(self, server, begun):
        server.until("c0", "ROLLBACK_COMPLETE", 60)
        took = time.monotonic() - begun
        got = server.magnum("GET", "/clusters/c0").body
        expect(BROKEN in got["status_reason"] and "step server failed" in got["status_reason"], got["status_reason"])
        expect(got["node_count"] == 2 and len(got["node_addresses"]) == 2, f"{got['node_count']} {got['node_addresses']}")
        expect(self.nodes(server) == [3, 3], f"containers and members: {self.nodes(server)}")
        expect(not server.leaks(), f"leaks: {server.leaks()}")
        return f"after {took:.1f} s: {got['status_reason']}"

    def test_simulated_cluster_of_one_and_two(self, server):
        server.start()
        server.template()
        create([server], 1, 2)
        complete(server, 1, 60)
        expect(self.nodes(server) == [3, 3], f"containers and members: {self.nodes(server)}")

    def test_failed_update_is_rolled_back(self, server, report):
        begun = time.monotonic()
        self.update(server, "--rollback")
        report(self.rolled_back(server, begun))

    @pytest.mark.parametrize("moment", ["UPDATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"])
    def test_server_is_killed_meanwhile(self, server, moment, report):
        begun = time.monotonic()
        server.break_next(BROKEN)
        got = server.magnum("PATCH", "/clusters/c0?rollback=true", [{"op": "replace", "path": "/node_count", "value": 4}])
        expect(got.status == 202, f"{got.status} {got.detail}")
        seen = server.until("c0", (moment, "ROLLBACK_COMPLETE"), 60)
        server.kill9()
        server.start()
        report(f"when it was {seen}; {self.rolled_back(server, begun)}")

    def test_without_rollback_nodes_are_kept(self, server):
        self.update(server)
        wait_for("c0 UPDATE_FAILED", 60, lambda: server.status("c0")[0] == "UPDATE_FAILED")
        got = server.magnum("GET", "/clusters/c0").body
        expect(got["node_count"] == 4 and BROKEN in got["status_reason"], f"{got['node_count']} {got['status_reason']}")
        got = server.magnum("POST", "/clusters/c0/actions/resize", {"node_count": 4})
        expect(got.status == 202, f"{got.status} {got.detail}")
        server.until("c0", "UPDATE_COMPLETE", 60)
        expect(self.nodes(server) == [5, 5], f"containers and members: {self.nodes(server)}")

    def test_delete_leaves_nothing(self, server, report):
        report(f"{delete_all(server, 60):.1f} s")
