/* SPDX-License-Identifier: MIT */
/* Messages as lines of text, in each cli_format. */
#ifndef GOIPC_CLI_MESSAGE_H
#define GOIPC_CLI_MESSAGE_H

#include "cli.h"

/* What a line of input says. */
typedef struct message_line {
    goipc_client_id to; /* GOIPC_CLIENT_ALL unless the line names a client */
    uint32_t type;
    uint8_t *data; /* inside the line */
    size_t size;
} message_line;

/* Writes one message as settings->format wants it. */
void message_put(FILE *out, const cli_settings *settings, const goipc_message *message);
/* The members of a JSON object that hold the data. */
void message_put_json_data(FILE *out, const uint8_t *data, size_t size);

/* Reads a line, without its newline, in place; line[size] MUST be writable. False after saying why
 * it is not sent. */
bool message_read(const cli_settings *settings, uint8_t *line, size_t size, message_line *message);

#endif
