# SPDX-License-Identifier: MIT
"""A page as one block of LZ4's, as docs/protocol.md has it; by the library that APT itself needs."""
import ctypes

from link import wire

try:
    _LIBRARY = ctypes.CDLL("liblz4.so.1")
except OSError:
    _LIBRARY = None


def features():
    """The protocol's, of a host: none without the library."""
    return wire.FEATURE["PACKED"] if _LIBRARY else 0


def pack(page):
    """None: it does not fit into one datagram."""
    to = ctypes.create_string_buffer(wire.PIECE)
    n = _LIBRARY.LZ4_compress_default(page, to, wire.PAGE, wire.PIECE)
    return to.raw[:n] if n > 0 else None


def unpack(block):
    """Raises Malformed unless it is a page."""
    to = ctypes.create_string_buffer(wire.PAGE)
    if not 1 <= len(block) <= wire.PIECE or \
            _LIBRARY.LZ4_decompress_safe(block, to, len(block), wire.PAGE) != wire.PAGE:
        raise wire.Malformed
    return to.raw
