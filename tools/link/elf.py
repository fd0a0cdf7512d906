# SPDX-License-Identifier: MIT
"""ELF core files: what gdb, crash, drgn and readelf open. 64 bits, little endian, x86-64."""
import os
import struct
from typing import NamedTuple

from link.transport import Problem

EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
NHDR = struct.Struct("<III")
IDENT = b"\x7fELF\2\1\1" + bytes(9)
ET_CORE, EM_X86_64, PN_XNUM = 4, 62, 0xffff
PT_LOAD, PT_NOTE, PF_RWX = 1, 4, 7
NT_PRSTATUS, NT_FPREGSET = 1, 2
ALIGN = 4096
NOTES_MAX = 64 << 20
# struct elf_prstatus: signals, who it is, times, the registers, whether the FPU's are there
PRSTATUS = struct.Struct("<3ih2xQQ4i8q27Qi4x")
REGISTERS = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
             "rdi")


class Load(NamedTuple):
    gpa: int
    offset: int  # in the file
    in_file: int  # bytes
    size: int  # bytes; beyond those in the file it is zeros


class Note(NamedTuple):
    name: str
    kind: int
    data: bytes


def padded(data):
    return data + bytes(-len(data) % 4)


def pack_note(note):
    name = note.name.encode() + b"\0"
    return NHDR.pack(len(name), len(note.data), note.kind) + padded(name) + padded(note.data)


def pack_header(loads, notes_at, notes_bytes, also=()):
    """Of a file with its notes at its end. also: (virtual address, a part of a load that is there, too)."""
    headers = [(PT_NOTE, 0, notes_at, 0, 0, notes_bytes, 0, 4)]
    headers += [(PT_LOAD, PF_RWX, load.offset, load.gpa, load.gpa, load.in_file, load.size, ALIGN)
                for load in loads]
    headers += [(PT_LOAD, PF_RWX, load.offset, address, load.gpa, load.in_file, load.size, ALIGN)
                for address, load in also]
    ehdr = EHDR.pack(IDENT, ET_CORE, EM_X86_64, 1, 0, EHDR.size, 0, 0, EHDR.size, PHDR.size, len(headers), 0, 0, 0)
    return ehdr + b"".join(PHDR.pack(*header) for header in headers)


def prstatus(number, vcpu):
    """The note of a vCPU (a state.Vcpu)."""
    named = vcpu.state
    gpr = dict(zip(("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))),
                   named.gpr))
    es, cs, ss, ds, fs, gs = (named.seg[n] for n in range(6))
    registers = [*(gpr[name] for name in REGISTERS), (1 << 64) - 1, named.rip, cs.selector, named.rflags,
                 gpr["rsp"], ss.selector, fs.base, gs.base, ds.selector, es.selector, fs.selector, gs.selector]
    return PRSTATUS.pack(0, 0, 0, 0, 0, 0, number + 1, 0, 0, 0, *(0,) * 8, *registers, 1)


def _exactly(fd, size, offset, path):
    data = os.pread(fd, size, offset)
    if len(data) != size:
        raise Problem(f"{path}: it is cut off: {size} bytes at {offset} are not there; make it again")
    return data


def read(fd, path):
    """(loads, notes) of an open file. Raises Problem."""
    size = os.fstat(fd).st_size
    ident, kind, machine, _, _, at, _, _, _, entry, count, *_ = EHDR.unpack(_exactly(fd, EHDR.size, 0, path))
    if ident[:7] != IDENT[:7] or kind != ET_CORE or machine != EM_X86_64:
        raise Problem(f"{path}: an ELF file, but no core of x86-64 with 64 bits")
    if entry != PHDR.size or not count or count == PN_XNUM:
        raise Problem(f"{path}: its program headers are of no known form")
    loads, notes = [], []
    for n in range(count):
        header = PHDR.unpack(_exactly(fd, PHDR.size, at + n * PHDR.size, path))
        kind, _, offset, _, gpa, in_file, in_memory, _ = header
        if kind in (PT_LOAD, PT_NOTE) and offset + in_file > size:
            raise Problem(f"{path}: it is cut off: it has {size} bytes, and {offset + in_file} are in its headers")
        if kind == PT_LOAD and in_memory:
            loads.append(Load(gpa, offset, min(in_file, in_memory), in_memory))
        elif kind == PT_NOTE:
            if in_file > NOTES_MAX:
                raise Problem(f"{path}: its notes are larger than {NOTES_MAX >> 20} MiB")
            notes += _split(_exactly(fd, in_file, offset, path), path)
    return _without_aliases(loads), notes


def _without_aliases(loads):
    """Memory that is at several virtual addresses is one load, the largest, for who reads by guest-physical ones."""
    kept = []
    for load in sorted(set(loads), key=lambda load: -load.size):
        if not any(load.offset - load.gpa == other.offset - other.gpa and other.gpa <= load.gpa and
                   load.gpa + load.size <= other.gpa + other.size for other in kept):
            kept.append(load)
    return sorted(kept)


def _split(data, path):
    at, notes = 0, []
    while at + NHDR.size <= len(data):
        name_bytes, size, kind = NHDR.unpack_from(data, at)
        name_at = at + NHDR.size
        data_at = name_at + name_bytes + -name_bytes % 4
        at = data_at + size + -size % 4
        if data_at + size > len(data):
            raise Problem(f"{path}: a note is longer than all notes are")
        notes.append(Note(data[name_at:name_at + name_bytes].rstrip(b"\0").decode("latin-1"), kind,
                          data[data_at:data_at + size]))
    return notes
