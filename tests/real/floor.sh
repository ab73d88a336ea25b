#!/bin/bash
# The floor: creates a swarm of 1 manager and N workers in parallel, without the
# server, with the same image and limits as the server's clusters, and polls every
# 50 ms. Prints the milliseconds until the manager lists every node as ready and each
# node has the image that our nodes contain.  floor.sh [N]
#
# It creates no certificates and installs no agent in the nodes, so its time is a
# lower bound.
set -euo pipefail

WORKERS=${1:-2}
IMAGE=${IMAGE:-jeroboam/swarm:latest}
MEMORY=${MEMORY:-2147483648}
CPU_SHARES=${CPU_SHARES:-1024}
NAME=floor-$$
NET=10.$((208 + RANDOM % 16)).$((RANDOM % 250))
DIR=$(mktemp -d /tmp/floor.XXXXXX)
DEADLINE=$((SECONDS + 120))

host() { # METHOD PATH [BODY]: the engine of the machine
    curl -sS -f -X "$1" --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' \
        ${3:+-d "$3"} "http://d$2" 2>"$DIR/error" || { echo "floor: $1 $2: $(cat "$DIR/error")" >&2; return 1; }
}
node() { # NUMBER METHOD PATH [BODY]: the engine of a node
    curl -s -f -X "$2" --unix-socket "$DIR/$1/docker.sock" -H 'Content-Type: application/json' \
        ${4:+-d "$4"} "http://d$3"
}
late() { [ "$SECONDS" -lt "$DEADLINE" ] || { echo "floor: over 120 s" >&2; exit 1; }; }

cleanup() {
    for i in $(seq 0 "$WORKERS"); do
        docker rm -fv "$NAME-$i" >/dev/null 2>&1 &
    done
    wait
    for i in $(seq 0 "$WORKERS"); do
        docker volume rm -f "$NAME-$i" >/dev/null 2>&1 || true
    done
    docker network rm "$NAME" >/dev/null 2>&1 || true
    rm -rf "$DIR"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# The same steps as those of the agent before it starts the engine.
# shellcheck disable=SC2016 # the node's shell expands it
INIT='mount -o remount,rw /sys
for m in $(awk "\$2 ~ \"^/sys/fs/cgroup\" {print \$2}" /proc/mounts); do mount -o remount,bind,rw $m; done
mount --make-rshared /
engine() { curl -sf --unix-socket /var/run/floor/docker.sock "$@"; }
( until engine http://d/_ping >/dev/null; do sleep 0.05; done
  engine -H "Content-Type: application/x-tar" --data-binary @/var/lib/jeroboam/images/echo.tar http://d/images/load >/dev/null
  touch /var/run/floor/loaded ) &
exec dockerd --host=unix:///var/run/floor/docker.sock >/var/log/dockerd.log 2>&1'

make_node() {
    local i=$1 body
    mkdir "$DIR/$i"
    body=$(jq -n --arg image "$IMAGE" --arg init "$INIT" --arg name "$NAME" --arg node "$NAME-$i" \
        --arg ip "$NET.$((i + 10))" --arg dir "$DIR/$i" --argjson memory "$MEMORY" --argjson cpu "$CPU_SHARES" '{
        Image: $image, Hostname: $node, Entrypoint: ["tini", "--", "sh", "-c", $init], Cmd: [],
        Labels: {"floor": $name},
        HostConfig: {CapAdd: ["ALL"], CapDrop: ["SYS_RESOURCE"], SecurityOpt: ["seccomp=unconfined", "apparmor=unconfined"],
            MaskedPaths: [], ReadonlyPaths: [], DeviceCgroupRules: ["a *:* rwm"], CgroupnsMode: "private",
            Memory: $memory, CpuShares: $cpu, CpuPeriod: 20000, CpuQuota: ($cpu * 20000 / 1024 | floor),
            Mounts: [{Type: "volume", Source: $node, Target: "/var/lib/docker"},
                     {Type: "bind", Source: $dir, Target: "/var/run/floor"}]},
        NetworkingConfig: {EndpointsConfig: {($name): {IPAMConfig: {IPv4Address: $ip}}}}}')
    host POST "/containers/create?name=$NAME-$i" "$body" >/dev/null
    host POST "/containers/$NAME-$i/start" >/dev/null
    until node "$i" GET /_ping >/dev/null; do late; sleep 0.05; done
}

begun=$(date +%s%N)
host POST /networks/create "{\"Name\":\"$NAME\",\"IPAM\":{\"Config\":[{\"Subnet\":\"$NET.0/24\",\"Gateway\":\"$NET.1\"}]}}" >/dev/null
for i in $(seq 0 "$WORKERS"); do
    make_node "$i" &
    jobs_of[i]=$!
done
wait "${jobs_of[0]}"
node 0 POST /swarm/init "{\"ListenAddr\":\"0.0.0.0:2377\",\"AdvertiseAddr\":\"$NET.10\",\"DefaultAddrPool\":[\"10.32.0.0/11\"],\"SubnetSize\":24}" >/dev/null
token=$(node 0 GET /swarm | jq -r .JoinTokens.Worker)
for i in $(seq 1 "$WORKERS"); do
    (
        wait_for=$DIR/$i/docker.sock
        until node "$i" GET /_ping >/dev/null; do late; sleep 0.05; done
        [ -S "$wait_for" ]
        node "$i" POST /swarm/join "{\"ListenAddr\":\"0.0.0.0:2377\",\"AdvertiseAddr\":\"$NET.$((i + 10))\",\"RemoteAddrs\":[\"$NET.10:2377\"],\"JoinToken\":\"$token\"}" >/dev/null
    ) &
done
until [ "$(node 0 GET /nodes | jq '[.[] | select(.Status.State == "ready")] | length')" = "$((WORKERS + 1))" ]; do late; sleep 0.05; done
for i in $(seq 0 "$WORKERS"); do
    until [ -e "$DIR/$i/loaded" ]; do late; sleep 0.05; done
done
echo $((($(date +%s%N) - begun) / 1000000))
