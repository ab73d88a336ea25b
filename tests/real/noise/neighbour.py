"""The cluster of another tenant, which must not be disturbed: a service that answers."""

import json

import kube
from environment import Failed, expect, run, wait_for

ECHO = "jeroboam/echo:1"
KUBECTL = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")


def address(container):
    return run(["docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container]).ok().out.strip()


def publish(coe, master, worker):
    """Starts the service with the client in the master. Returns where it answers."""
    inside = ["docker", "exec", "-i", master]
    if coe == "swarm":
        # Without IPVS there is no ingress network.
        run([*inside, "docker", "service", "create", "--name", "echo", "--detach", "--no-resolve-image", "--constraint",
             "node.role==worker", "--publish", "mode=host,target=80,published=8080", ECHO]).ok()
        port = 8080
    else:
        objects = {"apiVersion": "v1", "kind": "List", "items": [kube.deployment("echo", 1), kube.service("echo", "NodePort")]}
        run([*inside, *KUBECTL, "apply", "-f", "-"], data=json.dumps(objects)).ok()
        shown = run([*inside, *KUBECTL, "get", "service", "echo", "-o", "json"]).json()
        port = shown["spec"]["ports"][0]["nodePort"]
    host = address(worker)
    return {"host": host, "port": port, "request": f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"}


def answers(target, ask):
    def probe():
        if not ask(target):
            raise Failed("another answer")
        return True
    wait_for(f"the service at {target['host']}:{target['port']}", 60, probe, 0.2)


def other_tenant(server):
    """A project and a user with a token for it, under the name of the cloud `neighbour`."""
    def made(noun, body):
        got = server.call("POST", f"/identity/v3/{noun}s", {noun: body}, cloud="jeroboam")
        expect(got.status == 201, f"{noun}: {got.status} {got.raw[:300]}")
        return got.body[noun]["id"]
    domain = {"id": "default"}
    project = made("project", {"name": "neighbour", "domain_id": "default"})
    user = made("user", {"name": "neighbour", "password": "secret", "domain_id": "default"})
    roles = server.call("GET", "/identity/v3/roles", cloud="jeroboam").body["roles"]
    role = next(r["id"] for r in roles if r["name"] == "member")
    got = server.call("PUT", f"/identity/v3/projects/{project}/users/{user}/roles/{role}", cloud="jeroboam")
    expect(got.status == 204, f"role: {got.status} {got.raw[:300]}")
    got = server.call("POST", "/identity/v3/auth/tokens", {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": "neighbour", "domain": domain, "password": "secret"}}},
        "scope": {"project": {"id": project}}}}, cloud=None)
    expect(got.status == 201, f"login: {got.status} {got.raw[:300]}")
    server.tokens["neighbour"] = got.headers["X-Subject-Token"]
    return "neighbour"
