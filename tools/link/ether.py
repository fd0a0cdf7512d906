# SPDX-License-Identifier: MIT
"""Datagrams in Ethernet frames, as hv/net/ether.h has them: ARP, and UDP over IPv4 without options
and fragments, between 10.99.0.1 and 10.99.0.2."""
import struct

PORT = 7411  # of both: hv/net/udp.h
TYPE_IP, TYPE_ARP = 0x0800, 0x0806
EVERYBODY = b"\xff" * 6
ARP_KIND = bytes((0, 1, 8, 0, 6, 4))  # Ethernet, IPv4, with addresses of 6 and 4 bytes
ARP_FORM = struct.Struct("!6s6sH6sH6s4s6s4s")
ARP_ASK, ARP_ANSWER = 1, 2
FRAME_MIN = 60
IP_FORM = struct.Struct("!BBHHHBBH4s4s")
IP_PLAIN, IP_DONT, IP_PIECE, TTL, UDP = 0x45, 0x4000, 0x3fff, 64, 17
UDP_FORM = struct.Struct("!HHHH")
IP_AT, UDP_AT, HEADERS = 14, 34, 42


def ip_sum(header):
    """0 if the header's checksum is in it and right (RFC 1071)."""
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Ether:
    def __init__(self, here, there):
        """The numbers of both ends, 1 and 2."""
        self.mac = bytes((0x52, 0x54, 0, 0x63, 1, here))
        self.ip, self.peer_ip = bytes((10, 99, 0, here)), bytes((10, 99, 0, there))
        self.peer_mac = None

    def _arp(self, to, operation):
        target = to if operation == ARP_ANSWER else bytes(6)
        frame = ARP_FORM.pack(to, self.mac, TYPE_ARP, ARP_KIND, operation, self.mac, self.ip, target,
                              self.peer_ip)
        return frame + bytes(FRAME_MIN - len(frame))

    def ask(self):
        return self._arp(EVERYBODY, ARP_ASK)

    def wrap(self, datagram):
        """A frame, or None: where the peer is nobody has said yet."""
        if not self.peer_mac:
            return None
        size = UDP_FORM.size + len(datagram)
        fields = (IP_PLAIN, 0, IP_FORM.size + size, 0, IP_DONT, TTL, UDP)
        check = ip_sum(IP_FORM.pack(*fields, 0, self.ip, self.peer_ip))
        return b"".join((self.peer_mac, self.mac, TYPE_IP.to_bytes(2, "big"),
                         IP_FORM.pack(*fields, check, self.ip, self.peer_ip),
                         UDP_FORM.pack(PORT, PORT, size, 0), datagram))

    def read(self, frame):
        """(the datagram or None, a frame to answer with or None)."""
        if len(frame) < IP_AT or frame[:6] not in (self.mac, EVERYBODY):
            return None, None
        kind = int.from_bytes(frame[12:14], "big")
        if kind == TYPE_ARP and len(frame) >= ARP_FORM.size:
            return None, self._read_arp(frame)
        if kind == TYPE_IP and frame[:6] == self.mac and len(frame) >= HEADERS:
            return self._read_ip(frame), None
        return None, None

    def _read_arp(self, frame):
        _, _, _, kind, operation, mac, ip, _, target = ARP_FORM.unpack_from(frame)
        if kind != ARP_KIND or operation not in (ARP_ASK, ARP_ANSWER) or (ip, target) != (self.peer_ip, self.ip):
            return None
        self.peer_mac = mac
        return self._arp(mac, ARP_ANSWER) if operation == ARP_ASK else None

    def _read_ip(self, frame):
        version, _, total, _, fragment, _, protocol, _, source, target = IP_FORM.unpack_from(frame, IP_AT)
        sender, port, size, _ = UDP_FORM.unpack_from(frame, UDP_AT)
        if (version, protocol, source, target, sender, port) != \
                (IP_PLAIN, UDP, self.peer_ip, self.ip, PORT, PORT) or fragment & IP_PIECE or \
                ip_sum(frame[IP_AT:UDP_AT]):
            return None
        if total > len(frame) - IP_AT or size < UDP_FORM.size or total != IP_FORM.size + size:
            return None
        return frame[HEADERS:HEADERS + size - UDP_FORM.size]
