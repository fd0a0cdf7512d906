#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tools/profile: its parts, and one short case in QEMU, where that is.

The case also holds what an arrival on SVM must not execute: to a hypervisor below, each of VMLOAD, VMSAVE, CLGI
and STGI is an exit, and they are in svm_come_in() and svm_leave() only.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from typing import NamedTuple

import tap
sys.path.insert(0, os.path.join(tap.ROOT, "tools"))
from profiling import paths, picture

PROFILE = os.path.join(tap.ROOT, "tools", "profile")
BUILD = os.path.abspath(os.environ.get("CLEAVE_BUILD", os.path.join(tap.ROOT, "build")))
MISSING = [name for name in ("qemu-system-x86_64", "mcopy", "nm", "objdump") if not shutil.which(name)]
SECONDS = 300
EXITS_BELOW = ("vmload", "vmsave", "clgi", "stgi")
BASE = 0x7e000000
ROOT_FLAGS, GUEST_FLAGS = 0x40c2b3, 0x60c2b3


class Fake(NamedTuple):
    """Symbols of an image with two functions."""
    starts: tuple = (0x1000, 0x2000)

    def function(self, offset):
        return "first" if 0x1000 <= offset < 0x2000 else "second" if 0x2000 <= offset < 0x3000 else "elsewhere"


def line(address, flags=ROOT_FLAGS):
    return b"Trace 0: 0x7f1234567890 [%016x/%016x/%08x/ff000201] \n" % (0, address, flags)


def executed(*where):
    """`where`: offsets in the image; None: an instruction of the guest's, at an address of the image's."""
    lines = [line(BASE + 0x1000, GUEST_FLAGS) if at is None else line(BASE + at) for at in where]
    return paths.instructions([b"something else\n", *lines], Fake(), BASE)


class Paths(unittest.TestCase):
    def test_a_stretch_goes_from_guest_to_guest(self):
        found = list(paths.stretches(executed(0x1000, None, 0x1001, 0x1002, 0x2001, 0x1003, None, None, 0x2000)))
        self.assertEqual(found, [paths.Stretch((("first", 2), ("second", 1), ("first", 1)))])
        self.assertEqual(found[0].count, 4)
        self.assertEqual(found[0].by_function(), {"first": 3, "second": 1})

    def test_a_stretch_goes_from_call_to_call(self):
        where = (0x2001, 0x1000, 0x2000, 0x1001, 0x1000, 0x1001)
        self.assertEqual(list(paths.stretches(executed(*where), ("first",))),
                         [paths.Stretch((("first", 1), ("second", 1), ("first", 1)))])
        self.assertEqual(len(list(paths.stretches(executed(*where), ("first",), cut=True))), 2)

    def test_what_follows_a_sleep_belongs_to_nobody(self):
        found = list(paths.stretches(executed(None, 0x1000, 0x2000, 0x1000, None), last="second"))
        self.assertEqual(found, [paths.Stretch((("first", 1),))])

    def test_kinds_are_told_by_what_is_called(self):
        found = paths.stretches(executed(None, 0x1000, None, 0x1000, 0x2000, None, 0x1000, None))
        few, many = sorted(paths.kinds(found, (("second", "with"), ("first", "without"))),
                           key=lambda kind: len(kind.stretches))
        self.assertEqual((few.name, few.mean, many.name, many.mean), ("with", 2, "without", 1))
        self.assertEqual(many.usual(), (paths.Stretch((("first", 1),)), 2))

    def test_all_of_a_log_is_told_for_each_call(self):
        where = (0x1000, 0x2000, 0x2001, 0x1001, 0x2000, 0x1000, 0x2002, 0x1002, 0x1000)
        found = paths.stretches(executed(*where), ("first",))
        self.assertEqual(paths.for_each(found, "second"), ({"first": 4, "second": 4}, 3))

    def test_the_picture_has_each_part_with_its_count(self):
        found = paths.stretches(executed(None, *[0x1000] * 30, *[0x2000] * 12, None))
        drawn = picture.svg("a<b", paths.kinds(found, ()))
        self.assertIn("<title>a&lt;b</title>", drawn)
        self.assertEqual(re.findall(r"<title>(first|second): (\d+)", drawn), [("first", "30"), ("second", "12")] * 2)


@unittest.skipIf(MISSING, f"{', '.join(MISSING)} not installed")
class InQemu(unittest.TestCase):
    def test_an_arrival(self):
        folder = os.path.join(BUILD, "profile", "test")
        done = subprocess.run([sys.executable, PROFILE, "--build", BUILD, "--out", folder, "--megabytes", "8",
                               "arrival"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=SECONDS)
        self.assertEqual(done.returncode, 0, done.stdout)
        with open(os.path.join(folder, "profile.json"), encoding="utf-8") as file:
            arrival = json.load(file)[0]
        self.assertEqual(arrival["kind"], "a page that arrives")
        self.assertGreater(arrival["seen"], 50)
        path = [name for name, _ in arrival["in_order"]]
        self.assertEqual((path[0], path[-1]), ("svm_enter", "svm_enter"))
        for name in ("svm_run", "pager_fault", "ept_arrive_in_place"):
            self.assertIn(name, path)
        for name in holders(os.path.join(BUILD, "cleave-test.so"), EXITS_BELOW):
            self.assertNotIn(name, path, "an arrival would exit to a hypervisor below")
        for name in ("table.txt", "profile.svg"):
            self.assertGreater(os.path.getsize(os.path.join(folder, name)), 100)


def holders(image, mnemonics):
    """The functions that have such an instruction; there must be some for each."""
    done = subprocess.run(["objdump", "-d", "--no-show-raw-insn", image], text=True, check=True,
                          stdout=subprocess.PIPE)
    found, name = {}, ""
    for text in done.stdout.splitlines():
        if begins := re.match(r"[0-9a-f]+ <(\w+)", text):
            name = begins[1]
        elif (words := text.split()) and len(words) > 1 and words[1] in mnemonics:
            found.setdefault(words[1], set()).add(name)
    assert set(found) == set(mnemonics), found
    return set().union(*found.values()) - {"svm_enable"}


if __name__ == "__main__":
    tap.main(__name__)
