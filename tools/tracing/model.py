# SPDX-License-Identifier: MIT
"""What a trace says about a migration: how the destination is mapped at each moment, and figures.

The state of a page at a time T is never stored: it follows from when the page came and from the last
event of its range. A range is 2 MiB: 512 pages, one table page.
"""
from bisect import bisect_right

ROW = 512  # pages of a range
NEVER = 0xffffffff
BUCKETS = 64


class Mapping:
    """The destination's second stage: how many leaves of each level, and how many tables: those that
    are linked, and all, with those that wait for a flush."""

    def __init__(self, frames, tables):
        self.frames = frames
        self.here = bytearray(frames)
        self.count = {1: 0, 2: 0, 3: 0}
        self.tables = self.linked = tables
        self.gib_leaf = set()
        self.row_leaf = set()

    def level_of(self, gfn):
        if gfn // ROW // ROW in self.gib_leaf:
            return 3
        return 2 if gfn // ROW in self.row_leaf else 1

    def _place(self, gfn, level, frames):
        end = min(gfn + frames, self.frames)
        if any(self.here[gfn:end]):
            return
        self.here[gfn:end] = b"\1" * (end - gfn)
        self.count[level] += 1
        if level == 2:
            self.row_leaf.add(gfn // ROW)
        elif level == 3:
            self.gib_leaf.add(gfn // ROW // ROW)

    def _take(self, gfn, frames):
        """What is not mapped any more: the hypervisor has split down to it before."""
        at, end = gfn, min(gfn + frames, self.frames)
        while at < end:
            level = self.level_of(at)
            size = ROW ** (level - 1)
            if self.here[at]:
                self.count[level] -= 1
                self.here[at:at + size] = bytes(min(size, self.frames - at))
                self.row_leaf.discard(at // ROW if level == 2 else None)
                self.gib_leaf.discard(at // ROW // ROW if level == 3 else None)
            at += size

    def _split(self, gfn, level):
        leaves, number = (self.gib_leaf, gfn // ROW // ROW) if level == 3 else \
            (self.row_leaf, gfn // ROW)
        self.tables += 1
        self.linked += 1
        if number not in leaves:
            return  # it is absent: so are its pieces
        leaves.remove(number)
        self.count[level] -= 1
        self.count[level - 1] += ROW
        if level == 3:
            self.row_leaf.update(range(number * ROW, (number + 1) * ROW))

    def _collapse(self, gfn, level):
        leaves, number = (self.gib_leaf, gfn // ROW // ROW) if level == 3 else \
            (self.row_leaf, gfn // ROW)
        leaves.add(number)
        self.linked -= 1
        self.count[level] += 1
        self.count[level - 1] -= ROW
        if level == 3:
            self.row_leaf.difference_update(range(number * ROW, (number + 1) * ROW))

    def apply(self, event):
        if event.name in ("ARRIVE", "ZERO", "AGAIN", "SERVED"):
            self._place(event.gfn, event.level, event.frames)
        elif event.name == "SPLIT":
            self._split(event.gfn, event.level)
        elif event.name == "COLLAPSE":
            self._collapse(event.gfn, event.level)
        elif event.name in ("POISON", "DISCARD"):
            self._take(event.gfn, event.frames)
        elif event.name == "SYNC":
            self.tables -= event.a


class Vcpu:
    def __init__(self):
        self.faults = self.block_cycles = self.block_max = self.waits = 0

    def waited(self, cycles):
        self.block_cycles += cycles
        self.block_max = max(self.block_max, cycles)
        self.waits += 1


class Migration:
    """One SWITCH, and what belongs to it. Times are cycles of the TSC."""

    def __init__(self, trace, switch, number, of):
        self.trace, self.number, self.of = trace, number, of
        self.source, self.vm = switch.a, switch.b
        self.switched = switch.tsc
        self.frames = max((e.b for e in trace.events if e.name == "VM" and e.a == self.vm),
                          default=ROW)
        self.stopped = self._phase(0, self.source, last=True) or self.switched
        self.arrived = self._phase(1, self.vm)
        self.ended = self._phase(2, self.vm)
        self.end = self.ended or trace.events[-1].tsc
        self.events = [e for e in trace.events if e.vm == self.vm and e.tsc <= self.end and
                       e.name not in ("VM", "PHASE")]
        self.entered = next((e.tsc for e in self.events if e.name == "RESUME"), None)
        self._count()

    def _phase(self, phase, vm, last=False):
        times = [e.tsc for e in self.trace.events if e.name == "PHASE" and e.a == phase and e.b == vm
                 and (not last or e.tsc <= self.switched)]
        return times[-1] if times else None

    def _since_stop(self, tsc):
        return (tsc - self.stopped) * 1000 // self.trace.khz if tsc else None

    def us(self, tsc):
        """From the switch-over on."""
        return (tsc - self.switched) * 1000 / self.trace.khz

    def _count(self):
        self.vcpus, self.counts, self.refused = {}, {}, {}
        self.latency = [0] * BUCKETS
        for e in self.events:
            self.counts[e.name] = self.counts.get(e.name, 0) + 1
            if e.why is not None:
                self.refused[e.why] = self.refused.get(e.why, 0) + 1
            if e.name in ("FAULT", "SERVED") and e.vcpu is not None:
                self.vcpu(e).faults += 1
            if e.cycles is not None and e.vcpu is not None:
                self.vcpu(e).waited(e.cycles)
                self.latency[max(e.cycles, 1).bit_length() - 1] += 1

    def vcpu(self, event):
        return self.vcpus.setdefault(event.vcpu, Vcpu())

    def figures(self):
        """By the names of report.json, where it has them."""
        n = self.counts.get
        asked = {e.gfn for e in self.events if e.name == "REQUEST"}
        return {
            "arrivals": n("ARRIVE", 0) + n("ZERO", 0) + n("SERVED", 0),
            "pager_duplicates": n("DUPLICATE", 0), "requests": len(asked),
            "faults": sum(v.faults for v in self.vcpus.values()),
            "splits": n("SPLIT", 0), "collapses": n("COLLAPSE", 0), "syncs": n("SYNC", 0),
            "refused": sum(self.refused.values()),
            "poisoned": sum(e.frames for e in self.events if e.name == "POISON"),
            "latency_log2_cycles": self.latency,
            "downtime_us": self._since_stop(self.entered),
            "arrived_us": self._since_stop(self.arrived),
            "blocktime_us": [self.vcpus[i].block_cycles * 1000 // self.trace.khz
                             for i in sorted(self.vcpus)],
            "faults_of": [self.vcpus[i].faults for i in sorted(self.vcpus)],
        }

    def arrivals(self):
        """For each page the time when it came last, in us, and NEVER."""
        times = [NEVER] * self.frames
        origin = self.us(self.stopped)
        for e in self.events:
            if e.name in ("ARRIVE", "ZERO", "SERVED", "AGAIN"):
                when = int(self.us(e.tsc) - origin)
                for gfn in range(e.gfn, min(e.gfn + e.frames, self.frames)):
                    if times[gfn] == NEVER or e.name == "AGAIN":
                        times[gfn] = when
        return times

    def series(self, bins, tables):
        """Samples at the end of `bins` equal spans of time. @tables: at the switch-over"""
        mapping = Mapping(self.frames, tables)
        step = max(self.end - self.stopped, 1) / bins
        rows = {name: [] for name in ("k4", "m2", "g1", "tables", "linked", "arrived", "faults")}
        at = pages = 0
        for i in range(bins):
            until = self.stopped + step * (i + 1)
            faults = 0
            peak = mapping.tables
            while at < len(self.events) and (self.events[at].tsc <= until or i == bins - 1):
                e = self.events[at]
                mapping.apply(e)
                peak = max(peak, mapping.tables)
                pages += e.frames if e.name in ("ARRIVE", "ZERO", "SERVED") else 0
                faults += e.name in ("FAULT", "SERVED")
                at += 1
            for name, value in zip(rows, (*mapping.count.values(), peak, mapping.linked, pages,
                                          faults)):
                rows[name].append(value)
        return rows, mapping

    def lanes(self):
        """vCPU -> [(tsc, state)]: 0 not running, 1 guest, 2 hypervisor, 3 waits for a page."""
        lanes = {}
        for e in self.events:
            if e.vcpu is None:
                continue
            lane = lanes.setdefault(e.vcpu, [])
            if e.name == "SERVED":
                lane += [(e.tsc - e.b, 2), (e.tsc, 1)]
            elif e.name in STATES:
                lane.append((e.tsc, STATES[e.name]))
        return {vcpu: sorted(lane, key=lambda change: change[0]) for vcpu, lane in lanes.items()}

    def lane_shares(self, bins):
        """vCPU -> for each bin its shares of guest, hypervisor, wait, of 255."""
        shares = {}
        step = max(self.end - self.stopped, 1) / bins
        for vcpu, lane in sorted(self.lanes().items()):
            times = [t for t, _ in lane]
            row = []
            for i in range(bins):
                begin, end = self.stopped + step * i, self.stopped + step * (i + 1)
                row.append(_shares(lane, times, begin, end))
            shares[vcpu] = row
        return shares


STATES = {"RESUME": 1, "FOUND": 1, "STALE": 1, "EXIT": 2, "FAULT": 2, "WAKE": 2, "ENTER": 2,
          "WAIT": 3, "LEAVE": 0}


def _shares(lane, times, begin, end):
    at = bisect_right(times, begin) - 1
    state, sums, now = lane[at][1] if at >= 0 else 0, [0, 0, 0, 0], begin
    at += 1
    while at < len(lane) and lane[at][0] < end:
        sums[state] += lane[at][0] - now
        now, state = lane[at]
        at += 1
    sums[state] += end - now
    return [round(255 * part / (end - begin)) for part in sums[1:]]


def migrations(trace):
    switches = [e for e in trace.events if e.name == "SWITCH"]
    return [Migration(trace, switch, i, len(switches)) for i, switch in enumerate(switches)]
