/* SPDX-License-Identifier: MIT */
/* How the machine ends: see hv/base/ending.h. */
#include "hv/base/ending.h"

#include "hv/base/console.h"
#include "hv/base/trace_stream.h"
#include "mm/x86.h"

#define BOCHS_SHUTDOWN 0x8900 /* takes the word "Shutdown", a letter at a time */
#define QEMU_EXIT      0xf4   /* isa-debug-exit: the status is value * 2 + 1 */
#define QEMU_PASS      0x10
#define QEMU_FAIL      0x11
#define RESET_CONTROL  0xcf9 /* of the chipset: bit 1 selects a hard reset, bit 2 does it */
#define KBC_COMMAND    0x64
#define KBC_RESET      0xfe

static enum config_exit ending_way;

void ending_init(enum config_exit way)
{
	ending_way = way;
}

static void end_bochs(void)
{
	for (const char *c = "Shutdown"; *c; c++)
		x86_outb(BOCHS_SHUTDOWN, (uint8_t)*c);
}

static void end_reset(void)
{
	x86_outb(RESET_CONTROL, 0x02);
	x86_outb(RESET_CONTROL, 0x06);
	x86_outb(KBC_COMMAND, KBC_RESET);
}

void ending(bool pass)
{
	trace_stream_end();
	con_printf("cleave: verdict %s\n", pass ? "PASS" : "FAIL");
	con_drain();
	switch (ending_way) {
	case EXIT_BOCHS:
		end_bochs();
		break;
	case EXIT_QEMU:
		x86_outl(QEMU_EXIT, pass ? QEMU_PASS : QEMU_FAIL);
		break;
	case EXIT_RESET:
		end_reset();
		break;
	case EXIT_HALT:
		break;
	}
	con_printf("cleave: the machine can be switched off\n");
	x86_stop();
}
