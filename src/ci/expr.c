// SPDX-License-Identifier: Apache-2.0
// `rules:if`: a lexer, a parser by precedence (comparison over && over ||, left to right) and the
// evaluation with GitLab's notion of truth. At most 100 tokens, so recursion is shallow. The tree
// lives in the caller's arena; patterns are in pattern.c.
#include "ci/expr.h"

enum token_kind {
    T_END,
    T_OPEN,
    T_CLOSE,
    T_VARIABLE,
    T_STRING,
    T_PATTERN,
    T_NULL,
    T_EQ,
    T_NE,
    T_MATCH,
    T_NOT_MATCH,
    T_AND,
    T_OR,
};

struct token {
    enum token_kind kind;
    struct str text; // name, contents, or the pattern with slashes and flags
    size_t at;
};

struct ci_expr {
    enum token_kind kind;
    struct str text;
    struct ci_expr *left, *right;
};

struct parser {
    struct arena *a;
    struct str text;
    struct token tokens[CI_EXPR_MAX_TOKENS + 1];
    size_t ntokens, next;
    size_t at; // of the error
    struct err *e;
};

static int bad(struct parser *p, size_t at, const char *fmt, ...) PRINTF(3, 4);
static int bad(struct parser *p, size_t at, const char *fmt, ...)
{
    char msg[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    p->at = at;
    return err_set(p->e, E_INVALID, "%s", msg);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t word_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && is_word(s.p[n]))
        n++;
    return n;
}

// The length of `/../flags` at the start of `s`, 0 when it does not end.
static size_t pattern_length(struct str s)
{
    size_t i = 1;
    while (i < s.n && (s.p[i] != '/' || s.p[i - 1] == '\\'))
        i++;
    if (i >= s.n)
        return 0;
    for (i++; i < s.n && s.p[i] && strchr("ismU", s.p[i]); i++)
        ;
    return i;
}

static int lex_pattern(struct parser *p, struct str s, struct token *t, size_t *ret_n)
{
    size_t n = pattern_length(s);
    if (!n)
        return bad(p, t->at, "the pattern does not end; expected a closing `/`");
    t->kind = T_PATTERN;
    t->text = str_head(s, n);
    *ret_n = n;
    if (str_rfind(t->text, '/') < 3)
        return bad(p, t->at, "a pattern needs at least two characters between its slashes");
    struct err why;
    if (ci_pattern_check(t->text, &why))
        return bad(p, t->at, "%s", why.msg);
    return 0;
}

static int lex_variable(struct parser *p, struct str s, struct token *t, size_t *ret_n)
{
    size_t n = word_length(str_from(s, 1));
    if (n) {
        t->kind = T_VARIABLE;
        t->text = str_n(s.p + 1, n);
        *ret_n = n + 1;
        return 0;
    }
    if (s.n > 1 && s.p[1] == '{')
        return bad(p, t->at, "`${NAME}` does not work here; write `$NAME`");
    if (str_starts(s, STR("$[[")))
        return bad(p, t->at, "`$[[ ]]` inputs are not supported by Slipway yet");
    return bad(p, t->at, "expected a name after `$`");
}

static const struct {
    const char text[3];
    enum token_kind kind;
} OPERATORS[] = {
    {"==", T_EQ},  {"!=", T_NE}, {"=~", T_MATCH}, {"!~", T_NOT_MATCH},
    {"&&", T_AND}, {"||", T_OR}, {"(", T_OPEN},   {")", T_CLOSE},
};

static int lex_word(struct parser *p, struct str s, struct token *t, size_t *ret_n)
{
    size_t n = word_length(s);
    struct str word = str_head(s, n);
    if (str_is(word, "null")) {
        t->kind = T_NULL;
        *ret_n = n;
        return 0;
    }
    if (n)
        return bad(p, t->at,
                   "`%" PRISTR "` means nothing here; write `$%" PRISTR "` for the variable or "
                   "`\"%" PRISTR "\"` for the text",
                   STRARG(str_head(word, 40)), STRARG(str_head(word, 40)),
                   STRARG(str_head(word, 40)));
    unsigned char c = (unsigned char)s.p[0];
    if (c == '!')
        return bad(p, t->at, "there is no `!`; expected `!=` or `!~`");
    if (c < 0x20 || c >= 0x7f)
        return bad(p, t->at, "byte 0x%02x means nothing here", c);
    return bad(p, t->at,
               "`%c` means nothing here; expected a variable, a text, a pattern, `null` or "
               "an operator",
               c);
}

static int lex_one(struct parser *p, struct str s, struct token *t, size_t *ret_n)
{
    for (size_t i = 0; i < ARRAY_SIZE(OPERATORS); i++)
        if (str_starts(s, str_of(OPERATORS[i].text))) {
            t->kind = OPERATORS[i].kind;
            *ret_n = strlen(OPERATORS[i].text);
            return 0;
        }
    char c = s.p[0];
    if (c == '"' || c == '\'') {
        ptrdiff_t end = str_find(str_from(s, 1), c);
        if (end < 0)
            return bad(p, t->at, "the text does not end; expected a closing `%c`", c);
        t->kind = T_STRING;
        t->text = str_n(s.p + 1, (size_t)end);
        *ret_n = (size_t)end + 2;
        return 0;
    }
    if (c == '/')
        return lex_pattern(p, s, t, ret_n);
    if (c == '$')
        return lex_variable(p, s, t, ret_n);
    return lex_word(p, s, t, ret_n);
}

static int lex(struct parser *p)
{
    for (size_t i = 0; i < p->text.n;) {
        if (is_space(p->text.p[i])) {
            i++;
            continue;
        }
        if (p->ntokens == CI_EXPR_MAX_TOKENS)
            return bad(p, i, "the expression has more than %d parts", CI_EXPR_MAX_TOKENS);
        struct token *t = &p->tokens[p->ntokens++];
        *t = (struct token){.at = i};
        size_t n = 0;
        int r = lex_one(p, str_from(p->text, i), t, &n);
        if (r)
            return r;
        i += n;
    }
    p->tokens[p->ntokens] = (struct token){.kind = T_END, .at = p->text.n};
    return 0;
}

static const char *token_name(const struct token *t)
{
    static const char *const NAMES[] = {
        "the end", "`(`",  "`)`",  "a variable", "a text", "a pattern", "`null`",
        "`==`",    "`!=`", "`=~`", "`!~`",       "`&&`",   "`||`",
    };
    return NAMES[t->kind];
}

static struct ci_expr *node(struct parser *p, enum token_kind kind, struct ci_expr *left,
                            struct ci_expr *right)
{
    struct ci_expr *x = ARENA_NEW(p->a, struct ci_expr);
    *x = (struct ci_expr){kind, STR_NONE, left, right};
    return x;
}

static int level_of(enum token_kind k)
{
    if (k == T_OR)
        return 1;
    if (k == T_AND)
        return 2;
    return k >= T_EQ && k <= T_NOT_MATCH ? 3 : 0;
}

static int parse_level(struct parser *p, int least, struct ci_expr **ret);

static int parse_operand(struct parser *p, struct ci_expr **ret)
{
    struct token *t = &p->tokens[p->next];
    if (t->kind == T_OPEN) {
        p->next++;
        int r = parse_level(p, 1, ret);
        if (r)
            return r;
        struct token *close = &p->tokens[p->next];
        if (close->kind != T_CLOSE)
            return bad(p, close->at, "expected `)`, found %s", token_name(close));
        p->next++;
        return 0;
    }
    if (t->kind < T_VARIABLE || t->kind > T_NULL)
        return bad(p, t->at, "expected a variable, a text, a pattern or `null`, found %s",
                   token_name(t));
    *ret = node(p, t->kind, NULL, NULL);
    (*ret)->text = arena_str(p->a, t->text);
    p->next++;
    return 0;
}

static int parse_level(struct parser *p, int least, struct ci_expr **ret)
{
    struct ci_expr *left = NULL;
    int r = parse_operand(p, &left);
    for (int level; !r && (level = level_of(p->tokens[p->next].kind)) >= least;) {
        enum token_kind kind = p->tokens[p->next++].kind;
        struct ci_expr *right = NULL;
        r = parse_level(p, level + 1, &right);
        if (!r)
            left = node(p, kind, left, right);
    }
    if (!r)
        *ret = left;
    return r;
}

int ci_expr_parse(struct arena *a, struct str text, struct ci_expr **ret, size_t *ret_at,
                  struct err *e)
{
    struct parser p = {.a = a, .text = text, .e = e};
    int r = lex(&p);
    if (!r && !p.ntokens)
        r = bad(&p, 0, "the expression is empty");
    if (!r)
        r = parse_level(&p, 1, ret);
    if (!r && p.tokens[p.next].kind != T_END)
        r = bad(&p, p.tokens[p.next].at, "expected an operator, found %s",
                token_name(&p.tokens[p.next]));
    if (ret_at)
        *ret_at = p.at;
    return r;
}

// ---- evaluation ----

struct value {
    enum { V_NULL, V_FALSE, V_TRUE, V_TEXT, V_PATTERN } kind;
    struct str text;
};

struct eval {
    struct arena *a;
    ci_expr_lookup lookup;
    void *ctx;
    const char *why;
};

static bool falsy(struct value v)
{
    return v.kind == V_NULL || v.kind == V_FALSE;
}

static struct value from_bool(bool b)
{
    return (struct value){b ? V_TRUE : V_FALSE, STR_NONE};
}

static bool same(struct value l, struct value r)
{
    return l.kind == r.kind && (l.kind < V_TEXT || str_eq(l.text, r.text));
}

static bool matches(struct eval *ev, struct value l, struct value r)
{
    if (l.kind == V_NULL || r.kind == V_NULL || r.kind == V_FALSE)
        return false;
    struct err e;
    int found = ci_pattern_try(r.text, l.text, &e);
    if (found < 0)
        ev->why = arena_printf(ev->a, "%s", e.msg);
    return found > 0;
}

static struct value eval(struct eval *ev, const struct ci_expr *x)
{
    struct str text;
    switch (x->kind) {
    case T_VARIABLE:
        if (!ev->lookup(ev->ctx, x->text, &text))
            return (struct value){V_NULL, STR_NONE};
        return (struct value){V_TEXT, text};
    case T_STRING:
        return (struct value){V_TEXT, x->text};
    case T_PATTERN:
        return (struct value){V_PATTERN, x->text};
    case T_NULL:
        return (struct value){V_NULL, STR_NONE};
    default:
        break;
    }
    struct value l = eval(ev, x->left);
    if (x->kind == T_AND)
        return falsy(l) ? l : eval(ev, x->right);
    if (x->kind == T_OR)
        return falsy(l) ? eval(ev, x->right) : l;
    struct value r = eval(ev, x->right);
    if (x->kind == T_EQ || x->kind == T_NE)
        return from_bool(same(l, r) == (x->kind == T_EQ));
    return from_bool(matches(ev, l, r) == (x->kind == T_MATCH));
}

bool ci_expr_true(const struct ci_expr *x, struct arena *a, ci_expr_lookup lookup, void *ctx,
                  const char **ret_why)
{
    struct eval ev = {a, lookup, ctx, NULL};
    struct value v = eval(&ev, x);
    if (ret_why)
        *ret_why = ev.why;
    if (v.kind != V_TEXT)
        return v.kind == V_TRUE || v.kind == V_PATTERN;
    for (size_t i = 0; i < v.text.n; i++)
        if (!is_space(v.text.p[i]))
            return true;
    return false;
}
