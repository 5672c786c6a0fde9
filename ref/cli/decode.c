/* SPDX-License-Identifier: MIT */
/* What `goipc decode` says of a recorded stream of one direction. Everything in it is foreign
 * input. */
#include "cli.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

enum { SHOWN_SIZE_MAX = 48 };

typedef struct decoding {
    const cli_settings *settings;
    FILE *out;
    uint8_t *bytes;
    size_t size;
    size_t at;
    bool encrypted;
    bool failed;
} decoding;

/* --- text ------------------------------------------------------------------------------------- */

void cli_show_data(FILE *out, const uint8_t *data, size_t size)
{
    const size_t shown = size < SHOWN_SIZE_MAX ? size : SHOWN_SIZE_MAX;
    bool text = size > 0;

    for (size_t i = 0; i < shown; i++) {
        text = text && isprint(data[i]);
    }
    if (text) {
        fputs(" \"", out);
        text_put_escaped(out, data, shown, false, true);
        fputc('"', out);
    } else if (shown > 0) {
        fputc(' ', out);
        text_put_hex(out, data, shown);
    }
    fputs(shown < size ? "...\n" : "\n", out);
}

/* Hexadecimal with any white space becomes bytes in place; anything else stays as it is. */
static void undo_hex(uint8_t *bytes, size_t *size)
{
    size_t digits = 0;

    for (size_t i = 0; i < *size; i++) {
        if (!isxdigit(bytes[i]) && !isspace(bytes[i])) {
            return;
        }
        digits += isxdigit(bytes[i]) ? 1 : 0;
    }
    if (digits == 0 || digits % 2 != 0) {
        return;
    }
    digits = 0;
    for (size_t i = 0; i < *size; i++) {
        if (isxdigit(bytes[i])) {
            const int value = text_hex_digit(bytes[i]);

            bytes[digits / 2] = (uint8_t)(digits % 2 == 0 ? value * 16 : bytes[digits / 2] + value);
            digits++;
        }
    }
    *size = digits / 2;
}

/* --- telling ---------------------------------------------------------------------------------- */

static size_t left(const decoding *self)
{
    return self->size - self->at;
}

static bool cut_off(decoding *self, const char *what, size_t wanted)
{
    if (left(self) >= wanted) {
        return false;
    }
    fprintf(self->out, "%08zx  %s: cut off, %zu of %zu bytes\n", self->at, what, left(self),
            wanted);
    self->at = self->size;
    self->failed = true;
    return true;
}

static void tell_key(decoding *self, const char *what)
{
    if (cut_off(self, what, GOIPC_P384_PUBLIC_SIZE)) {
        return;
    }
    fprintf(self->out, "%08zx  %s: P-384 point%s, X", self->at, what,
            self->bytes[self->at] == 4 ? "" : " (not 04: invalid)");
    cli_show_data(self->out, self->bytes + self->at + 1, GOIPC_P384_SHARED_SIZE);
    self->at += GOIPC_P384_PUBLIC_SIZE;
}

static void tell_opened(decoding *self, uint8_t *body, size_t body_size)
{
    static const char *const sealed = "sealed frame";
    const goipc_crypto *given = self->settings->options.crypto;
    const goipc_crypto *crypto = given != NULL ? given : goipc_crypto_default();
    uint32_t type;
    const uint8_t *data;
    size_t data_size;
    goipc_error error;

    if (!self->settings->has_key) {
        fprintf(self->out, "%s, %zu bytes of data, nonce", sealed,
                body_size - GOIPC_SEAL_OVERHEAD - GOIPC_FRAME_TYPE_SIZE);
        cli_show_data(self->out, body, GOIPC_NONCE_SIZE);
        return;
    }
    error = crypto == NULL ? GOIPC_ERROR_CRYPTO_UNAVAILABLE
                           : goipc_crypto_open_frame(crypto, self->settings->key, body, body_size,
                                                     &type, &data, &data_size);
    if (error != GOIPC_ERROR_OK) {
        fprintf(self->out, "%s: %s\n", sealed, goipc_error_text(error));
        self->failed = true;
        return;
    }
    fprintf(self->out, "type %lu, %zu bytes of data", (unsigned long)type, data_size);
    cli_show_data(self->out, data, data_size);
}

/* One frame. `limit`: it is the server's first, which has no type but a number. */
static void tell_frame(decoding *self, bool limit)
{
    const uint32_t smallest = GOIPC_FRAME_TYPE_SIZE + (self->encrypted ? GOIPC_SEAL_OVERHEAD : 0);
    uint8_t *frame = self->bytes + self->at;
    goipc_frame_header header;
    goipc_decode result;
    size_t needed;
    const goipc_error error = goipc_wire_decode_header(frame, left(self), smallest, UINT32_MAX,
                                                       &result, &needed, &header);

    if (error != GOIPC_ERROR_OK) {
        fprintf(self->out, "%08zx  length %lu: %s\n", self->at,
                (unsigned long)goipc_wire_get_u32(frame), goipc_error_text(error));
        self->failed = true;
        self->at = self->size;
        return;
    }
    if (cut_off(self, "frame", needed)) {
        return;
    }
    fprintf(self->out, "%08zx  ", self->at);
    frame += GOIPC_FRAME_LENGTH_SIZE;
    if (limit) {
        fputs("LIMIT: ", self->out);
    }
    if (self->encrypted) {
        tell_opened(self, frame, header.body_size);
    } else if (limit) {
        fprintf(self->out, "messages of at most %lu bytes\n",
                (unsigned long)goipc_wire_get_u32(frame));
    } else {
        fprintf(self->out, "type %lu, %zu bytes of data", (unsigned long)goipc_wire_get_u32(frame),
                (size_t)header.body_size - GOIPC_FRAME_TYPE_SIZE);
        cli_show_data(self->out, frame + GOIPC_FRAME_TYPE_SIZE,
                      header.body_size - GOIPC_FRAME_TYPE_SIZE);
    }
    self->at += needed;
}

static void tell_server_handshake(decoding *self)
{
    if (cut_off(self, "HELLO", GOIPC_HELLO_SIZE)) {
        return;
    }
    self->encrypted = self->bytes[self->at + 1] != 0;
    fprintf(self->out, "%08zx  HELLO: version %d, %s (%d)\n", self->at, self->bytes[self->at],
            self->encrypted ? "encrypted" : "plain", self->bytes[self->at + 1]);
    self->at += GOIPC_HELLO_SIZE;
    if (self->encrypted && left(self) > 0) {
        tell_key(self, "SERVER_KEY");
    }
    if (left(self) > 0) {
        tell_frame(self, true);
    }
}

static void tell_client_handshake(decoding *self)
{
    static const char *const meanings[] = {"go on", "other version", "encryption does not match"};
    uint8_t reply;

    if (cut_off(self, "HELLO_REPLY", GOIPC_REPLY_SIZE)) {
        return;
    }
    reply = self->bytes[self->at];
    fprintf(self->out, "%08zx  HELLO_REPLY: %d (%s)\n", self->at, reply,
            reply < sizeof meanings / sizeof meanings[0] ? meanings[reply] : "refused");
    self->at += GOIPC_REPLY_SIZE;
    /* What follows a plain server's HELLO is LIMIT_REPLY, 0; a point starts with 04. */
    self->encrypted = left(self) > 0 && self->bytes[self->at] == 4;
    if (self->encrypted) {
        tell_key(self, "CLIENT_KEY");
    }
    if (left(self) > 0) {
        fprintf(self->out, "%08zx  LIMIT_REPLY: %d\n", self->at, self->bytes[self->at]);
        self->at += GOIPC_REPLY_SIZE;
    }
}

int cli_decode_bytes(const cli_settings *settings, uint8_t *bytes, size_t size, FILE *out)
{
    decoding self = {settings, .out = out, .bytes = bytes, .encrypted = settings->has_key};

    undo_hex(bytes, &size);
    self.size = size;
    if (settings->from == CLI_FROM_SERVER) {
        tell_server_handshake(&self);
    } else if (settings->from == CLI_FROM_CLIENT) {
        tell_client_handshake(&self);
    }
    while (left(&self) > 0) {
        tell_frame(&self, false);
    }
    return self.failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
