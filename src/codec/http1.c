// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 parser (RFC 9112): one function, http1_next, that turns unread bytes into the next
// event. It keeps no bytes: what is incomplete stays with the caller, and the parser remembers only
// how far it has searched. net/ and edge/ own the buffers and the sockets; writing heads is in
// http1_write.c.
#include "codec/http1.h"

#include <string.h>

const struct http1_limits HTTP1_LIMITS_DEFAULT = {
    .line = 8192, .head = 32768, .trailers = 8192, .chunk_line = 256};

#define METHOD_MAX      32
#define CHUNK_DIGITS    16
#define CONNECTION_MAX  32 // tokens in Connection fields
#define BODY_LENGTH_MAX ((uint64_t)INT64_MAX)

enum {
    S_HEAD,
    S_LENGTH,
    S_CHUNK_LINE,
    S_CHUNK_DATA,
    S_CHUNK_END,
    S_TRAILERS,
    S_UNTIL_CLOSE,
    S_END,    // the body is complete, HTTP1_END is due
    S_TUNNEL, // what follows is not HTTP
    S_ERROR,
};

// Bit 0: token character (RFC 9110 5.6.2). Bit 1: may stand in a field value. Bit 2: may stand in a
// request target.
static const uint8_t class_of[256] = {
    ['\t'] = 2, [' '] = 2,           ['!'] = 7,         ['"'] = 2,  ['#'] = 3, ['$'] = 7,
    ['%'] = 7,  ['&'] = 7,           ['\''] = 7,        ['('] = 6,  [')'] = 6, ['*'] = 7,
    ['+'] = 7,  [','] = 6,           ['-'] = 7,         ['.'] = 7,  ['/'] = 6, ['0' ... '9'] = 7,
    [':'] = 6,  [';'] = 6,           ['<'] = 2,         ['='] = 6,  ['>'] = 2, ['?'] = 6,
    ['@'] = 6,  ['A' ... 'Z'] = 7,   ['['] = 6,         ['\\'] = 6, [']'] = 6, ['^'] = 7,
    ['_'] = 7,  ['`'] = 7,           ['a' ... 'z'] = 7, ['{'] = 6,  ['|'] = 7, ['}'] = 6,
    ['~'] = 7,  [0x80 ... 0xff] = 2,
};
#define TOKEN  1
#define VALUE  2
#define TARGET 4

static bool all_of(struct str s, uint8_t bit)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(class_of[(uint8_t)s.p[i]] & bit))
            return false;
    return true;
}

bool http1_is_token(struct str s)
{
    return s.n > 0 && all_of(s, TOKEN);
}

bool http1_is_value(struct str s)
{
    return all_of(s, VALUE);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool http1_is_host(struct str s)
{
    size_t i = 0;
    if (s.n > 255 + 6)
        return false;
    if (s.n && s.p[0] == '[') {
        for (i = 1; i < s.n && s.p[i] != ']'; i++)
            if (!is_hex(s.p[i]) && s.p[i] != ':' && s.p[i] != '.')
                return false;
        if (i == s.n || i < 3)
            return false;
        i++;
    } else {
        for (; i < s.n && s.p[i] != ':'; i++) {
            char c = s.p[i];
            bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            if (!alpha && !is_digit(c) && c != '-' && c != '.' && c != '_' && c != '~')
                return false;
        }
    }
    if (i == s.n)
        return true;
    if (s.p[i] != ':' || i == 0 || s.n - i > 6 || s.n - i < 2)
        return false;
    uint64_t port;
    return str_to_u64(str_from(s, i + 1), &port) && port <= 65535;
}

static struct str trim_ows(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct str){s.p + 1, s.n - 1};
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool http1_list_has(struct str list, struct str token)
{
    for (struct str rest = list, part; str_cut(&rest, ',', &part);)
        if (str_ieq(trim_ows(part), token))
            return true;
    return false;
}

struct str http1_get(const struct http1_head *head, struct str name)
{
    for (size_t i = 0; i < head->nfields; i++)
        if (str_ieq(head->fields[i].name, name))
            return head->fields[i].value;
    return STR_NONE;
}

static void moved(struct str *s, const char *old_base, const char *new_base)
{
    if (s->p)
        s->p = new_base + (s->p - old_base);
}

void http1_head_moved(struct http1_head *head, const char *old_base, const char *new_base)
{
    struct str *slices[] = {&head->method, &head->target, &head->path,   &head->query,
                            &head->host,   &head->reason, &head->upgrade};
    for (size_t i = 0; i < ARRAY_SIZE(slices); i++)
        moved(slices[i], old_base, new_base);
    for (size_t i = 0; i < head->nfields; i++) {
        moved(&head->fields[i].name, old_base, new_base);
        moved(&head->fields[i].value, old_base, new_base);
    }
}

size_t http1_buffer_min(const struct http1_limits *l)
{
    size_t n = MAX(l->head, l->trailers);
    return MAX(n, l->chunk_line) + 4;
}

static void init(struct http1_parser *p, const struct http1_limits *limits, bool request)
{
    *p = (struct http1_parser){.limits = *limits, .request = request};
    // The line is part of the head: one precedence of the two limits, wherever the bytes are split.
    p->limits.line = MIN(p->limits.line, p->limits.head - MIN(p->limits.head, 4));
}

void http1_request_init(struct http1_parser *p, const struct http1_limits *limits)
{
    init(p, limits, true);
}

void http1_response_init(struct http1_parser *p, const struct http1_limits *limits)
{
    init(p, limits, false);
}

void http1_response_to(struct http1_parser *p, struct str method)
{
    p->no_body = str_is(method, "HEAD");
    p->connect = str_is(method, "CONNECT");
}

bool http1_idle(const struct http1_parser *p)
{
    return p->state == S_HEAD && p->scanned == 0;
}

static struct http1_event event(enum http1_type type, size_t used)
{
    return (struct http1_event){.type = type, .used = used};
}

static int bad(struct http1_parser *p, int status, const char *why)
{
    p->error = why;
    p->status = status;
    p->state = S_ERROR;
    return -1;
}

static struct http1_event failed(struct http1_parser *p, int status, const char *why)
{
    bad(p, status, why);
    return event(HTTP1_ERROR, 0);
}

// ---- the head

static uint8_t field_id(struct str name)
{
    static const struct {
        struct str name;
        uint8_t id;
    } known[] = {
        {{"te", 2}, HTTP1_F_TE},
        {{"host", 4}, HTTP1_F_HOST},
        {{"date", 4}, HTTP1_F_DATE},
        {{"cookie", 6}, HTTP1_F_COOKIE},
        {{"expect", 6}, HTTP1_F_EXPECT},
        {{"server", 6}, HTTP1_F_SERVER},
        {{"trailer", 7}, HTTP1_F_TRAILER},
        {{"upgrade", 7}, HTTP1_F_UPGRADE},
        {{"forwarded", 9}, HTTP1_F_X_FORWARDED},
        {{"x-real-ip", 9}, HTTP1_F_X_FORWARDED},
        {{"connection", 10}, HTTP1_F_CONNECTION},
        {{"keep-alive", 10}, HTTP1_F_KEEP_ALIVE},
        {{"x-request-id", 12}, HTTP1_F_X_REQUEST_ID},
        {{"authorization", 13}, HTTP1_F_AUTHORIZATION},
        {{"content-length", 14}, HTTP1_F_CONTENT_LENGTH},
        {{"proxy-connection", 16}, HTTP1_F_PROXY_CONNECTION},
        {{"transfer-encoding", 17}, HTTP1_F_TRANSFER_ENCODING},
    };
    if (name.n > 12 && str_ieq(str_head(name, 12), STR("x-forwarded-")))
        return HTTP1_F_X_FORWARDED;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].name.n < name.n)
            continue;
        if (known[i].name.n > name.n)
            break;
        if (str_ieq(known[i].name, name))
            return known[i].id;
    }
    return HTTP1_F_OTHER;
}

static bool always_hop(uint8_t id)
{
    return id == HTTP1_F_CONNECTION || id == HTTP1_F_KEEP_ALIVE || id == HTTP1_F_PROXY_CONNECTION ||
           id == HTTP1_F_TE || id == HTTP1_F_TRAILER || id == HTTP1_F_TRANSFER_ENCODING ||
           id == HTTP1_F_UPGRADE || id == HTTP1_F_CONTENT_LENGTH;
}

static int parse_field(struct http1_parser *p, struct str line, struct http1_field *f)
{
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(p, 400, "folded field line");
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon)
        return bad(p, 400, "field line without a colon");
    f->name = str_n(line.p, (size_t)(colon - line.p));
    if (!http1_is_token(f->name))
        return bad(p, 400, "bad character in a field name, or white space before its colon");
    f->value = trim_ows(str_from(line, f->name.n + 1));
    if (!f->value.p)
        f->value = str_n(colon + 1, 0);
    if (!http1_is_value(f->value))
        return bad(p, 400, "control character in a field value");
    f->id = field_id(f->name);
    f->hop = always_hop(f->id);
    return 0;
}

static int parse_version(struct http1_parser *p, struct str s, int *ret_minor)
{
    if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || !is_digit(s.p[5]) || s.p[6] != '.' ||
        !is_digit(s.p[7]))
        return bad(p, 400, "bad HTTP version");
    if (s.p[5] != '1' || s.p[7] > '1')
        return bad(p, 505, "HTTP version not supported");
    *ret_minor = s.p[7] - '0';
    return 0;
}

static void split_query(struct http1_head *h, struct str target)
{
    struct str rest = target;
    str_cut(&rest, '?', &h->path);
    h->query = rest;
}

static int parse_target(struct http1_parser *p, struct http1_head *h)
{
    struct str t = h->target;
    if (t.n == 0 || !all_of(t, TARGET))
        return bad(p, 400, "bad character in the request target");
    if (str_is(h->method, "CONNECT")) {
        if (!http1_is_host(t) || str_rfind(t, ':') < 0)
            return bad(p, 400, "CONNECT needs host:port");
        h->host = t;
        return 0;
    }
    if (t.p[0] == '/') {
        split_query(h, t);
        return 0;
    }
    if (str_is(t, "*")) {
        if (!str_is(h->method, "OPTIONS"))
            return bad(p, 400, "the target * is for OPTIONS");
        h->path = t;
        return 0;
    }
    size_t scheme = str_ieq(str_head(t, 7), STR("http://"))    ? 7
                    : str_ieq(str_head(t, 8), STR("https://")) ? 8
                                                               : 0;
    if (!scheme)
        return bad(p, 400, "bad request target");
    struct str rest = str_from(t, scheme);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    h->host = str_head(rest, n);
    if (n == 0 || !http1_is_host(h->host))
        return bad(p, 400, "bad host in the request target");
    if (n == rest.n)
        h->path = str_n(t.p + scheme - 1, 1); // the '/' before the host: slices stay in the buffer
    else if (rest.p[n] == '?')
        return bad(p, 400, "absolute target without a path");
    else
        split_query(h, str_from(rest, n));
    return 0;
}

static int parse_request_line(struct http1_parser *p, struct http1_head *h, struct str line)
{
    struct str rest = line;
    if (!str_cut(&rest, ' ', &h->method) || !str_cut(&rest, ' ', &h->target) || !rest.p)
        return bad(p, 400, "bad request line");
    if (h->method.n > METHOD_MAX || !http1_is_token(h->method))
        return bad(p, 400, "bad request method");
    if (parse_version(p, rest, &h->minor) < 0)
        return -1;
    return parse_target(p, h);
}

static int parse_status_line(struct http1_parser *p, struct http1_head *h, struct str line)
{
    if (line.n < 12 || line.p[8] != ' ')
        return bad(p, 502, "bad status line");
    if (parse_version(p, str_head(line, 8), &h->minor) < 0)
        return -1;
    struct str code = str_n(line.p + 9, 3);
    if (!is_digit(code.p[0]) || !is_digit(code.p[1]) || !is_digit(code.p[2]) || code.p[0] == '0')
        return bad(p, 502, "bad status code");
    h->status = (code.p[0] - '0') * 100 + (code.p[1] - '0') * 10 + (code.p[2] - '0');
    // Some senders leave out the space before an empty reason.
    if (line.n > 12 && line.p[12] != ' ')
        return bad(p, 502, "bad status line");
    h->reason = str_n(line.p + MIN(line.n, 13), line.n > 13 ? line.n - 13 : 0);
    return http1_is_value(h->reason) ? 0 : bad(p, 502, "control character in the reason");
}

// What the framing and connection fields of one head say.
struct framing {
    bool has_length, has_coding, has_host, close, keep, upgrade;
    uint64_t length;
    struct str host, upgrade_to;
    unsigned options; // tokens of Connection fields
};

static int note_length(struct http1_parser *p, struct framing *f, struct str value)
{
    if (f->has_length)
        return bad(p, 400, "more than one Content-Length");
    if (value.n > 19 || !str_to_u64(value, &f->length) || f->length > BODY_LENGTH_MAX)
        return bad(p, 400, "bad Content-Length");
    f->has_length = true;
    return 0;
}

static int note_coding(struct http1_parser *p, struct framing *f, struct str value)
{
    if (f->has_coding)
        return bad(p, 400, "more than one Transfer-Encoding");
    if (!str_ieq(value, STR("chunked")))
        return bad(p, 501, "a Transfer-Encoding other than chunked");
    f->has_coding = true;
    return 0;
}

static int note_connection(struct http1_parser *p, struct framing *f, struct str value)
{
    for (struct str rest = value, part; str_cut(&rest, ',', &part);) {
        part = trim_ows(part);
        if (part.n == 0)
            continue;
        if (++f->options > CONNECTION_MAX)
            return bad(p, 400, "too many Connection options");
        if (!http1_is_token(part))
            return bad(p, 400, "bad Connection option");
        f->close |= str_ieq(part, STR("close"));
        f->keep |= str_ieq(part, STR("keep-alive"));
        f->upgrade |= str_ieq(part, STR("upgrade"));
    }
    return 0;
}

static int note(struct http1_parser *p, struct framing *f, const struct http1_field *field)
{
    switch (field->id) {
    case HTTP1_F_CONTENT_LENGTH:
        return note_length(p, f, field->value);
    case HTTP1_F_TRANSFER_ENCODING:
        return note_coding(p, f, field->value);
    case HTTP1_F_CONNECTION:
        return note_connection(p, f, field->value);
    case HTTP1_F_HOST:
        if (!p->request)
            return 0;
        if (f->has_host)
            return bad(p, 400, "more than one Host");
        if (!http1_is_host(field->value))
            return bad(p, 400, "bad Host");
        f->has_host = true;
        f->host = field->value;
        return 0;
    case HTTP1_F_UPGRADE:
        f->upgrade_to = field->value;
        return 0;
    default:
        return 0;
    }
}

// Marks the fields that Connection names.
static void mark_hops(struct http1_head *h)
{
    for (size_t i = 0; i < h->nfields; i++) {
        if (h->fields[i].id != HTTP1_F_CONNECTION)
            continue;
        for (struct str rest = h->fields[i].value, part; str_cut(&rest, ',', &part);) {
            part = trim_ows(part);
            for (size_t k = 0; part.n && k < h->nfields; k++)
                if (str_ieq(h->fields[k].name, part))
                    h->fields[k].hop = true;
        }
    }
}

static int finish_request(struct http1_parser *p, struct http1_head *h, const struct framing *f)
{
    if (!f->has_host && h->minor == 1)
        return bad(p, 400, "no Host");
    if (h->host.p && f->has_host && !str_ieq(h->host, f->host))
        return bad(p, 400, "Host differs from the request target");
    if (!h->host.p)
        h->host = f->host;
    struct str expect = http1_get(h, STR("expect"));
    h->expect_continue = h->minor == 1 && str_ieq(expect, STR("100-continue"));
    if (expect.p && !str_ieq(expect, STR("100-continue")))
        return bad(p, 417, "an Expect other than 100-continue");
    if (f->has_coding) {
        h->body = HTTP1_BODY_CHUNKED;
        p->state = S_CHUNK_LINE;
    } else if (f->has_length) {
        h->body = HTTP1_BODY_LENGTH;
        h->length = p->left = f->length;
        p->state = f->length ? S_LENGTH : S_END;
    } else {
        p->state = S_END;
    }
    return 0;
}

static int finish_response(struct http1_parser *p, struct http1_head *h, const struct framing *f)
{
    int s = h->status;
    if (s == 101 || (p->connect && s / 100 == 2)) {
        p->state = S_TUNNEL;
    } else if (s / 100 == 1) {
        p->state = S_HEAD; // interim: the real head follows
    } else if (s == 204 || s == 304 || p->no_body) {
        p->state = S_END;
    } else if (f->has_coding) {
        h->body = HTTP1_BODY_CHUNKED;
        p->state = S_CHUNK_LINE;
    } else if (f->has_length) {
        h->body = HTTP1_BODY_LENGTH;
        p->left = f->length;
        p->state = f->length ? S_LENGTH : S_END;
    } else {
        h->body = HTTP1_BODY_UNTIL_CLOSE;
        h->keep_alive = false;
        p->state = S_UNTIL_CLOSE;
    }
    h->length = f->length; // also of a HEAD answer
    return 0;
}

static int finish_head(struct http1_parser *p, struct http1_head *h, const struct framing *f)
{
    if (f->has_coding && f->has_length)
        return bad(p, 400, "both Transfer-Encoding and Content-Length");
    if (f->has_coding && h->minor == 0)
        return bad(p, 400, "Transfer-Encoding in HTTP/1.0");
    h->keep_alive = !f->close && (h->minor == 1 || f->keep);
    if (f->upgrade && f->upgrade_to.n)
        h->upgrade = f->upgrade_to;
    if (f->options)
        mark_hops(h);
    return p->request ? finish_request(p, h, f) : finish_response(p, h, f);
}

// `text` is the whole head with its last empty line; every line ends with CRLF.
static int parse_head(struct http1_parser *p, struct http1_head *h, struct str text)
{
    // The field array is large and needs no clearing.
    memset(h, 0, offsetof(struct http1_head, fields));
    struct framing f = {0};
    const char *at = text.p, *end = text.p + text.n - 2;
    for (bool first = true; at < end; first = false) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        struct str line = str_n(at, (size_t)(lf - 1 - at));
        at = lf + 1;
        if (first) {
            if ((p->request ? parse_request_line(p, h, line) : parse_status_line(p, h, line)) < 0)
                return -1;
            continue;
        }
        if (h->nfields == HTTP1_MAX_FIELDS)
            return bad(p, 431, "too many fields");
        struct http1_field *field = &h->fields[h->nfields++];
        if (parse_field(p, line, field) < 0 || note(p, &f, field) < 0)
            return -1;
    }
    return finish_head(p, h, &f);
}

// Searches for the empty line from where the last search ended: 1 found, 0 not yet, -1 error.
static int find_head_end(struct http1_parser *p, struct str in, size_t *ret_n)
{
    while (p->scanned < in.n) {
        const char *lf = memchr(in.p + p->scanned, '\n', in.n - p->scanned);
        size_t i = lf ? (size_t)(lf - in.p) : in.n;
        bool first = p->line_at == 0;
        // Limits come before what the bytes say, so that splitting changes nothing.
        if (first && i > p->limits.line + 1)
            return bad(p, 414, "the first line is too long");
        if (i >= p->limits.head)
            return bad(p, 431, "the head is too large");
        if (!lf) {
            p->scanned = (uint32_t)in.n;
            return 0;
        }
        if (i == 0 || in.p[i - 1] != '\r')
            return bad(p, 400, "a line that ends with a bare LF");
        if (i - 1 == p->line_at) {
            if (first)
                return bad(p, 400, "an empty first line");
            *ret_n = i + 1;
            return 1;
        }
        p->line_at = p->scanned = (uint32_t)i + 1;
    }
    return 0;
}

static struct http1_event next_head(struct http1_parser *p, struct http1_head *head, struct str in)
{
    size_t skipped = 0;
    if (p->request && !p->skipped && p->scanned == 0 && in.n && in.p[0] == '\r') {
        if (in.n == 1)
            return event(HTTP1_MORE, 0);
        if (in.p[1] != '\n')
            return failed(p, 400, "a bare CR before the request");
        p->skipped = true;
        skipped = 2;
        in = str_n(in.p + 2, in.n - 2);
    }
    if (in.n == 0)
        return event(HTTP1_MORE, skipped);
    if (p->request ? !(class_of[(uint8_t)in.p[0]] & TOKEN) : in.p[0] != 'H')
        return failed(p, 400, "not an HTTP/1 message");
    size_t n = 0;
    int found = find_head_end(p, in, &n);
    if (found == 0)
        return event(HTTP1_MORE, skipped);
    if (found < 0 || parse_head(p, head, str_n(in.p, n)) < 0)
        return event(HTTP1_ERROR, 0);
    p->scanned = p->line_at = p->trailer_bytes = 0;
    p->skipped = false;
    return event(HTTP1_HEAD, skipped + n);
}

// ---- the body

static struct http1_event next_data(struct http1_parser *p, struct str in, uint8_t then)
{
    if (in.n == 0)
        return event(HTTP1_MORE, 0);
    size_t n = in.n < p->left ? in.n : (size_t)p->left;
    p->left -= n;
    if (p->left == 0)
        p->state = then;
    struct http1_event ev = event(HTTP1_DATA, n);
    ev.data = str_n(in.p, n);
    return ev;
}

// The size of a chunk: hex digits, then nothing or an extension. No sign, prefix or white space.
static int parse_chunk_line(struct http1_parser *p, struct str line)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.n && is_hex(line.p[i]); i++) {
        if (i == CHUNK_DIGITS || size >> 59)
            return bad(p, 400, "chunk size too large");
        char c = line.p[i];
        unsigned digit = is_digit(c) ? (unsigned)(c - '0') : ((unsigned)c | 32) - 'a' + 10;
        size = size << 4 | digit;
    }
    if (i == 0 || (i < line.n && line.p[i] != ';'))
        return bad(p, 400, "bad chunk size");
    if (!http1_is_value(str_from(line, i)))
        return bad(p, 400, "control character in a chunk extension");
    p->left = size;
    p->state = size ? S_CHUNK_DATA : S_TRAILERS;
    return 0;
}

// A CRLF-ended line of at most `max` bytes: 1 and *ret_line (without CRLF), 0 not yet, -1 error.
static int next_line(struct http1_parser *p, struct str in, size_t max, int status,
                     const char *too_long, struct str *ret_line)
{
    size_t look = MIN(in.n, max);
    const char *lf = look ? memchr(in.p, '\n', look) : NULL;
    if (!lf)
        return in.n >= max ? bad(p, status, too_long) : 0;
    size_t i = (size_t)(lf - in.p);
    if (i == 0 || in.p[i - 1] != '\r')
        return bad(p, 400, "a line that ends with a bare LF");
    *ret_line = str_n(in.p, i - 1);
    return 1;
}

static struct http1_event next_trailer(struct http1_parser *p, struct str in)
{
    struct str line;
    int found = next_line(p, in, p->limits.trailers - p->trailer_bytes, 431,
                          "the trailers are too large", &line);
    if (found <= 0)
        return event(found < 0 ? HTTP1_ERROR : HTTP1_MORE, 0);
    size_t used = line.n + 2;
    p->trailer_bytes += (uint32_t)used;
    if (line.n == 0) {
        p->state = S_HEAD;
        return event(HTTP1_END, used);
    }
    struct http1_field f;
    if (parse_field(p, line, &f) < 0)
        return event(HTTP1_ERROR, 0);
    if (f.hop || f.id == HTTP1_F_HOST || f.id == HTTP1_F_AUTHORIZATION)
        return failed(p, 400, "a framing or routing field among the trailers");
    struct http1_event ev = event(HTTP1_TRAILER, used);
    ev.data = f.name;
    ev.value = f.value;
    return ev;
}

struct http1_event http1_next(struct http1_parser *p, struct http1_head *head, struct str unread)
{
    // Chunk framing yields no event of its own: go on until something is to be told.
    size_t used = 0;
    for (;;) {
        struct str in = str_n(unread.p + used, unread.n - used), line;
        struct http1_event ev;
        int found;
        switch (p->state) {
        case S_HEAD:
            ev = next_head(p, head, in);
            break;
        case S_LENGTH:
            ev = next_data(p, in, S_END);
            break;
        case S_CHUNK_LINE:
            found = next_line(p, in, p->limits.chunk_line, 400, "chunk line too long", &line);
            if (found > 0 && parse_chunk_line(p, line) == 0) {
                used += line.n + 2;
                continue;
            }
            ev = event(found == 0 ? HTTP1_MORE : HTTP1_ERROR, 0);
            break;
        case S_CHUNK_DATA:
            ev = next_data(p, in, S_CHUNK_END);
            break;
        case S_CHUNK_END:
            if (in.n && (in.p[0] != '\r' || (in.n > 1 && in.p[1] != '\n'))) {
                ev = failed(p, 400, "a chunk longer or shorter than its size");
                break;
            }
            if (in.n >= 2) {
                p->state = S_CHUNK_LINE;
                used += 2;
                continue;
            }
            ev = event(HTTP1_MORE, 0);
            break;
        case S_TRAILERS:
            ev = next_trailer(p, in);
            break;
        case S_UNTIL_CLOSE:
            ev = event(in.n ? HTTP1_DATA : HTTP1_MORE, in.n);
            ev.data = in;
            break;
        case S_END:
            p->state = S_HEAD;
            ev = event(HTTP1_END, 0);
            break;
        case S_TUNNEL:
            ev = event(p->ended ? HTTP1_MORE : HTTP1_END, 0);
            p->ended = true;
            break;
        default:
            ev = event(HTTP1_ERROR, 0);
            break;
        }
        ev.used += used;
        return ev;
    }
}

struct http1_event http1_eof(struct http1_parser *p)
{
    if (p->state == S_UNTIL_CLOSE || p->state == S_END) {
        p->state = S_HEAD;
        return event(HTTP1_END, 0);
    }
    if (p->state == S_TUNNEL || http1_idle(p))
        return event(HTTP1_MORE, 0);
    if (p->state == S_ERROR)
        return event(HTTP1_ERROR, 0);
    return failed(p, p->request ? 400 : 502, "the connection was closed within a message");
}
