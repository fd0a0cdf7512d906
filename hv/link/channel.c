/* SPDX-License-Identifier: MIT */
/* A session's sealing. See hv/link/channel.h. */
#include "hv/link/channel.h"

#include "hv/base/string.h"
#include "hv/link/seal/cipher.h"

_Static_assert(CHANNEL_KEY == CIPHER_KEY, "what is derived is what the ciphers take");

/* --- keys --------------------------------------------------------------------------------- */

struct derived {
	uint32_t session;
	struct channel_direction from[2]; /* by enum channel_side */
} LINK_PACKED;

struct purpose {
	char name[12];
	uint16_t version;
	uint8_t suite;
} LINK_PACKED;

void channel_init(struct channel *c, enum channel_side side, unsigned int suite,
		  const struct link_key *key, const uint8_t asker_nonce[LINK_NONCE],
		  const uint8_t answerer_nonce[LINK_NONCE])
{
	struct purpose purpose = { "cleave link", LINK_VERSION, (uint8_t)suite };
	uint8_t salt[2 * LINK_NONCE];
	struct derived d;

	memcpy(salt, asker_nonce, LINK_NONCE);
	memcpy(salt + LINK_NONCE, answerer_nonce, LINK_NONCE);
	cipher_derive(key->bytes, key->n, salt, sizeof(salt), &purpose, sizeof(purpose), &d,
		      sizeof(d));
	*c = (struct channel){
		.session = d.session ? d.session : 1,
		.suite = (uint8_t)suite,
		.out = d.from[side],
		.in = d.from[!side],
	};
	memset(&d, 0, sizeof(d));
}

void channel_wipe(struct channel *c)
{
	memset(c, 0, sizeof(*c));
}

/* --- the window --------------------------------------------------------------------------- */

static uint64_t *window_word(struct channel *c, uint64_t counter, uint64_t *bit)
{
	*bit = UINT64_C(1) << (counter % 64);
	return &c->came[counter % CHANNEL_WINDOW / 64];
}

static bool came_before(struct channel *c, uint64_t counter)
{
	uint64_t bit, *word = window_word(c, counter, &bit);

	if (counter > c->high)
		return false;
	return !counter || c->high - counter >= CHANNEL_WINDOW || *word & bit;
}

/* Only what has opened moves the window: else a forged counter would shut others out. */
static void note_came(struct channel *c, uint64_t counter)
{
	uint64_t bit, *word;

	if (counter > c->high && counter - c->high >= CHANNEL_WINDOW) {
		memset(c->came, 0, sizeof(c->came));
		c->high = counter;
	}
	while (c->high < counter) {
		word = window_word(c, ++c->high, &bit);
		*word &= ~bit;
	}
	word = window_word(c, counter, &bit);
	*word |= bit;
}

/* --- one datagram --------------------------------------------------------------------------- */

static void make_nonce(uint8_t nonce[CIPHER_NONCE], const struct channel_direction *d,
		       uint64_t counter)
{
	memcpy(nonce, d->salt, CHANNEL_SALT);
	memcpy(nonce + CHANNEL_SALT, &counter, sizeof(counter));
}

/* Seals what follows the clear part, and adds the tag. */
static size_t seal(struct channel *c, void *datagram, size_t clear, size_t bytes, uint64_t counter)
{
	uint8_t nonce[CIPHER_NONCE];
	struct cipher_text text = {
		.key = c->out.key,
		.nonce = nonce,
		.clear = datagram,
		.clear_bytes = clear,
		.data = (uint8_t *)datagram + clear,
		.bytes = bytes,
	};

	make_nonce(nonce, &c->out, counter);
	cipher_of(c->suite)->run(&text, true, (uint8_t *)text.data + bytes);
	return clear + bytes + LINK_TAG;
}

/* In constant time: how far a forged tag is right must not show. */
static bool same_tag(const uint8_t *a, const uint8_t *b)
{
	unsigned int differs = 0;

	for (unsigned int i = 0; i < LINK_TAG; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

/* Opens into `body`. 0, or why not. */
static enum channel_refusal unseal(struct channel *c, const void *datagram, size_t clear,
				   size_t bytes, uint64_t counter, void *body)
{
	uint8_t nonce[CIPHER_NONCE], tag[LINK_TAG];
	const uint8_t *sealed = (const uint8_t *)datagram + clear;
	struct cipher_text text = {
		.key = c->in.key,
		.nonce = nonce,
		.clear = datagram,
		.clear_bytes = clear,
		.data = body,
		.bytes = bytes,
	};

	make_nonce(nonce, &c->in, counter);
	memcpy(body, sealed, bytes);
	cipher_of(c->suite)->run(&text, false, tag);
	if (!same_tag(tag, sealed + bytes))
		return CHANNEL_SEAL;
	if (came_before(c, counter))
		return CHANNEL_REPLAY;
	note_came(c, counter);
	return 0;
}

size_t channel_seal(struct channel *c, void *datagram, size_t bytes)
{
	struct link_head head = { .session = c->session, .counter = ++c->sent };

	memcpy(datagram, &head, sizeof(head));
	return seal(c, datagram, sizeof(head), bytes, head.counter);
}

int channel_open(struct channel *c, const void *datagram, size_t bytes, void *body)
{
	struct link_head head;
	enum channel_refusal refusal;

	if (bytes < sizeof(head) + sizeof(struct link_body) + LINK_TAG || bytes > LINK_DATAGRAM_MAX)
		return -CHANNEL_FORM;
	memcpy(&head, datagram, sizeof(head));
	if (head.session != c->session)
		return -CHANNEL_SESSION;
	bytes -= sizeof(head) + LINK_TAG;
	refusal = unseal(c, datagram, sizeof(head), bytes, head.counter, body);
	return refusal ? -(int)refusal : (int)bytes;
}

size_t channel_seal_open(struct channel *c, struct link_open *clear, const struct link_offer *offer,
			 void *datagram)
{
	clear->counter = ++c->sent;
	memcpy(datagram, clear, sizeof(*clear));
	memcpy((uint8_t *)datagram + sizeof(*clear), offer, sizeof(*offer));
	return seal(c, datagram, sizeof(*clear), sizeof(*offer), clear->counter);
}

int channel_open_open(struct channel *c, const void *datagram, size_t bytes,
		      struct link_offer *offer)
{
	struct link_open clear;

	if (bytes != sizeof(clear) + sizeof(*offer) + LINK_TAG)
		return -CHANNEL_FORM;
	memcpy(&clear, datagram, sizeof(clear));
	return -(int)unseal(c, datagram, sizeof(clear), sizeof(*offer), clear.counter, offer);
}
