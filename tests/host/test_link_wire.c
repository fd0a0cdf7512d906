/* SPDX-License-Identifier: MIT */
/* Every byte of hv/link/wire.h, and docs/protocol.md, which `make docs` writes its tables into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/link/wire.h"

#define DOC     "docs/protocol.md"
#define DOC_MAX 65536

struct field {
	const char *of, *name, *what;
	size_t at, bytes;
};

#define F(type, member, what)                                                                      \
	{                                                                                          \
#type, #member, what, offsetof(struct type, member),                               \
			sizeof(((struct type *)0)->member)                                         \
	}

static const struct field fields[] = {
	F(link_hello, session, "0"),
	F(link_hello, kind, "1"),
	F(link_hello, zero, "zero"),
	F(link_hello, version, "1"),
	F(link_hello, nonce, "the asker's"),
	F(link_hello, suites, "mask of the suites it can"),
	F(link_hello, zeros, "zeros: as long as the answer"),
	F(link_welcome, session, "0"),
	F(link_welcome, kind, "2"),
	F(link_welcome, suite, "the suite; 255: none in common"),
	F(link_welcome, version, "the answerer's version"),
	F(link_welcome, asker_nonce, "that of the link_hello"),
	F(link_welcome, nonce, "the answerer's"),
	F(link_open, session, "0"),
	F(link_open, kind, "3"),
	F(link_open, suite, "that of the link_welcome"),
	F(link_open, version, "1"),
	F(link_open, asker_nonce, "the asker's"),
	F(link_open, counter, "counts with those of link_head"),
	F(link_stale, session, "0"),
	F(link_stale, kind, "4"),
	F(link_stale, zero, "zero"),
	F(link_stale, version, "1"),
	F(link_stale, unknown, "the session; or the first bytes of a link_open's nonce"),
	F(link_head, session, "the session's number, never 0"),
	F(link_head, counter, "from 1"),
	F(link_body, kind, "see below"),
	F(link_body, detail, "as the kind says, or 0"),
	F(link_body, gfn_high, "bits 32 to 47 of the gfn, where the kind has one, or 0"),
	F(link_body, gfn_low, "bits 0 to 31"),
	F(link_offer, version, "1"),
	F(link_offer, vendor, "1 VMX, 2 SVM"),
	F(link_offer, backing, "largest leaf: 1 4 KiB, 2 2 MiB, 3 1 GiB"),
	F(link_offer, vcpus, "asker: at most; answerer: the guest's"),
	F(link_offer, phase, "answerer's; asker: 0"),
	F(link_offer, state_version, "layout of the state"),
	F(link_offer, suites, "asker: as in its link_hello; answerer: 0"),
	F(link_offer, state_bytes, "answerer: of the state, 0 while the guest runs; asker: room"),
	F(link_offer, features, "that this side can"),
	F(link_offer, needs, "that the other side must have, too"),
	F(link_offer, region, "4 times link_region: the guest's memory"),
	F(link_offer, cpu, "12 words of CPU features"),
	F(link_offer, image, "answerer's; asker: the one it has taken, or zeros"),
	F(link_offer, taker, "asker: who it is; answerer: zeros"),
	F(link_region, gfn, "first page"),
	F(link_region, frames, "how many; 0: none, nor any after it"),
	F(link_state_ask, pieces, "mask of the pieces; 0: asks for link_status"),
	F(link_image, id, "the image's identity"),
	F(link_status, image, "the image's identity"),
	F(link_status, phase, "the answerer's"),
	F(link_status, zeros, "zeros"),
	F(link_status, state_bytes, "of the state, at most 87552; 0 while the guest runs"),
	F(link_ask, gfn, "first page"),
	F(link_ask, frames, "1 to 64 pages"),
	F(link_ask, pieces, "mask of pieces of each"),
	F(link_ask, flags, "1: urgent"),
	F(link_ask, zero, "zero"),
	F(link_run, bits, "see below"),
	F(link_map_ask, round, "that of the newest map, or the next"),
	F(link_map_ask, first, "piece"),
	F(link_map_ask, pieces, "mask: bit n is piece first + n"),
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* No byte of a struct is left out: each begins where the one before ends. */
static void fields_have_no_gap_and_none_is_missing(void **state)
{
	static const struct {
		const char *name;
		size_t bytes;
	} sizes[] = {
#define S(type) { #type, sizeof(struct type) }
		S(link_hello),  S(link_welcome), S(link_open),   S(link_stale),     S(link_head),
		S(link_body),   S(link_offer),   S(link_region), S(link_state_ask), S(link_image),
		S(link_status), S(link_ask),     S(link_run),    S(link_map_ask),
	};
	size_t at = 0, n = 0;

	(void)state;
	for (size_t i = 0; i < FIELDS; i++) {
		if (i && strcmp(fields[i].of, fields[i - 1].of)) {
			assert_int_equal(at, sizes[n++].bytes);
			at = 0;
		}
		assert_string_equal(fields[i].of, sizes[n].name);
		assert_int_equal(fields[i].at, at);
		at += fields[i].bytes;
	}
	assert_int_equal(at, sizes[n].bytes);
	assert_int_equal(n + 1, sizeof(sizes) / sizeof(sizes[0]));
}

static void runs_and_gfns_keep_their_numbers(void **state)
{
	struct link_run run = link_run((UINT64_C(1) << 40) - 1, LINK_RUN_FRAMES_MAX, LINK_LOST);
	struct link_body body = link_body(LINK_PAGE, 2, (UINT64_C(1) << 40) - 3);

	(void)state;
	assert_int_equal(link_run_gfn(run), (UINT64_C(1) << 40) - 1);
	assert_int_equal(link_run_frames(run), LINK_RUN_FRAMES_MAX);
	assert_int_equal(link_run_what(run), LINK_LOST);
	assert_int_equal(link_body_gfn(&body), (UINT64_C(1) << 40) - 3);
	assert_int_equal(sizeof(struct link_body), 8);
	assert_int_equal(link_state_piece(LINK_PIECE_BYTES + 5, 1), 5);
	assert_int_equal(link_state_piece(2 * LINK_PIECE_BYTES, 0), LINK_PIECE_BYTES);
	assert_true(sizeof(struct link_head) + sizeof(body) + LINK_ID + LINK_PIECE_BYTES +
			    LINK_TAG <=
		    LINK_DATAGRAM_MAX);
}

/* --- the document -------------------------------------------------------------------------------
 */

static char *put_struct(char *to, const char *name)
{
	to += sprintf(to, "| byte | bytes | `%s` | |\n|---|---|---|---|\n", name);
	for (size_t i = 0; i < FIELDS; i++)
		if (!strcmp(fields[i].of, name))
			to += sprintf(to, "| %zu | %zu | `%s` | %s |\n", fields[i].at,
				      fields[i].bytes, fields[i].name, fields[i].what);
	return to;
}

static char *put_list(char *to, const char *name)
{
	unsigned int n = 0;

	if (!strcmp(name, "features")) {
		to += sprintf(to, "| bit | means |\n|---|---|\n");
#define X(id, bit, what) to += sprintf(to, "| %d | %s |\n", bit, what);
		LINK_FEATURES(X)
#undef X
	} else if (!strcmp(name, "words")) {
		to += sprintf(to, "| word | is |\n|---|---|\n");
#define X(id, text) to += sprintf(to, "| %u | %s |\n", n++, text);
		LINK_CPU_WORDS(X)
#undef X
	} else {
		to += sprintf(to, "| reason | sentence |\n|---|---|\n");
#define X(id, number, text) to += sprintf(to, "| %d | %s |\n", number, text);
		LINK_REASONS(X)
#undef X
	}
	return to;
}

static char *read_doc(char *doc)
{
	FILE *file = fopen(DOC, "r");

	assert_non_null(file);
	doc[fread(doc, 1, DOC_MAX - 1, file)] = 0;
	fclose(file);
	return doc;
}

/* A table stands below a line with its name in a comment, and ends at an empty line. */
static void renew(const char *doc, char *to)
{
	const char *mark;
	char name[64];

	while ((mark = strstr(doc, "<!-- "))) {
		const char *line = strchr(mark, '\n') + 1;

		to += sprintf(to, "%.*s", (int)(line - doc), doc);
		doc = line;
		to += sprintf(to, "\n");
		if (sscanf(mark, "<!-- struct %63s -->", name) == 1)
			to = put_struct(to, name);
		else if (sscanf(mark, "<!-- %63s -->", name) == 1)
			to = put_list(to, name);
		doc += doc[0] == '\n' && doc[1] == '|';
		while (*doc == '|')
			doc = strchr(doc, '\n') + 1;
	}
	strcpy(to, doc);
}

static void the_document_has_the_same_tables(void **state)
{
	static char doc[DOC_MAX], right[DOC_MAX];

	(void)state;
	renew(read_doc(doc), right);
	if (strcmp(doc, right))
		fail_msg("%s differs from hv/link/wire.h: `make docs` writes it", DOC);
}

static int write_doc(void)
{
	static char doc[DOC_MAX], right[DOC_MAX];
	FILE *file;

	renew(read_doc(doc), right);
	file = fopen(DOC, "w");
	if (!file || fputs(right, file) < 0 || fclose(file))
		return 1;
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_have_no_gap_and_none_is_missing),
		cmocka_unit_test(runs_and_gfns_keep_their_numbers),
		cmocka_unit_test(the_document_has_the_same_tables),
	};

	if (argc == 2 && !strcmp(argv[1], "write"))
		return write_doc();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
