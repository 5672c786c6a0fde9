/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <string.h>

/* --- UTF-8 ------------------------------------------------------------------------------------ */

/* Bytes of the character at `at`, of which `left` bytes are there; 0 when it is not UTF-8. */
static size_t read_character(const uint8_t *at, size_t left, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t size = at[0] < 0x80              ? 1
                        : (at[0] & 0xe0u) == 0xc0 ? 2
                        : (at[0] & 0xf0u) == 0xe0 ? 3
                        : (at[0] & 0xf8u) == 0xf0 ? 4
                                                  : 0;

    if (size == 0 || size > left) {
        return 0;
    }
    *character = size == 1 ? at[0] : at[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0u) != 0x80) {
            return 0;
        }
        *character = *character << 6 | (at[i] & 0x3fu);
    }
    if (*character < smallest[size] || *character > 0x10ffff ||
        (0xd800 <= *character && *character <= 0xdfff)) {
        return 0;
    }
    return size;
}

bool text_is_utf8(const uint8_t *text, size_t size)
{
    uint32_t character;
    size_t step;

    for (size_t at = 0; at < size; at += step) {
        step = read_character(text + at, size - at, &character);
        if (step == 0) {
            return false;
        }
    }
    return true;
}

/* False for control characters, separators of lines, marks that turn the direction of writing, and
 * characters without a width. */
static bool is_printable(uint32_t character)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
        {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff},
    };

    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if (hidden[i].first <= character && character <= hidden[i].last) {
            return false;
        }
    }
    return true;
}

/* --- escapes ---------------------------------------------------------------------------------- */

static const char named[] = "n\nt\tr\r\\\\\"\""; /* a letter, and the byte that it stands for */

static void put_byte(FILE *out, uint8_t byte)
{
    for (size_t i = 0; named[i] != '\0'; i += 2) {
        if ((uint8_t)named[i + 1] == byte) {
            fprintf(out, "\\%c", named[i]);
            return;
        }
    }
    fprintf(out, "\\x%02x", byte);
}

void text_put_escaped(FILE *out, const uint8_t *data, size_t size, bool unicode, bool quote)
{
    size_t step;

    for (size_t at = 0; at < size; at += step) {
        uint32_t character = 0;

        step = read_character(data + at, size - at, &character);
        if (step > 0 && is_printable(character) && (step == 1 || unicode) && character != '\\' &&
            (character != '"' || !quote)) {
            fwrite(data + at, 1, step, out);
        } else {
            step = step == 0 ? 1 : step;
            for (size_t i = 0; i < step; i++) {
                put_byte(out, data[at + i]);
            }
        }
    }
}

void text_clean(char *text, bool unicode)
{
    const size_t size = strlen(text);
    size_t step;

    for (size_t at = 0; at < size; at += step) {
        uint32_t character = 0;

        step = read_character((const uint8_t *)text + at, size - at, &character);
        if (step == 0 || !is_printable(character) || (step > 1 && !unicode)) {
            step = step == 0 ? 1 : step;
            memset(text + at, '?', step);
        }
    }
}

/* Reads what follows a backslash; the number of bytes, or 0. */
static size_t read_escape(const uint8_t *at, size_t left, uint8_t *byte)
{
    if (left >= 3 && at[0] == 'x' && text_hex_digit(at[1]) >= 0 && text_hex_digit(at[2]) >= 0) {
        *byte = (uint8_t)(text_hex_digit(at[1]) * 16 + text_hex_digit(at[2]));
        return 3;
    }
    for (size_t i = 0; left > 0 && named[i] != '\0'; i += 2) {
        if ((uint8_t)named[i] == at[0]) {
            *byte = (uint8_t)named[i + 1];
            return 1;
        }
    }
    return 0;
}

bool text_unescape(uint8_t *text, size_t *size)
{
    size_t written = 0;

    for (size_t at = 0; at < *size; written++) {
        if (text[at] == '\\') {
            const size_t step = read_escape(text + at + 1, *size - at - 1, &text[written]);

            if (step == 0) {
                return false;
            }
            at += 1 + step;
        } else {
            text[written] = text[at++];
        }
    }
    *size = written;
    return true;
}

void text_put_json(FILE *out, const uint8_t *text, size_t size)
{
    size_t step;

    fputc('"', out);
    for (size_t at = 0; at < size; at += step) {
        uint32_t character = 0;

        step = read_character(text + at, size - at, &character);
        if (step == 0) {
            break; /* not UTF-8, against the requirement */
        }
        if (character == '"' || character == '\\') {
            fprintf(out, "\\%c", (int)character);
        } else if (is_printable(character)) {
            fwrite(text + at, 1, step, out);
        } else if (character < 0x10000) {
            fprintf(out, "\\u%04x", (unsigned)character);
        } else {
            const unsigned rest = (unsigned)character - 0x10000;

            fprintf(out, "\\u%04x\\u%04x", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
        }
    }
    fputc('"', out);
}

/* --- hexadecimal ------------------------------------------------------------------------------ */

int text_hex_digit(uint8_t character)
{
    static const char digits[] = "0123456789abcdef";
    const int lower = 'A' <= character && character <= 'F' ? character + 'a' - 'A' : character;
    const char *at = memchr(digits, lower, 16);

    return at == NULL ? -1 : (int)(at - digits);
}

void text_put_hex(FILE *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        fprintf(out, "%02x", data[i]);
    }
}

bool text_decode_hex(uint8_t *text, size_t *size)
{
    if (*size % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < *size; i += 2) {
        const int high = text_hex_digit(text[i]);
        const int low = text_hex_digit(text[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        text[i / 2] = (uint8_t)(high * 16 + low);
    }
    *size /= 2;
    return true;
}
