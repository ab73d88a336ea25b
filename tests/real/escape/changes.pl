# Changes what belongs to the node's own namespaces, prints the value that the node sees,
# waits for the end of its input, and restores the values. In the meantime the test reads
# the values of the host. Environment: MARK.
use strict;
use warnings;
use POSIX ();

my $arm = (POSIX::uname())[4] eq "aarch64";
my ($mount, $umount, $sethostname) = $arm ? (40, 39, 161) : (165, 166, 170);
my $mark = $ENV{MARK};
my $dir = "/dev/$mark";
my @restore;
$SIG{$_} = sub { exit 1 } for qw(TERM INT ALRM HUP PIPE);
alarm 30;
$| = 1;
END { $_->() for reverse @restore }

sub contents { open(my $in, "<", $_[0]) or return "none: $!"; my $text = <$in>; chomp $text; return $text }

sub put { open(my $out, ">", $_[0]) or return 0; return defined syswrite($out, $_[1]) && close $out }

sub change {
    my ($key, $path, $new) = @_;
    my $old = contents($path);
    put($path, $new->($old)) or return;
    contents($path) ne $old or die "$path keeps its value $old";
    push @restore, sub { put($path, $old) };
    print "$key\t", contents($path), "\n";
}

sub mounted {
    my ($type, $options) = @_;
    my $at = "$dir/" . ($options // $type);
    mkdir $dir;
    mkdir $at;
    push @restore, sub { rmdir $at; rmdir $dir };
    syscall($mount, "$type\0", "$at\0", "$type\0", 0, $options ? "$options\0" : 0) == 0 or return;
    push @restore, sub { syscall($umount, "$at\0", 2) };
    return $at;
}

change("pid-max", "/proc/sys/kernel/pid_max", sub { $_[0] - 1 });
# Any number but 0 switches forwarding on.
change("forwarding", "/proc/sys/net/ipv4/ip_forward", sub { 2 });
change("user-limits", "/proc/sys/user/max_user_namespaces", sub { $_[0] - 1 });
my $name = (POSIX::uname())[1];
if (syscall($sethostname, "$mark\0", length $mark) == 0) {
    push @restore, sub { syscall($sethostname, "$name\0", length $name) };
    print "host-name\t", (POSIX::uname())[1], "\n";
}
if (my $at = mounted("mqueue")) {
    if (open(my $queue, ">", "$at/$mark")) {
        push @restore, sub { unlink "$at/$mark" };
        print "mqueue\t", join(" ", map { s{.*/}{}r } glob "$at/*"), "\n";
    }
}
if (my $at = mounted("binfmt_misc")) {
    # No file begins with these bytes.
    if (put("$at/register", ":${mark}:M::${mark}::/nonexistent:")) {
        push @restore, sub { put("$at/$mark", "-1") };
        print "binfmt_misc\t", join(" ", map { s{.*/}{}r } glob "$at/*"), "\n";
    }
}
# The limit of a pod, if it has a separate cgroup, to more than that of its node.
open(my $in, "<", "/proc/self/cgroup") or die "cgroups: $!";
my ($path) = join("", <$in>) =~ m{^\d+:memory:/(.+)$}m;
if ($path && (my $at = mounted("cgroup", "memory"))) {
    change("limits-pod", "$at/$path/memory.limit_in_bytes", sub { 1 << 50 });
}
print "changed\n";
<STDIN>;
