#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tools/launch with fake emulators: shell scripts that come first in PATH.

A fake runs the shell text in FAKE inside the run's folder, where it can `say` lines to the serial
log. Nothing here depends on not being root.
"""
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import tap

launch = tap.load("tools/launch")
machines = launch.machines
listen = sys.modules["listen"]
LAUNCH = os.path.join(tap.ROOT, "tools", "launch")
FAKE = """#!/bin/sh
[ "$1" = --version ] && echo "a fake, version 1" && exit
echo $$ > pid
echo "arguments: $*"
say() { printf '%s\\r\\n' "$@" >> serial.log; }
eval "$FAKE"
"""
PASS = "say 'cleave: verdict PASS'"
HANG = "say 'cleave: here'; exec sleep 1000"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Sandbox(unittest.TestCase):
    """A folder with fake emulators, an image, a configuration and a payload."""

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="launch-test-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.bin = self.path("bin")
        os.mkdir(self.bin)
        for program in ("bochs", "qemu-system-x86_64"):
            self.script(os.path.join(self.bin, program), FAKE)
        self.build = self.path("build")
        self.efi = self.write("cleave.efi", "MZ")
        self.config = self.write("some.cfg", "# a comment\nseed=1\n[one]\n")
        self.payload = self.write("seq.bin", "payload")

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    @staticmethod
    def script(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def argv(self, *options):
        return [sys.executable, LAUNCH, "--build", self.build, "--efi", self.efi,
                "--config", self.config, *options, self.payload]

    def environment(self, fake, **more):
        env = {k: v for k, v in os.environ.items() if k not in ("MACHINE", "CLEAVE_BUILD")}
        return {**env, "PATH": f"{self.bin}:{env['PATH']}", "FAKE": fake, **more}

    def launch(self, fake, *options, machine="bochs", **more):
        chosen = ("--machine", machine) if machine else ()
        return subprocess.run(self.argv(*chosen, *options), text=True, timeout=60,
                              env=self.environment(fake, **more), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def start(self, fake, *options):
        """Starts one and waits until its emulator runs; returns both."""
        child = subprocess.Popen(self.argv("--machine", "bochs", *options),
                                 env=self.environment(fake), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        self.assertTrue(wait_until(lambda: self.emulator()), "the emulator did not start")
        return child, self.emulator()

    def number(self, name):
        """What a fake wrote into a file of its folder; 0: nothing yet."""
        try:
            return int(self.read_latest(name) or 0)
        except OSError:
            return 0

    def emulator(self):
        return self.number("pid")

    def latest(self, name):
        return os.path.join(self.build, "run", "latest", name)

    def read_latest(self, name):
        with open(self.latest(name), encoding="utf-8") as file:
            return file.read()

    def runs(self):
        return [e for e in os.scandir(os.path.join(self.build, "run")) if not e.is_symlink()]


class Pieces(unittest.TestCase):
    def test_escape_sequences_and_controls_are_dropped(self):
        self.assertEqual(listen.clean(b"\x1b[2J\x1b[01;01H\x1b[=3hcleave: \x1b[1;31mx\x07\r"),
                         "cleave: x")

    def test_qemu_status_must_agree_with_the_log(self):
        qemu, bochs = machines.MACHINES["qemu"], machines.MACHINES["bochs"]
        for machine, status, verdict, expected in (
                (qemu, 33, "PASS", 0), (qemu, 35, "FAIL", 1), (qemu, 33, "FAIL", 3),
                (qemu, 35, "PASS", 3), (qemu, 0, "PASS", 3), (qemu, -9, "FAIL", 3),
                (qemu, 33, None, 3), (bochs, 1, "PASS", 0), (bochs, 1, "FAIL", 1),
                (bochs, 1, None, 3)):
            self.assertEqual(launch.judge(machine, status, verdict)[0], expected,
                             (machine.title, status, verdict))

    def test_kvm_and_qemu_differ_in_accelerator_and_cpu_only(self):
        with tempfile.TemporaryDirectory() as folder:
            run = machines.Run(folder, 2, 1024, None)
            kvm, tcg = (machines.MACHINES[name].command(run) for name in ("kvm", "qemu"))
        self.assertIn("-enable-kvm", kvm)
        self.assertEqual(kvm[kvm.index("-cpu") + 1], "host")
        for option in ("-m", "-smp", "-serial", "-device", "-nodefaults", "-no-reboot", "-drive"):
            self.assertIn(option, kvm)
        for parts, own in ((kvm, {"-enable-kvm", "host"}), (tcg, {"-accel", "tcg,thread=multi"})):
            other = tcg if parts is kvm else kvm
            self.assertEqual({p for p in parts if p not in other} - own,
                             set() if parts is kvm else {"EPYC,+svm,+npt,+pdpe1gb"})

    def test_icount_differs_in_what_makes_a_run_repeatable_only(self):
        with tempfile.TemporaryDirectory() as folder:
            run = machines.Run(folder, 2, 1024, None)
            plain, counted = (machines.MACHINES["qemu"].command(run._replace(icount=icount))
                              for icount in (None, 5))
            bare = machines.MACHINES["qemu"].command(run._replace(icount=0, cpu_model="EPYC"))
        self.assertEqual([part for part in counted if part not in plain],
                         ["tcg,thread=single", "-icount", "shift=5,sleep=off", "-rtc",
                          "base=2024-01-01,clock=vm", "EPYC,+svm,+npt,+pdpe1gb,-rdrand"])
        self.assertIn("EPYC,-rdrand", bare)


class Verdicts(Sandbox):
    def test_pass_is_0_and_the_first_line_names_machine_and_reason(self):
        done = self.launch(PASS)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[0],
                         "machine: Bochs, VMX in software (asked for)")

    def test_fail_is_1(self):
        self.assertEqual(self.launch("say 'cleave: verdict FAIL'").returncode, 1)

    def test_the_last_verdict_counts(self):
        self.assertEqual(self.launch(PASS + "; say 'cleave: verdict FAIL'").returncode, 1)
        self.assertEqual(self.launch("say 'cleave: verdict FAIL';" + PASS).returncode, 0)

    def test_a_verdict_without_newline_counts(self):
        self.assertEqual(self.launch("printf 'cleave: verdict PASS' >> serial.log").returncode, 0)

    def test_only_a_whole_verdict_line_counts(self):
        for line in ("cleave: guest says cleave: verdict PASS", "cleave: verdict PASSED", "PASS"):
            self.assertEqual(self.launch(f"say 'cleave: x' '{line}'").returncode, 3, line)

    def test_no_verdict_is_3_and_shows_both_logs(self):
        done = self.launch("say 'cleave: the last words'; echo panic in the emulator; exit 1")
        self.assertEqual(done.returncode, 3)
        self.assertIn("cleave: the last words", done.stdout)
        self.assertIn("panic in the emulator", done.stdout)

    def test_an_emulator_that_dies_by_a_signal_is_3(self):
        self.assertEqual(self.launch("kill -SEGV $$").returncode, 3)

    def test_a_timeout_is_124_and_ends_the_emulator(self):
        start = time.monotonic()
        done = self.launch(HANG, "--timeout", "1")
        self.assertEqual(done.returncode, 124)
        self.assertLess(time.monotonic() - start, 8)
        self.assertIn("after 1 s", done.stdout)
        tail = done.stdout.partition("end of the serial log")[2]
        self.assertIn("\n| cleave: here\n", tail)
        self.assertNotIn("\ncleave:", tail)
        self.assertFalse(alive(self.emulator()))

    def launch_with_short_grace(self, fake):
        code = ("import sys; sys.path.insert(0, sys.argv[1]); import tap;"
                "m = tap.load('tools/launch'); m.GRACE_SECONDS = 0.6;"
                "sys.exit(m.main(sys.argv[2:]))")
        return subprocess.run(
            [sys.executable, "-c", code, os.path.join(tap.ROOT, "tests"),
             *self.argv("--machine", "bochs")[2:]], env=self.environment(fake),
            text=True, timeout=30, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_a_machine_that_stays_after_its_verdict_is_124(self):
        done = self.launch_with_short_grace(PASS + "; " + HANG)
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertIn("did not end by itself", done.stdout)
        self.assertFalse(alive(self.emulator()))

    def test_a_machine_that_goes_on_talking_after_a_verdict_may_finish(self):
        talk = "for i in 1 2 3 4 5 6 7 8; do sleep 0.15; say cleave:; done;"
        self.assertEqual(self.launch_with_short_grace(f"{PASS}; {talk} {PASS}").returncode, 0)

    def test_qemu_statuses_reach_the_verdict(self):
        for fake, status in ((PASS + "; exit 33", 0), ("say 'cleave: verdict FAIL'; exit 35", 1),
                             (PASS + "; exit 35", 3), ("exit 0", 3)):
            self.assertEqual(self.launch(fake, machine="qemu").returncode, status, fake)
        self.assertEqual(self.read_latest("cleave.opt"), "exit=qemu\n\n")

    def test_an_emulator_that_ends_by_its_own_fault_is_named(self):
        done = self.launch("echo 'qemu: mutex_lock: Assertion failed'; exit 134", machine="qemu")
        self.assertEqual(done.returncode, 3)
        self.assertIn("ended by a fault of its own (status 134): qemu: mutex_lock: Assertion failed", done.stdout)
        done = self.launch("exit 134", machine="qemu")
        self.assertNotIn("fault of its own", done.stdout)

    def test_auto_says_what_was_chosen_and_why(self):
        name, why = machines.choose("auto", machines.gather())
        first = self.launch("exit 0", machine=None).stdout.splitlines()[0]
        self.assertTrue(first.startswith(f"machine: {machines.MACHINES[name].title}"), first)
        self.assertTrue(first.endswith(f"({why})"), first)

    def test_another_cpu_is_named_in_place_of_what_ours_offers(self):
        done = self.launch(PASS, "--cpu-model", "ryzen")
        self.assertEqual(done.stdout.splitlines()[0], "machine: Bochs, CPU ryzen (asked for)")
        self.assertIn("cpu: model=ryzen,", self.read_latest("bochsrc"))

    def test_bochs_has_a_cpu_of_either_maker(self):
        for machine, offers, model in (("bochs", "VMX in software", "corei7_skylake_x"),
                                       ("bochs-svm", "SVM in software, AMD's Ryzen", "ryzen")):
            done = self.launch(PASS, machine=machine)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(done.stdout.splitlines()[0], f"machine: Bochs, {offers} (asked for)")
            self.assertIn(f"cpu: model={model},", self.read_latest("bochsrc"))
            self.assertEqual(self.read_latest("cleave.opt"), "exit=bochs\nnx=off\n")
        done = self.launch(PASS, machine=None, MACHINE="bochs-svm")
        self.assertIn("cpu: model=ryzen,", self.read_latest("bochsrc"))

    def test_icount_reaches_the_command(self):
        self.assertEqual(self.launch(PASS + "; exit 33", "--icount", machine=None).returncode, 0)
        self.assertIn("-icount shift=7,sleep=off", self.read_latest("command"))
        self.assertEqual(self.read_latest("cleave.opt"), "exit=qemu\ntsc_khz=1000000\n")
        self.launch(PASS + "; exit 33", "--icount-shift", "5", machine=None)
        self.assertIn("-icount shift=5,sleep=off", self.read_latest("command"))
        for options in (["--icount"], ["--icount-shift", "5"], ["--icount-shift", "11"]):
            self.assertEqual(self.launch(PASS, *options).returncode, 2)

    def test_gdb_makes_the_hypervisor_wait_and_names_the_socket(self):
        done = self.launch(PASS + "; exit 33", "--gdb", machine=None)
        self.assertIn(f"gdb: {os.path.realpath(self.latest('gdb.sock'))}\n", done.stdout)
        self.assertIn("path=gdb.sock,server=on,wait=off -gdb chardev:gdb",
                      self.read_latest("command"))
        self.assertEqual(self.read_latest("cleave.opt"), "exit=qemu debugger=1\n\n")

    def test_MACHINE_overrides_auto_and_only_auto(self):
        done = self.launch(PASS + "; exit 33", machine=None, MACHINE="qemu")
        self.assertEqual((done.returncode, done.stdout.splitlines()[0]),
                         (0, "machine: QEMU without KVM, SVM in software (asked for)"))
        self.assertEqual(self.launch(PASS, MACHINE="qemu").returncode, 0)
        self.assertEqual(self.launch(PASS, machine=None, MACHINE="vax").returncode, 2)


class Output(Sandbox):
    def test_firmware_noise_is_not_shown(self):
        done = self.launch("say 'BdsDxe: noise'; printf '\\033[2J\\033[01;01Hxxcleave: one\\r\\n'"
                           " >> serial.log; say 'rax 0000' 'cleave: two';" + PASS)
        self.assertEqual(done.stdout.splitlines()[1:5],
                         ["cleave: one", "rax 0000", "cleave: two", "cleave: verdict PASS"])
        self.assertIn("BdsDxe: noise", self.read_latest("serial.log"))

    def test_lines_are_passed_on_as_they_come(self):
        child, _ = self.start(HANG)
        lines = [child.stdout.readline(), child.stdout.readline()]
        self.assertEqual(lines[1], "cleave: here\n")

    def test_progress_is_plain_lines_where_there_is_no_terminal(self):
        done = self.launch("say 'cleave-progress: 10 %' 'cleave-progress: 20 %';" + PASS)
        self.assertEqual(done.stdout.splitlines()[1:3], ["10 %", "20 %"])

    def test_progress_is_rewritten_on_a_terminal(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fake = "say 'cleave-progress: 10 %' 'cleave-progress: 20 %' 'cleave: x';" + PASS
        subprocess.run(self.argv("--machine", "bochs"), env=self.environment(fake), timeout=30,
                       stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, check=True)
        os.close(slave)
        text = b""
        try:
            while chunk := os.read(master, 65536):
                text += chunk
        except OSError:
            pass
        self.assertIn(b"\r10 %\x1b[K\r20 %\x1b[K\r\ncleave: x\r\n", text)

    def test_quiet_shows_machine_and_outcome_only(self):
        done = self.launch("say 'cleave: x' 'cleave-progress: 1';" + PASS, "--quiet")
        self.assertEqual([line.partition(":")[0] for line in done.stdout.splitlines()],
                         ["machine", "machine"])

    def test_a_reader_that_goes_away_ends_the_emulator(self):
        child, emulator = self.start("say 'cleave: a'; while sleep 0.05; do say 'cleave: b'; done")
        child.stdout.close()
        child.stdout = None
        self.assertEqual(child.wait(15), 128 + signal.SIGPIPE)
        self.assertFalse(alive(emulator))

    def test_the_command_and_output_are_kept(self):
        self.launch(PASS, "--debug-hint")
        self.assertIn("bochs -q -f bochsrc", self.read_latest("command"))
        self.assertIn("arguments: -q -f bochsrc", self.read_latest("emulator.log"))


class Ends(Sandbox):
    def test_signals_end_launcher_and_emulator(self):
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            child, emulator = self.start(HANG)
            folder = os.path.realpath(self.latest(""))
            child.send_signal(signum)
            said = child.communicate(timeout=10)[1]
            self.assertEqual(child.returncode, 128 + signum)
            self.assertFalse(alive(emulator), signum)
            why = "interrupted" if signum == signal.SIGINT else f"stopped by {signum.name}"
            self.assertEqual(said.splitlines()[-1], f"launch: {why}, log kept in {folder}")
            with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
                report = json.load(file)
            self.assertEqual((report["outcome"], report["status"]), (why, 128 + signum))
            shutil.rmtree(self.build)

    def test_an_interrupt_ends_a_progress_line_first(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        child = subprocess.Popen(self.argv("--machine", "bochs"), stdin=subprocess.DEVNULL,
                                 env=self.environment("say 'cleave-progress: 10 %'; sleep 1000"),
                                 stdout=slave, stderr=slave)
        self.addCleanup(child.kill)
        text = b""
        while b"10 %" not in text:
            text += os.read(master, 65536)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(10), 130)
        # A line may come in pieces: what comes before the end is one text.
        while not text.endswith(b"\n") or b"log kept in" not in text:
            text += os.read(master, 65536)
        self.assertRegex(text, b"10 %(?:\x1b.K)?\r\nlaunch: interrupted, log kept in .*\r\n\\Z")

    def test_the_emulators_own_children_end_too(self):
        child, emulator = self.start("sleep 1000 & echo $! > other; " + HANG)
        self.assertTrue(wait_until(lambda: self.number("other")))
        other = self.number("other")
        child.terminate()
        child.wait(10)
        self.assertTrue(wait_until(lambda: not alive(other)) and not alive(emulator))

    def test_a_killed_launcher_leaves_no_emulator(self):
        child, emulator = self.start(HANG)
        self.assertTrue(alive(emulator))
        child.kill()
        self.assertTrue(wait_until(lambda: not alive(emulator)), "the emulator lives on")


    @unittest.skipUnless(machines.private_network(), "no private network can be made here")
    def test_bochs_cannot_be_reached_from_outside(self):
        self.launch("readlink /proc/self/ns/net > net;" + PASS)
        self.assertNotEqual(self.read_latest("net").strip(), os.readlink("/proc/self/ns/net"))


class Folders(Sandbox):
    def test_two_runs_at_once_do_not_meet(self):
        fake = f"sleep 0.5; say \"cleave: $PWD\"; {PASS}"
        children = [subprocess.Popen(self.argv("--machine", "bochs"), env=self.environment(fake),
                                     stdout=subprocess.PIPE, text=True) for _ in range(2)]
        shown = [child.communicate(timeout=30)[0].splitlines()[1] for child in children]
        self.assertEqual([child.returncode for child in children], [0, 0])
        self.assertNotEqual(*shown)

    def test_a_folder_in_use_is_refused(self):
        out = self.path("out")
        self.launch(PASS, "--out", out)
        child = subprocess.Popen(self.argv("--machine", "bochs", "--out", out),
                                 env=self.environment(HANG), stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        while child.stdout.readline() != "cleave: here\n":
            pass
        done = self.launch(PASS, "--out", out)
        self.assertEqual(done.returncode, 2)
        self.assertIn("in use", done.stderr)

    def test_an_old_log_in_the_folder_does_not_count(self):
        out = self.path("out")
        self.assertEqual(self.launch(PASS, "--out", out).returncode, 0)
        self.assertEqual(self.launch("exit 1", "--out", out).returncode, 3)

    def test_what_a_killed_bochs_leaves_does_not_lock_its_folder(self):
        out = self.path("out")
        self.write("out/disk.img.lock", "")
        self.assertEqual(self.launch(f"[ ! -e disk.img.lock ] && {PASS}", "--out", out).returncode, 0)

    def test_spaces_in_every_path(self):
        self.build = self.path("my build, of things")
        self.efi = self.write("an efi/cleave two.efi", "MZ")
        self.config = self.write("my config.cfg", "seed=1\n")
        self.payload = self.write("some payloads/my seq.bin", "payload")
        done = self.launch(f"test -s disk.img && {PASS}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(shlex.split(self.read_latest("command"))[1],
                         os.path.realpath(self.latest("")).rstrip("/"))

    def test_an_unwritable_build_folder_is_named(self):
        self.build = self.write("file", "in the way")
        done = self.launch(PASS)
        self.assertEqual(done.returncode, 2)
        self.assertIn(self.build, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_an_unwritable_out_or_report_is_named(self):
        blocked = os.path.join(self.write("file", "in the way"), "x")
        for option in ("--out", "--json"):
            done = self.launch(PASS, option, blocked)
            self.assertEqual(done.returncode, 2, option)
            self.assertIn(blocked, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_a_missing_program_is_named_with_the_remedy(self):
        few = self.path("few")
        os.mkdir(few)
        for program in ("sh", "mformat", "mmd", "mcopy", "true"):
            os.symlink(shutil.which(program), os.path.join(few, program))
        for missing, machine in (("bochs", "bochs"), ("qemu-system-x86_64", "qemu")):
            done = self.launch(PASS, machine=machine, PATH=few)
            self.assertEqual(done.returncode, 2)
            self.assertIn(missing, done.stderr)
            self.assertIn("tools/setup", done.stderr)

    def test_missing_mtools_are_named_with_the_remedy(self):
        done = self.launch(PASS, PATH=self.bin)
        self.assertEqual(done.returncode, 2)
        self.assertIn("mformat is missing: run tools/setup", done.stderr)

    def test_missing_inputs_are_named(self):
        for name in ("efi", "config", "payload"):
            good = getattr(self, name)
            setattr(self, name, self.path("not-there.bin"))
            done = self.launch(PASS)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn("not-there.bin", done.stderr)
            self.assertNotIn("Traceback", done.stderr)
            setattr(self, name, good)

    def test_the_oldest_runs_go_but_not_one_that_still_runs(self):
        child, emulator = self.start(HANG)
        busy = os.path.realpath(self.latest(""))
        for number in range(25):
            os.mkdir(os.path.join(self.build, "run", f"29990101-{number:06}.0-x"))
        self.launch(PASS)
        names = {entry.name for entry in self.runs()}
        self.assertIn(os.path.basename(busy), names)
        self.assertTrue(alive(emulator))
        self.assertEqual(len(names), launch.KEEP_RUNS + 2)
        child.terminate()

    def test_the_image_matches_the_geometry_and_holds_the_files(self):
        self.assertEqual(self.launch(PASS, "--cpus", "4", "--memory", "2500").returncode, 0)
        text = self.read_latest("bochsrc")
        self.assertIn("count=4", text)
        self.assertIn("memory: guest=2500, host=2048", text)
        size = os.path.getsize(self.latest("disk.img"))
        self.assertIn(f"cylinders={size // (16 * 63 * 512)}, heads=16, spt=63", text)
        listing = subprocess.run(["mdir", "-b", "-/", "-i", "disk.img", "::"],
                                 cwd=self.latest(""), stdout=subprocess.PIPE, text=True,
                                 check=True).stdout.splitlines()
        self.assertEqual({line for line in listing if not line.endswith("/")},
                         {"::/EFI/BOOT/BOOTX64.EFI", "::/cleave.cfg", "::/cleave.opt",
                          "::/guests/seq.bin"})

    def in_image(self, name):
        return subprocess.run(["mcopy", "-i", "disk.img", f"::/{name}", "-"],
                              cwd=self.latest(""), stdout=subprocess.PIPE, check=True).stdout

    def test_the_configuration_is_taken_byte_for_byte(self):
        text = b"\xef\xbb\xbfseed=1\r\nexit=halt\n[one]\n# \xe4\0 no end of line"
        with open(self.config, "wb") as file:
            file.write(text)
        self.assertEqual(self.launch(PASS).returncode, 0)
        self.assertEqual(self.in_image("cleave.cfg"), text)
        self.assertEqual(self.in_image("cleave.opt"), b"exit=bochs\nnx=off\n")

    def test_what_is_set_wins_as_load_options_do(self):
        self.launch(PASS, "--set", "seed=3  work=4M", "--set", "vcpus=2")
        self.assertEqual(self.in_image("cleave.opt"),
                         b"exit=bochs seed=3 work=4M vcpus=2\nnx=off\n")


if __name__ == "__main__":
    tap.main(__name__)
