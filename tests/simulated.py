"""Servers with simulated nodes. Several of them can share a simulator and a
database."""

import contextlib
import os
import sqlite3
import threading
import time

from environment import Failed, Gone, Server, expect, wait_for

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
            f.write(CONFIG.format(top=top, environment=os.path.join(home.state, "simulator.sqlite")))

    def environment(self, statement, *values):
        """Reads or changes the simulated infrastructure."""
        db = sqlite3.connect(os.path.join(self.state, "simulator.sqlite"), timeout=10)
        try:
            with db:
                return db.execute(statement, values).fetchall()
        finally:
            db.close()

    def break_next(self, message):
        """The next start of a container fails with this message, and is not repeated."""
        self.environment("INSERT INTO sim_fault (id, step, name, transient, message, times) VALUES (?, 'Start', '', 0, ?, 1)",
                   os.urandom(16).hex(), message)

    def memory(self):
        """Resident memory of the server in KiB."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def cpu(self):
        """Seconds of processor time that the server has used since its start."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def statements(self):
        return self.call("GET", "/jeroboam/v1/stats", cloud="jeroboam").body["queries"]

    def commits(self):
        """The number of commits in `/metrics`; None if the release has no `/metrics`."""
        with contextlib.suppress(OSError, Failed):
            for line in self.call("GET", "/metrics", cloud=None).raw.decode().splitlines():
                if line.startswith("jeroboam_db_commits_total "):
                    return int(float(line.split()[1]))
        return None

    def template(self):
        got = self.magnum("POST", "/clustertemplates", TEMPLATE)
        expect(got.status == 201, f"{got.status} {got.detail}")


def create(servers, count, workers, callers=8):
    """Creates clusters through the servers in turn. Returns the seconds until all
    requests were accepted. Fails if a request fails."""
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
    """The number of clusters by status."""
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
    """Waits until all clusters are CREATE_COMPLETE; none may fail."""
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
    # Frequent lists of many clusters would distort the measurement of their creation.
    wait_for(f"{count} clusters complete", seconds, probe, 0.25 if count <= 100 else 1)


def delete_all(server, seconds):
    begun = time.monotonic()
    rows = server.magnum("GET", "/clusters?limit=1000").body["clusters"]
    for row in rows:
        expect(server.magnum("DELETE", f"/clusters/{row['uuid']}").status == 204, "delete")
    wait_for("all clusters gone", seconds, lambda: not server.magnum("GET", "/clusters?limit=1").body["clusters"], 0.25)
    wait_for("no leaks", 30, lambda: not server.leaks(), 0.5)
    return time.monotonic() - begun
