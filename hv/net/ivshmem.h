/* SPDX-License-Identifier: MIT */
/* Rings in memory that two machines of QEMU share (its ivshmem-plain device), polled. Boot CPU
 * only. */
#ifndef HV_NET_IVSHMEM_H
#define HV_NET_IVSHMEM_H

#include "hv/net/transport.h"

/* Return: the transport; or NULL after printing what is missing. @first: one machine says true, the
 * other false. For good: call it once. */
struct transport *ivshmem_open(bool first);

#endif
