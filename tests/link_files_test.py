#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Snapshots, and the other files that tools/page-server serves: written, read, damaged. Prints TAP."""
import ctypes
import errno
import json
import os
import re
import shutil
import struct
import subprocess
from unittest import mock

import tap

images = tap.load("tools/page-server").images
from link import core, elf, facts, state, wire
from link.transport import Problem

FRAMES = 1024
DATA, ZERO = b"\x11" * wire.PAGE, bytes(wire.PAGE)
RIP, RSP = 0x201234, 0x3ff8
OSRELEASE = b"OSRELEASE=6.1.0\nPAGESIZE=4096\n"


def guest_state(vcpus=2):
    """A state as a machine sends it."""
    head = state.Head(magic=state.MAGIC, version=state.VERSION, nvcpus=vcpus, vcpu_bytes=ctypes.sizeof(state.Vcpu))
    parts = [bytes(head)]
    for n in range(vcpus):
        vcpu = state.Vcpu(run=1)
        vcpu.state.rip = RIP + n
        vcpu.state.gpr[state.GPRS.index("rsp")] = RSP
        vcpu.state.seg[state.SEGMENTS.index("cs")].selector = 0x10
        parts.append(bytes(vcpu))
    return b"".join(parts) + bytes(state.Platform())


OFFER = wire.Offer(vendor=wire.SVM, backing=2, vcpus=2, state_version=state.VERSION, features=wire.ALL_FEATURES & 0xf,
                   needs=wire.FEATURE["POISON"], regions=((0, FRAMES),), cpu=tuple(range(len(wire.CPU_WORDS))),
                   image=bytes(range(16)))


def page(n):
    return struct.pack("<Q", n + 1) * (wire.PAGE // 8)


def header_lists():
    with open(os.path.join(tap.ROOT, "hv/link/wire.h"), encoding="utf-8") as file:
        return dict(re.findall(r"\bLINK_(\w+)\s*=\s*(\d+)\b", file.read()))


class Files(tap.Sandbox):
    def setUp(self):
        super().setUp()
        self.said = []

    def make(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def open(self, path):
        image = images.open_image(path, self.said.append)
        self.addCleanup(image.close)
        return image

    def refused(self, path, words):
        with self.assertRaises(Problem) as raised:
            self.open(path)
        self.assertIn(words, str(raised.exception))
        self.assertIn(path, str(raised.exception))

    def snapshot(self, blob=None, pages=None):
        """Pages 0 to 15 and 600 have contents, or as `pages` says; 700 to 709 are lost; others are zeros."""
        path = self.path("guest.core")
        writer = core.Writer(path, OFFER, guest_state() if blob is None else blob, self.said.append, 0.2)
        for gfn, data in (pages or {n: page(n) for n in [*range(16), 600]}).items():
            writer.page(gfn, data)
        writer.run(700, 10, wire.LOST)
        writer.close()
        return path

    def damage(self, path, offset, data):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(data)


class Raw(Files):
    def test_pages_zeros_and_holes_of_raw_memory(self):
        path = self.make("mem", DATA + ZERO * 3 + DATA)
        os.truncate(path, 1000 * wire.PAGE)
        image = self.open(path)
        self.assertEqual(image.look(0), images.Extent(1, wire.DATA, DATA))
        self.assertEqual(image.look(1), images.Extent(3, wire.ZEROS))
        self.assertEqual(image.look(4).data, DATA)
        self.assertEqual(image.look(999), images.Extent(1, wire.ZEROS))
        self.assertGreater(image.look(64).frames, 500)
        self.assertEqual(image.offer.regions, ((0, 1000),))

    def test_a_file_of_another_size_is_no_memory(self):
        for data in (b"", b"x", DATA + b"x"):
            self.refused(self.make("mem", data), "are not a number of 4 KiB pages")

    def test_a_file_that_is_not_there(self):
        self.refused(self.path("no-such-file"), "No such file")

    def test_a_changed_file_is_another_image(self):
        path = self.make("mem", DATA * 4)
        first = self.open(path).identity
        self.assertEqual(self.open(path).identity, first)
        self.make("mem", DATA * 3 + ZERO)
        self.assertNotEqual(self.open(path).identity, first)

    def test_a_file_that_shrinks_while_it_is_served_is_a_clear_error(self):
        path = self.make("mem", DATA * 8)
        image = self.open(path)
        os.truncate(path, 6 * wire.PAGE + 100)
        with self.assertRaises(Problem):
            image.look(6)


class Cores(Files):
    def core(self, *loads, cut=0):
        """A core of others: (gpa, data, size)."""
        entries, at, memory = [], 4096, b""
        for gpa, data, size in loads:
            entries.append(elf.Load(gpa, at, len(data), size))
            memory += data
            at += len(data)
        note = elf.pack_note(elf.Note("QEMU", 0, b"\1" * 30))
        start = elf.pack_header(entries, at, len(note)).ljust(4096, b"\0")
        whole = start + memory + note
        return self.make("dump", whole[:len(whole) - cut])

    def test_a_core_of_others_is_memory_with_gaps_of_zeros(self):
        image = self.open(self.core((0, page(0), 4 * wire.PAGE), (8 * wire.PAGE, page(8) * 2, 2 * wire.PAGE)))
        self.assertEqual(image.title, "an ELF core")
        self.assertEqual(image.look(0).data, page(0))
        self.assertEqual(image.look(1), images.Extent(3, wire.ZEROS))
        self.assertEqual(image.look(5), images.Extent(3, wire.ZEROS))
        self.assertEqual(image.look(9).data, page(8))
        self.assertEqual(image.offer.regions, ((0, 10),))
        self.assertTrue(image.offer.needs & wire.FEATURE["MEMORY_ONLY"])

    def test_a_core_that_is_cut_off(self):
        self.refused(self.core((0, page(0), wire.PAGE), cut=50), "cut off")
        self.refused(self.make("cut", elf.IDENT + bytes(20)), "cut off")

    def test_an_elf_file_that_is_no_core(self):
        self.refused(shutil.copy("/bin/true", self.path("true")), "no core of x86-64")

    def test_cores_that_make_no_sense(self):
        self.refused(self.core((100, page(0), wire.PAGE)), "not whole pages")
        self.refused(self.core((0, page(0), wire.PAGE), (0, page(0), wire.PAGE)), "there twice")
        self.refused(self.core(), "without memory")


class MappedRam(Files):
    def mapped(self, present, cut=0, version=1, blocks=1):
        """A stream whose main memory has 64 pages, all with contents; the bitmap has only some."""
        head = b"QEVM\0\0\0\3" + b"\7\0\0\0\3q35" + b"\1\0\0\0\2" + images.RAM_SECTION
        names = [(b"pc.ram", 64), (b"vga.vram", 16)][:blocks]
        data = bytearray(head + struct.pack(">Q", sum(n for _, n in names) * wire.PAGE | images.SIZE_FLAG))
        for name, pages in names:
            data += bytes([len(name)]) + name + struct.pack(">Q", pages * wire.PAGE)
            at = len(data) + images.MAPPED_HEADER.size
            pages_at = -(-(at + 64) // (1 << 20)) << 20
            data += images.MAPPED_HEADER.pack(version, wire.PAGE, at, pages_at)
            bits = sum(1 << n for n in present if n < pages)
            data += bits.to_bytes(8, "little")
            data = data.ljust(pages_at, b"\0") + b"".join(page(n) for n in range(pages))
        return self.make("mapped", bytes(data[:len(data) - cut]))

    def test_the_bitmap_says_which_pages_are_there(self):
        image = self.open(self.mapped({0, 1, 40}, blocks=2))
        self.assertEqual((image.title, image.offer.regions), ("QEMU's mapped-ram", ((0, 64),)))
        self.assertEqual(image.look(1), images.Extent(1, wire.DATA, page(1)))
        self.assertEqual(image.look(2), images.Extent(38, wire.ZEROS))
        self.assertEqual(image.look(40).data, page(40))
        self.assertEqual(image.look(41), images.Extent(23, wire.ZEROS))

    def test_streams_that_are_none_of_these(self):
        self.refused(self.make("stream", b"QEVM\0\0\0\3" + bytes(5000)), "without its section")
        self.refused(self.mapped({0}, version=9), "mapped-ram on")
        self.refused(self.mapped({0, 63}, cut=3 * wire.PAGE), "cut off")


class Snapshots(Files):
    def test_what_was_written_is_what_is_read(self):
        path = self.snapshot()
        image = self.open(path)
        self.assertEqual(image.title, "a snapshot")
        for n in [*range(16), 600]:
            self.assertEqual(image.look(n).data, page(n))
        self.assertEqual(image.look(16), images.Extent(584, wire.ZEROS))
        self.assertEqual(image.look(601), images.Extent(99, wire.ZEROS))
        self.assertEqual(image.look(703), images.Extent(7, wire.LOST))
        self.assertEqual(image.state, guest_state())
        self.assertEqual(image.identity, OFFER.image)
        self.assertEqual(image.offer, OFFER._replace(image=bytes(16)))
        self.assertLess(os.stat(path).st_blocks * 512, 200 * 1024)

    def test_a_damaged_range_is_lost_and_named(self):
        path = self.snapshot()
        self.damage(path, 4096 + 600 * wire.PAGE + 7, b"!")
        image = self.open(path)
        self.assertEqual(image.look(600).what, wire.LOST)
        self.assertEqual(image.look(512), images.Extent(512, wire.LOST))
        self.assertEqual(image.look(1).data, page(1))
        self.assertIn("gpa 0x200000", self.said[-1])
        done = self.run_tool("tools/snapshot", "--check", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("gpa 0x200000", done.stdout)

    def test_a_damaged_note_is_refused(self):
        path = self.snapshot()
        with open(path, "rb") as file:
            at = file.read().index(b'"checksum"')
        self.damage(path, at, b"\xff")
        self.refused(path, "makes no sense")
        self.damage(path, at, b'"')
        with open(path, "rb") as file:
            at = file.read().index(b'"format": 1')
        self.damage(path, at + 10, b"7")
        self.refused(path, "format 7")

    def test_a_snapshot_that_is_cut_off(self):
        path = self.snapshot()
        whole = os.path.getsize(path)
        for size in (20, 100, 5000, whole // 2, whole - 1):
            shutil.copy(path, self.path("cut"))
            os.truncate(self.path("cut"), size)
            self.refused(self.path("cut"), "cut off")

    def test_random_damage_never_ends_in_a_traceback(self):
        path = self.snapshot()
        end = os.path.getsize(path)
        with open(path, "rb") as file:
            whole = file.read()
        for n in range(300):
            at = (n * 7919) % (end - 4096 - FRAMES * wire.PAGE) + 4096 + FRAMES * wire.PAGE if n % 2 else n % 184
            changed = bytearray(whole)
            changed[at] ^= 1 << n % 8
            try:
                image = images.open_image(self.make("damaged", changed), self.said.append)
            except Problem:
                continue
            for gfn in (image.offer.regions[0][0], sum(image.offer.regions[0]) - 1):
                image.look(gfn)
            image.close()

    def test_half_a_snapshot_is_none(self):
        path = self.path("half.core")
        writer = core.Writer(path, OFFER, guest_state(), self.said.append)
        writer.page(3, page(3))
        self.refused(writer.part, "are not a number") if os.path.getsize(writer.part) % wire.PAGE else \
            self.assertEqual(self.open(writer.part).title, "raw memory")
        writer.give_up()
        self.assertEqual(os.listdir(self.top), [])

    def test_a_state_of_another_layout_is_kept_without_registers(self):
        path = self.snapshot(blob=b"of another version")
        self.assertEqual(self.open(path).state, b"of another version")
        self.assertIn("no registers", self.said[0])

    def test_all_of_the_state_is_there_by_name(self):
        done = self.run_tool("tools/snapshot", "--show", self.snapshot())
        shown = json.loads(done.stdout)
        self.assertEqual(shown["state"]["vcpus"][1]["state"]["rip"], RIP + 1)
        self.assertEqual(shown["vendor"], "svm")
        self.assertEqual(shown["state"]["vcpus"][0]["run"], "running")


class Full(Files):
    def fill(self, times):
        """The disk is full for so many writes of the first page; then it is not."""
        left, pwrite = [times], os.pwrite

        def write(fd, data, offset):
            if left[0] and len(data) > 100:
                left[0] -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return pwrite(fd, data, offset)

        return mock.patch("os.pwrite", write)

    def test_a_full_disk_is_waited_for(self):
        with self.fill(2):
            path = self.snapshot()
        self.assertIn("make room", self.said[0])
        self.assertEqual(self.open(path).look(0).data, page(0))

    def test_a_disk_that_stays_full_is_a_clear_error(self):
        with self.fill(1000), self.assertRaises(Problem) as raised:
            self.snapshot()
        self.assertIn("No space left", str(raised.exception))


class Others(Files):
    """What others' programs make of a snapshot."""

    def tool(self, *argv):
        if not shutil.which(argv[0]):
            self.skipTest(f"{argv[0]} is not installed")
        done = subprocess.run(argv, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def vmcoreinfo(self):
        note = elf.pack_note(elf.Note(core.VMCOREINFO, 0, OSRELEASE))
        return self.snapshot(pages={0: page(0), 600: note.ljust(wire.PAGE, b"\0")})

    def test_readelf_knows_its_parts(self):
        text = self.tool("readelf", "-lnW", self.vmcoreinfo())
        self.assertRegex(text, r"LOAD +0x001000 0x0000000000000000 0x0000000000000000 0x400000 0x400000 RWE 0x1000")
        self.assertEqual(text.count("NT_PRSTATUS"), 2)
        self.assertEqual(text.count("NT_FPREGSET"), 2)
        self.assertIn("VMCOREINFO", text)
        self.assertNotIn("arning", text)

    def test_the_vmcoreinfo_of_a_linux_is_copied(self):
        fd = os.open(self.vmcoreinfo(), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        _, notes = elf.read(fd, "")
        self.assertEqual([note.data for note in notes if note.name == core.VMCOREINFO], [OSRELEASE])

    def test_the_image_of_a_linux_is_at_its_virtual_addresses_too(self):
        text = OSRELEASE + b"NUMBER(phys_base)=%d\nNUMBER(KERNEL_IMAGE_SIZE)=%d\n" % (wire.PAGE, 1 << 30)
        note = elf.pack_note(elf.Note(core.VMCOREINFO, 0, text)).ljust(wire.PAGE, b"\0")
        path = self.snapshot(pages={0: page(0), 600: note})
        self.assertRegex(self.tool("readelf", "-lW", path),
                         r"LOAD +0x002000 0xffffffff80000000 0x0000000000001000 0x3ff000 0x3ff000 RWE 0x1000")
        image = self.open(path)
        self.assertEqual(image.offer.regions, ((0, 1024),))
        self.assertEqual(image.look(600).data, note)
        for base in (b"-4096", b"1", b"%d" % (1 << 40)):
            self.assertEqual(core.kernel_map(b"NUMBER(phys_base)=%s\nNUMBER(KERNEL_IMAGE_SIZE)=4096\n" % base,
                                             [elf.Load(0, 4096, 1 << 22, 1 << 22)]), [])

    def test_gdb_shows_vcpus_registers_and_memory(self):
        text = self.tool("gdb", "-nx", "-batch", "-c", self.snapshot(), "-ex", "info threads", "-ex", "thread 2", "-ex",
                         "print/x $rip", "-ex", "print/x $rsp", "-ex", f"x/gx {5 * wire.PAGE}", "-ex",
                         f"x/gx {500 * wire.PAGE}")
        self.assertIn(f"= {RIP + 1:#x}", text)
        self.assertIn(f"= {RSP:#x}", text)
        self.assertRegex(text, r"0x5000:\t0x0000000000000006")
        self.assertRegex(text, r"0x1f4000:\t0x0000000000000000")


class Contract(Files):
    """What the C code says of the same things."""

    def test_the_numbers_are_those_of_the_header(self):
        known = header_lists()
        names = {"HELLO", "WELCOME", "OPEN", "STALE", "ASK", "STATE_ASK", "TAKE", "DONE", "LEAVE", "OPENED", "STATUS",
                 "STATE", "RUNS", "GIVEN", "ENDED", "REFUSED", "RUNS_HERE", "FROZEN", "GONE", "DATA", "ZEROS", "LOST",
                 "SUITE_NONE", "SUITE_CHACHA", "SUITE_AES", "SUITE_REFUSED"}
        self.assertLessEqual(names, set(known))
        for name in names:
            self.assertEqual(getattr(wire, name), int(known[name]), name)
        self.assertEqual((wire.PAGE_PIECE, wire.VMX, wire.SVM),
                         tuple(int(known[name]) for name in ("PAGE", "VENDOR_VMX", "VENDOR_SVM")))
        self.assertEqual(sorted(wire.REASON.values()), list(range(len(wire.REASON))))

    def test_the_state_is_laid_out_as_the_machine_has_it(self):
        image = os.path.join(os.environ.get("CLEAVE_BUILD", os.path.join(tap.ROOT, "build")), "cleave.so")
        if not os.path.exists(image) or not shutil.which("gdb"):
            self.skipTest("gdb, or build/cleave.so, is not there")
        pairs = [("struct saved_head", state.Head), ("struct saved_vcpu", state.Vcpu),
                 ("struct saved_platform", state.Platform), ("struct guest_state", state.Guest),
                 ("struct lapic", state.Lapic), ("struct xstate", state.Xstate), ("struct uart", state.Uart),
                 ("struct segment_state", state.Segment), ("struct mca_state", state.Mca),
                 ("struct pending_event", state.Event)]
        words, expected = [], []
        for name, layout in pairs:
            words += ["-ex", f"print (int)sizeof({name})"]
            expected.append((name, ctypes.sizeof(layout)))
            for field, *_ in layout._fields_:
                if field.startswith("unused"):
                    continue
                inner = "msrs.mtrr_default" if field == "mtrr_default" else field
                words += ["-ex", f"print (int)&(({name} *)0)->{inner}"]
                expected.append((f"{name}.{field}", getattr(layout, field).offset))
        done = subprocess.run(["gdb", "-nx", "-batch", *words, image], text=True, stdin=subprocess.DEVNULL,
                              timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if "No struct type named saved_head" in done.stdout:
            self.skipTest("this build has no hv/vm/state.c")
        found = [int(line.rpartition("= ")[2]) for line in done.stdout.splitlines() if line.startswith("$")]
        self.assertEqual(list(zip([name for name, _ in expected], found)), expected, done.stdout[-500:])


if __name__ == "__main__":
    tap.main(__name__)
