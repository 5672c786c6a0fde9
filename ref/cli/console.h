/* SPDX-License-Identifier: MIT */
/* What `goipc serve` and `goipc connect` need of the system: console_unix.c, console_windows.c. */
#ifndef GOIPC_CONSOLE_H
#define GOIPC_CONSOLE_H

#include "cli.h"

/* Has `stop` called when a person or another program asks this one to end. */
void console_on_stop(void (*stop)(void));

int64_t console_clock_ms(void);

/* Waits until standard input has something (only with `input`), the endpoint behind `endpoint_fd`
 * may have something, or the time is over. True when input can be read without waiting. */
bool console_wait(intptr_t endpoint_fd, bool input, int32_t timeout_ms);

typedef enum console_input {
    CONSOLE_INPUT_SOME,
    CONSOLE_INPUT_NONE, /* this time */
    CONSOLE_INPUT_END,
} console_input;

/* Reads once from standard input, after console_wait said that it can. */
console_input console_read(uint8_t *out, size_t capacity, size_t *size);

/* Where the endpoint is, for people. */
void console_path(const cli_settings *settings, char *out, size_t capacity);

#endif
