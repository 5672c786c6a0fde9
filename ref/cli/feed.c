/* SPDX-License-Identifier: MIT */
#include "feed.h"

#include "console.h"

#include <stdlib.h>
#include <string.h>

enum { INPUT_SIZE_FIRST = 64 * 1024 };

bool feed_begin(feed *self, const cli_settings *settings)
{
    *self = (feed){.settings = settings, .over = settings->echo};
    if (settings->file != NULL) {
        return cli_read_file(settings->file, &self->bytes, &self->size);
    }
    if (settings->data != NULL) {
        self->size = strlen(settings->data);
        self->bytes = malloc(self->size + 1);
        if (self->bytes == NULL) {
            cli_say("--data is too long for memory");
            return false;
        }
        memcpy(self->bytes, settings->data, self->size + 1);
    }
    return true;
}

void feed_end(feed *self)
{
    free(self->bytes);
    self->bytes = NULL;
}

bool feed_is_fixed(const feed *self)
{
    return self->settings->data != NULL || self->settings->file != NULL;
}

message_line feed_fixed_message(const feed *self)
{
    return (message_line){GOIPC_CLIENT_ALL, self->settings->type, self->bytes, self->size};
}

static void end_now(feed *self)
{
    self->over = true;
    self->over_ms = console_clock_ms();
}

/* --- input ------------------------------------------------------------------------------------ */

/* The end of the next line, or NULL while it is not there. */
static uint8_t *find_line_end(const feed *self)
{
    const size_t left = self->size - self->at;
    uint8_t *at, *newline;

    if (left == 0) {
        return NULL; /* and perhaps no buffer, to which nothing may be added, not even 0 */
    }
    at = self->bytes + self->at;
    newline = memchr(at, '\n', left);
    /* A last line without its end counts. */
    return newline == NULL && self->input_ended ? at + left : newline;
}

bool feed_wants_input(const feed *self)
{
    return !self->over && !feed_is_fixed(self) && !self->input_ended &&
           (self->size == self->at || find_line_end(self) == NULL);
}

bool feed_read_input(feed *self)
{
    size_t size;

    if (self->at > 0) {
        self->size -= self->at;
        memmove(self->bytes, self->bytes + self->at, self->size);
        self->at = 0;
    }
    if (self->size + 1 >= self->capacity) { /* one byte more, for message_read */
        const size_t capacity = self->capacity == 0 ? INPUT_SIZE_FIRST : self->capacity * 2;
        uint8_t *grown = realloc(self->bytes, capacity);

        if (grown == NULL) {
            cli_say("a line of input is too long for memory");
            return false;
        }
        self->bytes = grown;
        self->capacity = capacity;
    }
    switch (console_read(self->bytes + self->size, self->capacity - self->size - 1, &size)) {
    case CONSOLE_READ_NONE:
        break;
    case CONSOLE_READ_END:
        self->input_ended = true;
        break;
    case CONSOLE_READ_SOME:
        self->size += size;
        break;
    }
    return true;
}

/* --- what is sent ----------------------------------------------------------------------------- */

static bool next_fixed(feed *self, message_line *message)
{
    *message = feed_fixed_message(self);
    return true;
}

static bool next_line(feed *self, message_line *message)
{
    uint8_t *end;

    while ((end = find_line_end(self)) != NULL) {
        uint8_t *line = self->bytes + self->at;

        self->at = (size_t)(end - self->bytes) + (end < self->bytes + self->size ? 1 : 0);
        if (message_read(self->settings, line, (size_t)(end - line), message)) {
            return true;
        }
        self->failed = true;
    }
    if (self->input_ended) {
        end_now(self);
    }
    return false;
}

bool feed_next(feed *self, message_line *message)
{
    const int32_t interval_ms = self->settings->interval_ms;

    if (self->over || (interval_ms > 0 && console_clock_ms() < self->next_ms)) {
        return false;
    }
    if (interval_ms > 0 && self->settings->count > 0 && self->sent_count >= self->settings->count) {
        end_now(self);
        return false;
    }
    if (!(feed_is_fixed(self) ? next_fixed(self, message) : next_line(self, message))) {
        return false;
    }
    self->sent_count++;
    self->next_ms = console_clock_ms() + interval_ms;
    if (feed_is_fixed(self) && interval_ms == 0) {
        end_now(self);
    }
    return true;
}

int32_t feed_timeout_ms(const feed *self)
{
    const int64_t left_ms = self->next_ms - console_clock_ms();

    if (self->over || self->settings->interval_ms == 0 || feed_wants_input(self)) {
        return GOIPC_FOREVER;
    }
    return left_ms < 0 ? 0 : (int32_t)left_ms;
}
