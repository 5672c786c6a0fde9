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
 * KEY FORMS
 *
 * golang-ipc hashes the shared X without its leading zero bytes, some ports hash all 48. They agree
 * unless X starts with a zero byte. In that case (has_alternative) the first sealed frame that
 * arrives is tried with both keys, and what opened it is used from then on in both directions.
 * Nothing is weakened: both keys come from the same secret.
 */
#include "session.h"

#include <assert.h>
#include <string.h>

enum {
    ROOM_SIZE_MIN = 512,       /* takes any handshake message, and small frames */
    ROOM_SIZE_MAX = 64 * 1024, /* some 900 frames of 64 bytes in one read */
    QUEUE_SIZE_DEFAULT = 4 * 1024 * 1024,
    IDLE_CAPACITY = 0, /* what trim leaves of an empty buffer */
};

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

/* req: SE-001, SE-002 */
goipc_error goipci_session_seal(goipc_session *session, uint32_t head, const uint8_t *data,
                                size_t data_size)
{
    const size_t body_size = GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE + data_size;
    uint8_t head_bytes[GOIPC_FRAME_TYPE_SIZE];
    uint8_t *frame, *nonce, *sealed;
    size_t capacity;
    goipc_error error;

    assert(session->encrypted && data_size <= GOIPC_MESSAGE_SIZE_CEILING);
    follow_key_form(session);
    error = keyed(session, &session->aead_out,
                  session->sends_alternative ? session->alternative_key : session->key);
    if (error == GOIPC_ERROR_OK) {
        error = goipci_buffer_reserve(&session->out, GOIPC_FRAME_LENGTH_SIZE + body_size);
    }
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    frame = goipci_buffer_room(&session->out, &capacity);
    nonce = frame + GOIPC_FRAME_LENGTH_SIZE;
    sealed = nonce + GOIPC_NONCE_SIZE;
    error = goipci_nonces_next(&session->nonces, nonce);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    goipc_wire_put_u32(frame, (uint32_t)body_size);
    goipc_wire_put_u32(head_bytes, head);
    error = session->crypto->aead_seal(session->crypto->context, session->aead_out, nonce,
                                       head_bytes, data, data_size, sealed,
                                       sealed + GOIPC_FRAME_TYPE_SIZE + data_size);
    if (error == GOIPC_ERROR_OK) {
        goipci_buffer_commit(&session->out, GOIPC_FRAME_LENGTH_SIZE + body_size);
    }
    return error;
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

/* req: SE-010, SE-011, SE-013 */
goipc_error goipci_session_open(goipc_session *session, uint8_t *body, size_t body_size)
{
    goipc_error error;

    assert(session->encrypted && body_size >= GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE);
    if (goipci_nonces_is_ours(&session->nonces, body)) {
        return GOIPC_ERROR_REFLECTED;
    }
    if (session->opened_count == UINT32_MAX) {
        return GOIPC_ERROR_MESSAGE_COUNT;
    }
    session->opened_count++;
    if (session->has_alternative && !session->key_settled) {
        error = open_in_either_form(session, body, body_size);
    } else {
        /* Once aead_in exists it holds the form that was settled. */
        error = open_with(session, session->key, body, body_size, body + GOIPC_NONCE_SIZE);
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
        peek_frame(session, 0, &result, &needed) != GOIPC_ERROR_OK || needed <= ROOM_SIZE_MAX) {
        return room;
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
    if (goipci_buffer_size(&session->in) > 0) {
        return GOIPC_ERROR_TRUNCATED;
    }
    if (session->step < GOIPCI_STEP_FRAMES) {
        return GOIPC_ERROR_DISCONNECTED;
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
        return starved(session, event);
    }
    head = session->in.bytes + session->in.read_at + GOIPC_FRAME_LENGTH_SIZE;
    event->data_size = needed - GOIPC_FRAME_LENGTH_SIZE - body_size_min(session);
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

goipc_error goipci_session_send_in_place(goipc_session *session, uint32_t type, size_t data_size,
                                         uint8_t head[8])
{
    goipc_error error = judge_message(session, type, data_size);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (session->encrypted) {
        return GOIPC_ERROR_STATE;
    }
    if (goipci_buffer_size(&session->out) > 0) {
        return GOIPC_ERROR_WOULD_BLOCK;
    }
    goipc_wire_put_u32(head, GOIPC_FRAME_TYPE_SIZE + (uint32_t)data_size);
    goipc_wire_put_u32(head + GOIPC_FRAME_LENGTH_SIZE, type);
    return GOIPC_ERROR_OK;
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

size_t goipci_session_output_size(const goipc_session *session)
{
    return goipci_buffer_size(&session->out);
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
