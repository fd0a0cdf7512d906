# SPDX-License-Identifier: MIT
"""Packages of Debian's: fetched by APT, which checks the signatures, at the moment they are needed,
and unpacked below the build folder. Nothing of them is installed, and no list of the machine's APT
changes. A folder appears under its name only when it is complete, so an interrupted run leaves no
half.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

from machines import Problem

FETCH_SECONDS = 900
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHIVE, RELEASE = "http://deb.debian.org/debian/", "bookworm"
# Without a sandbox user APT does not complain that it may not write here.
APT = ("apt-get", "-q", "-o", "APT::Sandbox::User=root")


def run(*argv, cwd=None, timeout=FETCH_SECONDS):
    """(exit status, output). What it started is gone afterwards, also if it took too long."""
    try:
        done = subprocess.run(argv, cwd=cwd, timeout=timeout, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                              env={**os.environ, "LC_ALL": "C"})
    except subprocess.TimeoutExpired:
        raise Problem(f"{argv[0]} took more than {timeout} s; look at the network or the load of "
                      "this machine, and run it again") from None
    except FileNotFoundError:
        raise Problem(f"{argv[0]} is not installed: it is a part of Debian") from None
    return done.returncode, done.stdout


def last_line(text):
    """APT's own errors are better than what follows them."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E: ")]
    return (errors or lines or ["no reason given"])[0 if errors else -1].rstrip(".")


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def own_lists(folder, entries):
    """Options for APT that make it use `entries` in place of the machine's lists. All that it
    writes is in `folder`."""
    sources = empty(os.path.join(folder, "lists"))
    for name, text in entries.items():
        with open(os.path.join(sources, name), "w", encoding="utf-8") as file:
            file.write(text)
    return ["-o", "Dir::Etc::sourcelist=-", "-o", f"Dir::Etc::sourceparts={sources}",
            "-o", f"Dir::State={empty(os.path.join(folder, 'state'))}",
            "-o", f"Dir::Cache={empty(os.path.join(folder, 'cache'))}"]


def archives(backports):
    """The machine's own archives of Debian's, as lines for APT; without any, Debian's first."""
    _, text = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(CODENAME)",
                  "Created-By: Packages", "Component: main")
    found = [line.split()[1:] for line in text.splitlines()
             if re.match(r"Debian \S+ \S+$", line)] or [[ARCHIVE, RELEASE]]
    if backports:
        base = [pair for pair in found if "-" not in pair[1]] or [[ARCHIVE, RELEASE]]
        found.append([base[0][0], f"{base[0][1]}-backports"])
    key = f" signed-by={KEYRING}" if os.path.exists(KEYRING) else ""
    return "".join(f"deb [arch=amd64{key}] {uri} {suite} main\n"
                   for uri, suite in dict.fromkeys(map(tuple, found)))


def release_of(options, backports):
    """What makes apt-get download and apt-cache show prefer the backports."""
    if not backports:
        return options
    suite = re.search(r" (\S+-backports) main", archives(True)).group(1)
    return [*options, "-o", f"APT::Default-Release={suite}"]


def kernel_package(show, flavour="amd64", version=r"\d\S*?"):
    """The image that the text of `apt-cache show linux-image-FLAVOUR` depends on, or None."""
    found = re.search(rf"^Depends:.*?\b(linux-image-{version}-{flavour})(?![\w-])", show,
                      re.MULTILINE)
    # "amd64" alone is no other flavour's end.
    return found.group(1) if found and ("cloud" in flavour) == ("cloud" in found[1]) else None


def source_lists():
    """Copies of the machine's own lists of Debian's packages that ask for sources instead."""
    status, text = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(SOURCESENTRY)",
                       "Created-By: Packages")
    lists = {line.split(" ", 1)[1].rpartition(":")[0] for line in text.splitlines()
             if line.startswith("Debian ")}
    if status or not lists:
        raise Problem("APT knows no package lists of Debian's, so no source can be fetched: run "
                      "apt-get update as root, on a Debian")
    entries = {}
    for name in lists:
        with open(name, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"(?m)^Types:.*$", "Types: deb-src", text)
        entries[os.path.basename(name)] = re.sub(r"(?m)^deb(-src)?\s", "deb-src ", text)
    return entries


def fetch_source(folder, package, version=None):
    """The files of a source package, if possible of that version; returns the one that describes
    them."""
    own = [*APT, *own_lists(folder, source_lists())]
    run(*own, "update")
    for wanted in ([f"{package}={version}"] if version else []) + [package]:
        status, text = run(*own, "--download-only", "source", wanted, cwd=folder)
        found = glob.glob(os.path.join(glob.escape(folder), f"{package}_*.dsc"))
        if not status and found:
            return found[0]
    raise Problem(f"cannot fetch the source of {package}: {last_line(text)}; APT must reach "
                  "Debian's archive")


def unpack_source(description, tree):
    status, text = run("dpkg-source", "--no-check", "-x", description, tree)
    if status:
        raise Problem(f"cannot unpack {description}: {last_line(text)}")


def fill_from_source(argv, package, what, names, sign):
    """The main program of a tool that fills a folder, its argument, with some of a source package:
    `names` says where in the package, and where in the folder; if `sign` is there it is full."""
    tool = f"tools/{os.path.basename(argv[0])}"
    if len(argv) != 2 or argv[1].startswith("-"):
        print(f"usage: {tool} FOLDER", file=sys.stderr)
        return 2
    folder = os.path.abspath(argv[1])
    if os.path.exists(os.path.join(folder, sign)):
        return 0
    print(f"fetching {what}", file=sys.stderr)
    work = empty(folder + ".new")
    tree, made = os.path.join(work, "source"), empty(os.path.join(work, "made"))
    try:
        unpack_source(fetch_source(work, package), tree)
    except Problem as problem:
        print(f"{tool}: {problem}", file=sys.stderr)
        return 1
    for there, here in names.items():
        os.rename(os.path.join(tree, there), os.path.join(made, here))
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(made, folder)
    shutil.rmtree(work)
    return 0


def fetch_once(folder, options, kernel, names):
    """Why it failed, or an empty text. `kernel`: None, or what kernel_package() is to be asked; its
    version takes the place of {version} in `names`."""
    if kernel:
        wanted = f"linux-image-{kernel[0]}"
        status, text = run("apt-cache", *options, "show", "--no-all-versions", wanted)
        if status:
            return text
        if not (image := kernel_package(text, *kernel)):
            return f"{wanted} is not of the version that is needed here"
        version = re.match(r"linux-image-(\d+\.\d+)", image).group(1)
        names = (image, *(name.format(version=version) for name in names))
    argv = [*APT, *options, "download", *names]
    status, text = run(*argv, cwd=folder)
    return f"{last_line(text)}\n# {' '.join(argv)}" if status else ""


def fetch(folder, say, names, what, kernel=None, backports=False):
    """Fills `folder` with the packages `names`, unless it is there. `kernel`: (flavour,) or
    (flavour, pattern of its version) of the Linux to fetch, too."""
    if os.path.isdir(folder):
        return
    say(f"fetching {what}")
    new = empty(folder + ".new")
    error = "backports" if backports else fetch_once(new, [], kernel, names)
    if error:
        # The machine's lists are old, or not there yet, or without the backports.
        apt = empty(folder + ".apt")
        own = own_lists(apt, {"debian.list": archives(backports)})
        _, text = run(*APT, *own, "update")
        error = fetch_once(empty(new), release_of(own, backports), kernel, names)
        shutil.rmtree(apt)
    if error:
        reason, _, line = error.partition("\n# ")
        raise Problem(f"cannot fetch {what}: {last_line(reason)}"
                      f"{f'; the line was: {line}' if line else ''}; APT must reach Debian's archive")
    os.rename(new, folder)


def versions(folder):
    """Package names and versions, from the names that APT gives to files."""
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.deb"))):
        name, version, _ = os.path.basename(path).split("_")
        found[name] = version.replace("%3a", ":")
    return found


def package_file(folder, name):
    found = glob.glob(os.path.join(glob.escape(folder), f"{name}_*.deb"))
    if len(found) != 1:
        raise Problem(f"expected one package {name} in {folder}, found {len(found)}; "
                      "run again with --fresh")
    return found[0]


def unpack_package(path, folder):
    status, text = run("dpkg-deb", "-x", path, folder)
    if status:
        raise Problem(f"cannot unpack {path}: {last_line(text)}; run again with --fresh")


def unpack(packages, folder, say, others=None):
    """Fills `folder` with the contents of the packages, unless it is there. `others` maps names to
    functions (file, folder) for packages that are unpacked in a way of their own."""
    if os.path.isdir(folder):
        return
    say("unpacking the packages: up to a minute")
    new = empty(folder + ".new")
    for name in versions(packages):
        (others or {}).get(name, unpack_package)(package_file(packages, name), new)
    os.rename(new, folder)


def find_kernel(tree):
    found = glob.glob(os.path.join(glob.escape(tree), "boot", "vmlinuz-*"))
    if len(found) != 1:
        raise Problem(f"expected one kernel in {tree}/boot, found {len(found)}; "
                      "run again with --fresh")
    return found[0]
