# SPDX-License-Identifier: MIT
"""What the machine says on its serial line, and what the user sees of it."""
import os
import re
import shutil
import sys
import time

ESCAPES = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[ -/]*[@-~]|[@-Z\\^_])")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
OURS = re.compile(r"cleave(?:-json|-boot|-progress|-live|-order)?: ")
VERDICT = re.compile(r"cleave: verdict (PASS|FAIL)$")
JSON, PROGRESS, LIVE, ORDER = "cleave-json: ", "cleave-progress: ", "cleave-live: ", "cleave-order: "
BOOT = "cleave-boot: "

# The words of EDK2, which is in OVMF and in most machines.
STARTED = re.compile(r"BdsDxe: starting Boot")
FAILED = re.compile(r"BdsDxe: failed to (?:load|start) Boot\S*.*")
GAVE_UP = re.compile(r"UEFI Interactive Shell|BdsDxe: No bootable option|"
                     r"BdsDxe: (?:loading|starting) Boot\S+ \"(?:EFI Internal Shell|UiApp)\"")


class SerialLog:
    """Whole lines of a growing serial log, from the first that is the hypervisor's own; of the
    firmware's it notes what matters."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.rest = b""
        self.begun = False
        self.started = None  # when the firmware started something that has not said a word yet
        self.failure = ""  # what it could not start
        self.gave_up = ""  # what shows that it starts nothing any more

    def lines(self, last=False):
        """The lines that came since the last call; `last`: an unfinished one, too."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                new = file.read()
        except FileNotFoundError:
            new = b""
        self.offset += len(new)
        *whole, self.rest = (self.rest + new).split(b"\n")
        if last and self.rest:
            whole, self.rest = whole + [self.rest], b""
        return [line for raw in whole if (line := self._own(clean(raw))) is not None]

    def _own(self, line):
        """The firmware does not end its last line: ours may begin in the middle of one."""
        if self.begun:
            # A guest may print anything, but not at the beginning of a line.
            if GAVE_UP.match(line):
                self.gave_up = line
            return line
        if match := OURS.search(line):
            self.begun = True
            return line[match.start():]
        if GAVE_UP.search(line):
            self.gave_up = line
        elif match := FAILED.search(line):
            self.failure = re.sub(r" *\" from .*?: ", '": ', match.group(0))
        elif STARTED.search(line):
            self.started = time.monotonic()
        return None


def clean(raw):
    return CONTROLS.sub("", ESCAPES.sub("", raw.decode("utf-8", "replace"))).rstrip()


def tail(path, count):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16384))
            lines = [clean(raw) for raw in file.read().split(b"\n")]
    except OSError:
        return []
    return [line for line in lines if line][-count:]


class Screen:
    """Standard output: lines, and one progress line that is rewritten where that is possible."""

    def __init__(self, quiet, terminal=True):
        self.quiet = quiet
        self.terminal = terminal and sys.stdout.isatty()
        self.pending = False  # the cursor stands in a progress line

    def say(self, line):
        self.end_progress()
        print(line, flush=True)

    def line(self, line):
        if not self.quiet:
            self.say(line)

    def progress(self, text):
        if self.quiet:
            return
        if not self.terminal:
            self.say(text)
            return
        width = shutil.get_terminal_size().columns
        self.pending = True  # before it is true: a signal may come in between
        sys.stdout.write("\r" + text[:width - 1] + "\x1b[K")
        sys.stdout.flush()

    def live(self, text):
        """A line of the live feed: for the view only."""

    def end_progress(self):
        if self.pending:
            print(flush=True)
            self.pending = False


class Listener:
    """Sorts the hypervisor's lines: to the screen, to the report, and the verdict to itself."""

    def __init__(self, screen, report):
        self.screen = screen
        self.report = report
        self.verdict = None
        self.verdict_time = None

    def hear(self, line):
        if line.startswith(ORDER):
            pass  # tools/order reads the log
        elif line.startswith(JSON):
            self.report.add_run(line[len(JSON):])
        elif line.startswith(BOOT):
            self.report.add_boot(line[len(BOOT):])
        elif line.startswith(PROGRESS):
            self.screen.progress(line[len(PROGRESS):])
        elif line.startswith(LIVE):
            self.screen.live(line[len(LIVE):])
        else:
            self.screen.line(line)
        if self.verdict:
            self.verdict_time = time.monotonic()
        if match := VERDICT.match(line):
            self.verdict = match.group(1)
            self.verdict_time = time.monotonic()
