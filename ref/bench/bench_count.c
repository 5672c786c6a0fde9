/* SPDX-License-Identifier: MIT */
/* What one message costs, in figures that repeat exactly: both ends in one thread of one process,
 * so that no scheduler decides who finds how much. guard.py runs this under valgrind and strace
 * with two counts and takes the difference.
 *
 * PROGRAM MODE CRYPTO SIZE COUNT. MODE: single, cork, batch (client to server, WINDOW at a time),
 * back (a batch from server to client), roundtrip, pieces (two sessions without any I/O; what one
 * sends reaches the other in pieces of GOIPC_PIECE_SIZE bytes) or cold (the same, with new sessions
 * for each message). CRYPTO: plain, openssl or tomcrypt. The server has GOIPC_IDLE_COUNT idle
 * clients besides; with GOIPC_RANDOM=system random bytes are the system's. Prints one line of
 * JSON. */
#include <goipc.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 64, CLIENTS_MAX = 2000 };

size_t bench_moved_bytes(void); /* bench_moves.c */

/* What moving messages alone took, without connecting. */
typedef struct steady {
    size_t allocations;
    size_t moved_bytes;
} steady;

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

static steady steady_now(void)
{
    const steady now = {allocation_count, bench_moved_bytes()};

    return now;
}

static steady steady_since(steady before)
{
    const steady now = steady_now();
    const steady spent = {now.allocations - before.allocations,
                          now.moved_bytes - before.moved_bytes};

    return spent;
}

static size_t number_of(const char *variable, size_t otherwise)
{
    const char *words = getenv(variable);

    return words != NULL ? strtoul(words, NULL, 10) : otherwise;
}

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
static goipc_client *connect_one(pair *both, const char *name, const goipc_options *options)
{
    const goipc_client_config config = {.options = *options};
    bool connected[2] = {false, false};
    goipc_client *client;

    check_error(goipc_client_start(name, &config, &client), "client");
    while (!connected[0] || !connected[1]) {
        goipc_message message;
        goipc_error error = goipc_client_read(client, 0, &message);

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
    return client;
}

static void pair_open(pair *both, const goipc_options *options)
{
    const goipc_server_config config = {.options = *options, .clients_max = CLIENTS_MAX};
    const size_t idle_count = number_of("GOIPC_IDLE_COUNT", 0);
    char name[64];

    snprintf(name, sizeof name, "goipc-count-%010ld", (long)getpid());
    check_error(goipc_server_start(name, &config, &both->server), "server");
    for (size_t i = 0; i < idle_count; i++) {
        (void)connect_one(both, name, options); /* lives as long as the process */
    }
    both->client = connect_one(both, name, options);
}

static void pair_close(pair *both)
{
    goipc_client_close(both->client);
    goipc_server_close(both->server);
}

static void pair_send_batch(pair *both, bool back, const uint8_t *data, size_t size, size_t count)
{
    size_t taken;

    for (size_t i = 0; i < count; i++) {
        both->outgoing[i] = (goipc_outgoing){1, data, size};
    }
    check_error(
        back ? goipc_server_write_batch(both->server, both->peer, both->outgoing, count, &taken)
             : goipc_client_write_batch(both->client, both->outgoing, count, &taken),
        "write");
    check(taken == count, "batch");
}

static void pair_send(pair *both, const char *mode, const uint8_t *data, size_t size, size_t count)
{
    if (strcmp(mode, "batch") == 0 || strcmp(mode, "back") == 0) {
        pair_send_batch(both, strcmp(mode, "back") == 0, data, size, count);
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

static void pair_receive(pair *both, bool back, const uint8_t *data, size_t size, size_t count)
{
    size_t taken;

    for (; count > 0; count -= taken) {
        check_error(back ? goipc_client_read_batch(both->client, GOIPC_FOREVER, both->messages,
                                                   WINDOW, &taken)
                         : goipc_server_read_batch(both->server, GOIPC_FOREVER, both->messages,
                                                   WINDOW, &taken),
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
        pair_receive(both, strcmp(mode, "back") == 0, data, size, window);
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

typedef struct sessions {
    goipc_session *server;
    goipc_session *client;
} sessions;

static sessions sessions_open(const goipc_options *options, size_t piece_size)
{
    goipc_session_config config = {
        .role = GOIPC_ROLE_SERVER,
        .encryption = options->encryption,
        .message_size_max = options->message_size_max,
        .crypto = options->crypto,
        .allocator = options->allocator,
    };
    sessions made;

    check_error(goipc_session_new(&config, &made.server), "server");
    config.role = GOIPC_ROLE_CLIENT;
    check_error(goipc_session_new(&config, &made.client), "client");
    for (int i = 0; i < 4; i++) { /* more turns than the handshake has */
        (void)carry(made.server, made.client, piece_size);
        (void)carry(made.client, made.server, piece_size);
    }
    return made;
}

static void sessions_close(sessions both)
{
    goipc_session_free(both.client);
    goipc_session_free(both.server);
}

static steady run_sessions(const goipc_options *options, bool cold, const uint8_t *data,
                           size_t size, size_t count)
{
    const size_t piece_size = number_of("GOIPC_PIECE_SIZE", 4096);
    sessions both;
    steady spent;

    check(piece_size > 0, "GOIPC_PIECE_SIZE");
    if (cold) {
        spent = steady_now();
        for (size_t i = 0; i < count; i++) {
            both = sessions_open(options, piece_size);
            sessions_move(both.server, both.client, data, size, 1, piece_size);
            sessions_close(both);
        }
        return steady_since(spent);
    }
    both = sessions_open(options, piece_size);
    sessions_move(both.server, both.client, data, size, 2, piece_size);
    spent = steady_now();
    sessions_move(both.server, both.client, data, size, count, piece_size);
    spent = steady_since(spent);
    sessions_close(both);
    return spent;
}

static steady run_pair(const goipc_options *options, const char *mode, const uint8_t *data,
                       size_t size, size_t count)
{
    static pair both;
    steady spent;

    pair_open(&both, options);
    pair_move(&both, mode, data, size, (size_t)WINDOW * 4); /* buffers grow to what they need */
    spent = steady_now();
    pair_move(&both, mode, data, size, count);
    spent = steady_since(spent);
    pair_close(&both);
    return spent;
}

/* The cipher of that name, with random bytes that repeat unless the system's are wanted. */
static bool set_crypto(goipc_options *options, goipc_crypto *crypto, const char *name)
{
    const char *random = getenv("GOIPC_RANDOM");

    options->encryption = GOIPC_ENCRYPTION_REQUIRE;
    options->crypto = goipc_crypto_by_name(name);
    if (options->crypto == NULL) {
        return false;
    }
    *crypto = *options->crypto;
    if (random == NULL || strcmp(random, "system") != 0) {
        crypto->random = repeat_random;
    }
    options->crypto = crypto;
    return true;
}

int main(int argc, char **argv)
{
    /* A handshake that is given up under valgrind on a busy machine would be counted. */
    goipc_options options = {.allocator = &counting, .handshake_timeout_ms = 100000};
    goipc_crypto crypto;
    size_t size, count;
    steady spent;
    bool cold;
    uint8_t *data;

    if (argc != 5) {
        fprintf(stderr,
                "usage: %s single|cork|batch|back|roundtrip|pieces|cold plain|openssl|tomcrypt "
                "SIZE COUNT\n",
                argv[0]);
        return 2;
    }
    size = strtoul(argv[3], NULL, 10);
    count = strtoul(argv[4], NULL, 10);
    options.message_size_max = (uint32_t)size;
    options.encryption = GOIPC_ENCRYPTION_OFF;
    if (strcmp(argv[2], "plain") != 0 && !set_crypto(&options, &crypto, argv[2])) {
        fprintf(stderr, "bench: %s is not part of this build\n", argv[2]);
        return 77;
    }
    data = malloc(size + 1);
    check(data != NULL, "memory");
    memset(data, 0x5a, size + 1);
    cold = strcmp(argv[1], "cold") == 0;
    spent = cold || strcmp(argv[1], "pieces") == 0 ? run_sessions(&options, cold, data, size, count)
                                                   : run_pair(&options, argv[1], data, size, count);
    free(data);
    printf("{\"messages\": %zu, \"allocations\": %zu, \"moved_bytes\": %zu, "
           "\"compiler\": \"%s%s\"}\n",
           count, spent.allocations, spent.moved_bytes, __VERSION__,
           GOIPC_HAVE_IPO ? "" : NOT_WHOLE);
    return 0;
}
