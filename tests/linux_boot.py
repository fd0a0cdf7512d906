# SPDX-License-Identifier: MIT
"""One boot of Linux as a guest, and what must hold of each."""
import json
import os
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MIB, GIB = 1 << 20, 1 << 30
PATIENT = "cleave.late=1000"  # of sleeps: others may use the host, too

# Lines of warnings and errors that a boot may show, each with its reason; all others fail it.
EXPECTED = (
    (r"ACPI: No IOAPIC entries present", "there is no device that interrupts, so there is no I/O APIC"),
    (r"ACPI: setting ELCR to \w+ \(from ffff\)", "there is no ELCR, and what is not there reads as ones"),
    (r"PCI: Fatal: No config space access function found", "there is no PCI"),
    (r"PCI: System does not support PCI", "there is no PCI"),
    (r"Cannot find an available gap in the 32-bit address range", "4 GiB of memory, and no PCI that needs one"),
    (r"PCI devices with unassigned 32-bit BARs may not work!", "there is no PCI"),
    (r"#\d+$", "the rest of the line in which Linux counts its CPUs, when another comes between"),
    (r"hrtimer: interrupt took \d+ ns", "an emulated CPU that the host held up meanwhile"),
    (r"sched: RT throttling activated", "the detector of gaps, on a CPU that the host held up"),
)
# No word of these may be anywhere on the console.
TROUBLE = ("unchecked MSR access", "XSAVE consistency", "WARNING:", "Call Trace", "soft lockup",
           "rcu: INFO", "self-detected stall", "BUG:", "Oops", "Kernel panic", "blocked for more than")
# The kernel's own: page tables, struct pages, its image; more of more memory.
KERNEL_MIB, KERNEL_SHARE = 80, 0.04
MOVED = ("LOC", "RES", "CAL", "TLB")  # what comes to the CPUs; all else does not
OF_ONE_CPU = ("LOC",)
# Of those that may come besides: work that a CPU puts off by an interrupt to itself; polls of MCA.
MAY_MOVE = ("IWI", "MCP", "RTR")


class Plan(NamedTuple):
    """What is booted. `settings`: of the run, over those of tools/linux*.cfg."""
    name: str
    job: str = "linux"  # or migrate
    settings: dict = {}
    append: str = f"cleave.memory=64 {PATIENT}"
    cpus: int = 2
    memory: int = 1024
    machine: str = "qemu"
    seconds: int = 600
    guest: tuple = ()  # more options of tools/linux

    def get(self, key, default):
        return self.settings.get(key, default)


class Boot(NamedTuple):
    plan: Plan
    status: int
    lines: list  # what the launcher showed
    report: dict
    console: str

    @property
    def last(self):
        """The figures of the last run or migration."""
        return (self.report.get("runs") or [{}])[-1]


def size(text):
    return int(text[:-1]) * {"K": 1 << 10, "M": MIB, "G": GIB}[text[-1]]


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def read_console(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def make_guest(folder, append, options=()):
    """The guest's files, and what tools/linux said; None where it could not be made."""
    done = subprocess.run([os.path.join(ROOT, "tools", "linux"), "--mode", "check", "--append", append,
                           "--out", folder, *options],
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    names = ("linux.bin", "linux-initrd.bin", "linux-cmdline.bin")
    files = [os.path.join(folder, name) for name in names]
    return (None if done.returncode else files), done.stdout.strip()


def launch(args, plan, files, folder, *options, config=None):
    """The launcher's status and lines. `config`: of one's own, which says all."""
    if config:
        settings = {}
    else:
        config = os.path.join(ROOT, "tools", "linux.cfg" if plan.job == "linux" else "linux-migrate.cfg")
        settings = {"timeout": str(plan.seconds * 1000), **plan.settings}
    argv = [sys.executable, os.path.join(ROOT, "tools", "launch"), "--machine", plan.machine,
            "--cpus", str(plan.cpus), "--memory", str(plan.memory), "--timeout", str(plan.seconds),
            "--efi", os.path.join(args.build, "cleave.efi"), "--config", config, "--console", "log",
            "--out", folder, "--set", " ".join(f"{k}={v}" for k, v in settings.items()),
            *options, *files]
    child = subprocess.Popen(argv, text=True, errors="replace", stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    for line in child.stdout:
        lines.append(line.rstrip())
        print(lines[-1], file=sys.stderr, flush=True)
    return child.wait(), lines


def boot(args, plan, options=()):
    """A Boot; or why there is no guest."""
    folder = os.path.join(args.build, "linux", "test", plan.name)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="guests-", dir=folder) as guests:
        files, said = make_guest(guests, plan.append, plan.guest)
        if files is None:
            return said
        status, lines = launch(args, plan, files, os.path.join(folder, "run"), *options)
    run = os.path.join(folder, "run")
    return Boot(plan, status, lines, read_json(os.path.join(run, "report.json")),
                read_console(os.path.join(run, "console.log")))


# --- what must hold: each yields nothing, or what is wrong ---------------------------------------

def verdict(b):
    if b.status or "cleave: verdict PASS" not in b.lines:
        said = [line for line in b.lines if ": FAIL " in line or line.startswith("machine: ")]
        yield f"the launcher's status is {b.status}: {'; '.join(said)}"
    if "guest: verdict PASS" not in b.console:
        yield "the guest has not said PASS"


def no_trouble(b):
    for word in TROUBLE:
        for line in b.console.splitlines():
            if word in line:
                yield f"'{word}' on the console: {line.strip()}"
                break


def expected_warnings(b):
    said = re.findall(r"guest: dmesg <[0-4]>\[ *[\d.]+\] (.*)", b.console)
    if not said:
        yield "the guest did not show its kernel's warnings"
    for line in said:
        if not any(re.match(pattern, line.strip()) for pattern, _ in EXPECTED):
            yield f"a warning that is on no list: {line.strip()}"


def size_of_machine(b):
    found = re.search(r"guest: Linux \S+, (\d+) CPUs, MemTotal (\d+) kB", b.console)
    if not found:
        yield "the guest did not say how large it is"
        return
    cpus, total = int(found[1]), int(found[2]) << 10
    region = size(b.plan.get("region", "1G"))
    if cpus != int(b.plan.get("vcpus", 2)):
        yield f"the guest has {cpus} CPUs"
    if not region * (1 - KERNEL_SHARE) - KERNEL_MIB * MIB < total < region:
        yield f"the guest has {total >> 20} MiB of {region >> 20}"


def interrupts(b):
    vcpus = int(b.plan.get("vcpus", 2))
    moved = MOVED if vcpus > 1 else OF_ONE_CPU
    found = {name: [int(n) for n in counts.split()[:vcpus]] for name, counts in
             re.findall(r"guest: interrupts (\w+):((?: +\d+)+)", b.console)}
    if not found:
        yield "the guest did not show its interrupts"
        return
    for name in moved:
        if not sum(found.get(name, [0])):
            yield f"no interrupt {name} came"
    for name, counts in found.items():
        if sum(counts) and name not in moved + MAY_MOVE:
            yield f"{sum(counts)} interrupts {name}"
    if 0 in found.get("LOC", [0]):
        yield f"a CPU without a timer: {found.get('LOC')}"


def self_check(b):
    s = b.report.get("selfcheck")
    if not s:
        yield "report.json has no figures of the self-check"
        return
    if s["verdict"] != "PASS" or s["vouched"] != s["all"]:
        yield f"verdict {s['verdict']}, {s['vouched']} of {s['all']} pages vouched for"
    for name in ("pages", "sums", "forks", "execs", "faults", "signals", "states", "sleeps", "clocks",
                 "given"):
        if not s[name]:
            yield f"no {name}"
    yield from (f"{name} {n}" for name, n in s.items() if name.startswith("wrong_") and n)
    if len(s["gaps_us"]) != int(b.plan.get("vcpus", 2)) or any(len(gaps) != 3 for gaps in s["gaps_us"]):
        yield f"gaps: {s['gaps_us']}"


def large_leaves(b):
    """As large as the frames behind them; with collapse=never it is small leaves that must be left."""
    end, backing = b.last.get("end"), b.last.get("backing")
    if not end:
        yield "report.json has no leaves at the end"
        return
    level = {"4K": "pages_4k", "2M": "pages_2m", "1G": "pages_1g"}[backing]
    if b.plan.get("collapse", "complete") == "never":
        if not end["pages_4k"]:
            yield f"collapse=never has left {end}"
    elif any(end[other] for other in ("pages_4k", "pages_2m", "pages_1g") if other != level):
        yield f"frames of {backing}, and leaves {end}"
    covered = sum(end[k] * n for k, n in (("pages_4k", 1), ("pages_2m", 512), ("pages_1g", 1 << 18)))
    if covered != b.last["pages"]:
        yield f"leaves for {covered} of {b.last['pages']} pages: {end}"


def figures(b):
    """What a migration is judged by is in the report."""
    if b.plan.job != "migrate":
        if not b.last.get("exits_ready", {}).get("hlt"):
            yield "no exits by reason"
        return
    hops = int(b.plan.get("hops", 1))
    if len(b.report.get("runs", [])) != hops:
        yield f"{len(b.report.get('runs', []))} migrations, not {hops}"
    for run in b.report.get("runs", []):
        for name in ("downtime_us", "arrived_us", "blocktime_us", "longest_wait_us"):
            if not run.get(name):
                yield f"no {name}"
        if not any(v["blocktime_us"] for v in run["vcpus"]):
            yield "no vCPU ever waited"
    if not any(gap for gaps in b.report.get("selfcheck", {}).get("gaps_us", []) for gap in gaps):
        yield "the guest has seen no gap"


def given_back(b):
    """The hypervisor has heard of each page; none that had not arrived was fetched (that the pages add
    up is part of the hypervisor's own verdict)."""
    s, run = b.report.get("selfcheck", {}), b.last
    if run.get("guest_gave_back", 0) < s.get("given", 0):
        yield f"the guest gave {s.get('given')} pages back, the report says {run.get('guest_gave_back')}"
    if "stream" in b.plan.settings and not run.get("given_up"):
        yield "no page was given back before it had arrived"


def huge_pages(b):
    """The guest's huge pages lie in leaves that are as large."""
    s, run = b.report.get("selfcheck", {}), b.last
    told, large = run.get("guest_huge_pages"), run.get("guest_huge_in_large_leaves")
    if not told or told != s.get("huge"):
        yield f"the guest told of {s.get('huge')} huge pages, the report says {told}"
    small = b.last.get("backing") == "4K" or b.plan.get("collapse", "complete") == "never"
    if large != (0 if small else told):
        yield f"{large} of {told} huge pages lie in large leaves"


CHECKS = (verdict, no_trouble, expected_warnings, size_of_machine, interrupts, self_check, large_leaves,
          figures, given_back, huge_pages)


def summary(b):
    """The figures, in a line."""
    s, run = b.report.get("selfcheck", {}), b.last
    gaps = sorted((g for gaps in s.get("gaps_us", []) for g in gaps), reverse=True)[:3]
    words = [f"{b.report.get('seconds', 0):.0f} s", f"gaps {gaps} us"]
    if b.plan.job == "migrate":
        words += [f"{name[:-3]} {run.get(name)} us" for name in ("downtime_us", "blocktime_us", "arrived_us")]
    words += [f"given back {run.get('guest_gave_back')} (not fetched {run.get('given_up', 0)})",
              f"huge pages in large leaves {run.get('guest_huge_in_large_leaves')} of "
              f"{run.get('guest_huge_pages')}"]
    return ", ".join(words)


def judge(b):
    """Prints a TAP line for each check. Return: are all good?"""
    good = True
    for check in CHECKS:
        wrong = list(check(b))
        good &= not wrong
        name = f"{b.plan.name}/{check.__name__.replace('_', ' ')}"
        print(f"not ok {name} - {wrong[0]}" if wrong else f"ok {name}")
        for line in wrong[1:]:
            print(f"# {line}")
    print(f"#: {b.plan.name}: {summary(b)}", flush=True)
    return good
