/* SPDX-License-Identifier: MIT */
/* Goal: one bad neighbour costs the others nothing. A server that floods does not hold a client,
 * and what is queued for a connection that has failed is not sent. Method: raw peers that do what
 * no peer of this library does. */
#include "endpoint_pair.h"

#include <fcntl.h>

/* --- a server that floods --------------------------------------------------------------------- */

typedef struct flood {
    char path[108];
    const void *frame; /* sent again and again */
    size_t frame_size;
    atomic_bool flooding;
    atomic_bool over;
} flood;

static void *flood_client(void *context)
{
    flood *self = context;
    const struct sockaddr_un address = raw_address(self->path);
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static char frames[1 << 16];
    size_t size = 0;
    uint8_t reply;
    int peer;

    while (size + self->frame_size <= sizeof frames) {
        memcpy(frames + size, self->frame, self->frame_size);
        size += self->frame_size;
    }
    EXPECT(listener >= 0 &&
           bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 &&
           listen(listener, 1) == 0);
    peer = accept(listener, NULL, NULL);
    EXPECT(peer >= 0 && send(peer, "\x02\x00", 2, 0) == 2);
    EXPECT(raw_receive(peer, &reply, 1) && reply == 0);
    EXPECT(send(peer, "\0\0\0\4\0\x30\0\0", 8, 0) == 8);
    EXPECT(raw_receive(peer, &reply, 1));
    while (!atomic_load(&self->over) && send(peer, frames, size, MSG_NOSIGNAL) > 0) {
        atomic_store(&self->flooding, true);
    }
    close(peer);
    close(listener);
    return NULL;
}

/* Ends the client from another thread while its reader is in the flood. */
static void *stop_client(void *context)
{
    (void)!poll(NULL, 0, 50); /* into the middle of it; any moment is right */
    goipc_client_stop(context);
    return NULL;
}

static void test_flood(const void *frame, size_t frame_size, bool has_messages)
{
    flood self = {.frame = frame, .frame_size = frame_size};
    goipc_client_config config = {.options.encryption = GOIPC_ENCRYPTION_OFF,
                                  .reconnect_off = true};
    goipc_client *client;
    goipc_message message;
    goipc_error error;
    pthread_t server, stopper;
    char name[64];

    test_path(test_name(name), self.path);
    EXPECT(pthread_create(&server, NULL, flood_client, &self) == 0);
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    client_expect_status(client, GOIPC_STATUS_CONNECTING);
    client_expect_status(client, GOIPC_STATUS_CONNECTED);
    while (!atomic_load(&self.flooding)) {
        (void)!goipc_client_read(client, 1, &message);
    }
    /* The time of a read ends, whatever comes. (A read that is held never comes back.) */
    error = goipc_client_read(client, has_messages ? PATIENCE_MS : 20, &message);
    EXPECT(error == (has_messages ? GOIPC_ERROR_OK : GOIPC_ERROR_TIMEOUT));
    /* An interrupt ends the next read, even though there is more to read. */
    goipc_client_interrupt(client);
    EXPECT(goipc_client_read(client, GOIPC_FOREVER, &message) == GOIPC_ERROR_INTERRUPTED);
    goipc_client_resume(client);
    /* Another thread stops a loop that does nothing but read. */
    EXPECT(pthread_create(&stopper, NULL, stop_client, client) == 0);
    do {
        error = goipc_client_read(client, GOIPC_FOREVER, &message);
    } while (error == GOIPC_ERROR_OK);
    EXPECT(error == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_client_status(client) == GOIPC_STATUS_CLOSED);
    pthread_join(stopper, NULL);
    goipc_client_close(client);
    atomic_store(&self.over, true);
    pthread_join(server, NULL);
    EXPECT(unlink(self.path) == 0);
}

/* --- a client that breaks the protocol while much is queued for it ---------------------------- */

/* req: ER-003 */
static void test_failed_connection_is_sent_nothing(void)
{
    static const uint8_t bytes[100000];
    static char taken[1 << 16];
    const goipc_server_config config = {
        .options = {.encryption = GOIPC_ENCRYPTION_OFF, .close_timeout_ms = 10000}};
    goipc_server *server;
    goipc_message message;
    char name[64];
    size_t received = 0;
    ssize_t size;
    int peer, capacity = 0;
    socklen_t capacity_size = sizeof capacity;

    EXPECT(goipc_server_start(test_name(name), &config, &server) == GOIPC_ERROR_OK);
    peer = raw_connect(name);
    EXPECT(fcntl(peer, F_SETFL, O_NONBLOCK) == 0);
    raw_send(peer, "\0\0", 2); /* both replies at once */
    message = server_expect_status(server, GOIPC_STATUS_CONNECTED);
    for (int i = 0; i < 30; i++) {
        EXPECT(goipc_server_write(server, message.client, 1, bytes, sizeof bytes) ==
               GOIPC_ERROR_OK);
    }
    EXPECT(getsockopt(peer, SOL_SOCKET, SO_SNDBUF, &capacity, &capacity_size) == 0);
    raw_send(peer, "\0\0\0\1x", 5); /* shorter than a type */
    message = server_expect_status(server, GOIPC_STATUS_DISCONNECTED);
    EXPECT(message.error == GOIPC_ERROR_FRAME_SIZE);
    do {
        EXPECT(goipc_server_read(server, 1, &message) == GOIPC_ERROR_TIMEOUT);
        while ((size = recv(peer, taken, sizeof taken, 0)) > 0) {
            received += (size_t)size;
        }
    } while (size < 0 && errno == EAGAIN);
    /* What the system had taken before, and nothing of the 3 MB that were queued. */
    EXPECT(received <= 10 + 2 * (size_t)capacity);
    close(peer);
    goipc_server_close(server);
}

/* --- a client that does not read -------------------------------------------------------------- */

enum { PIECE_SIZE = 100000, PIECE_COUNT_MAX = 1000 };

static const uint8_t piece[PIECE_SIZE];

/* A server of two with one client that reads nothing, whose queue is full, and one that reads. */
typedef struct unequal {
    goipc_server *server;
    goipc_client *honest;
    int silent; /* a raw peer */
    goipc_client_id silent_id;
    goipc_client_id honest_id;
    goipc_error error; /* of the write that found the queue full */
} unequal;

static void start_unequal(unequal *self, goipc_server_config config)
{
    const goipc_client_config client_config = {.options.encryption = GOIPC_ENCRYPTION_OFF};
    goipc_message message;
    char name[64];
    int count = 0;

    config.clients_max = 2;
    config.options.encryption = GOIPC_ENCRYPTION_OFF;
    config.options.queue_size_max = 1 << 20;
    EXPECT(goipc_server_start(test_name(name), &config, &self->server) == GOIPC_ERROR_OK);
    self->silent = raw_connect(name);
    raw_send(self->silent, "\0\0", 2);
    self->silent_id = server_expect_status(self->server, GOIPC_STATUS_CONNECTED).client;
    EXPECT(goipc_client_start(name, &client_config, &self->honest) == GOIPC_ERROR_OK);
    self->honest_id = 0;
    while (self->honest_id == 0 || goipc_client_status(self->honest) != GOIPC_STATUS_CONNECTED) {
        (void)!goipc_client_read(self->honest, 1, &message);
        if (goipc_server_read(self->server, 1, &message) == GOIPC_ERROR_OK) {
            self->honest_id = message.client;
        }
    }
    do {
        self->error = goipc_server_write(self->server, self->silent_id, 1, piece, PIECE_SIZE);
        EXPECT(++count < PIECE_COUNT_MAX);
    } while (self->error == GOIPC_ERROR_OK);
}

static void end_unequal(unequal *self)
{
    close(self->silent);
    goipc_client_close(self->honest);
    goipc_server_close(self->server);
}

/* By default the honest client gets everything at once, and the others' writer learns who does
 * not. */
static void test_silent_client_delays_nobody(void)
{
    unequal self;
    goipc_client_id missed[1] = {0};
    size_t missed_count, taken;
    goipc_message message;
    const goipc_outgoing out = {1, piece, PIECE_SIZE};

    start_unequal(&self, (goipc_server_config){.clients_max = 2});
    EXPECT(self.error == GOIPC_ERROR_QUEUE_FULL);
    EXPECT(goipc_server_queued(self.server, self.silent_id) > 0);
    EXPECT(goipc_server_queued(self.server, 999) == 0);
    EXPECT(goipc_server_write_each(self.server, 2, "all", 3, missed, 1, &missed_count) ==
           GOIPC_ERROR_OK); /* three bytes fit */
    EXPECT(missed_count == 0);
    EXPECT(goipc_server_write_each(self.server, 3, piece, PIECE_SIZE, missed, 1, &missed_count) ==
           GOIPC_ERROR_QUEUE_FULL);
    EXPECT(missed_count == 1 && missed[0] == self.silent_id);
    EXPECT(goipc_server_write_within(self.server, self.silent_id, &out, 1, 0, &taken) ==
           GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_server_write_within(self.server, self.silent_id, &out, 1, 10, &taken) ==
           GOIPC_ERROR_TIMEOUT);
    EXPECT(goipc_server_write_within(self.server, self.silent_id, &out, 1, -2, &taken) ==
           GOIPC_ERROR_ARGUMENT);
    message = client_expect_data(self.honest);
    EXPECT(message_is(&message, 2, "all", 3));
    message = client_expect_data(self.honest);
    EXPECT(message_is(&message, 3, piece, PIECE_SIZE));
    end_unequal(&self);
}

static void test_policies(void)
{
    static const struct {
        goipc_server_config config;
        goipc_error error;
        bool disconnects;
    } rows[] = {
        {{.full_policy = GOIPC_FULL_REPORT, .options.write_timeout_ms = 10},
         GOIPC_ERROR_QUEUE_FULL,
         false},
        {{.full_policy = GOIPC_FULL_DISCONNECT}, GOIPC_ERROR_QUEUE_FULL, true},
        {{.full_policy = GOIPC_FULL_WAIT, .options.write_timeout_ms = 10},
         GOIPC_ERROR_TIMEOUT,
         false},
        {{.options.write_timeout_ms = 10}, GOIPC_ERROR_TIMEOUT, false},
        {{.options.write_timeout_ms = GOIPC_NO_WAIT}, GOIPC_ERROR_WOULD_BLOCK, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unequal self;
        goipc_message message;

        start_unequal(&self, rows[i].config);
        EXPECT(self.error == rows[i].error);
        if (rows[i].disconnects) {
            message = server_expect_status(self.server, GOIPC_STATUS_DISCONNECTED);
            EXPECT(message.client == self.silent_id && message.error == GOIPC_ERROR_QUEUE_FULL);
        }
        EXPECT(goipc_server_client_count(self.server) == (rows[i].disconnects ? 1u : 2u));
        EXPECT(goipc_server_write(self.server, self.honest_id, 4, "on", 2) == GOIPC_ERROR_OK);
        message = client_expect_data(self.honest);
        EXPECT(message_is(&message, 4, "on", 2));
        end_unequal(&self);
    }
}

/* The application's pointer comes back with every message of its client, to the last. */
static void test_user_pointer(void)
{
    test_pair pair;
    goipc_message message;
    int own = 0;

    pair_start(&pair, (goipc_server_config){.clients_max = 1},
               (goipc_client_config){.reconnect_off = true});
    EXPECT(goipc_server_set_user(pair.server, 999, &own) == GOIPC_ERROR_NOT_CONNECTED);
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message.user == NULL);
    EXPECT(goipc_server_set_user(pair.server, message.client, &own) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message.user == &own);
    goipc_client_close(pair.client);
    message = server_expect_status(pair.server, GOIPC_STATUS_DISCONNECTED);
    EXPECT(message.user == &own);
    goipc_server_close(pair.server);
}

int main(void)
{
    test_flood("\0\0\0\4\0\0\0\0", 8, false);
    test_flood("\0\0\0\5\0\0\0\7x", 9, true);
    test_failed_connection_is_sent_nothing();
    test_silent_client_delays_nobody();
    test_policies();
    test_user_pointer();
    printf("ok %d checks\n", test_checks);
    return 0;
}
