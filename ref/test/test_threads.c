/* SPDX-License-Identifier: MIT */
/* Goal: one thread reads while others write, interrupt and close the same endpoint. Method: as many
 * threads as the header allows, each message numbered by its writer; ThreadSanitizer watches. */
#include "endpoint/connection.h"
#include "endpoint_pair.h"

#include <signal.h>

enum { WRITER_COUNT = 4, MESSAGE_COUNT = 2000 };

typedef struct body {
    uint32_t writer;
    uint32_t number;
    uint8_t filling[120];
} body;

typedef struct shared {
    test_pair pair;
    _Atomic int started;
    _Atomic int done;
    _Atomic bool stop;
} shared;

typedef struct job {
    shared *all;
    uint32_t writer;
    bool by_server;
    bool seen_error;
} job;

static void *write_many(void *context)
{
    const job *self = context;
    body data = {.writer = self->writer};

    for (uint32_t i = 0; i < MESSAGE_COUNT; i++) {
        const size_t size = sizeof data - (i * 7) % sizeof data.filling;
        goipc_error error;

        data.number = i;
        error = self->by_server
                    ? goipc_server_write(self->all->pair.server, self->all->pair.id, 1, &data, size)
                    : goipc_client_write(self->all->pair.client, 1, &data, size);
        EXPECT(error == GOIPC_ERROR_OK);
    }
    self->all->done++;
    return NULL;
}

static void take(const goipc_message *message, uint32_t next[WRITER_COUNT], size_t *seen)
{
    body data;

    if (message->type == GOIPC_MESSAGE_STATUS) {
        return;
    }
    EXPECT(message->data_size <= sizeof data && message->data_size >= 8);
    memcpy(&data, message->data, 8);
    EXPECT(data.writer < WRITER_COUNT && data.number == next[data.writer]);
    next[data.writer]++;
    (*seen)++;
}

static void *read_as_client(void *context)
{
    shared *all = context;
    uint32_t next[WRITER_COUNT] = {0};
    goipc_message messages[16];
    size_t seen = 0, count;

    while (seen < WRITER_COUNT * MESSAGE_COUNT) {
        EXPECT(goipc_client_read_batch(all->pair.client, PATIENCE_MS, messages, 16, &count) ==
               GOIPC_ERROR_OK);
        for (size_t i = 0; i < count; i++) {
            take(&messages[i], next, &seen);
        }
    }
    return NULL;
}

static void *read_as_server(void *context)
{
    shared *all = context;
    uint32_t next[WRITER_COUNT] = {0};
    goipc_message message;
    size_t seen = 0;

    while (seen < WRITER_COUNT * MESSAGE_COUNT) {
        EXPECT(goipc_server_read(all->pair.server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
        take(&message, next, &seen);
    }
    /* Go on driving: what the writers of this side queued may still have to go out. */
    while (!all->stop) {
        const goipc_error error = goipc_server_read(all->pair.server, 5, &message);

        EXPECT(error == GOIPC_ERROR_TIMEOUT || error == GOIPC_ERROR_OK);
    }
    return NULL;
}

/* Four writers and a reader on each side of one connection, all at once. */
static void test_full_duplex(goipc_encryption encryption)
{
    goipc_server_config config = {.options.encryption = encryption};
    const goipc_client_config client_config = {.timeout_ms = 0};
    shared all = {.started = 0};
    pthread_t writers[2][WRITER_COUNT], server_reader, client_reader;
    job jobs[2][WRITER_COUNT];
    goipc_counters counters;

    pair_start(&all.pair, config, client_config);
    EXPECT(pthread_create(&server_reader, NULL, read_as_server, &all) == 0);
    EXPECT(pthread_create(&client_reader, NULL, read_as_client, &all) == 0);
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < WRITER_COUNT; i++) {
            jobs[side][i] = (job){&all, i, side == 1, false};
            EXPECT(pthread_create(&writers[side][i], NULL, write_many, &jobs[side][i]) == 0);
        }
    }
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < WRITER_COUNT; i++) {
            pthread_join(writers[side][i], NULL);
        }
    }
    pthread_join(client_reader, NULL);
    all.stop = true;
    pthread_join(server_reader, NULL);
    goipc_server_counters(all.pair.server, &counters);
    EXPECT(counters.messages_in == WRITER_COUNT * MESSAGE_COUNT);
    EXPECT(counters.messages_out == WRITER_COUNT * MESSAGE_COUNT);
    EXPECT(goipc_client_status(all.pair.client) == GOIPC_STATUS_CONNECTED);
    pair_close(&all.pair);
}

/* Corks again before each message, as somebody does who knows nothing of the other threads. */
static void *write_corked(void *context)
{
    const job *self = context;
    goipc_server *server = self->all->pair.server;
    body data = {.writer = self->writer};

    for (uint32_t i = 0; i < MESSAGE_COUNT; i++) {
        data.number = i;
        goipc_server_cork(server);
        EXPECT(goipc_server_write(server, self->all->pair.id, 1, &data, sizeof data) ==
               GOIPC_ERROR_OK);
    }
    self->all->done++;
    return NULL;
}

static void *flush_often(void *context)
{
    shared *all = context;

    while (!all->stop) {
        EXPECT(goipc_server_flush(all->pair.server, PATIENCE_MS) == GOIPC_ERROR_OK);
    }
    return NULL;
}

/* What one thread corks another one flushes, at any moment: every message arrives, in the order of
 * its writer. */
static void test_corks_and_flushes_meet(void)
{
    const goipc_server_config config = {.options.encryption = GOIPC_ENCRYPTION_OFF};
    const goipc_client_config client_config = {.options.encryption = GOIPC_ENCRYPTION_OFF};
    shared all = {.started = 0};
    pthread_t writers[WRITER_COUNT], flushers[2], reader;
    job jobs[WRITER_COUNT];

    pair_start(&all.pair, config, client_config);
    EXPECT(pthread_create(&reader, NULL, read_as_client, &all) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        EXPECT(pthread_create(&flushers[i], NULL, flush_often, &all) == 0);
    }
    for (uint32_t i = 0; i < WRITER_COUNT; i++) {
        jobs[i] = (job){&all, i, true, false};
        EXPECT(pthread_create(&writers[i], NULL, write_corked, &jobs[i]) == 0);
    }
    for (size_t i = 0; i < WRITER_COUNT; i++) {
        pthread_join(writers[i], NULL);
    }
    pthread_join(reader, NULL); /* those who flush go on until all has arrived */
    all.stop = true;
    for (size_t i = 0; i < 2; i++) {
        pthread_join(flushers[i], NULL);
    }
    pair_close(&all.pair);
}

/* --- calls that wait, and what ends them -------------------------------------------------------
 * */

static void *wait_in_server_read(void *context)
{
    shared *all = context;
    goipc_message message;
    goipc_error error;

    all->started++;
    do {
        error = goipc_server_read(all->pair.server, GOIPC_FOREVER, &message);
    } while (error == GOIPC_ERROR_OK || error == GOIPC_ERROR_STATE);
    all->done++;
    return (void *)(intptr_t)error;
}

static void *wait_in_client_read(void *context)
{
    shared *all = context;
    goipc_message message;
    goipc_error error;

    all->started++;
    do {
        error = goipc_client_read(all->pair.client, GOIPC_FOREVER, &message);
    } while (error == GOIPC_ERROR_OK);
    all->done++;
    return (void *)(intptr_t)error;
}

static void *wait_in_client_write(void *context)
{
    shared *all = context;
    static const uint8_t data[65536];
    goipc_error error;

    all->started++;
    do {
        error = goipc_client_write(all->pair.client, 1, data, sizeof data);
    } while (error == GOIPC_ERROR_OK);
    all->done++;
    return (void *)(intptr_t)error;
}

static goipc_error joined(pthread_t thread)
{
    void *result;

    pthread_join(thread, &result);
    return (goipc_error)(intptr_t)result;
}

/* Until that many have begun, and wait for something that does not come. */
static void let_wait(const shared *all, int count)
{
    while (all->started < count) {
        (void)!poll(NULL, 0, 1);
    }
    test_let_wait((size_t)count);
}

/* --- large messages ----------------------------------------------------------------------------
 */

enum { LARGE_COUNT = 40, LARGE_SIZE_MAX = 300 * 1024 };

/* Every second message is large, of another size each time, and filled with a byte that tells. */
static size_t large_size(uint32_t writer, uint32_t number)
{
    return number % 2 == 0 ? 8 + number : 8 + (writer * 77777u + number * 99991u) % LARGE_SIZE_MAX;
}

static uint8_t large_byte(uint32_t writer, uint32_t number)
{
    return (uint8_t)(1 + writer * 50 + number);
}

static void *write_large(void *context)
{
    const job *self = context;
    uint8_t *data = malloc(8 + LARGE_SIZE_MAX);

    EXPECT(data != NULL);
    for (uint32_t i = 0; i < LARGE_COUNT; i++) {
        const size_t size = large_size(self->writer, i);
        goipc_error error;

        memcpy(data, &self->writer, 4);
        memcpy(data + 4, &i, 4);
        memset(data + 8, large_byte(self->writer, i), size - 8);
        do {
            error = self->by_server ? goipc_server_write(self->all->pair.server, self->all->pair.id,
                                                         1, data, size)
                                    : goipc_client_write(self->all->pair.client, 1, data, size);
        } while (error == GOIPC_ERROR_TIMEOUT || error == GOIPC_ERROR_WOULD_BLOCK);
        EXPECT(error == GOIPC_ERROR_OK);
        memset(data, 0, size); /* whoever still sends from here sends something else */
    }
    free(data);
    self->all->done++;
    return NULL;
}

static void take_large(const goipc_message *message, uint32_t next[WRITER_COUNT], size_t *seen)
{
    uint32_t writer, number;
    size_t wrong = 0;

    if (message->type == GOIPC_MESSAGE_STATUS) {
        EXPECT(message->error == GOIPC_ERROR_OK);
        return;
    }
    EXPECT(message->data_size >= 8);
    memcpy(&writer, message->data, 4);
    memcpy(&number, message->data + 4, 4);
    EXPECT(writer < WRITER_COUNT && number == next[writer]);
    EXPECT(message->data_size == large_size(writer, number));
    for (size_t i = 8; i < message->data_size; i++) {
        wrong += message->data[i] != large_byte(writer, number) ? 1 : 0;
    }
    EXPECT(wrong == 0);
    next[writer]++;
    (*seen)++;
}

/* Goes on reading when it has everything: what the writers of its own side left in the queue has to
 * go out, too. `started` counts who has everything. */
static void *read_large(void *context)
{
    const job *self = context;
    shared *all = self->all;
    uint32_t next[WRITER_COUNT] = {0};
    goipc_message message;
    size_t seen = 0;

    while (all->started < 2) {
        const int32_t timeout_ms = seen < WRITER_COUNT * LARGE_COUNT ? PATIENCE_MS : 5;
        const goipc_error error = self->by_server
                                      ? goipc_server_read(all->pair.server, timeout_ms, &message)
                                      : goipc_client_read(all->pair.client, timeout_ms, &message);

        if (error == GOIPC_ERROR_TIMEOUT && timeout_ms < PATIENCE_MS) {
            continue;
        }
        EXPECT(error == GOIPC_ERROR_OK);
        take_large(&message, next, &seen);
        all->started += seen == WRITER_COUNT * LARGE_COUNT ? 1 : 0;
    }
    return NULL;
}

/* Writers whose memory is lent while they wait, beside others that queue behind them; with a
 * timeout so short that many give up in the middle of a message. */
static void test_large_messages_of_several_threads(goipc_encryption encryption,
                                                   int32_t write_timeout_ms)
{
    const goipc_server_config server_config = {
        .options = {.encryption = encryption, .write_timeout_ms = write_timeout_ms}};
    const goipc_client_config client_config = {
        .options = {.encryption = encryption, .write_timeout_ms = write_timeout_ms}};
    shared all = {.started = 0};
    pthread_t writers[2][WRITER_COUNT], readers[2];
    job jobs[2][WRITER_COUNT], reading[2];

    pair_start(&all.pair, server_config, client_config);
    for (uint32_t side = 0; side < 2; side++) {
        reading[side] = (job){&all, 0, side == 1, false};
        EXPECT(pthread_create(&readers[side], NULL, read_large, &reading[side]) == 0);
        for (uint32_t i = 0; i < WRITER_COUNT; i++) {
            jobs[side][i] = (job){&all, i, side == 1, false};
            EXPECT(pthread_create(&writers[side][i], NULL, write_large, &jobs[side][i]) == 0);
        }
    }
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < WRITER_COUNT; i++) {
            EXPECT(pthread_join(writers[side][i], NULL) == 0);
        }
    }
    EXPECT(pthread_join(readers[0], NULL) == 0);
    EXPECT(pthread_join(readers[1], NULL) == 0);
    EXPECT(all.done == 2 * WRITER_COUNT);
    pair_close(&all.pair);
}

static void test_interrupt_is_sticky(void)
{
    const goipc_server_config config = {.clients_max = 1};
    const goipc_client_config client_config = {.options.write_timeout_ms = GOIPC_FOREVER};
    shared all = {.started = 0};
    pthread_t threads[2];
    goipc_message message;

    pair_start(&all.pair, config, client_config);
    EXPECT(pthread_create(&threads[0], NULL, wait_in_server_read, &all) == 0);
    EXPECT(pthread_create(&threads[1], NULL, wait_in_client_read, &all) == 0);
    let_wait(&all, 2);
    goipc_server_interrupt(all.pair.server);
    goipc_client_interrupt(all.pair.client);
    EXPECT(joined(threads[0]) == GOIPC_ERROR_INTERRUPTED);
    EXPECT(joined(threads[1]) == GOIPC_ERROR_INTERRUPTED);
    for (int i = 0; i < 3; i++) {
        EXPECT(goipc_server_read(all.pair.server, 10, &message) == GOIPC_ERROR_INTERRUPTED);
        EXPECT(goipc_client_read(all.pair.client, 0, &message) == GOIPC_ERROR_INTERRUPTED);
    }
    goipc_server_resume(all.pair.server);
    goipc_client_resume(all.pair.client);
    EXPECT(goipc_client_read(all.pair.client, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_client_write(all.pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(all.pair.server);
    EXPECT(message_is(&message, 1, "x", 1));
    pair_close(&all.pair);
}

static void test_interrupted_reads_do_not_spin(void)
{
    const goipc_server_config config = {.clients_max = 1};
    const goipc_client_config client_config = {.timeout_ms = 0};
    test_pair pair;
    goipc_message message;
    int64_t before;

    pair_start(&pair, config, client_config);
    goipc_server_interrupt(pair.server);
    EXPECT(goipc_server_read(pair.server, GOIPC_FOREVER, &message) == GOIPC_ERROR_INTERRUPTED);
    before = test_clock_ms();
    for (int i = 0; i < 3; i++) {
        EXPECT(goipc_server_read(pair.server, GOIPC_FOREVER, &message) == GOIPC_ERROR_INTERRUPTED);
    }
    EXPECT(test_clock_ms() - before >= 240); /* three pauses of up to 100 ms, and a coarse clock */
    pair_close(&pair);
}

static goipc_server *signalled_server;

static void interrupt_from_handler(int number)
{
    (void)number;
    goipc_server_interrupt(signalled_server);
}

static void test_interrupt_from_signal_handler(void)
{
    struct sigaction action = {.sa_handler = interrupt_from_handler};
    const goipc_server_config config = {.clients_max = 1};
    const goipc_client_config client_config = {.timeout_ms = 0};
    shared all = {.started = 0};
    pthread_t thread;

    pair_start(&all.pair, config, client_config);
    signalled_server = all.pair.server;
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    EXPECT(pthread_create(&thread, NULL, wait_in_server_read, &all) == 0);
    let_wait(&all, 1);
    pthread_kill(thread, SIGUSR1);
    EXPECT(joined(thread) == GOIPC_ERROR_INTERRUPTED);
    pair_close(&all.pair);
}

static void test_close_ends_calls(void)
{
    const goipc_server_config config = {.options.encryption = GOIPC_ENCRYPTION_OFF};
    const goipc_client_config client_config = {.options.write_timeout_ms = GOIPC_FOREVER};
    shared all = {.started = 0};
    pthread_t reader, writer;

    pair_start(&all.pair, config, client_config);
    EXPECT(pthread_create(&reader, NULL, wait_in_client_read, &all) == 0);
    EXPECT(pthread_create(&writer, NULL, wait_in_client_write, &all) == 0);
    let_wait(&all, 2);
    goipc_client_close(all.pair.client);
    EXPECT(joined(reader) == GOIPC_ERROR_CLOSED);
    EXPECT(joined(writer) == GOIPC_ERROR_CLOSED);
    all.started = 0;
    EXPECT(pthread_create(&reader, NULL, wait_in_server_read, &all) == 0);
    let_wait(&all, 1);
    goipc_server_close(all.pair.server);
    EXPECT(joined(reader) == GOIPC_ERROR_CLOSED);
}

/* A client whose server never comes: a thread reads, two write, and one closes. */
static void test_close_while_dialling(void)
{
    const goipc_client_config config = {.options.write_timeout_ms = GOIPC_FOREVER};
    shared all = {.started = 0};
    pthread_t threads[3];
    char name[64];

    test_name(name);
    EXPECT(goipc_client_start(name, &config, &all.pair.client) == GOIPC_ERROR_OK);
    EXPECT(pthread_create(&threads[0], NULL, wait_in_client_read, &all) == 0);
    EXPECT(pthread_create(&threads[1], NULL, wait_in_client_write, &all) == 0);
    EXPECT(pthread_create(&threads[2], NULL, wait_in_client_write, &all) == 0);
    let_wait(&all, 3);
    goipc_client_close(all.pair.client);
    for (size_t i = 0; i < 3; i++) {
        EXPECT(joined(threads[i]) == GOIPC_ERROR_CLOSED);
    }
}

static void test_second_reader_is_told(void)
{
    const goipc_server_config config = {.clients_max = 1};
    const goipc_client_config client_config = {.timeout_ms = 0};
    shared all = {.started = 0};
    pthread_t thread;
    goipc_message message;
    goipc_error error;

    pair_start(&all.pair, config, client_config);
    EXPECT(pthread_create(&thread, NULL, wait_in_server_read, &all) == 0);
    do {
        error = goipc_server_read(all.pair.server, 0, &message);
        EXPECT(error == GOIPC_ERROR_STATE || error == GOIPC_ERROR_WOULD_BLOCK);
    } while (error != GOIPC_ERROR_STATE);
    goipc_server_interrupt(all.pair.server);
    EXPECT(joined(thread) == GOIPC_ERROR_INTERRUPTED);
    pair_close(&all.pair);
}

/* --- coming and going ------------------------------------------------------------------------- */

static void *come_and_go(void *context)
{
    shared *all = context;
    const goipc_client_config config = {.options.encryption = GOIPC_ENCRYPTION_OFF};

    for (int i = 0; i < 20; i++) {
        goipc_client *client;

        EXPECT(goipc_client_start(all->pair.name, &config, &client) == GOIPC_ERROR_OK);
        EXPECT(goipc_client_write(client, 7, &i, sizeof i) == GOIPC_ERROR_OK);
        goipc_client_close(client);
    }
    all->done++;
    return NULL;
}

static void *write_to_all(void *context)
{
    shared *all = context;
    goipc_client_id id = 1;

    while (!all->stop) {
        (void)!goipc_server_write(all->pair.server, GOIPC_CLIENT_ALL, 3, "tick", 4);
        (void)!goipc_server_write(all->pair.server, id, 3, "tock", 4);
        (void)!goipc_server_disconnect(all->pair.server, id + 1000);
        (void)!goipc_server_flush(all->pair.server, 0);
        id = id % 80 + 1;
    }
    return NULL;
}

/* Clients come and go while others write to whoever is there. Every message of every client
 * arrives, between its CONNECTED and its DISCONNECTED. */
static void test_clients_come_and_go(void)
{
    const goipc_server_config config = {.clients_max = 8,
                                        .options.encryption = GOIPC_ENCRYPTION_OFF};
    shared all = {.started = 0};
    pthread_t clients[4], writers[2];
    goipc_message message;
    size_t messages = 0, connects = 0, disconnects = 0;

    test_name(all.pair.name);
    EXPECT(goipc_server_start(all.pair.name, &config, &all.pair.server) == GOIPC_ERROR_OK);
    for (size_t i = 0; i < 4; i++) {
        EXPECT(pthread_create(&clients[i], NULL, come_and_go, &all) == 0);
    }
    for (size_t i = 0; i < 2; i++) {
        EXPECT(pthread_create(&writers[i], NULL, write_to_all, &all) == 0);
    }
    while (disconnects < 80) {
        EXPECT(goipc_server_read(all.pair.server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
        messages += message.type == 7 ? 1 : 0;
        connects += message.type < 0 && message.status == GOIPC_STATUS_CONNECTED ? 1 : 0;
        disconnects += message.type < 0 && message.status == GOIPC_STATUS_DISCONNECTED ? 1 : 0;
        EXPECT(messages <= connects && disconnects <= connects);
    }
    EXPECT(messages == 80 && connects == 80);
    all.stop = true;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(clients[i], NULL);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(writers[i], NULL);
    }
    goipc_server_close(all.pair.server);
}

/* --- looks while another thread closes -------------------------------------------------------- */

enum { LOOKER_COUNT = 2, LOOKED_AT_COUNT = 2 };

/* The endpoint that is closed, and its peers. */
typedef struct looked_at {
    goipc_server *server;
    goipc_client *client;
    goipc_client_id ids[LOOKED_AT_COUNT];
    _Atomic int connections_left; /* released before close waits for the lookers; below 0: never */
    _Atomic bool may_stop;
    _Atomic int stopped;
} looked_at;

static void look_at_server(const looked_at *all)
{
    goipc_counters counters;
    goipc_credentials credentials;
    goipc_failure failure;

    (void)goipc_server_status(all->server);
    (void)goipc_server_client_count(all->server);
    goipc_server_counters(all->server, &counters);
    goipc_server_failure(all->server, &failure);
    (void)goipc_server_poll_fd(all->server);
    (void)goipc_server_poll_timeout_ms(all->server);
    goipc_server_cork(all->server);
    goipc_server_resume(all->server);
    for (size_t i = 0; i < LOOKED_AT_COUNT; i++) {
        (void)!goipc_server_credentials(all->server, all->ids[i], &credentials);
    }
}

static void look_at_client(const looked_at *all)
{
    goipc_counters counters;
    goipc_failure failure;

    (void)goipc_client_status(all->client);
    (void)goipc_client_send_size_max(all->client);
    (void)goipc_client_is_encrypted(all->client);
    goipc_client_counters(all->client, &counters);
    goipc_client_failure(all->client, &failure);
    (void)goipc_client_poll_fd(all->client);
    (void)goipc_client_poll_timeout_ms(all->client);
    goipc_client_cork(all->client);
    goipc_client_resume(all->client);
}

/* Once more after it may stop: that is when connections have been freed. */
static void *look_on(void *context)
{
    looked_at *all = context;
    bool is_last;

    do {
        is_last = all->may_stop;
        if (all->server != NULL) {
            look_at_server(all);
        } else {
            look_at_client(all);
        }
    } while (!is_last);
    all->stopped++;
    return NULL;
}

static void *allocate_any(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

/* Holds the closing thread up, in the middle of its work, until nobody looks any more. */
static void release_when_looked(void *context, void *memory, size_t size)
{
    looked_at *all = context;

    if (size == sizeof(goipci_connection) && --all->connections_left == 0) {
        all->may_stop = true;
        while (all->stopped < LOOKER_COUNT) {
            (void)!poll(NULL, 0, 1);
        }
    }
    free(memory);
}

static void close_while_looked_at(looked_at *all, int connection_count)
{
    pthread_t lookers[LOOKER_COUNT];

    all->connections_left = connection_count;
    for (size_t i = 0; i < LOOKER_COUNT; i++) {
        EXPECT(pthread_create(&lookers[i], NULL, look_on, all) == 0);
    }
    if (all->server != NULL) {
        goipc_server_close(all->server);
    } else {
        goipc_client_close(all->client);
    }
    EXPECT(all->stopped == LOOKER_COUNT);
    for (size_t i = 0; i < LOOKER_COUNT; i++) {
        EXPECT(pthread_join(lookers[i], NULL) == 0);
    }
}

static void test_close_while_others_look(bool at_server)
{
    looked_at all = {.connections_left = -1};
    const goipc_allocator allocator = {&all, allocate_any, release_when_looked};
    goipc_server_config server_config = {.clients_max = LOOKED_AT_COUNT};
    goipc_client_config client_config = {.timeout_ms = 0};
    test_pair pairs[LOOKED_AT_COUNT];

    server_config.options.close_timeout_ms = 10; /* nobody reads at the other end */
    client_config.options.close_timeout_ms = 10;
    server_config.options.allocator = at_server ? &allocator : NULL;
    client_config.options.allocator = at_server ? NULL : &allocator;
    pair_start(&pairs[0], server_config, client_config);
    pairs[1] = pairs[0];
    if (at_server) {
        EXPECT(goipc_client_start(pairs[1].name, &client_config, &pairs[1].client) ==
               GOIPC_ERROR_OK);
        pair_connect(&pairs[1]);
        all.server = pairs[0].server;
        all.ids[0] = pairs[0].id;
        all.ids[1] = pairs[1].id;
        close_while_looked_at(&all, LOOKED_AT_COUNT);
        goipc_client_close(pairs[1].client);
        goipc_client_close(pairs[0].client);
    } else {
        all.client = pairs[0].client;
        close_while_looked_at(&all, 1);
        goipc_server_close(pairs[0].server);
    }
}

int main(void)
{
    test_full_duplex(GOIPC_ENCRYPTION_REQUIRE);
    test_full_duplex(GOIPC_ENCRYPTION_OFF);
    test_corks_and_flushes_meet();
    for (int32_t timeout_ms = 1; timeout_ms <= 10000; timeout_ms += 9999) {
        test_large_messages_of_several_threads(GOIPC_ENCRYPTION_OFF, timeout_ms);
        test_large_messages_of_several_threads(GOIPC_ENCRYPTION_REQUIRE, timeout_ms);
    }
    test_interrupt_is_sticky();
    test_interrupted_reads_do_not_spin();
    test_interrupt_from_signal_handler();
    test_close_ends_calls();
    test_close_while_dialling();
    test_second_reader_is_told();
    test_close_while_others_look(true);
    test_close_while_others_look(false);
    test_clients_come_and_go();
    printf("ok %d checks\n", test_checks);
    return 0;
}
