; SPDX-License-Identifier: MIT
; #AC in the old 32-bit mode, whose handler is at CPL 3, too, and whose stack is misaligned: pushing
; its frame raises #AC. See guest/test/bad/user.c; entered in compatibility mode at CPL 0.

EFER		equ 0xc0000080
EFER_LME	equ 1 << 8
CR0_AM		equ 1 << 18
CR0_PG		equ 1 << 31
FLAGS_AC	equ 1 << 18

CODE_3		equ 0x40 | 3
DATA_3		equ 0x48 | 3
VECTOR_AC	equ 17
GATE_3		equ 0xee00	; of an interrupt, for CPL 3

section .text
bits 32

global legacy_alignment_storm
legacy_alignment_storm:
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
	mov ecx, EFER
	rdmsr
	and eax, ~EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_AM
	mov cr0, eax
	mov eax, at_cpl_3.done
	mov [gate_ac], ax
	shr eax, 16
	mov [gate_ac + 6], ax
	lidt [idtr_32]
	push dword DATA_3
	push dword stack_3.top - 3
	push dword FLAGS_AC | 2
	push dword CODE_3
	push dword at_cpl_3
	iretd

at_cpl_3:
	push eax
.done:
	jmp .done

section .data align=8

idt_32:
	times VECTOR_AC dq 0
gate_ac:
	dw 0, CODE_3, GATE_3, 0
idtr_32:
	dw idtr_32 - idt_32 - 1
	dd idt_32

section .bss align=16

stack_3:
	resb 256
.top:
