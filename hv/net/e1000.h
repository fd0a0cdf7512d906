/* SPDX-License-Identifier: MIT */
/*
 * Intel's 82540EM, polled: frames in and out, no interrupt (Intel, PCI/PCI-X Family of Gigabit
 * Ethernet Controllers Software Developer's Manual). One of them. Boot CPU only.
 */
#ifndef HV_NET_E1000_H
#define HV_NET_E1000_H

#include "mm/types.h"

#define E1000_FRAME_MAX 1514 /* bytes, without the checksum */

/**
 * e1000_open() - find the device, give it its rings, switch it on. For good: at most once.
 * @mac: set to the device's address
 * Return: 0; or -ENODEV, -ENOMEM, -EIO after printing what is missing and what helps.
 */
int must_check e1000_open(uint8_t mac[6]);

/* Room for a frame of E1000_FRAME_MAX bytes, for e1000_send(); NULL: the ring is full. */
void *e1000_room(void);

/* Sends what was written there. @bytes: 14 to E1000_FRAME_MAX; short frames are padded by the
 * device */
void e1000_send(size_t bytes);

/* The next frame that has come, valid until the next call; NULL: none. @bytes: at most
 * E1000_FRAME_MAX. Drops frames with errors and those in several pieces. */
const void *e1000_poll(size_t *bytes);

#endif
