# SPDX-License-Identifier: MIT
"""Reading trace.bin: the stream that hv/trace_abi.h describes.

The stream names its events and their two values, so an older one can be read, too.
"""
import os
import re
from typing import NamedTuple, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BEGINS = b"cleave-trace 1\n"
MASK = (1 << 64) - 1
LEVELS = {1: "4K", 2: "2M", 3: "1G"}
PHASES = ("stopped", "arrived", "ended")
# The vCPU that the CPU entered last is the one that these are of.
OF_THE_GUEST = {"EXIT", "RESUME", "FAULT", "SERVED", "FOUND", "STALE", "WAIT", "CALL", "REQUEST"}


def _named(path, pattern):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return re.findall(pattern, file.read(), re.MULTILINE)


def refusals():
    """The words of EPT_REFUSALS, in order."""
    return _named("ept/refusal.h", r'^\s*X\(EPT_\w+,\s*-?\w+,\s*"(\w+)"')


def figures():
    """The names of TRACE_FIGURES, in order: those of the memory, then those of each vCPU."""
    return _named("hv/trace_abi.h", r"^\s*X\([A-Z0-9_]+, ([a-z0-9_]+), \"")


def of_a_vcpu(column):
    """Is a column of the samples about one vCPU?"""
    return re.match(r"vcpu\d+_", column) is not None


VCPU_FIGURES = range(figures().index("passes"), len(figures()))


class Broken(Exception):
    """What is read is no trace."""


class Event(NamedTuple):
    tsc: int
    cpu: int
    name: str
    a: int
    b: int
    vm: Optional[int] = None
    vcpu: Optional[int] = None
    gfn: Optional[int] = None
    frames: int = 1
    level: Optional[int] = None
    cycles: Optional[int] = None  # of a wait
    why: Optional[int] = None  # a refusal


class Trace:
    def __init__(self):
        self.head = {}
        self.kinds = []  # name, a, b
        self.events = []  # in the order of time
        self.lost = {}  # CPU -> records
        self.whole = False  # its end is there

    @property
    def khz(self):
        return int(self.head["tsc_khz"])

    @property
    def cpus(self):
        return int(self.head["cpus"])

    def lost_sum(self):
        return sum(self.lost.values())

    def ns(self, tsc):
        return (tsc - self.begin()) * 1000000 // self.khz

    def us(self, cycles):
        return cycles * 1000 / self.khz

    def begin(self):
        return self.events[0].tsc if self.events else 0


class Cut(Exception):
    """The bytes end in the middle of a chunk."""


class Numbers:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def next(self):
        at, n, shift = self.at, 0, 0
        try:
            while (byte := self.data[at]) > 0x7f:
                n |= (byte & 0x7f) << shift
                shift += 7
                at += 1
        except IndexError:
            raise Cut from None
        self.at = at + 1
        return n | byte << shift

    def difference(self, before):
        n = self.next()
        return (before + ((n >> 1) ^ -(n & 1))) & MASK


class Cpu:
    """What the records of one CPU are compared with, and whose they are."""

    def __init__(self, kinds):
        self.tsc = 0
        self.a, self.b = [0] * len(kinds), [0] * len(kinds)
        self.vm = self.vcpu = None


def _values(kind, a, b):
    """What the values say, by what the event calls them."""
    said = {}
    for what, value in zip(kind[1:], (a, b)):
        if what == "gpa":
            said["gfn"] = value >> 12
        elif what == "piece":
            said.update(level=value & 0xff, vm=value >> 8, frames=512 ** max((value & 0xff) - 1, 0))
        elif what == "refusal":
            said.update(level=value & 0xff, vm=value >> 8 & 0xffffff, why=value >> 32)
        elif what == "figure":
            said.update(vm=value >> 16)
            if (value & 0xff) in VCPU_FIGURES:
                said["vcpu"] = value >> 8 & 0xff
        elif what == "extent":
            said.update(frames=value & (1 << 48) - 1, vm=value >> 48)
        elif what == "whose":
            said.update(vm=value >> 8, vcpu=value & 0xff)
        elif what in ("gfn", "vm", "vcpu", "frames", "cycles"):
            said[what] = value
    return said


def _event(kind, cpu, number, a, b):
    name = kind[0]
    said = _values(kind, a, b)
    if name in ("ENTER", "RESUME"):
        cpu.vm, cpu.vcpu = a, b
    if name in OF_THE_GUEST:
        said.setdefault("vm", cpu.vm)
        said.setdefault("vcpu", cpu.vcpu)
    if name == "SERVED":
        said["level"] = 1
    return Event(cpu.tsc, number, name, a, b, **said)


def _chunk(numbers, trace, cpus):
    """False: it is the end."""
    number = numbers.next() - 1
    if number < 0:
        return False
    if number >= trace.cpus:
        raise Broken(f"there is no CPU {number}")
    lost, n = numbers.next(), numbers.next()
    cpu = cpus[number]
    if lost:
        trace.lost[number] = trace.lost.get(number, 0) + lost
        cpu.vm = cpu.vcpu = None
    for _ in range(n):
        event = numbers.next()
        if event >= len(trace.kinds):
            raise Broken(f"there is no event {event}")
        cpu.tsc = numbers.difference(cpu.tsc)
        cpu.a[event] = a = numbers.difference(cpu.a[event])
        cpu.b[event] = b = numbers.difference(cpu.b[event])
        trace.events.append(_event(trace.kinds[event], cpu, number, a, b))
    return True


def _head(data, trace):
    """Where the chunks begin."""
    begin = data.find(BEGINS)
    end = data.find(b"\n\n", begin)
    if begin < 0 or end < 0:
        raise Broken("it does not begin as a trace: was the configuration trace=all?")
    for line in data[begin + len(BEGINS):end].decode("ascii", "replace").splitlines():
        word, _, value = line.partition(" ")
        if word == "event":
            trace.kinds.append(tuple(value.split()))
        else:
            trace.head[word] = value
    if not {"tsc_khz", "cpus"} <= set(trace.head):
        raise Broken("its head does not say tsc_khz and cpus")
    return end + 2


def parse(data):
    trace = Trace()
    numbers = Numbers(data, _head(data, trace))
    cpus = [Cpu(trace.kinds) for _ in range(trace.cpus)]
    try:
        while _chunk(numbers, trace, cpus):
            pass
        trace.whole = True
    except Cut:
        pass
    trace.events.sort(key=lambda event: event.tsc)
    return trace


def load(path):
    with open(path, "rb") as file:
        return parse(file.read())


