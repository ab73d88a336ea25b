#!/bin/sh
# Builds the Swarm node image from Debian packages, without any image registry.
#
#   AGENT=path/to/jeroboam-node [TAG=jeroboam/swarm:latest] images/swarm/build.sh
#
# The build has three stages; a stage without changes is skipped:
#   root    mmdebstrap: Debian with docker.io; half a minute, 400 MB. Kept as
#           a tar in $JEROBOAM_CACHE and as the image jeroboam/swarm-root:HASH.
#   echo    the tiny workload image that every node preloads, because there is
#           no registry from which a node could pull it.
#   agent   a COPY on top; takes a second.
# Prints the id of the image as the last line of stdout, everything else to stderr.
# Needs: docker (engine running), mmdebstrap, root rights for mmdebstrap.
set -eu

AGENT=${AGENT:?AGENT must name the jeroboam-node binary (statically linked)}
TAG=${TAG:-jeroboam/swarm:latest}
# busybox-static is needed for the echo image, and is also useful in a node's shell.
PACKAGES=docker.io,iptables,iproute2,tini,ca-certificates,procps,curl,busybox-static

here=$(cd "$(dirname "$0")" && pwd)
WHAT='swarm image'
# shellcheck source=../lib.sh
. "$here/../lib.sh"

[ -f "$AGENT" ] || die "AGENT: no file at $AGENT; build it with 'cargo build -p node'"
need_engine

begin swarm

# --- root ---------------------------------------------------------------
recipe="v1 $SUITE $PACKAGES"
hash=$(printf '%s' "$recipe" | hash12)
root=jeroboam/swarm-root:$hash
roottar=$CACHE/swarm-root-$hash.tar
if ! have_image "$root" || [ ! -f "$roottar" ]; then
    if [ ! -f "$roottar" ]; then
        say "collecting Debian packages (half a minute)"
        # Services of docker.io and other packages must not start during the
        # installation; mmdebstrap installs a policy-rc.d that prevents it.
        debian "$roottar" "$PACKAGES"
    fi
    say "importing the root"
    docker import "$roottar" "$root" >/dev/null
fi

# --- echo: hostname over HTTP, 2 MB --------------------------------------
echo_recipe="v1 $hash"
echo_hash=$(printf '%s' "$echo_recipe" | hash12)
echo_tar=$CACHE/echo-$echo_hash.tar
if [ ! -f "$echo_tar" ]; then
    say "making jeroboam/echo:1"
    echo_tree "$roottar" "$work/echo"
    tar -C "$work/echo" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -c . |
        docker import \
            --change "CMD $ECHO_COMMAND" \
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
# On the container's overlay the nested engine would fall back to vfs.
VOLUME /var/lib/docker
STOPSIGNAL SIGTERM
LABEL io.jeroboam.image=swarm
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["tini","--","jeroboam-node","init"]
DOCKERFILE
docker build --network none --quiet --tag "$TAG" "$work/context" >"$work/id"
say "$TAG is ready"
cat "$work/id"
