"""The ways to the host that the probe tries."""

from typing import NamedTuple


class Way(NamedTuple):
    """The key that the probe prints, what is tried, and for both levels why it is
    possible or refused."""
    key: str
    text: str
    host_root: str
    user_namespace: str

    def because(self, level):
        return self.host_root if level == "host-root" else self.user_namespace


NONE = "no capability "
RULES = "no device rule"
CAPABILITY = "the capability applies to the node's user namespace only"
OWNER = "belongs to the host's root"
MKNOD = "no device files can be created"
WAYS = [Way(*row) for row in [
    ("core-pattern", "let the kernel run a program as root of the host (`kernel.core_pattern`)", "not namespaced", OWNER),
    ("disk", "mount a disk that the host has mounted, and read a file of the host",
     "`SYS_ADMIN`; from Linux 6.6 on, such a mount does not open the device, so no device rule applies", CAPABILITY),
    ("socket-disk", "call the engine's API by its socket, through that mount", "`SYS_ADMIN`", CAPABILITY),
    ("socket", "call the engine's API by a socket in the node", "not mounted", "not mounted"),
    ("handle", "open files of the host by handle", NONE + "`DAC_READ_SEARCH`", CAPABILITY),
    ("processes", "see, signal or trace processes of the host", "own PID namespace", "own PID namespace"),
    ("abstract", "connect to an abstract socket of the host", "own network namespace", "own network namespace"),
    ("shared-memory", "read shared memory (SysV) of the host", "own IPC namespace", "own IPC namespace"),
    ("key", "read a key of the host's root", "root in the node is the same user", "nodes have no keys"),
    ("release-agent", "let the kernel run a program when a cgroup ends (`release_agent`)", "own cgroup namespace", "own cgroup namespace"),
    ("uevent-helper", "let the kernel run a program for a device event (`uevent_helper`)", "sysfs is writable", OWNER),
    ("module", "load a kernel module", NONE + "`SYS_MODULE`", CAPABILITY),
    ("kexec", "boot another kernel", NONE + "`SYS_BOOT`", CAPABILITY),
    ("reboot", "restart the host (`reboot`)", NONE + "`SYS_BOOT`", "own PID namespace"),
    ("sysrq", "restart or stop the host (`sysrq-trigger`)", "procfs is writable", OWNER),
    ("clock", "set the clock", NONE + "`SYS_TIME`", CAPABILITY),
    ("memory", "read the host's memory (`/dev/mem`)", RULES + ", " + NONE + "`SYS_RAWIO`", MKNOD),
    ("kcore", "read the kernel's memory (`/proc/kcore`)", NONE + "`SYS_RAWIO`", OWNER),
    ("page-flags", "read the state of all pages of memory (`/proc/kpageflags`)", "root of the host", OWNER),
    ("ports", "use I/O ports (`/dev/port`)", RULES + ", " + NONE + "`SYS_RAWIO`", MKNOD),
    ("iopl", "use I/O ports (`iopl`)", NONE + "`SYS_RAWIO`", CAPABILITY),
    ("disk-open", "read a disk of the host, mounted or not", RULES + ", but a node can give itself one: see `devices.allow`", MKNOD),
    ("loop", "make loop devices (`/dev/loop-control`)", RULES + ", but a node can give itself one: see `devices.allow`", MKNOD),
    ("rules", "give itself a device rule and open that device (cgroup v1, `devices.allow`)", "`SYS_ADMIN`; cgroups are writable", OWNER),
    ("sysctl", "change sysctls of the whole machine (`vm.swappiness`, `kernel.printk` and others)", "not namespaced", OWNER),
    ("sysfs", "change settings of the host's devices and processors in `/sys`", "sysfs is writable", OWNER),
    ("swap", "switch swap off", "`SYS_ADMIN`", CAPABILITY),
    ("accounting", "let the kernel write a file about all processes (`acct`)", NONE + "`SYS_PACCT`", CAPABILITY),
    ("priority", "raise its priority (negative nice)", "`SYS_NICE`", CAPABILITY),
    ("real-time", "run before all other processes (`SCHED_FIFO`)", "no real-time budget in its cgroup", CAPABILITY),
    ("rlimit", "raise hard limits of processes", NONE + "`SYS_RESOURCE`", CAPABILITY),
    ("oom-score", "protect itself from the kernel's choice when memory is short (`oom_score_adj`)", NONE + "`SYS_RESOURCE`", CAPABILITY),
    ("kernel-log", "read the kernel's log", "`SYSLOG`", CAPABILITY),
    ("kernel-log-files", "read the kernel's log (`/dev/kmsg`, `/proc/kmsg`)", "`SYSLOG`", "no device; " + OWNER),
    ("kmsg", "create `/dev/kmsg` and open it", "the device rule that the kubelet needs", MKNOD),
    ("debugfs", "mount debugfs", "`SYS_ADMIN`", CAPABILITY),
    ("tracefs", "mount tracefs: trace the kernel and with it all processes", "`SYS_ADMIN`", CAPABILITY),
    ("devtmpfs", "mount devtmpfs: the device files of the host", "`SYS_ADMIN`", CAPABILITY),
    ("kernel-file-systems", "mount other file systems of the kernel (securityfs, configfs, bpf, selinuxfs, pstore, fusectl)", "`SYS_ADMIN`", CAPABILITY),
    ("bpf", "load BPF programs that watch the kernel", "`SYS_ADMIN`", CAPABILITY),
    ("perf", "watch a whole CPU (`perf`)", "`SYS_ADMIN`", CAPABILITY),
    ("freeze", "freeze a file system of the host (`FIFREEZE`)", "`SYS_ADMIN`", CAPABILITY),
    ("watch", "watch all changes in a file system of the host (fanotify)", "`SYS_ADMIN`", CAPABILITY),
    ("file-flags", "make files that the host cannot delete (`chattr`)", NONE + "`LINUX_IMMUTABLE`", CAPABILITY),
    ("limits-memory", "lift the node's limit of memory", "cgroups are writable", OWNER),
    ("limits-cpu", "lift the node's share of the processors", "cgroups are writable", OWNER),
    ("limits-processes", "lift the node's limit of processes", "cgroups are writable", OWNER),
    ("limits-pod", "lift the limits of a pod", "cgroups are writable",
     "harmless: the limits of the node, which the host has set, still apply"),
    ("pid-max", "change the number of process ids (`kernel.pid_max`)", "the sysctl is writable; whether it is the host's depends on the kernel",
     "harmless: it is that of the node's PID namespace, and the host's stays"),
    ("forwarding", "switch forwarding of packets on (`net.ipv4.ip_forward`)", "own network namespace",
     "harmless: it is that of the node's network namespace, and the host's stays"),
    ("user-limits", "change how many user namespaces there may be (`user.max_user_namespaces`)", NONE + "`SYS_RESOURCE`",
     "harmless: it is a further limit for the node's user namespace, and the host's stays"),
    ("host-name", "change the host name", "own UTS namespace", "harmless: it is the node's own name, and the host's stays"),
    ("mqueue", "mount the message queues (mqueue)", "own IPC namespace",
     "harmless: the queues are those of the node's IPC namespace, and the host does not see them"),
    ("binfmt_misc", "let the kernel run programs by a chosen interpreter (binfmt_misc)", "`SYS_ADMIN`: the host's own list",
     "harmless: from Linux 6.7 on, it is a list of the node's user namespace, which the host does not use; before, it is refused"),
    ("sysfs-network", "change settings of its network devices in `/sys`", "own network namespace, but sysfs is writable", CAPABILITY),
]]
