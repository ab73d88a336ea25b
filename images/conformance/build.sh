#!/bin/sh
# Builds everything that the Kubernetes project's conformance tests need, without an
# image registry: the tests themselves, the program that runs them, and the images of
# their pods.
#
#   [KUBE_VERSION=1.36.3] [FORCE=1] images/conformance/build.sh
#
# The build has three stages; a stage without changes is skipped:
#   programs  compiled from Go modules; the first build of the tests takes some
#             minutes on two idle cores. Kept in $JEROBOAM_CACHE/conformance by
#             version and by the hash of the sources.
#   root      mmdebstrap: Debian with the network tools that tests call.
#   images    one archive, in the format of `docker save`, with every image
#             under the name that the tests of this release use for it. The images
#             share their layers; no engine is needed to create them.
# Etcd, CoreDNS and the pause program are those of the node image
# (images/kubernetes), found in the cache or built there first.
#
# Prints a directory as the last line of stdout: e2e.test, ginkgo, images.tar
# and images.txt (a name per line). Everything else goes to stderr.
# Needs the same programs as images/kubernetes/build.sh.
set -eu

FORCE=${FORCE:-}
KUBE_VERSION=${KUBE_VERSION:-}
# busybox-static with the shell and the wget of the busybox image; dig, curl, nc,
# ss, iperf and ipcs, which tests call in agnhost; the other packages are for images.
PACKAGES=busybox-static,bash,wget,ca-certificates,bind9-dnsutils,curl,netcat-openbsd,iproute2,iperf,util-linux,nginx-light,stress

here=$(cd "$(dirname "$0")" && pwd)
WHAT=conformance
# shellcheck source=../lib.sh
. "$here/../lib.sh"
find_arch

known=$(cd "$here" && for dir in */; do echo "${dir%/}"; done | sort -V)
version=${KUBE_VERSION#v}
version=${version:-$(printf '%s\n' "$known" | tail -n 1)}
source=$here/$version
# shellcheck disable=SC2086 # the list on one line
[ -f "$source/go.mod" ] || die "KUBE_VERSION: no recipe for $version; known are" $known

begin conformance
mkdir -p "$CACHE/conformance"

# --- programs ---------------------------------------------------------------
kube=k8s.io/kubernetes
programs=$CACHE/conformance/programs-$version-$arch-$(cat "$source"/* | hash12)
if [ ! -d "$programs" ]; then
    find_go
    say "compiling the tests of Kubernetes $version (once)"
    rm -rf "$programs.part"
    mkdir -p "$programs.part/data"
    out=$programs.part
    # Some tests compare the client's version with the server's.
    flags=$(version_flags "$source" "$version") || cannot_compile
    go_build "$source" -ldflags '-s -w' -o "$out/ginkgo" github.com/onsi/ginkgo/v2/ginkgo
    agnhost=$(in_module "$source" list -m -f '{{.Dir}}' $kube)/test/images
    for image in agnhost nonewprivs resource-consumer; do
        go_build "$source" -ldflags "-s -w -X main.Version=$(head -n 1 "$agnhost/$image/VERSION")" \
            -o "$out/$image" "$kube/test/images/$image"
    done
    go_build "$source" -ldflags '-s -w' -o "$out/consume-cpu" $kube/test/images/resource-consumer/consume-cpu
    go_build "$source" -ldflags '-s -w' -o "$out/sample-apiserver" k8s.io/sample-apiserver
    in_module "$source" test -c -vet=off -ldflags "$flags" -o "$out/e2e.test" $kube/test/e2e >&2 || cannot_compile
    # Other files in the images of these programs, and the names of the images.
    cp "$agnhost/agnhost/porter/localhost.crt" "$agnhost/agnhost/porter/localhost.key" "$out/data/"
    for image in kitten nautilus; do
        cp -r "$agnhost/$image/html" "$out/data/$image"
    done
    chmod -R u+w "$out/data"
    mv "$out" "$programs"
fi

# --- root -------------------------------------------------------------------
root=$CACHE/conformance/root-$(printf '%s' "v2 $SUITE $PACKAGES" | hash12).tar
if [ -n "$FORCE" ] || [ ! -f "$root" ]; then
    say "collecting Debian packages (30 s)"
    # Perl's modules and conversions between character sets are not needed, but would
    # be copied to every node.
    # shellcheck disable=SC2016 # for a shell of mmdebstrap
    debian "$root" "$PACKAGES" \
        'rm -rf $1/usr/share/perl $1/usr/lib/*/perl $1/usr/lib/*/libperl.so* $1/usr/lib/*/gconv; mkdir -p $1/var/log/nginx'
fi

# --- images -----------------------------------------------------------------
# The newest version of each part of the node image.
part() {
    found=$(printf '%s\n' "$CACHE/kubernetes/$1"-*/"$1" | sort -V | tail -n 1)
    [ -f "$found" ] && printf '%s\n' "$found"
}
for name in etcd coredns pause; do
    part $name >/dev/null || { BASE_ONLY=1 "$here/../kubernetes/build.sh" >&2; break; }
done
etcd=$(part etcd) coredns=$(part coredns) pause=$(part pause)

images=$CACHE/conformance/images-$version-$({
    cat "$0"
    printf '%s\n' "$programs" "$root" "$etcd" "$coredns" "$pause"
} | hash12)
if [ -n "$FORCE" ] || [ ! -f "$images/images.tar" ]; then
    say "putting the images together"
    box=$work/box
    mkdir -p "$box" "$work/debian"
    tar -C "$work/debian" -xf "$root"

    # layer NAME: packs the tree at $work/NAME as a layer, with the same bytes every
    # time, and writes the name of its file to $work/NAME.layer.
    layer() {
        tar -C "$work/$1" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -cf "$work/layer.tar" .
        keep "$1"
    }
    keep() {
        sum=$(sha256sum <"$work/layer.tar" | cut -c1-64)
        mv "$work/layer.tar" "$box/$sum.tar"
        printf '%s\n' "$sum" >"$work/$1.layer"
    }
    : >"$work/manifest"
    : >"$work/images.txt"
    # image NAME CONFIG LAYER...: an image under its full name.
    image() {
        name=$1 config=$2
        shift 2
        diffs='' files=''
        for one; do
            sum=$(cat "$work/$one.layer")
            diffs="$diffs,\"sha256:$sum\"" files="$files,\"$sum.tar\""
        done
        born=1970-01-01T00:00:00Z
        printf '{"architecture":"%s","os":"linux","created":"%s","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
            "$arch" "$born" "$config" "${diffs#,}" >"$work/config"
        sum=$(sha256sum <"$work/config" | cut -c1-64)
        mv "$work/config" "$box/$sum.json"
        printf ',{"Config":"%s.json","RepoTags":["%s"],"Layers":[%s]}' "$sum" "$name" "${files#,}" >>"$work/manifest"
        printf '%s\n' "$name" >>"$work/images.txt"
    }
    path='"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]'

    # Unmodified Debian: its owners and modes matter.
    cp "$root" "$work/layer.tar"
    keep debian

    # Busybox, but with GNU's wget (Debian's static busybox ends with a
    # segmentation fault in `wget -T`), and with bash for programs that look for
    # `sh` on the PATH: tests need variables whose names contain a hyphen, which
    # Debian's ash and dash drop. /bin/sh stays, because tests compare its messages.
    bb=$work/busybox
    mkdir -p "$bb/bin" "$bb/usr/local/bin" "$bb/etc" "$bb/root" "$bb/home" "$bb/var/www" "$bb/tmp" "$bb/lib"
    chmod 1777 "$bb/tmp"
    ln -s bin "$bb/sbin"
    ln -s ../bin "$bb/usr/bin"
    ln -s ../bin "$bb/usr/sbin"
    ln -s lib "$bb/lib64"
    cp "$work/debian/bin/busybox" "$bb/bin/busybox"
    for applet in $("$bb/bin/busybox" --list); do
        case $applet in
        busybox | bash | wget) ;;
        *) ln -s busybox "$bb/bin/$applet" ;;
        esac
    done
    for program in bash wget; do
        cp "$work/debian/usr/bin/$program" "$bb/bin/$program"
        # One line, that of the loader itself, has no arrow.
        for library in $(chroot "$work/debian" ldd "/usr/bin/$program" | grep -o '/lib[^ ]*'); do
            mkdir -p "$bb$(dirname "$library")"
            cp -L "$work/debian$library" "$bb$library"
        done
    done
    ln -s /bin/bash "$bb/usr/local/bin/sh"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$bb/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$bb/etc/group"
    printf 'hosts: files dns\n' >"$bb/etc/nsswitch.conf"
    layer busybox

    agn=$work/agnhost
    mkdir -p "$agn/uploads" "$agn/etc" "$agn/usr/local/bin"
    cp "$programs/agnhost" "$agn/agnhost"
    ln -s agnhost "$agn/agnhost-2"
    ln -s /usr/bin/iperf "$agn/usr/local/bin/iperf"
    cp "$programs/data/localhost.crt" "$programs/data/localhost.key" "$agn/"
    # A user with a group that is defined in the image and in no pod.
    { cat "$work/debian/etc/passwd"; echo 'user-defined-in-image:x:1000:1000::/home:/bin/sh'; } >"$agn/etc/passwd"
    {
        cat "$work/debian/etc/group"
        echo 'user-defined-in-image:x:1000:'
        echo 'group-defined-in-image:x:50000:user-defined-in-image'
    } >"$agn/etc/group"
    layer agnhost

    for name in kitten nautilus; do
        mkdir "$work/$name"
        cp "$programs/data/$name"/* "$work/$name/"
        # A test reads a volume made from this image and looks there for the name of
        # the distribution on which the original image is based.
        if [ "$name" = kitten ]; then
            mkdir "$work/$name/etc"
            printf 'NAME="Debian, in place of Alpine Linux"\nID=debian\n' >"$work/$name/etc/os-release"
        fi
        layer "$name"
    done

    web=$work/nginx
    mkdir -p "$web/etc/nginx" "$web/usr/share/nginx/html"
    cat >"$web/etc/nginx/nginx.conf" <<NGINX
user www-data;
worker_processes 1;
error_log /dev/stderr notice;
events { worker_connections 1024; }
http {
    include mime.types;
    access_log /dev/stdout;
    server {
        listen 80;
        root /usr/share/nginx/html;
    }
}
NGINX
    printf '<title>Welcome to nginx!</title>\n<h1>Welcome to nginx!</h1>\n' >"$web/usr/share/nginx/html/index.html"
    layer nginx

    mkdir -p "$work/nonewprivs/usr/local/bin"
    cp "$programs/nonewprivs" "$work/nonewprivs/usr/local/bin/nnp"
    chmod 6755 "$work/nonewprivs/usr/local/bin/nnp"
    layer nonewprivs

    mkdir "$work/consumer" "$work/dns" "$work/sample" "$work/pause" "$work/etcd"
    cp "$programs/resource-consumer" "$work/consumer/consumer"
    cp "$programs/consume-cpu" "$work/consumer/consume-cpu"
    layer consumer
    cp "$coredns" "$work/dns/coredns"
    layer dns
    cp "$programs/sample-apiserver" "$work/sample/sample-apiserver"
    mkdir -p "$work/sample/tmp"
    chmod 1777 "$work/sample/tmp"
    layer sample
    cp "$pause" "$work/pause/pause"
    layer pause
    mkdir -p "$work/etcd/usr/local/bin" "$work/etcd/tmp"
    cp "$etcd" "$work/etcd/usr/local/bin/etcd"
    layer etcd

    # Names and tags: test/utils/image/manifest.go of the release.
    e2e=registry.k8s.io/e2e-test-images
    for tag in 2.63.0 2.55; do
        image $e2e/agnhost:$tag "{$path,\"Entrypoint\":[\"/agnhost\"],\"Cmd\":[\"pause\"]}" debian dns agnhost
    done
    image $e2e/kitten:1.8 "{$path,\"Entrypoint\":[\"/agnhost\"],\"Cmd\":[\"test-webserver\"]}" debian dns agnhost kitten
    image $e2e/nautilus:1.8 "{$path,\"Entrypoint\":[\"/agnhost\"],\"Cmd\":[\"test-webserver\"]}" debian dns agnhost nautilus
    image $e2e/busybox:1.37.0-1 "{$path,\"Cmd\":[\"sh\"]}" busybox
    image $e2e/nonroot:1.5 "{$path,\"User\":\"1234\",\"Cmd\":[\"sh\"]}" busybox
    for tag in 1.15-4 1.27-0; do
        image $e2e/nginx:$tag "{$path,\"Cmd\":[\"nginx\",\"-g\",\"daemon off;\"]}" debian nginx
    done
    image $e2e/nonewprivs:1.4 "{$path,\"Cmd\":[\"nnp\"]}" debian nonewprivs
    image $e2e/resource-consumer:1.14 "{$path,\"Entrypoint\":[\"/consumer\"]}" debian consumer
    image $e2e/glibc-dns-testing:2.0.0 "{$path,\"Cmd\":[\"bash\"]}" debian dns
    image $e2e/ipc-utils:1.4 "{$path,\"Cmd\":[\"bash\"]}" debian
    image $e2e/perl:5.26 "{$path,\"Cmd\":[\"perl\",\"-v\"]}" debian
    image $e2e/sample-apiserver:1.29.2 '{"Entrypoint":["/sample-apiserver"]}' sample
    image registry.k8s.io/etcd:3.6.8-0 "{$path,\"Cmd\":[\"etcd\"]}" etcd
    image registry.k8s.io/pause:3.10.2 '{"User":"65535:65535","Entrypoint":["/pause"]}' pause

    { printf '['; cut -c2- "$work/manifest"; printf ']'; } | tr -d '\n' >"$box/manifest.json"
    rm -rf "$images" "$images.part"
    mkdir "$images.part"
    tar -C "$box" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -cf "$images.part/images.tar" .
    cp "$work/images.txt" "$images.part/"
    for program in e2e.test ginkgo; do
        ln -s "$programs/$program" "$images.part/$program"
    done
    mv "$images.part" "$images"
    # Archives of earlier builds are no longer used.
    for old in "$CACHE/conformance/images-$version"-*; do
        [ "$old" = "$images" ] || rm -rf "$old"
    done
fi
printf '%s\n' "$images"
