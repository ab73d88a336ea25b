"""The Kubernetes project's own conformance tests on a cluster that our server
makes: 1 master and 2 workers, with the unmodified `openstack` client.

without option    runs all 446 tests, the serial ones last; takes most of an hour
--sample          runs some quick tests of every group; takes 3 minutes
--focus RE        runs the tests whose names match
--report FILE     also writes the page of results, if all tests are run;
                  tests/conformance_page.py writes it from the files of earlier runs

images/conformance/build.sh builds the tests, the program that runs them and the images
that they use. Every verdict is appended to a file as soon as it is known."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import conformance_page
import kube
import pytest
import registry
from environment import CACHE, ROOT, expect, run

# The first step may build the tests.
pytestmark = [pytest.mark.engine, pytest.mark.ordered, pytest.mark.timeout(3600)]
NAME, MARK, SERIAL = "conformance", r"\[Conformance\]", r"\[Serial\]"
HOME = os.path.join(os.environ.get("JEROBOAM_CACHE") or CACHE, "conformance")
REGISTRY_PORT = 5005
SETTINGS = f"""[infra]
pool = "172.20.0.0/16"
# Packets of a test to an unused address must not reach a host outside.
outside = false
host_services = ["tcp:{REGISTRY_PORT}"]
"""
FLAVOR = "m1.medium"
CERTS = "/etc/containerd/certs.d"
DELIMITER = "-" * 30
VERDICT = re.compile(r"(?:• |S |P )?(?:\[(\w+)\] )?\[([0-9.]+) seconds\]$")
NODE = re.compile(r"\[(?:It|BeforeEach|JustBeforeEach|AfterEach|JustAfterEach|DeferCleanup[^]]*)\] ?")
# Names of tests of every group that end within seconds.
SAMPLE = os.path.join(ROOT, "images", "conformance", "sample.txt")


class Reader:
    """Parses the output of ginkgo and appends each verdict to the file of results."""

    def __init__(self, known, results):
        self.known, self.results = known, results
        self.block, self.verdicts = [], {}

    def line(self, text):
        if text.startswith(DELIMITER):
            self.end_of_block()
        else:
            self.block.append(text)

    def end_of_block(self):
        block, self.block = [t for t in self.block if t.strip()], []
        head = VERDICT.match(block[0].strip()) if block else None
        if not head or len(block) < 2:
            return
        title = NODE.sub("", block[1]).strip()
        name = max((n for n in self.known if title.startswith(n)), key=len, default=None)
        if not name:
            return
        state = (head.group(1) or "passed").lower()
        verdict = {"passed": "passed", "skipped": "skipped"}.get(state, "failed")
        reason = "" if verdict == "passed" else self.reason(block, state)
        self.report(name, verdict, float(head.group(2)), reason)

    @staticmethod
    def reason(block, state):
        """The text of the failure: the last block that begins with the state, without
        the lines about its position in the source."""
        begins = [i for i, t in enumerate(block) if t.strip().startswith(f"[{state.upper()}] ")
                  and not t.strip().startswith(f"[{state.upper()}] in [")]
        words = []
        for text in block[begins[-1] if begins else 0:]:
            if re.match(r"\s*In \[", text):
                break
            words.append(text.strip().removeprefix(f"[{state.upper()}]").strip())
        return " ".join(words)[:1500]

    def report(self, name, verdict, seconds, reason):
        self.verdicts[name] = verdict
        with open(self.results, "a") as f:
            f.write(json.dumps({"name": name, "verdict": verdict, "seconds": seconds, "reason": reason}) + "\n")
        if verdict != "passed":
            print(f"{verdict:8}{name}  ({seconds:.1f} s)\n        {reason}", flush=True)
        elif len(self.verdicts) % 25 == 0:
            print(f"        {len(self.verdicts)} have ended", flush=True)


class Cluster:
    def __init__(self, server, image, tools, results):
        self.s, self.image, self.tools, self.results = server, image, tools, results
        self.dir = server.directory("conformance")
        self.kubectl = kube.Kubectl(self.dir)
        self.registry = registry.Registry(os.path.join(tools, "images.tar"))

    def describe(self):
        """The first line of the results."""
        nodes = self.kubectl.items("nodes")
        info = nodes[0]["status"]["nodeInfo"]
        return {"run": {
            "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "version": self.kubectl("version", "-o", "json").json()["serverVersion"]["gitVersion"],
            "nodes": len(nodes), "flavor": FLAVOR, "isolation": self.s.magnum("GET", f"/clusters/{NAME}").body["isolation"],
            "runtime": info["containerRuntimeVersion"],
            "kernel": info["kernelVersion"], "cpus": os.cpu_count(),
            "commit": run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"]).out.strip()
            + (" and changes" if run(["git", "-C", ROOT, "status", "--porcelain", "crates", "images"]).out.strip() else "")}}

    def listed(self):
        """Names of all conformance tests."""
        out = run([os.path.join(self.tools, "e2e.test"), "--list-tests"], timeout=120, env={"KUBECONFIG": None}).ok().out
        found = sorted({t.strip().split(": ", 1)[-1] if ".go:" in t else t.strip() for t in out.splitlines() if "[Conformance]" in t})
        expect(found, f"no tests are listed: {out[:300]}")
        return found

    def tests(self, reader, focus, skip, procs, limit):
        """Runs the tests that match."""
        args = [os.path.join(self.tools, "ginkgo"), "-v", "--no-color", f"--procs={procs}", f"--timeout={limit}s",
                *[f"--focus={f}" for f in focus], *[f"--skip={s}" for s in skip],
                os.path.join(self.tools, "e2e.test"), "--", "--provider=skeleton", f"--kubeconfig={self.kubectl.config}",
                f"--kubectl-path={self.kubectl.bin}", "--dns-domain=cluster.local", "--disable-log-dump=true",
                "--non-blocking-taints=node-role.kubernetes.io/control-plane", f"--e2e-output-dir={self.dir}"]
        log = self.results.replace(".jsonl", ".log")
        begun = time.monotonic()
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", cwd=self.dir, start_new_session=True,
                                   env=dict(os.environ, **self.kubectl.env))
        timer = threading.Timer(limit + 120, lambda: os.killpg(process.pid, signal.SIGKILL))
        timer.start()
        try:
            with open(log, "a") as kept:
                for text in process.stdout:
                    kept.write(text)
                    reader.line(text.rstrip("\n"))
            reader.end_of_block()
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        took = time.monotonic() - begun
        with open(self.results, "a") as f:
            f.write(json.dumps({"part": {"focus": focus, "skip": skip, "procs": procs, "seconds": round(took),
                                         "tests": len(reader.verdicts), "end": code}}) + "\n")
        expect(reader.verdicts, f"ginkgo ended with {code} and without a verdict; see {log}")
        counts = [sum(1 for v in reader.verdicts.values() if v == w) for w in ("passed", "failed", "skipped")]
        expect(code == 0 or counts[1], f"ginkgo ended with {code}; see {log}")
        return f"{counts[0]} passed, {counts[1]} failed, {counts[2]} skipped; log: {log}"


def wanted(option, known):
    """The rounds of tests. Each has the names of its tests, the patterns to focus and to
    skip, the number of processes, and a limit in seconds."""
    def names(pattern):
        return [n for n in known if re.search(pattern, n)]

    # With a single process, ginkgo uses another output format.
    procs, limit = max(2, option("procs", 6)), int(option("limit", 3600))
    if option("sample"):
        with open(SAMPLE) as f:
            sample = [t.strip() for t in f if t.strip() and not t.startswith("#")]
        missing = set(sample) - set(known)
        expect(not missing, f"the sample names what this release does not have: {sorted(missing)}")
        return [(sample, ["|".join(re.escape(n) for n in sample)], [], procs, 900)]
    focus = option("focus")
    if focus:
        return [(names(focus), [focus], [], procs, limit)]
    parallel = (names(f"^(?!.*{SERIAL})"), [MARK], [SERIAL], procs, limit)
    # Serial tests use only one of the two processes, which the output format requires.
    serial = (names(SERIAL), [f"{SERIAL}.*{MARK}|{MARK}.*{SERIAL}"], [], 2, limit)
    return [parallel, serial]


@pytest.fixture(scope="module")
def results(option):
    """Path of the file to which the verdicts are written."""
    part = option("sample") or option("focus")
    expect(not (part and option("report")), "--report needs all tests: conformance_page.py takes files of several runs")
    os.makedirs(os.path.join(HOME, "results"), exist_ok=True)
    return os.path.join(HOME, "results", time.strftime("%Y%m%d-%H%M%S.jsonl", time.gmtime()))


@pytest.fixture(scope="module")
def tools(report):
    """The directory with the tests and their images, for the newest release that the
    recipe supports."""
    done = subprocess.run([os.path.join(ROOT, "images", "conformance", "build.sh")], stdout=subprocess.PIPE,
                          text=True, timeout=3600, check=False)
    expect(done.returncode == 0, f"images/conformance/build.sh ended with {done.returncode}")
    tools = done.stdout.split()[-1]
    report(os.path.basename(tools).split("-")[1])
    return tools


@pytest.fixture(scope="module")
def cluster(tools, server, results, option):
    cluster = Cluster(server, option("image"), tools, results)
    try:
        yield cluster
    finally:
        cluster.registry.stop()
    if option("report") and os.path.exists(results):
        conformance_page.write(option("report"), [results])


def test_cluster_of_1_master_and_2_workers(cluster, report):
    cluster.s.openstack("coe", "cluster", "template", "create", "ct", "--coe", "kubernetes", "--image", cluster.image,
                        "--external-network", "public", "--keypair", "default", "--flavor", FLAVOR,
                        "--master-flavor", FLAVOR).ok()
    cluster.s.openstack("coe", "cluster", "create", NAME, "--cluster-template", "ct",
                        "--master-count", "1", "--node-count", "2").ok()
    begun = time.monotonic()
    cluster.s.until(NAME, "CREATE_COMPLETE", 300)
    cluster.s.openstack("coe", "cluster", "config", NAME, "--dir", cluster.dir).ok()
    nodes = cluster.kubectl.nodes()
    expect(len(nodes) == 3 and all(nodes.values()), f"nodes: {nodes}")
    report(f"{time.monotonic() - begun:.1f} s")


def test_nodes_have_a_registry(cluster, option, report):
    """Nodes use a registry with the tests' images instead of registry.k8s.io, because
    a test machine cannot reach the latter and some tests pull images. For a complete
    run the nodes pull all images beforehand, so that no test waits for a pull."""
    containers = list(kube.containers(cluster.s).values())
    networks = json.loads(run(["docker", "inspect", containers[0]]).ok().out)[0]["NetworkSettings"]["Networks"]
    url = cluster.registry.start(next(iter(networks.values()))["Gateway"], REGISTRY_PORT)
    hosts = f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    for container in containers:
        run(["docker", "exec", "-i", container, "sh", "-c", f"mkdir -p {CERTS}/registry.k8s.io && cat > {CERTS}/registry.k8s.io/hosts.toml"],
            data=hosts).ok()
    if option("sample") or option("focus"):
        report(url)
        return
    with open(os.path.join(cluster.tools, "images.txt")) as f:
        pull = f"for i in {' '.join(f.read().split())}; do ctr -n k8s.io images pull --hosts-dir {CERTS} $i >/dev/null || exit; done"
    pulls = [subprocess.Popen(["docker", "exec", c, "sh", "-c", pull], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) for c in containers]
    for one in pulls:
        _, err = one.communicate(timeout=600)
        expect(one.returncode == 0, f"ctr images pull: {err.strip()[-500:]}")
    report(f"{url}; pulled by {len(pulls)} nodes")


# Each round has a separate limit.
@pytest.mark.timeout(0)
def test_conformance_tests_pass(cluster, results, option, report, subtests):
    """Every conformance test that is not skipped is a subtest. A test without a verdict
    counts as failed."""
    report(f"results: {results}")
    known = cluster.listed()
    with open(results, "w") as f:
        f.write(json.dumps(cluster.describe()) + "\n")
        f.write(json.dumps({"known": known}) + "\n")
    for names, *how in wanted(option, known):
        reader = Reader(known, results)
        try:
            report(f"{len(names)} conformance tests: {cluster.tests(reader, *how)}")
        finally:
            for name in names:
                verdict = reader.verdicts.get(name, "no verdict")
                if verdict != "skipped":
                    with subtests.test(name):
                        expect(verdict == "passed", verdict)


def test_delete_leaves_nothing(cluster):
    cluster.s.openstack("coe", "cluster", "delete", NAME).ok()
    cluster.s.until(NAME, "GONE", 120)
    left = cluster.s.left()
    expect(not left, f"left behind: {left}")
