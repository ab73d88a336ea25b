# The second part of the probe: disks, devices, processes and other objects of the host.

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

sub socket_answers {
    my ($key, $path, $unknown) = @_;
    return say_state($key, "absent", "not on that disk") if $unknown;
    socket(my $engine, PF_UNIX, SOCK_STREAM, 0);
    # The path of a socket is limited to 107 bytes.
    my ($folder, $name) = $path =~ m{^(.*)/([^/]+)$};
    if (!chdir $folder || !connect($engine, pack_sockaddr_un($name))) {
        say_state($key, "refused", "$!");
        return chdir "/";
    }
    chdir "/";
    syswrite($engine, "GET /info HTTP/1.0\r\nHost: engine\r\n\r\n");
    my $said = "";
    local $SIG{ALRM} = sub { die "timeout\n" };
    eval { alarm 5; while (sysread($engine, $said, 65536, length $said)) { } };
    alarm 0;
    say_state($key, index($said, "\"$ENV{ENGINE}\"") >= 0 ? "possible" : "refused", "");
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

sub processes {
    my $mark;
    for my $path (glob "/proc/[0-9]*/cmdline") {
        $mark = $path if grep { $_ eq $ENV{MARK} } split /\0/, contents($path);
    }
    say_state("processes", $mark ? "possible" : "refused", $mark // "");
}

disk();
socket_answers("socket", -e "/run/docker.sock" ? "/run/docker.sock" : "/var/run/docker.sock", 0);
opens("memory", "c", 1, 1);
opens("ports", "c", 1, 4);
opens("loop", "c", 10, 237);
opens("kmsg", "c", 1, 11);
rules();
handle();
file_system_of_host();
processes();
{
    my $e = open(my $core, "<", "/proc/kcore") ? 0 : $! + 0;
    report("kcore", $e);
    $e = open(my $pages, "<", "/proc/kpageflags") ? 0 : $! + 0;
    report("page-flags", $e);
}
{
    # A socket of the host without a path.
    socket(my $client, PF_UNIX, SOCK_STREAM, 0);
    my $e = connect($client, pack_sockaddr_un("\0$ENV{MARK}")) ? 0 : $! + 0;
    say_state("abstract", $e ? "refused" : "possible", text_of($e));
    my $got = "";
    $e = shmread($ENV{SHM} + 0, $got, 0, 256) ? 0 : $! + 0;
    my $same = !$e && index($got, $ENV{MARK}) >= 0;
    say_state("shared-memory", $same ? "possible" : "refused", $same ? "" : text_of($e));
}
{
    # KEYCTL_SEARCH in the keyring of the user, KEYCTL_READ.
    my ($key, $e) = call("keyctl", 10, -4, "user\0", "$ENV{MARK}\0", 0);
    my $read = -1;
    ($read, $e) = call("keyctl", 11, $key, "\0" x 256, 256) if $key > 0;
    say_state("key", $read > 0 ? "possible" : "refused", text_of($e));
}
