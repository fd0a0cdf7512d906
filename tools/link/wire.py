# SPDX-License-Identifier: MIT
"""Every byte of the link, as docs/protocol.md says; the numbers and sentences that are lists in
hv/link/wire.h are read from there."""
import os
import re
import struct
from typing import NamedTuple

VERSION = 1
DATAGRAM_MAX = 1472
NONCE = ID = TAG = 16
KEY_MIN, KEY_MAX = 16, 64
PAGE = 4096

PIECE = 1368
PARITY = 3
ALL, MASK = 0x7, 0xf
STATE_MAX = 64 * PIECE

HELLO, WELCOME, OPEN, STALE = 1, 2, 3, 4
ASK, STATE_ASK, TAKE, DONE, LEAVE = 1, 2, 3, 4, 5
OPENED, STATUS, STATE, PAGE_PIECE, RUNS, GIVEN, ENDED, REFUSED, PACKED_PAGE = range(17, 26)

SUITE_NONE, SUITE_CHACHA, SUITE_AES = 0, 1, 2
SUITES = ("none", "ChaCha20-Poly1305", "AES-128-GCM")
SUITE_REFUSED = 255

RUNS_HERE, FROZEN, GONE = 1, 2, 3
DATA, ZEROS, LOST = 0, 1, 2
VMX, SVM = 1, 2

ASKS_MAX, ASK_FRAMES_MAX = 32, 64
URGENT = 1
RUN_GFN_BITS, RUN_FRAMES_BITS = 40, 21
RUN_FRAMES_MAX = 1 << 20
REGIONS_MAX = 4

HELLO_FORM = struct.Struct("<IBBH16sI12s")
WELCOME_FORM = struct.Struct("<IBBH16s16s")
OPEN_FORM = struct.Struct("<IBBH16sQ")
STALE_FORM = struct.Struct("<IBBHI")
HEAD_FORM = struct.Struct("<IQ")
BODY_FORM = struct.Struct("<BBHI")
ASK_FORM = struct.Struct("<QHBBI")
RUN_FORM = struct.Struct("<Q")
STATUS_FORM = struct.Struct("<16sB3xI")
STATE_ASK_FORM = struct.Struct("<Q")


def _lists():
    """The lists of the header: {"LINK_REASONS": [(name, number or None, text)]}."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../hv/link/wire.h")
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("\\\n", "\n")
    found = {}
    for name, body in re.findall(r"^#define (LINK_\w+)\(X\)((?:\s*X\([^\n]*)+)", text, re.MULTILINE):
        entries = re.findall(r'X\((\w+), (?:(\d+), )?"([^"]*)"\)', body)
        found[name] = [(word, int(number) if number else None, text) for word, number, text in entries]
    return found


_LISTS = _lists()
REASON = {name: number for name, number, _ in _LISTS["LINK_REASONS"]}
REASON_TEXT = {number: text for _, number, text in _LISTS["LINK_REASONS"]}
FEATURE = {name: 1 << bit for name, bit, _ in _LISTS["LINK_FEATURES"]}
CPU_WORDS = [name for name, _, _ in _LISTS["LINK_CPU_WORDS"]]
ALL_FEATURES = sum(FEATURE.values())

OFFER_FORM = struct.Struct(f"<HBBBBHIIQQ{2 * REGIONS_MAX}Q{len(CPU_WORDS)}I16s16s")
OPEN_BYTES = OPEN_FORM.size + OFFER_FORM.size + TAG


def reason_text(reason):
    return REASON_TEXT.get(reason, "a reason that this version does not know")


class Malformed(Exception):
    """A datagram, or a part of one, that is none of ours."""


class Offer(NamedTuple):
    """What a side is: struct link_offer."""
    vendor: int = 0
    backing: int = 0
    vcpus: int = 0
    phase: int = 0
    state_version: int = 0
    suites: int = 0
    state_bytes: int = 0
    features: int = 0
    needs: int = 0
    regions: tuple = ()  # (gfn, frames), at most REGIONS_MAX
    cpu: tuple = (0,) * len(CPU_WORDS)
    image: bytes = bytes(ID)
    taker: bytes = bytes(ID)

    def pack(self):
        regions = [*self.regions, *[(0, 0)] * (REGIONS_MAX - len(self.regions))]
        return OFFER_FORM.pack(VERSION, self.vendor, self.backing, self.vcpus, self.phase,
                               self.state_version, self.suites, self.state_bytes, self.features,
                               self.needs, *(word for region in regions for word in region),
                               *self.cpu, self.image, self.taker)


def unpack_offer(data):
    if len(data) != OFFER_FORM.size:
        raise Malformed
    version, *words = OFFER_FORM.unpack(data)
    if version != VERSION:
        raise Malformed
    head, rest = words[:9], words[9:]
    numbers = rest[:2 * REGIONS_MAX]
    regions = tuple(pair for pair in zip(numbers[::2], numbers[1::2]) if pair[1])
    return Offer(*head, regions, tuple(rest[2 * REGIONS_MAX:-2]), *rest[-2:])


def has(regions, gfn, frames):
    """Are all of these frames in one of the regions?"""
    return any(first <= gfn and gfn + frames <= first + n for first, n in regions)


def body(kind, detail=0, gfn=0, then=b""):
    return BODY_FORM.pack(kind, detail, gfn >> 32, gfn & 0xffffffff) + then


def parse_body(data):
    """(kind, detail, gfn, what follows)."""
    if len(data) < BODY_FORM.size:
        raise Malformed
    kind, detail, high, low = BODY_FORM.unpack_from(data)
    return kind, detail, high << 32 | low, data[BODY_FORM.size:]


def page_piece(page, piece):
    """A piece of 4096 bytes."""
    if piece < PARITY:
        return page[piece * PIECE:(piece + 1) * PIECE]
    padded = page + bytes(3 * PIECE - PAGE)
    words = (int.from_bytes(padded[n * PIECE:(n + 1) * PIECE], "little") for n in range(3))
    parity = 0
    for word in words:
        parity ^= word
    return parity.to_bytes(PIECE, "little")


def piece_bytes(piece):
    return PIECE - 8 if piece == 2 else PIECE


def pieces_mask(total):
    """Of a state of so many bytes."""
    return (1 << -(-total // PIECE)) - 1


def run(gfn, frames, what):
    return RUN_FORM.pack(gfn | frames << RUN_GFN_BITS | what << (RUN_GFN_BITS + RUN_FRAMES_BITS))


def parse_runs(count, data, regions):
    """[(gfn, frames, what)]."""
    if not 1 <= count <= ASK_FRAMES_MAX or len(data) != count * RUN_FORM.size:
        raise Malformed
    found = []
    for bits, in RUN_FORM.iter_unpack(data):
        gfn, frames = bits & (1 << RUN_GFN_BITS) - 1, bits >> RUN_GFN_BITS & (1 << RUN_FRAMES_BITS) - 1
        what = bits >> (RUN_GFN_BITS + RUN_FRAMES_BITS)
        if not 1 <= frames <= RUN_FRAMES_MAX or what not in (ZEROS, LOST) or not has(regions, gfn, frames):
            raise Malformed
        found.append((gfn, frames, what))
    return found


class Ask(NamedTuple):
    gfn: int
    frames: int
    pieces: int
    flags: int

    def pack(self):
        return ASK_FORM.pack(*self, 0)


def parse_asks(count, data, regions):
    if not 1 <= count <= ASKS_MAX or len(data) != count * ASK_FORM.size:
        raise Malformed
    asks = []
    for gfn, frames, pieces, flags, zero in ASK_FORM.iter_unpack(data):
        if not 1 <= frames <= ASK_FRAMES_MAX or not pieces or pieces & ~MASK or flags & ~URGENT or zero or \
                not has(regions, gfn, frames):
            raise Malformed
        asks.append(Ask(gfn, frames, pieces, flags))
    return asks
