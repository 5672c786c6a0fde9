/* SPDX-License-Identifier: MIT */
/* Goal: a server and a client do what goipc.h section 8 says, one sentence per test. Method: one
 * thread moves both along wherever it can, so that the order of things is certain. */
#include "endpoint_pair.h"

static const goipc_server_config server_defaults;
static const goipc_client_config client_defaults;

static goipc_server_config plain_server(void)
{
    return (goipc_server_config){.options.encryption = GOIPC_ENCRYPTION_OFF};
}

/* --- messages --------------------------------------------------------------------------------- */

typedef struct writing {
    test_pair *pair;
    bool by_server;
    uint32_t type;
    const uint8_t *data;
    size_t size;
} writing;

static void *write_one(void *context)
{
    const writing *job = context;

    if (job->by_server) {
        EXPECT(goipc_server_write(job->pair->server, job->pair->id, job->type, job->data,
                                  job->size) == GOIPC_ERROR_OK);
        EXPECT(goipc_server_flush(job->pair->server, PATIENCE_MS) == GOIPC_ERROR_OK);
    } else {
        EXPECT(goipc_client_write(job->pair->client, job->type, job->data, job->size) ==
               GOIPC_ERROR_OK);
    }
    return NULL;
}

static void test_every_size_both_ways(goipc_encryption encryption)
{
    static const size_t sizes[] = {0, 1, 5, 4096, 16383, 16384, 65535, 65536, 1048576, 3145728};
    static const uint32_t types[] = {1, 65536, 2147483647u, 2147483648u, 4294967295u};
    goipc_server_config config = {.options.encryption = encryption};
    uint8_t *data = malloc(GOIPC_MESSAGE_SIZE_DEFAULT);
    test_pair pair;

    EXPECT(data != NULL);
    for (size_t i = 0; i < GOIPC_MESSAGE_SIZE_DEFAULT; i++) {
        data[i] = (uint8_t)(i * 31 + i / 4099);
    }
    pair_start(&pair, config, client_defaults);
    EXPECT(goipc_client_is_encrypted(pair.client) == (encryption == GOIPC_ENCRYPTION_REQUIRE));
    EXPECT(goipc_client_send_size_max(pair.client) == GOIPC_MESSAGE_SIZE_DEFAULT);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        writing job = {&pair, false, types[i % 5], data, sizes[i]};
        pthread_t thread;
        goipc_message message;

        EXPECT(pthread_create(&thread, NULL, write_one, &job) == 0);
        message = server_expect_data(pair.server);
        EXPECT(message_is(&message, job.type, data, job.size));
        EXPECT(message.client == pair.id);
        pthread_join(thread, NULL);
        job.by_server = true;
        EXPECT(pthread_create(&thread, NULL, write_one, &job) == 0);
        message = client_expect_data(pair.client);
        EXPECT(message_is(&message, job.type, data, job.size));
        pthread_join(thread, NULL);
    }
    pair_close(&pair);
    free(data);
}

static void test_local_errors_cost_nothing(void)
{
    goipc_server_config config = {.options.message_size_max = 2000};
    uint8_t data[2001] = {0};
    test_pair pair;
    goipc_message message;

    pair_start(&pair, config, client_defaults);
    EXPECT(goipc_client_write(pair.client, 0, "x", 1) == GOIPC_ERROR_TYPE_RESERVED);
    EXPECT(goipc_client_write(pair.client, 1, data, 2001) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_server_write(pair.server, pair.id, 0, "x", 1) == GOIPC_ERROR_TYPE_RESERVED);
    EXPECT(goipc_server_write(pair.server, pair.id, 1, data, 2001) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_server_write(pair.server, GOIPC_CLIENT_ALL, 0, "", 0) ==
           GOIPC_ERROR_TYPE_RESERVED);
    EXPECT(goipc_server_write(pair.server, GOIPC_CLIENT_ALL, 1, data, 2001) ==
           GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_server_write(pair.server, pair.id + 1, 1, data, 1) == GOIPC_ERROR_NOT_CONNECTED);
    EXPECT(goipc_server_read(pair.server, -3, &message) == GOIPC_ERROR_ARGUMENT);
    EXPECT(goipc_client_read(pair.client, -2, &message) == GOIPC_ERROR_ARGUMENT);
    EXPECT(goipc_client_write(pair.client, 7, data, 2000) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 7, data, 2000));
    pair_close(&pair);
}

static void test_no_message_waits(void)
{
    test_pair pair;
    goipc_message message;
    int64_t before;

    pair_start(&pair, server_defaults, client_defaults);
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    before = test_clock_ms();
    EXPECT(goipc_server_read(pair.server, 30, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(goipc_client_read(pair.client, 30, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(test_clock_ms() - before >= 60);
    pair_close(&pair);
}

static void test_batches(goipc_encryption encryption)
{
    enum { COUNT = 3000 };
    goipc_server_config config = {.options.encryption = encryption};
    goipc_outgoing *outgoing = calloc(COUNT, sizeof *outgoing);
    uint32_t *numbers = calloc(COUNT, sizeof *numbers);
    goipc_message messages[100];
    test_pair pair;
    size_t taken, count, seen = 0;

    EXPECT(outgoing != NULL && numbers != NULL);
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = i;
        outgoing[i] = (goipc_outgoing){i + 1, &numbers[i], i % 5 == 0 ? 0 : sizeof numbers[i]};
    }
    pair_start(&pair, config, client_defaults);
    goipc_client_cork(pair.client); /* so that one thread can do both ends */
    EXPECT(goipc_client_write_batch(pair.client, outgoing, COUNT, &taken) == GOIPC_ERROR_OK);
    EXPECT(taken == COUNT);
    while (seen < COUNT) {
        const goipc_error flushed = goipc_client_flush(pair.client, 0);

        EXPECT(flushed == GOIPC_ERROR_OK || flushed == GOIPC_ERROR_WOULD_BLOCK);
        EXPECT(goipc_server_read_batch(pair.server, PATIENCE_MS, messages, 100, &count) ==
               GOIPC_ERROR_OK);
        EXPECT(count >= 1 && count <= 100);
        for (size_t i = 0; i < count; i++, seen++) {
            EXPECT(message_is(&messages[i], outgoing[seen].type, &numbers[seen],
                              outgoing[seen].data_size));
        }
    }
    EXPECT(goipc_client_flush(pair.client, 0) == GOIPC_ERROR_OK);
    /* The first bad one stops a batch and says how far it came. */
    outgoing[2].type = 0;
    EXPECT(goipc_server_write_batch(pair.server, pair.id, outgoing, 5, &taken) ==
           GOIPC_ERROR_TYPE_RESERVED);
    EXPECT(taken == 2);
    for (size_t i = 0; i < 2; i++) {
        const goipc_message message = client_expect_data(pair.client);

        EXPECT(message_is(&message, outgoing[i].type, &numbers[i], outgoing[i].data_size));
    }
    /* Handed over is not delivered: whoever sent them again might send them twice. */
    outgoing[2].type = 3;
    goipc_client_close(pair.client);
    pair.client = NULL;
    EXPECT(goipc_server_write_batch(pair.server, pair.id, outgoing, 3, &taken) ==
           GOIPC_ERROR_DISCONNECTED);
    EXPECT(taken == 3);
    pair_close(&pair);
    free(outgoing);
    free(numbers);
}

static void expect_sent(const test_pair *pair, uint64_t count)
{
    goipc_counters counters;

    goipc_server_counters(pair->server, &counters);
    EXPECT(counters.messages_out == count && counters.bytes_out == count);
}

static void test_cork_holds_back(void)
{
    test_pair pair;
    goipc_message message;

    pair_start(&pair, plain_server(), client_defaults);
    goipc_server_cork(pair.server);
    EXPECT(goipc_server_write(pair.server, pair.id, 1, "a", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_write(pair.server, GOIPC_CLIENT_ALL, 2, "b", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_read(pair.client, 20, &message) == GOIPC_ERROR_TIMEOUT);
    expect_sent(&pair, 0);
    EXPECT(goipc_server_flush(pair.server, PATIENCE_MS) == GOIPC_ERROR_OK);
    expect_sent(&pair, 2);
    message = client_expect_data(pair.client);
    EXPECT(message_is(&message, 1, "a", 1));
    message = client_expect_data(pair.client);
    EXPECT(message_is(&message, 2, "b", 1));
    EXPECT(goipc_server_write(pair.server, pair.id, 3, "c", 1) == GOIPC_ERROR_OK);
    message = client_expect_data(pair.client);
    EXPECT(message_is(&message, 3, "c", 1));
    expect_sent(&pair, 3);
    /* What a peer that goes has not been given was taken all the same. */
    goipc_server_cork(pair.server);
    EXPECT(goipc_server_write(pair.server, pair.id, 4, "d", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_disconnect(pair.server, pair.id) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_read(pair.server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message.status == GOIPC_STATUS_DISCONNECTED);
    expect_sent(&pair, 4);
    pair_close(&pair);
}

/* --- status ----------------------------------------------------------------------------------- */

static void test_status_changes_in_order(void)
{
    char name[64];
    goipc_server *server;
    goipc_client *client;
    goipc_message message;
    goipc_client_id id;
    goipc_counters counters;

    test_name(name);
    EXPECT(goipc_server_start(name, NULL, &server) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_status(server) == GOIPC_STATUS_LISTENING);
    EXPECT(goipc_client_start(name, NULL, &client) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_status(client) == GOIPC_STATUS_NOT_CONNECTED);
    message = client_expect_status(client, GOIPC_STATUS_CONNECTING);
    EXPECT(message.error == GOIPC_ERROR_OK && message.data != NULL && message.client == 0);
    while (goipc_client_status(client) != GOIPC_STATUS_CONNECTED) {
        const goipc_error error = goipc_server_read(server, 1, &message);

        EXPECT(error == GOIPC_ERROR_TIMEOUT); /* the server cannot be connected yet */
        if (goipc_client_read(client, 1, &message) == GOIPC_ERROR_OK) {
            EXPECT(message.status == GOIPC_STATUS_CONNECTED);
        }
    }
    EXPECT(goipc_client_write(client, 5, "last words", 10) == GOIPC_ERROR_OK);
    goipc_client_close(client);
    message = server_expect_status(server, GOIPC_STATUS_CONNECTED);
    id = message.client;
    EXPECT(id != 0 && message.data_size == 0);
    EXPECT(goipc_server_status(server) == GOIPC_STATUS_CONNECTED);
    EXPECT(goipc_server_client_count(server) == 1);
    EXPECT(goipc_server_read(server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message_is(&message, 5, "last words", 10));
    message = server_expect_status(server, GOIPC_STATUS_DISCONNECTED);
    EXPECT(message.client == id && message.error == GOIPC_ERROR_DISCONNECTED);
    EXPECT(goipc_server_client_count(server) == 0);
    EXPECT(goipc_server_read(server, 20, &message) == GOIPC_ERROR_TIMEOUT);
    goipc_server_counters(server, &counters);
    EXPECT(counters.connects == 1 && counters.messages_in == 1 && counters.bytes_in == 10);
    EXPECT(counters.refusals == 0 && counters.failures == 0 && counters.messages_out == 0);
    goipc_server_close(server);
}

static void test_reconnects(void)
{
    goipc_client_config config = {.retry_interval_ms = 20};
    test_pair pair;
    goipc_message message;

    pair_start(&pair, server_defaults, config);
    goipc_server_close(pair.server);
    message = client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    EXPECT(message.error == GOIPC_ERROR_DISCONNECTED);
    client_expect_status(pair.client, GOIPC_STATUS_RECONNECTING);
    EXPECT(goipc_client_read(pair.client, 60, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(goipc_client_status(pair.client) == GOIPC_STATUS_RECONNECTING);
    EXPECT(goipc_server_start(pair.name, NULL, &pair.server) == GOIPC_ERROR_OK);
    pair_connect(&pair);
    EXPECT(goipc_client_write(pair.client, 1, "again", 5) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "again", 5));
    pair_close(&pair);
}

static void test_reconnect_off(void)
{
    goipc_client_config config = {.reconnect_off = true};
    test_pair pair;
    goipc_message message;

    pair_start(&pair, server_defaults, config);
    EXPECT(goipc_server_write(pair.server, pair.id, 9, "bye", 3) == GOIPC_ERROR_OK);
    goipc_server_close(pair.server);
    EXPECT(goipc_client_read(pair.client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message_is(&message, 9, "bye", 3));
    client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    EXPECT(goipc_client_read(pair.client, PATIENCE_MS, &message) == GOIPC_ERROR_DISCONNECTED);
    EXPECT(goipc_client_write(pair.client, 1, "", 0) == GOIPC_ERROR_DISCONNECTED);
    EXPECT(goipc_client_status(pair.client) == GOIPC_STATUS_DISCONNECTED);
    goipc_client_close(pair.client);
}

/* The answer and the end arrive together: a writer must not trade the answer for a new connection.
 * */
static void test_write_after_the_end_keeps_what_is_unread(void)
{
    goipc_client_config config = {.options.write_timeout_ms = 200};
    test_pair pair;
    goipc_message message;
    goipc_error error = GOIPC_ERROR_OK;

    pair_start(&pair, plain_server(), config);
    EXPECT(goipc_server_write(pair.server, pair.id, 9, "answer", 6) == GOIPC_ERROR_OK);
    goipc_server_close(pair.server);
    EXPECT(goipc_server_start(pair.name,
                              &(goipc_server_config){.options.encryption = GOIPC_ENCRYPTION_OFF},
                              &pair.server) == GOIPC_ERROR_OK);
    for (int i = 0; i < 3; i++) {
        error = goipc_client_write(pair.client, 1, "x", 1);
        EXPECT(error == GOIPC_ERROR_DISCONNECTED);
    }
    EXPECT(goipc_client_read(pair.client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message_is(&message, 9, "answer", 6));
    client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    client_expect_status(pair.client, GOIPC_STATUS_RECONNECTING);
    pair_connect(&pair);
    pair_close(&pair);
}

/* --- what a read gave, while a writer connects again ------------------------------------------ */

static void *serve_until_answer(void *context)
{
    static uint8_t expected[1000];
    const goipc_message message = server_expect_data(context);

    memset(expected, 'A', sizeof expected);
    EXPECT(message_is(&message, 9, expected, sizeof expected));
    return NULL;
}

/* Writes what was read back, as an echo does, to the next server. */
static void write_back(test_pair *pair, const goipc_message *message,
                       const goipc_server_config *config)
{
    pthread_t thread;
    goipc_error error;

    EXPECT(goipc_server_start(pair->name, config, &pair->server) == GOIPC_ERROR_OK);
    EXPECT(pthread_create(&thread, NULL, serve_until_answer, pair->server) == 0);
    do { /* the write that finds the connection broken fails, and the next one connects */
        error = goipc_client_write(pair->client, (uint32_t)message->type, message->data,
                                   message->data_size);
        EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_DISCONNECTED);
    } while (error != GOIPC_ERROR_OK);
    pthread_join(thread, NULL);
    EXPECT(message->data[0] == 'A' && message->data[message->data_size - 1] == 'A');
}

static void test_borrowed_data_outlives_the_connection(goipc_encryption encryption)
{
    const goipc_server_config config = {.options.encryption = encryption};
    uint8_t data[1000];
    test_pair pair;
    goipc_message message;

    memset(data, 'A', sizeof data);
    pair_start(&pair, config, client_defaults);
    EXPECT(goipc_server_write(pair.server, pair.id, 9, data, sizeof data) == GOIPC_ERROR_OK);
    message = client_expect_data(pair.client);
    for (int i = 0; i < 2; i++) {
        goipc_server_close(pair.server);
        write_back(&pair, &message, &config);
    }
    client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    client_expect_status(pair.client, GOIPC_STATUS_RECONNECTING);
    client_expect_status(pair.client, GOIPC_STATUS_CONNECTED);
    pair_close(&pair);
}

/* The writer meets another message while it looks whether all was read: both are kept. */
static void test_borrowed_data_beside_what_is_unread(goipc_encryption encryption)
{
    const goipc_server_config config = {.options.encryption = encryption};
    static uint8_t data[50000];
    test_pair pair;
    goipc_message messages[2], next;
    size_t count;

    memset(data, 'A', sizeof data);
    pair_start(&pair, config, client_defaults);
    goipc_server_cork(pair.server); /* so that one read of the stream has all that is small */
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT(goipc_server_write(pair.server, pair.id, i + 1, data, 100 + i) == GOIPC_ERROR_OK);
    }
    EXPECT(goipc_server_write(pair.server, pair.id, 4, data, sizeof data) == GOIPC_ERROR_OK);
    goipc_server_close(pair.server);
    EXPECT(goipc_client_read_batch(pair.client, PATIENCE_MS, messages, 2, &count) ==
           GOIPC_ERROR_OK);
    EXPECT(count == 2);
    EXPECT(goipc_server_start(pair.name, &config, &pair.server) == GOIPC_ERROR_OK);
    for (int i = 0; i < 3; i++) {
        EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_DISCONNECTED);
    }
    EXPECT(message_is(&messages[0], 1, data, 100) && message_is(&messages[1], 2, data, 101));
    next = client_expect_data(pair.client);
    EXPECT(message_is(&next, 3, data, 102));
    for (int i = 0; i < 3; i++) {
        EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_DISCONNECTED);
    }
    EXPECT(message_is(&next, 3, data, 102));
    next = client_expect_data(pair.client);
    EXPECT(message_is(&next, 4, data, sizeof data));
    pair_connect(&pair);
    pair_close(&pair);
}

/* A plain server that says all it has to say at once, and ends with a frame that cannot be. */
static void *serve_raw(void *context)
{
    static const uint8_t before[] = {2, 0, 0, 0, 0, 4, 0, 48, 0, 0, 0, 0, 3, 236, 0, 0, 0, 9};
    static const uint8_t behind[] = {0, 0, 0, 0};
    const int listener = *(const int *)context;
    const int descriptor = accept(listener, NULL, NULL);
    uint8_t bytes[sizeof before + 1000 + sizeof behind];

    EXPECT(descriptor >= 0);
    memset(bytes, 'A', sizeof bytes);
    memcpy(bytes, before, sizeof before);
    memcpy(bytes + sizeof bytes - sizeof behind, behind, sizeof behind);
    raw_send(descriptor, bytes, sizeof bytes);
    while (raw_receive(descriptor, bytes, 1)) {
    }
    close(descriptor);
    close(listener);
    return NULL;
}

/* One read gives the message and finds the connection broken: nobody uses it any more but who holds
 * the message. */
static void test_borrowed_data_of_a_connection_that_leaves(void)
{
    const goipc_server_config config = plain_server();
    const goipc_client_config plain = {.options.encryption = GOIPC_ENCRYPTION_OFF};
    test_pair pair = {.server = NULL};
    struct sockaddr_un address;
    goipc_message messages[4];
    size_t count;
    pthread_t thread;
    char path[108];
    int listener;

    test_path(test_name(pair.name), path);
    address = raw_address(path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(bind(listener, (const struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(listen(listener, 1) == 0);
    EXPECT(pthread_create(&thread, NULL, serve_raw, &listener) == 0);
    EXPECT(goipc_client_start(pair.name, &plain, &pair.client) == GOIPC_ERROR_OK);
    do {
        EXPECT(goipc_client_read_batch(pair.client, PATIENCE_MS, messages, 4, &count) ==
               GOIPC_ERROR_OK);
    } while (messages[count - 1].type == GOIPC_MESSAGE_STATUS);
    EXPECT(count == 1);
    pthread_join(thread, NULL);
    write_back(&pair, &messages[0], &config);
    client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    pair_close(&pair);
}

/* --- writing, and what ends it ---------------------------------------------------------------- */

static void *serve_until_data(void *context)
{
    goipc_server *server = context;
    const goipc_message message = server_expect_data(server);

    EXPECT(message_is(&message, 1, "x", 1));
    return NULL;
}

/* A client that only writes connects, and connects again, all by itself. */
static void test_writer_alone_connects_and_reconnects(void)
{
    char name[64];
    goipc_client *client;
    goipc_client_config config = {.options.encryption = GOIPC_ENCRYPTION_OPTIONAL,
                                  .retry_interval_ms = 10};

    test_name(name);
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    for (int i = 0; i < 3; i++) {
        goipc_server *server;
        pthread_t thread;
        goipc_error error;

        EXPECT(goipc_server_start(name, NULL, &server) == GOIPC_ERROR_OK);
        EXPECT(pthread_create(&thread, NULL, serve_until_data, server) == 0);
        do { /* the write that finds the connection broken fails, and the next one connects */
            error = goipc_client_write(client, 1, "x", 1);
            EXPECT(error == GOIPC_ERROR_OK || (i > 0 && error == GOIPC_ERROR_DISCONNECTED));
        } while (error != GOIPC_ERROR_OK);
        pthread_join(thread, NULL);
        goipc_server_close(server);
    }
    goipc_client_close(client);
}

static void test_client_gives_up(void)
{
    goipc_client_config config = {.timeout_ms = 50, .retry_interval_ms = 10};
    char name[64];
    goipc_client *client;
    goipc_message message;
    goipc_failure failure;

    test_name(name);
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    client_expect_status(client, GOIPC_STATUS_CONNECTING);
    client_expect_status(client, GOIPC_STATUS_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        EXPECT(goipc_client_read(client, GOIPC_FOREVER, &message) == GOIPC_ERROR_TIMEOUT);
        EXPECT(goipc_client_write(client, 1, "", 0) == GOIPC_ERROR_TIMEOUT);
    }
    EXPECT(goipc_client_status(client) == GOIPC_STATUS_TIMEOUT);
    goipc_client_failure(client, &failure);
    EXPECT(failure.error == GOIPC_ERROR_TIMEOUT && strstr(failure.text, name) != NULL);
    EXPECT(goipc_client_system_error(client) == failure.system_error);
    goipc_client_close(client);
}

static void test_encryption_mismatch_is_final(void)
{
    static const struct {
        goipc_encryption server, client;
    } rows[] = {
        {GOIPC_ENCRYPTION_OFF, GOIPC_ENCRYPTION_REQUIRE},
        {GOIPC_ENCRYPTION_REQUIRE, GOIPC_ENCRYPTION_OFF},
    };

    for (size_t i = 0; i < 2; i++) {
        goipc_server_config server_config = {.options.encryption = rows[i].server};
        goipc_client_config client_config = {.options.encryption = rows[i].client};
        char name[64];
        goipc_server *server;
        goipc_client *client;
        goipc_message message;
        goipc_failure failure;
        goipc_counters counters;
        goipc_error error;

        test_name(name);
        EXPECT(goipc_server_start(name, &server_config, &server) == GOIPC_ERROR_OK);
        EXPECT(goipc_client_start(name, &client_config, &client) == GOIPC_ERROR_OK);
        client_expect_status(client, GOIPC_STATUS_CONNECTING);
        do {
            EXPECT(goipc_server_read(server, 1, &message) == GOIPC_ERROR_TIMEOUT);
            error = goipc_client_read(client, 1, &message);
        } while (error == GOIPC_ERROR_TIMEOUT);
        EXPECT(error == GOIPC_ERROR_ENCRYPTION);
        EXPECT(goipc_client_write(client, 1, "", 0) == GOIPC_ERROR_ENCRYPTION);
        EXPECT(goipc_client_status(client) == GOIPC_STATUS_ERROR);
        goipc_client_failure(client, &failure);
        EXPECT(failure.error == GOIPC_ERROR_ENCRYPTION && strstr(failure.text, name) != NULL);
        do {
            EXPECT(goipc_server_read(server, 1, &message) == GOIPC_ERROR_TIMEOUT);
            goipc_server_counters(server, &counters);
        } while (counters.refusals == 0);
        goipc_server_failure(server, &failure);
        EXPECT(failure.error == GOIPC_ERROR_ENCRYPTION);
        goipc_client_close(client);
        goipc_server_close(server);
    }
}

/* --- many clients ----------------------------------------------------------------------------- */

enum { CLIENT_COUNT = 20 };

static void connect_many(goipc_server *server, const char *name, goipc_client **clients,
                         goipc_client_id *ids, size_t count)
{
    const goipc_client_config config = {.options.encryption = GOIPC_ENCRYPTION_OPTIONAL};
    goipc_message message;

    for (size_t i = 0; i < count; i++) {
        EXPECT(goipc_client_start(name, &config, &clients[i]) == GOIPC_ERROR_OK);
        while (goipc_client_status(clients[i]) != GOIPC_STATUS_CONNECTED) {
            (void)!goipc_client_read(clients[i], 1, &message);
            if (goipc_server_read(server, 0, &message) == GOIPC_ERROR_OK) {
                ids[i] = message.client;
            }
        }
        while (ids[i] == 0) {
            ids[i] = server_expect_status(server, GOIPC_STATUS_CONNECTED).client;
        }
    }
}

static void test_many_clients_take_turns(void)
{
    goipc_server_config config = {.clients_max = CLIENT_COUNT,
                                  .options.encryption = GOIPC_ENCRYPTION_OFF};
    goipc_client *clients[CLIENT_COUNT];
    goipc_client_id ids[CLIENT_COUNT] = {0};
    uint32_t next[CLIENT_COUNT] = {0};
    char name[64];
    goipc_server *server;
    goipc_message message;
    size_t first_of_last = 0;

    test_name(name);
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_OK);
    connect_many(server, name, clients, ids, CLIENT_COUNT);
    EXPECT(goipc_server_client_count(server) == CLIENT_COUNT);
    /* All but the last have 100 messages waiting before the last sends its only one. */
    for (uint32_t n = 0; n < 100; n++) {
        for (size_t i = 0; i + 1 < CLIENT_COUNT; i++) {
            EXPECT(goipc_client_write(clients[i], 1, &n, sizeof n) == GOIPC_ERROR_OK);
        }
    }
    EXPECT(goipc_client_write(clients[CLIENT_COUNT - 1], 2, "me", 2) == GOIPC_ERROR_OK);
    for (size_t seen = 0; seen < 100 * (CLIENT_COUNT - 1) + 1; seen++) {
        size_t i = 0;

        EXPECT(goipc_server_read(server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
        if (message.type == 2) {
            first_of_last = seen;
            continue;
        }
        while (ids[i] != message.client) {
            i++;
        }
        EXPECT(message_is(&message, 1, &next[i], sizeof next[i]));
        next[i]++;
    }
    /* One turn of everybody else, twice to be generous. */
    EXPECT(first_of_last < 2 * CLIENT_COUNT);
    /* And all of them are written to. */
    EXPECT(goipc_server_write(server, GOIPC_CLIENT_ALL, 3, "all", 3) == GOIPC_ERROR_OK);
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        message = client_expect_data(clients[i]);
        EXPECT(message_is(&message, 3, "all", 3));
        goipc_client_close(clients[i]);
    }
    for (size_t i = 0; i < CLIENT_COUNT; i++) {
        server_expect_status(server, GOIPC_STATUS_DISCONNECTED);
    }
    EXPECT(goipc_server_write(server, GOIPC_CLIENT_ALL, 3, "all", 3) == GOIPC_ERROR_OK);
    goipc_server_close(server);
}

/* True when the peer has closed the stream; waits for it while the server runs. */
static bool closed_by(goipc_server *server, int descriptor)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_message message;
    char waste[256];

    while (test_clock_ms() < until) {
        const ssize_t size = recv(descriptor, waste, sizeof waste, MSG_DONTWAIT);

        if (size == 0 || (size < 0 && errno == ECONNRESET)) {
            return true;
        }
        (void)!goipc_server_read(server, 1, &message);
    }
    return false;
}

static void test_refused_peer_is_closed_at_once(void)
{
    test_pair pair;
    goipc_counters counters;
    goipc_message message;
    char byte;
    int late;

    pair_start(&pair, server_defaults, client_defaults);
    late = raw_connect(pair.name);
    EXPECT(goipc_server_read(pair.server, 50, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(recv(late, &byte, 1, MSG_DONTWAIT) == 0); /* not even a HELLO */
    close(late);
    goipc_server_counters(pair.server, &counters);
    EXPECT(counters.refusals == 1);
    EXPECT(goipc_client_write(pair.client, 1, "still here", 10) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "still here", 10));
    pair_close(&pair);
}

/* A program that restarts is back before the end of its former connection was read. */
static void test_restarted_client_gets_the_place(void)
{
    test_pair pair;
    goipc_client *second;
    goipc_message message;
    goipc_client_id former;

    pair_start(&pair, server_defaults, client_defaults);
    former = pair.id;
    for (int i = 0; i < 50; i++) {
        EXPECT(goipc_client_write(pair.client, 1, &i, sizeof i) == GOIPC_ERROR_OK);
    }
    goipc_client_close(pair.client); /* its end waits behind 50 messages */
    EXPECT(goipc_client_start(pair.name, NULL, &second) == GOIPC_ERROR_OK);
    client_expect_status(second, GOIPC_STATUS_CONNECTING);
    for (int i = 0; i < 50;) {
        (void)!goipc_client_read(second, 0, &message); /* its handshake goes on meanwhile */
        EXPECT(goipc_server_read(pair.server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
        EXPECT(message_is(&message, 1, &i, sizeof i) && message.client == former);
        i++;
    }
    server_expect_status(pair.server, GOIPC_STATUS_DISCONNECTED);
    pair.client = second;
    pair_connect(&pair);
    EXPECT(pair.id != former);
    pair_close(&pair);
}

static void test_silent_peers_keep_nobody_out(void)
{
    /* The good client must be done by then, too. */
    const int32_t timeout_ms = test_is_slow() ? 3000 : 300;
    const goipc_server_config config = {.options.handshake_timeout_ms = timeout_ms};
    char name[64];
    int silent[20];
    test_pair pair = {.id = 0};
    goipc_message message;
    goipc_counters counters;
    const int64_t before = test_clock_ms();

    test_name(name);
    snprintf(pair.name, sizeof pair.name, "%s", name);
    EXPECT(goipc_server_start(name, &config, &pair.server) == GOIPC_ERROR_OK);
    for (size_t i = 0; i < 20; i++) {
        silent[i] = raw_connect(name);
    }
    EXPECT(goipc_client_start(name, NULL, &pair.client) == GOIPC_ERROR_OK);
    pair_connect(&pair);
    for (size_t i = 0; i < 20; i++) {
        EXPECT(closed_by(pair.server, silent[i]));
        close(silent[i]);
    }
    EXPECT(test_clock_ms() - before >= timeout_ms);
    goipc_server_counters(pair.server, &counters);
    EXPECT(counters.refusals == 20 && counters.connects == 1);
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "x", 1));
    pair_close(&pair);
}

/* --- handshakes and clients ------------------------------------------------------------------- */

/* What a step of a handshake brings about: counted, and at that very moment the client that is
 * connected writes the count, so that there is always a message which came during the last step. */
typedef struct stepping {
    test_pair pair;
    uint32_t steps;
    bool speaks;
} stepping;

static void begin_step(stepping *self)
{
    self->steps++;
    if (self->speaks) {
        EXPECT(goipc_client_write(self->pair.client, 1, &self->steps, sizeof self->steps) ==
               GOIPC_ERROR_OK);
    }
}

static goipc_error stepping_public(void *context, const uint8_t private_key[48],
                                   uint8_t public_key[97])
{
    begin_step(context);
    return goipc_crypto_default()->p384_public(NULL, private_key, public_key);
}

static goipc_error stepping_shared(void *context, const uint8_t private_key[48],
                                   const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    begin_step(context);
    return goipc_crypto_default()->p384_shared(NULL, private_key, peer_public_key, shared_x);
}

enum { STRANGER_COUNT = 8, STEPS_EACH = 2 };

/* A connected pair whose server has `self` for a crypto table's context, and strangers that have
 * sent all of a handshake that can be sent in advance. */
static void start_stepping(stepping *self, goipc_crypto *crypto, int strangers[STRANGER_COUNT])
{
    static const uint8_t private_key[48] = {[47] = 7};
    const goipc_server_config config = {.clients_max = STRANGER_COUNT + 1,
                                        .options.crypto = crypto};
    uint8_t reply_and_key[1 + GOIPC_P384_PUBLIC_SIZE] = {0};

    *self = (stepping){.steps = 0};
    *crypto = *goipc_crypto_default();
    EXPECT(crypto->context == NULL); /* the tables of the library need none: this one may have it */
    EXPECT(crypto->p384_public(NULL, private_key, reply_and_key + 1) == GOIPC_ERROR_OK);
    crypto->context = self;
    crypto->p384_public = stepping_public;
    crypto->p384_shared = stepping_shared;
    pair_start(&self->pair, config, client_defaults);
    for (size_t i = 0; i < STRANGER_COUNT; i++) {
        strangers[i] = raw_connect(self->pair.name);
        raw_send(strangers[i], reply_and_key, sizeof reply_and_key);
    }
    self->steps = 0;
}

static void end_stepping(stepping *self, const int strangers[STRANGER_COUNT])
{
    for (size_t i = 0; i < STRANGER_COUNT; i++) {
        close(strangers[i]);
    }
    pair_close(&self->pair);
}

/* What a client sends during one step of a handshake is delivered before the next one begins,
 * however many wait and however much they sent at once. */
static void test_client_goes_before_handshakes(void)
{
    stepping self;
    goipc_crypto crypto;
    int strangers[STRANGER_COUNT];

    start_stepping(&self, &crypto, strangers);
    self.speaks = true;
    for (uint32_t step = 1; step <= STRANGER_COUNT * STEPS_EACH; step++) {
        const goipc_message message = server_expect_data(self.pair.server);

        EXPECT(self.steps == step && message_is(&message, 1, &step, sizeof step));
    }
    end_stepping(&self, strangers);
}

/* What an event loop asks before it waits. */
static bool wants_to_be_read(goipc_server *server)
{
    struct pollfd look = {.fd = (int)goipc_server_poll_fd(server), .events = POLLIN};

    return look.fd < 0 || goipc_server_poll_timeout_ms(server) == 0 || poll(&look, 1, 0) == 1;
}

/* A read that is not to wait does one step at most, and says that there is more to do. */
static void test_read_without_waiting_does_one_step(void)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    stepping self;
    goipc_crypto crypto;
    int strangers[STRANGER_COUNT];
    goipc_message message;

    start_stepping(&self, &crypto, strangers);
    while (self.steps < STRANGER_COUNT * STEPS_EACH) {
        const uint32_t before = self.steps;

        EXPECT(goipc_server_read(self.pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
        EXPECT(self.steps <= before + 1);
        EXPECT(self.steps == STRANGER_COUNT * STEPS_EACH || wants_to_be_read(self.pair.server));
        EXPECT(test_clock_ms() < until);
    }
    end_stepping(&self, strangers);
}

/* A client that never stops sending leaves a new one its turns. */
static void test_flood_keeps_nobody_out(void)
{
    static const uint8_t data[1000];
    const goipc_server_config config = {.clients_max = 2, .options.message_size_max = 4096};
    const goipc_client_config flooding = {.options.write_timeout_ms = GOIPC_NO_WAIT};
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_client *second;
    goipc_message message;
    goipc_error error;
    test_pair pair;

    pair_start(&pair, config, flooding);
    EXPECT(goipc_client_start(pair.name, NULL, &second) == GOIPC_ERROR_OK);
    while (goipc_client_status(second) != GOIPC_STATUS_CONNECTED) {
        EXPECT(test_clock_ms() < until);
        while (goipc_client_write(pair.client, 1, data, sizeof data) == GOIPC_ERROR_OK) {
        }
        (void)!goipc_client_read(second, 0, &message);
        error = goipc_server_read(pair.server, 0, &message);
        EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_WOULD_BLOCK);
    }
    goipc_client_close(second);
    goipc_client_close(pair.client);
    goipc_server_close(pair.server);
}

static void test_disconnect(void)
{
    goipc_client_config config = {.reconnect_off = true};
    test_pair pair;
    goipc_message message;
    goipc_credentials credentials;

    pair_start(&pair, server_defaults, config);
    EXPECT(goipc_server_credentials(pair.server, pair.id, &credentials) == GOIPC_ERROR_OK);
    EXPECT(credentials.user == (int64_t)geteuid());
    EXPECT(goipc_server_write(pair.server, pair.id, 4, "bye", 3) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_disconnect(pair.server, pair.id) == GOIPC_ERROR_OK);
    message = server_expect_status(pair.server, GOIPC_STATUS_DISCONNECTED);
    EXPECT(message.client == pair.id && message.error == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_server_disconnect(pair.server, pair.id) == GOIPC_ERROR_NOT_CONNECTED);
    EXPECT(goipc_server_credentials(pair.server, pair.id, &credentials) ==
           GOIPC_ERROR_NOT_CONNECTED);
    EXPECT(goipc_client_read(pair.client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message_is(&message, 4, "bye", 3));
    client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    EXPECT(goipc_server_read(pair.server, 20, &message) == GOIPC_ERROR_TIMEOUT);
    pair_close(&pair);
}

/* --- back-pressure ---------------------------------------------------------------------------- */

static void test_slow_reader_is_bounded(int32_t write_timeout_ms, goipc_error expected)
{
    goipc_server_config config = plain_server();
    goipc_client *clients[2];
    goipc_client_id ids[2] = {0};
    uint8_t data[10000] = {0};
    char name[64];
    goipc_server *server;
    goipc_message message;
    size_t handed_over = 0;
    goipc_error error;

    config.clients_max = 2;
    config.options.queue_size_max = 100000;
    config.options.write_timeout_ms = write_timeout_ms;
    test_name(name);
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_OK);
    connect_many(server, name, clients, ids, 2);
    while ((error = goipc_server_write(server, ids[0], 1, data, sizeof data)) == GOIPC_ERROR_OK) {
        handed_over++;
        EXPECT(handed_over < 1000); /* 10 MB: more than system and queue hold together */
    }
    EXPECT(error == expected);
    EXPECT(goipc_server_write(server, ids[1], 1, "quick", 5) == GOIPC_ERROR_OK);
    message = client_expect_data(clients[1]);
    EXPECT(message_is(&message, 1, "quick", 5));
    EXPECT(goipc_server_write(server, GOIPC_CLIENT_ALL, 2, "all", 3) == GOIPC_ERROR_OK ||
           expected != GOIPC_ERROR_OK);
    message = client_expect_data(clients[1]);
    EXPECT(message_is(&message, 2, "all", 3));
    /* Everything that was handed over arrives; what was refused does not, not even in part. */
    for (size_t i = 0; i < handed_over; i++) {
        while (goipc_client_read(clients[0], 0, &message) != GOIPC_ERROR_OK ||
               message.type == GOIPC_MESSAGE_STATUS) {
            const goipc_error flushed = goipc_server_flush(server, 0);

            EXPECT(flushed == GOIPC_ERROR_OK || flushed == GOIPC_ERROR_WOULD_BLOCK);
        }
        EXPECT(message_is(&message, 1, data, sizeof data));
    }
    goipc_client_close(clients[0]);
    goipc_client_close(clients[1]);
    goipc_server_close(server);
}

static void test_client_write_times_out(void)
{
    goipc_client_config config = {.options.write_timeout_ms = 30};
    uint8_t data[8000] = {0};
    test_pair pair;
    goipc_error error;
    size_t handed_over = 0;
    goipc_message message;

    pair_start(&pair, plain_server(), config);
    while ((error = goipc_client_write(pair.client, 1, data, sizeof data)) == GOIPC_ERROR_OK) {
        handed_over++;
        EXPECT(handed_over < 10000);
    }
    EXPECT(error == GOIPC_ERROR_TIMEOUT);
    for (size_t i = 0; i < handed_over; i++) {
        while (goipc_server_read(pair.server, 0, &message) != GOIPC_ERROR_OK) {
            const goipc_error flushed = goipc_client_flush(pair.client, 0);

            EXPECT(flushed == GOIPC_ERROR_OK || flushed == GOIPC_ERROR_WOULD_BLOCK);
        }
        EXPECT(message_is(&message, 1, data, sizeof data));
    }
    EXPECT(goipc_server_read(pair.server, 20, &message) == GOIPC_ERROR_TIMEOUT);
    pair_close(&pair);
}

/* --- event loops ------------------------------------------------------------------------------ */

static void test_poll_descriptor(void)
{
    test_pair pair;
    goipc_message message;
    struct pollfd look = {.events = POLLIN};

    pair_start(&pair, server_defaults, client_defaults);
    look.fd = (int)goipc_server_poll_fd(pair.server);
    if (look.fd < 0) {
        pair_close(&pair);
        return; /* this system has none, as the header says */
    }
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_server_poll_timeout_ms(pair.server) > 0); /* when it looks at its name */
    EXPECT(poll(&look, 1, 0) == 0);
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    EXPECT(poll(&look, 1, PATIENCE_MS) == 1);
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(poll(&look, 1, 0) == 0);
    look.fd = (int)goipc_client_poll_fd(pair.client);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_client_poll_timeout_ms(pair.client) == GOIPC_FOREVER);
    EXPECT(poll(&look, 1, 0) == 0);
    EXPECT(goipc_server_write(pair.server, pair.id, 1, "y", 1) == GOIPC_ERROR_OK);
    EXPECT(poll(&look, 1, PATIENCE_MS) == 1);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    goipc_client_interrupt(pair.client);
    EXPECT(poll(&look, 1, PATIENCE_MS) == 1);
    pair_close(&pair);
}

/* --- fork and configuration ------------------------------------------------------------------- */

static void in_child(void (*action)(const test_pair *), const test_pair *pair)
{
    const pid_t child = fork();
    int status;

    EXPECT(child >= 0);
    if (child == 0) {
        action(pair);
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* In the child nothing is done, and nothing that the parent would notice. */
static void expect_forked(const test_pair *pair)
{
    static const uint8_t data[60];
    const goipc_outgoing messages[2] = {{1, data, sizeof data}, {2, data, sizeof data}};
    goipc_message message;
    size_t count;

    EXPECT(goipc_server_read(pair->server, 0, &message) == GOIPC_ERROR_FORKED);
    EXPECT(goipc_client_read(pair->client, 0, &message) == GOIPC_ERROR_FORKED);
    for (int i = 0; i < 3; i++) { /* more than the queue holds */
        EXPECT(goipc_client_write(pair->client, 1, data, sizeof data) == GOIPC_ERROR_FORKED);
        EXPECT(goipc_server_write(pair->server, pair->id, 1, data, sizeof data) ==
               GOIPC_ERROR_FORKED);
        EXPECT(goipc_server_write(pair->server, GOIPC_CLIENT_ALL, 1, data, sizeof data) ==
               GOIPC_ERROR_FORKED);
    }
    EXPECT(goipc_client_write_batch(pair->client, messages, 2, &count) == GOIPC_ERROR_FORKED);
    EXPECT(count == 0);
    EXPECT(goipc_client_flush(pair->client, 0) == GOIPC_ERROR_FORKED);
    EXPECT(goipc_server_flush(pair->server, 0) == GOIPC_ERROR_FORKED);
    EXPECT(goipc_server_disconnect(pair->server, pair->id) == GOIPC_ERROR_FORKED);
    goipc_client_close(pair->client);
    goipc_server_close(pair->server);
}

static void test_child_after_fork(bool corked)
{
    const goipc_server_config server = {.options.queue_size_max = 100};
    const goipc_client_config client = {.options.queue_size_max = 100};
    test_pair pair;
    goipc_message message;

    pair_start(&pair, server, client);
    goipc_client_cork(pair.client); /* so that one read of the stream has both */
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_write(pair.client, 2, "x", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_flush(pair.client, PATIENCE_MS) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "x", 1));
    if (corked) {
        goipc_client_cork(pair.client);
        goipc_server_cork(pair.server);
    }
    in_child(expect_forked, &pair);
    EXPECT(goipc_client_write(pair.client, 3, "x", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_flush(pair.client, PATIENCE_MS) == GOIPC_ERROR_OK);
    for (uint32_t type = 2; type <= 3; type++) {
        message = server_expect_data(pair.server);
        EXPECT(message_is(&message, type, "x", 1));
    }
    EXPECT(goipc_server_write(pair.server, pair.id, 4, "y", 1) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_flush(pair.server, PATIENCE_MS) == GOIPC_ERROR_OK);
    message = client_expect_data(pair.client);
    EXPECT(message_is(&message, 4, "y", 1));
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_server_client_count(pair.server) == 1);
    pair_close(&pair);
}

static void interrupt_both(const test_pair *pair)
{
    goipc_server_interrupt(pair->server);
    goipc_client_interrupt(pair->client);
}

static void resume_both(const test_pair *pair)
{
    goipc_server_resume(pair->server);
    goipc_client_resume(pair->client);
}

/* The descriptor that wakes is the same one in both processes. */
static void test_child_interrupts_nobody(void)
{
    test_pair pair;
    goipc_message message;

    pair_start(&pair, server_defaults, client_defaults);
    in_child(interrupt_both, &pair);
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    interrupt_both(&pair);
    in_child(resume_both, &pair);
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_INTERRUPTED);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_INTERRUPTED);
    resume_both(&pair);
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    pair_close(&pair);
}

static void test_bad_configurations(void)
{
    static const uint32_t nobody[1] = {0};
    const goipc_options rows[] = {
        {.encryption = (goipc_encryption)3},
        {.encryption = (goipc_encryption)-1},
        {.message_size_max = GOIPC_MESSAGE_SIZE_CEILING + 1},
        {.handshake_timeout_ms = GOIPC_NO_WAIT},
        {.write_timeout_ms = -3},
        {.close_timeout_ms = -3},
        {.spin_us = GOIPC_FOREVER},
        {.spin_us = -3},
        {.spin_us = 1000001},
        {.reserved = {[15] = 1}},
        {.peers = (goipc_peers)4},
        {.peers = GOIPC_PEERS_LIST, .peer_users = NULL, .peer_user_count = 1},
        {.peers = GOIPC_PEERS_LIST, .peer_users = nobody, .peer_user_count = SIZE_MAX},
    };
    goipc_server *server;
    goipc_client *client;
    goipc_failure failure;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        goipc_server_config server_config = {.options = rows[i]};
        goipc_client_config client_config = {.options = rows[i]};

        server_config.options.failure = &failure;
        failure.text[0] = '\0';
        EXPECT(goipc_server_start("never", &server_config, &server) == GOIPC_ERROR_ARGUMENT);
        EXPECT(server == NULL && failure.error == GOIPC_ERROR_ARGUMENT && failure.text[0] != '\0');
        EXPECT(goipc_client_start("never", &client_config, &client) == GOIPC_ERROR_ARGUMENT);
        EXPECT(client == NULL);
    }
    {
        goipc_server_config config = {.options.encryption = GOIPC_ENCRYPTION_OPTIONAL};

        EXPECT(goipc_server_start("never", &config, &server) == GOIPC_ERROR_ARGUMENT);
        config = (goipc_server_config){.socket_mode = 010000};
        EXPECT(goipc_server_start("never", &config, &server) == GOIPC_ERROR_ARGUMENT);
        config = (goipc_server_config){.options.failure = &failure, .reserved = {1}};
        EXPECT(goipc_server_start("never", &config, &server) == GOIPC_ERROR_ARGUMENT);
        EXPECT(strstr(failure.text, "later version") != NULL);
    }
    {
        const goipc_client_config config = {.reserved = {1}};

        EXPECT(goipc_client_start("never", &config, &client) == GOIPC_ERROR_ARGUMENT);
    }
    goipc_server_close(NULL);
    goipc_client_close(NULL);
}

static void count_line(void *context, goipc_log_level level, const char *text)
{
    EXPECT(level <= GOIPC_LOG_INFO && strchr(text, '\n') == NULL && text[0] != '\0');
    ++*(_Atomic int *)context;
}

static void test_log_tells_what_happens(void)
{
    _Atomic int server_lines = 0, client_lines = 0;
    goipc_server_config server = {.options.log = count_line, .options.log_context = &server_lines};
    goipc_client_config client = {.options.log = count_line, .options.log_context = &client_lines};
    test_pair pair;

    pair_start(&pair, server, client);
    EXPECT(server_lines == 1 && client_lines == 1);
    goipc_client_close(pair.client);
    server_expect_status(pair.server, GOIPC_STATUS_DISCONNECTED);
    EXPECT(server_lines == 2);
    goipc_server_close(pair.server);
}

int main(void)
{
    test_every_size_both_ways(GOIPC_ENCRYPTION_REQUIRE);
    test_every_size_both_ways(GOIPC_ENCRYPTION_OFF);
    test_local_errors_cost_nothing();
    test_no_message_waits();
    test_batches(GOIPC_ENCRYPTION_REQUIRE);
    test_batches(GOIPC_ENCRYPTION_OFF);
    test_cork_holds_back();
    test_status_changes_in_order();
    test_reconnects();
    test_reconnect_off();
    test_write_after_the_end_keeps_what_is_unread();
    test_borrowed_data_outlives_the_connection(GOIPC_ENCRYPTION_REQUIRE);
    test_borrowed_data_outlives_the_connection(GOIPC_ENCRYPTION_OFF);
    test_borrowed_data_beside_what_is_unread(GOIPC_ENCRYPTION_REQUIRE);
    test_borrowed_data_beside_what_is_unread(GOIPC_ENCRYPTION_OFF);
    test_borrowed_data_of_a_connection_that_leaves();
    test_writer_alone_connects_and_reconnects();
    test_client_gives_up();
    test_encryption_mismatch_is_final();
    test_many_clients_take_turns();
    test_refused_peer_is_closed_at_once();
    test_restarted_client_gets_the_place();
    test_silent_peers_keep_nobody_out();
    test_client_goes_before_handshakes();
    test_read_without_waiting_does_one_step();
    test_flood_keeps_nobody_out();
    test_disconnect();
    test_slow_reader_is_bounded(GOIPC_NO_WAIT, GOIPC_ERROR_WOULD_BLOCK);
    test_slow_reader_is_bounded(30, GOIPC_ERROR_TIMEOUT);
    test_client_write_times_out();
    test_poll_descriptor();
    test_child_after_fork(false);
    test_child_after_fork(true);
    test_child_interrupts_nobody();
    test_bad_configurations();
    test_log_tells_what_happens();
    printf("ok %d checks\n", test_checks);
    return 0;
}
