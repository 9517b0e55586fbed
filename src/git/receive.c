// SPDX-License-Identifier: Apache-2.0
// Parses the commands at the head of a push and writes refusals. Pure: bytes in, commands out; the
// Git face owns the parser for the length of a request.
#include "git/receive.h"

#include "codec/pktline.h"
#include "git/repo.h"

#include "base/mem.h"

void receive_head_init(struct receive_head *h, struct arena *a)
{
    *h = (struct receive_head){.arena = a};
    buf_init(&h->options_buf, KIB(64));
}

void receive_head_done(struct receive_head *h)
{
    buf_done(&h->options_buf);
}

static int take_capabilities(struct receive_head *h, struct str caps, struct err *e)
{
    for (struct str rest = str_trim(caps), cap; str_cut(&rest, ' ', &cap);) {
        if (str_is(cap, "report-status"))
            h->report_status = true;
        else if (str_is(cap, "report-status-v2"))
            h->report_status = h->report_status_v2 = true;
        else if (str_is(cap, "side-band-64k"))
            h->sideband = true;
        else if (str_is(cap, "atomic"))
            h->atomic = true;
        else if (str_is(cap, "push-options"))
            h->push_options = true;
        else if (str_is(cap, "quiet"))
            h->quiet = true;
        else if (str_starts(cap, STR("agent=")))
            h->agent = arena_str(h->arena, str_head(str_from(cap, 6), 200));
        else if (str_starts(cap, STR("object-format=")) && !str_is(cap, "object-format=sha1"))
            return err_set(e, E_INVALID,
                           "this repository uses SHA-1; a push in another object "
                           "format cannot be taken");
    }
    return 0;
}

static int take_command(struct receive_head *h, struct str line, struct err *e)
{
    struct str caps = STR_NONE;
    const char *nul = line.n ? memchr(line.p, 0, line.n) : NULL;
    if (nul) {
        if (h->n)
            return err_set(e, E_INVALID, "push: capabilities stand behind the first command only");
        size_t at = (size_t)(nul - line.p);
        caps = str_from(line, at + 1);
        line = str_head(line, at);
    }
    if (line.n && line.p[line.n - 1] == '\n')
        line.n--;
    if (str_starts(line, STR("shallow ")))
        return git_sha_ok(str_from(line, 8)) ? 0 : err_set(e, E_INVALID, "push: bad shallow line");
    if (str_starts(line, STR("push-cert")))
        return err_set(e, E_INVALID, "signed pushes are not supported; push without --signed");
    struct receive_command c = {.old_sha = str_head(line, 40),
                                .new_sha = str_head(str_from(line, 41), 40),
                                .ref = str_from(line, 82)};
    if (!git_sha_ok(c.old_sha) || !git_sha_ok(c.new_sha) || line.p[40] != ' ' || line.n < 83 ||
        line.p[81] != ' ')
        return err_set(e, E_INVALID, "push: a command is not \"<old> <new> <ref>\"");
    if (!str_starts(c.ref, STR("refs/")) || !git_ref_name_ok(c.ref))
        return err_set(e, E_INVALID,
                       "push: \"%" PRISTR "\" is not a ref name that can be used here",
                       STRARG(str_head(c.ref, 200)));
    if (h->n == RECEIVE_MAX_COMMANDS)
        return err_set(e, E_LIMIT, "a push may move at most %d refs; push in several steps",
                       RECEIVE_MAX_COMMANDS);
    if (caps.p) {
        int rc = take_capabilities(h, caps, e);
        if (rc < 0)
            return rc;
    }
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 8;
        struct receive_command *more = ARENA_ARRAY(h->arena, struct receive_command, cap);
        if (h->n)
            memcpy(more, h->commands, h->n * sizeof(*more));
        h->commands = more;
        h->cap = cap;
    }
    c.ref = arena_str(h->arena, c.ref);
    c.old_sha = arena_str(h->arena, c.old_sha);
    c.new_sha = arena_str(h->arena, c.new_sha);
    if (!str_is(c.new_sha, GIT_ZERO_SHA))
        h->has_pack = true;
    h->commands[h->n++] = c;
    return 0;
}

static int by_ref(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int no_ref_twice(struct receive_head *h, struct err *e)
{
    if (h->n < 2)
        return 0;
    struct str *names = NEW_ARRAY(struct str, h->n);
    for (size_t i = 0; i < h->n; i++)
        names[i] = h->commands[i].ref;
    qsort(names, h->n, sizeof(*names), by_ref);
    int rc = 0;
    for (size_t i = 1; i < h->n && rc == 0; i++) {
        if (str_eq(names[i - 1], names[i]))
            rc = err_set(e, E_INVALID, "push: ref %" PRISTR " is named twice",
                         STRARG(str_head(names[i], 200)));
    }
    free(names);
    return rc;
}

static int take_option(struct receive_head *h, struct str line, struct err *e)
{
    if (str_has_control(line) || ++h->noptions > RECEIVE_MAX_OPTIONS)
        return err_set(e, E_INVALID, "push: too many push options, or one with control characters");
    if (h->options_buf.n)
        buf_addc(&h->options_buf, '\n');
    buf_add(&h->options_buf, line);
    return buf_ok(&h->options_buf) ? 0 : err_set(e, E_LIMIT, "push: options are too long");
}

int receive_parse(struct receive_head *h, struct str in, size_t *ret_used, struct err *e)
{
    *ret_used = 0;
    while (h->state != RECEIVE_DONE) {
        struct pkt p;
        size_t used;
        int rc = pkt_parse(str_from(in, *ret_used), &p, &used, e);
        if (rc < 0)
            return rc;
        *ret_used += used;
        h->bytes += used;
        if (h->bytes > RECEIVE_MAX_HEAD)
            return err_set(e, E_LIMIT, "push: the list of refs is too long");
        if (p.type == PKT_FLUSH) {
            rc = h->state == RECEIVE_COMMANDS ? no_ref_twice(h, e) : 0;
            h->state =
                h->state == RECEIVE_COMMANDS && h->push_options ? RECEIVE_OPTIONS : RECEIVE_DONE;
        } else if (p.type != PKT_DATA) {
            rc = err_set(e, E_INVALID, "push: a packet that does not belong here");
        } else if (h->state == RECEIVE_COMMANDS) {
            rc = take_command(h, p.data, e);
        } else {
            rc = take_option(h, pkt_line(p), e);
        }
        if (rc < 0)
            return rc;
    }
    h->options = arena_str(h->arena, buf_str(&h->options_buf));
    return 0;
}

void receive_refuse(const struct receive_head *h, const char *const *reasons, struct str message,
                    struct buf *to)
{
    _autobuf_ struct buf report = BUF_INIT(to->max);
    if (h->report_status) {
        pkt_addf(&report, "unpack ok\n");
        for (size_t i = 0; i < h->n; i++)
            pkt_addf(&report, "ng %" PRISTR " %s\n", STRARG(h->commands[i].ref),
                     reasons[i] ? reasons[i] : "not pushed: another ref of this push was refused");
        pkt_flush(&report);
    }
    if (!h->sideband) {
        buf_add(to, buf_str(&report));
        return;
    }
    if (message.n) {
        pkt_sideband(to, 2, message);
        if (message.p[message.n - 1] != '\n')
            pkt_sideband(to, 2, STR("\n"));
    }
    pkt_sideband(to, 1, buf_str(&report));
    pkt_flush(to);
}
