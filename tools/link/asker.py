# SPDX-License-Identifier: MIT
"""The asker: takes a guest, or only its memory, from an answerer. It has all the timers.

Like hv/link/asker.h, in the order in which it is used: connect(), state(), take(), pull(), finish().
Each of them opens the session again if it is lost, and raises Failed after `limit` seconds without
a word of the answerer's.
"""
import collections
import os
import select
import time

from link import lz4, wire
from link.pace import Pace
from link.pull import Pull
from link.seal import ASKER, Channel, Refused, suites_of

POLL = 0.02  # seconds between two questions whether the guest has stopped
GOODBYES = 8
KEY_TRIES = 3
OPEN_TRIES = 6
BURST = 64  # datagrams that are taken before the next is sent
FRAMES_MAX = 1 << 28  # of a guest: 1 TiB
CLOSED, OPENING, OPEN = range(3)
COUNTS = ("datagrams_received", "bytes_received", "datagrams_sent", "bytes_sent", "pages_came", "pages_packed",
          "runs_came", "pieces_again", "pieces_duplicate", "parity_repaired", "bad_form", "bad_seal", "replayed",
          "unknown_session", "unasked", "sessions")
OWN_FEATURES = wire.ALL_FEATURES & ~(wire.FEATURE["PACKED"] | wire.FEATURE["ROUNDS"]) | lz4.features()
COUNT_OF = {"form": "bad_form", "seal": "bad_seal", "replay": "replayed", "session": "unknown_session"}


class Failed(Exception):
    """It does not go; the text says why. `reason`: a number of wire.REASON_TEXT, or None."""

    def __init__(self, text, reason=None):
        super().__init__(text)
        self.reason = reason


def refusal(name, detail=""):
    reason = wire.REASON[name]
    return Failed(wire.reason_text(reason) + (f": {detail}" if detail else ""), reason)


class Asker:
    def __init__(self, transport, key, say, limit=60.0, window=128):
        self.transport, self.key, self.say, self.limit = transport, key, say, limit
        self.offer = wire.Offer(suites=suites_of(key), state_bytes=wire.STATE_MAX, vcpus=255,
                                features=OWN_FEATURES, taker=os.urandom(wire.ID))
        self.counts = collections.Counter({name: 0 for name in COUNTS})
        self.pace = Pace(window)
        self.there = None  # the answerer's offer
        self.taken = False  # from then on its image may not change
        self.session, self.channel, self.nonce = CLOSED, None, None
        self.session_tries = self.not_opened = 0
        self.session_due = self.heard = time.monotonic()
        self.said = None
        self.handler = None  # takes (kind, detail, gfn, what follows) of what is no session's matter
        self.reopened = None  # called when another session is open
        self._close()

    # --- the loop ------------------------------------------------------------------------------

    def _run(self, done, next_body, handler):
        """Sends what next_body(now) wants to be sent, until done()."""
        self.handler = handler
        self.heard = time.monotonic()
        unsent = None
        while not done():
            now = time.monotonic()
            if now - self.heard > self.limit:
                raise refusal("TIME")
            datagram = unsent or self._next(now, next_body)
            unsent = None
            if datagram and not self.transport.send(datagram):
                unsent = datagram
            if not self._take_all() and not (datagram and not unsent):
                select.select([self.transport], [], [], 0.001)

    def _next(self, now, next_body):
        if self.session == OPEN:
            body = next_body(now)
            datagram = body and self.channel.seal(body)
        else:
            datagram = self._session_datagram(now)
        if datagram:
            self.counts["datagrams_sent"] += 1
            self.counts["bytes_sent"] += len(datagram)
        return datagram

    def _take_all(self):
        for n in range(BURST):
            came = self.transport.receive()
            if not came:
                return n
            self._receive(came[0])
        return BURST

    def _say(self, body, done, handler, wait=None):
        """Says it again and again until done()."""
        state = {"due": 0.0, "tries": 0}

        def next_body(now):
            if now < state["due"]:
                return None
            state["tries"] += 1
            state["due"] = now + (wait or self.pace.wait(state["tries"]))
            return body

        self._run(done, next_body, handler)

    # --- sessions ------------------------------------------------------------------------------

    def _close(self):
        self.session, self.channel = CLOSED, None
        self.nonce = os.urandom(wire.NONCE)
        self.session_tries, self.session_due = 0, 0.0

    def _session_datagram(self, now):
        if now < self.session_due:
            return None
        self.session_tries += 1
        self.session_due = now + self.pace.wait(self.session_tries)
        if self.session == OPENING and self.session_tries > OPEN_TRIES:
            self._close()
        if self.session == CLOSED:
            return wire.HELLO_FORM.pack(0, wire.HELLO, 0, wire.VERSION, self.nonce, self.offer.suites, bytes(12))
        wanted = self.there.image if self.taken else bytes(wire.ID)
        return self.channel.seal_open(self.nonce, self.offer._replace(image=wanted).pack())

    def _receive(self, datagram):
        self.counts["datagrams_received"] += 1
        self.counts["bytes_received"] += len(datagram)
        try:
            if not wire.STALE_FORM.size <= len(datagram) <= wire.DATAGRAM_MAX:
                raise wire.Malformed
            if int.from_bytes(datagram[:4], "little"):
                self._sealed(datagram)
            elif datagram[4] == wire.WELCOME and len(datagram) == wire.WELCOME_FORM.size:
                self._welcome(*wire.WELCOME_FORM.unpack(datagram)[2:])
            elif datagram[4] == wire.STALE and len(datagram) == wire.STALE_FORM.size:
                self._stale(wire.STALE_FORM.unpack(datagram)[4])
            else:
                raise wire.Malformed
        except wire.Malformed:
            self.counts["bad_form"] += 1
        except Refused as refused:
            self.counts[COUNT_OF[str(refused)]] += 1

    def _welcome(self, suite, version, asker_nonce, nonce):
        if self.session != CLOSED or asker_nonce != self.nonce:
            self.counts["unasked"] += 1
            return
        if version != wire.VERSION:
            raise refusal("VERSION")
        if suite >= len(wire.SUITES) or not self.offer.suites >> suite & 1:
            raise refusal("SUITE")
        self.channel = Channel(ASKER, suite, self.key, self.nonce, nonce)
        self.session, self.session_tries, self.session_due = OPENING, 0, 0.0

    def _stale(self, unknown):
        if self.session == OPENING and unknown == int.from_bytes(self.nonce[:4], "little"):
            self.not_opened += 1
            if self.not_opened >= KEY_TRIES:
                raise refusal("KEY")
            self._close()
            self.session_due = time.monotonic() + self.pace.wait(self.not_opened)
        elif self.session == OPEN and unknown == self.channel.session:
            self.say("the session is lost: the source was restarted, or serves another; opens a new one")
            self._close()
        else:
            self.counts["unasked"] += 1

    def _sealed(self, datagram):
        if not self.channel:
            raise Refused("session")
        kind, detail, gfn, then = wire.parse_body(self.channel.open(datagram))
        self.heard = time.monotonic()
        if kind == wire.OPENED:
            self._opened(wire.unpack_offer(then))
        elif kind == wire.REFUSED and detail != wire.REASON["PHASE"]:
            self._refused(detail)
        elif self.session == OPEN and self.handler:
            self.handler(kind, detail, gfn, then)

    def _opened(self, offer):
        if self.session != OPENING:
            return  # said twice
        if not wire.RUNS_HERE <= offer.phase <= wire.GONE or \
                bool(offer.state_bytes) == (offer.phase == wire.RUNS_HERE):
            raise wire.Malformed
        self.session, self.not_opened = OPEN, 0
        self.counts["sessions"] += 1
        if self.taken and offer.image != self.there.image:
            self.say(wire.reason_text(wire.REASON["IMAGE"]))
            self._close()
            self.session_due = time.monotonic() + 1
            return
        self.there = offer
        self._check(offer)
        if self.reopened:
            self.reopened()

    def _check(self, offer):
        if offer.state_bytes > wire.STATE_MAX:
            raise refusal("STATE_SIZE")
        if offer.needs & ~self.offer.features:
            raise refusal("FEATURES", "a feature that this version does not know")
        ends = [gfn + frames for gfn, frames in offer.regions]
        starts = [gfn for gfn, _ in offer.regions]
        if not ends or max(ends) > FRAMES_MAX or any(a > b for a, b in zip(ends, starts[1:])):
            raise refusal("REGIONS")

    def _refused(self, reason):
        if reason == wire.REASON["IMAGE"] and self.handler and self.session == OPEN:
            self.handler(wire.REFUSED, reason, 0, b"")  # the guest went on at the source meanwhile
        else:
            raise Failed(wire.reason_text(reason), reason)

    # --- the switch-over -------------------------------------------------------------------------

    def connect(self):
        """Returns the answerer's offer."""
        self._run(lambda: self.session == OPEN, lambda now: None, None)
        return self.there

    def _note_status(self, kind, then):
        if kind != wire.STATUS or len(then) != wire.STATUS_FORM.size:
            return
        image, phase, size = wire.STATUS_FORM.unpack(then)
        if not wire.RUNS_HERE <= phase <= wire.GONE or bool(size) == (phase == wire.RUNS_HERE) or \
                size > wire.STATE_MAX:
            raise wire.Malformed
        self.there = self.there._replace(image=image, phase=phase, state_bytes=size)

    def state(self):
        """Waits until the guest has stopped at the source; returns its state."""
        while True:
            self._say(wire.body(wire.STATE_ASK, then=wire.STATE_ASK_FORM.pack(0)),
                      lambda: self.there.phase != wire.RUNS_HERE,
                      lambda kind, detail, gfn, then: self._note_status(kind, then), POLL)
            if state := self._state_of(self.there):
                return state

    def _state_of(self, wanted):
        """None: the guest went on meanwhile."""
        pieces, size = {}, wanted.state_bytes

        def take(kind, detail, gfn, then):
            self._note_status(kind, then)
            if kind != wire.STATE or gfn != size or then[:wire.ID] != wanted.image:
                return
            part = then[wire.ID:]
            if len(part) == max(0, min(size - detail * wire.PIECE, wire.PIECE)):
                pieces[detail] = part

        def missing():
            return wire.pieces_mask(size) & ~sum(1 << n for n in pieces)

        while missing() and self.there.image == wanted.image:
            have = len(pieces)
            self._say(wire.body(wire.STATE_ASK, then=wire.STATE_ASK_FORM.pack(missing())),
                      lambda have=have: len(pieces) > have or self.there.image != wanted.image, take, 0.05)
        return b"".join(pieces[n] for n in sorted(pieces)) if not missing() else None

    def take(self):
        """False: the guest went on at the source meanwhile: fetch another state()."""
        answers = []

        def hear(kind, _detail, _gfn, then):
            if kind == wire.GIVEN and then == self.there.image:
                answers.append(True)
            elif kind == wire.REFUSED:
                answers.append(False)

        self._say(wire.body(wire.TAKE, then=self.there.image), lambda: answers, hear)
        self.taken = answers[0]
        if not self.taken:
            self.there = self.there._replace(phase=wire.RUNS_HERE)
        return self.taken

    def leave(self, reason):
        """Before take(): the guest stays at the source."""
        self._goodbye(wire.body(wire.LEAVE, reason))

    # --- pages ---------------------------------------------------------------------------------

    def pull(self, sink, progress=None):
        """Asks for all pages, and gives them to sink.page(gfn, data) and sink.run(gfn, frames, what),
        each once."""
        pull = Pull(self.there.regions, sink, self.pace, self.counts,
                    self.there.features & self.offer.features)
        self.reopened = pull.again

        def hear(kind, detail, gfn, then):
            pull.hear(kind, detail, gfn, then)
            if progress:
                progress(pull)

        self._run(lambda: not pull.owed, pull.next_body, hear)
        self.reopened = None
        return pull

    def finish(self):
        """Tells the source that nothing is owed any more."""
        self._goodbye(wire.body(wire.DONE))

    def _goodbye(self, body):
        """Says it a few times: the other one may be gone himself."""
        ended = []
        until = time.monotonic() + sum(self.pace.wait(n) for n in range(1, GOODBYES))
        self._say(body, lambda: ended or time.monotonic() > until or self.session != OPEN,
                  lambda kind, detail, gfn, then: ended.append(1) if kind == wire.ENDED else None)
