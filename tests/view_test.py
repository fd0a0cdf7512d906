#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the live view: its picture (tools/view.py) without a terminal; the launcher's view on one,
with a fake emulator; and the demonstration's last words."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

import launch_test
import tap
from launch_test import alive, wait_until

demo = tap.load("tools/demo")
view = demo.view
PLAIN = view.Style()
ASCII = view.Style(unicode=False)


def line(**more):
    """A line of the feed: 1 GiB, nothing here, one vCPU that runs."""
    return {"us": 1000000, "run": "run", "phase": "arriving", "pages": 262144, "work": 2048,
            "work_pages": 12288, "leaves": [0, 0, 0], "tables": 2, "splits": 0, "collapses": 0,
            "poisoned": 0, "discarded": 0, "rate": 4, "cut": 0, "settled": 0, "changes": 0,
            "vcpus": [["running", 0, 0, 0, 0, 0]], "lens": 0, "lens_pages": "0" * 128,
            "cells": "." * 512, **more}


def state(*lines):
    s = view.State()
    for each in lines or (line(),):
        s.update(each)
    return s


class Picture(unittest.TestCase):
    def test_the_whole_screen_of_a_migration_under_way(self):
        # 8 ranges of 2 MiB, more and more of them filled; a vCPU waits.
        cells = "#@!" + "AIRaj6/" + "." * 502
        s = state(line(us=1000000, cells=cells, leaves=[1000, 1, 0]),
                  line(us=2000000, cells=cells, leaves=[1500, 1, 0], splits=3, collapses=1,
                       tables=9, changes=2, poisoned=1, lens=0x600, lens_pages="ff" * 32 + "80" +
                       "00" * 31,
                       vcpus=[["waits", 0x2f413, 180, 5, 7, 9]]))
        s.message = "ept poison 0x1000 4K: ok"
        self.assertEqual(view.render(s, 80, 24, PLAIN), [
            "Cleave  run: arriving  2.0 s  2,012 of 262,144 pages, 0%  changed: 2",
            "",
            "██✗·▁▂▃▄▇▇" + "·" * 54 + "  4K    1,500",
            "·" * 64 + "  2M        1",
            "·" * 64 + "  1G        0",
            "·" * 64 + "  tables    9",
            "·" * 64,
            "·" * 64 + "  lost      1",
            "·" * 64 + "  given up  0",
            "·" * 64,
            "· absent   ▁▇ in 4 KiB pages   █ 2 MiB leaf   █ 1 GiB leaf   ✗ lost",
            "",
            "⣿" * 32 + "⠁" + "⠀" * 31,
            "lens: 2 MiB at 0x600000, 257 of 512 pages are here",
            "",
            "vcpu 0 ⏸ waits for page 0x2f413, 180 us       61,440 steps/s █",
            "500 pages/s   7 faults/s   3 splits/s   1 collapses/s   stream 4 pages/ms",
            "",
            "ept poison 0x1000 4K: ok",
            "space pause l slow p poison d discard s split k collapse c cut r mend q quit ?",
        ])

    def test_all_in_one_leaf_is_one_bar(self):
        lines = view.render(state(line(cells="@" * 512, leaves=[0, 0, 1])), 80, 24, PLAIN)
        self.assertEqual([row[:64] for row in lines[2:10]], ["█" * 64] * 3 + [
            "█████████ one leaf of 1 GiB: 262,144 pages, one entry ██████████"] + ["█" * 64] * 4)

    def test_without_utf8_everything_is_ascii(self):
        lines = view.render(state(line(cells="#@!/A" + "." * 507, lens_pages="f0" * 64)), 80, 24, ASCII)
        self.assertTrue(all(row.isascii() for row in lines), lines)
        self.assertEqual(lines[2][:6], "#@!X..")
        self.assertIn("=" * 64, lines)

    def test_colours_differ_by_size_and_are_ended(self):
        style = view.Style(colours=view.COLOURS_256)
        row = view.render(state(line(cells="#@!B" + "." * 508)), 80, 24, style)[2]
        codes = re.findall(r"\x1b\[([\d;]+)m[^\x1b]", row)
        self.assertEqual(len(set(codes[:5])), 5, row)
        for each in view.render(state(), 80, 24, style):
            self.assertEqual(each.count("\x1b"), 2 * each.count("\x1b[0m"))

    def test_no_line_is_wider_or_more_than_the_screen(self):
        s = state(line(vcpus=[["waits", 1, 2, 3, 4, 5]] * 4))
        s.message = "word " * 60
        for width in (34, 40, 64, 70, 80, 200):
            for height in (5, 10, 16, 24, 60):
                lines = view.render(s, width, height, PLAIN)
                self.assertLessEqual(len(lines), height, (width, height))
                self.assertLessEqual(max(map(len, lines)), width, (width, height))

    def test_a_low_screen_keeps_title_and_vcpus(self):
        lines = view.render(state(), 80, 6, PLAIN)
        self.assertTrue(lines[0].startswith("Cleave  run"))
        self.assertTrue(any(row.startswith("vcpu 0") for row in lines))

    def test_a_region_of_few_ranges_and_of_many(self):
        small = view.render(state(line(pages=2048, cells="#.AB")), 80, 24, PLAIN)
        self.assertEqual(small[2].split("  ")[0], "█··▁")
        large = view.render(state(line(pages=4 * 262144, leaves=[0, 0, 4], cells="@" * 512)), 80, 24,
                            PLAIN)
        self.assertIn(" 4 leaves of 1 GiB ", large[5])

    def test_broken_lines_change_nothing(self):
        s = state()
        before = view.render(s, 80, 24, PLAIN)
        for bad in ({}, line(cells=5), line(leaves="x"), line(lens_pages="xy"), [], None, 3,
                    line(vcpus=[[]]), {**line(), "us": "now"}):
            with self.assertRaises((KeyError, TypeError, ValueError, IndexError)):
                s.update(bad)
            self.assertEqual(view.render(s, 80, 24, PLAIN), before, bad)

    def test_another_run_begins_anew_and_keeps_the_curve_of_the_one_before(self):
        s = state(line(us=1000000), line(us=2000000, vcpus=[["running", 0, 0, 9, 0, 0]]),
                  line(us=5, run="next"))
        self.assertEqual(s.rates, {})
        self.assertTrue(any(row.startswith("before: run") for row in view.render(s, 80, 24, PLAIN)))

    def test_help_is_a_screen(self):
        s = state()
        s.help = True
        lines = view.render(s, 80, 24, PLAIN)
        self.assertEqual(lines[-1], "any key: back")
        self.assertLessEqual(max(map(len, lines)), 80)


class Keys(unittest.TestCase):
    def test_each_key_is_a_command(self):
        s = state()
        for key, command in ((" ", "stream pause"), ("l", "stream 1"), ("s", "ept split 0 1048576K"),
                             ("k", "ept collapse 0 1048576K"), ("c", "source cut"),
                             ("r", "source restore"), ("q", "quit"), ("x", None)):
            self.assertEqual(view.command(key, s, 0), command)
        self.assertEqual(view.command(" ", state(line(rate=0)), 0), "stream go")

    def test_slower_goes_round(self):
        rates = [-1]
        for _ in range(5):
            rates.append(view.slower(rates[-1]))
        self.assertEqual(rates, [-1, 64, 16, 4, 1, -1])

    def test_pages_to_break_are_used_or_unused_as_the_key_says(self):
        s, all_of_it = state(), line(work=2048, work_pages=260096)
        for n in range(100):
            unused = int(view.command("p", s, n).split()[2], 16) >> 12
            used = int(view.command("D", s, n).split()[2], 16) >> 12
            self.assertTrue(2048 + 12288 <= unused < 262144 and 2048 <= used < 2048 + 12288)
        self.assertIsNone(view.command("p", state(all_of_it), 0))


class Demo(unittest.TestCase):
    def test_curves_are_on_one_scale_and_the_longest_standstill_is_a_figure(self):
        def run(name, passes, moved=10):
            return [line(us=i * 100000, run=name, phase="source" if i < moved else "arriving",
                         vcpus=[["running", 0, 0, n, 0, 0]]) for i, n in enumerate(passes)]
        still = list(range(0, 20, 2)) + [20] * 20
        runs = {"whole": run("whole", still), "pages": run("pages", range(0, 60, 2))}
        said = demo.summary(runs, [{"name": "whole", "longest_wait_us": 3640000, "downtime_us": 5},
                                   {"name": "pages", "longest_wait_us": 600, "downtime_us": 700}],
                            view.UNICODE)
        curves = [row[19:] for row in said if row.startswith(("  1 GiB", "  4 KiB"))][:2]
        self.assertEqual(curves[0].lstrip(), "█" * 9 + "▁" * 18)
        self.assertEqual(set(curves[1].strip()), {"█"})
        self.assertEqual([row.split()[-2:] for row in said if row.endswith(" ms")],
                         [["3,640", "ms"], ["0.7", "ms"]])

    def two_runs(self):
        """One stands still for a second and then has all; the other goes on, and fills."""
        def lines(name, waits, letter):
            return [line(us=i * 100000, run=name, phase="source" if i < 10 else "arriving",
                         vcpus=[["waits", 5, (i - 9) * 100000, 10, 0, 0] if waits(i) else
                                ["running", 0, 0, i, 0, 0]],
                         cells=letter(i) * 512, leaves=[0, 512 * (i > 20), 0]) for i in range(31)]
        return {"whole": lines("whole", lambda i: 10 <= i <= 20, lambda i: "#" if i > 20 else "."),
                "pages": lines("pages", lambda i: False, lambda i: "#" if i > 20 else "f")}

    def side_by_side(self, us, width=80, height=24):
        runs = self.two_runs()
        both = [demo.sidebyside.Run(runs["whole"], "1 GiB at once", "1,000 ms"),
                demo.sidebyside.Run(runs["pages"], "4 KiB at a time", "0.7 ms")]
        return demo.sidebyside.render(both, us, width, height, view.Style())

    def test_both_runs_are_on_one_screen_at_the_same_time(self):
        rows = self.side_by_side(500000)
        self.assertLessEqual(len(rows), 24)
        self.assertLessEqual(max(map(len, rows)), 80)
        self.assertIn("+0.5 s from the move", rows[0])
        self.assertIn("1 GiB at once", rows[1])
        self.assertIn("4 KiB at a time", rows[1])
        wall = rows[2:18]
        self.assertEqual({row[:32] for row in wall}, {"·" * 32})
        self.assertEqual(len({row for row in wall}), 1)
        self.assertIn("▄" * 32, wall[0])
        text = "\n".join(rows)
        self.assertIn("stands still: 600 ms", text)
        self.assertIn("the guest runs", text)
        self.assertRegex(text, r"\b0 steps/s.*122,880 steps/s")
        self.assertNotIn("at most", text)

    def test_the_replay_ends_with_two_figures(self):
        rows = self.side_by_side(2000000)
        self.assertRegex(rows[-1], "stood still at most 1,000 ms.*stood still at most 0.7 ms")
        self.assertEqual(len(rows), 23)

    def test_the_replay_fits_small_screens(self):
        for width, height in ((80, 24), (80, 12), (40, 10), (200, 60), (34, 10)):
            for us in (-1000000, 0, 500000, 2000000):
                rows = self.side_by_side(us, width, height)
                self.assertLessEqual(len(rows), height)
                self.assertLessEqual(max(map(len, rows)), width)

    def test_a_feed_with_broken_lines_is_read(self):
        log = "cleave-live: " + json.dumps(line()) + "\ncleave-live: {\"us\"\nother\n"
        self.assertEqual([len(lines) for lines in demo.feed(log).values()], [1])


FEED = "cleave-live: " + json.dumps(line(cells="#" * 512, leaves=[0, 512, 0]))
PORT = """\
import os, re, select, socket, sys, time
if os.path.exists("bochsrc"):
    name = re.search(r"com4: enabled=1, mode=term, dev=(\\S+)", open("bochsrc").read()).group(1)
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
else:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect("monitor-port.sock")
    fd = connection.fileno()
def say(line):
    with open("serial.log", "a") as log:
        log.write(line + "\\n")
say("cleave: here")
say(open("../../../feed").read())
os.write(fd, b"firmware cleave: monitor\\r\\n")
asjson, rest = False, b""
while data := os.read(fd, 100):  # nothing: the launcher is gone
    rest += data
    *lines, rest = rest.split(b"\\n")
    for command in lines:
        command = command.decode()
        with open("commands", "a") as log:
            log.write(command + "\\n")
        if command.startswith("json "):
            asjson = command == "json on"
        good = "bad" not in command
        if asjson:
            os.write(fd, ('{"answer":{"n":1},"ok":%s,"error":"no"}\\n' % str(good).lower()).encode())
        else:
            os.write(fd, b"n: 1\\nok\\n" if good else b"error: no\\n")
        if command == "quit":
            say("cleave: the report")
            say("cleave: verdict FAIL")
            sys.exit()
"""


class Machine(launch_test.Sandbox):
    def setUp(self):
        super().setUp()
        self.write("feed", FEED)
        self.talk = self.write("talk.py", PORT)

    def fake(self, status):
        return f"python3 '{self.talk}'; exit {status}"

    def commands(self):
        try:
            return self.read_latest("commands").splitlines()
        except OSError:
            return []


class Terminal(Machine):
    """The launcher on a terminal of its own."""

    def setUp(self):
        super().setUp()
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.slave)
        self.said = self.all = b""

    def resize(self, lines, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def begin(self, *options, machine="qemu", **environment):
        env = {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment}
        self.child = subprocess.Popen(
            self.argv("--machine", machine, "--view", "auto", *options), start_new_session=True,
            env=self.environment(self.fake(35 if machine == "qemu" else 1), **env),
            stdin=self.slave, stdout=self.slave, stderr=self.slave)
        self.addCleanup(self.child.wait)
        self.addCleanup(self.child.kill)

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        data = os.read(self.master, 65536)
        self.said += data
        self.all += data
        return True

    def until(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.said:
            self.assertLess(time.monotonic(), end, self.said)
            self.read(0.2)

    def key(self, key):
        os.write(self.master, key)

    def ended(self, status):
        self.until(b", log kept in" if status > 2 else b"machine: verdict")
        self.assertEqual(self.child.wait(20), status, self.said)
        while self.read(0):
            pass
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.assertEqual(self.all.count(b"\x1b[?1049h"), self.all.count(b"\x1b[?1049l"))
        self.assertTrue(wait_until(lambda: not alive(self.emulator())))

    def test_the_wall_is_shown_and_the_report_is_left(self):
        for machine in ("qemu", "bochs"):
            self.said = b""
            self.begin(machine=machine)
            self.until("█".encode() * 64)
            self.assertTrue(wait_until(lambda: not termios.tcgetattr(self.slave)[3] & termios.ICANON))
            self.key(b"c")
            self.until(b"source cut: n 1")
            self.key(b"q")
            self.ended(1)
            after = self.said.rpartition(b"\x1b[?1049l")[2]
            self.assertIn(b"cleave: the report\r\ncleave: verdict FAIL", after)
            self.assertEqual(self.commands(), ["json on", "source cut", "quit"])
            self.assertIn("live=1", self.read_latest("cleave.opt").split())
            self.assertIn("monitor=1", self.read_latest("cleave.opt").split())

    def test_a_signal_and_a_second_q_restore_the_terminal(self):
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.said = b""
            self.begin()
            self.until(b"arriving")
            self.child.send_signal(signum)
            self.ended(128 + signum)
        self.said = b""
        self.begin()
        self.until(b"arriving")
        self.key(b"qq")
        self.ended(130)

    def test_an_emulator_that_dies_restores_the_terminal(self):
        self.begin()
        self.until(b"arriving")
        self.assertTrue(wait_until(self.emulator))
        os.kill(self.emulator(), signal.SIGKILL)
        self.until(b"without a verdict")
        self.assertEqual(self.child.wait(20), 3)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_it_follows_the_size_of_the_terminal(self):
        self.begin()
        self.until("█".encode() * 64)
        self.said = b""
        self.resize(24, 50)
        self.until("█".encode() * 32 + b"\x1b")
        self.assertNotIn("█".encode() * 33, self.said)
        self.key(b"q")
        self.until(b"\x1b[?1049l")

    def test_help_comes_and_goes_and_arrows_mean_nothing(self):
        self.begin()
        self.until(b"arriving")
        self.key(b"?")
        self.until(b"any key: back")
        self.said = b""
        self.key(b"x")
        self.until(b"lens: ")
        self.key(b"\x1b[A")
        time.sleep(0.3)
        self.key(b"q")
        self.ended(1)
        self.assertEqual(self.commands(), ["json on", "quit"])

    def test_without_colour_and_without_utf8(self):
        self.begin(NO_COLOR="1", PYTHONIOENCODING="ascii")
        self.until(b"#" * 64)
        self.assertNotRegex(self.said, rb"\x1b\[[\d;]*m")
        self.key(b"q")
        self.ended(1)

    def test_plain_where_it_is_asked_for_or_the_terminal_cannot(self):
        for options, more in ((("--view", "plain"), {}), ((), {"TERM": "dumb"})):
            self.said = b""
            self.child = subprocess.Popen(
                self.argv("--machine", "bochs", "--view", "auto", *options), start_new_session=True,
                env=self.environment(f"say '{FEED}' 'cleave: verdict PASS'",
                                     **{"TERM": "xterm", **more}),
                stdin=self.slave, stdout=self.slave, stderr=self.slave)
            self.until(b"machine: verdict PASS")
            self.assertEqual(self.child.wait(20), 0)
            self.assertNotIn(b"\x1b", self.said)
            self.assertNotIn(b"cleave-live", self.said)
            self.assertNotIn("com4", self.read_latest("bochsrc"))


if __name__ == "__main__":
    tap.main(__name__)
