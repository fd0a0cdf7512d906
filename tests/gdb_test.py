#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tools/gdb and its commands: with QEMU and GDB where they are, and with fakes.

The images and the payload are taken from build, or from where CLEAVE_BUILD says.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

import launch_test
import tap
from launch_test import alive, wait_until

GDB = os.path.join(tap.ROOT, "tools", "gdb")
BUILD = os.path.abspath(os.environ.get("CLEAVE_BUILD", os.path.join(tap.ROOT, "build")))
PROGRAMS = [name for name in ("gdb", "qemu-system-x86_64", "mcopy") if not shutil.which(name)]
SECONDS = 120
CONFIG = "guest=writer\nregion=64M\nbacking=2M\nwork=8M\nlatency=50\n"
WALK = re.compile(r"(?:  |cleave:   )(level \d: .*)$")

# `call print_walk` is the hypervisor's own walk, which goes to the serial log.
ONE_CPU = """
tbreak enable_all
continue
tbreak do_run
continue
printf "free %d\\n", machine_frames.free > 0
tbreak pager_fault
continue
printf "fault 0x%lx\\n", at.v
cleave-walk at.v
call print_walk(&mem->ept, at)
tbreak pager_fault if mem == &migrate_job::m.to->mem && stats->faults == 20
continue
cleave-walk at.v
call print_walk(&mem->ept, at)
cleave-walk at.v migrate_job::m.from
call print_walk(&migrate_job::m.from->mem.ept, at)
cleave-vcpus
up
cleave-walk 0x200000
call print_walk(&vcpu->mem->ept, (gpa_t){0x200000})
cleave-trace 3
call trace_print(0, 3)
delete
continue
"""

# Stops CPU 0 until CPU 1 is in its guest at that moment.
TWO_CPUS = """
python
gdb.execute("tbreak report_progress")
gdb.execute("continue")
root = int(gdb.parse_and_eval("$cr3"))
b = gdb.Breakpoint("vm_wait")
for i in range(300):
    gdb.execute("thread 2", to_string=True)
    if int(gdb.parse_and_eval("$cr3")) != root:
        print("in its guest")
        break
    gdb.execute("continue", to_string=True)
b.delete()
gdb.execute("cleave-vcpus")
gdb.execute("cleave-walk 0x200000 migrate_job::m.to")
print("thread", gdb.selected_thread().num)
gdb.execute("continue")
end
"""


class Sandbox(launch_test.Sandbox):
    def argv(self, *options, symbols=None):
        return [sys.executable, GDB, "--efi", self.efi, "--symbols", symbols or self.efi,
                "--config", self.config, *options, self.payload]

    def here(self, **more):
        return {**os.environ, "CLEAVE_BUILD": self.build, **more}

    def leftovers(self):
        """Processes that stand in a folder of ours."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/cwd").startswith(self.build) and alive(int(pid)):
                    found.append(pid)
            except OSError:
                pass
        return found


@unittest.skipIf(PROGRAMS, f"{', '.join(PROGRAMS)} missing: run tools/setup run debug")
class Real(Sandbox):
    def setUp(self):
        super().setUp()
        self.efi = os.path.join(BUILD, "cleave.efi")
        self.payload = os.path.join(BUILD, "guest", "writer.bin")
        self.config = self.write("gdb.cfg", CONFIG)

    def debug(self, script, cpus):
        """What GDB printed, and the lines of the serial log."""
        done = subprocess.run(
            self.argv("--cpus", str(cpus), "--timeout", str(SECONDS - 10), "--batch",
                      self.write("script.gdb", "set width 0\n" + script),
                      symbols=os.path.join(BUILD, "cleave.so")),
            env=self.here(), text=True, errors="replace", timeout=SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(self.leftovers(), [])
        self.assertRegex(done.stdout, r"\nmachine: verdict PASS", done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
        # What ends the script is the machine's end, and no error before.
        self.assertIn("Remote connection closed", done.stdout)
        with open(self.latest("serial.log"), encoding="utf-8", errors="replace") as file:
            return done.stdout, file.read().replace("\r", "").splitlines()

    def test_break_early_and_at_the_fault_handler_walk_and_go_on_to_the_end(self):
        said, serial = self.debug(ONE_CPU, 1)
        places = re.findall(r"Temporary breakpoint \d, (\w+)", said)
        self.assertEqual(places, ["enable_all", "do_run", "pager_fault", "pager_fault"], said)
        self.assertIn("\nfree 1\n", said)

        # What GDB decodes is what the hypervisor decodes.
        walks = [match.group(1) for line in said.splitlines() if (match := WALK.match(line))]
        self.assertEqual(walks, [match.group(1) for line in serial if (match := WALK.match(line))])
        for kind in ("table", "absent", "present"):
            self.assertTrue([line for line in walks if f" {kind} " in line], walks)

        # The first fault is at the payload's first page that is not there.
        self.assertIn("\nfault 0x", said)
        self.assertRegex(said, r"\nvm A, gpa 0x[0-9a-f]+, NPT:\n  level 4:")
        self.assertRegex(said, r"\nvm B, gpa 0x[0-9a-f]+, NPT:\n  level 4:")
        self.assertRegex(said, r"\nvm B vcpu 0 on cpu0: running, loaded, \d+ exits, 20 faults\n")
        self.assertRegex(said, r"\nvm A vcpu 0 on cpu0: running, rip 0x[0-9a-f]+, ")

        events = re.findall(r"^(cpu0 +\d+ [A-Z]+ +.*)$", said, re.MULTILINE)
        theirs = [line.removeprefix("cleave:   ") for line in serial
                  if re.match(r"cleave:   cpu0 +\d", line)]
        self.assertEqual((len(events), events), (3, theirs))

    def test_what_a_cpu_in_its_guest_cannot_see_is_read_through_another(self):
        said, _ = self.debug(TWO_CPUS, 2)
        said = said.partition("in its guest\n")[2]
        self.assertRegex(said, r"\A(?:vm [AB] vcpu 0 on cpu1: .* exits, \d+ faults\n){2}")
        self.assertRegex(said, r"\nvm B, gpa 0x200000, NPT:\n  level 4: .*\n  level 3: ")
        self.assertIn("\nthread 2\n", said)

    def test_a_gdb_that_ends_first_takes_the_machine_along(self):
        self.config = self.write("long.cfg", CONFIG + "trigger=time\nafter=500000\n")
        done = subprocess.run(
            self.argv("--batch", self.write("script.gdb", "tbreak do_run\ncontinue\n"),
                      symbols=os.path.join(BUILD, "cleave.so")),
            env=self.here(), text=True, timeout=SECONDS, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertRegex(done.stdout, r"Temporary breakpoint \d, do_run")
        self.assertNotIn("verdict", done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.leftovers(), [])


class Fakes(Sandbox):
    """QEMU and GDB are shell scripts: the first waits for a debugger, the second leaves word."""
    MACHINE = "say 'cleave: image at 0xab000: waiting for a debugger';"
    DEBUGGER = '#!/bin/sh\nprintf "%s\\n" "$@" > "$TOP/arguments"\necho $$ > "$TOP/gdb-pid"\n'

    def setUp(self):
        super().setUp()
        self.script(os.path.join(self.bin, "gdb"), self.DEBUGGER + 'eval "$DEBUGGER"\n')

    def fakes(self, machine, debugger):
        return self.environment(machine, CLEAVE_BUILD=self.build, TOP=self.top, DEBUGGER=debugger)

    def debug(self, machine, debugger="exit 0", **more):
        return subprocess.run(self.argv(), env={**self.fakes(machine, debugger), **more},
                              text=True, timeout=60, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def number_in(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return int(file.read() or 0)
        except OSError:
            return 0

    def test_gdb_learns_where_image_and_socket_are(self):
        self.build = self.path("my build, of things")
        self.efi = self.write("an efi/cleave two.efi", "MZ")
        self.debug(self.MACHINE + launch_test.HANG)
        with open(self.path("arguments"), encoding="utf-8") as file:
            arguments = file.read().splitlines()
        self.assertIn(f"symbol-file '{self.efi}' -o 0xab000", arguments)
        self.assertIn(f"cd {os.path.realpath(self.latest(''))}".rstrip("/"), arguments)
        self.assertIn("target remote gdb.sock", arguments)
        self.assertEqual(self.leftovers(), [])

    def test_options_of_the_launcher_are_passed_on(self):
        done = subprocess.run(self.argv("--memory", "2000", "--set", "seed=7 work=4M"),
                              env=self.fakes(self.MACHINE + launch_test.HANG, "exit 0"), text=True,
                              timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("-m 2000M", self.read_latest("command"))
        self.assertEqual(self.read_latest("cleave.opt"),
                         "exit=qemu debugger=1 seed=7 work=4M\n\n")

    def test_the_machines_verdict_is_the_status(self):
        for end, status in (("say 'cleave: verdict PASS'; exit 33", 0),
                            ("say 'cleave: verdict FAIL'; exit 35", 1), ("exit 0", 3)):
            done = self.debug(f"{self.MACHINE} sleep 0.5; {end}", "sleep 1; exit 9")
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)

    def test_without_an_end_of_the_machine_gdbs_status_counts(self):
        self.assertEqual(self.debug(self.MACHINE + launch_test.HANG, "exit 9").returncode, 9)

    def test_a_machine_that_does_not_get_to_the_wait_is_a_problem(self):
        done = self.debug("exit 0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("did not get as far", done.stderr)
        self.assertFalse(os.path.exists(self.path("arguments")))

    def test_signals_end_gdb_and_the_machine(self):
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
            child = subprocess.Popen(
                self.argv(), env=self.fakes(self.MACHINE + launch_test.HANG, "exec sleep 1000"),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
            self.assertTrue(wait_until(lambda: self.number_in("gdb-pid")))
            pids = (self.number_in("gdb-pid"), self.emulator())
            self.assertTrue(all(map(alive, pids)))
            child.send_signal(signum)
            child.wait(10)
            self.assertTrue(wait_until(lambda: not any(map(alive, pids))), signum)
            os.unlink(self.path("gdb-pid"))

    def test_interrupts_are_gdbs_alone(self):
        child = subprocess.Popen(
            self.argv(), env=self.fakes(self.MACHINE + launch_test.HANG,
                                        f"trap 'touch {self.top}/hit; exit 7' INT;"
                                        "while :; do sleep 0.1; done"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertTrue(wait_until(lambda: self.number_in("gdb-pid")))
        os.killpg(child.pid, signal.SIGINT)
        self.assertEqual(child.wait(15), 7)
        self.assertTrue(os.path.exists(self.path("hit")))

    def test_what_is_missing_is_named(self):
        few = self.path("few")
        os.mkdir(few)
        done = self.debug("exit 0", PATH=few)
        self.assertEqual((done.returncode, done.stderr),
                         (2, "gdb: gdb is missing: run tools/setup debug\n"))
        self.efi = self.path("not-there.efi")
        done = self.debug("exit 0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("not-there.efi", done.stderr)


if __name__ == "__main__":
    tap.main(__name__)
