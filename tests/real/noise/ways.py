"""The attacks of attacks.pl and network.pl."""

from typing import NamedTuple


class Attack(NamedTuple):
    key: str
    text: str
    # Whether a privileged pod tries it, too. It has other cgroups, and another output.
    pod: bool = False
    # The part of another node of the cluster.
    partner: str = ""
    seconds: int = 6


ATTACKS = (
    Attack("fork", "processes that double themselves", pod=True),
    Attack("zombies", "processes that ended and are not waited for"),
    Attack("cpu", "eight processes that compute"),
    Attack("memory", "ordinary memory, again and again beyond the limit", pod=True),
    Attack("page-cache", "a file larger than the limit, read all the time"),
    Attack("tmpfs", "files in `/dev/shm` and `/run`", pod=True),
    Attack("inodes", "directories, and names that do not exist"),
    Attack("mounts", "mounts"),
    Attack("log", "output that is logged", pod=True),
    Attack("disk", "large files, and `sync`"),
    Attack("fsync", "small files with `fsync`"),
    Attack("inotify", "inotify instances and watches"),
    Attack("files", "open files", pod=True),
    Attack("epoll", "epoll watches"),
    Attack("pipes", "pipes with large buffers"),
    Attack("unix-sockets", "full buffers of Unix sockets"),
    Attack("shared-memory", "SysV shared memory"),
    Attack("message-queues", "POSIX message queues"),
    Attack("user-namespaces", "nested user namespaces"),
    Attack("network-namespaces", "network namespaces"),
    Attack("devices", "pairs of network devices"),
    Attack("cgroups", "cgroups"),
    Attack("keys", "keys of many users", pod=True),
    Attack("packet-rings", "rings of packet sockets", pod=True),
    Attack("perf", "buffers for events of perf"),
    Attack("netlink", "full buffers of netlink sockets"),
    Attack("tcp", "full buffers of TCP connections"),
    Attack("udp", "full buffers of UDP sockets"),
    Attack("flows-to-node", "UDP flows to another node of the cluster"),
    Attack("flows-to-host", "UDP flows to the host"),
    Attack("flows-to-outside", "UDP flows to an address outside"),
    Attack("connections", "TCP connections to another node of the cluster, without sockets", partner="answers", seconds=12),
    Attack("neighbours", "addresses of Ethernet neighbours"),
)
