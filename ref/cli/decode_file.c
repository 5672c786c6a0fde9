/* SPDX-License-Identifier: MIT */
/* `goipc decode`: the file that is decoded. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *read_all(FILE *file, size_t *size)
{
    size_t capacity = 65536;
    uint8_t *bytes = malloc(capacity);

    *size = 0;
    while (bytes != NULL) {
        uint8_t *grown;

        *size += fread(bytes + *size, 1, capacity - *size, file);
        if (*size < capacity) {
            return bytes;
        }
        capacity *= 2;
        grown = realloc(bytes, capacity);
        if (grown == NULL) {
            free(bytes);
        }
        bytes = grown;
    }
    return NULL;
}

int cli_decode(const cli_settings *settings)
{
    const bool standard = strcmp(settings->name, "-") == 0;
    FILE *file = standard ? stdin : fopen(settings->name, "rb");
    uint8_t *bytes;
    size_t size;
    int code;

    if (file == NULL) {
        cli_say("cannot read %s: %s", settings->name, strerror(errno));
        return CLI_EXIT_FAILED;
    }
    bytes = read_all(file, &size);
    if (!standard) {
        fclose(file);
    }
    if (bytes == NULL) {
        cli_say("%s is too large for memory", settings->name);
        return CLI_EXIT_FAILED;
    }
    code = cli_decode_bytes(settings, bytes, size, stdout);
    free(bytes);
    return code;
}
