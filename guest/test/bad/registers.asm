; SPDX-License-Identifier: MIT
; void registers_call(uint64_t registers[15]): a hypercall with all registers but RSP given, and all
; of them taken back afterwards.

extern hypercall_by_vmmcall

section .text

; The order of the array; RDI, which holds its address, comes last or first.
%macro each_register 0
	each rax, 0
	each rbx, 1
	each rcx, 2
	each rdx, 3
	each rsi, 4
	each rbp, 6
	each r8, 7
	each r9, 8
	each r10, 9
	each r11, 10
	each r12, 11
	each r13, 12
	each r14, 13
	each r15, 14
%endmacro

global registers_call
registers_call:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	push rdi
	cmp byte [hypercall_by_vmmcall], 0	; the loads below keep the flags
%macro each 2
	mov %1, [rdi + %2 * 8]
%endmacro
	each_register
	mov rdi, [rdi + 5 * 8]
	jne .vmmcall
	vmcall
	jmp .store
.vmmcall:
	vmmcall
.store:
	xchg rdi, [rsp]
	pop qword [rdi + 5 * 8]
%unmacro each 2
%macro each 2
	mov [rdi + %2 * 8], %1
%endmacro
	each_register
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret
