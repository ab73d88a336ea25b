"""Images that Jeroboam did not build: registration, refusals, and errors for missing
images. No registry is used, because the address in the references refuses connections.

JEROBOAM_KINDEST and JEROBOAM_K3S name images of the engine that work like kindest/node
and rancher/k3s. Clusters are created only from these; stand_ins/build.sh builds such
images without a registry. The agent in the directory of the server must then be linked
statically."""

import os
import time

import pytest
from environment import expect, names, run, wait_for
from kube import Kubectl

pytestmark = pytest.mark.engine
# Nodes of these images have no user namespaces.
SETTINGS = """[clusters.isolation]
host_root = "all"
"""
ABSENT = "127.0.0.1:1/kindest/node:v1.36.1"
KINDEST, K3S = os.environ.get("JEROBOAM_KINDEST"), os.environ.get("JEROBOAM_K3S")


class Flavours:
    def __init__(self, server):
        self.s = server

    def register(self, name, reference, *more):
        return self.s.cli("image", "register", name, "--ref", reference, *more)

    def template(self, name, image, **more):
        body = {"name": name, "coe": "kubernetes", "image_id": image, "external_network_id": "public",
                "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.small",
                "master_lb_enabled": True}
        got = self.s.magnum("POST", "/clustertemplates", dict(body, **more))
        expect(got.status == 201, f"template: {got.status} {got.detail}")

    def gone(self, name):
        if self.s.status(name)[0] != "GONE":
            self.s.magnum("DELETE", f"/clusters/{name}")
            self.s.until(name, "GONE", 90)
        left = self.s.left()
        expect(not left and self.s.leaks() == [], f"left behind: {left} {self.s.leaks()}")

    def cluster(self, flavour, reference):
        """Creates a cluster of one master and one worker, and opens it with the kubeconfig
        of the unmodified client."""
        self.register(flavour, reference, "--flavour", flavour).ok()
        self.template(flavour, flavour, master_flavor_id="m1.medium")
        begun = time.monotonic()
        got = self.s.magnum("POST", "/clusters", {"name": flavour, "cluster_template_id": flavour, "node_count": 1})
        expect(got.status == 202, f"create: {got.status} {got.detail}")
        self.s.until(flavour, "CREATE_COMPLETE", 400)
        took = time.monotonic() - begun
        directory = self.s.directory(flavour)
        self.s.openstack("coe", "cluster", "config", flavour, "--dir", directory).ok()
        kubectl = Kubectl(directory)
        nodes = kubectl.nodes()
        expect(len(nodes) == 2 and all(nodes.values()), f"nodes: {nodes}")
        wait_for("the cluster's health", 60, lambda: self.s.magnum(
            "GET", f"/clusters/{flavour}").body["health_status"] == "HEALTHY", 0.5)
        return kubectl, took

    def kindest(self, reference):
        """Our agent runs kubeadm, which creates a cluster with our CA."""
        kubectl, took = self.cluster("kindest", reference)
        pods = {p["metadata"]["name"]: p["status"]["phase"] for p in kubectl.items("pods", "-n", "kube-system")}
        for part in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kube-proxy", "coredns"):
            expect(any(name.startswith(part) for name in pods), f"{part} is not among {pods}")
        kubectl("get", "storageclass", "standard").ok()
        return f"complete after {took:.1f} s"

    def k3s(self, reference):
        """k3s creates another CA. The API returns it together with the cluster's CA."""
        _, took = self.cluster("k3s", reference)
        pem = self.s.magnum("GET", f"/certificates/{self.s.magnum('GET', '/clusters/k3s').body['uuid']}").body["pem"]
        expect(pem.count("BEGIN CERTIFICATE") == 2, pem)
        return f"complete after {took:.1f} s"

    def containers(self):
        return names("container", f"label=io.jeroboam.installation={self.s.installation()}")

    def restarted(self, name):
        """Restarts the containers and waits until both nodes are Ready again."""
        before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for container in self.containers():
            run(["docker", "restart", container]).ok()
        kubectl = Kubectl(os.path.join(self.s.state, name))

        def back():
            # Until the new kubelet reports, the API shows the status from before the restart.
            fresh = [c for n in kubectl.items("nodes") for c in n["status"]["conditions"]
                     if c["type"] == "Ready" and c["status"] == "True" and c["lastHeartbeatTime"] >= before]
            return len(fresh) == 2
        begun = time.monotonic()
        wait_for("both nodes Ready again", 180, back, 0.5)
        return f"after {time.monotonic() - begun:.1f} s"


@pytest.fixture(scope="module")
def flavours(server):
    flavours = Flavours(server)
    flavours.register("kind", ABSENT).ok()
    flavours.template("kind", "kind")
    return flavours


def test_foreign_images_are_registered(flavours):
    """The flavour is detected from the reference or given by a flag; other flavours are
    refused."""
    result = flavours.register("mirrored", "registry.example.org/mirror/node:1", "--flavour", "k3s").ok()
    expect("flavour k3s" in result.out, result.text)
    flavours.register("odd", ABSENT, "--flavour", "minikube").refused(
        "node_flavour: 'minikube'", "use own, kindest or k3s")
    got = flavours.s.call("POST", "/jeroboam/v1/images", {"name": "x", "reference": ABSENT, "node_flavour": "minikube"},
                          cloud="jeroboam")
    expect(got.status == 400 and b"minikube" in got.raw, f"{got.status} {got.raw}")
    got = flavours.s.call("POST", "/jeroboam/v1/images", {"name": "x", "reference": ABSENT})
    expect(got.status == 403, f"{got.status} {got.raw}")


def test_what_they_cannot_do_is_refused(flavours):
    got = flavours.s.magnum("POST", "/clusters", {"name": "c", "cluster_template_id": "kind", "master_count": 3})
    expect(got.status == 400 and got.detail.startswith("master_count: 3 masters need the balancer"),
           f"{got.status} {got.detail}")


def test_image_that_cannot_be_pulled(flavours, report):
    """The cluster fails, and the reason contains the command that pulls the image."""
    got = flavours.s.magnum("POST", "/clusters", {"name": "absent", "cluster_template_id": "kind"})
    expect(got.status == 202, f"create: {got.status} {got.detail}")
    begun = time.monotonic()
    try:
        flavours.s.until("absent", "CREATE_FAILED", 60)
        took = time.monotonic() - begun
        reason = flavours.s.status("absent")[1]
        for word in (f"image {ABSENT} is not on host", "could not be pulled", f"docker pull {ABSENT}"):
            expect(word in reason, f"'{word}' is not in: {reason}")
    finally:
        flavours.gone("absent")
    report(f"after {took:.1f} s: {reason}")


@pytest.mark.ordered
class TestKindest:
    __test__ = KINDEST is not None

    def test_cluster_by_kubeadm(self, flavours, report):
        report(flavours.kindest(KINDEST))

    def test_no_node_holds_a_key_of_a_ca(self, flavours):
        """The CAs' keys stay on the server; nodes get only certificates."""
        for container in flavours.containers():
            found = run(["docker", "exec", container, "find", "/etc/kubernetes", "/var/lib/jeroboam", "-name", "*ca.key"]).ok()
            expect(found.out.strip() == "", f"{container} holds {found.out}")

    def test_nodes_are_restarted(self, flavours, report):
        report(flavours.restarted("kindest"))

    def test_delete_leaves_nothing(self, flavours):
        flavours.gone("kindest")


@pytest.mark.ordered
class TestK3s:
    __test__ = K3S is not None

    def test_cluster_by_k3s(self, flavours, report):
        report(flavours.k3s(K3S))

    def test_nodes_are_restarted(self, flavours, report):
        report(flavours.restarted("k3s"))

    def test_delete_leaves_nothing(self, flavours):
        flavours.gone("k3s")
