// SPDX-License-Identifier: Apache-2.0
// What paths, emails and passwords may look like: GitLab's rules, so that what works there works
// here. Pure.
#include "forge/account.h"

#include <string.h>

// First parts of addresses that the server answers itself.
static const char *const TOP_LEVEL[] = {"-",
                                        "api",
                                        "assets",
                                        "users",
                                        "groups",
                                        "projects",
                                        "admin",
                                        "dashboard",
                                        "explore",
                                        "search",
                                        "help",
                                        "profile",
                                        "uploads",
                                        "public",
                                        "sign_in",
                                        "sign_out",
                                        "login",
                                        "logout",
                                        "health",
                                        "readiness",
                                        "liveness",
                                        "metrics",
                                        "robots.txt",
                                        "favicon.ico",
                                        "files",
                                        "import",
                                        "invites",
                                        "jwt",
                                        "oauth",
                                        "v2",
                                        "snippets",
                                        "unsubscribes",
                                        "s",
                                        "slipway",
                                        "runners",
                                        "pages",
                                        ".well-known",
                                        "static",
                                        "docs",
                                        "new",
                                        "session",
                                        "tokens",
                                        "404.html",
                                        "422.html",
                                        "500.html",
                                        "502.html",
                                        "503.html",
                                        "deploy.html",
                                        "apple-touch-icon.png",
                                        "sitemap",
                                        "sitemap.xml",
                                        "slash-command-logo.png",
                                        "openapi",
                                        "robots"};

// Parts that follow a project or a group in addresses.
static const char *const BELOW[] = {"-",       "badges",    "blame",      "blob", "builds",
                                    "commits", "create",    "create_dir", "edit", "environments",
                                    "files",   "find_file", "gitlab-lfs", "info", "new",
                                    "preview", "raw",       "refs",       "tree", "update",
                                    "wikis",   "artifacts", "settings",   "lfs"};

static bool listed(struct str name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_ieq(name, str_of(list[i])))
            return true;
    return false;
}

static bool letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool ends_ci(struct str s, const char *end)
{
    size_t n = strlen(end);
    return s.n >= n && str_ieq(str_from(s, s.n - n), str_of(end));
}

int path_check(struct str path, bool top_level, struct err *e)
{
    if (path.n == 0)
        return err_set(e, E_INVALID, "path can't be blank");
    if (path.n > 255)
        return err_set(e, E_INVALID, "path is too long (maximum is 255 characters)");
    for (size_t i = 0; i < path.n; i++)
        if (!letter_or_digit(path.p[i]) && !memchr("_-.", path.p[i], 3))
            return err_set(e, E_INVALID, "path can contain only letters, digits, '_', '-' and '.'");
    // The reserved "-" is told apart below from other leading signs.
    if (!letter_or_digit(path.p[0]) && path.p[0] != '_')
        return err_set(e, E_INVALID, "path must start with a letter, digit or '_'");
    if (path.p[path.n - 1] == '.' || path.p[path.n - 1] == '-')
        return err_set(e, E_INVALID, "path must not end with '.' or '-'");
    if (str_search(path, STR("..")) >= 0)
        return err_set(e, E_INVALID, "path must not contain '..'");
    if (ends_ci(path, ".git") || ends_ci(path, ".atom"))
        return err_set(e, E_INVALID, "path must not end with .git or .atom");
    if (top_level ? listed(path, TOP_LEVEL, ARRAY_SIZE(TOP_LEVEL))
                  : listed(path, BELOW, ARRAY_SIZE(BELOW)))
        return err_set(e, E_INVALID, "path %" PRISTR " is a reserved name", STRARG(path));
    return 0;
}

int email_check(struct str email, struct err *e)
{
    ptrdiff_t at = str_find(email, '@');
    bool bad = email.n > 254 || at <= 0 || at != str_rfind(email, '@') ||
               (size_t)at + 1 >= email.n || !str_is_utf8(email) || str_has_control(email) ||
               str_find(email, ' ') >= 0 || str_find(email, '<') >= 0 ||
               str_find(email, '>') >= 0 || str_find(email, ',') >= 0 || str_find(email, '"') >= 0;
    return bad ? err_set(e, E_INVALID, "email is invalid") : 0;
}

int password_check_new(struct str password, struct str username, struct err *e)
{
    if (password.n < PASSWORD_MIN)
        return err_set(e, E_INVALID, "password is too short (minimum is %d characters)",
                       PASSWORD_MIN);
    if (password.n > PASSWORD_MAX)
        return err_set(e, E_INVALID, "password is too long (maximum is %d characters)",
                       PASSWORD_MAX);
    if (memchr(password.p, '\0', password.n))
        return err_set(e, E_INVALID, "password must not contain NUL");
    if (username.n && str_ieq(password, username))
        return err_set(e, E_INVALID, "password must not be the username");
    return 0;
}
