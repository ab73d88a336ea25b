# The first part of the probe: system calls, and functions that print results. The
# probe runs as root in a node, or in a pod or container of a node, and tries the ways
# to access or change the host. Every attempt is harmless if it succeeds: it writes back
# the value that it has read, passes arguments that the kernel refuses after the check of
# privileges, or undoes its changes. A line is printed for each way: its key, `possible`,
# `refused` or `absent` (this kernel or machine does not have it), and the observation.
# Only modules of perl-base are used, and no programs.
#
# Environment: DISK (MAJOR:MINOR of a disk of the host), FSTYPE, CANARY (a file
# below its root), CANARY_TEXT (the contents of this file), SOCKET (the socket of the
# engine, below that root), ENGINE (its id), MARK (an argument of resident.pl on the
# host), SHM (the number of its SysV shared memory).
use strict;
use warnings;
no warnings "portable";
use POSIX ();
use Socket;

my $arm = (POSIX::uname())[4] eq "aarch64";
my %number = $arm
    ? (mount => 40, umount2 => 39, reboot => 142, init_module => 105, kexec_load => 104, adjtimex => 171,
       swapoff => 225, syslog => 116, name_to_handle_at => 264, open_by_handle_at => 265, bpf => 280,
       perf_event_open => 241, setrlimit => 164, getrlimit => 163, mknodat => 33, add_key => 217, keyctl => 219,
       sched_setscheduler => 119, acct => 89, sethostname => 161, fanotify_init => 262, fanotify_mark => 263)
    : (mount => 165, umount2 => 166, reboot => 169, init_module => 175, kexec_load => 246, adjtimex => 159,
       swapoff => 168, syslog => 103, name_to_handle_at => 303, open_by_handle_at => 304, bpf => 321,
       perf_event_open => 298, setrlimit => 160, getrlimit => 97, iopl => 172, mknodat => 259, add_key => 248,
       keyctl => 250, sched_setscheduler => 144, acct => 163, sethostname => 170, fanotify_init => 300, fanotify_mark => 301);
my ($EPERM, $ENOENT, $EIO, $ENXIO, $EACCES, $EFAULT, $EBUSY, $EEXIST, $ENODEV, $EINVAL, $ENOSYS)
    = (1, 2, 5, 6, 13, 14, 16, 17, 19, 22, 38);
# The arguments of the last system call, with what the kernel wrote into them.
my @out;

sub call {
    (my $name, @out) = @_;
    return (-1, $ENOSYS) unless $number{$name};
    $! = 0;
    my $got = syscall($number{$name}, @out);
    return ($got, $! + 0);
}

sub contents {
    my ($path) = @_;
    open(my $in, "<", $path) or return "";
    sysread($in, my $text, 1 << 16);
    return $text // "";
}

sub write_to {
    my ($path, $text) = @_;
    open(my $out, "+<", $path) or return $! + 0;
    defined(syswrite($out, $text)) or return $! + 0;
    close($out) or return $! + 0;
    return 0;
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
    return "absent" if grep { $errno == $_ } $ENOSYS, $ENOENT, $ENODEV, $ENXIO;
    return "refused";
}

sub text_of {
    my ($errno) = @_;
    return "" unless $errno;
    local $! = $errno;
    return "$!";
}

sub report {
    my ($key, $errno, @passed) = @_;
    $errno = 0 if grep { $_ == $errno } @passed;
    say_state($key, state_of($errno), text_of($errno));
}

# One line for several attempts: `possible` if one of them is. The observation names
# those that are possible, or the errors of all.
sub report_all {
    my ($key, %errors) = @_;
    my @possible = sort grep { !$errors{$_} } keys %errors;
    return say_state($key, "possible", "@possible") if @possible;
    my @states = map { state_of($_) } values %errors;
    my %texts = map { text_of($_) => 1 } values %errors;
    my $refused = grep { $_ eq "refused" } @states;
    say_state($key, $refused ? "refused" : "absent", join(", ", sort keys %texts));
}

my $held = contents("/proc/self/status") =~ /CapBnd:\s*([0-9a-f]+)/ ? hex($1) : 0;
my %bit = (DAC_READ_SEARCH => 2, SYS_MODULE => 16, SYS_RAWIO => 17, SYS_PACCT => 20, SYS_BOOT => 22,
           SYS_RESOURCE => 24, SYS_TIME => 25);

# A system call that needs a capability of the host's user namespace. Without it the
# way is refused, also if the kernel does not have the call. `@passed`: errors that occur
# after the check.
sub gated {
    my ($key, $capability, $errno, @passed) = @_;
    $errno = 0 if grep { $_ == $errno } @passed;
    if (!($held >> $bit{$capability} & 1)) {
        return say_state($key, $errno ? "refused" : "possible", "no $capability");
    }
    report($key, $errno);
}

# Writes back what a file holds; returns the error number. A file that another file
# system covers, as the agent covers some settings, is absent.
sub write_back {
    my ($path) = @_;
    my ($tree) = $path =~ m{^(/proc|/sys)/(?!fs/)};
    return $ENOENT if $tree && -e $path && (stat($path))[0] != (stat($tree))[0];
    open(my $in, "<", $path) or return $! + 0;
    sysread($in, my $value, 4096);
    close $in;
    # The current choice of several.
    $value = $1 if ($value // "") =~ /\[(\w+)\]/;
    return write_to($path, $value // "");
}

# Not in /tmp, where the kernel opens no device.
my $dir = "/dev/escape-$$";
mkdir $dir;
my ($mounted, @allowed);

sub mount_at {
    my ($source, $target, $type, $options) = @_;
    mkdir $target;
    my $data = defined $options ? "$options\0" : 0;
    my ($got, $errno) = call("mount", "$source\0", "$target\0", "$type\0", 0, $data);
    return $got == 0 ? 0 : $errno;
}

sub umount { call("umount2", "$_[0]\0", 2) }

# Creates a device file; returns the error number.
sub node {
    my ($path, $type, $major, $minor) = @_;
    my $mode = ($type eq "b" ? 0060000 : 0020000) | 0600;
    my ($got, $errno) = call("mknodat", -100, "$path\0", $mode, $major << 8 | $minor & 0xff | ($minor & ~0xff) << 12);
    return $got == 0 ? 0 : $errno;
}

sub tidy {
    if ($mounted) { umount($mounted); $mounted = undef }
    while (my $rule = pop @allowed) { write_to("/sys/fs/cgroup/devices/devices.deny", $rule) }
}

sub remove_all {
    my ($path) = @_;
    if (-d $path && !-l $path) {
        opendir(my $in, $path) or return;
        remove_all("$path/$_") for grep { $_ ne "." && $_ ne ".." } readdir $in;
        closedir $in;
        rmdir $path;
    } else {
        unlink $path;
    }
}

# A mount that remains must not be emptied.
END { tidy(); remove_all($dir) if $dir && !$mounted && contents("/proc/self/mounts") !~ / \Q$dir\E/ }
