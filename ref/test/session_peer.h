/* SPDX-License-Identifier: MIT */
/* What the tests of the session share: moving bytes between two of them, and crypto tables whose
 * randomness or key form is scripted. */
#ifndef GOIPC_TEST_SESSION_PEER_H
#define GOIPC_TEST_SESSION_PEER_H

#include "core/session.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

/* Feeds bytes in pieces of at most `chunk`, taking no events: only for what one read may bring. */
static inline goipc_error feed(goipc_session *session, const uint8_t *bytes, size_t size,
                               size_t chunk)
{
    while (size > 0) {
        uint8_t *in;
        size_t capacity;
        goipc_error error = goipc_session_input(session, &in, &capacity);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        capacity = capacity < chunk ? capacity : chunk;
        capacity = capacity < size ? capacity : size;
        memcpy(in, bytes, capacity);
        error = goipc_session_input_commit(session, capacity);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        bytes += capacity;
        size -= capacity;
    }
    return GOIPC_ERROR_OK;
}

/* Feeds bytes piece by piece until an event other than NEED_INPUT or an error, or all are fed. */
static inline goipc_error feed_for_event(goipc_session *session, const uint8_t *bytes, size_t size,
                                         size_t chunk, goipc_event *event)
{
    goipc_error error = goipc_session_next_event(session, event);

    while (error == GOIPC_ERROR_OK && event->type == GOIPC_EVENT_NEED_INPUT && size > 0) {
        const size_t piece = size < chunk ? size : chunk;

        error = feed(session, bytes, piece, piece);
        bytes += piece;
        size -= piece;
        if (error == GOIPC_ERROR_OK) {
            error = goipc_session_next_event(session, event);
        }
    }
    return error;
}

/* Moves what `from` has to say into `to`, at most `chunk` bytes; how many were moved. */
static inline size_t move_output(goipc_session *from, goipc_session *to, size_t chunk)
{
    const uint8_t *out;
    size_t size;

    goipc_session_output(from, &out, &size);
    size = size < chunk ? size : chunk;
    EXPECT(feed(to, out, size, size) == GOIPC_ERROR_OK);
    goipc_session_output_consume(from, size);
    return size;
}

/* Runs both until `to` has an event; bytes cross in pieces of `chunk`. */
static inline goipc_error pump(goipc_session *from, goipc_session *to, size_t chunk,
                               goipc_event *event)
{
    goipc_error error = goipc_session_next_event(to, event);

    while (error == GOIPC_ERROR_OK && event->type == GOIPC_EVENT_NEED_INPUT &&
           move_output(from, to, chunk) > 0) {
        error = goipc_session_next_event(to, event);
    }
    return error;
}

/* Takes a pair through the handshake. */
static inline void connect_pair(goipc_session *server, goipc_session *client, size_t chunk)
{
    bool server_connected = false, client_connected = false;

    for (int turn = 0; turn < 10 && !(server_connected && client_connected); turn++) {
        goipc_event event;

        if (!client_connected) {
            EXPECT(pump(server, client, chunk, &event) == GOIPC_ERROR_OK);
            client_connected = event.type == GOIPC_EVENT_CONNECTED;
        }
        if (!server_connected) {
            EXPECT(pump(client, server, chunk, &event) == GOIPC_ERROR_OK);
            server_connected = event.type == GOIPC_EVENT_CONNECTED;
        }
    }
    EXPECT(server_connected && client_connected);
}

static inline goipc_session *new_session(goipc_role role, goipc_encryption encryption,
                                         const goipc_crypto *crypto, uint32_t message_size_max)
{
    const goipc_session_config config = {.role = role,
                                         .encryption = encryption,
                                         .message_size_max = message_size_max,
                                         .crypto = crypto};
    goipc_session *session;

    EXPECT(goipc_session_new(&config, &session) == GOIPC_ERROR_OK);
    return session;
}

/* --- scripted crypto tables ------------------------------------------------------------------- */

/* Gives the bytes 1, 2, 3, ... from `next` on, so that keys and nonces are known. */
typedef struct scripted {
    const goipc_crypto *real;
    uint8_t next;
} scripted;

static inline goipc_error scripted_random(void *context, uint8_t *out, size_t size)
{
    scripted *script = context;

    for (size_t i = 0; i < size; i++) {
        out[i] = script->next++;
    }
    return GOIPC_ERROR_OK;
}

static inline goipc_error scripted_p384_public(void *context, const uint8_t private_key[48],
                                               uint8_t public_key[97])
{
    const scripted *script = context;

    return script->real->p384_public(script->real->context, private_key, public_key);
}

static inline goipc_error scripted_p384_shared(void *context, const uint8_t private_key[48],
                                               const uint8_t peer_public_key[97],
                                               uint8_t shared_x[48])
{
    const scripted *script = context;

    return script->real->p384_shared(script->real->context, private_key, peer_public_key, shared_x);
}

/* Replaces the shared X by one that starts with a zero byte, the same on both sides. */
static inline goipc_error leading_zero_p384_shared(void *context, const uint8_t private_key[48],
                                                   const uint8_t peer_public_key[97],
                                                   uint8_t shared_x[48])
{
    goipc_error error = scripted_p384_shared(context, private_key, peer_public_key, shared_x);

    shared_x[0] = 0;
    shared_x[1] |= 1;
    return error;
}

static inline goipc_error scripted_sha256(void *context, const uint8_t *in, size_t in_size,
                                          uint8_t out[32])
{
    const scripted *script = context;

    return script->real->sha256(script->real->context, in, in_size, out);
}

/* Hashes the shared X padded to 48 bytes, whatever it is given: a peer of the fixed key form. */
static inline goipc_error fixed_form_sha256(void *context, const uint8_t *in, size_t in_size,
                                            uint8_t out[32])
{
    uint8_t padded[48] = {0};

    memcpy(padded + sizeof padded - in_size, in, in_size);
    return scripted_sha256(context, padded, sizeof padded, out);
}

static inline goipc_error scripted_aead_new(void *context, const goipc_allocator *allocator,
                                            const uint8_t key[32], void **aead)
{
    const scripted *script = context;

    return script->real->aead_new(script->real->context, allocator, key, aead);
}

static inline goipc_error scripted_aead_seal(void *context, void *aead, const uint8_t nonce[12],
                                             const uint8_t head[4], const uint8_t *data,
                                             size_t data_size, uint8_t *out, uint8_t tag[16])
{
    const scripted *script = context;

    return script->real->aead_seal(script->real->context, aead, nonce, head, data, data_size, out,
                                   tag);
}

static inline goipc_error scripted_aead_open(void *context, void *aead, const uint8_t nonce[12],
                                             const uint8_t *in, size_t in_size,
                                             const uint8_t tag[16], uint8_t *out)
{
    const scripted *script = context;

    return script->real->aead_open(script->real->context, aead, nonce, in, in_size, tag, out);
}

static inline void scripted_aead_free(void *context, const goipc_allocator *allocator, void *aead)
{
    const scripted *script = context;

    script->real->aead_free(script->real->context, allocator, aead);
}

static inline goipc_crypto scripted_crypto(scripted *script)
{
    const goipc_crypto crypto = {
        .name = "scripted",
        .context = script,
        .random = scripted_random,
        .p384_public = scripted_p384_public,
        .p384_shared = scripted_p384_shared,
        .sha256 = scripted_sha256,
        .aead_new = scripted_aead_new,
        .aead_seal = scripted_aead_seal,
        .aead_open = scripted_aead_open,
        .aead_free = scripted_aead_free,
    };
    return crypto;
}

#endif
