/* SPDX-License-Identifier: MIT */
/* What the commands need of the system: standard input, output and error, signals, the clock.
 * console_unix.c, console_windows.c. */
#ifndef GOIPC_CLI_CONSOLE_H
#define GOIPC_CLI_CONSOLE_H

#include "cli.h"

/* First of all. Standard descriptors that were closed lead nowhere afterwards, so that no socket
 * takes their numbers. */
void console_begin(void);

/* Has `stop` called, from a signal handler, when a person or another program asks this one to end.
 * NULL: only console_wait tells. False when that is not possible; errno says why. */
bool console_on_stop(void (*stop)(void));
/* Whether that has happened. */
bool console_is_stopped(void);

int64_t console_clock_ns(void);
int64_t console_clock_ms(void);

/* What console_wait watches, and what has happened. */
enum {
    CONSOLE_INPUT = 1,  /* standard input can be read without waiting */
    CONSOLE_CLOSED = 2, /* nobody reads standard output any more */
    CONSOLE_STOPPED = 4,
    CONSOLE_WAIT_MAX = 64, /* descriptors in one call */
};

/* Waits until an endpoint behind one of `count` descriptors (-1: none) may have something, one of
 * `watched` has happened, the program is to stop, or the time is over. Input from a terminal is not
 * watched while another job has the terminal. */
unsigned console_wait(const intptr_t *fds, size_t count, unsigned watched, int32_t timeout_ms);

typedef enum console_input {
    CONSOLE_READ_SOME,
    CONSOLE_READ_NONE, /* this time */
    CONSOLE_READ_END,
} console_input;

/* Reads once from standard input, after console_wait said that it can. */
console_input console_read(uint8_t *out, size_t capacity, size_t *size);

/* Whatever is written to it goes to standard output with console_flush, also where that is a pipe
 * that does not block. */
FILE *console_out(void);
/* False when standard output is lost, which is said, or the program is to stop and nobody reads. */
bool console_flush(void);
/* Writes to standard error at once. */
void console_error(const char *text, size_t size);

bool console_out_is_terminal(void);
/* Whether the terminal, or where text is read later, takes UTF-8. */
bool console_is_unicode(void);
/* Columns of the terminal behind standard error, 0 when it is none. */
size_t console_error_width(void);

/* Where the endpoint is, for people. */
void console_path(const cli_settings *settings, char *out, size_t capacity);
/* Whether a server's name is still there after its connection has ended, though a server that
 * closes removes its name first: the server was killed, or it closed one connection alone. */
bool console_name_is_left(const cli_settings *settings);

#endif
