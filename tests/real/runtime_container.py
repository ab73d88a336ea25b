"""Containers of `jeroboam-runtime` for tests: an image, grants, and what a container leaves
on the host."""

import contextlib
import fcntl
import hashlib
import http.client
import io
import json
import os
import re
import socket
import struct
import tarfile
import time

from environment import expect, run

GRANTS = "/var/lib/jeroboam-userns"
IMAGE = "runtime-test:1"
SIZE = 1 << 20
# Other tests have nodes with the first ranges of the pool.
FIRST = (1 << 31) - 16 * SIZE
# The options of a node that matter for the runtime.
NODE = ["--network", "none", "--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--security-opt",
        "apparmor=unconfined", "--security-opt", "systempaths=unconfined"]
NS_GET_OWNER_UID = 0xB704
# Where the runtime records its containers.
RECORDS = "/run/jeroboam-userns/containers"


def docker(*args, timeout=60):
    return run(["docker", *args], timeout=timeout)


def grant(name, index, text=None, mode=0o600):
    """Writes a grant as the server would, and returns the range."""
    base = FIRST + index * SIZE
    path = f"{GRANTS}/{base}-{SIZE}"
    with open(path, "w") as f:
        f.write(text or f"{name}\n")
    os.chmod(path, mode)
    return base


def create(name, *options, env=None, command=("sleep", "1000")):
    """Creates a container and returns its id."""
    env = [] if env is None else env
    variables = [word for value in env for word in ("--env", value)]
    return docker("create", "--name", name, "--runtime", "jeroboam-userns", *NODE, *variables, *options, IMAGE,
                  *command).ok().out.strip()


class UnixConnection(http.client.HTTPConnection):
    """HTTP by the socket of the engine."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def engine_api(engine, method, path, body):
    """The body of the engine's answer."""
    connection = UnixConnection(engine.socket)
    try:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        expect(answer.status < 300, f"{method} {path}: {answer.status} {text}")
        return json.loads(text)
    finally:
        connection.close()


def inside(name, script):
    return docker("exec", name, "sh", "-c", script)


def inspect(name, template):
    return docker("inspect", "-f", template, name).ok().out.strip()


def first_process(name):
    return int(inspect(name, "{{.State.Pid}}"))


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def mapped(pid, base):
    """Fails unless this process is root of the namespace with this range."""
    expect(read(f"/proc/{pid}/uid_map").split() == ["0", str(base), str(SIZE)], read(f"/proc/{pid}/uid_map"))
    expect(read(f"/proc/{pid}/gid_map").split() == ["0", str(base), str(SIZE)], read(f"/proc/{pid}/gid_map"))
    ids = {line.split()[0]: line.split()[1:] for line in read(f"/proc/{pid}/status").splitlines() if line[1:3] == "id"}
    expect(ids["Uid:"] == [str(base)] * 4 and ids["Gid:"] == [str(base)] * 4, f"{ids}")
    # The kernel charges resources of the namespace to its owner, which must not be the
    # host's root.
    with open(f"/proc/{pid}/ns/user") as namespace:
        owner = fcntl.ioctl(namespace, NS_GET_OWNER_UID, struct.pack("I", 0))
    expect(struct.unpack("I", owner)[0] == base, f"the namespace is owned by {owner}")


def cgroups(container):
    """The cgroups of a container in all hierarchies."""
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        if container in folder:
            found.append(folder)
            names.clear()
    return found


def processes(container, base=None):
    """Processes that belong to a container or are about to create it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            command = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            uids = re.search(r"^Uid:\s+(\d+)", read(f"/proc/{pid}/status"), re.M)
            user = int(uids.group(1)) if uids else 0
            # The client has the name of the container as an argument, not its id.
            if container in command or base and base <= user < base + SIZE or container in read(f"/proc/{pid}/cgroup"):
                found.append(f"{pid} {command}")
    return found


def mounts():
    """Mounts of the runtime that are visible outside of its containers."""
    tables = [read(f"/proc/{pid}/mountinfo") for pid in (1, "thread-self")]
    return [line for table in tables for line in table.splitlines()
            if " /run/jeroboam-userns" in line or "jeroboam-work" in line]


def left(engine, container, base=None):
    """What a container has left on the host, except mounts: processes, cgroups, the record
    of the runtime, and directories of the engine, of containerd and of runc. Processes of
    its range count as well, if that is given."""
    found = [f"process {process}" for process in processes(container, base)]
    found += [f"cgroup {group}" for group in cgroups(container)]
    if os.path.exists(f"{RECORDS}/{container}"):
        found.append(f"record {read(f'{RECORDS}/{container}')}")
    for folder, names, _ in os.walk(engine.dir):
        found += [f"directory {folder}/{name}" for name in names if container in name]
    return found


def expect_nothing_left(engine, container, base):
    """Waits until the container has left nothing: containerd needs a moment."""
    end = time.monotonic() + 20
    while (found := left(engine, container, base)) and time.monotonic() < end:
        time.sleep(0.05)
    expect(not found, f"left: {found}")
    expect(not mounts(), f"left: {mounts()}")


def root_archive():
    """An archive of a root file system with the machine's busybox."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for applet in ("sh", "sleep", "stat", "cat", "mkdir", "ls", "touch", "echo", "mount", "mknod", "id", "chown", "readlink", "mkfifo",
                       "mv", "rm", "umount", "unshare"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("dev", "etc", "proc", "sys", "tmp", "run"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name, owner in (("etc/of-root", 0), ("etc/of-user", 1000)):
            entry = tarfile.TarInfo(name)
            entry.uid = entry.gid = owner
            entry.size = 2
            tar.addfile(entry, io.BytesIO(b"x\n"))
        for name, text in (("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), ("etc/group", b"root:x:0:\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return archive.getvalue()


def build_image(directory):
    """Makes an image of two layers."""
    context = os.path.join(directory, "context")
    os.mkdir(context)
    with open(f"{context}/root.tar", "wb") as f:
        f.write(root_archive())
    docker("import", f"{context}/root.tar", "runtime-test:root").ok()
    with open(f"{context}/Dockerfile", "w") as f:
        f.write("FROM runtime-test:root\nCOPY root.tar /second-layer\nENV PATH=/bin\n")
    docker("build", "--network", "none", "-t", IMAGE, context).ok()


def load_image(directory, tag, count):
    """Loads an image with this number of layers, each with a file of its number."""
    layers = [root_archive()]
    for number in range(1, count):
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(f"layer-{number}"))
        layers.append(layer.getvalue())
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]}}
    files = {f"{number}/layer.tar": layer for number, layer in enumerate(layers)}
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": list(files)}]
    files.update({"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()})
    path = os.path.join(directory, "layers.tar")
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    docker("load", "-i", path, timeout=120).ok()
