/* SPDX-License-Identifier: MIT */
/*
 * The protocol engine of one connection, without I/O.
 *
 * HOW IT WORKS
 *
 * The session owns an input buffer (input, input_commit) and an output queue (output,
 * output_consume). next_event is the only function that interprets input. It runs the handshake
 * table to its end, and then decodes one frame per call. A frame is decrypted in place, and the
 * event points into the input buffer: no byte of a message is copied after it was read. The price
 * is one rule: the next call on the receiving half consumes the `held_size` bytes of the last
 * event.
 *
 * THE TWO HALVES
 *
 * After CONNECTED everything that both halves use is constant: key, limits, whether frames are
 * sealed. The rest belongs to one half: `in`, `aead_in` and the error to the receiving half, `out`,
 * `aead_out` and the nonces to the sending half. So one thread may receive while another sends,
 * without a lock. One fact crosses from receiving to sending, in a flag: the peer derives its key
 * from the other form of the shared X.
 *
 * HOW MUCH IT HOLDS
 *
 * A length prefix is checked when its fourth byte arrives, and it never decides how much memory is
 * reserved: the input buffer doubles with the bytes that have arrived. room_size, the bytes offered
 * to a read, starts at ROOM_SIZE_MIN and doubles while reads fill it. So an idle connection uses
 * little memory, and a busy one reads many frames at once. Inside a large frame a read ends with
 * the frame, so that the next frame starts at the front of an empty buffer and is never moved.
 *
 * LARGE MESSAGES
 *
 * Encrypting a megabyte takes as long as moving it, so both happen part by part. A sender may lend
 * the memory of its message (lend): each part is sealed into the same buffer and written while the
 * receiver decrypts the part before. A receiver decrypts the arrived part of a large frame in place
 * (open_part). That plaintext is not authenticated until the tag arrives, which comes last. Until
 * then it never leaves the buffer. The buffer is wiped when the tag is wrong or the stream ends
 * early.
 */
#include "core/session.h"

#include <assert.h>

enum {
    ROOM_SIZE_MIN = 512,       /* takes any handshake message, and small frames */
    ROOM_SIZE_MAX = 64 * 1024, /* some 900 frames of 64 bytes in one read */
    QUEUE_SIZE_DEFAULT = 4 * 1024 * 1024,
    IDLE_CAPACITY = 0, /* what trim leaves of an empty buffer */
};

/* On a 32-bit system a frame must fit into the address space even when its buffer doubles. */
#define MESSAGE_SIZE_POSSIBLE                                                                      \
    (SIZE_MAX / 4 < GOIPC_MESSAGE_SIZE_CEILING ? SIZE_MAX / 4 : GOIPC_MESSAGE_SIZE_CEILING)

/* --- new and free ----------------------------------------------------------------------------- */

static bool config_is_valid(const goipc_session_config *config)
{
    if (!GOIPCI_IS_UNUSED(config)) {
        return false;
    }
    switch (config->role) {
    case GOIPC_ROLE_SERVER:
        /* The server sends the offer: there is none that it could follow. */
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
    session->crypto = goipci_crypto_of(config->crypto, config->encryption);
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
    /* One complete frame, and a read that starts inside it. */
    goipci_buffer_init(&session->in, session->allocator,
                       (size_t)session->message_size_max + GOIPC_FRAME_LENGTH_SIZE +
                           GOIPC_FRAME_TYPE_SIZE + GOIPC_SEAL_OVERHEAD + ROOM_SIZE_MAX);
    /* An empty queue accepts any message, a full one none: queue_size_max is checked on sending,
     * and the buffer needs no bound of its own. */
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
    if (goipci_crypto_of(config->crypto, config->encryption) == NULL) {
        return GOIPC_ERROR_CRYPTO_UNAVAILABLE;
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

/* --- the receiving half ----------------------------------------------------------------------- */

/* Consumes the bytes that the last event points to. */
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

/* Checks the header of the frame that starts `skip` bytes into the input. */
static goipc_error peek_frame(const goipc_session *session, size_t skip, goipc_decode *result,
                              size_t *needed)
{
    const size_t in_size = goipci_buffer_size(&session->in) - skip;
    const uint8_t *in = in_size == 0 ? NULL : goipci_buffer_bytes(&session->in) + skip;
    goipc_frame_header header;

    return goipc_wire_decode_header(in, in_size, body_size_min(session), body_size_max(session),
                                    result, needed, &header);
}

/* How many bytes to offer to the next read. Usually room_size. Inside a large frame: the free
 * space, or if that is small, as many bytes as have arrived; never past the end of the frame.
 * req: LM-015, SC-003, SC-004 */
static size_t wanted_room(const goipc_session *session)
{
    const size_t in_size = goipci_buffer_size(&session->in);
    size_t room = session->room_size;
    size_t needed = 0;
    goipc_decode result;

    if (session->step < GOIPCI_STEP_FRAMES ||
        peek_frame(session, 0, &result, &needed) != GOIPC_ERROR_OK || needed <= ROOM_SIZE_MAX ||
        needed <= in_size) {
        return room; /* the input may hold a complete frame that was not taken yet */
    }
    if (session->in.capacity - in_size >= room) {
        room = session->in.capacity - in_size; /* use the free space before growing again */
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
    /* Less than the buffer may have: a read must not run past the end of a large frame. */
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

/* The input holds no complete frame or handshake message: wait for more, or classify the end.
 * req: FR-010, FR-011, CL-001, CL-002, HS-005 */
static goipc_error starved(const goipc_session *session, goipc_event *event)
{
    event->type = GOIPC_EVENT_NEED_INPUT;
    if (!session->input_ended) {
        return GOIPC_ERROR_OK;
    }
    if (session->step < GOIPCI_STEP_FRAMES) {
        return GOIPC_ERROR_DISCONNECTED; /* in the middle of a message, too */
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

/* The unread input, writable: it is decrypted in place. */
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
            error =
                goipci_record_open_part(session, front(session) + GOIPC_FRAME_LENGTH_SIZE,
                                        goipci_buffer_size(&session->in) - GOIPC_FRAME_LENGTH_SIZE,
                                        needed - GOIPC_FRAME_LENGTH_SIZE);
        }
        return error == GOIPC_ERROR_OK ? starved(session, event) : error;
    }
    head = front(session) + GOIPC_FRAME_LENGTH_SIZE;
    if (session->encrypted) {
        error = goipci_record_open(session, head, needed - GOIPC_FRAME_LENGTH_SIZE);
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
        goipci_buffer_wipe(&session->in); /* it holds plaintext that was never authenticated */
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

goipc_error goipci_session_detach_read_buffer(goipc_session *session, goipci_buffer *kept)
{
    goipci_buffer rest;
    goipc_error error;

    goipci_buffer_init(&rest, session->allocator, session->in.capacity_max);
    error = goipci_buffer_append(&rest, front(session) + session->held_size,
                                 goipci_buffer_size(&session->in) - session->held_size);
    if (error != GOIPC_ERROR_OK) {
        return error;
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

/* The checks before every kind of send. req: MT-002, LM-006, LM-007, LM-008 */
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
    assert(error == GOIPC_ERROR_OK); /* judge_message made the same checks */
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
        return goipci_record_seal(session, type, data, data_size);
    }
    return queue_plain(session, type, data, data_size, frame_size);
}

bool goipci_session_should_send_in_place(const goipc_session *session, size_t data_size)
{
    return session->encrypted
               ? data_size > GOIPCI_SEALED_PART_SIZE && session->crypto->aead_start != NULL
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
    return session->encrypted ? goipci_record_seal_start(session, type, data, data_size)
                              : lend_plain(session, type, data, data_size);
}

bool goipci_session_has_lent(const goipc_session *session)
{
    return session->lent_size > 0;
}

goipc_error goipci_session_copy_pending_write(goipc_session *session)
{
    goipc_error error;

    if (!goipci_session_has_lent(session)) {
        return GOIPC_ERROR_OK;
    }
    if (session->encrypted) {
        return goipci_record_seal_part(session, session->lent_size);
    }
    error = goipci_buffer_append(&session->out, session->lent, session->lent_size);
    session->lent_size = error == GOIPC_ERROR_OK ? 0 : session->lent_size;
    return error;
}

goipc_error goipci_session_output_pieces(goipc_session *session, const uint8_t *pieces[2],
                                         size_t sizes[2])
{
    /* Also when only the start of a frame is queued, so that it is not written alone. */
    if (session->encrypted && goipci_session_has_lent(session) &&
        goipci_buffer_size(&session->out) <= GOIPCI_SEALED_START_SIZE) {
        const goipc_error error = goipci_record_seal_part(
            session, session->lent_size < GOIPCI_SEALED_PART_SIZE ? session->lent_size
                                                                  : GOIPCI_SEALED_PART_SIZE);

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
