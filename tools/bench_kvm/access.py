# SPDX-License-Identifier: MIT
"""Access tracking: from what the probe printed at each call of access_tracking_perf_test to
instructions for each GiB. Memory is in 4 KiB pages. A look reads of each page whether it is idle,
and marks it as idle again: KVM is asked whether the guest accessed it, and forgets. Behind the
test's own looks, which ask page by page, the probe looks at all pages at once.
"""
from typing import NamedTuple

from bench_kvm.log import SPARE, parse_call
from bench_kvm.units import FAULTY, LOOK, PAGE, PAGES_GIB, parse_size, two_sizes
from machines import Problem

CALLS = (("idle", "open"), ("run", "populate"), ("run", "write"), ("run", "read"),
         ("idle", "first_look"), ("run", "idle_write"),
         ("idle", "later_look"), ("run", "idle_read"),
         ("read_all", "read_all"), ("mark_all", "mark_all"))
TITLE = "access tracking"


class Access(NamedTuple):
    size: int  # bytes
    calls: list

    def named(self):
        """The calls by what they are in CALLS."""
        if [call.kind for call in self.calls] != [kind for kind, _ in CALLS]:
            raise Problem(f"{TITLE}: the test made the calls "
                          f"{' '.join(call.kind for call in self.calls) or '(none)'} instead of "
                          f"{' '.join(kind for kind, _ in CALLS)}; it has changed")
        return {name: call for (_, name), call in zip(CALLS, self.calls)}

    def add(self, words):
        self.calls.append(parse_call(words))

    def check(self):
        """Raises a Problem unless this run means what the table says."""
        calls, pages = self.named(), self.size // PAGE
        for name, call in calls.items():
            if call.preempted:
                raise Problem(f"{TITLE}: {name} was preempted {call.preempted} times, so a part of "
                              f"it is not in its time; {FAULTY}{LOOK}")
            if name != "open" and not pages <= call.pages_4k <= pages + 2 * SPARE:
                raise Problem(f"{TITLE}: at {name} {call.pages_4k} pages of 4 KiB are mapped "
                              f"instead of {pages}; {FAULTY}{LOOK}")
        # A page that is idle still is only looked at. All were written since the first look.
        if 2 * calls["later_look"].ns < calls["first_look"].ns:
            raise Problem(f"{TITLE}: the later look found less to mark than the first, so the "
                          f"guest's accesses were not seen; {FAULTY}{LOOK}")


def parse_access(words):
    if len(words) != 1:
        raise Problem(f"cannot understand the machine's line: access {' '.join(words)}")
    return Access(parse_size(words[0]), [])


def figures(runs):
    """For each GiB. Of several runs the quickest counts, call by call."""
    for run in runs:
        run.check()
    small, large = two_sizes(runs, TITLE)
    pages = (large[0].size - small[0].size) // PAGE

    def slope(name):
        low, high = (min(run.named()[name].ns for run in side) for side in (small, large))
        return round((high - low) / pages * PAGES_GIB)

    found = {name: slope(name) for _, name in CALLS}
    if min(found[name] for name in ("first_look", "later_look", "read_all", "mark_all")) <= 0:
        raise Problem(f"{TITLE}: the larger size took no longer; {FAULTY}{LOOK}")
    return found


def plan(sizes, repeats):
    """Lines for init."""
    return [f"access {size}" for size in sizes for _ in range(repeats)]
