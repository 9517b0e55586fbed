// SPDX-License-Identifier: Apache-2.0
// A server that answers 200 bytes to everything, for load measurements: hello_server [loops workers
// unix-path]. Prints its port; ends when standard input does.
#include "net/http_server.h"

#include <stdio.h>
#include <unistd.h>

static int handle(struct http_call *c, void *ctx)
{
    static const char body[200] = "{\"id\":1}";
    http_send(c, "application/json", str_n(body, sizeof body));
    return HTTP_DONE;
}

int main(int argc, char **argv)
{
    struct http_server_config cfg = HTTP_SERVER_DEFAULTS;
    struct http_server *s;
    struct err e = ERR_INIT;
    uint64_t n;
    cfg.handler = handle;
    if (argc > 1 && str_to_u64(str_of(argv[1]), &n))
        cfg.loops = (unsigned)n;
    if (argc > 2 && str_to_u64(str_of(argv[2]), &n))
        cfg.workers = (unsigned)n;
    int rc = http_server_new(&cfg, &s, &e);
    if (rc == 0)
        rc = http_server_listen_tcp(s, "127.0.0.1", 0, &e);
    if (rc == 0 && argc > 3)
        rc = http_server_listen_unix(s, argv[3], 0600, &e);
    if (rc == 0)
        rc = http_server_start(s, &e);
    if (rc < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    printf("%u\n", http_server_port(s));
    fflush(stdout);
    char c;
    while (read(0, &c, 1) > 0)
        ;
    http_server_stop(s, 1000);
    http_server_free(s);
    return 0;
}
