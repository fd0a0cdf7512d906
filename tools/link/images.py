# SPDX-License-Identifier: MIT
"""Files with the memory of a guest, as the answerer serves them: snapshots of Cleave's, other ELF
cores, QEMU's mapped-ram files, and raw memory.

An image has .title, .identity, .offer, .state, .look(gfn) and .ranges(). Nothing is read before it
is asked for.
"""
import hashlib
import os
import struct
import zlib
from typing import NamedTuple, Optional

from link import elf, facts, wire
from link.transport import Problem

RANGE = 2 << 20  # bytes that have one checksum
FRAMES = RANGE // wire.PAGE
ZERO_PAGE = bytes(wire.PAGE)
ZERO_CRC = zlib.crc32(bytes(RANGE))
FRAMES_MAX = 1 << 28  # of a guest: 1 TiB
SAMPLES = 64  # pages that go into the identity of a file that has none
# What a file without a guest says in place of a state, which may not be empty.
NO_STATE = b"memory without a guest"
MAPPED_RAM = b"QEVM\0\0\0\3"
RAM_SECTION = b"\3ram" + struct.pack(">II", 0, 4)  # instance and version
MAPPED_HEADER = struct.Struct(">IQQQ")
MAPPED_VERSION = 1
SIZE_FLAG, SIZE_FLAGS = 4, 0xfff  # RAM_SAVE_FLAG_MEM_SIZE, in the low bits of the sizes' sum


class Extent(NamedTuple):
    """From gfn on."""
    frames: int
    what: int  # wire.DATA, ZEROS or LOST
    data: Optional[bytes] = None


class Piece(NamedTuple):
    """Memory that lies in the file in one piece; counted in frames, but for the offset."""
    gfn: int
    frames: int
    offset: int
    in_file: int


class Image:
    def __init__(self, path, fd, title, pieces):
        self.path, self.fd, self.title, self.pieces = path, fd, title, pieces
        first, last = pieces[0].gfn, pieces[-1]
        regions = ((first, last.gfn + last.frames - first),)  # what lies between pieces is zeros
        self.identity = self._sampled()
        self.state = NO_STATE
        self.offer = wire.Offer(regions=regions, features=wire.ALL_FEATURES, needs=wire.FEATURE["MEMORY_ONLY"])

    def close(self):
        os.close(self.fd)

    def _sampled(self):
        """Another file, or one that was changed, has another identity."""
        about = os.fstat(self.fd)
        digest = hashlib.sha256(f"{self.title} {about.st_size} {about.st_mtime_ns}".encode())
        for n in range(SAMPLES):
            digest.update(os.pread(self.fd, wire.PAGE, about.st_size * n // SAMPLES))
        return digest.digest()[:wire.ID]

    def find(self, gfn):
        """(the piece, or None; how many frames from gfn on are alike in that)."""
        for piece in self.pieces:
            if gfn < piece.gfn:
                return None, piece.gfn - gfn
            if gfn < piece.gfn + piece.frames:
                return piece, piece.gfn + piece.frames - gfn
        raise IndexError(gfn)

    def look(self, gfn):
        """The contents from gfn on."""
        piece, frames = self.find(gfn)
        if not piece or gfn - piece.gfn >= piece.in_file:
            return Extent(frames, wire.ZEROS)
        return self._in_file(piece.offset + (gfn - piece.gfn) * wire.PAGE, piece.in_file - (gfn - piece.gfn))

    def _in_file(self, offset, frames):
        """At that offset; at most so many frames."""
        if hole := min(self._hole(offset), frames):
            return Extent(hole, wire.ZEROS)
        data = os.pread(self.fd, wire.PAGE, offset)
        if len(data) < wire.PAGE:
            raise Problem(f"{self.path} became shorter while it was served: start again with a whole file")
        if data != ZERO_PAGE:
            return Extent(1, wire.DATA, data)
        n, most = 1, min(frames, FRAMES)
        while n < most and os.pread(self.fd, wire.PAGE, offset + n * wire.PAGE) == ZERO_PAGE:
            n += 1
        return Extent(n, wire.ZEROS)

    def _hole(self, offset):
        """Frames at that offset that the file system does not keep."""
        try:
            data = os.lseek(self.fd, offset, os.SEEK_DATA)
        except OSError:
            data = os.fstat(self.fd).st_size  # none follows
        return (data - offset) // wire.PAGE


class Mapped(Image):
    """A RAM block of QEMU's mapped-ram: a bitmap says which pages are in the file."""

    def __init__(self, path, fd, frames, pages_at, bitmap):
        super().__init__(path, fd, "QEMU's mapped-ram", [Piece(0, frames, pages_at, frames)])
        bits = [bytes(byte >> n & 1 for n in range(8)) for byte in range(256)]
        self.there = b"".join(bits[byte] for byte in bitmap)[:frames]

    def look(self, gfn):
        if self.there[gfn]:
            return super().look(gfn)._replace(frames=1)
        end = self.there.find(1, gfn)
        return Extent((end if end >= 0 else len(self.there)) - gfn, wire.ZEROS)


class Snapshot(Image):
    """A core that Cleave's note makes a guest of."""

    def __init__(self, path, fd, pieces, notes, say):
        super().__init__(path, fd, "a snapshot", pieces)
        self.facts = facts.parse(notes, path)
        self.state = facts.one(notes, facts.NOTE_STATE, path)
        self.identity = bytes.fromhex(self.facts["image"])
        self.offer = facts.offer_of(self.facts, tuple((p.gfn, p.frames) for p in pieces))
        self.lost = [tuple(run) for run in self.facts["lost"]]
        self.say = say
        self.checked = {}  # number of a range -> whether it is as it was
        self.sums = {}
        sums = facts.one(notes, facts.NOTE_SUMS, path)
        numbers = [n for piece in pieces for n in self._numbers(piece)]
        if len(sums) != 4 * len(numbers):
            raise Problem(f"{path}: a damaged snapshot: its checksums are not those of its memory")
        self.sums = dict(zip(numbers, struct.unpack(f"<{len(numbers)}I", sums)))

    @staticmethod
    def _numbers(piece):
        """Of the ranges: pieces begin and end at 2 MiB, or have a range for themselves."""
        return range(piece.gfn // FRAMES, -(-(piece.gfn + piece.frames) // FRAMES))

    def look(self, gfn):
        for first, frames in self.lost:
            if first <= gfn < first + frames:
                return Extent(first + frames - gfn, wire.LOST)
        if not self.good(gfn // FRAMES):
            return Extent(min(FRAMES - gfn % FRAMES, self.find(gfn)[1]), wire.LOST)
        extent = super().look(gfn)
        # A run ends where what is lost begins, and where nobody has looked at the checksum yet.
        stops = [first for first, _ in self.lost if gfn < first]
        frames, n = extent.frames, gfn // FRAMES + 1
        while n * FRAMES < gfn + frames and self.good(n):
            n += 1
        return extent._replace(frames=min([frames, *(stop - gfn for stop in stops),
                                           max(n * FRAMES - gfn, 1)]))

    def good(self, number):
        """Is the range as it was? Else all of it is lost."""
        if number not in self.checked:
            self.checked[number] = self._sum(number) == self.sums.get(number, ZERO_CRC)
            if not self.checked[number]:
                self.say(f"{self.path} is damaged: the 2 MiB at gpa {number * RANGE:#x} are not what they were: "
                         "served as lost")
        return self.checked[number]

    def _sum(self, number):
        return range_sum(self.fd, self.pieces, number)


def range_sum(fd, pieces, number):
    """CRC-32 of what lies in that range; holes are not read."""
    data, first = bytearray(), number * FRAMES
    for piece in pieces:
        start, end = max(first, piece.gfn), min(first + FRAMES, piece.gfn + piece.frames)
        if start >= end:
            continue
        offset, size = piece.offset + (start - piece.gfn) * wire.PAGE, (end - start) * wire.PAGE
        if size == RANGE and is_hole(fd, offset, size):
            return ZERO_CRC
        data += os.pread(fd, size, offset)
    return zlib.crc32(data)


def is_hole(fd, offset, size):
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) >= offset + size
    except OSError:
        return True  # no data follows


# --- opening -----------------------------------------------------------------------------------


def open_image(path, say):
    """Which of them it is, its first bytes say. Raises Problem."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size, start = os.fstat(fd).st_size, os.pread(fd, 8, 0)
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from error
    if start[:4] == elf.IDENT[:4]:
        return _open_core(path, fd, say)
    if start == MAPPED_RAM:
        return _open_mapped(path, fd, size)
    if not size or size % wire.PAGE:
        raise Problem(f"{path}: neither an ELF core, nor QEMU's mapped-ram, nor raw memory: {size} bytes are not "
                      "a number of 4 KiB pages")
    return Image(path, fd, "raw memory", [Piece(0, size // wire.PAGE, 0, size // wire.PAGE)])


def too_large(path, frames):
    return Problem(f"{path}: its memory ends at {frames * wire.PAGE >> 30} GiB, and at most "
                   f"{FRAMES_MAX * wire.PAGE >> 30} are served")


def _open_core(path, fd, say):
    loads, notes = elf.read(fd, path)
    pieces = []
    for load in loads:
        if (load.gpa | load.size) % wire.PAGE or load.in_file % wire.PAGE or \
                (pieces and load.gpa // wire.PAGE < pieces[-1].gfn + pieces[-1].frames):
            raise Problem(f"{path}: its memory at gpa {load.gpa:#x} is not whole pages, or there twice")
        pieces.append(Piece(*(n // wire.PAGE for n in (load.gpa, load.size)), load.offset,
                            load.in_file // wire.PAGE))
    if not pieces:
        raise Problem(f"{path}: a core without memory")
    if pieces[-1].gfn + pieces[-1].frames > FRAMES_MAX:
        raise too_large(path, pieces[-1].gfn + pieces[-1].frames)
    if any(note.name == facts.NAME for note in notes):
        return Snapshot(path, fd, pieces, notes, say)
    return Image(path, fd, "an ELF core", pieces)


def _open_mapped(path, fd, size):
    """The largest of its blocks: QEMU's main memory. The stream's other parts are not looked at."""
    head = os.pread(fd, 1 << 20, 0)
    at = head.find(RAM_SECTION)
    if at < 0:
        raise Problem(f"{path}: a migration stream of QEMU's, but without its section \"ram\"")
    try:
        blocks = _blocks(fd, at + len(RAM_SECTION))
        name, frames, pages_at, bitmap_at = max(blocks, key=lambda block: block[1])
    except (struct.error, ValueError):
        raise Problem(f"{path}: a migration stream of QEMU's, but not of mapped-ram: save it with the "
                      "capability mapped-ram on") from None
    if frames > FRAMES_MAX:
        raise too_large(path, frames)
    bitmap = os.pread(fd, -(-frames // 8), bitmap_at)
    there = int.from_bytes(bitmap, "little").bit_length()
    if len(bitmap) < -(-frames // 8) or pages_at + there * wire.PAGE > size:
        raise Problem(f"{path}: it is cut off: the block {name} is not all there")
    return Mapped(path, fd, frames, pages_at, bitmap)


def _blocks(fd, at):
    """[(name, frames, offset of the pages, offset of the bitmap)]."""
    total, = struct.unpack(">Q", os.pread(fd, 8, at))
    if total & SIZE_FLAGS != SIZE_FLAG:
        raise ValueError
    at, left, blocks = at + 8, total & ~SIZE_FLAGS, []
    while left > 0:
        length, = os.pread(fd, 1, at)
        name = os.pread(fd, length, at + 1).decode("ascii")
        used, = struct.unpack(">Q", os.pread(fd, 8, at + 1 + length))
        version, page, bitmap_at, pages_at = MAPPED_HEADER.unpack(os.pread(fd, MAPPED_HEADER.size, at + 9 + length))
        if version != MAPPED_VERSION or page != wire.PAGE or not used or used % page:
            raise ValueError
        blocks.append((name, used // page, pages_at, bitmap_at))
        at, left = pages_at + used, left - used
    return blocks
