/* SPDX-License-Identifier: MIT */
/* Filling a VMCS from a vCPU's state, and reading it back (SDM vol. 3C, "Virtual Machine Control
 * Structures", "Preparation and Launching a Virtual Machine"). */
#include "hv/cpu/vmx/vmx.h"

#include "hv/cpu/debug.h"
#include "mm/err.h"
#include "mm/machine.h"
#include "mm/percpu.h"
#include "mm/x86.h"

int vmx_create(struct vcpu *vcpu)
{
	vcpu->hw_page = frame_alloc(&machine_frames, FRAME_ORDER_4K);
	if (vcpu->hw_page.v == HPA_NONE.v)
		return -ENOMEM;
	/* 0 is the host's. What is cached of a guest has its EPTP beside its VPID, so those of one
	 * VM are enough to differ (SDM vol. 3C, "Information That May Be Cached"); a hypervisor
	 * below us may flush whenever the number changes. Each load forgets what a former user
	 * left. */
	vcpu->hw_tag = vcpu->index + 1;
	__builtin_memset(direct(vcpu->hw_page), 0, PAGE_SIZE);
	*(volatile uint32_t *)direct(vcpu->hw_page) = vmx.revision;
	return 0;
}

void vmx_destroy(struct vcpu *vcpu)
{
	if (vcpu->hw_page.v != HPA_NONE.v &&
	    frame_free(&machine_frames, vcpu->hw_page, FRAME_ORDER_4K))
		vmx_failed("freeing a VMCS", vcpu->hw_page.v);
	vcpu->hw_page = HPA_NONE;
}

static void load_controls(const struct vcpu *vcpu)
{
	const struct guest_state *s = &vcpu->state;

	vmwrite(VMCS_PIN, vmx.pin);
	vmx_write_cpu(vcpu);
	vmwrite(VMCS_CPU2, vmx.cpu2);
	vmwrite(VMCS_EXITC, vmx.exit);
	vmwrite(VMCS_ENTRYC, vmx.entry | (s->efer & EFER_LMA ? ENTRYC_GUEST_64 : 0));
	/* Debug and alignment exceptions whose delivery raises themselves would hold the CPU for
	 * ever, unreachable by a kick: Cleave delivers them. */
	vmwrite(VMCS_EXCEPTIONS, 1u << EXCEPTION_DB | 1u << EXCEPTION_AC | 1u << EXCEPTION_MC);
	vmwrite(VMCS_MSR_BITMAP, vmx_msr_bitmap());
	vmwrite(VMCS_TSC_OFFSET, s->tsc_offset);
	vmwrite(VMCS_LINK, UINT64_MAX);
	vmwrite(VMCS_EPTP, vmx_eptp(vcpu_ept(vcpu)));
	if (vmx.vpid)
		vmwrite(VMCS_VPID, vcpu->hw_tag);
	vmwrite(VMCS_INJECT_INFO, s->event.info);
	vmwrite(VMCS_INJECT_ERROR, s->event.error);
	vmwrite(VMCS_INJECT_LENGTH, s->event.length);
}

static void load_host(void)
{
	const struct cpu *c = this_cpu();

	vmwrite(VMCS_HOST_CS, SEL_CODE);
	vmwrite(VMCS_HOST_SS, SEL_DATA);
	vmwrite(VMCS_HOST_DS, SEL_DATA);
	vmwrite(VMCS_HOST_ES, SEL_DATA);
	vmwrite(VMCS_HOST_FS, SEL_DATA);
	vmwrite(VMCS_HOST_GS, SEL_DATA);
	vmwrite(VMCS_HOST_TR, SEL_TSS);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, (uintptr_t)c);
	vmwrite(VMCS_HOST_TR_BASE, c->tss);
	vmwrite(VMCS_HOST_GDT_BASE, c->gdt);
	vmwrite(VMCS_HOST_IDT_BASE, c->idt);
	vmwrite(VMCS_HOST_CR0, x86_read_cr0());
	vmwrite(VMCS_HOST_CR3, x86_read_cr3());
	vmwrite(VMCS_HOST_CR4, x86_read_cr4());
	vmwrite(VMCS_HOST_PAT, x86_rdmsr(MSR_PAT));
	vmwrite(VMCS_HOST_EFER, x86_rdmsr(MSR_EFER));
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit_point);
}

/* The fields that hold guest state as it is, and where vcpu->state keeps it. */
static const struct {
	enum vmcs_field field;
	uint16_t offset;
	uint16_t bytes;
} plain[] = {
#define PLAIN(field, member)                                                                       \
	{                                                                                          \
		field, offsetof(struct guest_state, member),                                       \
			sizeof(((struct guest_state *)0)->member)                                  \
	}
	PLAIN(VMCS_GUEST_RIP, rip),
	PLAIN(VMCS_GUEST_RSP, gpr[RSP]),
	PLAIN(VMCS_GUEST_RFLAGS, rflags),
	PLAIN(VMCS_GUEST_CR3, cr3),
	PLAIN(VMCS_GUEST_DR7, dr7),
	PLAIN(VMCS_GUEST_EFER, efer),
	PLAIN(VMCS_GUEST_PAT, pat),
	PLAIN(VMCS_GUEST_SYSENTER_CS, sysenter_cs),
	PLAIN(VMCS_GUEST_SYSENTER_ESP, sysenter_esp),
	PLAIN(VMCS_GUEST_SYSENTER_EIP, sysenter_eip),
	PLAIN(VMCS_GUEST_GDT_BASE, gdt_base),
	PLAIN(VMCS_GUEST_GDT_LIMIT, gdt_limit),
	PLAIN(VMCS_GUEST_IDT_BASE, idt_base),
	PLAIN(VMCS_GUEST_IDT_LIMIT, idt_limit),
	PLAIN(VMCS_GUEST_INTERRUPTIBILITY, interruptibility),
	PLAIN(VMCS_GUEST_PENDING_DEBUG, pending_debug),
#undef PLAIN
};

static void load_plain(const struct guest_state *s)
{
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		uint64_t value = 0;

		__builtin_memcpy(&value, (const char *)s + plain[i].offset, plain[i].bytes);
		vmwrite(plain[i].field, value);
	}
}

static void save_plain(struct guest_state *s)
{
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		uint64_t value = vmread(plain[i].field);

		__builtin_memcpy((char *)s + plain[i].offset, &value, plain[i].bytes);
	}
}

/* The fields of segment registers stand in the order of enum segment, 2 apart. */
static enum vmcs_field of_segment(enum vmcs_field first, unsigned int segment)
{
	return (enum vmcs_field)(first + 2 * segment);
}

static void load_segments(const struct guest_state *s)
{
	for (unsigned int i = 0; i < SEGMENTS; i++) {
		vmwrite(of_segment(VMCS_GUEST_ES, i), s->seg[i].selector);
		vmwrite(of_segment(VMCS_GUEST_ES_LIMIT, i), s->seg[i].limit);
		vmwrite(of_segment(VMCS_GUEST_ES_ATTR, i), s->seg[i].attributes);
		vmwrite(of_segment(VMCS_GUEST_ES_BASE, i), s->seg[i].base);
	}
}

static void save_segments(struct guest_state *s)
{
	for (unsigned int i = 0; i < SEGMENTS; i++)
		s->seg[i] = (struct segment_state){
			.selector = (uint16_t)vmread(of_segment(VMCS_GUEST_ES, i)),
			.limit = (uint32_t)vmread(of_segment(VMCS_GUEST_ES_LIMIT, i)),
			.attributes = (uint32_t)vmread(of_segment(VMCS_GUEST_ES_ATTR, i)),
			.base = vmread(of_segment(VMCS_GUEST_ES_BASE, i)),
		};
}

void vmx_load(struct vcpu *vcpu)
{
	vmclear(vcpu->hw_page);
	vmptrld(vcpu->hw_page);
	vcpu->hw_launched = false;
	vcpu->hw_rsp = 0;
	vcpu->hw_window = false;
	vcpu->hw_timer = false;
	load_controls(vcpu);
	load_host();
	load_plain(&vcpu->state);
	load_segments(&vcpu->state);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmx_load_crs(&vcpu->state);
	vmx_flush(vcpu_ept(vcpu));
	if (vmx.vpid)
		invvpid(INVVPID_SINGLE, (uint16_t)vcpu->hw_tag);
}

void vmx_write_cpu(const struct vcpu *vcpu)
{
	vmwrite(VMCS_CPU,
		(vmx.cpu & ~(vcpu->debug ? CPU_MOV_DR : 0)) | (vcpu->hw_window ? CPU_WINDOW : 0));
}

void vmx_debug(struct vcpu *vcpu, bool own)
{
	struct guest_state *s = &vcpu->state;

	vcpu->debug = own;
	vmx_write_cpu(vcpu);
	if (own) {
		debug_load(s->dr);
		x86_write_dr6(s->dr6);
		return;
	}
	debug_take(s->dr);
	s->dr6 = x86_read_dr6();
	s->dr7 = vmread(VMCS_GUEST_DR7);
}

/* VM entry and exit switch none of these; root mode uses none. */
void vmx_activate(struct vcpu *vcpu)
{
	const struct guest_state *s = &vcpu->state;

	vmptrld(vcpu->hw_page);
	vmx_load_syscall_msrs(vcpu);
	x86_wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
	x86_write_cr2(s->cr2);
}

static void take_active(struct guest_state *s)
{
	s->kernel_gs_base = x86_rdmsr(MSR_KERNEL_GS_BASE);
	s->cr2 = x86_read_cr2();
}

void vmx_deactivate(struct vcpu *vcpu)
{
	take_active(&vcpu->state);
}

/* The current VMCS. */
static void take_vmcs(struct guest_state *s)
{
	save_plain(s);
	save_segments(s);
	s->cr0 = vmx_get_cr0();
	s->cr4 = vmx_get_cr4();
	s->event.info = (uint32_t)vmread(VMCS_INJECT_INFO);
	s->event.error = (uint32_t)vmread(VMCS_INJECT_ERROR);
	s->event.length = (uint32_t)vmread(VMCS_INJECT_LENGTH);
}

void vmx_save(struct vcpu *vcpu)
{
	vmptrld(vcpu->hw_page);
	take_vmcs(&vcpu->state);
	vmclear(vcpu->hw_page);
}

void vmx_peek(const struct vcpu *vcpu, struct guest_state *s)
{
	hpa_t before = vmptrst();

	*s = vcpu->state;
	vmptrld(vcpu->hw_page);
	take_vmcs(s);
	if (before.v == vcpu->hw_page.v) {
		take_active(s);
		if (vcpu->debug)
			s->dr6 = x86_read_dr6();
	} else if (before.v != UINT64_MAX) {
		vmptrld(before);
	}
}
