; SPDX-License-Identifier: MIT
;
; VMRUN and back.
;
;	void svm_enter(uint64_t gpr[16], uint64_t vmcb, uint64_t host_vmcb)
;
; Contract: gpr[] is in the encoding's order; gpr[0] and gpr[4], RAX and RSP, belong to the VMCB and are
; not touched. VMRUN switches the registers in the save area; VMLOAD and VMSAVE the others (FS, GS,
; TR, LDTR, the MSRs of SYSCALL and SYSENTER), for the guest and back for the host (APM vol. 2,
; "VMSAVE and VMLOAD Instructions").
;
; The global interrupt flag is off from CLGI to STGI. IF is set within, so that an interrupt for the
; host makes the guest exit (V_INTR_MASKING), and cleared again before STGI, so that the host takes
; it only where it asks to. DF is clear after #VMEXIT: RFLAGS come back as VMRUN saved them.

	bits 64
	default rel
	section .text

	global svm_enter:function hidden

svm_enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	push rdx			; host_vmcb
	push rdi			; gpr
	mov rax, rsi			; VMLOAD, VMRUN and VMSAVE take the address in RAX
	push rax			; vmcb
	clgi
	sti
	vmload
	mov rcx, [rdi + 1 * 8]
	mov rdx, [rdi + 2 * 8]
	mov rbx, [rdi + 3 * 8]
	mov rbp, [rdi + 5 * 8]
	mov rsi, [rdi + 6 * 8]
	mov r8,  [rdi + 8 * 8]
	mov r9,  [rdi + 9 * 8]
	mov r10, [rdi + 10 * 8]
	mov r11, [rdi + 11 * 8]
	mov r12, [rdi + 12 * 8]
	mov r13, [rdi + 13 * 8]
	mov r14, [rdi + 14 * 8]
	mov r15, [rdi + 15 * 8]
	mov rdi, [rdi + 7 * 8]
	vmrun
	; RAX and RSP are the host's again
	mov rax, [rsp]
	vmsave
	mov rax, [rsp + 16]
	vmload
	mov rax, [rsp + 8]
	mov [rax + 1 * 8], rcx
	mov [rax + 2 * 8], rdx
	mov [rax + 3 * 8], rbx
	mov [rax + 5 * 8], rbp
	mov [rax + 6 * 8], rsi
	mov [rax + 7 * 8], rdi
	mov [rax + 8 * 8], r8
	mov [rax + 9 * 8], r9
	mov [rax + 10 * 8], r10
	mov [rax + 11 * 8], r11
	mov [rax + 12 * 8], r12
	mov [rax + 13 * 8], r13
	mov [rax + 14 * 8], r14
	mov [rax + 15 * 8], r15
	cli
	stgi
	add rsp, 24
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

	section .note.GNU-stack noalloc noexec nowrite progbits
