/* SPDX-License-Identifier: MIT */
/*
 * Sealed frames: their keys and nonces, and the sealing and opening of large frames in parts.
 *
 * KEY FORMS
 *
 * golang-ipc hashes the shared X without its leading zero bytes, some ports hash all 48. They agree
 * unless X starts with a zero byte. In that case (has_alternative) both keys are tried on the
 * first sealed frame that arrives. The key that opens it is used from then on in both directions.
 * This weakens nothing: both keys come from the same secret.
 */
#include "core/crypto_backend.h"
#include "core/session.h"

#include <assert.h>
#include <string.h>

_Static_assert(GOIPCI_SEALED_PART_SIZE % GOIPCI_AES_BLOCK_SIZE == 0, "parts are whole blocks");

enum { OPENED_PART_SIZE_MIN = 4 * 1024 }; /* fewer bytes wait until more have arrived */

/* A keyed object is made when its direction is first used: with libtomcrypt each has 64 KiB of
 * tables, which a connection that only receives should not need twice. */
static goipc_error ensure_aead(goipc_session *session, void **aead,
                               const uint8_t key[GOIPC_KEY_SIZE])
{
    if (*aead != NULL) {
        return GOIPC_ERROR_OK;
    }
    return session->crypto->aead_new(session->crypto->context, session->allocator, key, aead);
}

/* Changes to the peer's key form, at most once. req: KD-015 */
static void follow_key_form(goipc_session *session)
{
    if (!session->has_alternative || session->sends_alternative ||
        !goipci_flag_is_set(&session->peer_uses_alternative)) {
        return;
    }
    session->crypto->aead_free(session->crypto->context, session->allocator, session->aead_out);
    session->aead_out = NULL;
    session->sends_alternative = true;
}

/* Makes room for `size` bytes of a sealed frame, and writes the bytes before its ciphertext. */
static goipc_error begin_sealed(goipc_session *session, size_t data_size, size_t size,
                                uint8_t **frame)
{
    const size_t body_size = GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE + data_size;
    size_t capacity;
    goipc_error error;

    assert(session->encrypted && !goipci_session_has_lent(session));
    assert(data_size <= GOIPC_MESSAGE_SIZE_CEILING);
    follow_key_form(session);
    error = ensure_aead(session, &session->aead_out,
                        session->sends_alternative ? session->alternative_key : session->key);
    if (error == GOIPC_ERROR_OK) {
        error = goipci_buffer_reserve(&session->out, size);
    }
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    *frame = goipci_buffer_room(&session->out, &capacity);
    goipc_wire_put_u32(*frame, (uint32_t)body_size);
    return goipci_nonces_next(&session->nonces, *frame + GOIPC_FRAME_LENGTH_SIZE);
}

/* req: SE-001, SE-002 */
goipc_error goipci_record_seal(goipc_session *session, uint32_t head, const uint8_t *data,
                               size_t data_size)
{
    const size_t frame_size =
        GOIPC_FRAME_LENGTH_SIZE + GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE + data_size;
    uint8_t head_bytes[GOIPC_FRAME_TYPE_SIZE];
    uint8_t *frame, *nonce, *sealed;
    goipc_error error = begin_sealed(session, data_size, frame_size, &frame);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    nonce = frame + GOIPC_FRAME_LENGTH_SIZE;
    sealed = nonce + GOIPC_NONCE_SIZE;
    goipc_wire_put_u32(head_bytes, head);
    error = session->crypto->aead_seal(session->crypto->context, session->aead_out, nonce,
                                       head_bytes, data, data_size, sealed,
                                       sealed + GOIPC_FRAME_TYPE_SIZE + data_size);
    if (error == GOIPC_ERROR_OK) {
        goipci_buffer_commit(&session->out, frame_size);
    }
    return error;
}

/* Seals the next `size` lent bytes into the queue, and the tag after the last byte. */
goipc_error goipci_record_seal_part(goipc_session *session, size_t size)
{
    const goipc_crypto *crypto = session->crypto;
    const bool is_last = size == session->lent_size;
    const size_t sealed_size = size + (is_last ? GOIPC_TAG_SIZE : 0);
    size_t capacity;
    uint8_t *out;
    goipc_error error = goipci_buffer_reserve(&session->out, sealed_size);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    out = goipci_buffer_room(&session->out, &capacity);
    error = crypto->aead_update(crypto->context, session->aead_out, session->lent, size, out);
    if (error == GOIPC_ERROR_OK && is_last) {
        error = crypto->aead_finish_seal(crypto->context, session->aead_out, out + size);
    }
    if (error == GOIPC_ERROR_OK) {
        goipci_buffer_commit(&session->out, sealed_size);
        session->lent += size;
        session->lent_size -= size;
    }
    return error;
}

/* Starts a sealed frame whose data are lent, and queues its first part. */
goipc_error goipci_record_seal_start(goipc_session *session, uint32_t type, const uint8_t *data,
                                     size_t data_size)
{
    const goipc_crypto *crypto = session->crypto;
    uint8_t *frame, *first;
    goipc_error error =
        begin_sealed(session, data_size,
                     GOIPCI_SEALED_START_SIZE + GOIPCI_SEALED_PART_SIZE + GOIPC_TAG_SIZE, &frame);

    assert(data_size > GOIPCI_BLOCK_DATA_SIZE && crypto->aead_start != NULL);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    first = frame + GOIPC_FRAME_LENGTH_SIZE + GOIPC_NONCE_SIZE;
    goipc_wire_put_u32(first, type);
    memcpy(first + GOIPC_FRAME_TYPE_SIZE, data, GOIPCI_BLOCK_DATA_SIZE);
    error = crypto->aead_start(crypto->context, session->aead_out, frame + GOIPC_FRAME_LENGTH_SIZE,
                               false);
    if (error == GOIPC_ERROR_OK) {
        error = crypto->aead_update(crypto->context, session->aead_out, first,
                                    GOIPCI_AES_BLOCK_SIZE, first);
    }
    if (error != GOIPC_ERROR_OK) {
        goipc_wipe(first, GOIPCI_AES_BLOCK_SIZE);
        return error;
    }
    goipci_buffer_commit(&session->out, GOIPCI_SEALED_START_SIZE);
    session->lent = data + GOIPCI_BLOCK_DATA_SIZE;
    session->lent_size = data_size - GOIPCI_BLOCK_DATA_SIZE;
    return GOIPC_ERROR_OK;
}

/* Opens with the keyed object of the current key form. */
static goipc_error open_with(goipc_session *session, const uint8_t *key, const uint8_t *body,
                             size_t body_size, uint8_t *out)
{
    const size_t sealed_size = body_size - GOIPC_SEAL_OVERHEAD;
    const uint8_t *sealed = body + GOIPC_NONCE_SIZE;
    goipc_error error = ensure_aead(session, &session->aead_in, key);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    return session->crypto->aead_open(session->crypto->context, session->aead_in, body, sealed,
                                      sealed_size, sealed + sealed_size, out);
}

/* Opens the first frame of a connection whose shared X starts with a zero byte. A failed attempt
 * must not destroy the ciphertext for the second one, so the first attempt writes to separate
 * memory. req: KD-013, KD-014, KD-016 */
static goipc_error open_in_either_form(goipc_session *session, uint8_t *body, size_t body_size)
{
    const size_t sealed_size = body_size - GOIPC_SEAL_OVERHEAD;
    uint8_t *out = session->allocator->allocate(session->allocator->context, sealed_size);
    goipc_error error;

    if (out == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    error = open_with(session, session->key, body, body_size, out);
    if (error == GOIPC_ERROR_OK) {
        memcpy(body + GOIPC_NONCE_SIZE, out, sealed_size);
    }
    goipci_release(session->allocator, out, sealed_size);
    if (error != GOIPC_ERROR_DECRYPT) {
        return error;
    }
    session->crypto->aead_free(session->crypto->context, session->allocator, session->aead_in);
    session->aead_in = NULL;
    error = open_with(session, session->alternative_key, body, body_size, body + GOIPC_NONCE_SIZE);
    if (error == GOIPC_ERROR_OK) {
        goipci_flag_set(&session->peer_uses_alternative);
    }
    return error;
}

/* A replayed LIMIT would open as an empty message with a type that the peer did not send. */
static bool is_limit_again(const goipc_session *session, const uint8_t nonce[GOIPC_NONCE_SIZE])
{
    return session->has_limit_nonce &&
           memcmp(nonce, session->limit_nonce, sizeof session->limit_nonce) == 0; /* public */
}

/* The checks of a frame before any of it is opened. req: SE-010, SE-013, SE-014 */
static goipc_error judge_sealed(goipc_session *session, const uint8_t nonce[GOIPC_NONCE_SIZE])
{
    if (goipci_nonces_is_ours(&session->nonces, nonce)) {
        return GOIPC_ERROR_REFLECTED;
    }
    if (is_limit_again(session, nonce)) {
        return GOIPC_ERROR_DECRYPT;
    }
    if (session->opened_count == UINT32_MAX) {
        return GOIPC_ERROR_MESSAGE_COUNT;
    }
    session->opened_count++;
    return GOIPC_ERROR_OK;
}

static bool knows_key_form(const goipc_session *session)
{
    return !session->has_alternative || session->key_settled;
}

/* Starts to open a frame that has arrived only in part. */
static goipc_error start_opening(goipc_session *session, const uint8_t nonce[GOIPC_NONCE_SIZE])
{
    goipc_error error = judge_sealed(session, nonce);

    if (error == GOIPC_ERROR_OK) {
        error = ensure_aead(session, &session->aead_in, session->key);
    }
    if (error == GOIPC_ERROR_OK) {
        error =
            session->crypto->aead_start(session->crypto->context, session->aead_in, nonce, true);
    }
    session->is_opening = error == GOIPC_ERROR_OK;
    session->opened_size = 0;
    return error;
}

/* Decrypts the ciphertext up to `size` in place. */
static goipc_error continue_opening(goipc_session *session, uint8_t *sealed, size_t size)
{
    uint8_t *part = sealed + session->opened_size;
    const goipc_error error = session->crypto->aead_update(
        session->crypto->context, session->aead_in, part, size - session->opened_size, part);

    session->opened_size = size;
    return error;
}

/* Decrypts a frame of which only `arrived_size` bytes of the body have arrived. Does nothing while
 * the new bytes are fewer than OPENED_PART_SIZE_MIN. req: SE-011 */
goipc_error goipci_record_open_part(goipc_session *session, uint8_t *body, size_t arrived_size,
                                    size_t body_size)
{
    const size_t sealed_size = body_size - GOIPC_SEAL_OVERHEAD;
    size_t size;

    if (sealed_size <= GOIPCI_SEALED_PART_SIZE || session->crypto->aead_start == NULL ||
        !knows_key_form(session) ||
        arrived_size < GOIPC_NONCE_SIZE + session->opened_size + OPENED_PART_SIZE_MIN) {
        return GOIPC_ERROR_OK;
    }
    if (!session->is_opening) {
        const goipc_error error = start_opening(session, body);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    size = arrived_size - GOIPC_NONCE_SIZE;
    size = size < sealed_size ? size : sealed_size; /* a part of the tag may have arrived */
    return continue_opening(session, body + GOIPC_NONCE_SIZE, size - size % GOIPCI_AES_BLOCK_SIZE);
}

/* Opens the rest of a frame whose start was decrypted while it arrived. req: SE-011 */
static goipc_error finish_opening(goipc_session *session, uint8_t *sealed, size_t sealed_size)
{
    goipc_error error = continue_opening(session, sealed, sealed_size);

    if (error == GOIPC_ERROR_OK) {
        error = session->crypto->aead_finish_open(session->crypto->context, session->aead_in,
                                                  sealed + sealed_size);
    }
    if (error == GOIPC_ERROR_OK) {
        session->is_opening = false; /* on failure it stays set: the buffer must be wiped */
        session->opened_size = 0;
    }
    return error;
}

/* req: SE-010, SE-011, SE-013 */
goipc_error goipci_record_open(goipc_session *session, uint8_t *body, size_t body_size)
{
    goipc_error error;

    assert(session->encrypted && body_size >= GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE);
    if (session->is_opening) {
        error = finish_opening(session, body + GOIPC_NONCE_SIZE, body_size - GOIPC_SEAL_OVERHEAD);
        session->key_settled = session->key_settled || error == GOIPC_ERROR_OK;
        return error;
    }
    error = judge_sealed(session, body);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (knows_key_form(session)) {
        /* If aead_in exists, it has the settled key form. */
        error = open_with(session, session->key, body, body_size, body + GOIPC_NONCE_SIZE);
    } else {
        error = open_in_either_form(session, body, body_size);
    }
    session->key_settled = session->key_settled || error == GOIPC_ERROR_OK;
    return error;
}
