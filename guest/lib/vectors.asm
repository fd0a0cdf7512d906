; SPDX-License-Identifier: MIT
; The vector registers, which the compiler is told not to touch:
; void vectors_plant(const uint64_t words[32]), void vectors_take(uint64_t words[32]).

section .text

global vectors_plant
vectors_plant:
%assign i 0
%rep 16
	movdqu xmm %+ i, [rdi + i * 16]
 %assign i i + 1
%endrep
	ret

global vectors_take
vectors_take:
%assign i 0
%rep 16
	movdqu [rdi + i * 16], xmm %+ i
 %assign i i + 1
%endrep
	ret
