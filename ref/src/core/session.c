/* SPDX-License-Identifier: MIT */
/*
 * The protocol engine of one connection, without I/O.
 *
 * HOW IT WORKS
 *
 * Bytes come in through room that the session owns (input, input_commit) and go out of a queue that
 * it owns (output, output_consume). next_event is the only function that interprets input. It runs
 * the handshake table until the table is done, and from then on takes one frame per call. A frame
 * is opened and lent out where it lies in the input buffer: no byte of a message is copied after it
 * was read. The price is one rule, `held_size`: what the last event lent is consumed by the next
 * call on the receiving half.
 *
 * THE TWO HALVES
 *
 * Once CONNECTED has been given, everything that both halves need is constant (key, limits, whether
 * frames are sealed), and each half has what changes to itself: `in`, `aead_in` and the error on
 * one side, `out`, `aead_out` and the nonces on the other. So one thread may receive while another
 * sends, without a lock in here. The single thing that receiving can teach sending, that the peer
 * hashes the shared X in the other form, crosses in one flag.
 *
 * HOW MUCH IT HOLDS
 *
 * A length prefix is judged at its fourth byte and never believed for memory: room for input
 * doubles with what has arrived. room_size starts at ROOM_SIZE_MIN and doubles while reads fill it,
 * so an idle connection costs little and a busy one reads many frames at once. In the middle of a
 * large frame the room ends with the frame, so that the next frame starts at the front of an empty
 * buffer and no tail has to be moved.
 *
 * LARGE MESSAGES
 *
 * Sealing and opening a megabyte take as long as moving it, so they happen part by part on the way.
 * A sender may lend the memory of its message (lend): a part is sealed, written, and the next one
 * sealed into the same room, while the receiver already opens. A receiver runs what has arrived of
 * a large frame through the cipher where it lies (open_part). That plaintext is not authenticated
 * before the tag, which comes last: until then it never leaves the buffer, and when the tag is
 * wrong, or the stream ends before, the buffer is wiped.
 *
 * KEY FORMS
 *
 * golang-ipc hashes the shared X without its leading zero bytes, some ports hash all 48. They agree
 * unless X starts with a zero byte. In that case (has_alternative) the first sealed frame that
 * arrives is tried with both keys, and what opened it is used from then on in both directions.
 * Nothing is weakened: both keys come from the same secret.
 */
#include "core/session.h"
#include "core/crypto_backend.h"

#include <assert.h>
#include <string.h>

enum {
    ROOM_SIZE_MIN = 512,       /* takes any handshake message, and small frames */
    ROOM_SIZE_MAX = 64 * 1024, /* some 900 frames of 64 bytes in one read */
    QUEUE_SIZE_DEFAULT = 4 * 1024 * 1024,
    IDLE_CAPACITY = 0,               /* what trim leaves of an empty buffer */
    SEALED_PART_SIZE = 32 * 1024,    /* sealed, then written, while it is in the nearest caches */
    OPENED_PART_SIZE_MIN = 4 * 1024, /* less is left until more has come */
    /* What a lent frame begins with: type and data share the first block, so that the parts that
     * follow are whole blocks, too. */
    SEALED_START_SIZE =
        (int)(GOIPC_FRAME_LENGTH_SIZE + GOIPC_NONCE_SIZE) + (int)GOIPCI_AES_BLOCK_SIZE,
};

_Static_assert(SEALED_PART_SIZE % GOIPCI_AES_BLOCK_SIZE == 0, "parts are whole blocks");

/* On a 32-bit system a frame must fit into memory with room to spare for doubling. */
#define MESSAGE_SIZE_POSSIBLE                                                                      \
    (SIZE_MAX / 4 < GOIPC_MESSAGE_SIZE_CEILING ? SIZE_MAX / 4 : GOIPC_MESSAGE_SIZE_CEILING)

/* --- birth and death -------------------------------------------------------------------------- */

static bool config_is_valid(const goipc_session_config *config)
{
    switch (config->role) {
    case GOIPC_ROLE_SERVER:
        /* The server speaks first: it has nothing to follow. */
        if (config->encryption == GOIPC_ENCRYPTION_OPTIONAL) {
            return false;
        }
        break;
    case GOIPC_ROLE_CLIENT:
        break;
    default:
        return false;
    }
    switch (config->encryption) {
    case GOIPC_ENCRYPTION_REQUIRE:
    case GOIPC_ENCRYPTION_OPTIONAL:
    case GOIPC_ENCRYPTION_OFF:
        return config->message_size_max <= MESSAGE_SIZE_POSSIBLE;
    }
    return false;
}

/* req: LM-003, LM-004, LM-005, LM-011 */
static void session_init(goipc_session *session, const goipc_session_config *config)
{
    session->crypto = config->crypto != NULL ? config->crypto : goipc_crypto_default();
    session->allocator = goipci_allocator_or_default(config->allocator);
    session->role = config->role;
    session->encryption = config->encryption;
    session->encrypted =
        config->role == GOIPC_ROLE_SERVER && config->encryption == GOIPC_ENCRYPTION_REQUIRE;
    session->message_size_max = config->message_size_max < GOIPC_MESSAGE_SIZE_FLOOR
                                    ? GOIPC_MESSAGE_SIZE_DEFAULT
                                    : config->message_size_max;
    session->send_size_max = session->message_size_max; /* a client learns its own from LIMIT */
    session->queue_size_max =
        config->queue_size_max == 0 ? QUEUE_SIZE_DEFAULT : config->queue_size_max;
    session->step = GOIPCI_STEP_HELLO;
    session->room_size = ROOM_SIZE_MIN;
    /* One whole frame, and a read that starts within it. */
    goipci_buffer_init(&session->in, session->allocator,
                       (size_t)session->message_size_max + GOIPC_FRAME_LENGTH_SIZE +
                           GOIPC_FRAME_TYPE_SIZE + GOIPC_SEAL_OVERHEAD + ROOM_SIZE_MAX);
    /* A full queue takes no more, but an empty one takes any message: bounded by the message. */
    goipci_buffer_init(&session->out, session->allocator, SIZE_MAX / 2);
}

goipc_error goipc_session_new(const goipc_session_config *config, goipc_session **session)
{
    static const goipc_session_config defaults = {.role = GOIPC_ROLE_SERVER};
    goipc_session *made;
    goipc_error error;
    bool need_input;

    assert(session != NULL);
    *session = NULL;
    config = config != NULL ? config : &defaults;
    if (!config_is_valid(config)) {
        return GOIPC_ERROR_ARGUMENT;
    }
    made = goipci_allocate_zeroed(goipci_allocator_or_default(config->allocator), sizeof *made);
    if (made == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    session_init(made, config);
    error = goipci_handshake_run(made, &need_input);
    if (error != GOIPC_ERROR_OK) {
        goipc_session_free(made);
        return error;
    }
    *session = made;
    return GOIPC_ERROR_OK;
}

void goipc_session_free(goipc_session *session)
{
    const goipc_allocator *allocator;

    if (session == NULL) {
        return;
    }
    allocator = session->allocator;
    session->crypto->aead_free(session->crypto->context, allocator, session->aead_in);
    session->crypto->aead_free(session->crypto->context, allocator, session->aead_out);
    goipci_buffer_wipe(&session->in);
    goipci_buffer_wipe(&session->out);
    goipci_release(allocator, session, sizeof *session); /* wipes the keys with the rest */
}

goipc_error goipc_session_error(const goipc_session *session)
{
    assert(session != NULL);
    return session->error;
}

bool goipc_session_is_encrypted(const goipc_session *session)
{
    assert(session != NULL);
    return session->encrypted;
}

uint32_t goipc_session_send_size_max(const goipc_session *session)
{
    assert(session != NULL);
    return session->send_size_max;
}

/* --- sealing and opening ---------------------------------------------------------------------- */

/* Keyed objects are made when their direction is first used: with libtomcrypt each holds 64 KiB of
 * tables, which a peer that only listens should not cost. */
static goipc_error keyed(goipc_session *session, void **aead, const uint8_t key[GOIPC_KEY_SIZE])
{
    if (*aead != NULL) {
        return GOIPC_ERROR_OK;
    }
    return session->crypto->aead_new(session->crypto->context, session->allocator, key, aead);
}

/* Follows the peer to the other key form, at most once. req: KD-015 */
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

/* Makes room for `size` bytes of a sealed frame, and writes to it what precedes its ciphertext. */
static goipc_error begin_sealed(goipc_session *session, size_t data_size, size_t size,
                                uint8_t **frame)
{
    const size_t body_size = GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE + data_size;
    size_t capacity;
    goipc_error error;

    assert(session->encrypted && !goipci_session_has_lent(session));
    assert(data_size <= GOIPC_MESSAGE_SIZE_CEILING);
    follow_key_form(session);
    error = keyed(session, &session->aead_out,
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
goipc_error goipci_session_seal(goipc_session *session, uint32_t head, const uint8_t *data,
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

/* Seals the next `size` lent bytes into the queue, and behind the last of them the tag. */
static goipc_error seal_part(goipc_session *session, size_t size)
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

/* Begins a sealed frame whose data are lent, and queues its start. */
static goipc_error lend_sealed(goipc_session *session, uint32_t type, const uint8_t *data,
                               size_t data_size)
{
    const goipc_crypto *crypto = session->crypto;
    uint8_t *frame, *first;
    goipc_error error = begin_sealed(session, data_size,
                                     SEALED_START_SIZE + SEALED_PART_SIZE + GOIPC_TAG_SIZE, &frame);

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
    goipci_buffer_commit(&session->out, SEALED_START_SIZE);
    session->lent = data + GOIPCI_BLOCK_DATA_SIZE;
    session->lent_size = data_size - GOIPCI_BLOCK_DATA_SIZE;
    return GOIPC_ERROR_OK;
}

/* Opens with the keyed object for the form that is in use. */
static goipc_error open_with(goipc_session *session, const uint8_t *key, const uint8_t *body,
                             size_t body_size, uint8_t *out)
{
    const size_t sealed_size = body_size - GOIPC_SEAL_OVERHEAD;
    const uint8_t *sealed = body + GOIPC_NONCE_SIZE;
    goipc_error error = keyed(session, &session->aead_in, key);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    return session->crypto->aead_open(session->crypto->context, session->aead_in, body, sealed,
                                      sealed_size, sealed + sealed_size, out);
}

/* The first frame of a connection whose shared X starts with a zero byte: a failed attempt must not
 * destroy the ciphertext that the second one needs, so the first goes into memory of its own.
 * req: KD-013, KD-014, KD-016 */
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

/* LIMIT, sent again, would open as an empty message with a type that the peer did not send. */
static bool is_limit_again(const goipc_session *session, const uint8_t nonce[GOIPC_NONCE_SIZE])
{
    return session->has_limit_nonce &&
           memcmp(nonce, session->limit_nonce, sizeof session->limit_nonce) == 0; /* public */
}

/* What is asked of a frame before any of it is opened. req: SE-010, SE-013, SE-014 */
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

/* Begins to open the frame that is arriving. */
static goipc_error start_opening(goipc_session *session, const uint8_t nonce[GOIPC_NONCE_SIZE])
{
    goipc_error error = judge_sealed(session, nonce);

    if (error == GOIPC_ERROR_OK) {
        error = keyed(session, &session->aead_in, session->key);
    }
    if (error == GOIPC_ERROR_OK) {
        error =
            session->crypto->aead_start(session->crypto->context, session->aead_in, nonce, true);
    }
    session->is_opening = error == GOIPC_ERROR_OK;
    session->opened_size = 0;
    return error;
}

/* Runs the ciphertext up to `size` through the cipher, where it lies. */
static goipc_error continue_opening(goipc_session *session, uint8_t *sealed, size_t size)
{
    uint8_t *part = sealed + session->opened_size;
    const goipc_error error = session->crypto->aead_update(
        session->crypto->context, session->aead_in, part, size - session->opened_size, part);

    session->opened_size = size;
    return error;
}

/* Opens as much as is worth it of a frame of which `arrived_size` bytes of the body, and not all,
 * have arrived. req: SE-011 */
static goipc_error open_part(goipc_session *session, uint8_t *body, size_t arrived_size,
                             size_t body_size)
{
    const size_t sealed_size = body_size - GOIPC_SEAL_OVERHEAD;
    size_t size;

    if (sealed_size <= SEALED_PART_SIZE || session->crypto->aead_start == NULL ||
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
    size = size < sealed_size ? size : sealed_size; /* a part of the tag may be there */
    return continue_opening(session, body + GOIPC_NONCE_SIZE, size - size % GOIPCI_AES_BLOCK_SIZE);
}

/* Opens the rest of a frame that was opened while it arrived. req: SE-011 */
static goipc_error finish_opening(goipc_session *session, uint8_t *sealed, size_t sealed_size)
{
    goipc_error error = continue_opening(session, sealed, sealed_size);

    if (error == GOIPC_ERROR_OK) {
        error = session->crypto->aead_finish_open(session->crypto->context, session->aead_in,
                                                  sealed + sealed_size);
    }
    if (error == GOIPC_ERROR_OK) {
        session->is_opening = false; /* otherwise the buffer is still to be wiped */
        session->opened_size = 0;
    }
    return error;
}

/* req: SE-010, SE-011, SE-013 */
goipc_error goipci_session_open(goipc_session *session, uint8_t *body, size_t body_size)
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
        /* Once aead_in exists it holds the form that was settled. */
        error = open_with(session, session->key, body, body_size, body + GOIPC_NONCE_SIZE);
    } else {
        error = open_in_either_form(session, body, body_size);
    }
    session->key_settled = session->key_settled || error == GOIPC_ERROR_OK;
    return error;
}

/* --- the receiving half ----------------------------------------------------------------------- */

/* Ends the loan of the last event. */
static void return_held(goipc_session *session)
{
    goipci_buffer_consume(&session->in, session->held_size);
    session->held_size = 0;
}

static uint32_t body_size_min(const goipc_session *session)
{
    return GOIPC_FRAME_TYPE_SIZE + (session->encrypted ? GOIPC_SEAL_OVERHEAD : 0);
}

/* req: FR-006, LM-009, LM-013 */
static uint32_t body_size_max(const goipc_session *session)
{
    return body_size_min(session) + session->message_size_max;
}

/* Judges the frame that stands `skip` bytes into the input. */
static goipc_error peek_frame(const goipc_session *session, size_t skip, goipc_decode *result,
                              size_t *needed)
{
    const size_t in_size = goipci_buffer_size(&session->in) - skip;
    const uint8_t *in = in_size == 0 ? NULL : goipci_buffer_bytes(&session->in) + skip;
    goipc_frame_header header;

    return goipc_wire_decode_header(in, in_size, body_size_min(session), body_size_max(session),
                                    result, needed, &header);
}

/* How much room to offer: what reads have been filling, or the rest of a large frame as far as
 * memory already is there or what has arrived of it warrants. req: LM-015, SC-003, SC-004 */
static size_t wanted_room(const goipc_session *session)
{
    const size_t in_size = goipci_buffer_size(&session->in);
    size_t room = session->room_size;
    size_t needed = 0;
    goipc_decode result;

    if (session->step < GOIPCI_STEP_FRAMES ||
        peek_frame(session, 0, &result, &needed) != GOIPC_ERROR_OK || needed <= ROOM_SIZE_MAX ||
        needed <= in_size) {
        return room; /* the owner may ask before it has taken what is whole */
    }
    if (session->in.capacity - in_size >= room) {
        room = session->in.capacity - in_size; /* what is free already, before growing again */
    } else if (room < in_size) {
        room = in_size;
    }
    return needed - in_size < room ? needed - in_size : room;
}

goipc_error goipc_session_input(goipc_session *session, uint8_t **in, size_t *capacity)
{
    size_t room;
    goipc_error error;

    assert(session != NULL && in != NULL && capacity != NULL);
    if (session->error != GOIPC_ERROR_OK) {
        return session->error;
    }
    if (session->input_ended) {
        return GOIPC_ERROR_STATE;
    }
    return_held(session);
    room = wanted_room(session);
    assert(room > 0);
    error = goipci_buffer_reserve(&session->in, room);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    *in = goipci_buffer_room(&session->in, capacity);
    /* Not all that the buffer has: a read must not run past the end of a large frame. */
    *capacity = room;
    session->room_given = room;
    return GOIPC_ERROR_OK;
}

goipc_error goipc_session_input_commit(goipc_session *session, size_t size)
{
    assert(session != NULL && size <= session->room_given);
    if (session->error != GOIPC_ERROR_OK) {
        return session->error;
    }
    goipci_buffer_commit(&session->in, size);
    if (size == session->room_given && session->room_size < ROOM_SIZE_MAX) {
        session->room_size *= 2;
    }
    session->room_given = 0;
    return GOIPC_ERROR_OK;
}

goipc_error goipc_session_input_end(goipc_session *session)
{
    assert(session != NULL);
    if (session->error != GOIPC_ERROR_OK) {
        return session->error;
    }
    session->input_ended = true;
    return GOIPC_ERROR_OK;
}

/* The input holds no whole unit: wait for more, or judge the end.
 * req: FR-010, FR-011, CL-001, CL-002, HS-005 */
static goipc_error starved(const goipc_session *session, goipc_event *event)
{
    event->type = GOIPC_EVENT_NEED_INPUT;
    if (!session->input_ended) {
        return GOIPC_ERROR_OK;
    }
    if (session->step < GOIPCI_STEP_FRAMES) {
        return GOIPC_ERROR_DISCONNECTED; /* inside a message, too: nothing was cut that counts */
    }
    if (goipci_buffer_size(&session->in) > 0) {
        return GOIPC_ERROR_TRUNCATED;
    }
    event->type = GOIPC_EVENT_CLOSED;
    return GOIPC_ERROR_OK;
}

static goipc_error next_handshake_event(goipc_session *session, goipc_event *event)
{
    bool need_input;
    goipc_error error = goipci_handshake_run(session, &need_input);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (need_input) {
        return starved(session, event);
    }
    event->type = GOIPC_EVENT_CONNECTED;
    return GOIPC_ERROR_OK;
}

/* The input, where it may be opened in place. */
static uint8_t *front(goipc_session *session)
{
    return session->in.bytes + session->in.read_at;
}

/* req: FR-003, FR-008, FR-009, FR-013, MT-003, MT-004, MT-006 */
static goipc_error next_frame_event(goipc_session *session, goipc_event *event)
{
    goipc_decode result;
    size_t needed;
    uint8_t *head;
    goipc_error error = peek_frame(session, 0, &result, &needed);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (result == GOIPC_DECODE_MORE) {
        if (session->encrypted && needed > GOIPC_FRAME_LENGTH_SIZE) {
            error = open_part(session, front(session) + GOIPC_FRAME_LENGTH_SIZE,
                              goipci_buffer_size(&session->in) - GOIPC_FRAME_LENGTH_SIZE,
                              needed - GOIPC_FRAME_LENGTH_SIZE);
        }
        return error == GOIPC_ERROR_OK ? starved(session, event) : error;
    }
    head = front(session) + GOIPC_FRAME_LENGTH_SIZE;
    if (session->encrypted) {
        error = goipci_session_open(session, head, needed - GOIPC_FRAME_LENGTH_SIZE);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        head += GOIPC_NONCE_SIZE;
    }
    session->held_size = needed;
    event->message_type = goipc_wire_get_u32(head);
    event->data = head + GOIPC_FRAME_TYPE_SIZE;
    event->data_size = needed - GOIPC_FRAME_LENGTH_SIZE - body_size_min(session);
    event->type = event->message_type == 0 ? GOIPC_EVENT_CONTROL : GOIPC_EVENT_MESSAGE;
    return GOIPC_ERROR_OK;
}

goipc_error goipc_session_next_event(goipc_session *session, goipc_event *event)
{
    assert(session != NULL && event != NULL);
    *event = (goipc_event){.type = GOIPC_EVENT_NEED_INPUT};
    if (session->error != GOIPC_ERROR_OK) {
        return session->error;
    }
    return_held(session);
    session->error = session->step < GOIPCI_STEP_FRAMES ? next_handshake_event(session, event)
                                                        : next_frame_event(session, event);
    if (session->error != GOIPC_ERROR_OK && session->is_opening) {
        goipci_buffer_wipe(&session->in); /* it holds plaintext that nothing has vouched for */
        session->is_opening = false;
    }
    return session->error;
}

bool goipci_session_has_event(const goipc_session *session)
{
    goipc_decode result;
    size_t needed;

    if (session->error != GOIPC_ERROR_OK || session->input_ended) {
        return true;
    }
    if (session->step < GOIPCI_STEP_FRAMES) {
        return false;
    }
    return peek_frame(session, session->held_size, &result, &needed) != GOIPC_ERROR_OK ||
           result == GOIPC_DECODE_DONE;
}

goipc_error goipci_session_keep_held(goipc_session *session, goipci_buffer *kept)
{
    const size_t rest_size = goipci_buffer_size(&session->in) - session->held_size;
    size_t capacity;
    goipci_buffer rest;
    goipc_error error;

    goipci_buffer_init(&rest, session->allocator, session->in.capacity_max);
    error = goipci_buffer_reserve(&rest, rest_size);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (rest_size > 0) {
        memcpy(goipci_buffer_room(&rest, &capacity), front(session) + session->held_size,
               rest_size);
        goipci_buffer_commit(&rest, rest_size);
    }
    *kept = session->in;
    session->in = rest;
    session->held_size = 0;
    return GOIPC_ERROR_OK;
}

void goipci_session_trim(goipc_session *session)
{
    return_held(session);
    goipci_buffer_shrink(&session->in, IDLE_CAPACITY);
    goipci_buffer_shrink(&session->out, IDLE_CAPACITY);
    session->room_size = ROOM_SIZE_MIN;
}

/* --- the sending half ------------------------------------------------------------------------- */

/* What every way to send asks first. req: MT-002, LM-006, LM-007, LM-008 */
static goipc_error judge_message(const goipc_session *session, uint32_t type, size_t data_size)
{
    if (session->step < GOIPCI_STEP_FRAMES) {
        return GOIPC_ERROR_STATE;
    }
    if (type == 0) {
        return GOIPC_ERROR_TYPE_RESERVED;
    }
    return data_size > session->send_size_max ? GOIPC_ERROR_MESSAGE_SIZE : GOIPC_ERROR_OK;
}

static goipc_error queue_plain(goipc_session *session, uint32_t type, const void *data,
                               size_t data_size, size_t frame_size)
{
    size_t capacity;
    uint8_t *out;
    goipc_error error = goipci_buffer_reserve(&session->out, frame_size);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    out = goipci_buffer_room(&session->out, &capacity);
    error = goipc_wire_encode_plain(type, data, data_size, out, capacity, &frame_size);
    assert(error == GOIPC_ERROR_OK); /* judge_message has asked everything that it asks */
    goipci_buffer_commit(&session->out, frame_size);
    return error;
}

goipc_error goipc_session_send(goipc_session *session, uint32_t type, const void *data,
                               size_t data_size)
{
    size_t frame_size, queued;
    goipc_error error;

    assert(session != NULL && (data != NULL || data_size == 0));
    error = judge_message(session, type, data_size);
    if (error == GOIPC_ERROR_OK) {
        error = goipc_wire_frame_size(session->encrypted, data_size, &frame_size);
    }
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    assert(!goipci_session_has_lent(session));
    queued = goipci_buffer_size(&session->out);
    if (queued > 0 &&
        (queued >= session->queue_size_max || frame_size > session->queue_size_max - queued)) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    if (session->encrypted) {
        return goipci_session_seal(session, type, data, data_size);
    }
    return queue_plain(session, type, data, data_size, frame_size);
}

bool goipci_session_pays_lending(const goipc_session *session, size_t data_size)
{
    return session->encrypted ? data_size > SEALED_PART_SIZE && session->crypto->aead_start != NULL
                              : data_size >= GOIPCI_LENT_SIZE_MIN;
}

static goipc_error lend_plain(goipc_session *session, uint32_t type, const uint8_t *data,
                              size_t data_size)
{
    const size_t head_size = GOIPC_FRAME_LENGTH_SIZE + GOIPC_FRAME_TYPE_SIZE;
    size_t capacity;
    uint8_t *out;
    const goipc_error error = goipci_buffer_reserve(&session->out, head_size);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    out = goipci_buffer_room(&session->out, &capacity);
    goipc_wire_put_u32(out, GOIPC_FRAME_TYPE_SIZE + (uint32_t)data_size);
    goipc_wire_put_u32(out + GOIPC_FRAME_LENGTH_SIZE, type);
    goipci_buffer_commit(&session->out, head_size);
    session->lent = data;
    session->lent_size = data_size;
    return GOIPC_ERROR_OK;
}

goipc_error goipci_session_lend(goipc_session *session, uint32_t type, const void *data,
                                size_t data_size)
{
    const goipc_error error = judge_message(session, type, data_size);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (goipci_session_has_output(session)) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    return session->encrypted ? lend_sealed(session, type, data, data_size)
                              : lend_plain(session, type, data, data_size);
}

bool goipci_session_has_lent(const goipc_session *session)
{
    return session->lent_size > 0;
}

goipc_error goipci_session_keep_lent(goipc_session *session)
{
    goipc_error error;

    if (!goipci_session_has_lent(session)) {
        return GOIPC_ERROR_OK;
    }
    if (session->encrypted) {
        return seal_part(session, session->lent_size);
    }
    error = goipci_session_output_append(session, session->lent, session->lent_size);
    session->lent_size = error == GOIPC_ERROR_OK ? 0 : session->lent_size;
    return error;
}

goipc_error goipci_session_output_pieces(goipc_session *session, const uint8_t *pieces[2],
                                         size_t sizes[2])
{
    /* Also behind the start of a frame, so that it does not go out alone. */
    if (session->encrypted && goipci_session_has_lent(session) &&
        goipci_buffer_size(&session->out) <= SEALED_START_SIZE) {
        const goipc_error error = seal_part(
            session, session->lent_size < SEALED_PART_SIZE ? session->lent_size : SEALED_PART_SIZE);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    goipc_session_output(session, &pieces[0], &sizes[0]);
    pieces[1] = session->lent;
    sizes[1] = session->encrypted ? 0 : session->lent_size;
    return GOIPC_ERROR_OK;
}

void goipci_session_output_sent(goipc_session *session, size_t size)
{
    const size_t queued = goipci_buffer_size(&session->out);
    const size_t from_queue = size < queued ? size : queued;

    assert(size - from_queue <= session->lent_size);
    goipci_buffer_consume(&session->out, from_queue);
    if (size > from_queue) {
        session->lent += size - from_queue;
        session->lent_size -= size - from_queue;
    }
}

void goipci_session_output_drop(goipc_session *session)
{
    goipci_buffer_consume(&session->out, goipci_buffer_size(&session->out));
    session->lent_size = 0;
}

bool goipci_session_has_output(const goipc_session *session)
{
    return goipci_buffer_size(&session->out) > 0 || goipci_session_has_lent(session);
}

size_t goipci_session_output_size(const goipc_session *session)
{
    return goipci_buffer_size(&session->out);
}

goipc_error goipci_session_output_append(goipc_session *session, const uint8_t *bytes, size_t size)
{
    size_t capacity;
    goipc_error error = goipci_buffer_reserve(&session->out, size);

    if (error == GOIPC_ERROR_OK && size > 0) {
        memcpy(goipci_buffer_room(&session->out, &capacity), bytes, size);
        goipci_buffer_commit(&session->out, size);
    }
    return error;
}

void goipc_session_output(goipc_session *session, const uint8_t **out, size_t *size)
{
    assert(session != NULL && out != NULL && size != NULL);
    *out = goipci_buffer_bytes(&session->out);
    *size = goipci_buffer_size(&session->out);
}

void goipc_session_output_consume(goipc_session *session, size_t size)
{
    assert(session != NULL && size <= goipci_buffer_size(&session->out));
    goipci_buffer_consume(&session->out, size);
}
