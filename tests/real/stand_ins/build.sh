#!/bin/sh
# Builds an image that replaces kindest/node or rancher/k3s where no image
# registry can be reached. It contains none of their code, but has the same files,
# command lines and way to start, with the programs of Kubernetes.
#
#   tests/real/stand_ins/build.sh kindest|k3s TAG
#
# Needs the cache that `jeroboam image build kubernetes` fills, its root image,
# and for kindest Go, a Go module proxy (kubeadm is compiled, two minutes at
# first) and Debian's archive (systemd). tests/real/test_flavours.py runs them.
set -eu

what=${1:?kindest or k3s} tag=${2:?the tag}
RELEASE=1.36.3
CACHE=${JEROBOAM_CACHE:-${HOME:?}/.cache/jeroboam}/kubernetes
here=$(cd "$(dirname "$0")" && pwd)
images=$here/../../../images/kubernetes
DOCKER_BUILDKIT=0
export DOCKER_BUILDKIT

die() { echo "stand-in: $*" >&2; exit 1; }
# The newest directory of a part in the cache.
part() {
    found=$(ls -td "$CACHE/$1-"*/ 2>/dev/null | head -n 1)
    [ -n "$found" ] || die "no $1 in $CACHE; run \`jeroboam image build kubernetes\` first"
    printf '%s' "${found%/}"
}
root=$(docker image ls --format '{{.Repository}}:{{.Tag}}' jeroboam/kubernetes-root | head -n 1)
[ -n "$root" ] || die "no image jeroboam/kubernetes-root"
kube=$(part "kube-$RELEASE") containerd=$(part containerd) etcd=$(part etcd) cni=$(part cni)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { docker build --quiet "$@" 2>/dev/null >&2 || docker build "$@" >&2; }

k3s() {
    mkdir -p "$work/stand-in/cni"
    cp "$kube/kube" "$containerd"/* "$etcd/etcd" "$here/cni-template" "$work/stand-in/"
    cp "$cni"/* "$work/stand-in/cni/"
    sed 's/SystemdCgroup = true/SystemdCgroup = false/
        s#/etc/cni/template#/stand-in/cni-template#; s#/opt/cni/bin#/stand-in/cni#' \
        "$here/kindest/containerd.toml" >"$work/stand-in/config.toml"
    install -m 755 "$here/k3s/k3s" "$work/k3s"
    cat >"$work/Dockerfile" <<EOF
FROM $root
COPY stand-in /stand-in
COPY k3s /bin/k3s
RUN cd /stand-in && for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet; do ln -s kube \$name; done
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/stand-in
VOLUME /var/lib/kubelet /var/lib/rancher/k3s /var/lib/cni /var/log
ENTRYPOINT ["/bin/k3s"]
CMD ["agent"]
EOF
    build --network none --tag "$tag" "$work"
}

kubeadm() {
    kept=$CACHE/kubeadm-$RELEASE
    if [ ! -x "$kept" ]; then
        mkdir "$work/kubeadm"
        cp "$images/kube/$RELEASE/go.mod" "$images/kube/$RELEASE/go.sum" "$here/kubeadm/main.go" "$work/kubeadm/"
        flags="-s -w"
        for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
            flags="$flags -X $package.gitVersion=v$RELEASE -X $package.gitMajor=1 -X $package.gitMinor=36"
        done
        (cd "$work/kubeadm" && CGO_ENABLED=0 GOWORK=off GOFLAGS='-mod=mod -trimpath -buildvcs=false' \
            nice -n 10 go build -ldflags "$flags" -o "$kept.part" . >&2)
        mv "$kept.part" "$kept"
    fi
    cp "$kept" "$1"
}

# The images of the components, under the names that this kubeadm looks for.
components() {
    registry=registry.k8s.io
    mkdir "$work/all" "$work/coredns" "$work/pause"
    cp "$kube/kube" "$etcd/etcd" "$work/all/"
    cp "$(part coredns)/coredns" "$work/coredns/"
    cp "$(part pause)/pause" "$work/pause/"
    cat >"$work/all/Dockerfile" <<EOF
FROM $root
COPY kube etcd /usr/local/bin/
RUN cd /usr/local/bin && for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do ln -s kube \$name; done
EOF
    printf 'FROM scratch\nCOPY coredns /coredns\nENTRYPOINT ["/coredns"]\n' >"$work/coredns/Dockerfile"
    printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' >"$work/pause/Dockerfile"
    names=
    for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
        names="$names all=$registry/$name:v$RELEASE"
    done
    kubeadm "$work/kubeadm.bin"
    # kubeadm looks for its own versions of etcd, CoreDNS and pause.
    for image in $("$work/kubeadm.bin" config images list --kubernetes-version "v$RELEASE" 2>/dev/null); do
        case $image in
        */etcd:*) names="$names all=$image" ;;
        */coredns:*) names="$names coredns=$image" ;;
        */pause:*) names="$names pause=$image" ;;
        esac
    done
    saved=
    for name in $names; do
        build --network none --tag "${name#*=}" "$work/${name%%=*}"
        saved="$saved ${name#*=}"
    done
    # shellcheck disable=SC2086 # a list of names
    docker save --output "$1" $saved
    # shellcheck disable=SC2086
    docker image rm $saved >/dev/null
}

kindest() {
    to=$work/node
    mkdir -p "$to/usr/bin" "$to/usr/local/bin" "$to/opt/cni/bin" "$to/kind/images" "$to/etc/containerd" \
        "$to/etc/cni" "$to/etc/systemd/system/kubelet.service.d"
    components "$to/kind/images/all.tar"
    cp "$kube/kube" "$to/usr/bin/"
    mv "$work/kubeadm.bin" "$to/usr/bin/kubeadm"
    ln -s kube "$to/usr/bin/kubelet"
    ln -s kube "$to/usr/bin/kubectl"
    cp "$containerd"/* "$to/usr/local/bin/"
    cp "$cni"/* "$to/opt/cni/bin/"
    cp -r "$here/kindest/manifests" "$to/kind/"
    echo "v$RELEASE" >"$to/kind/version"
    cp "$here/cni-template" "$to/etc/cni/template"
    cp "$here/kindest/containerd.toml" "$to/etc/containerd/config.toml"
    cp "$here/kindest/containerd.service" "$here/kindest/kubelet.service" "$to/etc/systemd/system/"
    cp "$here/kindest/10-kubeadm.conf" "$to/etc/systemd/system/kubelet.service.d/"
    install -m 755 "$here/kindest/entrypoint" "$to/usr/local/bin/"
    cat >"$to/Dockerfile" <<EOF
FROM $root
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd systemd-sysv dbus bash \
 && rm -rf /var/lib/apt/lists/* && systemctl disable haproxy \
 && systemctl mask systemd-udevd.service getty@tty1.service console-getty.service systemd-logind.service
COPY usr /usr
COPY etc /etc
COPY opt /opt
COPY kind /kind
RUN systemctl enable containerd.service kubelet.service
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]
EOF
    build --network host --tag "$tag" "$to"
}

case $what in
kindest | k3s) "$what" ;;
*) die "'$what' is neither kindest nor k3s" ;;
esac
echo "$tag"
