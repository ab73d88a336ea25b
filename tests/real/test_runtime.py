"""Containers of `jeroboam-runtime` in a private engine: root inside is an unprivileged
user of the host, a container without a granted range does not start, and a runtime or an
engine that is killed leaves nothing behind. Options: --seed, --moments (of kills)."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest
from environment import Failed, expect, run, wait_for
from own_engine import RUNTIME, private_engine
from runtime_container import (FIRST, GRANTS, IMAGE, NODE, SIZE, build_image, cgroups, create, docker, engine_api,
                               expect_nothing_left, first_process, grant, inside, inspect, load_image, mapped, mounts, processes,
                               read)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
MOMENTS = 24
ENGINE_MOMENTS = 4


@pytest.fixture(scope="module")
def engine():
    """A private engine with the runtime, the test's image and a private directory of
    grants."""
    created = not os.path.exists(GRANTS)
    os.makedirs(GRANTS, 0o700, exist_ok=True)
    try:
        with private_engine([]) as engine:
            # The mount namespace is that of this thread and of the engine.
            run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", GRANTS]).ok()
            build_image(engine.dir)
            yield engine
            left = docker("ps", "-aq").ok().out.split()
            if left:
                docker("rm", "-fv", *left)
    finally:
        if created:
            with contextlib.suppress(OSError):
                os.rmdir(GRANTS)


@pytest.fixture
def name(request, engine):
    """The name of a container, which is removed after the test with its grant."""
    name = "jb-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-")
    yield name
    docker("rm", "-fv", name)
    for file in os.listdir(GRANTS):
        os.unlink(f"{GRANTS}/{file}")


@pytest.fixture
def node(name):
    """A running container with a granted range and a volume at /volume; its name."""
    create(name, "--volume", f"{name}:/volume", "--memory", "64m", "--restart", "always",
           env=[f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"])
    docker("start", name).ok()
    yield name
    docker("rm", "-fv", name).ok()
    docker("volume", "rm", name)


def test_root_inside_is_an_unprivileged_user_outside(node):
    mapped(first_process(node), FIRST)
    expect(inside(node, "id -u").ok().out == "0\n", "not root inside")
    process = subprocess.Popen(["docker", "exec", node, "sleep", "77"], stdin=subprocess.DEVNULL)
    try:
        def sleeper():
            rows = docker("top", node, "-o", "pid,args").ok().out.splitlines()
            return next((int(row.split()[0]) for row in rows if row.endswith("sleep 77")), None)
        mapped(wait_for("the process of docker exec", 20, sleeper), FIRST)
    finally:
        process.kill()
        process.wait()


def test_files_have_the_same_owners_inside_and_on_disk(node):
    owners = inside(node, "stat -c %u:%g /etc/of-root /etc/of-user /second-layer /etc/hostname /etc/hosts /volume /").ok().out.split()
    expect(owners == ["0:0", "1000:1000", "0:0", "0:0", "0:0", "0:0", "0:0"], f"{owners}")
    inside(node, "for d in /volume /etc; do echo a >$d/root; echo a >$d/user; chown 7:8 $d/user; done; echo b >>/etc/of-root").ok()
    volume = docker("volume", "inspect", "-f", "{{.Mountpoint}}", node).ok().out.strip()
    upper = inspect(node, "{{.GraphDriver.Data.UpperDir}}")
    for folder in (volume, f"{upper}/etc"):
        for file, ids in (("root", (0, 0)), ("user", (7, 8))):
            seen = os.stat(f"{folder}/{file}")
            expect((seen.st_uid, seen.st_gid) == ids, f"{folder}/{file}: {seen}")
    expect(os.stat(f"{upper}/etc/of-root").st_uid == 0, "a copied file belongs to another user on disk")
    expect(read(f"{upper}/etc/of-root") == "x\nb\n", "the copy is not complete")


def test_cgroups_below_its_own_can_be_created_and_its_own_limit_cannot_be_raised(node):
    own = "/sys/fs/cgroup" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "/sys/fs/cgroup/memory"
    limit = "memory.max" if own == "/sys/fs/cgroup" else "memory.limit_in_bytes"
    inside(node, f"mkdir {own}/below && sh -c 'echo $$ >{own}/below/cgroup.procs && cat {own}/below/cgroup.procs'").ok()
    expect(inside(node, f"cat {own}/{limit}").ok().out == f"{64 << 20}\n", "another limit")
    inside(node, f"echo {65 << 20} >{own}/{limit}").refused("Permission denied")
    expect(inside(node, f"cat {own}/{limit}").ok().out == f"{64 << 20}\n", "the limit has changed")
    for group in cgroups(inspect(node, "{{.Id}}")):
        for file in os.listdir(group):
            if os.stat(f"{group}/{file}").st_uid != 0 and not os.path.isdir(f"{group}/{file}"):
                expect(file in ("cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"), f"{group}/{file} is delegated")


def test_devices_are_those_of_the_list(node):
    modes = inside(node, "stat -c '%a %t %T' /dev/fuse /dev/net/tun").ok().out.split("\n")[:2]
    expect(modes == ["666 a e5", "666 a c8"], f"{modes}")
    inside(node, "echo >/dev/net/tun").refused("File descriptor in bad state")
    inside(node, "mknod /tmp/disk b 254 0").refused("Operation not permitted")
    inside(node, "mount -t proc proc /tmp && mount -t sysfs sysfs /tmp").ok()


def test_devices_are_those_of_the_grant(name):
    env = [f"JEROBOAM_USERNS={grant(name, 0, text=f'{name}{chr(10)}devices:/dev/loop-control{chr(10)}')}:{SIZE}"]
    create(name, env=env)
    docker("start", name).ok()
    expect(inside(name, "stat -c '%a %t %T' /dev/loop-control").ok().out == "666 a ed\n", "another device")
    inside(name, "stat /dev/fuse").refused("No such file")
    docker("rm", "-f", name).ok()
    for devices, reason in (("/dev/absent", "the host has no device /dev/absent"), ("/dev/fd", "is not a character device"),
                            ("/dev/null", "the kernel's memory"), ("/etc/passwd", "lines that this release knows")):
        grant(name, 0, text=f"{name}\ndevices:{devices}\n")
        create(name, env=env)
        docker("start", name).refused("jeroboam-runtime: ", reason)
        docker("rm", "-f", name).ok()


def test_files_that_the_engine_opens_cannot_be_replaced(node):
    """The engine opens the files with the users and groups before the runtime runs. A
    pipe in their place would make it wait for ever."""
    for file in ("/etc/passwd", "/etc/group"):
        for way in (f"rm {file}", f"mv {file} /moved", "mv /etc /moved", f"umount {file}", f"umount -l {file}", "umount -l /etc",
                    f"mkdir -p /other && mount -o bind / /other && rm /other{file}", f"unshare -m umount -l {file}",
                    f"unshare -m rm {file}", f"mkfifo /pipe{os.path.basename(file)} && mv /pipe{os.path.basename(file)} {file}"):
            expect(inside(node, way).code != 0, f"{way} succeeded")
        inside(node, f"echo user:x:7:7::/:/bin/sh >>{file} && cat {file}").ok()
        upper = inspect(node, "{{.GraphDriver.Data.UpperDir}}")
        expect("user:x:7" in read(f"{upper}{file}"), "the change is not on disk")
    docker("restart", "-t", "0", node).ok()
    expect("user:x:7" in inside(node, "cat /etc/passwd").ok().out, "the change is lost")


def test_deep_cgroups_are_removed_with_the_container(name):
    container = create(name, env=[f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"])
    docker("start", name).ok()
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    top = "/sys/fs/cgroup" if unified else "/sys/fs/cgroup/memory"
    # As deep as the kernel permits; the path is longer than runc can use.
    deep = "x" * 250
    inside(name, f"cd {top} && while mkdir {deep} && cd {deep}; do :; done").ok()
    docker("rm", "-fv", name).ok()
    wait_for("the cgroups are removed", 10, lambda: not cgroups(container))


def test_exec_copy_diff_and_restart(node, tmp_path):
    inside(node, "echo from-inside >/etc/copied").ok()
    docker("cp", f"{node}:/etc/copied", f"{tmp_path}/out").ok()
    expect(read(f"{tmp_path}/out") == "from-inside\n", "docker cp from the container")
    (tmp_path / "in").write_text("from-outside\n")
    docker("cp", f"{tmp_path}/in", f"{node}:/etc/in").ok()
    expect(inside(node, "cat /etc/in").ok().out == "from-outside\n", "docker cp to the container")
    expect("A /etc/copied" in docker("diff", node).ok().out, "docker diff")
    docker("restart", "--time", "1", node).ok()
    mapped(first_process(node), FIRST)
    expect(inside(node, "cat /etc/in /etc/copied").ok().out == "from-outside\nfrom-inside\n", "after the restart")


@pytest.mark.parametrize("end", ["stop", "die", "kill_all"])
def test_engine_ends_and_is_started(engine, node, end):
    inside(node, "echo kept >/etc/kept").ok()
    getattr(engine, end)()
    engine.start()
    wait_for("the container runs", 60, lambda: inspect(node, "{{.State.Running}}") == "true" and inside(node, "cat /etc/kept").ok())
    mapped(first_process(node), FIRST)
    docker("rm", "-f", node).ok()
    expect(not mounts(), f"{mounts()}")


def test_image_with_the_most_layers_that_the_engine_permits(engine, name):
    # The container has a layer, too, and one for the files that the engine creates.
    load_image(engine.dir, "runtime-layers:1", 125)
    docker("create", "--name", name, "--runtime", "jeroboam-userns", *NODE, "--env",
           f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}", "runtime-layers:1", "sleep", "1000").ok()
    docker("start", name).ok()
    found = inside(name, "ls -d /layer-*").ok().out.split()
    expect(len(found) == 124, f"{len(found)} layers are visible")


def test_terminal(name):
    create(name, "--tty", env=[f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"])
    docker("start", name).ok()
    expect(inside(name, "readlink /proc/1/fd/0").ok().out == "/dev/pts/0\n", "no terminal")
    shown = docker("exec", "--tty", name, "readlink", "/proc/self/fd/0").ok().out.strip()
    expect(shown == "/dev/pts/1", f"no terminal of exec: {shown}")


def no_variable(_name):
    return []


def repeated(name):
    value = f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"
    return [value, value]


def malformed(name):
    grant(name, 0)
    return [f"JEROBOAM_USERNS={FIRST}-{SIZE}"]


def of_the_host(_name):
    return ["JEROBOAM_USERNS=0:65536"]


def no_grant(_name):
    return [f"JEROBOAM_USERNS={FIRST}:{SIZE}"]


def of_another_container(name):
    return [f"JEROBOAM_USERNS={grant(name, 0, text='jb-other' + chr(10))}:{SIZE}"]


def writable(name):
    return [f"JEROBOAM_USERNS={grant(name, 0, mode=0o622)}:{SIZE}"]


def of_another_user(name):
    base = grant(name, 0)
    os.chown(f"{GRANTS}/{base}-{SIZE}", 1000, 1000)
    return [f"JEROBOAM_USERNS={base}:{SIZE}"]


def symlink(name):
    base = grant(name, 0)
    os.rename(f"{GRANTS}/{base}-{SIZE}", f"{GRANTS}/elsewhere")
    os.symlink("elsewhere", f"{GRANTS}/{base}-{SIZE}")
    return [f"JEROBOAM_USERNS={base}:{SIZE}"]


@pytest.mark.parametrize("env, reason", [
    (no_variable, "the container has no variable JEROBOAM_USERNS"),
    (repeated, "the variable JEROBOAM_USERNS is repeated"),
    (malformed, "is not a range; write BASE:SIZE"),
    (of_the_host, "base and size must be 65536 or more"),
    (no_grant, f"{GRANTS}/{FIRST}-{SIZE} does not exist"),
    (of_another_container, "to the container jb-other, not to"),
    (writable, "is writable by its group or others (mode 622)"),
    (of_another_user, "is owned by user 1000"),
    (symlink, "is a symbolic link"),
], ids=lambda value: value.__name__ if callable(value) else "")
def test_start_is_refused_with_the_reason(engine, name, env, reason):
    # The client would remove a repeated variable.
    request = {"Image": IMAGE, "Cmd": ["sleep", "1000"], "Env": env(name),
               "HostConfig": {"Runtime": "jeroboam-userns", "NetworkMode": "none"}}
    container = engine_api(engine, "POST", f"/containers/create?name={name}", request)["Id"]
    docker("start", name).refused("jeroboam-runtime: ", reason)
    expect(inspect(name, "{{.State.Running}}") == "false", "it runs")
    expect(not processes(container, FIRST), f"{processes(container, FIRST)}")


def test_writable_directory_of_grants_is_refused(name):
    create(name, env=[f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"])
    os.chmod(GRANTS, 0o777)
    try:
        docker("start", name).refused(f"{GRANTS} is writable by its group or others (mode 777)")
    finally:
        os.chmod(GRANTS, 0o700)
    docker("start", name).ok()


def test_run_and_restore_are_refused():
    for command in ("run", "restore"):
        run([RUNTIME, command, "x"]).refused(f"{command} is not supported", "use create and start")
    run([RUNTIME, "--unknown", "create", "x"]).refused("the option --unknown is not known")
    expect(run([RUNTIME, "--version"]).ok().out.startswith("runc version"), "the version of runc")
    expect(run([RUNTIME, "--jeroboam-version"]).ok().out.startswith("jeroboam-runtime "), "its own version")


def child_processes(pid):
    found = []
    for other in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            if int(read(f"/proc/{other}/stat").rpartition(")")[2].split()[1]) == pid:
                found.append(int(other))
    return found


def wait_for_runtime(container, before, seconds=30):
    """Returns the id of the process that creates this container."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pid in os.listdir("/proc"):
            if pid.isdigit() and pid not in before:
                with contextlib.suppress(OSError):
                    words = read(f"/proc/{pid}/cmdline").split("\0")
                    if words[0] == RUNTIME and "create" in words and container in words:
                        return int(pid)
    raise Failed("the runtime was not called")


def started(name, container):
    """Starts a container in the background. Returns the client and the runtime's
    process."""
    before = set(os.listdir("/proc"))
    client = subprocess.Popen(["docker", "start", name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    return client, wait_for_runtime(container, before)


def duration_of_the_runtime(name, env):
    container = create(name, "--memory", "64m", env=env)
    client, pid = started(name, container)
    begun = time.monotonic()
    wait_for("the runtime ends", 30, lambda: not os.path.exists(f"/proc/{pid}"), 0.001)
    duration = time.monotonic() - begun
    client.communicate(timeout=60)
    docker("rm", "-f", name).ok()
    return duration


def test_killed_runtime_leaves_nothing(engine, name, option, report):
    moments = option("moments", MOMENTS)
    chance = random.Random(option("seed"))
    env = [f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"]
    duration = duration_of_the_runtime(name, env)
    hit = {}
    for moment in range(4 * moments):
        container = create(name, "--memory", "64m", env=env)
        client, pid = started(name, container)
        delay = chance.uniform(0, duration)
        what = chance.choice(["runtime", "runc", "runtime and runc", "runc and runtime"])
        time.sleep(delay)
        children = child_processes(pid)
        targets = {"runtime": [pid], "runc": children, "runtime and runc": [pid, *children],
                   "runc and runtime": [*children, pid]}[what]
        killed = 0
        for target in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, signal.SIGKILL)
                killed += 1
        error = client.communicate(timeout=90)[1]
        docker("rm", "-f", name).ok()
        if killed:
            hit[what] = hit.get(what, 0) + 1
        print(f"moment {moment}: {what}, after {delay * 1000:.1f} ms, {killed} killed, {error.strip()[-200:]}")
        expect_nothing_left(engine, container, FIRST)
        if sum(hit.values()) >= moments:
            break
    report(f"the runtime ran {duration * 1000:.0f} ms, killed: {json.dumps(hit)}")
    expect(sum(hit.values()) >= moments, f"too few moments: {hit}")
    # The container starts as if nothing had happened.
    create(name, env=env)
    docker("start", name).ok()
    mapped(first_process(name), FIRST)


def test_killed_engine_leaves_nothing(engine, name, option, report):
    """The engine is killed while the runtime creates a container, and started again. Then
    the container starts, or another one takes its place, as the server does it."""
    chance = random.Random(option("seed"))
    env = [f"JEROBOAM_USERNS={grant(name, 0)}:{SIZE}"]
    node = ["--memory", "64m", "--restart", "always", "--stop-timeout", "0"]
    duration = duration_of_the_runtime(name, env)
    hit = {}
    for moment in range(option("moments", ENGINE_MOMENTS)):
        made = [create(name, *node, env=env)]
        client, _ = started(name, made[0])
        # Also before and after the runtime has called runc, and while the process waits for
        # its start.
        delay, what = chance.uniform(0, 1.3 * duration), ["die", "kill_all"][moment % 2]
        time.sleep(delay)
        getattr(engine, what)()
        client.communicate(timeout=90)
        engine.start()
        again = docker("start", name)
        if again.code != 0:
            expect("already exists" in again.text or "already in use" in again.text, again.text)
            docker("rm", "-fv", name).ok()
            made.append(create(name, *node, env=env))
            docker("start", name).ok()
        mapped(first_process(name), FIRST)
        docker("rm", "-fv", name).ok()
        for container in made:
            expect_nothing_left(engine, container, FIRST)
        hit[len(made)] = hit.get(len(made), 0) + 1
        print(f"moment {moment}: {what} after {delay * 1000:.1f} ms, {len(made)} containers")
    report(f"the runtime ran {duration * 1000:.0f} ms; continued {hit.get(1, 0)}, replaced {hit.get(2, 0)}")
