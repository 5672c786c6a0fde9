/* SPDX-License-Identifier: MIT */
/* The commands and options of the program, written once: what is parsed, the help, the manual page
 * and the completions of shells come from here. */
#ifndef GOIPC_CLI_TABLE_H
#define GOIPC_CLI_TABLE_H

#include "cli.h"

/* One bit a command, so that an option can name those that take it. */
enum {
    TABLE_SERVE = 1,
    TABLE_CONNECT = 2,
    TABLE_TAP = 4,
    TABLE_BENCH = 8,
    TABLE_DECODE = 16,
    TABLE_COMPLETION = 32,
    TABLE_TALK = TABLE_SERVE | TABLE_CONNECT,
    TABLE_ENDPOINT = TABLE_TALK | TABLE_TAP | TABLE_BENCH,
};

/* What stands behind a command or an option. */
typedef enum table_value {
    TABLE_NONE,
    TABLE_TEXT,
    TABLE_NUMBER,
    TABLE_WORD, /* one of `words` */
    TABLE_FILE,
    TABLE_DIRECTORY,
    TABLE_ENDPOINT_NAME,
} table_value;

typedef struct table_command {
    const char *name;
    unsigned bit;
    const char *operands; /* for people */
    table_value operand;
    const char *words;
    int operand_count_max;
    const char *summary; /* one line */
    const char *text;    /* what the line does not say */
    int (*run)(const cli_settings *settings);
} table_command;

/* Options without a letter. */
enum {
    OPTION_QUOTED = 256,
    OPTION_JSON,
    OPTION_RAW,
    OPTION_ENCRYPTION,
    OPTION_NO_ENCRYPTION,
    OPTION_MESSAGE_SIZE_MAX,
    OPTION_CRYPTO,
    OPTION_ABSTRACT,
    OPTION_ANY_USER,
    OPTION_HANDSHAKE_TIMEOUT,
    OPTION_UNMASK,
    OPTION_TIMEOUT,
    OPTION_LINGER,
    OPTION_SIZE,
    OPTION_FROM,
    OPTION_KEY,
};

typedef struct table_option {
    int id; /* the letter, or one of the above */
    const char *name;
    unsigned commands;
    table_value value;
    const char *argument; /* for people */
    const char *words;
    uint64_t min, max; /* TABLE_NUMBER */
    const char *text;
} table_option;

extern const table_command table_commands[];
extern const size_t table_command_count;
extern const table_option table_options[];
extern const size_t table_option_count;

/* NULL when there is no such command. */
const table_command *table_find_command(const char *name);
/* NULL when there is no such option. */
const table_option *table_find_option(int id);
/* 0 when the option has none. */
char table_letter(const table_option *option);

/* The help of one command, or of the program for NULL. */
void table_put_help(FILE *out, const table_command *command);
/* The sections SYNOPSIS, COMMANDS and OPTIONS of the manual page. */
void table_put_manual(FILE *out);
/* False when there is no completion for this shell. */
bool table_put_completion(FILE *out, const char *shell);

#endif
