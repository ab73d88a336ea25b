"""Two servers with different clocks create many simulated clusters on one database.
One server is paused (SIGSTOP) and resumed; meanwhile the other one is terminated
(SIGTERM) and started again. Every cluster is completed, no effect on the engine takes
place twice, and no log contains an error.
Options: --clusters, --nodes, --pause."""

import collections
import glob
import os
import re
import signal
import threading
import time

import pytest
from environment import Failed, expect
from simulated import Simulated, complete, create, delete_all, statuses

# Many clusters take longer than the default timeout.
pytestmark = pytest.mark.timeout(1800)
SKEW = 20
# No line of a log may match this.
ERROR = re.compile(r"\bERROR\b|panicked|An internal error")


def faketime():
    """Path of the library that shifts the wall clock of a process."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise Failed("libfaketime is not installed: apt-get install faketime")
    return found[0]


class Skewed(Simulated):
    """A server whose wall clock is ahead; its monotonic clock is not."""

    def start(self, seconds=30):
        ahead = {"LD_PRELOAD": faketime(), "FAKETIME": f"+{SKEW}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                 "FAKETIME_DONT_RESET": "1"}
        before = {name: os.environ.get(name) for name in ahead}
        os.environ.update(ahead)
        try:
            return super().start(seconds)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def doubled(server):
    """Objects on which an effect took place too often, with their effects. An object
    may be created only if it does not exist, and removed only if it exists; a container
    may be started once for each creation."""
    lives = collections.defaultdict(list)
    # Volumes are created and removed together with their containers.
    for call, kind, name in server.environment("SELECT call, object, name FROM sim_effect WHERE object <> 'volume' ORDER BY seq"):
        lives[(kind, name)].append(call)
    wrong = {}
    for key, calls in lives.items():
        alive = False
        for call in calls:
            if call == "create":
                if alive:
                    wrong[key] = calls
                alive = True
            elif call == "remove":
                if not alive:
                    wrong[key] = calls
                alive = False
        if calls.count("start") > calls.count("create"):
            wrong[key] = calls
    return wrong


def disturbed(first, second, pause):
    """Pauses the first server, and restarts the second one during the pause."""
    disturbed.failed = []
    time.sleep(1)
    first.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(pause / 3)
        second.stop()
        second.start()
        time.sleep(pause * 2 / 3)
    except Failed as e:
        disturbed.failed.append(str(e))
    finally:
        first.process.send_signal(signal.SIGCONT)


def test_one_server_is_stopped_and_one_restarted(database, option, report):
    url, clusters, nodes, pause = database.database(), option("clusters", 20), option("nodes", 4), option("pause", 12)
    first = Simulated(url)
    second = Skewed(url, with_=first)
    try:
        first.start()
        first.template()
        second.start()
        for cloud in ("jeroboam-demo", "jeroboam"):
            second.tokens[cloud] = first.token(cloud)
        begun = time.monotonic()
        # While one is stopped and the other is down, no server can be called.
        create([first, second], clusters, nodes - 1)
        seen = statuses(second)
        trouble = threading.Thread(target=disturbed, args=(first, second, pause))
        trouble.start()
        trouble.join()
        complete(second, clusters, 300)
        took = time.monotonic() - begun
        expect(not doubled(first), f"doubled effects: {list(doubled(first).items())[:3]}")
        count = first.environment("SELECT count(*) FROM sim_container")[0][0]
        expect(count == clusters * nodes, f"{count} containers for {clusters * nodes} nodes")
        gone = delete_all(second, 180)
        expect(not doubled(first), f"doubled effects: {list(doubled(first).items())[:3]}")
        trouble = [line for line in disturbed.failed]
        expect(not trouble, f"the servers: {trouble}")
        for name, server in (("stopped", first), ("restarted", second)):
            lines = [line for line in server.log(10**6).splitlines() if ERROR.search(line)]
            expect(not lines, f"log of the {name} server: {lines[:3]}")
        report(f"{clusters} clusters of {nodes} nodes, disturbed when they were {seen}; "
               f"{took:.1f} s, of which {pause} s disturbed; deleted in {gone:.1f} s")
    finally:
        second.close()
        first.close()
