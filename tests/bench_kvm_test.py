#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the comparison with Linux KVM: what it makes of the machine's words. Boots nothing."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import tap

bench = tap.load("tools/bench-kvm")
import debian
from bench_kvm import figures, initramfs, machine, packages, selftest
from machines import Problem

MIB = 1 << 20
FACTS = ("kernel 6.1.0-1-amd64", "version #1 SMP", "tdp_mmu Y", "npt Y", "clocksource tsc",
         "unit 100000000 100400000")
# Of 16 MiB and 48 MiB: 8192 pages between them.
PAGES = 8192


def ran(mode, size, ns, faults, idle, kind="ran"):
    return (f"{figures.MARK}{kind} {mode} {size} {ns // 10**9}.{ns % 10**9:09} "
            f"1000:1.00 {1000 + faults}:{1 + idle:.2f}")


def transcript(per_page=(1000, 3000, 4000), facts=FACTS, idle=0.0, faults=PAGES, end="done"):
    lines = ["[    0.1] a kernel speaks\r", *(f"{figures.MARK}fact {fact}\r" for fact in facts)]
    for mode, cost in zip(figures.MODES, per_page):
        lines += [ran(mode, "16M", 9, 0, 0, "warm"),
                  ran(mode, "16M", 5_000_000, 4096, 0.03),
                  ran(mode, "48M", 5_000_000 + cost * PAGES, 4096 + faults, 0.03 + idle)]
    return [*lines, figures.MARK + end]


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


class Figures(Sandbox):
    def test_the_slope_between_two_sizes_is_the_cost_of_a_page(self):
        data = result()
        costs = [data["kvm"][mode]["instructions_per_page"] for mode in figures.MODES]
        self.assertEqual(costs, [1000, 3000, 4000])
        self.assertEqual(data["kvm"]["none"]["pages"], PAGES)
        self.assertEqual(data["kernel"], "6.1.0-1-amd64")

    def test_of_several_runs_the_quickest_counts_and_the_rest_is_spread(self):
        lines = transcript()
        lines[-1:-1] = [ran("none", "48M", 5_000_000 + 1500 * PAGES, 4096 + PAGES, 0.03),
                        ran("none", "16M", 9_000_000, 4096, 0.03)]
        cost = figures.result(heard(lines), {})["kvm"]["none"]
        self.assertEqual(cost["instructions_per_page"], 1000)
        self.assertEqual(cost["spread"], round(500 + 4_000_000 / PAGES))

    def test_a_run_to_warm_up_is_not_counted(self):
        self.assertEqual(len(heard(transcript()).runs), 6)

    def test_nanoseconds_are_read_in_whole_numbers(self):
        self.assertEqual(figures.parse_time("12.000000009"), 12_000_000_009)
        for wrong in ("", "1.5", "0.1234567890", "1,000000000", "nan"):
            self.refused("output has changed", figures.parse_time, wrong)

    def test_a_kernel_without_tdp_mmu_is_refused(self):
        self.refused("tdp_mmu=N", result, facts=("tdp_mmu N", *FACTS[3:]))
        self.refused("tdp_mmu=None", result, facts=FACTS[3:])

    def test_a_kernel_without_nested_paging_is_refused(self):
        self.refused("npt=N", result, facts=("tdp_mmu Y", "npt N", FACTS[-1]))

    def test_a_machine_that_will_not_do_is_refused_before_it_measures(self):
        self.refused("npt=N", heard, [figures.MARK + "fact tdp_mmu Y", figures.MARK +
                                      "fact npt N", figures.MARK + "begin"])
        self.assertTrue(heard([figures.MARK + f"fact {fact}" for fact in FACTS] +
                              [figures.MARK + "begin"]).facts)

    def test_a_clock_that_counts_something_else_is_refused(self):
        for unit in ("unit 100 128", "unit 100 97"):
            self.refused("icount", result, facts=(*FACTS[:-1], unit))
        for unit in ("unit", "unit x y", "unit 5"):
            self.refused("did not say", result, facts=(*FACTS[:-1], unit))

    def test_idle_time_that_grows_with_the_size_is_refused(self):
        for idle in (0.5, -0.5):
            self.refused("idle for", result, idle=idle)

    def test_pages_larger_than_4_KiB_are_refused(self):
        self.refused("larger than 4 KiB", result, faults=PAGES // 512)

    def test_a_mode_or_a_size_that_is_missing_is_refused(self):
        lines = [line for line in transcript() if " ran minor 48M" not in line]
        self.refused("minor: 1 sizes", figures.result, heard(lines), {})

    def test_a_larger_size_that_takes_no_longer_is_refused(self):
        self.refused("no longer", result, per_page=(0, 1, 1))

    def test_a_line_that_is_garbled_is_refused(self):
        for line in ("ran none 16M", "ran none 16M 1.000000000 1:1.0", "ran some 16M "
                     "1.000000000 1:1.00 1:1.00", "ran none 16 1.000000000 1:1.00 1:1.00",
                     "ran none 16M  1:1.00 1:1.00"):
            with self.assertRaises(Problem, msg=line):
                heard([figures.MARK + line])

    def test_what_the_kernel_says_is_ignored_even_on_the_same_line(self):
        output = heard(["random: noise", "[ 1.0] x" + figures.MARK + "fact npt Y", ""])
        self.assertEqual(output.facts, {"npt": "Y"})
        self.assertEqual((output.runs, output.done, output.failure), ([], False, ""))


class Table(Sandbox):
    def test_the_table_and_the_result_state_the_unit(self):
        self.assertIn("instructions in the emulator, not time", figures.table(result(), {})[0])
        self.assertEqual(result()["unit"], "instructions in the emulator, not time")

    def test_each_row_is_compared_with_what_does_the_same_work(self):
        text = "\n".join(figures.table(result(), {"npt_arrival": 300, "npt_arrival_copy": 800}))
        self.assertRegex(text, r"(?m)MINOR.* 3,000 +10\.0 : 1$")
        self.assertRegex(text, r"(?m)MISSING.* 4,000 +5\.0 : 1$")
        self.assertRegex(text, r"(?m)no userfaultfd.* 1,000 +1\.2 : 1$")

    def test_what_was_added_to_the_command_line_is_in_the_table(self):
        data = figures.result(heard(transcript()), {}, "init_on_alloc=0")
        self.assertIn("mitigations=off, init_on_alloc=0", "\n".join(figures.table(data, {})))

    def test_without_figures_of_cleave_the_table_has_no_ratios(self):
        text = "\n".join(figures.table(result(), {}))
        self.assertNotIn(": 1", text)
        self.assertIn("make bench", text)

    def test_of_cleave_only_known_figures_are_taken(self):
        path = self.write("m.json", json.dumps(
            {"npt_arrival": 300, "ept_arrival": 0, "npt_arrival_copy": "x", "other": 5}))
        self.assertEqual(figures.read_cleave(path), {"npt_arrival": 300})
        self.assertEqual(figures.read_cleave(path + ".not"), {})
        self.refused("make bench", figures.read_cleave, self.write("bad.json", "{"))


class Packages(Sandbox):
    def test_the_kernel_is_the_one_that_the_meta_package_names(self):
        text = "Package: linux-image-amd64\nDepends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n"
        self.assertEqual(debian.kernel_package(text, *packages.KERNEL), "linux-image-6.1.0-56-amd64")
        newer = text.replace("6.1.0-56", "6.12.9+deb13")
        self.assertIsNone(debian.kernel_package(newer, *packages.KERNEL))
        self.assertEqual(debian.kernel_package(newer), "linux-image-6.12.9+deb13-amd64")

    def test_flavours_are_not_taken_for_one_another(self):
        text = "Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n"
        self.assertEqual(debian.kernel_package(text, "cloud-amd64"),
                         "linux-image-6.1.0-56-cloud-amd64")
        self.assertIsNone(debian.kernel_package(text, "amd64"))

    def test_versions_come_from_the_names_of_files(self):
        self.write("busybox-static_1%3a1.35.0-4_amd64.deb", "")
        self.assertEqual(debian.versions(self.top), {"busybox-static": "1:1.35.0-4"})

    def test_an_error_of_apt_is_shown_rather_than_its_last_line(self):
        self.assertEqual(debian.last_line("a\nE: no package.\nthe end\n"), "E: no package")
        self.assertEqual(debian.last_line(""), "no reason given")


def members(data):
    """Reads a newc archive, by its description and not by its writer."""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701", f"no header at {at}"
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + 110:at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, data[start:start + size])
        at = (start + size + 3) & ~3


class Initramfs(Sandbox):
    def module(self, name, depends):
        self.write(f"m/{name}.ko", b"\x7fELF\0depends=" + depends.encode() + b"\0name=x\0")

    def test_an_archive_holds_what_was_put_in(self):
        files = {f"bin/{'n' * i}": (0o755, b"d" * i) for i in range(1, 9)}
        found = members(initramfs.archive(["bin"], files))
        self.assertEqual(found.pop("bin"), (0o040755, b""))
        self.assertEqual(found, {name: (0o100755, data) for name, (_, data) in files.items()})

    def test_a_module_is_loaded_behind_what_it_needs(self):
        self.module("kvm-amd", "kvm,ccp")
        self.module("kvm", "irq_bypass")
        self.module("ccp", "")
        self.module("irq-bypass", "")
        order = [os.path.basename(p)[:-3] for p in initramfs.load_order(self.top, "kvm-amd")]
        self.assertEqual(order, ["irq-bypass", "kvm", "ccp", "kvm-amd"])

    def test_modules_that_are_missing_or_go_in_circles_are_refused(self):
        self.refused("found 0", initramfs.load_order, self.top, "kvm")
        self.module("a", "b")
        self.module("b", "a")
        self.refused("circle", initramfs.load_order, self.top, "a")

    def test_the_plan_warms_each_mode_up(self):
        self.assertEqual(selftest.plan(["none", "minor"], ["16M", "48M"], 2), [
            "warm none 16M", "ran none 16M", "ran none 16M", "ran none 48M", "ran none 48M",
            "warm minor 16M", "ran minor 16M", "ran minor 16M", "ran minor 48M", "ran minor 48M"])


class Machine(Sandbox):
    """With a script in QEMU's place, and 10 seconds until a test that hangs has failed."""

    def setUp(self):
        super().setUp()
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, self.hangs))
        self.addCleanup(signal.alarm, 0)
        signal.alarm(10)

    def hangs(self, _signum, _frame):
        self.fail("it hangs")

    def boot(self, script, timeout=60):
        self.write("boot/vmlinuz-6.1", "")
        program = self.write("fake", f"#!/bin/sh\n{script}\n", 0o755)
        original = machine.command
        self.addCleanup(setattr, machine, "command", original)
        machine.command = lambda *_: [program]
        return machine.boot(self.top, self.top, "", timeout, lambda _: None)

    def test_what_the_machine_says_is_heard_to_the_end(self):
        words = self.write("words", "\n".join(transcript()))
        output = self.boot(f"cat {words}")
        self.assertTrue(output.done)
        self.assertEqual(len(output.runs), 6)

    def test_a_machine_that_does_not_end_is_stopped(self):
        script = f"echo $$ >{self.top}/pid; exec sleep 60"
        self.refused("did not end within", self.boot, script, timeout=0.3)
        with open(os.path.join(self.top, "pid"), encoding="ascii") as file:
            self.assertRaises(ProcessLookupError, os.kill, int(file.read()), 0)

    def test_a_machine_that_speaks_for_ever_is_stopped(self):
        script = "while sleep 0.02; do echo tick; done"
        self.refused("did not end within", self.boot, script, timeout=0.3)

    def test_a_machine_that_ends_too_early_is_quoted(self):
        self.refused("(?s)status 3 before.*panic", self.boot, "echo Kernel panic; exit 3")
        self.refused("(?s)status 1 before.*no such cpu", self.boot, "echo no such cpu >&2; exit 1")

    def test_a_failure_inside_is_told(self):
        self.refused("(?s)failed: none 16M: exit status 254.*an assertion", self.boot,
                     "echo an assertion; "
                     f"echo '{figures.MARK}failed none 16M: exit status 254'")

    def test_the_init_script_marks_failures_as_they_are_heard(self):
        with open(os.path.join(tap.ROOT, "tools/bench_kvm/init"), encoding="utf-8") as file:
            stops = re.findall(r"\bstop ['\"]?(\w+)(\W)", file.read())
        self.assertGreater(len(stops), 3)
        self.assertEqual(set(stops), {("failed", " "), ("done", "\n")})

    def test_instructions_are_counted_and_mitigations_are_off(self):
        line = " ".join(machine.command("k", "i", "more"))
        for part in ("-icount shift=0,sleep=off", "tcg,thread=single", "+svm,+npt", "-smp 1",
                     "nokaslr mitigations=off panic=-1 more"):
            self.assertIn(part, line)


class Options(Sandbox):
    def test_sizes_that_make_no_slope_are_refused(self):
        for sizes in ("64M", "64M,64M", "128M,64M", "64M,1G", "4K,64M", "64M,x", "1M,2M,3M"):
            with self.assertRaises(Problem, msg=sizes):
                bench.arguments(["--sizes", sizes])
        self.assertEqual(bench.arguments([]).sizes, ["64M", "320M"])

    def test_what_is_not_installed_is_named_with_the_line_to_run(self):
        self.addCleanup(setattr, bench, "PROGRAMS", bench.PROGRAMS)
        bench.PROGRAMS = {"no-such-program": "its-package", "sh": "dash"}
        self.refused(r"not installed: its-package;(?s:.*)apt-get install .* its-package$",
                     bench.check_programs)

    def test_two_at_once_do_not_disturb_each_other(self):
        with bench.lock(self.top):
            self.refused("another", bench.lock, self.top)
        bench.lock(self.top).close()

    def test_a_result_is_shown_again_without_a_machine(self):
        self.write("bench-kvm/result.json", json.dumps(result()))
        done = subprocess.run([os.path.join(tap.ROOT, "tools/bench-kvm"), "--show", "--build",
                               self.top], text=True, capture_output=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("3,000", done.stdout)


if __name__ == "__main__":
    tap.main(__name__)
