/* SPDX-License-Identifier: MIT */
/* Bytes of a peer as text that neither moves a cursor nor forges a line. */
#ifndef GOIPC_CLI_TEXT_H
#define GOIPC_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Printable text stays; a backslash becomes two, and every other byte \n, \t, \r or \xNN. Text
 * outside ASCII stays where it is valid UTF-8 and `unicode` is set, except for characters that
 * control the layout of a terminal. With `quote`, a double quote becomes \". */
void text_put_escaped(FILE *out, const uint8_t *data, size_t size, bool unicode, bool quote);
/* Undoes text_put_escaped in place. False for anything that it does not write. */
bool text_unescape(uint8_t *text, size_t *size);

/* Replaces in place what text_put_escaped escapes, except backslashes, by question marks. */
void text_clean(char *text, bool unicode);

void text_put_hex(FILE *out, const uint8_t *data, size_t size);
/* Decodes in place; false for anything but pairs of hexadecimal digits. */
bool text_decode_hex(uint8_t *text, size_t *size);
/* 0 to 15, or -1. */
int text_hex_digit(uint8_t character);

/* A string of JSON, in its quotes. `text` MUST be valid UTF-8. */
void text_put_json(FILE *out, const uint8_t *text, size_t size);
bool text_is_utf8(const uint8_t *text, size_t size);

#endif
