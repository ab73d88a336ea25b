# shellcheck shell=sh
# Functions that the build.sh scripts share. A build.sh sets $here, its directory,
# and $WHAT, the prefix of its messages, and then reads this file.

CACHE=${JEROBOAM_CACHE:-${HOME:?}/.cache/jeroboam}
SUITE=${SUITE:-bookworm}
# The command of the image jeroboam/echo. Exec form: httpd takes over PID 1; sh
# only writes the page first.
# shellcheck disable=SC2034 # used by the scripts that read this file
ECHO_COMMAND='["sh","-c","hostname > /www/index.html; exec httpd -f -p 80 -h /www"]'

say() { printf '%s\n' "$WHAT: $*" >&2; }
die() { say "$*"; exit 1; }
hash12() { sha256sum | cut -c1-12; }
have_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Ends unless the Docker engine runs.
need_engine() {
    command -v docker >/dev/null || die "docker is missing: apt-get install docker.io"
    docker version >/dev/null 2>&1 || die "the Docker engine does not answer: start dockerd"
    # Use the classic builder: Debian's docker.io does not contain BuildKit's plug-in.
    DOCKER_BUILDKIT=0
    export DOCKER_BUILDKIT
}

# Sets $arch, as Go and image registries call it.
# shellcheck disable=SC2034 # used by the scripts that read this file
find_arch() {
    case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) die "no recipe for the architecture $(uname -m)" ;;
    esac
}

# begin NAME: sets $work, a directory for this run, and locks the cache until
# the script ends.
begin() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$CACHE"
    exec 9>"$CACHE/$1.lock"
    if command -v flock >/dev/null; then
        flock 9
    fi
}

# debian FILE PACKAGES [MORE]: writes a tar of Debian with these packages. MORE is
# executed at the end, by a shell whose $1 is the tree.
debian() {
    command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
    # shellcheck disable=SC2016 # $1 is mmdebstrap's, for the hook's shell
    mmdebstrap --quiet --variant=minbase --include="$2" \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' \
        --customize-hook='rm -rf $1/var/cache/apt $1/var/lib/apt/lists/* $1/var/cache/debconf/*-old $1/var/log/* && '"${3:-true}" \
        "$SUITE" "$1.part.tar" >&2
    mv "$1.part.tar" "$1"
}

# echo_tree ROOT DIR: the files of a 2 MB image for first trials, which returns its
# hostname over HTTP, with the busybox of the tar ROOT.
echo_tree() {
    mkdir -p "$2/bin" "$2/www" "$2/tmp" "$2/etc"
    tar -xOf "$1" ./bin/busybox >"$2/bin/busybox" 2>/dev/null ||
        tar -xOf "$1" ./usr/bin/busybox >"$2/bin/busybox"
    chmod 755 "$2/bin/busybox"
    for applet in $("$2/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$2/bin/$applet"
    done
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$2/etc/passwd"
}

# Sets $GO; called only when something has to be compiled. A script that can also
# work without Go explains this in $WITHOUT_GO, a sentence.
GO=
find_go() {
    [ -z "$GO" ] || return 0
    for candidate in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
        [ -x "$candidate" ] || continue
        case $("$candidate" version) in
        *" go1."[0-9].* | *" go1.1"[0-9]* | *" go1.20"*) continue ;;
        esac
        GO=$candidate
        return 0
    done
    die "Go 1.21 or newer is missing (it fetches the release it needs by itself): \
unpack one from https://go.dev/dl/ to /usr/local/go, or 'apt-get install golang-1.22-go' \
from Debian's bookworm-backports.${WITHOUT_GO:-}"
}

# in_module DIR ARGUMENTS...: runs go in the module at DIR. It builds static
# programs, only from the modules in its go.mod and go.sum. C code of the modules is
# compiled only with CGO=1.
in_module() (
    cd "$1" || exit 1
    shift
    CGO_ENABLED=${CGO:-0} GOWORK=off GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
    GOTOOLCHAIN=local
    export CGO_ENABLED GOWORK GOFLAGS GOTOOLCHAIN
    # If this Go is too old for the module, it downloads a toolchain, which is a module, too.
    if ! "$GO" list -m >/dev/null 2>&1; then
        GOTOOLCHAIN=auto
    fi
    # Compiling uses all cores for minutes, so it gets a lower priority.
    nice -n 10 "$GO" "$@"
)

# go_build DIR ARGUMENTS...: compiles in the module at DIR.
go_build() (
    module=$1
    shift
    in_module "$module" build "$@" >&2 || cannot_compile
)
cannot_compile() {
    die "compiling failed; modules come from GOPROXY=$("$GO" env GOPROXY): is it reachable?${WITHOUT_GO:-}"
}

# version_flags DIR VERSION: linker flags for programs of Kubernetes from the
# module at DIR, with the time of its release, so that two builds give the
# same bytes.
version_flags() {
    date=$(in_module "$1" list -m -f '{{.Time.Format "2006-01-02T15:04:05Z"}}' k8s.io/kubernetes) || return 1
    minor=${2#1.}
    flags="-s -w"
    # Two packages print and compare versions; without gitVersion each version is v0.0.0.
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags="$flags -X $package.gitVersion=v$2 -X $package.gitMajor=1"
        flags="$flags -X $package.gitMinor=${minor%%.*} -X $package.gitCommit="
        flags="$flags -X $package.gitTreeState=clean -X $package.buildDate=$date"
    done
    printf '%s\n' "$flags"
}
