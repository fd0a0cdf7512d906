#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the guest Linux' tools: what tools/linux makes of files of one's own, and the self-check,
which runs here as it runs in the guest, without Cleave's port. Nothing is fetched."""
import json
import os
import re
import struct
import subprocess
import threading
import unittest

import tap

linux = tap.load("tools/linux")
import debian


def kernel(version=0x20f, loadflags=1, longest=2047):
    """As much of a bzImage as is looked at."""
    data = bytearray(0x400)
    data[0x1fe:0x200] = b"\x55\xaa"
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x206, version)
    struct.pack_into("<H", data, 0x236, loadflags)
    struct.pack_into("<I", data, 0x238, longest)
    return bytes(data)


class Make(tap.Sandbox):
    def setUp(self):
        super().setUp()
        self.binary("vmlinuz", kernel())
        self.binary("initrd", b"an initramfs")

    def binary(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def make(self, *options, **env):
        env = {"LINUX_KERNEL": self.path("vmlinuz"), "LINUX_INITRD": self.path("initrd"), **env}
        return self.run_tool("tools/linux", "--build", self.path("build"), *options, **env)

    def made(self, name):
        with open(self.path(f"build/linux/guests/{name}.bin"), "rb") as file:
            return file.read()

    def refused(self, words, *options, **env):
        done = self.make(*options, **env)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIn(words, done.stderr)
        self.assertFalse(os.path.exists(self.path("build/linux/guests/linux.bin")))

    def test_files_of_ones_own_are_taken_as_they_are(self):
        done = self.make("--mode", "shell", LINUX_APPEND="  quiet\n loglevel=3 ")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.made("linux"), kernel())
        self.assertEqual(self.made("linux-initrd"), b"an initramfs")
        self.assertEqual(self.made("linux-cmdline").decode(),
                         f"{linux.CMDLINE} cleave.mode=shell quiet loglevel=3")

    def test_what_is_not_a_bzimage_is_refused_with_the_remedy(self):
        for data, words in ((b"\x7fELF" + bytes(999), "is an ELF file"), (b"x", "is not a bzImage"),
                            (bytes(999), "is not a bzImage"),
                            (kernel(version=0x20a), "no 64-bit entry (boot protocol 2.10)"),
                            (kernel(loadflags=2), "has no 64-bit entry")):
            self.binary("vmlinuz", data)
            self.refused(words)
            self.refused("give the bzImage of an x86-64 Linux")

    def test_files_that_are_not_there_are_named_with_the_remedy(self):
        self.refused("/nowhere: no such file; name the kernel with LINUX_KERNEL=",
                     LINUX_KERNEL="/nowhere")
        self.refused("/nowhere: no such file; name the initramfs with LINUX_INITRD=",
                     LINUX_INITRD="/nowhere")

    def test_a_command_line_that_the_kernel_cannot_take_is_refused(self):
        self.refused("make LINUX_APPEND= (--append) shorter", LINUX_APPEND="x" * 2000)
        self.refused("only printable ASCII", LINUX_APPEND="caf\u00e9")

    def test_an_unknown_flavour_is_refused(self):
        self.refused("must be cloud-amd64 or amd64", LINUX_FLAVOUR="arm64")

    def test_a_place_that_cannot_be_written_is_named(self):
        self.write("build", "in the way")
        done = self.make()
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)

    def test_without_a_network_the_line_that_failed_is_named(self):
        apt = self.write("bin/apt-get", "#!/bin/sh\necho 'E: no such host'\nexit 100\n", 0o755)
        self.write("bin/apt-cache", "#!/bin/sh\necho 'Depends: linux-image-6.1.0-1-cloud-amd64'\n",
                   0o755)
        done = self.make(LINUX_KERNEL="", PATH=f"{os.path.dirname(apt)}:{os.environ['PATH']}")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.splitlines()[-1],
                         r"cannot fetch .*: E: no such host; the line was: apt-get .* download "
                         r"linux-image-6.1.0-1-cloud-amd64; APT must reach Debian's archive")
        self.assertFalse(os.path.exists(self.path("build/linux/packages/cloud-amd64")))

    def test_two_at_once_leave_whole_files(self):
        self.binary("vmlinuz", kernel() + bytes(1 << 20))
        threads = [threading.Thread(target=self.make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.made("linux")), len(kernel()) + (1 << 20))
        self.assertEqual(sorted(os.listdir(self.path("build/linux/guests"))),
                         ["linux-cmdline.bin", "linux-initrd.bin", "linux.bin"])

    def test_backports_are_asked_for_beside_the_release(self):
        lines = debian.archives(True).splitlines()
        self.assertRegex(lines[-1], r"^deb \[.*\] \S+ \w+-backports main$")
        self.assertGreater(len(lines), 1)


class Targets(unittest.TestCase):
    def test_what_cannot_be_migrated_is_named_with_the_remedy(self):
        words = {
            "GUEST=seq": 'GUEST=seq: it must be GUEST=linux, or none; a payload is named by SET="guest=NAME"',
            "TO=nowhere": "TO=nowhere: it must be TO=other or TO=self",
            "TO=self": "TO=self: it needs GUEST=linux; payloads are migrated within one machine by make run",
            "MODE=shell": "MODE=shell: a terminal stays where it is: it needs TO=self",
        }
        for word, answer in words.items():
            done = subprocess.run(["make", "-s", "migrate", word], cwd=tap.ROOT,
                                  text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"make migrate {answer}", done.stdout)


class SelfCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run(["make", "-s", "build/linux/check"], cwd=tap.ROOT, check=True)
        cls.program = os.path.join(tap.ROOT, "build", "linux", "check")

    def check(self, *options):
        done = subprocess.run([self.program, "--memory", "8", "--seconds", "1", *options], text=True,
                              timeout=120, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def test_a_sound_machine_passes_and_vouches_for_each_page(self):
        status, text = self.check()
        self.assertEqual(status, 0, text)
        figures = json.loads(re.search(r"^selfcheck: (\{.*\})$", text, re.MULTILINE).group(1))
        self.assertEqual((figures["verdict"], figures["vouched"]), ("PASS", 2048))
        for name in ("pages", "sums", "forks", "execs", "faults", "signals", "states", "sleeps",
                     "clocks", "given"):
            self.assertGreater(figures[name], 0, name)

    def test_each_planted_fault_turns_it_red_by_the_count_that_is_for_it(self):
        for plant, count in (("page", "pages"), ("lost", "pages"), ("sum", "sums"),
                             ("fork", "processes"), ("exec", "processes"), ("signal", "signals"),
                             ("state", "states"), ("sleep", "sleeps"), ("tsc", "clocks"),
                             ("clock", "clocks"), ("rate", "clocks"), ("given", "given")):
            status, text = self.check("--plant", plant)
            self.assertEqual(status, 1, f"{plant}: {text}")
            wrong = dict(re.findall(r'"(wrong_\w+)": (\d+)', text))
            self.assertNotEqual(wrong.pop(f"wrong_{count}"), "0", plant)
            self.assertEqual(set(wrong.values()), {"0"}, plant)
            self.assertIn("selfcheck: WRONG: ", text)

    def test_a_wrong_option_is_refused(self):
        for options in (("--plant", "nothing"), ("--nonsense",)):
            self.assertEqual(self.check(*options)[0], 2)


if __name__ == "__main__":
    tap.main(__name__)
