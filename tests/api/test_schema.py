"""Requests that schemathesis generates from the API documents: no answer is a
server error, and every answer has the schema that the documents promise."""

import os
import subprocess

import pytest
from environment import VENV

CHECKS = "all"


@pytest.mark.parametrize("persona", ["admin", "member", "reader"])
def test_generated_requests(world, persona, request, tmp_path):
    cases = request.config.getoption("--schemathesis-cases")
    args = [os.path.join(VENV, "bin", "schemathesis"), "run", world.server.address + "/openapi.json",
            "--checks", CHECKS, "--max-examples", str(cases), "--no-color", "--seed", "2026",
            "-H", f"X-Auth-Token: {world.tokens[persona]}"]
    # It keeps its cache in the working directory.
    done = subprocess.run(args, capture_output=True, text=True, timeout=900, cwd=tmp_path)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
