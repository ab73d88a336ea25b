"""The environment of a black-box test: a server on a free port with its own
state directory, and the unmodified clients. Python's standard library only.

Environment variables: JEROBOAM_BIN (the server; by default target/debug/jeroboam),
JEROBOAM_VENV (the virtual environment with the OpenStack clients; by default
~/.cache/jeroboam/venv), and JEROBOAM_CONFIG (the configuration file of the servers,
needed if tests run concurrently).
"""

import contextlib
import glob
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "jeroboam")
BIN = os.environ.get("JEROBOAM_BIN") or os.path.join(
    os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "debug", "jeroboam")
VENV = os.environ.get("JEROBOAM_VENV") or os.path.join(CACHE, "venv")
# Settings for a test that may run at the same time as a test with the default pool.
OWN_POOL = '[infra]\npool = "172.22.0.0/16"\n'
# For tests of the waiting lane, which run beside others.
WAITING_POOL = '[infra]\npool = "172.24.0.0/16"\n'
KINDS = {
    "container": (["docker", "ps", "-a", "--format", "{{.Names}}"], ["docker", "rm", "-fv"]),
    "network": (["docker", "network", "ls", "--format", "{{.Name}}"], ["docker", "network", "rm"]),
    "volume": (["docker", "volume", "ls", "--format", "{{.Name}}"], ["docker", "volume", "rm", "-f"]),
}
# What the runtime of nodes in user namespaces permits: a file for each range of ids.
GRANTS = "/var/lib/jeroboam-userns"


def kept_here(settings):
    """The settings, so that traffic of nodes does not leave this machine."""
    if "isolate =" in settings or "outside =" in settings:
        return settings
    if "[infra]\n" in settings:
        return settings.replace("[infra]\n", "[infra]\noutside = false\n", 1)
    return f"{settings}\n[infra]\noutside = false\n"


class Failed(Exception):
    """A failed expectation."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def wait_for(what, seconds, probe, step=0.05):
    """Polls until the probe is true and returns its value; the error at the
    deadline contains the last value."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = probe()
            if last:
                return last
        except (Failed, OSError, subprocess.SubprocessError) as e:
            last = e
        time.sleep(step)
    raise Failed(f"{what}: not within {seconds} s; last seen: {last}")


class Result:
    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    @property
    def text(self):
        return self.out + self.err

    def ok(self):
        expect(self.code == 0, f"{' '.join(self.args)} ended with {self.code}:\n{self.text.strip()}")
        return self

    def refused(self, *words):
        """Expects a failure whose output contains each of the words."""
        expect(self.code != 0, f"{' '.join(self.args)} should have failed, printed:\n{self.text.strip()}")
        for word in words:
            expect(word in self.text, f"{' '.join(self.args)}: '{word}' is not in:\n{self.text.strip()}")
        return self

    def json(self):
        self.ok()
        try:
            return json.loads(self.out)
        except ValueError:
            raise Failed(f"{' '.join(self.args)} printed no JSON:\n{self.text}") from None


def run(args, env=None, cwd=None, timeout=120, data=None):
    full = dict(os.environ, **(env or {}))
    for name in [n for n, v in full.items() if v is None]:
        del full[name]
    try:
        done = subprocess.run(args, env=full, cwd=cwd, timeout=timeout, input=data, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL if data is None else None)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(args)} did not end within {timeout} s") from None
    return Result(args, done.returncode, done.stdout, done.stderr)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.raw = status, headers, body
        try:
            self.body = json.loads(body) if body else None
        except ValueError:
            self.body = None

    @property
    def detail(self):
        """The text of a Magnum error body."""
        try:
            return self.body["errors"][0]["detail"]
        except (TypeError, KeyError, IndexError):
            return self.raw.decode(errors="replace")


class Server:
    """`jeroboam serve` in a private state directory."""

    def __init__(self, bin=BIN, settings=None):
        self.bin = bin
        self.state = tempfile.mkdtemp(prefix="jeroboam-test-")
        self.home = os.path.join(self.state, "home")
        os.mkdir(self.home)
        self.process = None
        self.address = None
        self.listen = "127.0.0.1:0"
        self.flags = ["--demo-project"]
        self.config = None
        self.log_path = os.path.join(self.state, "server.log")
        self.tokens = {}
        if settings is None and os.environ.get("JEROBOAM_CONFIG"):
            with open(os.environ["JEROBOAM_CONFIG"]) as f:
                settings = f.read()
        settings = settings or ""
        # Simulated nodes are not in the engine.
        real = 'driver = "simulator"' not in settings and shutil.which("docker")
        self.before = {kind: names(kind) for kind in KINDS} if real else {}
        # Another release may not know the setting.
        if bin == BIN:
            settings = kept_here(settings)
        if settings:
            self.config = os.path.join(self.state, "test.toml")
            with open(self.config, "w") as f:
                f.write(settings)

    def directory(self, name):
        """A new directory that is deleted when the server is closed."""
        path = os.path.join(self.state, name)
        os.mkdir(path)
        return path

    def start(self, seconds=30):
        """Starts the server and waits for its line `ready:`. Returns the milliseconds
        that it took."""
        args = [self.bin, "serve", "--state-dir", self.state, "--listen", self.listen, *self.flags]
        if self.config:
            args += ["--config", self.config]
        begun = time.monotonic()
        out_path = os.path.join(self.state, "server.out")
        with open(self.log_path, "ab") as log, open(out_path, "wb") as out:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                                            start_new_session=True, env=dict(os.environ, HOME=self.home))

        def ready():
            with open(out_path) as f:
                for line in f:
                    if line.startswith("ready: ") and line.endswith("\n"):
                        return line.split()[1]
            if self.process.poll() is not None:
                raise Gone(f"the server ended with {self.process.returncode}:\n{self.log()}")
            return None

        self.address = wait_for("the server's ready line", seconds, ready, 0.005)
        # A restart uses the same port, so that the clouds.yaml of clients stays valid.
        self.listen = self.address.split("//")[1].rstrip("/")
        return (time.monotonic() - begun) * 1000

    def log(self, lines=30):
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill9()
                raise Failed("the server did not stop within 20 s of SIGTERM") from None

    @property
    def env(self):
        blank = {n: None for n in os.environ if n.startswith("OS_")}
        return dict(blank, OS_CLIENT_CONFIG_FILE=os.path.join(self.state, "clouds.yaml"), HOME=self.home, SHELL="/bin/bash")

    def openstack(self, *args, cloud="jeroboam-demo", cwd=None, timeout=60):
        env = dict(self.env, OS_CLOUD=cloud)
        return run([os.path.join(VENV, "bin", "openstack"), *args], env=env, cwd=cwd, timeout=timeout)

    def cli(self, *args, cloud="jeroboam", timeout=120):
        return run([self.bin, *args], env=dict(self.env, OS_CLOUD=cloud), timeout=timeout)

    def call(self, method, path, body=None, cloud="jeroboam-demo", headers=None, raw=None):
        """Sends one HTTP request with a token of the cloud; without a token if it is None."""
        send = {"OpenStack-API-Version": "container-infra latest", "Content-Type": "application/json"}
        if cloud:
            send["X-Auth-Token"] = self.token(cloud)
        send.update(headers or {})
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.address + path, data=data, method=method,
                                         headers={k: v for k, v in send.items() if v is not None})
        try:
            with urllib.request.urlopen(request, timeout=30) as got:
                return Answer(got.status, got.headers, got.read())
        except urllib.error.HTTPError as e:
            return Answer(e.code, e.headers, e.read())

    def magnum(self, method, path, body=None, **more):
        return self.call(method, "/container-infra/v1" + path, body, **more)

    def token(self, cloud):
        if cloud not in self.tokens:
            user, password, project = self.credentials(cloud)
            domain = {"id": "default"}
            body = {"auth": {"identity": {"methods": ["password"], "password": {
                "user": {"name": user, "domain": domain, "password": password}}},
                "scope": {"project": {"name": project, "domain": domain}}}}
            got = self.call("POST", "/identity/v3/auth/tokens", body, cloud=None)
            expect(got.status == 201, f"login as {user}: {got.status} {got.raw[:300]}")
            self.tokens[cloud] = got.headers["X-Subject-Token"]
        return self.tokens[cloud]

    def credentials(self, cloud):
        """User, password and project of an entry of clouds.yaml."""
        at, found = None, {}
        with open(os.path.join(self.state, "clouds.yaml")) as f:
            for line in f:
                key, _, value = line.strip().partition(":")
                if line.startswith("  ") and not line.startswith("   "):
                    at = key
                elif at == cloud:
                    found[key] = value.strip().strip("\"'")
        return found["username"], found["password"], found["project_name"]

    def status(self, cluster, cloud="jeroboam-demo"):
        """Status and reason of a cluster; `GONE` if the answer is 404."""
        got = self.magnum("GET", f"/clusters/{cluster}", cloud=cloud)
        if got.status == 404:
            return "GONE", ""
        expect(got.status == 200, f"show {cluster}: {got.status} {got.detail}")
        return got.body["status"], got.body["status_reason"]

    def until(self, cluster, wanted, seconds=120, cloud="jeroboam-demo"):
        """Polls until the cluster has one of the statuses. Fails if it gets another status
        that is a failure."""
        wanted = (wanted,) if isinstance(wanted, str) else wanted

        def probe():
            status, reason = self.status(cluster, cloud)
            if status in wanted:
                return status
            if status.endswith("_FAILED"):
                raise Gone(f"{cluster} is {status}: {reason}\n{self.log()}")
            return None

        return wait_for(f"{cluster} {'/'.join(wanted)}", seconds, probe)

    def leaks(self):
        got = self.call("GET", "/jeroboam/v1/leaks", cloud="jeroboam")
        expect(got.status == 200, f"leaks: {got.status} {got.raw[:300]}")
        return got.body["leaks"]

    def installation(self):
        path = os.path.join(self.state, "installation")
        if not os.path.exists(path):
            return None
        with open(path) as f:
            return f.read().strip()

    def left(self):
        """The remaining objects of this server: by label, and by name those without a
        label that did not exist at the start, and firewall rules by their comment."""
        found = []
        mark = self.installation()
        for kind in KINDS:
            ours = set(names(kind, f"label=io.jeroboam.installation={mark}")) if mark else set()
            others = {n for n in names(kind) if n.startswith("jb-")} - set(self.before.get(kind, []))
            others -= set(names(kind, "label=io.jeroboam.installation"))
            if others:
                # Objects that another test has removed between the two lists.
                others &= set(names(kind))
            found += [f"{kind} {n}" for n in sorted(ours | others)]
        return found + [f"rule {chain}" for chain in firewall_chains(mark)]

    def close(self):
        """Stops the server, removes its remaining objects, and returns their names."""
        try:
            self.stop()
        finally:
            left = self.left() if self.before else []
            for item in left:
                kind, name = item.split(" ", 1)
                if kind == "rule":
                    remove_chain(name)
                    continue
                # Another test may run concurrently: remove only our objects.
                if name in names(kind, f"label=io.jeroboam.installation={self.installation()}"):
                    run([*KINDS[kind][1], name])
                    for path in grants({name} if kind == "container" else set()):
                        os.unlink(path)
            if not os.environ.get("JEROBOAM_KEEP"):
                shutil.rmtree(self.state, ignore_errors=True)
        return left


class Gone(Exception):
    """A permanent failure, which wait_for does not retry."""


def names(kind, *filters):
    args = list(KINDS[kind][0])
    for f in filters:
        args += ["--filter", f]
    return run(args).ok().out.split()


FIREWALLS = ("iptables", "ip6tables")


def firewall_chains(installation):
    """The firewall chains of networks of an installation."""
    found = set()
    for program in FIREWALLS if installation and shutil.which("iptables") else ():
        for line in run([program, "-w", "-S"]).ok().out.splitlines():
            if f"{installation}/" in line:
                found.add(line.split()[-1])
    return sorted(found)


def remove_chain(chain):
    """Removes a chain of a network, with the rules that jump to it."""
    for program in FIREWALLS:
        rules = [shlex.split(line) for line in run([program, "-w", "-S"]).ok().out.splitlines()]
        for rule in rules:
            if rule[0] == "-A" and rule[-1] == chain:
                run([program, "-w", "-D", *rule[1:]])
        if ["-N", chain] in rules:
            run([program, "-w", "-F", chain])
            run([program, "-w", "-X", chain])


def grants(containers):
    """The files with the grants of these containers, by path."""
    found = {}
    for path in glob.glob(f"{GRANTS}/*-*"):
        # Another test may remove its grants concurrently.
        with contextlib.suppress(FileNotFoundError), open(path) as f:
            name = f.readline().strip()
            if name in containers:
                found[path] = name
    return found


class Docker:
    """The docker client against a cluster's TLS endpoint."""

    def __init__(self, host, certificates):
        self.env = {"DOCKER_HOST": host, "DOCKER_CERT_PATH": certificates, "DOCKER_TLS_VERIFY": None,
                    "DOCKER_CONTEXT": None}
        self.flags = ["--tlsverify"] + [
            f"--tls{a}={certificates}/{b}.pem" for a, b in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))]

    def __call__(self, *args, timeout=60):
        return run(["docker", *self.flags, *args], env=self.env, timeout=timeout)

    def nodes(self):
        """Rows of `docker node ls`."""
        out = self("node", "ls", "--format", "{{json .}}").ok().out
        return [json.loads(line) for line in out.splitlines()]

    def ready(self, count, seconds=60):
        """Waits until there are exactly this many nodes and all are Ready."""
        def probe():
            nodes = self.nodes()
            return nodes if len(nodes) == count and all(n["Status"] == "Ready" for n in nodes) else None
        return wait_for(f"{count} nodes Ready", seconds, probe, 0.2)
