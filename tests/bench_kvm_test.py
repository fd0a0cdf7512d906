#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the comparison with Linux KVM: what it makes of the machine's words. Boots nothing."""
import json
import lzma
import os
import re
import signal
import subprocess
import unittest

import tap
from bench_kvm_words import FACTS, PAGES, Sandbox, bench, heard, ran, result, transcript
import debian
from bench_kvm import figures, initramfs, linux, log, machine, packages, selftest, table, units
from machines import Problem


class Figures(Sandbox):
    def test_the_slope_between_two_sizes_is_the_cost_of_a_page(self):
        data = result()
        costs = [data["demand"][mode]["instructions_per_page"] for mode in figures.MODES]
        self.assertEqual(costs, [1000, 3000, 4000])
        self.assertEqual(data["demand"]["none"]["pages"], PAGES)
        self.assertEqual(data["kernel"], "6.1.0-1-amd64")

    def test_of_several_runs_the_quickest_counts_and_the_rest_is_spread(self):
        lines = transcript()
        lines[1:1] = [ran("none", "48M", 5_000_000 + 1500 * PAGES, 4096 + PAGES, 0.03),
                        ran("none", "16M", 9_000_000, 4096, 0.03)]
        cost = figures.result(heard(lines), {})["demand"]["none"]
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
        self.refused("eager_page_split=N", result,
                     facts=("tdp_mmu Y", "npt Y", "eager_page_split N", FACTS[-1]))
        self.refused("tdp_mmu=None", result, facts=FACTS[3:])

    def test_a_kernel_without_nested_paging_is_refused(self):
        self.refused("npt=N", result, facts=("tdp_mmu Y", "npt N", FACTS[-1]))

    def test_a_machine_that_will_not_do_is_refused_before_it_measures(self):
        self.refused("npt=N", heard, [figures.MARK + "fact tdp_mmu Y", figures.MARK +
                                      "fact npt N", figures.MARK + "begin"])
        self.assertTrue(heard([figures.MARK + f"fact {fact}" for fact in FACTS] +
                              [figures.MARK + "begin"]).facts)

    def test_a_clock_that_counts_something_else_is_refused(self):
        for unit in ("unit 100 128 100", "unit 100 97 100", "unit 100 100 97"):
            self.refused("icount", result, facts=(*FACTS[:-1], unit))
        for unit in ("unit", "unit x y z", "unit 5", "unit 5 5"):
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
    def tables(self, cleave, *kernels):
        kernels = kernels or (result(),)
        return "\n".join(table.tables({"kernels": dict(enumerate(kernels))}, cleave))

    def test_the_table_states_the_unit(self):
        text = self.tables({})
        self.assertEqual(text.count("instructions in the emulator, not time"), 2)

    def test_each_row_is_compared_with_what_does_the_same_work(self):
        text = self.tables({"npt_arrival": 300, "npt_arrival_copy": 800})
        self.assertRegex(text, r"(?m)MINOR.* 3,000 +10\.0 : 1$")
        self.assertRegex(text, r"(?m)MISSING.* 4,000 +5\.0 : 1$")
        self.assertRegex(text, r"(?m)no userfaultfd.* 1,000 +1\.2 : 1$")

    def test_a_dirty_log_stands_beside_cleaves_own(self):
        text = self.tables({"npt_track_collect_1pct_1g": 912402, "ept_track_recover_1g": 2627001})
        self.assertRegex(text, r"collect, 1 % written +26,214,400 +78,643,200 +912,402 +-")
        self.assertRegex(text, r"off, and all .* +- +2,627,001")
        self.assertRegex(text, r"first write to a page +1,500 +0 +0 +0")

    def test_kernels_stand_side_by_side(self):
        newer = figures.result(heard(transcript(facts=(
            "kernel 6.12.95+deb12-amd64", *FACTS[1:]))), {})
        self.assertRegex(self.tables({}, result(), newer),
                         r"6\.1 +6\.1 apart +6\.12 +6\.12 apart +Cleave, NPT +Cleave, EPT")

    def test_what_was_added_to_the_command_line_is_in_the_table(self):
        data = figures.result(heard(transcript()), {}, "init_on_alloc=0")
        self.assertIn("mitigations=off, init_on_alloc=0", self.tables({}, data))

    def test_without_figures_of_cleave_the_table_has_no_ratios(self):
        text = self.tables({})
        self.assertNotIn(": 1", text)
        self.assertIn("make bench", text)

    def test_of_cleave_only_known_figures_are_taken(self):
        path = self.write("m.json", json.dumps(
            {"npt_arrival": 300, "ept_arrival": 0, "npt_arrival_copy": "x", "other": 5}))
        self.assertEqual(table.read_cleave(path), {"npt_arrival": 300})
        self.assertEqual(table.read_cleave(path + ".not"), {})
        self.refused("make bench", table.read_cleave, self.write("bad.json", "{"))

    def test_cleaves_figures_are_called_as_its_bench_calls_them(self):
        with open(os.path.join(tap.ROOT, "tests/machine/figures.csv"), encoding="utf-8") as file:
            known = {line.split(",")[0] for line in file}
        self.assertEqual({name.partition("_")[2] for name in table.names()} - known, set())


class Packages(Sandbox):
    def test_the_kernel_is_the_one_that_the_meta_package_names(self):
        text = "Package: linux-image-amd64\nDepends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n"
        wanted = packages.KERNELS["stable"].wanted
        self.assertEqual(debian.kernel_package(text, *wanted), "linux-image-6.1.0-56-amd64")
        newer = text.replace("6.1.0-56", "6.12.9+deb13")
        self.assertIsNone(debian.kernel_package(newer, *wanted))
        self.assertEqual(debian.kernel_package(newer), "linux-image-6.12.9+deb13-amd64")

    def test_the_source_is_that_of_the_kernel(self):
        asked = []

        def run(*argv, **_):
            asked.append(argv)
            return 0, "Depends: linux-image-6.12.95+deb12-amd64 (= 6.12.95-1~bpo12+1)\n"

        self.addCleanup(setattr, debian, "run", debian.run)
        debian.run = run
        self.assertEqual(debian.fetch_once(self.top, [], ("amd64",), packages.PLAIN), "")
        self.assertEqual(asked[-1][-4:-2], ("linux-image-6.12.95+deb12-amd64", "linux-source-6.12"))

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

    def test_compressed_modules_are_unpacked_with_what_they_need(self):
        for name, depends in (("kvm-amd", "kvm"), ("kvm", "irqbypass"), ("irqbypass", ""),
                              ("x", "")):
            self.write(f"lib/modules/{name}.ko.xz", lzma.compress(
                b"\0depends=" + depends.encode() + b"\0"))
        initramfs.without_xz(self.top, ["kvm_amd"])
        order = initramfs.load_order(os.path.join(self.top, "lib/modules"), "kvm-amd")
        self.assertEqual([os.path.basename(p) for p in order],
                         ["irqbypass.ko", "kvm.ko", "kvm-amd.ko"])
        self.assertFalse(os.path.exists(os.path.join(self.top, "lib/modules/x.ko")))

    def test_the_plan_warms_each_mode_up_and_logs_each_share(self):
        options = {percent: f"-w {percent}" for percent in log.PERCENTS}
        self.assertEqual(selftest.demand_plan(["none", "minor"], ["16M", "48M"], 2), [
            "warm none 16M", "ran none 16M", "ran none 16M", "ran none 48M", "ran none 48M",
            "warm minor 16M", "ran minor 16M", "ran minor 16M", "ran minor 48M", "ran minor 48M"])
        lines = log.plan(options, ["16M", "48M"], 2)
        self.assertEqual(len(lines), len(log.CALLS) * len(log.PERCENTS) * 4)
        self.assertEqual(lines[0], "log together 0 16M -w 0 -g")
        self.assertEqual(lines[-1], "log apart 100 48M -w 100")


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
        program = self.write("fake", f"#!/bin/sh\n{script}\n", 0o755)
        original = machine.command
        self.addCleanup(setattr, machine, "command", original)
        machine.command = lambda *_: [program]
        return machine.boot("vmlinuz", self.top, "", timeout, lambda _: None)

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
        for sizes in ("64M", "64M,64M", "128M,64M", "64M,1G", "4K,64M", "64M,x", "2M,4M,6M",
                      "3M,64M"):
            with self.assertRaises(Problem, msg=sizes):
                bench.arguments(["--sizes", sizes])
        self.assertEqual(bench.arguments([]).sizes, ["64M", "320M"])

    def test_tests_that_do_not_exist_are_refused(self):
        self.refused("some of demand,log", bench.arguments, ["--tests", "demand,hog"])
        self.assertEqual(bench.arguments(["--tests", "log"]).tests, ["log"])

    def test_what_is_not_installed_is_named_with_the_line_to_run(self):
        self.addCleanup(setattr, bench, "PROGRAMS", bench.PROGRAMS)
        bench.PROGRAMS = {"no-such-program": "its-package", "sh": "dash"}
        self.refused(r"not installed: its-package;(?s:.*)apt-get install .* its-package$",
                     bench.check_programs, [])

    def test_a_kernel_of_ones_own_needs_more(self):
        self.addCleanup(setattr, linux, "PROGRAMS", linux.PROGRAMS)
        self.addCleanup(setattr, bench, "PROGRAMS", bench.PROGRAMS)
        linux.PROGRAMS, bench.PROGRAMS = {"no-such-program": "its-package"}, {}
        self.refused("its-package", bench.check_programs, ["access"])
        bench.check_programs(["demand", "log"])

    def test_two_at_once_do_not_disturb_each_other(self):
        with bench.lock(self.top):
            self.refused("another", bench.lock, self.top)
        bench.lock(self.top).close()

    def show(self, data):
        self.write("bench-kvm/result.json", json.dumps(data))
        return subprocess.run([os.path.join(tap.ROOT, "tools/bench-kvm"), "--show", "--build",
                               self.top], text=True, capture_output=True, timeout=20)

    def test_a_result_is_shown_again_without_a_machine(self):
        done = self.show({"kernels": {"stable": result()}})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("3,000", done.stdout)

    def test_a_result_that_is_none_or_older_is_refused(self):
        for data in ({}, [], {"kernels": {}}, {"kvm": {"none": {}}}):
            done = self.show(data)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("no result to show", done.stderr)

    def test_what_was_measured_of_another_kernel_is_kept(self):
        path = os.path.join(self.top, "result.json")
        quiet = bench.say
        self.addCleanup(setattr, bench, "say", quiet)
        bench.say = lambda _: None
        def store(kernel, version, **more):
            bench.store(path, kernel, {"kernel_version": version, "append": "", **more}, {})
            return bench.load(path)

        store("backports", "1", demand=1)
        store("stable", "1", demand=2)
        data = store("backports", "1", log=3)
        self.assertEqual(list(data["kernels"]), ["stable", "backports"])
        self.assertEqual(data["kernels"]["backports"]["demand"], 1)
        data = store("backports", "2", log=4)
        self.assertNotIn("demand", data["kernels"]["backports"])
        self.assertEqual(data["kernels"]["stable"]["demand"], 2)
        self.assertEqual(data["unit"], "instructions in the emulator, not time")


if __name__ == "__main__":
    tap.main(__name__)
