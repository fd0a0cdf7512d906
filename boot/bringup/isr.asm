; SPDX-License-Identifier: MIT
; Where exceptions and interrupts of root mode arrive: a stub of 16 bytes for each vector, then one
; common way into hv_trap() with a struct trap_frame (hv/hv.h). GS base is ours in root mode at any
; time, so nothing is swapped.

bits 64
default rel

extern hv_trap
global isr_stubs:data hidden

section .text

; Vectors for which the CPU pushes an error code (SDM vol. 3A, "Exception and Interrupt Reference").
%define HAS_ERROR(v) (v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)

align 16
isr_stubs:
%assign v 0
%rep 256
	align 16
	%if !HAS_ERROR(v)
	push 0
	%endif
	push v
	jmp near isr_common
	%assign v v + 1
%endrep

; The stack's top is aligned to 16 and so is the frame: 22 words.
align 16
isr_common:
	push rax
	push rbx
	push rcx
	push rdx
	push rsi
	push rdi
	push rbp
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
	cld
	mov rdi, rsp
	call hv_trap
	pop r15
	pop r14
	pop r13
	pop r12
	pop r11
	pop r10
	pop r9
	pop r8
	pop rbp
	pop rdi
	pop rsi
	pop rdx
	pop rcx
	pop rbx
	pop rax
	add rsp, 16
	iretq

section .note.GNU-stack noalloc noexec nowrite progbits
