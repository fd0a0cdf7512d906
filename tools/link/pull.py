# SPDX-License-Identifier: MIT
"""The asker's pages: which are owed, which are under way, and what comes."""
import time

from link import lz4, wire

CHUNK = 16  # pages that the window must have room for, else the asks become small
OWED, ASKED, HERE = 0, 1, 2
BUCKETS = 32  # bucket n has the latencies below 2^n us


class Page:
    """A page that was asked for."""

    def __init__(self, now):
        self.asked = self.sent = now
        self.due, self.tries, self.again = 0.0, 0, 0
        self.pieces = {}

    def missing(self):
        return wire.ALL & ~sum(1 << piece for piece in self.pieces)


def whole(pieces):
    """The page of any three of the four pieces."""
    if len(lost := [n for n in range(3) if n not in pieces]) == 1:
        word = 0
        for piece in pieces.values():
            word ^= int.from_bytes(piece, "little")
        pieces = {**pieces, lost[0]: word.to_bytes(wire.PIECE, "little")}
    return b"".join(pieces[n] for n in range(3))[:wire.PAGE]


class Pull:
    def __init__(self, regions, sink, pace, counts, features):
        self.regions, self.sink, self.pace, self.counts = regions, sink, pace, counts
        self.parity, self.packed = features & wire.FEATURE["PARITY"], features & wire.FEATURE["PACKED"]
        # A byte for each frame; what is in no region never is asked for.
        self.map = bytearray([HERE]) * max(gfn + frames for gfn, frames in regions)
        for gfn, frames in regions:
            self.map[gfn:gfn + frames] = bytes(frames)
        self.frames = self.owed = sum(frames for _, frames in regions)
        self.cursor = 0
        self.under_way = {}  # gfn -> Page
        self.latency = [0] * BUCKETS

    # --- asking --------------------------------------------------------------------------------

    def next_body(self, now):
        asks = self._late(now) or self._more(now)
        return wire.body(wire.ASK, len(asks), then=b"".join(ask.pack() for ask in asks)) if asks else None

    def _late(self, now):
        asks = []
        for gfn, page in self.under_way.items():
            if page.due > now or len(asks) == wire.ASKS_MAX:
                continue
            mask = page.missing()
            self.counts["pieces_again"] += mask.bit_count()
            page.again += mask.bit_count()
            if self.parity and self.pace.wants_parity and wire.PARITY not in page.pieces:
                mask |= 1 << wire.PARITY
            self.pace.late(now)
            self._note(page, now)
            asks.append(wire.Ask(gfn, 1, mask, 0))
        return asks

    def _note(self, page, now):
        page.tries += 1
        page.sent, page.due = now, now + self.pace.wait(page.tries)

    def _more(self, now):
        room = int(self.pace.window) - len(self.under_way)
        if self.under_way and room < min(CHUNK, self.pace.window / 2):
            return []
        first = self.map.find(OWED, self.cursor)
        if first < 0:
            return []
        end = first
        while end < len(self.map) and end < first + min(room, wire.ASK_FRAMES_MAX) and \
                self.map[end] == OWED and wire.has(self.regions, first, end + 1 - first):
            self.map[end] = ASKED
            page = self.under_way[end] = Page(now)
            self._note(page, now)
            end += 1
        self.cursor = end
        return [wire.Ask(first, end - first, wire.ALL, 0)]

    def again(self):
        """Another session is open: what was asked for was forgotten."""
        for page in self.under_way.values():
            page.due = 0.0

    # --- what comes ----------------------------------------------------------------------------

    def hear(self, kind, detail, gfn, then):
        if kind == wire.PAGE_PIECE:
            self._piece(detail, gfn, then)
        elif kind == wire.PACKED_PAGE and self.packed and not detail:
            self._packed(gfn, then)
        elif kind == wire.RUNS:
            for run in wire.parse_runs(detail, then, self.regions):
                self._run(*run)
        elif kind not in (wire.OPENED, wire.GIVEN, wire.STATUS, wire.STATE, wire.ENDED, wire.REFUSED):
            raise wire.Malformed

    def _piece(self, piece, gfn, data):
        if piece > wire.PARITY or len(data) != wire.piece_bytes(piece):
            raise wire.Malformed
        page = self.under_way.get(gfn)
        if not page or piece in page.pieces:
            self.counts["pieces_duplicate"] += 1
            self.pace.twice()
            return
        page.pieces[piece] = data
        if len(page.pieces) < 3:
            return
        self.counts["parity_repaired"] += wire.PARITY in page.pieces
        self._page(gfn, page, whole(page.pieces))

    def _packed(self, gfn, block):
        if not (page := self.under_way.get(gfn)):
            self.counts["pieces_duplicate"] += 1
            self.pace.twice()
            return
        data = lz4.unpack(block)
        self.counts["pages_packed"] += 1
        self._page(gfn, page, data)

    def _page(self, gfn, page, data):
        self.counts["pages_came"] += 1
        self.sink.page(gfn, data)
        self.pace.pieces(3, page.again)
        self._came(gfn, time.monotonic())
        self.map[gfn] = HERE
        self.owed -= 1

    def _came(self, gfn, now):
        page = self.under_way.pop(gfn)
        if page.tries == 1:
            self.pace.sample(now - page.sent)
        self.latency[min(int((now - page.asked) * 1e6).bit_length(), BUCKETS - 1)] += 1

    def _run(self, gfn, frames, what):
        """A run may be larger than what was asked for, and what is here stays."""
        asked = [at for at in self.under_way if gfn <= at < gfn + frames]
        if not asked:
            self.counts["unasked"] += 1
            return
        now = time.monotonic()
        for at in asked:
            self._came(at, now)
        self.counts["runs_came"] += 1
        at, end = gfn, gfn + frames
        while at < end:
            here = self.map.find(HERE, at, end)
            stop = end if here < 0 else here
            if stop > at:
                self.sink.run(at, stop - at, what)
                self.map[at:stop] = bytes([HERE]) * (stop - at)
                self.owed -= stop - at
            at = stop + 1
