/* SPDX-License-Identifier: MIT */
/* What the files of the command line tool share. */
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

/* Whose bytes `decode` is given, and whether from the handshake on. */
typedef enum cli_from {
    CLI_FROM_FRAME, /* frames only */
    CLI_FROM_SERVER,
    CLI_FROM_CLIENT,
} cli_from;

typedef struct cli_settings {
    const char *command;
    const char *name;   /* decode: the file */
    const char *target; /* tap: the second name, or NULL */
    cli_from from;
    bool has_key;
    uint8_t key[GOIPC_KEY_SIZE];
    goipc_options options;
    uint32_t type;
    uint32_t clients_max;
    int32_t timeout_ms;
    int32_t linger_ms;
    bool echo;
    bool hex;
    bool show_types;
    bool quiet;
    bool unmask;
    bool reconnect;
} cli_settings;

/* A line on standard error. */
void cli_say(const char *format, ...) CLI_PRINTF(1, 2);
/* The same and CLI_EXIT_USAGE. */
int cli_usage_error(const char *format, ...) CLI_PRINTF(1, 2);

int cli_serve(const cli_settings *settings);
int cli_connect(const cli_settings *settings);
int cli_tap(const cli_settings *settings);
int cli_decode(const cli_settings *settings);

/* Writes to `out` what settings->from and settings->key make of the bytes, or of the bytes that
 * they are the hexadecimal digits of, and returns the exit code. `bytes` is overwritten. */
int cli_decode_bytes(const cli_settings *settings, uint8_t *bytes, size_t size, FILE *out);
/* The end of a line: the data, or its beginning. */
void cli_show_data(FILE *out, const uint8_t *data, size_t size);
/* 0 to 15, or -1. */
int cli_hex_digit(uint8_t character);

#endif
