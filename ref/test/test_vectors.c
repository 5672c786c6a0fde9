/* SPDX-License-Identifier: MIT */
/* Goal: the library does with every test vector of the specification what the vector says, with
 * both back ends, in codec, crypto and whole sessions, however the bytes are cut. Method:
 * spec/vectors, with the randomness that they name. */
#if defined(__GNUC__) && !defined(__clang__)
/* gcc 12 loses sight of what stands in a struct: every caller of decode frees. */
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#include "crypto_tables.h"
#include "session_peer.h"

#include "vectors.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { BYTES_MAX = 1 << 17 };

static const goipc_crypto *crypto; /* the back end whose turn it is */
static const char *vector_id;      /* what a failure is about */

/* As EXPECT, and says which vector it was. */
#define EXPECT_VECTOR(condition)                                                                   \
    do {                                                                                           \
        const bool holds = (condition);                                                            \
        if (!holds) {                                                                              \
            fprintf(stderr, "%s with %s: %s\n", vector_id, crypto->name, #condition);              \
        }                                                                                          \
        EXPECT(holds);                                                                             \
    } while (0)

typedef struct bytes {
    uint8_t *at; /* exact memory, to be freed */
    size_t size;
} bytes;

static bytes decode(const char *hex)
{
    bytes decoded = {malloc(strlen(hex) / 2 + 1), 0};

    EXPECT(decoded.at != NULL);
    decoded.size = test_from_hex(hex, decoded.at, strlen(hex) / 2);
    EXPECT_VECTOR(decoded.size != SIZE_MAX);
    return decoded;
}

static void decode_exact(const char *hex, uint8_t *out, size_t size)
{
    EXPECT_VECTOR(test_from_hex(hex, out, size) == size);
}

static bool equals_hex(const uint8_t *got, size_t size, const char *hex)
{
    bytes expected = decode(hex);
    const bool equal = expected.size == size && (size == 0 || memcmp(got, expected.at, size) == 0);

    free(expected.at);
    return equal;
}

/* The class of Section 13 that an error belongs to. The end of the stream is of class framing
 * inside a frame, and of class closed in the handshake. */
static const char *class_of(goipc_error error, const char *expected)
{
    static const struct {
        goipc_error error;
        const char *name;
    } rows[] = {
        {GOIPC_ERROR_VERSION, "version"},     {GOIPC_ERROR_ENCRYPTION, "encryption"},
        {GOIPC_ERROR_REPLY, "other"},         {GOIPC_ERROR_PUBLIC_KEY, "key"},
        {GOIPC_ERROR_DECRYPT, "auth"},        {GOIPC_ERROR_REFLECTED, "auth"},
        {GOIPC_ERROR_DISCONNECTED, "closed"}, {GOIPC_ERROR_TRUNCATED, "framing"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].error == error) {
            return rows[i].name;
        }
    }
    /* One error for a length below and above what is allowed. */
    if (error == GOIPC_ERROR_FRAME_SIZE &&
        (strcmp(expected, "framing") == 0 || strcmp(expected, "too-large") == 0)) {
        return expected;
    }
    return goipc_error_name(error);
}

/* --- key derivation and points ---------------------------------------------------------------- */

static void check_kdf(const goipc_vector_kdf *vector)
{
    uint8_t private_key[48], public_key[97], peer[97], x[48], key[32];

    decode_exact(vector->private_key, private_key, 48);
    decode_exact(vector->peer, peer, 97);
    EXPECT_VECTOR(crypto->p384_public(crypto->context, private_key, public_key) == GOIPC_ERROR_OK);
    EXPECT_VECTOR(equals_hex(public_key, 97, vector->public_key));
    EXPECT_VECTOR(crypto->p384_shared(crypto->context, private_key, peer, x) == GOIPC_ERROR_OK);
    EXPECT_VECTOR(equals_hex(x, 48, vector->x));
    EXPECT_VECTOR(goipc_crypto_derive_key(crypto, x, GOIPC_KEY_FORM_MINIMAL, key) ==
                  GOIPC_ERROR_OK);
    EXPECT_VECTOR(equals_hex(key, 32, vector->key));
    EXPECT_VECTOR(goipc_crypto_derive_key(crypto, x, GOIPC_KEY_FORM_FIXED, key) == GOIPC_ERROR_OK);
    EXPECT_VECTOR(equals_hex(key, 32, vector->key_fixed48));
}

/* A table whose randomness is the draws of a vector, and whose hash is `key` where there is one. */
typedef struct drawn {
    scripted base; /* first: the functions of session_peer.h take this for their context */
    const char *const *draws;
    const char *key;
} drawn;

static goipc_error draw(void *context, uint8_t *out, size_t size)
{
    drawn *script = context;

    EXPECT_VECTOR(*script->draws != NULL);
    decode_exact(*script->draws++, out, size);
    return GOIPC_ERROR_OK;
}

static goipc_error give_key(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    const drawn *script = context;

    (void)in;
    (void)in_size;
    decode_exact(script->key, out, 32);
    return GOIPC_ERROR_OK;
}

/* The same few keys meet in hundreds of streams, each cut in several ways: what was computed once
 * is remembered, for the slower back end's sake. */
static struct remembered {
    const goipc_crypto *crypto;
    uint8_t private_key[48], peer[97], shared_x[48];
    goipc_error error;
} memory[64];

static goipc_error remember_shared(void *context, const uint8_t private_key[48],
                                   const uint8_t peer[97], uint8_t shared_x[48])
{
    static size_t next;
    struct remembered *made;

    (void)context;
    for (size_t i = 0; i < COUNT(memory); i++) {
        if (memory[i].crypto == crypto && memcmp(memory[i].private_key, private_key, 48) == 0 &&
            memcmp(memory[i].peer, peer, 97) == 0) {
            memcpy(shared_x, memory[i].shared_x, 48);
            return memory[i].error;
        }
    }
    made = &memory[next++ % COUNT(memory)];
    made->crypto = crypto;
    memcpy(made->private_key, private_key, 48);
    memcpy(made->peer, peer, 97);
    made->error = crypto->p384_shared(crypto->context, private_key, peer, made->shared_x);
    memcpy(shared_x, made->shared_x, 48);
    return made->error;
}

static goipc_error remember_public(void *context, const uint8_t private_key[48],
                                   uint8_t public_key[97])
{
    static struct {
        const goipc_crypto *crypto;
        uint8_t private_key[48], public_key[97];
    } known[16];
    static size_t next;
    size_t i;

    (void)context;
    for (i = 0; i < COUNT(known); i++) {
        if (known[i].crypto == crypto && memcmp(known[i].private_key, private_key, 48) == 0) {
            break;
        }
    }
    if (i == COUNT(known)) {
        i = next++ % COUNT(known);
        known[i].crypto = crypto;
        memcpy(known[i].private_key, private_key, 48);
        EXPECT_VECTOR(crypto->p384_public(crypto->context, private_key, known[i].public_key) ==
                      GOIPC_ERROR_OK);
    }
    memcpy(public_key, known[i].public_key, 97);
    return GOIPC_ERROR_OK;
}

static goipc_crypto drawn_crypto(drawn *script)
{
    goipc_crypto table;

    script->base.real = crypto;
    table = scripted_crypto(&script->base);
    table.random = draw;
    table.p384_public = remember_public;
    table.p384_shared = remember_shared;
    if (script->key != NULL) {
        table.sha256 = give_key;
    }
    return table;
}

static void check_point(const goipc_vector_point *vector)
{
    static const char no_nonces[] = "0000000000000000";
    const char *draws[] = {vector->private_key, no_nonces, NULL};
    drawn script = {.draws = draws};
    const goipc_crypto table = drawn_crypto(&script);
    uint8_t private_key[48], x[48], reply = 0;
    bytes peer = decode(vector->peer);
    goipc_session *server;
    goipc_event event;
    goipc_error error;

    if (peer.size != GOIPC_P384_PUBLIC_SIZE) {
        EXPECT_VECTOR(!vector->valid); /* a stream has 97 bytes for a key, and no size */
        free(peer.at);
        return;
    }
    decode_exact(vector->private_key, private_key, 48);
    error = crypto->p384_shared(crypto->context, private_key, peer.at, x);
    EXPECT_VECTOR(error ==
                  (vector->valid || vector->own ? GOIPC_ERROR_OK : GOIPC_ERROR_PUBLIC_KEY));
    server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, &table, 0);
    EXPECT(feed(server, &reply, 1, 1) == GOIPC_ERROR_OK);
    EXPECT(feed(server, peer.at, peer.size, peer.size) == GOIPC_ERROR_OK);
    error = goipc_session_next_event(server, &event);
    EXPECT_VECTOR(error == (vector->valid ? GOIPC_ERROR_OK : GOIPC_ERROR_PUBLIC_KEY));
    goipc_session_free(server);
    free(peer.at);
}

/* --- frames ----------------------------------------------------------------------------------- */

static void check_encode(const goipc_vector_frame *vector, const bytes *wire)
{
    bytes data = decode(vector->data);
    uint8_t *out = malloc(vector->consumed);
    size_t size;
    goipc_error error;

    EXPECT(out != NULL);
    error = goipc_wire_encode_plain(vector->type, data.at, data.size, out, vector->consumed, &size);
    if (vector->type == 0) {
        EXPECT_VECTOR(error == GOIPC_ERROR_TYPE_RESERVED);
    } else {
        EXPECT_VECTOR(error == GOIPC_ERROR_OK && size == vector->consumed);
        EXPECT_VECTOR(memcmp(out, wire->at, size) == 0);
    }
    free(out);
    free(data.at);
}

static void check_frame(const goipc_vector_frame *vector)
{
    bytes wire = decode(vector->wire);
    goipc_decode result;
    goipc_frame_header header;
    size_t needed;
    const goipc_error error =
        goipc_wire_decode_header(wire.at, wire.size, GOIPC_FRAME_TYPE_SIZE,
                                 vector->limit + GOIPC_FRAME_TYPE_SIZE, &result, &needed, &header);

    if (strcmp(vector->result, "fail") == 0) {
        EXPECT_VECTOR(strcmp(class_of(error, vector->error), vector->error) == 0);
        EXPECT_VECTOR(vector->needed == GOIPC_FRAME_LENGTH_SIZE);
        EXPECT_VECTOR(goipc_wire_decode_header(wire.at, vector->needed - 1, 4, 4, &result, &needed,
                                               &header) == GOIPC_ERROR_OK);
    } else if (strcmp(vector->result, "more") == 0) {
        EXPECT_VECTOR(error == GOIPC_ERROR_OK && result == GOIPC_DECODE_MORE);
        EXPECT_VECTOR(needed == vector->needed);
    } else {
        EXPECT_VECTOR(error == GOIPC_ERROR_OK && result == GOIPC_DECODE_DONE);
        EXPECT_VECTOR(needed == vector->consumed);
        EXPECT_VECTOR(goipc_wire_get_u32(wire.at + 4) == vector->type);
        EXPECT_VECTOR(equals_hex(wire.at + 8, needed - 8, vector->data));
        EXPECT_VECTOR((vector->type == 0) == (strcmp(vector->result, "discard") == 0));
        check_encode(vector, &wire);
    }
    free(wire.at);
}

static void check_seal(const goipc_vector_seal *vector)
{
    bytes data = decode(vector->data), wire = decode(vector->wire);
    uint8_t *out = malloc(wire.size), key[32], nonce[12];
    size_t size;

    EXPECT(out != NULL);
    decode_exact(vector->key, key, 32);
    decode_exact(vector->nonce, nonce, 12);
    EXPECT_VECTOR(goipc_crypto_seal_frame(crypto, key, nonce, vector->type, data.at, data.size, out,
                                          wire.size, &size) == GOIPC_ERROR_OK);
    EXPECT_VECTOR(size == wire.size && memcmp(out, wire.at, size) == 0);
    free(out);
    free(wire.at);
    free(data.at);
}

static void check_open(const goipc_vector_seal *vector)
{
    bytes wire = decode(vector->wire);
    bytes body = {test_copy(wire.at + 4, wire.size - 4), wire.size - 4};
    uint8_t key[32];
    goipc_decode result;
    goipc_frame_header header;
    const uint8_t *data;
    uint32_t type;
    size_t needed, data_size;
    goipc_error error;

    decode_exact(vector->key, key, 32);
    error = goipc_wire_decode_header(wire.at, wire.size, 32, UINT32_MAX, &result, &needed, &header);
    if (error == GOIPC_ERROR_OK) {
        EXPECT_VECTOR(result == GOIPC_DECODE_DONE && needed == wire.size);
    }
    error = goipc_crypto_open_frame(crypto, key, body.at, body.size, &type, &data, &data_size);
    if (vector->valid) {
        EXPECT_VECTOR(error == GOIPC_ERROR_OK && type == vector->type);
        EXPECT_VECTOR(equals_hex(data, data_size, vector->data));
    } else {
        EXPECT_VECTOR(strcmp(class_of(error, vector->error), vector->error) == 0);
    }
    free(body.at);
    free(wire.at);
}

/* --- LIMIT and bounds ------------------------------------------------------------------------- */

static const char some_private_key[] =
    "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e"
    "0f";
static const char *const some_draws[] = {some_private_key, "0001020304050607", NULL};
/* The generator: a public key that is surely valid. */
static const char some_public_key[] =
    "04"
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e38727"
    "60ab7"
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90e"
    "a0e5f";

static void feed_hex(goipc_session *session, const char *hex)
{
    bytes input = decode(hex);

    EXPECT_VECTOR(feed(session, input.at, input.size, input.size) == GOIPC_ERROR_OK);
    free(input.at);
}

static void check_limit(const goipc_vector_limit *vector)
{
    const bool sealed = vector->key != NULL;
    drawn script = {.draws = some_draws, .key = vector->key};
    const goipc_crypto table = drawn_crypto(&script);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_OPTIONAL, &table, 0);
    goipc_event event;
    goipc_error error;

    feed_hex(client, sealed ? "0201" : "0200");
    if (sealed) {
        feed_hex(client, some_public_key);
    }
    feed_hex(client, vector->wire);
    error = goipc_session_next_event(client, &event);
    if (vector->valid) {
        EXPECT_VECTOR(error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_CONNECTED);
        EXPECT_VECTOR(goipc_session_send_size_max(client) ==
                      (vector->limit < GOIPC_MESSAGE_SIZE_CEILING ? vector->limit
                                                                  : GOIPC_MESSAGE_SIZE_CEILING));
    } else {
        EXPECT_VECTOR(strcmp(class_of(error, vector->error), vector->error) == 0);
    }
    goipc_session_free(client);
}

/* Makes a session whose limit may be one that a configuration cannot say. */
static goipc_session *session_with_limit(goipc_role role, goipc_encryption encryption,
                                         const goipc_crypto *table, uint32_t limit)
{
    /* Where size_t has 32 bits, the largest limits are refused; what they mean is judged all the
     * same, with a buffer of the default size behind them. */
    const size_t limit_max = SIZE_MAX / 4 < UINT32_MAX ? SIZE_MAX / 4 : UINT32_MAX;
    goipc_session *session = new_session(role, encryption, table, limit <= limit_max ? limit : 0);

    session->message_size_max = limit;
    return session;
}

static void check_bound(const goipc_vector_bound *vector)
{
    drawn script = {.draws = some_draws};
    const goipc_crypto table = drawn_crypto(&script);
    /* A frame is counted with its length; where size_t has 32 bits, the largest cannot be. */
    const size_t body_size_max = SIZE_MAX - GOIPC_FRAME_LENGTH_SIZE;
    uint8_t length[4];
    goipc_session *server;
    goipc_event event;
    goipc_error error;

    if (vector->limit > GOIPC_MESSAGE_SIZE_CEILING) {
        return; /* no configuration takes it */
    }
    server = session_with_limit(GOIPC_ROLE_SERVER,
                                vector->sealed ? GOIPC_ENCRYPTION_REQUIRE : GOIPC_ENCRYPTION_OFF,
                                &table, vector->limit);
    feed_hex(server, "00");
    if (vector->sealed) {
        feed_hex(server, some_public_key);
    }
    feed_hex(server, "00");
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    goipc_wire_put_u32(length, vector->length);
    EXPECT(feed(server, length, 4, 4) == GOIPC_ERROR_OK);
    error = goipc_session_next_event(server, &event);
    if (vector->length > body_size_max) {
        EXPECT_VECTOR(error == GOIPC_ERROR_FRAME_SIZE);
    } else if (vector->error == NULL) {
        EXPECT_VECTOR(error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT);
    } else {
        EXPECT_VECTOR(strcmp(class_of(error, vector->error), vector->error) == 0);
    }
    goipc_session_free(server);
}

/* --- sessions --------------------------------------------------------------------------------- */

/* What a session did: its events as text, one a line, and its output. */
typedef struct journal {
    char events[BYTES_MAX];
    size_t events_size;
    uint8_t output[BYTES_MAX];
    size_t output_size;
    bool ended;
} journal;

static void note(journal *record, const char *event, uint32_t type, const uint8_t *data,
                 size_t size)
{
    const size_t room = sizeof record->events - record->events_size;
    char *at = record->events + record->events_size;
    int used = snprintf(at, room, "%s %lu ", event, (unsigned long)type);

    EXPECT(used > 0 && (size_t)used + 2 * size + 2 < room);
    for (size_t i = 0; i < size; i++) {
        used += snprintf(at + used, room - (size_t)used, "%02x", (unsigned)data[i]);
    }
    at[used++] = '\n';
    at[used] = '\0';
    record->events_size += (size_t)used;
}

static void take_output(goipc_session *session, journal *record)
{
    const uint8_t *out;
    size_t size;

    goipc_session_output(session, &out, &size);
    EXPECT(size <= sizeof record->output - record->output_size);
    if (size > 0) {
        memcpy(record->output + record->output_size, out, size);
    }
    goipc_session_output_consume(session, size);
    record->output_size += size;
}

/* Takes all events that are there. `expected` is the class that a failure should have. */
static void take_events(goipc_session *session, journal *record, const char *expected)
{
    while (!record->ended) {
        goipc_event event;
        const goipc_error error = goipc_session_next_event(session, &event);

        take_output(session, record);
        if (error != GOIPC_ERROR_OK) {
            const char *name = class_of(error, expected);

            note(record, "failed", 0, (const uint8_t *)name, strlen(name));
            record->ended = true;
        } else if (event.type == GOIPC_EVENT_NEED_INPUT) {
            return;
        } else if (event.type == GOIPC_EVENT_CONNECTED) {
            note(record, "connected", 0, NULL, 0);
        } else if (event.type == GOIPC_EVENT_MESSAGE) {
            note(record, "message", event.message_type, event.data, event.data_size);
        } else if (event.type == GOIPC_EVENT_CLOSED) {
            note(record, "closed", 0, NULL, 0);
            record->ended = true;
        }
    }
}

/* One read's worth of bytes; the session may want it in smaller rooms. */
static void feed_piece(goipc_session *session, const uint8_t *piece, size_t size, journal *record,
                       const char *expected)
{
    while (size > 0 && !record->ended) {
        uint8_t *in;
        size_t capacity;

        EXPECT_VECTOR(goipc_session_input(session, &in, &capacity) == GOIPC_ERROR_OK);
        capacity = capacity < size ? capacity : size;
        memcpy(in, piece, capacity);
        EXPECT_VECTOR(goipc_session_input_commit(session, capacity) == GOIPC_ERROR_OK);
        piece += capacity;
        size -= capacity;
        take_events(session, record, expected);
    }
}

/* How an input is cut: at the offsets of a list, or into pieces of a size. */
typedef struct cutting {
    const uint32_t *offsets;
    size_t count;
    size_t piece_size;
} cutting;

static void feed_cut(goipc_session *session, const bytes *input, const cutting *cut,
                     journal *record, const char *expected)
{
    size_t from = 0;

    take_events(session, record, expected);
    for (size_t i = 0; i < cut->count; i++) {
        feed_piece(session, input->at + from, cut->offsets[i] - from, record, expected);
        from = cut->offsets[i];
    }
    while (from < input->size) {
        const size_t left = input->size - from;
        const size_t size = left < cut->piece_size ? left : cut->piece_size;

        feed_piece(session, input->at + from, size, record, expected);
        from += size;
    }
}

static goipc_role role_of(const char *name)
{
    return strcmp(name, "server") == 0 ? GOIPC_ROLE_SERVER : GOIPC_ROLE_CLIENT;
}

static goipc_encryption encryption_of(const char *name)
{
    if (strcmp(name, "off") == 0) {
        return GOIPC_ENCRYPTION_OFF;
    }
    EXPECT_VECTOR(strcmp(name, "optional") == 0 || strcmp(name, "required") == 0 ||
                  strcmp(name, "on") == 0);
    return strcmp(name, "optional") == 0 ? GOIPC_ENCRYPTION_OPTIONAL : GOIPC_ENCRYPTION_REQUIRE;
}

static void expect_events(const journal *record, const char *expected)
{
    if (strcmp(record->events, expected) != 0) {
        fprintf(stderr, "%s with %s:\n%sexpected:\n%s", vector_id, crypto->name, record->events,
                expected);
    }
    EXPECT(strcmp(record->events, expected) == 0);
}

/* --- streams ---------------------------------------------------------------------------------- */

static const char *class_expected(const goipc_vector_stream *vector)
{
    const goipc_vector_event *last = &vector->events[vector->event_count - 1];

    return vector->event_count > 0 && strcmp(last->event, "failed") == 0 ? last->text : "";
}

static void check_stream_cut(const goipc_vector_stream *vector, const cutting *cut)
{
    static journal got, expected;
    drawn script = {.draws = vector->draws};
    const goipc_crypto table = drawn_crypto(&script);
    goipc_session *session = session_with_limit(
        role_of(vector->role), encryption_of(vector->encryption), &table, vector->limit);
    bytes input = decode(vector->input), output = decode(vector->output);

    got = expected = (journal){.events_size = 0};
    feed_cut(session, &input, cut, &got, class_expected(vector));
    if (vector->end && !got.ended) {
        EXPECT_VECTOR(goipc_session_input_end(session) == GOIPC_ERROR_OK);
        take_events(session, &got, class_expected(vector));
    }
    for (size_t i = 0; i < vector->event_count; i++) {
        const goipc_vector_event *event = &vector->events[i];
        const char *text = event->text != NULL ? event->text : "";
        const bool message = strcmp(event->event, "message") == 0;
        bytes data = message ? decode(text) : (bytes){test_copy(text, strlen(text)), strlen(text)};

        note(&expected, event->event, event->type, data.at, data.size);
        free(data.at);
    }
    expect_events(&got, expected.events);
    EXPECT_VECTOR(got.output_size <= output.size &&
                  memcmp(got.output, output.at, got.output_size) == 0);
    EXPECT_VECTOR(!vector->output_exact || got.output_size == output.size);
    goipc_session_free(session);
    free(input.at);
    free(output.at);
}

static void check_stream(const goipc_vector_stream *vector)
{
    const cutting cuts[] = {
        {NULL, 0, SIZE_MAX},
        {NULL, 0, 1},
        {NULL, 0, 7},
        {vector->cuts[0], vector->cut_count[0], SIZE_MAX},
        {vector->cuts[1], vector->cut_count[1], SIZE_MAX},
    };

    for (size_t i = 0; i < COUNT(cuts); i++) {
        check_stream_cut(vector, &cuts[i]);
    }
}

/* --- transcripts ------------------------------------------------------------------------------ */

/* Sends what this role sent in the transcript; a type that no session sends, past its check. */
static void send_messages(goipc_session *session, const goipc_vector_transcript *vector,
                          bool as_server)
{
    for (size_t i = 0; i < vector->message_count; i++) {
        const goipc_vector_message *message = &vector->messages[i];
        bytes data, wire;
        goipc_error error;

        if (message->from_server != as_server || strcmp(message->name, "FRAME") != 0) {
            continue;
        }
        data = decode(message->data);
        wire = decode(message->wire);
        if (message->type != 0) {
            error = goipc_session_send(session, message->type, data.at, data.size);
        } else if (vector->sealed) {
            error = goipci_record_seal(session, 0, data.at, data.size);
        } else {
            error = goipci_buffer_append(&session->out, wire.at, wire.size);
        }
        EXPECT_VECTOR(error == GOIPC_ERROR_OK);
        free(data.at);
        free(wire.at);
    }
}

/* What this role reports in the transcript, up to the end of the other's stream. */
static void expect_messages(const journal *got, const goipc_vector_transcript *vector,
                            bool as_server)
{
    static journal expected;

    expected = (journal){.events_size = 0};
    if (vector->refused != NULL) {
        note(&expected, "failed", 0, (const uint8_t *)vector->refused, strlen(vector->refused));
    } else {
        note(&expected, "connected", 0, NULL, 0);
    }
    for (size_t i = 0; i < vector->message_count; i++) {
        const goipc_vector_message *message = &vector->messages[i];
        bytes data;

        if (message->from_server == as_server || strcmp(message->name, "FRAME") != 0 ||
            message->type == 0) {
            continue;
        }
        data = decode(message->data);
        note(&expected, "message", message->type, data.at, data.size);
        free(data.at);
    }
    expect_events(got, expected.events);
}

static void play_role(const goipc_vector_transcript *vector, bool as_server, size_t piece_size)
{
    static journal got;
    const goipc_vector_side *side = as_server ? &vector->server : &vector->client;
    const char *draws[] = {side->private_key, "0000000000000000", NULL};
    drawn script = {.draws = side->draws[0] != NULL ? side->draws : draws};
    const goipc_crypto table = drawn_crypto(&script);
    goipc_session *session =
        session_with_limit(as_server ? GOIPC_ROLE_SERVER : GOIPC_ROLE_CLIENT,
                           encryption_of(side->encryption), &table, side->limit);
    bytes input = decode(as_server ? vector->client_stream : vector->server_stream);
    const cutting cut = {NULL, 0, piece_size};

    got = (journal){.events_size = 0};
    feed_cut(session, &input, &cut, &got, "");
    expect_messages(&got, vector, as_server);
    if (vector->refused == NULL) {
        send_messages(session, vector, as_server);
        take_output(session, &got);
    }
    if (strcmp(vector->nonces, "random") != 0) {
        EXPECT_VECTOR(equals_hex(got.output, got.output_size,
                                 as_server ? vector->server_stream : vector->client_stream));
    }
    if (vector->key != NULL) {
        const uint8_t *key =
            session->sends_alternative || goipci_flag_is_set(&session->peer_uses_alternative)
                ? session->alternative_key
                : session->key;

        EXPECT_VECTOR(equals_hex(key, GOIPC_KEY_SIZE, vector->key));
    }
    goipc_session_free(session);
    free(input.at);
}

static void check_transcript(const goipc_vector_transcript *vector)
{
    static const size_t piece_sizes[] = {SIZE_MAX, 1, 5};

    for (size_t i = 0; i < COUNT(piece_sizes); i++) {
        /* The other side of these is not one that this library can be: a peer of another key form,
         * or a server that speaks another version. */
        if (strcmp(vector->flags, "FixedServer") != 0 && vector->server.encryption != NULL) {
            play_role(vector, true, piece_sizes[i]);
        }
        if (strcmp(vector->flags, "FixedClient") != 0) {
            play_role(vector, false, piece_sizes[i]);
        }
    }
}

/* --- accumulated digest ----------------------------------------------------------------------- */

static void hash(const uint8_t *in, size_t size, uint8_t out[32])
{
    EXPECT(crypto->sha256(crypto->context, in, size, out) == GOIPC_ERROR_OK);
}

/* bytes(i, label, size) of Appendix B.3. */
static void derive_bytes(uint32_t number, char label, uint8_t *out, size_t size)
{
    uint8_t input[32] = "goipc accumulated 1", block[32];
    const size_t label_at = strlen("goipc accumulated 1");

    input[label_at] = (uint8_t)label;
    goipc_wire_put_u32(input + label_at + 1, number);
    for (uint32_t count = 0; size > 0; count++) {
        const size_t piece = size < sizeof block ? size : sizeof block;

        goipc_wire_put_u32(input + label_at + 5, count);
        hash(input, label_at + 9, block);
        memcpy(out, block, piece);
        out += piece;
        size -= piece;
    }
}

static void derive_x(uint32_t number, uint8_t x[48])
{
    uint8_t a[48], b[48], public_key[97];

    if (number % 100 != 99) {
        derive_bytes(number, 'x', x, 48);
        memset(x, 0, number % 49);
        return;
    }
    derive_bytes(number, 'a', a, 48);
    derive_bytes(number, 'b', b, 48);
    a[0] &= 0x7f;
    b[0] &= 0x7f;
    EXPECT(crypto->p384_public(crypto->context, a, public_key) == GOIPC_ERROR_OK);
    EXPECT(crypto->p384_shared(crypto->context, b, public_key, x) == GOIPC_ERROR_OK);
}

static void accumulate(uint32_t number, uint8_t digest[32])
{
    uint8_t x[48], number_bytes[4], data[300], nonce[12];
    uint8_t all[32 + 32 + 308 + 336];
    size_t data_size, size, used = 32;
    uint32_t type;

    memcpy(all, digest, 32);
    derive_x(number, x);
    EXPECT(goipc_crypto_derive_key(crypto, x, GOIPC_KEY_FORM_MINIMAL, all + used) ==
           GOIPC_ERROR_OK);
    used += 32;
    derive_bytes(number, 'n', nonce, 12);
    derive_bytes(number, 't', number_bytes, 4);
    type = goipc_wire_get_u32(number_bytes);
    type = type == 0 ? 1 : type;
    derive_bytes(number, 's', number_bytes, 4);
    data_size = goipc_wire_get_u32(number_bytes) % 300;
    derive_bytes(number, 'd', data, data_size);
    EXPECT(goipc_wire_encode_plain(type, data, data_size, all + used, sizeof all - used, &size) ==
           GOIPC_ERROR_OK);
    used += size;
    EXPECT(goipc_crypto_seal_frame(crypto, all + 32, nonce, type, data, data_size, all + used,
                                   sizeof all - used, &size) == GOIPC_ERROR_OK);
    hash(all, used + size, digest);
}

static void check_accumulated(void)
{
    const uint32_t most = (uint32_t)test_amount("accumulated vectors", 10000, 100);
    uint8_t digest[32] = {0};
    uint32_t number = 0;

    vector_id = "accumulated";
    for (size_t i = 0;
         i < COUNT(goipc_vectors_accumulated) && goipc_vectors_accumulated[i].count <= most; i++) {
        for (; number < goipc_vectors_accumulated[i].count; number++) {
            accumulate(number, digest);
        }
        EXPECT_VECTOR(equals_hex(digest, 32, goipc_vectors_accumulated[i].digest));
    }
}

/* ---------------------------------------------------------------------------------------------- */

#define FOR_EACH(array, check)                                                                     \
    do {                                                                                           \
        for (size_t i = 0; i < COUNT(array); i++) {                                                \
            vector_id = (array)[i].id;                                                             \
            check(&(array)[i]);                                                                    \
        }                                                                                          \
        vector_count += COUNT(array);                                                              \
    } while (0)

static void check_seal_and_open(const goipc_vector_seal *vector)
{
    if (vector->valid) {
        check_seal(vector);
    }
    check_open(vector);
}

static size_t check_all(void)
{
    size_t vector_count = COUNT(goipc_vectors_accumulated);

    FOR_EACH(goipc_vectors_kdf, check_kdf);
    FOR_EACH(goipc_vectors_point, check_point);
    FOR_EACH(goipc_vectors_frame, check_frame);
    FOR_EACH(goipc_vectors_seal, check_seal_and_open);
    FOR_EACH(goipc_vectors_limit, check_limit);
    FOR_EACH(goipc_vectors_bound, check_bound);
    FOR_EACH(goipc_vectors_transcript, check_transcript);
    FOR_EACH(goipc_vectors_stream, check_stream);
    check_accumulated();
    return vector_count;
}

int main(void)
{
    const crypto_tables tables = test_is_slow() ? each_library() : every_combination();
    size_t vector_count = 0;

    for (size_t i = 0; i < tables.count; i++) {
        crypto = tables.at[i];
        vector_count = check_all();
    }
    printf("ok %d checks: %d vectors, %d combinations\n", test_checks, (int)vector_count,
           (int)tables.count);
    return 0;
}
