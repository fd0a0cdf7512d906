/* SPDX-License-Identifier: MIT */
/* Loading a guest. See hv/vm/load.h. */
#include "hv/vm/load.h"

#include "hv/base/console.h"
#include "hv/base/startup.h"
#include "hv/vm/linux.h"
#include "hv/vm/payload.h"

#define LINUX_HEADER_AT 0x202
#define LINUX_HEADER    "HdrS"

static const struct boot_module *find(const struct boot_info *info, const char *name)
{
	for (unsigned int i = 0; i < info->nmodules; i++)
		if (!__builtin_strcmp(info->module[i].name, name))
			return &info->module[i];
	return NULL;
}

static const struct boot_module *guest_named(const struct boot_info *info, const char *name)
{
	const struct boot_module *module = find(info, name);

	if (!module)
		con_printf("cleave: there is no guest %s.bin in \\guests on the boot disk\n", name);
	return module;
}

const char *vm_load_payload_named(struct vm *vm, const struct boot_info *info, const char *name)
{
	const struct boot_module *module = guest_named(info, name);
	int err;

	if (!module)
		return "no such payload";
	err = vm_load_payload(vm, module);
	startup_mark(STARTUP_GUEST);
	return err ? "the payload could not be loaded" : NULL;
}

/* The module that belongs to another one: NAME-initrd, NAME-cmdline. */
static const struct boot_module *beside(const struct boot_info *info,
					const struct boot_module *kernel, const char *what)
{
	char name[2 * CONFIG_NAME_MAX];

	fmt_print(name, sizeof(name), "%s-%s", kernel->name, what);
	return find(info, name);
}

/* By its looks, or by what stands beside it: then it is meant to be one. */
static bool is_linux(const struct boot_info *info, const struct boot_module *module)
{
	const char *data = module->data;

	if (module->bytes >= LINUX_HEADER_AT + sizeof(LINUX_HEADER) &&
	    !__builtin_memcmp(data + LINUX_HEADER_AT, LINUX_HEADER, sizeof(LINUX_HEADER) - 1))
		return true;
	return beside(info, module, "cmdline") || beside(info, module, "initrd");
}

const char *vm_load_guest(struct vm *vm, const struct boot_info *info, const char *name)
{
	const struct boot_module *module = guest_named(info, name);
	const char *why;

	if (!module)
		return "no such guest";
	if (!is_linux(info, module))
		return vm_load_payload_named(vm, info, name);
	why = vm_load_linux(vm, module, beside(info, module, "initrd"),
			    beside(info, module, "cmdline"));
	startup_mark(STARTUP_GUEST);
	return why;
}
