/* SPDX-License-Identifier: MIT */
/* What both ends share. See hv/link/link.h. */
#include "hv/link/link.h"

#include "hv/base/string.h"
#include "hv/link/seal/cipher.h"
#include "mm/err.h"

int link_key_check(const struct link_key *key)
{
	if (!key->n)
		return key->insecure ? 0 : -EPERM;
	return key->insecure || key->n < LINK_KEY_MIN ? -EINVAL : 0;
}

uint32_t link_suites(const struct link_key *key)
{
	if (!key->n)
		return 1u << LINK_SUITE_NONE;
	return 1u << LINK_SUITE_CHACHA | (key->aes ? 1u << LINK_SUITE_AES : 0);
}

unsigned int link_best_suite(const struct link_key *key, uint32_t offered)
{
	uint32_t common = link_suites(key) & offered;

	for (unsigned int suite = LINK_SUITES; suite-- > 0;)
		if (common & 1u << suite)
			return suite;
	return LINK_SUITE_REFUSED;
}

const char *link_reason_text(unsigned int reason)
{
	static const char *const texts[LINK_REASONS_N] = {
#define X(name, number, text) [number] = (text),
		LINK_REASONS(X)
#undef X
	};

	return reason < LINK_REASONS_N ? texts[reason] : "a reason that this version does not know";
}

const char *link_suite_name(unsigned int suite)
{
	const struct cipher *cipher = cipher_of(suite);

	return cipher ? cipher->name : "unknown";
}

uint64_t link_end(const struct link_offer *offer)
{
	uint64_t end = 0;

	for (unsigned int i = 0; i < LINK_REGIONS_MAX; i++)
		end = MAX(end, offer->region[i].gfn + offer->region[i].frames);
	return end;
}

bool link_has(const struct link_offer *offer, gfn_t gfn, uint64_t frames)
{
	for (unsigned int i = 0; i < LINK_REGIONS_MAX; i++) {
		const struct link_region r = offer->region[i];

		if (gfn >= r.gfn && gfn - r.gfn < r.frames && frames <= r.frames - (gfn - r.gfn))
			return true;
	}
	return false;
}

static const char *feature_missing(uint64_t missing)
{
#define X(name, bit, what)                                                                         \
	if (missing & LINK_FEATURE_##name)                                                         \
		return what;
	LINK_FEATURES(X)
#undef X
	return missing ? "a feature that this version does not know" : NULL;
}

static const char *cpu_missing(const struct link_offer *here, const struct link_offer *there)
{
	static const char *const names[] = {
#define X(name, text) text,
		LINK_CPU_WORDS(X)
#undef X
	};

	for (unsigned int i = 0; i < LINK_CPU_WORDS_N; i++)
		if (there->cpu[i] & ~here->cpu[i])
			return names[i];
	return NULL;
}

enum link_reason link_mismatch(const struct link_offer *here, const struct link_offer *there,
			       const char **detail)
{
	const char *missing = feature_missing((there->needs & ~here->features) |
					      (here->needs & ~there->features));
	const char *word = cpu_missing(here, there);

	*detail = "";
	if (here->version != there->version)
		return LINK_REASON_VERSION;
	if (missing) { /* they say what the rest means */
		*detail = missing;
		return LINK_REASON_FEATURES;
	}
	if (here->vendor != there->vendor)
		return LINK_REASON_VENDOR;
	if (here->state_version != there->state_version)
		return LINK_REASON_STATE_VERSION;
	if (there->state_bytes > here->state_bytes)
		return LINK_REASON_STATE_SIZE;
	if (there->vcpus > here->vcpus)
		return LINK_REASON_VCPUS;
	if (memcmp(here->region, there->region, sizeof(here->region)))
		return LINK_REASON_REGIONS;
	*detail = word ? word : "";
	return word ? LINK_REASON_CPU : LINK_REASON_NONE;
}
