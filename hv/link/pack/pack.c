/* SPDX-License-Identifier: MIT */
/* Packing by LZ4. See hv/link/pack/pack.h. */
#include "hv/link/pack/pack.h"

#include <lz4.h>

_Static_assert(LZ4_STREAM_MINSIZE <= PACK_ROOM, "LZ4 has room to work in");

size_t pack_page(const void *page, void *room, void *to)
{
	int n = LZ4_compress_fast_extState(room, page, to, PAGE_SIZE, (int)LINK_PIECE_BYTES, 1);

	return n > 0 ? (size_t)n : 0;
}

bool unpack_page(const void *from, size_t bytes, void *page)
{
	return bytes && bytes <= LINK_PIECE_BYTES &&
	       LZ4_decompress_safe(from, page, (int)bytes, PAGE_SIZE) == PAGE_SIZE;
}
