"""A server with simulated nodes whose agents run in one separate process and use
real connections.
Needs: cargo build -p jeroboam --example idle_agents, or IDLE_AGENTS."""

import hashlib
import json
import os
import select
import socket
import sqlite3
import subprocess
import time
import uuid

from environment import BIN, expect, wait_for
from simulated import Simulated

PROGRAM = os.environ.get("IDLE_AGENTS") or os.path.join(os.path.dirname(BIN), "examples", "idle_agents")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Host(Simulated):
    """A server with simulated nodes, whose agents can run outside of it."""

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
        """The seed files of all nodes."""
        found = []
        for (spec,) in self.environment("SELECT spec FROM sim_container"):
            files = json.loads(spec)["files"]
            found += [json.loads(bytes(f["content"])) for f in files if f["path"].endswith("/seed.json")]
        return found

    def copy(self, seeds, times):
        """Copies the rows of all clusters `times` times, because the creation of ten
        thousand nodes takes longer than the measurement. The join secrets of a copy
        are not published yet. Returns the seeds of the copied nodes."""
        db = sqlite3.connect(os.path.join(self.state, "jeroboam.sqlite"))
        db.row_factory = sqlite3.Row

        def insert(table, row, **change):
            row = dict(row, **change)
            db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))

        copied = []
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
                    copied.append(dict(seed, cluster=ids[seed["cluster"]], token=token))
        db.close()
        return copied

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def watch(self, seconds):
        """Measures the server for that time. Returns its processor load in percent of
        one core, and the number of statements."""
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
        self.output = ""

    def read(self):
        if select.select([self.process.stdout], [], [], 0)[0]:
            self.output += (self.process.stdout.read() or b"").decode()
        expect(self.process.poll() is None, f"the agents ended with {self.process.returncode}")
        return self.output

    def up(self, count, seconds):
        def probe():
            output = self.read()
            expect("ended" not in output, output[:500])
            return f"up {count}\n" in output
        wait_for(f"{count} sessions", seconds, probe, 0.1)

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def stop(self):
        self.process.kill()
        self.process.wait()
