# The second part of the probe: processes of the host, and objects by which they are reached.
# The test also runs this part on the host, where all of them are reached.

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

sub processes {
    my $mark;
    for my $path (glob "/proc/[0-9]*/cmdline") {
        $mark = $path if grep { $_ eq $ENV{MARK} } split /\0/, contents($path);
    }
    say_state("processes", $mark ? "possible" : "refused", $mark // "");
}

socket_answers("socket", $ENV{ENGINE_SOCKET} || "/run/docker.sock", 0);
processes();
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
