// SPDX-License-Identifier: Apache-2.0
// Log lines: a time, a level, a role, a message and keys with values; as text or as JSON, one line
// each, one write(2) each, to standard error. Only roles and commands log; libraries return errors.
#pragma once

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

// Call once at start. `role` must stay valid.
void log_init(const char *role, enum log_level least, bool json);

struct log_field {
    const char *key;
    enum { LOG_STR, LOG_INT } type;
    struct str str;
    int64_t num;
};
#define LOGS(k, cstr)  ((struct log_field){(k), LOG_STR, str_of(cstr), 0})
#define LOGV(k, slice) ((struct log_field){(k), LOG_STR, (slice), 0})
#define LOGI(k, i)     ((struct log_field){(k), LOG_INT, STR_NONE, (int64_t)(i)})

void log_line(enum log_level level, const char *msg, const struct log_field *fields, size_t n);

// log_info("job started", LOGI("job", id), LOGS("runner", name));
// The first element of the array only keeps it from being empty.
#define LOG_FIELDS(...) ((const struct log_field[]){{NULL, LOG_INT, STR_NONE, 0}, ##__VA_ARGS__})
#define log_at(level, msg, ...)                                                                    \
    log_line(level, msg, LOG_FIELDS(__VA_ARGS__) + 1, ARRAY_SIZE(LOG_FIELDS(__VA_ARGS__)) - 1)
#define log_debug(msg, ...) log_at(LOG_DEBUG, msg, ##__VA_ARGS__)
#define log_info(msg, ...)  log_at(LOG_INFO, msg, ##__VA_ARGS__)
#define log_warn(msg, ...)  log_at(LOG_WARN, msg, ##__VA_ARGS__)
#define log_error(msg, ...) log_at(LOG_ERROR, msg, ##__VA_ARGS__)
