"""Requests that schemathesis generates from the API documents: no answer is a
server error, and every answer has the schema that the documents promise."""

import os
import subprocess

import pytest
from environment import VENV

CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemathesis.toml")
# Requests of an administrator for users, projects and domains may revoke the token
# with which the test runs, so they are generated in a separate run after the others.
OWN = r"^/identity/v3/((users|projects|domains|system)/|auth/tokens)"


@pytest.mark.parametrize("persona,only", [
    ("admin", ["--exclude-path-regex", OWN]), ("admin", ["--include-path-regex", OWN]),
    ("member", []), ("reader", [])], ids=["admin", "admin_identity", "member", "reader"])
def test_generated_requests(callers, persona, only, request, tmp_path):
    cases = request.config.getoption("--schemathesis-cases")
    args = [os.path.join(VENV, "bin", "schemathesis"), "--config-file", CONFIG, "run",
            callers.server.address + "/openapi.json", "--checks", "all",
            "--max-examples", str(cases),
            "--no-color", "--seed", "2026", "-H", f"X-Auth-Token: {callers.tokens[persona]}",
            "-H", "OpenStack-API-Version: container-infra latest", *only]
    # schemathesis writes its cache into the working directory.
    done = subprocess.run(args, capture_output=True, text=True, timeout=900, cwd=tmp_path)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
