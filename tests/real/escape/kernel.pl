# The fourth part of the probe: system calls that affect the kernel.

{ my (undef, $e) = call("iopl", 3); gated("iopl", "SYS_RAWIO", $e); }
{ my (undef, $e) = call("init_module", 0, 0, "\0"); gated("module", "SYS_MODULE", $e, $EINVAL, $EFAULT, 8); }
{ my (undef, $e) = call("kexec_load", 0, 0, 0, 0); gated("kexec", "SYS_BOOT", $e); }
# CAD_OFF. In a PID namespace the kernel does not have this command, and the others end
# the processes of the namespace only.
{ my (undef, $e) = call("reboot", 0xfee1dead, 672274793, 0, 0); say_state("reboot", $e ? "refused" : "possible", text_of($e)); }
# The kernel detects that the path does not exist after the check of privileges.
{ my (undef, $e) = call("acct", "$dir/none\0"); gated("accounting", "SYS_PACCT", $e, $ENOENT); }
{ my (undef, $e) = call("swapoff", "$dir/none\0"); say_state("swap", $e == $EPERM ? "refused" : "possible", text_of($e)); }

{
    my $now = "\0" x 256;
    call("adjtimex", $now);
    $now = $out[0];
    # ADJ_TICK with the value that it has.
    substr($now, 0, 4) = pack("L", 0x4000);
    my ($got, $e) = call("adjtimex", $now);
    gated("clock", "SYS_TIME", $got >= 0 ? 0 : $e);
}
{
    my $limit = "\0" x 16;
    call("getrlimit", 7, $limit);
    my ($soft, $hard) = unpack("QQ", $out[1]);
    my (undef, $e) = call("setrlimit", 7, pack("QQ", $soft, $hard + 1));
    gated("rlimit", "SYS_RESOURCE", $e);
}
{ my ($got, $e) = call("syslog", 3, "\0" x 4096, 4096); report("kernel-log", $got >= 0 ? 0 : $e); }
{
    my $e = open(my $in, "<", "/proc/kmsg") ? 0 : $! + 0;
    my $f = open(my $log, "<", "/dev/kmsg") ? 0 : $! + 0;
    report_all("kernel-log-files", "/proc/kmsg", $e, "/dev/kmsg", $f);
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
{ my $e = setpriority(0, 0, -1) ? 0 : $! + 0; report("priority", $e); setpriority(0, 0, 0); }
{
    # SCHED_FIFO, and back.
    my ($got, $e) = call("sched_setscheduler", 0, 1, pack("l", 1));
    report("real-time", $got == 0 ? 0 : $e);
    call("sched_setscheduler", 0, 0, pack("l", 0)) if $got == 0;
}
{
    my $e = write_to("/proc/self/oom_score_adj", "-1000");
    report("oom-score", $e);
    write_to("/proc/self/oom_score_adj", "0") unless $e;
}
# The name that it has.
{
    my $name = (POSIX::uname())[1];
    my (undef, $e) = call("sethostname", "$name\0", length $name);
    report("host-name", $e);
}
