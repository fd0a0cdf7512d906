/* SPDX-License-Identifier: MIT */
/* Two machines and the link between them. See tests/host/link/machines.h. */
#include "tests/host/link/machines.h"

#include <string.h>

#include "mm/err.h"
#include "tests/host/random.h"

#define STEP    20   /* us, unless it is set */
#define VCPUS   4    /* likewise */
#define AT_ONCE 8    /* datagrams that the destination takes in one step */
#define CHUNK   16   /* pages of a background request */
#define RUNS    3000 /* us that the guest runs at the source, when an asker is there */

static const uint8_t key[] = "a key that both machines know";

static void broken(struct machines *m, const char *why)
{
	if (!m->broken)
		m->broken = why;
}

/* --- the VM ----------------------------------------------------------------------------------- */

static void vm_page(const struct vm *vm, gfn_t gfn, uint8_t *to)
{
	uint64_t seed = vm->seed ^ gfn << 20 ^ vm->age << 50 ^ (uint64_t)vm->writes[gfn] << 34;

	for (unsigned int i = 0; i < PAGE_SIZE; i += 4) {
		uint32_t word = rnd(&seed);

		memcpy(to + i, &word, 4);
		if (vm->plain && i >= 256)
			memcpy(to + i, to + i - 256, 4);
	}
}

/* Zeros and data in stretches, and now and then a page that is lost. */
static void vm_init(struct vm *vm, uint64_t seed)
{
	uint8_t kind = VM_DATA;

	*vm = (struct vm){ .seed = seed, .frames = VM_PAGES };
	for (gfn_t gfn = 0; gfn < vm->frames; gfn++) {
		if (rnd(&seed) % 8 == 0)
			kind = rnd(&seed) % 3 ? VM_ZERO : VM_DATA;
		vm->kind[gfn] = rnd(&seed) % 100 ? kind : VM_LOST;
	}
}

/* A guest that runs where it is writes pages, some of which were zeros, and gives some back. */
static void write_some(struct machines *m)
{
	gfn_t gfn = rnd(&m->seed) % m->vm.frames;

	if (m->vm.kind[gfn] == VM_LOST)
		return;
	m->vm.kind[gfn] = rnd(&m->seed) % 8 ? VM_DATA : VM_ZERO;
	m->vm.writes[gfn]++;
	m->vm.dirty[gfn / 8] |= (uint8_t)(1u << gfn % 8);
}

static bool make_map(void *ctx, unsigned int round, bool last)
{
	struct machines *m = ctx;

	if (round > m->rounds_wanted && !last)
		return false;
	memcpy(m->vm.map, m->vm.dirty, sizeof(m->vm.map));
	memset(m->vm.dirty, 0, sizeof(m->vm.dirty));
	for (gfn_t gfn = 0; round == 1 && gfn < m->vm.frames; gfn++)
		if (m->vm.kind[gfn] == VM_DATA)
			m->vm.map[gfn / 8] |= (uint8_t)(1u << gfn % 8);
	m->vm.rounds++;
	return true;
}

/* All its memory changes. */
static void grow_older(struct machines *m)
{
	m->vm.age++;
	memset(m->vm.dirty, 0xff, sizeof(m->vm.dirty));
}

static void look(void *ctx, gfn_t gfn, struct link_extent *e)
{
	static uint8_t page[PAGE_SIZE];
	const struct machines *m = ctx;
	gfn_t from = gfn, to = gfn + 1;
	uint8_t kind = m->vm.kind[gfn];

	*e = (struct link_extent){ .gfn = gfn, .frames = 1 };
	if (kind == VM_DATA) {
		vm_page(&m->vm, gfn, page);
		e->data = page;
		return;
	}
	while (from > 0 && m->vm.kind[from - 1] == kind)
		from--;
	while (to < m->vm.frames && m->vm.kind[to] == kind)
		to++;
	*e = (struct link_extent){ from, to - from, NULL,
				   kind == VM_LOST ? LINK_LOST : LINK_ZEROS };
}

uint64_t machines_data_bytes(const struct machines *m)
{
	uint64_t n = 0;

	for (gfn_t gfn = 0; gfn < m->vm.frames; gfn++)
		n += m->vm.kind[gfn] == VM_DATA;
	return n * PAGE_SIZE;
}

/* --- both ------------------------------------------------------------------------------------- */

static void fill(void *ctx, void *to, size_t n)
{
	struct machines *m = ctx;

	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = (uint8_t)rnd(&m->seed);
}

static const struct link_offer both = {
	.vendor = LINK_VENDOR_SVM,
	.backing = PG_LEVEL_2M,
	.vcpus = 2,
	.state_version = 7,
	.features = LINK_FEATURE_SMALL_ARRIVALS | LINK_FEATURE_EXACT_ADDRESS | LINK_FEATURE_POISON |
		    LINK_FEATURE_PARITY | LINK_FEATURE_ROUNDS,
	.needs = LINK_FEATURE_EXACT_ADDRESS,
	.region = { { 0, VM_PAGES } },
	.cpu = { 0x5, 0xff },
};

void machines_init(struct machines *m, uint64_t seed, const struct faults *faults)
{
	const struct link_key shared = { .bytes = key, .n = sizeof(key) };

	memset(m, 0, sizeof(*m));
	m->now = 1000;
	m->step = STEP;
	m->faults_max = VCPUS;
	m->seed = seed;
	faulty_init(&m->link, seed + 1, faults);
	vm_init(&m->vm, seed + 2);
	m->answerer_setup = (struct answerer_setup){
		.key = shared,
		.random = { fill, m },
		.offer = both,
		.limit = 400000,
		.look = look,
		.round = make_map,
		.map = m->vm.map,
		.ctx = m,
	};
	m->asker_setup = (struct asker_setup){
		.key = shared,
		.random = { fill, m },
		.offer = both,
		.state = m->state_here,
		.state_room = sizeof(m->state_here),
		.map = m->arrived.map,
		.pages = m->pages,
		.npages = PAGES,
		.window = WINDOW,
		.limit = 30000000,
	};
	m->asker_setup.offer.cpu[2] = 0x100; /* more than the guest relies on */
}

/* What the guest's state is depends on how often it was stopped, too. */
static void make_state(struct machines *m)
{
	uint64_t seed = m->vm.seed + m->vm.age;

	for (unsigned int i = 0; i < VM_STATE; i++)
		m->state[i] = (uint8_t)rnd(&seed);
}

bool machines_stop_again(struct machines *m)
{
	if (answerer_thaw(&m->answerer))
		return false;
	grow_older(m);
	make_state(m);
	return !answerer_freeze(&m->answerer, m->now, m->state, VM_STATE);
}

static void start_source(struct machines *m)
{
	if (!m->rounds_wanted || m->restore)
		m->answerer_setup.offer.features &= ~(uint64_t)LINK_FEATURE_ROUNDS;
	m->answerer_setup.snapshot = m->restore ? m->image : NULL;
	m->answerer_setup.state = m->restore ? m->state : NULL;
	m->answerer_setup.state_bytes = m->restore ? VM_STATE : 0;
	if (answerer_init(&m->answerer, &m->answerer_setup))
		broken(m, "the answerer does not begin");
	m->source_up = true;
	m->source_runs = !m->restore;
}

static void keep(void *ctx, gfn_t gfn, const void *data)
{
	struct machines *m = ctx;

	m->arrived.ahead[gfn] = true;
	memcpy(m->arrived.bytes[gfn], data, PAGE_SIZE);
}

static void forget(void *ctx, gfn_t gfn)
{
	struct machines *m = ctx;

	m->arrived.ahead[gfn] = false;
}

static const struct ahead_ops ahead_ops = { keep, forget };

void machines_begin(struct machines *m)
{
	if (m->restore) {
		fill(m, m->image, LINK_ID);
		make_state(m);
	}
	start_source(m);
	ahead_init(&m->ahead, &ahead_ops, m);
	if (asker_init(&m->asker, &m->asker_setup))
		broken(m, "the asker does not begin");
}

void machines_kill_source(struct machines *m)
{
	memcpy(m->image, m->answerer.image, LINK_ID);
	m->source_up = false;
	m->source_runs = false;
}

void machines_restart_source(struct machines *m, bool same_image)
{
	m->restore = true;
	if (!same_image)
		m->image[3] ^= 0x55;
	start_source(m);
}

void machines_restart_destination(struct machines *m)
{
	m->destination_runs = false;
	memset(&m->arrived, 0, sizeof(m->arrived));
	m->next = 0;
	m->under_way = 0;
	m->faults = 0;
	ahead_init(&m->ahead, &ahead_ops, m);
	if (asker_init(&m->asker, &m->asker_setup))
		broken(m, "the asker does not begin again");
}

/* --- the source ------------------------------------------------------------------------------- */

static bool is_to_stop(struct machines *m)
{
	const struct answerer *s = &m->answerer;

	if (m->stops_at)
		return s->round == m->stops_at;
	return s->round >= m->rounds_wanted && rnd(&m->seed) % RUNS < m->step;
}

static void step_guest_at_source(struct machines *m)
{
	struct answerer *s = &m->answerer;

	if (m->source_runs && m->rounds_wanted && rnd(&m->seed) % 4 == 0)
		write_some(m);
	if (m->source_runs && answerer_connected(s, m->now) && is_to_stop(m)) {
		make_state(m);
		if (!answerer_freeze(s, m->now, m->state, VM_STATE))
			m->source_runs = false;
	} else if (!m->source_runs && answerer_phase(s) == LINK_RUNS_HERE) {
		m->source_runs = true;
		grow_older(m);
	}
	m->was_gone |= !m->restore && answerer_phase(s) == LINK_GONE;
	if (m->was_gone && m->source_runs)
		broken(m, "the source runs what it gave away");
}

static void step_source(struct machines *m)
{
	uint8_t datagram[LINK_DATAGRAM_MAX];
	bool stranger;
	size_t n;

	while ((n = faulty_receive(&m->link, FAULTY_TO_ANSWERER, m->now, datagram)))
		if (m->source_up)
			(void)answerer_receive(&m->answerer, m->now, datagram, n);
	if (!m->source_up)
		return;
	step_guest_at_source(m);
	while (faulty_ready(&m->link, FAULTY_TO_ASKER, m->now)) {
		n = answerer_poll(&m->answerer, m->now, datagram, &stranger);
		if (!n)
			break;
		faulty_send(&m->link, FAULTY_TO_ASKER, m->now, datagram, n);
	}
}

/* --- the destination -------------------------------------------------------------------------- */

static void place_one(struct machines *m, gfn_t gfn, const struct link_extent *e)
{
	struct arrived *d = &m->arrived;

	if (d->here[gfn]) {
		m->duplicates++;
		return;
	}
	d->here[gfn] = true;
	d->n++;
	d->kind[gfn] = e->what == LINK_DATA ? VM_DATA : e->what == LINK_LOST ? VM_LOST : VM_ZERO;
	if (e->data && e->data != d->bytes[gfn])
		memcpy(d->bytes[gfn], e->data, PAGE_SIZE);
}

static void take_answers(struct machines *m)
{
	struct asker_answer a;

	while (asker_take(&m->asker, false, &a)) {
		for (uint64_t i = 0; i < a.extent.frames; i++)
			place_one(m, a.extent.gfn + i, &a.extent);
		if (a.urgent) {
			m->faults--;
			if (m->waits < WAITS_MAX)
				m->wait[m->waits++] = (uint32_t)a.waited;
		}
		if (!a.urgent && a.completes != ASKER_NOTHING)
			m->under_way--;
	}
}

/* The guest touches a page: what is here it writes, what is not it waits for. */
static void touch(struct machines *m)
{
	gfn_t gfn = rnd(&m->seed) % m->vm.frames;
	struct arrived *d = &m->arrived;

	if (d->here[gfn]) {
		if (d->kind[gfn] == VM_DATA) {
			d->written[gfn] = true;
			memset(d->bytes[gfn], 0x77, PAGE_SIZE);
		}
	} else if (m->faults < m->faults_max && !asker_ask(&m->asker, m->now, gfn, 1, true)) {
		m->faults++;
		m->urgent++;
	}
}

static void stream(struct machines *m)
{
	uint64_t n = 0;

	while (m->next < m->vm.frames && m->arrived.here[m->next])
		m->next++;
	while (n < CHUNK && m->next + n < m->vm.frames && !m->arrived.here[m->next + n])
		n++;
	if (!n || asker_ask(&m->asker, m->now, m->next, n, false))
		return;
	m->next += n;
	m->under_way++;
}

/* What came ahead and is right is here. */
static void place_ahead(struct machines *m)
{
	for (gfn_t gfn = 0; gfn < m->vm.frames; gfn++) {
		struct link_extent e = { gfn, 1, m->arrived.bytes[gfn], LINK_DATA };

		if (!m->arrived.ahead[gfn])
			continue;
		place_one(m, gfn, &e);
		m->came_ahead++;
	}
}

static void step_guest_at_destination(struct machines *m)
{
	if (!m->destination_runs && m->loaded != m->vm.age)
		broken(m, "it begins with an old state");
	if (!m->destination_runs)
		place_ahead(m);
	m->destination_runs = true;
	if (m->arrived.n == m->vm.frames && !m->faults && !m->under_way) {
		asker_finish(&m->asker, m->now);
		return;
	}
	if (rnd(&m->seed) % 10 == 0)
		touch(m);
	if (!m->idle)
		stream(m);
	take_answers(m);
}

static void load(struct machines *m)
{
	/* The source may have gone on meanwhile: then it is of an image that is no more. */
	bool current = !memcmp(m->asker.there.image, m->answerer.image, LINK_ID);

	if (current &&
	    (asker_state_bytes(&m->asker) != VM_STATE || memcmp(m->state_here, m->state, VM_STATE)))
		broken(m, "another state came");
	if (m->load_fails)
		asker_refuse(&m->asker, LINK_REASON_STATE);
	else
		asker_take_over(&m->asker);
	m->loaded = m->vm.age;
}

static void step_destination(struct machines *m)
{
	uint8_t datagram[LINK_DATAGRAM_MAX];
	size_t n;

	for (unsigned int i = 0;
	     i < AT_ONCE && (n = faulty_receive(&m->link, FAULTY_TO_ASKER, m->now, datagram)); i++)
		asker_receive(&m->asker, m->now, datagram, n);
	ahead_step(&m->ahead, &m->asker, m->now);
	if (asker_phase(&m->asker) == ASKER_STATE && ahead_settled(&m->ahead, &m->asker) &&
	    !m->load_waits)
		load(m);
	if (asker_phase(&m->asker) == ASKER_RUNS)
		step_guest_at_destination(m);
	while (faulty_ready(&m->link, FAULTY_TO_ANSWERER, m->now)) {
		n = asker_poll(&m->asker, m->now, datagram);
		if (!n)
			break;
		faulty_send(&m->link, FAULTY_TO_ANSWERER, m->now, datagram, n);
	}
}

/* --- both ------------------------------------------------------------------------------------- */

void machines_step(struct machines *m)
{
	m->now += m->step;
	if (m->now > m->source_stands)
		step_source(m);
	if (m->now > m->destination_stands)
		step_destination(m);
	if (m->source_runs && m->destination_runs)
		broken(m, "both sides run the guest");
}

bool machines_until(struct machines *m, enum asker_phase phase, uint64_t us)
{
	uint64_t end = m->now + us;

	while (asker_phase(&m->asker) != phase && m->now < end && !m->broken)
		machines_step(m);
	return asker_phase(&m->asker) == phase && !m->broken;
}

static bool is_right(const struct machines *m, gfn_t gfn)
{
	const struct arrived *d = &m->arrived;
	uint8_t page[PAGE_SIZE];

	if (d->kind[gfn] != m->vm.kind[gfn])
		return false;
	if (d->kind[gfn] != VM_DATA)
		return true;
	if (d->written[gfn])
		memset(page, 0x77, PAGE_SIZE);
	else
		vm_page(&m->vm, gfn, page);
	return !memcmp(page, d->bytes[gfn], PAGE_SIZE);
}

const char *machines_verify(const struct machines *m)
{
	if (m->broken)
		return m->broken;
	for (gfn_t gfn = 0; gfn < m->vm.frames; gfn++) {
		if (!m->arrived.here[gfn])
			return "a page has not come";
		if (!is_right(m, gfn))
			return "a page is wrong";
	}
	return m->source_runs ? "the source runs, too" : NULL;
}
