"""Compares the time from the acceptance of `cluster create` to CREATE_COMPLETE with the
time that a manual script takes for the same cluster, alternating in the same run. The
figures are only reported.
Options: --coe, --sizes 2,9, --rounds."""

import datetime
import os
import time

import pytest
from environment import expect, run

pytestmark = [pytest.mark.engine, pytest.mark.measured]
HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATES = {
    "swarm": {"image_id": "swarm", "flavor_id": "m1.small", "master_flavor_id": "m1.small"},
    "kubernetes": {"image_id": "kubernetes", "flavor_id": "m1.small", "master_flavor_id": "m1.medium"},
}
FLOORS = {"swarm": "floor.sh", "kubernetes": "floor_kubernetes.py"}


def by_hand(coe, workers):
    """Runs the script. Returns the milliseconds until all nodes are Ready and, for
    Kubernetes, until the cluster's DNS is ready, too."""
    output = run([os.path.join(HERE, FLOORS[coe]), str(workers)], timeout=240).ok().out.split()
    return [int(word) for word in output[-2:]] if coe == "kubernetes" else [int(output[-1])]


def by_server(server, coe, workers):
    """Returns the same times for the server, from the acceptance of the request; then
    the time of the delete, and the steps of the nodes."""
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


def pytest_generate_tests(metafunc):
    if "workers" in metafunc.fixturenames:
        sizes = metafunc.config.getoption("sizes") or "2"
        metafunc.parametrize("workers", [int(size) for size in sizes.split(",")])


@pytest.fixture(scope="module")
def coe(server, option, report):
    """The COE of the clusters. Its template is created."""
    report(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    coe = option("coe")
    got = server.magnum("POST", "/clustertemplates", {
        "name": coe, "coe": coe, "external_network_id": "public", "keypair_id": "default", **TEMPLATES[coe]})
    expect(got.status == 201, f"{got.status} {got.detail}")
    return coe


def test_create_beside_a_script_by_hand(server, coe, workers, option, report):
    rows, names = [], ["all Ready", "with DNS"] if coe == "kubernetes" else ["all Ready"]
    for _ in range(option("rounds", 1)):
        hand = by_hand(coe, workers)
        ours, gone, steps = by_server(server, coe, workers)
        rows.append((hand, ours, gone))
        report(f"1+{workers}: " + "; ".join(
            f"{n} by hand {h} ms, server {o:.0f} ms ({o - h:+.0f})" for n, h, o in zip(names, hand, ours))
            + f"; delete {gone:.0f} ms")
    report("step                     longest ms   ended at ms")
    for name, times in sorted(steps.items(), key=lambda item: max(end for _, end in item[1])):
        report(f"{name:<24} {max(t for t, _ in times):>10.0f} {max(end for _, end in times):>13.0f}")

    def middle(pick):
        return sorted(pick(r) for r in rows)[len(rows) // 2]
    medians = [f"{n}: by hand {middle(lambda r: r[0][i])} ms, server {middle(lambda r: r[1][i]):.0f} ms "
            f"({middle(lambda r: r[1][i] - r[0][i]):+.0f})" for i, n in enumerate(names)]
    report(f"medians: {'; '.join(medians)}; delete {middle(lambda r: r[2]):.0f} ms")


def test_memory_and_start_after_the_load(server, report):
    with open(f"/proc/{server.process.pid}/status") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    server.stop()
    again = server.start()
    report(f"{rss / 1024:.0f} MiB resident after the load, ready {again:.0f} ms after a start on the same state")
