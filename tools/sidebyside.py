# SPDX-License-Identifier: MIT
"""Two recorded runs side by side, by the machine's time since each was moved: the picture, as lines of
a screen. Knows no terminal. tools/demo plays it."""
import view

WALL = 32  # columns
BEFORE_US = 1000000  # shown before the move
CURVE_US = 100000  # of a column
RATE_US = 200000  # that the guest's speed is taken over: it reports once in a pass


def steps(line):
    return sum(vcpu[3] for vcpu in line["vcpus"]) * line["work_pages"] // max(1, len(line["vcpus"]))


def steps_at(lines, us):
    """Of the guest until then, between two lines in proportion; None: before the first or behind the
    last."""
    for before, after in zip(lines, lines[1:]):
        if before["us"] <= us <= after["us"] and after["us"] > before["us"]:
            part = (us - before["us"]) / (after["us"] - before["us"])
            return steps(before) + (steps(after) - steps(before)) * part
    return None


class Run:
    """@lines: of its feed. @title: what it shows. @still: a text, how long it stood still"""

    def __init__(self, lines, title, still):
        self.lines, self.title, self.still = lines, title, still
        self.moved = next((line["us"] for line in lines if line["phase"] != "source"), lines[0]["us"])
        self.span = lines[-1]["us"] - self.moved

    def at(self, us):
        """The last line that came until so long after the move."""
        came = [line for line in self.lines if line["us"] <= self.moved + us]
        return came[-1] if came else self.lines[0]

    def speed(self, us):
        """Steps per second at that time, not across the move; None: nothing is known."""
        begin = self.moved + us
        ends = (begin, begin + RATE_US) if us >= 0 else (begin - RATE_US, begin)
        first, last = (steps_at(self.lines, end) for end in ends)
        return None if first is None or last is None else int((last - first) * 1000000 / RATE_US)


def curve(run, us, most, glyphs, columns):
    """The guest's speed until now; the last column is now."""
    marks, text = glyphs["curve"], ""
    for i in range(columns):
        speed = run.speed(us - (columns - 1 - i) * CURVE_US)
        text += " " if speed is None else marks[min(len(marks) - 1, speed * len(marks) // (most + 1))]
    return text


def what(line):
    """What the guest does: a phrase, and its style."""
    words = [vcpu[0] for vcpu in line["vcpus"]]
    waits = max((vcpu[2] for vcpu in line["vcpus"] if vcpu[0] == "waits"), default=0)
    if words and all(word == "waits" for word in words):
        return f"stands still: {waits / 1000:,.0f} ms", "bad"
    return ("has ended" if words and all(word == "done" for word in words) else "runs"), "good"


def half(run, us, most, width, style):
    """The rows of one side: [(text, style), ...] each."""
    line = run.at(us)
    state = view.State()
    state.now = line
    said, name = what(line)
    here = view.State.counters(line)["pages"]
    speed = run.speed(us)
    rows = [[(run.title, "strong")], *view.wall(state, WALL, style),
            [(f"{view.number(here)} of {view.number(line['pages'])} pages are here", "")],
            [(style.glyphs["waits" if name == "bad" else "runs"] + " ", name), (f"the guest {said}", name)],
            [(curve(run, us, most, style.glyphs, width), "4K")],
            [("" if speed is None else f"{view.number(speed)} steps/s", "dim")]]
    if us >= run.span:
        rows.append([("stood still at most ", ""), (run.still, "strong")])
    return rows


def fill(row, width):
    """Just so wide."""
    out, left = [], width
    for text, name in row:
        out.append((text[:left], name))
        left -= len(out[-1][0])
    return [*out, (" " * left, "")]


def render(runs, us, width, height, style):
    """At most `height` lines, none wider than `width`. @runs: two of Run. @us: since the move"""
    side = max(1, (width - 3) // 2)
    most = max((run.speed(at) or 0 for run in runs
                for at in range(-BEFORE_US, run.span, CURVE_US)), default=0)
    sides = [half(run, us, most, side, style) for run in runs]
    tall = max(len(rows) for rows in sides)
    rows = [fill(left, side) + [(" | " if not style.unicode else " │ ", "dim")] + fill(right, side)
            for left, right in zip(*(rows + [[]] * (tall - len(rows)) for rows in sides))]
    head = [("Both runs, replayed: ", "strong"),
            (f"{us / 1e6:+.1f} s from the move of the guest, by the machine's clock", "")]
    rows = [head, *rows]
    while len(rows) > height and len(rows) > 6:
        del rows[-7 if len(rows) > 8 else 2]  # of the wall
    return [view.clip(row, width, style) for row in rows[:height]]
