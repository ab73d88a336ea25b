#!/bin/sh
# Builds the Kubernetes node image without any image registry.
#
#   AGENT=path/to/jeroboam-node [KUBE_VERSION=1.36.3] [KUBE_BINARIES=DIR]
#       [TAG=jeroboam/kubernetes:latest] [FORCE=1] [KUBE_ADDONS=LIST]
#       images/kubernetes/build.sh
#   BASE_ONLY=1 images/kubernetes/build.sh     all slow stages, without the agent
#
# The build has four stages; a stage without changes is skipped (FORCE builds
# root and base again):
#   binaries  compiled from Go modules, one small module per part, because the
#             parts need different versions of libraries. The first build takes seven
#             minutes on two idle cores; the results are kept in $JEROBOAM_CACHE by
#             version and by the hash of the sources. KUBE_BINARIES names a directory
#             with existing binaries; parts that it lacks are compiled.
#   root      mmdebstrap: Debian with network tools; 20 s, 120 MB.
#   base      root, binaries, containerd's store filled with the images that
#             every node preloads, and the objects that an API server creates at
#             its first start, as jeroboam/kubernetes-base:VERSION-HASH.
#   agent     a COPY on top; takes a second.
# KUBE_ADDONS lists the add-ons whose images are part of the node image: by default
# metrics-server and monitoring. Compiling traefik takes as long as compiling
# Kubernetes, so it is built only on request. An add-on that cannot be built is left
# out, and clusters report it as missing.
# Sets the tag jeroboam/kubernetes:vX.Y.Z, and also TAG, unless TAG exists and the
# requested release is older than the newest known one, so that two releases can exist
# at the same time.
# Prints the id of the image as the last line of stdout, everything else to stderr.
# Needs: docker (engine running), openssl, mmdebstrap with root permissions, and Go 1.21 or
# newer with a Go module proxy, a C compiler and libseccomp's static library for runc
# (or KUBE_BINARIES with all parts).
set -eu

BASE_ONLY=${BASE_ONLY:-}
AGENT=${AGENT:-}
[ -n "$AGENT" ] || [ -n "$BASE_ONLY" ] || {
    echo "AGENT must name the jeroboam-node binary (statically linked)" >&2
    exit 1
}
KUBE_VERSION=${KUBE_VERSION:-}
KUBE_BINARIES=${KUBE_BINARIES:-}
TAG=${TAG:-jeroboam/kubernetes:latest}
FORCE=${FORCE:-}
KUBE_ADDONS=${KUBE_ADDONS-metrics-server monitoring}
# busybox-static is needed for the echo image, and is also useful in a node's shell.
# haproxy is the load balancer of clusters with several masters.
PACKAGES=iptables,iproute2,tini,ca-certificates,procps,curl,conntrack,ethtool,socat,ebtables,ipset,mount,kmod,nftables,busybox-static,haproxy

# The versions in the go.mod files in the directory of this script.
CONTAINERD=2.4.2
RUNC=1.5.3
ETCD=3.7.3
COREDNS=1.14.7
CNI=1.9.1
METRICS_SERVER=0.9.0
TRAEFIK=3.6.12
LEGO=4.33.0
# The versions of our own images; a changed content needs a new number.
PAUSE=1
ECHO=1

KUBE_PARTS='kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl'
CNI_PARTS='bandwidth bridge firewall host-local loopback portmap ptp tuning'

here=$(cd "$(dirname "$0")" && pwd)
WHAT='kubernetes image'
# shellcheck disable=SC2034 # used by the file that is read next
WITHOUT_GO=' Or name a directory with ready binaries by --kube-binaries.'
# shellcheck source=../lib.sh
. "$here/../lib.sh"

# Whether directory $1 holds every executable of the list $2.
has_all() {
    for file in $2; do
        [ -f "$1/$file" ] && [ -x "$1/$file" ] || return 1
    done
}

[ -n "$BASE_ONLY" ] || [ -f "$AGENT" ] || die "AGENT: no file at $AGENT; build it with 'cargo build -p node'"
need_engine
find_arch

# --- which release --------------------------------------------------------
known=$(cd "$here/kube" && for dir in */; do echo "${dir%/}"; done | sort -V)
newest=$(printf '%s\n' "$known" | tail -n 1)
wanted=${KUBE_VERSION#v}
kube_files=kube
if [ -n "$KUBE_BINARIES" ]; then
    [ -d "$KUBE_BINARIES" ] || die "KUBE_BINARIES: $KUBE_BINARIES is no directory"
    KUBE_BINARIES=$(cd "$KUBE_BINARIES" && pwd)
    if has_all "$KUBE_BINARIES" kube; then
        reported=$("$KUBE_BINARIES/kube" kubelet --version)
    elif has_all "$KUBE_BINARIES" "$KUBE_PARTS"; then
        kube_files=$KUBE_PARTS
        reported=$("$KUBE_BINARIES/kubelet" --version)
    else
        die "KUBE_BINARIES: $KUBE_BINARIES lacks some of the executables $KUBE_PARTS"
    fi
    kube=${reported#Kubernetes v}
    [ "$kube" != "$reported" ] || die "KUBE_BINARIES: the kubelet's version is '$reported', not 'Kubernetes v…'"
    case $kube. in
    "$wanted". | "$wanted".*) ;;
    *) [ -z "$wanted" ] || die "KUBE_VERSION: $KUBE_VERSION is wanted, $KUBE_BINARIES holds v$kube" ;;
    esac
else
    kube=
    wanted=${wanted:-$newest}
    # 1.35 means the 1.35.x with a recipe.
    for candidate in $known; do
        case $candidate. in "$wanted".*) kube=$candidate ;; esac
    done
    # shellcheck disable=SC2086 # the list on one line
    [ -n "$kube" ] || die "KUBE_VERSION: no recipe for $wanted; known are" $known "(KUBE_BINARIES takes any)"
fi

begin kubernetes
mkdir -p "$CACHE/kubernetes"

# --- binaries -------------------------------------------------------------
compile_kube() {
    flags=$(version_flags "$1" "$kube") || return 1
    go_build "$1" -ldflags "$flags" -o "$2/kube" .
}
compile_containerd() {
    module=github.com/containerd/containerd/v2
    go_build "$1" -ldflags "-s -w -X $module/version.Version=v$CONTAINERD" -o "$2/" \
        "$module/cmd/containerd" "$module/cmd/containerd-shim-runc-v2" "$module/cmd/ctr"
}
# Debian 12's runc is too old for pods with `hostUsers: false`. runc starts processes with
# C code, and applies seccomp profiles with libseccomp. It is linked statically, so the
# C library of this machine does not matter.
compile_runc() {
    command -v gcc >/dev/null && [ -f /usr/include/seccomp.h ] ||
        die "compiling runc needs a C compiler and libseccomp: apt-get install gcc libc6-dev libseccomp-dev"
    CGO=1 go_build "$1" -tags 'seccomp netgo osusergo' \
        -ldflags "-s -w -extldflags -static -X main.version=$RUNC" \
        -o "$2/runc" github.com/opencontainers/runc
}
compile_etcd() {
    go_build "$1" -ldflags '-s -w' -o "$2/etcd" go.etcd.io/etcd/server/v3
}
compile_coredns() {
    go_build "$1" -ldflags "-s -w -X github.com/coredns/coredns/coremain.gitTag=v$COREDNS" \
        -o "$2/coredns" .
}
compile_cni() {
    module=github.com/containernetworking/plugins
    go_build "$1" -ldflags "-s -w -X $module/pkg/utils/buildversion.BuildVersion=v$CNI" -o "$2/" \
        "$module/plugins/main/bridge" "$module/plugins/main/loopback" "$module/plugins/main/ptp" \
        "$module/plugins/ipam/host-local" "$module/plugins/meta/bandwidth" \
        "$module/plugins/meta/firewall" "$module/plugins/meta/portmap" "$module/plugins/meta/tuning"
}
compile_pause() {
    go_build "$1" -ldflags '-s -w' -o "$2/pause" .
}
# Uses the libraries of Kubernetes 1.36, most of which are compiled already.
compile_metrics_server() {
    go_build "$1" -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$METRICS_SERVER" \
        -o "$2/metrics-server" sigs.k8s.io/metrics-server/cmd/metrics-server
}
compile_traefik() {
    # go.mod refers to this directory for the ACME client; most of it is left out.
    lego=$(cd "$work" && "$GO" mod download -json "github.com/go-acme/lego/v4@v$LEGO") ||
        return 1
    lego=$(printf '%s\n' "$lego" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
    cp -r "$lego" "$1/lego" && chmod -R u+w "$1/lego" || return 1
    rm -rf "$1/lego/providers/dns"
    mkdir "$1/lego/providers/dns"
    mv "$1/dns.go" "$1/lego/providers/dns/" || return 1
    go_build "$1" -ldflags "-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=$TRAEFIK" \
        -o "$2/traefik" github.com/traefik/traefik/v3/cmd/traefik
}
# Debian's programs, with the C library to which they are linked and their web
# pages; with all packages on which they depend they would have 400 MB.
compile_monitoring() {
    command -v mmdebstrap >/dev/null || { say "mmdebstrap is missing: apt-get install mmdebstrap"; return 1; }
    mmdebstrap --quiet --variant=extract --include=prometheus,prometheus-node-exporter \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        "$SUITE" "$1/all.tar" >&2 || return 1
    mkdir "$1/tree"
    tar -xf "$1/all.tar" -C "$1/tree" --wildcards --exclude='*/moment-timezone/data/*' \
        ./usr/bin/prometheus ./usr/bin/prometheus-node-exporter './usr/share/prometheus*' \
        './usr/share/javascript*' './usr/share/fonts-glyphicons*' './lib/*/ld-linux*' \
        './lib/*/libc.so.6' './lib/*/libresolv.so.2' './lib/*/libnss_dns.so.2' || return 1
    loader=$(echo "$1"/tree/lib/*/ld-linux*)
    for program in prometheus prometheus-node-exporter; do
        "$loader" --library-path "${loader%/*}" "$1/tree/usr/bin/$program" --version 2>&1 |
            sed -n "s/^[a-z_]*, version \\([0-9.]*\\).*/\\1/p" >"$2/$program.version"
        [ -s "$2/$program.version" ] || return 1
        mv "$1/tree/usr/bin/$program" "$2/$program"
    done
    case $arch in
    amd64) interpreter=lib64/ld-linux-x86-64.so.2 ;;
    *) interpreter=lib/ld-linux-aarch64.so.1 ;;
    esac
    mkdir -p "$1/libc/${interpreter%/*}" && cp -r "$1/tree/lib" "$1/libc/" &&
        ln -sf "/${loader#"$1"/tree/}" "$1/libc/$interpreter" &&
        tar -C "$1/libc" -cf "$2/libc.tar" . && tar -C "$1/tree" -cf "$2/web.tar" ./usr/share
    status=$?
    rm -rf "$1/all.tar" "$1/tree" "$1/libc"
    return $status
}

# provide PART VERSION FILES SOURCES...: finds or builds the part's FILES; sets
# $dir to their directory and $key to a name that identifies their content.
provide() {
    part=$1 version=$2 files=$3
    shift 3
    for dir in ${KUBE_BINARIES:+"$KUBE_BINARIES" "$KUBE_BINARIES/$part"}; do
        if has_all "$dir" "$files"; then
            # shellcheck disable=SC2086 # a list of names
            key=$part-$(cd "$dir" && sha256sum $files | hash12)
            return 0
        fi
    done
    key=$part-$version-$arch-$(cat "$@" | hash12)
    dir=$CACHE/kubernetes/$key
    has_all "$dir" "$files" && return 0
    [ "$part" = monitoring ] || find_go
    say "compiling $part $version (once)"
    mkdir "$work/src-$part"
    cp "$@" "$work/src-$part/"
    rm -rf "$dir" "$dir.part"
    mkdir "$dir.part"
    compile=compile_$(printf '%s' "$part" | tr - _)
    "$compile" "$work/src-$part" "$dir.part" || return 1
    mv "$dir.part" "$dir"
}
# The same for optional parts: $dir is empty if the build fails.
try_to_provide() {
    if (provide "$@" && printf '%s\n%s\n' "$dir" "$key" >"$work/provided"); then
        { read -r dir && read -r key; } <"$work/provided"
    else
        say "the add-on $1 is left out"
        dir='' key=without-$1
    fi
}
asked_for() { case " $KUBE_ADDONS " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# The quick ones first, so that problems with Go or the proxy appear within seconds.
provide pause "$PAUSE" pause "$here/pause/go.mod" "$here/pause/main.go"
pause_dir=$dir pause_key=$key
provide cni "$CNI" "$CNI_PARTS" "$here/cni/go.mod" "$here/cni/go.sum"
cni_dir=$dir cni_key=$key
provide etcd "$ETCD" etcd "$here/etcd/go.mod" "$here/etcd/go.sum"
etcd_dir=$dir etcd_key=$key
provide containerd "$CONTAINERD" 'containerd containerd-shim-runc-v2 ctr' \
    "$here/containerd/go.mod" "$here/containerd/go.sum"
containerd_dir=$dir containerd_key=$key
provide runc "$RUNC" runc "$here/runc/go.mod" "$here/runc/go.sum"
runc_dir=$dir runc_key=$key
provide coredns "$COREDNS" coredns \
    "$here/coredns/go.mod" "$here/coredns/go.sum" "$here/coredns/main.go"
coredns_dir=$dir coredns_key=$key
provide kube "$kube" "$kube_files" \
    "$here/kube/$kube/go.mod" "$here/kube/$kube/go.sum" "$here/kube/main.go"
kube_dir=$dir kube_key=$key

metrics_dir='' monitoring_dir='' traefik_dir='' addon_keys=
if asked_for metrics-server; then
    try_to_provide metrics-server "$METRICS_SERVER" metrics-server \
        "$here/metrics-server/go.mod" "$here/metrics-server/go.sum"
    metrics_dir=$dir addon_keys="$addon_keys $key"
fi
if asked_for monitoring; then
    printf '%s' "v1 $SUITE" >"$work/recipe"
    try_to_provide monitoring "$SUITE" 'prometheus prometheus-node-exporter' "$work/recipe"
    monitoring_dir=$dir addon_keys="$addon_keys $key"
fi
if asked_for traefik; then
    try_to_provide traefik "$TRAEFIK" traefik \
        "$here/traefik/go.mod" "$here/traefik/go.sum" "$here/traefik/dns.go"
    traefik_dir=$dir addon_keys="$addon_keys $key"
fi

# --- root -----------------------------------------------------------------
root_hash=$(printf '%s' "v1 $SUITE $PACKAGES" | hash12)
root=jeroboam/kubernetes-root:$root_hash
roottar=$CACHE/kubernetes-root-$root_hash.tar
if [ -n "$FORCE" ] || [ ! -f "$roottar" ]; then
    say "collecting Debian packages (20 s)"
    debian "$roottar" "$PACKAGES"
    docker image rm "$root" >/dev/null 2>&1 || true
fi
if ! have_image "$root"; then
    say "importing the root"
    docker import "$roottar" "$root" >/dev/null
fi

# --- base -----------------------------------------------------------------
# archive NAME ROOT CONFIG FILE: the tree at ROOT as an image of one layer in
# `docker save` form, without an engine and with the same bytes every time.
archive() {
    box=$(mktemp -d "$work/archive.XXXXXX")
    tar -C "$2" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -cf "$box/layer.tar" .
    layer=$(sha256sum <"$box/layer.tar" | cut -c1-64)
    # containerd keeps an archive's layers in addition to the unpacked files.
    gzip -n -1 "$box/layer.tar"
    mv "$box/layer.tar.gz" "$box/layer.tar"
    born=1970-01-01T00:00:00Z
    printf '{"architecture":"%s","os":"linux","created":"%s","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","created_by":"jeroboam"}]}' \
        "$arch" "$born" "$3" "$layer" "$born" >"$box/config"
    config=$(sha256sum <"$box/config" | cut -c1-64).json
    mv "$box/config" "$box/$config"
    printf '[{"Config":"%s","RepoTags":["docker.io/%s"],"Layers":["layer.tar"]}]' \
        "$config" "$1" >"$box/manifest.json"
    tar -C "$box" --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$4" \
        manifest.json "$config" layer.tar
    rm -rf "$box"
}

# fill_store FILE: a tar of containerd's root in which the archives of $images
# are unpacked. Layers of one kind only: a whiteout of a second one would not
# survive being copied into an image.
fill_store() {
    box=$(docker create --network none --tmpfs /run:exec --volume /store \
        --cap-add ALL --cap-drop SYS_RESOURCE --cgroupns private \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
        --label io.jeroboam.image=kubernetes "$root" sh -euc '
            containerd --root /store --log-level warn >&2 &
            tries=0
            until ctr version >/dev/null 2>&1; do
                tries=$((tries + 1)); [ $tries -lt 300 ]; sleep 0.1
            done
            for archive in /images/*.tar; do
                ctr -n k8s.io images import "$archive" >&2
            done
            kill $!
            wait $! || true
            cd /store
            tar -c io.containerd.content.v1.content/blobs \
                io.containerd.metadata.v1.bolt io.containerd.snapshotter.v1.overlayfs')
    chmod 755 "$images"
    docker cp "$images" "$box:/images"
    for file in containerd ctr; do
        docker cp "$containerd_dir/$file" "$box:/usr/local/bin/$file"
    done
    filled=yes
    docker start --attach "$box" >"$1" 2>"$work/store.log" || filled=no
    docker rm --force --volumes "$box" >/dev/null
    [ "$filled" = yes ] || { cat "$work/store.log" >&2; die "containerd could not unpack the images"; }
}

# fill_defaults FILE: the answers of etcd with the objects that the API server of
# this release creates at its first start, one answer per line. No object contains
# data of a cluster.
fill_defaults() {
    command -v openssl >/dev/null || { say "openssl is missing: apt-get install openssl"; return 1; }
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/sa.key" &&
        openssl ec -in "$work/sa.key" -pubout -out "$work/sa.pub" 2>/dev/null || return 1
    box=$(docker create --network none --label io.jeroboam.image=kubernetes "$root" sh -euc '
        mkdir /w && cd /w
        echo build,build,build,system:masters >tokens
        etcd --log-level error --data-dir etcd >&2 &
        kube-apiserver --etcd-servers http://127.0.0.1:2379 --cert-dir pki --token-auth-file tokens \
            --advertise-address 192.0.2.1 --service-cluster-ip-range 10.254.0.0/16 \
            --authorization-mode Node,RBAC --service-account-issuer https://kubernetes.default.svc \
            --service-account-key-file /sa.pub --service-account-signing-key-file /sa.key 2>api.log &
        tries=0
        until [ "$(curl -sk -H "Authorization: Bearer build" https://127.0.0.1:6443/readyz)" = ok ]; do
            tries=$((tries + 1))
            [ $tries -lt 600 ] || { tail -n 20 api.log >&2; exit 1; }
            sleep 0.1
        done
        for kind in clusterroles clusterrolebindings roles rolebindings flowschemas \
            prioritylevelconfigurations priorityclasses apiregistration.k8s.io/apiservices; do
            # "0" comes after "/".
            from=$(printf /registry/%s/ $kind | base64 -w0) to=$(printf /registry/%s0 $kind | base64 -w0)
            curl -sf http://127.0.0.1:2379/v3/kv/range -d "{\"key\":\"$from\",\"range_end\":\"$to\"}"
            echo
        done')
    for file in "$etcd_dir/etcd" $(for f in $kube_files; do echo "$kube_dir/$f"; done); do
        docker cp "$file" "$box:/usr/local/bin/${file##*/}"
    done
    ln -s kube "$work/kube-apiserver"
    [ "$kube_files" != kube ] || docker cp "$work/kube-apiserver" "$box:/usr/local/bin/kube-apiserver"
    docker cp "$work/sa.key" "$box:/sa.key"
    docker cp "$work/sa.pub" "$box:/sa.pub"
    made=yes
    docker start --attach "$box" >"$1" 2>"$work/defaults.log" || made=no
    docker rm --force --volumes "$box" >/dev/null
    [ "$made" = yes ] && return 0
    cat "$work/defaults.log" >&2
    return 1
}

base_hash=$({
    cat "$0" "$here/../lib.sh"
    printf '%s\n' "$root_hash" "$kube_key" "$containerd_key" "$etcd_key" "$coredns_key" \
        "$cni_key" "$pause_key" "$runc_key" "$addon_keys"
} | hash12)
base=jeroboam/kubernetes-base:v$kube-$base_hash
if [ -n "$FORCE" ] || ! have_image "$base"; then
    say "putting Kubernetes $kube together"
    # Two trees, two layers: the layer of the other components is the same for all releases.
    partners=$work/base/partners release=$work/base/release
    images=$work/images
    mkdir -p "$partners/usr/local/bin" "$partners/opt/cni/bin" "$partners/etc/cni/net.d" "$images" \
        "$release/usr/local/bin" "$release/etc/jeroboam"
    for file in $CNI_PARTS; do
        cp "$cni_dir/$file" "$partners/opt/cni/bin/"
    done
    cp "$etcd_dir/etcd" "$containerd_dir/containerd" "$containerd_dir/containerd-shim-runc-v2" \
        "$containerd_dir/ctr" "$runc_dir/runc" "$partners/usr/local/bin/"

    mkdir "$work/pause" "$work/coredns"
    cp "$pause_dir/pause" "$work/pause/"
    archive "jeroboam/pause:$PAUSE" "$work/pause" \
        '{"User":"65535:65535","Entrypoint":["/pause"],"Labels":{"io.jeroboam.image":"pause"}}' \
        "$images/pause.tar"

    cp "$coredns_dir/coredns" "$work/coredns/"
    archive "jeroboam/coredns:$COREDNS" "$work/coredns" \
        '{"Entrypoint":["/coredns"],"Labels":{"io.jeroboam.image":"coredns"}}' \
        "$images/coredns.tar"

    echo_tree "$roottar" "$work/echo"
    archive "jeroboam/echo:$ECHO" "$work/echo" \
        '{"Env":["PATH=/bin"],"Cmd":'"$ECHO_COMMAND"',"Labels":{"io.jeroboam.image":"echo"}}' \
        "$images/echo.tar"

    # addon NAME VERSION CONFIG: adds the tree at $work/NAME, for clusters whose
    # labels request it.
    addons=
    addon() {
        label="{\"io.jeroboam.image\":\"$1\"}"
        archive "jeroboam/$1:$2" "$work/$1" "{$3,\"Labels\":$label}" "$images/$1.tar"
        addons="$addons${addons:+,}\"$1\":\"jeroboam/$1:$2\""
        rm -rf "${work:?}/$1"
    }
    if [ -n "$metrics_dir" ]; then
        mkdir "$work/metrics-server"
        cp "$metrics_dir/metrics-server" "$work/metrics-server/"
        addon metrics-server "$METRICS_SERVER" '"User":"65534:65534","Entrypoint":["/metrics-server"]'
    fi
    if [ -n "$monitoring_dir" ]; then
        for program in prometheus node-exporter; do
            mkdir -p "$work/$program/bin" "$work/$program/data" "$work/$program/tmp"
            tar -C "$work/$program" -xf "$monitoring_dir/libc.tar"
        done
        tar -C "$work/prometheus" -xf "$monitoring_dir/web.tar"
        cp "$monitoring_dir/prometheus" "$work/prometheus/bin/"
        cp "$monitoring_dir/prometheus-node-exporter" "$work/node-exporter/bin/node-exporter"
        addon prometheus "$(cat "$monitoring_dir/prometheus.version")" \
            '"User":"65534:65534","Entrypoint":["/bin/prometheus"]'
        addon node-exporter "$(cat "$monitoring_dir/prometheus-node-exporter.version")" \
            '"User":"65534:65534","Entrypoint":["/bin/node-exporter"]'
    fi
    if [ -n "$traefik_dir" ]; then
        mkdir -p "$work/traefik/tmp"
        cp "$traefik_dir/traefik" "$work/traefik/"
        addon traefik "$TRAEFIK" '"User":"65534:65534","Entrypoint":["/traefik"]'
    fi

    for file in $kube_files; do
        cp "$kube_dir/$file" "$release/usr/local/bin/"
    done
    if [ "$kube_files" = kube ]; then
        for file in $KUBE_PARTS; do
            ln -s kube "$release/usr/local/bin/$file"
        done
    fi
    printf '{"version":"v%s","images":{"pause":"jeroboam/pause:%s","coredns":"jeroboam/coredns:%s","echo":"jeroboam/echo:%s"},"addons":{%s}}\n' \
        "$kube" "$PAUSE" "$COREDNS" "$ECHO" "$addons" >"$release/etc/jeroboam/kubernetes.json"
    mkdir -p "$release/usr/share/jeroboam/etcd"
    fill_defaults "$release/usr/share/jeroboam/etcd/defaults.json" || {
        say "API servers will create their first objects themselves, which takes longer"
        rm -f "$release/usr/share/jeroboam/etcd/defaults.json"
    }
    # Independent of the umask: not writable for the group, and readable for all.
    chmod -R u=rwX,go=rX "$work/base"
    fill_store "$work/base/store.tar"
    printf '%s' "$base_hash" >"$work/base/id"

    cat >"$work/base/Dockerfile" <<DOCKERFILE
FROM $root
COPY partners/ /
COPY release/ /
# ADD keeps the owners of the files in the layers.
ADD store.tar /usr/share/jeroboam/containerd/
COPY id /usr/share/jeroboam/containerd/id
# On the container's overlay containerd could not mount overlays, and etcd would write
# through the overlay.
VOLUME ["/var/lib/containerd","/var/lib/kubelet","/var/lib/etcd"]
STOPSIGNAL SIGTERM
LABEL io.jeroboam.image=kubernetes io.jeroboam.kubernetes.version=v$kube
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["tini","--","jeroboam-node","init"]
DOCKERFILE
    docker build --network none --quiet --tag "$base" "$work/base" >/dev/null
    rm -rf "$work/base"
    # Images of earlier builds only lose their names; images based on them stay.
    for old in $(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=jeroboam/kubernetes-base:v$kube-*"); do
        [ "$old" = "$base" ] || docker image rm "$old" >/dev/null 2>&1 || true
    done
fi

[ -z "$BASE_ONLY" ] || exit 0

# --- agent ----------------------------------------------------------------
say "adding the agent"
mkdir "$work/context"
cp "$AGENT" "$work/context/jeroboam-node"
chmod 755 "$work/context/jeroboam-node"
cat >"$work/context/Dockerfile" <<DOCKERFILE
FROM $base
COPY jeroboam-node /usr/local/bin/jeroboam-node
DOCKERFILE
name=jeroboam/kubernetes:v$kube
docker build --network none --quiet --tag "$name" "$work/context" >"$work/id"
say "$name is ready"
case $kube in
"$newest") tag_it=yes ;;
*) tag_it=no ;;
esac
# Binaries of a release without a recipe count as the newest release.
[ -d "$here/kube/$kube" ] || tag_it=yes
have_image "$TAG" || tag_it=yes
if [ "$tag_it" = yes ]; then
    docker tag "$name" "$TAG"
    say "$TAG is the same"
fi
cat "$work/id"
