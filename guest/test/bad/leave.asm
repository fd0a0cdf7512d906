; SPDX-License-Identifier: MIT
; Leaving for code at another privilege level or in another mode: see guest/test/bad/user.h.

section .text

; void user_leave(const struct user_state *to): does not come back by itself; the exceptions' hook
; goes to user_back.
global user_leave
user_leave:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [rel kernel_stack], rsp
	push qword [rdi + 0x20]	; SS
	push qword [rdi + 0x28]	; RSP
	push qword [rdi + 0x30]	; RFLAGS
	push qword [rdi + 0x38]	; CS
	push qword [rdi + 0x40]	; RIP
	mov rax, [rdi + 0x00]
	mov rsi, [rdi + 0x10]
	mov rdx, [rdi + 0x18]
	mov rdi, [rdi + 0x08]
	iretq

global user_back
user_back:
	mov rsp, [rel kernel_stack]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

; For a code segment of 32 bits.
bits 32
global compatible_vmcall
compatible_vmcall:
	vmcall
	ud2

global compatible_vmmcall
compatible_vmmcall:
	vmmcall
	ud2

section .bss
kernel_stack:	resq 1
