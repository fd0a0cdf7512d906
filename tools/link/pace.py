# SPDX-License-Identifier: MIT
"""How fast to ask: when to ask again, how many pages to have under way, and how much is lost. Times
in seconds."""

FIRST_WAIT, WAIT_MIN, WAIT_MAX = 0.05, 0.02, 1.0
FIRST_WINDOW, FLOOR = 32.0, 8.0
PATIENCE_MAX = 64.0
LOSSY = 1 / 32


class Pace:
    def __init__(self, window_max):
        self.window_max = max(window_max, 1)
        self.window = min(FIRST_WINDOW, self.window_max)
        self.smooth = self.deviation = self.slowed = self.loss = 0.0
        self.patience = 1.0  # grows while what was asked for twice comes twice: it was not lost, but late

    def sample(self, took):
        """A page that was asked for once came after so long (RFC 6298)."""
        if self.smooth:
            self.deviation += (abs(self.smooth - took) - self.deviation) / 4
            self.smooth += (took - self.smooth) / 8
        else:
            self.smooth, self.deviation = took, took / 2
        self.window = min(self.window + 1 / self.window, self.window_max)
        self.patience = max(self.patience * 0.98, 1.0)

    def twice(self):
        """A piece came again."""
        self.patience = min(self.patience * 1.05, PATIENCE_MAX)

    def pieces(self, asked, again):
        self.loss += (min(again / asked, 1) - self.loss) / 16

    def late(self, now):
        """A page was not there in time; counts once for each round trip."""
        if now - self.slowed > self.smooth:
            self.slowed = now
            self.window = max(self.window * 3 / 4, min(FLOOR, self.window_max))

    def wait(self, tries):
        """How long to wait for the answer to so manieth a try."""
        first = max(self.smooth + 4 * self.deviation if self.smooth else FIRST_WAIT, WAIT_MIN)
        return min(first * self.patience * 2 ** min(tries - 1, 10), WAIT_MAX)

    @property
    def wants_parity(self):
        return self.loss >= LOSSY
