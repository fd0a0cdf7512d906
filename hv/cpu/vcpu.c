/* SPDX-License-Identifier: MIT */
/* Running a vCPU: what comes before and after, and what each exit leads to. */
#include "hv/cpu/vcpu_loop.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/startup.h"
#include "hv/base/trace.h"
#include "hv/base/trace_stream.h"
#include "hv/cpu/vcpu_dump.h"
#include "hv/cpu/vm.h"
#include "mm/percpu.h"
#include "mm/x86.h"

#define EXCEPTION_UD 6
#define EXCEPTION_GP 13

static bool is_over(const struct vcpu *vcpu)
{
	return vcpu->run == VCPU_DONE || vcpu->run == VCPU_DEAD || vcpu->run == VCPU_HALTED;
}

static void end_with(struct vcpu *vcpu, enum vcpu_run_state state)
{
	if (is_over(vcpu))
		return;
	vcpu->run = state;
	atomic_fetch_add_explicit(&vcpu->vm->over, 1, memory_order_release);
}

/* Stops the current vCPU for good. Keeps its registers for print_vcpu(). */
static void vcpu_kill(struct vcpu *vcpu, const char *why)
{
	vcpu->death = why;
	vendor->peek(vcpu, &vcpu->state);
	end_with(vcpu, VCPU_DEAD);
}

/* --- waiting ------------------------------------------------------------------------------ */

/* As the trace names a vCPU. */
static uint64_t whose(const struct vcpu *vcpu)
{
	return (uint64_t)vcpu->vm->id << 8 | vcpu->index;
}

static void begin_wait(struct vcpu *vcpu, gpa_t at)
{
	vcpu->run = VCPU_WAITING;
	vcpu->wait_gfn = gpa_to_gfn(at);
	vcpu->wait_since = clock_now();
	trace_at(vcpu->cpu, vcpu->wait_since, TRACE_WAIT, vcpu->wait_gfn, whose(vcpu));
}

bool vcpu_wait_over(struct vcpu *vcpu)
{
	uint64_t waited;

	/* Whatever else became of the page is worth another try. */
	if (ept_awaited(&vcpu->mem->ept, vcpu->wait_gfn))
		return false;
	waited = clock_now() - vcpu->wait_since;
	vcpu->stats.wait.waits++;
	vcpu->stats.wait.wait_cycles += waited;
	fault_waited(&vcpu->stats.wait, waited);
	trace(TRACE_WAKE, whose(vcpu), waited);
	return true;
}

/* --- the hardware's log of writes ----------------------------------------------------------- */

static bool log_changed(struct vcpu *vcpu)
{
	return (atomic_load(&vcpu->mem->logged) != NULL) !=
	       atomic_load_explicit(&vcpu->logging, memory_order_relaxed);
}

static void follow_log(struct vcpu *vcpu)
{
	bool on = atomic_load(&vcpu->mem->logged) != NULL;

	if (!log_changed(vcpu))
		return;
	vendor->log(vcpu, on);
	atomic_store(&vcpu->logging, on);
}

static void drain_log(struct vcpu *vcpu)
{
	if (atomic_load_explicit(&vcpu->logging, memory_order_relaxed))
		vendor->drain(vcpu);
}

/* --- exits -------------------------------------------------------------------------------- */

static bool raise(struct vcpu *vcpu, unsigned int vector, int64_t error)
{
	vendor->inject(vcpu, vector, error);
	return true;
}

/* It touched a page that is lost. Returns true to enter again. */
static bool machine_check(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct mca_access access = {
		.at = exit->gpa,
		.fetch = exit->access & EPT_X,
		.restart = !vendor->was_delivering(vcpu),
		.delivered = vendor->cr4(vcpu) & CR4_MCE,
	};
	const char *why = mca_consume(&vcpu->state.mca, vendor->mca, &access);

	if (!why) {
		vcpu->stats.machine_checks++;
		return raise(vcpu, EXCEPTION_MC, INJECT_NO_ERROR);
	}
	con_printf("cleave: [%s/%u] stopped at gpa 0x%llx: %s\n", vcpu->vm->name, vcpu->index,
		   (unsigned long long)exit->gpa.v, why);
	vcpu_kill(vcpu, why);
	return false;
}

/* The page does not come, or not now. Returns true to enter again. */
static bool fault_left(struct vcpu *vcpu, const struct vcpu_exit *exit, enum pager_answer answer)
{
	switch (answer) {
	case PAGER_RESUME:
		return true;
	case PAGER_WAIT:
		begin_wait(vcpu, exit->gpa);
		return false;
	case PAGER_WILD:
		vcpu_kill(vcpu, "it accessed an address outside of its memory");
		return false;
	case PAGER_DENIED:
		vcpu_kill(vcpu, "its access is not permitted there");
		return false;
	case PAGER_NOMEM:
		vcpu_kill(vcpu, "there is no memory for its own copy of a page");
		return false;
	default:
		return machine_check(vcpu, exit);
	}
}

/* Call this where there is time to look: some CPUs have no timer that ends a slice. */
static bool slice_over(const struct vcpu *vcpu)
{
	return vcpu->slice_end && clock_now() >= vcpu->slice_end;
}

/* The guest executes the call again once the page is here, as any instruction that faults. */
static bool call(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct vcpu_exit fault = { .access = EPT_R };

	if (!vendor->in_kernel(vcpu))
		return raise(vcpu, EXCEPTION_UD, INJECT_NO_ERROR);
	switch (hypercall(vcpu, &fault.gpa)) {
	case CALL_MISSING:
		vcpu->stats.calls_faulted++;
		return fault_left(
			vcpu, &fault,
			pager_fault(vcpu->mem, vcpu->cpu, fault.gpa, EPT_R, &vcpu->stats.wait));
	case CALL_DONE:
		end_with(vcpu, VCPU_DONE);
		break;
	case CALL_OK:
		break;
	}
	vendor->skip(vcpu, exit);
	return !is_over(vcpu) && !slice_over(vcpu);
}

static bool wrmsr(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	bool stay = true;

	if (!emulate_wrmsr(vcpu, &stay))
		return raise(vcpu, EXCEPTION_GP, 0);
	vendor->skip(vcpu, exit);
	return stay;
}

/* To a guest that is not told of XSAVE there is no such instruction. */
static bool xsetbv(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	if (!vcpu->system)
		return raise(vcpu, EXCEPTION_UD, INJECT_NO_ERROR);
	if (!emulate_xsetbv(vcpu))
		return raise(vcpu, EXCEPTION_GP, 0);
	vendor->skip(vcpu, exit);
	return true;
}

static bool halt(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	if (!vcpu->system) {
		end_with(vcpu, VCPU_HALTED);
		return false;
	}
	vendor->skip(vcpu, exit);
	vcpu_sleep(vcpu);
	return false;
}

static bool rare_exit(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	switch (exit->reason) {
	case EXIT_RETRY:
		return true;
	case EXIT_SLICE:
		return vcpu_time(vcpu);
	case EXIT_KICK:
		vendor->leave();
		x86_take_interrupts();
		return !atomic_load_explicit(&vcpu->vm->stop, memory_order_acquire) &&
		       !log_changed(vcpu);
	case EXIT_WINDOW: /* vcpu_answer() */
		return true;
	case EXIT_CPUID:
		emulate_cpuid(vcpu);
		vendor->skip(vcpu, exit);
		return true;
	case EXIT_RDMSR:
		if (!emulate_rdmsr(vcpu))
			return raise(vcpu, EXCEPTION_GP, 0);
		vendor->skip(vcpu, exit);
		return true;
	case EXIT_WRMSR:
		return wrmsr(vcpu, exit);
	case EXIT_XSETBV:
		return xsetbv(vcpu, exit);
	case EXIT_IO:
		emulate_io(vcpu, exit);
		vendor->skip(vcpu, exit);
		return true;
	case EXIT_CALL:
		return call(vcpu, exit);
	case EXIT_GP:
		return raise(vcpu, EXCEPTION_GP, 0);
	case EXIT_UD:
		return raise(vcpu, EXCEPTION_UD, INJECT_NO_ERROR);
	case EXIT_HLT:
		return halt(vcpu, exit);
	case EXIT_LOG:
		vendor->drain(vcpu);
		return true;
	case EXIT_STORM:
		vcpu_kill(vcpu, "an exception meets itself on its way without end");
		return false;
	case EXIT_TRIPLE:
		vcpu_kill(vcpu, "triple fault");
		return false;
	case EXIT_MISCONFIG:
		panic_vcpu(vcpu, "the CPU rejects a second-stage entry");
	default:
		vcpu_kill(vcpu, "the CPU refused to run it");
		return false;
	}
}

/* Of what is there in each slice of time, the last events have little to tell. */
static void trace_exit(const struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	bool ours = exit->reason == EXIT_SLICE || exit->reason == EXIT_KICK ||
		    exit->reason == EXIT_RETRY;

	if (!ours || trace_streams)
		trace_at(vcpu->cpu, clock_now(), TRACE_EXIT, exit->code, exit->rip);
}

static void trace_resume(const struct vcpu *vcpu)
{
	if (trace_streams)
		trace(TRACE_RESUME, vcpu->vm->id, vcpu->index);
}

static bool other_exit(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	bool stay;

	trace_exit(vcpu, exit);
	stay = rare_exit(vcpu, exit);
	if (stay)
		trace_resume(vcpu);
	return stay;
}

static void catch_up(struct vcpu *vcpu)
{
	drain_log(vcpu); /* the flusher finds there what was logged before */
	tlb_quiesce(&vcpu->mem->tlb, vcpu->cpu);
}

static void note_first_entry(struct vm *vm)
{
	uint64_t none = 0, now;

	if (atomic_load_explicit(&vm->first_entry, memory_order_relaxed))
		return;
	now = clock_now();
	if (atomic_compare_exchange_strong(&vm->first_entry, &none, now))
		startup_entered(now);
}

void vcpu_run(struct vcpu *vcpu, uint64_t cycles)
{
	static const struct vcpu_rare rare = { catch_up, vcpu_answer, fault_left, other_exit };

	vcpu->slice_end = cycles ? clock_now() + cycles : 0;
	vcpu_set_until(vcpu);
	vcpu->hw_deadline = 0; /* others may have set this CPU's timer since */
	atomic_store(&vcpu->running, true);
	vcpu_switch_to(vcpu);
	follow_log(vcpu);
	note_first_entry(vcpu->vm);
	trace_resume(vcpu);
	vendor->run(vcpu, &rare);
	vendor->leave();
	drain_log(vcpu);
	atomic_store(&vcpu->running, false);
}
