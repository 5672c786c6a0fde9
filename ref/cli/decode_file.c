/* SPDX-License-Identifier: MIT */
/* Whole files, and `goipc decode`, which explains one. */
#include "console.h"

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

bool cli_read_file(const char *path, uint8_t **bytes, size_t *size)
{
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    bool failed;

    if (file == NULL) {
        cli_say("cannot read %s: %s", path, strerror(errno));
        return false;
    }
    *bytes = read_all(file, size);
    failed = ferror(file) != 0;
    if (failed) {
        cli_say("cannot read %s: %s", path, strerror(errno));
    } else if (*bytes == NULL) {
        cli_say("%s is too large for memory", path);
    }
    if (!standard) {
        fclose(file);
    }
    return *bytes != NULL && !failed;
}

int cli_decode(const cli_settings *settings)
{
    uint8_t *bytes = NULL;
    size_t size;
    int status = CLI_EXIT_FAILED;

    if (cli_read_file(settings->name, &bytes, &size)) {
        status = cli_decode_bytes(settings, bytes, size, console_out());
        status = console_flush() ? status : CLI_EXIT_FAILED;
    }
    free(bytes);
    return status;
}
