// SPDX-License-Identifier: Apache-2.0
// What went wrong in a configuration, as a bounded list: adding, and writing it for people and for
// the API. Also guesses which keyword a wrong one meant. Lives in the reader's arena.
#include "base/jout.h"
#include "ci/reader.h"

static void path_text(const struct path *p, struct buf *to)
{
    if (!p)
        return;
    path_text(p->up, to);
    if (p->key.p) {
        if (to->n)
            buf_addc(to, ':');
        buf_add(to, str_head(p->key, 100));
    } else {
        buf_addf(to, "[%zu]", p->index + 1);
    }
}

static bool known(const struct ci_problems *ps, struct yaml_pos pos, struct str msg)
{
    for (size_t i = 0; i < ps->n; i++) {
        const struct ci_problem *p = &ps->list[i];
        if (p->pos.line == pos.line && p->pos.col == pos.col && str_eq(p->msg, msg))
            return true;
    }
    return false;
}

void ci_problems_add(struct arena *a, struct ci_problems *to, const struct path *at,
                     struct yaml_pos pos, const char *expected, const char *fmt, ...)
{
    if (to->n == CI_MAX_PROBLEMS) {
        to->left_out++;
        return;
    }
    char msg[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    // One value that many jobs share is one mistake.
    if (known(to, pos, str_of(msg)))
        return;
    if (!to->list)
        to->list = ARENA_ARRAY(a, struct ci_problem, CI_MAX_PROBLEMS);
    _autobuf_ struct buf path = BUF_INIT(2000);
    path_text(at, &path);
    to->list[to->n++] =
        (struct ci_problem){pos, arena_str(a, buf_str(&path)), arena_str(a, str_of(msg)),
                            arena_str(a, str_of(expected))};
}

bool ci_room(struct reader *r, const struct path *at, struct yaml_pos pos, uint64_t bytes)
{
    const size_t reserve = KIB(512); // for the problems themselves and small things
    if (bytes < SIZE_MAX - reserve && arena_fits(r->a, bytes + reserve))
        return true;
    if (!r->full)
        PROBLEM(r, at, pos, NULL, "the configuration needs more memory than is allowed for it");
    r->full = true;
    return false;
}

void ci_problem_text(const struct ci_problem *p, struct buf *to)
{
    if (p->pos.line)
        buf_addf(to, "line %u, column %u: ", p->pos.line, p->pos.col);
    if (p->path.n) {
        buf_add(to, p->path);
        buf_adds(to, ": ");
    }
    buf_add(to, p->msg);
    if (p->expected.n) {
        buf_adds(to, "; ");
        buf_add(to, p->expected);
    }
}

void ci_problems_json(const struct ci_problems *ps, struct buf *to)
{
    struct jout j;
    jout_begin(&j, to);
    jout_array(&j);
    for (size_t i = 0; i < ps->n; i++) {
        const struct ci_problem *p = &ps->list[i];
        jout_object(&j);
        jout_kint(&j, "line", p->pos.line);
        jout_kint(&j, "column", p->pos.col);
        jout_kstr(&j, "path", p->path);
        jout_kstr(&j, "message", p->msg);
        jout_kstr(&j, "expected", p->expected);
        jout_end_object(&j);
    }
    jout_end_array(&j);
}

// Edits (insert, delete, replace, swap of neighbours) between two short words.
static size_t distance(struct str a, struct str b)
{
    enum { MAX_WORD = 40 };
    size_t rows[3][MAX_WORD + 1];
    if (a.n > MAX_WORD || b.n > MAX_WORD)
        return SIZE_MAX;
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t k = 0; k <= b.n; k++)
        last[k] = k;
    for (size_t i = 1; i <= a.n; i++) {
        now[0] = i;
        for (size_t k = 1; k <= b.n; k++) {
            size_t best = last[k - 1] + (a.p[i - 1] != b.p[k - 1]);
            best = MIN(best, last[k] + 1);
            best = MIN(best, now[k - 1] + 1);
            if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1])
                best = MIN(best, before[k - 2] + 1);
            now[k] = best;
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.n];
}

const char *ci_near(struct str wrong, const char *const *words)
{
    char low[41];
    if (!wrong.n || wrong.n >= sizeof(low))
        return NULL;
    for (size_t i = 0; i < wrong.n; i++) {
        char c = wrong.p[i];
        low[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)(c == '-' || c == ' ' ? '_' : c);
    }
    const char *best = NULL;
    size_t least = wrong.n <= 4 ? 2 : 3;
    for (; *words; words++) {
        size_t d = distance(str_n(low, wrong.n), str_of(*words));
        if (d < least) {
            least = d;
            best = *words;
        }
    }
    return best;
}
