"""Callers with different roles, for a server with a simulated engine."""

import uuid

from environment import expect

# The columns of the endpoint matrix.
PERSONAS = ["none", "foreign", "reader", "member", "manager", "admin", "system_reader",
            "system_admin", "app_credential"]
SETTINGS = '[infra]\ndriver = "simulator"\npool = "10.0.0.0/8"\n'
DOMAIN = {"id": "default"}


class Callers:
    """A server with a user for each persona, and the objects on which they act."""

    def __init__(self, server):
        self.server = server
        self.tokens = {"none": None}
        self.roles = {r["name"]: r["id"] for r in self.ask("GET", "/identity/v3/roles").body["roles"]}
        self.home = self.project("home")
        self.other = self.project("other")
        self.users = {}
        for name, project in (("reader", self.home), ("member", self.home), ("manager", self.home),
                              ("admin", self.home), ("foreign", self.other)):
            role = "member" if name == "foreign" else name
            # A new installation already has a user named `admin`.
            user = "administrator" if name == "admin" else name
            self.users[name] = self.user(user)
            self.grant(f"projects/{project}", self.users[name], role)
            self.tokens[name] = self.login(user, {"project": {"id": project}})
        for name, role in (("system_reader", "reader"), ("system_admin", "admin")):
            self.users[name] = self.user(name)
            self.grant("system", self.users[name], role)
            self.tokens[name] = self.login(name, {"system": {"all": True}})
        self.tokens["app_credential"] = self.credential_token()

    def ask(self, method, path, body=None, token=None, **more):
        headers = {"X-Auth-Token": token} if token else {}
        cloud = None if token else "jeroboam"
        return self.server.call(method, path, body, cloud=cloud, headers=headers, **more)

    def made(self, path, body, noun, token=None):
        got = self.ask("POST", path, body, token=token)
        expect(got.status in (201, 202), f"POST {path}: {got.status} {got.raw[:300]}")
        return got.body[noun] if noun else got.body

    def name(self, kind):
        return f"{kind}-{uuid.uuid4().hex[:12]}"

    def project(self, name=None, domain="default"):
        body = {"project": {"name": name or self.name("project"), "domain_id": domain}}
        return self.made("/identity/v3/projects", body, "project")["id"]

    def user(self, name=None, domain="default"):
        name = name or self.name("user")
        body = {"user": {"name": name, "password": f"secret of {name}", "domain_id": domain}}
        return self.made("/identity/v3/users", body, "user")["id"]

    def domain(self, enabled=True):
        body = {"domain": {"name": self.name("domain"), "enabled": enabled}}
        return self.made("/identity/v3/domains", body, "domain")["id"]

    def role(self):
        return self.made("/identity/v3/roles", {"role": {"name": self.name("role")}}, "role")["id"]

    def group(self):
        return self.made("/identity/v3/groups", {"group": {"name": self.name("group")}}, "group")["id"]

    def join(self, group, user):
        path = f"/identity/v3/groups/{group}/users/{user}"
        got = self.ask("PUT", path)
        expect(got.status == 204, f"PUT {path}: {got.status} {got.raw[:300]}")

    def grant(self, target, holder_id, role, holder="users"):
        path = f"/identity/v3/{target}/{holder}/{holder_id}/roles/{self.roles.get(role, role)}"
        got = self.ask("PUT", path)
        expect(got.status == 204, f"PUT {path}: {got.status} {got.raw[:300]}")

    def grant_inherited(self, target, holder_id, role, holder):
        path = f"/identity/v3/OS-INHERIT/{target}/{holder}/{holder_id}/roles/{self.roles[role]}/inherited_to_projects"
        got = self.ask("PUT", path)
        expect(got.status == 204, f"PUT {path}: {got.status} {got.raw[:300]}")

    def login(self, name, scope):
        body = {"auth": {"scope": scope, "identity": {"methods": ["password"], "password": {
            "user": {"name": name, "domain": DOMAIN, "password": f"secret of {name}"}}}}}
        got = self.server.call("POST", "/identity/v3/auth/tokens", body, cloud=None)
        expect(got.status == 201, f"login as {name}: {got.status} {got.raw[:300]}")
        return got.headers["X-Subject-Token"]

    def credential(self, user="member", **more):
        path = f"/identity/v3/users/{self.users[user]}/application_credentials"
        body = {"application_credential": {"name": self.name("credential"), **more}}
        return self.made(path, body, "application_credential", token=self.tokens[user])

    def credential_token(self, **more):
        made = self.credential(**more)
        body = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": {
            "id": made["id"], "secret": made["secret"]}}}}
        got = self.server.call("POST", "/identity/v3/auth/tokens", body, cloud=None)
        expect(got.status == 201, f"application credential: {got.status} {got.raw[:300]}")
        return got.headers["X-Subject-Token"]

    def fresh_token(self):
        """A new token of the member, for tests that revoke it."""
        return self.login("member", {"project": {"id": self.home}})

    def template(self):
        body = {"name": self.name("template"), "coe": "swarm", "image_id": "swarm",
                "external_network_id": "public", "keypair_id": "default", "flavor_id": "m1.tiny",
                "master_flavor_id": "m1.tiny"}
        return self.made("/container-infra/v1/clustertemplates", body, "uuid", token=self.tokens["member"])

    def cluster(self):
        """Creates a cluster as the member and waits until it is complete."""
        body = {"name": self.name("cluster"), "cluster_template_id": self.template(), "node_count": 1}
        made = self.made("/container-infra/v1/clusters", body, "uuid", token=self.tokens["member"])
        self.server.until(made, "CREATE_COMPLETE", 60, cloud="jeroboam")
        return made
