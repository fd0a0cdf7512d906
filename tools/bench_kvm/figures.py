# SPDX-License-Identifier: MIT
"""From the lines that the machine printed to figures: of demand paging here, of the dirty log in
log.py, of access tracking in access.py.

The machine counts an instruction as a nanosecond, so the difference of two run times is a number of
instructions; divided by the difference in pages it leaves out what does not depend on the size.
What would make that wrong is looked for, and refused: a clock that counts differently, time in
which the machine had nothing to do, and pages larger than 4 KiB.
"""
import re
from typing import NamedTuple

from bench_kvm import access, log
from bench_kvm.units import FAULTY, LOOK, PAGE, UNIT, parse_size, parse_time, size_name, two_sizes
from machines import Problem

MARK = "bench-kvm: "
MODES = ("none", "minor", "missing")

UNIT_TOLERANCE = 0.02  # the timer's interrupts are in the measured time
IDLE_TOLERANCE = 0.03  # of the time between two sizes
IDLE_STEP = 0.02  # seconds: two steps of /proc/uptime

SAMPLE = re.compile(r"([0-9]+):([0-9]+\.[0-9]+)$")


class Run(NamedTuple):
    mode: str
    size: int  # bytes
    ns: int
    faults: int
    idle: float  # seconds


class Output:
    """What the machine said so far."""

    def __init__(self):
        self.facts = {}
        self.runs = []
        self.logs = []
        self.accesses = []
        self.last = None  # of these two, whose calls are being told
        self.failure = ""
        self.done = False


def parse_run(words):
    """MODE SIZE TIME FAULTS:IDLE FAULTS:IDLE"""
    samples = [SAMPLE.match(word) for word in words[3:]]
    if len(samples) != 2 or None in samples or words[0] not in MODES:
        raise Problem(f"cannot understand the machine's line: ran {' '.join(words)}")
    before, after = samples
    return Run(words[0], parse_size(words[1]), parse_time(words[2]),
               int(after.group(1)) - int(before.group(1)),
               float(after.group(2)) - float(before.group(2)))


def hear(output, line):
    """Takes one line in; returns what of it is worth showing, or None."""
    _, mark, text = line.rstrip().partition(MARK)
    if not mark:
        return None
    kind, _, rest = text.partition(" ")
    if kind == "fact":
        name, _, value = rest.partition(" ")
        output.facts[name] = value
        return f"{name} {value}" if name in ("kernel", "version", "tdp_mmu") else None
    if kind in ("ran", "warm"):
        run = parse_run(rest.split())
        if kind == "ran":
            output.runs.append(run)
        return (f"userfaultfd {run.mode}, {size_name(run.size)}: {run.ns:,} instructions" +
                (" (to warm up)" if kind == "warm" else ""))
    if kind == "begin":  # minutes before a result, which would be refused
        check_facts(output.facts)
    elif kind == "log":
        output.last = log.parse_log(rest.split())
        output.logs.append(output.last)
        return output.last.title()
    elif kind == "access":
        output.last = access.parse_access(rest.split())
        output.accesses.append(output.last)
        return f"{access.TITLE}, {size_name(output.last.size)}"
    elif kind in ("call", "over"):
        hear_call(output, rest.split())
    elif kind == "failed":
        output.failure = rest
    elif kind == "done":
        output.done = True
    return None


def hear_call(output, words):
    """A call of a run, or, without words, the end of a run."""
    if not output.last:
        raise Problem(f"the machine told of a call before it told of a run; {LOOK}")
    if words:
        output.last.add(words)
    else:
        output.last.check()


def check_facts(facts):
    """Raises a Problem unless the machine is the one that the table speaks of."""
    for name in ("tdp_mmu", "npt", "eager_page_split"):
        if facts.get(name) != "Y":
            raise Problem(f"KVM says {name}={facts.get(name)} instead of Y; {FAULTY}"
                          f"{LOOK}")
    unit = facts.get("unit", "").split()
    if len(unit) != 3 or not all(word.isdigit() for word in unit):
        raise Problem(f"the machine did not say what its clocks count; {LOOK}")
    for clock, count in zip(("clock", "thread's clock"), unit[1:]):
        ratio = int(count) / int(unit[0])
        if abs(ratio - 1) > UNIT_TOLERANCE:
            raise Problem(f"an instruction took {ratio:.3f} ns of the {clock} instead of 1; "
                          f"{FAULTY}QEMU must run with -icount shift=0,sleep=off")


def slope(runs, mode):
    """What a page costs in this mode. Of several runs of a size the quickest counts: until the
    scheduler's next tick the test may spin, which only ever adds."""
    small_runs, large_runs = two_sizes([run for run in runs if run.mode == mode], mode)
    small, large = (min(r, key=lambda run: run.ns) for r in (small_runs, large_runs))
    pages = (large.size - small.size) // PAGE
    ns, idle = large.ns - small.ns, large.idle - small.idle
    if ns <= 0:
        raise Problem(f"{mode}: the larger size took no longer; {FAULTY}{LOOK}")
    if abs(idle) > IDLE_STEP + IDLE_TOLERANCE * ns / 1e9:
        raise Problem(f"{mode}: the machine was idle for {idle:.2f} s of {ns / 1e9:.2f} s, and "
                      f"idle time is no instructions; {FAULTY}{LOOK}")
    # With MISSING each page is copied in by itself, and newer kernels count no fault for that.
    if mode != "missing" and large.faults - small.faults < 0.9 * pages:
        raise Problem(f"{mode}: {large.faults - small.faults} page faults for {pages} pages, so "
                      f"pages were larger than 4 KiB; {FAULTY}{LOOK}")
    noise = sum(max(run.ns for run in r) - min(run.ns for run in r)
                for r in (small_runs, large_runs))
    return {"instructions_per_page": round(ns / pages), "spread": round(noise / pages),
            "pages": pages, "small_ns": small.ns, "large_ns": large.ns}


# What can be measured, by the words of --tests.
PARTS = {
    "demand": lambda output: {mode: slope(output.runs, mode) for mode in MODES},
    "log": lambda output: log.all_figures(output.logs),
    "access": lambda output: access.figures(output.accesses),
}


USUAL = ("demand", "log")  # with Debian's kernel as it is


def result(output, packages, append="", tests=USUAL):
    """The figures of one kernel, of the `tests` that ran."""
    check_facts(output.facts)
    return {
        "kernel": output.facts.get("kernel"),
        "kernel_version": output.facts.get("version"),
        "tdp_mmu": output.facts["tdp_mmu"],
        "eager_page_split": output.facts["eager_page_split"],
        "append": append,
        "cmdline": output.facts.get("cmdline"),
        "packages": packages,
        **{test: PARTS[test](output) for test in tests},
    }


def access_result(output, append=""):
    """The figures of access tracking, with the kernel in which they were taken."""
    check_facts(output.facts)
    return {"kernel": output.facts.get("kernel"), "kernel_version": output.facts.get("version"),
            "append": append, "cmdline": output.facts.get("cmdline"),
            **PARTS["access"](output)}
