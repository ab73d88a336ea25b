#!/usr/bin/env python3
"""Workers that cannot start: for each cause the cluster fails within a
deadline, the reason names node, step, last output and the remedy, and the
cluster can be deleted.  kubernetes_failures.py [--image TAG]"""

import argparse
import glob
import os
import re
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from environment import expect, run_scenarios, run  # noqa: E402

DEADLINE = 90
# The name of a node shows its role; the other nodes of the cluster are healthy.
ONLY = '#!/bin/sh\ncase "$(hostname)" in\n*{where}*) {what} ;;\nesac\n{then}\n'
CAUSES = [
    # Image, path that is replaced, script, what the node is.
    ("broken", "/usr/local/bin/kubelet", "node-", 'echo "kubelet: cannot load its library libfrost.so.1" >&2; exit 127',
     'exec /usr/local/libexec/kubelet "$@"'),
    ("taken", "/usr/bin/tini", "node-", "socat TCP-LISTEN:10250,fork,reuseaddr SYSTEM:true &", 'exec /usr/local/libexec/tini "$@"'),
    ("master-taken", "/usr/bin/tini", "master", "socat TCP-LISTEN:6443,fork,reuseaddr SYSTEM:true &",
     'exec /usr/local/libexec/tini "$@"'),
    # A file in memory that leaves the node less than its programs take.
    ("hungry", "/usr/bin/tini", "node-", "head -c 235M /dev/zero > /run/ballast", 'exec /usr/local/libexec/tini "$@"'),
    ("absent", "/usr/local/bin/jeroboam-node", "node-", 'echo "jeroboam-node: not for this processor" >&2; exit 126',
     'exec /usr/local/libexec/jeroboam-node "$@"'),
]


def derive(base, name, path, where, what, then):
    """An image like `base` in which a script stands before a program. Only
    what is new is committed; no builder is needed."""
    container = f"jeroboam-derive-{name}-{os.getpid()}"
    script = ONLY.format(where=where, what=what, then=then)
    inner = os.path.basename(path)
    move = (f"set -e; mkdir -p /usr/local/libexec; cp -a $(readlink -f {path}) /usr/local/libexec/{inner}; rm {path}; "
            f"cat > {path}; chmod 755 {path}")
    if os.path.basename(path) == "kubelet":
        # A multi-call program: its name decides what it is.
        move = f"set -e; mkdir -p /usr/local/libexec; ln -s /usr/local/bin/kube /usr/local/libexec/{inner}; rm {path}; cat > {path}; chmod 755 {path}"
    try:
        run(["docker", "run", "-i", "--name", container, "--network", "none", "--entrypoint", "sh", base, "-c", move],
            data=script).ok()
        run(["docker", "commit", "--change", f"LABEL io.jeroboam.image=kubernetes-{name}",
             "--change", 'ENTRYPOINT ["tini","--","jeroboam-node","init"]', "--change", "CMD []",
             container, f"jeroboam/kubernetes-{name}:latest"]).ok()
    finally:
        run(["docker", "rm", "-fv", container])


class Images:
    """Images of all faults, while the scenarios run."""

    def __init__(self, base):
        self.base, self.made = base, []

    def __enter__(self):
        return self

    def make(self):
        for name, *how in CAUSES:
            derive(self.base, name, *how)
            self.made.append(f"jeroboam/kubernetes-{name}:latest")

    def __exit__(self, *_):
        for image in self.made:
            run(["docker", "rmi", "-f", image])


class Failures:
    def __init__(self, server, images):
        self.s, self.images = server, images

    def cramped_flavor(self):
        """There is no request that makes flavors yet."""
        self.s.start()
        self.s.stop()
        path = next(p for p in glob.glob(os.path.join(self.s.state, "*.sqlite")))
        db = sqlite3.connect(path)
        db.execute("INSERT INTO flavor (id, name, vcpus, ram, disk) VALUES ('91', 'cramped', 1, 128, 1)")
        db.execute("INSERT INTO flavor (id, name, vcpus, ram, disk) VALUES ('92', 'least', 1, 256, 1)")
        db.commit()
        db.close()
        self.s.start()

    def fails(self, name, words, image="kubernetes", flavor="m1.small", node="node-0"):
        """A cluster of 1 and 2 whose workers are of the flavor."""
        body = {"name": name, "coe": "kubernetes", "image_id": image, "external_network_id": "public",
                "keypair_id": "default", "flavor_id": flavor, "master_flavor_id": "m1.small"}
        got = self.s.magnum("POST", "/clustertemplates", body)
        expect(got.status == 201, f"template: {got.status} {got.detail}")
        got = self.s.magnum("POST", "/clusters", {"name": name, "cluster_template_id": name, "node_count": 1, "create_timeout": 5})
        expect(got.status == 202, f"create: {got.status} {got.detail}")
        begun = time.monotonic()
        try:
            self.s.until(name, "CREATE_FAILED", DEADLINE)
            took = time.monotonic() - begun
            shown = self.s.openstack("coe", "cluster", "show", name, "-f", "json").json()
            reason = shown["status_reason"]
            print(f"        {reason}")
            groups = {"node-": "default-worker", "master-": "default-master"}
            group = next(g for word, g in groups.items() if node.startswith(word))
            texts = {"status_reason": reason, "faults": str(shown["faults"]),
                     "jeroboam cluster show": self.s.cli("cluster", "show", name, cloud="jeroboam-demo").ok().out}
            for where, text in texts.items():
                # A table folds its cells.
                text = re.sub(r"[\s│┆|]+", " ", text)
                for word in (node, *words):
                    expect(word in text, f"'{word}' is not in {where}: {text}")
            expect(group in shown["faults"], f"faults are of {list(shown['faults'])}, not {group}")
            expect("CREATE_FAILED" in texts["jeroboam cluster show"], "the command shows another status")
            others = [o for o in ("master-0", "node-0", "node-1") if o != node and f"-{o}" in reason]
            expect(not others, f"the reason speaks of {others}, too: {reason}")
        finally:
            self.gone(name)
        return f"after {took:.1f} s"

    def too_small(self):
        """Refused before anything is made, and by how much."""
        body = {"name": "cramped", "coe": "kubernetes", "image_id": "kubernetes", "external_network_id": "public",
                "keypair_id": "default", "flavor_id": "cramped", "master_flavor_id": "m1.small"}
        got = self.s.magnum("POST", "/clustertemplates", body)
        expect(got.status == 201, f"template: {got.status} {got.detail}")
        for flavors, said in [({}, "Flavor cramped has 128 MiB of memory; a worker needs at least 256 MiB."),
                              ({"flavor_id": "least", "master_flavor_id": "cramped"},
                               "Flavor cramped has 128 MiB of memory; a master needs at least 1024 MiB.")]:
            got = self.s.magnum("POST", "/clusters", dict(flavors, name="cramped", cluster_template_id="cramped"))
            expect(got.status == 400 and got.detail == said, f"{got.status} {got.detail}")

    def gone(self, name):
        if self.s.status(name)[0] != "GONE":
            begun = time.monotonic()
            got = self.s.magnum("DELETE", f"/clusters/{name}")
            expect(got.status == 204, f"delete: {got.status} {got.detail}")
            self.s.until(name, "GONE", 90)
            print(f"        deleted after {time.monotonic() - begun:.1f} s")
        left = self.s.left()
        expect(not left and self.s.leaks() == [], f"left behind: {left} {self.s.leaks()}")

    def run_all(self, scenarios):
        if not (scenarios.run("images of all faults are made", self.images.make)
                and scenarios.run("flavors that are too small", self.cramped_flavor)):
            return
        for title, scenario in [
            ("a kubelet that cannot run", lambda: self.fails(
                "broken", ["step kubelet failed", "libfrost.so.1", "jeroboam image build kubernetes"], "kubernetes-broken")),
            ("the kubelet's port is taken", lambda: self.fails(
                "taken", ["failed", "10250", "address already in use", "Another process"], "kubernetes-taken")),
            ("the API server's port is taken", lambda: self.fails(
                "mtaken", ["step apiserver failed", "6443", "address already in use", "Another process"],
                "kubernetes-master-taken", node="master-0")),
            ("an agent that cannot run", lambda: self.fails(
                "absent", ["not for this processor", "126", "image"], "kubernetes-absent")),
            ("flavors below what a node takes are refused", self.too_small),
            ("a worker that runs out of memory", lambda: self.fails(
                "hungry", ["memory", "larger flavor"], "kubernetes-hungry", flavor="least")),
        ]:
            scenarios.run(title, scenario)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--image", default="jeroboam/kubernetes:latest")
    images = Images(args.parse_args().image)
    # They are in use until the server is closed.
    return run_scenarios(lambda scenarios, server: Failures(server, images).run_all(scenarios), around=images)


if __name__ == "__main__":
    sys.exit(main())
