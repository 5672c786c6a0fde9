/* SPDX-License-Identifier: MIT */
/* What one message costs, in figures that repeat exactly: both ends in one thread of one process,
 * so that no scheduler decides who finds how much. guard.py runs this under valgrind and strace
 * with two counts and takes the difference.
 *
 * PROGRAM MODE CRYPTO SIZE COUNT. MODE: single, cork, batch (client to server, WINDOW at a time),
 * roundtrip, or pieces (two sessions without any I/O; what one sends reaches the other in pieces of
 * GOIPC_PIECE_SIZE bytes). CRYPTO: plain, openssl or tomcrypt. Prints one line of JSON. */
#include <goipc.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 64 };

/* What guard.py knows a build by whose figures it cannot hold against its bounds. */
#define NOT_WHOLE " without link-time optimisation"

static size_t allocation_count;

static void *allocate(void *context, size_t size)
{
    (void)context;
    allocation_count++;
    return malloc(size);
}

static void release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static const goipc_allocator counting = {NULL, allocate, release};

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench: %s failed\n", what);
        exit(1);
    }
}

static void check_error(goipc_error error, const char *what)
{
    if (error != GOIPC_ERROR_OK) {
        fprintf(stderr, "bench: %s: %s\n", what, goipc_error_text(error));
        exit(1);
    }
}

/* The same bytes in every run: what a handshake costs depends on its keys, and the difference of
 * two runs is to hold messages alone. */
static goipc_error repeat_random(void *context, uint8_t *out, size_t size)
{
    static uint64_t state;

    (void)context;
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(state >> 56);
    }
    return GOIPC_ERROR_OK;
}

/* --- two endpoints ------------------------------------------------------------------------------
 */

typedef struct pair {
    goipc_server *server;
    goipc_client *client;
    goipc_client_id peer;
    goipc_message messages[WINDOW];
    goipc_outgoing outgoing[WINDOW];
} pair;

static bool would_block(goipc_error error)
{
    return error == GOIPC_ERROR_WOULD_BLOCK || error == GOIPC_ERROR_TIMEOUT;
}

/* Both move only inside their own reads, so each gets a turn until both are connected. */
static void pair_open(pair *both, const goipc_options *options)
{
    const goipc_server_config server_config = {.options = *options};
    const goipc_client_config client_config = {.options = *options};
    bool connected[2] = {false, false};
    char name[64];

    snprintf(name, sizeof name, "goipc-count-%010ld", (long)getpid());
    check_error(goipc_server_start(name, &server_config, &both->server), "server");
    check_error(goipc_client_start(name, &client_config, &both->client), "client");
    while (!connected[0] || !connected[1]) {
        goipc_message message;
        goipc_error error = goipc_client_read(both->client, 0, &message);

        check_error(would_block(error) ? GOIPC_ERROR_OK : error, "connect");
        connected[0] =
            connected[0] || (error == GOIPC_ERROR_OK && message.status == GOIPC_STATUS_CONNECTED);
        error = goipc_server_read(both->server, 0, &message);
        check_error(would_block(error) ? GOIPC_ERROR_OK : error, "accept");
        if (error == GOIPC_ERROR_OK && message.status == GOIPC_STATUS_CONNECTED) {
            connected[1] = true;
            both->peer = message.client;
        }
    }
}

static void pair_close(pair *both)
{
    goipc_client_close(both->client);
    goipc_server_close(both->server);
}

static void pair_send(pair *both, const char *mode, const uint8_t *data, size_t size, size_t count)
{
    size_t taken;

    if (strcmp(mode, "batch") == 0) {
        for (size_t i = 0; i < count; i++) {
            both->outgoing[i] = (goipc_outgoing){1, data, size};
        }
        check_error(goipc_client_write_batch(both->client, both->outgoing, count, &taken), "write");
        check(taken == count, "batch");
        return;
    }
    if (strcmp(mode, "cork") == 0) {
        goipc_client_cork(both->client);
    }
    for (size_t i = 0; i < count; i++) {
        check_error(goipc_client_write(both->client, 1, data, size), "write");
    }
    if (strcmp(mode, "cork") == 0) {
        check_error(goipc_client_flush(both->client, GOIPC_FOREVER), "flush");
    }
}

static void pair_receive(pair *both, const uint8_t *data, size_t size, size_t count)
{
    size_t taken;

    for (; count > 0; count -= taken) {
        check_error(
            goipc_server_read_batch(both->server, GOIPC_FOREVER, both->messages, WINDOW, &taken),
            "read");
        check(taken <= count && both->messages[0].data_size == size &&
                  memcmp(both->messages[0].data, data, size) == 0,
              "message");
    }
}

static void pair_answer(pair *both, const uint8_t *data, size_t size)
{
    goipc_message message;

    check_error(goipc_server_write(both->server, both->peer, 1, data, size), "answer");
    check_error(goipc_client_read(both->client, GOIPC_FOREVER, &message), "read the answer");
    check(message.data_size == size && memcmp(message.data, data, size) == 0, "answer");
}

static void pair_move(pair *both, const char *mode, const uint8_t *data, size_t size, size_t count)
{
    const bool answers = strcmp(mode, "roundtrip") == 0;

    while (count > 0) {
        const size_t window = answers ? 1 : count < WINDOW ? count : WINDOW;

        pair_send(both, mode, data, size, window);
        pair_receive(both, data, size, window);
        if (answers) {
            pair_answer(both, data, size);
        }
        count -= window;
    }
}

/* --- two sessions -------------------------------------------------------------------------------
 */

/* Carries what one has to say to the other, and counts the messages that come out there. */
static size_t carry(goipc_session *from, goipc_session *to, size_t piece_size)
{
    size_t message_count = 0;
    const uint8_t *out;
    size_t size;

    goipc_session_output(from, &out, &size);
    while (size > 0) {
        goipc_event event;
        uint8_t *in;
        size_t room;

        check_error(goipc_session_input(to, &in, &room), "input");
        room = room < piece_size ? room : piece_size;
        room = room < size ? room : size;
        memcpy(in, out, room);
        goipc_session_output_consume(from, room);
        check_error(goipc_session_input_commit(to, room), "commit");
        do {
            check_error(goipc_session_next_event(to, &event), "event");
            message_count += event.type == GOIPC_EVENT_MESSAGE ? 1 : 0;
        } while (event.type != GOIPC_EVENT_NEED_INPUT);
        goipc_session_output(from, &out, &size);
    }
    return message_count;
}

static void sessions_move(goipc_session *server, goipc_session *client, const uint8_t *data,
                          size_t size, size_t count, size_t piece_size)
{
    for (size_t i = 0; i < count; i++) {
        check_error(goipc_session_send(client, 1, data, size), "send");
        check(carry(client, server, piece_size) == 1, "message");
    }
}

static void run_sessions(const goipc_options *options, const uint8_t *data, size_t size,
                         size_t count, size_t *steady)
{
    const char *words = getenv("GOIPC_PIECE_SIZE");
    const size_t piece_size = words != NULL ? strtoul(words, NULL, 10) : 4096;
    goipc_session_config config = {
        .role = GOIPC_ROLE_SERVER,
        .encryption = options->encryption,
        .message_size_max = options->message_size_max,
        .crypto = options->crypto,
        .allocator = options->allocator,
    };
    goipc_session *server, *client;

    check(piece_size > 0, "GOIPC_PIECE_SIZE");
    check_error(goipc_session_new(&config, &server), "server");
    config.role = GOIPC_ROLE_CLIENT;
    check_error(goipc_session_new(&config, &client), "client");
    for (int i = 0; i < 4; i++) { /* more turns than the handshake has */
        (void)carry(server, client, piece_size);
        (void)carry(client, server, piece_size);
    }
    sessions_move(server, client, data, size, 2, piece_size);
    *steady = allocation_count;
    sessions_move(server, client, data, size, count, piece_size);
    *steady = allocation_count - *steady;
    goipc_session_free(client);
    goipc_session_free(server);
}

static void run_pair(const goipc_options *options, const char *mode, const uint8_t *data,
                     size_t size, size_t count, size_t *steady)
{
    static pair both;

    pair_open(&both, options);
    pair_move(&both, mode, data, size, (size_t)WINDOW * 4); /* buffers grow to what they need */
    *steady = allocation_count;
    pair_move(&both, mode, data, size, count);
    *steady = allocation_count - *steady;
    pair_close(&both);
}

int main(int argc, char **argv)
{
    goipc_options options = {.allocator = &counting};
    goipc_crypto crypto;
    size_t size, count, steady;
    uint8_t *data;

    if (argc != 5) {
        fprintf(stderr,
                "usage: %s single|cork|batch|roundtrip|pieces plain|openssl|tomcrypt SIZE "
                "COUNT\n",
                argv[0]);
        return 2;
    }
    size = strtoul(argv[3], NULL, 10);
    count = strtoul(argv[4], NULL, 10);
    options.message_size_max = (uint32_t)size;
    options.encryption = GOIPC_ENCRYPTION_OFF;
    if (strcmp(argv[2], "plain") != 0) {
        options.encryption = GOIPC_ENCRYPTION_REQUIRE;
        options.crypto = goipc_crypto_by_name(argv[2]);
        if (options.crypto == NULL) {
            fprintf(stderr, "bench: %s is not part of this build\n", argv[2]);
            return 77;
        }
        crypto = *options.crypto;
        crypto.random = repeat_random;
        options.crypto = &crypto;
    }
    data = malloc(size + 1);
    check(data != NULL, "memory");
    memset(data, 0x5a, size + 1);
    if (strcmp(argv[1], "pieces") == 0) {
        run_sessions(&options, data, size, count, &steady);
    } else {
        run_pair(&options, argv[1], data, size, count, &steady);
    }
    free(data);
    printf("{\"messages\": %zu, \"allocations\": %zu, \"compiler\": \"%s%s\"}\n", count, steady,
           __VERSION__, GOIPC_HAVE_IPO ? "" : NOT_WHOLE);
    return 0;
}
