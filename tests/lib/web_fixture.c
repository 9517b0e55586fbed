// SPDX-License-Identifier: Apache-2.0
// A web server over a state folder that it fills itself: users of every role, a repository with
// history, pipelines and jobs in every state. The pages' tests and screenshots use it.
//
//   web_fixture FOLDER
//
// FOLDER must not exist. Prints one line of JSON (port, ids), then obeys lines on standard input:
//   log TEXT       appends TEXT (with \n and \e understood) to the running job's trace
//   wake           wakes who watches the running pipeline
//   finish STATE   ends the running job and its pipeline
//   quit
#include "base/clock.h"
#include "base/jout.h"
#include "ci/engine.h"
#include "forge/account.h"
#include "forge/auth.h"
#include "forge/project.h"
#include "git/repo.h"
#include "net/http_server.h"
#include "os/spawn.h"
#include "store/artifacts.h"
#include "store/blob.h"
#include "store/jobs.h"
#include "store/pages.h"
#include "store/pipelines.h"
#include "store/runners.h"
#include "web/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MINUTE (60 * INT64_C(1000))
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static struct store *store;
static struct forge forge;
static struct arena arena;
static struct http_server *server;
static int64_t now;
static struct project harbor;
static int64_t owner_id, runner_id;
static char sha[41];
static int64_t live_job, live_pipeline;

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "web_fixture: %s: %s\n", what, e->msg);
    exit(1);
}
#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            die(#call, &err);                                                                      \
    } while (0)

// ---- people and projects

static int64_t person(const char *name, const char *full, bool admin)
{
    struct err err = ERR_INIT;
    struct user u;
    struct account_new n = {
        .username = str_of(name),
        .name = str_of(full),
        .email = arena_strf(&arena, "%s@example.test", name),
        .password = STR("a-harbor-in-the-fog"),
        .admin = admin,
    };
    MUST(account_create(&forge, &arena, &n, &u, &err));
    return u.id;
}

static struct actor as(int64_t id, const char *name, bool admin)
{
    return (struct actor){.kind = ACTOR_USER,
                          .user_id = id,
                          .username = str_of(name),
                          .admin = admin,
                          .scopes = SCOPE_ALL};
}

static struct project project(const struct actor *who, int64_t ns, const char *name,
                              const char *text, enum visibility vis)
{
    struct err err = ERR_INIT;
    struct project p;
    struct project_new n = {.namespace_id = ns,
                            .name = str_of(name),
                            .description = str_of(text),
                            .visibility = (int)vis};
    MUST(project_create(&forge, &arena, who, &n, &p, &err));
    return p;
}

// ---- a repository, through git fast-import

static struct buf script;
static int mark;

static void blob(const char *path, struct str text)
{
    buf_addf(&script, "M 100644 inline %s\ndata %zu\n", path, text.n);
    buf_add(&script, text);
    buf_addc(&script, '\n');
}

static void commit(const char *ref, int64_t at, const char *author, const char *message)
{
    buf_addf(&script,
             "commit %s\nmark :%d\nauthor %s <%s@example.test> %lld +0200\n"
             "committer %s <%s@example.test> %lld +0200\ndata %zu\n%s\n",
             ref, ++mark, author, "crew", (long long)at / 1000, author, "crew",
             (long long)at / 1000, strlen(message), message);
}

static const char README[] =
    "# Harbor\n\nA small program that says when ships come in. It is the *fixture* of the pages' "
    "tests.\n\n[![logo](docs/logo.png)](docs/guide.md)\n\n"
    "## Build\n\n```sh\nmake\nmake test\n```\n\n"
    "## Tides\n\n| port | high | low |\n|---|---:|---:|\n| North quay | 04:12 | 10:31 |\n"
    "| South quay | 04:40 | 10:58 |\n\n"
    "- [x] build\n- [ ] moor\n- ~~sink~~\n\n> Keep the fairway clear.\n\n"
    "See [the guide](docs/guide.md), <https://example.test/tides>, or "
    "[bad](javascript:alert(1)). <script>alert(1)</script> <img src=x onerror=alert(1)>\n";

static const char MAIN_C[] = "#include <stdio.h>\n\n// Says when the next ship comes in.\nint "
                             "main(int argc, char **argv)\n{\n"
                             "    (void)argv;\n    if (argc > 1 && argc < 3) {\n        "
                             "fprintf(stderr, \"usage: harbor\\n\");\n"
                             "        return 2;\n    }\n    printf(\"The next ship comes in at "
                             "04:12 & leaves <soon>.\\n\");\n"
                             "    return 0;\n}\n";

static const char CI[] =
    "stages: [build, test, deploy]\n\nbuild:\n  stage: build\n  script:\n    - make\n  artifacts:\n"
    "    paths: [public/]\n\nunit:\n  stage: test\n  needs: [build]\n  script: make test\n\nlint:\n"
    "  stage: test\n  needs: []\n  allow_failure: true\n  script: make lint\n\npages:\n"
    "  stage: deploy\n  needs: [build, unit]\n  script: make site\n  artifacts:\n"
    "    paths: [public/]\n";

static const char BROKEN_CI[] = "stages: [build]\n\nbuild:\n  stage: build\n  script:\n    - make\n"
                                "  whenn: always\n\ntest:\n  stage: tset\n  script: make test\n";

// A 2x2 PNG.
static const unsigned char PNG[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00,
    0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78,
    0x9c, 0x63, 0x60, 0x60, 0xf8, 0x5f, 0x0f, 0x00, 0x02, 0x87, 0x01, 0x80, 0xeb, 0x47,
    0xba, 0x92, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

static void repository(const struct project *p)
{
    struct err err = ERR_INIT;
    buf_init(&script, MIB(4));
    commit("refs/heads/main", now - (int64_t)40 * DAY, "Mate Alder", "Begin the harbor");
    blob("README.md", STR("# Harbor\n"));
    blob("src/main.c", STR("int main(void)\n{\n    return 1;\n}\n"));
    blob("Makefile", STR("all:\n\tcc -o harbor src/main.c\ntest:\n\t./harbor\n"));
    commit(
        "refs/heads/main", now - 12 * DAY, "Pilot Birch",
        "Say when ships come in\n\nThe time was asked for at the quay every day. Now the program "
        "tells\nit, and the answer is escaped: 5 < 6 & \"quotes\".");
    blob("src/main.c", str_n(MAIN_C, sizeof(MAIN_C) - 1));
    blob("docs/guide.md", STR("# Guide\n\nBack to the [readme](../README.md#build).\n"));
    blob("docs/logo.png", str_n((const char *)PNG, sizeof(PNG)));
    commit("refs/heads/main", now - 3 * DAY, "Mate Alder", "Build, test and publish on each push");
    blob(".gitlab-ci.yml", str_n(CI, sizeof(CI) - 1));
    blob("tides/2026/november/north-quay-with-a-rather-long-file-name.csv",
         STR("hour,metres\n4,3.1\n10,0.4\n"));
    commit("refs/heads/main", now - 2 * HOUR, "Pilot Birch", "Describe the tides in the readme");
    blob("README.md", str_n(README, sizeof(README) - 1));
    buf_addf(&script,
             "commit refs/heads/feature/fog-horn\nauthor Mate Alder <crew@example.test> %lld "
             "+0000\ncommitter Mate Alder <crew@example.test> %lld +0000\ndata 15\nAdd a fog "
             "horn.\nfrom :%d\n",
             (long long)(now - DAY) / 1000, (long long)(now - DAY) / 1000, mark - 1);
    blob("src/horn.c", STR("void horn(void)\n{\n}\n"));
    buf_addf(&script,
             "commit refs/heads/broken-ci\nauthor Mate Alder <crew@example.test> %lld "
             "+0000\ncommitter Mate Alder <crew@example.test> %lld +0000\ndata 20\nRework the "
             "pipeline\nfrom :%d\n",
             (long long)(now - HOUR) / 1000, (long long)(now - HOUR) / 1000, mark);
    blob(".gitlab-ci.yml", str_n(BROKEN_CI, sizeof(BROKEN_CI) - 1));
    buf_addf(&script,
             "tag v1.0\nfrom :%d\ntagger Pilot Birch <crew@example.test> %lld +0000\ndata "
             "24\nThe first that can moor.\n",
             mark - 1, (long long)(now - 2 * DAY) / 1000);
    buf_adds(&script, "done\n");
    struct str path = forge_repo_path(&forge, &arena, p->storage);
    const char *argv[] = {"git",    "--git-dir", arena_dup(&arena, path), "fast-import", "--quiet",
                          "--done", NULL};
    struct spawn_options o = {.argv = argv};
    struct buf out = BUF_INIT(MIB(1));
    int code;
    MUST(spawn_run(&o, buf_str(&script), &out, &out, clock_ms() + 20000, &code, &err));
    if (code) {
        fprintf(stderr, "git fast-import: %s\n", out.p);
        exit(1);
    }
    buf_clear(&out);
    const char *rev[] = {"git", "--git-dir", argv[2], "rev-parse", "refs/heads/main", NULL};
    o.argv = rev;
    MUST(spawn_run(&o, STR_NONE, &out, &out, clock_ms() + 20000, &code, &err));
    memcpy(sha, out.p, 40);
    buf_done(&out);
    buf_done(&script);
    struct tx tx = TX_NONE;
    MUST(store_write(store, &tx, &err));
    MUST(project_pushed(&tx, p->id, 40000, false, STR("main"), now - 2 * HOUR, &err));
    MUST(tx_commit(&tx, &err));
}

static struct str rev_of(const struct project *p, const char *ref)
{
    struct err err = ERR_INIT;
    struct str path = forge_repo_path(&forge, &arena, p->storage);
    const char *argv[] = {"git", "--git-dir", arena_dup(&arena, path), "rev-parse", ref, NULL};
    struct spawn_options o = {.argv = argv};
    struct buf out = BUF_INIT(MIB(1));
    int code;
    MUST(spawn_run(&o, STR_NONE, &out, &out, clock_ms() + 20000, &code, &err));
    struct str s = arena_str(&arena, str_trim(buf_str(&out)));
    buf_done(&out);
    return s;
}

// ---- pipelines

struct want {
    const char *name, *stage;
    int stage_idx;
    enum ci_status status;
    bool allow_failure;
    const char *needs; // comma list; NULL: none configured
    int seconds;
    const char *reason;
};

static int64_t pipeline(struct tx *tx, const char *ref, struct str commit_sha, const char *title,
                        enum ci_status status, int64_t at)
{
    struct err err = ERR_INIT;
    struct pipeline p = {
        .project_id = harbor.id,
        .ref = str_of(ref),
        .sha = commit_sha,
        .before_sha = STR(GIT_ZERO_SHA),
        .source = STR("push"),
        .status = CI_CREATED,
        .commit_title = str_of(title),
        .user_id = owner_id,
        .coverage = -1,
        .duration_ms = -1,
        .created_at = at,
    };
    MUST(pipeline_insert(tx, &p, &err));
    if (status != CI_CREATED && status != CI_FAILED + 100)
        MUST(pipeline_set_status(tx, p.id, CI_BIT(CI_CREATED), CI_RUNNING, at + 2000, &err));
    return p.id;
}

static void end_pipeline(struct tx *tx, int64_t id, enum ci_status status, int64_t at, int64_t ran)
{
    struct err err = ERR_INIT;
    MUST(pipeline_set_status(tx, id, CI_BIT(CI_CREATED) | CI_BIT(CI_RUNNING), status, at, &err));
    if (ran)
        MUST(pipeline_set_duration(tx, id, ran, 87.5, &err));
}

static int64_t job(struct tx *tx, int64_t pipeline_id, const struct want *w, int position,
                   int64_t at)
{
    struct err err = ERR_INIT;
    struct job_need needs[8];
    size_t nneeds = 0;
    struct str rest = str_of(w->needs), name;
    while (rest.n && str_cut(&rest, ',', &name))
        needs[nneeds++] = (struct job_need){name, true, false};
    const struct str tags[] = {STR("linux")};
    struct job j = {
        .pipeline_id = pipeline_id,
        .project_id = harbor.id,
        .name = str_of(w->name),
        .stage = str_of(w->stage),
        .stage_idx = w->stage_idx,
        .position = position,
        .status = w->status == CI_MANUAL ? CI_MANUAL : CI_CREATED,
        .when = w->status == CI_MANUAL ? WHEN_MANUAL : WHEN_ON_SUCCESS,
        .allow_failure = w->allow_failure,
        .dag = w->needs != NULL,
        .ref = STR("main"),
        .sha = str_of(sha),
        .timeout_s = 3600,
        .user_id = owner_id,
        .exit_code = -1,
        .coverage = -1,
        .spec = STR("{}"),
        .needs = needs,
        .nneeds = nneeds,
        .tags = tags,
        .ntags = w->status == CI_PENDING ? 1 : 0,
    };
    MUST(job_insert(tx, &j, at, &err));
    if (w->status == CI_CREATED || w->status == CI_MANUAL)
        return j.id;
    if (w->status == CI_SKIPPED) {
        MUST(job_finish(tx, j.id, CI_BIT(CI_CREATED), CI_SKIPPED, STR(""), -1, at, &err));
        return j.id;
    }
    MUST(job_move(tx, j.id, CI_BIT(CI_CREATED), CI_PENDING, 0, at + 1000, &err));
    if (w->status == CI_PENDING)
        return j.id;
    MUST(job_move(tx, j.id, CI_BIT(CI_PENDING), CI_RUNNING, 0, at + 3500, &err));
    if (w->status == CI_RUNNING)
        return j.id;
    MUST(job_finish(tx, j.id, CI_BIT(CI_RUNNING), w->status, str_of(w->reason ? w->reason : ""),
                    w->reason ? 2 : -1, at + 3500 + w->seconds * 1000, &err));
    return j.id;
}

static void trace(int64_t job_id, struct str text)
{
    struct err err = ERR_INIT;
    int64_t size;
    MUST(trace_size(store, harbor.id, job_id, &size, &err));
    MUST(trace_append(store, harbor.id, job_id, size, text, MIB(16), &size, &err));
}

static const char LOG_GOOD[] =
    "\033[0KRunning with slipway-runner 0.1.0\033[0;m\n"
    "section_start:1760000000:prepare_executor\r\033[0K\033[0K\033[36;1mPreparing the "
    "sandbox\033[0;m\n"
    "Using namespaces: mount, pid, ipc, uts\n"
    "section_end:1760000001:prepare_executor\r\033[0K"
    "section_start:1760000001:get_sources\r\033[0K\033[0K\033[36;1mGetting source from Git "
    "repository\033[0;m\n"
    "Fetching changes with depth 20...\nChecking out as detached HEAD (ref is main)...\n"
    "section_end:1760000003:get_sources\r\033[0K"
    "section_start:1760000003:step_script\r\033[0K\033[0K\033[36;1mExecuting the script\033[0;m\n"
    "\033[32;1m$ make\033[0;m\n"
    "cc -O2 -Wall -c src/main.c -o build/main.o\n"
    "\033[35;1msrc/main.c:12:5:\033[0m \033[33;1mwarning:\033[0m unused variable "
    "\033[1m'tide'\033[0m "
    "[-Wunused-variable]\n"
    "   12 |     int tide;\n      |         \033[32m^~~~\033[0m\n"
    "  0% linking\r 40% linking\r100% linking\n"
    "<script>alert('not markup')</script> & a very long line "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaa\n"
    "\033[42;30m PASS \033[0m tides \033[2m(12 tests)\033[0m  \033[41;97m FAIL \033[0m none "
    "\033[38;5;208morange\033[0m \033[38;2;90;160;255mtrue colour\033[0m \033[7minverse\033[0m\n"
    "section_end:1760000071:step_script\r\033[0K"
    "section_start:1760000071:upload_artifacts_on_success[collapsed=true]\r\033[0K\033[0K\033[36;1m"
    "Uploading artifacts for successful job\033[0;m\n"
    "public/: found 3 matching files\nUploading artifacts as \"archive\" ... 201 Created\n"
    "section_end:1760000072:upload_artifacts_on_success\r\033[0K"
    "\033[32;1mJob succeeded\033[0;m\n";

static const char LOG_BAD[] =
    "\033[32;1m$ make test\033[0;m\nok 1 - tides\n\033[31mnot ok 2 - horn\033[0m\n"
    "  expected: loud\n  got: silence\nmake: *** [Makefile:4: test] Error 2\n"
    "\033[31;1mERROR: Job failed: exit code 2\033[0;m\n";

// A stored zip of two files, without compression.
static void add_zip(struct tx *tx, int64_t job_id)
{
    struct err err = ERR_INIT;
    static const char *const NAMES[] = {"public/index.html", "public/css/site.css"};
    static const char *const TEXTS[] = {"<h1>Harbor</h1><script>alert(1)</script>\n",
                                        "h1 { color: teal }\n"};
    struct buf z = BUF_INIT(MIB(1)), dir = BUF_INIT(MIB(1));
    for (int i = 0; i < 2; i++) {
        uint32_t n = (uint32_t)strlen(TEXTS[i]), at = (uint32_t)z.n;
        uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)TEXTS[i], n);
        uint16_t name = (uint16_t)strlen(NAMES[i]);
        char head[46] = {0};
        memcpy(head, "PK\3\4\24", 5);
        memcpy(head + 18, &n, 4);
        memcpy(head + 22, &n, 4);
        memcpy(head + 26, &name, 2);
        buf_add(&z, str_n(head, 30));
        buf_adds(&z, NAMES[i]);
        buf_adds(&z, TEXTS[i]);
        memset(head, 0, sizeof(head));
        memcpy(head, "PK\1\2\24\0\24", 7);
        memcpy(head + 16, &crc, 4);
        memcpy(head + 20, &n, 4);
        memcpy(head + 24, &n, 4);
        memcpy(head + 28, &name, 2);
        memcpy(head + 42, &at, 4);
        buf_add(&dir, str_n(head, 46));
        buf_adds(&dir, NAMES[i]);
    }
    uint32_t at = (uint32_t)z.n, n = (uint32_t)dir.n;
    char end[22] = "PK\5\6\0\0\0\0\2\0\2";
    memcpy(end + 12, &n, 4);
    memcpy(end + 16, &at, 4);
    buf_add(&z, buf_str(&dir));
    buf_add(&z, str_n(end, 22));
    struct artifact f = {
        .job_id = job_id,
        .project_id = harbor.id,
        .type = STR("archive"),
        .format = STR("zip"),
        .file_name = STR("artifacts.zip"),
        .path = artifact_new_path(&arena, harbor.id, job_id, STR("archive"), STR("zip")),
        .size = (int64_t)z.n,
        .sha256 = STR(""),
        .created_at = now,
        .expire_at = now + 29 * DAY,
    };
    struct blob_writer w = BLOB_WRITER_NONE;
    MUST(blob_create(store, f.path, &w, &err));
    MUST(blob_write(&w, buf_str(&z), &err));
    MUST(blob_commit(&w, &err));
    MUST(artifact_insert(tx, &f, &err));
    buf_done(&z);
    buf_done(&dir);
}

static int64_t good_job, bad_job, good_pipeline, mixed_pipeline, error_pipeline, manual_job,
    waiting_job;

static void pipelines(void)
{
    struct err err = ERR_INIT;
    struct tx tx = TX_NONE;
    MUST(store_write(store, &tx, &err));
    static const struct want GOOD[] = {
        {"build", "build", 0, CI_SUCCESS, false, NULL, 72, NULL},
        {"unit", "test", 1, CI_SUCCESS, false, "build", 31, NULL},
        {"lint", "test", 1, CI_FAILED, true, "", 4, "script_failure"},
        {"tides 1/2", "test", 1, CI_SUCCESS, false, "build", 12, NULL},
        {"tides 2/2", "test", 1, CI_SUCCESS, false, "build", 14, NULL},
        {"pages", "deploy", 2, CI_SUCCESS, false, "build,unit", 6, NULL},
        {"release-to-the-outer-roads", "deploy", 2, CI_MANUAL, true, "unit", 0, NULL},
    };
    int64_t at = now - 3 * DAY;
    good_pipeline = pipeline(&tx, "main", rev_of(&harbor, "refs/heads/main~1"),
                             "Build, test and publish on each push", CI_RUNNING, at);
    for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++) {
        int64_t id = job(&tx, good_pipeline, &GOOD[i], (int)i, at);
        if (i == 0)
            good_job = id;
        if (i == 6)
            manual_job = id;
    }
    end_pipeline(&tx, good_pipeline, CI_SUCCESS, at + 118000, 118000);

    static const struct want MIXED[] = {
        {"build", "build", 0, CI_SUCCESS, false, NULL, 70, NULL},
        {"unit", "test", 1, CI_FAILED, false, "build", 9, "script_failure"},
        {"lint", "test", 1, CI_SUCCESS, true, "", 5, NULL},
        {"pages", "deploy", 2, CI_SKIPPED, false, "build,unit", 0, NULL},
    };
    at = now - DAY;
    mixed_pipeline =
        pipeline(&tx, "feature/fog-horn", rev_of(&harbor, "refs/heads/feature/fog-horn"),
                 "Add a fog horn.", CI_RUNNING, at);
    for (size_t i = 0; i < ARRAY_SIZE(MIXED); i++) {
        int64_t id = job(&tx, mixed_pipeline, &MIXED[i], (int)i, at);
        if (i == 1)
            bad_job = id;
    }
    end_pipeline(&tx, mixed_pipeline, CI_FAILED, at + 80000, 80000);

    static const struct want STOPPED[] = {
        {"build", "build", 0, CI_SUCCESS, false, NULL, 61, NULL},
        {"unit", "test", 1, CI_CANCELED, false, NULL, 3, NULL},
        {"pages", "deploy", 2, CI_CANCELED, false, NULL, 0, NULL},
    };
    at = now - 5 * HOUR;
    int64_t stopped =
        pipeline(&tx, "main", str_of(sha), "Describe the tides in the readme", CI_RUNNING, at);
    for (size_t i = 0; i < ARRAY_SIZE(STOPPED); i++)
        (void)!job(&tx, stopped, &STOPPED[i], (int)i, at);
    end_pipeline(&tx, stopped, CI_CANCELED, at + 66000, 66000);

    error_pipeline = pipeline(&tx, "broken-ci", rev_of(&harbor, "refs/heads/broken-ci"),
                              "Rework the pipeline", CI_CREATED, now - HOUR);
    MUST(pipeline_set_failure(
        &tx, error_pipeline, STR("config_error"),
        STR(".gitlab-ci.yml:7:3: build: the keyword 'whenn' is not known; did you "
            "mean 'when'?\n.gitlab-ci.yml:10:10: test: the stage 'tset' is not in "
            "`stages`"),
        &err));
    end_pipeline(&tx, error_pipeline, CI_FAILED, now - HOUR, 0);

    static const struct want LIVE[] = {
        {"build", "build", 0, CI_SUCCESS, false, NULL, 20, NULL},
        {"unit", "test", 1, CI_RUNNING, false, "build", 0, NULL},
        {"lint", "test", 1, CI_PENDING, true, "", 0, NULL},
        {"pages", "deploy", 2, CI_CREATED, false, "build,unit", 0, NULL},
    };
    at = now - MINUTE;
    live_pipeline =
        pipeline(&tx, "main", str_of(sha), "Describe the tides in the readme", CI_RUNNING, at);
    for (size_t i = 0; i < ARRAY_SIZE(LIVE); i++) {
        int64_t id = job(&tx, live_pipeline, &LIVE[i], (int)i, i == 1 ? now - 30000 : at);
        if (i == 1)
            live_job = id;
        if (i == 2)
            waiting_job = id;
    }
    add_zip(&tx, good_job);
    struct pages_deployment site = {.project_id = harbor.id,
                                    .job_id = good_job,
                                    .pipeline_id = good_pipeline,
                                    .dir = STR("pages/owner/harbor"),
                                    .files = 2};
    MUST(pages_insert(&tx, &site, &err));
    MUST(pages_activate(&tx, site.id, &err));
    MUST(tx_commit(&tx, &err));
    trace(good_job, str_n(LOG_GOOD, sizeof(LOG_GOOD) - 1));
    trace(bad_job, str_n(LOG_BAD, sizeof(LOG_BAD) - 1));
    trace(live_job, STR("section_start:1760000000:step_script\r\033[0K\033[36;1mExecuting the "
                        "script\033[0;m\n\033[32;1m$ make test\033[0;m\nok 1 - tides\n"));
}

static void settings(const struct actor *owner, int64_t guest, int64_t developer)
{
    struct err err = ERR_INIT;
    MUST(member_change(&forge, &arena, owner, harbor.id, 0, guest, ACCESS_GUEST, 0, &err));
    MUST(member_change(&forge, &arena, owner, harbor.id, 0, developer, ACCESS_DEVELOPER, 0, &err));
    struct tx tx = TX_NONE;
    MUST(store_write(store, &tx, &err));
    struct variable v = {.project_id = harbor.id,
                         .key = STR("DEPLOY_TOKEN"),
                         .value = STR("quay-secret-93"),
                         .masked = true,
                         .is_protected = true,
                         .environment_scope = STR("*")};
    MUST(variable_insert(&tx, &v, &err));
    v = (struct variable){.project_id = harbor.id,
                          .key = STR("QUAY"),
                          .value = STR("north <quay>"),
                          .environment_scope = STR("*")};
    MUST(variable_insert(&tx, &v, &err));
    unsigned char hash[32] = {1};
    const struct str tags[] = {STR("linux"), STR("x86_64")};
    struct runner r = {.type = RUNNER_INSTANCE,
                       .short_token = STR("glrt-abcd"),
                       .description = STR("runner on this machine"),
                       .run_untagged = true,
                       .tags = tags,
                       .ntags = 2,
                       .creator_id = owner_id};
    MUST(runner_insert(&tx, str_n((const char *)hash, 32), &r, &err));
    runner_id = r.id;
    struct runner_manager m = {.runner_id = r.id,
                               .system_id = STR("s_1"),
                               .version = STR("0.1.0"),
                               .platform = STR("linux"),
                               .architecture = STR("amd64"),
                               .executor = STR("sandbox")};
    MUST(runner_manager_seen(&tx, &m, now - 5000, &err));
    MUST(tx_commit(&tx, &err));
    struct token t;
    char secret[TOKEN_TEXT_SIZE];
    MUST(auth_token_create(&forge, owner, owner->user_id, STR("laptop"),
                           SCOPE_API | SCOPE_WRITE_REPOSITORY, now + 90 * DAY, &t, secret, &err));
}

// ---- the server

static void wake(void *ctx, const char *topic)
{
    (void)ctx;
    if (server)
        http_server_wake(server, topic);
}

static void wake_job(void)
{
    char topic[48];
    snprintf(topic, sizeof(topic), "job:%lld", (long long)live_job);
    http_server_wake(server, topic);
}

static void obey(char *line)
{
    struct err err = ERR_INIT;
    struct str s = str_trim(str_of(line));
    if (str_starts(s, STR("log "))) {
        struct buf b = BUF_INIT(MIB(1));
        for (size_t i = 4; i < s.n; i++) {
            bool escape = s.p[i] == '\\' && i + 1 < s.n;
            if (escape)
                i++;
            buf_addc(&b, !escape         ? s.p[i]
                         : s.p[i] == 'n' ? '\n'
                         : s.p[i] == 'e' ? '\033'
                         : s.p[i] == 'r' ? '\r'
                                         : s.p[i]);
        }
        trace(live_job, buf_str(&b));
        buf_done(&b);
        wake_job();
    } else if (str_is(s, "wake")) {
        char topic[48];
        snprintf(topic, sizeof(topic), "pipeline:%lld", (long long)live_pipeline);
        http_server_wake(server, topic);
    } else if (str_starts(s, STR("finish "))) {
        enum ci_status to;
        if (!ci_status_parse(str_from(s, 7), &to))
            return;
        struct tx tx = TX_NONE;
        MUST(store_write(store, &tx, &err));
        MUST(job_finish(&tx, live_job, CI_BIT(CI_RUNNING), to, STR(""), -1, clock_wall_ms(), &err));
        MUST(
            pipeline_set_status(&tx, live_pipeline, CI_BIT(CI_RUNNING), to, clock_wall_ms(), &err));
        MUST(tx_commit(&tx, &err));
    }
}

static bool route(size_t i, const char **method, const char **path, const char **doc)
{
    static const char *const ROUTES[][3] = {
        {"GET", "/api/v4/projects", "List projects."},
        {"GET", "/api/v4/projects/:id/pipelines", "List a project's pipelines."},
    };
    if (i >= ARRAY_SIZE(ROUTES))
        return false;
    *method = ROUTES[i][0];
    *path = ROUTES[i][1];
    *doc = ROUTES[i][2];
    return true;
}

static void report(void *ctx, const char *request_id, const char *message)
{
    (void)ctx;
    fprintf(stderr, "web_fixture: request %s: %s\n", request_id, message);
}

static void announce(uint16_t port)
{
    struct buf b = BUF_INIT(KIB(16));
    struct jout j;
    jout_begin(&j, &b);
    jout_object(&j);
    jout_kint(&j, "port", port);
    jout_kcstr(&j, "password", "a-harbor-in-the-fog");
    jout_kcstr(&j, "sha", sha);
    jout_kint(&j, "good_pipeline", good_pipeline);
    jout_kint(&j, "mixed_pipeline", mixed_pipeline);
    jout_kint(&j, "error_pipeline", error_pipeline);
    jout_kint(&j, "live_pipeline", live_pipeline);
    jout_kint(&j, "good_job", good_job);
    jout_kint(&j, "bad_job", bad_job);
    jout_kint(&j, "live_job", live_job);
    jout_kint(&j, "manual_job", manual_job);
    jout_kint(&j, "waiting_job", waiting_job);
    jout_end_object(&j);
    printf("%s\n", b.p);
    fflush(stdout);
    buf_done(&b);
}

static void seed(void)
{
    struct err err = ERR_INIT;
    owner_id = person("owner", "Harbor Owner", true);
    int64_t guest = person("guest", "A Guest", false);
    int64_t developer = person("developer", "A Developer", false);
    (void)person("stranger", "A Stranger", false);
    struct actor owner = as(owner_id, "owner", true);
    harbor = project(&owner, 0, "harbor", "Says when ships come in.", VIS_PRIVATE);
    (void)project(&owner, 0, "empty-dock", "", VIS_PRIVATE);
    struct ns yard, tools;
    struct group_new g = {.name = STR("Yard"),
                          .path = STR("yard"),
                          .visibility = VIS_PUBLIC,
                          .description = STR("Everything that is built on land.")};
    MUST(group_create(&forge, &arena, &owner, &g, &yard, &err));
    g = (struct group_new){
        .parent_id = yard.id, .name = STR("Tools"), .path = STR("tools"), .visibility = VIS_PUBLIC};
    MUST(group_create(&forge, &arena, &owner, &g, &tools, &err));
    (void)project(&owner, tools.id, "crane",
                  "Lifts what is heavy. Its description is long enough that it has to be cut "
                  "somewhere on a narrow screen.",
                  VIS_PUBLIC);
    repository(&harbor);
    pipelines();
    settings(&owner, guest, developer);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    if (argc != 2) {
        fprintf(stderr, "usage: web_fixture FOLDER\n");
        return 2;
    }
    arena_init(&arena, MIB(64));
    now = clock_wall_ms();
    git_start();
    MUST(store_open(argv[1], STORE_SERVER | STORE_SYNC_NORMAL, &store, &err));
    store_on_wake(store, wake, NULL);
    forge = (struct forge){.store = store, .repo_create = git_repo_create, .password_fast = true};
    seed();
    struct ci_engine_config engine_cfg = {.store = store,
                                          .external_url = "http://localhost:8080",
                                          .pages_domain = "pages.localhost:8080"};
    ci_engine_use_git(&engine_cfg, &forge);
    struct ci_engine *engine;
    MUST(ci_engine_new(&engine_cfg, &engine, &err));
    struct web_ctx ctx = {.store = store,
                          .engine = engine,
                          .forge = &forge,
                          .state_dir = argv[1],
                          .external_url = "http://localhost:8080",
                          .pages_url = "http://pages.localhost:8080",
                          .api_route = route,
                          .report = report};
    struct web *web;
    MUST(web_init(&ctx, &web, &err));
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    cfg.handler = web_handle;
    cfg.ctx = web;
    cfg.loops = 1;
    cfg.workers = 4;
    MUST(http_server_new(&cfg, &server, &err));
    MUST(http_server_listen_tcp(server, "127.0.0.1", 0, &err));
    MUST(http_server_start(server, &err));
    announce(http_server_port(server));
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0 && strcmp(line, "quit\n") != 0)
        obey(line);
    free(line);
    http_server_stop(server, 2000);
    http_server_free(server);
    web_done(web);
    ci_engine_free(engine);
    store_close(store);
    arena_done(&arena);
    return 0;
}
