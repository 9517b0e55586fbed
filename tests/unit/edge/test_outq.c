// SPDX-License-Identifier: Apache-2.0
#include "../../lib/test.h"

#include "edge/outq.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Whatever the socket takes at once, the bytes arrive whole and in order, also when the scratch
// buffer is written over after a short write.
static void short_writes_keep_every_byte(void **state)
{
    (void)state;
    int fds[2], small = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    size_t scratch_size = 50000, body_size = 70000, got = 0;
    char *scratch = malloc(scratch_size), *body = malloc(body_size), *all = calloc(1, 200000);
    memset(scratch, 's', scratch_size);
    memset(body, 'b', body_size);
    struct outq q;
    outq_init(&q);
    outq_add_scratch(&q, str_n(scratch, scratch_size));
    outq_add_chunk(&q, str_n(body, body_size));
    outq_add(&q, STR("end"));
    bool can_write = true;
    uint64_t sent = 0;
    assert_int_equal(outq_flush(&q, fds[0], &can_write, false, &sent), E_AGAIN);
    assert_false(can_write);
    memset(scratch, 'X', scratch_size);
    int r = E_AGAIN;
    while (r == E_AGAIN) {
        ssize_t n = read(fds[1], all + got, 200000 - got);
        assert_true(n > 0);
        got += (size_t)n;
        can_write = true;
        r = outq_flush(&q, fds[0], &can_write, false, &sent);
    }
    assert_int_equal(r, 0);
    assert_true(outq_empty(&q));
    for (ssize_t n; (n = read(fds[1], all + got, 200000 - got)) > 0;)
        got += (size_t)n;
    assert_int_equal(got, sent);
    assert_int_equal(got, scratch_size + 7 + body_size + 2 + 3);
    assert_null(memchr(all, 'X', got));
    assert_memory_equal(all + scratch_size, "11170\r\n", 7);
    assert_memory_equal(all + got - 5, "\r\nend", 5);
    close(fds[1]);
    outq_add(&q, STR("more"));
    can_write = true;
    assert_int_equal(outq_flush(&q, fds[0], &can_write, false, &sent), E_IO);
    outq_clear(&q);
    close(fds[0]);
    free(scratch);
    free(body);
    free(all);
}

RUN_TESTS(cmocka_unit_test(short_writes_keep_every_byte))
