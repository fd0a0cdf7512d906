/* SPDX-License-Identifier: MIT */
/* UDP over IPv4 on the 82540EM as a transport. Boot CPU only. */
#ifndef HV_NET_UDP_H
#define HV_NET_UDP_H

#include "hv/net/transport.h"

#define UDP_PORT 7411 /* of both machines */

/* Return: the transport; or NULL after printing what is missing. @ip, @peer_ip: host byte order
 * For good: call it once. */
struct transport *udp_open(uint32_t ip, uint32_t peer_ip);

#endif
