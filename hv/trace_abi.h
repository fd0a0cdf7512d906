/* SPDX-License-Identifier: MIT */
/* The trace's records, as tools read them. */
#ifndef HV_TRACE_ABI_H
#define HV_TRACE_ABI_H

/* X(name, what a and b are) */
#define TRACE_EVENTS(X)                                                                            \
	X(ENTER, "vm, vcpu: a vCPU starts on this CPU")                                            \
	X(LEAVE, "vm, vcpu: it is saved")                                                          \
	X(EXIT, "the hardware's number of the reason, rip")                                        \
	X(FAULT, "gpa, access: a second-stage fault whose page was not at hand")                   \
	X(SERVED, "gfn, level: a second-stage fault whose page was at hand, and is in place")      \
	X(REQUEST, "gfn, frames: pages asked for")                                                 \
	X(ARRIVE, "gfn, level: a page is in place")                                                \
	X(ZERO, "gfn, level: a zero page is in place")                                             \
	X(DUPLICATE, "gfn, level: a copy that came too late")                                      \
	X(SPLIT, "gfn, level of the entry that was split")                                         \
	X(COLLAPSE, "gfn, level of the leaf")                                                      \
	X(SYNC, "tables that waited, 0")                                                           \
	X(KICK, "cpu, 0: another CPU is called out of its guest")                                  \
	X(CALL, "number, first argument: a hypercall")                                             \
	X(SWITCH, "vm from, vm to")

enum trace_event {
#define X(name, what) TRACE_##name,
	TRACE_EVENTS(X)
#undef X
	TRACE_EVENT_COUNT
};

struct trace_record {
	unsigned long long tsc;
	unsigned int event;
	unsigned int cpu;
	unsigned long long a, b;
};

#endif
