/* SPDX-License-Identifier: MIT */
/*
 * Rings in shared memory. See hv/net/ivshmem.h. Each direction has a ring: one machine writes it,
 * and its tail; the other one reads it, and writes its head. What the other machine writes may be
 * anything: an index counts only if it makes sense, a datagram is copied before anybody looks at
 * it.
 */
#include "hv/net/ivshmem.h"

#include "hv/base/console.h"
#include "hv/net/pci.h"
#include "mm/err.h"

#define VENDOR_RED_HAT 0x1af4
#define DEVICE_IVSHMEM 0x1110
#define MEMORY_BAR     2

#define SLOTS       256 /* power of two */
#define PAYLOAD_MAX 1472

struct slot {
	volatile uint32_t bytes;
	uint8_t data[PAYLOAD_MAX];
};

struct ring {
	volatile uint32_t tail; /* the writer's */
	uint8_t apart[CACHE_LINE - sizeof(uint32_t)];
	volatile uint32_t head; /* the reader's */
	uint8_t apart_too[CACHE_LINE - sizeof(uint32_t)];
	struct slot slot[SLOTS];
};

static struct {
	struct transport transport;
	struct ring *out, *in;
	uint32_t tail, head; /* of out and of in: ours, and never read back */
	uint8_t datagram[PAYLOAD_MAX];
} shared;

/* A head that makes no sense leaves no room. */
static bool shared_ready(struct transport *t)
{
	(void)t;
	return shared.tail - shared.out->head < SLOTS;
}

static int shared_send(struct transport *t, const void *data, size_t bytes)
{
	struct slot *slot = &shared.out->slot[shared.tail % SLOTS];

	if (bytes > PAYLOAD_MAX || !shared_ready(t)) {
		t->counts.full++;
		return -EAGAIN;
	}
	__builtin_memcpy(slot->data, data, bytes);
	slot->bytes = (uint32_t)bytes;
	/* Release: the reader sees the datagram before the tail. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	shared.out->tail = ++shared.tail;
	t->counts.sent++;
	t->counts.bytes_sent += bytes;
	return 0;
}

/* Copies the datagram out of the other machine's reach. False: it makes no sense. */
static bool take(const struct slot *slot, size_t *bytes)
{
	*bytes = slot->bytes;
	if (*bytes > PAYLOAD_MAX)
		return false;
	__builtin_memcpy(shared.datagram, slot->data, *bytes);
	return true;
}

static const void *shared_poll(struct transport *t, size_t *bytes)
{
	uint32_t tail = shared.in->tail;
	bool good;

	if (tail == shared.head)
		return NULL;
	/* Acquire: the datagram is read after the tail. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (tail - shared.head > SLOTS)
		shared.head = tail - 1; /* it began anew, or lies: the newest is as good as any */
	good = take(&shared.in->slot[shared.head % SLOTS], bytes);
	shared.in->head = ++shared.head;
	t->counts.received += good;
	t->counts.foreign += !good;
	t->counts.bytes_received += good ? *bytes : 0;
	return good ? shared.datagram : NULL;
}

static struct ring *map(void)
{
	struct pci_device device;
	volatile void *memory;
	uint64_t bytes;

	if (pci_find(VENDOR_RED_HAT, DEVICE_IVSHMEM, &device)) {
		con_printf(
			"cleave: link=ivshmem: this machine has no ivshmem-plain device: only QEMU has "
			"it; use link=e1000, or make migrate LINK=ivshmem\n");
		return NULL;
	}
	pci_enable(&device);
	memory = pci_map(&device, MEMORY_BAR, &bytes);
	if (!memory || bytes < 2 * sizeof(struct ring)) {
		con_printf(
			"cleave: link=ivshmem: its memory has no place, or is smaller than 1 MiB\n");
		return NULL;
	}
	return (struct ring *)(uintptr_t)memory;
}

struct transport *ivshmem_open(bool first)
{
	struct ring *ring = map();

	if (!ring)
		return NULL;
	shared.out = &ring[!first];
	shared.in = &ring[first];
	/* What lies there is of an earlier run. */
	shared.tail = shared.out->tail;
	shared.head = shared.in->tail;
	shared.in->head = shared.head;
	shared.transport = (struct transport){
		.name = "rings in shared memory",
		.payload_max = PAYLOAD_MAX,
		.send = shared_send,
		.ready = shared_ready,
		.poll = shared_poll,
	};
	return &shared.transport;
}
