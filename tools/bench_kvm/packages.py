# SPDX-License-Identifier: MIT
"""What the comparison takes from Debian: Linux 6.1, its source, and busybox. Of the source only the
tests of KVM are unpacked, with what they need.
"""
import os
import shutil
import subprocess
import tarfile

import debian
from machines import Problem

SOURCE = "linux-source-6.1"
KERNEL = ("amd64", r"6\.1\.\S+?")
PLAIN = (SOURCE, "linux-libc-dev", "busybox-static")

# Of the source only these are unpacked.
WANTED = ("tools/testing/selftests/kvm/", "tools/testing/selftests/rseq/",
          "tools/testing/selftests/kselftest.h", "tools/include/", "tools/arch/x86/include/",
          "tools/lib/rbtree.c")


def fetch(folder, say, plain=PLAIN, what="its source and busybox from Debian: about 215 MB"):
    """Fills `folder` with the kernel's package and the `plain` ones, unless it is there."""
    if os.path.isdir(folder):
        say("using the packages fetched before; --fresh fetches them again")
    debian.fetch(folder, say, plain, f"Linux 6.1, {what}", KERNEL)


def unpack(packages, folder, say):
    debian.unpack(packages, folder, say, {
        SOURCE: lambda path, new: unpack_source(path, os.path.join(new, "linux"))})


def unpack_source(package, folder):
    """The package is an archive in an archive; neither is ever written out."""
    command = ["dpkg-deb", "--fsys-tarfile", package]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as outer:
                for member in outer:
                    if member.name.endswith(f"/{SOURCE}.tar.xz"):
                        unpack_wanted(outer.extractfile(member), folder)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise Problem(f"cannot unpack {package}: {error}; run again with --fresh") from error
        finally:
            process.kill()
    if not os.path.isdir(os.path.join(folder, WANTED[0])):
        raise Problem(f"{package} holds no {WANTED[0]}; its layout has changed")


def unpack_wanted(stream, folder):
    with tarfile.open(fileobj=stream, mode="r|xz") as inner:
        for member in inner:
            name = member.name.partition("/")[2]
            if member.isfile() and name.startswith(WANTED) and ".." not in name.split("/"):
                path = os.path.join(folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    shutil.copyfileobj(inner.extractfile(member), file)
