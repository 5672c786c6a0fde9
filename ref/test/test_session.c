/* SPDX-License-Identifier: MIT */
/* Goal: two sessions understand each other in every mode however their bytes are cut, and a session
 * answers every hostile or broken input with the one right error, delivers nothing of it, and holds
 * no more memory than what has arrived. Method: pairs of sessions joined by memory, and a session
 * against hand-made bytes; expected bytes are literals. */
#include "session_peer.h"

static const goipc_crypto *backends[2]; /* the reference, and what runs by default */

/* --- pairs ------------------------------------------------------------------------------------ */

typedef struct pair_mode {
    goipc_encryption server;
    goipc_encryption client;
    bool encrypted;
} pair_mode;

static const pair_mode modes[] = {
    {GOIPC_ENCRYPTION_REQUIRE, GOIPC_ENCRYPTION_REQUIRE, true},
    {GOIPC_ENCRYPTION_REQUIRE, GOIPC_ENCRYPTION_OPTIONAL, true},
    {GOIPC_ENCRYPTION_OFF, GOIPC_ENCRYPTION_OPTIONAL, false},
    {GOIPC_ENCRYPTION_OFF, GOIPC_ENCRYPTION_OFF, false},
};

static uint8_t pattern_at(size_t at, uint32_t type)
{
    return (uint8_t)(at * 7 + at / 251 + type);
}

static void exchange(goipc_session *from, goipc_session *to, uint32_t type, size_t size,
                     size_t chunk)
{
    uint8_t *data = malloc(size + 1);
    goipc_event event;

    EXPECT(data != NULL);
    for (size_t i = 0; i < size; i++) {
        data[i] = pattern_at(i, type);
    }
    EXPECT(goipc_session_send(from, type, data, size) == GOIPC_ERROR_OK);
    free(data);
    EXPECT(pump(from, to, chunk, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.message_type == type);
    EXPECT(event.data != NULL && event.data_size == size);
    for (size_t i = 0; i < event.data_size; i++) {
        if (event.data[i] != pattern_at(i, type)) {
            EXPECT(event.data[i] == pattern_at(i, type));
        }
    }
}

/* How large the largest message is that crosses at once, in pieces, and byte by byte. */
static size_t whole_largest, cut_largest, byte_largest;

static void run_pair(const pair_mode *mode, const goipc_crypto *server_crypto,
                     const goipc_crypto *client_crypto, size_t chunk)
{
    static const size_t sizes[] = {0, 1, 5, 11, 12, 13, 1023, 4096, 65535, 65536};
    static const uint32_t types[] = {1, 65536, 2147483647u, 2147483648u, UINT32_MAX};
    goipc_session *server =
        new_session(GOIPC_ROLE_SERVER, mode->server, server_crypto, chunk == 1 ? 65536 : 0);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, mode->client, client_crypto, 0);

    connect_pair(server, client, chunk);
    EXPECT(goipc_session_is_encrypted(server) == mode->encrypted);
    EXPECT(goipc_session_is_encrypted(client) == mode->encrypted);
    EXPECT(goipc_session_send_size_max(client) == (chunk == 1 ? 65536 : 3145728));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i] > (chunk == 1 ? byte_largest : chunk == SIZE_MAX ? SIZE_MAX : cut_largest)) {
            break;
        }
        exchange(server, client, types[i % 5], sizes[i], chunk);
        exchange(client, server, types[(i + 1) % 5], sizes[i], chunk);
    }
    if (chunk > 1) {
        const size_t largest = chunk == SIZE_MAX ? whole_largest : cut_largest;

        exchange(client, server, 9, largest, chunk);
        exchange(server, client, 9, largest, chunk);
    }
    goipc_session_free(server);
    goipc_session_free(client);
}

static void test_pairs_in_every_mode_and_cut(void)
{
    static const size_t chunks[] = {1, 7, SIZE_MAX};
    const size_t later = (size_t)test_amount("bytes at once but in two modes", 3145728, 70000);

    cut_largest = (size_t)test_amount("bytes in pieces of 7", 3145728, 20000);
    byte_largest = (size_t)test_amount("bytes one by one", 65536, 4096);
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
            whole_largest = m % 2 == 0 ? 3145728 : later; /* one of two that encrypt, or not */
            run_pair(&modes[m], backends[0], backends[1], chunks[c]);
            whole_largest = later;
            run_pair(&modes[m], backends[1], backends[0], chunks[c]);
        }
    }
}

static void test_many_messages_in_one_read(void)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    goipc_event event;
    uint32_t received = 0;

    connect_pair(server, client, SIZE_MAX);
    EXPECT(!goipci_session_has_event(client));
    for (uint32_t i = 1; i <= 5000; i++) {
        EXPECT(goipc_session_send(server, i, &i, sizeof i) == GOIPC_ERROR_OK);
    }
    while (received < 5000) {
        EXPECT(pump(server, client, SIZE_MAX, &event) == GOIPC_ERROR_OK);
        EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.message_type == ++received);
    }
    goipci_session_trim(client);
    EXPECT(client->in.capacity == 0 && !goipci_session_has_event(client));
    exchange(server, client, 1, 10, SIZE_MAX);
    goipc_session_free(server);
    goipc_session_free(client);
}

/* --- what a plain server and client answer to given bytes ------------------------------------- */

typedef struct reaction {
    const char *in;
    size_t in_size;
    goipc_error error; /* after all of `in`; OK: waits for more */
    const char *out;   /* everything it has said then */
    size_t out_size;
} reaction;

static void expect_reaction(goipc_role role, goipc_encryption encryption, const reaction *row,
                            size_t chunk)
{
    goipc_session *session = new_session(role, encryption, NULL, 2048);
    const uint8_t *out;
    size_t out_size;
    goipc_event event;
    goipc_error error;

    error = feed_for_event(session, (const uint8_t *)row->in, row->in_size, chunk, &event);
    if (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_CONNECTED) {
        /* The rest of the bytes, in one piece: the connection is up. */
        error = goipc_session_next_event(session, &event);
    }
    EXPECT(error == row->error);
    EXPECT(goipc_session_error(session) == row->error);
    goipc_session_output(session, &out, &out_size);
    EXPECT(out_size == row->out_size);
    EXPECT(out_size == 0 || memcmp(out, row->out, out_size) == 0);
    if (row->error != GOIPC_ERROR_OK) {
        uint8_t *in;
        size_t capacity;

        /* Sticky, and nothing is accepted any more. */
        EXPECT(goipc_session_next_event(session, &event) == row->error);
        EXPECT(goipc_session_input(session, &in, &capacity) == row->error);
        EXPECT(goipc_session_input_commit(session, 0) == row->error);
        EXPECT(goipc_session_input_end(session) == row->error);
        EXPECT(goipci_session_has_event(session));
    }
    goipc_session_free(session);
}

#define BYTES(literal) literal, sizeof literal - 1

static void test_server_answers(void)
{
    static const reaction rows[] = {
        {BYTES(""), GOIPC_ERROR_OK, BYTES("\2\0")},
        {BYTES("\0"), GOIPC_ERROR_OK, BYTES("\2\0\0\0\0\4\0\0\10\0")},
        {BYTES("\1"), GOIPC_ERROR_VERSION, BYTES("\2\0")},
        {BYTES("\2"), GOIPC_ERROR_ENCRYPTION, BYTES("\2\0")},
        {BYTES("\3"), GOIPC_ERROR_REPLY, BYTES("\2\0")},
        {BYTES("\377"), GOIPC_ERROR_REPLY, BYTES("\2\0")},
        {BYTES("\0\0"), GOIPC_ERROR_OK, BYTES("\2\0\0\0\0\4\0\0\10\0")},
        {BYTES("\0\7"), GOIPC_ERROR_OK, BYTES("\2\0\0\0\0\4\0\0\10\0")},
        {BYTES("\0\0\0\0\0\0"), GOIPC_ERROR_FRAME_SIZE, BYTES("\2\0\0\0\0\4\0\0\10\0")},
        {BYTES("\0\0\0\0\0\3"), GOIPC_ERROR_FRAME_SIZE, BYTES("\2\0\0\0\0\4\0\0\10\0")},
        {BYTES("\0\0\0\0\10\4"), GOIPC_ERROR_OK, BYTES("\2\0\0\0\0\4\0\0\10\0")},
        {BYTES("\0\0\0\0\10\5"), GOIPC_ERROR_FRAME_SIZE, BYTES("\2\0\0\0\0\4\0\0\10\0")},
        {BYTES("\0\0\377\377\377\377"), GOIPC_ERROR_FRAME_SIZE, BYTES("\2\0\0\0\0\4\0\0\10\0")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_reaction(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, &rows[i], SIZE_MAX);
    }
}

static void test_client_answers(void)
{
    static const reaction off[] = {
        {BYTES("\2"), GOIPC_ERROR_OK, BYTES("")},
        {BYTES("\2\0"), GOIPC_ERROR_OK, BYTES("\0")},
        {BYTES("\1\0"), GOIPC_ERROR_VERSION, BYTES("\1")},
        {BYTES("\3\7"), GOIPC_ERROR_VERSION, BYTES("\1")},
        {BYTES("\2\1"), GOIPC_ERROR_ENCRYPTION, BYTES("\2")},
        {BYTES("\2\2"), GOIPC_ERROR_ENCRYPTION, BYTES("\2")},
        {BYTES("\2\0\0\0\0\3"), GOIPC_ERROR_FRAME_SIZE, BYTES("\0")},
        {BYTES("\2\0\0\0\0\5"), GOIPC_ERROR_FRAME_SIZE, BYTES("\0")},
        {BYTES("\2\0\0\0\0\4\0\0\0\0"), GOIPC_ERROR_OK, BYTES("\0\0")},
        {BYTES("\2\0\0\0\0\4\377\377\377\377"), GOIPC_ERROR_OK, BYTES("\0\0")},
        {BYTES("\2\0\0\0\0\4\0\0\10\0\0\0\0\3"), GOIPC_ERROR_FRAME_SIZE, BYTES("\0\0")},
    };
    static const reaction require[] = {
        {BYTES("\2\0"), GOIPC_ERROR_ENCRYPTION, BYTES("\2")},
        {BYTES("\2\7"), GOIPC_ERROR_ENCRYPTION, BYTES("\2")},
        {BYTES("\2\1"), GOIPC_ERROR_OK, BYTES("\0")},
    };
    static const reaction optional[] = {
        {BYTES("\2\0"), GOIPC_ERROR_OK, BYTES("\0")},
        {BYTES("\2\1"), GOIPC_ERROR_OK, BYTES("\0")},
        {BYTES("\2\2"), GOIPC_ERROR_ENCRYPTION, BYTES("\2")},
    };

    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        expect_reaction(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_OFF, &off[i], SIZE_MAX);
        if (off[i].in_size <= 10) { /* beyond that, cuts take CONNECTED apart from the frame */
            expect_reaction(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_OFF, &off[i], 1);
        }
    }
    for (size_t i = 0; i < sizeof require / sizeof require[0]; i++) {
        expect_reaction(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, &require[i], 1);
    }
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        expect_reaction(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_OPTIONAL, &optional[i], 1);
    }
}

static void test_limit_that_no_frame_can_hold_is_cut(void)
{
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_OFF, NULL, 0);
    goipc_event event;

    EXPECT(feed_for_event(client, (const uint8_t *)"\2\0\0\0\0\4\377\377\377\377", 10, 10,
                          &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    EXPECT(goipc_session_send_size_max(client) == 4294967263u);
    goipc_session_free(client);
}

static void test_type_zero_is_discarded(void)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, NULL, 0);
    static const char in[] = "\0\0"
                             "\0\0\0\7\0\0\0\0bad"
                             "\0\0\0\4\0\0\0\5";
    goipc_event event;

    EXPECT(feed_for_event(server, (const uint8_t *)in, sizeof in - 1, SIZE_MAX, &event) ==
           GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONTROL);
    EXPECT(goipci_session_has_event(server));
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.message_type == 5 && event.data_size == 0);
    EXPECT(!goipci_session_has_event(server));
    goipc_session_free(server);
}

/* --- endings ---------------------------------------------------------------------------------- */

static goipc_error end_after(const char *in, size_t size, goipc_event *event)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, NULL, 0);
    uint8_t *room;
    size_t capacity;
    goipc_error error;

    EXPECT(feed(server, (const uint8_t *)in, size, SIZE_MAX) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_input_end(server) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_input(server, &room, &capacity) == GOIPC_ERROR_STATE);
    EXPECT(goipci_session_has_event(server));
    do {
        error = goipc_session_next_event(server, event);
        EXPECT(error != GOIPC_ERROR_OK || event->type != GOIPC_EVENT_NEED_INPUT);
    } while (error == GOIPC_ERROR_OK && event->type != GOIPC_EVENT_CLOSED);
    if (error == GOIPC_ERROR_OK) { /* stays closed */
        EXPECT(goipc_session_next_event(server, event) == GOIPC_ERROR_OK);
        EXPECT(event->type == GOIPC_EVENT_CLOSED);
    }
    goipc_session_free(server);
    return error;
}

static void test_end_at_every_byte(void)
{
    static const char in[] = "\0\0"
                             "\0\0\0\7\0\0\0\1abc"
                             "\0\0\0\4\0\0\0\2";
    goipc_event event;

    for (size_t size = 0; size < sizeof in; size++) {
        const goipc_error error = end_after(in, size, &event);

        if (size < 2) { /* no handshake yet */
            EXPECT(error == GOIPC_ERROR_DISCONNECTED);
        } else if (size == 2 || size == 13 || size == 21) {
            EXPECT(error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_CLOSED);
        } else {
            EXPECT(error == GOIPC_ERROR_TRUNCATED);
        }
    }
}

/* Also in the middle of a message: whoever has not finished the handshake has only gone. */
static void test_end_inside_a_handshake_message(void)
{
    static const size_t sizes[] = {0, 1, 2, 3, 2 + 96, 2 + 97, 2 + 97 + 4, 2 + 97 + 35};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
        goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
        size_t left = sizes[i];
        goipc_event event;

        while (left > 0) {
            left -= move_output(server, client, left);
            EXPECT(goipc_session_next_event(client, &event) == GOIPC_ERROR_OK);
            EXPECT(event.type == GOIPC_EVENT_NEED_INPUT);
            EXPECT(pump(client, server, SIZE_MAX, &event) == GOIPC_ERROR_OK);
        }
        EXPECT(goipc_session_input_end(client) == GOIPC_ERROR_OK);
        EXPECT(goipc_session_next_event(client, &event) == GOIPC_ERROR_DISCONNECTED);
        EXPECT(goipc_session_error(client) == GOIPC_ERROR_DISCONNECTED);
        goipc_session_free(server);
        goipc_session_free(client);
    }
}

/* Whoever reads one message of the handshake at a time is told how much that is. */
static void test_missing_bytes_of_the_handshake(void)
{
    static const size_t sizes[2][3] = {{1, 1, 0}, {1, GOIPC_P384_PUBLIC_SIZE, 1}};
    goipc_event event;

    for (int encrypted = 0; encrypted < 2; encrypted++) {
        const goipc_encryption encryption =
            encrypted != 0 ? GOIPC_ENCRYPTION_REQUIRE : GOIPC_ENCRYPTION_OFF;
        goipc_session *server = new_session(GOIPC_ROLE_SERVER, encryption, NULL, 0);
        goipc_session *client = new_session(GOIPC_ROLE_CLIENT, encryption, NULL, 0);

        EXPECT(goipci_handshake_missing(client) == GOIPC_HELLO_SIZE);
        EXPECT(move_output(server, client, 1) == 1);
        EXPECT(goipci_handshake_missing(client) == GOIPC_HELLO_SIZE - 1);
        for (size_t i = 0; i < 3 && sizes[encrypted][i] > 0; i++) {
            EXPECT(pump(server, client, SIZE_MAX, &event) == GOIPC_ERROR_OK);
            EXPECT(goipci_handshake_missing(server) == sizes[encrypted][i]);
            EXPECT(pump(client, server, SIZE_MAX, &event) == GOIPC_ERROR_OK);
        }
        EXPECT(event.type == GOIPC_EVENT_CONNECTED);
        EXPECT(goipci_handshake_missing(server) == 0 && goipci_handshake_missing(client) == 0);
        goipc_session_free(server);
        goipc_session_free(client);
    }
}

/* --- sealed and hostile ----------------------------------------------------------------------- */

/* Connects a pair and returns what the client sends next, ready to be tampered with. */
static size_t sealed_frame(goipc_session *client, uint8_t *frame, size_t capacity)
{
    const uint8_t *out;
    size_t size;

    EXPECT(goipc_session_send(client, 5, "hello", 5) == GOIPC_ERROR_OK);
    goipc_session_output(client, &out, &size);
    EXPECT(size <= capacity);
    memcpy(frame, out, size);
    goipc_session_output_consume(client, size);
    return size;
}

static void test_every_flipped_bit_of_a_sealed_body_is_refused(void)
{
    const size_t step = test_is_slow() ? 23 : 5;
    uint8_t frame[64];
    goipc_event event;

    if (test_is_slow()) {
        printf("slow: flipped bits: every 23rd instead of every 5th\n");
    }
    for (size_t bit = 32; bit < (4 + 32 + 5) * 8; bit += step) {
        goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
        goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
        size_t size;

        connect_pair(server, client, SIZE_MAX);
        size = sealed_frame(client, frame, sizeof frame);
        EXPECT(size == 4 + 32 + 5);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        EXPECT(feed_for_event(server, frame, size, SIZE_MAX, &event) == GOIPC_ERROR_DECRYPT);
        EXPECT(goipc_session_error(server) == GOIPC_ERROR_DECRYPT);
        goipc_session_free(server);
        goipc_session_free(client);
    }
}

static void test_own_frame_and_own_key_sent_back(void)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    const uint8_t *out;
    size_t size;
    uint8_t frame[64];
    goipc_event event;

    connect_pair(server, client, SIZE_MAX);
    size = sealed_frame(client, frame, sizeof frame);
    EXPECT(feed_for_event(client, frame, size, SIZE_MAX, &event) == GOIPC_ERROR_REFLECTED);
    goipc_session_free(server);
    goipc_session_free(client);

    server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    EXPECT(feed_for_event(server, (const uint8_t *)"", 1, 1, &event) == GOIPC_ERROR_OK);
    goipc_session_output(server, &out, &size);
    EXPECT(size == 2 + 97);
    EXPECT(feed_for_event(server, out + 2, 97, 97, &event) == GOIPC_ERROR_PUBLIC_KEY);
    goipc_session_free(server);
}

/* It would open, and be a message of a type that nobody has sent. */
static void test_limit_sent_again_is_refused(void)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    uint8_t limit[GOIPC_FRAME_LENGTH_SIZE + GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE];
    const uint8_t *out;
    size_t size;
    goipc_event event;

    EXPECT(pump(server, client, SIZE_MAX, &event) == GOIPC_ERROR_OK);
    EXPECT(pump(client, server, 1, &event) == GOIPC_ERROR_OK); /* all but the last reply */
    EXPECT(pump(server, client, GOIPC_P384_PUBLIC_SIZE, &event) == GOIPC_ERROR_OK);
    EXPECT(pump(client, server, SIZE_MAX, &event) == GOIPC_ERROR_OK);
    goipc_session_output(server, &out, &size);
    EXPECT(size == sizeof limit);
    memcpy(limit, out, sizeof limit);
    connect_pair(server, client, SIZE_MAX);
    EXPECT(feed_for_event(client, limit, sizeof limit, sizeof limit, &event) ==
           GOIPC_ERROR_DECRYPT);
    EXPECT(goipc_session_error(client) == GOIPC_ERROR_DECRYPT);
    goipc_session_free(server);
    goipc_session_free(client);
}

static void test_invalid_public_keys(void)
{
    uint8_t key[97] = {4};
    goipc_event event;

    for (int kind = 0; kind < 3; kind++) {
        goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
        goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
        const uint8_t *out;
        size_t size;

        memset(key + 1, kind == 1 ? 0xff : 0, 96);
        key[0] = kind == 2 ? 5 : 4;
        EXPECT(feed_for_event(server, (const uint8_t *)"", 1, 1, &event) == GOIPC_ERROR_OK);
        EXPECT(feed_for_event(server, key, 97, 97, &event) == GOIPC_ERROR_PUBLIC_KEY);
        EXPECT(feed_for_event(client, (const uint8_t *)"\2\1", 2, 2, &event) == GOIPC_ERROR_OK);
        EXPECT(feed_for_event(client, key, 97, 97, &event) == GOIPC_ERROR_PUBLIC_KEY);
        goipc_session_output(client, &out, &size);
        EXPECT(size == 1 && out[0] == 0); /* no key of ours for a peer without one */
        goipc_session_free(server);
        goipc_session_free(client);
    }
}

/* A client that was told HELLO and has written its answer. How many random bytes it drew then, and
 * when it looked again; the private key is 48 of them. */
static void look_twice_for_server_key(const char *hello, bool ended, uint8_t drawn[2])
{
    scripted script = {.real = goipc_crypto_default()};
    const goipc_crypto crypto = scripted_crypto(&script);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_OPTIONAL, &crypto, 0);
    goipc_event event;

    EXPECT(feed_for_event(client, (const uint8_t *)hello, 2, 2, &event) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_next_event(client, &event) == GOIPC_ERROR_OK);
    EXPECT(script.next == 0); /* its answer comes first: the server waits for that */
    goipc_session_output_consume(client, 1);
    if (ended) {
        EXPECT(goipc_session_input_end(client) == GOIPC_ERROR_OK);
    }
    for (int i = 0; i < 2; i++) {
        const goipc_error error = goipc_session_next_event(client, &event);

        EXPECT(error == (ended ? GOIPC_ERROR_DISCONNECTED : GOIPC_ERROR_OK));
        drawn[i] = script.next;
    }
    goipc_session_free(client);
}

static void test_client_draws_its_pair_while_the_server_does(void)
{
    uint8_t drawn[2];

    look_twice_for_server_key("\2\1", false, drawn);
    EXPECT(drawn[0] == GOIPC_P384_PRIVATE_SIZE && drawn[1] == drawn[0]);
    look_twice_for_server_key("\2\0", false, drawn); /* plain: there is no key */
    EXPECT(drawn[0] == 0 && drawn[1] == 0);
    look_twice_for_server_key("\2\1", true, drawn); /* and none for a server that has gone */
    EXPECT(drawn[0] == 0 && drawn[1] == 0);
}

static goipc_error no_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 0, size);
    return GOIPC_ERROR_RANDOM;
}

/* What could not be computed ahead is told when it is needed: whoever goes before is just gone. */
static void test_what_fails_ahead_is_told_in_time(void)
{
    goipc_crypto crypto = *goipc_crypto_default();
    const uint8_t key[GOIPC_P384_PUBLIC_SIZE] = {4};

    crypto.random = no_random;
    for (int ends = 0; ends < 2; ends++) {
        goipc_session *client =
            new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, &crypto, 0);
        goipc_event event;

        EXPECT(feed_for_event(client, (const uint8_t *)"\2\1", 2, 2, &event) == GOIPC_ERROR_OK);
        goipc_session_output_consume(client, 1);
        EXPECT(goipc_session_next_event(client, &event) == GOIPC_ERROR_OK); /* it fails here */
        if (ends == 1) {
            EXPECT(goipc_session_input_end(client) == GOIPC_ERROR_OK);
            EXPECT(goipc_session_next_event(client, &event) == GOIPC_ERROR_DISCONNECTED);
        } else {
            EXPECT(feed_for_event(client, key, sizeof key, 50, &event) == GOIPC_ERROR_RANDOM);
        }
        goipc_session_free(client);
    }
}

/* A server that is told when it may do what costs, and a peer's reply and key. */
static goipc_session *told_server(const goipc_crypto *crypto, goipci_curve_policy work)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, crypto, 0);
    goipc_event event;

    goipci_handshake_set_curve_policy(server, work);
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    goipc_session_output_consume(server, GOIPC_HELLO_SIZE);
    return server;
}

/* Bytes of output after `set` and next_event, which finds nothing to tell. */
static size_t output_after(goipc_session *server, goipci_curve_policy work)
{
    const uint8_t *out;
    size_t size;
    goipc_event event;

    goipci_handshake_set_curve_policy(server, work);
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_NEED_INPUT);
    goipc_session_output(server, &out, &size);
    goipc_session_output_consume(server, size);
    return size;
}

static void test_work_waits_to_be_allowed(void)
{
    static const uint8_t private_key[48] = {[47] = 7};
    const goipc_crypto *crypto = goipc_crypto_default();
    goipc_session *server = told_server(crypto, GOIPCI_CURVE_LATER);
    uint8_t key[GOIPC_P384_PUBLIC_SIZE];

    EXPECT(crypto->p384_public(crypto->context, private_key, key) == GOIPC_ERROR_OK);
    EXPECT(feed(server, (const uint8_t *)"", 1, 1) == GOIPC_ERROR_OK);
    EXPECT(output_after(server, GOIPCI_CURVE_LATER) == 0);
    EXPECT(goipci_handshake_waits_for_curve(server) && !goipci_handshake_has_key_pair(server));
    EXPECT(output_after(server, GOIPCI_CURVE_ONCE) == GOIPC_P384_PUBLIC_SIZE);
    EXPECT(!goipci_handshake_waits_for_curve(server) && goipci_handshake_has_key_pair(server));
    EXPECT(feed(server, key, sizeof key, sizeof key) == GOIPC_ERROR_OK);
    EXPECT(output_after(server, GOIPCI_CURVE_LATER) == 0); /* that was the one */
    EXPECT(goipci_handshake_waits_for_curve(server));
    EXPECT(output_after(server, GOIPCI_CURVE_NOW) ==
           GOIPC_FRAME_LENGTH_SIZE + GOIPC_SEAL_OVERHEAD + 4);
    EXPECT(!goipci_handshake_waits_for_curve(server));
    goipc_session_free(server);
}

static void test_one_operation_is_one(void)
{
    static const uint8_t private_key[48] = {[47] = 7};
    const goipc_crypto *crypto = goipc_crypto_default();
    goipc_session *server = told_server(crypto, GOIPCI_CURVE_ONCE);
    uint8_t reply_and_key[1 + GOIPC_P384_PUBLIC_SIZE] = {0};
    goipc_event event;

    EXPECT(crypto->p384_public(crypto->context, private_key, reply_and_key + 1) == GOIPC_ERROR_OK);
    EXPECT(feed(server, reply_and_key, sizeof reply_and_key, SIZE_MAX) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_NEED_INPUT && goipci_handshake_waits_for_curve(server));
    goipc_session_free(server);
}

static void test_no_work_in_vain(void)
{
    goipc_session *server = told_server(NULL, GOIPCI_CURVE_NEVER);
    goipc_event event;

    EXPECT(feed_for_event(server, (const uint8_t *)"\2", 1, 1, &event) ==
           GOIPC_ERROR_ENCRYPTION); /* why it was refused is still told */
    goipc_session_free(server);
    server = told_server(NULL, GOIPCI_CURVE_NEVER);
    EXPECT(feed_for_event(server, (const uint8_t *)"", 1, 1, &event) == GOIPC_ERROR_DISCONNECTED);
    EXPECT(!goipci_handshake_has_key_pair(server));
    goipc_session_free(server);
}

static void test_sealed_type_zero_and_counts(void)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    const uint8_t nonce[12] = {1};
    uint8_t frame[64];
    size_t size;
    goipc_event event;

    connect_pair(server, client, SIZE_MAX);
    EXPECT(goipc_crypto_seal_frame(goipc_crypto_default(), server->key, nonce, 0, "x", 1, frame,
                                   sizeof frame, &size) == GOIPC_ERROR_OK);
    EXPECT(feed_for_event(server, frame, size, 1, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONTROL);

    client->nonces.next = UINT32_MAX - 1;
    EXPECT(goipc_session_send(client, 1, "x", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_send(client, 1, "x", 1) == GOIPC_ERROR_MESSAGE_LIMIT);
    server->opened_count = UINT32_MAX - 1;
    EXPECT(pump(client, server, SIZE_MAX, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_MESSAGE);
    EXPECT(goipc_crypto_seal_frame(goipc_crypto_default(), server->key, nonce, 1, "x", 1, frame,
                                   sizeof frame, &size) == GOIPC_ERROR_OK);
    EXPECT(feed_for_event(server, frame, size, 1, &event) == GOIPC_ERROR_MESSAGE_COUNT);
    goipc_session_free(server);
    goipc_session_free(client);
}

/* --- key forms -------------------------------------------------------------------------------- */

/* What computes here: what a leading zero changes is done by the session. */
static const goipc_crypto *forms_backend;

static void run_key_forms(bool client_is_fixed, bool server_is_fixed, bool leading_zero)
{
    scripted scripts[2] = {{forms_backend, 1}, {forms_backend, 99}};
    goipc_crypto crypto[2] = {scripted_crypto(&scripts[0]), scripted_crypto(&scripts[1])};
    goipc_session *server, *client;

    for (int i = 0; i < 2; i++) {
        if (leading_zero) {
            crypto[i].p384_shared = leading_zero_p384_shared;
        }
    }
    if (server_is_fixed) {
        crypto[0].sha256 = fixed_form_sha256;
    }
    if (client_is_fixed) {
        crypto[1].sha256 = fixed_form_sha256;
    }
    server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, &crypto[0], 0);
    client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, &crypto[1], 0);
    if (client_is_fixed) {
        /* Such a client takes the LIMIT frame unread (Node's does not look at the tag); here it is
         * simply told, so that its own first frame is what the server learns from. */
        goipc_event event;

        for (int turn = 0; turn < 2; turn++) {
            EXPECT(pump(server, client, SIZE_MAX, &event) == GOIPC_ERROR_OK);
            EXPECT(pump(client, server, SIZE_MAX, &event) == GOIPC_ERROR_OK);
        }
        client->has_alternative = false;
        memcpy(client->key, server->key, sizeof client->key);
        EXPECT(pump(server, client, SIZE_MAX, &event) == GOIPC_ERROR_OK);
        EXPECT(event.type == GOIPC_EVENT_CONNECTED);
        memcpy(client->key, server->alternative_key, sizeof client->key);
        client->crypto->aead_free(client->crypto->context, client->allocator, client->aead_in);
        client->aead_in = NULL;
        EXPECT(pump(client, server, SIZE_MAX, &event) == GOIPC_ERROR_OK);
        EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    } else {
        connect_pair(server, client, SIZE_MAX);
    }
    for (int i = 0; i < 3; i++) {
        exchange(client, server, 7, 100000, SIZE_MAX);
        exchange(server, client, 8, 100000, SIZE_MAX);
    }
    EXPECT(goipci_flag_is_set(&server->peer_uses_alternative) == (client_is_fixed && leading_zero));
    EXPECT(goipci_flag_is_set(&client->peer_uses_alternative) == (server_is_fixed && leading_zero));
    goipc_session_free(server);
    goipc_session_free(client);
}

static void test_key_forms(void)
{
    run_key_forms(false, false, false);
    run_key_forms(false, false, true);
    run_key_forms(false, true, false);
    run_key_forms(false, true, true);
    run_key_forms(true, false, true);
}

/* With a leading zero byte, a frame that neither key opens is refused like any other. */
static void test_neither_key_form(void)
{
    scripted scripts[2] = {{forms_backend, 1}, {forms_backend, 99}};
    goipc_crypto crypto[2] = {scripted_crypto(&scripts[0]), scripted_crypto(&scripts[1])};
    goipc_session *server, *client;
    uint8_t frame[64];
    size_t size;
    goipc_event event;

    crypto[0].p384_shared = crypto[1].p384_shared = leading_zero_p384_shared;
    server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, &crypto[0], 0);
    client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, &crypto[1], 0);
    connect_pair(server, client, SIZE_MAX);
    size = sealed_frame(client, frame, sizeof frame);
    frame[size - 1] ^= 1;
    EXPECT(feed_for_event(server, frame, size, SIZE_MAX, &event) == GOIPC_ERROR_DECRYPT);
    goipc_session_free(server);
    goipc_session_free(client);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void test_send_refuses(void)
{
    const goipc_session_config config = {
        .encryption = GOIPC_ENCRYPTION_OFF, .message_size_max = 2048, .queue_size_max = 100};
    goipc_session *server, *client;
    uint8_t data[2049] = {0};
    const uint8_t *out;
    size_t size;

    EXPECT(goipc_session_new(&config, &server) == GOIPC_ERROR_OK);
    client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_OFF, NULL, 0);
    EXPECT(goipc_session_send(client, 1, NULL, 0) == GOIPC_ERROR_STATE);
    connect_pair(server, client, SIZE_MAX);
    EXPECT(goipc_session_send(server, 0, data, 1) == GOIPC_ERROR_TYPE_RESERVED);
    EXPECT(goipc_session_send(server, 1, data, 2049) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_session_send(client, 1, data, 2049) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipci_session_lend(server, 1, data, 2049) == GOIPC_ERROR_MESSAGE_SIZE);

    EXPECT(goipc_session_send(server, 1, data, 2048) == GOIPC_ERROR_OK); /* empty queue: any */
    EXPECT(goipc_session_send(server, 1, data, 0) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipci_session_lend(server, 1, data, 1) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipci_session_output_size(server) == 2056);
    goipc_session_output(server, &out, &size);
    goipc_session_output_consume(server, size - 50);
    EXPECT(goipc_session_send(server, 1, data, 43) == GOIPC_ERROR_WOULD_BLOCK); /* one too many */
    EXPECT(goipc_session_send(server, 1, data, 42) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_send(server, 1, data, 0) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipci_buffer_append(&server->out, data, 3) == GOIPC_ERROR_OK);
    EXPECT(goipci_buffer_append(&server->out, NULL, 0) == GOIPC_ERROR_OK);
    EXPECT(goipci_session_output_size(server) == 103);
    goipc_session_free(server);
    goipc_session_free(client);
}

static void test_what_waits_is_known_without_asking_for_it(void)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, NULL, 0);
    uint8_t *in;
    size_t capacity;
    goipc_event event;

    EXPECT(!goipci_session_has_event(server)); /* nothing can wait before the handshake is done */
    EXPECT(feed_for_event(server, (const uint8_t *)"\0\0\0\0\0\0", 6, 6, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    EXPECT(goipci_session_has_event(server)); /* a length that cannot be */
    EXPECT(goipc_session_input(server, &in, &capacity) == GOIPC_ERROR_OK && capacity > 0);
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_FRAME_SIZE);
    goipc_session_free(server);
}

/* --- configuration ---------------------------------------------------------------------------- */

static void test_config_is_judged(void)
{
    static const goipc_session_config bad[] = {
        {.role = GOIPC_ROLE_SERVER, .encryption = GOIPC_ENCRYPTION_OPTIONAL},
        {.role = (goipc_role)2},
        {.role = GOIPC_ROLE_CLIENT, .encryption = (goipc_encryption)3},
        {.role = GOIPC_ROLE_CLIENT, .message_size_max = UINT32_MAX},
    };
    goipc_session *session;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT(goipc_session_new(&bad[i], &session) == GOIPC_ERROR_ARGUMENT && session == NULL);
    }
    EXPECT(goipc_session_new(NULL, &session) == GOIPC_ERROR_OK);
    EXPECT(session->message_size_max == 3145728 && session->encrypted);
    goipc_session_free(session);
    goipc_session_free(NULL);
    session = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, NULL, 1023);
    EXPECT(session->message_size_max == 3145728);
    goipc_session_free(session);
    session = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, NULL, 1024);
    EXPECT(session->message_size_max == 1024);
    goipc_session_free(session);
}

/* --- memory ----------------------------------------------------------------------------------- */

typedef struct counted {
    size_t size;
    size_t size_max;
} counted;

static void *counted_allocate(void *context, size_t size)
{
    counted *count = context;

    count->size += size;
    count->size_max = count->size > count->size_max ? count->size : count->size_max;
    return malloc(size);
}

static void counted_release(void *context, void *memory, size_t size)
{
    counted *count = context;

    count->size -= size;
    free(memory);
}

static void test_claims_cost_no_memory(void)
{
    counted count = {0, 0};
    const goipc_allocator allocator = {&count, counted_allocate, counted_release};
    const goipc_session_config config = {.encryption = GOIPC_ENCRYPTION_OFF,
                                         .message_size_max = 64u * 1024 * 1024,
                                         .allocator = &allocator};
    goipc_session *server;
    goipc_event event;
    size_t arrived = 0;

    EXPECT(goipc_session_new(&config, &server) == GOIPC_ERROR_OK);
    EXPECT(feed_for_event(server, (const uint8_t *)"\0\0\3\377\377\377", 6, 6, &event) ==
           GOIPC_ERROR_OK);
    EXPECT(count.size_max < 4096);
    for (int i = 0; i < 2000; i++) {
        uint8_t *in;
        size_t capacity;

        EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
        EXPECT(goipc_session_input(server, &in, &capacity) == GOIPC_ERROR_OK);
        capacity = capacity < 4096 ? capacity : 4096;
        memset(in, 1, capacity);
        EXPECT(goipc_session_input_commit(server, capacity) == GOIPC_ERROR_OK);
        arrived += capacity;
        /* Old and new memory stand side by side while it doubles. */
        EXPECT(count.size_max < 8192 + 4 * (arrived + 65536));
    }
    goipc_session_free(server);
    EXPECT(count.size == 0);
}

/* Gives memory `left` times, then none. */
static void *scarce_allocate(void *context, size_t size)
{
    int *left = context;

    return (*left)-- > 0 ? malloc(size) : NULL;
}

static void scarce_release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static void test_no_memory_for_a_refusal_or_a_message(void)
{
    int left = 2; /* the session and its input, not its output */
    const goipc_allocator allocator = {&left, scarce_allocate, scarce_release};
    const goipc_session_config config = {
        .role = GOIPC_ROLE_CLIENT, .encryption = GOIPC_ENCRYPTION_OFF, .allocator = &allocator};
    goipc_session *session;
    goipc_event event;

    EXPECT(goipc_session_new(&config, &session) == GOIPC_ERROR_OK);
    EXPECT(feed_for_event(session, (const uint8_t *)"\1\0", 2, 2, &event) == GOIPC_ERROR_MEMORY);
    goipc_session_free(session);

    left = 3;
    EXPECT(goipc_session_new(&config, &session) == GOIPC_ERROR_OK);
    EXPECT(feed_for_event(session, (const uint8_t *)"\2\0\0\0\0\4\0\0\10\0", 10, 10, &event) ==
           GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    EXPECT(goipc_session_send(session, 1, "more than the queue's first memory holds", 40) ==
           GOIPC_ERROR_OK);
    EXPECT(goipc_session_send(session, 1, session, 500) == GOIPC_ERROR_MEMORY);
    EXPECT(goipci_session_output_size(session) == 2 + 48); /* not a part of it is queued */
    goipc_session_free(session);
}

static void test_large_frame_is_read_to_its_end_and_no_further(void)
{
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, NULL, 0);
    uint8_t head[10] = {0, 0, 0, 8, 0, 4, 0, 0, 0, 1};
    size_t left = 524288;
    goipc_event event;

    EXPECT(feed_for_event(server, head, sizeof head, 2, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    EXPECT(feed_for_event(server, head + 2, 8, 8, &event) == GOIPC_ERROR_OK);
    while (left > 0) {
        uint8_t *in;
        size_t capacity;

        EXPECT(goipc_session_input(server, &in, &capacity) == GOIPC_ERROR_OK);
        EXPECT(capacity <= left);
        memset(in, 2, capacity);
        left -= capacity;
        EXPECT(goipc_session_input_commit(server, capacity) == GOIPC_ERROR_OK);
        EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    }
    EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.data_size == 524288);
    goipc_session_free(server);
}

/* The owner may read again before it takes the message; there is room, or CAPACITY, but never
 * none. */
static void test_room_after_a_whole_large_frame(void)
{
    enum { DATA_SIZE = 100 * 1000 };
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_OFF, NULL, DATA_SIZE);
    const uint8_t start[] = {0, 0, 0, 1, 0x86, 0xa4, 0, 0, 0, 1};
    uint8_t *data = calloc(1, DATA_SIZE), *in;
    size_t capacity;
    goipc_event event;

    EXPECT(data != NULL);
    EXPECT(feed_for_event(server, start, 2, 2, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_CONNECTED);
    EXPECT(feed(server, start + 2, sizeof start - 2, SIZE_MAX) == GOIPC_ERROR_OK);
    EXPECT(feed(server, data, DATA_SIZE, SIZE_MAX) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_input(server, &in, &capacity) == GOIPC_ERROR_OK && capacity > 0);
    EXPECT(goipc_session_next_event(server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.data_size == DATA_SIZE);
    goipc_session_free(server);
    free(data);
}

int main(void)
{
    backends[0] = goipc_crypto_tomcrypt();
    backends[1] = goipc_crypto_default();
    forms_backend = backends[test_is_slow() ? 1 : 0];
    if (test_is_slow()) {
        printf("slow: key forms with %s instead of tomcrypt\n", forms_backend->name);
    }
    test_pairs_in_every_mode_and_cut();
    test_many_messages_in_one_read();
    test_server_answers();
    test_client_answers();
    test_limit_that_no_frame_can_hold_is_cut();
    test_type_zero_is_discarded();
    test_end_at_every_byte();
    test_end_inside_a_handshake_message();
    test_missing_bytes_of_the_handshake();
    test_every_flipped_bit_of_a_sealed_body_is_refused();
    test_own_frame_and_own_key_sent_back();
    test_limit_sent_again_is_refused();
    test_invalid_public_keys();
    test_client_draws_its_pair_while_the_server_does();
    test_what_fails_ahead_is_told_in_time();
    test_work_waits_to_be_allowed();
    test_one_operation_is_one();
    test_no_work_in_vain();
    test_sealed_type_zero_and_counts();
    test_key_forms();
    test_neither_key_form();
    test_send_refuses();
    test_what_waits_is_known_without_asking_for_it();
    test_config_is_judged();
    test_claims_cost_no_memory();
    test_no_memory_for_a_refusal_or_a_message();
    test_large_frame_is_read_to_its_end_and_no_further();
    test_room_after_a_whole_large_frame();
    printf("ok %d checks\n", test_checks);
    return 0;
}
