/* SPDX-License-Identifier: MIT */
/* For functions that return NULL, or a sentence with what went wrong. */
#ifndef HV_BASE_TRY_H
#define HV_BASE_TRY_H

/* Returns from the calling function with the sentence if it is not NULL. */
#define TRY(expression)                                                                            \
	do {                                                                                       \
		const char *try_why = (expression);                                                \
                                                                                                   \
		if (try_why)                                                                       \
			return try_why;                                                            \
	} while (0)

/* Likewise, unless the condition holds. */
#define MUST(condition, sentence)                                                                  \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return (sentence);                                                         \
	} while (0)

#endif
