"""The identity tests of tempest, unmodified, against a private server. What they give is
recorded in docs/parity/tempest-identity.md; after a deliberate change run
pytest tests/conformance/test_tempest.py --update-golden, and read the difference."""

import json
import os
import re
import sysconfig

import pytest
from environment import ROOT, VENV, expect, run

SETTINGS = '[infra]\ndriver = "simulator"\n'
PAGE = os.path.join(ROOT, "docs", "parity", "tempest-identity.md")
CONFIG = """
[DEFAULT]
log_dir = {directory}
[oslo_concurrency]
lock_path = {directory}/lock
[auth]
admin_username = admin
admin_password = {password}
admin_project_name = admin
admin_domain_name = Default
default_credentials_domain_name = Default
create_isolated_networks = false
tempest_roles = member
[identity]
uri_v3 = {address}/identity/v3
auth_version = v3
region = RegionOne
v3_endpoint_type = public
default_domain_id = default
[identity-feature-enabled]
api_v3 = true
trust = true
application_credentials = true
access_rules = true
project_tags = true
domain_specific_drivers = true
# Histories, lengths and ages of passwords are not built.
security_compliance = false
[service_available]
nova = false
neutron = false
glance = false
cinder = false
swift = false
"""
# The second form is that of a class of which no test was run.
RESULT = re.compile(r"^\{\d+\} (?:setUpClass \()?(tempest\.[\w.]+)\)?(?: \[[\d.]+s\])? \.\.\. (ok|FAILED|SKIPPED)(?:: (.*))?$")
HEAD = """# Identity tests of tempest

Written by `tests/conformance/test_tempest.py`, which runs all tests of
`tempest.api.identity` unmodified; {version}.

| test | result |
|---|---|
"""


@pytest.fixture(scope="module")
def results(server):
    """The result of each test, and the output of the program."""
    directory = server.directory("tempest")
    with open(os.path.join(server.state, "passwords.json")) as f:
        password = json.load(f)["admin"]
    with open(os.path.join(directory, "tempest.conf"), "w") as f:
        f.write(CONFIG.format(directory=directory, password=password, address=server.address.rstrip("/")))
    packages = sysconfig.get_path("purelib", vars={"base": VENV, "platbase": VENV})
    with open(os.path.join(directory, ".stestr.conf"), "w") as f:
        f.write(f"[DEFAULT]\ntest_path={packages}/tempest/test_discover\ntop_dir={packages}/tempest\n"
                "group_regex=([^\\.]*\\.)*\n")
    program = os.path.join(VENV, "bin", "tempest")
    done = run([program, "run", "--config-file", "tempest.conf", "--regex", r"^tempest\.api\.identity", "--concurrency", "2"],
               cwd=directory, timeout=500)
    found = {m[1]: (m[2], m[3] or "") for m in map(RESULT.match, done.out.splitlines()) if m}
    expect(found, f"no test was run: {done.text[-2000:]}")
    return found, done.out


def test_all_pass(results, report, subtests):
    found, out = results
    counts = {word: sum(result == word for result, _ in found.values()) for word in ("ok", "FAILED", "SKIPPED")}
    report(json.dumps(counts))
    for name, (result, _) in found.items():
        with subtests.test(name):
            expect(result != "FAILED", f"{name} failed: {out[-3000:]}")


def test_results_are_documented(results, option):
    found, _ = results
    version = run([os.path.join(VENV, "bin", "tempest"), "--version"]).ok().out.strip()
    text = HEAD.format(version=version) + "".join(
        f"| `{name.removeprefix('tempest.api.identity.')}` | {' '.join((result.lower(), why)).strip()} |\n"
        for name, (result, why) in sorted(found.items()))
    if option("update_golden"):
        with open(PAGE, "w") as f:
            f.write(text)
    with open(PAGE) as f:
        expect(f.read() == text, "docs/parity/tempest-identity.md differs; --update-golden writes it")
