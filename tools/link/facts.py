# SPDX-License-Identifier: MIT
"""Cleave's own notes in a snapshot: JSON with all that is known by name, the guest's state as its
machine sent it, and a checksum for each 2 MiB."""
import json
import struct

from link import elf, state, wire
from link.transport import Problem

NAME = "CLEAVE"
NOTE_FACTS, NOTE_STATE, NOTE_SUMS = 0x434c0001, 0x434c0002, 0x434c0003  # none of the kinds that others know
FORMAT = 1
VENDORS = {wire.VMX: "vmx", wire.SVM: "svm"}
BACKINGS = {1: "4K", 2: "2M", 3: "1G"}


def make(offer, blob, lost):
    """The facts of a guest, for make_notes()."""
    try:
        named, why = state.State(blob).named(), None
    except state.Unknown as unknown:
        named, why = None, str(unknown)
    return {"format": FORMAT, "image": offer.image.hex(), "vendor": VENDORS.get(offer.vendor, offer.vendor),
            "backing": BACKINGS.get(offer.backing, offer.backing), "vcpus": offer.vcpus,
            "state_version": offer.state_version, "features": names_of(offer.features),
            "needs": names_of(offer.needs), "cpu": dict(zip(wire.CPU_WORDS, offer.cpu)), "lost": lost,
            "checksum": "CRC-32 of each 2 MiB", "state": named, "state_unknown": why}


def make_notes(offer, blob, lost, sums):
    known = make(offer, blob, lost)
    text = json.dumps(known, indent=1).encode() + b"\n"
    return known, [elf.Note(NAME, NOTE_FACTS, text), elf.Note(NAME, NOTE_STATE, blob), elf.Note(NAME, NOTE_SUMS, sums)]


def names_of(mask):
    return [name for name, bit in wire.FEATURE.items() if mask & bit]


def one(notes, kind, path):
    found = [note.data for note in notes if (note.name, note.kind) == (NAME, kind)]
    if len(found) != 1:
        raise Problem(f"{path}: a damaged snapshot: a note of Cleave's is missing, or there twice")
    return found[0]


def parse(notes, path):
    """Raises Problem unless all that is used of it is there."""
    try:
        known = json.loads(one(notes, NOTE_FACTS, path))
        if known["format"] != FORMAT:
            raise Problem(f"{path}: a snapshot of another version of Cleave's: format {known['format']}, not {FORMAT}")
        good = len(bytes.fromhex(known["image"])) == wire.ID and \
            all(isinstance(gfn, int) and isinstance(frames, int) and frames > 0 for gfn, frames in known["lost"])
        offer_of(known, ((0, 1),)).pack()
    except (ValueError, KeyError, TypeError, AttributeError, struct.error):
        good = False
    if not good:
        raise Problem(f"{path}: a damaged snapshot: Cleave's note makes no sense")
    return known


def offer_of(known, regions):
    vendors, backings = ({name: number for number, name in table.items()} for table in (VENDORS, BACKINGS))
    return wire.Offer(vendor=vendors.get(known["vendor"], 0), backing=backings.get(known["backing"], 0),
                      vcpus=known["vcpus"], state_version=known["state_version"],
                      features=sum(wire.FEATURE[name] for name in known["features"]),
                      needs=sum(wire.FEATURE[name] for name in known["needs"]), regions=regions,
                      cpu=tuple(known["cpu"][name] for name in wire.CPU_WORDS))
