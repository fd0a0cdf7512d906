; SPDX-License-Identifier: MIT
; The first bytes of each payload: the header that hv/abi.h describes, the entry, the descriptor
; tables and the exceptions' stubs. All of it is read-only: the descriptors' accessed bits are set.

%include "layout.inc"

extern image_bytes		; guest/lib/guest.ld
extern page_tables		; guest/lib/tables.asm
extern guest_start		; guest/start/start.c
extern trap			; guest/lib/trap.c

VECTORS		equ 32
STUB_BYTES	equ 16
ERROR_VECTORS	equ 1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21 | 3 << 29 ; these push an error code

section .start progbits alloc exec nowrite align=16

header:
	dq ABI_MAGIC
	dd ABI_VERSION
	dd ABI_VCPUS_MAX
	dq GUEST_LOAD
	dq image_bytes
	dq GUEST_END - GUEST_LOAD
	dq entry
	dq page_tables
	dd GUEST_STACK_BYTES
	dd GUEST_END - GUEST_LOAD
	times ABI_HEADER_BYTES - ($ - header) db 0

; EDI = index of the vCPU, RSP = its stack.
global entry
entry:
	lgdt [gdtr]
	lidt [idtr]
	push GUEST_CS
	push .reload
	o64 retf
.reload:
	mov eax, GUEST_DS
	mov ds, eax
	mov es, eax
	mov ss, eax
	cld
	sti			; nothing interrupts a payload, but see needs_slice() in hv/vm/run.c
	call guest_start	; does not return
	ud2

; What struct trap_frame begins with, in the order of the pushes.
%define REGISTERS rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15

%macro push_all 1-*
 %rep %0
	push %1
  %rotate 1
 %endrep
%endmacro

%macro pop_all 1-*
 %rep %0
  %rotate -1
	pop %1
 %endrep
%endmacro

; On the stack: what the CPU pushed, an error code, the vector. The CPU aligned the stack before, and
; these 22 words keep it so.
trap_common:
	cld
	push_all REGISTERS
	mov rdi, rsp
	call trap
	pop_all REGISTERS
	add rsp, 16
	iretq

align STUB_BYTES
stubs:
%assign vector 0
%rep VECTORS
 %if (ERROR_VECTORS >> vector & 1) == 0
	push 0
 %endif
	push vector
	jmp near trap_common
	align STUB_BYTES
 %assign vector vector + 1
%endrep
	times VECTORS * STUB_BYTES - ($ - stubs) db 0	; fails if a stub has outgrown its place

align 8
gdt:
	dq 0
	dq 0x00af9b000000ffff	; GUEST_CS: 64-bit code
	dq 0x00cf93000000ffff	; GUEST_DS
gdtr:
	dw gdtr - gdt - 1
	dq gdt

align 8
; The section is the first one, so addresses in it are known here and can be taken apart.
idt:
%assign vector 0
%rep VECTORS
 %assign stub GUEST_LOAD + (stubs - header) + vector * STUB_BYTES
	dw stub & 0xffff, GUEST_CS, 0x8e00, stub >> 16
	dd 0, 0
 %assign vector vector + 1
%endrep
idtr:
	dw idtr - idt - 1
	dq idt
