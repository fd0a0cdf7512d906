/* SPDX-License-Identifier: MIT */
/* This machine's way to another one, as link= says. Boot CPU only. */
#ifndef HV_NET_NET_H
#define HV_NET_NET_H

#include "hv/config/config.h"
#include "hv/net/transport.h"

/* Opens it, for good, before the first run: what it takes is not a run's. 0; or -ENODEV after
 * printing what is missing. */
int must_check net_open(const struct hv_config *config);

/* NULL: link=none. */
struct transport *net_transport(void);

#endif
