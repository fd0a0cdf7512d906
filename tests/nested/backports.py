# SPDX-License-Identifier: MIT
"""L1's kernel out of Debian's backports: the newest that they have for this release of Debian.

APT fetches it through a list of its own, which names the same mirror as the machine's lists do. It
is unpacked below the build folder, beside what L1 needs besides; nothing is installed.
"""
import glob
import lzma
import os
import re
import shutil

import own_apt
from bench_kvm import initramfs, packages
from machines import Problem

METAPACKAGE = "linux-image-amd64"
KERNEL = re.compile(rf"^Depends:.*?\b(linux-image-\S+-amd64)\b", re.MULTILINE)
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
FOLDER = "backports"
MODULES = ("kvm-amd", "kvm-intel")


def kernel_package(show):
    """The image that the text of `apt-cache show` depends on, or None."""
    found = KERNEL.search(show)
    return found.group(1) if found else None


def source_line(targets):
    """The list's line. `targets`: "codename uri" of each list of the machine's: that whose codename
    has no second half names the release, and where it is had."""
    places = [words for words in map(str.split, targets) if len(words) == 2 and "-" not in words[0]]
    if not places:
        raise Problem("APT knows no list of a Debian release, so its backports have no name: add "
                      "the line of the release to sources.list and run apt-get update as root")
    codename, uri = places[0]
    signed = f"[signed-by={KEYS}] " if os.path.exists(KEYS) else ""
    return f"deb {signed}{uri} {codename}-backports main\n"


def download(folder):
    """The kernel's package, into `folder`/packages."""
    lists = packages.empty(os.path.join(folder, "lists"))
    line = source_line(own_apt.targets("$(CODENAME) $(REPO_URI)", "the backports' kernel"))
    with open(os.path.join(lists, "backports.list"), "w", encoding="ascii") as file:
        file.write(line)
    own = own_apt.options(folder, lists)
    status, text = packages.run("apt-get", *own, "-o", "APT::Update::Error-Mode=any", "update")
    kernel = None
    if not status:
        status, text = packages.run("apt-cache", *own, "show", "--no-all-versions", METAPACKAGE)
        kernel = kernel_package(text)
    if kernel:
        status, text = packages.run("apt-get", *own, "download", kernel,
                                    cwd=packages.empty(os.path.join(folder, "packages")))
    if status or not kernel:
        raise Problem(f"cannot fetch a kernel from the backports: {packages.last_line(text)}; the "
                      "mirror in sources.list must have them; else leave out the choice of a kernel")


def without_xz(tree):
    """Newer kernels' modules are compressed, which busybox cannot load: MODULES and what they need,
    beside those."""
    names, done = list(MODULES), set()
    while names:
        name = names.pop().replace("-", "_")
        if name in done:
            continue
        done.add(name)
        pattern = os.path.join(glob.escape(tree), "lib", "modules", "**",
                               name.replace("_", "[-_]") + ".ko.xz")
        for path in glob.glob(pattern, recursive=True):
            with lzma.open(path) as packed, open(path.removesuffix(".xz"), "wb") as plain:
                shutil.copyfileobj(packed, plain)
            names += initramfs.needs(path.removesuffix(".xz"))


def fetch(top, usual, say):
    """The packages of `top`/backports, unpacked; returns the folder. `usual`: the folder of the
    packages fetched for the usual kernel, of which all but that one are taken."""
    folder = os.path.join(top, FOLDER)
    if not os.path.isdir(folder):
        say("fetching the newest kernel from Debian's backports: about 105 MB")
        new = packages.empty(folder + ".new")
        download(new)
        for path in glob.glob(os.path.join(glob.escape(usual), "*.deb")):
            if not os.path.basename(path).startswith("linux-image-"):
                shutil.copy(path, os.path.join(new, "packages"))
        os.rename(new, folder)
    tree = os.path.join(folder, "tree")
    packages.unpack(os.path.join(folder, "packages"), tree, say)
    without_xz(tree)
    return tree
