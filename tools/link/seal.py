# SPDX-License-Identifier: MIT
"""A session's sealing: a key and a salt for each direction, a counter that makes each datagram's
nonce, and a window that refuses what came before."""
import hmac
import struct
import sys

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError:
    print("the link needs python3-cryptography: run tools/setup link", file=sys.stderr)
    sys.exit(2)

from link import wire

WINDOW = 256
KEY, SALT = 32, 4
ASKER, ANSWERER = 0, 1  # whose side this is
WORD = (1 << 64) - 1


class Refused(Exception):
    """A datagram that is not taken: "form", "session", "seal" or "replay"."""


def suites_of(key):
    """The mask that a side with this key offers; a key of no bytes is none."""
    return 1 << wire.SUITE_CHACHA | 1 << wire.SUITE_AES if key else 1 << wire.SUITE_NONE


def best_suite(key, offered):
    common = suites_of(key) & offered
    return common.bit_length() - 1 if common else wire.SUITE_REFUSED


class Checksum:
    """Suite "none": against accidents only. Has the interface of the ciphers."""

    def __init__(self, key):
        self.key = key

    @staticmethod
    def _sum(h, data):
        words = struct.unpack(f"<{-(-len(data) // 8)}Q", data + bytes(-len(data) % 8))
        for word in words:
            h = (h ^ word) * 0x9e3779b97f4a7c15 & WORD
            h ^= h >> 29
        return h

    def _tag(self, nonce, data, clear):
        h = self._sum(len(data), self.key)
        for part in (nonce, clear, data):
            h = self._sum(h, part)
        return struct.pack("<QQ", h, h * 0xff51afd7ed558ccd & WORD)

    def encrypt(self, nonce, data, clear):
        return data + self._tag(nonce, data, clear)

    def decrypt(self, nonce, data, clear):
        data, tag = data[:-wire.TAG], data[-wire.TAG:]
        if not hmac.compare_digest(tag, self._tag(nonce, data, clear)):
            raise InvalidTag
        return data


CIPHERS = (Checksum, ChaCha20Poly1305, lambda key: AESGCM(key[:16]))


class Channel:
    def __init__(self, side, suite, key, asker_nonce, answerer_nonce):
        purpose = b"cleave link\0" + struct.pack("<HB", wire.VERSION, suite)
        bits = HKDF(algorithm=hashes.SHA256(), length=4 + 2 * (KEY + SALT), salt=asker_nonce + answerer_nonce,
                    info=purpose).derive(key)
        ends = [bits[at:at + KEY + SALT] for at in (4, 4 + KEY + SALT)]
        self.session = int.from_bytes(bits[:4], "little") or 1
        self.suite = suite
        self._out, self._in = (CIPHERS[suite](ends[end][:KEY]) for end in (side, 1 - side))
        self._out_salt, self._in_salt = (ends[end][KEY:] for end in (side, 1 - side))
        self.sent = self._high = self._came = 0

    def next_counter(self):
        self.sent += 1
        return self.sent

    def seal(self, body):
        head = wire.HEAD_FORM.pack(self.session, self.next_counter())
        return head + self._out.encrypt(self._out_salt + head[4:], body, head)

    def open(self, datagram):
        """The body. Raises Refused."""
        size = wire.HEAD_FORM.size
        if not size + wire.BODY_FORM.size + wire.TAG <= len(datagram) <= wire.DATAGRAM_MAX:
            raise Refused("form")
        session, counter = wire.HEAD_FORM.unpack_from(datagram)
        if session != self.session:
            raise Refused("session")
        return self._unseal(datagram[:size], datagram[size:], counter)

    def seal_open(self, asker_nonce, offer):
        counter = self.next_counter()
        clear = wire.OPEN_FORM.pack(0, wire.OPEN, self.suite, wire.VERSION, asker_nonce, counter)
        return clear + self._out.encrypt(self._out_salt + struct.pack("<Q", counter), offer, clear)

    def open_open(self, datagram):
        """The packed offer of a link_open of the right length. Raises Refused."""
        size = wire.OPEN_FORM.size
        counter = int.from_bytes(datagram[size - 8:size], "little")
        return self._unseal(datagram[:size], datagram[size:], counter)

    def _unseal(self, clear, sealed, counter):
        try:
            body = self._in.decrypt(self._in_salt + struct.pack("<Q", counter), sealed, clear)
        except InvalidTag:
            raise Refused("seal") from None
        age = self._high - counter
        if not counter or age >= WINDOW or (age >= 0 and self._came >> age & 1):
            raise Refused("replay")
        if age < 0:
            # Only what has opened moves the window: a forged counter would shut others out.
            self._came = self._came << min(-age, WINDOW) & (1 << WINDOW) - 1
            self._high, age = counter, 0
        self._came |= 1 << age
        return body
