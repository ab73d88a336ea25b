"""Three Kubernetes masters behind a load balancer. Each master is killed in turn while
clients read and write through the balancer: etcd keeps its quorum, the health of the
cluster reports the master, and it rejoins as the same member. Masters, workers and the
balancer are rebuilt with their names and addresses when they were deleted with their
volumes."""

import http.client
import json
import threading
import time

import kube
import pytest
from environment import OWN_POOL, Failed, expect, run, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
SETTINGS = OWN_POOL
NAME, MASTERS = "m3", 3
# The maximum number of seconds for which clients get no answer after a master has
# failed, and until the health of the cluster reports it.
GAP, REPORT_LIMIT = 5.0, 2.0
PKI = "/etc/kubernetes/pki"


class Traffic:
    """Reads and writes through the balancer continuously, with a new connection for each
    request, and measures the longest time without an answer."""

    def __init__(self, kubectl):
        self.host, self.context = kubectl.api()
        self.over = threading.Event()
        self.answers = {"GET": [time.monotonic()], "PATCH": [time.monotonic()]}
        self.failed = []
        self.threads = [threading.Thread(target=self.send_requests, args=(m,), daemon=True) for m in self.answers]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(10)

    def send_requests(self, method):
        count = 0
        while not self.over.is_set():
            count += 1
            body = json.dumps({"data": {"count": str(count)}}) if method == "PATCH" else None
            connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=2)
            try:
                connection.request(method, "/api/v1/namespaces/default/configmaps/traffic", body,
                                   {"Content-Type": "application/merge-patch+json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.answers[method].append(time.monotonic())
                else:
                    self.failed.append(f"{method} {answer.status}")
            except (OSError, http.client.HTTPException) as e:
                self.failed.append(f"{method} {e}")
            finally:
                connection.close()
            self.over.wait(0.05)

    def longest(self, limit=GAP):
        """Expects that no gap between two answers, and not the time since the last one,
        was longer than the limit. Returns a summary."""
        gaps = []
        for method, at in self.answers.items():
            at = list(at) + [time.monotonic()]
            gap = max(b - a for a, b in zip(at, at[1:]))
            expect(gap < limit, f"{method}: {gap:.1f} s without an answer; {self.failed[-3:]}")
            gaps.append(f"{method} {gap:.1f} s")
        total = sum(map(len, self.answers.values())) + len(self.failed)
        return f"longest gap {', '.join(gaps)}, {len(self.failed)} of {total} failed"


class Masters:
    def __init__(self, server):
        self.s = server
        self.dir = server.directory("kube")
        self.kubectl = kube.Kubectl(self.dir)
        self.members = None
        self.empty = None

    # --- queries ----------------------------------------------------------------

    def shown(self):
        got = self.s.magnum("GET", f"/clusters/{NAME}")
        expect(got.status == 200, f"show: {got.status} {got.detail}")
        return got.body

    def container(self, end):
        """Host name and container name of the node whose host name ends with `end`."""
        found = [(h, c) for h, c in kube.containers(self.s).items() if h.endswith(end)]
        expect(len(found) == 1, f"{end}: {found}")
        return found[0]

    def etcd(self, end, path, body=None):
        """The answer of etcd on this master, or None if it does not answer."""
        ask = ["curl", "-sS", "-m", "3", "--cacert", f"{PKI}/etcd-ca.crt", "--cert", f"{PKI}/etcd-client.crt",
               "--key", f"{PKI}/etcd-client.key", f"https://127.0.0.1:2379{path}"]
        result = run(["docker", "exec", self.container(end)[1], *ask, *(["-d", body] if body else [])], timeout=10)
        try:
            return json.loads(result.out) if result.code == 0 else None
        except ValueError:
            return None

    def list_members(self, end):
        answer = self.etcd(end, "/v3/cluster/member/list", "{}")
        expect(answer and "members" in answer, f"{end}: members: {answer}")
        return {m["name"]: m["ID"] for m in answer["members"]}

    def leader(self):
        for i in range(MASTERS):
            answer = self.etcd(f"-master-{i}", "/v3/maintenance/status", "{}")
            if answer and answer.get("leader") == answer["header"]["member_id"]:
                return f"-master-{i}"
        return None

    def quorum(self, without=()):
        for i in range(MASTERS):
            if f"-master-{i}" not in without:
                answer = self.etcd(f"-master-{i}", "/health")
                expect(answer and answer["health"] == "true", f"etcd of master-{i}: {answer}")

    def holders(self):
        """The masters that hold the leases of controller manager and scheduler."""
        leases = self.kubectl.items("leases", "-n", "kube-system")
        held = {x["metadata"]["name"]: x["spec"].get("holderIdentity") or "" for x in leases}
        return {name: held.get(name, "").split("_")[0] for name in ("kube-controller-manager", "kube-scheduler")}

    def wait_for_report(self, key, word, seconds=REPORT_LIMIT, since=None):
        """Waits until `health_status_reason` contains the word under this key. Returns the
        seconds since the event."""
        since = since or time.monotonic()

        def probe():
            shown = self.shown()
            reason = str((shown["health_status_reason"] or {}).get(key, ""))
            if shown["health_status"] == "UNHEALTHY" and word in reason:
                return True
            raise Failed(f"{shown['health_status']}: {shown['health_status_reason']}")

        wait_for(f"health reports {key} {word}", seconds, probe, 0.02)
        took = time.monotonic() - since
        expect(took < seconds, f"health reported after {took:.1f} s")
        return took

    def kill(self, end, how):
        """Kills or pauses a master, which must affect only the health of the cluster, and
        starts it again."""
        host, container = self.container(end)
        was = [w for w, yes in (("etcd's leader", self.leader() == end),
                                ("a lease holder", host in self.holders().values())) if yes]
        with Traffic(self.kubectl) as traffic:
            run(["docker", how, container]).ok()
            killed = time.monotonic()
            reported_after = self.wait_for_report(f"{host}.Ready", "False", since=killed)
            self.wait_for_report(f"{host}.Server", "SHUTOFF" if how == "kill" else "PAUSED", 1)
            expect(self.shown()["health_status_reason"]["api"] == "ok", "the API is reported as unreachable")
            run([self.kubectl.bin, "get", "nodes", "--request-timeout=5s"], env=self.kubectl.env, timeout=10).ok()
            answered_after = time.monotonic() - killed
            expect(answered_after < GAP + REPORT_LIMIT, f"kubectl got its answer {answered_after:.1f} s after the kill")
            # This is longer than the checks of the balancer and an election take.
            expect(not traffic.over.wait(4), "over")
            down = traffic.longest()
            self.quorum(without=(end,))
        with Traffic(self.kubectl) as traffic:
            run(["docker", "start" if how == "kill" else "unpause", container]).ok()
            begun = time.monotonic()
            kube.healthy(self.s, NAME, 60)
            healed = time.monotonic() - begun
            # HEALTHY must mean that etcd and the API server of this master work again.
            self.quorum()
            self.own_api(end)
            up = traffic.longest()
        expect(self.list_members(end) == self.members, f"members: {self.list_members(end)}, were {self.members}")
        nodes = self.kubectl.nodes()
        expect(all(nodes.values()), f"nodes: {nodes}")
        return f"{' and '.join(was) or 'a follower'}; reported after {reported_after:.1f} s, {down}; healthy {healed:.1f} s after its start, {up}"

    def own_api(self, end):
        answer = run(["docker", "exec", self.container(end)[1], "curl", "-sk", "https://127.0.0.1:6443/readyz"]).out
        expect(answer == "ok", f"readyz of {end}: {answer}")

    # --- deletions ---------------------------------------------------------------

    def volumes(self, container):
        shape = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        return run(["docker", "inspect", "--format", shape, container]).ok().out.split()

    def delete(self, *ends):
        """Deletes containers and all of their volumes. Returns their host names."""
        found = [self.container(end) for end in ends]
        volumes = [v for _, c in found for v in self.volumes(c)]
        expect(len(volumes) >= len(ends), f"volumes: {volumes}")
        run(["docker", "rm", "-fv", *[c for _, c in found]]).ok()
        # `docker rm -v` keeps volumes with names. This command may fail, because the new
        # member may use one of them already.
        run(["docker", "volume", "rm", "-f", *volumes])
        return [h for h, _ in found]

    def address_of(self, host):
        shape = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
        return run(["docker", "inspect", "--format", shape, self.container(host)[1]]).ok().out.strip()

    def replaced(self, *ends):
        """Deletes nodes and waits until the server has replaced them by itself."""
        before, ranges = self.shown(), self.ranges()
        hosts = [self.container(end)[0] for end in ends]
        addresses = {h: self.address_of(h) for h in hosts}
        with Traffic(self.kubectl) as traffic:
            self.delete(*ends)
            begun = time.monotonic()
            wait_for("the update begins", 20, lambda: self.s.status(NAME)[0] == "UPDATE_IN_PROGRESS", 0.1)
            self.s.until(NAME, "UPDATE_COMPLETE", 180)
            kube.healthy(self.s, NAME, 90)
            # A node that was lost while an update ran is replaced by another update.
            self.s.until(NAME, "UPDATE_COMPLETE", 90)
            took = time.monotonic() - begun
            down = traffic.longest()
        expect({h: self.address_of(h) for h in hosts} == addresses, f"addresses were {addresses}")
        expect(self.ranges() == ranges, f"ranges of pods: {self.ranges()}, were {ranges}")
        after = self.shown()
        for key in ("api_address", "master_addresses", "node_addresses", "node_count", "master_count"):
            expect(after[key] == before[key], f"{key}: {after[key]}, was {before[key]}")
        nodes = self.kubectl.nodes()
        expect(all(nodes.values()) and len(nodes) == MASTERS + after["node_count"], f"nodes: {nodes}")
        now = self.list_members("-master-0")
        changed = {name for name in now if now[name] != self.members[name]}
        expect(set(now) == set(self.members) and changed == {h for h in hosts if "-master-" in h},
               f"members: {now}, were {self.members}")
        for i in range(MASTERS):
            answer = self.etcd(f"-master-{i}", "/v3/cluster/member/list", "{}")
            expect(not any(m.get("isLearner") for m in answer["members"]), f"without a vote: {answer}")
        self.members = now
        self.quorum()
        kept = self.kubectl("get", "configmap", "traffic", "-o", "jsonpath={.data.before}").ok().out
        expect(kept == "kept", f"the data: {kept}")
        expect(self.s.leaks() == [], f"leaks: {self.s.leaks()}")
        return f"works again after {took:.1f} s, {down}"

    def ranges(self):
        return {n["metadata"]["name"]: n["spec"].get("podCIDR") for n in self.kubectl.items("nodes")}


@pytest.fixture(scope="module")
def cluster(server):
    template = {"name": "k3", "coe": "kubernetes", "image_id": "kubernetes", "external_network_id": "public",
                "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.medium",
                "master_lb_enabled": True, "labels": {"auto_healing_enabled": "true"}}
    got = server.magnum("POST", "/clustertemplates", template)
    expect(got.status == 201, f"template: {got.status} {got.detail}")
    return Masters(server)


def test_several_masters_need_a_balancer_and_are_odd(cluster):
    got = cluster.s.magnum("POST", "/clusters", {"name": "no", "cluster_template_id": "k3", "master_count": MASTERS,
                                                 "master_lb_enabled": False})
    expect(got.status == 400 and got.detail == "master_count must be 1 when master_lb_enabled is False",
           f"{got.status} {got.detail}")
    got = cluster.s.magnum("POST", "/clusters", {"name": "no", "cluster_template_id": "k3", "master_count": 2})
    expect(got.status == 400 and "cannot be an even number" in got.detail, f"{got.status} {got.detail}")


def test_three_masters_and_a_worker(cluster, report):
    begun = time.monotonic()
    got = cluster.s.magnum("POST", "/clusters", {"name": NAME, "cluster_template_id": "k3", "master_count": MASTERS,
                                                 "node_count": 1})
    expect(got.status == 202, f"create: {got.status} {got.detail}")
    cluster.s.until(NAME, "CREATE_COMPLETE", 240)
    report(f"CREATE_COMPLETE after {time.monotonic() - begun:.1f} s")


def test_api_address_is_that_of_the_balancer(cluster, report):
    shown = cluster.shown()
    expect(len(shown["master_addresses"]) == MASTERS and len(shown["node_addresses"]) == 1, f"{shown}")
    host = shown["api_address"].split("//")[1].split(":")[0]
    expect(host not in shown["master_addresses"] + shown["node_addresses"], f"api is a node's: {host}")
    expect(len(kube.containers(cluster.s)) == MASTERS + 2, f"{kube.containers(cluster.s)}")
    cluster.s.openstack("coe", "cluster", "config", NAME, "--dir", cluster.dir).ok()
    at, context = cluster.kubectl.api()
    expect(at == f"{host}:6443", f"the kubeconfig names {at}")
    # The certificate of each API server is valid for its own address and for that of
    # the balancer.
    for address in [*shown["master_addresses"], *[host] * MASTERS]:
        connection = http.client.HTTPSConnection(address, 6443, context=context, timeout=5)
        connection.request("GET", "/readyz")
        expect(connection.getresponse().read() == b"ok", f"{address} is not ready")
        connection.close()
    for name, want in (("kubelet", host), ("kube-proxy", host)):
        config = run(["docker", "exec", cluster.container("-node-0")[1], "cat", f"/etc/kubernetes/{name}.conf"]).ok().out
        expect(f"https://{want}:6443" in config, f"{name} of the worker: {config}")
    report(f"balancer {host}")


def test_kubectl_lists_four_nodes_through_it(cluster, report):
    nodes = cluster.kubectl.nodes()
    expect(len(nodes) == MASTERS + 1 and all(nodes.values()), f"nodes: {nodes}")
    expect(not any("balancer" in n for n in nodes), f"the balancer is a node: {nodes}")
    shown = cluster.shown()
    expect(shown["health_status"] == "HEALTHY", f"{shown['health_status']} {shown['health_status_reason']}")
    cluster.members = cluster.list_members("-master-0")
    expect(set(cluster.members) == {n for n in nodes if "-master-" in n}, f"etcd: {cluster.members}")
    cluster.quorum()
    made = cluster.kubectl("create", "configmap", "traffic", "--from-literal=before=kept")
    made.ok()
    report(f"etcd's leader is {(cluster.leader() or '?').lstrip('-')}, leases: {cluster.holders()}")


@pytest.mark.parametrize("number", range(MASTERS))
def test_master_is_killed_and_rejoins(cluster, number, report):
    report(cluster.kill(f"-master-{number}", "kill"))


def test_leader_of_etcd_is_killed_and_rejoins(cluster, report):
    end = wait_for("etcd's leader", 10, cluster.leader)
    summary = cluster.kill(end, "kill")
    expect("etcd's leader" in summary, summary)
    report(summary)


def test_master_hangs_and_continues(cluster, report):
    report(cluster.kill("-master-0", "pause"))


def test_balancer_is_killed_and_restarted(cluster, report):
    host, container = cluster.container("-balancer")
    before = cluster.shown()["api_address"]
    run(["docker", "kill", container]).ok()
    reported_after = cluster.wait_for_report("api", "the balancer does not run")
    cluster.wait_for_report(f"{host}.Server", "SHUTOFF", 1)
    run(["docker", "start", container]).ok()
    begun = time.monotonic()
    healed = kube.healthy(cluster.s, NAME, 30)
    wait_for("the API through it", 10, lambda: cluster.kubectl("get", "nodes", "--request-timeout=2s").ok().out)
    answered_after = time.monotonic() - begun
    expect(cluster.shown()["api_address"] == before, "the address has changed")
    report(f"reported after {reported_after:.1f} s, healthy {healed:.1f} s and reached {answered_after:.1f} s after its start")


def test_all_nodes_are_killed_and_restarted(cluster, report):
    all_of_them = list(kube.containers(cluster.s).values())
    run(["docker", "kill", *all_of_them]).ok()
    cluster.wait_for_report("api", "unreachable")
    run(["docker", "start", *all_of_them]).ok()
    begun = time.monotonic()
    kube.healthy(cluster.s, NAME, 90)

    def ready():
        nodes = cluster.kubectl.nodes()
        return nodes if all(nodes.values()) else None

    nodes = wait_for("all nodes Ready", 60, ready, 0.2)
    took = time.monotonic() - begun
    expect(len(nodes) == MASTERS + 1, f"nodes: {nodes}")
    expect(cluster.list_members("-master-0") == cluster.members, "other members than before")
    kept = cluster.kubectl("get", "configmap", "traffic", "-o", "jsonpath={.data.before}").ok().out
    expect(kept == "kept", f"the data: {kept}")
    report(f"works again after {took:.1f} s")


def test_masters_stay_three_in_resizes(cluster):
    got = cluster.s.magnum("POST", f"/clusters/{NAME}/actions/resize", {"node_count": 5, "nodegroup": "default-master"})
    expect(got.status == 400 and "master nodegroup" in got.detail, f"{got.status} {got.detail}")
    patch = [{"op": "replace", "path": "/master_count", "value": 5}]
    got = cluster.s.magnum("PATCH", f"/clusters/{NAME}", patch)
    expect(got.status == 400 and "master_count" in got.detail, f"{got.status} {got.detail}")
    for count in (2, 1):
        got = cluster.s.magnum("POST", f"/clusters/{NAME}/actions/resize", {"node_count": count})
        expect(got.status == 202, f"{got.status} {got.detail}")
        cluster.s.until(NAME, "UPDATE_COMPLETE", 180)
        nodes = cluster.kubectl.nodes()
        expect(len(nodes) == MASTERS + count and all(nodes.values()), f"nodes: {nodes}")
    expect(cluster.s.leaks() == [], f"leaks: {cluster.s.leaks()}")


def test_leader_of_etcd_is_deleted_with_its_volume_and_replaced(cluster, report):
    """The other masters elect a new leader, and the deleted one is rebuilt."""
    end = wait_for("etcd's leader", 10, cluster.leader)
    summary = cluster.replaced(end)
    # With another master killed, the quorum depends on the new member.
    others = next(f"-master-{i}" for i in range(MASTERS) if f"-master-{i}" != end)
    report(f"{end.lstrip('-')}: {summary}; then {others.lstrip('-')} is killed: {cluster.kill(others, 'kill')}")


def test_worker_and_balancer_are_deleted_and_replaced(cluster, report):
    report(cluster.replaced("-node-0", "-balancer"))


def test_etcd_without_its_data_is_not_started(cluster, report):
    """A member that lost its data must not start a second etcd cluster."""
    end = next(f"-master-{i}" for i in range(MASTERS) if f"-master-{i}" != cluster.leader())
    host, container = cluster.container(end)
    cluster.empty = end
    run(["docker", "kill", container]).ok()
    run(["docker", "run", "--rm", "--network", "none", "--volumes-from", container, "jeroboam/echo:1",
         "rm", "-rf", "/var/lib/etcd/data"]).ok()
    run(["docker", "start", container]).ok()
    cluster.wait_for_report(f"{host}.api", "is empty although this etcd had a quorum", 30)
    running = run(["docker", "exec", container, "pgrep", "-x", "etcd"])
    expect(running.code != 0, f"etcd runs: {running.out}")
    cluster.quorum(without=(end,))
    kept = cluster.kubectl("get", "configmap", "traffic", "-o", "jsonpath={.data.before}").ok().out
    expect(kept == "kept", f"the data: {kept}")
    report(f"{host}: not started, the others continue")


def test_its_container_is_deleted_and_replaced(cluster, report):
    report(cluster.replaced(cluster.empty))


def test_without_a_majority_nothing_is_replaced(cluster, report):
    """Lost masters are not rebuilt unless the majority of the masters runs."""
    hosts, containers = zip(*[cluster.container(f"-master-{i}") for i in (1, 2)])
    # Both are stopped first, because the server would replace the first deleted one while
    # the majority still runs.
    run(["docker", "kill", *containers]).ok()
    cluster.delete(*hosts)
    for host in hosts:
        cluster.wait_for_report(f"{host}.Server", "was removed", 10)
    count = cluster.shown()["node_count"]
    got = cluster.s.magnum("POST", f"/clusters/{NAME}/actions/resize", {"node_count": count})
    expect(got.status == 202, f"{got.status} {got.detail}")
    cluster.s.until(NAME, "UPDATE_COMPLETE", 120)
    expect(len([h for h in kube.containers(cluster.s) if "-master-" in h]) == 1, "masters were replaced")
    report("the last master is left as it is")


def test_delete_leaves_nothing(cluster):
    got = cluster.s.magnum("DELETE", f"/clusters/{NAME}")
    expect(got.status == 204, f"delete: {got.status} {got.detail}")
    cluster.s.until(NAME, "GONE", 120)
    expect(not cluster.s.left() and cluster.s.leaks() == [], f"left: {cluster.s.left()} {cluster.s.leaks()}")
