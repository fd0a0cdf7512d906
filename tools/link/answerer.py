# SPDX-License-Identifier: MIT
"""The answerer: serves a snapshot to whoever knows the key. It keeps nothing for a request but its
place in a short queue, so it may be killed and started again at any time.

Like hv/link/answerer.h, but the guest is GONE from the beginning: there is no machine behind it, and
so there are no rounds of pre-copy, whatever the snapshot's machine could do.
"""
import collections
import os

from link import lz4, wire
from link.seal import ANSWERER, Channel, Refused, best_suite, suites_of

QUEUE = 32  # asks of each kind that are kept
COUNTS = ("datagrams_received", "bytes_received", "datagrams_sent", "bytes_sent", "pages_sent", "pages_packed",
          "runs_sent", "asks", "urgent_asks", "asks_dropped", "bad_form", "bad_seal", "replayed", "unknown_session",
          "sessions")
COUNT_OF = {"form": "bad_form", "seal": "bad_seal", "replay": "replayed", "session": "unknown_session"}


class Waiting:
    """An ask that is being answered."""

    def __init__(self, ask):
        self.ask = ask
        self.taken = set()  # pages that were asked for urgently meanwhile
        self.begun = False
        self.bodies = None


class Answerer:
    def __init__(self, image, key, say):
        self.image, self.key, self.say = image, key, say
        own = image.offer.features & ~(wire.FEATURE["PACKED"] | wire.FEATURE["ROUNDS"]) | lz4.features()
        self.packs = False  # both sides do
        self.offer = image.offer._replace(phase=wire.GONE, suites=0, features=own, image=image.identity,
                                          state_bytes=len(image.state), taker=bytes(wire.ID))
        self.nonce = os.urandom(wire.NONCE)
        self.channel = self.asker_nonce = None
        self.owed = collections.deque()  # bodies within the session that go before pages
        self.clear = collections.deque(maxlen=4)  # datagrams for the last stranger
        self.urgent, self.background = collections.deque(), collections.deque()
        self.done = False
        self.left = None  # why the asker went, if it did
        self.counts = collections.Counter({name: 0 for name in COUNTS})

    # --- what comes ---------------------------------------------------------------------------

    def receive(self, datagram):
        """True: it opened, so whoever sent it is the peer."""
        self.counts["datagrams_received"] += 1
        self.counts["bytes_received"] += len(datagram)
        try:
            if len(datagram) < wire.STALE_FORM.size or len(datagram) > wire.DATAGRAM_MAX:
                raise wire.Malformed
            if int.from_bytes(datagram[:4], "little"):
                return self._sealed(datagram)
            if datagram[4] == wire.HELLO:
                return self._hello(datagram)
            if datagram[4] == wire.OPEN:
                return self._open(datagram)
            raise wire.Malformed
        except wire.Malformed:
            self.counts["bad_form"] += 1
        except Refused as refused:
            self.counts[COUNT_OF[str(refused)]] += 1
        return False

    def _hello(self, datagram):
        if len(datagram) != wire.HELLO_FORM.size:
            raise wire.Malformed
        _, _, _, _, nonce, suites, _ = wire.HELLO_FORM.unpack(datagram)
        self.clear.append(wire.WELCOME_FORM.pack(0, wire.WELCOME, best_suite(self.key, suites), wire.VERSION,
                                                 nonce, self.nonce))
        return False

    def _stale(self, unknown):
        self.clear.append(wire.STALE_FORM.pack(0, wire.STALE, 0, wire.VERSION, unknown))

    def _open(self, datagram):
        if len(datagram) != wire.OPEN_BYTES:
            raise wire.Malformed
        _, _, suite, version, nonce, _ = wire.OPEN_FORM.unpack_from(datagram)
        if version != wire.VERSION or suite >= len(wire.SUITES) or not suites_of(self.key) >> suite & 1:
            raise wire.Malformed
        if self.channel and nonce == self.asker_nonce:  # our answer was lost
            self.channel.open_open(datagram)
        else:
            self._begin(datagram, suite, nonce)
        self.owed.append(wire.body(wire.OPENED, then=self.offer.pack()))
        return True

    def _begin(self, datagram, suite, nonce):
        channel = Channel(ANSWERER, suite, self.key, nonce, self.nonce)
        try:
            offer = wire.unpack_offer(channel.open_open(datagram))
        except Refused as refused:
            if str(refused) == "seal":
                self._stale(int.from_bytes(nonce[:4], "little"))
            raise
        # It is sealed, so nobody has made the asker choose a worse suite.
        if best_suite(self.key, offer.suites) != suite:
            raise wire.Malformed
        self.channel, self.asker_nonce = channel, nonce
        self.packs = bool(offer.features & self.offer.features & wire.FEATURE["PACKED"])
        self.nonce = os.urandom(wire.NONCE)  # who recorded this opening cannot open it again
        for queue in (self.owed, self.urgent, self.background):
            queue.clear()
        self.left = None
        self.counts["sessions"] += 1
        self.say(f"session {self.counts['sessions']} is open, {wire.SUITES[suite]}"
                 f"{', pages packed by LZ4' if self.packs else ''}")
        if offer.image not in (bytes(wire.ID), self.image.identity):
            self.say(f"the other side has begun with another image, {offer.image.hex()}: it will refuse this one")

    def _sealed(self, datagram):
        session = int.from_bytes(datagram[:4], "little")
        if not self.channel or session != self.channel.session:
            self._stale(session)
            raise Refused("session")
        kind, detail, _, then = wire.parse_body(self.channel.open(datagram))
        try:
            self._dispatch(kind, detail, then)
        except wire.Malformed:
            self.counts["bad_form"] += 1
        return True

    def _dispatch(self, kind, detail, then):
        if kind == wire.ASK:
            for ask in wire.parse_asks(detail, then, self.offer.regions):
                self._keep(ask)
        elif kind == wire.STATE_ASK and len(then) == wire.STATE_ASK_FORM.size:
            self._state(*wire.STATE_ASK_FORM.unpack(then))
        elif kind == wire.TAKE and len(then) == wire.ID:
            if then == self.image.identity:
                self._owe(wire.body(wire.GIVEN, then=then))
            else:
                self._owe(wire.body(wire.REFUSED, wire.REASON["IMAGE"]))
        elif kind == wire.DONE and not then:
            self.done = True
            self._owe(wire.body(wire.ENDED))
        elif kind == wire.LEAVE and not then:
            self.left = detail
            self._owe(wire.body(wire.ENDED))
        else:
            raise wire.Malformed

    def _owe(self, body):
        """Once: who asks again before the answer is out needs one only."""
        if body not in self.owed:
            self.owed.append(body)

    def _state(self, pieces):
        state = self.image.state
        if not pieces:
            self._owe(wire.body(wire.STATUS,
                                then=wire.STATUS_FORM.pack(self.image.identity, wire.GONE, len(state))))
        for piece in range(-(-len(state) // wire.PIECE)):
            if pieces >> piece & 1:
                part = state[piece * wire.PIECE:(piece + 1) * wire.PIECE]
                self._owe(wire.body(wire.STATE, piece, len(state), self.image.identity + part))

    # --- pages --------------------------------------------------------------------------------

    def _keep(self, ask):
        urgent = ask.flags & wire.URGENT
        queue = self.urgent if urgent else self.background
        self.counts["asks"] += 1
        self.counts["urgent_asks"] += bool(urgent)
        for waiting in queue:
            if not waiting.begun and waiting.ask[:2] == ask[:2]:
                waiting.ask = ask._replace(pieces=ask.pieces | waiting.ask.pieces)
                return
        if len(queue) == QUEUE:
            self.counts["asks_dropped"] += 1  # it is asked again
            return
        if urgent:
            for waiting in self.background:
                waiting.taken.update(range(ask.gfn, ask.gfn + ask.frames))
        queue.append(Waiting(ask))

    def _look(self, ask):
        """(the runs, the pages with contents) of an ask."""
        runs, pages, gfn = [], [], ask.gfn
        while gfn < ask.gfn + ask.frames:
            extent = self.image.look(gfn)
            if extent.what == wire.DATA:
                pages.append((gfn, extent.data))
                gfn += 1
                continue
            frames = min(extent.frames, wire.RUN_FRAMES_MAX)
            runs.append(wire.run(gfn, frames, extent.what))
            gfn += frames
        return runs, pages

    def _bodies(self, waiting):
        """What an ask is answered with: its runs, and then its pages, piece by piece."""
        ask = waiting.ask
        runs, pages = self._look(ask)
        if runs:
            self.counts["runs_sent"] += len(runs)
            yield wire.body(wire.RUNS, len(runs), then=b"".join(runs))
        for gfn, page in pages:
            if self.packs and gfn not in waiting.taken and (block := lz4.pack(page)):
                self.counts["pages_sent"] += 1
                self.counts["pages_packed"] += 1
                yield wire.body(wire.PACKED_PAGE, 0, gfn, block)
                continue
            for piece in range(4):
                if gfn in waiting.taken:
                    break
                if ask.pieces >> piece & 1:
                    self.counts["pages_sent"] += not piece
                    yield wire.body(wire.PAGE_PIECE, piece, gfn, wire.page_piece(page, piece))

    def _next_body(self):
        if self.owed:
            return self.owed.popleft()
        for queue in (self.urgent, self.background):
            while queue:
                waiting = queue[0]
                if not waiting.begun:
                    waiting.begun, waiting.bodies = True, self._bodies(waiting)
                if body := next(waiting.bodies, None):
                    return body
                queue.popleft()
        return None

    # --- what goes ----------------------------------------------------------------------------

    def poll(self):
        """(the next datagram, whether it is for the last stranger), or (None, False)."""
        if self.clear:
            datagram, stranger = self.clear.popleft(), True
        elif self.channel and (body := self._next_body()):
            datagram, stranger = self.channel.seal(body), False
        else:
            return None, False
        self.counts["datagrams_sent"] += 1
        self.counts["bytes_sent"] += len(datagram)
        return datagram, stranger
