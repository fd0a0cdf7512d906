/* SPDX-License-Identifier: MIT */
/* Formatted printing into a buffer; pure. hv/base/console.h lists what it knows. */
#include "hv/base/console.h"

#define DIGITS_MAX 20 /* of a 64-bit number, in decimal */

struct out {
	char *buf;
	size_t size;
	size_t n; /* bytes of the whole text so far, whether they fit or not */
};

struct spec {
	bool left, zero;
	int width;
	int precision; /* -1: none */
	int longs;     /* 'l's, or 1 for 'z' */
	char conversion;
};

static void emit(struct out *o, char c)
{
	if (o->n + 1 < o->size)
		o->buf[o->n] = c;
	o->n++;
}

static void emit_n(struct out *o, char c, int n)
{
	while (n-- > 0)
		emit(o, c);
}

/* A text with its sign or prefix, padded as the spec says. */
static void emit_field(struct out *o, const struct spec *s, const char *sign, const char *text,
		       int n)
{
	int signs = 0;

	while (sign[signs])
		signs++;
	if (!s->left && !s->zero)
		emit_n(o, ' ', s->width - signs - n);
	for (int i = 0; i < signs; i++)
		emit(o, sign[i]);
	if (!s->left && s->zero)
		emit_n(o, '0', s->width - signs - n);
	for (int i = 0; i < n; i++)
		emit(o, text[i]);
	if (s->left)
		emit_n(o, ' ', s->width - signs - n);
}

static void emit_number(struct out *o, const struct spec *s, uint64_t v, unsigned int base,
			const char *sign)
{
	char digits[DIGITS_MAX];
	int n = 0;

	do {
		digits[DIGITS_MAX - ++n] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	emit_field(o, s, sign, digits + DIGITS_MAX - n, n);
}

static void emit_string(struct out *o, const struct spec *s, const char *text)
{
	int n = 0;

	if (!text)
		text = "(null)";
	while (n != s->precision && text[n])
		n++;
	emit_field(o, s, "", text, n);
}

static const char *parse_number(const char *f, int *n, va_list *ap)
{
	*n = 0;
	if (*f == '*') {
		*n = va_arg(*ap, int);
		return f + 1;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		*n = *n * 10 + (*f - '0');
	return f;
}

/* From behind the '%' up to and with the conversion's letter. */
static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
	*s = (struct spec){ .precision = -1 };
	for (; *f == '-' || *f == '0'; f++)
		*(*f == '-' ? &s->left : &s->zero) = true;
	f = parse_number(f, &s->width, ap);
	if (*f == '.')
		f = parse_number(f + 1, &s->precision, ap);
	for (; *f == 'l' || *f == 'z'; f++)
		s->longs++;
	s->conversion = *f;
	return *f ? f + 1 : f;
}

static void convert(struct out *o, struct spec *s, va_list *ap)
{
	int64_t v;
	char c;

	switch (s->conversion) {
	case 'd':
		v = s->longs ? va_arg(*ap, long) : va_arg(*ap, int);
		emit_number(o, s, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0 ? "-" : "");
		break;
	case 'u':
	case 'x':
		emit_number(o, s, s->longs ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned int),
			    s->conversion == 'x' ? 16 : 10, "");
		break;
	case 'p':
		emit_number(o, s, (uintptr_t)va_arg(*ap, void *), 16, "0x");
		break;
	case 's':
		s->zero = false;
		emit_string(o, s, va_arg(*ap, const char *));
		break;
	case 'c':
		c = (char)va_arg(*ap, int);
		s->zero = false;
		emit_field(o, s, "", &c, 1);
		break;
	case '%':
		emit(o, '%');
		break;
	default: /* the compiler's format check lets none of these pass */
		emit(o, '?');
	}
}

int fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .buf = buf, .size = size };
	struct spec s;
	va_list args; /* a parameter of this type may not have its address taken portably */

	va_copy(args, ap);
	while (*fmt) {
		if (*fmt != '%') {
			emit(&o, *fmt++);
			continue;
		}
		fmt = parse_spec(fmt + 1, &s, &args);
		convert(&o, &s, &args);
	}
	va_end(args);
	if (size)
		buf[MIN(o.n, size - 1)] = 0;
	return (int)o.n;
}

int fmt_print(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fmt_vprint(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
