"""The tables in docs/isolation.md with what the probe has found."""

import os

from environment import ROOT, expect

from .ways import WAYS

PAGE = os.path.join(ROOT, "docs", "isolation.md")
UNKNOWN = "not in the tested kernel"
HEADS = {"host-root": ("result", "because"), "user-namespace": ("result", "why it is refused, or harmless")}


def marks(level):
    return (f"<!-- {level}: written by tests/real/test_escape.py --update-golden -->",
            f"<!-- End of the table of {level} -->")


def read_page():
    with open(PAGE) as f:
        return f.read()


def listed(level):
    """The table of a level as text, and the result that it lists for each way."""
    begin, end = marks(level)
    text = read_page()
    expect(begin in text and end in text, f"{PAGE}: the marks of the table of {level} are missing")
    block = text.split(begin)[1].split(end)[0].strip("\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    return block, {row[0]: row[1] for row in rows if len(row) == 3}


def rendered(level, found, before, writing=False):
    """The text of the table. A way that this machine does not support keeps the result
    that was listed before. A way that is listed as not in the tested kernel keeps that,
    too, unless the table is written again."""
    result, because = HEADS[level]
    lines = [f"| what root in a node or in a pod tries | {result} | {because} |", "|---|---|---|"]
    for way in WAYS:
        text = way.text
        kept = found[way.key] == "absent" or before.get(text) == UNKNOWN and not writing
        state = before.get(text, UNKNOWN) if kept else found[way.key]
        lines.append(f"| {text} | {state} | {way.because(level)} |")
    return "\n".join(lines)


def write(level, table):
    begin, end = marks(level)
    text = read_page()
    head, tail = text.split(begin)[0], text.split(end)[1]
    with open(PAGE, "w") as f:
        f.write(f"{head}{begin}\n\n{table}\n\n{end}{tail}")
