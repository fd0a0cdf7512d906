# SPDX-License-Identifier: MIT
"""What the comparison takes from Debian: a Linux, its source, and busybox. Of the source only the
tests of KVM are unpacked, with what they need.
"""
import os
import re
import shutil
import subprocess
import tarfile
from typing import NamedTuple

import debian
from bench_kvm import initramfs
from machines import Problem


class Kernel(NamedTuple):
    wanted: tuple  # what debian.kernel_package() is asked
    backports: bool
    size: str


# By the words of --kernel.
KERNELS = {
    "stable": Kernel(("amd64", r"6\.1\.\S+?"), False, "215 MB"),
    "backports": Kernel(("amd64",), True, "265 MB"),
}
USUAL = "stable"
SOURCE = re.compile(r"linux-source-\d+\.\d+$")
PLAIN = ("linux-source-{version}", "linux-libc-dev", "busybox-static")
MODULE = "kvm-amd"

# Of the source usually only these are unpacked.
TESTS = ("tools/testing/selftests/kvm/", "tools/testing/selftests/rseq/",
          "tools/testing/selftests/kselftest", "tools/include/", "tools/arch/x86/include/",
          "tools/lib/rbtree.c")


def fetch(folder, say, plain=PLAIN, what=None, kernel=USUAL):
    """Fills `folder` with the package of `kernel` and the `plain` ones, unless it is there."""
    if os.path.isdir(folder):
        say("using the packages fetched before; --fresh fetches them again")
    k = KERNELS[kernel]
    linux = "the newest Linux of Debian's backports" if k.backports else "Linux 6.1"
    what = what or f"its source and busybox from Debian: about {k.size}"
    debian.fetch(folder, say, plain, f"{linux}, {what}", k.wanted, k.backports)


def unpack(packages, folder, say):
    sources = [name for name in debian.versions(packages) if SOURCE.match(name)]
    debian.unpack(packages, folder, say, {
        name: lambda path, new: unpack_source(path, os.path.join(new, "linux"), is_test)
        for name in sources})
    initramfs.without_xz(folder, [MODULE])


def is_test(name):
    return name.startswith(TESTS)


def unpack_all(packages, folder, say, wanted):
    """Fills `folder` with the files of the source that are `wanted`, unless it is there."""
    if os.path.isdir(folder):
        return
    say("unpacking the source: up to a minute")
    name = next(filter(SOURCE.match, debian.versions(packages)), "linux-source")
    shutil.rmtree(folder + ".new", ignore_errors=True)
    unpack_source(debian.package_file(packages, name), folder + ".new", wanted)
    os.rename(folder + ".new", folder)


def unpack_source(package, folder, wanted):
    """Fills `folder` with the files whose names are `wanted`. The package is an archive in an
    archive; neither is ever written out."""
    command = ["dpkg-deb", "--fsys-tarfile", package]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as outer:
                for member in outer:
                    if re.search(r"/linux-source-[\d.]+\.tar\.xz$", member.name):
                        unpack_wanted(outer.extractfile(member), folder, wanted)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise Problem(f"cannot unpack {package}: {error}; run again with --fresh") from error
        finally:
            process.kill()
    if not os.path.isdir(os.path.join(folder, "tools")):
        raise Problem(f"{package} holds no tools/; its layout has changed")


def unpack_wanted(stream, folder, wanted):
    with tarfile.open(fileobj=stream, mode="r|xz") as inner:
        for member in inner:
            name = member.name.partition("/")[2]
            if member.isfile() and wanted(name) and ".." not in name.split("/"):
                path = os.path.join(folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    shutil.copyfileobj(inner.extractfile(member), file)
                os.chmod(path, member.mode & 0o755)
