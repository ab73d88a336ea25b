"""The command line against a server with the simulator: what it prints, and what it
refuses."""

import json
import os
import signal
import socket
import subprocess

import pytest
from callers import SETTINGS
from environment import BIN, Server, expect, run, wait_for


def cli(server, *args):
    return server.cli(*args, cloud="jeroboam-demo")


@pytest.fixture(scope="module")
def cluster(server):
    """A Swarm cluster that is complete."""
    cli(server, "cluster", "create", "flock", "--node-count", "1", "--wait").ok()
    return "flock"


def fields(text):
    """The first column of the first table."""
    rows = text.split("\n\n")[0].splitlines()
    return [row.split("|")[1].strip() for row in rows if row.startswith("| ")]


def test_show_begins_with_the_status_and_leaves_out_empty_fields(server, cluster):
    shown = cli(server, "cluster", "show", cluster).ok()
    expect(fields(shown.out)[1:5] == ["name", "uuid", "status", "health_status"], shown.out)
    for empty in ("status_reason", "fixed_network", "discovery_url", "labels"):
        expect(empty not in fields(shown.out), shown.out)
    complete = cli(server, "cluster", "show", cluster, "--json").json()
    expect({"links", "fixed_network", "discovery_url", "progress"} <= set(complete), str(complete))


def test_swarm_clusters_have_no_add_ons(server, cluster):
    cli(server, "cluster", "addons", cluster).refused("is a Swarm cluster", "only Kubernetes clusters have add-ons")
    expect(cli(server, "cluster", "addons", cluster, "--json").json() == [], "JSON")


def test_config_is_refused_until_the_cluster_has_an_address(tmp_path):
    # Without agents no node becomes ready, so the cluster stays in progress.
    server = Server(settings=f"{SETTINGS}simulated_agents = false\n")
    try:
        server.start()
        cli(server, "cluster", "create", "early").ok()
        cli(server, "cluster", "config", "early", "--dir", str(tmp_path)).refused(
            "has no API address", "CREATE_IN_PROGRESS", "wait for CREATE_COMPLETE")
        expect(not os.listdir(tmp_path), f"written: {os.listdir(tmp_path)}")
    finally:
        server.close()


def test_an_image_without_a_detected_flavour_is_refused(server):
    register = ("image", "register", "foreign", "--ref", "registry.example.org/node:1")
    server.cli(*register).refused("node_flavour: missing", "registry.example.org/node:1", "--flavour")
    expect("flavour k3s" in server.cli(*register, "--flavour", "k3s").ok().out, "an explicit flavour")


@pytest.mark.parametrize("command", ["serve", "key list", "policy list", "doctor", "completion bash"])
def test_commands_that_are_no_clients_take_no_cloud(server, command):
    words = command.split()
    expect("--os-cloud" not in run([BIN, *words, "--help"]).ok().out, "the help text")
    for args in ((*words, "--os-cloud", "other"), ("--os-cloud", "other", *words)):
        done = run([BIN, *args], timeout=20)
        expect(done.code != 0 and "--os-cloud" in done.text, done.text)


def test_a_cloud_can_be_named_before_and_after_the_command(server):
    for args in (("--os-cloud", "jeroboam", "cluster", "list"), ("cluster", "list", "--os-cloud", "jeroboam")):
        server.cli(*args, cloud="absent").ok()
    server.cli("cluster", "list", cloud="absent").refused("cloud 'absent' is not in")


def test_the_list_of_rules_is_not_wider_than_the_terminal():
    for width in (80, 120):
        lines = run([BIN, "policy", "list"], env={"COLUMNS": str(width)}).ok().out.splitlines()
        expect(max(map(len, lines)) <= width, f"{max(map(len, lines))} columns")
    rules = json.loads(run([BIN, "policy", "list", "--json"]).ok().out)
    wide = run([BIN, "policy", "list", "--wide"]).ok().out
    for rule in rules:
        expect(any(rule["name"] in line and rule["rule"] in line for line in wide.splitlines()), rule["name"])


def test_ranges_with_host_bits_are_refused(tmp_path):
    config = tmp_path / "jeroboam.toml"
    config.write_text('[clusters]\nranges = ["10.1.2.3/16"]\n')
    run([BIN, "serve", "--state-dir", str(tmp_path / "state"), "--config", str(config)], timeout=20).refused(
        "clusters.ranges contains 10.1.2.3/16", "the network is 10.1.0.0/16")


def test_an_unreachable_database_is_named_at_once(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        # The port is bound, but nothing listens: connections are refused.
        address = f"127.0.0.1:{s.getsockname()[1]}"
        url, log = f"postgres://a:secret@{address}/j", tmp_path / "log"
        with open(log, "wb") as out, subprocess.Popen(
                [BIN, "serve", "--state-dir", str(tmp_path / "state"), "--listen", "127.0.0.1:0"],
                env=dict(os.environ, JEROBOAM_DATABASE=url), stdout=out, stderr=out) as process:
            try:
                wait_for("the warning", 10, lambda: f"waiting for the database at {address}" in log.read_text())
            finally:
                process.send_signal(signal.SIGKILL)
    text = log.read_text()
    expect("refused" in text and "secret" not in text, text)
