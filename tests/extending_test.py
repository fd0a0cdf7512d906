#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples of docs/extending.md: they are applied to a copy of the tree, which is built, checked
and booted with them.

A block ```c FILE is a new file. A block ```diff FILE changes one: its lines without "+" are there,
once and in a row, and become its lines without "-".
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

import tap

DOCUMENT = os.path.join(tap.ROOT, "docs", "extending.md")
BLOCK = re.compile(r"^```(c|diff) (\S+)\n(.*?)^```$", re.M | re.S)
SECONDS = 120
CONFIG = """region=32M
work=8M
vcpus=2
[stripe-half-middle]
guest=stripe
collapse=half
order=middle
[stamp]
job=stamp
"""


class Misfit(Exception):
    pass


def blocks(text):
    """(kind, file, lines) of each."""
    return [(match[1], match[2], match[3].splitlines(keepends=True))
            for match in BLOCK.finditer(text)]


def changed(text, lines):
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    if text.count(before) != 1:
        raise Misfit(f"these lines are there {text.count(before)} times:\n{before}")
    return text.replace(before, after)


def apply(root, kind, name, lines):
    path = os.path.join(root, name)
    if kind == "c":
        with open(path, "x", encoding="utf-8") as file:
            file.writelines(lines)
        return
    with open(path, encoding="utf-8") as file:
        text = changed(file.read(), lines)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def copy_tree(to):
    """What make needs, without what it made."""
    def left_out(folder, names):
        return [name for name in names if name.startswith(".git") or name == "__pycache__" or
                (name == "build" and folder == tap.ROOT)]
    shutil.copytree(tap.ROOT, to, ignore=left_out)
    for name in ("bearssl", "lz4"):  # not made, and not to be fetched once more
        fetched = os.path.join("build", name)
        shutil.copytree(os.path.join(tap.ROOT, fetched), os.path.join(to, fetched))


class Edits(tap.Sandbox):
    def test_an_example_that_fits_nowhere_or_twice_is_a_failure(self):
        self.assertEqual(changed("a\nb\nc\n", [" a\n", "-b\n", "+d\n", " c\n"]), "a\nd\nc\n")
        for lines in (["-x\n"], [" a\n", "-c\n"]):
            with self.assertRaises(Misfit):
                changed("a\nb\nc\n", lines)
        with self.assertRaises(Misfit):
            changed("a\na\n", ["-a\n"])


class Extending(tap.Sandbox):
    def tool(self, *argv):
        done = subprocess.run(argv, cwd=self.path("tree"), text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])

    def boot(self):
        build = self.path("tree/build")
        done = subprocess.run(
            [sys.executable, self.path("tree/tools/launch"), "--machine", "qemu", "--cpus", "2",
             "--timeout", str(SECONDS), "--efi", os.path.join(build, "cleave.efi"),
             "--config", self.write("cleave.cfg", CONFIG), "--out", self.path("run"),
             *glob.glob(os.path.join(build, "guest", "*.bin"))],
            text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        return done.stdout

    def test_the_examples_build_are_within_the_rules_and_run(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            examples = blocks(file.read())
        self.assertEqual(len(examples), 9)
        copy_tree(self.path("tree"))
        for kind, name, lines in examples:
            with self.subTest(name):
                apply(self.path("tree"), kind, name, lines)
        self.tool("make", "-s", "-j2", "all")
        self.tool("make", "-s", "check-reach")
        self.tool("tools/check-layers")
        self.tool("clang-format", "--dry-run", "-Werror", *{name for _, name, _ in examples})
        if not shutil.which("qemu-system-x86_64"):
            raise unittest.SkipTest("they build; qemu-system-x86_64 is missing")
        said = self.boot()
        for line in ("cleave: case stripe-half-middle: pass", "cleave: verdict PASS",
                     "cleave: 8192 pages arrived: leaves 4K 0, 2M 16, 1G 0",
                     "cleave: case stamp: pass"):
            self.assertIn(f"{line}\n", said)


if __name__ == "__main__":
    tap.main(__name__)
