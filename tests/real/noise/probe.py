"""Requests at a fixed pace to several addresses, each with a new connection. Runs as a
separate process, so that the work of the test does not delay it. For each line of its
input it prints what has been measured since the last one. Only the standard library."""

import json
import socket
import sys
import threading
import time

TIMEOUT = 5
PAUSE = 0.01


def ask(target):
    """Sends the request. Returns whether it was answered well."""
    family, address = (socket.AF_UNIX, target["socket"]) if "socket" in target else (
        socket.AF_INET, (target["host"], target["port"]))
    with socket.socket(family) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(address)
        connection.sendall(target["request"].encode())
        head = connection.recv(4096)
        while connection.recv(65536):
            pass
    return head.split(b" ", 2)[1:2] == [b"200"]


def measure(target, samples):
    while True:
        begun = time.monotonic()
        try:
            good, why = ask(target), "another answer"
        except OSError as e:
            good, why = False, str(e) or type(e).__name__
        samples.append(((time.monotonic() - begun) * 1000, None if good else why))
        time.sleep(PAUSE)


def main():
    targets = json.loads(sys.stdin.readline())
    samples = {name: [] for name in targets}
    for name, target in targets.items():
        threading.Thread(target=measure, args=(target, samples[name]), daemon=True).start()
    for _ in sys.stdin:
        found = {}
        for name, list_ in samples.items():
            count = len(list_)
            found[name] = list_[:count]
            del list_[:count]
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
