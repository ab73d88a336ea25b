"""A private Docker Engine in a separate network namespace, which a test may
stop, kill and start without affecting other tests."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile

import pytest
from environment import BIN, Failed, run, wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
RUNTIME = os.path.join(os.path.dirname(os.path.abspath(BIN)), "jeroboam-runtime")
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000


class Engine:
    """A private dockerd. Nodes in user namespaces have the runtime beside the server
    under test."""

    def __init__(self, directory):
        self.dir = directory
        self.socket = f"{self.dir}/docker.sock"
        self.settings = f'[infra]\ndocker = "unix://{self.socket}"\n'
        self.process = None

    def start(self):
        pid = f"{self.dir}/pid"
        if os.path.exists(pid):
            os.unlink(pid)
        config = self.configure(RUNTIME)
        with open(f"{self.dir}/log", "ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--bridge=none", "--host", f"unix://{self.socket}", "--data-root", f"{self.dir}/data",
                 "--exec-root", f"{self.dir}/exec", "--pidfile", pid, "--config-file", config], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        try:
            wait_for("the engine answers", 60, lambda: run(["docker", "version"]).code == 0)
        except Failed as e:
            with open(f"{self.dir}/log", errors="replace") as log:
                raise Failed(f"{e}\n{''.join(log.readlines()[-15:])}") from None

    def configure(self, runtime):
        """Writes a configuration with this program as the runtime of nodes."""
        config = f"{self.dir}/daemon.json"
        with open(config, "w") as f:
            json.dump({"runtimes": {"jeroboam-userns": {"path": runtime}}}, f)
        return config

    def register(self, runtime):
        """Replaces the runtime of nodes while the engine runs."""
        self.configure(runtime)
        self.process.send_signal(signal.SIGHUP)
        wait_for("the engine has reloaded its configuration", 20,
                 lambda: runtime in run(["docker", "info", "-f", "{{json .Runtimes}}"]).ok().out)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(90)

    def die(self):
        """Kills dockerd and its containerd; processes in containers keep
        running."""
        self.kill([self.process.pid, *found("-P", str(self.process.pid), "-x", "containerd")])

    def kill_all(self):
        """Kills everything, including the containers."""
        self.kill(processes(self.dir))

    def kill(self, pids):
        kill(pids)
        self.process.wait()
        # A zombie containerd that init has not reaped yet would look like a
        # running one.
        wait_for("the killed processes are reaped", 60, lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


def found(*how):
    output = subprocess.run(["pgrep", *how], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [int(pid) for pid in output.split()]


def processes(directory):
    """Ids of an engine's processes, followed by those of the first processes of its
    containers, which are children of the shims."""
    own = found("-f", directory)
    return own + [pid for pid in found("-P", ",".join(map(str, own))) if pid not in own] if own else []


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def system_call(function, *args):
    if function(*args):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def namespace():
    """The calling thread and the processes that it starts have a private network and
    private mounts inside the `with` block."""
    directory = os.getcwd()
    outside = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net")]
    system_call(LIBC.unshare, CLONE_NEWNS | CLONE_NEWNET)
    try:
        run(["mount", "--make-rprivate", "/"]).ok()
        run(["ip", "link", "set", "lo", "up"]).ok()
        yield
    finally:
        for file in outside:
            system_call(LIBC.setns, file, 0)
            os.close(file)
        os.chdir(directory)


@contextlib.contextmanager
def private_engine(images):
    """A private engine in a separate network namespace, with these images of the
    machine's engine. Inside the `with` block every `docker` command uses it."""
    directory = tempfile.mkdtemp(prefix="jeroboam-engine-", dir="/var/tmp")
    engine = Engine(directory)
    archive = f"{directory}/images.tar"
    try:
        if images:
            run(["docker", "save", "-o", archive, *images], timeout=300).ok()
        with namespace(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", f"unix://{engine.socket}")
            try:
                engine.start()
                if images:
                    run(["docker", "load", "-i", archive], timeout=300).ok()
                yield engine
            finally:
                engine.stop()
    finally:
        # An engine that was killed leaves processes and mounts behind.
        kill(processes(directory))
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if line.split()[1].startswith(directory)]
        for mount in sorted(mounts, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(directory, ignore_errors=True)
