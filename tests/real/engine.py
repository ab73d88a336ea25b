#!/usr/bin/env python3
"""The Docker Engine itself goes down and comes back. Each cluster is healthy
again by itself, with the containers that it had. In a network namespace with
an engine of its own, so that nobody else notices."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

INSIDE = "--inside"
IMAGES = ["jeroboam/swarm:latest", "jeroboam/kubernetes:latest"]


class Engine:
    """A dockerd of the test's own."""

    def __init__(self):
        self.dir = os.environ["ENGINE_DIR"]
        self.socket = f"{self.dir}/docker.sock"
        self.process = None

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
        self.process.terminate()
        self.process.wait(90)


def main():
    stories, engine = Stories(), Engine()
    made, server = {}, None

    def up():
        with open(f"{engine.dir}/images.tar") as tar:
            subprocess.run(["docker", "load"], stdin=tar, check=True, capture_output=True)
        return server.start() and None

    def clusters():
        for coe in ("swarm", "kubernetes"):
            got = server.magnum("POST", "/clustertemplates", {
                "name": coe, "coe": coe, "image_id": coe, "external_network_id": "public", "keypair_id": "default",
                "flavor_id": "m1.small", "master_flavor_id": "m1.medium"})
            expect(got.status == 201, f"{got.status} {got.detail}")
            got = server.magnum("POST", "/clusters", {"name": coe, "cluster_template_id": coe, "node_count": 1})
            expect(got.status == 202, f"{got.status} {got.detail}")
            made[coe] = got.body["uuid"]
        for coe, uuid in made.items():
            server.until(uuid, "CREATE_COMPLETE", 150)
        for coe in made:
            healthy(coe, 30)
        made["containers"] = containers()

    def containers():
        return sorted(run(["docker", "ps", "-aq", "--no-trunc"]).ok().out.split())

    def healthy(coe, seconds):
        def probe():
            shown = server.magnum("GET", f"/clusters/{made[coe]}").body
            if shown["health_status"] != "HEALTHY":
                raise Failed(json.dumps(shown["health_status_reason"]))
            return True
        begun = time.monotonic()
        wait_for(f"{coe} HEALTHY", seconds, probe)
        return time.monotonic() - begun

    def again():
        engine.stop()
        # What is not known is not said to be lost.
        for coe in ("swarm", "kubernetes"):
            expect(server.status(made[coe])[0] == "CREATE_COMPLETE", f"{coe}: {server.status(made[coe])}")
        engine.start()
        # Containers that the engine starts again are not Ready at once.
        time.sleep(2)
        took = {coe: healthy(coe, 120) + 2 for coe in ("swarm", "kubernetes")}
        expect(containers() == made["containers"], "other containers than before")
        nodes()
        return ", ".join(f"{coe} {seconds:.1f} s" for coe, seconds in took.items())

    def nodes():
        """Asked inside of the clusters, not of us."""
        hosts = {}
        for container in made["containers"]:
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

    def gone():
        for coe in ("swarm", "kubernetes"):
            expect(server.magnum("DELETE", f"/clusters/{made[coe]}").status == 204, "delete")
        for coe in ("swarm", "kubernetes"):
            server.until(made[coe], "GONE", 90)
        expect(not server.leaks(), f"leaks: {server.leaks()}")
        expect(not containers(), f"left: {containers()}")

    try:
        engine.start()
        config = f"{engine.dir}/jeroboam.toml"
        with open(config, "w") as f:
            f.write(f'[infra]\ndocker = "unix://{engine.socket}"\n')
        server = Server(config=config)
        if stories.tell("an engine of our own and a server", up):
            if stories.tell("a swarm and a Kubernetes cluster are healthy", clusters):
                stories.tell("the engine is stopped and started", again)
                stories.tell("and once more", again)
                stories.tell("delete leaves nothing", gone)
    except KeyboardInterrupt:
        stories.failed.append("interrupted: the time was over")
    except Failed as e:
        stories.failed.append(str(e))
    finally:
        try:
            if server:
                server.close()
        except Failed as e:
            stories.failed.append(f"close: {e}")
        if engine.process and engine.process.poll() is None:
            engine.stop()
    return stories.end()


def outside():
    """Saves the images, then runs the stories where nobody else lives."""
    dir_ = tempfile.mkdtemp(prefix="jeroboam-engine-", dir="/var/tmp")
    try:
        subprocess.run(["docker", "save", "-o", f"{dir_}/images.tar", *IMAGES], check=True, stdout=subprocess.DEVNULL)
        env = dict(os.environ, ENGINE_DIR=dir_, DOCKER_HOST=f"unix://{dir_}/docker.sock")
        args = ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                os.path.abspath(__file__), INSIDE]
        return subprocess.run(args, env=env, check=False).returncode
    finally:
        # What an engine that broke off leaves running and mounted.
        subprocess.run(["pkill", "-9", "-f", dir_], check=False)
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if line.split()[1].startswith(dir_)]
        for mount in sorted(mounts, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(dir_, ignore_errors=True)


if __name__ == "__main__":
    if INSIDE not in sys.argv:
        sys.exit(outside())
    from world import Failed, Server, Stories, expect, run, wait_for
    sys.exit(main())
