/* SPDX-License-Identifier: MIT */
/* What `serve` and `connect` send, and when: lines of standard input, or one message again and
 * again. */
#ifndef GOIPC_CLI_FEED_H
#define GOIPC_CLI_FEED_H

#include "message.h"

typedef struct feed {
    const cli_settings *settings;
    uint8_t *bytes; /* input that is not sent yet, or the one message */
    size_t size;
    size_t capacity;
    size_t at;
    uint64_t sent_count;
    int64_t next_ms; /* not before then */
    int64_t over_ms; /* when it ended */
    bool input_ended;
    bool over;   /* nothing more will be sent */
    bool failed; /* a line was refused */
} feed;

/* False after saying why. feed_end frees what it makes. */
bool feed_begin(feed *self, const cli_settings *settings);
void feed_end(feed *self);

/* Whether one message is sent instead of lines. */
bool feed_is_fixed(const feed *self);
/* The one message. */
message_line feed_fixed_message(const feed *self);

/* Whether it wants standard input read. */
bool feed_wants_input(const feed *self);
/* Reads standard input once. False after saying why that failed. */
bool feed_read_input(feed *self);

/* The next message that is to be sent now; valid until the next call. False: none now. */
bool feed_next(feed *self, message_line *message);
/* Milliseconds until feed_next has more without further input; GOIPC_FOREVER: never. */
int32_t feed_timeout_ms(const feed *self);

#endif
