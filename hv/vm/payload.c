/* SPDX-License-Identifier: MIT */
/* Loading a payload into a VM. The image comes from the ESP and is checked as foreign input. */
#include "hv/vm/payload.h"

#include "hv/abi.h"
#include "hv/base/console.h"
#include "hv/cpu/vcpu.h"
#include "hv/mem/fill.h"
#include "hv/mem/guest_memory.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"

static const char *wrong(const struct vm *vm, const struct abi_header *h, uint64_t bytes)
{
	uint64_t region = vm->mem.frames << PAGE_SHIFT;

	if (bytes < ABI_HEADER_BYTES || h->magic != ABI_MAGIC)
		return "it is not a Cleave payload (no CLVGUEST at its start)";
	if (h->version != ABI_VERSION)
		return "it was built for another version of the interface: build it again";
	if (h->image_bytes > bytes || h->memory_bytes < h->image_bytes)
		return "it is cut off";
	if (!IS_ALIGNED(h->load_gpa, PAGE_SIZE) || h->load_gpa >= region ||
	    h->memory_bytes > region - h->load_gpa)
		return "it does not fit into the guest's memory: make region= larger";
	if (h->load_gpa + h->memory_bytes > vm->config->work_start)
		return "it reaches into the payload's work area: make start= larger";
	if (h->entry - h->load_gpa >= h->image_bytes || h->cr3 - h->load_gpa >= h->memory_bytes ||
	    !IS_ALIGNED(h->cr3, PAGE_SIZE) || h->stack_top_offset > h->memory_bytes ||
	    (uint64_t)h->stack_bytes * h->vcpus_max > h->stack_top_offset)
		return "its entry, page tables or stacks lie outside of it";
	if (vm->nvcpus > h->vcpus_max)
		return "it has no stacks for so many vCPUs: make vcpus= smaller";
	return NULL;
}

/* Places zeros where memory is absent, in the pieces that it grows by; in smaller ones where part
 * of a piece is here: a clone's pages come one by one. */
static int make_present(struct memory *mem, gfn_t gfn)
{
	enum pg_level piece = mem->pager.piece;
	int err;

	while ((err = fill_page(mem, cpu_id(), ALIGN_DOWN(gfn, level_frames(piece)), piece,
				&fill_zeros, FILL_LOAD, 0)) == EPT_SMALLER)
		piece--;
	return err;
}

/* Copies one page of the image; zeros behind its end. */
static int load_page(struct vm *vm, gfn_t gfn, const char *data, uint64_t bytes)
{
	int err = mem_page(&vm->mem, gfn) ? 0 : make_present(&vm->mem, gfn);

	/* It may be private, or tracked. */
	return err ? err : guest_write(&vm->mem, gpa(gfn << PAGE_SHIFT), data, bytes, GUEST_WAIT);
}

static int load_image(struct vm *vm, const struct abi_header *h, const char *image)
{
	for (uint64_t at = 0; at < h->memory_bytes; at += PAGE_SIZE) {
		uint64_t have = h->image_bytes > at ? MIN(h->image_bytes - at, PAGE_SIZE) : 0;
		int err = load_page(vm, (h->load_gpa + at) >> PAGE_SHIFT, image + at, have);

		if (err)
			return err;
	}
	return 0;
}

int vm_load_payload(struct vm *vm, const struct boot_module *module)
{
	struct abi_header h = { 0 };
	const char *why;

	__builtin_memcpy(&h, module->data, MIN(module->bytes, sizeof(h)));
	why = wrong(vm, &h, module->bytes);
	if (why) {
		con_printf("cleave: payload %s.bin: %s\n", module->name, why);
		return -EINVAL;
	}
	if (load_image(vm, &h, module->data)) {
		con_printf("cleave: payload %s.bin: no memory to load it\n", module->name);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		vcpu_reset(&vm->vcpu[i], h.entry, h.cr3,
			   h.load_gpa + h.stack_top_offset - (uint64_t)i * h.stack_bytes);
		vm->vcpu[i].state.gpr[RDI] = i;
		vm->vcpu[i].run = VCPU_RUNNING;
	}
	return 0;
}

const char *vm_load_payload_named(struct vm *vm, const struct boot_info *info, const char *name)
{
	for (unsigned int i = 0; i < info->nmodules; i++)
		if (!__builtin_strcmp(info->module[i].name, name))
			return vm_load_payload(vm, &info->module[i])
				       ? "the payload could not be loaded"
				       : NULL;
	con_printf("cleave: there is no payload %s.bin in \\guests on the boot disk\n", name);
	return "no such payload";
}
