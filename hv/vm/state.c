/* SPDX-License-Identifier: MIT */
/* A guest without its memory, as bytes. See hv/vm/state.h. */
#include "hv/vm/state.h"

#include "hv/base/clock.h"
#include "hv/vm/make.h"

#define MAGIC 0x53564c43u /* "CLVS" */
/* Rates that differ by less than this part are the same: no better do we know them. */
#define KHZ_SHARE 100

struct saved_head {
	uint32_t magic;
	uint16_t version;
	uint8_t nvcpus;
	uint8_t system; /* 0: a payload; 1: vm->platform is there */
	uint32_t vcpu_bytes;
	uint32_t tsc_khz;
	uint64_t tsc; /* when it stopped, as the source's CPUs count */
};

struct saved_vcpu {
	struct guest_state state;
	uint64_t passes, chain, wrong_count;
	uint32_t run; /* enum vcpu_run_state */
	uint32_t asks;
	uint32_t wakes_open, idle_cr8;
};

struct saved_platform {
	struct uart uart;
	uint8_t ready, verdict;
	uint64_t given;
};

/* The vCPUs lie between the two others. */
static size_t vcpu_at(unsigned int index)
{
	return sizeof(struct saved_head) + index * sizeof(struct saved_vcpu);
}

size_t vm_state_bytes(unsigned int nvcpus)
{
	return vcpu_at(nvcpus) + sizeof(struct saved_platform);
}

/* --- saving --------------------------------------------------------------------------------- */

static void save_vcpu(const struct vcpu *vcpu, void *to)
{
	static struct saved_vcpu v;

	v = (struct saved_vcpu){
		.state = vcpu->state,
		.passes = vcpu->passes,
		.chain = vcpu->chain,
		.wrong_count = vcpu->wrong_count,
		/* One that waits for a page asks again. */
		.run = vcpu->run == VCPU_WAITING ? VCPU_RUNNING : vcpu->run,
		.asks = atomic_load(&vcpu->asks),
		.wakes_open = vcpu->wakes_open,
		.idle_cr8 = vcpu->idle_cr8,
	};
	v.state.lapic.id = vcpu->index; /* a payload has no APIC */
	__builtin_memcpy(to, &v, sizeof(v));
}

static void save_platform(const struct platform *p, void *to)
{
	struct saved_platform s = { 0 };

	if (p) {
		s.uart = p->uart;
		s.ready = atomic_load(&p->ready);
		s.verdict = atomic_load(&p->verdict);
		s.given = atomic_load(&p->given);
	}
	__builtin_memcpy(to, &s, sizeof(s));
}

size_t vm_state_save(const struct vm *vm, void *to)
{
	struct saved_head head = {
		.magic = MAGIC,
		.version = VM_STATE_VERSION,
		.nvcpus = (uint8_t)vm->nvcpus,
		.system = vm->platform != NULL,
		.vcpu_bytes = sizeof(struct saved_vcpu),
		.tsc_khz = (uint32_t)clock_khz,
		.tsc = clock_now(),
	};

	__builtin_memcpy(to, &head, sizeof(head));
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		save_vcpu(&vm->vcpu[i], (char *)to + vcpu_at(i));
	save_platform(vm->platform, (char *)to + vcpu_at(vm->nvcpus));
	return vm_state_bytes(vm->nvcpus);
}

/* --- loading -------------------------------------------------------------------------------- */

/* A system was told how fast its CPUs count. */
static bool same_clock(uint64_t khz)
{
	return (khz > clock_khz ? khz - clock_khz : clock_khz - khz) < clock_khz / KHZ_SHARE;
}

static const char *check_head(const struct saved_head *head, const struct vm *vm, size_t bytes)
{
	if (head->magic != MAGIC || head->version != VM_STATE_VERSION ||
	    head->vcpu_bytes != sizeof(struct saved_vcpu))
		return "the state is of another build of Cleave";
	if (head->nvcpus != vm->nvcpus || bytes != vm_state_bytes(vm->nvcpus))
		return "the state is of another number of vCPUs: set the same vcpus= on both sides";
	if (head->system && !same_clock(head->tsc_khz))
		return "the guest was told another rate of the TSC than this machine has";
	return head->system > 1 ? "the state is of no kind of guest" : NULL;
}

static bool can_go_on(uint32_t run, bool system)
{
	return run == VCPU_RUNNING || (system && (run == VCPU_IDLE || run == VCPU_PARKED));
}

static const char *load_vcpu(struct vcpu *vcpu, const void *from)
{
	static struct saved_vcpu v;
	const char *why;

	__builtin_memcpy(&v, from, sizeof(v));
	why = guest_state_check(&v.state, vcpu->index, xstate_components());
	if (!why && (!can_go_on(v.run, vcpu->system) || v.idle_cr8 > 15))
		why = "a vCPU is in no state to go on from";
	if (why)
		return why;
	vcpu->state = v.state;
	vcpu->run = (enum vcpu_run_state)v.run;
	vcpu->passes = v.passes;
	vcpu->chain = v.chain;
	vcpu->wrong_count = v.wrong_count;
	vcpu->wakes_open = v.wakes_open;
	vcpu->idle_cr8 = v.idle_cr8;
	atomic_store(&vcpu->asks, v.asks);
	atomic_store_explicit(&vcpu->ready, true, memory_order_relaxed);
	return NULL;
}

static const char *load_platform(struct platform *p, const void *from)
{
	struct saved_platform s;
	const char *why;

	__builtin_memcpy(&s, from, sizeof(s));
	why = uart_check(&s.uart);
	if (why)
		return why;
	p->uart = s.uart;
	atomic_store(&p->ready, s.ready != 0);
	atomic_store(&p->verdict, s.verdict);
	atomic_store(&p->given, s.given);
	return NULL;
}

const char *vm_state_load(struct vm *vm, const void *from, size_t bytes)
{
	struct saved_head head;
	const char *why;

	if (bytes < sizeof(head))
		return "the state is cut off";
	__builtin_memcpy(&head, from, sizeof(head));
	why = check_head(&head, vm, bytes);
	if (why)
		return why;
	if (head.system)
		vm_make_system(vm);
	for (unsigned int i = 0; !why && i < vm->nvcpus; i++)
		why = load_vcpu(&vm->vcpu[i], (const char *)from + vcpu_at(i));
	if (!why && head.system)
		why = load_platform(vm->platform, (const char *)from + vcpu_at(vm->nvcpus));
	vm->stopped_at = head.tsc;
	return why;
}

void vm_state_resume(struct vm *vm)
{
	uint64_t shift = vm->stopped_at - clock_now();

	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		vm->vcpu[i].state.tsc_offset += shift;
		if (vm->vcpu[i].system)
			vcpu_move_asks(&vm->vcpu[i], &vm->vcpu[i]);
	}
}
