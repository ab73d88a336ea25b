# Tries, as root in a node, the ways to access or change the host. Every attempt is
# harmless if it succeeds: it writes back the value that it has read, passes arguments
# that the kernel refuses after the check of privileges, or undoes its changes. Prints
# a line for each way: its key, `possible`, `refused` or `absent` (this kernel or
# machine does not have it), and the observation.
#
# Environment: DISK (MAJOR:MINOR of a disk of the host), FSTYPE, CANARY (a file
# below its root), CANARY_TEXT (the contents of this file), SOCKET (the socket of the
# engine, below that root), ENGINE (its id), MARK (an argument of a process of the
# host).
use strict;
use warnings;
no warnings "portable";

my $arm = `uname -m` =~ /aarch64/;
my %number = $arm
    ? (mount => 40, umount2 => 39, reboot => 142, init_module => 105, kexec_load => 104, adjtimex => 171,
       swapoff => 225, syslog => 116, name_to_handle_at => 264, open_by_handle_at => 265, bpf => 280,
       perf_event_open => 241, setrlimit => 164, getrlimit => 163)
    : (mount => 165, umount2 => 166, reboot => 169, init_module => 175, kexec_load => 246, adjtimex => 159,
       swapoff => 168, syslog => 103, name_to_handle_at => 303, open_by_handle_at => 304, bpf => 321,
       perf_event_open => 298, setrlimit => 160, getrlimit => 97, iopl => 172);
my ($EPERM, $ENOENT, $ENXIO, $EACCES, $ENODEV, $EINVAL, $ENOSYS) = (1, 2, 6, 13, 19, 22, 38);
my $held = (`cat /proc/self/status` =~ /CapBnd:\s*([0-9a-f]+)/) ? hex($1) : 0;
my %bit = (DAC_READ_SEARCH => 2, SYS_MODULE => 16, SYS_RAWIO => 17, SYS_BOOT => 22, SYS_RESOURCE => 24, SYS_TIME => 25);
# Not in /tmp, where the kernel opens no device.
my $dir = "/dev/host-root-$$";
mkdir $dir;
my ($mounted, @allowed);
# The arguments of the last system call, with what the kernel wrote into them.
my @out;

sub call {
    (my $name, @out) = @_;
    return (-1, $ENOSYS) unless $number{$name};
    $! = 0;
    my $got = syscall($number{$name}, @out);
    return ($got, $! + 0);
}

sub say_state {
    my ($key, $state, $seen) = @_;
    $seen //= "";
    $seen =~ s/\s+/ /g;
    print "$key\t$state\t$seen\n";
}

# The state that an error number means.
sub state_of {
    my ($errno) = @_;
    return "possible" unless $errno;
    return "absent" if $errno == $ENOSYS || $errno == $ENOENT || $errno == $ENODEV || $errno == $ENXIO;
    return "refused";
}

sub report {
    my ($key, $errno) = @_;
    $! = $errno;
    say_state($key, state_of($errno), $errno ? "$!" : "");
}

# A system call that needs a capability. Without it the way is refused, also if the
# kernel does not have the call. `@passed`: errors that occur after the check.
sub gated {
    my ($key, $capability, $errno, @passed) = @_;
    if (!($held >> $bit{$capability} & 1)) {
        return say_state($key, $errno == 0 || grep({ $_ == $errno } @passed) ? "possible" : "refused", "no $capability");
    }
    $errno = 0 if grep { $_ == $errno } @passed;
    report($key, $errno);
}

# Writes back what a file holds; returns the error number.
sub write_back {
    my ($path) = @_;
    open(my $in, "<", $path) or return $! + 0;
    sysread($in, my $value, 4096);
    close $in;
    # The current choice of several.
    $value = $1 if $value =~ /\[(\w+)\]/;
    open(my $out, "+<", $path) or return $! + 0;
    defined(syswrite($out, $value)) or return $! + 0;
    close($out) or return $! + 0;
    return 0;
}

sub mount_at {
    my ($source, $target, $type, $options) = @_;
    mkdir $target;
    my $data = defined $options ? "$options\0" : 0;
    my ($got, $errno) = call("mount", "$source\0", "$target\0", "$type\0", 0, $data);
    return $got == 0 ? 0 : $errno;
}

sub umount { call("umount2", "$_[0]\0", 2) }

sub node {
    my ($path, $type, $major, $minor) = @_;
    return system("mknod", $path, $type, $major, $minor) == 0;
}

sub opens {
    my ($key, $type, $major, $minor) = @_;
    my $path = "$dir/$key";
    return say_state($key, "refused", "mknod") unless node($path, $type, $major, $minor);
    my $errno = open(my $in, "<", $path) ? 0 : $! + 0;
    # The kernel detects that the device has no driver after the check of privileges.
    return say_state($key, $errno == $ENXIO || $errno == $ENODEV ? "possible" : state_of($errno), $errno ? "$!" : "");
}

# Whether the file of the host exists, below a mount of its disk.
sub canary {
    open(my $in, "<", "$_[0]/$ENV{CANARY}") or return 0;
    my $text = <$in> // "";
    return $text eq $ENV{CANARY_TEXT};
}

# Gives the node a device rule; returns whether the kernel accepted it.
sub allow {
    open(my $out, ">", "/sys/fs/cgroup/devices/devices.allow") or return 0;
    defined syswrite($out, $_[0]) or return 0;
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
    $errno = mount_at($device, $at, $ENV{FSTYPE}) if $errno && allow("b $major:$minor rwm");
    if ($errno) {
        report($_, $errno) for qw(disk socket-disk);
        return;
    }
    $mounted = $at;
    my $seen = canary($at);
    say_state("disk", $seen ? "possible" : "absent", $seen ? "" : "another file system");
    socket_answers("socket-disk", "$at/$ENV{SOCKET}", !$ENV{SOCKET});
    tidy();
}

sub loop_devices {
    opens("loop", "c", 10, 237);
    return say_state("rules", "absent", "cgroup v2") unless -e "/sys/fs/cgroup/devices/devices.allow";
    return say_state("rules", "refused", "$!") unless allow("c 10:237 rwm");
    opens("rules", "c", 10, 237);
    tidy();
}

sub socket_answers {
    my ($key, $path, $unknown) = @_;
    return say_state($key, "absent", "not on that disk") if $unknown;
    my $said = `curl -s -m 5 --unix-socket '$path' http://engine/info 2>&1` // "";
    say_state($key, index($said, "\"$ENV{ENGINE}\"") >= 0 ? "possible" : "refused", "");
}

sub tidy {
    if ($mounted) { umount($mounted); $mounted = undef }
    while (my $rule = pop @allowed) {
        open(my $out, ">", "/sys/fs/cgroup/devices/devices.deny") or next;
        syswrite($out, $rule);
    }
}
END { tidy(); system("rm", "-rf", $dir) if $dir && !$mounted }

disk();
socket_answers("socket", "/run/docker.sock", 0);
opens("memory", "c", 1, 1);
opens("ports", "c", 1, 4);
loop_devices();
{ my (undef, $e) = call("iopl", 3); gated("iopl", "SYS_RAWIO", $e); }
{ my (undef, $e) = call("init_module", 0, 0, "\0"); gated("module", "SYS_MODULE", $e, $EINVAL, 14, 8); }
{ my (undef, $e) = call("kexec_load", 0, 0, 0, 0); gated("kexec", "SYS_BOOT", $e); }
# CAD_OFF; in a PID namespace the kernel does not have this command.
{ my (undef, $e) = call("reboot", 0xfee1dead, 672274793, 0, 0); gated("reboot", "SYS_BOOT", $e, $EINVAL); }
{
    my $now = "\0" x 256;
    call("adjtimex", $now);
    $now = $out[0];
    substr($now, 0, 4) = pack("L", 0x4000);
    my ($got, $e) = call("adjtimex", $now);
    gated("clock", "SYS_TIME", $got >= 0 ? 0 : $e);
}
{
    my $handle = pack("Ll", 128, 0) . "\0" x 128;
    my $id = pack("l", 0);
    call("name_to_handle_at", -100, "/etc/hosts\0", $handle, $id, 0);
    $handle = $out[2];
    open(my $mount, "<", "/etc/hosts");
    my ($got, $e) = call("open_by_handle_at", fileno($mount), $handle, 0);
    gated("handle", "DAC_READ_SEARCH", $got >= 0 ? 0 : $e);
}
{
    my $limit = "\0" x 16;
    call("getrlimit", 7, $limit);
    my ($soft, $hard) = unpack("QQ", $out[1]);
    my (undef, $e) = call("setrlimit", 7, pack("QQ", $soft, $hard + 1));
    gated("rlimit", "SYS_RESOURCE", $e);
}
{
    my $found = 0;
    for my $path (glob "/proc/[0-9]*/cmdline") {
        open(my $in, "<", $path) or next;
        local $/;
        my $words = <$in> // "";
        $found = 1 if grep { $_ eq $ENV{MARK} } split /\0/, $words;
    }
    say_state("processes", $found ? "possible" : "refused", "");
}
report("core-pattern", write_back("/proc/sys/kernel/core_pattern"));
report("sysctl", write_back("/proc/sys/vm/swappiness") || write_back("/proc/sys/kernel/printk"));
report("uevent-helper", write_back("/sys/kernel/uevent_helper"));
report("sysrq", open(my $sysrq, ">", "/proc/sysrq-trigger") ? 0 : $! + 0);
{
    my ($block) = grep { readlink($_) !~ /virtual/ } glob "/sys/block/*";
    report("sysfs", $block ? write_back("$block/queue/read_ahead_kb") : $ENOENT);
}
{
    my ($own) = grep { -e } "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max";
    report("limits", $own ? write_back($own) : $ENOENT);
}
{
    # Tries existing hierarchies, and those that are not mounted yet.
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
{ my ($got, $e) = call("syslog", 3, "\0" x 4096, 4096); report("kernel-log", $got >= 0 ? 0 : $e); }
for my $type (qw(debugfs tracefs)) {
    my $e = mount_at($type, "$dir/$type", $type);
    umount("$dir/$type") unless $e;
    report($type, $e);
}
{
    # A program of two instructions, `return 0`, for a probe of the kernel.
    my $code = pack("H*", "b700000000000000" . "9500000000000000");
    my $license = "GPL\0";
    my $attributes = pack("LLQQ", 2, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license))) . "\0" x 104;
    my ($got, $e) = call("bpf", 5, $attributes, 128);
    report("bpf", $got >= 0 ? 0 : $e);
}
{
    my $attributes = pack("LLQ", 1, 112, 0) . "\0" x 96;
    my ($got, $e) = call("perf_event_open", $attributes, -1, 0, -1, 0);
    report("perf", $got >= 0 ? 0 : $e);
}
# The kernel detects that the path does not exist after the check of privileges.
{ my (undef, $e) = call("swapoff", "$dir/none\0"); say_state("swap", $e == $EPERM ? "refused" : "possible", ""); }
{ my $e = setpriority(0, 0, -1) ? 0 : $! + 0; report("priority", $e); }
