/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables of any contents. They lie below 4 GiB, each in memory of just its size: a table that
 * says it is longer than it is cannot be told from one that is, so a length is either true, too
 * short, or beyond all that is believed.
 *
 *	byte 0	 1:0 which root pointer (none, ACPI 1.0, 2.0), 2 broken signature, 3 broken sum,
 *		 4 a 32-bit root table, 5 the root table's sum is broken, 6 x2APIC mode
 *	byte 1	 bytes that the root table ends early
 *	then	 tables: flags (0 not a MADT, 1 broken sum, 2 length as follows, 3 no address),
 *		 bytes of contents, the contents
 */
#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "boot/base/refuse.h"
#include "boot/firmware/machine.h"
#include "tests/fuzz/fuzz.h"

#define ARENA       (256 * KIB)
#define TABLES_MAX  8
#define HEADER      36 /* of every table */
#define TABLE_BYTES 256
#define MADT        44
#define LENGTH_MAX  (16 * MIB)

static uint8_t *arena;
static size_t arena_used;
static jmp_buf refused;
static const uint8_t *madt; /* the first one that the root table lists */

void refuse(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	fuzz_check(vsnprintf(line, sizeof(line), fmt, ap) > 20);
	va_end(ap);
	longjmp(refused, 1);
}

static void arena_begin(void)
{
	if (!arena)
		arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	fuzz_check(arena != MAP_FAILED);
	__asan_poison_memory_region(arena, ARENA);
	arena_used = 0;
}

static uint8_t *arena_take(size_t bytes)
{
	uint8_t *p = arena + arena_used;

	arena_used += ALIGN_UP(bytes, 16) + 32;
	fuzz_check(arena_used <= ARENA);
	__asan_unpoison_memory_region(p, bytes);
	return memset(p, 0, bytes);
}

/* Makes the bytes sum to zero, but for `wrong`. */
static void fix_sum(uint8_t *p, size_t bytes, size_t at, uint8_t wrong)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + p[i]);
	p[at] = (uint8_t)(p[at] - sum + wrong);
}

/* --- from bytes to tables -------------------------------------------------------------------- */

static uint32_t believable(uint32_t said, uint32_t is)
{
	return said <= is || said > LENGTH_MAX ? said : is;
}

static uint8_t *take_table(struct fuzz_input *in)
{
	unsigned int flags = (unsigned int)fuzz_take(in, 1);
	uint32_t said = (uint32_t)(flags & 4 ? fuzz_take(in, 4) : UINT32_MAX);
	uint32_t contents = (uint32_t)fuzz_take(in, 1);
	uint32_t bytes = HEADER + contents;
	uint8_t *t;

	if (flags & 8)
		return NULL;
	t = arena_take(bytes);
	for (uint32_t i = 0; i < contents; i++)
		t[HEADER + i] = (uint8_t)fuzz_take(in, 1);
	memcpy(t, flags & 1 ? "FACP" : "APIC", 4);
	said = flags & 4 ? believable(said, bytes) : bytes;
	memcpy(t + 4, &said, 4);
	fix_sum(t, MIN(said, bytes), 9, flags >> 1 & 1);
	return t;
}

/* @size: of an address in it */
static uint8_t *take_root(struct fuzz_input *in, uint32_t size, uint32_t early, uint8_t wrong)
{
	uint8_t *table[TABLES_MAX], *t;
	uint32_t n = 0, length;

	while (n < TABLES_MAX && in->n > 0)
		table[n++] = take_table(in);
	length = HEADER + n * size;
	t = arena_take(length);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t address = (uintptr_t)table[i];

		memcpy(t + HEADER + i * size, &address, size);
	}
	length -= MIN(early, length);
	memcpy(t + 4, &length, 4);
	fix_sum(t, length, 9, wrong);
	for (uint32_t i = 0; i < n && HEADER + (i + 1) * size <= length && !madt; i++)
		madt = table[i] && !memcmp(table[i], "APIC", 4) ? table[i] : NULL;
	return t;
}

static void take_pointer(struct fuzz_input *in, unsigned int how, EFI_CONFIGURATION_TABLE *entry)
{
	bool new = (how & 3) == 2, wide = new && !(how & 16);
	uint32_t early = (uint32_t)fuzz_take(in, 1) % 64;
	uint64_t root = (uintptr_t)take_root(in, wide ? 8 : 4, early, how >> 5 & 1);
	uint8_t *p = arena_take(36);

	memcpy(p, how & 4 ? "RSD PTY " : "RSD PTR ", 8);
	p[15] = new ? 2 : 0;
	memcpy(p + (wide ? 24 : 16), &root, wide ? 8 : 4);
	fix_sum(p, new ? 36 : 20, 8, how >> 3 & 1);
	entry->VendorGuid = new ? (EFI_GUID)ACPI_20_TABLE_GUID : (EFI_GUID)ACPI_TABLE_GUID;
	entry->VendorTable = p;
}

/* --- what must hold -------------------------------------------------------------------------- */

/* What the MADT lists, as ACPI 6.5 says (5.2.12.2, 5.2.12.3, 5.2.12.12). */
struct listed {
	unsigned int napic, nx2apic, nioapic;
	uint32_t apic[TABLE_BYTES / 8], x2apic[TABLE_BYTES / 16], ioapic[TABLE_BYTES / 12];
};

static void read_madt(struct listed *l)
{
	uint32_t bytes;

	memset(l, 0, sizeof(*l));
	memcpy(&bytes, madt + 4, 4);
	for (uint32_t at = MADT; at + 2 <= bytes; at += madt[at + 1]) {
		const uint8_t *e = madt + at;

		fuzz_check(e[1] >= 2 && at + e[1] <= bytes);
		if (e[0] == 0 && e[1] >= 8 && e[4] & 1)
			l->apic[l->napic++] = e[3];
		if (e[0] == 1 && e[1] >= 12)
			memcpy(&l->ioapic[l->nioapic++], e + 4, 4);
		if (e[0] == 9 && e[1] >= 16 && e[8] & 1)
			memcpy(&l->x2apic[l->nx2apic++], e + 4, 4);
	}
}

static bool has(const uint32_t *ids, unsigned int n, uint32_t id)
{
	for (unsigned int i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Each CPU is one that was listed, in a way in which the APIC can reach it. */
static void check_cpus(const struct cpu_list *list, const struct listed *l)
{
	fuzz_check(list->n >= 1 && list->n <= 8 && list->apic_id[0] == 0);
	for (unsigned int i = 1; i < list->n; i++) {
		uint32_t id = list->apic_id[i];

		fuzz_check(!has(list->apic_id, i, id));
		fuzz_check(id < 255 || (list->x2apic && id < UINT32_MAX));
		fuzz_check(has(l->apic, l->napic, id) || has(l->x2apic, l->nx2apic, id));
	}
}

/* None that could be reached is missing without a word. */
static void check_listed(const struct cpu_list *list, const struct listed *l)
{
	for (unsigned int i = 0; i < l->napic; i++)
		fuzz_check(has(list->apic_id, list->n, l->apic[i]) ||
			   (l->apic[i] == 255 ? list->misfit.n : list->no_room.n));
	for (unsigned int i = 0; i < l->nx2apic; i++)
		fuzz_check(has(list->apic_id, list->n, l->x2apic[i]) || list->misfit.n ||
			   list->no_room.n);
	fuzz_check(!list->no_room.n || list->n == 8);
}

static void check_plan(const struct boot_plan *plan)
{
	static struct listed l;

	read_madt(&l);
	check_cpus(&plan->cpus, &l);
	check_listed(&plan->cpus, &l);
	fuzz_check(plan->nioapics == l.nioapic);
	fuzz_check(memcmp(plan->ioapic, l.ioapic, l.nioapic * sizeof(l.ioapic[0])) == 0);
}

static void load(unsigned int how)
{
	static struct boot_info info;
	static struct boot_plan plan;
	bool found;

	memset(&plan, 0, sizeof(plan));
	cpu_list_begin(&plan.cpus, 0, how & 64);
	if (setjmp(refused))
		return;
	found = acpi_load(&info, &plan);
	if (how & 3) {
		fuzz_check(!(how & (4 | 8 | 32)));
		fuzz_check(found == (madt != NULL));
	} else {
		fuzz_check(!found && info.rsdp.v == HPA_NONE.v);
	}
	if (found)
		check_plan(&plan);
	else
		fuzz_check(plan.cpus.n == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EFI_CONFIGURATION_TABLE entry;
	static EFI_SYSTEM_TABLE st = { .ConfigurationTable = &entry };
	struct fuzz_input in = { data, size };
	unsigned int how = (unsigned int)fuzz_take(&in, 1);

	arena_begin();
	madt = NULL;
	firmware.st = &st;
	st.NumberOfTableEntries = how & 3 ? 1 : 0;
	if (how & 3)
		take_pointer(&in, how, &entry);
	load(how);
	return 0;
}
