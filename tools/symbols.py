# SPDX-License-Identifier: MIT
"""Which file needs which, by the symbols of the objects, and the circles in that.

An object is named after its source: OBJECTS/hv/vm/run.c.o is made from hv/vm/run.c. An object whose
source is gone is an old one, and is left out.
"""
import os
import subprocess
from typing import NamedTuple

# The compiler calls these by itself, from wherever it likes.
COMPILERS_OWN = {"memcmp", "memcpy", "memmove", "memset"}


class Need(NamedTuple):
    """File `user` needs `symbol`, which file `definer` defines."""
    user: str
    definer: str
    symbol: str


def find_objects(folder):
    """Every object below the folder, by its full name."""
    return sorted(os.path.join(where, name) for where, _, names in os.walk(folder)
                  for name in names if name.endswith(".o"))


def named_after(source_root, folder, objects):
    """Object -> source, for objects whose source is there. In `folder` an object is called
    x.c.o or x.o, and its source x.c or x.asm."""
    sources = {}
    for path in objects:
        base = os.path.relpath(path, folder).removesuffix(".o")
        for name in (base, base + ".c", base + ".asm"):
            if os.path.isfile(os.path.join(source_root, name)):
                sources[path] = name
                break
    return sources


def read_symbols(objects):
    """Object -> (symbols that it defines for others, symbols that it needs)."""
    found = {path: (set(), set()) for path in objects}
    done = subprocess.run(["nm", "-A", "-g", "-P", *objects], text=True, check=True,
                          stdout=subprocess.PIPE)
    for line in done.stdout.splitlines():
        path, _, rest = line.rpartition(": ")
        name, kind = rest.split()[:2]
        found[path][kind in "Uwv"].add(name)
    return found


def find_needs(sources):
    """The needs among the files. A symbol that several files define (each payload has its own
    main function) says nothing of which of them is needed."""
    symbols = read_symbols(sources)
    definers = {}
    for path, (defined, _) in symbols.items():
        for symbol in defined:
            definers.setdefault(symbol, []).append(sources[path])
    return [Need(sources[path], definers[symbol][0], symbol)
            for path in sources for symbol in sorted(symbols[path][1])
            if symbol not in COMPILERS_OWN and len(definers.get(symbol, ())) == 1
            and definers[symbol][0] != sources[path]]


def folders_of(files):
    """Every folder above the files, the root ("") first."""
    found = {""}
    for path in files:
        while path := os.path.dirname(path):
            found.add(path)
    return sorted(found)


def child_of(folder, path):
    """The file or the subfolder directly in `folder` that `path` is, or lies in; None: outside."""
    prefix = folder + "/" if folder else ""
    return prefix + path[len(prefix):].split("/")[0] if path.startswith(prefix) else None


def arrows_in(folder, needs):
    """(child, child) -> one need, for what the folder's children need of each other."""
    arrows = {}
    for need in needs:
        pair = child_of(folder, need.user), child_of(folder, need.definer)
        if None not in pair and pair[0] != pair[1]:
            arrows.setdefault(pair, need)
    return arrows


def reach(start, targets):
    """All that can be reached from `start` along the arrows."""
    seen, todo = set(), [start]
    while todo:
        fresh = targets.get(todo.pop(), set()) - seen
        seen |= fresh
        todo += fresh
    return seen


def find_circles(arrows):
    """Groups of children each of which reaches all others of its group."""
    targets = {}
    for user, definer in arrows:
        targets.setdefault(user, set()).add(definer)
    reached = {node: reach(node, targets) for node in targets}
    circles = {frozenset(other for other in there if node in reached.get(other, ()))
               for node, there in reached.items() if node in there}
    return sorted(sorted(circle) for circle in circles)


def describe(circle, arrows):
    """The members in one line, then a line for each arrow with a symbol as evidence."""
    yield f"a circle of {len(circle)}: {', '.join(circle)}"
    for (user, definer), need in sorted(arrows.items()):
        if user in circle and definer in circle:
            where = "" if (user, definer) == need[:2] else f" ({need.user}, {need.definer})"
            yield f"{user} -> {definer}: {need.symbol}{where}"


def check_circles(sources):
    """Yields (folder, complaints) for every folder at every depth; "" is the root."""
    needs = find_needs(sources)
    for folder in folders_of(sources.values()):
        arrows = arrows_in(folder, needs)
        yield folder, [line for circle in find_circles(arrows)
                       for line in describe(circle, arrows)]
