"""A private Docker Engine in a separate network namespace, which a test may
stop, kill and start without affecting other tests.

A script calls `run_with_private_engine`: outside of the namespace the images are
saved and the script is started again inside, where it runs its scenarios."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

from environment import Failed, run_scenarios, run, wait_for

INSIDE = "--inside"


class Engine:
    """A private dockerd, running while the scenarios run."""

    def __init__(self):
        self.dir = os.environ["ENGINE_DIR"]
        self.socket = f"{self.dir}/docker.sock"
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def load(self):
        """The images that were saved outside."""
        with open(f"{self.dir}/images.tar") as tar:
            subprocess.run(["docker", "load"], stdin=tar, check=True, capture_output=True)

    def start(self):
        pid = f"{self.dir}/pid"
        if os.path.exists(pid):
            os.unlink(pid)
        with open(f"{self.dir}/log", "ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--bridge=none", "--host", f"unix://{self.socket}", "--data-root", f"{self.dir}/data",
                 "--exec-root", f"{self.dir}/exec", "--pidfile", pid], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        try:
            wait_for("the engine answers", 60, lambda: run(["docker", "version"]).code == 0)
        except Failed as e:
            with open(f"{self.dir}/log", errors="replace") as log:
                raise Failed(f"{e}\n{''.join(log.readlines()[-15:])}") from None

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
    said = subprocess.run(["pgrep", *how], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [int(pid) for pid in said.split()]


def processes(directory):
    """Ids of an engine's processes, then of the first ones of its containers:
    children of the shims."""
    own = found("-f", directory)
    return own + [pid for pid in found("-P", ",".join(map(str, own))) if pid not in own] if own else []


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def run_with_private_engine(script, images, run_all):
    """Runs `run_all(scenarios, server, engine)` with a private engine that has
    the images; returns the exit code. `script`: the caller's `__file__`, which
    is run again with the same arguments."""
    if INSIDE not in sys.argv:
        return outside(script, images)
    engine = Engine()
    settings = f'[infra]\ndocker = "unix://{engine.socket}"\n'
    return run_scenarios(lambda scenarios, server: run_all(scenarios, server, engine), settings, around=engine)


def outside(script, images):
    """Saves the images, then runs the script in a separate namespace."""
    dir_ = tempfile.mkdtemp(prefix="jeroboam-engine-", dir="/var/tmp")
    # Without this exit nothing would be cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        subprocess.run(["docker", "save", "-o", f"{dir_}/images.tar", *images], check=True, stdout=subprocess.DEVNULL)
        env = dict(os.environ, ENGINE_DIR=dir_, DOCKER_HOST=f"unix://{dir_}/docker.sock")
        args = ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                os.path.abspath(script), INSIDE, *sys.argv[1:]]
        with subprocess.Popen(args, env=env) as scenarios:
            # The scenarios end first, then their remains are removed.
            signal.signal(signal.SIGTERM, lambda *_: scenarios.terminate())
            return scenarios.wait()
    finally:
        # Processes and mounts that an interrupted engine has left.
        kill(processes(dir_))
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if line.split()[1].startswith(dir_)]
        for mount in sorted(mounts, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(dir_, ignore_errors=True)
