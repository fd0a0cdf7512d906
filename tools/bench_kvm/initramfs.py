# SPDX-License-Identifier: MIT
"""The initramfs: an uncompressed cpio archive in the "newc" format, which the kernel's own
Documentation/driver-api/early-userspace/buffer-format.rst describes, and the order in which a
module and what it depends on must be loaded.
"""
import glob
import lzma
import os
import re
import shutil

from machines import Problem

FOLDER, FILE = 0o040000, 0o100000
TRAILER = "TRAILER!!!"


def entry(inode, name, mode, data=b""):
    """One member: 110 bytes of header, the name, the data, the latter two padded to 4 bytes."""
    encoded = name.encode() + b"\0"
    links = 2 if mode & FOLDER else 1
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    named = header + encoded
    return named + bytes(-len(named) % 4) + data + bytes(-len(data) % 4)


def archive(folders, files):
    """`files` maps names to (mode, bytes); the folders of files must be among `folders`."""
    members = [(name, FOLDER | 0o755, b"") for name in folders]
    members += [(name, FILE | mode, data) for name, (mode, data) in files.items()]
    members.append((TRAILER, 0, b""))
    return b"".join(entry(number, *member) for number, member in enumerate(members, 1))


def needs(module):
    """The names of the modules that this one's .modinfo section asks for."""
    with open(module, "rb") as file:
        found = re.search(rb"\0depends=([^\0]*)\0", file.read())
    return [name for name in (found.group(1).decode() if found else "").split(",") if name]


def find_module(root, name):
    """Modules are named with - or _ alike."""
    pattern = "".join("[-_]" if c in "-_" else c for c in name)
    found = glob.glob(os.path.join(root, "**", f"{pattern}.ko"), recursive=True)
    if len(found) != 1:
        raise Problem(f"expected one {name}.ko below {root}, found {len(found)}: "
                      "the kernel's package has changed; run again with --fresh")
    return found[0]


def without_xz(tree, modules):
    """Newer kernels' modules are compressed, which busybox cannot load: puts `modules` and what
    they need beside those, as they are when unpacked."""
    names, done = list(modules), set()
    while names:
        name = names.pop().replace("-", "_")
        if name in done:
            continue
        done.add(name)
        pattern = os.path.join(glob.escape(tree), "lib", "modules", "**",
                               name.replace("_", "[-_]") + ".ko.xz")
        for path in glob.glob(pattern, recursive=True):
            plain = path.removesuffix(".xz")
            with lzma.open(path) as packed, open(plain + ".new", "wb") as file:
                shutil.copyfileobj(packed, file)
            os.rename(plain + ".new", plain)
            names += needs(plain)


def load_order(root, wanted):
    """Paths of `wanted` and all that it needs, each behind what it depends on."""
    order, stack = [], [wanted]
    while stack:
        path = find_module(root, stack[-1])
        waiting = [n for n in needs(path) if find_module(root, n) not in order]
        if waiting:
            if waiting[0] in stack:
                raise Problem(f"the modules below {root} depend on each other in a circle")
            stack.append(waiting[0])
            continue
        stack.pop()
        if path not in order:
            order.append(path)
    return order
