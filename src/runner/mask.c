// SPDX-License-Identifier: Apache-2.0
// The masker looks at each position for a secret that begins there. A position is decided once no
// secret can still match longer; undecided bytes wait in `held`, at most as many as the longest
// secret has. Owned by a job's trace.
#include "runner/mask.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>

#define MASKED STR("[MASKED]")

struct mask {
    struct str *words; // longest first; owned
    size_t nwords;
    struct str *prefixes; // owned
    size_t nprefixes;
    bool first[256]; // some word or prefix begins with this byte
    bool in_word;    // a prefix has matched: swallow the rest of the word
    bool word_said;  // ... and "[MASKED]" was written for it
    bool after_word; // the byte before is part of a word, so no prefix begins here
    struct buf held;
};

struct mask *mask_new(void)
{
    struct mask *m = NEW(struct mask);
    buf_init(&m->held, MIB(64));
    return m;
}

static void free_list(struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_wipe((char *)(uintptr_t)list[i].p, list[i].n);
        free((char *)(uintptr_t)list[i].p);
    }
    free(list);
}

void mask_free(struct mask *m)
{
    if (!m)
        return;
    free_list(m->words, m->nwords);
    free_list(m->prefixes, m->nprefixes);
    buf_done(&m->held);
    free(m);
}

static void add(struct str **list, size_t *n, struct str s)
{
    *list = mem_grow(*list, *n + 1, sizeof(**list));
    size_t at = (*n)++;
    for (; at > 0 && (*list)[at - 1].n < s.n; at--)
        (*list)[at] = (*list)[at - 1];
    (*list)[at] = str_n(str_dup(s), s.n);
}

void mask_secret(struct mask *m, struct str secret)
{
    if (!secret.n)
        return;
    for (size_t i = 0; i < m->nwords; i++)
        if (str_eq(m->words[i], secret))
            return;
    m->first[(unsigned char)secret.p[0]] = true;
    add(&m->words, &m->nwords, secret);
}

void mask_prefix(struct mask *m, struct str prefix)
{
    if (!prefix.n)
        return;
    m->first[(unsigned char)prefix.p[0]] = true;
    add(&m->prefixes, &m->nprefixes, prefix);
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.' || c == '=';
}

enum verdict { NOTHING, UNDECIDED, WORD, PREFIX };

// What begins at s; `ended` says that no more bytes will come.
static enum verdict look(const struct mask *m, struct str s, bool ended, size_t *ret_len)
{
    if (!m->first[(unsigned char)s.p[0]])
        return NOTHING;
    for (size_t i = 0; i < m->nwords; i++) {
        struct str w = m->words[i];
        if (memcmp(s.p, w.p, MIN(s.n, w.n)) != 0)
            continue;
        if (w.n > s.n) {
            if (ended)
                continue;
            return UNDECIDED; // the longest first: a shorter one may not win yet
        }
        *ret_len = w.n;
        return WORD;
    }
    for (size_t i = 0; i < m->nprefixes && !m->after_word; i++) {
        struct str w = m->prefixes[i];
        if (memcmp(s.p, w.p, MIN(s.n, w.n)) != 0)
            continue;
        if (w.n > s.n) {
            if (ended)
                continue;
            return UNDECIDED;
        }
        *ret_len = w.n;
        return PREFIX;
    }
    return NOTHING;
}

static void run(struct mask *m, struct str s, bool ended, struct buf *out)
{
    size_t plain = 0, at = 0;
    while (at < s.n) {
        size_t len = 0;
        if (m->in_word) {
            if (is_token_char(s.p[at])) {
                if (!m->word_said)
                    buf_add(out, MASKED);
                m->word_said = true;
                plain = ++at;
                continue;
            }
            m->in_word = m->word_said = false;
        }
        enum verdict v = look(m, str_from(s, at), ended, &len);
        if (v == NOTHING) {
            m->after_word = isalnum((unsigned char)s.p[at]);
            at++;
            continue;
        }
        buf_add(out, str_n(s.p + plain, at - plain));
        plain = at;
        if (v == UNDECIDED)
            break;
        if (v == WORD)
            buf_add(out, MASKED);
        else {
            buf_add(out, str_n(s.p + at, len));
            m->in_word = true;
        }
        m->after_word = true;
        plain = at += len;
    }
    if (at >= s.n) {
        buf_add(out, str_n(s.p + plain, s.n - plain));
        plain = s.n;
    }
    struct buf rest = BUF_INIT(MIB(64));
    buf_add(&rest, str_from(s, plain));
    buf_done(&m->held);
    m->held = rest;
}

void mask_feed(struct mask *m, struct str in, struct buf *out)
{
    if (!in.n)
        return;
    if (!m->held.n) {
        run(m, in, false, out);
        return;
    }
    struct buf both = m->held;
    m->held = BUF_INIT(MIB(64));
    buf_add(&both, in);
    run(m, buf_str(&both), false, out);
    buf_done(&both);
}

void mask_end(struct mask *m, struct buf *out)
{
    struct buf both = m->held;
    m->held = BUF_INIT(MIB(64));
    if (both.n)
        run(m, buf_str(&both), true, out);
    buf_done(&both);
}
