"""A Kubernetes cluster from the view of its user, with the unmodified `openstack` and
`kubectl` clients on a real Docker Engine: pods, services, names and logs; resizes with
a PodDisruptionBudget; nodes that are restarted or killed."""

import socket
import time

import kube
import pytest
from environment import expect, run, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
NAME, REPLICAS, LEAST = "k1", 4, 3
BOOTSTRAP = 9512


class Cluster:
    def __init__(self, server, image):
        self.s, self.image = server, image
        self.dir = server.directory("kube")
        self.kubectl = kube.Kubectl(self.dir)

    def shown(self):
        got = self.s.magnum("GET", f"/clusters/{NAME}")
        expect(got.status == 200, f"show: {got.status} {got.detail}")
        return got.body

    def pods(self, count=REPLICAS, seconds=60):
        """Waits until this many pods of the Deployment are available, and returns them."""
        def probe():
            pods = self.kubectl.pods("app=web")
            return pods if len(pods) == count else None
        return wait_for(f"{count} pods available", seconds, probe, 0.2)

    def pod_to_pod(self):
        pods = self.pods()
        count = 0
        for name, pod in pods.items():
            for other, there in pods.items():
                if pod["spec"]["nodeName"] == there["spec"]["nodeName"]:
                    continue
                answer = self.kubectl.get(name, there["status"]["podIP"])
                expect(answer == [other], f"{name} called {other}, and {answer} answered")
                count += 1
        expect(count, f"all pods are on one node: {list(pods)}")
        return f"{count} ways"

    def cluster_ip(self):
        pods = self.pods()
        address = self.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").ok().out
        heard = self.kubectl.get(next(iter(pods)), address, 20)
        expect(len(heard) == 20 and set(heard) <= set(pods), f"heard {heard}")
        on = {pods[n]["spec"]["nodeName"] for n in heard}
        expect(len(on) == 2, f"the service leads to {on} only")

    def names(self):
        pod = next(iter(self.pods()))
        address = self.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").ok().out
        for name in ("web", "web.default", "web.default.svc", "web.default.svc.cluster.local"):
            answer = self.kubectl.get(pod, name)
            expect(answer and answer[0] in self.pods(), f"{name} answers {answer}")
        for name, want in (("web.default.svc.cluster.local", address), ("kubernetes.default.svc.cluster.local", "10.")):
            output = self.kubectl("exec", pod, "--", "nslookup", name).ok().out
            expect(f"Address: {want}" in output or f"Address 1: {want}" in output, output)
        self.kubectl("exec", pod, "--", "nslookup", "nobody.default.svc.cluster.local").refused("NXDOMAIN")

    def node_port(self):
        port = self.port()
        shown = self.shown()
        for address in shown["node_addresses"] + shown["master_addresses"]:
            answer = run(["curl", "-sS", "-m", "5", f"http://{address}:{port}/"]).ok().out.strip()
            expect(answer in self.pods(), f"{address}:{port} answers {answer}")
        return f"on {len(shown['node_addresses']) + 1} nodes"

    def port(self):
        return self.kubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}").ok().out

    def resize(self, count, *more, seconds=180):
        begun = time.monotonic()
        self.s.openstack("coe", "cluster", "resize", NAME, str(count), *more).ok()
        self.s.until(NAME, "UPDATE_COMPLETE", seconds)
        took = time.monotonic() - begun
        shown = self.shown()
        expect(shown["node_count"] == count and len(shown["node_addresses"]) == count, f"shown: {shown}")
        nodes = self.kubectl.nodes()
        expect(len(nodes) == count + 1 and all(nodes.values()), f"nodes: {nodes}")
        expect(set(kube.containers(self.s)) == set(nodes), f"containers: {kube.containers(self.s)}")
        return f"{count} workers after {took:.1f} s"

    def spread(self):
        """Distributes the pods over all workers by scaling to zero and back. A rollout
        would not, because the scheduler would count the old pods as well."""
        for count in (0, REPLICAS):
            self.kubectl("scale", "deployment/web", f"--replicas={count}").ok()
            wait_for(f"{count} pods", 60, lambda c=count: len(self.kubectl.items("pods", "-l", "app=web")) == c, 0.2)
        on = {p["spec"]["nodeName"] for p in self.pods().values()}
        workers = {n for n in self.kubectl.nodes() if "master" not in n}
        expect(on == workers, f"pods are on {on}, workers are {workers}")

    def reachable(self, seconds=90):
        """Expects that pods reach each other by address, by service and by name, and that
        every node answers on the node port."""
        self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={seconds}s", timeout=seconds + 10).ok()
        self.pods(seconds=seconds)
        for probe in (self.pod_to_pod, self.cluster_ip, self.names, self.node_port):
            def tried(p=probe):
                p()
                return True
            wait_for(probe.__name__, 30, tried, 0.3)

    def ids(self):
        nodes = {n["metadata"]["name"]: n["metadata"]["uid"] for n in self.kubectl.items("nodes")}
        return nodes, kube.containers(self.s)


@pytest.fixture(scope="module")
def cluster(server, option):
    return Cluster(server, option("image"))


def test_cluster_of_1_master_and_2_workers(cluster, report):
    cluster.s.openstack("coe", "cluster", "template", "create", "kt", "--coe", "kubernetes", "--image", cluster.image,
                        "--external-network", "public", "--keypair", "default", "--flavor", "m1.small",
                        "--master-flavor", "m1.small", "--labels", "node_drain_timeout=30").ok()
    cluster.s.openstack("coe", "cluster", "create", NAME, "--cluster-template", "kt",
                        "--master-count", "1", "--node-count", "2").ok()
    begun = time.monotonic()
    cluster.s.until(NAME, "CREATE_COMPLETE", 240)
    report(f"CREATE_COMPLETE {time.monotonic() - begun:.1f} s after the client's return")


def test_config_opens_the_cluster(cluster):
    out = cluster.s.openstack("coe", "cluster", "config", NAME, "--dir", cluster.dir).ok().out
    expect(f"KUBECONFIG={cluster.kubectl.config}" in out, out)
    # In CREATE_COMPLETE all nodes are Ready already, so this does not wait.
    nodes = cluster.kubectl.nodes()
    expect(len(nodes) == 3 and all(nodes.values()), f"nodes: {nodes}")


def test_show_has_addresses_version_and_health(cluster, report):
    shown = cluster.s.openstack("coe", "cluster", "show", NAME, "-f", "json").json()
    expect(shown["api_address"] == f"https://{shown['master_addresses'][0]}:6443", f"api: {shown['api_address']}")
    expect(len(shown["node_addresses"]) == 2 and len(shown["master_addresses"]) == 1, f"addresses: {shown}")
    inside = {a["address"] for n in cluster.kubectl.items("nodes") for a in n["status"]["addresses"] if a["type"] == "InternalIP"}
    expect(inside == set(shown["node_addresses"] + shown["master_addresses"]), f"{inside}: {shown}")
    version = cluster.kubectl("version", "-o", "json").json()["serverVersion"]["gitVersion"]
    kubelets = {n["status"]["nodeInfo"]["kubeletVersion"] for n in cluster.kubectl.items("nodes")}
    expect(shown["coe_version"] == version and kubelets == {version}, f"{shown['coe_version']} {version} {kubelets}")
    expect(shown["health_status"] == "HEALTHY", f"health: {shown['health_status']} {shown['health_status_reason']}")
    report(version)


def test_no_access_without_a_certificate(cluster):
    url = f"{cluster.shown()['api_address']}/api/v1/namespaces/default/secrets"
    answer = run(["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", url]).ok().out
    expect(answer in ("401", "403"), f"without a certificate: {answer}")


def test_deployment_runs_on_both_workers(cluster):
    cluster.kubectl.apply(kube.deployment("web", REPLICAS), kube.service("web", "NodePort"))
    pods = cluster.pods()
    on = {p["spec"]["nodeName"] for p in pods.values()}
    expect(len(on) == 2 and not any("master" in n for n in on), f"pods are on {on}")


def test_pods_reach_pods_on_other_nodes(cluster, report):
    report(cluster.pod_to_pod())


def test_service_address_leads_to_all_pods(cluster):
    cluster.cluster_ip()


def test_names_resolve_short_and_full(cluster):
    cluster.names()


def test_node_port_answers_from_the_host(cluster, report):
    report(cluster.node_port())


def test_logs_exec_and_port_forward(cluster):
    talker = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "talker"}, "spec": {
        "terminationGracePeriodSeconds": 0, "containers": [{
            "name": "talker", "image": kube.ECHO, "imagePullPolicy": "Never",
            "command": ["sh", "-c", "echo a word for the log; exec sleep 1000"]}]}}
    cluster.kubectl.apply(talker)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/talker", "--timeout=30s", timeout=40).ok()
    output = wait_for("its log", 10, lambda: cluster.kubectl("logs", "talker").ok().out)
    expect(output == "a word for the log\n", f"logs: {output}")
    output = cluster.kubectl("exec", "-i", "talker", "--", "tr", "a-z", "A-Z", data="through and back").ok().out
    expect(output == "THROUGH AND BACK", f"exec: {output}")
    ended = cluster.kubectl("exec", "talker", "--", "sh", "-c", "exit 7").code
    expect(ended == 7, f"exec ended with {ended}")
    with kube.Forward(cluster.kubectl, "deployment/web", 80) as forward:
        answer = run(["curl", "-sS", "-m", "5", f"http://127.0.0.1:{forward.port}/"]).ok().out.strip()
        expect(answer in cluster.pods(), f"port-forward: {answer}")
    cluster.kubectl("delete", "pod", "talker", "--wait=true").ok()


def test_pods_reach_neither_the_server_nor_the_host(cluster, report):
    """Only the agents of nodes connect to the bootstrap listener. A pod does not, also if
    it shares the network of its node or uses a service that leads there. Nodes do not reach
    other services of the host."""
    gateway = kube.gateway(cluster.s)
    callers = {"caller": {}, "caller-of-node": {"hostNetwork": True}}
    cluster.kubectl.apply(*[{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 0, **more, "containers": [{
            "name": "caller", "image": kube.ECHO, "imagePullPolicy": "Never", "command": ["sleep", "1000"]}]}}
        for name, more in callers.items()], *kube.service_to("server", gateway, BOOTSTRAP))
    cluster.kubectl("wait", "--for=condition=Ready", *[f"pod/{n}" for n in callers], "--timeout=30s", timeout=40).ok()
    service = cluster.kubectl("get", "service", "server", "-o", "json").json()["spec"]
    targets = [(gateway, BOOTSTRAP), (service["clusterIP"], 80), (cluster.shown()["node_addresses"][0], service["ports"][0]["nodePort"])]
    with socket.create_server(("", 0)) as listener:
        targets.append((gateway, listener.getsockname()[1]))
        for address, port in (targets[0], targets[-1]):
            socket.create_connection((address, port), 5).close()
        script = "; ".join(f"nc -w 2 {address} {port} </dev/null >/dev/null 2>&1 && echo {address}:{port}" for address, port in targets)
        for name in callers:
            reached = cluster.kubectl("exec", name, "--", "sh", "-c", f"{script}; true").ok().out.split()
            expect(not reached, f"{name} reaches {reached}")
        for node, container in list(kube.containers(cluster.s).items())[:1]:
            reached = run(["docker", "exec", container, "sh", "-c", f"{script}; true".replace("nc ", "busybox nc ")]).ok().out.split()
            expect(not reached, f"{node} reaches {reached}")
    cluster.kubectl("delete", "service", "server").ok()
    cluster.kubectl("delete", "pod", *callers, "--wait=true").ok()
    report(f"{len(targets)} ways from {len(callers)} pods and a node")


def test_resizes_under_a_disruption_budget(cluster, report):
    cluster.kubectl.apply(kube.budget("web", LEAST))
    master = f"{cluster.shown()['master_addresses'][0]}:{cluster.port()}"
    with kube.AvailabilityProbe(cluster.kubectl, "web", master) as watched:
        summaries = [cluster.resize(4), cluster.resize(1)]
        cluster.pods()
    report("; ".join([*summaries, watched.kept(LEAST)]))


def test_nodes_to_remove_are_removed(cluster, report):
    """First the oldest worker is named by the id of its server, which is what Magnum's
    client expects, and then another one by its name."""
    summaries = [cluster.resize(3)]
    before = kube.containers(cluster.s)
    workers = sorted(n for n in before if "master" not in n)
    server = before[workers[0]].removeprefix("jb-srv-")
    summaries.append(cluster.resize(2, "--nodes-to-remove", server))
    expect(workers[0] not in kube.containers(cluster.s), f"{workers[0]} is still there")
    summaries.append(cluster.resize(1, "--nodes-to-remove", workers[1]))
    left = [n for n in kube.containers(cluster.s) if "master" not in n]
    expect(left == [workers[2]], f"{left} stayed, not {workers[2]}")
    summaries.append(cluster.resize(2))
    cluster.pods()
    report("; ".join(summaries))


def test_budget_that_forbids_everything_stops_a_resize(cluster, report):
    """The budget allows no eviction. The resize fails with the names of the pod and of
    the budget, and changes nothing."""
    cluster.resize(3)
    cluster.spread()
    cluster.kubectl.apply(kube.budget("web", REPLICAS))
    before = kube.containers(cluster.s)
    begun = time.monotonic()
    cluster.s.openstack("coe", "cluster", "resize", NAME, "1").ok()
    cluster.s.until(NAME, "UPDATE_FAILED", 60)
    took = time.monotonic() - begun
    shown = cluster.shown()
    for word in ("-node-", "drain", "default/web-", "budget web"):
        expect(word in shown["status_reason"], f"'{word}' is not in: {shown['status_reason']}")
    expect(shown["node_count"] == 3, f"node_count {shown['node_count']}")
    expect(kube.containers(cluster.s) == before, f"containers: {before} and now {kube.containers(cluster.s)}")

    def schedulable():
        return all(not n["spec"].get("unschedulable") for n in cluster.kubectl.items("nodes"))

    wait_for("every node takes work again", 10, schedulable)
    expect(len(cluster.pods()) == REPLICAS, "pods are missing")
    cluster.kubectl("delete", "pdb", "web").ok()
    report(f"UPDATE_FAILED after {took:.1f} s: {shown['status_reason']}")


def test_resize_works_afterwards(cluster, report):
    report(cluster.resize(1))
    report(cluster.resize(2))


def test_dead_worker_is_removed(cluster, report):
    """The pods of a dead worker cannot end, so the drain does not wait for them."""
    cluster.spread()
    worker, container = sorted((n, c) for n, c in kube.containers(cluster.s).items() if "master" not in n)[0]
    run(["docker", "kill", container]).ok()
    wait_for("the server to know", 10, lambda: cluster.shown()["health_status"] == "UNHEALTHY")
    summary = cluster.resize(1, "--nodes-to-remove", worker, seconds=30)
    cluster.pods()
    report(f"{summary}; {cluster.resize(2)}")


def test_killed_worker_is_reported_within_2_seconds(cluster, report):
    cluster.spread()
    worker, container = next((n, c) for n, c in kube.containers(cluster.s).items() if "master" not in n)
    run(["docker", "kill", container]).ok()
    begun = time.monotonic()

    def reported_after():
        shown = cluster.shown()
        return shown["health_status"] == "UNHEALTHY" and shown["health_status_reason"].get(f"{worker}.Ready") == "False" and shown

    shown = wait_for(f"UNHEALTHY naming {worker}", 10, reported_after, 0.02)
    took = time.monotonic() - begun
    expect(took < 2, f"reported only after {took:.1f} s")
    run(["docker", "start", container]).ok()
    begun = time.monotonic()
    kube.healthy(cluster.s, NAME, 60)
    again = time.monotonic() - begun
    cluster.reachable()
    report(f"reported after {took * 1000:.0f} ms: {shown['health_status_reason']}; HEALTHY {again:.1f} s after its start")


@pytest.mark.parametrize("which", ["node-", "master", ""], ids=["worker", "master", "all"])
def test_docker_restart(cluster, which, report):
    """`docker restart` of the nodes whose names contain the word."""
    cluster.spread()
    hit = [c for n, c in kube.containers(cluster.s).items() if which in n]
    if which != "":
        hit = hit[:1]
    ids = cluster.ids()
    begun = time.monotonic()
    run(["docker", "restart", "-t", "10", *hit], timeout=90).ok()
    restarted = time.monotonic() - begun
    begun = time.monotonic()
    wait_for("the API", 60, lambda: cluster.kubectl("get", "--raw", "/readyz").ok().out == "ok", 0.1)
    api = time.monotonic() - begun
    nodes = wait_for("all nodes Ready", 60, lambda: all(cluster.kubectl.nodes().values()), 0.2)
    ready = time.monotonic() - begun
    expect(nodes, "no nodes")
    healthy = ready + kube.healthy(cluster.s, NAME, 30)
    cluster.reachable()
    whole = time.monotonic() - begun
    expect(cluster.ids() == ids, f"other nodes or containers: {ids} and now {cluster.ids()}")
    call = f"busybox nc -w 2 {kube.gateway(cluster.s)} {BOOTSTRAP} </dev/null"
    for container in hit:
        run(["docker", "exec", container, "sh", "-c", call]).refused("refused")
    report(f"{len(hit)} restarted in {restarted:.1f} s; API {api:.1f} s, Ready {ready:.1f} s, HEALTHY {healthy:.1f} s, "
           f"all reachable {whole:.1f} s later")


def test_delete_leaves_nothing(cluster, report):
    begun = time.monotonic()
    cluster.s.openstack("coe", "cluster", "delete", NAME).ok()
    cluster.s.until(NAME, "GONE", 90)
    took = time.monotonic() - begun
    left = cluster.s.left()
    expect(not left, f"left behind: {left}")
    expect(cluster.s.leaks() == [], f"leaks: {cluster.s.leaks()}")
    cluster.s.openstack("coe", "cluster", "template", "delete", "kt").ok()
    report(f"{took:.1f} s")
