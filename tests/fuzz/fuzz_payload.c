/* SPDX-License-Identifier: MIT */
/*
 * Payload images: a header of any kind in front of any bytes. What is accepted lies in memory where
 * it belongs, byte for byte, below the work area and with stacks of its own; what is refused has
 * not touched the guest.
 *
 *	byte 0	 0 the header as it stands, 1 4 MiB of memory, not 2, 2 pieces of 4 KiB, not 2 MiB,
 *		 4:3 vCPUs, 7:5 all set: the memory runs out, 6: a clone
 *	byte 1	 start of the work area, in pages
 *	then	 the header, in shorthand or as it stands, and the rest of the image
 */
#include "hv/vm/clone.h"
#include "hv/mem/fill.h"
#include "hv/mem/guest_memory.h"
#include "mm/err.h"
#include "tests/fuzz/guest_memory.h"

static struct run_config config;
static bool is_clone; /* its pages come into frames of their own, one by one */
static unsigned int fills_left, resets;
static uint64_t entry_of[ABI_VCPUS_MAX], cr3_of[ABI_VCPUS_MAX], stack_of[ABI_VCPUS_MAX];

/* --- what the loader asks of others ---------------------------------------------------------- */

const struct page_reply fill_zeros;

/* A clone's pages come one by one; a piece comes only where nothing is yet. */
int fill_page(struct memory *mem, unsigned int cpu, gfn_t gfn, enum pg_level level,
	      const struct page_reply *contents, enum fill_why why, uint64_t begin)
{
	uint64_t frames = level_frames(level);

	(void)begin;
	fuzz_check(mem == &guest.mem && cpu == 0 && why == FILL_LOAD && contents == &fill_zeros);
	fuzz_check(IS_ALIGNED(gfn, frames) && gfn + frames <= mem->frames);
	if (memchr(guest_there + gfn, 1, frames))
		return frames > 1 ? EPT_SMALLER : EPT_HERE;
	if (is_clone && frames > 1)
		return EPT_SMALLER;
	if (!fills_left)
		return -ENOMEM;
	fills_left--;
	memset(guest_memory + (gfn << PAGE_SHIFT), 0, frames << PAGE_SHIFT);
	memset(guest_there + gfn, true, frames);
	return 0;
}

int guest_write(struct memory *mem, gpa_t to, const void *from, uint64_t bytes,
		enum guest_wait wait)
{
	(void)wait;
	fuzz_check(mem == &guest.mem && bytes <= PAGE_SIZE && IS_ALIGNED(to.v, PAGE_SIZE));
	fuzz_check(mem_page(mem, gpa_to_gfn(to)) != NULL);
	memcpy(guest_memory + to.v, from, bytes);
	return 0;
}

void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t cr3, uint64_t stack)
{
	size_t i = (size_t)(vcpu - guest.vcpu);

	fuzz_check(i < guest.nvcpus);
	entry_of[i] = entry;
	cr3_of[i] = cr3;
	stack_of[i] = stack;
	resets++;
}

/* --- what must hold -------------------------------------------------------------------------- */

static void check_vcpu(const struct abi_header *h, unsigned int i)
{
	fuzz_check(entry_of[i] >= h->load_gpa && entry_of[i] < h->load_gpa + h->image_bytes);
	fuzz_check(IS_ALIGNED(cr3_of[i], PAGE_SIZE) && cr3_of[i] >= h->load_gpa);
	fuzz_check(cr3_of[i] < h->load_gpa + h->memory_bytes);
	fuzz_check(stack_of[i] <= h->load_gpa + h->memory_bytes);
	fuzz_check(stack_of[i] >= h->load_gpa + h->stack_bytes);
	fuzz_check(!i || stack_of[i] == stack_of[i - 1] - h->stack_bytes);
	fuzz_check(guest.vcpu[i].state.gpr[RDI] == i && guest.vcpu[i].run == VCPU_RUNNING);
}

static void check_loaded(const struct abi_header *h, const char *image)
{
	const char *at = guest_memory + h->load_gpa;

	fuzz_check(h->load_gpa + h->memory_bytes <= config.work_start);
	fuzz_check(memcmp(at, image, h->image_bytes) == 0);
	for (uint64_t i = h->image_bytes; i < h->memory_bytes; i++)
		fuzz_check(at[i] == 0);
	fuzz_check(resets == config.vcpus && resets <= h->vcpus_max);
	for (unsigned int i = 0; i < config.vcpus; i++)
		check_vcpu(h, i);
}

static void check_refused(int err)
{
	fuzz_check(err == -EINVAL || (err == -ENOMEM && !fills_left));
	fuzz_check(resets == 0 && guest_lines == 1);
	fuzz_check(strncmp(guest_said, "cleave: payload fuzzed.bin: ", 28) == 0);
	for (uint64_t i = 0; err == -EINVAL && i < guest.mem.frames; i++)
		fuzz_check(!guest_there[i]);
}

/* --- from bytes ------------------------------------------------------------------------------ */

/* Few bytes for what is nearly right: addresses from load_gpa on, sizes in the guest's reach. */
static void take_header(struct fuzz_input *in, struct abi_header *h)
{
	*h = (struct abi_header){ .magic = ABI_MAGIC, .version = ABI_VERSION };
	h->vcpus_max = (unsigned int)fuzz_take(in, 1) % 6;
	h->load_gpa = fuzz_take(in, 2) << 8 << (fuzz_take(in, 1) & 4);
	h->image_bytes = fuzz_take(in, 2);
	h->memory_bytes = h->image_bytes + (fuzz_take(in, 3) & 0x3fffff);
	h->entry = h->load_gpa + fuzz_take(in, 2);
	h->cr3 = h->load_gpa + (fuzz_take(in, 2) << 8);
	h->stack_bytes = (unsigned int)fuzz_take(in, 3);
	h->stack_top_offset = (unsigned int)fuzz_take(in, 3);
}

/* The module's memory is of just its size; a header in shorthand stands in front of the rest. */
static char *take_image(struct fuzz_input *in, bool raw, struct boot_module *module)
{
	struct abi_header h;
	size_t front = raw ? 0 : sizeof(h);
	char *image;

	if (!raw)
		take_header(in, &h);
	module->bytes = front + in->n;
	module->data = image = malloc(module->bytes ? module->bytes : 1);
	if (!raw)
		memcpy(image, &h, sizeof(h));
	memcpy(image + front, in->p, in->n);
	return image;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_module module = { .name = "fuzzed" };
	struct fuzz_input in = { data, size };
	unsigned int how = (unsigned int)fuzz_take(&in, 1);
	struct abi_header h = { 0 };
	char *image;
	int err;

	config.region = how & 2 ? 4 * MIB : 2 * MIB;
	config.vcpus = 1 + (how >> 3 & 3);
	config.work_start = MIN(fuzz_take(&in, 1) << 14, config.region);
	guest_begin(&config);
	guest.mem.pager.piece = how & 4 ? PG_LEVEL_4K : PG_LEVEL_2M;
	is_clone = how >> 5 == 6;
	fills_left = how >> 5 == 7 ? 1 : GUEST_PAGES;
	resets = 0;
	image = take_image(&in, how & 1, &module);
	memcpy(&h, image, MIN(module.bytes, sizeof(h)));
	err = vm_load_payload(&guest, &module);
	if (err)
		check_refused(err);
	else
		check_loaded(&h, image);
	free(image);
	return 0;
}
