/* SPDX-License-Identifier: MIT */
/* A page that travels in one datagram, as LZ4 brings it to so little. Both sides have to agree:
 * LINK_FEATURE_PACKED. */
#ifndef HV_LINK_PACK_PACK_H
#define HV_LINK_PACK_PACK_H

#include "hv/link/wire.h"

#define PACK_ROOM 4200 /* bytes that packing works in */

/* Packs 4 KiB into at most LINK_PIECE_BYTES. @room: PACK_ROOM bytes, 8-byte aligned; junk.
 * Return: bytes; 0: it does not fit. */
size_t pack_page(const void *page, void *room, void *to);

/* Whatever the bytes are, writes no more than 4 KiB. False: they are not exactly a packed page, and
 * the 4 KiB are undefined. */
bool must_check unpack_page(const void *from, size_t bytes, void *page);

#endif
