# SPDX-License-Identifier: MIT
"""What the scripts that break the sources on purpose have in common."""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def broken(path, edits):
    """The text of the file at `path`, named from the root, with each (text, replacement) made.

    RuntimeError where a text does not stand there exactly once: the break would be another one, or
    none.
    """
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    for old, new in edits:
        if text.count(old) != 1:
            raise RuntimeError(f"the text to replace stands {text.count(old)} times in {path}: "
                               f"{old.strip().splitlines()[0]!r}")
        text = text.replace(old, new)
    return text
