/* SPDX-License-Identifier: MIT */
/* Goal: one bad neighbour costs the others nothing. A server that floods does not hold a client,
 * and what is queued for a connection that has failed is not sent. Method: raw peers that do what
 * no peer of this library does. */
#include "endpoint_pair.h"

#include <fcntl.h>

enum { PROMPT_MS = 100, SLOW_FACTOR = 20 };

/* What the issue of a flood must stay below; sanitizers and valgrind take longer. */
static int64_t prompt_ms(void)
{
    return test_is_slow() ? PROMPT_MS * SLOW_FACTOR : PROMPT_MS;
}

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

static void expect_prompt(int64_t since_ms)
{
    EXPECT(test_clock_ms() - since_ms < prompt_ms());
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
    int64_t before_ms;

    test_path(test_name(name), self.path);
    EXPECT(pthread_create(&server, NULL, flood_client, &self) == 0);
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    while (!atomic_load(&self.flooding)) {
        (void)!goipc_client_read(client, 1, &message);
    }
    /* The time of a read ends, whatever comes. */
    before_ms = test_clock_ms();
    error = goipc_client_read(client, 20, &message);
    EXPECT(error == (has_messages ? GOIPC_ERROR_OK : GOIPC_ERROR_TIMEOUT));
    expect_prompt(before_ms + (has_messages ? 0 : 20));
    /* An interrupt ends the next read, even though there is more to read. */
    goipc_client_interrupt(client);
    before_ms = test_clock_ms();
    EXPECT(goipc_client_read(client, GOIPC_FOREVER, &message) == GOIPC_ERROR_INTERRUPTED);
    expect_prompt(before_ms);
    goipc_client_resume(client);
    /* Another thread stops a loop that does nothing but read. */
    EXPECT(pthread_create(&stopper, NULL, stop_client, client) == 0);
    do {
        error = goipc_client_read(client, GOIPC_FOREVER, &message);
    } while (error == GOIPC_ERROR_OK);
    EXPECT(error == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_client_status(client) == GOIPC_STATUS_CLOSED);
    pthread_join(stopper, NULL);
    before_ms = test_clock_ms();
    goipc_client_close(client);
    expect_prompt(before_ms);
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

int main(void)
{
    test_flood("\0\0\0\4\0\0\0\0", 8, false);
    test_flood("\0\0\0\5\0\0\0\7x", 9, true);
    test_failed_connection_is_sent_nothing();
    printf("ok %d checks\n", test_checks);
    return 0;
}
