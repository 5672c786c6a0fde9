/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More room for a line. */
static char *grow_line(char *line, size_t capacity)
{
    char *grown = realloc(line, capacity);

    if (grown == NULL) {
        fprintf(stderr, "adapter: out of memory\n");
        exit(1);
    }
    return grown;
}

char *line_read(void)
{
    size_t capacity = 4096, size = 0;
    char *line = grow_line(NULL, capacity);

    while (fgets(line + size, (int)(capacity - size), stdin) != NULL) {
        size += strlen(line + size);
        if (size > 0 && line[size - 1] == '\n') {
            line[size - 1] = '\0';
            return line;
        }
        if (size + 1 == capacity) {
            capacity *= 2;
            line = grow_line(line, capacity);
        }
    }
    if (size > 0) {
        return line; /* a last line without its end */
    }
    free(line);
    return NULL;
}

void line_write(cJSON *object)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char *text = cJSON_PrintUnformatted(object);

    cJSON_Delete(object);
    if (text == NULL) {
        fprintf(stderr, "adapter: out of memory\n");
        exit(1);
    }
    pthread_mutex_lock(&lock);
    puts(text);
    fflush(stdout);
    pthread_mutex_unlock(&lock);
    cJSON_free(text);
}

cJSON *reply_new(const cJSON *request, bool ok)
{
    cJSON *reply = cJSON_CreateObject();
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(request, "id");

    cJSON_AddItemToObject(reply, "id", id != NULL ? cJSON_Duplicate(id, true) : cJSON_CreateNull());
    cJSON_AddBoolToObject(reply, "ok", ok);
    return reply;
}

void reply_ok(const cJSON *request)
{
    line_write(reply_new(request, true));
}

void reply_unsupported(const cJSON *request, const char *reason)
{
    cJSON *reply = reply_new(request, false);

    cJSON_AddBoolToObject(reply, "unsupported", true);
    cJSON_AddStringToObject(reply, "reason", reason);
    line_write(reply);
}

void reply_error(const cJSON *request, const char *class_name, const char *message)
{
    cJSON *reply = reply_new(request, false);
    cJSON *error = cJSON_AddObjectToObject(reply, "error");

    cJSON_AddStringToObject(error, "class", class_name);
    cJSON_AddStringToObject(error, "message", message);
    line_write(reply);
}

const char *error_class(goipc_error error)
{
    static const struct {
        goipc_error error;
        const char *class_name;
    } rows[] = {
        {GOIPC_ERROR_NAME, "name"},
        {GOIPC_ERROR_TYPE_RESERVED, "reserved-type"},
        {GOIPC_ERROR_MESSAGE_SIZE, "too-large"},
        {GOIPC_ERROR_CLOSED, "closed"},
        {GOIPC_ERROR_NOT_CONNECTED, "closed"},
        {GOIPC_ERROR_DISCONNECTED, "closed"},
        {GOIPC_ERROR_TIMEOUT, "timeout"},
        {GOIPC_ERROR_WOULD_BLOCK, "timeout"},
        {GOIPC_ERROR_HANDSHAKE_TIMEOUT, "timeout"},
        {GOIPC_ERROR_VERSION, "version"},
        {GOIPC_ERROR_ENCRYPTION, "encryption"},
        {GOIPC_ERROR_REPLY, "reply"},
        {GOIPC_ERROR_PUBLIC_KEY, "key"},
        {GOIPC_ERROR_DECRYPT, "auth"},
        {GOIPC_ERROR_REFLECTED, "auth"},
        {GOIPC_ERROR_FRAME_SIZE, "framing"},
        {GOIPC_ERROR_TRUNCATED, "framing"},
        {GOIPC_ERROR_ADDRESS_IN_USE, "in-use"},
        {GOIPC_ERROR_PATH_BLOCKED, "in-use"},
        {GOIPC_ERROR_CREDENTIALS, "permission"},
        {GOIPC_ERROR_PERMISSION, "permission"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].error == error) {
            return rows[i].class_name;
        }
    }
    return "other";
}

void reply_goipc(const cJSON *request, goipc_error error)
{
    if (error == GOIPC_ERROR_OK) {
        reply_ok(request);
    } else {
        reply_error(request, error_class(error), goipc_error_text(error));
    }
}

const char *field_text(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return text != NULL ? text : "";
}

double field_number(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static int digit_value(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

bool field_bytes(const cJSON *object, const char *name, uint8_t **bytes, size_t *size)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    size_t digits;

    *bytes = NULL;
    *size = 0;
    if (text == NULL) {
        return false;
    }
    digits = strlen(text);
    *bytes = malloc(digits / 2 + 1);
    if (*bytes == NULL || digits % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < digits; i += 2) {
        const int high = digit_value(text[i]), low = digit_value(text[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        (*bytes)[i / 2] = (uint8_t)(high << 4 | low);
    }
    *size = digits / 2;
    return true;
}

bool field_exact(const cJSON *object, const char *name, uint8_t *bytes, size_t size)
{
    uint8_t *found;
    size_t found_size;
    const bool ok = field_bytes(object, name, &found, &found_size) && found_size == size;

    if (ok) {
        memcpy(bytes, found, size);
    }
    free(found);
    return ok;
}

void add_hex(cJSON *object, const char *name, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * size + 1);

    if (text == NULL) {
        return; /* the runner sees the field missing, and says so */
    }
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = '\0';
    cJSON_AddStringToObject(object, name, text);
    free(text);
}
