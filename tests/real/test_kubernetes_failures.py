"""Nodes that cannot start. For each cause the cluster fails within a deadline, the
reason contains the node, the step, its last output and the remedy, and the cluster can
be deleted."""

import glob
import os
import re
import sqlite3
import time

import pytest
from environment import expect, run

pytestmark = pytest.mark.engine
DEADLINE = 90
# The script has an effect only on nodes whose host name contains `where`, so the other
# nodes of the cluster are healthy.
SCRIPT = '#!/bin/sh\ncase "$(hostname)" in\n*{where}*) {what} ;;\nesac\n{then}\n'
CAUSES = [
    # Suffix of the image, program that is replaced, part of the host names of the affected
    # nodes, command that fails, and command that runs the original program.
    ("broken", "/usr/local/bin/kubelet", "node-", 'echo "kubelet: cannot load its library libfrost.so.1" >&2; exit 127',
     'exec /usr/local/libexec/kubelet "$@"'),
    ("taken", "/usr/bin/tini", "node-", "socat TCP-LISTEN:10250,fork,reuseaddr SYSTEM:true &", 'exec /usr/local/libexec/tini "$@"'),
    ("master-taken", "/usr/bin/tini", "master", "socat TCP-LISTEN:6443,fork,reuseaddr SYSTEM:true &",
     'exec /usr/local/libexec/tini "$@"'),
    # A file in memory that leaves less memory than the programs of a node need.
    ("hungry", "/usr/bin/tini", "node-", "head -c 235M /dev/zero > /run/ballast", 'exec /usr/local/libexec/tini "$@"'),
    ("absent", "/usr/local/bin/jeroboam-node", "node-", 'echo "jeroboam-node: not for this processor" >&2; exit 126',
     'exec /usr/local/libexec/jeroboam-node "$@"'),
]


def derive(base, name, path, where, what, then):
    """Creates an image from `base` in which a script replaces a program and then runs
    it. It is committed from a container, so no image builder is needed."""
    container = f"jeroboam-derive-{name}-{os.getpid()}"
    script = SCRIPT.format(where=where, what=what, then=then)
    inner = os.path.basename(path)
    move = (f"set -e; mkdir -p /usr/local/libexec; cp -a $(readlink -f {path}) /usr/local/libexec/{inner}; rm {path}; "
            f"cat > {path}; chmod 755 {path}")
    if os.path.basename(path) == "kubelet":
        # kubelet is a link to a multi-call program, which needs the name of the link.
        move = f"set -e; mkdir -p /usr/local/libexec; ln -s /usr/local/bin/kube /usr/local/libexec/{inner}; rm {path}; cat > {path}; chmod 755 {path}"
    try:
        run(["docker", "run", "-i", "--name", container, "--network", "none", "--entrypoint", "sh", base, "-c", move],
            data=script).ok()
        run(["docker", "commit", "--change", f"LABEL io.jeroboam.image=kubernetes-{name}",
             "--change", 'ENTRYPOINT ["tini","--","jeroboam-node","init"]', "--change", "CMD []",
             container, f"jeroboam/kubernetes-{name}:latest"]).ok()
    finally:
        run(["docker", "rm", "-fv", container])


@pytest.fixture(scope="module")
def settings(option):
    """Creates the images of all causes, and removes them when the server is closed."""
    made = []
    try:
        for name, *how in CAUSES:
            derive(f"jeroboam/{option('image')}:latest", name, *how)
            made.append(f"jeroboam/kubernetes-{name}:latest")
        yield None
    finally:
        for image in made:
            run(["docker", "rmi", "-f", image])


@pytest.fixture(scope="module")
def server(server):
    """A server with additional flavors that are too small. They are written into the
    database, because the API cannot create flavors yet."""
    server.stop()
    path = next(p for p in glob.glob(os.path.join(server.state, "*.sqlite")))
    db = sqlite3.connect(path)
    db.execute("INSERT INTO flavor (id, name, vcpus, ram, disk) VALUES ('91', 'cramped', 1, 128, 1)")
    db.execute("INSERT INTO flavor (id, name, vcpus, ram, disk) VALUES ('92', 'least', 1, 256, 1)")
    db.commit()
    db.close()
    server.start()
    return server


def delete(server, name, report):
    if server.status(name)[0] != "GONE":
        begun = time.monotonic()
        got = server.magnum("DELETE", f"/clusters/{name}")
        expect(got.status == 204, f"delete: {got.status} {got.detail}")
        server.until(name, "GONE", 90)
        report(f"deleted after {time.monotonic() - begun:.1f} s")
    left = server.left()
    expect(not left and server.leaks() == [], f"left behind: {left} {server.leaks()}")


def test_flavors_below_what_a_node_needs_are_refused(server):
    """The request is refused before anything is created, with the required memory."""
    body = {"name": "cramped", "coe": "kubernetes", "image_id": "kubernetes", "external_network_id": "public",
            "keypair_id": "default", "flavor_id": "cramped", "master_flavor_id": "m1.small"}
    got = server.magnum("POST", "/clustertemplates", body)
    expect(got.status == 201, f"template: {got.status} {got.detail}")
    for flavors, refusal in [({}, "Flavor cramped has 128 MiB of memory; a worker needs at least 256 MiB."),
                          ({"flavor_id": "least", "master_flavor_id": "cramped"},
                           "Flavor cramped has 128 MiB of memory; a master needs at least 1024 MiB.")]:
        got = server.magnum("POST", "/clusters", dict(flavors, name="cramped", cluster_template_id="cramped"))
        expect(got.status == 400 and got.detail == refusal, f"{got.status} {got.detail}")


@pytest.mark.parametrize("name, words, image, flavor, node", [
    ("broken", ["step kubelet failed", "libfrost.so.1", "jeroboam image build kubernetes"], "kubernetes-broken", "m1.small", "node-0"),
    ("taken", ["failed", "10250", "address already in use", "Another process"], "kubernetes-taken", "m1.small", "node-0"),
    ("mtaken", ["step apiserver failed", "6443", "address already in use", "Another process"], "kubernetes-master-taken",
     "m1.small", "master-0"),
    ("absent", ["not for this processor", "126", "image"], "kubernetes-absent", "m1.small", "node-0"),
    ("hungry", ["memory", "larger flavor"], "kubernetes-hungry", "least", "node-0"),
], ids=["kubelet-cannot-run", "port-of-kubelet-taken", "port-of-apiserver-taken", "agent-cannot-run", "out-of-memory"])
def test_reason_names_node_cause_and_remedy(server, name, words, image, flavor, node, report):
    """Creates a cluster of one master and one worker of this image and flavor."""
    body = {"name": name, "coe": "kubernetes", "image_id": image, "external_network_id": "public",
            "keypair_id": "default", "flavor_id": flavor, "master_flavor_id": "m1.small"}
    got = server.magnum("POST", "/clustertemplates", body)
    expect(got.status == 201, f"template: {got.status} {got.detail}")
    got = server.magnum("POST", "/clusters", {"name": name, "cluster_template_id": name, "node_count": 1, "create_timeout": 5})
    expect(got.status == 202, f"create: {got.status} {got.detail}")
    begun = time.monotonic()
    try:
        server.until(name, "CREATE_FAILED", DEADLINE)
        took = time.monotonic() - begun
        shown = server.openstack("coe", "cluster", "show", name, "-f", "json").json()
        reason = shown["status_reason"]
        report(reason)
        groups = {"node-": "default-worker", "master-": "default-master"}
        group = next(g for word, g in groups.items() if node.startswith(word))
        texts = {"status_reason": reason, "faults": str(shown["faults"]),
                 "jeroboam cluster show": server.cli("cluster", "show", name, cloud="jeroboam-demo").ok().out}
        for where, text in texts.items():
            # The command line wraps long cells of a table.
            text = re.sub(r"[\s│┆|]+", " ", text)
            for word in (node, *words):
                expect(word in text, f"'{word}' is not in {where}: {text}")
        expect(group in shown["faults"], f"faults are of {list(shown['faults'])}, not {group}")
        expect("CREATE_FAILED" in texts["jeroboam cluster show"], "the command shows another status")
        others = [o for o in ("master-0", "node-0", "node-1") if o != node and f"-{o}" in reason]
        expect(not others, f"the reason names {others}, too: {reason}")
    finally:
        delete(server, name, report)
    report(f"after {took:.1f} s")
