#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the tools around the launcher: the choice of a machine, setup, mkimage and the test
runners."""
import json
import os
import shlex
import shutil
import subprocess
import time

import tap

machines = tap.load("tools/launch").machines
wrong_machine = tap.load("tests/machine/wrong_machine")


class Choice(tap.Sandbox):
    USABLE = machines.Facts(True, "", "vmx", True)

    def facts(self, flags, nested="Y", device=True, qemu=True):
        """As a host shows them. The other maker's module is there, too, and says the opposite."""
        other = {"Y": "N", "1": "0"}.get(nested, "Y")
        for name, text in (("cpuinfo", f"vmx flags\t: vnmi vmx ept\nflags\t\t: fpu {flags} sse\n"
                            "bugs\t: vmx svm\n"),
                           ("kvm_intel/parameters/nested", other if "svm" in flags else nested),
                           ("kvm_amd/parameters/nested", other if "vmx" in flags else nested)):
            path = os.path.join(self.top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write(f"{text}\n")
        if device:
            with open(os.path.join(self.top, "kvm"), "wb"):
                pass
        return machines.gather(os.path.join(self.top, "kvm"), os.path.join(self.top, "cpuinfo"),
                               self.top, "true" if qemu else "no-such-qemu")

    def test_facts_are_read_as_the_host_shows_them(self):
        for flags, extension in (("vmx", "vmx"), ("svm", "svm"), ("vmxx svm_lock", "")):
            for nested, on in (("Y", True), ("1", True), ("N", False), ("0", False), ("", False)):
                self.assertEqual(self.facts(flags, nested),
                                 machines.Facts(True, "", extension, on and bool(extension)))
        self.assertFalse(self.facts("vmx", qemu=False).qemu)

    def test_every_combination_of_facts_is_decided(self):
        for qemu in (True, False):
            for error in ("", "/dev/kvm: Permission denied"):
                for extension in ("vmx", "svm", ""):
                    for nested in (True, False):
                        facts = machines.Facts(qemu, error, extension, nested)
                        usable = not error and extension and nested
                        self.assertEqual(machines.choose("auto", facts)[0],
                                         "bochs" if not qemu else "kvm" if usable else "qemu",
                                         facts)
                        self.assertEqual(machines.choose("auto", facts, "--icount")[0], "qemu")

    def test_the_reason_is_given(self):
        for facts, why in (
                (self.facts("vmx"), "this host passes vmx on to guests"),
                (self.facts("svm", "1"), "this host passes svm on to guests"),
                (self.facts("fpu"), "no KVM: this CPU offers neither vmx nor svm to guests"),
                (self.facts("vmx", "N"),
                 "no KVM: nesting is off, see kvm_intel's parameter nested"),
                (self.facts("svm", "0"), "no KVM: nesting is off, see kvm_amd's parameter nested"),
                (self.facts("vmx", qemu=False), "qemu-system-x86_64 is not installed")):
            self.assertEqual(machines.choose("auto", facts)[1], why)

    def test_no_device_means_qemu_and_is_named(self):
        name, why = machines.choose("auto", self.facts("vmx", device=False))
        self.assertEqual(name, "qemu")
        self.assertIn(os.path.join(self.top, "kvm"), why)

    def test_a_device_that_does_not_open_means_qemu(self):
        os.mkdir(os.path.join(self.top, "kvm"))
        self.assertEqual(machines.choose("auto", self.facts("svm", device=False))[0], "qemu")

    def test_unreadable_facts_mean_qemu(self):
        nowhere = os.path.join(self.top, "nowhere")
        facts = machines.gather(nowhere, nowhere, nowhere, "true")
        self.assertEqual(machines.choose("auto", facts)[0], "qemu")

    def test_what_is_asked_for_wins(self):
        for facts in (self.USABLE, machines.Facts(False, "", "", False)):
            for name in machines.MACHINES:
                self.assertEqual(machines.choose(name, facts), (name, "asked for"))

    def test_kvm_asked_for_without_a_device_is_refused(self):
        facts = self.USABLE._replace(kvm_error="/dev/kvm: Permission denied")
        with self.assertRaisesRegex(machines.Problem, "Permission denied.*MACHINE=qemu"):
            machines.choose("kvm", facts)

    def test_what_qemu_alone_has_is_refused_elsewhere(self):
        for option in ("--icount", "--gdb"):
            for name in ("kvm", "bochs"):
                with self.assertRaisesRegex(machines.Problem, f"{option}.*MACHINE={name}"):
                    machines.choose(name, self.USABLE, option)
            self.assertEqual(machines.choose("qemu", self.USABLE, option)[0], "qemu")
            self.assertEqual(machines.choose("auto", self.USABLE, option),
                             ("qemu", f"for {option}"))


class Setup(tap.Sandbox):
    """With a PATH that has next to nothing: gdb, the only witness of "debug", is missing."""
    APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >> {top}/calls
case "$*" in
*update*) : > {top}/updated ;;
*" install "*gdb*) [ -e {top}/updated ] && {ln} -s /bin/sh {top}/bin/gdb ;;
esac
"""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("bin"))
        for program in ("sh", "sort", "tr", "env"):
            os.symlink(shutil.which(program), self.path(f"bin/{program}"))

    def setup(self, *args, uid=0, apt=True, sudo=None, manager=None):
        self.write("bin/id", f"#!/bin/sh\necho {uid}\n", 0o755)
        if manager:
            self.write(f"bin/{manager}", f"#!/bin/sh\necho {manager} >> {self.top}/calls\n", 0o755)
        if apt:
            self.write("bin/apt-get", self.APT.format(top=self.top, ln=shutil.which("ln")), 0o755)
        if sudo is not None:
            self.write("bin/sudo", sudo, 0o755)
        return self.run_tool("tools/setup", *args, PATH=self.path("bin"))

    def test_setup_is_quiet_and_quick_when_nothing_is_missing(self):
        for program in ("gdb", "apt-get"):
            self.write(f"bin/{program}", "#!/bin/sh\nexit 9\n", 0o755)
        start = time.monotonic()
        done = self.setup("debug", apt=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertLess(time.monotonic() - start, 0.2)

    def test_setup_installs_as_root_and_fetches_the_lists_only_if_it_must(self):
        self.assertEqual(self.setup("debug").returncode, 0)
        self.assertEqual([line.split()[-1] for line in self.read("calls").splitlines()],
                         ["gdb", "update", "gdb"])
        self.assertTrue(self.read("calls").startswith("noninteractive "))
        os.unlink(self.path("bin/gdb"))
        self.setup("debug")
        self.assertEqual(self.read("calls").count("update"), 1)

    def test_setup_installs_with_sudo_that_asks_nothing(self):
        sudo = '#!/bin/sh\necho sudo >> %s\n[ "$1" = -n ] && shift && exec "$@"\n'
        os.symlink(shutil.which("true"), self.path("bin/true"))
        done = self.setup("debug", uid=1000, sudo=sudo % self.path("sudo-calls"))
        self.assertEqual(done.returncode, 0, done.stderr)
        # Once to see whether it asks, then apt-get: install, update, install.
        self.assertEqual(self.read("sudo-calls").count("sudo"), 4)

    def test_setup_prints_the_one_line_without_root_and_sudo(self):
        for sudo in (None, "#!/bin/sh\nexit 1\n"):
            done = self.setup("debug", uid=1000, sudo=sudo)
            self.assertEqual((done.returncode, done.stdout),
                             (1, "sudo apt-get install -y --no-install-recommends gdb\n"))
            self.assertFalse(os.path.exists(self.path("calls")))

    def test_setup_check_installs_nothing(self):
        done = self.setup("--check", "debug")
        self.assertEqual((done.returncode, done.stdout),
                         (1, "apt-get install -y --no-install-recommends gdb\n"))
        self.assertFalse(os.path.exists(self.path("calls")))

    def test_setup_that_does_not_help_is_a_failure(self):
        self.write("bin/apt-get", "#!/bin/sh\nexit 0\n", 0o755)
        self.assertEqual(self.setup("debug", apt=False).returncode, 1)

    def test_setup_names_what_is_missing_where_there_is_no_apt(self):
        done = self.setup("debug", "build", apt=False)
        self.assertEqual(done.returncode, 1)
        for name in ("gdb", "nasm", "mtools"):
            self.assertIn(name, done.stderr)

    def test_setup_prints_other_systems_line_in_their_words_and_runs_nothing(self):
        for manager, line in (("dnf", "dnf install -y gdb gnuplot-minimal python3"),
                              ("pacman", "pacman -S --needed gdb gnuplot python"),
                              ("zypper", "zypper install gdb gnuplot python3")):
            done = self.setup("debug", "plot", apt=False, manager=manager)
            self.assertEqual((done.returncode, done.stdout), (1, line + "\n"))
            self.assertFalse(os.path.exists(self.path("calls")))
            os.unlink(self.path(f"bin/{manager}"))

    def places(self, text):
        """A setup beside other places."""
        self.write("tools/places", text)
        shutil.copy(os.path.join(tap.ROOT, "tools", "setup"), self.path("tools/setup"))
        for program in ("bochs", "qemu-system-x86_64", "mcopy", "python3"):
            self.write(f"bin/{program}", "#!/bin/sh\n", 0o755)
        return self.run_tool(self.path("tools/setup"), "--check", "run",
                             PATH=self.path("bin")).stdout

    def test_setup_looks_where_the_places_say(self):
        self.setup("debug")  # makes apt-get
        for name in ("vga", "code", "vars"):
            self.write(name, "")
        vga, flash = f"vga-bios {self.top}/v*a\n", f"flash {self.top}/code:{self.top}/vars\n"
        self.assertEqual(self.places(vga + flash), "")
        self.assertTrue(self.places(flash).endswith(" vgabios\n"))
        self.assertTrue(self.places(vga).endswith(" ovmf\n"))
        os.unlink(self.path("vars"))
        self.assertTrue(self.places(vga + flash).endswith(" ovmf\n"))

    def test_setup_refuses_an_unknown_group(self):
        done = self.setup("debug", "kitchen")
        self.assertEqual(done.returncode, 2)
        self.assertIn("kitchen", done.stderr)


class Build(tap.Sandbox):
    """With compilers that make nothing of anything, and complain if they meet at one output."""
    FAKE = """#!/bin/sh
while [ "$1" != -o ] && [ $# -gt 1 ]; do shift; done
[ "$1" = -o ] && out=$2 || out=$1
case $out in {build}/*) ;; *) exit 0 ;; esac # a source
mkdir "$out.busy" || { echo "two at once make $out" >&2; exit 1; }
sleep 0.02
echo 1 > "$out"
rmdir "$out.busy"
"""

    def setUp(self):
        super().setUp()
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}

    def run_line(self, target, *variables):
        """What make would do at last, without doing it."""
        done = subprocess.run(["make", "-n", target, f"BUILD={self.path('build')}", *variables],
                              cwd=tap.ROOT, env=self.env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        return shlex.split(done.stdout.replace("\\\n", " ").splitlines()[-1])

    def test_make_run_and_make_gdb_pass_their_variables_on(self):
        given = {"CPUS": ("--cpus", "3"), "CONFIG": ("--config", "my dir/some.cfg"),
                 "SET": ("--set", "seed=7 work=4M"), "MEMORY": ("--memory", "2000"),
                 "ICOUNT": ("--icount-shift", "5"), "OUT": ("--out", "/a b/c"),
                 "JSON": ("--json", "d e.json")}
        for target, tool in (("run", "tools/launch"), ("gdb", "tools/gdb")):
            words = self.run_line(target, *(f"{key}={value}" for key, (_, value)
                                            in given.items()))
            self.assertEqual(words[0], tool)
            for option, value in given.values():
                self.assertEqual(words[words.index(option) + 1], value)
            words = self.run_line(target)
            self.assertEqual([option for option, _ in given.values() if option in words],
                             ["--cpus", "--config"])

    def test_two_first_builds_at_once_do_not_meet(self):
        build = self.path("build")
        fake = self.write("fake", self.FAKE.replace("{build}", build), 0o755)
        argv = ["make", "-s", "-j2", f"BUILD={build}", "all",
                *(f"{name}={fake}" for name in ("CC", "LD", "NASM", "OBJCOPY"))]
        children = [subprocess.Popen(argv, cwd=tap.ROOT, env=self.env, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                    for _ in range(2)]
        said = [child.communicate(timeout=120)[0] for child in children]
        self.assertEqual([child.returncode for child in children], [0, 0], said)
        self.assertTrue(os.path.exists(os.path.join(build, "cleave.efi")))


class Image(tap.Sandbox):
    def setUp(self):
        super().setUp()
        self.efi, self.config = self.write("a.efi", "MZ"), self.write("a.cfg", "seed=1\n")
        self.image = self.path("disk.img")

    def mkimage(self, *payloads, **env):
        return self.run_tool("tools/mkimage", self.image, self.efi, self.config, *payloads, **env)

    def refused(self, word, *payloads):
        self.write("disk.img", "the old one")
        done = self.mkimage(*payloads)
        self.assertEqual(done.returncode, 2)
        self.assertIn(word, done.stderr)
        self.assertEqual(self.read("disk.img"), "the old one")
        self.assertEqual([n for n in os.listdir(self.top) if n.startswith(".image")], [])

    def test_an_image_grows_with_its_payloads(self):
        big = self.path("big.bin")
        with open(big, "wb") as file:
            file.truncate(40 << 20)
        self.assertEqual(self.mkimage().returncode, 0)
        small = os.path.getsize(self.image)
        self.assertEqual(self.mkimage(big).returncode, 0)
        self.assertGreater(os.path.getsize(self.image), 40 << 20)
        for size in (small, os.path.getsize(self.image)):
            self.assertEqual(size % (16 * 63 * 512), 0)

    def test_two_payloads_of_one_name_are_refused(self):
        self.refused("same name", self.write("x/a.bin", "1"), self.write("y/A.bin", "2"))

    def test_a_payload_that_is_not_bin_is_refused(self):
        self.refused(".bin", self.write("a.elf", "1"))

    def test_a_missing_payload_leaves_the_old_image(self):
        self.refused("gone.bin", self.path("gone.bin"))

    def test_a_failing_tool_leaves_the_old_image(self):
        self.write("bin/mcopy", "#!/bin/sh\necho no luck; exit 1\n", 0o755)
        self.addCleanup(os.environ.__setitem__, "PATH", os.environ["PATH"])
        os.environ["PATH"] = f"{self.path('bin')}:{os.environ['PATH']}"
        self.refused("no luck")


class Aggregator(tap.Sandbox):
    def groups(self, *options, **commands):
        done = self.run_tool("tests/run", "--logs", self.path("logs"), *options,
                             *(f"{name}={command}" for name, command in commands.items()))
        return done, done.stdout.splitlines()

    def sums(self, command, *options):
        done, lines = self.groups(*options, g=command)
        self.assertEqual(done.returncode, 0 if " 0 failed" in lines[-1] else 1)
        return lines[-1]

    def tap(self, *lines):
        return "printf '%s\\n' " + " ".join(f"'{line}'" for line in lines)

    def test_both_ways_of_numbering_are_counted(self):
        self.assertEqual(self.sums(self.tap("1..2", "ok 1 - a", "not ok 2 - b", "ok c",
                                            "not ok d - why", "okay", "# ok")),
                         "2 passed, 2 failed")

    def test_nothing_failed_is_0_and_skips_are_named_with_reasons(self):
        done, lines = self.groups(g=self.tap("ok a", "ok b # SKIP no VMX", "not ok 3 # SKIP c"))
        self.assertEqual((done.returncode, lines[-1]), (0, "1 passed, 0 failed, 2 skipped"))
        self.assertIn("    skip b: no VMX", lines)
        self.assertIn("    skip c: no reason given", lines)

    def test_a_failure_that_mentions_a_skip_is_a_failure(self):
        self.assertEqual(self.sums(self.tap("not ok 1 - a # SKIP x", "not ok b - # SKIP")),
                         "0 passed, 2 failed")

    def test_failures_are_shown_with_what_follows(self):
        _, lines = self.groups(g=self.tap("not ok 1 - a", "# because", "ok b", "# not this"))
        self.assertEqual(lines[1:3], ["    FAIL a", "    # because"])
        self.assertNotIn("    # not this", lines)

    def test_progress_is_shown_and_other_comments_are_not(self):
        for jobs, where in (("-j1", 1), ("-j2", 0)):
            _, lines = self.groups(jobs, g=self.tap("#: half of it", "# not this", "ok a"))
            self.assertEqual(lines[where], "   g: half of it")
            self.assertNotIn("not this", "".join(lines))

    def test_a_group_without_a_result_is_a_failure(self):
        self.assertEqual(self.sums("echo hello"), "0 passed, 1 failed")

    def test_an_unexplained_status_is_one_failure(self):
        self.assertEqual(self.sums("echo ok a; exit 3"), "1 passed, 1 failed")
        self.assertEqual(self.sums("echo not ok a; exit 3"), "0 passed, 1 failed")

    def test_fewer_results_than_planned_are_a_failure(self):
        self.assertEqual(self.sums(self.tap("1..3", "ok 1 - a", "1..1", "ok 1 - b")),
                         "2 passed, 1 failed")
        self.assertEqual(self.sums(self.tap("1..2", "ok 1 - a", "ok b")), "2 passed, 1 failed")

    def test_a_group_that_hangs_is_stopped(self):
        start = time.monotonic()
        self.assertEqual(self.sums("echo not ok a; sleep 1000 & wait", "--timeout", "0.5"),
                         "0 passed, 2 failed")
        self.assertLess(time.monotonic() - start, 15)

    def test_groups_add_up_one_by_one_and_in_parallel(self):
        for jobs in ("-j1", "-j2"):
            done, lines = self.groups(jobs, a="echo ok x", b="echo not ok y; echo noise >&2",
                                      c="echo 'ok z # SKIP no'")
            self.assertEqual((done.returncode, lines[-1]),
                             (1, "1 passed, 1 failed, 1 skipped"))
            self.assertEqual(sorted(line for line in lines if line.startswith("==")),
                             ["== a", "== b", "== c"])
        self.assertIn("noise", self.read("logs/b.log"))

    def test_a_malformed_group_is_refused(self):
        for group in ("nothing", "a=", "a/b=true"):
            self.assertEqual(self.run_tool("tests/run", group).returncode, 2, group)


class InMachine(tap.Sandbox):
    FAKE = """#!/bin/sh
[ "$1" = --version ] && exit
say() { printf '%s\\r\\n' "$@" >> serial.log; }
eval "$FAKE"
"""

    def setUp(self):
        super().setUp()
        self.write("bin/bochs", self.FAKE, 0o755)
        self.write("bin/qemu-system-x86_64", self.FAKE, 0o755)
        self.efi = self.write("a.efi", "MZ")
        self.config = self.write("a.cfg", "seed=1\n[one] # first\njob=x\n[two]\n")

    def machine(self, tool, fake, *options):
        done = self.run_tool(tool, "--efi", self.efi, *options, FAKE=fake,
                             CLEAVE_BUILD=self.path("build"),
                             PATH=f"{self.path('bin')}:{os.environ['PATH']}")
        lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        self.assertEqual(done.returncode, any(line.startswith("not ok") for line in lines))
        return lines

    PARTS = {"files": 5, "tables": 1, "frames": 1, "vm": 2, "guest": 1}
    BOOT = {"cpus": 1, "tsc_khz": 1000, "total_cycles": 10, "parts_cycles": PARTS}

    def batch_and_start(self, *said, prefix="m/", boot=BOOT):
        say = "; ".join([f"say 'cleave: {line}'" for line in said] +
                        [f"say 'cleave-boot: {json.dumps(boot)}'"] * bool(boot))
        return self.machine("tests/machine/run", say, "--machine", "bochs",
                            "--config", self.config, "--prefix", prefix)

    def batch(self, *said, **how):
        *lines, start = self.batch_and_start(*said, **how)
        self.assertEqual(start, "ok m/the_start_adds_up")
        return lines

    def test_every_case_becomes_a_line(self):
        self.assertEqual(self.batch("case one: pass", "case two: pass", "verdict PASS"),
                         ["ok m/one", "ok m/two", "ok m/verdict"])
        self.assertEqual(self.batch("case one: FAIL page 3 is wrong", "case two: skip no 1 GiB",
                                    "verdict FAIL"),
                         ["not ok m/one - page 3 is wrong", "ok m/two # SKIP no 1 GiB",
                          "ok m/verdict"])

    def test_a_case_without_an_answer_failed(self):
        self.assertEqual(self.batch("case two: pass", "verdict FAIL"),
                         ["ok m/two", "not ok m/one - no result", "ok m/verdict"])

    def test_a_verdict_that_disagrees_with_the_cases_failed(self):
        self.assertTrue(self.batch("case one: pass", "case two: pass", "verdict FAIL")[-1]
                        .startswith("not ok m/verdict - expected PASS"))
        self.assertTrue(self.batch("case one: pass", "case two: FAIL x", "verdict PASS")[-1]
                        .startswith("not ok m/verdict - expected FAIL"))

    def test_a_machine_that_dies_fails_what_is_open(self):
        lines = self.batch("case one: pass")
        self.assertEqual(lines[:2], ["ok m/one", "not ok m/two - no result"])
        self.assertIn("launcher's status 3", lines[2])

    def test_a_second_answer_and_an_unknown_case_failed(self):
        lines = self.batch("case one: pass", "case one: pass", "case two: pass", "case six: pass",
                           "verdict PASS")
        self.assertEqual(len([line for line in lines if line.startswith("not ok")]), 2)

    def test_a_configuration_without_sections_has_one_run(self):
        self.config = self.write("a.cfg", "seed=1\n")
        self.assertEqual(self.batch("case run: pass", "verdict PASS")[0], "ok m/run")

    def test_a_start_whose_parts_do_not_add_up_failed(self):
        for boot, why in ((None, "no parts of the start"), ({**self.BOOT, "total_cycles": 11}, "10 cycles in parts"),
                          ({**self.BOOT, "cpus": 2}, "of 2 CPUs, not 1"),
                          ({**self.BOOT, "parts_cycles": {**self.PARTS, "vm": 0, "files": 7}}, "took no time: vm")):
            line = self.batch_and_start("case one: pass", "case two: pass", "verdict PASS", boot=boot)[-1]
            self.assertTrue(line.startswith(f"not ok m/the_start_adds_up - {why}"), line)

    def test_the_wrong_machine_must_say_so_once_and_fail(self):
        no, fail = "say 'cleave: this CPU has no VMX and no SVM';", "say 'cleave: verdict FAIL';"
        for fake, good in ((f"{no} {fail} exit 35", 1), (f"{fail} exit 35", 0),
                           (f"say 'cleave: no VMX'; {fail} exit 35", 0),
                           (f"{no} {no} {fail} exit 35", 0),
                           (f"{no} say 'cleave: verdict PASS'; exit 33", 0),
                           (f"{no} {fail} exit 33", 0), (f"{no} exit 0", 0)):
            lines = self.machine("tests/machine/wrong_machine", fake, "--untidy", self.efi)
            self.assertEqual(lines[0].startswith("ok"), bool(good), (fake, lines))

    def test_a_wrong_machine_that_hangs_failed(self):
        self.assertIn("no end", wrong_machine.judge(wrong_machine.CASES[0],
                                                 ["cleave: no VMX and no SVM"], 124))


if __name__ == "__main__":
    tap.main(__name__)
