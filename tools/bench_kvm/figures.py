# SPDX-License-Identifier: MIT
"""From the lines that the machine printed to instructions per page, and to the table.

The machine counts an instruction as a nanosecond, so the difference of two run times is a number of
instructions; divided by the difference in pages it leaves out what does not depend on the size.
What would make that wrong is looked for, and refused: a clock that counts differently, time in
which the machine had nothing to do, and pages larger than 4 KiB.
"""
import json
import re
from typing import NamedTuple

from machines import Problem

UNIT = "instructions in the emulator, not time"
PAGE = 4096
MARK = "bench-kvm: "
MODES = ("none", "minor", "missing")

UNIT_TOLERANCE = 0.02  # the timer's interrupts are in the measured time
IDLE_TOLERANCE = 0.03  # of the time between two sizes
IDLE_STEP = 0.02  # seconds: two steps of /proc/uptime

SIZE = re.compile(r"([1-9][0-9]*)([KMG])$")
FACTOR = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
TIME = re.compile(r"([0-9]+)\.([0-9]{9})$")
SAMPLE = re.compile(r"([0-9]+):([0-9]+\.[0-9]+)$")

FAULTY = "the result would be worthless; "


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
        self.failure = ""
        self.done = False


def parse_size(text):
    match = SIZE.match(text)
    if not match:
        raise Problem(f"'{text}' is not a size; write it like 64M")
    return int(match.group(1)) * FACTOR[match.group(2)]


def size_name(size):
    return f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"


def parse_time(text):
    """Nanoseconds. In whole numbers: these are counts."""
    match = TIME.match(text)
    if not match:
        raise Problem(f"the test said '{text}' for its time; its output has changed")
    return int(match.group(1)) * 10**9 + int(match.group(2))


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
    elif kind == "failed":
        output.failure = rest
    elif kind == "done":
        output.done = True
    return None


def check_facts(facts):
    """Raises a Problem unless the machine is the one that the table speaks of."""
    for name in ("tdp_mmu", "npt"):
        if facts.get(name) != "Y":
            raise Problem(f"KVM says {name}={facts.get(name)} instead of Y; {FAULTY}"
                          "look at serial.log")
    unit = facts.get("unit", "").split()
    if len(unit) != 2 or not all(word.isdigit() for word in unit):
        raise Problem("the machine did not say what its clock counts; look at serial.log")
    ratio = int(unit[1]) / int(unit[0])
    if abs(ratio - 1) > UNIT_TOLERANCE:
        raise Problem(f"an instruction took {ratio:.3f} ns instead of 1; {FAULTY}"
                      "QEMU must run with -icount shift=0,sleep=off")


def slope(runs, mode):
    """What a page costs in this mode. Of several runs of a size the quickest counts: until the
    scheduler's next tick the test may spin, which only ever adds."""
    by_size = {}
    for run in runs:
        if run.mode == mode:
            by_size.setdefault(run.size, []).append(run)
    if len(by_size) != 2:
        raise Problem(f"{mode}: {len(by_size)} sizes were measured instead of 2; "
                      "look at serial.log")
    (_, small_runs), (_, large_runs) = sorted(by_size.items())
    small, large = (min(r, key=lambda run: run.ns) for r in (small_runs, large_runs))
    pages = (large.size - small.size) // PAGE
    ns, idle = large.ns - small.ns, large.idle - small.idle
    if ns <= 0:
        raise Problem(f"{mode}: the larger size took no longer; {FAULTY}look at serial.log")
    if abs(idle) > IDLE_STEP + IDLE_TOLERANCE * ns / 1e9:
        raise Problem(f"{mode}: the machine was idle for {idle:.2f} s of {ns / 1e9:.2f} s, and "
                      f"idle time is no instructions; {FAULTY}look at serial.log")
    if large.faults - small.faults < 0.9 * pages:
        raise Problem(f"{mode}: {large.faults - small.faults} page faults for {pages} pages, so "
                      f"pages were larger than 4 KiB; {FAULTY}look at serial.log")
    noise = sum(max(run.ns for run in r) - min(run.ns for run in r)
                for r in (small_runs, large_runs))
    return {"instructions_per_page": round(ns / pages), "spread": round(noise / pages),
            "pages": pages, "small_ns": small.ns, "large_ns": large.ns}


def result(output, packages, append=""):
    check_facts(output.facts)
    return {
        "unit": UNIT,
        "per": "4 KiB page, slope between two sizes",
        "kernel": output.facts.get("kernel"),
        "kernel_version": output.facts.get("version"),
        "tdp_mmu": output.facts["tdp_mmu"],
        "append": append,
        "cmdline": output.facts.get("cmdline"),
        "packages": packages,
        "kvm": {mode: slope(output.runs, mode) for mode in MODES},
    }


# What is measured, and which of Cleave's figures does the same work.
KVM_ROWS = (
    ("none", "no userfaultfd: the kernel clears a page", "npt_arrival_copy"),
    ("minor", "userfaultfd MINOR: the page is in memory", "npt_arrival"),
    ("missing", "userfaultfd MISSING: the page is copied", "npt_arrival_copy"),
)
CLEAVE_ROWS = (
    ("npt_arrival", "nested paging: the page is in memory"),
    ("npt_arrival_copy", "nested paging: the page is copied"),
    ("ept_arrival", "EPT (Bochs): the page is in memory"),
    ("ept_arrival_copy", "EPT (Bochs): the page is copied"),
)


def read_cleave(path):
    """Cleave's own figures that are of use here; none if there is no such file yet."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Problem(f"cannot read {path}: {error}; make bench writes it anew") from error
    names = [name for name, _ in CLEAVE_ROWS]
    return {name: value for name, value in data.items()
            if name in names and isinstance(value, (int, float)) and value > 0}


def row(title, number, last=""):
    return f"  {title:<44}{number:>12}{last:>12}".rstrip()


def table(data, cleave):
    """Lines. The ratio is to the figure of Cleave that does the same work."""
    kvm = data["kvm"]
    more = f", {data['append']}" if data.get("append") else ""
    lines = [f"An arriving 4 KiB page, one vCPU ({UNIT})",
             row("", "per page", "to Cleave" if cleave else ""),
             f"Linux KVM {data['kernel']}, tdp_mmu={data['tdp_mmu']}, mitigations=off{more}"]
    for mode, title, same in KVM_ROWS:
        number = kvm[mode]["instructions_per_page"]
        ratio = f"{number / cleave[same]:.1f} : 1" if same in cleave else ""
        lines.append(row(title, f"{number:,}", ratio))
    lines.append("Cleave")
    lines += [row(title, f"{round(cleave[name]):,}") for name, title in CLEAVE_ROWS
              if name in cleave]
    if not cleave:
        lines.append("  not measured yet: make bench")
    return lines
