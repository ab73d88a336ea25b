"""Compares docs/parity, which contains a table of routes for each service, with the
OpenAPI document of the server. After a change of routes run pytest
tests/api/test_parity.py --update-golden."""

import os

from environment import ROOT

FOLDER = os.path.join(ROOT, "docs", "parity")
HEAD = """# Routes of {service}

Made from the route table by `tests/api/test_parity.py`; each route is called for
every kind of caller by `tests/api/test_access.py`.

| method | path | from | who may use it | what it does |
|---|---|---|---|---|
"""


def access(operation):
    [(kind, text)] = operation["x-access"].items()
    if kind == "policy":
        return f"`{text}`"
    return {"public": "no token: ", "token": "any token: ", "own": "own authentication: "}[kind] + text


def pages(document):
    tables = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            since = operation.get("x-since", "")
            row = f"| {method.upper()} | `{path}` | {since} | {access(operation)} | {operation['summary']} |\n"
            tables.setdefault(operation["tags"][0], []).append((path, method, row))
    return {service: HEAD.format(service=service) + "".join(row for _, _, row in sorted(rows))
            for service, rows in tables.items()}


def test_the_tables_are_those_of_the_server(callers, request):
    """The committed tables equal those of the running server."""
    wanted = pages(callers.server.call("GET", "/openapi.json", cloud=None).body)
    if request.config.getoption("--update-golden"):
        os.makedirs(FOLDER, exist_ok=True)
        for service, text in wanted.items():
            with open(os.path.join(FOLDER, f"{service}.md"), "w") as f:
                f.write(text)
    for service, text in wanted.items():
        with open(os.path.join(FOLDER, f"{service}.md")) as f:
            assert f.read() == text, f"docs/parity/{service}.md is not up to date"
    # Results of tests of others are written by those tests.
    tables = [name for name in os.listdir(FOLDER) if not name.startswith("tempest-")]
    assert sorted(tables) == sorted(f"{service}.md" for service in wanted)
