; SPDX-License-Identifier: MIT
; The hypervisor's image, and an interrupt handler that forgets its EOI.

global hypervisor:data hidden
global hypervisor_end:data hidden
global forgetful_handler:data hidden

section .rodata
align 4096
hypervisor:
	incbin HYPERVISOR
hypervisor_end:

bits 64
section .text
forgetful_handler:
	iretq

section .note.GNU-stack noalloc noexec nowrite progbits
