"""The places from which the probe tries to reach the host: root in a node, a privileged
pod, and a privileged pod that shares the node's namespaces and file system."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import kube
from environment import Docker, expect, run, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("node", "pod", "host pod")
IMAGE = "docker.io/jeroboam/echo:1"
# Perl and its libraries, from the node.
PROGRAMS = ("/usr", "/lib", "/lib64")
# What a node with host-root has and an ordinary container does not.
NODE_CAPABILITIES = ("NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYSLOG", "IPC_LOCK", "SYS_NICE")
PROBE = ("calls.pl", "objects.pl", "host.pl", "kernel.pl", "settings.pl")


def program(*parts):
    texts = []
    for part in parts:
        with open(os.path.join(HERE, part)) as f:
            texts.append(f.read())
    return "".join(texts)


class Origin:
    """A place in a node of a cluster where programs run as root. `words` begin a command
    that runs there."""

    def __init__(self, cluster, kind, words, env=None):
        self.cluster, self.kind, self.words, self.env = cluster, kind, words, env

    def __str__(self):
        return f"{self.kind} of {self.cluster}"

    def command(self, variables, *words):
        return [*self.words, "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *(f"{k}={v}" for k, v in variables.items()), *words]

    def perl(self, text, variables):
        """Runs a program and returns the rows of its output."""
        command = self.command(variables, "timeout", "-k", "2", "20", "perl", "-")
        output = run(command, env=self.env, data=text, timeout=30).ok().out
        return [line.split("\t") for line in output.splitlines()]

    def start(self, text, variables, *arguments):
        """Starts a program that runs until the end of its input."""
        return Running(self.command(variables, "perl", "-e", text, "--", *arguments), self.env)


class Running:
    """A program that prints rows and a last word, and waits for the end of its input;
    for use in a `with` block."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=dict(os.environ, **(env or {})))

    def rows(self, last):
        """The rows before the line with the last word. The program ends by itself
        if it takes too long."""
        found = {}
        for line in self.process.stdout:
            if line.rstrip("\n") == last:
                return found
            key, _, value = line.rstrip("\n").partition("\t")
            found[key] = value
        raise AssertionError(f"the program ended: {found} {self.process.stderr.read()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise


def swarm(cluster, container, _server):
    """The origins of a Swarm node. Its engine is reached by its socket, because the API of
    the cluster is that of the master."""
    docker = ["docker", "exec", "-i", container, "docker"]
    rights = ["--privileged"]
    if run([*docker, "run", "--rm", *rights, IMAGE, "true"], timeout=60).code:
        # The device rules of a node with host-root do not permit such containers. Those
        # with the rights of their node start.
        rights = [f"--cap-add={c}" for c in NODE_CAPABILITIES] + ["--volume=/sys:/sys"]
        rights += [f"--security-opt={o}=unconfined" for o in ("seccomp", "apparmor", "systempaths")]
    shares = {"pod": [f"--volume={p}:{p}:ro" for p in PROGRAMS],
              "host pod": ["--pid=host", "--network=host", "--volume=/:/host"]}
    origins = [Origin(cluster, "node", ["docker", "exec", "-i", container])]
    for kind, options in shares.items():
        name = kind.replace(" ", "-")
        run([*docker, "run", "-d", "--name", name, *rights, *options, IMAGE], timeout=60).ok()
        origins.append(Origin(cluster, kind, [*docker, "exec", "-i", name, *in_root(kind)]))
    return origins


def in_root(kind):
    return ["chroot", "/host"] if kind == "host pod" else []


def kubernetes(cluster, container, server):
    """The origins of a Kubernetes node, with pods that a user of the cluster creates."""
    directory = server.directory(f"kube-{cluster}")
    server.cli("cluster", "config", cluster, "--dir", directory, cloud="jeroboam-demo").ok()
    kubectl = kube.Kubectl(directory)
    worker = next(n for n in kubectl.nodes() if "-node-" in n)
    origins = [Origin(cluster, "node", ["docker", "exec", "-i", container])]
    for kind in KINDS[1:]:
        paths = {"host": "/"} if kind == "host pod" else {p.strip("/"): p for p in PROGRAMS}
        mounts = [{"name": n, "mountPath": f"/{n}", "readOnly": kind == "pod"} for n in paths]
        shares = {"hostPID": True, "hostNetwork": True} if kind == "host pod" else {}
        name = kind.replace(" ", "-")
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "nodeName": worker, "terminationGracePeriodSeconds": 0, **shares, "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "probe", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                            "securityContext": {"privileged": True}, "volumeMounts": mounts}],
            "volumes": [{"name": n, "hostPath": {"path": p}} for n, p in paths.items()]}})
        origins.append(Origin(cluster, kind, [kubectl.bin, "exec", "-i", name, "--", *in_root(kind)], kubectl.env))
    wait_for(f"the pods of {cluster}", 60, lambda: started(kubectl))
    return origins


def started(kubectl):
    pods = json.loads(kubectl("get", "pods", "-o", "json").ok().out)["items"]
    return len(pods) == len(KINDS) - 1 and all(pod["status"]["phase"] == "Running" for pod in pods)


def in_parallel(function, items):
    with ThreadPoolExecutor(len(items)) as threads:
        return list(threads.map(function, items))
