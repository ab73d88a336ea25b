#!/usr/bin/env python3
"""The Kubernetes project's own conformance tests on a cluster that our server
makes: 1 master and 2 workers, with the unmodified `openstack` client.

conformance.py                    all 446, the serial ones last; most of an hour
conformance.py --sample           some quick ones of every group; 3 minutes
conformance.py --focus RE         those whose names match
conformance.py --report FILE      writes the page of results as well
conformance.py --report FILE --from RESULTS...   the page alone, from files of
                                  earlier runs; where a test ran twice the last
                                  verdict counts and the page says so

The tests, the program that runs them and the images that they use come from
images/conformance/build.sh. Every verdict is appended to a file as it falls."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import conformance_page  # noqa: E402
import kube  # noqa: E402
import registry  # noqa: E402
from environment import CACHE, ROOT, expect, run_scenarios, run  # noqa: E402

NAME, MARK, SERIAL = "conformance", r"\[Conformance\]", r"\[Serial\]"
HOME = os.path.join(os.environ.get("JEROBOAM_CACHE") or CACHE, "conformance")
SETTINGS = """[infra]
pool = "172.20.0.0/16"
# Packets of a test to an unused address must not reach a host outside.
isolate = true
"""
FLAVOR = "m1.medium"
CERTS = "/etc/containerd/certs.d"
DELIMITER = "-" * 30
VERDICT = re.compile(r"(?:• |S |P )?(?:\[(\w+)\] )?\[([0-9.]+) seconds\]$")
NODE = re.compile(r"\[(?:It|BeforeEach|JustBeforeEach|AfterEach|JustAfterEach|DeferCleanup[^]]*)\] ?")
# Of every group some that end within seconds and wait for nothing.
SAMPLE = os.path.join(ROOT, "images", "conformance", "sample.txt")


class Reader:
    """Reads what ginkgo prints and writes down each verdict."""

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
        said = NODE.sub("", block[1]).strip()
        name = max((n for n in self.known if said.startswith(n)), key=len, default=None)
        if not name:
            return
        state = (head.group(1) or "passed").lower()
        verdict = {"passed": "passed", "skipped": "skipped"}.get(state, "failed")
        reason = "" if verdict == "passed" else self.reason(block, state)
        self.report(name, verdict, float(head.group(2)), reason)

    @staticmethod
    def reason(block, state):
        """The words of the failure: the last block that begins with the
        state, up to where it says where it was."""
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
    def __init__(self, server, image, results):
        self.s, self.image, self.results = server, image, results
        self.dir = server.directory("conformance")
        self.tools, self.kubectl, self.registry = None, None, None

    def build(self):
        """The tests and their images, of the newest release that is known."""
        done = subprocess.run([os.path.join(ROOT, "images", "conformance", "build.sh")], stdout=subprocess.PIPE,
                              text=True, timeout=3600, check=False)
        expect(done.returncode == 0, f"images/conformance/build.sh ended with {done.returncode}")
        self.tools = done.stdout.split()[-1]
        self.kubectl = kube.Kubectl(self.dir)
        self.registry = registry.Registry(os.path.join(self.tools, "images.tar"))
        return os.path.basename(self.tools).split("-")[1]

    def create(self):
        self.s.openstack("coe", "cluster", "template", "create", "ct", "--coe", "kubernetes", "--image", self.image,
                         "--external-network", "public", "--keypair", "default", "--flavor", FLAVOR,
                         "--master-flavor", FLAVOR).ok()
        self.s.openstack("coe", "cluster", "create", NAME, "--cluster-template", "ct",
                         "--master-count", "1", "--node-count", "2").ok()
        begun = time.monotonic()
        self.s.until(NAME, "CREATE_COMPLETE", 300)
        self.s.openstack("coe", "cluster", "config", NAME, "--dir", self.dir).ok()
        nodes = self.kubectl.nodes()
        expect(len(nodes) == 3 and all(nodes.values()), f"nodes: {nodes}")
        return f"{time.monotonic() - begun:.1f} s"

    def images(self, beforehand):
        """A registry with the tests' images, which the nodes ask instead of
        registry.k8s.io: that is not for a test machine to reach, and some
        tests pull. `beforehand` pulls them all, so that no test waits."""
        containers = list(kube.containers(self.s).values())
        networks = json.loads(run(["docker", "inspect", containers[0]]).ok().out)[0]["NetworkSettings"]["Networks"]
        url = self.registry.start(next(iter(networks.values()))["Gateway"])
        hosts = f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
        for container in containers:
            run(["docker", "exec", "-i", container, "sh", "-c", f"mkdir -p {CERTS}/registry.k8s.io && cat > {CERTS}/registry.k8s.io/hosts.toml"],
                data=hosts).ok()
        if not beforehand:
            return url
        with open(os.path.join(self.tools, "images.txt")) as f:
            pull = f"for i in {' '.join(f.read().split())}; do ctr -n k8s.io images pull --hosts-dir {CERTS} $i >/dev/null || exit; done"
        pulls = [subprocess.Popen(["docker", "exec", c, "sh", "-c", pull], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) for c in containers]
        for one in pulls:
            _, err = one.communicate(timeout=600)
            expect(one.returncode == 0, f"ctr images pull: {err.strip()[-500:]}")
        return f"{url}; pulled by {len(pulls)} nodes"

    def describe(self):
        """The first line of the results."""
        nodes = self.kubectl.items("nodes")
        info = nodes[0]["status"]["nodeInfo"]
        return {"run": {
            "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "version": self.kubectl("version", "-o", "json").json()["serverVersion"]["gitVersion"],
            "nodes": len(nodes), "flavor": FLAVOR, "runtime": info["containerRuntimeVersion"],
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
        """Runs what matches."""
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

    def delete(self):
        self.s.openstack("coe", "cluster", "delete", NAME).ok()
        self.s.until(NAME, "GONE", 120)
        left = self.s.left()
        expect(not left, f"left behind: {left}")


def wanted(args, known):
    """Rounds of tests: their names, what ginkgo is told, and how many at once."""
    def names(pattern):
        return [n for n in known if re.search(pattern, n)]

    if args.sample:
        with open(SAMPLE) as f:
            sample = [t.strip() for t in f if t.strip() and not t.startswith("#")]
        missing = set(sample) - set(known)
        expect(not missing, f"the sample names what this release does not have: {sorted(missing)}")
        return [(sample, ["|".join(re.escape(n) for n in sample)], [], args.procs, 900)]
    if args.focus:
        return [(names(args.focus), [args.focus], [], args.procs, args.limit)]
    parallel = (names(f"^(?!.*{SERIAL})"), [MARK], [SERIAL], args.procs, args.limit)
    # Two processes, of which the tests use one.
    serial = (names(SERIAL), [f"{SERIAL}.*{MARK}|{MARK}.*{SERIAL}"], [], 2, args.limit)
    return [parallel, serial]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="kubernetes")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--focus", metavar="RE")
    parser.add_argument("--procs", type=int, default=6, help="tests at a time, 2 or more")
    parser.add_argument("--limit", type=int, default=3600, help="seconds per round")
    parser.add_argument("--report", metavar="FILE")
    parser.add_argument("--from", dest="results", nargs="+", metavar="RESULTS")
    args = parser.parse_args()
    if args.report and (args.sample or args.focus):
        parser.error("--report tells of all tests: --from puts files of several runs together")
    # Ginkgo prints otherwise where it has but one process.
    args.procs = max(2, args.procs)
    if args.results and not args.report:
        parser.error("--from needs --report")
    if args.results:
        conformance_page.write(args.report, args.results)
        return 0

    os.makedirs(os.path.join(HOME, "results"), exist_ok=True)
    results = os.path.join(HOME, "results", time.strftime("%Y%m%d-%H%M%S.jsonl", time.gmtime()))

    def run_all(scenarios, server):
        cluster = Cluster(server, args.image, results)
        try:
            if (scenarios.run("the tests and their images are built", cluster.build)
                    and scenarios.run("the server starts", lambda: f"{server.start():.0f} ms")
                    and scenarios.run("a cluster of 1 master and 2 workers is created", cluster.create)
                    and scenarios.run("the nodes have a registry", lambda: cluster.images(not (args.sample or args.focus)))):
                known = cluster.listed()
                with open(results, "w") as f:
                    f.write(json.dumps(cluster.describe()) + "\n")
                    f.write(json.dumps({"known": known}) + "\n")
                for names, *how in wanted(args, known):
                    reader = Reader(known, results)
                    report_verdicts(scenarios, names, reader.verdicts, lambda r=reader, h=how: cluster.tests(r, *h))
            if server.address:
                scenarios.run("delete leaves nothing", cluster.delete)
        finally:
            if cluster.registry:
                cluster.registry.stop()

    code = run_scenarios(run_all, SETTINGS)
    print(f"results: {results}")
    if args.report and os.path.exists(results):
        conformance_page.write(args.report, [results])
    return code


def report_verdicts(scenarios, names, verdicts, scenario):
    """Every test is one of the script's own; one without a verdict failed."""
    try:
        scenarios.run(f"{len(names)} conformance tests complete", scenario)
    finally:
        for name in names:
            if verdicts.get(name) == "passed":
                scenarios.passed += 1
            elif verdicts.get(name) != "skipped":
                scenarios.failed.append(name if name in verdicts else f"{name}: no verdict")


if __name__ == "__main__":
    sys.exit(main())
