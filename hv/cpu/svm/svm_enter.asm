; SPDX-License-Identifier: MIT
;
; VMRUN and back.
;
;	svm_enter(uint64_t gpr[16], uint64_t vmcb, struct svm_gs *gs)
;
; Contract: arguments as the ABI has them, but no register is given back except RSP and RBP: call it by
; enter() in svm_run.c. gpr[] is in the encoding's order; gpr[0] and gpr[4], RAX and RSP, belong to the
; VMCB and are not touched. VMRUN switches the registers in the save area. FS, TR, LDTR and the MSRs of
; SYSCALL and SYSENTER are the guest's already, and stay so (svm_come_in(), svm_leave()); of GS, too, but
; for its base, which root mode needs: gs->guest is the guest's, gs->host ours.
;
; The global interrupt flag is off. IF is set within, so that an interrupt for the host makes the guest
; exit (V_INTR_MASKING), and cleared again. DF is clear after #VMEXIT: RFLAGS come back as VMRUN saved
; them.

	bits 64
	default rel
	section .text

	global svm_enter:function hidden

svm_enter:
	push rbp
	push rdx			; gs
	push rdi			; gpr
	mov rax, rsi			; VMRUN takes the address in RAX
	mov rcx, [rdx]
	wrgsbase rcx
	sti
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
	cli
	pop rax				; RAX and RSP are the host's again
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
	pop rdx
	rdgsbase rcx
	mov [rdx], rcx
	mov rcx, [rdx + 8]
	wrgsbase rcx
	pop rbp
	ret

	section .note.GNU-stack noalloc noexec nowrite progbits
