; SPDX-License-Identifier: MIT
; The page tables of a payload: the first 4 GiB mapped 1:1 in pages of 2 MiB, the image itself in
; pages of 4 KiB: only the code may be executed, only data and stacks may be written, and there is a
; hole below each stack. Accessed and dirty are
; set beforehand: the CPU has no reason to write here.

%include "layout.inc"

PRESENT		equ 1 << 0
WRITABLE	equ 1 << 1
ACCESSED	equ 1 << 5
DIRTY		equ 1 << 6
LARGE		equ 1 << 7
NO_EXECUTE	equ 1 << 63

TABLE		equ PRESENT | WRITABLE | ACCESSED
CODE		equ PRESENT | ACCESSED | DIRTY
READ_ONLY	equ CODE | NO_EXECUTE
READ_WRITE	equ READ_ONLY | WRITABLE

GIBS		equ GUEST_MAPPED_BYTES >> 30
IMAGE_INDEX	equ GUEST_LOAD >> 21

section .tables progbits alloc noexec nowrite align=4096

global page_tables
page_tables:
	dq pointers + TABLE
	times 511 dq 0

pointers:
%assign i 0
%rep GIBS
	dq directories + i * 4096 + TABLE
 %assign i i + 1
%endrep
	times 512 - GIBS dq 0

directories:
%assign i 0
%rep GIBS * 512
 %if i == IMAGE_INDEX
	dq image_table + TABLE
 %else
	dq i << 21 | READ_WRITE | LARGE
 %endif
 %assign i i + 1
%endrep

image_table:
%assign address GUEST_LOAD
%rep 512
 %if address < GUEST_TABLES
	dq address | CODE
 %elif address < GUEST_DATA
	dq address | READ_ONLY
 %elif address >= GUEST_STACKS && address < GUEST_END && (address - GUEST_STACKS) % GUEST_STACK_BYTES == 0
	dq 0
 %else
	dq address | READ_WRITE
 %endif
 %assign address address + 4096
%endrep
