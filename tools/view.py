# SPDX-License-Identifier: MIT
"""The live view's picture: what the feed said, as lines of a screen. Knows no terminal.

State takes the feed's lines `cleave-live: {...}` (docs/view.md says what is in them); render() makes
of it as many lines as a screen has, none wider than it is.
"""
import collections
import textwrap

RANGE = 512  # pages of 2 MiB
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
HISTORY = 48  # values of a vCPU's curve
RATE_US = 500000  # that rates are taken over
WALL, WALL_NARROW = 64, 32  # columns

UNICODE = {"absent": "·", "fills": "·▁▂▃▄▅▆▇", "2M": "█", "1G": "█", "lost": "✗", "bar": "█",
           "runs": "▶", "waits": "⏸", "idle": "◦", "done": "✓", "dead": "✗", "rule": "─",
           "curve": "▁▂▃▄▅▆▇█"}
ASCII = {"absent": ".", "fills": ".:-=+*xX", "2M": "#", "1G": "@", "lost": "!", "bar": "@",
         "runs": ">", "waits": "|", "idle": "o", "done": "=", "dead": "!", "rule": "-",
         "curve": "_.:-=+*#"}
ASCII_LENS = " .:-=+*%#"  # by how many of eight pages are here

# Three steps of one hue, since sizes have an order; and orange, which everybody tells from blue.
COLOURS_256 = {"absent": "38;5;240", "4K": "38;5;117", "2M": "38;5;33", "1G": "38;5;27",
               "lost": "38;5;208", "good": "38;5;117", "bad": "38;5;208", "dim": "38;5;245",
               "strong": "1"}
COLOURS_8 = {"absent": "2", "4K": "36", "2M": "34", "1G": "1;34", "lost": "33", "good": "36",
             "bad": "33", "dim": "2", "strong": "1"}

KEYS = (("space", " pause "), ("l", " slow "), ("p", " poison "), ("d", " discard "),
        ("s", " split "), ("k", " collapse "), ("c", " cut "), ("r", " mend "), ("q", " quit "),
        ("?", ""))
MESSAGE_LINES = 3
HELP = (
    "One cell is 2 MiB of the guest's memory; 512 of them are 1 GiB.",
    "  {absent} has not arrived     {low} {high} arrives in pages of 4 KiB, so full",
    "  {leaf} one leaf of 2 MiB; when all are one leaf of 1 GiB, the wall is one bar",
    "  {lost} something of it is lost",
    "The lens below the wall shows the 512 pages of the 2 MiB that are being filled.",
    "",
    "  space  pause the background stream, or let it go: only what is touched comes then",
    "  l      the stream slower, and slower, and unlimited again",
    "  c  r   cut the link to the source: a vCPU stops at the first page it lacks; restore it",
    "  s  k   split all memory into 4 KiB pages; collapse it again",
    "  p  P   poison a page that the guest does not use, or one that it does: it dies of it",
    "  d  D   discard a page, likewise: its own check finds it",
    "  q      end the run, which has failed then; twice: at once",
    "",
    "What you change is in the run's report, and may make its verdict FAIL.",
)


class Style:
    """How much the terminal can do."""

    def __init__(self, unicode=True, colours=None):
        self.glyphs = UNICODE if unicode else ASCII
        self.unicode = unicode
        self.colours = colours or {}

    def paint(self, text, name):
        code = self.colours.get(name)
        return f"\x1b[{code}m{text}\x1b[0m" if code and text else text


class State:
    """What the feed has said of the run that goes on."""

    def __init__(self):
        self.now = None      # the feed's last line
        self.message = ""    # what the last command was answered
        self.help = False
        self.past = []       # (run, curve) of the runs before
        self._forget()

    def _forget(self):
        self.samples = collections.deque()  # (us, counters), for the rates
        self.rates = {}
        self.curves = collections.defaultdict(lambda: collections.deque(maxlen=HISTORY))

    def update(self, line):
        """@line: a dictionary. Whatever is missing or of another kind raises KeyError, TypeError or
        ValueError, and changes nothing."""
        sample = (line["us"], self.counters(line))
        for key, kind in (("run", str), ("phase", str), ("pages", int), ("work", int),
                          ("work_pages", int), ("leaves", list), ("cells", str),
                          ("lens", int), ("lens_pages", str), ("changes", int)):
            if not isinstance(line[key], kind):
                raise TypeError(key)
        int(line["lens_pages"], 16)
        if self.now and (line["run"], line["us"] < self.now["us"]) != (self.now["run"], False):
            if line["run"] != self.now["run"]:
                self.past = [*self.past, (self.now["run"], list(self.curves["steps 0"]))][-2:]
            self._forget()
        self.now = line
        self._rate(sample)

    @staticmethod
    def counters(line):
        leaves = line["leaves"]
        counts = {"pages": leaves[0] + leaves[1] * 512 + leaves[2] * 262144,
                  "splits": line["splits"], "collapses": line["collapses"],
                  "faults": sum(vcpu[4] for vcpu in line["vcpus"])}
        each = line["work_pages"] // max(1, len(line["vcpus"]))
        for i, vcpu in enumerate(line["vcpus"]):
            counts[f"steps {i}"] = vcpu[3] * each
            counts[f"blocked {i}"] = vcpu[5]
        return counts

    def _rate(self, sample):
        self.samples.append(sample)
        while len(self.samples) > 2 and sample[0] - self.samples[1][0] >= RATE_US:
            self.samples.popleft()
        first = self.samples[0]
        us = sample[0] - first[0]
        if us <= 0:
            return
        # Another VM's counters begin anew.
        self.rates = {key: max(0, (value - first[1].get(key, value)) * 1000000 // us)
                      for key, value in sample[1].items()}
        for key, value in self.rates.items():
            if key.startswith("steps"):
                self.curves[key].append(value)

    def is_bar(self):
        return bool(self.now["cells"]) and set(self.now["cells"]) == {"@"}


# --- pieces: rows of (text, style)


def number(value):
    return f"{value:,}"


def cell(letter, glyphs):
    """A letter of the feed: its glyph and its style."""
    if letter == "!":
        return glyphs["lost"], "lost"
    if letter in "#@":
        return (glyphs["2M"], "2M") if letter == "#" else (glyphs["1G"], "1G")
    fill = DIGITS.find(letter)
    if fill < 0:
        return glyphs["absent"], "absent"
    # Nothing and everything are exact, eighths in between.
    eighth = 0 if fill == 0 else min(7, 1 + fill * 7 // 64)
    return glyphs["fills"][eighth], "4K"


def wall(state, columns, style):
    cells, glyphs = state.now["cells"], style.glyphs
    rows = []
    for at in range(0, max(len(cells), 1), columns):
        row = []
        for letter in cells[at:at + columns]:
            text, name = cell(letter, glyphs)
            if row and row[-1][1] == name:
                row[-1] = (row[-1][0] + text, name)
            else:
                row.append((text, name))
        rows.append(row)
    if state.is_bar() and len(rows) > 1:
        text = f" one leaf of 1 GiB: {number(state.now['pages'])} pages, one entry "
        if state.now["pages"] > 262144:
            text = f" {state.now['leaves'][2]} leaves of 1 GiB "
        left = (columns - len(text)) // 2
        if left > 0:
            bar = glyphs["bar"]
            rows[len(rows) // 2 - 1] = [(bar * left, "1G"), (text, "strong"),
                                        (bar * (columns - left - len(text)), "1G")]
    return rows


def lens(state, style):
    """512 pages in 64 characters: a braille cell has eight dots."""
    digits = state.now["lens_pages"]
    text = ""
    for at in range(0, len(digits), 2):
        bits = int(digits[at:at + 2], 16)
        # The first page is the upper left dot, then down, then the right column.
        dots = sum(1 << dot for page, dot in enumerate((0, 1, 2, 6, 3, 4, 5, 7))
                   if bits >> (7 - page) & 1)
        text += chr(0x2800 + dots) if style.unicode else ASCII_LENS[bin(bits).count("1")]
    return text


def curve(values, glyphs, columns):
    values = list(values)[-columns:]
    most = max(values, default=0)
    steps = glyphs["curve"]
    return "".join(steps[0] if not most else steps[min(len(steps) - 1, value * len(steps) // (most + 1))]
                   for value in values)


def duration(us):
    return f"{us} us" if us < 10000 else f"{us // 1000} ms" if us < 10000000 else f"{us // 1000000} s"


def vcpu_row(state, i, style):
    word, gfn, us = state.now["vcpus"][i][:3]
    glyphs, rates = style.glyphs, state.rates
    sign, name = {"running": ("runs", "good"), "waits": ("waits", "bad"), "done": ("done", "good"),
                  "dead": ("dead", "bad"), "halted": ("dead", "bad")}.get(word, ("idle", "dim"))
    what = f"waits for page 0x{gfn:x}, {duration(us)}" if word == "waits" else word
    steps = f"{number(rates.get(f'steps {i}', 0))} steps/s"
    return [(f"vcpu {i} ", ""), (f"{glyphs[sign]} {what:<34}", name), (f"{steps:>17} ", ""),
            (curve(state.curves[f"steps {i}"], glyphs, 17), "4K")]


def past_row(name, values, style):
    return [(f"before: {name:<53} ", "dim"), (curve(values, style.glyphs, 17), "dim")]


def title_row(state):
    now = state.now
    here = state.counters(now)["pages"]
    percent = here * 100 // max(1, now["pages"])
    return [("Cleave", "strong"), (f"  {now['run']}: ", ""), (now["phase"], "strong"),
            (f"  {now['us'] / 1e6:.1f} s  {number(here)} of {number(now['pages'])} pages, "
             f"{percent}%", "")] + \
        ([(f"  changed: {now['changes']}", "bad")] if now["changes"] else [])


def side(state):
    """What stands beside the wall."""
    now = state.now
    leaves = now["leaves"]
    return [f"4K {number(leaves[0]):>8}", f"2M {number(leaves[1]):>8}", f"1G {number(leaves[2]):>8}",
            f"tables {number(now['tables']):>4}", "", f"lost {number(now['poisoned']):>6}",
            f"given up {number(now['discarded']):>2}", ""]


def rates_row(state):
    now, rates = state.now, state.rates
    rate = now.get("rate", -1)
    stream = "unlimited" if rate < 0 else "pauses" if rate == 0 else f"{rate} pages/ms"
    return [(f"{number(rates.get('pages', 0))} pages/s   {rates.get('faults', 0)} faults/s   "
             f"{rates.get('splits', 0)} splits/s   {rates.get('collapses', 0)} collapses/s   ", ""),
            (f"stream {stream}", "bad" if rate == 0 else ""),
            ("   source CUT" if now.get("cut") else "", "bad")]


def lens_rows(state, style):
    now = state.now
    text = lens(state, style)
    here = sum(bin(int(digit, 16)).count("1") for digit in now["lens_pages"])
    return [[(text, "4K")],
            [(f"lens: 2 MiB at 0x{now['lens'] << 12:x}, {here} of {RANGE} pages are here", "dim")]]


def keys_row():
    return [part for key, what in KEYS for part in ((key, "strong"), (what, "dim"))]


def message_rows(state, width):
    lines = textwrap.wrap(state.message, max(1, width))[:MESSAGE_LINES]
    return [[(line, "bad" if ": error: " in state.message else "good")] for line in lines or [""]]


def legend_row(style):
    glyphs = style.glyphs
    return [(glyphs["absent"], "absent"), (" absent   ", "dim"),
            (glyphs["fills"][1] + glyphs["fills"][-1], "4K"), (" in 4 KiB pages   ", "dim"),
            (glyphs["2M"], "2M"), (" 2 MiB leaf   ", "dim"), (glyphs["1G"], "1G"),
            (" 1 GiB leaf   ", "dim"), (glyphs["lost"], "lost"), (" lost", "dim")]


def help_rows(style):
    glyphs = style.glyphs
    return [[(line.format(absent=glyphs["absent"], low=glyphs["fills"][1],
                          high=glyphs["fills"][-1], leaf=glyphs["2M"], lost=glyphs["lost"]), "")]
            for line in HELP]


# --- the screen


def clip(row, width, style):
    """The row's text as it goes to the terminal, at most so many cells wide."""
    out = ""
    for text, name in row:
        text = text[:max(0, width)]
        width -= len(text)
        out += style.paint(text, name)
    return out.rstrip(" ")


def picture(state, width, style):
    """(how dispensable, row) for each line; 0: stays."""
    columns = WALL if width >= WALL else WALL_NARROW
    rows = [(0, title_row(state)), (5, [])]
    beside = side(state) if width >= columns + 14 and columns == WALL else []
    for i, row in enumerate(wall(state, columns, style)):
        have = sum(len(text) for text, _ in row)
        more = [(" " * (columns - have + 2), ""), (beside[i], "dim")] if i < len(beside) else []
        rows.append((1, row + more))
    rows += [(3, legend_row(style)), (5, [])]
    rows += [(2, row) for row in lens_rows(state, style)]
    rows.append((5, []))
    rows += [(0, vcpu_row(state, i, style)) for i in range(len(state.now["vcpus"]))]
    rows += [(4, past_row(name, values, style)) for name, values in state.past]
    rows += [(2, rates_row(state)), (5, [])]
    rows += [(4 * bool(i), row) for i, row in enumerate(message_rows(state, width))]
    rows.append((1, keys_row()))
    return rows


def render(state, width, height, style):
    """At most `height` lines, none wider than `width` cells."""
    if not state.now:
        return ["waiting for the machine"[:width]][:height]
    if state.help:
        rows = help_rows(style)[:max(0, height - 1)] + [[("any key: back", "strong")]]
        return [clip(row, width, style) for row in rows][:height]
    rows = picture(state, width, style)
    while len(rows) > height:
        worst = max(rank for rank, _ in rows)
        if worst == 0:
            rows = rows[:height]
            break
        # From below, so that the wall keeps its upper rows.
        at = max(i for i, (rank, _) in enumerate(rows) if rank == worst)
        del rows[at]
    return [clip(row, width, style) for _, row in rows]


# --- what the keys ask for


RATES = (64, 16, 4, 1, -1)  # that `l` goes through


def slower(rate):
    """The next rate after this one; -1: unlimited."""
    if rate < 0:
        return RATES[0]
    return next((r for r in RATES if 0 <= r < rate), -1)


def pick(state, used, n):
    """The n-th page to break: of those that the guest uses, or of those above them. None: none."""
    now = state.now
    first, pages = now["work"], now["work_pages"]
    if not used:
        first = now["work"] + now["work_pages"]
        pages = now["pages"] - first
    return first + (n * 7919 + 4001) % pages if pages > 0 else None


def command(key, state, n):
    """What the monitor is told for a key, or None; a page that is broken is the n-th."""
    now = state.now
    if key == " ":
        return "stream go" if now.get("rate") == 0 else "stream pause"
    if key == "l":
        rate = slower(now.get("rate", -1))
        return f"stream {'unlimited' if rate < 0 else rate}"
    if key in ("p", "P", "d", "D"):
        page = pick(state, key.isupper(), n)
        what = "poison" if key in "pP" else "discard"
        return None if page is None else f"ept {what} 0x{page << 12:x} 4K"
    whole = f"0 {now['pages'] * 4}K"
    return {"s": f"ept split {whole}", "k": f"ept collapse {whole}", "c": "source cut",
            "r": "source restore", "q": "quit"}.get(key)
