"""Measures what idle agents cost one server. The nodes are simulated; their agents
run in one separate process and use real connections. The tests fail if there are
too many queries or file descriptors, or if a session is lost. Processor load and
memory are only reported; with --limit, a higher processor load fails as well.
Options: --agents, --nodes, --made, --seconds, --limit PERCENT.
Needs: cargo build -p jeroboam --example idle_agents, or IDLE_AGENTS."""

import time

import pytest
from environment import expect, wait_for
from idle_agents import Agents, Host
from simulated import complete, create

# The duration depends on the requested number of agents.
pytestmark = [pytest.mark.ordered, pytest.mark.timeout(0)]


class Idle:
    """The server, the agents, and the figures of the server without agents."""

    def __init__(self, option):
        agents = option("agents", 200)
        self.nodes = min(option("nodes", 20), agents)
        self.made = max(1, min(option("made", 200), agents) // self.nodes)
        self.clusters = agents // self.nodes // self.made * self.made
        self.count = self.clusters * self.nodes
        self.server, self.agents, self.seeds = Host(), None, []
        self.cpu = self.queries = self.memory = self.descriptors = None


@pytest.fixture(scope="module")
def idle(option):
    idle = Idle(option)
    yield idle
    if idle.agents:
        idle.agents.stop()
    idle.server.close()


@pytest.fixture(scope="module")
def seconds(option):
    return option("seconds", 20)


def test_simulated_clusters(idle, report):
    server = idle.server
    server.agents(own=True)
    server.start()
    server.template()
    create([server], idle.made, idle.nodes - 1)
    complete(server, idle.made, 120 + idle.made * idle.nodes)
    server.stop()
    idle.seeds.extend(server.seeds())
    idle.seeds.extend(server.copy(idle.seeds, idle.clusters // idle.made - 1))
    expect(len(idle.seeds) == idle.count, f"{len(idle.seeds)} seeds, not {idle.count}")
    report(f"{idle.clusters} clusters of {idle.nodes} nodes")


def test_server_without_agents(idle, seconds, report):
    """Measures a new process of the server, so that memory that the creation of the
    clusters used is not counted for the agents."""
    server = idle.server
    server.agents(own=False)
    server.start()
    wait_for("a quiet server", 60, lambda: server.watch(2)[1] < 40, 0)
    idle.cpu, idle.queries = server.watch(seconds)
    idle.memory, idle.descriptors = server.memory(), server.descriptors()
    report(f"{idle.cpu:.2f} % of a processor, {idle.queries} statements in {seconds:.0f} s, "
           f"{idle.memory / 1024:.1f} MiB, {idle.descriptors} descriptors")


def test_agents_connect(idle, report):
    server, count = idle.server, idle.count
    cpu, queries, begun = server.cpu(), server.stats()["queries"], time.monotonic()
    idle.agents = Agents(server, idle.seeds)
    idle.agents.up(count, 60 + count / 10)
    took = time.monotonic() - begun
    report(f"{count} agents: {took:.1f} s, {count / took:.0f}/s, {server.cpu() - cpu:.1f} s of processor, "
           f"{(server.stats()['queries'] - queries) / count:.1f} statements for each")


def test_agents_are_idle(idle, seconds, option, report):
    server, count = idle.server, idle.count
    wait_for("a quiet server", 60, lambda: server.watch(2)[1] < 40 + idle.queries, 0)
    cpu, queries = server.watch(seconds)
    memory, descriptors, seen = server.memory(), server.descriptors(), server.stats()["agents"]
    expect("ended" not in idle.agents.read(), idle.agents.output[:500])
    expect(seen["connections"] == count, f"{seen}")
    more = queries - idle.queries
    # Once a minute the server sends one statement for every 500 clusters.
    expect(more <= 20 + idle.clusters // 100, f"{more} statements more than without agents")
    expect(descriptors - idle.descriptors <= count + 50, f"{descriptors} descriptors")
    limit = option("limit")
    if limit:
        expect(cpu <= limit, f"{cpu:.2f} % of a processor")
    report(f"{cpu:.2f} % of a processor ({cpu - idle.cpu:+.2f}), {queries} statements ({more:+d}), "
           f"{descriptors} descriptors, {memory / 1024:.1f} MiB, "
           f"{(memory - idle.memory) / count:.1f} KiB for each agent; {seen}")


def test_agents_disconnect_and_all_is_released(idle, report):
    """All agents disconnect at the same time; the counts of connections and streams
    return to zero."""
    server = idle.server
    idle.agents.stop()
    wait_for("no connections", 60, lambda: server.stats()["agents"]["connections"] == 0, 0.2)
    wait_for("no streams", 60, lambda: server.stats()["agents"]["streams"] == 0, 0.2)
    report(f"{server.descriptors()} descriptors, {server.memory() / 1024:.1f} MiB")
