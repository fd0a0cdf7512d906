# SPDX-License-Identifier: MIT
"""L1's kernel out of Debian's backports: the newest that they have for this release of Debian.

APT fetches it through a list of its own, which names the same mirror as the machine's lists do. It
is unpacked below the build folder, beside what L1 needs besides; nothing is installed.
"""
import glob
import os
import shutil

import debian
from bench_kvm import initramfs

FOLDER = "backports"
MODULES = ("kvm-amd", "kvm-intel")


def fetch(top, usual, say):
    """The packages of `top`/backports, unpacked; returns the folder. `usual`: the folder of the
    packages fetched for the usual kernel, of which all but that one are taken."""
    folder = os.path.join(top, FOLDER)
    debs, tree = os.path.join(folder, "packages"), os.path.join(folder, "tree")
    os.makedirs(folder, exist_ok=True)
    debian.fetch(debs, say, (), "the newest kernel from Debian's backports: about 105 MB",
                 kernel=("amd64",), backports=True)
    for path in glob.glob(os.path.join(glob.escape(usual), "*.deb")):
        if not os.path.basename(path).startswith("linux-image-"):
            shutil.copy(path, debs)
    debian.unpack(debs, tree, say)
    initramfs.without_xz(tree, MODULES)
    return tree
