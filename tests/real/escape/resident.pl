# Holds one of each object that others may try to reach: a process with a secret in its
# environment and memory, a key, an abstract socket, SysV shared memory, and files. Prints
# their names, and removes them when its input ends. Arguments: a mark, which is the
# secret, and directories for files.
use strict;
use warnings;
use POSIX ();
use Socket;

my ($mark, @folders) = @ARGV;
my $arm = (POSIX::uname())[4] eq "aarch64";
my ($add_key, $keyctl) = $arm ? (217, 219) : (248, 250);
$SIG{$_} = sub { exit 1 } for qw(TERM INT ALRM HUP);
alarm 300;

# In the keyring of the process first, because its possessor may set the permissions:
# all for the owner of the key. Nodes in user namespaces have no keys.
my ($type, $name) = ("user\0", "$mark\0");
my $key = syscall($add_key, $type, $name, $mark, length $mark, -2);
my $has_keys = $key > 0 || $! != 38;
if ($has_keys) {
    $key > 0 or die "add_key: $!";
    syscall($keyctl, 5, $key, 0x3f3f0000) == 0 or die "setperm: $!";
    syscall($keyctl, 8, $key, -4) == 0 or die "link: $!";
}
END { syscall($keyctl, 9, $key, -4) if ($key // 0) > 0 }

socket(my $listener, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($listener, pack_sockaddr_un("\0$mark")) && listen($listener, 8) or die "abstract socket: $!";

my $memory = shmget(0, 4096, 01600) // die "shmget: $!";
END { shmctl($memory, 0, 0) if defined $memory }
shmwrite($memory, $mark, 0, length $mark) or die "shmwrite: $!";

my @files = map { "$_/$mark" } @folders;
END { unlink @files }
for my $path (@files) {
    open(my $out, ">", $path) or die "$path: $!";
    print $out $mark;
    # Another user who reached the directory could read it.
    chmod 0644, $path;
}
open(my $opened, "+<", $files[0]) or die "$files[0]: $!" if @files;
$ENV{ESCAPE_SECRET} = $mark;
$| = 1;
print "key\t$key\nshm\t$memory\nready\n";
<STDIN>;
