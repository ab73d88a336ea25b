"""The table in docs/isolation.md with the figures of a run."""

import datetime
import os
import platform

from environment import ROOT, expect

PAGE = os.path.join(ROOT, "docs", "isolation.md")
BEGIN = "<!-- neighbours: written by tests/real/test_neighbours.py --update-golden -->"
END = "<!-- End of the table of neighbours -->"
TARGETS = ("neighbour", "server", "engine")


def milliseconds(value):
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def rendered(texts, quiet, results):
    """`texts` are the names of the attacks by key, `quiet` and `results` those of the
    test."""
    processors, system = os.cpu_count(), platform.release().split("-")[0]
    cells = [milliseconds(quiet[name].p99) for name in TARGETS]
    requests = sum(len(samples.times) for found, _ in results.values() for samples in found.values())
    unanswered = sum(len(samples.errors) for found, _ in results.values() for samples in found.values())
    lines = [f"{datetime.date.today()}, {processors} processors, Linux {system}, {requests} requests during the attacks, "
             f"{unanswered} of them unanswered. The figures are the 99th percentiles in milliseconds.", "",
             "| what the other cluster uses up | service of the neighbour | API of the server | Docker Engine |",
             "|---|---|---|---|", f"| (nothing) | {' | '.join(cells)} |"]
    for (key, kind), (found, _) in results.items():
        cells = [milliseconds(found[name].p99) + (f" ({len(found[name].errors)} unanswered)" if found[name].errors else "")
                 for name in TARGETS]
        lines.append(f"| {texts[key]}{', in a pod' if kind == 'pod' else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(text):
    with open(PAGE) as f:
        page = f.read()
    expect(BEGIN in page and END in page, f"{PAGE}: the marks of the table of neighbours are missing")
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    with open(PAGE, "w") as f:
        f.write(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")
