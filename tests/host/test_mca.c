/* SPDX-License-Identifier: MIT */
/* Machine checks of a guest: what the registers hold and refuse, against the manuals' own figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "hv/cpu/mca.h"
#include "mm/err.h"

static const struct mca_kind *const kinds[] = { &mca_kind_intel, &mca_kind_amd };

static const struct mca_access load = {
	.at = { 0x123456789abc },
	.restart = true,
	.delivered = true,
};

static uint64_t read(const struct mca_state *s, const struct mca_kind *kind, uint32_t msr)
{
	uint64_t value;

	assert_int_equal(mca_rdmsr(s, kind, msr, &value), 0);
	return value;
}

static void a_load_is_logged_as_the_maker_does_it(void **state)
{
	static const uint64_t status[] = { 0xbd80000000000134, 0xb400280000000137 };
	static const uint64_t misc[] = { 0x8c, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct mca_state s = MCA_RESET;

		assert_null(mca_consume(&s, kinds[i], &load));
		assert_int_equal(read(&s, kinds[i], MSR_MCG_STATUS), 7);
		assert_int_equal(read(&s, kinds[i], MSR_MC0_STATUS), status[i]);
		assert_int_equal(read(&s, kinds[i], MSR_MC0_ADDR), load.at.v);
		assert_int_equal(read(&s, kinds[i], MSR_MC0_MISC), misc[i]);
		assert_int_equal(read(&s, kinds[i], MSR_MC0_CTL), UINT64_MAX);
	}
}

static void a_fetch_during_a_delivery_cannot_be_restarted(void **state)
{
	struct mca_access access = load;

	(void)state;
	access.fetch = true;
	access.restart = false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct mca_state s = MCA_RESET;

		assert_null(mca_consume(&s, kinds[i], &access));
		assert_int_equal(s.mcg_status, 6);
		assert_int_equal(s.status & 0xffff, i ? 0x153 : 0x150);
	}
}

/* Where the architecture shuts down, nothing is logged. */
static void what_cannot_be_delivered_changes_nothing(void **state)
{
	struct mca_access masked = load;

	(void)state;
	masked.delivered = false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct mca_state s = MCA_RESET;

		assert_non_null(mca_consume(&s, kinds[i], &masked));
		s.ctl = ~UINT64_C(1);
		assert_non_null(mca_consume(&s, kinds[i], &load));
		s.ctl = 1;
		s.mcg_status = MCG_STATUS_MCIP;
		assert_non_null(mca_consume(&s, kinds[i], &load));
		assert_int_equal(s.mcg_status, MCG_STATUS_MCIP);
		assert_int_equal(s.status | s.addr | s.misc, 0);
	}
}

static void the_first_entry_of_a_bank_is_kept(void **state)
{
	struct mca_access second = load;

	(void)state;
	second.at.v++;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct mca_state s = MCA_RESET;

		assert_null(mca_consume(&s, kinds[i], &load));
		assert_int_equal(s.status & MC_STATUS_OVER, 0);
		assert_int_equal(mca_wrmsr(&s, kinds[i], MSR_MCG_STATUS, 0), 0);
		assert_null(mca_consume(&s, kinds[i], &second));
		assert_int_equal(s.status & MC_STATUS_OVER, MC_STATUS_OVER);
		assert_int_equal(s.addr, load.at.v);
	}
}

static void what_was_logged_can_only_be_cleared(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct mca_state s = MCA_RESET;

		assert_null(mca_consume(&s, kinds[i], &load));
		for (uint32_t msr = MSR_MC0_STATUS; msr <= MSR_MC0_MISC; msr++) {
			uint64_t before = read(&s, kinds[i], msr);

			assert_int_equal(mca_wrmsr(&s, kinds[i], msr, before | 1), -EINVAL);
			assert_int_equal(read(&s, kinds[i], msr), before);
			assert_int_equal(mca_wrmsr(&s, kinds[i], msr, 0), 0);
			assert_int_equal(read(&s, kinds[i], msr), 0);
		}
		assert_int_equal(mca_wrmsr(&s, kinds[i], MSR_MCG_CAP, 0), -EINVAL);
		assert_int_equal(mca_wrmsr(&s, kinds[i], MSR_MCG_STATUS, 8), -EINVAL);
		assert_int_equal(mca_wrmsr(&s, kinds[i], MSR_MCG_STATUS, 4), i ? 0 : -EINVAL);
	}
}

static void there_is_one_bank_and_no_other_msr(void **state)
{
	unsigned int n = 0;
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct mca_state s = MCA_RESET;

		assert_int_equal(read(&s, kinds[i], MSR_MCG_CAP) & 0xff, 1);
		for (uint32_t msr = 0; msr < 0x2000; msr++) {
			int err = mca_rdmsr(&s, kinds[i], msr, &value);

			assert_true(err == 0 || err == -ENOENT);
			assert_true((mca_wrmsr(&s, kinds[i], msr, 0) == -ENOENT) == (err != 0));
			n += !err;
		}
	}
	assert_int_equal(n, 2 * 6);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_load_is_logged_as_the_maker_does_it),
		cmocka_unit_test(a_fetch_during_a_delivery_cannot_be_restarted),
		cmocka_unit_test(what_cannot_be_delivered_changes_nothing),
		cmocka_unit_test(the_first_entry_of_a_bank_is_kept),
		cmocka_unit_test(what_was_logged_can_only_be_cleared),
		cmocka_unit_test(there_is_one_bank_and_no_other_msr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
