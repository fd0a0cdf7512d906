/* SPDX-License-Identifier: MIT */
/*
 * The errors, one meaning each. Functions return 0 (or a count) or one of these, negated.
 * The numbers are Linux', spelled as its headers spell them, so that both can be included.
 */
#ifndef MM_ERR_H
#define MM_ERR_H

#define EPERM     1   /* a rule of this address space forbids it */
#define ENOENT    2   /* nothing is mapped here; no such thing */
#define EIO       5   /* a device or an instruction failed */
#define E2BIG     7   /* larger than the entry that is there */
#define EAGAIN    11  /* somebody else changed it meanwhile: look again */
#define ENOMEM    12  /* out of frames: nothing was changed */
#define EFAULT    14  /* the permissions forbid it */
#define EBUSY     16  /* somebody else is at work on it: wait for them */
#define EEXIST    17  /* it is here already */
#define EXDEV     18  /* the frame belongs to another address space: bring one */
#define ENODEV    19  /* this machine lacks something */
#define EINVAL    22  /* the caller's arguments make no sense */
#define ENOSPC    28  /* a bounded table is full */
#define ERANGE    34  /* a number outside its limits */
#define ENODATA   61  /* it holds zeros: do not ask for it */
#define EALREADY  114 /* it has been asked for already */
#define EHWPOISON 133 /* the memory is lost */

#endif
