"""Fixtures, options and the report of all black-box tests."""

import random
import signal

import pytest
from environment import Server, expect
from mariadb import MariaDb
from own_engine import private_engine
from postgres import Postgres

BROKEN = pytest.StashKey[dict]()
FIGURES = []


def pytest_addoption(parser):
    group = parser.getgroup("jeroboam")
    group.addoption("--update-golden", action="store_true",
                    help="write what was seen into the files that the tests compare with")
    group.addoption("--schemathesis-cases", type=int, default=300,
                    help="requests per caller that schemathesis generates")
    # Options without a default here have a default in each test that uses them.
    group.addoption("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of all random choices")
    group.addoption("--coe", choices=("swarm", "kubernetes"), default="swarm", help="crash, speed: kind of the clusters")
    group.addoption("--attacker", choices=("kubernetes", "swarm"), default="kubernetes",
                    help="neighbours: kind of the cluster that attacks")
    group.addoption("--moments", type=int, help="crash, runtime: how many")
    group.addoption("--engine", action="store_true", help="crash: kill the Docker Engine, too")
    group.addoption("--sizes", help="speed: numbers of workers, as 2,9")
    group.addoption("--rounds", type=int, help="speed, runtime_cost: how often")
    group.addoption("--runtime", metavar="FILE", help="runtime_cost: the jeroboam-runtime to measure")
    group.addoption("--sample", action="store_true", help="conformance: some quick tests of every group")
    group.addoption("--focus", metavar="RE", help="conformance: tests whose names match")
    group.addoption("--procs", type=int, help="conformance: tests at a time, 2 or more")
    group.addoption("--limit", type=float, help="conformance: seconds per round; idle_agents: percent of a processor")
    group.addoption("--report", metavar="FILE", help="conformance: write the page of results")
    group.addoption("--clusters", type=int, help="simulated, two_servers, two_releases, keys: how many")
    group.addoption("--nodes", type=int, help="the same and idle_agents: nodes of each cluster")
    group.addoption("--pair", type=int, help="simulated: clusters of two servers")
    group.addoption("--pair-nodes", type=int, help="simulated: nodes of each of them")
    group.addoption("--pause", type=int, help="two_servers: seconds that one is stopped")
    group.addoption("--old", metavar="COMMIT", help="two_releases: the older release")
    group.addoption("--agents", type=int, help="idle_agents: how many")
    group.addoption("--made", type=int, help="idle_agents: nodes that are made; the others are copies of them")
    group.addoption("--seconds", type=float, help="idle_agents: how long they are watched")
    group.addoption("--connections", type=int, help="slow_clients: slow request heads")
    group.addoption("--half", type=int, help="slow_clients: half-sent requests")
    group.addoption("--logins", type=int, help="slow_clients: logins at the same time")
    group.addoption("--image", default="kubernetes", help="node image of the Kubernetes clusters")


def pytest_configure(config):
    config.stash[BROKEN] = {}
    signal.signal(signal.SIGTERM, interrupted)


def pytest_report_header(config):
    return f"seed: {config.getoption('seed')}"


def interrupted(_number, _frame):
    """Servers are removed also if a timeout ends the whole run."""
    # `timeout` may send the signal twice, which must not interrupt the cleanup.
    signal.signal(signal.SIGTERM, lambda *_: None)
    raise KeyboardInterrupt("SIGTERM")


# --- fixtures -----------------------------------------------------------------


@pytest.fixture(scope="session")
def report():
    """A function that adds a line to the result of the running test."""
    return FIGURES.append


@pytest.fixture(scope="session")
def option(request):
    """A function that returns the value of an option, or the default that the test
    gives."""
    def get(name, default=None):
        given = request.config.getoption(name)
        return default if given is None else given
    return get


@pytest.fixture(scope="module")
def settings(request):
    """The configuration of the module's server: its SETTINGS."""
    return getattr(request.module, "SETTINGS", None)


@pytest.fixture(scope="module")
def server(request, settings, report):
    """A running server with the module's FLAGS. When it stops at the end of the module,
    nothing may be left."""
    server = Server(settings=settings)
    server.flags += getattr(request.module, "FLAGS", [])
    try:
        report(f"the server is ready after {server.start():.0f} ms")
        yield server
    finally:
        left = server.close()
    expect(not left, f"left: {', '.join(left)}")


@pytest.fixture(scope="module")
def engine(request):
    """A private Docker Engine with the module's IMAGES."""
    with private_engine(request.module.IMAGES) as engine:
        yield engine


@pytest.fixture(scope="module")
def postgres():
    postgres = Postgres()
    yield postgres
    postgres.close()


@pytest.fixture(scope="module", params=[
    pytest.param(Postgres, id="postgres", marks=pytest.mark.postgres),
    pytest.param(MariaDb, id="mariadb", marks=pytest.mark.mariadb)])
def database(request):
    database = request.param()
    yield database
    database.close()


# --- tests that depend on each other --------------------------------------------


def ordered_group(item):
    """The node id of the module or class with the mark `ordered` that contains the
    test."""
    return next((node.nodeid for node, _ in item.iter_markers_with_node("ordered")), None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    first = item.config.stash[BROKEN].get(ordered_group(item))
    if first:
        pytest.fail(f"not run: {first} has failed", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    if call.when == "call":
        item.user_properties += [("figure", figure) for figure in FIGURES]
        item.add_report_section("call", "figures", "\n".join(FIGURES))
        FIGURES.clear()
    # The failure of a test that is expected to fail does not affect the others.
    if call.excinfo and ordered_group(item) and not item.get_closest_marker("xfail"):
        item.config.stash[BROKEN].setdefault(ordered_group(item), item.name)


# --- the report -----------------------------------------------------------------


def pytest_report_teststatus(report):
    """With -v, each test is followed by its duration and its reported lines. A failure
    shows these lines in a separate section instead."""
    if report.when != "call" or report.skipped:
        return None
    word = f"{report.outcome.upper()} ({report.duration:.1f} s)  "
    if report.failed:
        return "failed", "F", word.rstrip()
    figures = [text for name, text in report.user_properties if name == "figure"]
    return "passed", ".", (word + "\n        ".join(figures)).rstrip()


def pytest_terminal_summary(terminalreporter, config):
    """Prints the lines that `./x test` reads: the tests to repeat, and the counts. A
    test that was skipped, or whose fixtures failed, counts as failed."""
    def seen(*results):
        # A report of a subtest has a context.
        return {(report.nodeid, getattr(getattr(report, "context", None), "msg", None))
                for result in results for report in terminalreporter.stats.get(result, [])}
    failed = seen("failed", "error", "skipped")
    passed = seen("passed", "subtests passed") - failed
    groups = tuple(config.stash[BROKEN])
    repeated = set(groups) | {name for name, _ in failed if not name.startswith(tuple(f"{g}::" for g in groups))}
    terminalreporter.ensure_newline()
    for name in sorted(repeated):
        terminalreporter.write_line(f"failed: {name}")
    terminalreporter.write_line(f"{len(passed)} passed, {len(failed)} failed")
