"""Labels that affect the components of a Kubernetes cluster: an older release by
kube_tag, flags by *_options, and the list of admission plug-ins of an old template.
Invalid values are refused."""

import json

import kube
import pytest
from environment import OWN_POOL, expect, run

pytestmark = [pytest.mark.engine, pytest.mark.ordered]
SETTINGS = OWN_POOL
NAME = "labelled"
# The default of an old release of Magnum, and a plug-in that is off by default.
ADMISSION = ("NodeRestriction,PodSecurityPolicy,NamespaceLifecycle,LimitRanger,ServiceAccount,ResourceQuota,"
             "TaintNodesByCondition,Priority,DefaultTolerationSeconds,DefaultStorageClass,StorageObjectInUseProtection,"
             "PersistentVolumeClaimResize,RuntimeClass,DenyServiceExternalIPs")


class Labels:
    def __init__(self, server):
        self.s = server
        self.dir = server.directory("kube")
        self.kubectl = kube.Kubectl(self.dir)
        self.releases = []

    def create(self, labels):
        return self.s.magnum("POST", "/clusters", {"name": NAME, "cluster_template_id": "k", "node_count": 1, "labels": labels})


@pytest.fixture(scope="module")
def labels(server):
    return Labels(server)


def test_unknown_release_is_refused_with_those_that_exist(labels, report):
    """The refusal lists the releases for which the server has an image."""
    template = {"name": "k", "coe": "kubernetes", "image_id": "kubernetes", "external_network_id": "public",
                "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.small"}
    got = labels.s.magnum("POST", "/clustertemplates", template)
    expect(got.status == 201, f"template: {got.status} {got.detail}")
    got = labels.create({"kube_tag": "v1.23.3-rancher1"})
    expect(got.status == 400 and "labels/kube_tag" in got.detail, f"{got.status} {got.detail}")
    labels.releases = got.detail.split("supported values are: ")[1].split(";")[0].split(", ")
    expect(labels.releases and all(r.startswith("v1.") for r in labels.releases), got.detail)
    report(", ".join(labels.releases))


def test_invalid_and_reserved_flags_are_refused(labels):
    for given, words in [({"kubelet_options": "--v=4 max-pods=9"}, ["labels/kubelet_options", "max-pods=9"]),
                          ({"kubeapi_options": "--etcd-servers=http://x"}, ["labels/kubeapi_options", "--etcd-servers"]),
                          ({"admission_control_list": "No such"}, ["labels/admission_control_list", "No such"])]:
        got = labels.create(given)
        expect(got.status == 400 and all(w in got.detail for w in words), f"{given}: {got.status} {got.detail}")


def test_cluster_with_labels_for_every_component(labels, report):
    # The oldest available release; with several, it differs from that of the template.
    labels.release = labels.releases[0]
    got = labels.create({
        "kube_tag": labels.release, "kubelet_options": "--max-pods=17", "kubeapi_options": "--event-ttl=7m --v=1",
        "kubecontroller_options": "--node-monitor-grace-period=31s", "kubescheduler_options": "--v=1",
        "kubeproxy_options": "--v=1", "admission_control_list": ADMISSION})
    expect(got.status == 202, f"create: {got.status} {got.detail}")
    labels.s.until(NAME, "CREATE_COMPLETE", 150)
    labels.s.openstack("coe", "cluster", "config", NAME, "--dir", labels.dir).ok()
    report(labels.release)


def test_labels_are_honoured(labels):
    nodes = labels.kubectl.items("nodes")
    expect(len(nodes) == 2, f"{nodes}")
    for n in nodes:
        expect(n["status"]["nodeInfo"]["kubeletVersion"] == labels.release, f"{n['status']['nodeInfo']}")
        expect(n["status"]["capacity"]["pods"] == "17", f"{n['status']['capacity']}")
    expect(labels.s.magnum("GET", f"/clusters/{NAME}").body["coe_version"] == labels.release, "coe_version is another")
    master = next(c for h, c in kube.containers(labels.s).items() if h.endswith("-master-0"))
    arguments = run(["docker", "exec", master, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"]).ok().out.split()
    for flag in ("--event-ttl=7m", "--node-monitor-grace-period=31s", "--max-pods=17"):
        expect(flag in arguments, f"{flag} is not given: {arguments}")
    enabled = next(w for w in arguments if w.startswith("--enable-admission-plugins="))
    expect("DenyServiceExternalIPs" in enabled and "PodSecurityPolicy" not in enabled, enabled)
    shown = labels.s.cli("cluster", "show", NAME, cloud="jeroboam-demo").ok().out
    expect("PodSecurityPolicy" in shown, f"omitted plug-ins are not reported: {shown}")
    service = kube.service("outside", "ClusterIP")
    service["spec"]["externalIPs"] = ["192.0.2.1"]
    result = labels.kubectl("apply", "-f", "-", data=json.dumps(service))
    result.refused("external IPs")


def test_delete_leaves_nothing(labels):
    got = labels.s.magnum("DELETE", f"/clusters/{NAME}")
    expect(got.status == 204, f"delete: {got.status} {got.detail}")
    labels.s.until(NAME, "GONE", 90)
    expect(not labels.s.left() and labels.s.leaks() == [], f"left: {labels.s.left()} {labels.s.leaks()}")
