/* SPDX-License-Identifier: MIT */
/* What a probed instruction did: the exceptions' hook, and the words for the console. */
#include "guest/lib/probe.h"
#include "guest/lib/cpu.h"
#include "guest/lib/line.h"

uint64_t probe_resume;

static struct {
	bool raised;
	uint64_t vector;
	uint64_t error;
	uint64_t address;
} probed;

static bool probe_hook(struct trap_frame *frame)
{
	if (!probe_resume)
		return false;
	probed.raised = true;
	probed.vector = frame->vector;
	probed.error = frame->error;
	probed.address = cpu_fault_address();
	frame->rip = probe_resume;
	probe_resume = 0;
	return true;
}

void probe_init(void)
{
	for (unsigned int i = 0; i < TRAP_VECTORS; i++)
		trap_hook[i] = probe_hook;
}

bool probe_raised(const char *what, uint64_t vector, uint64_t error)
{
	bool right = probed.raised && probed.vector == vector && probed.error == error;
	struct line line;

	line_begin(&line);
	line_text(&line, right ? "right: " : "WRONG: ");
	line_text(&line, what);
	if (probed.raised) {
		line_text(&line, ": exception ");
		line_dec(&line, probed.vector);
		line_text(&line, " error ");
		line_hex(&line, probed.error);
	} else {
		line_text(&line, ": no exception");
	}
	line_print(&line);
	probed.raised = false;
	probe_resume = 0;
	return right;
}

int probe_vector(void)
{
	int vector = probed.raised ? (int)probed.vector : -1;

	probed.raised = false;
	probe_resume = 0;
	return vector;
}

uint64_t probe_error(void)
{
	return probed.error;
}

uint64_t probe_fault_address(void)
{
	return probed.address;
}

bool probe_equal(const char *what, uint64_t found, uint64_t expected)
{
	struct line line;

	line_begin(&line);
	line_text(&line, found == expected ? "right: " : "WRONG: ");
	line_text(&line, what);
	line_text(&line, ": ");
	line_hex(&line, found);
	if (found != expected) {
		line_text(&line, ", expected ");
		line_hex(&line, expected);
	}
	line_print(&line);
	return found == expected;
}
