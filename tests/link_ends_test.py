#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The host's ends of the link: among themselves, and with the machine's ends, which are compiled for
the host (tests/host/link_end.c). Prints TAP.

usage: tests/link_ends_test.py [NAME...]; the C ends are in CLEAVE_BUILD's host/bin/link_end
"""
import json
import os
import random
import re
import socket
import subprocess
import threading
import time
from unittest import mock

import tap

server = tap.load("tools/page-server")
snapshot = tap.load("tools/snapshot")
from link import asker as asker_module, core, images, lz4, wire
from link.answerer import Answerer
from link.asker import Asker, Failed
from link.seal import ANSWERER, ASKER, Channel, Refused
from link.transport import Cable, Problem, Udp

END = os.path.abspath(os.path.join(os.environ.get("CLEAVE_BUILD", os.path.join(tap.ROOT, "build")),
                                   "host/bin/link_end"))
KEY = b"a key that both ends know"
OTHER = b"a key that only one knows"
FRAMES = 512
SECONDS = 60
FAULTS = ("lose=50", "duplicate=30", "corrupt=20")
SUITES = (({"key": KEY, "aes": 1}, "AES-128-GCM"), ({"key": KEY, "aes": 0}, "ChaCha20-Poly1305"), ({}, "none"))


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def memory(frames=FRAMES, seed=1, lost=True, text=0.0):
    """Contents, so many of which are text, zeros, and pages that the C end calls lost."""
    dice = random.Random(seed)
    parts = []
    while len(parts) < frames:
        kind, n = dice.random(), min(dice.randrange(1, 40), frames - len(parts))
        parts += [bytes(wire.PAGE) if kind < 0.4 else
                  b"lost".ljust(wire.PAGE, b"\0") if lost and kind < 0.45 else
                  dice.randbytes(64) * (wire.PAGE // 64) if kind > 1 - text else dice.randbytes(wire.PAGE)
                  for _ in range(n)]
    return b"".join(parts)


class Kept:
    """A sink that keeps all in memory."""

    def __init__(self, frames):
        self.pages, self.times = [None] * frames, 0

    def page(self, gfn, data):
        self.times += self.pages[gfn] is not None
        self.pages[gfn] = data

    def run(self, gfn, frames, what):
        data = bytes(wire.PAGE) if what == wire.ZEROS else b"lost".ljust(wire.PAGE, b"\0")
        for at in range(gfn, gfn + frames):
            self.page(at, data)

    def whole(self):
        return b"".join(self.pages)


class Ends(tap.Sandbox):
    def setUp(self):
        super().setUp()
        self.port, self.said, self.processes, self.answered = free_port(), [], [], ""
        self.write_bytes("key", KEY)
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def write_bytes(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def read_bytes(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def start(self, *argv):
        process = subprocess.Popen(argv, text=True, cwd=self.top, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def tool(self, name, *args):
        return self.start(os.path.join(tap.ROOT, "tools", name), *args)

    def wait(self, process):
        out, _ = process.communicate(timeout=SECONDS)
        return process.returncode, out

    def c_end(self, what, *args, key=KEY, aes=1):
        if not os.path.exists(END):
            self.skipTest(f"{END} is not there: make link-end")
        words = [f"key={key.decode()}", f"aes={aes}"] if key else []
        return self.start(END, what, f"port={self.port}", "memory=mem", "state=state", *words, *args)

    def offered(self, *args, seed=1, text=0.0, **key):
        """A machine's end that gives away a guest of this memory."""
        self.write_bytes("mem", memory(seed=seed, text=text))
        self.write_bytes("state", random.Random(seed).randbytes(3 * wire.PIECE + 77))
        return self.c_end("answer", *args, **({"key": b""} | key))

    def kept(self):
        image = images.open_image(self.path("guest.core"), self.said.append)
        self.addCleanup(image.close)
        return image

    def contents(self, image):
        kept, gfn = Kept(FRAMES), 0
        while gfn < FRAMES:
            extent = image.look(gfn)
            if extent.what == wire.DATA:
                kept.page(gfn, extent.data)
            else:
                kept.run(gfn, extent.frames, extent.what)
            gfn += extent.frames
        return kept.whole()

    def link_args(self, key=KEY):
        return ["--udp", f"127.0.0.1:{self.port}", *(("--key", "key") if key else ("--insecure",))]


class WithMachines(Ends):
    """The Python of one end is written from docs/protocol.md, the C of the other is the machine's."""

    def take(self, *faults, key=b"", aes=1, **more):
        answers = self.offered(*faults, key=key, aes=aes, **more)
        status, out = self.wait(self.tool("snapshot", "guest.core", *self.link_args(key)))
        ended, self.answered = self.wait(answers)
        self.assertEqual((status, ended), (0, 0), out)
        image = self.kept()
        self.assertEqual(image.state, self.read_bytes("state"))
        self.assertEqual(self.contents(image), self.read_bytes("mem"))
        return out

    def give(self, *faults, key=b"", aes=1, text=0.0):
        """To the C end, from a snapshot."""
        image = {"lost": [], "pages": memory(seed=2, text=text)}
        self.make_core(image["pages"], b"s" * 5000)
        serves = self.tool("page-server", "guest.core", "--once", *self.link_args(key))
        status, out = self.wait(self.c_end("ask", f"frames={FRAMES}", *faults, key=key, aes=aes))
        self.assertEqual(status, 0, out)
        self.assertEqual(self.wait(serves)[0], 0)
        self.assertEqual(self.read_bytes("state"), b"s" * 5000)
        self.assertEqual(self.read_bytes("mem"), image["pages"])
        return out

    def make_core(self, contents, state, identity=bytes(range(16))):
        offer = wire.Offer(vendor=wire.SVM, backing=2, vcpus=2, state_version=9, features=0xf, regions=((0, FRAMES),),
                           cpu=(1, 3, *[0] * (len(wire.CPU_WORDS) - 2)), image=identity)
        writer = core.Writer(self.path("guest.core"), offer, state, self.said.append)
        for gfn in range(FRAMES):
            page = contents[gfn * wire.PAGE:(gfn + 1) * wire.PAGE]
            if page.startswith(b"lost"):
                writer.run(gfn, 1, wire.LOST)
            else:
                writer.page(gfn, page)
        writer.close()

    def test_a_snapshot_is_taken_with_each_cipher(self):
        for key, name in SUITES:
            self.assertIn(name, self.take(**key))

    def test_a_snapshot_is_taken_over_a_link_with_faults(self):
        for n, (key, name) in enumerate(SUITES):
            self.assertIn(name, self.take(*FAULTS, f"seed={n}", "run=200", **key))

    def test_a_snapshot_is_restored_with_each_cipher(self):
        for key, name in SUITES:
            self.assertIn(f"runs, {name}", self.give(**key))

    def test_a_snapshot_is_restored_over_a_link_with_faults(self):
        for n, (key, name) in enumerate(SUITES):
            self.assertIn(f"runs, {name}", self.give(*FAULTS, f"seed={n}", **key))

    def test_pages_are_packed_where_both_sides_do(self):
        plain = self.count(self.give("packed=0", text=0.4), "bytes_received")
        out = self.give("packed=1", text=0.4, key=KEY)
        packed, came = self.count(out, "pages_packed"), self.count(out, "pages_came")
        self.assertTrue(0 < packed < came, out)
        self.assertLess(self.count(out, "bytes_received"), 0.7 * plain)
        self.assertEqual(self.count(self.give("packed=0", text=0.4), "pages_packed"), 0)
        self.give("packed=1", *FAULTS, "seed=3", text=0.4, key=KEY)
        self.take("packed=1", *FAULTS, "seed=4", text=0.4, key=KEY)
        self.assertGreater(self.count(self.answered, "pages_packed"), 0)

    def count(self, out, name):
        return int(re.search(rf"\b{name}=(\d+)", out)[1])

    def test_parity_completes_pages_whose_other_pieces_are_lost(self):
        out = self.give("lose=200", "seed=7")
        self.assertNotIn("parity_repaired=0 ", out)
        self.assertIn("parity_repaired=", out)
        answers = self.offered("lose=200", "seed=8", key=KEY)
        status, out = self.wait(self.tool("snapshot", "guest.core", "--json", "figures", *self.link_args()))
        self.assertEqual((status, self.wait(answers)[0]), (0, 0), out)
        self.assertGreater(json.loads(self.read("figures"))["parity_repaired"], 0)
        self.assertEqual(self.contents(self.kept()), self.read_bytes("mem"))

    def test_a_killed_server_is_replaced_while_a_machine_restores(self):
        self.make_core(memory(seed=3, lost=False), b"s" * 100)
        args = ["guest.core", *self.link_args()]
        first = self.tool("page-server", *args)
        asks = self.c_end("ask", f"frames={FRAMES}", "lose=300")
        self.assertIn("runs", asks.stdout.readline())
        first.kill()
        second = self.tool("page-server", "--once", *args)
        status, out = self.wait(asks)
        self.assertEqual(status, 0, out)
        self.assertIn("sessions=2", out)
        self.assertEqual(self.read_bytes("mem"), memory(seed=3, lost=False))
        self.assertEqual(self.wait(second)[0], 0)

    def test_memory_without_a_guest_is_refused_by_name(self):
        self.write_bytes("raw", memory(lost=False))
        self.tool("page-server", "raw", *self.link_args())
        status, out = self.wait(self.c_end("ask", f"frames={FRAMES}"))
        self.assertEqual(status, 3)
        self.assertIn("memory without a guest", out)

    def test_a_wrong_key_leaves_the_guest_where_it_is(self):
        answers = self.offered(key=OTHER)
        status, out = self.wait(self.tool("snapshot", "guest.core", *self.link_args()))
        self.assertEqual(status, 1)
        self.assertIn("does not accept the key", out)
        self.assertIsNone(answers.poll())
        self.assertFalse(os.path.exists(self.path("guest.core")))

    def test_without_a_key_nothing_is_taken_from_a_machine_that_has_one(self):
        self.offered(key=OTHER)
        status, out = self.wait(self.tool("snapshot", "guest.core", *self.link_args(b"")))
        self.assertEqual(status, 1)
        self.assertIn("one side has a key and the other has none", out)

    def test_without_room_the_guest_stays_where_it_is(self):
        answers = self.offered(key=KEY)
        args = snapshot.parse(["guest.core", *self.link_args()])
        args.file = self.path("guest.core")
        with mock.patch("shutil.disk_usage", lambda path: mock.Mock(free=1 << 20)), \
                self.assertRaises(Problem) as raised:
            args.key = self.path("key")
            snapshot.snapshot(args)
        self.assertIn("make room", str(raised.exception))
        self.assertEqual(self.wait(answers), (3, "left: the destination cannot load the state\n"))


class Served(threading.Thread):
    """A page server in this process, which can be ended at any moment."""

    def __init__(self, transport, answerer, pages=None, loss=0):
        super().__init__(daemon=True)
        self.transport, self.answerer, self.pages, self.loss = transport, answerer, pages, loss
        self.over = False
        self.dice = random.Random(1)

    def run(self):
        serving, wait = server.Server(self, self.answerer), 0.0
        while not self.over and (self.pages is None or self.answerer.counts["pages_sent"] < self.pages):
            wait = min(serving.turn(wait), 0.01)
        self.transport.close()

    # A transport that loses.
    def fileno(self):
        return self.transport.fileno()

    def receive(self):
        return self.transport.receive()

    def send(self, datagram, to):
        return self.dice.random() < self.loss or self.transport.send(datagram, to)

    def end(self):
        self.over = True
        self.join(SECONDS)


class AmongThemselves(Ends):
    def image(self, name="raw", seed=4, frames=FRAMES):
        image = images.open_image(self.write_bytes(name, memory(frames, seed, lost=False)), self.said.append)
        self.addCleanup(image.close)
        return image

    def serve(self, image, key=KEY, transport=None, **more):
        served = Served(transport or Udp("127.0.0.1", self.port), Answerer(image, key, self.said.append), **more)
        served.start()
        self.addCleanup(served.end)
        return served

    def asker(self, key=KEY, transport=None, limit=20.0):
        transport = transport or Udp("127.0.0.1", 0, ("127.0.0.1", self.port))
        self.addCleanup(transport.close)
        return Asker(transport, key, self.said.append, limit)

    def take(self, asker, frames=FRAMES):
        asker.connect()
        asker.state()
        self.assertTrue(asker.take())
        kept = Kept(frames)
        asker.pull(kept)
        asker.finish()
        self.assertEqual(kept.times, 0)
        return kept.whole()

    def test_memory_comes_as_it_is(self):
        image = self.image()
        served = self.serve(image)
        self.assertEqual(self.take(self.asker()), self.read_bytes("raw"))
        self.assertTrue(served.answerer.done)

    def test_zeros_are_few_messages(self):
        path = self.write_bytes("sparse", b"x" * wire.PAGE)
        os.truncate(path, 16384 * wire.PAGE)
        served = self.serve(images.open_image(path, self.said.append))
        self.take(self.asker(), 16384)
        self.assertLess(served.answerer.counts["datagrams_sent"], 20)

    def test_loss_costs_time_alone(self):
        self.serve(self.image(), loss=0.1)
        asker = self.asker()
        self.assertEqual(self.take(asker), self.read_bytes("raw"))
        self.assertGreater(asker.counts["pieces_again"], 0)

    def test_a_killed_server_is_replaced(self):
        image = self.image()
        first = self.serve(image, pages=40)

        def restart():
            first.join(SECONDS)
            self.serve(image)

        threading.Thread(target=restart, daemon=True).start()
        asker = self.asker()
        self.assertEqual(self.take(asker), self.read_bytes("raw"))
        self.assertEqual(asker.counts["sessions"], 2)

    def test_another_image_is_refused_by_name_and_the_right_one_goes_on(self):
        image, other = self.image(), self.image("other", 5)
        first = self.serve(image, pages=40)

        def restart():
            first.join(SECONDS)
            wrong = self.serve(other)
            while not any("another image" in text for text in list(self.said)):
                time.sleep(0.01)
            wrong.end()
            self.serve(image)

        threading.Thread(target=restart, daemon=True).start()
        self.assertEqual(self.take(self.asker()), self.read_bytes("raw"))

    def test_a_server_that_stays_away_is_given_up(self):
        first = self.serve(self.image(), pages=40)
        with self.assertRaises(Failed) as raised:
            self.take(self.asker(limit=1.0))
        first.join(SECONDS)
        self.assertIn("has not answered within the time limit", str(raised.exception))

    def test_the_cable_of_a_machine_carries_it(self):
        self.serve(self.image(), transport=Cable(self.top, 1))
        transport = Cable(self.top, 2, wired=True)
        self.assertEqual(self.take(self.asker(transport=transport)), self.read_bytes("raw"))

    def test_a_cable_has_one_end_for_one_program(self):
        first = Cable(self.top, 1)
        with self.assertRaises(Problem) as raised:
            Cable(self.top, 1)
        self.assertIn("in use", str(raised.exception))
        first.socket.close()  # killed: its socket's name stays
        Cable(self.top, 1).close()

    def test_what_was_recorded_is_taken_once(self):
        asks = Channel(ASKER, wire.SUITE_AES, KEY, bytes(16), bytes(16))
        answers = Channel(ANSWERER, wire.SUITE_AES, KEY, bytes(16), bytes(16))
        sealed = [asks.seal(wire.body(wire.DONE)) for _ in range(400)]
        answers.open(sealed[3])
        for datagram, why in ((sealed[3], "replay"), (sealed[4][:-1] + b"!", "seal"), (b"x" * 20, "form"),
                              (b"\1" * 60, "session")):
            with self.assertRaises(Refused) as raised:
                answers.open(datagram)
            self.assertEqual(str(raised.exception), why)
        answers.open(sealed[399])
        answers.open(sealed[398])
        for late in (sealed[398], sealed[5]):
            with self.assertRaises(Refused):
                answers.open(late)

    def test_hostile_datagrams_harm_nobody(self):
        dice = random.Random(9)
        answerer = Answerer(self.image(), KEY, self.said.append)
        asker = self.asker()
        hello = asker._next(time.monotonic(), None)
        for _ in range(3000):
            junk = bytearray(dice.choice((hello, dice.randbytes(dice.randrange(1500)), bytes(dice.randrange(400)))))
            if junk:
                junk[dice.randrange(len(junk))] ^= 1 << dice.randrange(8)
            answerer.receive(bytes(junk))
            asker._receive(bytes(junk))
            answerer.poll()
        self.assertIsNone(answerer.channel)

    def test_sealed_nonsense_is_counted_and_dropped(self):
        """Who knows the key may still send nonsense."""
        dice = random.Random(10)
        answerer, asker = Answerer(self.image(), KEY, self.said.append), self.asker()
        pipe = [asker._next(time.monotonic(), None)]
        while asker.session != asker_module.OPEN:
            answerer.receive(pipe.pop())
            asker._receive(answerer.poll()[0])
            if asker.session != asker_module.OPEN:
                pipe.append(asker._next(time.monotonic(), None))
        for _ in range(3000):
            body = bytearray(wire.body(dice.choice((1, 2, 3, 4, 5, 9)), dice.randrange(256), dice.getrandbits(47),
                                       dice.randbytes(dice.choice((0, 8, 16, 32, 512)))))
            answerer.receive(asker.channel.seal(bytes(body)))
            for _ in range(3):
                answerer.poll()
        self.assertGreater(answerer.counts["bad_form"], 1000)
        self.assertEqual(answerer.counts["pages_sent"], 0)


    def test_blocks_that_are_no_page_are_refused(self):
        block, dice = lz4.pack(b"text" * (wire.PAGE // 4)), random.Random(11)
        self.assertEqual(lz4.unpack(block), b"text" * (wire.PAGE // 4))
        self.assertIsNone(lz4.pack(dice.randbytes(wire.PAGE)))
        self.assertIsNotNone(lz4.pack(bytes(wire.PAGE)))
        for bad in (b"", block[:-1], block + block, block * 200, dice.randbytes(1300)):
            self.assertRaises(wire.Malformed, lz4.unpack, bad)


class Words(Ends):
    """Each fault of the command line is one line and status 2."""

    def says(self, words, name, *args):
        status, out = self.wait(self.tool(name, *args))
        self.assertEqual((status, len(out.splitlines())), (2, 1), out)
        self.assertIn(words, out)

    def test_a_port_in_use(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", self.port))
            self.write_bytes("raw", bytes(4096))
            self.says("name another port", "page-server", "raw", *self.link_args())

    def test_keys_that_are_none(self):
        self.write_bytes("raw", bytes(4096))
        where = ["raw", "--udp", f"127.0.0.1:{self.port}"]
        self.says("no key", "page-server", *where)
        self.says("no-such-key: No such file", "page-server", *where, "--key", "no-such-key")
        self.write_bytes("short", b"short")
        self.says("16 to 64 bytes", "page-server", *where, "--key", "short")
        self.says("no key", "snapshot", "out.core", "--udp", "127.0.0.1:9")

    def test_links_that_are_none(self):
        self.write_bytes("raw", bytes(4096))
        self.says("--link", "page-server", "raw", "--key", "key")
        self.says("HOST:PORT", "page-server", "raw", "--key", "key", "--udp", "here")
        self.says("no-such-folder", "page-server", "raw", "--key", "key", "--link", "no-such-folder")
        self.says("unrecognized", "page-server", "raw", "--no-such-option")

    def test_files_that_are_none(self):
        self.says("no-such-file", "page-server", "no-such-file", *self.link_args())
        self.says("no snapshot of Cleave's", "snapshot", "--check", self.write_bytes("raw", bytes(4096)))

    def test_nobody_answers(self):
        status, out = self.wait(self.tool("snapshot", "out.core", *self.link_args(), "--limit", "0.3"))
        self.assertEqual(status, 1)
        self.assertIn("has not answered within the time limit", out)


if __name__ == "__main__":
    tap.main(__name__)
