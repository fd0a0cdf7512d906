; SPDX-License-Identifier: MIT
; The hypervisor's image, an interrupt handler that forgets its EOI, and the way to 5-level paging.

global hypervisor:data hidden
global hypervisor_end:data hidden
global forgetful_handler:data hidden
global five_levels:function hidden

%define CR0_PG		0x80000000
%define CR4_LA57	0x1000
%define TABLE		3		; of a table's entry: present, writable
%define SEL_CODE32	0x08
%define SEL_CODE64	0x10

section .rodata
align 4096
hypervisor:
	incbin HYPERVISOR
hypervisor_end:

bits 64
section .text
forgetful_handler:
	iretq

; LA57 can be changed only where there is no paging: through compatibility mode and back (SDM vol. 3A,
; "Enabling 5-level paging"). The upper halves of the registers do not survive that for sure.
five_levels:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	pushfq
	cli
	mov rax, cr3
	or rax, TABLE
	mov [rdi], rax
	sub rsp, 16
	sgdt [rsp]
	lgdt [rel gdtr]
	mov esi, cs
	lea rdx, [rel .long]
	lea rax, [rel .compatible]
	push SEL_CODE32
	push rax
	o64 retf
bits 32
.compatible:
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
	mov eax, cr4
	or eax, CR4_LA57
	mov cr4, eax
	mov cr3, edi
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	push SEL_CODE64
	push edx
	retf
bits 64
.long:
	lgdt [rsp]
	add rsp, 16
	lea rax, [rel .home]
	push rsi
	push rax
	o64 retf
.home:
	popfq
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

section .data
align 8
gdt:
	dq 0
	dq 0x00cf9b000000ffff		; SEL_CODE32
	dq 0x00af9b000000ffff		; SEL_CODE64
gdtr:
	dw gdtr - gdt - 1
	dq gdt

section .note.GNU-stack noalloc noexec nowrite progbits
