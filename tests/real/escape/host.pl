# The third part of the probe: disks, file systems and devices.

sub opens {
    my ($key, $type, $major, $minor) = @_;
    my $path = "$dir/$key";
    if (my $errno = node($path, $type, $major, $minor)) { return say_state($key, "refused", "mknod: " . text_of($errno)) }
    my $errno = open(my $in, "<", $path) ? 0 : $! + 0;
    # The kernel detects that the device has no driver after the check of privileges.
    report($key, $errno, $ENXIO, $ENODEV);
}

# Whether the file of the host exists, below a mount of its disk.
sub canary { return contents("$_[0]/$ENV{CANARY}") eq $ENV{CANARY_TEXT} }

# Gives the node a device rule; returns whether the kernel accepted it.
sub allow {
    return 0 if write_to("/sys/fs/cgroup/devices/devices.allow", $_[0]);
    push @allowed, $_[0];
    return 1;
}

sub disk {
    my ($major, $minor) = split /:/, $ENV{DISK} || "";
    if (!defined $minor) {
        say_state($_, "absent", "no disk of the host is known") for qw(disk-open disk socket-disk);
        return;
    }
    opens("disk-open", "b", $major, $minor);
    my ($device, $at) = ("$dir/disk-open", "$dir/host");
    my $errno = mount_at($device, $at, $ENV{FSTYPE});
    # Kernels before 6.6 open the device for that.
    $errno = mount_at($device, $at, $ENV{FSTYPE}) if $errno && -e $device && allow("b $major:$minor rwm");
    if ($errno) {
        # Without its device file, too, the disk exists.
        say_state($_, "refused", text_of($errno)) for qw(disk socket-disk);
        return;
    }
    $mounted = $at;
    my $seen = canary($at);
    say_state("disk", $seen ? "possible" : "absent", $seen ? "" : "another file system");
    socket_answers("socket-disk", "$at/$ENV{SOCKET}", !$ENV{SOCKET});
    tidy();
}

sub rules {
    return say_state("rules", "absent", "cgroup v2") unless -e "/sys/fs/cgroup/devices/devices.allow";
    return say_state("rules", "refused", "$!") unless allow("c 10:237 rwm");
    opens("rules", "c", 10, 237);
    tidy();
}

# Opens the root directory of the file system of a file by its handle. On ext4, XFS and
# others the handle of a file can be guessed.
sub handle {
    my %errors;
    for my $file (grep { -e } "/etc/hosts", "/var/lib/containerd", "/var/lib/docker") {
        my $handle = pack("Ll", 128, 0) . "\0" x 128;
        my ($known, $e) = call("name_to_handle_at", -100, "$file\0", $handle, pack("l", 0), 0);
        next if $known != 0;
        $handle = $out[2];
        open(my $mount, "<", $file) or next;
        (my $got, $e) = call("open_by_handle_at", fileno($mount), $handle, 0);
        $errors{$file} = $got >= 0 ? 0 : $e;
    }
    report_all("handle", %errors);
}

# The file system of the host on which /etc/hosts of the node is.
sub file_system_of_host {
    open(my $hosts, "<", "/etc/hosts") or return;
    my $argument = pack("Q", 0);
    # FITHAW, which fails after the check of privileges if nothing is frozen.
    report("freeze", ioctl($hosts, 0xc0045878, $argument) ? 0 : $! + 0, $EINVAL);
    # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS: the flag `append only`, and back.
    my $flags = pack("Q", 0);
    my $known = ioctl($hosts, 0x80086601, $flags);
    my $with = pack("Q", unpack("Q", $flags) | 0x20);
    my $e = !$known ? $ENODEV : ioctl($hosts, 0x40086602, $with) ? 0 : $! + 0;
    ioctl($hosts, 0x40086602, $flags) if $known && !$e;
    report("file-flags", $e);
    # FAN_REPORT_FID; FAN_MARK_ADD and FAN_MARK_FILESYSTEM, FAN_MODIFY.
    (my $watch, $e) = call("fanotify_init", 0x200, 0);
    return report("watch", $e) if $watch < 0;
    (my $got, $e) = call("fanotify_mark", $watch, 0x101, 2, -100, "/etc/hosts\0");
    POSIX::close($watch);
    report("watch", $got == 0 ? 0 : $e);
}

disk();
opens("memory", "c", 1, 1);
opens("ports", "c", 1, 4);
opens("loop", "c", 10, 237);
opens("kmsg", "c", 1, 11);
rules();
handle();
file_system_of_host();
{
    my $e = open(my $core, "<", "/proc/kcore") ? 0 : $! + 0;
    report("kcore", $e);
    $e = open(my $pages, "<", "/proc/kpageflags") ? 0 : $! + 0;
    report("page-flags", $e);
}
