#!/usr/bin/env python3
"""Idle agents on one server: what they cost while nothing happens. The nodes
are simulated; their agents run in one separate process, over real
connections. Queries, descriptors and lost sessions can fail; processor and
memory are reported, and held against the limit where it is given.
idle_agents.py [--agents 200] [--nodes 20] [--made 200] [--seconds 20] [--limit PERCENT]
Needs: cargo build -p jeroboam --example idle_agents, or IDLE_AGENTS."""

import argparse
import hashlib
import json
import os
import select
import socket
import sqlite3
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_simulated import Simulated, complete, create  # noqa: E402
from environment import BIN, Failed, Scenarios, expect, wait_for  # noqa: E402

PROGRAM = os.environ.get("IDLE_AGENTS") or os.path.join(os.path.dirname(BIN), "examples", "idle_agents")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Host(Simulated):
    """A simulated server whose nodes' agents may be played by others."""

    def __init__(self):
        super().__init__()
        self.port = free_port()
        with open(self.config) as f:
            self.settings = f.read()

    def agents(self, own):
        with open(self.config, "w") as f:
            f.write(f'bootstrap_listen = ["127.0.0.1:{self.port}"]\n{self.settings}simulated_agents = {str(own).lower()}\n')

    def stats(self):
        got = self.call("GET", "/jeroboam/v1/stats", cloud="jeroboam")
        expect(got.status == 200, f"stats: {got.status} {got.detail}")
        return got.body

    def seeds(self):
        """What the nodes were given at their start."""
        found = []
        for (spec,) in self.environment("SELECT spec FROM sim_container"):
            files = json.loads(spec)["files"]
            found += [json.loads(bytes(f["content"])) for f in files if f["path"].endswith("/seed.json")]
        return found

    def copy(self, seeds, times):
        """As many clusters more, by rows beside those of the made ones: to
        make ten thousand nodes takes longer than to look at them. Of a copy
        the join secrets are not published yet. Their seeds."""
        db = sqlite3.connect(os.path.join(self.state, "jeroboam.sqlite"))
        db.row_factory = sqlite3.Row

        def insert(table, row, **change):
            row = dict(row, **change)
            db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))

        made = []
        with db:
            clusters = db.execute("SELECT * FROM magnum_cluster").fetchall()
            nodes = {(n["cluster_id"], n["name"]): n for n in db.execute("SELECT * FROM magnum_node").fetchall()}
            for number in range(times):
                ids = {c["uuid"]: str(uuid.uuid4()) for c in clusters}
                for c in clusters:
                    insert("magnum_cluster", c, uuid=ids[c["uuid"]], name=f"{c['name']}-{number}")
                    insert("magnum_swarm", {"cluster_id": ids[c["uuid"]], "join_sealed": None, "observed": "{}"})
                for seed in seeds:
                    token = os.urandom(16).hex()
                    insert("magnum_node", nodes[seed["cluster"], seed["node"]], id=str(uuid.uuid4()), session_hash=None,
                           cluster_id=ids[seed["cluster"]], token_hash=hashlib.sha256(token.encode()).hexdigest())
                    made.append(dict(seed, cluster=ids[seed["cluster"]], token=token))
        db.close()
        return made

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def watch(self, seconds):
        """What the server does in so many seconds: percent of a processor,
        statements."""
        cpu, queries, begun = self.cpu(), self.stats()["queries"], time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begun
        return 100 * (self.cpu() - cpu) / took, self.stats()["queries"] - queries


class Agents:
    """The process of the agents."""

    def __init__(self, server, seeds):
        self.process = subprocess.Popen([PROGRAM, f"127.0.0.1:{server.port}", seeds[0]["pin"]], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.process.stdin.write("\n".join(json.dumps(s) for s in seeds).encode())
        self.process.stdin.close()
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = ""

    def read(self):
        if select.select([self.process.stdout], [], [], 0)[0]:
            self.said += (self.process.stdout.read() or b"").decode()
        expect(self.process.poll() is None, f"the agents ended with {self.process.returncode}")
        return self.said

    def up(self, count, seconds):
        def probe():
            said = self.read()
            expect("ended" not in said, said[:500])
            return f"up {count}\n" in said
        wait_for(f"{count} sessions", seconds, probe, 0.1)

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def stop(self):
        self.process.kill()
        self.process.wait()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--agents", type=int, default=200)
    args.add_argument("--nodes", type=int, default=20, help="in each cluster")
    args.add_argument("--made", type=int, default=200, help="nodes that are made; the others are copies of them")
    args.add_argument("--seconds", type=float, default=20)
    args.add_argument("--limit", type=float, help="percent of one processor")
    args = args.parse_args()
    scenarios = Scenarios()
    server, agents, alone = Host(), None, {}
    nodes = min(args.nodes, args.agents)
    made = max(1, min(args.made, args.agents) // nodes)
    clusters = args.agents // nodes // made * made
    count = clusters * nodes
    seeds = []

    def make():
        server.agents(own=True)
        server.start()
        server.template()
        create([server], made, nodes - 1)
        complete(server, made, 120 + made * nodes)
        server.stop()
        seeds.extend(server.seeds())
        seeds.extend(server.copy(seeds, clusters // made - 1))
        expect(len(seeds) == count, f"{len(seeds)} seeds, not {count}")

    def without():
        """A new process: what the clusters' making has left is none of the
        agents'."""
        server.agents(own=False)
        server.start()
        wait_for("a quiet server", 60, lambda: server.watch(2)[1] < 40, 0)
        alone["cpu"], alone["queries"] = server.watch(args.seconds)
        alone["memory"], alone["descriptors"] = server.memory(), server.descriptors()
        return (f"{alone['cpu']:.2f} % of a processor, {alone['queries']} statements in {args.seconds:.0f} s, "
                f"{alone['memory'] / 1024:.1f} MiB, {alone['descriptors']} descriptors")

    def come():
        nonlocal agents
        cpu, queries, begun = server.cpu(), server.stats()["queries"], time.monotonic()
        agents = Agents(server, seeds)
        agents.up(count, 60 + count / 10)
        took = time.monotonic() - begun
        return (f"{took:.1f} s, {count / took:.0f}/s, {server.cpu() - cpu:.1f} s of processor, "
                f"{(server.stats()['queries'] - queries) / count:.1f} statements for each")

    def idle():
        wait_for("a quiet server", 60, lambda: server.watch(2)[1] < 40 + alone["queries"], 0)
        cpu, queries = server.watch(args.seconds)
        memory, descriptors, seen = server.memory(), server.descriptors(), server.stats()["agents"]
        expect("ended" not in agents.read(), agents.said[:500])
        expect(seen["connections"] == count, f"{seen}")
        more = queries - alone["queries"]
        # One statement in a minute asks for 500 clusters each.
        expect(more <= 20 + clusters // 100, f"{more} statements more than without agents")
        expect(descriptors - alone["descriptors"] <= count + 50, f"{descriptors} descriptors")
        if args.limit:
            expect(cpu <= args.limit, f"{cpu:.2f} % of a processor")
        return (f"{cpu:.2f} % of a processor ({cpu - alone['cpu']:+.2f}), {queries} statements ({more:+d}), "
                f"{descriptors} descriptors, {memory / 1024:.1f} MiB, "
                f"{(memory - alone['memory']) / count:.1f} KiB for each agent; {seen}")

    def restart():
        """They are all let go at once; the listener and the counts survive."""
        agents.stop()
        wait_for("no connections", 60, lambda: server.stats()["agents"]["connections"] == 0, 0.2)
        wait_for("no streams", 60, lambda: server.stats()["agents"]["streams"] == 0, 0.2)
        return f"{server.descriptors()} descriptors, {server.memory() / 1024:.1f} MiB"

    try:
        if scenarios.run(f"{clusters} simulated clusters of {nodes} nodes", make) \
                and scenarios.run("the server without agents", without) \
                and scenarios.run(f"{count} agents connect", come):
            scenarios.run(f"{count} agents are idle", idle)
            scenarios.run("the agents disconnect and all resources are released", restart)
    except KeyboardInterrupt:
        scenarios.failed.append("interrupted: timeout")
    except Failed as e:
        scenarios.failed.append(str(e))
    finally:
        if agents:
            agents.stop()
        server.close()
    return scenarios.end()


if __name__ == "__main__":
    sys.exit(main())
