#!/usr/bin/env python3
"""Creates a Kubernetes cluster of one master and N workers without the server, with as
many steps in parallel as possible, and with the image, flags and limits of the server's
clusters. The time that this takes is the lower bound with which the server is compared.
Prints the milliseconds from the first `docker create` until all nodes are Ready, and
until the cluster's DNS has a ready pod. Usage: floor_kubernetes.py [N]

The certificates are created before the measurement starts."""

import io
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "crates/node/src/kube/golden")
IMAGE = os.environ.get("IMAGE", "jeroboam/kubernetes:latest")
WORKERS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
NAME = f"floork-{os.getpid()}"
NET = f"10.{random.randrange(208, 224)}.{random.randrange(250)}"
PKI = "/etc/kubernetes/pki"
NODES = [f"{NAME}-{i}" for i in range(WORKERS + 1)]
IPS = [f"{NET}.{10 + i}" for i in range(WORKERS + 1)]

INIT = r"""
mount -o remount,rw /sys
for m in $(awk '$2 ~ "^/sys/fs/cgroup/" {print $2}' /proc/mounts); do mount -o remount,bind,rw $m; done
mount --make-rshared /
[ -e /dev/kmsg ] || mknod /dev/kmsg c 1 11
export GOGC=400
mkdir -p /var/log/floor
run() { "$@" >>/var/log/floor/$1.log 2>&1 & }
up() { until (exec 3<>/dev/tcp/$1/$2) 2>/dev/null; do sleep 0.05; done; }
S=/usr/share/jeroboam/containerd D=/var/lib/containerd
BLOBS=io.containerd.content.v1.content/blobs/sha256 LAYERS=io.containerd.snapshotter.v1.overlayfs META=io.containerd.metadata.v1.bolt
mkdir -p $D/$BLOBS $D/$BLOBS/../../ingest $D/$META
ln -s $S/$BLOBS/* $D/$BLOBS/
for l in $S/$LAYERS/snapshots/*; do mkdir -p $D/$LAYERS/snapshots/${l##*/}/work; ln -s $l/fs $D/$LAYERS/snapshots/${l##*/}/fs; done
cp $S/$META/meta.db $D/$META/
cp $S/$LAYERS/metadata.db $D/$LAYERS/
run containerd
iptables -P FORWARD ACCEPT
iptables -t nat -A POSTROUTING -s OWNCIDR ! -d 10.100.0.0/16 -j MASQUERADE
ROUTES
"""
MASTER = r"""
run etcd ETCD
up 127.0.0.1 2379
run kube-apiserver APISERVER
up 127.0.0.1 6443
run kube-controller-manager KCM
run kube-scheduler SCHEDULER
"""
WORKER = "up MASTERIP 6443\n"
BOTH = r"""
until kubelet KUBELET >>/var/log/floor/kubelet.log 2>&1; do sleep 0.2; done &
run kube-proxy --config=/etc/kubernetes/kube-proxy.json
wait
"""


def sh(*args, data=None):
    return subprocess.run(args, input=data, check=True, capture_output=True).stdout


class Authority:
    """A CA and the certificates that it signs, created with openssl."""

    def __init__(self, dir_, name):
        self.dir, self.name, self.serial = dir_, name, 0
        self.key, self.cert = os.path.join(dir_, f"{name}.key"), os.path.join(dir_, f"{name}.crt")
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
           "-out", self.cert, "-days", "10", "-subj", f"/CN={name}")

    def leaf(self, file, cn, org=None, sans=()):
        key, csr, crt = (os.path.join(self.dir, f"{file}.{e}") for e in ("key", "csr", "crt"))
        subject = (f"/O={org}" if org else "") + f"/CN={cn}"
        sh("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", csr,
           "-subj", subject)
        self.serial += 1
        ext = "extendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature,keyEncipherment\n"
        ext += f"subjectAltName={','.join(sans)}\n" if sans else ""
        sh("openssl", "x509", "-req", "-in", csr, "-CA", self.cert, "-CAkey", self.key, "-set_serial",
           str(random.getrandbits(60)), "-days", "10", "-out", crt, "-extfile", "/dev/stdin", data=ext.encode())


def certificates(dir_):
    ca, etcd, front = (Authority(dir_, n) for n in ("ca", "etcd-ca", "front-proxy-ca"))
    master = IPS[0]
    names = ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
             "DNS:kubernetes.default.svc.cluster.local", "DNS:localhost", "IP:10.254.0.1", "IP:127.0.0.1", f"IP:{master}"]
    ca.leaf("apiserver", "kube-apiserver", sans=names)
    ca.leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
    ca.leaf("controller-manager", "system:kube-controller-manager")
    ca.leaf("scheduler", "system:kube-scheduler")
    ca.leaf("kube-proxy", "system:kube-proxy")
    ca.leaf("admin", "admin", "system:masters")
    etcd.leaf("etcd", "etcd", sans=["IP:127.0.0.1"])
    etcd.leaf("etcd-client", "etcd-client")
    front.leaf("front-proxy-client", "front-proxy-client")
    for node, ip in zip(NODES, IPS):
        ca.leaf(f"kubelet-{node}", f"system:node:{node}", "system:nodes", [f"DNS:{node}", f"IP:{ip}"])
    sa = os.path.join(dir_, "sa")
    sh("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{sa}.key")
    sh("openssl", "ec", "-in", f"{sa}.key", "-pubout", "-out", f"{sa}.pub")


def golden(name, i):
    """A golden file of the agent with flags or files, changed to the names and
    addresses of this node."""
    with open(os.path.join(GOLDEN, name)) as f:
        text = f.read()
    old = "k-master-0" if name.startswith("master") else "k-node-0"
    # In the golden files the address of a worker also represents that of the master.
    text = text.replace("https://10.0.0.5:6443", f"https://{IPS[0]}:6443")
    return text.replace(old, NODES[i]).replace("10.0.0.5", IPS[i]).replace("10.100.3.0/24", f"10.100.{i}.0/24")


def flags(role, i):
    found, at = {}, None
    for line in golden(f"{role}-1.36.flags", i).splitlines():
        if line.startswith("  "):
            found[at].append(line.strip())
        elif line.strip():
            at = line.strip()
            found[at] = []
    return {k: " ".join(v) for k, v in found.items()}


def files(role, i, pki):
    out, at = {}, None
    for line in golden(f"{role}-1.36.files", i).splitlines(keepends=True):
        if line.startswith("== "):
            at = line[3:].strip()
            out[at] = ""
        else:
            out[at] += line
    with open(os.path.join(GOLDEN, "containerd.toml")) as f:
        out["/etc/containerd/config.toml"] = f.read()
    mine = ["ca.crt", "kube-proxy.crt", "kube-proxy.key"]
    if i == 0:
        mine = [f for f in os.listdir(pki) if not f.endswith(".csr") and not f.startswith("kubelet-")]
    for name in mine:
        with open(os.path.join(pki, name)) as f:
            out[f"{PKI}/{name}"] = f.read()
    for end in ("crt", "key"):
        with open(os.path.join(pki, f"kubelet-{NODES[i]}.{end}")) as f:
            out[f"{PKI}/kubelet.{end}"] = f.read()
    return out


def make(i, pki):
    role = "master" if i == 0 else "worker"
    found = flags(role, i)
    script = INIT + (MASTER if i == 0 else WORKER) + BOTH
    routes = "\n".join(f"ip route replace 10.100.{p}.0/24 via {IPS[p]}" for p in range(WORKERS + 1) if p != i)
    for word, text in (("OWNCIDR", f"10.100.{i}.0/24"), ("ROUTES", routes), ("ETCD", found.get("etcd", "")),
                       ("APISERVER", found.get("kube-apiserver", "")), ("KCM", found.get("kube-controller-manager", "")),
                       ("SCHEDULER", found.get("kube-scheduler", "")), ("KUBELET", found["kubelet"]),
                       ("MASTERIP", IPS[0])):
        script = script.replace(word, text)
    content = files(role, i, pki)
    content["/floor.sh"] = script
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as t:
        for path, text in content.items():
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size, info.mode = len(text.encode()), 0o600
            t.addfile(info, io.BytesIO(text.encode()))
    sh("docker", "create", "--name", NODES[i], "--hostname", NODES[i], "--network", NAME, "--ip", IPS[i],
       "--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined",
       "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
       "--device-cgroup-rule", "a *:* rwm", "--cgroupns", "private", "--tmpfs", "/run:exec", "--tmpfs", "/tmp:exec",
       "--memory", "4g" if i == 0 else "2g", "--entrypoint", "tini", IMAGE, "--", "bash", "/floor.sh")
    sh("docker", "cp", "-", f"{NODES[i]}:/", data=tar.getvalue())
    sh("docker", "start", NODES[i])


class Api:
    def __init__(self, pki):
        context = ssl.create_default_context(cafile=os.path.join(pki, "ca.crt"))
        context.load_cert_chain(os.path.join(pki, "admin.crt"), os.path.join(pki, "admin.key"))
        self.context = context

    def __call__(self, path, method="GET", body=None):
        type_ = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        request = urllib.request.Request(f"https://{IPS[0]}:6443{path}", method=method, headers={"Content-Type": type_},
                                         data=body and json.dumps(body).encode())
        with urllib.request.urlopen(request, context=self.context, timeout=5) as got:
            return json.loads(got.read() or b"null")


PATHS = {"ServiceAccount": "/api/v1/namespaces/kube-system/serviceaccounts/",
         "ConfigMap": "/api/v1/namespaces/kube-system/configmaps/", "Service": "/api/v1/namespaces/kube-system/services/",
         "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/",
         "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/",
         "Deployment": "/apis/apps/v1/namespaces/kube-system/deployments/"}


def documents():
    with open(os.path.join(GOLDEN, "coredns.json")) as f:
        text = f.read()
    decoder, at, out = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        one, at = decoder.raw_decode(text, at)
        out.append(one)
    return out


def wait(what, probe, seconds=120):
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            if probe():
                return
        except (OSError, ValueError, KeyError) as e:
            last = e
        time.sleep(0.05)
    logs = [subprocess.run(["docker", "exec", n, "sh", "-c", "tail -n 5 /var/log/floor/kubelet.log"], capture_output=True,
                           text=True, check=False).stdout for n in NODES]
    raise SystemExit(f"floor: {what} not within {seconds} s: {last}\n" + "\n".join(logs))


def ready(api):
    nodes = api("/api/v1/nodes")["items"]
    states = [c["status"] for n in nodes for c in n["status"]["conditions"] if c["type"] == "Ready"]
    return len(states) == WORKERS + 1 and all(s == "True" for s in states)


def applied(api, waiting):
    while waiting:
        one = waiting[0]
        api(PATHS[one["kind"]] + one["metadata"]["name"] + "?fieldManager=floor&force=true", "PATCH", one)
        waiting.pop(0)
    return True


def main():
    pki = tempfile.mkdtemp(prefix="floork.")
    try:
        certificates(pki)
        api = Api(pki)
        begun = time.monotonic()
        sh("docker", "network", "create", "--subnet", f"{NET}.0/24", "--gateway", f"{NET}.1", NAME)
        with ThreadPoolExecutor(WORKERS + 1) as pool:
            list(pool.map(lambda i: make(i, pki), range(WORKERS + 1)))
        wait("CoreDNS applied", lambda waiting=documents(): applied(api, waiting))
        wait("all nodes Ready", lambda: ready(api))
        nodes = (time.monotonic() - begun) * 1000
        dns = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
        wait("DNS", lambda: api(dns)["status"].get("readyReplicas", 0) >= 1)
        print(f"{nodes:.0f} {(time.monotonic() - begun) * 1000:.0f}")
    finally:
        subprocess.run(["docker", "rm", "-fv", *NODES], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", NAME], capture_output=True, check=False)
        shutil.rmtree(pki, ignore_errors=True)


if __name__ == "__main__":
    main()
