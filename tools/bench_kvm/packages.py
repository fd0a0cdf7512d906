# SPDX-License-Identifier: MIT
"""What the comparison takes from Debian: fetched by APT, which checks the signatures, at the moment
it is needed, and unpacked below the build folder. Nothing of it is installed. Each of the two
folders appears under its name only when it is complete, so an interrupted run leaves no half.
"""
import glob
import os
import re
import shutil
import subprocess
import tarfile

from machines import Problem

SOURCE = "linux-source-6.1"
KERNEL = re.compile(r"^Depends:.*?\b(linux-image-6\.1\.\S+-amd64)\b", re.MULTILINE)
PLAIN = (SOURCE, "linux-libc-dev", "busybox-static")
FETCH_SECONDS = 900

# Of the source only these are unpacked.
WANTED = ("tools/testing/selftests/kvm/", "tools/testing/selftests/rseq/",
          "tools/testing/selftests/kselftest.h", "tools/include/", "tools/arch/x86/include/",
          "tools/lib/rbtree.c")


def run(*argv, cwd=None, timeout=FETCH_SECONDS):
    """(exit status, output). What it started is gone afterwards, also if it took too long."""
    try:
        done = subprocess.run(argv, cwd=cwd, timeout=timeout, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                              env={**os.environ, "LC_ALL": "C"})
    except subprocess.TimeoutExpired:
        raise Problem(f"{argv[0]} took more than {timeout} s; look at the network or the load of "
                      "this machine, and run it again") from None
    return done.returncode, done.stdout


def kernel_package(show):
    """The image that the text of `apt-cache show linux-image-amd64` depends on, or None."""
    found = KERNEL.search(show)
    return found.group(1) if found else None


def fetch_once(folder, plain):
    """Why it failed, or an empty text."""
    status, text = run("apt-cache", "show", "--no-all-versions", "linux-image-amd64")
    if status:
        return text
    kernel = kernel_package(text)
    if not kernel:
        return "linux-image-amd64 is not Linux 6.1 here"
    # Without a sandbox user APT does not complain that it may not write here.
    status, text = run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
                       kernel, *plain, cwd=folder)
    return text if status else ""


def fetch(folder, say, plain=PLAIN, what="its source and busybox from Debian: about 215 MB"):
    """Fills `folder` with the kernel's package and the `plain` ones, unless it is there."""
    if os.path.isdir(folder):
        say("using the packages fetched before; --fresh fetches them again")
        return
    say(f"fetching Linux 6.1, {what}")
    new = empty(folder + ".new")
    error = fetch_once(new, plain)
    if error and os.geteuid() == 0:
        say("that failed; fetching the package lists and trying again")
        run("apt-get", "-q", "update")
        error = fetch_once(empty(new), plain)
    if error:
        raise Problem(f"cannot fetch the packages: {last_line(error)}; APT must know Debian 12 "
                      "(bookworm) and have fresh lists of it: run apt-get update as root")
    os.rename(new, folder)


def last_line(text):
    """APT's own errors are better than what follows them."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E: ")]
    return (errors or lines or ["no reason given"])[0 if errors else -1].rstrip(".")


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def versions(folder):
    """Package names and versions, from the names that APT gives to files."""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.deb"))):
        name, version, _ = os.path.basename(path).split("_")
        found[name] = version.replace("%3a", ":")
    return found


def package_file(folder, name):
    found = glob.glob(os.path.join(glob.escape(folder), f"{name}_*.deb"))
    if len(found) != 1:
        raise Problem(f"expected one package {name} in {folder}, found {len(found)}; "
                      "run again with --fresh")
    return found[0]


def unpack(packages, folder, say):
    """Fills `folder` with the contents of the packages, and with the wanted part of the source."""
    if os.path.isdir(folder):
        return
    say("unpacking the packages: up to a minute")
    new = empty(folder + ".new")
    for name in versions(packages):
        path = package_file(packages, name)
        if name == SOURCE:
            unpack_source(path, os.path.join(new, "linux"))
            continue
        status, text = run("dpkg-deb", "-x", path, new)
        if status:
            raise Problem(f"cannot unpack {path}: {last_line(text)}; run again with --fresh")
    os.rename(new, folder)


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
