/* SPDX-License-Identifier: MIT */
/* The trace's records and its stream, as tools read them. */
#ifndef HV_TRACE_ABI_H
#define HV_TRACE_ABI_H

/*
 * X(name, a, b, what): an event, and what its two values are, in one word each:
 *
 *	vm, vcpu, cpu	numbers; a VM's is never used again
 *	gfn, gpa	of the guest's memory
 *	piece		the level of an entry, and its VM: TRACE_PIECE
 *	extent		a number of frames, and their VM: TRACE_EXTENT
 *	whose		a vCPU: the VM's number << 8 | the vCPU's
 *	cycles		that a vCPU waited for the page
 *	refusal		a piece, and from bit 32 on the refusal's place in EPT_REFUSALS
 *	figure		of a sample: its place in TRACE_FIGURES, a vCPU, and its VM: TRACE_FIGURE
 *
 * What a CPU notes of a guest (EXIT, RESUME, FAULT, SERVED, FOUND, STALE, WAIT, CALL) is of the
 *vCPU that it entered last.
 */
#define TRACE_EVENTS(X)                                                                            \
	X(ENTER, vm, vcpu, "this CPU runs the vCPU from here on")                                  \
	X(LEAVE, vm, vcpu, "it is saved")                                                          \
	X(EXIT, reason, rip, "an exit, but for the second stage: the hardware's number")           \
	X(RESUME, vm, vcpu, "the guest goes on")                                                   \
	X(FAULT, gpa, access, "a second-stage fault whose page was not at hand")                   \
	X(SERVED, gfn, cycles, "a second-stage fault whose 4 KiB were at hand, and are in place")  \
	X(FOUND, gfn, cycles, "a fault ends: what was at hand is in place, as its own events say") \
	X(STALE, gfn, access, "a fault ends: nothing was missing, or zeros came back")             \
	X(WAIT, gfn, whose, "a vCPU begins to wait for a page")                                    \
	X(WAKE, whose, cycles, "it waits no longer")                                               \
	X(REQUEST, gfn, frames, "pages asked for")                                                 \
	X(ARRIVE, gfn, piece, "a page is in place")                                                \
	X(ZERO, gfn, piece, "a zero page is in place")                                             \
	X(AGAIN, gfn, piece, "a page that was discarded is in place again, as zeros")              \
	X(DUPLICATE, gfn, piece, "a copy that came too late")                                      \
	X(SPLIT, gfn, piece, "the entry that was split")                                           \
	X(COLLAPSE, gfn, piece, "the leaf")                                                        \
	X(REFUSE, gfn, refusal, "a collapse that could not be")                                    \
	X(DISCARD, gfn, extent, "contents that the guest gave up")                                 \
	X(POISON, gfn, extent, "memory that is lost")                                              \
	X(SYNC, tables, piece, "a flush; so many table pages waited for it")                       \
	X(KICK, cpu, none, "another CPU is called out of its guest")                               \
	X(CALL, number, argument, "a hypercall, and its first argument")                           \
	X(VM, vm, frames, "a VM was made")                                                         \
	X(PHASE, phase, vm, "a migration goes on: enum trace_phase")                               \
	X(SWITCH, vm, vm, "the destination begins, from and to")                                   \
	X(SAMPLE, figure, value, "how much it is by now")

enum trace_event {
#define X(name, a, b, what) TRACE_##name,
	TRACE_EVENTS(X)
#undef X
	TRACE_EVENT_COUNT
};

/* X(ENUMERATOR, name, what): a figure of the destination that is sampled; the last ones are of each
 * vCPU. A sample is all of them at one time. */
#define TRACE_FIGURES(X)                                                                           \
	X(PAGES, pages, "4 KiB pages that have arrived")                                           \
	X(BYTES, bytes, "of contents among them")                                                  \
	X(LEAVES_4K, leaves_4k, "leaves of 4 KiB")                                                 \
	X(LEAVES_2M, leaves_2m, "leaves of 2 MiB")                                                 \
	X(LEAVES_1G, leaves_1g, "leaves of 1 GiB")                                                 \
	X(TABLES, tables, "table pages that are linked")                                           \
	X(FLUSHES, flushes, "flushes that CPUs have made")                                         \
	X(TOUCHED, touched, "leaves that the guest needed in the last interval")                   \
	X(PASSES, passes, "a vCPU's passes over its memory")                                       \
	X(FAULTS, faults, "its second-stage faults")                                               \
	X(BLOCKED, blocked_cycles, "for which it has waited for pages")

enum trace_figure {
#define X(id, name, what) TRACE_##id,
	TRACE_FIGURES(X)
#undef X
};

#define TRACE_FIGURE(figure, vcpu, vm)                                                             \
	((unsigned long long)(vm) << 16 | (unsigned long long)(vcpu) << 8 | (figure))

enum trace_phase {
	TRACE_STOPPED, /* the source runs no more */
	TRACE_ARRIVED, /* all pages are at the destination */
	TRACE_ENDED,   /* the destination's guest has ended, or moves on */
};

#define TRACE_PIECE(level, vm)   ((unsigned long long)(vm) << 8 | (level))
#define TRACE_EXTENT(frames, vm) ((unsigned long long)(vm) << 48 | (frames))

struct trace_record {
	unsigned long long tsc;
	unsigned int event;
	unsigned int cpu;
	unsigned long long a, b;
};

/*
 * The stream, on the machine's third serial port, with trace=all. What precedes TRACE_STREAM_BEGINS
 * is not ours. First, lines of text, "word value": tsc_khz, cpus, second_stage; and an
 * "event NAME a b" for each event, in the order of their numbers. An empty line ends them.
 *
 * Then chunks of numbers, each in bytes of 7 bits, the lowest first; bit 7: one more follows.
 *
 *	CPU + 1		0: the stream ends
 *	lost		records of this CPU that were overwritten before they were read
 *	n		records
 *
 * and n records: the event's number, then tsc, a and b as differences: tsc to the CPU's record
 * before; a and b to the same event's on the CPU, at first 0. A difference d is written as
 * d << 1 ^ d >> 63, so that small ones of either sign are short.
 */
#define TRACE_STREAM_BEGINS "cleave-trace 1\n"

#endif
