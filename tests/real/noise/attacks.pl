# Programs that use up one resource of the kernel or of the host, as root in a node or
# in a pod: perl - NAME SECONDS. Each ends after this time; the test kills what is left.
# What is not limited by the node's own limits is limited here, so that the host
# survives: memory that no limit counts to BOUND MiB, disk to DISK MiB.
#
# Environment: BOUND, DISK, PEER (the address of another node of the cluster), GATEWAY (the
# address of the host in the network of the cluster), FOLDER (on the disk of the node).
# Only modules of perl-base are used. The last line that is printed says what was done.
use strict;
use warnings;
no warnings "portable";
use POSIX ();
use Socket;
use Time::HiRes qw(time sleep);

my $arm = (POSIX::uname())[4] eq "aarch64";
my %number = $arm
    ? (mount => 40, umount2 => 39, unshare => 97, add_key => 217, inotify_init1 => 26, inotify_add_watch => 27,
       epoll_create1 => 20, epoll_ctl => 21, mq_open => 180, mq_timedsend => 182, shmget => 194, shmat => 196, prctl => 167,
       perf_event_open => 241, mmap => 222, getpid => 172, sync => 81)
    : (mount => 165, umount2 => 166, unshare => 272, add_key => 248, inotify_init1 => 294, inotify_add_watch => 254,
       epoll_create1 => 291, epoll_ctl => 233, mq_open => 240, mq_timedsend => 242, shmget => 29, shmat => 30, prctl => 157,
       perf_event_open => 298, mmap => 9, getpid => 39, sync => 162);
my ($NEWNS, $NEWUSER, $NEWNET) = (0x20000, 0x10000000, 0x40000000);
my ($name, $seconds) = @ARGV;
my $end = time + $seconds;
my $bound = ($ENV{BOUND} || 256) << 20;
my $disk = ($ENV{DISK} || 64) << 20;
my $folder = $ENV{FOLDER} || "/tmp";
my %attack;
my @kept;
$SIG{PIPE} = "IGNORE";

# Copies, because strings that are passed to the kernel must not be constants.
sub call { my ($which, @passed) = @_; return syscall($number{$which}, @passed) }
sub left { return time < $end }
sub say { print join(" ", @_), "\n" }

# Runs a function in several processes until the end, again whenever one ends.
sub workers {
    my ($count, $work) = @_;
    my %running;
    my $started = 0;
    while (left()) {
        while (keys %running < $count) {
            my $pid = fork;
            last unless defined $pid;
            if (!$pid) {
                call("prctl", 1, 9, 0, 0, 0);
                # The kernel ends these first, and then they are started again.
                if (open(my $adjust, ">", "/proc/self/oom_score_adj")) { syswrite($adjust, "1000") }
                $work->($started);
                POSIX::_exit(0);
            }
            $running{$pid} = 1;
            $started++;
        }
        while ((my $ended = waitpid(-1, POSIX::WNOHANG())) > 0) { delete $running{$ended} }
        sleep 0.02;
    }
    kill "KILL", keys %running;
    while (waitpid(-1, 0) > 0) { }
    say("$started processes");
}

# Keeps what it holds until the end.
sub hold { say(@_); sleep 0.05 while left(); }

sub written {
    my ($path, $bytes, $sync) = @_;
    open(my $out, ">", $path) or return 0;
    my ($block, $done) = ("x" x 65536, 0);
    while ($done < $bytes && left()) {
        my $n = syswrite($out, $block) or last;
        $done += $n;
        IO::Handle::sync($out) if $sync;
    }
    return $done;
}

sub in_own_mounts {
    call("unshare", $NEWNS) == 0 or die "unshare: $!";
    # Private, recursively.
    call("mount", "none", my $root = "/", 0, (1 << 18) | (1 << 14), 0);
}

sub loopback_up {
    socket(my $s, PF_INET, SOCK_DGRAM, 0);
    # SIOCSIFFLAGS: up and running.
    ioctl($s, 0x8914, my $request = pack("a16 s x22", "lo", 0x41));
}

sub nofile {
    # As many files as the hard limit of this process permits.
    my ($hard) = qx(sh -c 'ulimit -n \$(ulimit -H -n); ulimit -n') =~ /(\d+)/;
    return $hard || 1024;
}

$attack{"fork"} = sub {
    my $count = 0;
    # Every process forks as long as it can.
    while (left()) { my $pid = fork; if (defined $pid && !$pid) { $count = 0 } elsif (defined $pid) { $count++ } }
    POSIX::_exit(0);
};

$attack{"zombies"} = sub {
    my $count = 0;
    while (left()) {
        my $pid = fork;
        POSIX::_exit(0) if defined $pid && !$pid;
        defined $pid ? $count++ : sleep 0.001;
    }
    say("$count processes that ended");
};

$attack{"cpu"} = sub { workers(8, sub { 1 while 1 }) };

$attack{"memory"} = sub {
    workers(3, sub {
        my @blocks;
        push @blocks, "x" x (4 << 20) while left();
    });
};

$attack{"page-cache"} = sub {
    my $path = "$folder/cache";
    my $size = written($path, $disk, 0);
    my $read = 0;
    workers(3, sub {
        while (1) {
            open(my $in, "<", $path) or last;
            $read += length $_ while sysread($in, $_, 1 << 20);
        }
    });
};

$attack{"tmpfs"} = sub {
    workers(2, sub {
        my ($n) = @_;
        written("/dev/shm/noise-$n", $disk, 0);
        written("/run/noise-$n", $disk, 0);
        unlink glob "/dev/shm/noise-* /run/noise-*";
    });
    unlink glob "/dev/shm/noise-* /run/noise-*";
};

$attack{"inodes"} = sub {
    in_own_mounts();
    call("mount", "none", "/mnt", "tmpfs", 0, "nr_inodes=0") == 0 or die "mount: $!";
    workers(3, sub {
        my ($worker, $n) = (@_, 0);
        mkdir "/mnt/$worker";
        while (left()) {
            mkdir "/mnt/$worker/d$n" or last;
            # A name that does not exist is remembered, too.
            stat "/usr/noise-$worker-$n";
            $n++;
        }
        sleep 0.2;
    });
};

$attack{"mounts"} = sub {
    in_own_mounts();
    workers(3, sub {
        call("unshare", $NEWNS);
        my $n = 0;
        while (left()) { call("mount", "none", "/mnt", "tmpfs", 0, 0) == 0 or last; $n++ }
        sleep 0.1;
    });
};

$attack{"log"} = sub {
    workers(2, sub {
        # Root may not open it by its name, but may take it from the process.
        my $process = syscall(434, 1, 0);
        my $fd = $process < 0 ? -1 : syscall(438, $process, 1, 0);
        my $out;
        open($out, ">&=", $fd) or open($out, ">", "/proc/1/fd/1") or die "standard output: $!";
        my $line = ("noise " x 170) . "\n";
        my $block = $line x 60;
        syswrite($out, $block) while left();
    });
};

$attack{"disk"} = sub {
    my $done = 0;
    workers(2, sub { written("$folder/fill-$_[0]", $disk / 2, 0); call("sync"); unlink "$folder/fill-$_[0]" });
};

$attack{"fsync"} = sub {
    require IO::Handle;
    workers(4, sub {
        my $n = 0;
        while (left()) { written("$folder/sync-$_[0]-" . $n++ % 8, 131072, 1) }
    });
};

$attack{"inotify"} = sub {
    workers(4, sub {
        my @all;
        while (left()) {
            my $fd = call("inotify_init1", 0);
            last if $fd < 0;
            push @all, $fd;
        }
        my $n = 0;
        for my $fd (@all) {
            for my $file (glob "/proc/sys/*/* /usr/bin/* /usr/lib/*/*") {
                last unless left();
                $n++ if call("inotify_add_watch", $fd, my $path = $file, 0xfff) >= 0;
            }
        }
        hold(scalar @all, "instances", $n, "watches");
    });
};

$attack{"files"} = sub {
    my $each = nofile();
    workers(150, sub {
        my @all;
        while (left()) { open(my $file, "<", "/dev/null") or last; push @all, $file }
        hold(scalar @all, "files");
    });
};

$attack{"epoll"} = sub {
    workers(20, sub {
        my @all;
        for (1 .. 60) {
            my $set = call("epoll_create1", 0);
            last if $set < 0;
            for (1 .. 150) {
                open(my $file, "<", "/proc/self/mounts") or last;
                push @all, $file;
                my $event = pack("L q", 1, 0);
                call("epoll_ctl", $set, 1, fileno($file), $event);
            }
        }
        hold(scalar @all, "watches");
    });
};

$attack{"pipes"} = sub {
    workers(20, sub {
        my @all;
        while (left() && @all < 4000) {
            pipe(my $in, my $out) or last;
            # F_SETPIPE_SZ: as large as the kernel permits.
            fcntl($out, 1031, 1 << 20);
            fcntl($out, POSIX::F_SETFL(), POSIX::O_NONBLOCK());
            1 while syswrite($out, "x" x 65536);
            push @all, $in, $out;
        }
        hold(scalar @all / 2, "pipes");
    });
};

$attack{"unix-sockets"} = sub {
    workers(10, sub {
        my @all;
        while (left() && @all < 8000) {
            socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or last;
            fcntl($a, POSIX::F_SETFL(), POSIX::O_NONBLOCK());
            1 while syswrite($a, "x" x 65536);
            push @all, $a, $b;
        }
        hold(scalar @all / 2, "pairs");
    });
};

$attack{"shared-memory"} = sub {
    workers(3, sub {
        my @all;
        while (left()) {
            my $id = call("shmget", 0, 64 << 20, 0600 | 01000);
            last if $id < 0;
            my $at = call("shmat", $id, 0, 0);
            # Removed when this process ends.
            shmctl($id, 0, 0);
            last if $at < 0;
            push @all, $at;
            for (my $offset = 0; $offset < 64 << 20; $offset += 65536) {
                open(my $memory, "+<", "/proc/self/mem") or last;
                sysseek($memory, $at + $offset, 0);
                syswrite($memory, "x" x 65536) or last;
            }
        }
    });
};

$attack{"message-queues"} = sub {
    workers(8, sub {
        my ($worker, $n) = (@_, 0);
        # The limits of bytes are counted by user.
        POSIX::setuid(1000 + $worker) if $worker;
        while (left()) {
            my $queue = call("mq_open", my $q = "noise-$worker-$n", POSIX::O_RDWR() | 0100 | POSIX::O_NONBLOCK(), 0600,
                             pack("q4 x32", 0, 10, 8192, 0));
            last if $queue < 0;
            1 while call("mq_timedsend", $queue, my $text = "x" x 8192, 8192, 0, 0) == 0;
            $n++;
        }
        hold($n, "queues");
    });
};

$attack{"user-namespaces"} = sub {
    workers(40, sub { while (left()) { call("unshare", $NEWUSER) == 0 or last } sleep 0.2 });
};

$attack{"network-namespaces"} = sub {
    workers(6, sub { while (left()) { call("unshare", $NEWNET) == 0 or last } sleep 0.2 });
};

$attack{"devices"} = sub {
    call("unshare", $NEWNET);
    workers(4, sub {
        my ($worker, $n) = (@_, 0);
        while (left()) {
            system("ip link add n$worker-$n type veth peer name m$worker-$n 2>/dev/null");
            system("ip link del n$worker-" . ($n - 40) . " 2>/dev/null") if $n >= 40;
            $n++;
        }
    });
};

$attack{"cgroups"} = sub {
    my @tops = grep { -w "$_/cgroup.procs" } glob("/sys/fs/cgroup/memory /sys/fs/cgroup/cpu /sys/fs/cgroup/pids /sys/fs/cgroup");
    my $count = 0;
    workers(2, sub {
        my ($worker) = @_;
        for my $top (@tops) { mkdir "$top/noise-$worker" }
        my $n = 0;
        while (left() && $n < 4000) {
            my $made = 0;
            for my $top (@tops) { $made += mkdir "$top/noise-$worker/$n" }
            last unless $made;
            $n++;
        }
        for my $top (@tops) { rmdir "$top/noise-$worker/$_" for 0 .. $n; rmdir "$top/noise-$worker" }
    });
    for my $top (@tops) { for my $group (glob "$top/noise-*") { rmdir $_ for glob "$group/*"; rmdir $group } }
};
