"""Add-ons that labels request, on a real Docker Engine with the unmodified `openstack`
and `kubectl` clients: metrics-server, Prometheus with its exporters, and the ingress
controller if the node image contains it. Missing images are reported."""

import time
import urllib.parse

import kube
import pytest
from environment import Failed, expect, run, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
NAME, NODES = "a1", 3
LABELS = "monitoring_enabled=true,monitoring_interval_seconds=5,ingress_controller=traefik,kube_dashboard_enabled=true"
ABSENT = "the node image does not hold the image of"


class Cluster:
    def __init__(self, server, image):
        self.s, self.image = server, image
        self.dir = server.directory("kube")
        self.kubectl = kube.Kubectl(self.dir)
        self.begun = self.complete = None

    def addons(self):
        listed = self.s.cli("cluster", "addons", NAME, "--json", cloud="jeroboam-demo").json()
        return {a["name"]: (a["state"], a["reason"]) for a in listed}

    def become(self, wanted, seconds):
        """Waits until these add-ons have these states. Returns the states and reasons of
        all add-ons."""
        def probe():
            now = self.addons()
            if all(now.get(name, ("", ""))[0] == state for name, state in wanted.items()):
                return now
            raise Failed(str(now))
        return wait_for(f"add-ons {wanted}", seconds, probe, 0.2)

    def query(self, text):
        path = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?query="
        answer = self.kubectl("get", "--raw", path + urllib.parse.quote(text)).json()
        expect(answer["status"] == "success", str(answer))
        return answer["data"]["result"]


@pytest.fixture(scope="module")
def cluster(server, option):
    return Cluster(server, option("image"))


def test_cluster_with_addons(cluster, report):
    cluster.s.openstack("coe", "cluster", "template", "create", "at", "--coe", "kubernetes", "--image", cluster.image,
                        "--external-network", "public", "--keypair", "default", "--flavor", "m1.small",
                        "--master-flavor", "m1.small", "--labels", LABELS).ok()
    cluster.s.openstack("coe", "cluster", "create", NAME, "--cluster-template", "at",
                        "--master-count", "1", "--node-count", str(NODES - 1)).ok()
    cluster.begun = time.monotonic()
    cluster.s.until(NAME, "CREATE_COMPLETE", 240)
    cluster.complete = time.monotonic()
    cluster.s.openstack("coe", "cluster", "config", NAME, "--dir", cluster.dir).ok()
    report(f"CREATE_COMPLETE {cluster.complete - cluster.begun:.1f} s after the client's return")


def test_missing_parts_of_the_node_image_are_reported(cluster, report):
    """The cluster is complete and healthy nevertheless."""
    now = cluster.become({"dashboard": "failed"}, 10)
    expect(f"label kube_dashboard_enabled: {ABSENT} dashboard" in now["dashboard"][1], str(now))
    expect("autoscaler" not in now, f"it was not requested: {now}")
    kube.healthy(cluster.s, NAME, 30)
    status, _ = cluster.s.status(NAME)
    expect(status == "CREATE_COMPLETE", status)
    table = cluster.s.cli("cluster", "addons", NAME, cloud="jeroboam-demo").ok().out
    expect("dashboard" in table and "failed" in table, table)
    report(now["dashboard"][1])


def test_metrics_server_and_monitoring_are_ready(cluster, report):
    """metrics-server was not requested by a label, but is on by default, as in Magnum."""
    now = cluster.become({"coredns": "ready", "metrics-server": "ready", "monitoring": "ready"}, 180)
    report(f"{time.monotonic() - cluster.complete:.1f} s after CREATE_COMPLETE: {now}")


def test_top_nodes_and_pods(cluster, report):
    """There are no figures before the second scrape, which follows the first after
    15 s."""
    def nodes():
        rows = [line.split() for line in cluster.kubectl("top", "nodes", "--no-headers").ok().out.splitlines()]
        known = [r for r in rows if r[1].endswith("m") and r[3].endswith("Mi") and r[3] != "0Mi"]
        return rows if len(known) == NODES else None

    rows = wait_for("kubectl top nodes", 90, nodes, 0.5)
    took = time.monotonic() - cluster.complete
    pods = cluster.kubectl("top", "pods", "-A", "--no-headers").ok().out.splitlines()
    expect(sum("coredns" in p for p in pods) == 2 and any("metrics-server" in p for p in pods), "\n".join(pods))
    figures = ", ".join(f"{r[0]} {r[1]} {r[3]}" for r in rows)
    report(f"{took:.1f} s after CREATE_COMPLETE: {figures}; {len(pods)} pods")


def test_metrics_server_verifies_and_is_verified(cluster):
    """The API server verifies metrics-server, and metrics-server verifies the kubelets."""
    service = cluster.kubectl("get", "apiservice", "v1beta1.metrics.k8s.io", "-o", "json").json()["spec"]
    expect(service.get("caBundle") and not service.get("insecureSkipTLSVerify"), str(service))
    made = cluster.kubectl("-n", "kube-system", "get", "deployment", "metrics-server", "-o", "json").json()
    args = made["spec"]["template"]["spec"]["containers"][0]["args"]
    expect("--kubelet-certificate-authority=/ca/ca.crt" in args, str(args))
    expect("--kubelet-preferred-address-types=InternalIP" in args and not any("insecure" in a for a in args), str(args))
    kept = {f["manager"] for f in made["metadata"].get("managedFields", [])}
    shown = cluster.kubectl("-n", "kube-system", "get", "deployment", "metrics-server", "-o", "json", "--show-managed-fields").json()
    kept |= {f["manager"] for f in shown["metadata"]["managedFields"] if f["operation"] == "Apply"}
    expect(kept == {"jeroboam"}, f"applied by {kept}")


def test_prometheus_reaches_every_target(cluster, report):
    def jobs():
        found = {}
        for row in cluster.query("up"):
            found.setdefault(row["metric"]["job"], []).append(int(row["value"][1]))
        whole = {"node-exporter": NODES, "kubelet": NODES, "cadvisor": NODES, "apiserver": 1, "coredns": 1, "prometheus": 1}
        if all(found.get(job) == [1] * count for job, count in whole.items()):
            return found
        raise Failed(str(found))

    found = wait_for("every target up", 60, jobs, 0.5)
    memory = cluster.query("node_memory_MemTotal_bytes")
    expect(len(memory) == NODES and all(float(m["value"][1]) > 0 for m in memory), str(memory))
    page = cluster.kubectl("get", "--raw", "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/classic/graph").ok().out
    expect("Prometheus" in page, page[:300])
    report(str(found))


def test_ingress_answers(cluster, report):
    """Without Traefik in the node image, its absence is reported instead."""
    state, reason = cluster.addons()["ingress"]
    if state == "failed":
        expect(reason == f"label ingress_controller: {ABSENT} traefik", reason)
        report(reason)
        return
    cluster.become({"ingress": "ready"}, 60)
    rule = {"host": "web.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {
        "service": {"name": "web", "port": {"number": 80}}}}]}}
    cluster.kubectl.apply(kube.deployment("web", 2), kube.service("web", "ClusterIP"), {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}, "spec": {"rules": [rule]}})
    addresses = cluster.s.magnum("GET", f"/clusters/{NAME}").body["node_addresses"]

    def answers(address):
        answer = run(["curl", "-sS", "-m", "5", "-H", "Host: web.example", f"http://{address}/"]).ok().out.strip()
        if answer.startswith("web-"):
            return answer
        raise Failed(answer)

    pods = [wait_for(f"the ingress at {a}", 60, lambda a=a: answers(a), 0.3) for a in addresses]
    other = run(["curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", f"http://{addresses[0]}/"]).ok().out
    expect(other == "404", f"another host gets {other}")
    report(f"on {len(pods)} workers")


def test_broken_addon_is_reported_and_repaired(cluster, report):
    """The state of a broken add-on contains the reason. At its next start the master
    applies the add-on again, and does not change objects that are unchanged."""
    def marks():
        kept = cluster.kubectl("-n", "kube-system", "get", "secret/metrics-server-tls", "deployment/metrics-server",
                               "-o", "jsonpath={range .items[*]}{.metadata.uid} {.metadata.generation};{end}")
        return kept.ok().out

    before = marks()
    cluster.kubectl("-n", "monitoring", "set", "image", "deployment/prometheus", "prometheus=docker.io/jeroboam/none:1").ok()
    begun = time.monotonic()
    reason = cluster.become({"monitoring": "failed"}, 30)["monitoring"][1]
    reported_after = time.monotonic() - begun
    expect("ErrImageNeverPull" in reason and "jeroboam/none:1" in reason, reason)
    master = next(c for n, c in kube.containers(cluster.s).items() if "master" in n)
    run(["docker", "restart", "-t", "10", master], timeout=60).ok()
    begun = time.monotonic()
    cluster.become({"monitoring": "ready", "metrics-server": "ready"}, 120)
    expect(marks() == before, f"{before} and now {marks()}")
    report(f"reported after {reported_after:.1f} s: {reason}; ready {time.monotonic() - begun:.1f} s after the restart")


def test_delete_leaves_nothing(cluster):
    cluster.s.openstack("coe", "cluster", "delete", NAME).ok()
    cluster.s.until(NAME, "GONE", 90)
    left = cluster.s.left()
    expect(not left, f"left behind: {left}")
