/* SPDX-License-Identifier: MIT */
/* Property: a sealed session, faced with a peer that knows the key and may do anything with it,
 * delivers exactly what was sealed, answers each kind of bad frame with the one error that belongs
 * to it and nothing after that, and seals what it sends under fresh nonces so that the peer opens
 * it.
 *
 * The target plays the peer: it knows both scalars, completes the handshake, and then obeys the
 * input, one operation at a time. Both ways to hash an X with a leading zero byte are played. */
#include "fuzz.h"
#include "keys.h"

enum {
    FUZZ_FLAG_PEER_TOMCRYPT = FUZZ_FLAG_BAD_DRAW, /* which has no meaning here */
    FRAME_ROOM = 72 * 1024,                       /* more than a session reads at once */
    PENDING_MAX = 64,
    PEER_FILL = 0x55, /* of our nonces */
};

typedef struct pending {
    uint32_t type;
    size_t data_size;
    uint8_t fill;
    bool fixed_form;
} pending;

typedef struct world {
    fuzz_setup setup;
    goipc_session *session;
    const goipc_crypto *crypto; /* the peer's, which may be the other back end */
    uint8_t key[2][32];         /* by goipc_key_form */
    bool two_forms;             /* X starts with a zero byte */
    goipc_key_form peer_form;
    bool settled; /* the session has opened a frame of ours */
    uint32_t data_size_max;
    uint32_t send_size_max;
    uint32_t peer_count; /* frames sealed by us */
    uint32_t own_count;  /* frames sealed by the session */
    uint8_t frame[FRAME_ROOM];
    size_t frame_size;
    bool frame_is_good;
    uint32_t frame_type;
    size_t frame_data_size;
    uint8_t frame_fill;
    pending pending[PENDING_MAX];
    size_t pending_count;
    bool ended;
} world;

static goipc_role role_of(const world *w)
{
    return w->setup.config.role;
}

/* Data in which every byte depends on its place, so that parts cannot be mixed up. */
static uint8_t byte_at(uint8_t fill, size_t at)
{
    return (uint8_t)(fill + at + at / 256);
}

static void fill_data(uint8_t *data, size_t size, uint8_t fill)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = byte_at(fill, i);
    }
}

/* --- moving bytes ----------------------------------------------------------------------------- */

/* Feeds the bytes piece by piece until an event or an error. */
static goipc_error deliver(world *w, const uint8_t *bytes, size_t size, goipc_event *event)
{
    goipc_error error = goipc_session_next_event(w->session, event);

    FUZZ_REQUIRE(error != GOIPC_ERROR_OK || event->type == GOIPC_EVENT_NEED_INPUT);
    while (error == GOIPC_ERROR_OK && event->type == GOIPC_EVENT_NEED_INPUT && size > 0) {
        const size_t piece = size < w->setup.chunk ? size : w->setup.chunk;

        error = fuzz_feed(w->session, bytes, piece);
        bytes += piece;
        size -= piece;
        if (error == GOIPC_ERROR_OK) {
            error = goipc_session_next_event(w->session, event);
        }
    }
    return error;
}

static void take_output(world *w, uint8_t *out, size_t size)
{
    const uint8_t *waiting;
    size_t waiting_size;

    goipc_session_output(w->session, &waiting, &waiting_size);
    FUZZ_REQUIRE(waiting_size >= size);
    memcpy(out, waiting, size);
    goipc_session_output_consume(w->session, size);
}

/* --- frames of ours --------------------------------------------------------------------------- */

static void make_nonce(const world *w, uint8_t nonce[12])
{
    memset(nonce, PEER_FILL, 8);
    goipc_wire_put_u32(nonce + 8, w->peer_count);
}

static void make_frame(world *w, goipc_key_form form, uint32_t type, size_t data_size, uint8_t fill)
{
    uint8_t nonce[12];
    uint8_t *data = malloc(data_size + 1);

    FUZZ_REQUIRE(data != NULL);
    fill_data(data, data_size, fill);
    make_nonce(w, nonce);
    w->peer_count++;
    FUZZ_REQUIRE(goipc_crypto_seal_frame(w->crypto, w->key[form], nonce, type, data, data_size,
                                         w->frame, sizeof w->frame,
                                         &w->frame_size) == GOIPC_ERROR_OK);
    free(data);
    w->frame_type = type;
    w->frame_data_size = data_size;
    w->frame_fill = fill;
}

static void expect_error(world *w, goipc_error expected)
{
    goipc_event event;
    goipc_error error = deliver(w, w->frame, w->frame_size, &event);

    FUZZ_REQUIRE(error == expected && goipc_session_error(w->session) == expected);
    FUZZ_REQUIRE(goipc_session_next_event(w->session, &event) == expected);
    w->ended = true;
}

static void expect_delivery(world *w)
{
    goipc_event event;
    goipc_error error = deliver(w, w->frame, w->frame_size, &event);

    FUZZ_REQUIRE(error == GOIPC_ERROR_OK && event.message_type == w->frame_type);
    FUZZ_REQUIRE(event.type == (w->frame_type == 0 ? GOIPC_EVENT_CONTROL : GOIPC_EVENT_MESSAGE));
    FUZZ_REQUIRE(event.data_size == w->frame_data_size && event.data != NULL);
    for (size_t i = 0; i < event.data_size; i++) {
        FUZZ_REQUIRE(event.data[i] == byte_at(w->frame_fill, i));
    }
    w->settled = true;
    w->frame_is_good = true;
}

/* --- the handshake ---------------------------------------------------------------------------- */

static void derive(world *w, const uint8_t shared_x[48])
{
    w->two_forms = shared_x[0] == 0;
    for (int form = 0; form < 2; form++) {
        FUZZ_REQUIRE(goipc_crypto_derive_key(w->crypto, shared_x, (goipc_key_form)form,
                                             w->key[form]) == GOIPC_ERROR_OK);
    }
}

static void expect_waiting(world *w, const uint8_t *bytes, size_t size)
{
    goipc_event event;

    FUZZ_REQUIRE(deliver(w, bytes, size, &event) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(event.type == GOIPC_EVENT_NEED_INPUT);
}

static void expect_connected(world *w, const uint8_t *bytes, size_t size)
{
    goipc_event event;

    FUZZ_REQUIRE(deliver(w, bytes, size, &event) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(event.type == GOIPC_EVENT_CONNECTED);
    FUZZ_REQUIRE(goipc_session_is_encrypted(w->session));
    FUZZ_REQUIRE(goipc_session_send_size_max(w->session) == w->send_size_max);
}

static void greet_server(world *w)
{
    static const uint8_t ok[1] = {0};
    uint8_t hello[2], key[97], limit[36];
    const uint8_t *public_key =
        w->setup.flags & FUZZ_FLAG_ZERO_X ? fuzz_zero_public : fuzz_client_public;
    uint32_t type;
    const uint8_t *data;
    size_t data_size;

    take_output(w, hello, sizeof hello);
    FUZZ_REQUIRE(hello[0] == 2 && hello[1] == 1);
    expect_waiting(w, ok, sizeof ok);
    take_output(w, key, sizeof key);
    FUZZ_REQUIRE(memcmp(key, fuzz_server_public, sizeof key) == 0);
    expect_waiting(w, public_key, sizeof key);
    take_output(w, limit, sizeof limit);
    FUZZ_REQUIRE(goipc_wire_get_u32(limit) == 32);
    FUZZ_REQUIRE(goipc_crypto_open_frame(w->crypto, w->key[GOIPC_KEY_FORM_MINIMAL], limit + 4, 32,
                                         &type, &data, &data_size) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(type == w->data_size_max && data_size == 0);
    w->own_count = 1;
    w->send_size_max = w->data_size_max;
    expect_connected(w, ok, sizeof ok);
}

static void greet_client(world *w, uint32_t limit)
{
    static const uint8_t hello[2] = {2, 1};
    uint8_t reply[1], key[97];

    expect_waiting(w, hello, sizeof hello);
    take_output(w, reply, sizeof reply);
    FUZZ_REQUIRE(reply[0] == 0);
    expect_waiting(w, fuzz_server_public, sizeof fuzz_server_public);
    take_output(w, key, sizeof key);
    FUZZ_REQUIRE(memcmp(key,
                        w->setup.flags & FUZZ_FLAG_ZERO_X ? fuzz_zero_public : fuzz_client_public,
                        sizeof key) == 0);
    make_frame(w, w->peer_form, limit, 0, 0);
    w->settled = true;
    w->send_size_max =
        limit < GOIPC_MESSAGE_SIZE_CEILING ? limit : (uint32_t)GOIPC_MESSAGE_SIZE_CEILING;
    expect_connected(w, w->frame, w->frame_size);
    take_output(w, reply, sizeof reply);
    FUZZ_REQUIRE(reply[0] == 0);
}

/* --- operations ------------------------------------------------------------------------------- */

static uint32_t take_type(fuzz_bytes *bytes)
{
    static const uint32_t types[] = {1, 2, 3145728, 0x7fffffff, 0x80000000, 0xffffffff};
    const uint8_t choice = fuzz_take_u8(bytes);

    if (choice < sizeof types / sizeof types[0]) {
        return types[choice];
    }
    return choice < 128 ? choice : fuzz_take_u32(bytes);
}

static size_t take_data_size(world *w, fuzz_bytes *bytes)
{
    const uint8_t choice = fuzz_take_u8(bytes);
    const size_t size = choice < 240 ? choice : fuzz_take_u32(bytes) % (FRAME_ROOM - 64);

    if (choice == 255) {
        return w->data_size_max < FRAME_ROOM - 64 ? w->data_size_max : FRAME_ROOM - 64;
    }
    return size < w->data_size_max ? size : w->data_size_max;
}

static void make_good_frame(world *w, fuzz_bytes *bytes)
{
    const uint32_t type = take_type(bytes);
    const size_t data_size = take_data_size(w, bytes);

    make_frame(w, w->peer_form, type, data_size, fuzz_take_u8(bytes));
}

static void op_message(world *w, fuzz_bytes *bytes)
{
    make_good_frame(w, bytes);
    expect_delivery(w);
}

static void op_control(world *w, fuzz_bytes *bytes)
{
    make_frame(w, w->peer_form, 0, take_data_size(w, bytes), 0);
    expect_delivery(w);
}

/* The format does not tell a replay from a message: it is delivered again. */
static void op_replay(world *w, fuzz_bytes *bytes)
{
    (void)bytes;
    if (w->frame_is_good) {
        expect_delivery(w);
    }
}

static void op_short(world *w, fuzz_bytes *bytes)
{
    uint32_t body_size = fuzz_take_u8(bytes) % 32;

    make_frame(w, w->peer_form, 1, 0, 0);
    goipc_wire_put_u32(w->frame, body_size);
    w->frame_size = 4 + body_size;
    expect_error(w, GOIPC_ERROR_FRAME_SIZE);
}

static void op_long(world *w, fuzz_bytes *bytes)
{
    const uint32_t body_size = w->data_size_max + 33;
    const uint32_t more = fuzz_take_u32(bytes);

    make_frame(w, w->peer_form, 1, 0, 0);
    goipc_wire_put_u32(w->frame, more < UINT32_MAX - body_size ? body_size + more : UINT32_MAX);
    expect_error(w, GOIPC_ERROR_FRAME_SIZE);
}

static void op_flip(world *w, fuzz_bytes *bytes)
{
    size_t at;

    make_good_frame(w, bytes);
    at = 4 + fuzz_take_u32(bytes) % (w->frame_size - 4);
    w->frame[at] ^= (uint8_t)(1u << fuzz_take_u8(bytes) % 8);
    expect_error(w, GOIPC_ERROR_DECRYPT);
}

static void op_cut(world *w, fuzz_bytes *bytes)
{
    goipc_event event;

    make_good_frame(w, bytes);
    w->frame_size = fuzz_take_u32(bytes) % w->frame_size;
    FUZZ_REQUIRE(deliver(w, w->frame, w->frame_size, &event) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(event.type == GOIPC_EVENT_NEED_INPUT);
    FUZZ_REQUIRE(goipc_session_input_end(w->session) == GOIPC_ERROR_OK);
    if (w->frame_size == 0) {
        FUZZ_REQUIRE(goipc_session_next_event(w->session, &event) == GOIPC_ERROR_OK);
        FUZZ_REQUIRE(event.type == GOIPC_EVENT_CLOSED);
    } else {
        FUZZ_REQUIRE(goipc_session_next_event(w->session, &event) == GOIPC_ERROR_TRUNCATED);
    }
    w->ended = true;
}

static void op_other_key(world *w, fuzz_bytes *bytes)
{
    const goipc_key_form other =
        w->peer_form == GOIPC_KEY_FORM_FIXED ? GOIPC_KEY_FORM_MINIMAL : GOIPC_KEY_FORM_FIXED;

    make_frame(w, other, take_type(bytes), take_data_size(w, bytes), 1);
    if (!w->two_forms) {
        w->key[GOIPC_KEY_FORM_MINIMAL][31] ^= 1;
        make_frame(w, GOIPC_KEY_FORM_MINIMAL, 1, 0, 0);
        w->key[GOIPC_KEY_FORM_MINIMAL][31] ^= 1;
    } else if (!w->settled) {
        /* Nothing was opened yet: this is the form that the session follows from now on. */
        w->peer_form = other;
        expect_delivery(w);
        return;
    }
    expect_error(w, GOIPC_ERROR_DECRYPT);
}

static void op_reflect(world *w, fuzz_bytes *bytes)
{
    make_good_frame(w, bytes);
    memset(w->frame + 4, role_of(w) == GOIPC_ROLE_SERVER ? FUZZ_SERVER_FILL : FUZZ_CLIENT_FILL, 8);
    expect_error(w, GOIPC_ERROR_REFLECTED);
}

static void op_close(world *w, fuzz_bytes *bytes)
{
    goipc_event event;
    uint8_t *in;
    size_t room;

    (void)bytes;
    FUZZ_REQUIRE(goipc_session_input_end(w->session) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(goipc_session_input(w->session, &in, &room) == GOIPC_ERROR_STATE);
    FUZZ_REQUIRE(goipc_session_next_event(w->session, &event) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(event.type == GOIPC_EVENT_CLOSED);
    w->ended = true;
}

static void check_own_frame(world *w, const pending *sent, const uint8_t *frame, size_t frame_size)
{
    const size_t body_size = frame_size - 4;
    uint8_t *body = malloc(body_size);
    uint32_t type;
    const uint8_t *data;
    size_t data_size;

    FUZZ_REQUIRE(body != NULL);
    memcpy(body, frame + 4, body_size);
    FUZZ_REQUIRE(goipc_wire_get_u32(body + 8) == w->own_count);
    w->own_count++;
    FUZZ_REQUIRE(goipc_crypto_open_frame(
                     w->crypto,
                     w->key[sent->fixed_form ? GOIPC_KEY_FORM_FIXED : GOIPC_KEY_FORM_MINIMAL], body,
                     body_size, &type, &data, &data_size) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(type == sent->type && data_size == sent->data_size);
    for (size_t i = 0; i < data_size; i++) {
        FUZZ_REQUIRE(data[i] == byte_at(sent->fill, i));
    }
    free(body);
}

static void op_drain(world *w, fuzz_bytes *bytes)
{
    const uint8_t *out;
    size_t size, at = 0;

    (void)bytes;
    goipc_session_output(w->session, &out, &size);
    for (size_t i = 0; i < w->pending_count; i++) {
        const size_t frame_size = 36 + w->pending[i].data_size;

        FUZZ_REQUIRE(size - at >= frame_size);
        FUZZ_REQUIRE(goipc_wire_get_u32(out + at) == frame_size - 4);
        check_own_frame(w, &w->pending[i], out + at, frame_size);
        at += frame_size;
    }
    FUZZ_REQUIRE(at == size);
    goipc_session_output_consume(w->session, size);
    w->pending_count = 0;
}

static goipc_error judge_send(const world *w, uint32_t type, size_t data_size)
{
    const size_t queue_max =
        w->setup.flags & FUZZ_FLAG_TINY_QUEUE ? (size_t)FUZZ_TINY_QUEUE_MAX : 4u << 20;
    size_t queued = 0;

    if (type == 0) {
        return GOIPC_ERROR_TYPE_RESERVED;
    }
    if (data_size > w->send_size_max) {
        return GOIPC_ERROR_MESSAGE_SIZE;
    }
    for (size_t i = 0; i < w->pending_count; i++) {
        queued += 36 + w->pending[i].data_size;
    }
    return queued > 0 && queued + 36 + data_size > queue_max ? GOIPC_ERROR_WOULD_BLOCK
                                                             : GOIPC_ERROR_OK;
}

static void op_send(world *w, fuzz_bytes *bytes)
{
    const uint32_t type = fuzz_take_u8(bytes) == 7 ? 0 : take_type(bytes);
    const uint8_t choice = fuzz_take_u8(bytes);
    const size_t data_size = choice < 240 ? choice : fuzz_take_u32(bytes) % FRAME_ROOM;
    const uint8_t fill = fuzz_take_u8(bytes);
    const goipc_error expected = judge_send(w, type, data_size);
    uint8_t *data;
    goipc_error error;

    if (w->pending_count == PENDING_MAX) {
        op_drain(w, bytes);
        return;
    }
    data = malloc(data_size + 1);
    FUZZ_REQUIRE(data != NULL);
    fill_data(data, data_size, fill);
    error = goipc_session_send(w->session, type, data, data_size);
    FUZZ_REQUIRE(error == expected);
    if (error == GOIPC_ERROR_OK) {
        w->pending[w->pending_count++] =
            (pending){type, data_size, fill,
                      w->two_forms && w->settled && w->peer_form == GOIPC_KEY_FORM_FIXED};
    }
    free(data);
}

/* Takes part of what the session wants to send; false when that is nothing. */
static bool take_piece(world *w, fuzz_bytes *bytes, uint8_t *out, size_t *at)
{
    const uint8_t choice = fuzz_take_u8(bytes);
    const uint8_t *pieces[2];
    size_t sizes[2], size;

    if (choice % 16 == 15) {
        FUZZ_REQUIRE(goipci_session_copy_pending_write(w->session) == GOIPC_ERROR_OK);
        FUZZ_REQUIRE(!goipci_session_has_lent(w->session));
    }
    FUZZ_REQUIRE(goipci_session_output_pieces(w->session, pieces, sizes) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(sizes[1] == 0); /* what is sealed is the session's own */
    size = choice * (size_t)64;
    size = choice == 0 || sizes[0] < size ? sizes[0] : size;
    if (size > 0) {
        memcpy(out + *at, pieces[0], size);
        goipci_session_output_sent(w->session, size);
        *at += size;
    }
    return size > 0;
}

/* A message that is sealed from its owner's memory while it goes out, part by part; others may come
 * in between. */
static void op_lend(world *w, fuzz_bytes *bytes)
{
    const uint32_t type = take_type(bytes);
    const size_t data_size = GOIPC_NONCE_SIZE + 1 + fuzz_take_u32(bytes) % FRAME_ROOM;
    const size_t frame_size = 36 + data_size;
    const pending sent = {type, data_size, fuzz_take_u8(bytes),
                          w->two_forms && w->settled && w->peer_form == GOIPC_KEY_FORM_FIXED};
    uint8_t *data = malloc(data_size), *out = malloc(frame_size);
    goipc_error expected;
    size_t at = 0;

    FUZZ_REQUIRE(data != NULL && out != NULL);
    op_drain(w, bytes);
    fill_data(data, data_size, sent.fill);
    expected = judge_send(w, type, data_size);
    FUZZ_REQUIRE(goipci_session_lend(w->session, type, data, data_size) == expected);
    while (expected == GOIPC_ERROR_OK && take_piece(w, bytes, out, &at)) {
        if (bytes->size > 0 && *bytes->at == 200) {
            op_message(w, bytes);
        }
    }
    if (expected == GOIPC_ERROR_OK) {
        FUZZ_REQUIRE(at == frame_size && !goipci_session_has_output(w->session));
        FUZZ_REQUIRE(goipc_wire_get_u32(out) == frame_size - 4);
        check_own_frame(w, &sent, out, frame_size);
    }
    free(data);
    free(out);
}

static void op_trim(world *w, fuzz_bytes *bytes)
{
    (void)bytes;
    goipci_session_trim(w->session);
}

/* Several frames in one read, which must come out one by one. */
static void op_batch(world *w, fuzz_bytes *bytes)
{
    const uint8_t count = fuzz_take_u8(bytes) % 16;
    goipc_event event;

    if (count == 0) {
        return;
    }
    for (uint8_t i = 0; i < count; i++) {
        make_frame(w, w->peer_form, (uint32_t)i + 1, i, i);
        FUZZ_REQUIRE(fuzz_feed(w->session, w->frame, w->frame_size) == GOIPC_ERROR_OK);
    }
    for (uint8_t i = 0; i < count; i++) {
        FUZZ_REQUIRE(goipci_session_has_event(w->session));
        FUZZ_REQUIRE(goipc_session_next_event(w->session, &event) == GOIPC_ERROR_OK);
        FUZZ_REQUIRE(event.type == GOIPC_EVENT_MESSAGE && event.message_type == (uint32_t)i + 1);
        FUZZ_REQUIRE(event.data_size == i && (i == 0 || event.data[0] == i));
    }
    FUZZ_REQUIRE(!goipci_session_has_event(w->session));
    w->settled = true;
    w->frame_is_good = true;
}

static void take_messages(world *w, size_t count)
{
    goipc_event event;

    for (size_t i = 0; i < count; i++) {
        FUZZ_REQUIRE(goipc_session_next_event(w->session, &event) == GOIPC_ERROR_OK);
        FUZZ_REQUIRE(event.type == GOIPC_EVENT_MESSAGE);
    }
}

/* More than the session has room for: it says CAPACITY, loses nothing, and goes on once its events
 * were taken. */
static void op_flood(world *w, fuzz_bytes *bytes)
{
    const size_t count_max = 100;
    size_t fed = 0, taken = 0;
    bool full = false;

    (void)bytes;
    if ((w->setup.flags & FUZZ_FLAG_SMALL) == 0) {
        return;
    }
    while (taken < count_max) {
        size_t at = 0;

        make_frame(w, w->peer_form, 1, FUZZ_SMALL_MAX, 1);
        while (at < w->frame_size) {
            uint8_t *in;
            size_t room;
            goipc_error error = goipc_session_input(w->session, &in, &room);

            if (error == GOIPC_ERROR_CAPACITY) {
                full = true;
                take_messages(w, fed - taken);
                taken = fed;
                continue;
            }
            FUZZ_REQUIRE(error == GOIPC_ERROR_OK);
            room = room < w->frame_size - at ? room : w->frame_size - at;
            memcpy(in, w->frame + at, room);
            FUZZ_REQUIRE(goipc_session_input_commit(w->session, room) == GOIPC_ERROR_OK);
            at += room;
        }
        fed++;
        if (fed == count_max) {
            take_messages(w, fed - taken);
            taken = fed;
        }
    }
    FUZZ_REQUIRE(full);
    w->settled = true;
    w->frame_is_good = true;
}

/* The last nonce is used up: nothing more can be sealed, and what was sealed stays as it is. */
static void op_last_nonce(world *w, fuzz_bytes *bytes)
{
    op_drain(w, bytes);
    w->session->nonces.next = UINT32_MAX;
    FUZZ_REQUIRE(goipc_session_send(w->session, 1, NULL, 0) == GOIPC_ERROR_MESSAGE_LIMIT);
    w->session->nonces.next = w->own_count;
}

static void op_last_frame(world *w, fuzz_bytes *bytes)
{
    make_good_frame(w, bytes);
    w->session->opened_count = UINT32_MAX;
    expect_error(w, GOIPC_ERROR_MESSAGE_COUNT);
}

static void (*const operations[])(world *w, fuzz_bytes *bytes) = {
    op_message, op_control,   op_replay,  op_short,      op_long,       op_flip,
    op_cut,     op_other_key, op_reflect, op_close,      op_drain,      op_send,
    op_trim,    op_batch,     op_flood,   op_last_nonce, op_last_frame, op_lend,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w;
    fuzz_bytes bytes = {data, size};
    const uint8_t choices = fuzz_take_u8(&bytes);
    const uint32_t limit = fuzz_take_u32(&bytes);

    memset(&w, 0, sizeof w);
    fuzz_setup_read(&w.setup, &bytes, choices & 1 ? GOIPC_ROLE_CLIENT : GOIPC_ROLE_SERVER);
    w.setup.config.encryption = GOIPC_ENCRYPTION_REQUIRE;
    w.setup.memory.fail_at = 0;
    w.setup.script.fail_at = 0;
    w.setup.script.bad_draws = 0;
    w.data_size_max = w.setup.flags & FUZZ_FLAG_SMALL ? FUZZ_SMALL_MAX : 3u << 20;
    w.crypto =
        w.setup.flags & FUZZ_FLAG_PEER_TOMCRYPT ? goipc_crypto_tomcrypt() : goipc_crypto_default();
    w.session = fuzz_setup_session(&w.setup);
    FUZZ_REQUIRE(w.session != NULL);
    derive(&w, w.setup.flags & FUZZ_FLAG_ZERO_X ? fuzz_zero_shared_x : fuzz_shared_x);
    w.peer_form = w.two_forms && (choices & 2) ? GOIPC_KEY_FORM_FIXED : GOIPC_KEY_FORM_MINIMAL;
    if (role_of(&w) == GOIPC_ROLE_SERVER) {
        greet_server(&w);
    } else {
        greet_client(&w, limit);
    }
    while (bytes.size > 0 && !w.ended) {
        FUZZ_REQUIRE(goipci_buffer_valid(&w.session->in) && goipci_buffer_valid(&w.session->out));
        operations[fuzz_take_u8(&bytes) % (sizeof operations / sizeof operations[0])](&w, &bytes);
    }
    /* What was queued before an error is whole and still goes out. */
    op_drain(&w, &bytes);
    fuzz_setup_end(&w.setup, w.session);
    return 0;
}
