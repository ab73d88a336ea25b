#!/usr/bin/env python3
"""Writes docs/kubernetes-conformance.md from the files of results that
tests/real/test_conformance.py writes. If a test ran several times, its last verdict
counts, and the page lists earlier failures. Python's standard library only.
Usage: conformance_page.py PAGE RESULTS..."""

import json
import re
import sys

HEAD = """# Conformance to Kubernetes

The Kubernetes project's own conformance tests (`test/e2e`, `[Conformance]`),
on a cluster that the server of this repository made. This page is written by
a script; do not edit it by hand.

    pytest tests/real/test_conformance.py --report docs/kubernetes-conformance.md

repeats all of it (a Docker Engine, Go, `cargo build -p jeroboam -p node` and
the node image are needed; most of an hour on two cores). `--sample` runs a few quick
tests of every group, `--focus RE` those whose names match.

No image registry is used. `images/conformance/build.sh` compiles the tests
from the Go module `k8s.io/kubernetes` and makes the images that they name, under
these names, from programs of the same module and Debian packages; the script
serves them to the nodes in place of registry.k8s.io. So the images are not the
ones of the Kubernetes project, and this page is no certificate: it says what
this cluster does under these tests. Where a test looks for something that only
the original image has, ours imitates it: busybox has bash and GNU wget beside
its own, and the image that the test of image volumes reads says in its
`/etc/os-release` that it stands in place of Alpine Linux. Without those words
this one test (ImageVolume, Always) mounts its image and fails at its last step.
"""


def read(paths):
    """The runs in the order of the files, each with its verdicts and its rounds
    (parallel and serial tests)."""
    runs = []
    for path in paths:
        with open(path) as f:
            for line in f:
                row = json.loads(line)
                if "run" in row:
                    runs.append({"about": row["run"], "verdicts": {}, "parts": [], "known": []})
                elif "known" in row:
                    runs[-1]["known"] = row["known"]
                elif "part" in row:
                    runs[-1]["parts"].append(row["part"])
                else:
                    runs[-1]["verdicts"].setdefault(row["name"], []).append(row)
    return runs


def page(runs):
    """The text of the page."""
    known = sorted({n for r in runs for n in r["known"]})
    rows = {n: [(i + 1, v) for i, r in enumerate(runs) for v in r["verdicts"].get(n, [])] for n in known}
    last = {n: v[-1][1]["verdict"] if v else "not run" for n, v in rows.items()}
    count = {w: sum(1 for v in last.values() if v == w) for w in ("passed", "failed", "skipped", "not run")}
    about = runs[-1]["about"]
    out = [HEAD, "## Result", "",
           f"Kubernetes {about['version']}, {len(known)} conformance tests: **{count['passed']} passed, {count['failed']} failed, "
           f"{count['skipped']} skipped, {count['not run']} not run.**", "",
           "| run | begun | cluster | tests run | took | checkout |", "|---|---|---|---|---|---|"]
    for i, r in enumerate(runs):
        a = r["about"]
        took = ", ".join(f"{p['tests']} in {p['seconds'] / 60:.1f} min ({p['procs']} processes)" for p in r["parts"]) or "cut short"
        out.append(f"| {i + 1} | {a['started']} | 1 master and {a['nodes'] - 1} workers of flavor {a['flavor']}, isolation level {a['isolation']}, {a['version']}, "
                   f"{a['runtime']}, kernel {a['kernel']}, {a['cpus']} CPUs | {len(r['verdicts'])} | {took} | {a['commit']} |")
    out += ["", "The serial tests run one at a time, whatever the number of processes. Checkout is the one at the run's begin; "
            "the server may have been built a little before.", ""]
    if count["passed"] < len(known):
        out += ["## What did not pass", ""]
        for name in known:
            if last[name] != "passed":
                out += [f"- {last[name]}: {clean(name)}", f"  {why(rows[name])}"]
        out.append("")
    repeated = [n for n in known if last[n] == "passed" and any(v["verdict"] == "failed" for _, v in rows[n])]
    if repeated:
        out += ["## What failed before it passed", ""]
        for name in repeated:
            bad = [(i, v) for i, v in rows[name] if v["verdict"] == "failed"]
            out += [f"- {clean(name)}", f"  run {', '.join(str(i) for i, _ in bad)}: {short(bad[-1][1]['reason'])}"]
        out.append("")
    for group in sorted({sig(n) for n in known}):
        names = [n for n in known if sig(n) == group]
        good = sum(1 for n in names if last[n] == "passed")
        out += [f"## {group}: {good} of {len(names)}", "", "| test | verdict | seconds | run |", "|---|---|---|---|"]
        for name in names:
            seconds = f"{rows[name][-1][1]['seconds']:.1f}" if rows[name] else ""
            at = rows[name][-1][0] if rows[name] else ""
            verdict = last[name] if last[name] == "passed" else f"**{last[name]}**"
            out.append(f"| {clean(name.split('] ', 1)[1])} | {verdict} | {seconds} | {at} |")
        out.append("")
    return "\n".join(out).rstrip() + "\n"


def sig(name):
    found = re.match(r"\[(sig-[a-z-]+)\]", name)
    return found.group(1) if found else "others"


def clean(name):
    """The name of a test for a cell of a table, without `[Conformance]`, which all of
    them contain."""
    return name.replace(" [Conformance]", "").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def short(reason):
    reason = clean(re.sub(r"\s+", " ", reason))
    return reason if len(reason) <= 300 else reason[:300] + " …"


def why(rows):
    return short(rows[-1][1]["reason"]) if rows else "no run has come to it"


def write(path, results):
    """Writes the page to `path`, from these files of results."""
    with open(path, "w") as f:
        f.write(page(read(results)))


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2:])
