// SPDX-License-Identifier: Apache-2.0
// Writes shell text. Everything that comes from outside is quoted as one word; what is echoed is
// printed by the shell's own printf, so that no process is spent on showing a command.
#include "runner/script.h"

#include "base/text.h"

void script_section(struct buf *to, bool start, int64_t unix_s, const char *name)
{
    buf_addf(to, "section_%s:%lld:%s\r\x1b[0K", start ? "start" : "end", (long long)unix_s, name);
}

void script_quote(struct buf *to, struct str s)
{
    buf_addc(to, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'')
            buf_adds(to, "'\\''");
        else if (s.p[i])
            buf_addc(to, s.p[i]);
    }
    buf_addc(to, '\'');
}

void script_step(struct buf *to, const struct str *lines, size_t n, bool bash, bool trace)
{
    buf_adds(to, bash ? "set -eo pipefail\n" : "set -e\n");
    if (trace)
        buf_adds(to, "set -x\n");
    for (size_t i = 0; i < n; i++) {
        struct str line = lines[i];
        while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
            line.n--;
        if (!line.n)
            continue;
        ptrdiff_t end = str_find(line, '\n');
        struct buf shown = BUF_INIT(MIB(4));
        buf_adds(&shown, SCRIPT_BOLD_GREEN "$ ");
        buf_add(&shown, end < 0 ? line : str_head(line, (size_t)end));
        if (end >= 0)
            buf_adds(&shown, " # collapsed multi-line command");
        buf_adds(&shown, SCRIPT_RESET);
        buf_adds(to, "printf '%s\\n' ");
        script_quote(to, buf_str(&shown));
        buf_done(&shown);
        buf_addc(to, '\n');
        buf_add(to, line);
        buf_addc(to, '\n');
    }
}

bool script_split_url(struct str url, struct buf *ret_url, struct buf *ret_userinfo)
{
    ptrdiff_t scheme = str_search(url, STR("://"));
    if (!str_starts(url, STR("http://")) && !str_starts(url, STR("https://")))
        return false;
    if (str_has_control(url))
        return false;
    struct str rest = str_from(url, (size_t)scheme + 3);
    ptrdiff_t slash = str_find(rest, '/');
    struct str authority = slash < 0 ? rest : str_head(rest, (size_t)slash);
    ptrdiff_t at = str_rfind(authority, '@');
    buf_add(ret_url, str_head(url, (size_t)scheme + 3));
    if (at >= 0) {
        buf_add(ret_userinfo, str_head(authority, (size_t)at));
        buf_add(ret_url, str_from(rest, (size_t)at + 1));
    } else
        buf_add(ret_url, rest);
    return true;
}

// Splits at spaces and quotes each part: flags come from a variable, they must not become commands.
static void add_flags(struct buf *to, struct str flags)
{
    for (struct str rest = flags, part; str_cut(&rest, ' ', &part);) {
        if (!part.n)
            continue;
        buf_addc(to, ' ');
        script_quote(to, part);
    }
}

static void add_config(struct buf *to, const struct script_sources *s)
{
    struct buf text = BUF_INIT(KIB(64));
    buf_adds(&text, "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
                    "\tlogallrefupdates = false\n\tfsync = none\n[gc]\n\tauto = "
                    "0\n[maintenance]\n\tauto = false\n"
                    "[init]\n\tdefaultBranch = main\n[fetch]\n\trecurseSubmodules = false\n"
                    "[remote \"origin\"]\n\turl = \"");
    for (size_t i = 0; i < s->url.n; i++) {
        if (s->url.p[i] == '"' || s->url.p[i] == '\\')
            buf_addc(&text, '\\');
        buf_addc(&text, s->url.p[i]);
    }
    buf_adds(&text, "\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n");
    buf_adds(to, "printf '%s' ");
    script_quote(to, buf_str(&text));
    buf_adds(to, " > .git/config\n");
    buf_done(&text);
}

void script_get_sources(struct buf *to, const struct script_sources *s)
{
    buf_adds(to,
             "set -e\nreused=\n"
             // A link or file in place of the folder is a former job's doing.
             "if [ -h .git ] || [ ! -d .git/refs ] || [ ! -d .git/objects ] || [ ! -f .git/HEAD "
             "]; then\n"
             "  [ ! -e .git ] && [ ! -h .git ] || rm -rf .git\n"
             "  mkdir -p .git/objects .git/refs\n"
             "  printf 'ref: refs/heads/main\\n' > .git/HEAD\n"
             "else\n  reused=1\n"
             "  [ ! -e .git/hooks ] || rm -rf .git/hooks\n"
             "  for f in .git/index.lock .git/shallow.lock .git/HEAD.lock .git/config.lock "
             ".git/config.worktree .git/info/attributes; do\n"
             "    [ ! -e \"$f\" ] || rm -f \"$f\"\n  done\n"
             "  [ ! -h .git/config ] || rm -f .git/config\nfi\n");
    add_config(to, s);
    // A server that restarts at this very moment must not cost the job: the network gets three
    // tries.
    buf_adds(to, "fetch() {\ngit fetch origin --no-recurse-submodules");
    if (!s->nrefspecs) {
        buf_addc(to, ' ');
        script_quote(to, s->sha);
    }
    for (size_t i = 0; i < s->nrefspecs; i++) {
        buf_addc(to, ' ');
        script_quote(to, s->refspecs[i]);
    }
    if (s->depth > 0)
        buf_addf(to, " --depth %lld", (long long)s->depth);
    add_flags(to, s->fetch_flags.n ? s->fetch_flags : STR("--prune --quiet"));
    buf_adds(to, "\n}\nfetch || { sleep 1; fetch; } || { sleep 3; fetch; }\n");
    if (s->checkout) {
        struct buf line = BUF_INIT(KIB(8));
        buf_addf(&line,
                 SCRIPT_BOLD_GREEN "Checking out %" PRISTR " as detached HEAD (ref is %" PRISTR
                                   ")..." SCRIPT_RESET,
                 STRARG(str_head(s->sha, 8)), STRARG(s->ref));
        buf_adds(to, "printf '%s\\n' ");
        script_quote(to, buf_str(&line));
        buf_done(&line);
        buf_adds(to, "\ngit checkout -f -q --detach ");
        script_quote(to, s->sha);
        buf_addc(to, '\n');
        if (!s->keep_untracked) {
            buf_adds(to, "if [ -n \"$reused\" ]; then git clean");
            add_flags(to, s->clean_flags.n ? s->clean_flags : STR("-ffdx"));
            buf_adds(to, "; fi\n");
        }
        if (str_is(s->submodules, "normal"))
            buf_adds(to, "git submodule --quiet update --init --force\n");
        else if (str_is(s->submodules, "recursive"))
            buf_adds(to, "git submodule --quiet update --init --recursive --force\n");
    }
}
