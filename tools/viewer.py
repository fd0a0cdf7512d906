# SPDX-License-Identifier: MIT
"""The live view on a terminal: draws what tools/view.py makes of the feed, and turns keys into the
monitor's commands. It begins with the feed's first line, on the terminal's other screen; what else
is said meanwhile is shown when it ends. On every way out the terminal is as it was before.
"""
import atexit
import contextlib
import json
import os
import shutil
import signal
import sys
import termios
import time

import view
from console import NoConsole
from emulator import SIGNALS, Stopped

INPUT = 0
CHUNK = 256
FRAME_SECONDS = 0.05
LEAST_COLUMNS, LEAST_LINES = 34, 10
BEGIN = "\x1b[?1049h\x1b[?25l\x1b[2J"
END = "\x1b[?25h\x1b[?1049l"
LFLAG, CHARACTERS = 3, 6  # of what termios gives


def style_of(environment, encoding):
    """What a terminal can do, by what is said of it."""
    term = environment.get("TERM", "")
    unicode = "utf" in (encoding or "").lower() and term != "linux"
    if environment.get("NO_COLOR") or term in ("vt100", "vt220"):
        return view.Style(unicode)
    rich = "256color" in term or environment.get("COLORTERM")
    return view.Style(unicode, view.COLOURS_256 if rich else view.COLOURS_8)


def is_possible(environment):
    """A terminal at both ends that knows where its cursor is, and is not tiny."""
    size = shutil.get_terminal_size()
    return os.isatty(INPUT) and sys.stdout.isatty() and \
        environment.get("TERM", "dumb") not in ("", "dumb") and \
        size.columns >= LEAST_COLUMNS and size.lines >= LEAST_LINES


def sentence(answer):
    """An answer in a line: its values; a note comes last."""
    if not answer.get("ok"):
        return f"error: {answer.get('error', 'no answer')}"
    values = dict(answer.get("answer", {}))
    note = values.pop("note", "")
    words = [f"{key} {value}" for key, value in values.items()]
    return ", ".join(words) + (": " if words and note else "") + note or "ok"


class Viewer(NoConsole):
    """Stands for the Screen, too, while it is shown."""

    def __init__(self, screen, hub, environment=None):
        self.screen = screen
        self.hub = hub
        self.state = view.State()
        self.style = style_of(os.environ if environment is None else environment,
                              sys.stdout.encoding)
        self.before = None  # the terminal's state, to be restored
        self.said = []      # to be shown afterwards
        self.last = ""      # the last progress line
        self.size = None
        self.drawn = []     # the lines that are on the terminal
        self.due = 0.0
        self.stale = False  # there is something new to be drawn
        self.broken = 0     # pages
        self.quits = 0

    # --- the screen's part

    def say(self, line):
        if self.before:
            self.said.append(line)
        else:
            self.screen.say(line)

    def line(self, line):
        if self.before:
            self.said.append(None if self.screen.quiet else line)
        else:
            self.screen.line(line)

    def progress(self, text):
        if self.before:
            self.last = text
        else:
            self.screen.progress(text)

    def end_progress(self):
        if not self.before:
            self.screen.end_progress()

    def live(self, text):
        try:
            self.state.update(json.loads(text))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return  # half a line, or of another version: the picture stays
        if not self.before:
            self.enter()
        self.stale = True

    # --- the terminal

    def enter(self):
        try:
            before = termios.tcgetattr(INPUT)
        except termios.error:
            return
        self.screen.end_progress()
        self.before = before
        atexit.register(self.leave)
        raw = [list(part) if isinstance(part, list) else part for part in before]
        raw[LFLAG] &= ~(termios.ECHO | termios.ICANON)
        raw[CHARACTERS][termios.VMIN], raw[CHARACTERS][termios.VTIME] = 1, 0
        raw[CHARACTERS][termios.VSUSP] = b"\0"  # it would leave its screen to the shell
        termios.tcsetattr(INPUT, termios.TCSAFLUSH, raw)
        self.write(BEGIN)

    def leave(self):
        """Back to the screen as it was; what was said meanwhile follows."""
        if not self.before:
            return
        before = self.before
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # raises for one that came just before
        finally:
            with contextlib.suppress(OSError):
                self.write(END)
            with contextlib.suppress(termios.error):  # it is gone
                termios.tcsetattr(INPUT, termios.TCSADRAIN, before)
            self.before = None
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if self.last:
            self.screen.line(self.last)
        for line in self.said:
            if line is not None:
                self.screen.say(line)
        self.said, self.last = [], ""

    def __exit__(self, *_):
        self.leave()

    @staticmethod
    def write(text):
        sys.stdout.flush()
        data = text.encode(sys.stdout.encoding or "ascii", "replace")
        while data:
            data = data[os.write(sys.stdout.fileno(), data):]

    def tick(self):
        now = time.monotonic()
        size = shutil.get_terminal_size()
        if not self.before or now < self.due or (not self.stale and size == self.size):
            return
        self.due = now + FRAME_SECONDS
        self.stale = False
        if size != self.size:
            self.size, self.drawn = size, []
            self.write("\x1b[2J")
        lines = view.render(self.state, size.columns, size.lines, self.style)
        lines += [""] * (len(self.drawn) - len(lines))
        # Only what has changed, for slow lines; and line by line, as a full last one would scroll.
        self.write("".join(f"\x1b[{i + 1};1H{line}\x1b[K" for i, line in enumerate(lines)
                           if i >= len(self.drawn) or line != self.drawn[i]))
        self.drawn = lines

    # --- keys

    def sources(self):
        return [INPUT] if self.before else []

    def serve(self, _source):
        try:
            keys = os.read(INPUT, CHUNK)
        except OSError:
            keys = b""
        if not keys:
            raise Stopped(signal.SIGHUP)
        if keys.startswith(b"\x1b") and len(keys) > 1:
            return  # an arrow or a function key, which means nothing here
        for key in keys.decode("ascii", "replace"):
            self.press(key)

    def press(self, key):
        self.stale = True
        if self.state.help or key in "?h":
            self.state.help = not self.state.help
            return
        if key == "q":
            self.quits += 1
            if self.quits > 1:
                raise Stopped(signal.SIGINT)
        command = view.command(key, self.state, self.broken)
        if not command:
            return
        self.broken += key in "pPdD"
        self.state.message = f"{command} ..."
        self.hub.own(command, lambda answer: self.hear(command, answer))

    def hear(self, command, answer):
        self.state.message = f"{command}: {sentence(answer)}"
        self.stale = True
