#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of what tools/launch is given and what it leaves: a configuration that is checked before a
machine boots, a firmware that is found wherever it lies, and that may start nothing, and the
report. With fake emulators."""
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import launch_test
import tap
from launch_test import PASS, alive

machines = launch_test.machines
firmware = machines.firmware


class Firmwares(launch_test.Sandbox):
    """What the firmware says of an image that it does not start."""
    LOADS = "BdsDxe: loading Boot0001 \"UEFI QEMU HARDDISK QM00001 \" from PciRoot(0x0)/Pci(0x1)"
    FAILS = ("BdsDxe: failed to load Boot0001 \"UEFI QEMU HARDDISK QM00001 \" from "
             "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0): Not Found")
    SHELL = "UEFI Interactive Shell v2.2"

    def hang(self, *lines):
        return "say " + " ".join(shlex.quote(line) for line in lines) + "; exec sleep 1000"

    def outcome(self, *lines, **seconds):
        start = time.monotonic()
        code = ("import sys; sys.path.insert(0, sys.argv[1]); import tap;"
                "m = tap.load('tools/launch'); vars(m).update(eval(sys.argv[2]));"
                "sys.exit(m.main(sys.argv[3:]))")
        done = subprocess.run(
            [sys.executable, "-c", code, os.path.join(tap.ROOT, "tests"), repr(seconds),
             *self.argv("--machine", "qemu", "--timeout", "30")[2:]],
            env=self.environment(self.hang(*lines)), text=True, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertFalse(alive(self.emulator()))
        return done.stdout.splitlines()

    def test_a_fall_to_the_shell_is_one_line_with_the_firmwares_reason(self):
        said = self.outcome(self.FAILS, self.LOADS, "\33[2J\33[01;01H" + self.SHELL)
        self.assertEqual(len(said), 2, said)
        self.assertIn('Cleave was not started: the firmware says \'BdsDxe: failed to load Boot0001 '
                      '"UEFI QEMU HARDDISK QM00001": Not Found\': stopped after', said[1])

    def test_every_way_to_give_up_is_seen(self):
        for line in (self.SHELL, "BdsDxe: No bootable option or device was found.",
                     'BdsDxe: loading Boot0002 "EFI Internal Shell" from Fv(7CB8BDC9)',
                     'BdsDxe: starting Boot0000 "UiApp" from Fv(7CB8BDC9)'):
            self.assertIn(f"the firmware says '{line}'", self.outcome(line)[-1])

    def test_an_image_that_goes_back_to_the_firmware_is_seen(self):
        said = self.outcome(self.LOADS, "cleave: no good", "\33[2J" + self.SHELL)
        self.assertEqual(said[1], "cleave: no good")
        self.assertIn("machine: Cleave went back to the firmware: stopped after", said[-1])

    def test_silence_has_a_bound(self):
        self.assertIn("no word of Cleave for 0.5 s after the firmware started",
                      self.outcome("BdsDxe: starting Boot0001 \"HD\" from x",
                                   STARTED_SECONDS=0.5)[-1])
        self.assertIn("no word of Cleave for 0.5 s",
                      self.outcome("hello", FIRMWARE_SECONDS=0.5)[-1])

    def test_other_failures_before_ours_and_a_guests_words_do_no_harm(self):
        fake = "; ".join(f"say {shlex.quote(line)}" for line in (
            self.FAILS, self.LOADS, "cleave: here", f"cleave: guest says {self.SHELL}"))
        self.assertEqual(self.launch(f"{fake}; sleep 0.5; {PASS}").returncode, 0)


@unittest.skipUnless(shutil.which("qemu-system-x86_64") and firmware.for_qemu(),
                     "QEMU or its firmware is missing: run tools/setup run")
class Real(launch_test.Sandbox):
    def test_a_real_firmware_that_cannot_start_the_image_ends_the_run_in_seconds(self):
        os.unlink(os.path.join(self.bin, "qemu-system-x86_64"))
        done = self.launch("", "--timeout", "120", machine="qemu")
        said = done.stdout.splitlines()
        self.assertEqual((done.returncode, len(said)), (3, 2), done.stdout)
        self.assertIn("Cleave was not started: the firmware says 'BdsDxe: failed to load ", said[1])


class Configurations(launch_test.Sandbox):
    """The hypervisor's own parser, beside the image."""

    @classmethod
    def setUpClass(cls):
        cls.tools = tempfile.mkdtemp(prefix="launch-test-")
        cls.addClassCleanup(shutil.rmtree, cls.tools)
        subprocess.run(["make", "-s", f"BUILD={cls.tools}", f"{cls.tools}/check-config"],
                       cwd=tap.ROOT, check=True)

    def setUp(self):
        super().setUp()
        shutil.copy(os.path.join(self.tools, "check-config"), self.top)

    def refused(self, words, *options, text="seed=1\n[one]\n"):
        self.config = self.write("some.cfg", text)
        done = self.launch(PASS, *options)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIn(words, done.stderr)
        self.assertFalse(os.path.exists(self.build), "a machine was prepared")

    def test_a_good_configuration_passes_and_nothing_is_said(self):
        for text in ("", "seed=1\n[one]\n", "\ufeffseed=1\r\n[one]\r\n"):
            self.config = self.write("some.cfg", text)
            done = self.launch(PASS, "--set", "window=3")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_wrong_line_is_named_as_the_user_counts_it(self):
        self.refused("some.cfg: line 1: unknown key 'sede'", text="sede=1\n[one]\n")
        self.refused("some.cfg: line 3: window=0: must be 1 to 256",
                     text="seed=1\n[one]\nwindow=0\n")

    def test_a_file_that_is_too_long_is_refused(self):
        self.refused("has more than 256 KiB", text="#" * 99 + "\n" * 300000)

    def test_wrong_options_are_named(self):
        self.refused("load options: unknown key 'sede'", "--set", "sede=1")
        self.refused("load options: seed is set twice", "--set", "seed=1 seed=2")

    def test_what_is_the_launchers_to_set_is_refused_by_its_name(self):
        self.refused("exit=halt: the launcher sets exit= itself", "--set", "exit=halt")
        self.refused("debugger=1 waits for a debugger: use `make gdb`", "--set", "debugger=1")

    def test_a_wrong_number_is_refused_in_one_line(self):
        for option, word in (("--cpus", "CPUS"), ("--memory", "MEMORY"), ("--icount-shift", "ICOUNT")):
            done = self.launch(PASS, option, "-1")
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
            self.assertIn(f"{word}= ({option}): must be", done.stderr)

    def test_too_many_cpus_are_refused(self):
        self.refused("CPUS=99: Cleave drives at most 8", "--cpus", "99")
        self.assertEqual(self.launch(PASS, "--cpus", "8").returncode, 0)

    def test_too_little_memory_for_a_run_is_refused(self):
        self.refused("[one]: needs at least 1120 MiB, and the machine has 1100", "--memory", "1100",
                     text="region=1G\nwork=64M\n[one]\n")
        self.refused("[two]: needs at least", "--memory", "1200",
                     text="region=1G\n[one]\n[two]\nregion=2G\n")
        self.config = self.write("some.cfg", "region=2G\nwork=1G\njob=other\n")
        self.assertEqual(self.launch(PASS, "--memory", "1200").returncode, 0)

    def test_a_guest_without_a_payload_is_refused(self):
        for name in ("sqe", "se", "seqq"):
            self.refused(f"[one]: guest={name}: there is no such payload; there are: seq\n",
                         text=f"[zero]\n[one]\nguest={name}\n[two]\njob=other\nguest=x\n")
        self.payload = self.write("some payloads/balloon.bin", "payload")
        self.refused("there are: seq balloon", "--set", "guest=ball", self.path("seq.bin"))
        done = self.launch(PASS, "--set", "guest=seq", self.path("seq.bin"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_is_wrong_can_be_booted_for_a_test(self):
        self.config = self.write("some.cfg", "bad=1\n")
        done = self.launch(PASS, "--unchecked", "--cpus", "12")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_without_the_parser_that_is_said(self):
        os.unlink(self.path("check-config"))
        self.config = self.write("some.cfg", "bad=1\n")
        done = self.launch(PASS)
        self.assertEqual(done.returncode, 0)
        self.assertIn("the configuration is checked in the machine only", done.stderr)


class Reports(launch_test.Sandbox):
    def report(self, name="report.json"):
        with open(self.latest(name), encoding="utf-8") as file:
            return json.load(file)

    def test_json_lines_become_the_reports_runs_only(self):
        copy = self.path("copy.json")
        done = self.launch("say 'cleave-json: {\"a\": 1}' 'cleave-json: {\"b\": 2}'"
                           " 'cleave-json: {';" + PASS, "--json", copy)
        self.assertNotIn('"a"', done.stdout)
        self.assertEqual(self.report()["runs"], [{"a": 1}, {"b": 2}, {"unreadable": "{"}])
        with open(copy, encoding="utf-8") as file:
            self.assertEqual(file.read(), self.read_latest("report.json"))

    def test_the_parts_of_the_start_are_in_the_report_and_no_run(self):
        done = self.launch("say 'cleave-boot: {\"total_cycles\": 3}';" + PASS)
        self.assertNotIn("total_cycles", done.stdout)
        self.assertEqual((self.report()["boot"], self.report()["runs"]), ({"total_cycles": 3}, []))
        self.launch("say 'cleave-boot: {';" + PASS)
        self.assertEqual(self.report()["boot"], {"unreadable": "{"})

    def test_the_report_says_what_ran_where_and_how_it_ended(self):
        done = self.launch(PASS + "; exit 33", "--cpus", "2", "--memory", "2000", "--set", "seed=4",
                           "--icount-shift", "5", machine="qemu")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = self.report()
        commit = subprocess.run(["git", "describe", "--always", "--dirty", "--tags"],
                                cwd=tap.ROOT, text=True, stdout=subprocess.PIPE).stdout.strip()
        for key, value in (("commit", commit or "unknown"), ("machine", "QEMU without KVM"),
                           ("emulator", "a fake, version 1"), ("cpus", 2), ("memory_mib", 2000),
                           ("configuration", "# a comment\nseed=1\n[one]\n"),
                           ("load_options", "exit=qemu seed=4"), ("verdict", "PASS"),
                           ("status", 0), ("outcome", "verdict PASS"), ("runs", [])):
            self.assertEqual(report[key], value, key)
        self.assertIn("32 ns each", report["time"])
        self.assertEqual(report["command"][0], "qemu-system-x86_64")
        self.assertLess(report["seconds"], 60)

    def test_a_bochs_names_itself(self):
        self.launch("echo '      Bochs x86 Emulator 2.7.1'; " + PASS)
        self.assertEqual(self.report()["emulator"], "Bochs x86 Emulator 2.7.1")

    def test_what_ends_without_a_verdict_has_a_report_too(self):
        self.launch("say 'cleave-json: {\"a\": 1}'; exit 1")
        report = self.report()
        self.assertEqual((report["verdict"], report["status"], report["runs"]),
                         (None, 3, [{"a": 1}]))

    def test_sources_without_a_repository_have_no_commit(self):
        report = sys.modules["report"]
        self.addCleanup(setattr, report, "ROOT", report.ROOT)
        report.ROOT = self.path("copy")
        os.mkdir(report.ROOT)
        self.assertEqual(report.commit(), "unknown")
        for command in (["init", "-q"], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-q",
                                         "--allow-empty", "-m", "somebody else's"]):
            subprocess.run(["git", *command], cwd=self.top, check=True)
        self.assertEqual(report.commit(), "unknown")
        report.ROOT = self.top
        self.assertRegex(report.commit(), "^[0-9a-f]{7,}$")


class Found(tap.Sandbox):
    """The firmware, in a file system of its own."""

    def setUp(self):
        super().setUp()
        self.addCleanup(os.environ.update, XDG_CONFIG_HOME=os.environ.get("XDG_CONFIG_HOME", ""))
        os.environ["XDG_CONFIG_HOME"] = self.path("home")

    def file(self, name, size=4):
        self.write(name, "x" * size)
        return self.path(name)

    def describe(self, name, folder="usr/share/qemu/firmware", features=(), types=("uefi",),
                 machines=("pc-i440fx-*", "pc-q35-*"), architecture="x86_64", mapping=None):
        code, variables = (self.file(f"fw/{name}{half}") for half in (".code", ".vars"))
        mapping = mapping or {"device": "flash",
                              "executable": {"filename": code, "format": "raw"},
                              "nvram-template": {"filename": variables, "format": "raw"}}
        self.write(f"{folder}/{name}.json", json.dumps({
            "interface-types": types, "mapping": mapping, "features": features,
            "targets": [{"architecture": architecture, "machines": machines}]}))
        return code

    def found(self):
        firm = firmware.for_qemu(self.top)
        return firm and firm.code

    def test_nothing_is_found_where_there_is_nothing(self):
        self.assertEqual((firmware.for_qemu(self.top), firmware.for_bochs(self.top),
                          firmware.vga_bios(self.top)), (None, [], None))

    def test_a_descriptor_wins_over_the_listed_places_and_the_first_name_wins(self):
        for pair in firmware.places("flash"):
            for half in pair.split(":"):
                self.file(half.lstrip("/"))
        self.assertEqual(self.found(), self.path("usr/share/OVMF/OVMF_CODE_4M.fd"))
        second = self.describe("60-b")
        self.assertEqual(self.found(), second)
        self.assertEqual(self.describe("50-a", "etc/qemu/firmware"), self.found())

    def test_each_listed_place_is_found(self):
        for pair in firmware.places("flash"):
            halves = [self.file(half.lstrip("/")) for half in pair.split(":")]
            firm = firmware.for_qemu(self.top)
            self.assertEqual([firm.code, firm.variables], halves)
            os.unlink(halves[1])
            self.assertIsNone(self.found())

    def test_what_would_not_start_us_is_passed_over(self):
        for wrong in ({"features": ["requires-smm"]}, {"features": ["enrolled-keys"]},
                      {"types": ["bios"]}, {"architecture": "aarch64"}, {"machines": ["microvm"]},
                      {"mapping": {"device": "kernel", "filename": self.file("fw/k")}},
                      {"mapping": {"device": "flash"}},
                      {"mapping": {"device": "memory", "filename": self.path("gone")}}):
            self.describe("10-wrong", **wrong)
            self.assertIsNone(self.found(), wrong)
        self.write("usr/share/qemu/firmware/20-broken.json", "{")
        self.assertEqual(self.describe("30-good", features=["secure-boot", "acpi-s3"]),
                         self.found())

    def test_the_users_file_hides_those_of_its_name(self):
        self.describe("50-a")
        mine = self.file("fw/mine")
        self.write("home/qemu/firmware/50-a.json", "")
        self.assertIsNone(self.found())
        self.describe("50-a", "home/qemu/firmware", mapping={"device": "memory", "filename": mine})
        self.assertEqual(firmware.for_qemu(self.top), firmware.Firmware(mine, flash=False))

    def test_the_options_follow_the_kind_of_firmware(self):
        run = machines.Run(self.top, 1, 1024, None)
        code, variables = self.file("a,b"), self.file("c")
        firm = firmware.Firmware(code, "qcow2", variables, "qcow2")
        quoted = code.replace(",", ",,")
        self.assertEqual(machines.firmware_options(run, firm), [
            "-drive", f"if=pflash,format=qcow2,readonly=on,file={quoted}",
            "-drive", "if=pflash,format=qcow2,file=vars.fd"])
        self.assertEqual(self.read("vars.fd"), "xxxx")
        self.assertEqual(machines.firmware_options(run, firmware.Firmware("", "", variables)),
                         ["-drive", "if=pflash,format=raw,file=vars.fd"])
        self.assertEqual(machines.firmware_options(run, firmware.Firmware(code, flash=False)),
                         ["-bios", code])

    def test_bochs_takes_one_piece_or_makes_it_of_two(self):
        code = self.describe("50-a")
        self.assertEqual(firmware.for_bochs(self.top), [self.path("fw/50-a.vars"), code])
        rom = self.file("usr/share/edk2-ovmf/x64/OVMF.fd")
        self.assertEqual(firmware.for_bochs(self.top), [rom])
        os.truncate(rom, 4 << 20)  # too large for Bochs 2.7
        self.assertEqual(firmware.for_bochs(self.top), [self.path("fw/50-a.vars"), code])
        os.truncate(code, 5 << 20)
        self.assertEqual(firmware.for_bochs(self.top), [rom])
        os.unlink(rom)
        self.assertEqual(firmware.for_bochs(self.top), [])

    def test_what_was_looked_for_is_named(self):
        words = firmware.looked_for("rom", "vga-bios")
        for place in firmware.places("rom") + firmware.places("vga-bios"):
            self.assertIn(place, words)


class Missing(launch_test.Sandbox):
    def test_a_users_own_firmware_reaches_the_command(self):
        mine = self.write("my,firmware.fd", "x")
        self.write("home/qemu/firmware/00-mine.json", json.dumps({
            "interface-types": ["uefi"], "mapping": {"device": "memory", "filename": mine},
            "features": [], "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}]}))
        done = self.launch(f"{PASS}; exit 33", machine="qemu", XDG_CONFIG_HOME=self.path("home"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"-bios {shlex.quote(mine)}", self.read_latest("command"))

    def test_a_machine_without_firmware_names_the_places_and_the_remedy(self):
        self.addCleanup(setattr, firmware, "places", firmware.places)
        firmware.places = lambda what, root="": [f"/nowhere/{what}:/nowhere/{what}"]
        self.addCleanup(setattr, firmware, "descriptor_folders", firmware.descriptor_folders)
        firmware.descriptor_folders = lambda root="": ["/nowhere/folder"]
        self.assertRegex(" ".join(machines.qemu_missing()),
                         "a UEFI firmware .looked for .*/nowhere/folder.*/nowhere/flash")
        self.assertRegex(" ".join(machines.bochs_missing()),
                         "UEFI .*/nowhere/rom.*VGA BIOS .*/nowhere/vga-bios")


if __name__ == "__main__":
    tap.main(__name__)
