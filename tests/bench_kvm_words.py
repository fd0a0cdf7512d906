# SPDX-License-Identifier: MIT
"""What the tests of the comparison with Linux KVM share: words of a machine, right ones and, where
a test asks for it, wrong ones."""
import os
import shutil
import tempfile
import unittest

import tap

bench = tap.load("tools/bench-kvm")
from bench_kvm import access, figures, log, units
from machines import Problem

FACTS = ("kernel 6.1.0-1-amd64", "version #1 SMP", "tdp_mmu Y", "eager_page_split Y", "npt Y",
         "clocksource tsc", "unit 100000000 100400000 100200000")
# Of 16 MiB and 48 MiB: 8192 pages between them.
PAGES = 8192
OWN = 40  # pages of 4 KiB that are not in the log
# Instructions for a page in the log; the guest's loop alone is `still`.
PER_PAGE = {"populate": 90, "on": 300, "clear": 200, "get": 100, "off": 250, "again": 12,
            "still": 10, "write": 1500}


def ran(mode, size, ns, faults, idle, kind="ran"):
    return (f"{figures.MARK}{kind} {mode} {size} {ns // 10**9}.{ns % 10**9:09} "
            f"1000:1.00 {1000 + faults}:{1 + idle:.2f}")


def transcript(per_page=(1000, 3000, 4000), facts=FACTS, idle=0.0, faults=PAGES, end="done"):
    lines = ["[    0.1] a kernel speaks\r", *(f"{figures.MARK}fact {fact}\r" for fact in facts)]
    for mode, cost in zip(figures.MODES, per_page):
        lines += [ran(mode, "16M", 9, 0, 0, "warm"),
                  ran(mode, "16M", 5_000_000, 4096, 0.03),
                  ran(mode, "48M", 5_000_000 + cost * PAGES, 4096 + faults, 0.03 + idle)]
    return [*lines, *all_logs(), figures.MARK + end]


def log_calls(protocol, percent, size):
    """What the probe would print: [kind, ns, pages_4k, pages_2m, bits, preempted] by name."""
    pages = units.parse_size(size) // units.PAGE
    written = pages * percent // 100
    calls, small = {}, False
    for kind, name in log.CALLS[protocol]:
        small = (small or name == log.SPLITS[protocol]) and name != "off"
        marked = name == "first_pass" and protocol == "together" or name == "later_pass"
        bits = 0 if kind != "get" else \
            pages if protocol == "apart" and name == "first_get" else written
        passes = "still" if name.endswith("_pass") else "populate"
        ns = PER_PAGE[passes if kind == "run" else kind] * pages + \
            PER_PAGE["write"] * written * marked
        large = 0 if small or name == "off" else pages // 512
        calls[name] = [kind, ns + 5000, OWN + (pages if small else 0), large, bits, 0]
    return calls


def log_lines(protocol, percent, size, **changes):
    """`changes`: {name: {field's number: value}}"""
    calls = log_calls(protocol, percent, size)
    for name, fields in changes.items():
        for number, value in fields.items():
            calls[name][number] = value
    return [f"{figures.MARK}log {protocol} {percent} {size}",
            *(f"{figures.MARK}call {' '.join(map(str, call))}" for call in calls.values()),
            f"{figures.MARK}over"]


def all_logs():
    return [line for protocol in log.CALLS for percent in log.PERCENTS for size in ("16M", "48M")
            for line in log_lines(protocol, percent, size)]


def heard(lines):
    output = figures.Output()
    for line in lines:
        figures.hear(output, line)
    return output


def result(**changes):
    return figures.result(heard(transcript(**changes)), {})


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="bench-kvm-test-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def refused(self, pattern, function, *args, **keywords):
        with self.assertRaisesRegex(Problem, pattern):
            function(*args, **keywords)


def access_lines(size, **changes):
    """A look costs 4000 a page, at once 600 and 700, an access 10, to an idle page 12; `changes` as
    in log_lines()."""
    pages = units.parse_size(size) // units.PAGE
    cost = {"idle": 4000, "read_all": 600, "mark_all": 700}
    calls = {name: [kind, 1000 + pages * cost.get(kind, 12 if "idle" in name else 10),
                    pages + OWN, 1, 0, 0] for kind, name in access.CALLS}
    calls["open"][1:3] = 50, 0
    for name, fields in changes.items():
        for number, value in fields.items():
            calls[name][number] = value
    return [f"{figures.MARK}access {size}",
            *(f"{figures.MARK}call {' '.join(map(str, call))}" for call in calls.values()),
            f"{figures.MARK}over"]


def access_result(*runs):
    facts = [f"{figures.MARK}fact {fact}" for fact in FACTS]
    return figures.access_result(heard([*facts, *(line for run in runs for line in run)]))
