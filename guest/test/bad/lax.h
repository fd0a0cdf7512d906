/* SPDX-License-Identifier: MIT */
/* Where a machine's CPU does other than the manuals say. The evils that meet it are told in their
 * stride, in pages, with one added. */
#ifndef GUEST_TEST_BAD_LAX_H
#define GUEST_TEST_BAD_LAX_H

#define LAX_CR0 1 /* takes bit 63 */
#define LAX_CR4 2 /* likewise */
#define LAX_CR8 4 /* takes 16 */
/* KVM turns the other maker's call into this one's, where it can write to it. */
#define LAX_CALL 8

#endif
