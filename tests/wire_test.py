#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/wire: forwards frames, breaks them as it is told, and counts what it did; and what tools/pair
refuses before it boots anything. Prints TAP."""
import json
import os
import socket
import subprocess
import time

import tap

FRAMES = 400
SECONDS = 10  # for what should come at once


class Ends(tap.Sandbox):
    """A wire between two folders, and a socket at each end."""

    def setUp(self):
        super().setUp()
        os.chdir(self.top)
        self.ends = []
        for name in ("a", "b"):
            os.mkdir(name)
            end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            end.bind(f"{name}/link.sock")
            end.settimeout(SECONDS)
            self.ends.append(end)
            self.addCleanup(end.close)
        self.process = None

    def wire(self, *args, ends=("unix:a", "unix:b")):
        self.process = subprocess.Popen([os.path.join(tap.ROOT, "tools", "wire"), *args, *ends], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)
        self.addCleanup(self.process.kill)
        self.assertEqual(self.process.stdout.readline(), "wire: ready\n")

    def say(self, line):
        self.process.stdin.write(line + "\n")
        return self.process.stdout.readline().strip()

    def send(self, frame, end=0):
        self.ends[end].sendto(frame, f"{'ab'[end]}/link.wire")

    def take(self, end=1):
        return self.ends[end].recv(65536)

    def pour(self, frames=FRAMES):
        """Numbered frames from the first end; those that came out at the second."""
        self.ends[1].settimeout(0.3)
        came = []
        for n in range(frames):
            self.send(n.to_bytes(4, "big") * 16)
            if n % 20 == 19:
                came += self.drain()
        return came + self.drain()

    def drain(self):
        came = []
        self.ends[1].settimeout(0.05)
        while True:
            try:
                came.append(self.take())
            except TimeoutError:
                return came

    def end(self):
        out, _ = self.process.communicate(timeout=SECONDS)
        return json.loads(out.splitlines()[-1])

    def test_frames_pass_both_ways_as_they_are(self):
        self.wire()
        self.send(b"there")
        self.assertEqual(self.take(), b"there")
        self.send(b"back", 1)
        self.assertEqual(self.take(0), b"back")
        counts = self.end()
        self.assertEqual((counts["from_first"]["came"], counts["from_second"]["went"]), (1, 1))

    def test_udp_ports_are_ends_too(self):
        peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        for peer in peers:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(SECONDS)
        ports = [peer.getsockname()[1] for peer in peers]
        for peer in peers[:2]:  # the wire's own
            peer.close()
        self.wire(ends=(f"udp:{ports[0]},{ports[2]}", f"udp:{ports[1]},{ports[3]}"))
        peers[2].sendto(b"there", ("127.0.0.1", ports[0]))
        self.assertEqual(peers[3].recv(100), b"there")
        for peer in peers[2:]:
            peer.close()

    def test_about_as_many_are_lost_as_it_was_told(self):
        self.wire("--set", "loss 25")
        came = len(self.pour())
        counts = self.end()["from_first"]
        self.assertEqual(counts["lost"] + came, FRAMES)
        self.assertTrue(0.15 < counts["lost"] / FRAMES < 0.35, counts)

    def test_the_same_seed_loses_the_same_frames(self):
        lost = []
        for seed in ("7", "7", "8"):
            self.wire("--set", "loss 25", "--seed", seed)
            lost.append(self.pour())
            self.end()
        self.assertEqual(lost[0], lost[1])
        self.assertNotEqual(lost[0], lost[2])

    def test_doubled_frames_come_twice(self):
        self.wire("--set", "duplicate 50")
        came = self.pour()
        counts = self.end()["from_first"]
        self.assertEqual(len(came), FRAMES + counts["duplicated"])
        self.assertEqual(len(set(came)), FRAMES)
        self.assertTrue(counts["duplicated"] > FRAMES / 3)

    def test_reordered_frames_come_behind_the_next(self):
        self.wire("--set", "reorder 20")
        came = self.pour()
        counts = self.end()["from_first"]
        behind = sum(after < before for before, after in zip(came, came[1:]))
        self.assertTrue(counts["reordered"] > FRAMES / 10)
        self.assertLessEqual(abs(behind - counts["reordered"]), 1)

    def test_corrupt_frames_are_as_long_and_truncated_ones_shorter(self):
        self.wire("--set", "corrupt 30")
        came = self.pour()
        wrong = sum(frame != n.to_bytes(4, "big") * 16 for n, frame in enumerate(came))
        self.assertEqual(wrong, self.end()["from_first"]["corrupted"])
        self.assertEqual({len(frame) for frame in came}, {64})
        self.wire("--set", "truncate 30")
        came = self.pour()
        self.assertEqual(sum(len(frame) < 64 for frame in came), self.end()["from_first"]["truncated"])

    def test_delayed_frames_come_late(self):
        self.wire("--set", "delay 200")
        begin = time.monotonic()
        self.send(b"late")
        self.take()
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_knobs_turn_while_it_runs(self):
        self.wire("--control", "control")
        self.assertEqual(self.say("cut"), "ok")
        self.send(b"lost")
        self.assertEqual(self.drain(), [])
        told = self.run_tool("tools/wire", "--tell", "control", "mend", "counts").stdout.splitlines()
        self.assertEqual(told[0], "ok")
        self.assertEqual(json.loads(told[1])["from_first"]["cut"], 1)
        self.send(b"found")
        self.assertEqual(self.drain(), [b"found"])

    def test_a_cut_mends_itself_after_its_seconds(self):
        self.wire()
        self.say("cut 0.3")
        self.send(b"lost")
        time.sleep(0.5)
        self.send(b"found")
        self.assertEqual(self.drain(), [b"found"])

    def test_nonsense_is_answered_by_what_there_is(self):
        self.wire()
        for line in ("loss", "loss 101", "loss x", "break everything", "delay -1"):
            self.assertIn("error: ", self.say(line))
        done = self.run_tool("tools/wire", "unix:nowhere", "udp:1")
        self.assertEqual(done.returncode, 2)
        self.assertIn("nowhere", done.stderr)

    def test_frames_for_nobody_are_counted(self):
        self.wire()
        self.ends[1].close()
        self.send(b"x")
        time.sleep(0.2)
        self.assertEqual(self.end()["from_first"]["nobody"], 1)


class Pair(tap.Sandbox):
    def refuses(self, words, *args, **env):
        done = self.run_tool("tools/pair", "--efi", "none", "--config", "none", "--out", self.path("run"), *args, **env)
        self.assertEqual(done.returncode, 2)
        self.assertIn(words, done.stderr)

    def test_makers_that_do_not_fit_are_named_with_the_remedy(self):
        self.refuses("MACHINE=qemu,bochs: a vCPU of SVM cannot go on under VMX; take two of a kind",
                     MACHINE="qemu,bochs")

    def test_machines_that_are_none_are_named(self):
        for name in ("vmware", "qemu,qemu,qemu", "qemu,"):
            self.refuses(f"MACHINE={name}: one of auto, kvm, qemu", MACHINE=name)

    def test_a_wire_that_makes_no_sense_is_refused(self):
        self.refuses("loss 200", "--machine", "qemu", "--wire", "delay 1; loss 200")

    def test_the_key_is_the_runs_own_and_nobody_elses_to_read(self):
        done = self.run_tool("tools/pair", "--machine", "qemu", "--efi", "none", "--config", "none", "--out",
                             self.path("run"))
        self.assertEqual(done.returncode, 2)
        key = self.path("run/link-key.bin")
        self.assertEqual((os.path.getsize(key), os.stat(key).st_mode & 0o777), (32, 0o600))


if __name__ == "__main__":
    tap.main("__main__")
