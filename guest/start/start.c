/* SPDX-License-Identifier: MIT */
/* Where guest/start/entry.asm goes on in C: a vCPU learns what its share is and enters the
 * payload. */
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"

void guest_start(unsigned int index); /* called by guest/start/entry.asm */

void guest_start(unsigned int index)
{
	if (!hypercall_init())
		cpu_stop();
	vcpu_init(&vcpus[index], index);
	payload_main(&vcpus[index]);
}
