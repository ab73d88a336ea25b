#!/bin/sh
# Builds the Swarm node image from Debian packages, without any image registry.
#
#   AGENT=path/to/jeroboam-node [TAG=jeroboam/swarm:latest] images/swarm/build.sh
#
# Three layers of cost, each skipped when nothing of it changed:
#   root    mmdebstrap: Debian with docker.io; half a minute, 400 MB. Kept as
#           a tar in $JEROBOAM_CACHE and as the image jeroboam/swarm-root:HASH.
#   echo    the tiny workload image that every node preloads: there is no
#           registry a node could pull from.
#   agent   a COPY on top; a second.
# Prints the id of the image as the last line of stdout; all else is stderr.
# Needs: docker (engine running), mmdebstrap, root rights for mmdebstrap.
set -eu

AGENT=${AGENT:?AGENT must name the jeroboam-node binary (statically linked)}
TAG=${TAG:-jeroboam/swarm:latest}
CACHE=${JEROBOAM_CACHE:-${HOME:?}/.cache/jeroboam}
SUITE=${SUITE:-bookworm}
# busybox-static is here for the echo image; it helps in a node's shell too.
PACKAGES=docker.io,iptables,iproute2,tini,ca-certificates,procps,curl,busybox-static

say() { printf '%s\n' "swarm image: $*" >&2; }
die() { say "$*"; exit 1; }

[ -f "$AGENT" ] || die "AGENT: no file at $AGENT; build it with 'cargo build -p node'"
command -v docker >/dev/null || die "docker is missing: apt-get install docker.io"
docker version >/dev/null 2>&1 || die "the Docker engine does not answer: start dockerd"
# The classic builder: BuildKit's plug-in is not in Debian's docker.io.
DOCKER_BUILDKIT=0
export DOCKER_BUILDKIT

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$CACHE"

# One build at a time on this cache; released when the script ends.
exec 9>"$CACHE/swarm.lock"
if command -v flock >/dev/null; then
    flock 9
fi

# --- root ---------------------------------------------------------------
recipe="v1 $SUITE $PACKAGES"
hash=$(printf '%s' "$recipe" | sha256sum | cut -c1-12)
root=jeroboam/swarm-root:$hash
roottar=$CACHE/swarm-root-$hash.tar
if ! docker image inspect "$root" >/dev/null 2>&1 || [ ! -f "$roottar" ]; then
    if [ ! -f "$roottar" ]; then
        command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
        say "collecting Debian packages (half a minute)"
        # docker.io's and others' services are not to start while installing;
        # mmdebstrap puts a policy-rc.d of its own in place for that.
        # shellcheck disable=SC2016 # $1 is mmdebstrap's, for the hook's shell
        mmdebstrap --quiet --variant=minbase --include="$PACKAGES" \
            --dpkgopt='path-exclude=/usr/share/doc/*' \
            --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' \
            --aptopt='Acquire::Languages "none"' \
            --aptopt='APT::Install-Recommends "false"' \
            --customize-hook='rm -rf $1/var/cache/apt $1/var/lib/apt/lists/* $1/var/cache/debconf/*-old $1/var/log/*' \
            "$SUITE" "$roottar.part.tar" >&2
        mv "$roottar.part.tar" "$roottar"
    fi
    say "importing the root"
    docker import "$roottar" "$root" >/dev/null
fi

# --- echo: hostname over HTTP, 2 MB --------------------------------------
echo_recipe="v1 $hash"
echo_hash=$(printf '%s' "$echo_recipe" | sha256sum | cut -c1-12)
echo_tar=$CACHE/echo-$echo_hash.tar
if [ ! -f "$echo_tar" ]; then
    say "making jeroboam/echo:1"
    mkdir -p "$work/echo/bin" "$work/echo/www" "$work/echo/tmp" "$work/echo/etc"
    tar -xOf "$roottar" ./bin/busybox >"$work/echo/bin/busybox" 2>/dev/null ||
        tar -xOf "$roottar" ./usr/bin/busybox >"$work/echo/bin/busybox"
    chmod 755 "$work/echo/bin/busybox"
    for applet in $("$work/echo/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$work/echo/bin/$applet"
    done
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$work/echo/etc/passwd"
    # Exec form: httpd takes over PID 1; sh only writes the page first.
    tar -C "$work/echo" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -c . |
        docker import \
            --change 'CMD ["sh","-c","hostname > /www/index.html; exec httpd -f -p 80 -h /www"]' \
            --change 'ENV PATH=/bin' \
            --change 'LABEL io.jeroboam.image=echo' \
            - jeroboam/echo:1 >/dev/null
    docker save -o "$echo_tar.part" jeroboam/echo:1
    mv "$echo_tar.part" "$echo_tar"
fi

# --- agent ----------------------------------------------------------------
say "adding the agent"
mkdir "$work/context"
cp "$AGENT" "$work/context/jeroboam-node"
cp "$echo_tar" "$work/context/echo.tar"
chmod 755 "$work/context/jeroboam-node"
cat >"$work/context/Dockerfile" <<DOCKERFILE
FROM $root
COPY echo.tar /var/lib/jeroboam/images/echo.tar
COPY jeroboam-node /usr/local/bin/jeroboam-node
# On the container's own overlay the inner engine would fall back to vfs.
VOLUME /var/lib/docker
STOPSIGNAL SIGTERM
LABEL io.jeroboam.image=swarm
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["tini","--","jeroboam-node","init"]
DOCKERFILE
docker build --network none --quiet --tag "$TAG" "$work/context" >"$work/id"
say "$TAG is ready"
cat "$work/id"
