#!/usr/bin/env python3
"""From `cluster create` accepted to CREATE_COMPLETE against a script by hand in the
same run, alternating. Reports; no figure fails it.
speed.py [--coe swarm|kubernetes] [--sizes 2,9] [--rounds 3]"""

import argparse
import datetime
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from environment import expect, run_scenarios, run  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATES = {
    "swarm": {"image_id": "swarm", "flavor_id": "m1.small", "master_flavor_id": "m1.small"},
    "kubernetes": {"image_id": "kubernetes", "flavor_id": "m1.small", "master_flavor_id": "m1.medium"},
}
FLOORS = {"swarm": "floor.sh", "kubernetes": "floor_kubernetes.py"}


def by_hand(coe, workers):
    """Milliseconds until all nodes are Ready and, in Kubernetes, until the
    DNS is."""
    said = run([os.path.join(HERE, FLOORS[coe]), str(workers)], timeout=240).ok().out.split()
    return [int(word) for word in said[-2:]] if coe == "kubernetes" else [int(said[-1])]


def by_server(server, coe, workers):
    """The same, from the acceptance; then what deleting takes, and the steps."""
    begun = time.time()
    got = server.magnum("POST", "/clusters", {
        "name": f"speed{workers}", "cluster_template_id": coe, "node_count": workers})
    expect(got.status == 202, f"create: {got.status} {got.detail}")
    uuid = got.body["uuid"]
    server.until(uuid, "CREATE_COMPLETE", 240)
    took = [(time.time() - begun) * 1000]
    shown = server.call("GET", f"/jeroboam/v1/clusters/{uuid}/progress").body
    steps = {}
    for node in shown["nodes"]:
        for step in node["steps"]:
            name = step["name"] + (" (master)" if node["role"] == "master" else "")
            at = datetime.datetime.fromisoformat(step["at"].replace("Z", "+00:00")).timestamp()
            steps.setdefault(name, []).append((step["ms"], (at - begun) * 1000 + step["ms"]))
    if coe == "kubernetes":
        took.insert(0, max(end for name, ends in steps.items() if name.startswith("node") for _, end in ends))
    begun = time.monotonic()
    expect(server.magnum("DELETE", f"/clusters/{uuid}").status == 204, "delete")
    server.until(uuid, "GONE", 120)
    return took, (time.monotonic() - begun) * 1000, steps


def compare(server, coe, workers, rounds):
    rows, names = [], ["all Ready", "with DNS"] if coe == "kubernetes" else ["all Ready"]
    for _ in range(rounds):
        hand = by_hand(coe, workers)
        ours, gone, steps = by_server(server, coe, workers)
        rows.append((hand, ours, gone))
        print(f"        1+{workers}: " + "; ".join(
            f"{n} by hand {h} ms, server {o:.0f} ms ({o - h:+.0f})" for n, h, o in zip(names, hand, ours))
            + f"; delete {gone:.0f} ms")
    print("        step                     longest ms   ended at ms")
    for name, times in sorted(steps.items(), key=lambda item: max(end for _, end in item[1])):
        print(f"        {name:<24} {max(t for t, _ in times):>10.0f} {max(end for _, end in times):>13.0f}")

    def middle(pick):
        return sorted(pick(r) for r in rows)[len(rows) // 2]
    said = [f"{n}: by hand {middle(lambda r: r[0][i])} ms, server {middle(lambda r: r[1][i]):.0f} ms "
            f"({middle(lambda r: r[1][i] - r[0][i]):+.0f})" for i, n in enumerate(names)]
    return f"medians: {'; '.join(said)}; delete {middle(lambda r: r[2]):.0f} ms"


def weight(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    server.stop()
    again = server.start()
    return f"{rss / 1024:.0f} MiB resident after the load, ready {again:.0f} ms after a start on the same state"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--coe", choices=sorted(TEMPLATES), default="swarm")
    args.add_argument("--sizes", default="2")
    args.add_argument("--rounds", type=int, default=1)
    args = args.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")

    def run_all(scenarios, server):
        if not scenarios.run("the server starts", lambda: f"{server.start():.0f} ms on an empty state directory"):
            return
        got = server.magnum("POST", "/clustertemplates", {
            "name": args.coe, "coe": args.coe, "external_network_id": "public", "keypair_id": "default",
            **TEMPLATES[args.coe]})
        if scenarios.run("a template", lambda: expect(got.status == 201, f"{got.status} {got.detail}")):
            for workers in map(int, args.sizes.split(",")):
                scenarios.run(f"1+{workers}", lambda n=workers: compare(server, args.coe, n, args.rounds))
        scenarios.run("weight", lambda: weight(server))

    return run_scenarios(run_all)


if __name__ == "__main__":
    sys.exit(main())
