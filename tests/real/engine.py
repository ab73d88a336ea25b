#!/usr/bin/env python3
"""The Docker Engine itself goes down and comes back, in order or by SIGKILL.
Each cluster is healthy again by itself, with the containers that it had. In a
network namespace with an engine of its own, so that nobody else notices."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from world import Failed, expect, play, run, wait_for  # noqa: E402

INSIDE = "--inside"
IMAGES = ["jeroboam/swarm:latest", "jeroboam/kubernetes:latest"]
COES = ("swarm", "kubernetes")


class Engine:
    """A dockerd of the test's own, while the stories last."""

    def __init__(self):
        self.dir = os.environ["ENGINE_DIR"]
        self.socket = f"{self.dir}/docker.sock"
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        pid = f"{self.dir}/pid"
        if os.path.exists(pid):
            os.unlink(pid)
        with open(f"{self.dir}/log", "ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--bridge=none", "--host", f"unix://{self.socket}", "--data-root", f"{self.dir}/data",
                 "--exec-root", f"{self.dir}/exec", "--pidfile", pid], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        try:
            wait_for("the engine answers", 60, lambda: run(["docker", "version"]).code == 0)
        except Failed as e:
            with open(f"{self.dir}/log", errors="replace") as log:
                raise Failed(f"{e}\n{''.join(log.readlines()[-15:])}") from None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(90)

    def die(self):
        """dockerd and the containerd that it has started are killed; what
        runs in containers lives on."""
        self.kill([self.process.pid, *found("-P", str(self.process.pid), "-x", "containerd")])

    def vanish(self):
        """Everything is killed, the containers, too."""
        self.kill(processes(self.dir))

    def kill(self, pids):
        kill(pids)
        self.process.wait()
        # A dead containerd that init has not yet buried would be taken for one
        # that runs.
        wait_for("the dead are buried", 60, lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


def found(*how):
    said = subprocess.run(["pgrep", *how], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [int(pid) for pid in said.split()]


def processes(directory):
    """Ids of an engine's processes, then of the first ones of its containers:
    children of the shims."""
    own = found("-f", directory)
    return own + [pid for pid in found("-P", ",".join(map(str, own))) if pid not in own] if own else []


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Clusters:
    """One of each kind."""

    def __init__(self, server, engine):
        self.s, self.engine = server, engine
        self.made, self.stood = {}, None

    def up(self):
        with open(f"{self.engine.dir}/images.tar") as tar:
            subprocess.run(["docker", "load"], stdin=tar, check=True, capture_output=True)
        self.s.start()

    def create(self):
        for coe in COES:
            got = self.s.magnum("POST", "/clustertemplates", {
                "name": coe, "coe": coe, "image_id": coe, "external_network_id": "public", "keypair_id": "default",
                "flavor_id": "m1.small", "master_flavor_id": "m1.medium"})
            expect(got.status == 201, f"{got.status} {got.detail}")
            got = self.s.magnum("POST", "/clusters", {"name": coe, "cluster_template_id": coe, "node_count": 1})
            expect(got.status == 202, f"{got.status} {got.detail}")
            self.made[coe] = got.body["uuid"]
        for uuid in self.made.values():
            self.s.until(uuid, "CREATE_COMPLETE", 150)
        for coe in COES:
            self.healthy(coe, 30)
        self.stood = self.containers()

    def containers(self):
        return sorted(run(["docker", "ps", "-aq", "--no-trunc"]).ok().out.split())

    def healthy(self, coe, seconds):
        def probe():
            shown = self.s.magnum("GET", f"/clusters/{self.made[coe]}").body
            if shown["health_status"] != "HEALTHY":
                raise Failed(json.dumps(shown["health_status_reason"]))
            return True
        wait_for(f"{coe} HEALTHY", seconds, probe)

    def again(self, end):
        """The engine ends so and is started; how long all took from then on."""
        end()
        # What is not known is not said to be lost.
        for coe in COES:
            expect(self.s.status(self.made[coe])[0] == "CREATE_COMPLETE", f"{coe}: {self.s.status(self.made[coe])}")
        begun = time.monotonic()
        self.engine.start()
        took = [f"the engine {time.monotonic() - begun:.1f} s"]
        # Containers that the engine starts again are not Ready at once.
        time.sleep(2)
        for coe in COES:
            self.healthy(coe, 120)
            took.append(f"{coe} {time.monotonic() - begun:.1f} s")
        expect(self.containers() == self.stood, "other containers than before")
        self.nodes()
        return f"from its start on: {', '.join(took)}, asked inside {time.monotonic() - begun:.1f} s"

    def nodes(self):
        """Asked inside of the clusters, not of us."""
        hosts = {}
        for container in self.stood:
            hosts[run(["docker", "inspect", "-f", "{{.Config.Hostname}}", container]).ok().out.strip()] = container
        master = next(c for h, c in hosts.items() if h.startswith("kubernetes-") and "-master-" in h)
        manager = next(c for h, c in hosts.items() if h.startswith("swarm-") and "-master-" in h)

        def ready():
            k8s = run(["docker", "exec", master, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "get", "nodes",
                       "--no-headers"]).ok().out.splitlines()
            swarm = run(["docker", "exec", manager, "docker", "node", "ls", "--format", "{{.Status}}"]).ok().out.split()
            if not (len(k8s) == 2 and all(" Ready" in line for line in k8s) and swarm == ["Ready", "Ready"]):
                raise Failed(f"{k8s} {swarm}")
            return True
        wait_for("all nodes Ready, asked inside", 60, ready)

    def gone(self):
        for uuid in self.made.values():
            expect(self.s.magnum("DELETE", f"/clusters/{uuid}").status == 204, "delete")
        for uuid in self.made.values():
            self.s.until(uuid, "GONE", 90)
        expect(not self.s.leaks(), f"leaks: {self.s.leaks()}")
        expect(not self.containers(), f"left: {self.containers()}")

    def tell(self, stories):
        if (stories.tell("an engine of our own and a server", self.up)
                and stories.tell("a swarm and a Kubernetes cluster are healthy", self.create)):
            for name, end in [
                ("the engine is stopped and started", self.engine.stop),
                ("and once more", self.engine.stop),
                ("dockerd and containerd are killed (SIGKILL) and started", self.engine.die),
                ("all is killed, what runs in containers, too, and started", self.engine.vanish),
            ]:
                stories.tell(name, lambda e=end: self.again(e))
            stories.tell("delete leaves nothing", self.gone)


def inside():
    engine = Engine()
    settings = f'[infra]\ndocker = "unix://{engine.socket}"\n'
    return play(lambda stories, server: Clusters(server, engine).tell(stories), settings, around=engine)


def outside():
    """Saves the images, then runs the stories where nobody else lives."""
    dir_ = tempfile.mkdtemp(prefix="jeroboam-engine-", dir="/var/tmp")
    # Without an end of this kind nothing would be taken away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        subprocess.run(["docker", "save", "-o", f"{dir_}/images.tar", *IMAGES], check=True, stdout=subprocess.DEVNULL)
        env = dict(os.environ, ENGINE_DIR=dir_, DOCKER_HOST=f"unix://{dir_}/docker.sock")
        args = ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                os.path.abspath(__file__), INSIDE]
        with subprocess.Popen(args, env=env) as stories:
            # They end first, then what they have left is taken away.
            signal.signal(signal.SIGTERM, lambda *_: stories.terminate())
            return stories.wait()
    finally:
        # What an engine that broke off leaves running and mounted.
        kill(processes(dir_))
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if line.split()[1].startswith(dir_)]
        for mount in sorted(mounts, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(dir_, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(inside() if INSIDE in sys.argv else outside())
