// SPDX-License-Identifier: Apache-2.0
// Chooses where a request goes by the host it names. A host that is not well formed goes nowhere,
// so that the edge and the server behind it can never disagree about it. Pure; the table belongs to
// the role and does not change while it runs.
#include "edge/route.h"

static bool reg_name_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

static int parse_port(struct str port, struct host *ret, struct err *e)
{
    uint64_t v;
    if (port.n == 0) {
        ret->port = STR_NONE;
        return 0;
    }
    if (port.n > 5 || !str_to_u64(port, &v) || v > 65535)
        return err_set(e, E_INVALID, "the port of the Host header is not a number up to 65535");
    ret->port = port;
    return 0;
}

static int parse_ipv6(struct str text, struct host *ret, struct err *e)
{
    ptrdiff_t end = str_find(text, ']');
    if (end < 3 || end > 46)
        return err_set(e, E_INVALID, "the Host header has an unfinished IPv6 address");
    for (ptrdiff_t i = 1; i < end; i++) {
        char c = text.p[i] >= 'A' && text.p[i] <= 'F' ? (char)(text.p[i] + 32) : text.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.'))
            return err_set(e, E_INVALID, "the Host header has a malformed IPv6 address");
        ret->name[i] = c;
    }
    ret->name[0] = '[';
    ret->name[end] = ']';
    ret->n = (size_t)end + 1;
    ret->name[ret->n] = '\0';
    struct str rest = str_from(text, ret->n);
    if (rest.n && rest.p[0] != ':')
        return err_set(e, E_INVALID, "the Host header has text after its IPv6 address");
    return parse_port(str_from(rest, 1), ret, e);
}

int host_parse(struct str text, struct host *ret, struct err *e)
{
    *ret = (struct host){.port = STR_NONE};
    if (text.n && text.p[0] == '[')
        return parse_ipv6(text, ret, e);
    ptrdiff_t colon = str_find(text, ':');
    struct str name = colon < 0 ? text : str_head(text, (size_t)colon);
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > HOST_MAX)
        return err_set(e, E_INVALID, "the Host header must name a host of 1 to 255 bytes");
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 32) : name.p[i];
        if (!reg_name_char((unsigned char)c))
            return err_set(e, E_INVALID, "the Host header has a character no host name has");
        if (c == '.' && (i == 0 || name.p[i - 1] == '.'))
            return err_set(e, E_INVALID, "the Host header has an empty label");
        ret->name[i] = c;
    }
    ret->n = name.n;
    ret->name[ret->n] = '\0';
    return colon < 0 ? 0 : parse_port(str_from(text, (size_t)colon + 1), ret, e);
}

const struct route *route_find(const struct route *routes, size_t n, const struct host *h,
                               struct str *ret_label)
{
    struct str name = {h->name, h->n};
    *ret_label = STR_NONE;
    for (size_t i = 0; i < n; i++) {
        struct str pattern = routes[i].host;
        if (str_is(pattern, "*") || str_eq(pattern, name))
            return &routes[i];
        if (!str_starts(pattern, STR("*.")))
            continue;
        struct str suffix = str_from(pattern, 1);
        if (name.n <= suffix.n || !str_ends(name, suffix))
            continue;
        struct str label = str_head(name, name.n - suffix.n);
        if (str_find(label, '.') >= 0)
            continue;
        *ret_label = label;
        return &routes[i];
    }
    return NULL;
}
