#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the monitor: the shared port and the client with a fake emulator, then every command
against one small run in QEMU.

usage: tests/monitor_test.py [--build DIR] [WORD ...]
"""
import json
import os
import pty
import random
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import tap
from launch_test import wait_until
from view_test import Machine

client = tap.load("tools/monitor")
import report  # noqa: E402, of tools/
CLIENT = os.path.join(tap.ROOT, "tools", "monitor")
BUILD = os.path.join(tap.ROOT, "build")
QEMU = "qemu-system-x86_64"
FIRST_SECONDS = 240  # from the start of the emulator to an answer


class Port(Machine):
    """A launcher whose fake machine answers each command with `n: 1`, `ok`; with `bad`, an error."""

    def setUp(self):
        super().setUp()
        self.begin()

    def begin(self):
        self.child = subprocess.Popen(
            self.argv("--machine", "qemu", "--monitor"), env=self.environment(self.fake(35)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.child.communicate)
        self.addCleanup(self.child.kill)
        self.assertTrue(wait_until(lambda: os.path.exists(self.latest("monitor.sock"))))

    def run_client(self, *words, stdin=""):
        return subprocess.run([CLIENT, "--run", self.latest(""), *words], input=stdin, text=True,
                              timeout=30, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def connect(self):
        where = os.open(self.latest(""), os.O_PATH)
        self.addCleanup(os.close, where)
        end = socket.socket(socket.AF_UNIX)
        end.connect(f"/proc/self/fd/{where}/monitor.sock")
        end.settimeout(20)
        self.addCleanup(end.close)
        return end

    def test_one_command_and_its_status(self):
        done = self.run_client("info", "vm")
        self.assertEqual((done.returncode, done.stdout), (0, "n: 1\nok\n"))
        done = self.run_client("bad")
        self.assertEqual((done.returncode, done.stdout), (1, "error: no\n"))
        self.assertEqual(self.commands(), ["info vm", "bad"])

    def test_commands_from_a_pipe(self):
        done = self.run_client(stdin="info vm\n\n  info cpus  \nbad\nexit\nnever\n")
        self.assertEqual((done.returncode, done.stdout), (1, "n: 1\nok\nn: 1\nok\nerror: no\n"))
        self.assertEqual(self.commands(), ["info vm", "info cpus", "bad"])

    def test_json_and_text_beside_each_other(self):
        text, as_json = client.Line(self.latest(""), False), client.Line(self.latest(""), True)
        for _ in range(3):
            self.assertEqual(text.ask("one"), ["n: 1", "ok"])
            self.assertTrue(json.loads(as_json.ask("two")[-1])["ok"])
        self.assertFalse(json.loads(as_json.ask("bad")[-1])["ok"])
        self.assertEqual([word for word in self.commands() if word in ("one", "two")],
                         ["one", "two"] * 3)

    def test_each_of_two_clients_gets_its_own_answers(self):
        ends = [self.connect() for _ in range(4)]
        for i, end in enumerate(ends):
            end.sendall(b"bad\ninfo\n" if i % 2 else b"info\nbad\n")
        for i, end in enumerate(ends):
            want = b"error: no\nn: 1\nok\n" if i % 2 else b"n: 1\nok\nerror: no\n"
            got = b""
            while len(got) < len(want):
                got += end.recv(100)
            self.assertEqual(got, want)

    def test_a_client_that_goes_away_takes_nothing_along(self):
        for _ in range(10):
            end = self.connect()
            end.sendall(b"info\n" * 20)
            end.close()
        self.assertEqual(self.run_client("info").returncode, 0)

    def test_a_client_that_never_reads_and_one_that_never_ends_its_line(self):
        deaf, endless = self.connect(), self.connect()
        deaf.sendall(b"info\n" * 100)
        try:
            for _ in range(100):
                endless.sendall(b"x" * 1000)
        except OSError:
            pass  # it was given up
        self.assertEqual(self.run_client("info").returncode, 0)

    def test_what_would_edit_the_machines_line_is_replaced(self):
        end = self.connect()
        end.sendall(b"in\x08\x7ffo\x00 \xff\rvm\n")
        self.assertEqual(end.recv(100), b"n: 1\nok\n")
        self.assertEqual(self.commands(), ["in??fo? ??vm"])

    def test_quit_ends_the_machine_and_the_others_are_told(self):
        end = self.connect()
        done = self.run_client("quit")
        self.assertEqual((done.returncode, done.stdout), (0, "n: 1\nok\n"))
        self.assertEqual(self.child.wait(20), 1)
        self.assertEqual(end.recv(10), b"")
        done = self.run_client("info")
        self.assertEqual(done.returncode, 2)
        self.assertIn("nobody listens there", done.stderr)

    def test_completion_and_history_on_a_terminal(self):
        self.assertEqual(client.completions([["ept", "split", "GPA"], ["ept", "poison", "GPA"],
                                             ["stream", "RATE|pause|go"], ["help", "[COMMAND]"]],
                                            ["stream"], ""), ["go ", "pause "])
        usage = "ept split GPA BYTES [4K|2M]".split()
        self.assertEqual(client.completions([usage], usage[:4], ""), ["2M ", "4K "])
        self.assertEqual(client.completions([usage], usage[:2], ""), [])
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        home = self.path("home")
        os.mkdir(home)
        child = subprocess.Popen([CLIENT, "--run", self.latest("")], stdin=slave, stdout=slave,
                                 stderr=slave, env={**os.environ, "HOME": home, "TERM": "xterm"},
                                 start_new_session=True)
        os.close(slave)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        said = b""
        # Each key waits for the prompt: only there does the terminal hand over ^D as a key. Before
        # that, it takes it for the end of a line, and readline never sees it.
        prompt = rb"cleave> "
        for keys, seen in ((b"", prompt), (b"info\r", rb"(?s)ok\s.*" + prompt), (b"\x04", prompt)):
            os.write(master, keys)
            end = time.monotonic() + 20
            while not re.search(seen, said) and time.monotonic() < end:
                if select.select([master], [], [], 0.2)[0]:
                    said += os.read(master, 1000)
            self.assertRegex(said, seen)
        self.assertEqual(child.wait(20), 0)
        with open(os.path.join(home, ".cleave_monitor_history"), encoding="utf-8") as file:
            self.assertIn("info", file.read())


def random_changes(seed, n=40):
    """Commands that no payload of run_of() minds: they take no page that it uses, which end at 12M.
    What they protect or pause they let go again."""
    rng = random.Random(seed)
    for _ in range(n):
        page = rng.randrange(12 * 256, 64 * 256)
        pages = min(rng.choice((1, 2, 16, 100, 256, 512)), 64 * 256 - page)
        where = f"{page * 4}K {pages * 4}K"
        yield from rng.choice((
            (f"ept poison {where}",), (f"ept discard {where}",), (f"ept discard {page * 4}K 4K",),
            (f"ept split {rng.randrange(32) * 2}M 2M",), ("ept split 0 64M 2M",), ("ept collapse 0 64M",),
            (f"ept protect {where} r", f"ept protect {where} rwx"), ("pause", "resume"),
            ("source cut", "source restore"), (f"policy {rng.choice(('never', 'end', 'budget', 'complete'))}",)))


class Machines:
    """A run of 64 MiB in QEMU, and a line to its monitor."""

    @classmethod
    def run_of(cls, settings):
        cls.top = tempfile.mkdtemp(prefix="monitor-test-")
        config = os.path.join(cls.top, "some.cfg")
        with open(config, "w", encoding="ascii") as file:
            file.write("guest=random\nregion=64M\nwork=4M\nvcpus=2\nstream=1\n" + settings)
        cls.out = os.path.join(cls.top, "out")
        cls.log = open(os.path.join(cls.top, "log"), "w+", encoding="utf-8")
        cls.child = subprocess.Popen(
            [sys.executable, os.path.join(tap.ROOT, "tools", "launch"), "--machine", "qemu",
             "--efi", os.path.join(BUILD, "cleave.efi"), "--config", config, "--out", cls.out,
             "--monitor", "--cpus", "2", "--memory", "1024", "--timeout", "400",
             os.path.join(BUILD, "guest", "random.bin")],
            stdin=subprocess.DEVNULL, stdout=cls.log, stderr=subprocess.STDOUT)
        cls.line = None
        if wait_until(lambda: os.path.exists(os.path.join(cls.out, "monitor.sock")), 30):
            cls.line = client.Line(cls.out, False)
            cls.line.socket.settimeout(FIRST_SECONDS)

    @classmethod
    def end(cls):
        if cls.child.poll() is None:
            cls.child.terminate()
        cls.child.wait()
        cls.log.close()
        shutil.rmtree(cls.top, ignore_errors=True)

    def ask(self, command):
        return self.line.ask(command)

    def said(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def document(self):
        with open(os.path.join(self.out, "report.json"), encoding="utf-8") as file:
            return json.load(file)

    def report(self):
        run, = self.document()["runs"]
        return run


class Verdicts(Machines, unittest.TestCase):
    """What becomes of runs that were changed."""

    def setUp(self):
        if not shutil.which(QEMU) or not os.path.exists(os.path.join(BUILD, "cleave.efi")):
            self.skipTest(f"{QEMU} or {BUILD}/cleave.efi is not there")
        self.addCleanup(lambda: self.end())

    def arriving(self, settings=""):
        self.run_of(settings)
        self.assertIsNotNone(self.line, "the launcher offers no monitor")
        self.assertTrue(wait_until(lambda: "phase: arriving" in self.ask("info vm"), 120))

    def test_data_of_the_guest_that_is_discarded_fails_the_run(self):
        self.arriving("stride=4K\n")
        self.ask("ept discard 8M 4M")
        self.ask("stream unlimited")
        self.assertEqual(self.child.wait(200), 1, self.said())
        # The guest may have found it before the second one.
        self.assertRegex(self.said(), "changed by the monitor: [12] command")
        self.assertIn("the guest", self.report()["verdict"])

    def goes_on_to_a_pass(self):
        self.assertEqual(self.ask("stream unlimited"), ["ok"])
        self.assertEqual(self.child.wait(200), 0, self.said())

    def test_pages_behind_a_discarded_and_lost_ones_come(self):
        self.arriving("timeout=60000\n")
        for command in ("stream pause", "ept discard 16M 4K", "ept poison 0x1001000 256K"):
            self.assertEqual(self.ask(command)[-1], "ok")
        self.goes_on_to_a_pass()
        self.assertEqual(self.report()["lost"], 64)

    def test_many_changes_at_random(self):
        self.arriving("timeout=60000\n")
        self.ask("stream pause")
        for command in random_changes(seed=47):
            self.ask(command)  # what is lost already is refused, for one
        self.ask("policy complete")
        self.goes_on_to_a_pass()


class Real(Machines, unittest.TestCase):
    """One run of 64 MiB in QEMU; the tests go through it in the order of their names."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which(QEMU) or not os.path.exists(os.path.join(BUILD, "cleave.efi")):
            raise unittest.SkipTest(f"{QEMU} or {BUILD}/cleave.efi is not there")
        cls.run_of("trigger=time\nafter=86400000\nlive=1\n")

    @classmethod
    def tearDownClass(cls):
        cls.end()

    def good(self, command):
        lines = self.ask(command)
        self.assertEqual(lines[-1], "ok", (command, lines))
        return dict(text.partition(": ")[::2] for text in lines[:-1])

    def refused(self, command, why):
        lines = self.ask(command)
        self.assertTrue(lines[-1].startswith("error: ") and why in lines[-1], (command, lines))

    def test_1_before_the_migration(self):
        self.assertIsNotNone(self.line, "the launcher offers no monitor")
        vm = self.good("info vm")
        self.assertEqual((vm["phase"], vm["guest"], vm["vcpus"]), ("source", "random", "2"))
        self.assertEqual(len([key for key in self.good("info cpus") if key.startswith("vcpu")]), 2)
        self.assertEqual(self.good("info mem")["bytes"], str(64 << 20))
        self.assertEqual(self.good("info ept 0")["gfn"], "0x0")
        self.assertIn("splits_absent", self.good("info stats"))
        self.assertEqual(self.good("info migration")["settled"], "0")
        for command in ("ept poison 0 4K", "ept split 0 64M", "policy end", "stream 2", "source cut"):
            self.refused(command, "the migration has not begun")

    def test_2_wrong_input_gets_the_usage(self):
        self.refused("ept poison", "usage: ept poison GPA BYTES")
        self.refused("ept poison 1 4K", "a multiple of 4K; usage: ept poison GPA BYTES")
        self.refused("stream fast", "usage: stream RATE|pause|go")
        self.refused("policy", "never is missing; usage: policy complete|end|")
        self.refused("pause now", "one argument too many")
        self.refused("resume", "it does not stand still")
        self.refused("nonsense", "unknown command 'nonsense'")
        self.refused("x" * 500, "is too long")
        self.refused("info ept 512G", "nothing is mapped there")
        self.assertEqual(len(self.good("help")), 21)
        self.assertEqual(self.good("help density")["default"], "256")
        self.assertEqual(len(self.good("help ept")), 5)
        self.refused("help nothing", "no command begins so")

    def test_3_migrate_begins_it(self):
        self.good("migrate")
        self.assertTrue(wait_until(lambda: self.good("info vm")["phase"] != "source", 60))
        self.refused("migrate", "no migration waits")
        self.good("stream pause")
        self.assertEqual(self.good("info migration")["stream"], "pauses")

    def test_4_changes_of_memory(self):
        self.refused("ept poison 64M 4K", "beyond the guest's memory")
        self.refused("ept discard 0 65M", "beyond the guest's memory")
        self.assertEqual(self.good("ept poison 48M 4K")["pages_lost"], "1")
        self.refused("ept poison 48M 4K", "is lost already")
        self.assertEqual(self.good("info ept 48M")["is"], "POISON".lower())
        self.assertEqual(self.good("ept discard 52M 8K")["pages_discarded"], "2")
        self.assertEqual(self.good("info ept 52M")["discarded"], "1")
        self.assertEqual(self.good("ept protect 56M 4K r")["pages_protected"], "1")
        self.assertEqual(self.good("info ept 56M")["rights"], "r--")
        self.good("ept protect 56M 4K rwx")
        self.good("ept split 0 64M 2M")
        self.good("ept split 0 64M")
        self.good("ept collapse 0 64M")

    def test_5_changes_of_the_migration(self):
        for name in ("never", "end", "budget", "hot", "idle", "density", "complete"):
            self.good(f"policy {name}")
            self.assertEqual(self.good("info migration")["policy"], name)
        self.good("source cut")
        self.assertEqual(self.good("info migration")["source"], "cut off")
        self.good("source restore")
        self.good("pause")
        self.refused("pause", "it stands still already")
        before = self.good("info stats")
        self.good("ept split 4M 2M")  # while they stand still
        time.sleep(0.3)
        self.assertEqual(self.good("info stats")["pager_asked"], before["pager_asked"])
        self.good("resume")

    def test_6_two_clients_and_one_that_is_killed(self):
        other = client.Line(self.out, True)
        self.assertTrue(json.loads(other.ask("info vm")[-1])["ok"])
        self.assertFalse(json.loads(other.ask('wrong "\\')[-1])["ok"])
        self.assertEqual(self.good("info vm")["run"], "run")
        other.socket.sendall(b"info stats\n" * 5)
        other.socket.close()
        self.good("info cpus")

    def test_6_every_key_of_the_documents_is_known_to_the_monitor(self):
        knobs = self.good("info knobs")
        self.assertEqual(sorted(knobs), sorted(tap.documented_keys()))
        self.assertEqual((knobs["region"], knobs["stream"], knobs["monitor"]), ("64M", "1", "1"))
        for key in knobs:
            self.assertEqual(self.good(f"help {key}")["default"], tap.documented_keys()[key])

    def test_7_the_run_goes_on_to_an_honest_end(self):
        self.good("stream unlimited")
        self.assertEqual(self.child.wait(200), 0, self.said())
        run = self.report()
        self.assertEqual((run["verdict"], run["lost"]), ("pass", 1))
        self.assertEqual(sorted([*run["config"], *run["machine_config"]]), sorted(tap.documented_keys()))
        self.assertGreaterEqual(run["monitor_changes"], 12)
        self.assertIn("changed by the monitor: ", self.said())

    def test_8_the_report_says_what_determines_the_run(self):
        document, run = self.document(), self.report()
        self.assertEqual(document["commit"], report.commit())
        self.assertEqual((document["machine"], document["cpus"], run["cpus"]), ("QEMU without KVM", 2, 2))
        self.assertRegex(document["emulator"], r"^QEMU emulator version \d+\.\d+")
        self.assertEqual(document["time"], "the host's time")
        self.assertEqual(set(document["units"]), {"_us", "_cycles", "seconds"})
        self.assertGreater(run["tsc_khz"], 0)
        self.assertIn("monitor=1", document["load_options"])
        self.assertEqual((run["config"]["seed"], run["config"]["region"], run["config"]["stream"]),
                         (1, "64M", "1"))
        self.assertEqual((run["machine_config"]["monitor"], run["machine_config"]["trace"]), (1, "last"))

    def test_8_the_feed_was_whole(self):
        with open(os.path.join(self.out, "serial.log"), encoding="utf-8", errors="replace") as file:
            lines = [text for text in file.read().splitlines() if "cleave-live" in text]
        self.assertGreater(len(lines), 5)
        for text in lines:
            said = json.loads(text.partition("cleave-live: ")[2])
            self.assertEqual((len(said["cells"]), len(said["lens_pages"])), (32, 128))
        self.assertIn("!", said["cells"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        BUILD = os.path.abspath(sys.argv[2])
        del sys.argv[1:3]
    tap.main(__name__)
