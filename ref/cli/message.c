/* SPDX-License-Identifier: MIT */
#include "message.h"

#include "console.h"
#include "text.h"

#include <string.h>

#if defined(CLI_HAVE_CJSON)
#include <cjson/cJSON.h>
#endif

enum { SHOWN_SIZE_MAX = 60 };

/* --- out -------------------------------------------------------------------------------------- */

void message_put_json_data(FILE *out, const uint8_t *data, size_t size)
{
    if (text_is_utf8(data, size)) {
        fputs("\"data\":", out);
        text_put_json(out, data, size);
    } else {
        fputs("\"hex\":\"", out);
        text_put_hex(out, data, size);
        fputc('"', out);
    }
}

static void put_json(FILE *out, const goipc_message *message)
{
    fputc('{', out);
    if (message->client != 0) {
        fprintf(out, "\"client\":%llu,", (unsigned long long)message->client);
    }
    fprintf(out, "\"type\":%lld,", (long long)message->type);
    message_put_json_data(out, message->data, message->data_size);
    fputc('}', out);
}

void message_put(FILE *out, const cli_settings *settings, const goipc_message *message)
{
    if (settings->show_types && settings->format != CLI_FORMAT_JSON) {
        fprintf(out, "%lld\t", (long long)message->type);
    }
    switch (settings->format) {
    case CLI_FORMAT_HEX:
        text_put_hex(out, message->data, message->data_size);
        break;
    case CLI_FORMAT_QUOTED:
        fputc('"', out);
        text_put_escaped(out, message->data, message->data_size, console_is_unicode(), true);
        fputc('"', out);
        break;
    case CLI_FORMAT_JSON:
        put_json(out, message);
        break;
    case CLI_FORMAT_RAW:
        fwrite(message->data, 1, message->data_size, out);
        return;
    case CLI_FORMAT_LINES:
        if (settings->show_types || console_out_is_terminal()) {
            text_put_escaped(out, message->data, message->data_size, console_is_unicode(), false);
        } else {
            fwrite(message->data, 1, message->data_size, out);
        }
        break;
    }
    fputc('\n', out);
}

/* --- in --------------------------------------------------------------------------------------- */

static bool refuse(const uint8_t *line, size_t size, const char *why)
{
    cli_say("not sent, %s: %.*s", why, (int)(size < SHOWN_SIZE_MAX ? size : SHOWN_SIZE_MAX),
            (const char *)line);
    return false;
}

static bool read_quoted(uint8_t *line, size_t size, message_line *message)
{
    message->data = line + 1;
    message->size = size - 2;
    if (size < 2 || line[0] != '"' || line[size - 1] != '"') {
        return refuse(line, size, "not a string in double quotes");
    }
    for (size_t i = 1; i < size - 1; i++) {
        if (line[i] == '"') {
            return refuse(line, size, "a double quote inside needs a backslash");
        }
        i += line[i] == '\\' ? 1 : 0;
    }
    return text_unescape(message->data, &message->size) || refuse(line, size, "an unknown escape");
}

#if defined(CLI_HAVE_CJSON)

/* A whole number of the object, or `value` as it is where there is none. */
static bool read_number(const cJSON *object, const char *name, double max, uint64_t *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (item == NULL) {
        return true;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 1 && item->valuedouble <= max)) {
        return false;
    }
    *value = (uint64_t)item->valuedouble;
    return (double)*value <= item->valuedouble && (double)*value >= item->valuedouble;
}

/* Why the object is no message, or NULL. Data is copied to `line`, which is longer. */
static const char *read_object(const cli_settings *settings, const cJSON *object, uint8_t *line,
                               message_line *message)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(object, "data");
    const cJSON *hex = cJSON_GetObjectItemCaseSensitive(object, "hex");
    const cJSON *given = data != NULL ? data : hex;
    uint64_t type = settings->type, client = GOIPC_CLIENT_ALL;

    if (!cJSON_IsObject(object)) {
        return "not a JSON object";
    }
    if (!read_number(object, "type", UINT32_MAX, &type)) {
        return "\"type\" is not a whole number from 1 to 4294967295";
    }
    if (!read_number(object, "client", 9007199254740991.0, &client)) {
        return "\"client\" is not a whole number from 1";
    }
    if (!cJSON_IsString(given) || (data != NULL && hex != NULL)) {
        return "one string \"data\" or \"hex\" is needed";
    }
    message->to = client;
    message->type = (uint32_t)type;
    message->data = line;
    message->size = strlen(given->valuestring);
    memcpy(line, given->valuestring, message->size);
    if (given == hex && !text_decode_hex(line, &message->size)) {
        return "\"hex\" is not pairs of hexadecimal digits";
    }
    return NULL;
}

/* cJSON ends strings at a zero byte, so a message would be cut there in silence. */
static bool has_zero_escape(const uint8_t *line, size_t size)
{
    for (size_t i = 0; i + 6 <= size; i++) {
        if (line[i] == '\\') {
            if (memcmp(line + i, "\\u0000", 6) == 0) {
                return true;
            }
            i++;
        }
    }
    return false;
}

static bool read_json(const cli_settings *settings, uint8_t *line, size_t size,
                      message_line *message)
{
    const char *problem = NULL;
    cJSON *object;

    if (has_zero_escape(line, size)) {
        return refuse(line, size, "a string with \\u0000; use \"hex\"");
    }
    line[size] = '\0'; /* so that nothing but white space may follow the object */
    object = cJSON_ParseWithLengthOpts((const char *)line, size + 1, NULL, 1);
    if (object == NULL) {
        return refuse(line, size, "not a JSON object");
    }
    problem = read_object(settings, object, line, message);
    cJSON_Delete(object);
    return problem == NULL || refuse(line, size, problem);
}

#else

static bool read_json(const cli_settings *settings, uint8_t *line, size_t size,
                      message_line *message)
{
    (void)settings;
    (void)message;
    return refuse(line, size, "this program is built without cJSON, which reads JSON");
}

#endif

bool message_read(const cli_settings *settings, uint8_t *line, size_t size, message_line *message)
{
    *message = (message_line){GOIPC_CLIENT_ALL, settings->type, line, size};
    switch (settings->format) {
    case CLI_FORMAT_HEX:
        return text_decode_hex(line, &message->size) || refuse(line, size, "not hexadecimal");
    case CLI_FORMAT_QUOTED:
        return read_quoted(line, size, message);
    case CLI_FORMAT_JSON:
        return read_json(settings, line, size, message);
    case CLI_FORMAT_LINES:
    case CLI_FORMAT_RAW:
        break;
    }
    return true;
}
