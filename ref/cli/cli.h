/* SPDX-License-Identifier: MIT */
/* What the commands of the program `goipc` share: settings, errors, exit statuses. */
#ifndef GOIPC_CLI_H
#define GOIPC_CLI_H

#include <goipc.h>

#include <stdio.h>

/* Which of two printf families the compiler checks formats for is its own choice on Windows. */
#if defined(__MINGW32__)
#define CLI_PRINTF(format_at, first_at) __attribute__((format(gnu_printf, format_at, first_at)))
#elif defined(__GNUC__)
#define CLI_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define CLI_PRINTF(format_at, first_at)
#endif

enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILED = 1, CLI_EXIT_USAGE = 2 };

/* Which side sent the bytes that `decode` reads. The handshake of a side comes first. */
typedef enum cli_from {
    CLI_FROM_FRAME, /* frames only, no handshake */
    CLI_FROM_SERVER,
    CLI_FROM_CLIENT,
} cli_from;

/* How messages are written and read. */
typedef enum cli_format {
    CLI_FORMAT_LINES, /* the bytes and a newline */
    CLI_FORMAT_HEX,
    CLI_FORMAT_QUOTED,
    CLI_FORMAT_JSON,
    CLI_FORMAT_RAW, /* the bytes alone; output only */
} cli_format;

typedef struct cli_settings {
    const char *command;
    const char *name;   /* decode: the file; completion: the shell */
    const char *target; /* tap: the second name, or NULL */
    cli_from from;
    bool has_key;
    uint8_t key[GOIPC_KEY_SIZE];
    goipc_options options;
    cli_format format;
    const char *data; /* what is sent instead of standard input, or NULL */
    const char *file; /* the file that is sent instead of standard input, or NULL */
    uint64_t count;   /* of messages; 0: no end */
    uint32_t size;    /* bench: bytes of data of one message */
    uint32_t type;
    uint32_t clients_max;
    int32_t interval_ms; /* 0: none */
    int32_t timeout_ms;  /* 0: none */
    int32_t linger_ms;
    bool echo;
    bool show_types;
    bool quiet;
    bool unmask;
    bool reconnect;
} cli_settings;

/* A line on standard error, wrapped where that is a terminal. Control characters are escaped. The
 * line that was said last is not said again. */
void cli_say(const char *format, ...) CLI_PRINTF(1, 2);
/* The same and where to read more; returns CLI_EXIT_USAGE. */
int cli_usage_error(const cli_settings *settings, const char *format, ...) CLI_PRINTF(2, 3);
/* Says why a call on an endpoint failed: `failure` in words, or else the text of `error`. */
void cli_say_failure(const goipc_failure *failure, goipc_error error);

/* Fills `settings`. argv[0] is the command. An exit status other than CLI_EXIT_OK ends the program,
 * and so does *done: what was asked for is printed. */
int cli_parse(int argc, char **argv, cli_settings *settings, bool *done);

/* The commands. They return the exit status. */
int cli_serve(const cli_settings *settings);
int cli_connect(const cli_settings *settings);
int cli_tap(const cli_settings *settings);
int cli_decode(const cli_settings *settings);
int cli_bench(const cli_settings *settings);
int cli_completion(const cli_settings *settings);

/* Reads a whole file, "-" for standard input. *bytes is the caller's to free. Says why it fails. */
bool cli_read_file(const char *path, uint8_t **bytes, size_t *size);

/* Writes to `out` what settings->from and settings->key make of the bytes, or of the bytes that
 * they are the hexadecimal digits of, and returns the exit code. `bytes` is overwritten. */
int cli_decode_bytes(const cli_settings *settings, uint8_t *bytes, size_t size, FILE *out);
/* The end of a line: the data, or its beginning. */
void cli_show_data(FILE *out, const uint8_t *data, size_t size);

#endif
