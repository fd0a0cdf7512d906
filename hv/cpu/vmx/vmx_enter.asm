; SPDX-License-Identifier: MIT
;
; VM entry and exit.
;
;	vmx_enter(uint64_t gpr[16], bool launched, uint64_t *host_rsp)
;
; Contract: arguments as the ABI has them; the result is CF, set where the entry failed; no register is
; given back except RSP and RBP: call it by enter() in vmx_run.c. The VMCS is current, HOST_RIP is
; vmx_exit_point. gpr[] is in the encoding's order (RAX RCX RDX RBX RSP RBP RSI RDI R8..R15); gpr[4], RSP,
; belongs to the VMCS and is not touched. A VM exit loads RSP with what HOST_RSP was given here, so the
; exit finds gpr on the stack. It is written only if it is not what *host_rsp says that it is: to a
; hypervisor below, which does not keep this field in a shadow VMCS, each write is an exit. An exit clears
; RFLAGS but for bit 1 (SDM vol. 3C, "Loading Host State"): interrupts are off and DF is clear.
; Vector registers are not touched: root mode is compiled without them.

	bits 64
	default rel
	section .text

%define VMCS_HOST_RSP 0x6c14

	global vmx_enter:function hidden
	global vmx_exit_point:function hidden

vmx_enter:
	push rbp
	push rdi			; gpr, for the exit
	cmp [rdx], rsp
	je .rsp_is_known
	mov eax, VMCS_HOST_RSP
	vmwrite rax, rsp
	jbe .failed
	mov [rdx], rsp
.rsp_is_known:
	test sil, sil			; flags live until the branch below: loads do not change them
	mov rax, [rdi + 0 * 8]
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
	jz .launch
	vmresume
	jmp .failed
.launch:
	vmlaunch
.failed:				; the entry did not happen; SDM vol. 3C, "VM-Entry Failures"
	add rsp, 8
	pop rbp
	stc
	ret

vmx_exit_point:
	push rdi			; the guest's
	mov rdi, [rsp + 8]		; gpr
	mov [rdi + 0 * 8], rax
	mov [rdi + 1 * 8], rcx
	mov [rdi + 2 * 8], rdx
	mov [rdi + 3 * 8], rbx
	mov [rdi + 5 * 8], rbp
	mov [rdi + 6 * 8], rsi
	pop qword [rdi + 7 * 8]
	mov [rdi + 8 * 8], r8
	mov [rdi + 9 * 8], r9
	mov [rdi + 10 * 8], r10
	mov [rdi + 11 * 8], r11
	mov [rdi + 12 * 8], r12
	mov [rdi + 13 * 8], r13
	mov [rdi + 14 * 8], r14
	mov [rdi + 15 * 8], r15
	add rsp, 8			; clears CF
	pop rbp
	ret

	section .note.GNU-stack noalloc noexec nowrite progbits
