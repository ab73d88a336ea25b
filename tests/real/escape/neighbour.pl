# Tries to reach a process, the target, and what belongs to its node, as root of another
# user namespace that stays in the PID and mount namespace of the host. This is more than
# root in a node has. Prints a line for each try: its key, `possible` or `refused`, and
# the error. Every try is made by a separate process, and is undone or without effect.
#
# Environment: TARGET (id of a resident.pl), MARK, KEY, SHM (of that process), USER (a
# process whose user namespace is entered, or nothing), NETWORK (a process whose network
# namespace is entered), CGROUP (the cgroups of the target's node), FILES (paths of its files on
# the host), separated by colons.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket;

my $arm = (POSIX::uname())[4] eq "aarch64";
my %number = $arm
    ? (ptrace => 117, setns => 268, keyctl => 219, process_vm_readv => 270, prlimit => 261, pidfd_open => 434,
       pidfd_getfd => 438, setgroups => 159, setresuid => 147, setresgid => 149)
    : (ptrace => 101, setns => 308, keyctl => 250, process_vm_readv => 310, prlimit => 302, pidfd_open => 434,
       pidfd_getfd => 438, setgroups => 116, setresuid => 117, setresgid => 119);
# Numbers, because syscall passes a string as an address.
my ($target, $key, $memory) = map { $_ + 0 } @ENV{qw(TARGET KEY SHM)};
my $mark = $ENV{MARK};
# Error number of tries that find something else than they looked for.
my $OTHER = 255;

sub call {
    my ($name, @arguments) = @_;
    $! = 0;
    return syscall($number{$name}, @arguments);
}

sub namespace {
    my ($pid, $kind) = @_;
    open(my $file, "<", "/proc/$pid/ns/$kind") or die "$kind of $pid: $!";
    return $file;
}

sub enter {
    my ($file) = @_;
    call("setns", fileno($file), 0) == 0 or die "setns: $!";
}

# Opened before the privileges are given up, so that the tries do not depend on /proc.
my %opened = map { $_ => namespace($target, $_) } qw(user mnt pid net ipc uts cgroup);
my $user = $ENV{USER} ? namespace($ENV{USER}, "user") : undef;
enter(namespace($ENV{NETWORK}, "net"));
# Shared memory of another IPC namespace does not exist.
enter($opened{ipc});
if ($user) {
    enter($user);
    call("setgroups", 0, 0) == 0 && call("setresgid", 0, 0, 0) == 0 && call("setresuid", 0, 0, 0) == 0 or die "ids: $!";
}

# Runs a function in a separate process. It returns whether it succeeded.
sub try_it {
    my ($key, $function) = @_;
    my $child = fork // die "fork: $!";
    if (!$child) {
        $SIG{ALRM} = "DEFAULT";
        alarm 5;
        POSIX::_exit($function->() ? 0 : $! + 0 || $OTHER);
    }
    waitpid $child, 0;
    my $errno = $? & 127 ? $OTHER : $? >> 8;
    local $! = $errno;
    my $text = $errno == $OTHER ? "something else" : $errno ? "$!" : "";
    print "$key\t", ($errno ? "refused" : "possible"), "\t$text\n";
}

sub readable {
    my ($path) = @_;
    sysopen(my $in, $path, O_RDONLY) or return 0;
    return defined sysread($in, my $text, 16);
}

sub writable { return sysopen(my $out, $_[0], O_WRONLY) }

my $at = "/proc/$target";
try_it("signal", sub { kill 0, $target });
# PTRACE_SEIZE does not stop the process, and ends with this one.
try_it("ptrace", sub { call("ptrace", 0x4206, $target, 0, 0) == 0 });
# The address is not mapped, which is detected after the check of privileges.
try_it("process-memory", sub {
    my $local = "\0" x 8;
    my $vector = pack("PQ", $local, 8);
    my $remote = pack("QQ", 8, 8);
    call("process_vm_readv", $target, $vector, 1, $remote, 1, 0) >= 0 || $! == POSIX::EFAULT;
});
try_it("descriptor", sub {
    my $process = call("pidfd_open", $target, 0);
    $process >= 0 && call("pidfd_getfd", $process, 0, 0) >= 0;
});
try_it("limits", sub { call("prlimit", $target, 7, 0, "\0" x 16) == 0 });
try_it("priority", sub { setpriority(0, $target, 5) });
try_it("proc-root", sub { opendir(my $in, "$at/root/") });
try_it("proc-cwd", sub { opendir(my $in, "$at/cwd/") });
try_it("proc-exe", sub { readlink "$at/exe" });
try_it("proc-fd", sub { opendir(my $in, "$at/fd") && readlink "$at/fd/0" });
try_it("proc-environ", sub { readable("$at/environ") });
try_it("proc-maps", sub { readable("$at/maps") });
try_it("proc-mem-read", sub { sysopen(my $in, "$at/mem", O_RDONLY) });
try_it("proc-mem-write", sub { writable("$at/mem") });
try_it("proc-oom", sub { writable("$at/oom_score_adj") });
# A process cannot enter the user namespace in which it is already.
for my $kind (qw(user mnt pid net ipc uts cgroup)) {
    try_it("setns-$kind", sub { call("setns", fileno($opened{$kind}), 0) == 0 || $kind eq "user" && $! == POSIX::EINVAL });
    try_it("proc-ns-$kind", sub { sysopen(my $in, "$at/ns/$kind", O_RDONLY) });
}
# KEYCTL_READ, KEYCTL_DESCRIBE
# There is none if the other node has no keys.
try_it("key", sub { call("keyctl", 11, $key, "\0" x 256, 256) > 0 }) if $key > 0;
try_it("key-description", sub { call("keyctl", 6, $key, "\0" x 256, 256) > 0 }) if $key > 0;
try_it("abstract-socket", sub {
    socket(my $client, PF_UNIX, SOCK_STREAM, 0);
    connect($client, pack_sockaddr_un("\0$mark"));
});
try_it("shared-memory", sub {
    my $got = "";
    shmread($memory, $got, 0, length $mark) && ($got eq $mark || ($! = $OTHER, 0)[1]);
});
for my $group (split /:/, $ENV{CGROUP}) {
    my ($name) = $group =~ m{^/sys/fs/cgroup/([^/]+)};
    try_it("cgroup-processes $name", sub { writable("$group/cgroup.procs") });
    try_it("cgroup-child $name", sub { mkdir("$group/escape-$$") && rmdir("$group/escape-$$") });
    my ($limit) = grep { -e } map { "$group/$_" } qw(memory.limit_in_bytes cpu.shares pids.max cpu.weight);
    try_it("cgroup-limit $name", sub { writable($limit) }) if $limit;
}
for my $path (split /:/, $ENV{FILES}) {
    my $short = $path =~ m{/volumes/} ? "volume" : $path =~ m{/diff/} ? "layer" : $path =~ m{/merged/} ? "merged" : "shm";
    try_it("file-read $short", sub { readable($path) });
    try_it("file-write $short", sub { writable($path) });
}
