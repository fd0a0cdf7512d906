/* SPDX-License-Identifier: MIT */
/* The hypervisor's own page tables: see mm/kmap.h for the guarantees. */
#include "mm/kmap.h"

#include "mm/err.h"
#include "mm/lock.h"
#include "mm/machine.h"
#include "mm/x86.h"

#define PTE_P    UINT64_C(0x1)
#define PTE_W    UINT64_C(0x2)
#define PTE_U    UINT64_C(0x4)
#define PTE_PWT  UINT64_C(0x8)
#define PTE_PCD  UINT64_C(0x10)
#define PTE_A    UINT64_C(0x20)
#define PTE_D    UINT64_C(0x40)
#define PTE_PS   UINT64_C(0x80)
#define PTE_G    UINT64_C(0x100)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)
#define PTE_NX   (UINT64_C(1) << 63)

/* PWT and PCD choose entry 3 of the PAT, which is UC as the CPU came up and as we set it. */
#define PTE_UC   (PTE_PWT | PTE_PCD)
#define PTE_LEAF (PTE_P | PTE_W | PTE_UC | PTE_A | PTE_D | PTE_PS | PTE_ADDR | PTE_NX)

#define TABLE_ENTRIES 512
#define TOP           PG_LEVEL_512G

static struct {
	struct spinlock lock; /* protects the tables and the fields below */
	hpa_t root;
	hpa_t spare;       /* pages that kmap_init() got, not used yet */
	uint64_t nspare;   /* frames */
	uintptr_t offset;  /* virtual minus physical address of a table */
	enum pg_level top; /* level of the largest page */
} kmap;

/* Where a walk ended: the entry that maps the address, or that would have to. */
struct kmap_walk {
	uint64_t *pte;
	enum pg_level level;
};

static uint64_t level_bytes(enum pg_level level)
{
	return level_frames(level) << PAGE_SHIFT;
}

static uint64_t *table_at(hpa_t pa)
{
	return (uint64_t *)(uintptr_t)(pa.v + kmap.offset);
}

static uint64_t *entry_in(hpa_t table, uint64_t va, enum pg_level level)
{
	return table_at(table) + (va / level_bytes(level)) % TABLE_ENTRIES;
}

static bool is_leaf(uint64_t pte, enum pg_level level)
{
	return level == PG_LEVEL_4K || (pte & PTE_PS);
}

static uint64_t rights_to_pte(unsigned int rights)
{
	return PTE_P | (rights & KMAP_W ? PTE_W : 0) | (rights & KMAP_X ? 0 : PTE_NX) |
	       (rights & KMAP_UC ? PTE_UC : 0);
}

static unsigned int pte_to_rights(uint64_t pte)
{
	return (pte & PTE_W ? KMAP_W : 0) | (pte & PTE_NX ? 0 : KMAP_X) |
	       (pte & PTE_UC ? KMAP_UC : 0);
}

uint64_t kmap_cr3(void)
{
	return kmap.root.v;
}

void kmap_entered(void)
{
	kmap.offset = DIRECT_MAP;
}

void kmap_flush(void)
{
	x86_write_cr3(x86_read_cr3());
}

static hpa_t take_page(void)
{
	hpa_t page = kmap.spare;

	if (kmap.nspare) {
		kmap.spare.v += PAGE_SIZE;
		kmap.nspare--;
	} else {
		/* There is no frame pool before the direct map. */
		page = kmap.offset ? frame_alloc(&machine_frames, FRAME_ORDER_4K) : HPA_NONE;
		if (page.v == HPA_NONE.v)
			return page;
	}
	__builtin_memset(table_at(page), 0, PAGE_SIZE);
	return page;
}

hpa_t kmap_page(void)
{
	hpa_t page;

	spin_lock(&kmap.lock);
	page = take_page();
	spin_unlock(&kmap.lock);
	return page;
}

int kmap_init(hpa_t pages, uint64_t npages, bool gib_pages)
{
	kmap.spare = pages;
	kmap.nspare = npages;
	kmap.offset = 0;
	kmap.top = gib_pages ? PG_LEVEL_1G : PG_LEVEL_2M;
	if (!npages || !IS_ALIGNED(pages.v, PAGE_SIZE))
		return -EINVAL;
	kmap.root = take_page();
	return 0;
}

/* Follows tables down to a leaf, to an empty entry, or to `stop`. */
static struct kmap_walk walk_to(uint64_t va, enum pg_level stop)
{
	struct kmap_walk w = { entry_in(kmap.root, va, TOP), TOP };

	while (w.level > stop && (*w.pte & PTE_P) && !is_leaf(*w.pte, w.level)) {
		w.level--;
		w.pte = entry_in(hpa(*w.pte & PTE_ADDR), va, w.level);
	}
	return w;
}

static int map_one(uint64_t va, uint64_t leaf, enum pg_level level)
{
	struct kmap_walk w = walk_to(va, level);

	while (w.level > level && !(*w.pte & PTE_P)) {
		hpa_t table = take_page();

		if (table.v == HPA_NONE.v)
			return -ENOMEM;
		*w.pte = table.v | PTE_P | PTE_W;
		w.level--;
		w.pte = entry_in(table, va, w.level);
	}
	if (*w.pte & PTE_P)
		return -EEXIST;
	*w.pte = leaf | (level > PG_LEVEL_4K ? PTE_PS : 0);
	return 0;
}

/* The largest page that both addresses and the length allow. */
static enum pg_level best_level(uint64_t va, uint64_t pa, uint64_t bytes)
{
	enum pg_level level = kmap.top;

	while (level > PG_LEVEL_4K &&
	       (!IS_ALIGNED(va | pa, level_bytes(level)) || bytes < level_bytes(level)))
		level--;
	return level;
}

static bool bad_arguments(uint64_t va, uint64_t pa, uint64_t bytes, unsigned int rights)
{
	return !IS_ALIGNED(va | pa | bytes, PAGE_SIZE) || va + bytes < va ||
	       (rights & KMAP_W && rights & KMAP_X);
}

int kmap_map(uint64_t va, hpa_t pa, uint64_t bytes, unsigned int rights)
{
	uint64_t done = 0;
	int err = 0;

	if (bad_arguments(va, pa.v, bytes, rights))
		return -EINVAL;
	spin_lock(&kmap.lock);
	while (!err && done < bytes) {
		enum pg_level level = best_level(va + done, pa.v + done, bytes - done);

		err = map_one(va + done, (pa.v + done) | rights_to_pte(rights), level);
		done += level_bytes(level);
	}
	spin_unlock(&kmap.lock);
	return err;
}

/* Changes every leaf of a range to (old & keep) | set. */
static int change(uint64_t va, uint64_t bytes, uint64_t keep, uint64_t set)
{
	uint64_t end = va + bytes;
	int err = 0;

	spin_lock(&kmap.lock);
	while (va < end) {
		struct kmap_walk w = walk_to(va, PG_LEVEL_4K);
		uint64_t size = level_bytes(w.level);

		err = !(*w.pte & PTE_P)                          ? -ENOENT
		      : !IS_ALIGNED(va, size) || end - va < size ? -EINVAL
								 : 0;
		if (err)
			break;
		*w.pte = (*w.pte & keep) | set;
		va += size;
	}
	spin_unlock(&kmap.lock);
	kmap_flush();
	return err;
}

int kmap_protect(uint64_t va, uint64_t bytes, unsigned int rights)
{
	if (bad_arguments(va, 0, bytes, rights))
		return -EINVAL;
	return change(va, bytes, PTE_ADDR | PTE_PS, rights_to_pte(rights));
}

int kmap_unmap(uint64_t va, uint64_t bytes)
{
	if (bad_arguments(va, 0, bytes, KMAP_R))
		return -EINVAL;
	return change(va, bytes, 0, 0);
}

int kmap_lookup(uint64_t va, struct kmap_leaf *leaf)
{
	struct kmap_walk w = walk_to(va, PG_LEVEL_4K);
	uint64_t size = level_bytes(w.level);

	if (!(*w.pte & PTE_P))
		return -ENOENT;
	leaf->pa = hpa(ALIGN_DOWN(*w.pte & PTE_ADDR, size) | (va & (size - 1)));
	leaf->level = w.level;
	leaf->rights = pte_to_rights(*w.pte);
	return 0;
}

/* Table entries grant everything but access from CPL 3; each leaf decides for itself. */
static const char *check_tables(uint64_t va, enum pg_level leaf_level)
{
	for (enum pg_level level = TOP; level > leaf_level; level--)
		if (*walk_to(va, level).pte & PTE_U)
			return "a table is accessible from CPL 3";
	return NULL;
}

static const char *check_leaf(uint64_t va, uint64_t pte, enum pg_level level)
{
	struct kmap_leaf alias;

	if (pte & ~PTE_LEAF)
		return "a page is accessible from CPL 3, or global, or has bits that mean nothing";
	if (level > kmap.top)
		return "a page is larger than the CPU knows";
	if (va == 0)
		return "page 0 is mapped";
	if (pte & PTE_NX)
		return check_tables(va, level);
	if (pte & PTE_W)
		return "a page is both writable and executable";
	if (level != PG_LEVEL_4K)
		return "a large page is executable";
	if (!kmap_lookup(DIRECT_MAP + (pte & PTE_ADDR), &alias))
		return "an executable page is in the direct map, too";
	return check_tables(va, level);
}

const char *kmap_check(uint64_t *bad)
{
	const char *wrong = NULL;
	uint64_t va = 0;

	do {
		struct kmap_walk w = walk_to(va, PG_LEVEL_4K);

		if (*w.pte & PTE_P)
			wrong = check_leaf(va, *w.pte, w.level);
		if (wrong)
			*bad = va;
		va = ALIGN_DOWN(va, level_bytes(w.level)) + level_bytes(w.level);
		if (va == UINT64_C(1) << 47)
			va = DIRECT_MAP; /* the canonical hole */
	} while (!wrong && va);
	return wrong;
}
