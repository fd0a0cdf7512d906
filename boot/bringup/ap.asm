; SPDX-License-Identifier: MIT
; The other CPUs start with this code, copied to a page below 1 MiB. It takes a CPU from real mode
; through protected mode into long mode on our page tables, then into ap_main() on a stack of its
; own. boot/bringup/ap.c fills in the parameters at the end; the code runs at any page.

global ap_code:data hidden
global ap_code_end:data hidden
global ap_parameters:data hidden

%define CPU_STACK_TOP	16		; offset in struct cpu: boot/bringup/ap.c asserts it
%define CR0_PE		1
%define MSR_EFER	0xc0000080
%define EFER_LME	0x100
%define EFER_NXE	0x800
%define SEL_CODE32	0x08
%define SEL_DATA	0x10
%define SEL_CODE64	0x18

%define AT(label)	(label - ap_code)

section .rodata
align 16

bits 16
ap_code:
	cli
	cld
	mov ax, cs
	mov ds, ax
	xor ebx, ebx
	mov bx, ax
	shl ebx, 4			; the page's address
	o32 lgdt [AT(gdtr)]
	mov eax, cr0
	or eax, CR0_PE
	mov cr0, eax
	jmp dword far [AT(to_code32)]

bits 32
code32:
	mov ax, SEL_DATA
	mov ds, ax
	mov ss, ax
	mov eax, [ebx + AT(cr4_value)]
	mov cr4, eax
	mov eax, [ebx + AT(cr3_value)]
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME | EFER_NXE
	wrmsr
	mov eax, [ebx + AT(cr0_value)]
	mov cr0, eax
	jmp dword far [ebx + AT(to_code64)]

bits 64
code64:
	mov rsi, [rbx + AT(mailbox)]
	xor edi, edi
	xchg rdi, [rsi]			; who am I? Exactly one side gets the answer: see boot/bringup/ap.c
	test rdi, rdi
	jz .nobody
	mov rsp, [rdi + CPU_STACK_TOP]
	xor ebp, ebp
	call [rbx + AT(entry)]
.nobody:
	cli
	hlt
	jmp .nobody

align 8
gdt:
	dq 0
	dq 0x00cf9b000000ffff		; SEL_CODE32
	dq 0x00cf93000000ffff		; SEL_DATA
	dq 0x00af9b000000ffff		; SEL_CODE64
gdt_end:

; struct ap_parameters (boot/bringup/ap.c); the first three hold offsets here and addresses in the copy.
align 8
ap_parameters:
gdtr:		dw gdt_end - gdt - 1
		dd AT(gdt)
to_code32:	dd AT(code32)
		dw SEL_CODE32
to_code64:	dd AT(code64)
		dw SEL_CODE64
		dw 0
cr0_value:	dd 0
cr3_value:	dd 0
cr4_value:	dd 0
mailbox:	dq 0
entry:		dq 0
ap_code_end:

section .note.GNU-stack noalloc noexec nowrite progbits
