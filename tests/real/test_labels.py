#!/usr/bin/env python3
"""Labels that reach the components of a Kubernetes cluster: an older release
by kube_tag, flags by *_options, an admission list of an old template; and what
is refused.  labels.py"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kube  # noqa: E402
from environment import OWN_POOL, expect, run_scenarios, run  # noqa: E402

NAME = "labelled"
# Magnum's own default of long ago, and one that is off by default.
ADMISSION = ("NodeRestriction,PodSecurityPolicy,NamespaceLifecycle,LimitRanger,ServiceAccount,ResourceQuota,"
             "TaintNodesByCondition,Priority,DefaultTolerationSeconds,DefaultStorageClass,StorageObjectInUseProtection,"
             "PersistentVolumeClaimResize,RuntimeClass,DenyServiceExternalIPs")


class Labels:
    def __init__(self, server):
        self.s = server
        self.dir = server.directory("kube")
        self.kubectl = kube.Kubectl(self.dir)
        self.releases = []

    def known(self):
        """Releases whose images are here, as the refusal lists them."""
        template = {"name": "k", "coe": "kubernetes", "image_id": "kubernetes", "external_network_id": "public",
                    "keypair_id": "default", "flavor_id": "m1.small", "master_flavor_id": "m1.small"}
        got = self.s.magnum("POST", "/clustertemplates", template)
        expect(got.status == 201, f"template: {got.status} {got.detail}")
        got = self.create({"kube_tag": "v1.23.3-rancher1"})
        expect(got.status == 400 and "labels/kube_tag" in got.detail, f"{got.status} {got.detail}")
        self.releases = got.detail.split("supported values are: ")[1].split(";")[0].split(", ")
        expect(self.releases and all(r.startswith("v1.") for r in self.releases), got.detail)
        return ", ".join(self.releases)

    def create(self, labels):
        return self.s.magnum("POST", "/clusters", {"name": NAME, "cluster_template_id": "k", "node_count": 1, "labels": labels})

    def refused(self):
        for labels, words in [({"kubelet_options": "--v=4 max-pods=9"}, ["labels/kubelet_options", "max-pods=9"]),
                              ({"kubeapi_options": "--etcd-servers=http://x"}, ["labels/kubeapi_options", "--etcd-servers"]),
                              ({"admission_control_list": "No such"}, ["labels/admission_control_list", "No such"])]:
            got = self.create(labels)
            expect(got.status == 400 and all(w in got.detail for w in words), f"{labels}: {got.status} {got.detail}")

    def built(self):
        # The oldest that there is: another than the template's, where there are two.
        self.release = self.releases[0]
        got = self.create({
            "kube_tag": self.release, "kubelet_options": "--max-pods=17", "kubeapi_options": "--event-ttl=7m --v=1",
            "kubecontroller_options": "--node-monitor-grace-period=31s", "kubescheduler_options": "--v=1",
            "kubeproxy_options": "--v=1", "admission_control_list": ADMISSION})
        expect(got.status == 202, f"create: {got.status} {got.detail}")
        self.s.until(NAME, "CREATE_COMPLETE", 150)
        self.s.openstack("coe", "cluster", "config", NAME, "--dir", self.dir).ok()
        return self.release

    def honoured(self):
        nodes = self.kubectl.items("nodes")
        expect(len(nodes) == 2, f"{nodes}")
        for n in nodes:
            expect(n["status"]["nodeInfo"]["kubeletVersion"] == self.release, f"{n['status']['nodeInfo']}")
            expect(n["status"]["capacity"]["pods"] == "17", f"{n['status']['capacity']}")
        expect(self.s.magnum("GET", f"/clusters/{NAME}").body["coe_version"] == self.release, "coe_version is another")
        master = next(c for h, c in kube.containers(self.s).items() if h.endswith("-master-0"))
        said = run(["docker", "exec", master, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"]).ok().out.split()
        for flag in ("--event-ttl=7m", "--node-monitor-grace-period=31s", "--max-pods=17"):
            expect(flag in said, f"{flag} is not given: {said}")
        enabled = next(w for w in said if w.startswith("--enable-admission-plugins="))
        expect("DenyServiceExternalIPs" in enabled and "PodSecurityPolicy" not in enabled, enabled)
        shown = self.s.cli("cluster", "show", NAME, cloud="jeroboam-demo").ok().out
        expect("PodSecurityPolicy" in shown, f"omitted plug-ins are not reported: {shown}")
        service = kube.service("outside", "ClusterIP")
        service["spec"]["externalIPs"] = ["192.0.2.1"]
        said = self.kubectl("apply", "-f", "-", data=json.dumps(service))
        said.refused("external IPs")

    def gone(self):
        got = self.s.magnum("DELETE", f"/clusters/{NAME}")
        expect(got.status == 204, f"delete: {got.status} {got.detail}")
        self.s.until(NAME, "GONE", 90)
        expect(not self.s.left() and self.s.leaks() == [], f"left: {self.s.left()} {self.s.leaks()}")

    def run_all(self, scenarios):
        if scenarios.run("the server starts", lambda: f"{self.s.start():.0f} ms") and scenarios.run(
                "a release that is not here is refused with those that are", self.known):
            scenarios.run("invalid and reserved flags are refused", self.refused)
            if scenarios.run("a cluster with labels for every component", self.built):
                scenarios.run("the labels are honoured", self.honoured)
                scenarios.run("delete leaves nothing", self.gone)


if __name__ == "__main__":
    sys.exit(run_scenarios(lambda scenarios, server: Labels(server).run_all(scenarios), OWN_POOL))
