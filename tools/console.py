# SPDX-License-Identifier: MIT
"""The guest's console: the machine's second serial port, bytes in both directions.

The firmware talks there first; the guest begins behind the line START. What it says goes to
console.log in the run's folder, and to the screen. In interactive mode, what is typed goes to the
guest, and the terminal is as it was before on every way out.
"""
import atexit
import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import tty

from emulator import SIGNALS, Stopped
from listen import clean

MODES = ("off", "log", "interactive")
LOG, SOCKET = "console.log", "console.sock"
FILES = (LOG, SOCKET)
START = b"cleave: guest console\r\n"
PANIC = "Kernel panic - not syncing"
FIGURES = "selfcheck: {"
LEAVE = 0x1d  # Ctrl-]
CHUNK = 65536
INPUT, OUTPUT = 0, 1
IFLAG, LFLAG, CHARACTERS = 0, 3, 6  # of what termios gives


class Socket:
    """QEMU connects to a socket in the run's folder, whose path may be too long for a socket's."""

    def __init__(self, folder, name=SOCKET):
        self.name = name
        self.connection = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        where = os.open(folder, os.O_PATH)
        try:
            self.listener.bind(f"/proc/self/fd/{where}/{name}")
        finally:
            os.close(where)
        self.listener.listen(1)

    def fileno(self):
        return (self.connection or self.listener).fileno()

    def read(self):
        """What there is, now that there is something; None: it has ended."""
        if not self.connection:
            self.connection, _ = self.listener.accept()
            self.connection.setblocking(False)
            return b""
        try:
            return self.connection.recv(CHUNK) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def write(self, data):
        if self.connection:
            self.connection.send(data)

    def close(self):
        for end in (self.connection, self.listener):
            if end:
                end.close()


class Terminal:
    """Bochs opens a terminal: it has no network to connect by. The other end stays open here, too,
    since without it nothing could be read before Bochs has opened its own."""

    def __init__(self, _folder, _name=""):
        self.end, self.other = pty.openpty()
        tty.setraw(self.other)
        os.set_blocking(self.end, False)
        self.name = os.ttyname(self.other)

    def fileno(self):
        return self.end

    def read(self):
        try:
            return os.read(self.end, CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def write(self, data):
        os.write(self.end, data)

    def close(self):
        os.close(self.end)
        os.close(self.other)


class NoConsole:
    """The machine has one serial port."""
    name, panic, figures = None, "", {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def sources(self):
        """What may have something to read."""
        return []

    def serve(self, source):
        """It has."""

    def tick(self):
        """Called many times a second."""

    def wait(self, process, seconds):
        """Whether the process has ended, within so many seconds."""
        try:
            process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False


class Together(NoConsole):
    """A guest's console, and others that have something to read, too."""

    def __init__(self, guest, *others):
        self.guest = guest
        self.parts = (guest, *others)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        for part in self.parts:
            self.stack.enter_context(part)
        return self

    def __exit__(self, *what):
        return self.stack.__exit__(*what)

    @property
    def panic(self):
        return self.guest.panic

    @property
    def figures(self):
        return self.guest.figures

    def wait(self, process, seconds):
        owners = {source: part for part in self.parts for source in part.sources()}
        for source in select.select(list(owners), [], [], seconds)[0]:
            owners[source].serve(source)
        for part in self.parts:
            part.tick()
        return process.poll() is not None


class Console(NoConsole):
    """Shows whole lines."""

    def __init__(self, line, folder, screen):
        self.line = line
        self.name = line.name
        self.screen = screen
        self.log = open(os.path.join(folder, LOG), "wb", buffering=0)
        self.begun = False
        self.rest = b""  # before the guest begins: perhaps a part of START; then: of a line
        self.panic = ""
        self.figures = {"console": LOG}

    def __exit__(self, *_):
        while self.readable(0) and self.take():
            pass
        if self.begun and self.rest:
            self.hear(self.rest)
        self.log.close()
        if self.line:
            self.line.close()

    def sources(self):
        return [self.line] if self.line else []

    def readable(self, seconds):
        return select.select(self.sources(), [], [], seconds)[0]

    def wait(self, process, seconds):
        """Whether the process has ended. Comes back as soon as there was something to read."""
        if not self.sources():
            return super().wait(process, seconds)
        for source in self.readable(seconds):
            self.serve(source)
        return process.poll() is not None

    def serve(self, source):
        if source is self.line:
            self.take()
        else:
            self.type()

    def take(self):
        """False: nothing more comes."""
        data = self.line.read()
        if data is None:
            self.line.close()
            self.line = None
            return False
        if not self.begun:
            data = self.begin(self.rest + data)
        if data:
            self.log.write(data)
            self.show(data)
            *whole, self.rest = (self.rest + data).split(b"\n")
            for line in whole:
                self.hear(line)
        return True

    def begin(self, data):
        """What is the guest's own."""
        noise, start, own = data.partition(START)
        self.rest = b"" if start else noise[-len(START):]
        if start:
            self.begun = True
            self.started()
        return own

    def hear(self, raw):
        text = clean(raw)
        self.show_line(text)
        if PANIC in text and not self.panic:
            self.panic = text[text.index(PANIC):]
        if FIGURES in text:
            try:
                self.figures["selfcheck"] = json.loads(text[text.index(FIGURES) + len(FIGURES) - 1:])
            except ValueError:
                pass

    def started(self):
        pass

    def show(self, data):
        pass

    def show_line(self, text):
        self.screen.line(text)


class Interactive(Console):
    """Shows bytes as they come. Until the guest begins, the terminal stays as it is. Then it passes
    on what is typed; only the end of a line is still made for it, as the launcher has lines, too."""

    def __init__(self, line, folder, screen):
        super().__init__(line, folder, screen)
        self.before = None  # the terminal's state, to be restored
        screen.say("console: the guest's, as soon as it begins; Ctrl-] ends the run")

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            self.restore()

    def sources(self):
        return super().sources() + ([INPUT] if self.before else [])

    def started(self):
        before = termios.tcgetattr(INPUT)
        self.screen.say("console: Ctrl-] ends the run")
        self.before = before
        atexit.register(self.restore)
        raw = [list(part) if isinstance(part, list) else part for part in before]
        raw[IFLAG] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP |
                        termios.IXON)
        raw[LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        raw[CHARACTERS][termios.VMIN], raw[CHARACTERS][termios.VTIME] = 1, 0
        termios.tcsetattr(INPUT, termios.TCSAFLUSH, raw)

    def restore(self):
        if not self.before:
            return
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # raises for one that came just before
        finally:
            with contextlib.suppress(termios.error):  # it is gone
                termios.tcsetattr(INPUT, termios.TCSADRAIN, self.before)
            self.before = None
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def type(self):
        try:
            keys = os.read(INPUT, CHUNK)
        except OSError:
            keys = b""
        if not keys:
            raise Stopped(signal.SIGHUP)
        before, leave, _ = keys.partition(bytes([LEAVE]))
        if before and self.line:
            with contextlib.suppress(OSError):  # the guest does not read, or it is gone
                self.line.write(before)
        if leave:
            raise Stopped(signal.SIGINT)

    def show(self, data):
        sys.stdout.flush()
        while data:
            data = data[os.write(OUTPUT, data):]

    def show_line(self, text):
        pass


def has_terminal():
    return os.isatty(INPUT) and os.isatty(OUTPUT)


def make(mode, line, folder, screen):
    """`line`: Socket or Terminal, as the machine wants it."""
    if mode == "off":
        return NoConsole()
    return (Console if mode == "log" else Interactive)(line(folder), folder, screen)
