#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the guest's console: tools/console.py in tools/launch, with fake emulators that have a
second serial port. A fake's console is a Python text that talks through `port`, a binary file."""
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

import launch_test
import tap
from launch_test import PASS, alive, wait_until

# Where the launcher says that the port leads: QEMU connects to a socket, Bochs opens a terminal.
PORT = """\
import os, re, socket, sys, time
if os.path.exists("bochsrc"):
    name = re.search(r"com2: enabled=1, mode=term, dev=(\\S+)", open("bochsrc").read()).group(1)
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
else:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect("console.sock")
    fd = connection.fileno()
def say(data):
    while data:
        data = data[os.write(fd, data):]
def hear():
    return os.read(fd, 100)
"""
START = "say(b'cleave: guest console\\r\\n')\n"
ECHO = START + """\
say(b"$ ")
while True:
    keys = hear()
    if keys == b"q":
        break
    say(b"<" + keys.hex().encode() + b">")
"""


class Console(launch_test.Sandbox):
    def fake(self, talk, after=PASS):
        path = self.write("talk.py", PORT + talk)
        return f"python3 '{path}'; {after}"

    def log(self):
        with open(self.latest("console.log"), "rb") as file:
            return file.read()


class Log(Console):
    TALK = (r"say(b'\x1b[2J firmware\r\nnoise cleave: gue'); time.sleep(0.2);"
            r"say(b'st console\r\n[    0.0] Linux\r\nselfcheck: {" + '"verdict": "PASS"' + r"}\r\n\x1b[1mlast')")

    def test_what_comes_before_the_guest_is_dropped_and_its_lines_are_shown_as_they_are(self):
        for machine, status in (("qemu", "; exit 33"), ("bochs", "")):
            done = self.launch(self.fake(self.TALK, PASS + status), "--console", "log",
                               machine=machine)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            said = done.stdout.splitlines()
            for line in ("[    0.0] Linux", 'selfcheck: {"verdict": "PASS"}', "last"):
                self.assertIn(line, said)
            self.assertNotIn("noise", done.stdout)
            self.assertEqual(self.log(), b'[    0.0] Linux\r\nselfcheck: {"verdict": "PASS"}\r\n'
                             b"\x1b[1mlast")
            report = json.loads(self.read_latest("report.json"))
            self.assertEqual((report["console"], report["selfcheck"]),
                             ("console.log", {"verdict": "PASS"}))

    def test_a_panic_is_named_in_the_outcome_and_does_not_change_the_verdict(self):
        talk = START + r"say(b'[ 1.0] Kernel panic - not syncing: VFS: no root\r\n')"
        done = self.launch(self.fake(talk, "say 'cleave: verdict FAIL'"), "--console", "log")
        self.assertEqual(done.returncode, 1)
        self.assertIn("machine: verdict FAIL; its guest: Kernel panic - not syncing: VFS: no root "
                      "after", done.stdout.splitlines()[-1])

    def test_much_output_arrives_whole(self):
        for machine, status in (("qemu", "; exit 33"), ("bochs", "")):
            talk = START + "for i in range(20000): say(b'%d\\n' % i)"
            self.launch(self.fake(talk, PASS + status), "--console", "log", machine=machine)
            self.assertEqual(self.log(), b"".join(b"%d\n" % i for i in range(20000)), machine)

    def test_without_a_wish_for_it_there_is_no_second_port(self):
        self.launch(PASS)
        self.assertNotIn("com2", self.read_latest("bochsrc"))
        self.launch(PASS + "; exit 33", machine="qemu")
        self.assertEqual(self.read_latest("command").count("-serial"), 1)

    def test_a_machine_that_never_opens_the_port_does_no_harm(self):
        for machine, status in (("qemu", "; exit 33"), ("bochs", "")):
            self.assertEqual(self.launch(PASS + status, "--console", "log",
                                         machine=machine).returncode, 0)
            self.assertEqual(self.log(), b"")

    def test_a_folder_with_a_long_name_has_a_console(self):
        self.build = self.path("x" * 120)
        done = self.launch(self.fake(self.TALK, PASS + "; exit 33"), "--console", "log",
                           machine="qemu")
        self.assertIn("\nlast\n", done.stdout, done.stderr)

    def test_interactive_needs_a_terminal(self):
        done = self.launch(PASS, "--console", "interactive")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--console interactive needs a terminal", done.stderr)


class Terminal(Console):
    """The launcher on a terminal of its own."""

    def setUp(self):
        super().setUp()
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        self.before = termios.tcgetattr(self.slave)
        self.said = b""

    def begin(self, talk=ECHO, machine="bochs", after=PASS):
        self.child = subprocess.Popen(
            self.argv("--machine", machine, "--console", "interactive"), start_new_session=True,
            env=self.environment(self.fake(talk, after)), stdin=self.slave, stdout=self.slave,
            stderr=self.slave)
        self.addCleanup(self.child.wait)
        self.addCleanup(self.child.kill)

    def until(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.said:
            self.assertLess(time.monotonic(), end, self.said)
            if select.select([self.master], [], [], 0.2)[0]:
                self.said += os.read(self.master, 65536)

    def type(self, keys):
        os.write(self.master, keys)

    def raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def ended(self, status):
        self.until(b"launch: " if status > 2 else b"machine: verdict")
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.until(b"never said", 1)  # fails, and shows what was said
        self.assertEqual(self.child.returncode, status, self.said)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.assertTrue(wait_until(lambda: not alive(self.emulator())))

    def test_keys_reach_the_guest_and_its_bytes_come_back(self):
        for machine, after in (("bochs", PASS), ("qemu", PASS + "; exit 33")):
            self.begin(machine=machine, after=after)
            self.until(b"Ctrl-] ends the run\r\n$ ")
            self.assertTrue(self.raw())
            for keys, seen in ((b"a", b"<61>"), (b"\x03", b"<03>"), (b"\x1a", b"<1a>"),
                               (b"\r", b"<0d>"), (b"\x1b[A", b"<1b5b41>")):
                self.type(keys)
                self.until(seen)
            self.type(b"q")
            self.ended(0)
            self.said = b""

    def test_the_terminal_stays_as_it_is_until_the_guest_begins(self):
        self.begin("say(b'firmware'); hear()")
        self.until(b"as soon as it begins")
        time.sleep(0.3)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_ctrl_bracket_ends_the_run_and_restores_the_terminal(self):
        self.begin()
        self.until(b"$ ")
        self.type(b"ab\x1dcd")
        self.ended(130)
        self.assertNotIn(b"6364", self.log())

    def test_a_signal_restores_the_terminal(self):
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            self.begin()
            self.until(b"$ ")
            self.assertTrue(self.raw())
            self.child.send_signal(signum)
            self.ended(128 + signum)
            self.said = b""

    def test_an_emulator_that_dies_restores_the_terminal(self):
        self.begin()
        self.until(b"$ ")
        os.kill(self.emulator(), signal.SIGKILL)
        self.until(b"without a verdict")
        self.assertEqual(self.child.wait(20), 3)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)


if __name__ == "__main__":
    tap.main(__name__)
