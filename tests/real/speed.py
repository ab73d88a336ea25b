#!/usr/bin/env python3
"""From `cluster create` accepted to CREATE_COMPLETE against floor.sh in the
same run, alternating. Reports; no figure fails it.
speed.py [--sizes 2,9] [--rounds 3]"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from world import Failed, Server, Stories, expect, run  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = {"name": "speed", "coe": "swarm", "image_id": "swarm", "external_network_id": "public",
            "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.small"}


def by_hand(workers):
    return int(run([os.path.join(HERE, "floor.sh"), str(workers)], timeout=180).ok().out.split()[-1])


def by_server(server, workers):
    got = server.magnum("POST", "/clusters", {"name": f"speed{workers}", "cluster_template_id": "speed", "node_count": workers})
    expect(got.status == 202, f"create: {got.status} {got.detail}")
    uuid, begun = got.body["uuid"], time.monotonic()
    server.until(uuid, "CREATE_COMPLETE", 180)
    took = (time.monotonic() - begun) * 1000
    begun = time.monotonic()
    expect(server.magnum("DELETE", f"/clusters/{uuid}").status == 204, "delete")
    server.until(uuid, "GONE", 120)
    return took, (time.monotonic() - begun) * 1000


def compare(server, workers, rounds):
    rows = []
    for _ in range(rounds):
        hand = by_hand(workers)
        ours, gone = by_server(server, workers)
        rows.append((hand, ours, gone))
        print(f"        1+{workers}: by hand {hand} ms, server {ours:.0f} ms ({ours - hand:+.0f}), delete {gone:.0f} ms")
    hand, ours, gone = (sorted(r[i] for r in rows)[len(rows) // 2] for i in range(3))
    return f"median: by hand {hand} ms, server {ours:.0f} ms ({ours - hand:+.0f} ms), delete {gone:.0f} ms"


def weight(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    server.stop()
    again = server.start()
    return f"{rss / 1024:.0f} MiB resident after the load, ready {again:.0f} ms after a start on the same state"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--sizes", default="2")
    args.add_argument("--rounds", type=int, default=1)
    args = args.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    stories, server = Stories(), Server()
    try:
        if stories.tell("the server starts", lambda: f"{server.start():.0f} ms on an empty state directory"):
            got = server.magnum("POST", "/clustertemplates", TEMPLATE)
            if stories.tell("a template", lambda: expect(got.status == 201, f"{got.status} {got.detail}")):
                for workers in map(int, args.sizes.split(",")):
                    stories.tell(f"1+{workers}", lambda n=workers: compare(server, n, args.rounds))
            stories.tell("weight", lambda: weight(server))
    except KeyboardInterrupt:
        stories.failed.append("interrupted: the time was over")
    finally:
        try:
            server.close()
        except Failed as e:
            stories.failed.append(f"close: {e}")
    return stories.end()


if __name__ == "__main__":
    sys.exit(main())
