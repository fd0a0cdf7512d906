/* SPDX-License-Identifier: MIT */
/* Loading a payload into a VM. The image comes from the ESP and is checked as foreign input. */
#include "hv/vm/payload.h"

#include "hv/abi.h"
#include "hv/base/console.h"
#include "hv/cpu/vcpu.h"
#include "hv/vm/write.h"
#include "mm/err.h"

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
	if (vm_write(vm, gpa(h.load_gpa), module->data, h.image_bytes, h.memory_bytes)) {
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
