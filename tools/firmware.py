# SPDX-License-Identifier: MIT
"""Finds the firmware that a machine starts with.

QEMU's distributors describe theirs in files, docs/interop/firmware.json in QEMU's sources says how:
the first one of any folder that is a UEFI for x86_64 and starts images that nobody has signed is
taken. Where there is none, the places in tools/places are looked at.
"""
import fnmatch
import json
import os
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MACHINES = ("q35", "pc-q35-7.2")
UNWANTED = {"requires-smm", "enrolled-keys"}  # needs more of the machine; refuses our image
ROM_SIZES = (2 << 20, 4 << 20)  # at most: in each Bochs; in newer ones than 2.7


class Firmware(NamedTuple):
    """Files and formats in QEMU's words. Without variables: `code` is the whole firmware."""
    code: str
    code_format: str = "raw"
    variables: str = ""  # to be copied for each run
    variables_format: str = "raw"
    flash: bool = True  # else it is loaded into memory


def places(what, root=""):
    """Where tools/places says to look for it."""
    with open(os.path.join(ROOT, "tools", "places"), encoding="utf-8") as file:
        words = [line.split() for line in file]
    return [":".join(root + half for half in pair[1].split(":"))
            for pair in words if pair[:1] == [what]]


def descriptor_folders(root=""):
    """Each comes before those that follow it."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [os.path.join(config, "qemu/firmware"), f"{root}/etc/qemu/firmware",
            f"{root}/usr/share/qemu/firmware"]


def descriptors(folders):
    """By name; a file hides those of its name in later folders, also if it is empty."""
    found = {}
    for folder in reversed(folders):
        if os.path.isdir(folder):
            found.update({name: os.path.join(folder, name) for name in os.listdir(folder)
                          if name.endswith(".json")})
    for name in sorted(found):
        try:
            with open(found[name], encoding="utf-8") as file:
                yield json.load(file)
        except (OSError, ValueError):
            continue


def suits(descriptor):
    machines = [pattern for target in descriptor.get("targets", ())
                if target.get("architecture") == "x86_64" for pattern in target["machines"]]
    return ("uefi" in descriptor.get("interface-types", ()) and
            not UNWANTED & set(descriptor.get("features", ())) and
            any(fnmatch.fnmatch(name, pattern) for pattern in machines for name in MACHINES))


def read_mapping(mapping):
    """The firmware that a descriptor names, or None."""
    if mapping["device"] == "memory":
        return Firmware(mapping["filename"], flash=False)
    if mapping["device"] != "flash":
        return None
    code, mode = mapping["executable"], mapping.get("mode", "split")
    if mode == "combined":
        return Firmware("", "raw", code["filename"], code["format"])
    if mode == "stateless":
        return Firmware(code["filename"], code["format"])
    variables = mapping["nvram-template"]
    return Firmware(code["filename"], code["format"], variables["filename"], variables["format"])


def is_there(firmware):
    return all(os.path.isfile(path) for path in (firmware.code, firmware.variables) if path)


def described(folders):
    for descriptor in descriptors(folders):
        try:
            firmware = read_mapping(descriptor["mapping"]) if suits(descriptor) else None
        except (KeyError, TypeError, AttributeError):
            continue  # not as QEMU's description of these files says
        if firmware and is_there(firmware):
            yield firmware


def listed(root=""):
    for pair in places("flash", root):
        code, variables = pair.split(":")
        if is_there(firmware := Firmware(code, variables=variables)):
            yield firmware


def for_qemu(root=""):
    """The first that suits, or None."""
    return next((firmware for some in (described(descriptor_folders(root)), listed(root))
                 for firmware in some), None)


def for_bochs(root=""):
    """The files that make one ROM, in their order; [] if there are none."""
    pieces = [[path] for path in places("rom", root) if os.path.isfile(path)]
    pieces += [[part for part in (firmware.variables, firmware.code) if part]
               for some in (described(descriptor_folders(root)), listed(root))
               for firmware in some if firmware.code_format == firmware.variables_format == "raw"]
    for most in ROM_SIZES:
        for parts in pieces:
            if sum(map(os.path.getsize, parts)) <= most:
                return parts
    return []


def vga_bios(root=""):
    return next((path for path in places("vga-bios", root) if os.path.isfile(path)), None)


def looked_for(*what):
    """In words, for a message."""
    return ", ".join(path for name in what for path in places(name))
