# SPDX-License-Identifier: MIT
"""A profile as a picture: for each kind a bar, in the order of execution, and one by function."""
import html

WIDTH, LEFT, BAR, GAP, TEXT = 1100, 10, 28, 96, 13
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f",
           "#ff9da7", "#86bcb6", "#8cd17d", "#d4a6c8")
WIDE = 7  # pixels that a letter takes
RUNS = 60  # of a path


def bar(parts, y, scale, colour):
    x = LEFT
    for name, count in parts:
        width = count * scale
        yield (f'<rect x="{x:.1f}" y="{y}" width="{max(width, .5):.1f}" height="{BAR}" fill="{colour(name)}">'
               f"<title>{html.escape(name)}: {count:.0f}</title></rect>")
        label = f"{name} {count:.0f}"
        if len(label) * WIDE > width:
            label = f"{count:.0f}"
        if len(label) * WIDE <= width:
            yield (f'<text x="{x + width / 2:.1f}" y="{y + BAR / 2 + 4}" text-anchor="middle">'
                   f"{html.escape(label)}</text>")
        x += width


def svg(title, kinds):
    names = list(dict.fromkeys(name for kind in kinds for name, _ in kind.by_function()))

    def colour(name):
        return COLOURS[names.index(name) % len(COLOURS)]

    lines, y = [], 30
    for kind in kinds:
        usual, times = kind.usual()
        scale = (WIDTH - 2 * LEFT) / max(kind.mean, usual.count)
        lines.append(f'<text x="{LEFT}" y="{y}">{html.escape(kind.name)}: {len(kind.stretches)} seen, '
                     f"{kind.mean:.1f} instructions; by function, and below the path of {times} of them</text>")
        lines += bar(kind.by_function(), y + 8, scale, colour)
        lines += bar(usual.runs[:RUNS], y + 12 + BAR, scale, colour)
        y += GAP
    return "\n".join((f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
                      f'font-family="sans-serif" font-size="{TEXT - 2}">', f"<title>{html.escape(title)}</title>",
                      '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>", ""))
