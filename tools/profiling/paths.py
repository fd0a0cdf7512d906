# SPDX-License-Identifier: MIT
"""From QEMU's log of executed instructions to what they were for.

A line of the log names an instruction by its address, and by flags one of which says that it is a guest's.
A stretch is what the hypervisor executes without a break: from one of the guest's instructions to the next,
or from one call of a function to the next.
"""
import bisect
import collections
import re
import subprocess
from typing import NamedTuple

LINE = re.compile(rb"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/([0-9a-f]+)/")
IN_GUEST = 1 << 21  # HF_GUEST_MASK, of QEMU's CPU
GUEST = "guest"
ELSEWHERE = "elsewhere"


class Symbols:
    """The functions of the linked image, by address."""

    def __init__(self, path):
        done = subprocess.run(["nm", "-n", path], text=True, check=True, stdout=subprocess.PIPE)
        found = [line.split() for line in done.stdout.splitlines()]
        code = [(int(words[0], 16), words[2]) for words in found if len(words) == 3 and words[1] in "tT"]
        self.all = {words[2]: int(words[0], 16) for words in found if len(words) == 3}
        self.end = max(at for at, _ in code) + 4096
        self.starts, self.names = [at for at, _ in code], [name.partition(".")[0] for _, name in code]

    def function(self, offset):
        at = bisect.bisect_right(self.starts, offset) - 1
        return self.names[at] if at >= 0 and offset < self.end else ELSEWHERE


def instructions(lines, symbols, base):
    """(function, is it its first instruction) of each; those of guests are GUEST's."""
    known = {}
    for line in lines:
        found = LINE.match(line)
        if not found:
            continue
        if int(found[2], 16) & IN_GUEST:
            yield GUEST, False
            continue
        where = found[1]
        if where not in known:
            offset = int(where, 16) - base
            known[where] = symbols.function(offset), offset in symbols.starts
        yield known[where]


class Stretch(NamedTuple):
    runs: tuple  # ((function, instructions), ...), in the order of execution

    @property
    def count(self):
        return sum(n for _, n in self.runs)

    def by_function(self):
        total = collections.Counter()
        for name, n in self.runs:
            total[name] += n
        return total


def stretches(executed, first=(), last=None, cut=False):
    """With `first`, from one call of these functions to the next; else from guest to guest. The function
    `last` and what follows it belongs to none. Whole ones only, or with `cut` also the last one."""
    runs, whole, over = [], False, False
    for name, begins in executed:
        if begins and name in first if first else name == GUEST:
            if whole and runs:
                yield Stretch(tuple((n, c) for n, c in runs))
            runs, whole, over = [], True, False
            if not first:
                continue
        over |= name == last
        if over or name == GUEST:
            continue
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
    if cut and whole and runs:
        yield Stretch(tuple((n, c) for n, c in runs))


class Kind(NamedTuple):
    """All stretches that were for the same."""
    name: str
    stretches: list

    @property
    def mean(self):
        return sum(s.count for s in self.stretches) / len(self.stretches)

    def by_function(self):
        """[(function, instructions of a stretch)], the largest first."""
        total = collections.Counter()
        for stretch in self.stretches:
            total.update(stretch.by_function())
        return [(name, n / len(self.stretches)) for name, n in total.most_common()]

    def usual(self):
        """(the path that most took, how many)"""
        return collections.Counter(self.stretches).most_common(1)[0]


def for_each(found, mark):
    """(instructions of all stretches by function, how often the function `mark` was called)"""
    total, calls = collections.Counter(), 0
    for stretch in found:
        total.update(stretch.by_function())
        calls += sum(name == mark for name, _ in stretch.runs)
    return total, max(calls, 1)


def kinds(found, marks):
    """`marks`: ((function, name), ...): what calls the function is of that kind; the first that fits."""
    sorted_out = collections.defaultdict(list)
    for stretch in found:
        called = {name for name, _ in stretch.runs}
        name = next((kind for mark, kind in marks if mark in called), "other")
        sorted_out[name].append(stretch)
    return sorted((Kind(name, list_) for name, list_ in sorted_out.items()),
                  key=lambda kind: -kind.mean * len(kind.stretches))
