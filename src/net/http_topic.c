// SPDX-License-Identifier: Apache-2.0
// Watches and parking: which call waits for which topic. One lock guards every slot and the `woken`
// flags; calls without watches never take it. A parked call belongs to whoever moves it out of
// OWN_PARKED first: a waker here, or its loop (deadline, client gone) in http_conn.c.
#include "net/http_internal.h"

#include <string.h>

void http_watch(struct http_call *c, const char *topic)
{
    size_t n = strlen(topic);
    BUG_ON(c->nwatches == WATCH_MAX || n >= TOPIC_MAX);
    struct http_server *s = c->server;
    struct watch *w = &c->watches[c->nwatches];
    w->call = c;
    w->hash = str_hash(str_n(topic, n));
    memcpy(w->topic, topic, n + 1);
    pthread_mutex_lock(&s->topics);
    w->link = &s->slots[w->hash % TOPIC_SLOTS];
    w->next = *w->link;
    if (w->next)
        w->next->link = &w->next;
    *w->link = w;
    c->nwatches++;
    pthread_mutex_unlock(&s->topics);
}

void topics_clear(struct http_call *c)
{
    if (!c->nwatches)
        return;
    pthread_mutex_lock(&c->server->topics);
    for (unsigned i = 0; i < c->nwatches; i++) {
        struct watch *w = &c->watches[i];
        *w->link = w->next;
        if (w->next)
            w->next->link = w->link;
    }
    c->nwatches = 0;
    c->woken = false;
    pthread_mutex_unlock(&c->server->topics);
}

bool topics_park(struct http_call *c, bool *ret_gone)
{
    struct conn *conn = c->conn;
    struct http_server *s = c->server;
    *ret_gone = false;
    // The loop arms the deadline's timer. The message goes first: once parked, the call may be
    // somebody else's at any moment.
    atomic_store(&conn->park_until, c->park_deadline);
    if (!atomic_exchange(&conn->park_posted, true))
        loop_post(conn->lt->loop, &conn->park_msg);

    bool parked = false;
    pthread_mutex_lock(&s->topics);
    if (!c->woken) {
        uint32_t own = atomic_load(&conn->own);
        do {
            *ret_gone = own & SAW_EOF;
        } while (!*ret_gone && !(parked = atomic_compare_exchange_weak(
                                     &conn->own, &own, OWN_PARKED | (own & SAW_EVENT))));
        if (parked)
            COUNT(s, parked, 1);
    }
    pthread_mutex_unlock(&s->topics);
    return parked;
}

void http_server_wake(struct http_server *s, const char *topic)
{
    uint64_t hash = str_hash(str_of(topic));
    pthread_mutex_lock(&s->topics);
    for (struct watch *w = s->slots[hash % TOPIC_SLOTS]; w; w = w->next) {
        if (w->hash != hash || strcmp(w->topic, topic) != 0)
            continue;
        struct http_call *c = w->call;
        c->woken = true;
        uint32_t own = atomic_load(&c->conn->own);
        while ((own & OWN_MASK) == OWN_PARKED)
            if (atomic_compare_exchange_weak(&c->conn->own, &own,
                                             OWN_WORKER | (own & ~(uint32_t)OWN_MASK))) {
                UNCOUNT(s, parked, 1);
                pool_resubmit(s->pool, &c->job);
                break;
            }
    }
    pthread_mutex_unlock(&s->topics);
}
