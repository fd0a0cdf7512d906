# SPDX-License-Identifier: MIT
"""What nesting costs: exits to L1, and instructions of L0, for one page that is demanded, for one
collapse of 512 entries, and for all of `make run`.

L1 runs `make run`'s case, and then tests/nested/cost.cfg: pairs of demand benchmarks. What one page
costs is the slope between two sizes. Where only the last page of each 2 MiB is missing, and the guest
has used the others, a collapse costs what that page costs more with collapses than without.

Before each benchmark Cleave asks CPUID for a leaf that is a mark, and L1's KVM counts in a window of
its own from there to the next character that Cleave prints (tests/nested/init). Cleave's TSC counts
L0's instructions: L0 is QEMU with -icount, or Bochs. So a time of 1 ns (QEMU) or one cycle (Bochs) is
an instruction, also where L0's CPU is idle. Compared is the same, in the same emulator without KVM.
"""
import json
import os
import subprocess
import sys

import exits
from machines import Problem

MARK = 0x434C5645  # as tests/machine/bench_demand.c has it
PAGES, COLLAPSES = (4096, 12288), (16, 80)
WINDOWS = (*(f"never_{size}" for size in PAGES),
           *(f"{policy}_last_{size}" for policy in ("never", "complete") for size in COLLAPSES))
JSON = "nested: json "
DIRECT_SECONDS = 900
# Those of the launcher's machines that is L0's emulator, for L1's architecture.
DIRECT = {"svm": ("--machine", "qemu", "--icount-shift", "0"), "vmx": ("--machine", "bochs")}
EVENTS = (("exits", exits.EXITS), ("exits_of_the_guest", exits.FROM_GUEST),
          ("handed_on", exits.HANDED_ON))


def request():
    """What tells L1's first process to open windows: a file."""
    return f"{len(WINDOWS)} {MARK:#x}\n"


def heard(lines):
    """The figures that the image printed, out of L1's lines."""
    return [json.loads(line[len(JSON):]) for line in lines if line.startswith(JSON)]


def instructions(figures):
    """{"run", "page", "in_place", "collapse": instructions}, of the members `runs` of both boots'
    report.json."""
    boot = [line["tsc"] for line in figures if line.get("name") == "run"]
    cycles = [line["cycles"] for line in figures if line.get("bench") == "demand"]
    in_place = [line["cycles"] for line in figures if line.get("bench") == "arrival"]
    if len(boot) != 1 or len(cycles) != len(WINDOWS) or len(in_place) != len(PAGES):
        raise Problem(f"expected the figures of one run and {len(WINDOWS)} + {len(PAGES)} benchmarks, found "
                      f"{len(boot)} and {len(cycles)} + {len(in_place)}: the lines above say what failed")
    return {"run": boot[0], **one_of_each(cycles),
            "in_place": (in_place[1] - in_place[0]) / (PAGES[1] - PAGES[0])}


def one_of_each(values):
    """`values`: of the windows."""
    page, never, complete = (values[i + 1] - values[i] for i in (0, 2, 4))
    return {"page": page / (PAGES[1] - PAGES[0]),
            "collapse": (complete - never) / (COLLAPSES[1] - COLLAPSES[0])}


def by_reason(counts, name_of):
    """{what was counted: {reason: {"page", "collapse": number}}}"""
    result = {}
    for key, event in EVENTS:
        windows = [counts.by_name(f"window{number}/{event}", name_of)
                   for number in range(1, len(WINDOWS) + 1)]
        result[key] = {name: one_of_each([window.get(name, 0) for window in windows])
                       for name in sorted(set().union(*windows))}
    return result


def directly(root, case, memory, folder):
    """One of the boots without KVM; returns its figures."""
    out = os.path.join(folder, f"direct-{case.name}")
    argv = [sys.executable, os.path.join(root, "tools", "launch"), *DIRECT[case.l0], "--quiet",
            "--cpus", str(case.cpus), "--memory", str(memory), "--timeout", str(DIRECT_SECONDS),
            "--out", out, "--efi", case.image, "--config", case.config, *case.payloads]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, errors="replace")
    if done.returncode:
        raise Problem(f"the same run without KVM failed: {done.stdout.strip()}")
    with open(os.path.join(out, "report.json"), encoding="utf-8") as file:
        return json.load(file)["runs"]


def result(counts, name_of, nested, direct):
    """What goes into cost.json. `nested`, `direct`: what instructions() returned."""
    return {"windows": WINDOWS, **by_reason(counts, name_of), "instructions": nested,
            "instructions_without_kvm": direct}


def table(cost):
    """Lines: the exits of a page and of a collapse, then the instructions."""
    lines = [f"{'exits to L1 for':<24}{'a page':>10}{'of L3':>10}{'handed on':>10}{'a collapse':>12}"]
    rows = [(name, hits["page"], cost["exits_of_the_guest"].get(name, {}).get("page", 0),
             cost["handed_on"].get(name, {}).get("page", 0), hits["collapse"])
            for name, hits in cost["exits"].items()]
    rows.sort(key=lambda row: -row[1])
    rows.append(("sum", *(sum(row[column] for row in rows) for column in range(1, 5))))
    for name, page, guest, handed_on, collapse in rows:
        lines.append(f"{name:<24}{page:>10.3f}{guest:>10.3f}{handed_on:>10.3f}{collapse:>12.2f}")
    lines.append(f"{'instructions of L0 for':<24}{'nested':>18}{'without KVM':>18}{'times':>8}")
    for key, title in (("page", "a page"), ("in_place", "a page in place"), ("collapse", "a collapse"), ("run", "boot and `make run`")):
        nested, direct = cost["instructions"][key], cost["instructions_without_kvm"][key]
        times = f"{nested / direct:>8.1f}" if direct > 0 else f"{'-':>8}"
        lines.append(f"{title:<24}{nested:>18,.0f}{direct:>18,.0f}{times}")
    return lines
