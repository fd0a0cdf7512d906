# SPDX-License-Identifier: MIT
"""A table like `perf kvm stat report`: exits by reason, and what they cost.

Time is in cycles of the TSC, from the exit until the guest goes on. An exit that ends its turn (a
page must be waited for; its time slice is over) is a sample without a time.
"""
from tracing import exits


class Row:
    def __init__(self):
        self.samples = self.timed = self.sum = self.most = 0
        self.least = None

    def add(self, cycles):
        self.samples += 1
        if cycles is None:
            return
        self.timed += 1
        self.sum += cycles
        self.most = max(self.most, cycles)
        self.least = cycles if self.least is None else min(self.least, cycles)


def rows(trace, vm=None):
    """Reason -> Row. @vm: only of this VM"""
    found = {}
    for reason, event, begin, end in exits.spans(trace):
        if vm is None or event.vm == vm:
            found.setdefault(reason, Row()).add(None if end is None else end - begin)
    return found


def table(trace, vm=None):
    which = exits.isa(trace)
    found = sorted(rows(trace, vm).items(), key=lambda item: (-item[1].samples, item[0]))
    samples = sum(row.samples for _, row in found) or 1
    cycles = sum(row.sum for _, row in found) or 1
    whose = "all VMs" if vm is None else f"VM {vm}"
    lines = [f"Exits of {whose}; cycles of the TSC, {trace.khz} kHz", "",
             f"{'VM-EXIT':>20} {'Samples':>10} {'Samples%':>9} {'Time%':>8} {'Min':>10} {'Max':>12} "
             f"{'Avg':>12}", ""]
    for reason, row in found:
        lines.append(f"{exits.name(which, reason):>20} {row.samples:>10} "
                     f"{100 * row.samples / samples:>8.2f}% {100 * row.sum / cycles:>7.2f}% " +
                     (f"{row.least:>10} {row.most:>12} {row.sum / row.timed:>12.1f}" if row.timed
                      else f"{'-':>10} {'-':>12} {'-':>12}"))
    lines += ["", f"Total samples: {sum(row.samples for _, row in found)}, "
              f"total cycles: {sum(row.sum for _, row in found)}"]
    if trace.lost_sum():
        lines.append(f"{trace.lost_sum()} records were lost: the figures are of the others.")
    return "\n".join(lines) + "\n"
