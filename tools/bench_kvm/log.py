# SPDX-License-Identifier: MIT
"""The dirty log: from what the probe printed at each call of dirty_log_perf_test to instructions
for each GiB. Each call is told with what KVM has mapped behind it, so that a run in which memory
was not split ahead, was small before, or did not come back large, is refused.
"""
from typing import NamedTuple

from bench_kvm.units import FAULTY, LOOK, PAGE, PAGES_2M, PAGES_GIB, parse_size, two_sizes
from machines import Problem

PERCENTS = (0, 1, 10, 100)  # of the pages, in each pass of the guest
# KVM's two protocols. "together": to get the log also clears it; the log goes on marked. "apart":
# the log goes on with all pages dirty and none marked; each is marked when it is cleared first.
CALLS = {
    "together": (("run", "populate"), ("on", "on"), ("run", "first_pass"), ("get", "first_get"),
                 ("run", "later_pass"), ("get", "later_get"), ("off", "off"),
                 ("again", "again"), ("still", "still")),
    "apart": (("run", "populate"), ("on", "on"), ("run", "first_pass"), ("get", "first_get"),
              ("clear", "first_clear"), ("run", "later_pass"), ("get", "later_get"),
              ("clear", "later_clear"), ("off", "off"), ("again", "again"), ("still", "still")),
}
SPLITS = {"together": "on", "apart": "first_clear"}  # the call that splits ahead
SPARE = PAGES_2M  # pages of 4 KiB that are the test's own, and come and go


class Call(NamedTuple):
    kind: str
    ns: int  # of the calling thread
    pages_4k: int
    pages_2m: int
    bits: int  # set in the log
    preempted: int  # times


class Log(NamedTuple):
    protocol: str
    percent: int
    size: int  # bytes
    calls: list

    def add(self, words):
        self.calls.append(parse_call(words))

    def title(self):
        return f"dirty log, {self.protocol}, {self.percent} %"

    def check(self):
        check_log(self)

    def named(self):
        """The calls by what they are in CALLS."""
        wanted = CALLS[self.protocol]
        if [call.kind for call in self.calls] != [kind for kind, _ in wanted]:
            raise Problem(f"{self.title()}: the test made the calls "
                          f"{' '.join(call.kind for call in self.calls) or '(none)'} instead of "
                          f"{' '.join(kind for kind, _ in wanted)}; it has changed")
        return {name: call for (_, name), call in zip(wanted, self.calls)}


def parse_log(words):
    """PROTOCOL PERCENT SIZE, and options of the test's"""
    if len(words) < 3 or words[0] not in CALLS or not words[1].isdigit():
        raise Problem(f"cannot understand the machine's line: log {' '.join(words)}")
    return Log(words[0], int(words[1]), parse_size(words[2]), [])


def parse_call(words):
    """KIND NANOSECONDS PAGES_4K PAGES_2M BITS PREEMPTED"""
    if len(words) != 6 or not all(word.isdigit() for word in words[1:]):
        raise Problem(f"cannot understand the machine's line: call {' '.join(words)}")
    return Call(words[0], *(int(word) for word in words[1:]))


def check_log(log):
    """Raises a Problem unless this run means what the table says."""
    calls = log.named()
    check_mappings(log, calls)
    pages = log.size // PAGE
    for name, call in calls.items():
        if call.preempted:
            raise Problem(f"{log.title()}: {name} was preempted {call.preempted} times, so a part "
                          f"of it is not in its time; {FAULTY}{LOOK}")
        if call.kind != "get":
            continue
        all_set = log.protocol == "apart" and name == "first_get"
        want = pages if all_set else pages * log.percent // 100
        # Later versions of the test throw dice for each page.
        dice = 0 if all_set or log.percent in (0, 100) else 5 * want**0.5
        if abs(call.bits - want) > dice + 1:
            raise Problem(f"{log.title()}: {call.bits} pages were dirty at {name} instead of "
                          f"{want}; {FAULTY}{LOOK}")


def check_mappings(log, calls):
    pages, large = log.size // PAGE, log.size // PAGE // PAGES_2M
    own = calls["populate"].pages_4k
    split = False
    for name, call in calls.items():
        split = (split or name == SPLITS[log.protocol]) and name != "off"
        small = call.pages_4k >= own + pages and call.pages_2m < large
        if split and not small:
            raise Problem(f"{log.title()}: at {name} {call.pages_4k} pages of 4 KiB and "
                          f"{call.pages_2m} of 2 MiB are mapped, so memory was not split ahead; "
                          f"{FAULTY}{LOOK}")
        if not split and call.pages_4k > own + SPARE:
            raise Problem(f"{log.title()}: at {name} {call.pages_4k} pages of 4 KiB are mapped, so "
                          f"memory is in small pages; {FAULTY}{LOOK}")
        # When the log goes off, older kernels unmap, and the guest's next accesses map.
        if not split and name != "off" and call.pages_2m < large:
            raise Problem(f"{log.title()}: at {name} {call.pages_2m} pages of 2 MiB are mapped "
                          f"instead of {large}; {FAULTY}{LOOK}")


def figures(logs):
    """What one protocol at one percentage costs. Of several runs the quickest counts, call by
    call."""
    for log in logs:
        log.check()
    title = logs[0].title()
    small, large = two_sizes(logs, title)
    pages = (large[0].size - small[0].size) // PAGE

    def slope(name, field):
        low, high = (min(getattr(log.named()[name], field) for log in side)
                     for side in (small, large))
        return (high - low) / pages

    costs = {name: slope(name, "ns") for _, name in CALLS[logs[0].protocol]}
    if costs[SPLITS[logs[0].protocol]] <= 0 or costs["off"] <= 0:
        raise Problem(f"{title}: the larger size took no longer; {FAULTY}{LOOK}")
    result = {name: round(cost * PAGES_GIB) for name, cost in costs.items()}
    dirty = slope("later_get", "bits")
    result["written"] = round(dirty * PAGES_GIB)
    if dirty:
        for which in ("first", "later"):
            faults = costs[f"{which}_pass"] - costs["still"]
            result[f"{which}_write"] = round(faults / dirty)
    return result


def all_figures(logs):
    """{protocol: {percent: figures}}; each as a text, as JSON has it."""
    return {protocol: {str(percent): figures(
        [log for log in logs if (log.protocol, log.percent) == (protocol, percent)] or
        [Log(protocol, percent, 0, [])]) for percent in PERCENTS} for protocol in CALLS}


def plan(options, sizes, repeats):
    """Lines for init. `options`: of the test's, by percentage."""
    return [f"log {protocol} {percent} {size} {options[percent]}"
            f"{' -g' if protocol == 'together' else ''}"
            for protocol in CALLS for percent in PERCENTS for size in sizes
            for _ in range(repeats)]


def options_of(source):
    """The options that make the guest write PERCENTS of its pages, from the test's source: older
    versions write each Nth page, later ones throw dice for each."""
    if "write_percent" in source:
        return {percent: f"-w {percent}" for percent in PERCENTS}
    if "wr_fract" in source:
        return {percent: f"-f {100 // percent if percent else 1 << 30}" for percent in PERCENTS}
    raise Problem("dirty_log_perf_test has no option for how much is written; it has changed")


def rows(data):
    """{protocol: {row: instructions}} out of all_figures(): what the table shows."""
    return {protocol: rows_of(data[protocol]) for protocol in data}


def rows_of(by_percent):
    full = by_percent["100"]
    apart = "first_clear" in full
    back = full["again"] - full["still"]
    found = {"on": full["on"] + (full["first_get"] + full["first_clear"] if apart else 0),
             "first_write": full["first_write"], "later_write": full["later_write"],
             "off": full["off"] + back, "off_guest": back}
    for percent, f in by_percent.items():
        collect = f["later_get"] + f.get("later_clear", 0)
        found[f"collect_{percent}"] = collect
        found[f"round_{percent}"] = collect + f["later_pass"] - f["still"]
    return found
