/* SPDX-License-Identifier: MIT */
/* Making and unmaking VMs. See hv/vm/make.h. */
#include "hv/vm/make.h"

#include "hv/abi.h"
#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/base/startup.h"
#include "hv/base/trace.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* A VM and its vCPUs lie side by side. */
struct vm_block {
	struct vm vm;
	struct vcpu vcpu[ABI_VCPUS_MAX];
};

static unsigned int block_order(void)
{
	return frame_order(sizeof(struct vm_block));
}

/* The vendor's second stage, for hv/mem/, which knows of no vendor. */
static const struct stage2 *stage2(void)
{
	static struct stage2 s;

	s = (struct stage2){
		.format = vendor->format,
		.leaf_max = vendor->leaf_max(),
		.flush = vendor->flush,
	};
	return &s;
}

static bool nx_wanted(enum config_nx nx)
{
	return nx == NX_ON || (nx == NX_AUTO && vendor->nx_rule());
}

/* The boot CPU runs the pager and the background stream, so vCPUs run on the others, if any. */
static void place_vcpu(struct vm *vm, unsigned int index)
{
	struct vcpu *vcpu = &vm->vcpu[index];

	vcpu->vm = vm;
	vcpu->mem = &vm->mem;
	vcpu->index = index;
	vcpu->cpu = ncpus == 1 ? 0 : 1 + index % (ncpus - 1);
	vm->shared_cpu[vcpu->cpu] = ncpus == 1 || vm->nvcpus > ncpus - 1;
}

void vm_place_vcpu(struct vm *vm, unsigned int index, unsigned int cpu)
{
	vm->vcpu[index].cpu = cpu;
	vm->shared_cpu[cpu] = true;
}

static int make_vcpus(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		int err;

		place_vcpu(vm, i);
		emulate_keep_cpuid(&vm->vcpu[i]);
		err = vendor->create(&vm->vcpu[i]);
		if (err) {
			con_printf("cleave: vm %s: not enough memory for a vCPU\n", vm->name);
			return err;
		}
	}
	return 0;
}

/* Of this VM's vCPUs, for hv/mem/, which knows of none. */
static bool waited_for(const struct memory *mem)
{
	const struct vm *vm = (const struct vm *)((const char *)mem - offsetof(struct vm, mem));

	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (__atomic_load_n(&vm->vcpu[i].run, __ATOMIC_RELAXED) == VCPU_WAITING)
			return true;
	return false;
}

static struct vm *vm_new(const char *name, const struct run_config *config)
{
	static unsigned int last_id;
	hpa_t where = frame_alloc(&machine_frames, block_order());
	struct vm_block *block;
	struct vm *vm;

	if (where.v == HPA_NONE.v) {
		con_printf("cleave: vm %s: out of memory\n", name);
		return NULL;
	}
	block = direct(where);
	__builtin_memset(block, 0, sizeof(*block));
	vm = &block->vm;
	vm->name = vm->mem.name = name;
	vm->id = vm->mem.vm = ++last_id;
	vm->mem.waited_for = waited_for;
	vm->config = config;
	vm->nvcpus = config->vcpus;
	vm->vcpu = block->vcpu;
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vm->vcpu[i].hw_page = vm->vcpu[i].hw_log = HPA_NONE;
	trace(TRACE_VM, vm->id, config->region >> PAGE_SHIFT);
	return vm;
}

struct vm *vm_create(const char *name, const struct run_config *config, enum pg_level backing)
{
	struct vm *vm = vm_new(name, config);

	if (vm && (mem_make(&vm->mem, stage2(), config->region >> PAGE_SHIFT, backing,
			    nx_wanted(config->nx)) ||
		   make_vcpus(vm))) {
		vm_destroy(vm);
		vm = NULL;
	}
	startup_mark(STARTUP_VM);
	return vm;
}

struct vm *vm_create_like(const struct vm *model, const char *name)
{
	struct vm *vm = vm_new(name, model->config);

	if (vm && (mem_make_like(&vm->mem, &model->mem) || make_vcpus(vm))) {
		vm_destroy(vm);
		return NULL;
	}
	return vm;
}

void vm_make_system(struct vm *vm)
{
	vm->platform = &vm->platform_own;
	platform_reset(vm->platform);
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		vm->vcpu[i].system = true;
		emulate_keep_cpuid(&vm->vcpu[i]);
	}
}

void vm_destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vendor->destroy(&vm->vcpu[i]);
	mem_end(&vm->mem);
	if (frame_free(&machine_frames, direct_hpa(vm), block_order()))
		panic("a VM's frames were not ours to free");
}
