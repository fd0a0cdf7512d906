/* SPDX-License-Identifier: MIT */
/* Loading Linux. See hv/vm/linux.h; hv/platform/bzimage.h decides what goes where. */
#include "hv/vm/linux.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/cpu/vcpu.h"
#include "hv/platform/acpi.h"
#include "hv/platform/bzimage.h"
#include "hv/vm/make.h"
#include "hv/vm/write.h"

#define ACPI_GPA UINT64_C(0xe0000)

/* Both are copied into the guest at once; one guest is loaded at a time. */
static struct linux_low low;
static uint8_t tables[ACPI_BUFFER_BYTES];

static void add(struct linux_input *in, const struct boot_module *initrd,
		const struct boot_module *command_line)
{
	if (initrd) {
		in->initrd = initrd->data;
		in->initrd_bytes = initrd->bytes;
	}
	if (command_line) {
		in->command_line = command_line->data;
		in->command_line_bytes = command_line->bytes;
	}
}

static struct linux_input input_of(const struct vm *vm, const struct boot_module *kernel)
{
	struct acpi_config acpi = { .gpa = ACPI_GPA, .nvcpus = vm->nvcpus };

	return (struct linux_input){
		.kernel = kernel->data,
		.kernel_bytes = kernel->bytes,
		.region = vm->mem.frames << PAGE_SHIFT,
		.acpi = { ACPI_GPA, tables, acpi_build(&acpi, tables, sizeof(tables)) },
		.tsc_khz = (uint32_t)clock_khz,
	};
}

static void reset_vcpus(struct vm *vm, const struct linux_plan *plan)
{
	const struct vcpu_boot boot = {
		.entry = plan->rip,
		.cr3 = plan->cr3,
		.stack = plan->stack,
		.info = plan->rsi,
		.gdt = plan->gdt_base,
		.gdt_limit = plan->gdt_limit,
	};

	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		vcpu_reset_boot(&vm->vcpu[i], &boot);
		if (i)
			vcpu_park(&vm->vcpu[i]);
	}
}

const char *vm_load_linux(struct vm *vm, const struct boot_module *kernel,
			  const struct boot_module *initrd, const struct boot_module *command_line)
{
	struct linux_input in = input_of(vm, kernel);
	struct linux_plan plan;
	const char *why;

	add(&in, initrd, command_line);
	why = linux_plan(&in, &low, &plan);
	for (unsigned int i = 0; !why && i < plan.npieces; i++)
		if (vm_write(vm, gpa(plan.piece[i].gpa), plan.piece[i].data, plan.piece[i].bytes,
			     plan.piece[i].bytes))
			why = "no memory to load it";
	if (why) {
		con_printf("cleave: kernel %s.bin: %s\n", kernel->name, why);
		return "Linux could not be loaded";
	}
	vm_make_system(vm);
	reset_vcpus(vm, &plan);
	return NULL;
}
