/* SPDX-License-Identifier: MIT */
/* Lines of HP/1: reading fields out of a request, writing replies and events. */
#ifndef ADAPTER_JSON_H
#define ADAPTER_JSON_H

#include <cjson/cJSON.h>
#include <goipc.h>

/* The next line of standard input without its end, to be freed; NULL at the end of all. */
char *line_read(void);

/* Prints one object as one line and flushes; takes the object. Any thread. */
void line_write(cJSON *object);

/* A reply with the request's id, to be filled and written; `ok` is already in it. */
cJSON *reply_new(const cJSON *request, bool ok);
void reply_ok(const cJSON *request);
void reply_unsupported(const cJSON *request, const char *reason);
void reply_error(const cJSON *request, const char *class_name, const char *message);
/* The class that HP/1 has for an error, and its text. */
const char *error_class(goipc_error error);
void reply_goipc(const cJSON *request, goipc_error error);

const char *field_text(const cJSON *object, const char *name); /* "" when absent */
double field_number(const cJSON *object, const char *name, double otherwise);

/* The bytes of a hexadecimal field, in memory that the caller frees; false when it is absent or not
 * hexadecimal. */
bool field_bytes(const cJSON *object, const char *name, uint8_t **bytes, size_t *size);
/* The same for exactly `size` bytes. */
bool field_exact(const cJSON *object, const char *name, uint8_t *bytes, size_t size);
void add_hex(cJSON *object, const char *name, const uint8_t *bytes, size_t size);

#endif
