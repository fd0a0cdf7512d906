# SPDX-License-Identifier: MIT
"""A guest's state as the bytes that a machine sends (hv/vm/state.c), by name.

The layouts below are those of the C structures, which tests/snapshot_test.py asks a debugger for.
"""
import ctypes
from ctypes import c_uint8 as u8, c_uint16 as u16, c_uint32 as u32, c_uint64 as u64

VERSION = 1  # VM_STATE_VERSION
MAGIC = 0x53564c43  # "CLVS"
GPRS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
UNUSABLE = 1 << 16  # a segment's attribute
XSTATE_BYTES = 832
FXSAVE_BYTES = 512
RUN_STATES = ("off", "running", "waiting", "halted", "idle", "parked", "done", "dead")


class Layout(ctypes.LittleEndianStructure):
    def named(self):
        """{name: a number, bytes, a list, or names again}."""
        return {name: plain(getattr(self, name)) for name, *_ in self._fields_ if not name.startswith("unused")}


def plain(value):
    if isinstance(value, Layout):
        return value.named()
    if isinstance(value, ctypes.Array):
        return bytes(value) if value._type_ is u8 else [plain(entry) for entry in value]
    return value


def fields(kind, *names):
    return [(name, kind) for name in names]


class Segment(Layout):
    _fields_ = [("selector", u16), ("unused", u16), ("attributes", u32), ("limit", u32), ("unused2", u32),
                ("base", u64)]


class Event(Layout):
    _fields_ = fields(u32, "info", "error", "length", "unused")


class Mca(Layout):
    _fields_ = fields(u64, "mcg_status", "ctl", "status", "addr", "misc")


class Xstate(Layout):
    # The image is aligned to 64 bytes, and so is all that has one.
    _fields_ = [("xcr0", u64), ("unused_gap", u8 * 56), ("image", u8 * XSTATE_BYTES)]


class Lapic(Layout):
    _fields_ = [*fields(u32, "id", "spurious"), ("lvt", u32 * 6),
                *fields(u32, "divide", "initial", "errors", "errors_shown"),
                *fields(u64, "icr", "deadline"), ("isr", u32 * 8), ("irr", u32 * 8)]


class Guest(Layout):
    """struct guest_state."""
    _fields_ = [("gpr", u64 * 16), *fields(u64, "rip", "rflags", "cr0", "cr2", "cr3", "cr4", "cr8"),
                ("dr", u64 * 4), *fields(u64, "dr6", "dr7", "efer", "pat", "sysenter_cs", "sysenter_esp",
                                         "sysenter_eip", "star", "lstar", "cstar", "fmask", "kernel_gs_base",
                                         "tsc_offset"),
                ("seg", Segment * 8), *fields(u64, "gdt_base", "idt_base"),
                *fields(u32, "gdt_limit", "idt_limit", "interruptibility", "unused"), ("pending_debug", u64),
                ("event", Event), ("mca", Mca), ("unused_gap", u8 * 32), ("xstate", Xstate), ("lapic", Lapic),
                ("mtrr_default", u64), ("nmi_masked", u64), ("unused_end", u8 * 48)]


class Head(Layout):
    """struct saved_head."""
    _fields_ = [("magic", u32), ("version", u16), ("nvcpus", u8), ("system", u8), ("vcpu_bytes", u32),
                ("tsc_khz", u32), ("tsc", u64)]


class Vcpu(Layout):
    """struct saved_vcpu."""
    _fields_ = [("state", Guest), *fields(u64, "passes", "chain", "wrong_count"),
                *fields(u32, "run", "asks", "wakes_open", "idle_cr8"), ("unused_end", u8 * 24)]


class Uart(Layout):
    _fields_ = [*fields(u8, "ier", "fcr", "lcr", "mcr", "scratch", "dll", "dlm", "overrun", "emptied", "first",
                        "bytes"), ("queue", u8 * 64)]


class Platform(Layout):
    """struct saved_platform."""
    _fields_ = [("uart", Uart), *fields(u8, "ready", "verdict"), ("unused_gap", u8 * 3), ("given", u64)]


class Unknown(Exception):
    """It is of no layout that is known here; the text says in what."""


class State:
    """.head, .vcpus, .platform (of a whole system, else None)."""

    def __init__(self, data):
        if len(data) < ctypes.sizeof(Head):
            raise Unknown("it is cut off")
        self.head = Head.from_buffer_copy(data)
        if self.head.magic != MAGIC or self.head.version != VERSION or \
                self.head.vcpu_bytes != ctypes.sizeof(Vcpu):
            raise Unknown("it has another layout than this version's")
        end = ctypes.sizeof(Head) + self.head.nvcpus * ctypes.sizeof(Vcpu)
        if len(data) != end + ctypes.sizeof(Platform):
            raise Unknown("its size is not that of its vCPUs")
        self.vcpus = [Vcpu.from_buffer_copy(data, ctypes.sizeof(Head) + n * ctypes.sizeof(Vcpu))
                      for n in range(self.head.nvcpus)]
        self.platform = Platform.from_buffer_copy(data, end) if self.head.system else None

    def named(self):
        """All of it, as JSON can have it."""
        return readable({"head": self.head.named(), "vcpus": [vcpu_named(vcpu) for vcpu in self.vcpus],
                         "platform": self.platform and self.platform.named()})


def vcpu_named(vcpu):
    named = vcpu.named()
    named["run"] = RUN_STATES[vcpu.run] if vcpu.run < len(RUN_STATES) else vcpu.run
    state = named["state"]
    state["gpr"] = dict(zip(GPRS, state["gpr"]))
    state["seg"] = dict(zip(SEGMENTS, state["seg"]))
    return named


def readable(value):
    if isinstance(value, dict):
        return {name: readable(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [readable(entry) for entry in value]
    return value.hex() if isinstance(value, bytes) else value
