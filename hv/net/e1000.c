/* SPDX-License-Identifier: MIT */
/* The 82540EM. See hv/net/e1000.h. Numbers of chapters are those of the manual named there. */
#include "hv/net/e1000.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/net/pci.h"
#include "mm/err.h"
#include "mm/lock.h"
#include "mm/machine.h"

#define VENDOR_INTEL   0x8086
#define DEVICE_82540EM 0x100e

/* Registers, by offset in BAR 0 (chapter 13). */
#define CTRL   0x0000
#define STATUS 0x0008
#define EERD   0x0014
#define IMC    0x00d8
#define RCTL   0x0100
#define TCTL   0x0400
#define TIPG   0x0410
#define RDBAL  0x2800
#define RDBAH  0x2804
#define RDLEN  0x2808
#define RDH    0x2810
#define RDT    0x2818
#define TDBAL  0x3800
#define TDBAH  0x3804
#define TDLEN  0x3808
#define TDH    0x3810
#define TDT    0x3818
#define RAL    0x5400
#define RAH    0x5404

#define CTRL_FULL_DUPLEX (1u << 0)
#define CTRL_LINK_UP     (1u << 6)
#define CTRL_RESET       (1u << 26)
#define STATUS_LINK_UP   (1u << 1)
#define EERD_START       (1u << 0)
#define EERD_DONE        (1u << 4)
#define RCTL_ENABLE      (1u << 1)
#define RCTL_BROADCAST   (1u << 15)
#define RCTL_STRIP_CRC   (1u << 26)
#define TCTL_ENABLE      (1u << 1)
#define TCTL_PAD         (1u << 3)
#define TCTL_COLLISIONS  (0xfu << 4 | 0x40u << 12)
#define TIPG_COPPER      (10u | 8u << 10 | 6u << 20)
#define RAH_VALID        (1u << 31)

/* Descriptors (3.2.3, 3.3.3). */
#define RX_DONE     0x01
#define RX_END      0x02
#define TX_END      0x01
#define TX_CRC      0x02
#define TX_REPORT   0x08
#define TX_DONE     0x01
#define BUFFER_SIZE 2048

/* Powers of two, and multiples of 8. */
#define RX_FRAMES 128
#define TX_FRAMES 64
#define RX_BATCH  16 /* frames that go back to the device at once */

#define RESET_US 1000000 /* at most; also for the EEPROM and the link */

struct rx_descriptor {
	uint64_t at;
	uint16_t bytes, checksum;
	uint8_t status, errors;
	uint16_t special;
};

struct tx_descriptor {
	uint64_t at;
	uint16_t bytes;
	uint8_t checksum_offset, command, status, checksum_start;
	uint16_t special;
};

_Static_assert(sizeof(struct rx_descriptor) == 16 && sizeof(struct tx_descriptor) == 16,
	       "the device's layout");

/* What the device reads and writes by itself. */
struct rings {
	volatile struct rx_descriptor rx[RX_FRAMES];
	volatile struct tx_descriptor tx[TX_FRAMES];
	uint8_t rx_buffer[RX_FRAMES][BUFFER_SIZE];
	uint8_t tx_buffer[TX_FRAMES][BUFFER_SIZE];
};

static struct {
	volatile uint8_t *registers;
	struct rings *rings;
	unsigned int rx, tx; /* the next of each */
	unsigned int owed;   /* frames before rx that the device has not got back */
} nic;

static uint32_t get(unsigned int reg)
{
	return *(volatile uint32_t *)(nic.registers + reg);
}

static void set(unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(nic.registers + reg) = value;
}

/* Waits until the register has these values in these bits. */
static bool await(unsigned int reg, uint32_t bits, uint32_t value)
{
	uint64_t until = clock_now() + us_to_cycles(RESET_US);

	while ((get(reg) & bits) != value) {
		if (clock_now() > until)
			return false;
		cpu_relax();
	}
	return true;
}

static int reset(void)
{
	set(IMC, UINT32_MAX);
	set(RCTL, 0);
	set(TCTL, 0);
	set(CTRL, get(CTRL) | CTRL_RESET);
	if (!await(CTRL, CTRL_RESET, 0))
		return -EIO;
	set(IMC, UINT32_MAX);
	set(CTRL, get(CTRL) | CTRL_LINK_UP | CTRL_FULL_DUPLEX);
	return 0;
}

/* --- its address -------------------------------------------------------------------------- */

static int eeprom_word(unsigned int number, uint16_t *word)
{
	set(EERD, EERD_START | number << 8);
	if (!await(EERD, EERD_DONE, EERD_DONE))
		return -EIO;
	*word = (uint16_t)(get(EERD) >> 16);
	return 0;
}

/* Not every emulator copies it from the EEPROM to the filter. */
static int read_mac(uint8_t mac[6])
{
	for (unsigned int i = 0; i < 3; i++) {
		uint16_t word;
		int err = eeprom_word(i, &word);

		if (err)
			return err;
		mac[2 * i] = (uint8_t)word;
		mac[2 * i + 1] = (uint8_t)(word >> 8);
	}
	set(RAL, mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24);
	set(RAH, mac[4] | (uint32_t)mac[5] << 8 | RAH_VALID);
	return 0;
}

/* --- rings -------------------------------------------------------------------------------- */

static int make_rings(void)
{
	hpa_t where = frame_alloc(&machine_frames, frame_order(sizeof(struct rings)));

	if (where.v == HPA_NONE.v)
		return -ENOMEM;
	nic.rings = direct(where);
	__builtin_memset(nic.rings, 0, sizeof(*nic.rings));
	for (unsigned int i = 0; i < RX_FRAMES; i++)
		nic.rings->rx[i].at = direct_hpa(nic.rings->rx_buffer[i]).v;
	for (unsigned int i = 0; i < TX_FRAMES; i++) {
		nic.rings->tx[i].at = direct_hpa(nic.rings->tx_buffer[i]).v;
		nic.rings->tx[i].status = TX_DONE;
	}
	return 0;
}

static void set_base(unsigned int low, unsigned int high, const volatile void *ring)
{
	uint64_t at = direct_hpa((const void *)(uintptr_t)ring).v;

	set(low, (uint32_t)at);
	set(high, (uint32_t)(at >> 32));
}

/* One descriptor of the receive ring stays the driver's: a full ring and an empty one differ. */
static void start(void)
{
	set_base(RDBAL, RDBAH, nic.rings->rx);
	set(RDLEN, sizeof(nic.rings->rx));
	set(RDH, 0);
	set(RDT, RX_FRAMES - 1);
	set_base(TDBAL, TDBAH, nic.rings->tx);
	set(TDLEN, sizeof(nic.rings->tx));
	set(TDH, 0);
	set(TDT, 0);
	set(TIPG, TIPG_COPPER);
	set(TCTL, TCTL_ENABLE | TCTL_PAD | TCTL_COLLISIONS);
	set(RCTL, RCTL_ENABLE | RCTL_BROADCAST | RCTL_STRIP_CRC);
}

/* --- opening ------------------------------------------------------------------------------ */

static int map(void)
{
	struct pci_device device;
	uint64_t bytes;

	if (pci_find(VENDOR_INTEL, DEVICE_82540EM, &device)) {
		con_printf("cleave: link=e1000: this machine has no 82540EM: give it one (QEMU: "
			   "-device e1000,netdev=...; Bochs: e1000: enabled=1), or leave out "
			   "link=\n");
		return -ENODEV;
	}
	nic.registers = pci_map(&device, 0, &bytes);
	if (!nic.registers || bytes < RAH + 4) {
		con_printf(
			"cleave: link=e1000: the firmware gave the 82540EM no place in memory\n");
		return -EIO;
	}
	pci_enable(&device);
	return 0;
}

int e1000_open(uint8_t mac[6])
{
	int err = map();

	if (err)
		return err;
	err = reset();
	if (!err)
		err = read_mac(mac);
	if (!err)
		err = make_rings();
	if (err) {
		con_printf("cleave: link=e1000: %s\n", err == -ENOMEM
							       ? "no memory for its rings"
							       : "the device does not answer");
		return err;
	}
	start();
	if (!await(STATUS, STATUS_LINK_UP, STATUS_LINK_UP))
		con_printf("cleave: link=e1000: no cable\n");
	return 0;
}

/* --- frames ------------------------------------------------------------------------------- */

void *e1000_room(void)
{
	if (!(nic.rings->tx[nic.tx].status & TX_DONE))
		return NULL;
	return nic.rings->tx_buffer[nic.tx];
}

void e1000_send(size_t bytes)
{
	volatile struct tx_descriptor *d = &nic.rings->tx[nic.tx];

	d->bytes = (uint16_t)bytes;
	d->status = 0;
	d->command = TX_END | TX_CRC | TX_REPORT;
	nic.tx = (nic.tx + 1) % TX_FRAMES;
	/* Release: the device sees the frame before the tail. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	set(TDT, nic.tx);
}

/* Gives what was read back to the device: a write to it is an exit in an emulator, so many at once.
 */
static void give_back(void)
{
	/* Release: the descriptors are blank before they are the device's. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	set(RDT, (nic.rx + RX_FRAMES - 1) % RX_FRAMES);
	nic.owed = 0;
}

static bool is_good(const volatile struct rx_descriptor *d)
{
	return d->status & RX_END && !d->errors && d->bytes && d->bytes <= E1000_FRAME_MAX;
}

/* NULL: the frame was bad. */
static const void *take(size_t *bytes)
{
	volatile struct rx_descriptor *d = &nic.rings->rx[nic.rx];
	const void *frame = is_good(d) ? nic.rings->rx_buffer[nic.rx] : NULL;

	*bytes = d->bytes;
	d->status = 0;
	nic.rx = (nic.rx + 1) % RX_FRAMES;
	nic.owed++;
	return frame;
}

const void *e1000_poll(size_t *bytes)
{
	const void *frame = NULL;

	for (unsigned int i = 0; !frame && i < RX_FRAMES; i++) {
		bool ready = nic.rings->rx[nic.rx].status & RX_DONE;

		if (nic.owed >= (ready ? RX_BATCH : 1))
			give_back();
		if (!ready)
			return NULL;
		/* Acquire: the frame is read after the word that says it is there. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		frame = take(bytes);
	}
	return frame;
}
