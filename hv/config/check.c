/* SPDX-License-Identifier: MIT */
/* The rules between the keys of a run. */
#include "hv/config/check.h"

#include "mm/err.h"

/* backing=auto: the largest frames that fill the region. By region='s limits 2 MiB always do. */
static void decide_backing(struct run_config *run)
{
	run->backing = run->backing_asked;
	if (run->backing_asked == PG_LEVEL_NONE)
		run->backing = run->region % GIB ? PG_LEVEL_2M : PG_LEVEL_1G;
}

/* work=auto: 64 MiB, or what the region has. */
static void decide_work(struct run_config *run)
{
	uint64_t room = run->region - MIN(run->region, run->work_start);

	run->work = run->work_asked ? run->work_asked : MIN(64 * MIB, room);
}

struct run_check {
	const struct run_config *run;
	struct config_error *error;
	unsigned int line;
};

/* "[name]: key=size" */
static int refuse_run(const struct run_check *c, const char *key, uint64_t size)
{
	int err = config_refuse(c->error, c->line);

	config_put(c->error->text, "[");
	config_put(c->error->text, c->run->name);
	config_put(c->error->text, "]: ");
	config_put(c->error->text, key);
	config_put_size(c->error->text, size);
	return err;
}

static int check_backing(const struct run_check *c)
{
	int err;

	if (c->run->backing != PG_LEVEL_1G || c->run->region % GIB == 0)
		return 0;
	err = refuse_run(c, "region=", c->run->region);
	config_put(c->error->text, ": must be a multiple of 1G with backing=1G; or use backing=2M");
	return err;
}

static int check_arrive(const struct run_check *c)
{
	int err;

	if (c->run->region % c->run->arrive == 0)
		return 0;
	err = refuse_run(c, "region=", c->run->region);
	config_put(c->error->text, ": must be a multiple of 1G with arrive=1G; or use arrive=2M");
	return err;
}

static int check_work_fits(const struct run_check *c)
{
	const struct run_config *run = c->run;
	int err;

	if (run->work_start < run->region && run->work <= run->region - run->work_start)
		return 0;
	err = refuse_run(c, "work=", run->work);
	config_put(c->error->text, " from start=");
	config_put_size(c->error->text, run->work_start);
	config_put(c->error->text, " does not fit into region=");
	config_put_size(c->error->text, run->region);
	config_put(c->error->text, "; make work smaller or region larger");
	return err;
}

static int check_work_for_all(const struct run_check *c)
{
	const struct run_config *run = c->run;
	int err;

	if ((run->work - PAGE_SIZE) / run->stride + 1 >= run->vcpus)
		return 0;
	err = refuse_run(c, "work=", run->work);
	config_put(c->error->text, " with stride=");
	config_put_size(c->error->text, run->stride);
	config_put(c->error->text, " has fewer pages than vcpus=");
	config_put_number(c->error->text, run->vcpus);
	config_put(c->error->text, "; make work larger or stride smaller");
	return err;
}

/* Pages that no payload uses: neither below CONFIG_IMAGES_END nor in `work`. */
static uint64_t losable(const struct run_config *run)
{
	return (run->region - MIN(run->region, CONFIG_IMAGES_END) - run->work) / PAGE_SIZE;
}

static int check_losses(const struct run_check *c)
{
	const struct run_config *run = c->run;
	int err;

	if ((uint64_t)run->lose + run->lose_late <= losable(run))
		return 0;
	err = refuse_run(c, "region=", run->region);
	config_put(c->error->text, " has fewer pages that no payload uses than lose=");
	config_put_number(c->error->text, run->lose);
	config_put(c->error->text, " and lose_late=");
	config_put_number(c->error->text, run->lose_late);
	config_put(c->error->text, " together; lose fewer or make region larger");
	return err;
}

/* A page that is lost once stays lost, so there is nothing to lose in a second one. */
static int check_hops(const struct run_check *c)
{
	const struct run_config *run = c->run;
	int err;

	if (run->hops == 1 || (!run->lose && !run->lose_late))
		return 0;
	err = refuse_run(c, "hops=", run->hops);
	config_put(c->error->text,
		   ": pages can be lost in a single migration only; leave out hops= or "
		   "lose= and lose_late=");
	return err;
}

static bool is_on_demand(const struct run_config *run)
{
	return run->order == ORDER_NONE || run->order == ORDER_RECORD;
}

/* Only the last migration can leave pages behind; and a page at hand is no request that is noted.
 */
static int check_order(const struct run_check *c)
{
	const struct run_config *run = c->run;
	int err;

	if (is_on_demand(run) && run->hops > 1) {
		err = refuse_run(c, "hops=", run->hops);
		config_put(c->error->text, ": with order=none and order=record pages stay behind; "
					   "leave out hops= or take another order");
		return err;
	}
	if (run->order != ORDER_RECORD || run->latency_us)
		return 0;
	err = refuse_run(c, "latency=", 0);
	config_put(c->error->text,
		   ": order=record notes requests, and with latency=0 there are none");
	return err;
}

int config_settle(struct run_config *run, struct config_error *error, unsigned int line)
{
	static int (*const checks[])(const struct run_check *) = {
		check_backing, check_arrive, check_work_fits, check_work_for_all,
		check_losses,  check_hops,   check_order,
	};
	const struct run_check c = { run, error, line };
	int err = 0;

	decide_backing(run);
	decide_work(run);
	for (unsigned int i = 0; i < ARRAY_LEN(checks) && !err; i++)
		err = checks[i](&c);
	return err;
}
