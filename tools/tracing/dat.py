# SPDX-License-Identifier: MIT
"""trace.dat, version 6: what trace-cmd and KernelShark read (trace-cmd.dat.v6(5)).

What Linux' KVM has an event for goes by KVM's name, with its fields and its text; the rest are events
of a system `cleave`. A task is a vCPU, called vmN-vcpuN; the hypervisor itself is the task `cleave`.
Time is in nanoseconds from the first event on.
"""
import struct
from typing import NamedTuple

from tracing import exits
from tracing.read import figures, refusals

PAGE = 4096
PAGE_HEAD = 16  # its time, and how many bytes follow
TIME_EXTEND = 30
DELTA_BITS = 27
HYPERVISOR = 1  # its pid

HEADER_PAGE = b"""\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
"""
HEADER_EVENT = b"""# compressed entry header
\ttype_len    :    5 bits
\ttime_delta  :   27 bits
\tarray       :   32 bits

\tpadding     : type == 29
\ttime_extend : type == 30
\ttime_stamp : type == 31
\tdata max type_len  == 28
"""
COMMON = (("unsigned short", "common_type", 2, 0), ("unsigned char", "common_flags", 1, 0),
          ("unsigned char", "common_preempt_count", 1, 0), ("int", "common_pid", 4, 1))
SIZES = {"u64": (8, "Q"), "u32": (4, "I"), "unsigned long": (8, "Q"), "unsigned int": (4, "I"),
         "int": (4, "i"), "bool": (1, "B")}


class Format(NamedTuple):
    number: int
    system: str
    name: str
    fields: tuple  # (type, name)
    text: str  # as C's printf takes it, with its arguments

    def layout(self):
        """(type, name, offset, size) of each field, as C lays them out."""
        at = 8
        for kind, name in self.fields:
            size = SIZES[kind][0]
            at = (at + size - 1) // size * size
            yield kind, name, at, size
            at += size

    def describe(self):
        lines = [f"name: {self.name}", f"ID: {self.number}", "format:"]
        at = 0
        for kind, name, size, signed in COMMON:
            lines.append(f"\tfield:{kind} {name};\toffset:{at};\tsize:{size};\tsigned:{signed};")
            at += size
        lines.append("")
        lines += [f"\tfield:{kind} {name};\toffset:{at};\tsize:{size};\tsigned:{int(kind == 'int')};"
                  for kind, name, at, size in self.layout()]
        return "\n".join([*lines, "", f"print fmt: {self.text}", ""]).encode()

    def pack(self, pid, values):
        """In whole words of 4 bytes."""
        data = bytearray(struct.pack("<HBBi", self.number, 0, 0, pid))
        for (kind, _, at, size), value in zip(self.layout(), values):
            data += bytes(at - len(data)) + struct.pack(f"<{SIZES[kind][1]}",
                                                        value & (1 << 8 * size) - 1
                                                        if kind != "int" else value)
        return bytes(data + bytes(-len(data) % 4))


def _symbols(field, names):
    said = ", ".join(f'{{ {value}, "{name}" }}' for value, name in sorted(names.items()))
    return f"__print_symbolic({field}, {said})"


def _exit_text():
    names = {which: _symbols("REC->exit_reason", exits.NAMES[which]) for which in exits.NAMES}
    return ('"vcpu %u reason %s rip 0x%lx", REC->vcpu_id, (REC->isa == 1) ? '
            f'{names[exits.VMX]} : {names[exits.SVM]}, REC->guest_rip')


PIECE = (("u32", "vm"), ("u64", "gfn"), ("u32", "level"))
PIECE_TEXT = '"vm %u gfn %llx level %u", REC->vm, REC->gfn, REC->level'
EXTENT = (("u32", "vm"), ("u64", "gfn"), ("u64", "frames"))
EXTENT_TEXT = '"vm %u gfn %llx frames %llu", REC->vm, REC->gfn, REC->frames'
WHOSE = (("u32", "vm"), ("u32", "vcpu_id"))
WHOSE_TEXT = '"vm %u vcpu %u", REC->vm, REC->vcpu_id'


def _formats():
    which = (
        ("kvm", "kvm_entry", (("unsigned int", "vcpu_id"), ("unsigned long", "rip")),
         '"vcpu %u, rip 0x%lx", REC->vcpu_id, REC->rip'),
        ("kvm", "kvm_exit",
         (("unsigned int", "exit_reason"), ("unsigned long", "guest_rip"), ("u32", "isa"),
          ("u64", "info1"), ("u64", "info2"), ("u32", "intr_info"), ("u32", "error_code"),
          ("unsigned int", "vcpu_id")), _exit_text()),
        ("kvm", "kvm_page_fault",
         (("unsigned int", "vcpu_id"), ("unsigned long", "guest_rip"), ("u64", "fault_address"),
          ("u64", "error_code")),
         '"vcpu %u rip 0x%lx address 0x%016llx error_code 0x%llx", REC->vcpu_id, REC->guest_rip, '
         'REC->fault_address, REC->error_code'),
        ("kvm", "kvm_hypercall",
         (("unsigned long", "nr"), ("unsigned long", "a0"), ("unsigned long", "a1"),
          ("unsigned long", "a2"), ("unsigned long", "a3")),
         '"nr 0x%lx a0 0x%lx a1 0x%lx a2 0x%lx a3 0x%lx", REC->nr, REC->a0, REC->a1, REC->a2, '
         'REC->a3'),
        ("kvmmmu", "kvm_mmu_split_huge_page",
         (("u64", "gfn"), ("u64", "spte"), ("int", "level"), ("int", "errno")),
         '"gfn %llx spte %llx level %d errno %d", REC->gfn, REC->spte, REC->level, REC->errno'),
        *(("cleave", name, PIECE, PIECE_TEXT)
          for name in ("arrive", "zero", "again", "duplicate", "collapse")),
        ("cleave", "served", (("u32", "vm"), ("u64", "gfn"), ("u64", "cycles")),
         '"vm %u gfn %llx cycles %llu", REC->vm, REC->gfn, REC->cycles'),
        ("cleave", "refuse", (*PIECE, ("u32", "why")),
         f'"vm %u gfn %llx level %u %s", REC->vm, REC->gfn, REC->level, '
         f'{_symbols("REC->why", dict(enumerate(refusals())))}'),
        *(("cleave", name, EXTENT, EXTENT_TEXT) for name in ("request", "discard", "poison")),
        ("cleave", "wait", (*WHOSE, ("u64", "gfn")),
         '"vm %u vcpu %u gfn %llx", REC->vm, REC->vcpu_id, REC->gfn'),
        ("cleave", "wake", (*WHOSE, ("u64", "cycles")),
         '"vm %u vcpu %u cycles %llu", REC->vm, REC->vcpu_id, REC->cycles'),
        ("cleave", "enter", WHOSE, WHOSE_TEXT), ("cleave", "leave", WHOSE, WHOSE_TEXT),
        ("cleave", "sync", (("u32", "vm"), ("u64", "tables")),
         '"vm %u tables %llu", REC->vm, REC->tables'),
        ("cleave", "kick", (("u32", "target"),), '"cpu %u", REC->target'),
        ("cleave", "vm", (("u32", "vm"), ("u64", "frames")), '"vm %u frames %llu", REC->vm, '
                                                             'REC->frames'),
        ("cleave", "phase", (("u32", "vm"), ("u32", "phase")),
         '"vm %u %s", REC->vm, __print_symbolic(REC->phase, { 0, "stopped" }, { 1, "arrived" }, '
         '{ 2, "ended" })'),
        ("cleave", "sample", (("u32", "vm"), ("u32", "figure"), ("u64", "value")),
         f'"vm %u %s %llu", REC->vm, {_symbols("REC->figure", dict(enumerate(figures())))}, '
         'REC->value'),
        ("cleave", "switch", (("u32", "vm"), ("u32", "to")), '"vm %u to vm %u", REC->vm, REC->to'),
    )
    return {row[1]: Format(number, *row) for number, row in enumerate(which, 1000)}


def pid_of(event):
    return HYPERVISOR if event.vcpu is None else 100 * event.vm + event.vcpu + 100


class Writer:
    """Collects records by CPU: [(ns, bytes)]."""

    def __init__(self, trace):
        self.trace, self.formats = trace, _formats()
        self.isa = exits.isa(trace)
        self.records = [[] for _ in range(trace.cpus)]
        self.tasks = {HYPERVISOR: "cleave"}
        for event in trace.events:
            self.add(event)
        for records in self.records:
            records.sort(key=lambda record: record[0])

    def put(self, event, name, *values, tsc=None):
        pid = pid_of(event)
        if pid != HYPERVISOR:
            self.tasks[pid] = f"vm{event.vm}-vcpu{event.vcpu}"
        ns = self.trace.ns(event.tsc if tsc is None else max(tsc, self.trace.begin()))
        self.records[event.cpu].append((ns, self.formats[name].pack(pid, values)))

    def exit(self, event, reason, rip, tsc=None):
        self.put(event, "kvm_exit", reason, rip, self.isa, 0, 0, 0, 0, event.vcpu or 0, tsc=tsc)

    def add(self, e):
        own, stage2 = e.name.lower(), exits.STAGE2[self.isa]
        if e.name == "EXIT":
            self.exit(e, e.a, e.b)
        elif e.name == "FAULT":
            self.exit(e, stage2, 0)
            self.put(e, "kvm_page_fault", e.vcpu or 0, 0, e.a, e.b)
        elif e.name == "SERVED":
            self.exit(e, stage2, 0, tsc=e.tsc - e.b)
            self.put(e, "served", e.vm or 0, e.gfn, e.b)
        elif e.name == "CALL":
            self.put(e, "kvm_hypercall", e.a, e.b, 0, 0, 0)
        elif e.name == "SPLIT":
            self.put(e, "kvm_mmu_split_huge_page", e.gfn, 0, e.level, 0)
        elif e.name == "REFUSE":
            self.put(e, own, e.vm, e.gfn, e.level, e.why)
        elif e.name == "WAIT":
            self.put(e, own, e.vm, e.vcpu, e.gfn)
        elif e.name == "WAKE":
            self.put(e, own, e.vm, e.vcpu, e.cycles)
        elif e.name in ("ENTER", "LEAVE"):
            self.put(e, own, e.vm, e.vcpu)
        elif e.name == "SYNC":
            self.put(e, own, e.vm, e.a)
        elif e.name == "KICK":
            self.put(e, own, e.a)
        elif e.name in ("VM", "SWITCH"):
            self.put(e, own, e.a, e.b)
        elif e.name == "PHASE":
            self.put(e, own, e.b, e.a)
        elif e.name == "SAMPLE":
            self.put(e, own, e.vm, e.a & 0xff, e.b)
        elif e.name in ("REQUEST", "DISCARD", "POISON"):
            self.put(e, own, e.vm or 0, e.gfn, e.frames)
        elif own in self.formats:
            self.put(e, own, e.vm, e.gfn, e.level)
        if e.name in ("RESUME", "SERVED", "FOUND", "STALE"):
            self.put(e, "kvm_entry", e.vcpu or 0, 0)


def _pages(records):
    """The ring buffer's pages of one CPU."""
    pages, data, first, last = [], bytearray(), 0, 0

    def close():
        pages.append(struct.pack("<QQ", first, len(data)) + bytes(data) +
                     bytes(PAGE - PAGE_HEAD - len(data)))

    for ns, body in records:
        delta = ns - last if data else 0
        extend = delta >> DELTA_BITS
        if data and len(data) + len(body) + 4 + 8 * bool(extend) > PAGE - PAGE_HEAD:
            close()
            data, delta, extend = bytearray(), 0, 0
        if not data:
            first = ns
        if extend:
            data += struct.pack("<II", TIME_EXTEND | (delta & (1 << DELTA_BITS) - 1) << 5, extend)
            delta = 0
        data += struct.pack("<I", len(body) // 4 | delta << 5) + body
        last = ns
    if data:
        close()
    return b"".join(pages)


def _sized(data, size="<Q"):
    return struct.pack(size, len(data)) + data


def _head(writer):
    systems = {}
    for form in writer.formats.values():
        systems.setdefault(form.system, []).append(_sized(form.describe()))
    out = b"\x17\x08\x44tracing6\0" + struct.pack("<BBI", 0, 8, PAGE)
    out += b"header_page\0" + _sized(HEADER_PAGE) + b"header_event\0" + _sized(HEADER_EVENT)
    out += struct.pack("<II", 0, len(systems))
    for system, formats in systems.items():
        out += system.encode() + b"\0" + struct.pack("<I", len(formats)) + b"".join(formats)
    out += _sized(b"", "<I") + _sized(b"", "<I")
    out += _sized("".join(f"{pid} {name}\n" for pid, name in sorted(writer.tasks.items())).encode())
    return out + struct.pack("<I", writer.trace.cpus) + b"options  \0" + struct.pack("<H", 0) + \
        b"flyrecord\0"


def write(trace, file):
    writer = Writer(trace)
    head = _head(writer)
    parts = [_pages(records) for records in writer.records]
    at = len(head) + 16 * len(parts)
    at += -at % PAGE
    table, offset = b"", at
    for part in parts:
        table += struct.pack("<QQ", offset, len(part))
        offset += len(part)
    file.write((head + table).ljust(at, b"\0") + b"".join(parts))
