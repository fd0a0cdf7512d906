# SPDX-License-Identifier: MIT
"""Perfetto's own format, TrackEvents in protobuf: for ui.perfetto.dev and trace_processor.

A process is a VM and its threads are its vCPUs: slices of what they do. The hypervisor is a process
with a thread for each CPU: marks for arrivals, splits, collapses. Counters show the destination's
leaves and table pages. An arrow leads from a wait to the arrival that ends it. The messages used are
in tests/trace/perfetto.proto; their numbers are those of Perfetto's trace_packet.proto.
"""
import struct

from tracing import exits, model
from tracing.read import LEVELS, PHASES, refusals

BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4  # TrackEvent.Type
SEQUENCE, FIRST = 1, 1  # FIRST: SEQ_INCREMENTAL_STATE_CLEARED
HYPERVISOR = 1


def _varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, value):
    return _varint(field << 3) + _varint(value & (1 << 64) - 1)


def message(field, data):
    data = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def fixed64(field, value):
    return _varint(field << 3 | 1) + struct.pack("<Q", value)


def note(name, value):
    """DebugAnnotation"""
    said = message(6, value) if isinstance(value, str) else number(3, value)
    return message(4, message(10, name) + said)


class Writer:
    def __init__(self, trace, file):
        self.trace, self.file = trace, file
        self.tracks = set()
        self.open = {}  # track -> slices that are open there
        self.first = True

    def packet(self, body, ns=None):
        out = body + number(10, SEQUENCE)
        if self.first:
            out += number(13, FIRST)
            self.first = False
        if ns is not None:
            out += number(8, ns)
        self.file.write(message(1, out))

    def describe(self, uuid, body, parent=None):
        if uuid in self.tracks:
            return uuid
        self.tracks.add(uuid)
        self.packet(message(60, number(1, uuid) + body + (number(5, parent) if parent else b"")))
        return uuid

    def process(self, pid, name):
        return self.describe(pid << 16, message(3, number(1, pid) + message(6, name)))

    def thread(self, pid, tid, process, name):
        parent = self.process(pid, process)
        return self.describe(parent + 1 + tid, message(4, number(1, pid) +
                             number(2, pid * 100 + tid) + message(5, name)), parent)

    def vcpu(self, vm, vcpu):
        return self.thread(10 + vm, vcpu, f"VM {vm}", f"vCPU {vcpu}")

    def cpu(self, cpu):
        return self.thread(HYPERVISOR, cpu, "hypervisor", f"CPU {cpu}")

    def event(self, kind, track, tsc, name="", more=b""):
        body = number(9, kind) + number(11, track) + (message(23, name) if name else b"") + more
        self.packet(message(11, body), self.trace.ns(max(tsc, self.trace.begin())))

    def state(self, track, tsc, name, more=b""):
        """The slice that is open there ends, and this one begins."""
        if self.open.get(track):
            self.event(END, track, tsc)
        self.open[track] = name
        if name:
            self.event(BEGIN, track, tsc, name, more)

    def counter(self, uuid, name, unit):
        return self.describe(uuid, message(2, name) + message(8, message(6, unit)))


def _flow(event):
    return event.vm << 48 | event.gfn


def _guest(out, e, which, waiting):
    track = out.vcpu(e.vm, e.vcpu)
    if e.name in ("RESUME", "FOUND", "STALE"):
        out.state(track, e.tsc, "guest")
    elif e.name == "SERVED":
        out.state(track, e.tsc - e.b, "fault, page at hand", note("gfn", f"0x{e.gfn:x}"))
        out.state(track, e.tsc, "guest")
    elif e.name == "EXIT":
        out.state(track, e.tsc, exits.name(which, e.a), note("rip", f"0x{e.b:x}"))
    elif e.name == "FAULT":
        out.state(track, e.tsc, "fault", note("gpa", f"0x{e.a:x}"))
    elif e.name == "WAIT":
        waiting[e.vm, e.gfn] = e
        out.state(track, e.tsc, "waits for a page", note("gfn", f"0x{e.gfn:x}") +
                  fixed64(47, _flow(e)))
    elif e.name == "WAKE":
        out.state(track, e.tsc, "woken", note("cycles", e.cycles))
    elif e.name == "LEAVE":
        out.state(track, e.tsc, "")
    elif e.name == "CALL":
        out.event(INSTANT, track, e.tsc, f"hypercall {e.a}", note("argument", f"0x{e.b:x}"))


def _own(out, e, waiting, words):
    more = b""
    if e.gfn is not None:
        more += note("gfn", f"0x{e.gfn:x}")
    if e.level is not None:
        more += note("level", LEVELS.get(e.level, "-"))
    if e.vm is not None:
        more += note("vm", e.vm)
    if e.why is not None:
        more += note("why", words[e.why] if e.why < len(words) else str(e.why))
    if e.name == "PHASE":
        more += note("phase", PHASES[e.a] if e.a < len(PHASES) else str(e.a))
    if e.name in ("ARRIVE", "ZERO") and (e.vm, e.gfn) in waiting:
        more += fixed64(48, _flow(waiting.pop((e.vm, e.gfn))))
    out.event(INSTANT, out.cpu(e.cpu), e.tsc, e.name.lower(), more)


GUEST = {"RESUME", "FOUND", "STALE", "SERVED", "EXIT", "FAULT", "WAIT", "WAKE", "LEAVE", "CALL"}


def _counters(out, trace):
    for m in model.migrations(trace):
        mapping = model.Mapping(m.frames, 0)
        base = 1 << 40 | m.number << 8
        tracks = [out.counter(base + i, f"VM {m.vm}: {name}", unit) for i, (name, unit) in enumerate(
            (("leaves of 4K", "leaves"), ("leaves of 2M", "leaves"), ("leaves of 1G", "leaves"),
             ("table pages more than at the switch-over", "pages")))]
        last = [None] * len(tracks)
        for e in m.events:
            mapping.apply(e)
            now = [*mapping.count.values(), mapping.tables]
            for i, track in enumerate(tracks):
                if now[i] != last[i]:
                    out.event(COUNTER, track, e.tsc, more=number(30, now[i]))
            last = now


def write(trace, file):
    out, which, waiting, words = Writer(trace, file), exits.isa(trace), {}, refusals()
    for e in trace.events:
        if e.name in GUEST:
            if e.vcpu is not None:
                _guest(out, e, which, waiting)
        elif e.name not in ("ENTER", "SAMPLE"):
            _own(out, e, waiting, words)
    end = trace.events[-1].tsc if trace.events else 0
    for track in [track for track, name in out.open.items() if name]:
        out.state(track, end, "")
    _counters(out, trace)
