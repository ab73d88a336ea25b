# The fifth part of the probe: settings in /proc and /sys, and mounts.

sub settings {
    my ($key, @paths) = @_;
    report_all($key, map { $_ => write_back($_) } @paths);
}

report("core-pattern", write_back("/proc/sys/kernel/core_pattern"));
settings("sysctl", map { "/proc/sys/$_" } qw(kernel/panic kernel/panic_on_oops kernel/printk kernel/keys/maxkeys
    kernel/random/write_wakeup_threshold vm/overcommit_memory vm/swappiness fs/file-max fs/inotify/max_user_instances
    net/netfilter/nf_conntrack_max net/core/rmem_max));
report("user-limits", write_back("/proc/sys/user/max_user_namespaces"));
report("pid-max", write_back("/proc/sys/kernel/pid_max"));
report("forwarding", write_back("/proc/sys/net/ipv4/ip_forward"));
report("uevent-helper", write_back("/sys/kernel/uevent_helper"));
report("sysrq", open(my $sysrq, ">", "/proc/sysrq-trigger") ? 0 : $! + 0);
{
    my ($block) = grep { readlink($_) !~ /virtual/ } glob "/sys/block/*";
    settings("sysfs", ($block ? "$block/queue/read_ahead_kb" : ()), "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/devices/system/cpu/cpu1/online", "/sys/kernel/profiling");
    settings("sysfs-network", "/sys/class/net/lo/tx_queue_len");
}
# Mounts each hierarchy, because a pod sees only its own cgroup below /sys. With cgroup v1
# the mount shows the root of the cgroup namespace.
sub hierarchy {
    my ($controller, @files) = @_;
    my $at = "$dir/limits-$controller";
    my $e = mount_at("cgroup", $at, "cgroup", $controller);
    $at = "/sys/fs/cgroup" if $e;
    my ($own) = grep { -e } map { ("$at/$_", "$at/$controller/$_") } @files;
    my $result = $own ? write_back($own) : $e || $ENOENT;
    umount($at) unless $e;
    return $result;
}
# The cgroup of a pod, which is below that of its node.
sub limits_of_pod {
    my ($path) = contents("/proc/self/cgroup") =~ m{^\d+:memory:/(.+)$}m;
    return report("limits-pod", $ENOENT) unless $path;
    my $at = "$dir/limits-pod";
    my $e = mount_at("cgroup", $at, "cgroup", "memory");
    report("limits-pod", $e || write_back("$at/$path/memory.limit_in_bytes"));
    umount($at) unless $e;
}
limits_of_pod();
report("limits-memory", hierarchy("memory", "memory.limit_in_bytes", "memory.max"));
report("limits-cpu", hierarchy("cpu", "cpu.shares", "cpu.weight"));
report("limits-processes", hierarchy("pids", "pids.max"));
{
    # Existing hierarchies, and those that are not mounted yet.
    my ($found, $tried, $last) = (0, 0, $ENOENT);
    for my $controller (qw(memory devices pids net_cls net_prio perf_event hugetlb misc rdma)) {
        my $at = "$dir/cgroup-$controller";
        my $e = mount_at("cgroup", $at, "cgroup", $controller);
        $last = $e if $e && $e != $ENOENT && $e != $EINVAL;
        next if $e;
        $tried++;
        $found++ if -e "$at/release_agent" && !write_back("$at/release_agent");
        umount($at);
    }
    say_state("release-agent", $found ? "possible" : $tried || $last != $ENOENT ? "refused" : "absent", "$tried hierarchies");
}
sub file_system {
    my ($key, @types) = @_;
    my %errors;
    for my $type (@types) {
        my $e = mount_at($type, "$dir/$type", $type);
        # The superblock is mounted elsewhere with other options.
        $errors{$type} = $e == $EBUSY ? 0 : $e;
        umount("$dir/$type") unless $e;
    }
    report_all($key, %errors);
}
file_system($_, $_) for qw(debugfs tracefs mqueue binfmt_misc devtmpfs);
file_system("kernel-file-systems", qw(securityfs configfs bpf selinuxfs pstore fusectl));
