"""Access to a Kubernetes cluster from outside: kubectl, objects for tests, and a
probe of the availability of a Deployment. Python's standard library only.

The client is $KUBECTL; otherwise the multi-call program that `jeroboam image build
kubernetes` has left in its cache; otherwise `kubectl` on the PATH."""

import base64
import glob
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time

from environment import CACHE, Failed, expect, names, run, wait_for

ECHO = "docker.io/jeroboam/echo:1"


def client(directory):
    """Path of the client. If it is the program in the cache, this is a link to it that
    is created in `directory`."""
    cached = sorted(glob.glob(os.path.join(os.environ.get("JEROBOAM_CACHE") or CACHE, "kubernetes", "kube-*", "kube")))
    found = os.environ.get("KUBECTL") or (None if cached else shutil.which("kubectl"))
    if found:
        return found
    expect(cached, "no kubectl: set KUBECTL, or build the image first")
    link = os.path.join(directory, "kubectl")
    if not os.path.lexists(link):
        os.symlink(cached[-1], link)
    return link


class Kubectl:
    """kubectl with the kubeconfig in `directory`."""

    def __init__(self, directory):
        self.bin = client(directory)
        self.config = os.path.join(directory, "config")
        self.env = {"KUBECONFIG": self.config, "HOME": directory}

    def __call__(self, *args, timeout=30, data=None):
        return run([self.bin, *args], env=self.env, timeout=timeout, data=data)

    def apply(self, *objects):
        body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self("apply", "-f", "-", data=json.dumps(body)).ok()

    def items(self, *args):
        return self("get", *args, "-o", "json").json()["items"]

    def nodes(self):
        """Whether each node is Ready, by name."""
        return {n["metadata"]["name"]: ready(n) for n in self.items("nodes")}

    def pods(self, label):
        """Pods that are Ready and are not being deleted, by name."""
        return {p["metadata"]["name"]: p for p in self.items("pods", "-l", label) if available(p)}

    def get(self, pod, host, times=1):
        """Calls the echo service at an address or a name `times` times from inside a
        pod. Returns a word per answer. It uses nc, because wget in the image is
        linked statically with glibc and cannot look up service names."""
        ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {host} 80 | tail -n 1"
        loop = f"i=0; while [ $i -lt {times} ]; do {ask}; i=$((i+1)); done"
        return self("exec", pod, "--", "timeout", "20", "sh", "-c", loop).ok().out.split()

    def api(self):
        """Host and port of the API server, and a TLS context with the user's
        certificate."""
        view = self("config", "view", "--raw", "-o", "json").json()
        cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]

        def path(of, key):
            if of.get(key):
                return os.path.join(os.path.dirname(self.config), of[key])
            with tempfile.NamedTemporaryFile(dir=os.path.dirname(self.config), delete=False) as f:
                f.write(base64.b64decode(of[key + "-data"]))
            return f.name

        context = ssl.create_default_context(cafile=path(cluster, "certificate-authority"))
        context.load_cert_chain(path(user, "client-certificate"), path(user, "client-key"))
        return cluster["server"].split("//")[1].rstrip("/"), context


def ready(thing):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in thing["status"].get("conditions", []))


def available(pod):
    return ready(pod) and not pod["metadata"].get("deletionTimestamp")


def deployment(name, replicas, **more):
    """A Deployment of echo pods with a readiness probe, spread over the nodes."""
    labels = {"app": name}
    container = {"name": "echo", "image": ECHO, "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 80}],
                 "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
              "labelSelector": {"matchLabels": labels}}
    # The first process of these pods ignores SIGTERM, so each deletion takes the whole
    # grace period.
    pod = {"terminationGracePeriodSeconds": 2, "containers": [container], "topologySpreadConstraints": [spread]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": dict(pod, **more)}}}


def service(name, kind):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": kind, "selector": {"app": name}, "ports": [{"port": 80, "targetPort": 80}]}}


def service_to(name, address, port):
    """A service that leads to an address outside of the cluster, with a port of nodes."""
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
         "spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": port}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
         "ports": [{"port": port}], "endpoints": [{"addresses": [address]}]}]


def budget(name, least):
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
            "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": name}}}}


class AvailabilityProbe:
    """Watches the pods of a Deployment and calls its service continuously, in two
    threads; `end` returns the minimum number of available pods."""

    def __init__(self, kubectl, name, url=None):
        self.host, self.context = kubectl.api()
        self.path = f"/api/v1/namespaces/default/pods?labelSelector=app%3D{name}&resourceVersion=0"
        self.url = url
        self.over = threading.Event()
        self.least, self.looks, self.longest = None, 0, 0.0
        self.calls, self.missed = 0, []
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.look, self.call)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        wait_for("a first look at the pods", 10, lambda: self.looks)
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(10)

    def look(self):
        connection, last = None, time.monotonic()
        while not self.over.is_set():
            try:
                connection = connection or http.client.HTTPSConnection(self.host, context=self.context, timeout=5)
                connection.request("GET", self.path)
                pods = json.loads(connection.getresponse().read())["items"]
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                connection = None
                self.over.wait(0.1)
                continue
            count = sum(1 for p in pods if available(p))
            self.least = count if self.least is None else min(self.least, count)
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now
            self.looks += 1
            self.over.wait(0.02)

    def call(self):
        while self.url and not self.over.is_set():
            connection = http.client.HTTPConnection(self.url, timeout=5)
            self.calls += 1
            try:
                connection.request("GET", "/")
                if connection.getresponse().status != 200:
                    self.missed.append("status")
            except (OSError, http.client.HTTPException) as e:
                self.missed.append(str(e))
            finally:
                connection.close()
            self.over.wait(0.02)

    def kept(self, least):
        expect(self.least is not None and self.least >= least,
               f"the budget wants {least}, but only {self.least} pods were available at a time")
        expect(self.longest < 5, f"no check for {self.longest:.1f} s")
        return f"never below {self.least} in {self.looks} looks; {len(self.missed)} of {self.calls} calls failed {self.missed[:2] or ''}"


class Forward:
    """Runs `kubectl port-forward` inside a `with` block; `port` is the local port."""

    def __init__(self, kubectl, target, port):
        self.process = subprocess.Popen([kubectl.bin, "port-forward", target, f":{port}"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env=dict(os.environ, **kubectl.env))
        limit = threading.Timer(20, self.process.kill)
        limit.start()
        line = self.process.stdout.readline()
        limit.cancel()
        if "127.0.0.1:" not in line:
            self.process.kill()
            raise Failed(f"port-forward printed: {line}")
        self.port = int(line.split("127.0.0.1:")[1].split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def gateway(server):
    """The address of the host in the network of the server's nodes."""
    container = next(iter(containers(server).values()))
    networks = json.loads(run(["docker", "inspect", container]).ok().out)[0]["NetworkSettings"]["Networks"]
    return next(iter(networks.values()))["Gateway"]


def containers(server):
    """Names of the containers of a server's nodes, by host name."""
    ids = names("container", f"label=io.jeroboam.installation={server.installation()}")
    if not ids:
        return {}
    shown = json.loads(run(["docker", "inspect", *ids]).ok().out)
    return {c["Config"]["Hostname"]: c["Name"].lstrip("/") for c in shown}


def healthy(server, cluster, seconds):
    """Waits until the cluster is HEALTHY. Returns the seconds that it took."""
    begun = time.monotonic()

    def probe():
        shown = server.magnum("GET", f"/clusters/{cluster}").body
        if shown["health_status"] == "HEALTHY":
            return True
        raise Failed(f"{shown['health_status']}: {shown['health_status_reason']}")

    wait_for(f"{cluster} HEALTHY", seconds, probe)
    return time.monotonic() - begun
