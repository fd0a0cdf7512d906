# SPDX-License-Identifier: MIT
"""Writes a snapshot while its pages come: memory first, then the notes, and the header last, so that
half a snapshot is none. Pages of zeros are holes of the file."""
import errno
import os
import re
import struct
import time

from link import elf, facts, images, state, wire
from link.transport import Problem

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
VMCOREINFO = "VMCOREINFO"
# How Linux' own note begins, at the start of a page: struct elf_note, the name, and the first key.
VMCOREINFO_START = elf.NHDR.pack(len(VMCOREINFO) + 1, 0, 0)[:4]
VMCOREINFO_NAME = VMCOREINFO.encode() + b"\0\0"
VMCOREINFO_TEXT = b"OSRELEASE="
KERNEL_MAP = 0xffffffff80000000  # Linux' __START_KERNEL_map: the kernel's image, phys_base bytes up in memory


def vmcoreinfo_in(page):
    """The text of a Linux' VMCOREINFO, if the page begins with it."""
    if page[:4] != VMCOREINFO_START or page[12:24] != VMCOREINFO_NAME:
        return None
    _, size, kind = elf.NHDR.unpack_from(page)
    text = page[24:24 + size]
    return bytes(text) if not kind and len(text) == size and text.startswith(VMCOREINFO_TEXT) else None


def kernel_map(text, loads):
    """[(virtual address, Load)] of a Linux' own image, from where drgn starts its walks; [] if it is not known."""
    numbers = dict(re.findall(rb"^NUMBER\((\w+)\)=(\d+)$", text or b"", re.MULTILINE))
    base, size = (int(numbers.get(name, -1)) for name in (b"phys_base", b"KERNEL_IMAGE_SIZE"))
    return [(KERNEL_MAP, elf.Load(base, load.offset + base - load.gpa, room, room)) for load in loads
            if load.gpa <= base < load.gpa + load.size and not base % wire.PAGE
            and (room := min(size, load.gpa + load.size - base)) > 0]


class Writer:
    """A sink for Asker.pull(). `patience`: seconds for which a full disk is waited for."""

    def __init__(self, path, offer, blob, say, patience=60.0):
        self.path, self.part, self.offer, self.blob = path, f"{path}.part", offer, blob
        self.say, self.patience = say, patience
        self.pieces, at = [], elf.ALIGN
        for gfn, frames in offer.regions:
            self.pieces.append(images.Piece(gfn, frames, at, frames))
            at += frames * wire.PAGE
        self.end = at
        self.ranges, self.lost, self.vmcoreinfo, self.pages = set(), [], None, 0
        try:
            self.fd = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Problem(f"cannot write {self.part}: {error.strerror}; name another file") from error

    def _write(self, data, offset):
        """The guest is nowhere else any more: a full disk is waited for."""
        until = None
        while data:
            try:
                done = os.pwrite(self.fd, data, offset)
                data, offset = data[done:], offset + done
            except OSError as error:
                if error.errno not in FULL or (until and time.monotonic() > until):
                    raise Problem(f"cannot write {self.part}: {error.strerror}") from error
                if not until:
                    until = time.monotonic() + self.patience
                    self.say(f"{self.part}: {error.strerror}: make room within {self.patience:.0f} s, and it goes on")
                time.sleep(min(1.0, self.patience / 4))

    def page(self, gfn, data):
        piece = next(p for p in self.pieces if p.gfn <= gfn < p.gfn + p.frames)
        self.pages += 1
        if data == images.ZERO_PAGE:
            return
        self._write(data, piece.offset + (gfn - piece.gfn) * wire.PAGE)
        self.ranges.add(gfn // images.FRAMES)
        if data[:4] == VMCOREINFO_START:
            self.vmcoreinfo = vmcoreinfo_in(data) or self.vmcoreinfo

    def run(self, gfn, frames, what):
        if what == wire.LOST:
            self.lost.append((gfn, frames))

    def _sums(self):
        sums = b""
        for piece in self.pieces:
            for n in range(piece.gfn // images.FRAMES, -(-(piece.gfn + piece.frames) // images.FRAMES)):
                sums += struct.pack("<I", images.range_sum(self.fd, self.pieces, n))
        return sums

    def _registers(self):
        try:
            vcpus = state.State(self.blob).vcpus
        except state.Unknown as unknown:
            self.say(f"the state is not known by name: {unknown}: no registers in {self.path}")
            return []
        return [note for n, vcpu in enumerate(vcpus) for note in (
            elf.Note("CORE", elf.NT_PRSTATUS, elf.prstatus(n, vcpu)),
            elf.Note("CORE", elf.NT_FPREGSET, bytes(vcpu.state.xstate.image)[:state.FXSAVE_BYTES]))]

    def close(self):
        """All has come: makes a snapshot of it. Returns the facts."""
        os.ftruncate(self.fd, self.end)
        known, own = facts.make_notes(self.offer, self.blob, sorted(self.lost), self._sums())
        notes = self._registers() + own
        if self.vmcoreinfo:
            notes.append(elf.Note(VMCOREINFO, 0, self.vmcoreinfo))
        data = b"".join(elf.pack_note(note) for note in notes)
        self._write(data, self.end)
        loads = [elf.Load(p.gfn * wire.PAGE, p.offset, p.in_file * wire.PAGE, p.frames * wire.PAGE)
                 for p in self.pieces]
        self._write(elf.pack_header(loads, self.end, len(data), kernel_map(self.vmcoreinfo, loads)), 0)
        os.fsync(self.fd)
        os.close(self.fd)
        os.rename(self.part, self.path)
        return known

    def give_up(self):
        os.close(self.fd)
        os.unlink(self.part)
