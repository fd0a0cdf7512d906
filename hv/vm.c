/* SPDX-License-Identifier: MIT */
/* Making and unmaking VMs, and running their vCPUs. See hv/vm.h. */
#include "hv/vm.h"

#include "hv/clock.h"
#include "hv/clone.h"
#include "hv/console.h"
#include "hv/frames.h"
#include "hv/panic.h"
#include "hv/smp.h"
#include "hv/trace.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"

/* --- what the second stage needs of us ----------------------------------------------------- */

static int ops_table_alloc(void *ctx, unsigned int cpu, hpa_t *table)
{
	(void)ctx;
	return table_alloc(&machine_tables, cpu, table);
}

static void ops_table_free(void *ctx, unsigned int cpu, hpa_t table)
{
	(void)ctx;
	table_free(&machine_tables, cpu, table);
}

static void ops_flush(void *ctx, unsigned int cpu)
{
	struct vm *vm = ctx;

	tlb_flush(&vm->tlb, cpu);
}

static void ops_trace(void *ctx, unsigned int cpu, enum ept_event event, gfn_t gfn,
		      enum pg_level level)
{
	static const enum trace_event events[] = {
		[EPT_EV_SPLIT] = TRACE_SPLIT,
		[EPT_EV_COLLAPSE] = TRACE_COLLAPSE,
		[EPT_EV_SYNC] = TRACE_SYNC,
	};

	(void)ctx;
	(void)cpu;
	trace(events[event], gfn, level);
}

static const struct ept_ops vm_ept_ops = {
	.table_alloc = ops_table_alloc,
	.table_free = ops_table_free,
	.flush = ops_flush,
	.trace = ops_trace,
};

/* --- making ------------------------------------------------------------------------------- */

/* Tables that a memory of so many frames can need at the worst, all of it in 4 KiB pieces; the
 * gathers hold back some more until their flush. */
static uint64_t tables_at_worst(uint64_t frames)
{
	return frames / level_frames(PG_LEVEL_2M) + frames / level_frames(PG_LEVEL_1G) + 4 +
	       (uint64_t)ncpus * EPT_GATHER_MAX;
}

static unsigned int vm_order(void)
{
	unsigned int order = 0;

	while ((PAGE_SIZE << order) < sizeof(struct vm))
		order++;
	return order;
}

/* Where a vCPU runs: the boot CPU keeps house, unless it is alone. */
static void place_vcpu(struct vm *vm, unsigned int index)
{
	struct vcpu *vcpu = &vm->vcpu[index];

	vcpu->vm = vm;
	vcpu->index = index;
	vcpu->hw_page = vcpu->hw_log = HPA_NONE;
	vcpu->cpu = ncpus == 1 ? 0 : 1 + index % (ncpus - 1);
	vm->shared_cpu[vcpu->cpu] = ncpus == 1 || vm->nvcpus > ncpus - 1;
}

static int take_memory(struct vm *vm, enum pg_level level)
{
	int err = backing_take(&vm->backing, level, vm->frames);

	if (err && level == PG_LEVEL_1G) {
		con_printf("cleave: vm %s: no free 1 GiB frame: using 2 MiB\n", vm->name);
		err = backing_take(&vm->backing, PG_LEVEL_2M, vm->frames);
	}
	if (err)
		con_printf("cleave: vm %s: not enough memory for %llu MiB: give the machine more, "
			   "or make region= smaller\n",
			   vm->name, (unsigned long long)(vm->frames * PAGE_SIZE / MIB));
	return err;
}

static bool nx_wanted(enum config_nx nx)
{
	return nx == NX_ON || (nx == NX_AUTO && vendor->nx_rule());
}

static int make_tables(struct vm *vm, enum pg_level leaf_max)
{
	int err = table_reserve(&machine_tables, tables_at_worst(vm->frames));

	if (err)
		goto out;
	vm->tables_reserved = true;
	err = ept_init(&vm->ept, vendor->format, &vm_ept_ops, vm, &machine_frames, leaf_max);
	if (err)
		goto out;
	vm->ept_made = true;
	ept_set_width(&vm->ept, x86_cpuid(0x80000008, 0).eax & 0xff);
	if (nx_wanted(vm->config->nx))
		ept_set_nx(&vm->ept);
	tlb_init(&vm->tlb, &vm->ept);
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		ept_gather_init(&vm->gather[i], ept_cpu(&vm->ept, i));
out:
	if (err)
		con_printf("cleave: vm %s: not enough memory for its tables\n", vm->name);
	return err;
}

static int make_vcpus(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		int err;

		place_vcpu(vm, i);
		err = vendor->create(&vm->vcpu[i]);
		if (err) {
			con_printf("cleave: vm %s: not enough memory for a vCPU\n", vm->name);
			return err;
		}
	}
	return 0;
}

static int map_memory(struct vm *vm)
{
	int err = backing_map(&vm->backing, ept_cpu(&vm->ept, 0));

	if (err)
		con_printf("cleave: vm %s: not enough memory for its tables\n", vm->name);
	else if (backing_register(&vm->backing, &vm->ept))
		err = -ENOSPC;
	if (err == -ENOSPC)
		con_printf("cleave: vm %s: too many VMs: destroy one first\n", vm->name);
	return err;
}

void vm_place_vcpu(struct vm *vm, unsigned int index, unsigned int cpu)
{
	vm->vcpu[index].cpu = cpu;
	vm->shared_cpu[cpu] = true;
}

static struct vm *vm_new(const char *name, const struct run_config *config)
{
	static unsigned int last_id;
	hpa_t where = frame_alloc(&machine_frames, vm_order());
	struct vm *vm;

	if (where.v == HPA_NONE.v) {
		con_printf("cleave: vm %s: out of memory\n", name);
		return NULL;
	}
	vm = direct(where);
	__builtin_memset(vm, 0, sizeof(*vm));
	vm->name = name;
	vm->id = ++last_id;
	vm->config = config;
	vm->frames = config->region >> PAGE_SHIFT;
	vm->nvcpus = config->vcpus;
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vm->vcpu[i].hw_page = vm->vcpu[i].hw_log = HPA_NONE;
	return vm;
}

struct vm *vm_create(const char *name, const struct run_config *config, enum pg_level backing)
{
	struct vm *vm = vm_new(name, config);

	if (vm && (take_memory(vm, backing) ||
		   make_tables(vm, MIN(vm->backing.level, vendor->leaf_max())) || map_memory(vm) ||
		   make_vcpus(vm))) {
		vm_destroy(vm);
		return NULL;
	}
	return vm;
}

struct vm *vm_create_like(const struct vm *model, const char *name)
{
	struct vm *vm = vm_new(name, model->config);

	if (vm && (make_tables(vm, model->ept.leaf_max) || make_vcpus(vm))) {
		vm_destroy(vm);
		return NULL;
	}
	return vm;
}

void vm_destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vendor->destroy(&vm->vcpu[i]);
	if (vm->ept_made) {
		for (unsigned int i = 0; i < MAX_CPUS; i++)
			ept_sync(&vm->gather[i]);
		clone_forget(vm);
		frames_drop_all(vm);
	}
	/* Before the tables, which a lookup would walk. */
	backing_give(&vm->backing);
	if (vm->ept_made)
		ept_destroy(&vm->ept, cpu_id());
	if (vm->tables_reserved)
		table_unreserve(&machine_tables, tables_at_worst(vm->frames));
	if (frame_free(&machine_frames, direct_hpa(vm), vm_order()))
		panic("a VM's frames were not ours to free");
}

/* --- running ------------------------------------------------------------------------------ */

/*
 * A kick ends a run, but Bochs (3.0 at least) does not let an interrupt through to a guest whose
 * RFLAGS.IF is 0: it settles what is masked before it counts the CPU as inside of the guest. So
 * where there is somebody to kick, a run ends by itself, too.
 */
static bool needs_slice(const struct vm *vm, unsigned int me)
{
	return vm->shared_cpu[me] || ncpus > 1;
}

static bool turn_of(struct vcpu *vcpu, unsigned int me)
{
	if (vcpu->cpu != me)
		return false;
	if (vcpu->run == VCPU_WAITING && vcpu_wait_over(vcpu))
		vcpu->run = VCPU_RUNNING;
	if (vcpu->run != VCPU_RUNNING)
		return false;
	vcpu_run(vcpu, needs_slice(vcpu->vm, me) ? us_to_cycles(SLICE_US) : 0);
	return true;
}

bool vm_turn(struct vm *vm)
{
	unsigned int me = cpu_id();
	bool any = false;

	tlb_quiesce(&vm->tlb, me);
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		any |= turn_of(&vm->vcpu[i], me);
	return any;
}

/* Saves what this CPU holds of the VM. */
static void leave(struct vm *vm, unsigned int me)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i].cpu == me)
			vcpu_put(&vm->vcpu[i]);
	ept_sync(&vm->gather[me]);
	tlb_leave(&vm->tlb, me);
}

static void run_on_this_cpu(void *arg)
{
	struct vm *vm = arg;
	unsigned int me = cpu_id();

	tlb_join(&vm->tlb, me);
	while (!atomic_load_explicit(&vm->stop, memory_order_acquire))
		if (!vm_turn(vm))
			cpu_relax();
	leave(vm, me);
}

static bool cpu_has_vcpu(const struct vm *vm, unsigned int cpu)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i].cpu == cpu)
			return true;
	return false;
}

void vm_start(struct vm *vm)
{
	atomic_store(&vm->stop, false);
	tlb_join(&vm->tlb, 0);
	for (unsigned int cpu = 1; cpu < ncpus; cpu++)
		if (cpu_has_vcpu(vm, cpu))
			cpu_start(cpu, run_on_this_cpu, vm);
}

void vm_stop(struct vm *vm)
{
	atomic_store_explicit(&vm->stop, true, memory_order_release);
	for (unsigned int cpu = 1; cpu < ncpus; cpu++)
		if (cpu_has_vcpu(vm, cpu))
			cpu_kick(cpu);
	for (unsigned int cpu = 1; cpu < ncpus; cpu++)
		/* It may be waiting for our acknowledgement of a flush. */
		while (cpu_has_vcpu(vm, cpu) && cpu_busy(cpu)) {
			tlb_quiesce(&vm->tlb, 0);
			cpu_relax();
		}
	leave(vm, 0);
}

bool vm_over(const struct vm *vm)
{
	return atomic_load_explicit(&vm->over, memory_order_acquire) == vm->nvcpus;
}

bool vm_all_ready(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		if (!atomic_load_explicit(&vm->vcpu[i].ready, memory_order_acquire))
			return false;
	return true;
}

void vm_frame_free(hpa_t frame)
{
	if (frame_free(&machine_frames, frame, FRAME_ORDER_4K))
		panic("a frame was not a VM's to free");
}

/* --- looking in --------------------------------------------------------------------------- */

void *vm_page(const struct vm *vm, gfn_t gfn)
{
	struct ept_state e = ept_lookup(&vm->ept, gfn);

	if (e.kind != EPT_PRESENT)
		return NULL;
	return direct(hpa(e.frame.v + ((gfn & (level_frames(e.level) - 1)) << PAGE_SHIFT)));
}
