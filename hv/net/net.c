/* SPDX-License-Identifier: MIT */
/* This machine's way to another one. See hv/net/net.h. */
#include "hv/net/net.h"

#include "hv/base/console.h"
#include "hv/net/ivshmem.h"
#include "hv/net/udp.h"
#include "mm/err.h"

static struct transport *transport;

int net_open(const struct hv_config *config)
{
	switch (config->link) {
	case NET_E1000:
		transport = udp_open(config->address, config->peer);
		break;
	case NET_IVSHMEM:
		transport = ivshmem_open(config->address < config->peer);
		break;
	default:
		return 0;
	}
	if (!transport)
		return -ENODEV;
	con_printf("cleave: link: %s\n", transport->name);
	return 0;
}

struct transport *net_transport(void)
{
	return transport;
}
