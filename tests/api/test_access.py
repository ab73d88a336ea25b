"""The endpoint matrix: each persona calls each route of the OpenAPI document, and the
status is compared with access.tsv. The test fails if a route has no row in SAMPLES, or
if a status differs from the recorded one.

After a deliberate change run pytest tests/api/test_access.py --update-golden, and
review the difference."""

import os
import re

from callers import PERSONAS

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "access.tsv")
NOUNS = {"users": "user", "projects": "project", "domains": "domain", "roles": "role"}


def existing(*params, body=None):
    """Objects that the call does not change; they are created once for all callers."""
    made = {}

    def sample(callers):
        if "params" not in made:
            made["params"] = [param(callers) if callable(param) else param for param in params]
        return made["params"], body(callers) if callable(body) else body
    return sample


def fresh(*params, body=None):
    """Objects that the call changes or deletes; they are created for each caller."""
    def sample(callers):
        return [param(callers) if callable(param) else param for param in params], \
            body(callers) if callable(body) else body
    return sample


def new(noun, **more):
    return lambda callers: {noun: {"name": callers.name(noun), **more}}


def home(callers):
    return callers.home


def member(callers):
    return callers.users["member"]


def any_role(callers):
    return callers.roles["reader"]


def grant(target, holder="users"):
    def make(callers):
        held_by = callers.user() if holder == "users" else callers.group()
        callers.grant(target(callers), held_by, "reader", holder)
        return held_by
    return make


def inherited(target, holder="users"):
    def make(callers):
        held_by = callers.user() if holder == "users" else callers.group()
        callers.grant_inherited(target(callers), held_by, "reader", holder)
        return held_by
    return make


def group(callers):
    return callers.group()


def joined(callers):
    """A group with the member."""
    made = callers.group()
    callers.join(made, member(callers))
    return made


JOINED = []


def joined_by_another(callers):
    """A group with a new user, whose id is the next parameter."""
    made = callers.group()
    JOINED.append(callers.user())
    callers.join(made, JOINED[-1])
    return made


def implying(callers):
    """A role that implies the role reader."""
    made = callers.role()
    callers.ask("PUT", f"/identity/v3/roles/{made}/implies/{any_role(callers)}")
    return made


def tagged(callers):
    """A project with the tag `x`."""
    made = callers.project()
    callers.ask("PUT", f"/identity/v3/projects/{made}/tags/x")
    return made


def region(callers):
    return callers.made("/identity/v3/regions", {"region": {}}, "region")["id"]


def service(callers):
    return callers.made("/identity/v3/services", {"service": {"type": "image"}}, "service")["id"]


def endpoint_fields(callers):
    return {"service_id": service(callers), "interface": "public", "url": "http://images.example"}


def endpoint(callers):
    return callers.made("/identity/v3/endpoints", {"endpoint": endpoint_fields(callers)}, "endpoint")["id"]


def trust_body(callers):
    return {"trust": {"trustor_user_id": member(callers), "trustee_user_id": callers.user(),
                      "project_id": callers.home, "impersonation": False, "roles": [{"name": "member"}]}}


def trust(callers):
    """A trust of the member."""
    return callers.made(f"{IDENTITY}/OS-TRUST/trusts", trust_body(callers), "trust",
                        token=callers.tokens["member"])["id"]


def user_credential(callers):
    fields = {"type": "cert", "blob": "x", "user_id": member(callers)}
    return callers.made("/identity/v3/credentials", {"credential": fields}, "credential")["id"]


def key_pair(callers):
    path = f"/identity/v3/users/{member(callers)}/credentials/OS-EC2"
    return callers.made(path, {"tenant_id": callers.home}, "credential")["access"]


def configured(callers):
    """A domain with a configuration."""
    made = callers.domain()
    callers.ask("PUT", f"/identity/v3/domains/{made}/config", CONFIG)
    return made


CONFIG = {"config": {"ldap": {"url": "ldap://host"}}}


def policy(callers):
    return callers.made("/identity/v3/policies", {"policy": {"type": "x", "blob": "x"}}, "policy")["id"]


def linked(*target):
    """A policy that applies to a target, whose ids are the next parameters."""
    def make(callers):
        LINKED[:] = [part(callers) if callable(part) else part for part in target]
        made = policy(callers)
        service_id = LINKED[0]
        if len(LINKED) > 1:
            service_id = f"{LINKED[0]}/regions/{LINKED[1]}"
        callers.ask("PUT", f"/identity/v3/policies/{made}/OS-ENDPOINT-POLICY/services/{service_id}")
        return made
    return make


LINKED = []


def linked_endpoint(callers):
    """A policy that applies to an endpoint, whose id is the next parameter."""
    LINKED[:] = [endpoint(callers)]
    made = policy(callers)
    callers.ask("PUT", f"/identity/v3/policies/{made}/OS-ENDPOINT-POLICY/endpoints/{LINKED[0]}")
    return made


def endpoint_with_policy(callers):
    linked_endpoint(callers)
    return LINKED[0]


def endpoint_group(callers):
    fields = {"name": callers.name("group"), "filters": {"interface": "public"}}
    return callers.made(f"{FILTER}/endpoint_groups", {"endpoint_group": fields}, "endpoint_group")["id"]


FILTER = "/identity/v3/OS-EP-FILTER"


def filtered(callers):
    """A project that is associated with an endpoint, whose id is the next parameter."""
    made = callers.project()
    LINKED[:] = [endpoint(callers)]
    callers.ask("PUT", f"{FILTER}/projects/{made}/endpoints/{LINKED[0]}")
    return made


def associated_group(callers):
    """A group of endpoints with a project, whose id is the next parameter."""
    LINKED[:] = [callers.project()]
    made = endpoint_group(callers)
    callers.ask("PUT", f"{FILTER}/endpoint_groups/{made}/projects/{LINKED[0]}")
    return made


def consumer(callers):
    return callers.made("/identity/v3/OS-OAUTH1/consumers", {"consumer": {}}, "consumer")["id"]


CLUSTER_BODY = {"auth": {"identity": {"methods": ["token"], "token": {"id": "unknown"}}}}
MAGNUM = "/container-infra/v1"
IDENTITY = "/identity/v3"
INHERIT = f"{IDENTITY}/OS-INHERIT"


def project_role(callers):
    return f"projects/{callers.home}"


def domain_role(_callers):
    return "domains/default"


def system_role(_callers):
    return "system"


def credential(callers):
    return callers.credential()["id"]


def access_rule(used):
    """A rule of the member, of an application credential that is deleted unless it is used."""
    def make(callers):
        rule = {"service": "identity", "path": f"/{callers.name('path')}", "method": "GET"}
        made = callers.credential(access_rules=[rule])
        if not used:
            path = f"{IDENTITY}/users/{member(callers)}/application_credentials/{made['id']}"
            callers.ask("DELETE", path, token=callers.tokens["member"])
        return made["access_rules"][0]["id"]
    return make


def template_body(callers):
    return {"name": callers.name("template"), "coe": "swarm", "image_id": "swarm",
            "external_network_id": "public", "keypair_id": "default", "flavor_id": "m1.tiny"}


TEMPLATE = {}


def shared_template(callers):
    return TEMPLATE.setdefault("uuid", None) or TEMPLATE.update(uuid=callers.template()) or TEMPLATE["uuid"]


def shared_cluster(callers):
    return TEMPLATE.setdefault("cluster", None) or TEMPLATE.update(cluster=callers.cluster()) or TEMPLATE["cluster"]


def cluster_body(callers):
    return {"name": callers.name("cluster"), "cluster_template_id": shared_template(callers), "node_count": 1}


def certificate_body(callers):
    return {"cluster_uuid": shared_cluster(callers), "csr": "not a request"}


# For each route, the values of the parameters of its path, in order, and a body.
SAMPLES = {
    "GET /healthz": existing(),
    "GET /metrics": existing(),
    "GET /openapi.json": existing(),
    "GET /jeroboam/v1/leaks": existing(),
    "GET /jeroboam/v1/stats": existing(),
    "GET /jeroboam/v1/policies": existing(),
    "POST /jeroboam/v1/images": existing(body=lambda w: {"name": "kind", "reference": "kindest/node:v1.36.1"}),
    "POST /jeroboam/v1/images/refresh": existing(),
    "GET /jeroboam/v1/clusters/{}/progress": existing(shared_cluster),
    "GET /identity": existing(),
    f"GET {IDENTITY}": existing(),
    f"POST {IDENTITY}/auth/tokens": existing(body=CLUSTER_BODY),
    f"GET {IDENTITY}/auth/tokens": existing(),
    f"DELETE {IDENTITY}/auth/tokens": existing(),
    f"GET {IDENTITY}/auth/catalog": existing(),
    f"GET {IDENTITY}/auth/projects": existing(),
    f"GET {IDENTITY}/auth/domains": existing(),
    f"GET {IDENTITY}/auth/system": existing(),
    f"GET {IDENTITY}/users": existing(),
    f"POST {IDENTITY}/users": fresh(body=new("user")),
    f"GET {IDENTITY}/users/{{}}": existing(member),
    f"PATCH {IDENTITY}/users/{{}}": fresh(lambda w: w.user(), body={"user": {"description": "changed"}}),
    f"DELETE {IDENTITY}/users/{{}}": fresh(lambda w: w.user()),
    f"POST {IDENTITY}/users/{{}}/password": existing(
        member, body={"user": {"original_password": "wrong", "password": "new"}}),
    f"GET {IDENTITY}/users/{{}}/projects": existing(member),
    f"GET {IDENTITY}/users/{{}}/groups": existing(member),
    f"GET {IDENTITY}/users/{{}}/application_credentials": existing(member),
    f"POST {IDENTITY}/users/{{}}/application_credentials": fresh(member, body=new("application_credential")),
    f"GET {IDENTITY}/users/{{}}/application_credentials/{{}}": existing(member, credential),
    f"DELETE {IDENTITY}/users/{{}}/application_credentials/{{}}": fresh(member, credential),
    f"GET {IDENTITY}/users/{{}}/access_rules": existing(member),
    f"GET {IDENTITY}/users/{{}}/access_rules/{{}}": existing(member, access_rule(True)),
    f"DELETE {IDENTITY}/users/{{}}/access_rules/{{}}": fresh(member, access_rule(False)),
    f"GET {IDENTITY}/projects": existing(),
    f"POST {IDENTITY}/projects": fresh(body=new("project")),
    f"GET {IDENTITY}/projects/{{}}": existing(home),
    f"PATCH {IDENTITY}/projects/{{}}": fresh(lambda w: w.project(), body={"project": {"description": "x"}}),
    f"DELETE {IDENTITY}/projects/{{}}": fresh(lambda w: w.project()),
    f"GET {IDENTITY}/projects/{{}}/tags": existing(home),
    f"PUT {IDENTITY}/projects/{{}}/tags": fresh(lambda w: w.project(), body={"tags": ["x"]}),
    f"DELETE {IDENTITY}/projects/{{}}/tags": fresh(lambda w: w.project()),
    f"GET {IDENTITY}/projects/{{}}/tags/{{}}": existing(tagged, "x"),
    f"PUT {IDENTITY}/projects/{{}}/tags/{{}}": fresh(lambda w: w.project(), "x"),
    f"DELETE {IDENTITY}/projects/{{}}/tags/{{}}": fresh(tagged, "x"),
    f"GET {IDENTITY}/domains": existing(),
    f"POST {IDENTITY}/domains": fresh(body=new("domain")),
    f"GET {IDENTITY}/domains/{{}}": existing("default"),
    f"PATCH {IDENTITY}/domains/{{}}": fresh(lambda w: w.domain(), body={"domain": {"description": "x"}}),
    f"DELETE {IDENTITY}/domains/{{}}": fresh(lambda w: w.domain(enabled=False)),
    f"GET {IDENTITY}/roles": existing(),
    f"POST {IDENTITY}/roles": fresh(body=new("role")),
    f"GET {IDENTITY}/roles/{{}}": existing(any_role),
    f"PATCH {IDENTITY}/roles/{{}}": fresh(lambda w: w.role(), body={"role": {"description": "x"}}),
    f"DELETE {IDENTITY}/roles/{{}}": fresh(lambda w: w.role()),
    f"GET {IDENTITY}/roles/{{}}/implies": existing(any_role),
    f"GET {IDENTITY}/roles/{{}}/implies/{{}}": existing(lambda w: w.roles["member"], any_role),
    f"HEAD {IDENTITY}/roles/{{}}/implies/{{}}": existing(lambda w: w.roles["member"], any_role),
    f"PUT {IDENTITY}/roles/{{}}/implies/{{}}": fresh(lambda w: w.role(), any_role),
    f"DELETE {IDENTITY}/roles/{{}}/implies/{{}}": fresh(implying, any_role),
    f"GET {IDENTITY}/role_inferences": existing(),
    f"GET {IDENTITY}/role_assignments": existing(),
    f"GET {IDENTITY}/projects/{{}}/users/{{}}/roles": existing(home, member),
    f"GET {IDENTITY}/projects/{{}}/users/{{}}/roles/{{}}": existing(home, member, lambda w: w.roles["member"]),
    f"PUT {IDENTITY}/projects/{{}}/users/{{}}/roles/{{}}": fresh(home, lambda w: w.user(), any_role),
    f"DELETE {IDENTITY}/projects/{{}}/users/{{}}/roles/{{}}": fresh(home, grant(project_role), any_role),
    f"GET {IDENTITY}/domains/{{}}/users/{{}}/roles": existing("default", member),
    f"GET {IDENTITY}/domains/{{}}/users/{{}}/roles/{{}}": existing("default", grant(domain_role), any_role),
    f"PUT {IDENTITY}/domains/{{}}/users/{{}}/roles/{{}}": fresh("default", lambda w: w.user(), any_role),
    f"DELETE {IDENTITY}/domains/{{}}/users/{{}}/roles/{{}}": fresh("default", grant(domain_role), any_role),
    f"GET {IDENTITY}/system/users/{{}}/roles": existing(member),
    f"GET {IDENTITY}/system/users/{{}}/roles/{{}}": existing(grant(system_role), any_role),
    f"PUT {IDENTITY}/system/users/{{}}/roles/{{}}": fresh(lambda w: w.user(), any_role),
    f"DELETE {IDENTITY}/system/users/{{}}/roles/{{}}": fresh(grant(system_role), any_role),
    f"GET {IDENTITY}/services": existing(),
    f"POST {IDENTITY}/services": fresh(body={"service": {"type": "image"}}),
    f"GET {IDENTITY}/services/{{}}": existing(service),
    f"PATCH {IDENTITY}/services/{{}}": fresh(service, body={"service": {"description": "x"}}),
    f"DELETE {IDENTITY}/services/{{}}": fresh(service),
    f"GET {IDENTITY}/endpoints": existing(),
    f"POST {IDENTITY}/endpoints": existing(body=lambda w: {"endpoint": endpoint_fields(w)}),
    f"GET {IDENTITY}/endpoints/{{}}": existing(endpoint),
    f"PATCH {IDENTITY}/endpoints/{{}}": fresh(endpoint, body={"endpoint": {"url": "http://h"}}),
    f"DELETE {IDENTITY}/endpoints/{{}}": fresh(endpoint),
    f"GET {IDENTITY}/regions": existing(),
    f"POST {IDENTITY}/regions": fresh(body={"region": {}}),
    f"GET {IDENTITY}/regions/{{}}": existing("RegionOne"),
    f"PUT {IDENTITY}/regions/{{}}": fresh(lambda w: w.name("region"), body={"region": {}}),
    f"PATCH {IDENTITY}/regions/{{}}": fresh(region, body={"region": {"description": "x"}}),
    f"DELETE {IDENTITY}/regions/{{}}": fresh(region),
    f"GET {IDENTITY}/groups": existing(),
    f"POST {IDENTITY}/groups": fresh(body=new("group")),
    f"GET {IDENTITY}/groups/{{}}": existing(group),
    f"PATCH {IDENTITY}/groups/{{}}": fresh(group, body={"group": {"description": "x"}}),
    f"DELETE {IDENTITY}/groups/{{}}": fresh(group),
    f"GET {IDENTITY}/groups/{{}}/users": existing(joined),
    f"GET {IDENTITY}/groups/{{}}/users/{{}}": existing(joined, member),
    f"PUT {IDENTITY}/groups/{{}}/users/{{}}": fresh(group, lambda w: w.user()),
    f"DELETE {IDENTITY}/groups/{{}}/users/{{}}": fresh(joined_by_another, lambda _: JOINED[-1]),
    f"GET {IDENTITY}/projects/{{}}/groups/{{}}/roles": existing(home, group),
    f"GET {IDENTITY}/projects/{{}}/groups/{{}}/roles/{{}}": existing(home, grant(project_role, "groups"), any_role),
    f"PUT {IDENTITY}/projects/{{}}/groups/{{}}/roles/{{}}": fresh(home, group, any_role),
    f"DELETE {IDENTITY}/projects/{{}}/groups/{{}}/roles/{{}}": fresh(home, grant(project_role, "groups"), any_role),
    f"GET {IDENTITY}/domains/{{}}/groups/{{}}/roles": existing("default", group),
    f"GET {IDENTITY}/domains/{{}}/groups/{{}}/roles/{{}}": existing("default", grant(domain_role, "groups"), any_role),
    f"PUT {IDENTITY}/domains/{{}}/groups/{{}}/roles/{{}}": fresh("default", group, any_role),
    f"DELETE {IDENTITY}/domains/{{}}/groups/{{}}/roles/{{}}": fresh("default", grant(domain_role, "groups"), any_role),
    f"GET {IDENTITY}/system/groups/{{}}/roles": existing(group),
    f"GET {IDENTITY}/system/groups/{{}}/roles/{{}}": existing(grant(system_role, "groups"), any_role),
    f"PUT {IDENTITY}/system/groups/{{}}/roles/{{}}": fresh(group, any_role),
    f"DELETE {IDENTITY}/system/groups/{{}}/roles/{{}}": fresh(grant(system_role, "groups"), any_role),
    f"GET {INHERIT}/projects/{{}}/users/{{}}/roles/inherited_to_projects": existing(home, member),
    f"GET {INHERIT}/projects/{{}}/users/{{}}/roles/{{}}/inherited_to_projects": existing(
        home, inherited(project_role), any_role),
    f"PUT {INHERIT}/projects/{{}}/users/{{}}/roles/{{}}/inherited_to_projects": fresh(
        home, lambda w: w.user(), any_role),
    f"DELETE {INHERIT}/projects/{{}}/users/{{}}/roles/{{}}/inherited_to_projects": fresh(
        home, inherited(project_role), any_role),
    f"GET {INHERIT}/projects/{{}}/groups/{{}}/roles/inherited_to_projects": existing(home, group),
    f"GET {INHERIT}/projects/{{}}/groups/{{}}/roles/{{}}/inherited_to_projects": existing(
        home, inherited(project_role, "groups"), any_role),
    f"PUT {INHERIT}/projects/{{}}/groups/{{}}/roles/{{}}/inherited_to_projects": fresh(home, group, any_role),
    f"DELETE {INHERIT}/projects/{{}}/groups/{{}}/roles/{{}}/inherited_to_projects": fresh(
        home, inherited(project_role, "groups"), any_role),
    f"GET {INHERIT}/domains/{{}}/users/{{}}/roles/inherited_to_projects": existing("default", member),
    f"GET {INHERIT}/domains/{{}}/users/{{}}/roles/{{}}/inherited_to_projects": existing(
        "default", inherited(domain_role), any_role),
    f"PUT {INHERIT}/domains/{{}}/users/{{}}/roles/{{}}/inherited_to_projects": fresh(
        "default", lambda w: w.user(), any_role),
    f"DELETE {INHERIT}/domains/{{}}/users/{{}}/roles/{{}}/inherited_to_projects": fresh(
        "default", inherited(domain_role), any_role),
    f"GET {INHERIT}/domains/{{}}/groups/{{}}/roles/inherited_to_projects": existing("default", group),
    f"GET {INHERIT}/domains/{{}}/groups/{{}}/roles/{{}}/inherited_to_projects": existing(
        "default", inherited(domain_role, "groups"), any_role),
    f"PUT {INHERIT}/domains/{{}}/groups/{{}}/roles/{{}}/inherited_to_projects": fresh(
        "default", group, any_role),
    f"DELETE {INHERIT}/domains/{{}}/groups/{{}}/roles/{{}}/inherited_to_projects": fresh(
        "default", inherited(domain_role, "groups"), any_role),
    f"GET {IDENTITY}/OS-TRUST/trusts": existing(),
    f"POST {IDENTITY}/OS-TRUST/trusts": fresh(body=trust_body),
    f"GET {IDENTITY}/OS-TRUST/trusts/{{}}": existing(trust),
    f"DELETE {IDENTITY}/OS-TRUST/trusts/{{}}": fresh(trust),
    f"GET {IDENTITY}/OS-TRUST/trusts/{{}}/roles": existing(trust),
    f"GET {IDENTITY}/OS-TRUST/trusts/{{}}/roles/{{}}": existing(trust, lambda w: w.roles["member"]),
    f"GET {IDENTITY}/credentials": existing(),
    f"POST {IDENTITY}/credentials": existing(
        body=lambda w: {"credential": {"type": "cert", "blob": "x", "user_id": member(w)}}),
    f"GET {IDENTITY}/credentials/{{}}": existing(user_credential),
    f"PATCH {IDENTITY}/credentials/{{}}": existing(user_credential, body={"credential": {"blob": "y"}}),
    f"DELETE {IDENTITY}/credentials/{{}}": fresh(user_credential),
    f"GET {IDENTITY}/users/{{}}/credentials/OS-EC2": existing(member),
    f"POST {IDENTITY}/users/{{}}/credentials/OS-EC2": existing(member, body=lambda w: {"tenant_id": w.home}),
    f"GET {IDENTITY}/users/{{}}/credentials/OS-EC2/{{}}": existing(member, key_pair),
    f"DELETE {IDENTITY}/users/{{}}/credentials/OS-EC2/{{}}": fresh(member, key_pair),
    f"GET {IDENTITY}/domains/{{}}/config": existing(configured),
    f"PUT {IDENTITY}/domains/{{}}/config": fresh(lambda w: w.domain(), body=CONFIG),
    f"PATCH {IDENTITY}/domains/{{}}/config": fresh(configured, body=CONFIG),
    f"DELETE {IDENTITY}/domains/{{}}/config": fresh(configured),
    f"GET {IDENTITY}/domains/{{}}/config/{{}}": existing(configured, "ldap"),
    f"PATCH {IDENTITY}/domains/{{}}/config/{{}}": fresh(configured, "ldap", body=CONFIG),
    f"DELETE {IDENTITY}/domains/{{}}/config/{{}}": fresh(configured, "ldap"),
    f"GET {IDENTITY}/domains/{{}}/config/{{}}/{{}}": existing(configured, "ldap", "url"),
    f"PATCH {IDENTITY}/domains/{{}}/config/{{}}/{{}}": fresh(
        configured, "ldap", "url", body={"config": {"url": "ldap://other"}}),
    f"DELETE {IDENTITY}/domains/{{}}/config/{{}}/{{}}": fresh(configured, "ldap", "url"),
    f"GET {IDENTITY}/domains/{{}}/config/security_compliance": existing("default"),
    f"GET {IDENTITY}/domains/{{}}/config/security_compliance/{{}}": existing("default", "password_regex"),
    f"GET {IDENTITY}/domains/config/default": existing(),
    f"GET {IDENTITY}/domains/config/{{}}/default": existing("ldap"),
    f"GET {IDENTITY}/domains/config/{{}}/{{}}/default": existing("ldap", "url"),
    f"GET {IDENTITY}/policies": existing(),
    f"POST {IDENTITY}/policies": fresh(body={"policy": {"type": "x", "blob": "x"}}),
    f"GET {IDENTITY}/policies/{{}}": existing(policy),
    f"PATCH {IDENTITY}/policies/{{}}": fresh(policy, body={"policy": {"blob": "y"}}),
    f"DELETE {IDENTITY}/policies/{{}}": fresh(policy),
    f"GET {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/endpoints": existing(policy),
    f"GET {IDENTITY}/endpoints/{{}}/OS-ENDPOINT-POLICY/policy": existing(endpoint_with_policy),
    f"GET {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/endpoints/{{}}": existing(
        linked_endpoint, lambda _: LINKED[0]),
    f"PUT {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/endpoints/{{}}": fresh(policy, endpoint),
    f"DELETE {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/endpoints/{{}}": fresh(
        linked_endpoint, lambda _: LINKED[0]),
    f"GET {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/services/{{}}": existing(
        linked(service), lambda _: LINKED[0]),
    f"PUT {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/services/{{}}": fresh(policy, service),
    f"DELETE {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/services/{{}}": fresh(
        linked(service), lambda _: LINKED[0]),
    f"GET {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/services/{{}}/regions/{{}}": existing(
        linked(service, region), lambda _: LINKED[0], lambda _: LINKED[1]),
    f"PUT {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/services/{{}}/regions/{{}}": fresh(policy, service, region),
    f"DELETE {IDENTITY}/policies/{{}}/OS-ENDPOINT-POLICY/services/{{}}/regions/{{}}": fresh(
        linked(service, region), lambda _: LINKED[0], lambda _: LINKED[1]),
    f"GET {FILTER}/endpoint_groups": existing(),
    f"POST {FILTER}/endpoint_groups": fresh(
        body={"endpoint_group": {"name": "x", "filters": {"interface": "public"}}}),
    f"GET {FILTER}/endpoint_groups/{{}}": existing(endpoint_group),
    f"PATCH {FILTER}/endpoint_groups/{{}}": fresh(endpoint_group, body={"endpoint_group": {"description": "x"}}),
    f"DELETE {FILTER}/endpoint_groups/{{}}": fresh(endpoint_group),
    f"GET {FILTER}/endpoint_groups/{{}}/endpoints": existing(endpoint_group),
    f"GET {FILTER}/endpoint_groups/{{}}/projects": existing(endpoint_group),
    f"GET {FILTER}/endpoint_groups/{{}}/projects/{{}}": existing(associated_group, lambda _: LINKED[0]),
    f"PUT {FILTER}/endpoint_groups/{{}}/projects/{{}}": fresh(endpoint_group, lambda w: w.project()),
    f"DELETE {FILTER}/endpoint_groups/{{}}/projects/{{}}": fresh(associated_group, lambda _: LINKED[0]),
    f"GET {FILTER}/endpoints/{{}}/projects": existing(endpoint),
    f"GET {FILTER}/projects/{{}}/endpoint_groups": existing(home),
    f"GET {FILTER}/projects/{{}}/endpoints": existing(home),
    f"GET {FILTER}/projects/{{}}/endpoints/{{}}": existing(filtered, lambda _: LINKED[0]),
    f"PUT {FILTER}/projects/{{}}/endpoints/{{}}": fresh(lambda w: w.project(), endpoint),
    f"DELETE {FILTER}/projects/{{}}/endpoints/{{}}": fresh(filtered, lambda _: LINKED[0]),
    f"GET {IDENTITY}/OS-OAUTH1/consumers": existing(),
    f"POST {IDENTITY}/OS-OAUTH1/consumers": fresh(body={"consumer": {}}),
    f"GET {IDENTITY}/OS-OAUTH1/consumers/{{}}": existing(consumer),
    f"PATCH {IDENTITY}/OS-OAUTH1/consumers/{{}}": fresh(consumer, body={"consumer": {"description": "x"}}),
    f"DELETE {IDENTITY}/OS-OAUTH1/consumers/{{}}": fresh(consumer),
    f"POST {IDENTITY}/ec2tokens": existing(body={"credentials": {"access": "unknown", "signature": "x"}}),
    f"POST {IDENTITY}/s3tokens": existing(body={"credentials": {"access": "unknown", "signature": "x"}}),
    "GET /container-infra": existing(),
    f"GET {MAGNUM}": existing(),
    "HEAD /container-infra": existing(),
    f"HEAD {MAGNUM}": existing(),
    f"GET {MAGNUM}/clustertemplates": existing(),
    f"GET {MAGNUM}/clustertemplates/detail": existing(),
    f"POST {MAGNUM}/clustertemplates": fresh(body=template_body),
    f"GET {MAGNUM}/clustertemplates/{{}}": existing(shared_template),
    f"PATCH {MAGNUM}/clustertemplates/{{}}": fresh(
        lambda w: w.template(), body=[{"op": "replace", "path": "/tags", "value": "x"}]),
    f"DELETE {MAGNUM}/clustertemplates/{{}}": fresh(lambda w: w.template()),
    f"GET {MAGNUM}/clusters": existing(),
    f"GET {MAGNUM}/clusters/detail": existing(),
    f"POST {MAGNUM}/clusters": fresh(body=cluster_body),
    f"GET {MAGNUM}/clusters/{{}}": existing(shared_cluster),
    f"PATCH {MAGNUM}/clusters/{{}}": fresh(
        shared_cluster, body=[{"op": "replace", "path": "/health_status", "value": "HEALTHY"}]),
    f"DELETE {MAGNUM}/clusters/{{}}": fresh(lambda w: w.cluster()),
    f"POST {MAGNUM}/clusters/{{}}/actions/resize": fresh(lambda w: w.cluster(), body={"node_count": 2}),
    f"POST {MAGNUM}/clusters/{{}}/actions/upgrade": existing(
        shared_cluster, body=lambda w: {"cluster_template": shared_template(w)}),
    f"GET {MAGNUM}/clusters/{{}}/nodegroups": existing(shared_cluster),
    f"GET {MAGNUM}/clusters/{{}}/nodegroups/{{}}": existing(shared_cluster, "default-worker"),
    f"POST {MAGNUM}/certificates": existing(body=certificate_body),
    f"GET {MAGNUM}/certificates/{{}}": existing(shared_cluster),
    f"PATCH {MAGNUM}/certificates/{{}}": fresh(lambda w: w.cluster()),
    f"GET {MAGNUM}/mservices": existing(),
    f"GET {MAGNUM}/stats": existing(),
    f"GET {MAGNUM}/quotas": existing(),
    f"GET {MAGNUM}/quotas/{{}}/{{}}": existing(home, "Cluster"),
}


def routes(callers):
    """Method and template of each route, parameters written as {}."""
    document = callers.server.call("GET", "/openapi.json", cloud=None).body
    for path, item in document["paths"].items():
        for method in item:
            yield method.upper(), path, re.sub(r"{[^}]*}", "{}", path)


def call(callers, method, template, sample, persona):
    params, body = sample(callers)
    path = template
    for param in params:
        path = path.replace("{}", param, 1)
    headers = {"X-Subject-Token": callers.fresh_token()} if template.endswith("/auth/tokens") else {}
    token = callers.tokens[persona]
    headers["X-Auth-Token"] = token
    return callers.server.call(method, path, body, cloud=None, headers=headers).status


def read_golden():
    with open(GOLDEN) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip()]
    assert rows[0][1:] == PERSONAS, "access.tsv has other columns"
    return {row[0]: row[1:] for row in rows[1:]}


def test_every_route_answers_every_caller_as_recorded(callers, request, report):
    """The statuses of all routes for all personas equal the recorded ones."""
    seen = {}
    missing = []
    for method, _, template in sorted(routes(callers), key=lambda r: (r[1], r[0])):
        key = f"{method} {template}"
        if key not in SAMPLES:
            missing.append(key)
            continue
        seen[key] = [str(call(callers, method, template, SAMPLES[key], p)) for p in PERSONAS]
    assert not missing, f"routes without a sample: {missing}"
    assert not set(SAMPLES) - set(seen), f"samples without a route: {set(SAMPLES) - set(seen)}"
    report(f"{len(seen)} routes x {len(PERSONAS)} callers = {len(seen) * len(PERSONAS)} calls")
    errors = {key: row for key, row in seen.items() if any(status >= "500" for status in row)}
    assert not errors, f"server errors: {errors}"
    if request.config.getoption("--update-golden"):
        with open(GOLDEN, "w") as f:
            f.write("\t".join(["route", *PERSONAS]) + "\n")
            f.writelines("\t".join([key, *row]) + "\n" for key, row in seen.items())
    golden = read_golden()
    wrong = [f"{key}: {persona}: {got}, recorded {want}"
             for key, row in seen.items()
             for persona, got, want in zip(PERSONAS, row, golden.get(key, ["no row"] * len(PERSONAS)))
             if got != want]
    assert not wrong, "\n".join(wrong)
    assert set(golden) == set(seen), f"rows without a route: {set(golden) - set(seen)}"


def test_access_follows_from_the_documents(callers):
    """Only public routes can be called without a token, and a user of another project
    neither sees nor changes an object of this one."""
    document = callers.server.call("GET", "/openapi.json", cloud=None).body
    golden = read_golden()
    column = {name: i for i, name in enumerate(PERSONAS)}
    for method, path, template in routes(callers):
        row = golden[f"{method} {template}"]
        access = document["paths"][path][method.lower()]["x-access"]
        if "public" not in access and "own" not in access:
            assert row[column["none"]] == "401", f"{method} {template} without a token: {row}"
        if template.startswith(MAGNUM) and "{}" in template and "/quotas/" not in template:
            assert row[column["foreign"]] in ("404", "403"), f"{method} {template}: {row}"
            if "/nodegroups" in template or method == "GET":
                assert row[column["foreign"]] == "404", f"{method} {template}: {row}"
