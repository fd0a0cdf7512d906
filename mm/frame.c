/* SPDX-License-Identifier: MIT */
/*
 * The buddy allocator. A block of 2^order frames begins at an index that is a multiple of 2^order;
 * its buddy is the block whose index differs in bit `order` alone, and two free buddies are always
 * one free block. Only a block's head says what the block is, so an operation touches at most one
 * descriptor per order; all other frames of it are TAIL.
 */
#include "mm/frame.h"

#include "mm/err.h"

#define NO_FRAME UINT32_MAX

/* State of a head, besides enum frame_state: given back, but not in the lists yet. */
#define FRAME_FREEING 4

/* In `refs` of a free frame, unused otherwise: the whole frame is FRAME_JUNK, or the end of each
 * cache line is. Each frame has this mark of its own: added memory that was never handed out holds
 * no junk. */
#define REFS_JUNK       0x4b4e554a
#define REFS_JUNK_LINES 0x4c4e554a

#define JUNK_WORD      (UINT64_C(0x0101010101010101) * FRAME_JUNK)
#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(uint64_t))
#define WORDS_PER_LINE (CACHE_LINE / sizeof(uint64_t))

static uint64_t order_frames(unsigned int order)
{
	return UINT64_C(1) << order;
}

/* Does the frame have a descriptor? */
static bool is_there(const struct frame_pool *pool, uint64_t index)
{
	uint64_t section = index / FRAME_SECTION;

	return index < pool->nframes && pool->there[section / 64] >> section % 64 & 1;
}

static hpa_t index_hpa(const struct frame_pool *pool, uint64_t index)
{
	return hpa((pool->base_pfn + index) << PAGE_SHIFT);
}

static void list_push(struct frame_pool *pool, uint32_t index, unsigned int order)
{
	struct frame *f = &pool->frames[index];

	f->state = FRAME_FREE;
	f->order = (uint8_t)order;
	f->prev = NO_FRAME;
	f->next = pool->free_head[order];
	if (f->next != NO_FRAME)
		pool->frames[f->next].prev = index;
	pool->free_head[order] = index;
	pool->free_blocks[order]++;
}

/* Leaves the block without a head: its first frame is a TAIL until the caller decides. */
static void list_remove(struct frame_pool *pool, uint32_t index)
{
	struct frame *f = &pool->frames[index];

	if (f->prev != NO_FRAME)
		pool->frames[f->prev].next = f->next;
	else
		pool->free_head[f->order] = f->next;
	if (f->next != NO_FRAME)
		pool->frames[f->next].prev = f->prev;
	pool->free_blocks[f->order]--;
	f->state = FRAME_TAIL;
}

static bool is_free_block(const struct frame_pool *pool, uint64_t index, unsigned int order)
{
	return is_there(pool, index) && pool->frames[index].state == FRAME_FREE &&
	       pool->frames[index].order == order;
}

/* Makes a block free and merges it as far as it goes. */
static void insert(struct frame_pool *pool, uint64_t index, unsigned int order)
{
	pool->free += order_frames(order);
	pool->frames[index].state = FRAME_TAIL;
	while (order < FRAME_ORDER_1G) {
		uint64_t buddy = index ^ order_frames(order);

		if (!is_free_block(pool, buddy, order))
			break;
		list_remove(pool, (uint32_t)buddy);
		index &= ~order_frames(order);
		order++;
	}
	list_push(pool, (uint32_t)index, order);
}

void frame_pool_init(struct frame_pool *pool, struct frame *frames, uint64_t base_pfn,
		     uint64_t nframes, uintptr_t virt_offset, bool junk)
{
	nframes = MIN(nframes, FRAME_PFN_END);
	__builtin_memset(pool, 0, sizeof(*pool));
	pool->frames = frames;
	pool->base_pfn = base_pfn;
	pool->nframes = nframes;
	pool->virt_offset = virt_offset;
	pool->junk = junk;
	for (unsigned int order = 0; order < FRAME_ORDERS; order++)
		pool->free_head[order] = NO_FRAME;
}

/* Can the pool describe these frames? */
static bool is_inside(const struct frame_pool *pool, uint64_t pfn, uint64_t n)
{
	return pfn >= pool->base_pfn && pfn - pool->base_pfn <= pool->nframes &&
	       n <= pool->nframes - (pfn - pool->base_pfn);
}

/* Where what lies in the section of `at` ends, of a range that ends at `end`. */
static uint64_t section_end(uint64_t at, uint64_t end)
{
	return MIN(ALIGN_DOWN(at, FRAME_SECTION) + FRAME_SECTION, end);
}

/* Of descriptors that say nothing but their state: it is in all of their bytes. */
static void set_all(struct frame_pool *pool, uint64_t from, uint64_t end, enum frame_state state)
{
	__builtin_memset(&pool->frames[from], state, (end - from) * sizeof(struct frame));
}

static bool is_reserved(const struct frame_pool *pool, uint64_t from, uint64_t end)
{
	uint8_t all = FRAME_RESERVED;

#pragma GCC unroll 8
	for (uint64_t i = from; i < end; i++)
		all &= pool->frames[i].state;
	return all == FRAME_RESERVED;
}

/* Where a section has no descriptors yet, all of it is reserved. */
static bool are_reserved(const struct frame_pool *pool, uint64_t index, uint64_t n)
{
	uint64_t end = index + n;

	for (uint64_t at = index; at < end; at = section_end(at, end))
		if (is_there(pool, at) && !is_reserved(pool, at, section_end(at, end)))
			return false;
	return true;
}

/* Makes the descriptors of these frames tails, and those of new sections around them readable. */
static void make_tails(struct frame_pool *pool, uint64_t index, uint64_t n)
{
	uint64_t end = index + n;

	for (uint64_t at = index; at < end; at = section_end(at, end)) {
		uint64_t section = at / FRAME_SECTION, to = section_end(at, end);

		if (!is_there(pool, at)) {
			set_all(pool, section * FRAME_SECTION, at, FRAME_RESERVED);
			set_all(pool, to, section_end(at, pool->nframes), FRAME_RESERVED);
			pool->there[section / 64] |= UINT64_C(1) << section % 64;
		}
		set_all(pool, at, to, FRAME_TAIL);
	}
}

/* The largest block that begins at index and has at most n frames. */
static unsigned int largest_order(uint64_t index, uint64_t n)
{
	unsigned int order = 0;

	while (order < FRAME_ORDER_1G && IS_ALIGNED(index, order_frames(order + 1)) &&
	       order_frames(order + 1) <= n)
		order++;
	return order;
}

static void add_blocks(struct frame_pool *pool, uint64_t index, uint64_t n)
{
	make_tails(pool, index, n);
	pool->total += n;
	/* As if they had been here from the start: total - low_water is the most ever in use. */
	pool->low_water += n;
	while (n > 0) {
		unsigned int order = largest_order(index, n);

		insert(pool, index, order);
		index += order_frames(order);
		n -= order_frames(order);
	}
}

int frame_add(struct frame_pool *pool, uint64_t pfn, uint64_t n)
{
	uint64_t index = pfn - pool->base_pfn;
	int err = -EINVAL;

	spin_lock(&pool->lock);
	if (is_inside(pool, pfn, n) && are_reserved(pool, index, n)) {
		add_blocks(pool, index, n);
		err = 0;
	}
	spin_unlock(&pool->lock);
	return err;
}

/* Takes a block off the lists, splitting a larger one if need be. */
static uint32_t take(struct frame_pool *pool, unsigned int order)
{
	unsigned int have = order;
	uint32_t index;

	while (have < FRAME_ORDERS && pool->free_head[have] == NO_FRAME)
		have++;
	if (have >= FRAME_ORDERS)
		return NO_FRAME;
	index = pool->free_head[have];
	list_remove(pool, index);
	while (have > order) {
		have--;
		list_push(pool, index + (uint32_t)order_frames(have), have);
	}
	return index;
}

hpa_t frame_alloc(struct frame_pool *pool, unsigned int order)
{
	hpa_t block = HPA_NONE;
	uint32_t index;

	spin_lock(&pool->lock);
	index = take(pool, order);
	if (index != NO_FRAME) {
		struct frame *f = &pool->frames[index];

		f->state = FRAME_USED;
		f->order = (uint8_t)order;
		atomic_store_explicit(&f->owner, 0, memory_order_relaxed);
		atomic_store_explicit(&f->refs, 0, memory_order_relaxed);
		pool->free -= order_frames(order);
		pool->low_water = MIN(pool->low_water, pool->free);
		block = index_hpa(pool, index);
	}
	spin_unlock(&pool->lock);
	return block;
}

/* From here on a second frame_free() of the block is refused, and nobody merges with it. */
static bool take_back(struct frame_pool *pool, hpa_t block, unsigned int order)
{
	uint64_t index = (block.v >> PAGE_SHIFT) - pool->base_pfn;
	struct frame *f;

	if (!IS_ALIGNED(block.v, PAGE_SIZE) || !is_there(pool, index))
		return false;
	f = &pool->frames[index];
	if (f->state != FRAME_USED || f->order != order)
		return false;
	f->state = FRAME_FREEING;
	return true;
}

static void fill_lines(uint64_t *word, uint64_t words)
{
#pragma GCC unroll 8
	for (uint64_t i = WORDS_PER_LINE - 1; i < words; i += WORDS_PER_LINE)
		word[i] = JUNK_WORD;
}

/* Of a large block only as much as spoils each line: that is quicker, where it takes longest. */
static void fill_junk(struct frame_pool *pool, hpa_t block, unsigned int order)
{
	bool lines = order >= FRAME_ORDER_2M;
	struct frame *f = frame_of(pool, block);

	if (lines)
		fill_lines(frame_virt(pool, block), WORDS_PER_PAGE << order);
	else
		__builtin_memset(frame_virt(pool, block), FRAME_JUNK, PAGE_SIZE << order);
	for (uint64_t i = 0; i < order_frames(order); i++)
		atomic_store_explicit(&f[i].refs, lines ? REFS_JUNK_LINES : REFS_JUNK,
				      memory_order_relaxed);
}

static int give_back(struct frame_pool *pool, hpa_t block, unsigned int order, bool junk)
{
	bool ours;

	spin_lock(&pool->lock);
	ours = take_back(pool, block, order);
	spin_unlock(&pool->lock);
	if (!ours)
		return -EINVAL;
	/* Outside of the lock: filling 1 GiB takes long, and nobody else can touch the block. */
	if (junk)
		fill_junk(pool, block, order);
	spin_lock(&pool->lock);
	insert(pool, (block.v >> PAGE_SHIFT) - pool->base_pfn, order);
	spin_unlock(&pool->lock);
	return 0;
}

int frame_free(struct frame_pool *pool, hpa_t block, unsigned int order)
{
	return give_back(pool, block, order, pool->junk);
}

int frame_free_unused(struct frame_pool *pool, hpa_t block, unsigned int order)
{
	return give_back(pool, block, order, false);
}

uint64_t frame_count_free(struct frame_pool *pool, unsigned int order)
{
	uint64_t n = 0;

	spin_lock(&pool->lock);
	for (unsigned int o = order; o < FRAME_ORDERS; o++)
		n += pool->free_blocks[o] << (o - order);
	spin_unlock(&pool->lock);
	return n;
}

/* Is a free frame as it was left? */
static bool frame_is_untouched(const struct frame_pool *pool, uint64_t index)
{
	uint32_t refs = atomic_load_explicit(&pool->frames[index].refs, memory_order_relaxed);
	unsigned int step = refs == REFS_JUNK_LINES ? WORDS_PER_LINE : 1;
	const uint64_t *word = frame_virt(pool, index_hpa(pool, index));

	if (refs != REFS_JUNK && refs != REFS_JUNK_LINES)
		return true; /* nobody knows what it was */
	for (unsigned int i = step - 1; i < WORDS_PER_PAGE; i += step)
		if (word[i] != JUNK_WORD)
			return false;
	return true;
}

/* Of a large block only the two ends are read: the check must stay quick on real memory. */
static const char *check_junk(const struct frame_pool *pool, uint64_t index, unsigned int order)
{
	uint64_t last = order_frames(order) - 1;
	uint64_t step = order <= FRAME_ORDER_2M ? 1 : last;

	for (uint64_t i = index; i <= index + last; i += step)
		if (!frame_is_untouched(pool, i))
			return "a free frame was written to";
	return NULL;
}

static const char *check_block(const struct frame_pool *pool, uint64_t index)
{
	const struct frame *f = &pool->frames[index];

	if (f->state != FRAME_FREE && f->state != FRAME_USED && f->state != FRAME_FREEING)
		return "a frame belongs to no block";
	if (f->order >= FRAME_ORDERS || !IS_ALIGNED(index, order_frames(f->order)))
		return "a block is not aligned to its size";
	if (order_frames(f->order) > pool->nframes - index)
		return "a block reaches beyond the pool";
	for (uint64_t i = 1; i < order_frames(f->order); i++) {
		if (f[i].state != FRAME_TAIL)
			return "a block has something else inside";
	}
	if (f->state != FRAME_FREE)
		return NULL;
	if (f->order < FRAME_ORDER_1G &&
	    is_free_block(pool, index ^ order_frames(f->order), f->order))
		return "two free buddies were not merged";
	return pool->junk ? check_junk(pool, index, f->order) : NULL;
}

/* Every frame is reserved or in exactly one block, and the sums agree with that. */
static const char *check_blocks(const struct frame_pool *pool)
{
	uint64_t blocks[FRAME_ORDERS] = { 0 };
	uint64_t free = 0, total = 0, index = 0;

	while (index < pool->nframes) {
		const struct frame *f = &pool->frames[index];
		const char *wrong;

		if (!is_there(pool, index)) {
			index = ALIGN_DOWN(index, FRAME_SECTION) + FRAME_SECTION;
			continue;
		}
		if (f->state == FRAME_RESERVED) {
			index++;
			continue;
		}
		wrong = check_block(pool, index);
		if (wrong)
			return wrong;
		if (f->state == FRAME_FREE) {
			blocks[f->order]++;
			free += order_frames(f->order);
		}
		total += order_frames(f->order);
		index += order_frames(f->order);
	}
	for (unsigned int order = 0; order < FRAME_ORDERS; order++) {
		if (blocks[order] != pool->free_blocks[order])
			return "the number of free blocks is wrong";
	}
	if (free != pool->free || total != pool->total || pool->low_water > free)
		return "the number of free frames is wrong";
	return NULL;
}

/* With as many free blocks as there are (check_blocks), a sound list of that length has them all.
 */
static const char *check_list(const struct frame_pool *pool, unsigned int order)
{
	uint32_t prev = NO_FRAME, index = pool->free_head[order];

	for (uint64_t n = 0; n < pool->free_blocks[order]; n++) {
		if (index == NO_FRAME)
			return "a free list is too short";
		if (!is_free_block(pool, index, order))
			return "a free list holds what is not free, or of another order";
		if (pool->frames[index].prev != prev)
			return "a free list's links disagree";
		prev = index;
		index = pool->frames[index].next;
	}
	return index == NO_FRAME ? NULL : "a free list is too long";
}

const char *frame_pool_check(struct frame_pool *pool)
{
	const char *wrong;

	spin_lock(&pool->lock);
	wrong = check_blocks(pool);
	for (unsigned int order = 0; !wrong && order < FRAME_ORDERS; order++)
		wrong = check_list(pool, order);
	spin_unlock(&pool->lock);
	return wrong;
}
