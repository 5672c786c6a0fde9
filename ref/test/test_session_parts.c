/* SPDX-License-Identifier: MIT */
/* Goal: a large message that is sent from its owner's memory is byte for byte the frame that a copy
 * would have been, however it is cut and whenever the loan ends; a large frame that is opened while
 * it arrives gives the same message as one that is opened as a whole; and of a frame whose tag is
 * wrong, or never comes, nothing is delivered and no plaintext stays. Method: pairs of sessions,
 * real and with scripted crypto, and an allocator that looks at what it gets back. */
#include "crypto_tables.h"
#include "session_peer.h"

enum {
    PART = 32 * 1024, /* what a sender seals at once; the tests only need to straddle it */
    LARGE = 3 * PART + 1234,
    DATA_MAX = 6 * PART,
    FRAME_MAX = DATA_MAX + 36,
};

static crypto_tables backends;

static uint8_t data[DATA_MAX];

typedef struct pair {
    goipc_session *server;
    goipc_session *client;
} pair;

static void free_pair(pair *both)
{
    goipc_session_free(both->server);
    goipc_session_free(both->client);
}

/* A connected pair in which the form of the key is known: once in 256 connections it is not, and
 * then the first frame is opened as a whole, which a test of its own looks at. */
static pair configured_pair(const goipc_session_config *server, const goipc_session_config *client)
{
    pair made;

    for (;;) {
        EXPECT(goipc_session_new(server, &made.server) == GOIPC_ERROR_OK);
        EXPECT(goipc_session_new(client, &made.client) == GOIPC_ERROR_OK);
        connect_pair(made.server, made.client, SIZE_MAX);
        if (!made.server->has_alternative) {
            return made;
        }
        free_pair(&made);
    }
}

static pair new_pair(goipc_encryption encryption, const goipc_crypto *crypto)
{
    const goipc_session_config server = {
        .role = GOIPC_ROLE_SERVER, .encryption = encryption, .crypto = crypto};
    const goipc_session_config client = {
        .role = GOIPC_ROLE_CLIENT, .encryption = encryption, .crypto = crypto};

    return configured_pair(&server, &client);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Takes the output in pieces of `chunk` bytes, and after `kept_after` of them ends the loan. */
static size_t take_lent(goipc_session *session, uint8_t *frame, size_t chunk, size_t kept_after)
{
    size_t taken = 0;

    for (size_t turn = 0;; turn++) {
        const uint8_t *pieces[2];
        size_t sizes[2], size = 0;

        if (turn == kept_after) {
            EXPECT(goipci_session_copy_pending_write(session) == GOIPC_ERROR_OK);
            EXPECT(!goipci_session_has_lent(session));
        }
        EXPECT(goipci_session_output_pieces(session, pieces, sizes) == GOIPC_ERROR_OK);
        EXPECT(goipci_session_has_output(session) == (sizes[0] + sizes[1] > 0));
        if (sizes[0] + sizes[1] == 0) {
            return taken;
        }
        for (int i = 0; i < 2; i++) {
            const size_t piece = sizes[i] < chunk - size ? sizes[i] : chunk - size;

            EXPECT(taken + size + piece <= FRAME_MAX);
            memcpy(frame + taken + size, pieces[i], piece);
            size += piece;
        }
        goipci_session_output_sent(session, size);
        taken += size;
    }
}

static void expect_message(goipc_session *receiver, const uint8_t *frame, size_t frame_size,
                           size_t chunk, size_t data_size)
{
    goipc_event event;

    EXPECT(feed_for_event(receiver, frame, frame_size, chunk, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.message_type == 7);
    EXPECT(event.data_size == data_size && memcmp(event.data, data, data_size) == 0);
}

static void test_lent_messages(goipc_encryption encryption, const goipc_crypto *crypto)
{
    static const size_t data_sizes[] = {13,        PART - 1, PART,          PART + 11, PART + 12,
                                        PART + 13, 2 * PART, 2 * PART + 12, LARGE,     DATA_MAX};
    static const size_t chunks[] = {SIZE_MAX, 100000, PART, 4096, 1000};
    const size_t step = (size_t)test_amount("lent messages: every", 1, 4);
    pair both = new_pair(encryption, crypto);
    uint8_t *frame = malloc(FRAME_MAX);

    EXPECT(frame != NULL);
    for (size_t i = 0; i < sizeof data_sizes / sizeof data_sizes[0]; i++) {
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
            for (size_t kept_after = c % step; kept_after < 8; kept_after += step) {
                size_t size, expected_size;

                EXPECT(goipci_session_lend(both.client, 7, data, data_sizes[i]) == GOIPC_ERROR_OK);
                EXPECT(goipci_session_has_lent(both.client));
                size = take_lent(both.client, frame, chunks[c], kept_after);
                EXPECT(goipc_wire_frame_size(encryption != GOIPC_ENCRYPTION_OFF, data_sizes[i],
                                             &expected_size) == GOIPC_ERROR_OK);
                EXPECT(size == expected_size);
                expect_message(both.server, frame, size, chunks[kept_after % 5], data_sizes[i]);
            }
        }
    }
    /* The next one is sealed as a whole, by the same object. */
    EXPECT(goipc_session_send(both.client, 7, data, 5) == GOIPC_ERROR_OK);
    expect_message(both.server, frame, take_lent(both.client, frame, SIZE_MAX, SIZE_MAX), 1, 5);
    free(frame);
    free_pair(&both);
}

/* A sealed message is in the queue by one part at a time, not as a whole. */
static void test_lent_messages_cost_no_copy(void)
{
    pair both = new_pair(GOIPC_ENCRYPTION_REQUIRE, NULL);
    const uint8_t *pieces[2];
    size_t sizes[2];

    EXPECT(goipci_session_lend(both.client, 7, data, DATA_MAX) == GOIPC_ERROR_OK);
    while (goipci_session_has_output(both.client)) {
        EXPECT(goipci_session_output_pieces(both.client, pieces, sizes) == GOIPC_ERROR_OK);
        EXPECT(both.client->out.capacity < 2 * PART);
        goipci_session_output_sent(both.client, sizes[0]);
    }
    free_pair(&both);

    both = new_pair(GOIPC_ENCRYPTION_OFF, NULL);
    EXPECT(goipci_session_lend(both.client, 7, data, DATA_MAX) == GOIPC_ERROR_OK);
    EXPECT(goipci_session_output_pieces(both.client, pieces, sizes) == GOIPC_ERROR_OK);
    EXPECT(sizes[0] == 8 && pieces[1] == data && sizes[1] == DATA_MAX);
    goipci_session_output_drop(both.client);
    EXPECT(!goipci_session_has_output(both.client) && !goipci_session_has_lent(both.client));
    free_pair(&both);
}

static void test_what_pays(void)
{
    pair plain = new_pair(GOIPC_ENCRYPTION_OFF, NULL);
    pair sealed = new_pair(GOIPC_ENCRYPTION_REQUIRE, NULL);
    scripted script = {backends.at[0], 1};
    goipc_crypto whole = scripted_crypto(&script); /* knows nothing of parts */
    pair unable = new_pair(GOIPC_ENCRYPTION_REQUIRE, &whole);

    EXPECT(!goipci_session_should_send_in_place(plain.client, 1000));
    EXPECT(goipci_session_should_send_in_place(plain.client, PART));
    EXPECT(!goipci_session_should_send_in_place(sealed.client, PART));
    EXPECT(goipci_session_should_send_in_place(sealed.client, LARGE));
    EXPECT(!goipci_session_should_send_in_place(unable.client, LARGE));
    EXPECT(goipci_session_lend(plain.client, 0, data, LARGE) == GOIPC_ERROR_TYPE_RESERVED);
    free_pair(&plain);
    free_pair(&sealed);
    free_pair(&unable);
}

/* --- receiving -------------------------------------------------------------------------------- */

static size_t large_frame(goipc_session *from, uint8_t *frame)
{
    const uint8_t *out;
    size_t size;

    EXPECT(goipc_session_send(from, 7, data, LARGE) == GOIPC_ERROR_OK);
    goipc_session_output(from, &out, &size);
    EXPECT(size == LARGE + 36);
    memcpy(frame, out, size);
    goipc_session_output_consume(from, size);
    return size;
}

/* Every chunk makes other parts; those around the end cut the tag. */
static void test_frames_in_every_cut(const goipc_crypto *sealer, const goipc_crypto *opener)
{
    const goipc_session_config server_config = {.role = GOIPC_ROLE_SERVER, .crypto = opener};
    const goipc_session_config client_config = {.role = GOIPC_ROLE_CLIENT, .crypto = sealer};
    pair both = configured_pair(&server_config, &client_config);
    goipc_session *server = both.server, *client = both.client;
    const size_t step = (size_t)test_amount("cuts of a frame: every", 1, 5);
    uint8_t *frame = malloc(FRAME_MAX);
    size_t size;

    EXPECT(frame != NULL);
    for (size_t tail = 1; tail < 60; tail += step) {
        goipc_event event;

        size = large_frame(client, frame);
        EXPECT(feed_for_event(server, frame, size - tail, 16 * 1024 + tail, &event) ==
               GOIPC_ERROR_OK);
        EXPECT(event.type == GOIPC_EVENT_NEED_INPUT && event.data == NULL);
        EXPECT(server->is_opening && server->opened_size > LARGE - 5000);
        expect_message(server, frame + size - tail, tail, tail, LARGE);
        EXPECT(!server->is_opening);
    }
    for (size_t chunk = 1000; chunk < LARGE; chunk += 7919 * step) {
        size = large_frame(client, frame);
        expect_message(server, frame, size, chunk, LARGE);
    }
    free(frame);
    free_pair(&both);
}

/* What an allocator that looks finds out. */
typedef struct watch {
    size_t dirty; /* how often memory came back that held the message's data */
} watch;

static void *watch_allocate(void *context, size_t size)
{
    (void)context;
    return calloc(1, size);
}

static void watch_release(void *context, void *memory, size_t size)
{
    watch *seen = context;

    for (size_t i = 0; size >= 64 && i + 64 <= size; i += 16) {
        if (memcmp((uint8_t *)memory + i, data + 12, 64) == 0) {
            seen->dirty++;
        }
    }
    free(memory);
}

static bool holds_plaintext(const goipc_session *session)
{
    for (size_t i = 0; i + 64 <= session->in.capacity; i++) {
        if (memcmp(session->in.bytes + i, data + 12, 64) == 0) {
            return true;
        }
    }
    return false;
}

/* Feeds a frame that went wrong `chunk` by `chunk` bytes; then ends the input. */
static void expect_nothing_of(const uint8_t *frame, size_t size, size_t chunk, goipc_error expected,
                              pair *both, const watch *seen)
{
    goipc_event event;
    goipc_error error = feed_for_event(both->server, frame, size, chunk, &event);

    if (error == GOIPC_ERROR_OK) {
        EXPECT(event.type == GOIPC_EVENT_NEED_INPUT && event.data == NULL);
        EXPECT(holds_plaintext(both->server)); /* so that the checks below can fail */
        EXPECT(goipc_session_input_end(both->server) == GOIPC_ERROR_OK);
        error = goipc_session_next_event(both->server, &event);
    }
    EXPECT(error == expected && goipc_session_error(both->server) == expected);
    EXPECT(event.data == NULL && event.data_size == 0);
    EXPECT(!holds_plaintext(both->server) && !both->server->is_opening);
    EXPECT(goipc_session_next_event(both->server, &event) == expected);
    free_pair(both);
    EXPECT(seen->dirty == 0);
}

static void test_wrong_frames(const goipc_crypto *crypto)
{
    /* Where a bit is wrong: the tag's first and last byte, the first and a late byte of the
     * ciphertext; 0: none, but the end comes before the tag does. */
    static const size_t from_end[] = {16, 1, LARGE + 20, 1000, 0};
    uint8_t *frame = malloc(FRAME_MAX);

    EXPECT(frame != NULL);
    for (size_t i = 0; i < 2 * sizeof from_end / sizeof from_end[0]; i++) {
        const size_t wrong = from_end[i / 2];
        const size_t chunk = i % 2 == 0 ? 10000 : SIZE_MAX;
        watch seen = {0};
        const goipc_allocator allocator = {&seen, watch_allocate, watch_release};
        const goipc_session_config server = {
            .role = GOIPC_ROLE_SERVER, .crypto = crypto, .allocator = &allocator};
        const goipc_session_config client = {.role = GOIPC_ROLE_CLIENT, .crypto = crypto};
        pair both = configured_pair(&server, &client);
        const size_t size = large_frame(both.client, frame);

        if (wrong > 0) {
            frame[size - wrong] ^= 0x80;
            expect_nothing_of(frame, size, chunk, GOIPC_ERROR_DECRYPT, &both, &seen);
        } else {
            expect_nothing_of(frame, size - 1, chunk, GOIPC_ERROR_TRUNCATED, &both, &seen);
        }
    }
    free(frame);
}

static void test_own_frame_and_count(void)
{
    pair both = new_pair(GOIPC_ENCRYPTION_REQUIRE, NULL);
    uint8_t *frame = malloc(FRAME_MAX);
    goipc_event event;
    size_t size;

    EXPECT(frame != NULL);
    (void)large_frame(both.client, frame);
    EXPECT(feed_for_event(both.client, frame, 3 * PART, 5000, &event) == GOIPC_ERROR_REFLECTED);
    free_pair(&both);

    both = new_pair(GOIPC_ENCRYPTION_REQUIRE, NULL);
    both.server->opened_count = UINT32_MAX - 1;
    size = large_frame(both.client, frame);
    expect_message(both.server, frame, size, 5000, LARGE); /* counted once, not by parts */
    EXPECT(both.server->opened_count == UINT32_MAX);
    size = large_frame(both.client, frame);
    EXPECT(feed_for_event(both.server, frame, size, 5000, &event) == GOIPC_ERROR_MESSAGE_COUNT);
    free_pair(&both);
    free(frame);
}

/* While it is open which form of the key the peer uses, a frame is opened as a whole: the second
 * attempt needs its ciphertext. */
static goipc_error leading_zero_shared(void *context, const uint8_t private_key[48],
                                       const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    const goipc_error error =
        backends.at[0]->p384_shared(context, private_key, peer_public_key, shared_x);

    shared_x[0] = 0;
    shared_x[1] |= 1;
    return error;
}

static void test_first_frame_in_an_open_key_form(void)
{
    goipc_crypto crypto = *backends.at[0];
    uint8_t *frame = malloc(FRAME_MAX);
    goipc_event event;
    size_t size;
    pair both;

    EXPECT(frame != NULL);
    crypto.p384_shared = leading_zero_shared;
    both.server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, &crypto, 0);
    both.client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, &crypto, 0);
    connect_pair(both.server, both.client, SIZE_MAX);
    EXPECT(both.server->has_alternative && !both.server->key_settled);
    for (int turn = 0; turn < 2; turn++) {
        size = large_frame(both.client, frame);
        EXPECT(feed_for_event(both.server, frame, size - 1, 5000, &event) == GOIPC_ERROR_OK);
        EXPECT(both.server->is_opening == (turn == 1));
        expect_message(both.server, frame + size - 1, 1, 1, LARGE);
        EXPECT(both.server->key_settled);
    }
    free_pair(&both);
    free(frame);
}

static void test_table_without_parts(void)
{
    scripted script = {backends.at[0], 1};
    goipc_crypto whole = scripted_crypto(&script);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, NULL, 0);
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, &whole, 0);
    uint8_t *frame = malloc(FRAME_MAX);
    goipc_event event;
    size_t size;

    EXPECT(frame != NULL);
    connect_pair(server, client, SIZE_MAX);
    size = large_frame(client, frame);
    EXPECT(feed_for_event(server, frame, size - 1, 5000, &event) == GOIPC_ERROR_OK);
    EXPECT(!server->is_opening);
    expect_message(server, frame + size - 1, 1, 1, LARGE);
    free(frame);
    goipc_session_free(client);
    goipc_session_free(server);
}

/* --- failures --------------------------------------------------------------------------------- */

static const goipc_crypto *real;
static long calls_left = -1, allocations_left = -1;

static bool runs_out(long *left)
{
    return *left >= 0 && (*left)-- == 0;
}

static goipc_error failing_new(void *context, const goipc_allocator *allocator,
                               const uint8_t key[32], void **aead)
{
    return runs_out(&calls_left) ? GOIPC_ERROR_CRYPTO
                                 : real->aead_new(context, allocator, key, aead);
}

static bool is_ragged; /* a part was not whole blocks: it must have been the last */

static goipc_error failing_start(void *context, void *aead, const uint8_t nonce[12], bool opens)
{
    is_ragged = false;
    return runs_out(&calls_left) ? GOIPC_ERROR_CRYPTO
                                 : real->aead_start(context, aead, nonce, opens);
}

static goipc_error failing_update(void *context, void *aead, const uint8_t *in, size_t in_size,
                                  uint8_t *out)
{
    EXPECT(!is_ragged);
    is_ragged = in_size % 16 != 0;
    return runs_out(&calls_left) ? GOIPC_ERROR_CRYPTO
                                 : real->aead_update(context, aead, in, in_size, out);
}

static goipc_error failing_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    return runs_out(&calls_left) ? GOIPC_ERROR_CRYPTO : real->aead_finish_seal(context, aead, tag);
}

static goipc_error failing_finish_open(void *context, void *aead, const uint8_t tag[16])
{
    return runs_out(&calls_left) ? GOIPC_ERROR_CRYPTO : real->aead_finish_open(context, aead, tag);
}

static goipc_crypto failing_crypto(void)
{
    goipc_crypto crypto = *real;

    crypto.aead_new = failing_new;
    crypto.aead_start = failing_start;
    crypto.aead_update = failing_update;
    crypto.aead_finish_seal = failing_finish_seal;
    crypto.aead_finish_open = failing_finish_open;
    return crypto;
}

static void *failing_allocate(void *context, size_t size)
{
    (void)context;
    return runs_out(&allocations_left) ? NULL : malloc(size);
}

static void plain_release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static pair failing_pair(goipc_encryption encryption, const goipc_crypto *crypto,
                         const goipc_allocator *allocator)
{
    const goipc_session_config server = {.role = GOIPC_ROLE_SERVER,
                                         .encryption = encryption,
                                         .crypto = crypto,
                                         .allocator = allocator};
    goipc_session_config client = server;
    pair both;

    client.role = GOIPC_ROLE_CLIENT;
    both = configured_pair(&server, &client);
    goipci_session_trim(both.client); /* so that sending has to allocate */
    return both;
}

/* Lends one message and sends all of it. Before anything was queued a failure has changed nothing;
 * afterwards half a frame is out, and the caller gives the connection up. */
static goipc_error lend_and_send(goipc_session *session, bool keeps)
{
    const uint8_t *pieces[2];
    size_t sizes[2];
    goipc_error error = goipci_session_lend(session, 7, data, LARGE);

    if (error != GOIPC_ERROR_OK) {
        EXPECT(!goipci_session_has_output(session));
        return error;
    }
    do {
        error = keeps ? goipci_session_copy_pending_write(session) : GOIPC_ERROR_OK;
        if (error == GOIPC_ERROR_OK) {
            error = goipci_session_output_pieces(session, pieces, sizes);
        }
        if (error == GOIPC_ERROR_OK) {
            goipci_session_output_sent(session, sizes[0] + sizes[1]);
        }
    } while (error == GOIPC_ERROR_OK && goipci_session_has_output(session));
    EXPECT((error == GOIPC_ERROR_OK) == !goipci_session_has_lent(session));
    return error;
}

static void test_sending_fails_at_every_call(void)
{
    const goipc_crypto crypto = failing_crypto();

    for (int keeps = 0; keeps < 2; keeps++) {
        long call = 0;

        for (;; call++) {
            pair both = failing_pair(GOIPC_ENCRYPTION_REQUIRE, &crypto, NULL);
            goipc_error error;

            calls_left = call;
            error = lend_and_send(both.client, keeps == 1);
            EXPECT(error == (calls_left < 0 ? GOIPC_ERROR_CRYPTO : GOIPC_ERROR_OK));
            free_pair(&both);
            if (calls_left >= 0) {
                break;
            }
        }
        calls_left = -1;
        /* The key, the start, its block, the parts (4, or all at once), the tag. */
        EXPECT(call == (keeps == 1 ? 5 : 8));
    }
}

static void test_sending_fails_without_memory(goipc_encryption encryption, long calls_expected)
{
    const goipc_allocator allocator = {NULL, failing_allocate, plain_release};
    long call = 0;

    for (;; call++) {
        pair both = failing_pair(encryption, backends.at[backends.count - 1], &allocator);
        goipc_error error;

        allocations_left = call;
        error = lend_and_send(both.client, true);
        EXPECT(error == (allocations_left < 0 ? GOIPC_ERROR_MEMORY : GOIPC_ERROR_OK));
        free_pair(&both);
        if (allocations_left >= 0) {
            break;
        }
    }
    allocations_left = -1;
    EXPECT(call >= calls_expected);
}

static void test_no_nonce_is_left(void)
{
    pair both = new_pair(GOIPC_ENCRYPTION_REQUIRE, NULL);

    both.client->nonces.next = UINT32_MAX;
    EXPECT(goipci_session_lend(both.client, 7, data, LARGE) == GOIPC_ERROR_MESSAGE_LIMIT);
    EXPECT(!goipci_session_has_output(both.client));
    free_pair(&both);
}

/* A receiver whose cipher fails in the middle is over, like one whose peer lies. */
static void test_receiving_fails_at_every_call(void)
{
    const goipc_crypto crypto = failing_crypto();
    /* All of its memory is looked at, also what was never written to. */
    watch seen = {0};
    const goipc_allocator allocator = {&seen, watch_allocate, watch_release};
    uint8_t *frame = malloc(FRAME_MAX);
    long call = 0;

    EXPECT(frame != NULL);
    for (;; call++) {
        pair both = failing_pair(GOIPC_ENCRYPTION_REQUIRE, &crypto, &allocator);
        const size_t size = large_frame(both.client, frame);
        goipc_event event;
        goipc_error error;

        calls_left = call;
        error = feed_for_event(both.server, frame, size, 20001, &event);
        EXPECT(error == (calls_left < 0 ? GOIPC_ERROR_CRYPTO : GOIPC_ERROR_OK));
        EXPECT(goipc_session_error(both.server) == error);
        if (error != GOIPC_ERROR_OK) {
            EXPECT(!holds_plaintext(both.server));
        }
        free_pair(&both);
        if (calls_left >= 0) {
            break;
        }
    }
    calls_left = -1;
    EXPECT(call >= 8); /* the key, the start, the parts, the tag */
    free(frame);
}

/* --- what was lent to the reader is kept ------------------------------------------------------ */

/* The frames of three messages, of which all but the last `missing` bytes have arrived in one read,
 * and the first has been taken. */
static goipc_event arrive_but(pair *both, size_t missing, uint8_t last[16])
{
    static const size_t sizes[] = {300, 200, 400};
    const uint8_t *out;
    size_t size;
    goipc_event event;

    for (uint32_t i = 0; i < 3; i++) {
        EXPECT(goipc_session_send(both->client, i + 1, data + i, sizes[i]) == GOIPC_ERROR_OK);
    }
    goipc_session_output(both->client, &out, &size);
    memcpy(last, out + size - missing, missing);
    EXPECT(feed(both->server, out, size - missing, size) == GOIPC_ERROR_OK);
    goipc_session_output_consume(both->client, size);
    EXPECT(goipc_session_next_event(both->server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.data_size == sizes[0]);
    return event;
}

static void test_held_messages_are_kept(goipc_encryption encryption)
{
    const goipc_allocator allocator = {NULL, failing_allocate, plain_release};
    pair both = failing_pair(encryption, backends.at[0], &allocator);
    uint8_t last[16];
    const goipc_event first = arrive_but(&both, sizeof last, last);
    goipci_buffer kept;
    goipc_event event, next;

    allocations_left = 0; /* without memory nothing happens */
    EXPECT(goipci_session_detach_read_buffer(both.server, &kept) == GOIPC_ERROR_MEMORY);
    allocations_left = -1;
    EXPECT(goipci_session_detach_read_buffer(both.server, &kept) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_next_event(both.server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.message_type == 2 && event.data_size == 200);
    EXPECT(memcmp(event.data, data + 1, 200) == 0);
    EXPECT(goipc_session_next_event(both.server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.type == GOIPC_EVENT_NEED_INPUT);
    EXPECT(feed(both.server, last, sizeof last, sizeof last) == GOIPC_ERROR_OK);
    EXPECT(goipc_session_next_event(both.server, &event) == GOIPC_ERROR_OK);
    EXPECT(event.message_type == 3 && memcmp(event.data, data + 2, 400) == 0);
    EXPECT(memcmp(first.data, data, 300) == 0);
    goipci_buffer_wipe(&kept);
    /* Nothing but what is held: there is nothing to get memory for. */
    allocations_left = 0;
    EXPECT(goipci_session_detach_read_buffer(both.server, &kept) == GOIPC_ERROR_OK);
    allocations_left = -1;
    EXPECT(goipc_session_next_event(both.server, &next) == GOIPC_ERROR_OK);
    EXPECT(next.type == GOIPC_EVENT_NEED_INPUT);
    free_pair(&both);
    EXPECT(memcmp(event.data, data + 2, 400) == 0);
    goipci_buffer_wipe(&kept);
}

int main(void)
{
    backends = each_library();
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 31 + i / 256 * 7 + 1);
    }
    test_lent_messages(GOIPC_ENCRYPTION_OFF, NULL);
    test_lent_messages_cost_no_copy();
    test_what_pays();
    test_own_frame_and_count();
    test_first_frame_in_an_open_key_form();
    test_table_without_parts();
    test_no_nonce_is_left();
    test_held_messages_are_kept(GOIPC_ENCRYPTION_OFF);
    test_held_messages_are_kept(GOIPC_ENCRYPTION_REQUIRE);
    test_sending_fails_without_memory(GOIPC_ENCRYPTION_OFF, 2);
    test_sending_fails_without_memory(GOIPC_ENCRYPTION_REQUIRE, 2);
    for (size_t i = 0; i < backends.count; i++) {
        real = backends.at[i];
        test_lent_messages(GOIPC_ENCRYPTION_REQUIRE, real);
        test_wrong_frames(real);
        test_sending_fails_at_every_call();
        test_receiving_fails_at_every_call();
        for (size_t other = 0; other < backends.count; other++) {
            test_frames_in_every_cut(real, backends.at[other]);
        }
    }
    printf("ok %d checks\n", test_checks);
    return 0;
}
