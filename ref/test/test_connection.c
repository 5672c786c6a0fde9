/* SPDX-License-Identifier: MIT */
/* Goal: a connection brings every message over whole and in order whatever its stream does, and
 * when the stream fails it says so once, gives nothing that was not whole, and leaves nothing
 * behind. Method: two connections over streams in memory (the seam of transport.h), which move one
 * byte at a time, would block every second time, hold little, or fail at the first, second, third
 * ... call, until a run meets no failure any more. */
#include "endpoint/send.h"
#include "test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- streams in memory ------------------------------------------------------------------------ */

enum { SIDE_COUNT = 2, WINDOW_SIZE = 4096, SERVER = 0, CLIENT = 1 };

/* What is under way to a side. */
typedef struct wire {
    uint8_t bytes[WINDOW_SIZE];
    size_t size;
    bool finished;
    bool closed; /* by its reader */
} wire;

static struct {
    wire to[SIDE_COUNT];
    int open_count;
    /* How the streams behave. */
    size_t chunk_size;
    bool blocks_often;
    long calls, fails_at; /* 0: no call fails */
    goipc_error error;
    bool has_failed;
} line;

typedef struct memory_stream {
    goipci_stream stream;
    int side;
    int unused_end; /* of the socket pair whose other end the poller watches */
    bool blocked_read, blocked_write;
} memory_stream;

/* blocked: whether the last call of this kind on this stream would have blocked. */
static goipc_error misbehave(bool *blocked, int *system_error)
{
    *system_error = 0;
    line.calls++;
    if (line.calls == line.fails_at) {
        line.has_failed = true;
        *system_error = EIO;
        return line.error;
    }
    *blocked = line.blocks_often && !*blocked;
    return *blocked ? GOIPC_ERROR_WOULD_BLOCK : GOIPC_ERROR_OK;
}

static goipc_error memory_read(goipci_stream *stream, uint8_t *out, size_t capacity, size_t *size,
                               int *system_error)
{
    memory_stream *self = (memory_stream *)stream;
    wire *from = &line.to[self->side];
    const goipc_error error = misbehave(&self->blocked_read, system_error);

    EXPECT(capacity > 0);
    *size = 0;
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (from->size == 0) {
        return from->finished ? GOIPC_ERROR_OK : GOIPC_ERROR_WOULD_BLOCK;
    }
    *size = from->size < capacity ? from->size : capacity;
    *size = *size < line.chunk_size ? *size : line.chunk_size;
    memcpy(out, from->bytes, *size);
    from->size -= *size;
    memmove(from->bytes, from->bytes + *size, from->size);
    return GOIPC_ERROR_OK;
}

static goipc_error memory_write(goipci_stream *stream, const goipci_bytes *pieces,
                                size_t piece_count, size_t *size, int *system_error)
{
    memory_stream *self = (memory_stream *)stream;
    wire *to = &line.to[1 - self->side];
    const goipc_error error = misbehave(&self->blocked_write, system_error);

    *size = 0;
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    EXPECT(!to->finished); /* nobody writes after finish */
    if (to->closed) {
        return GOIPC_ERROR_DISCONNECTED;
    }
    for (size_t i = 0; i < piece_count; i++) {
        for (size_t n = 0; n < pieces[i].size && to->size < WINDOW_SIZE && *size < line.chunk_size;
             n++) {
            to->bytes[to->size++] = pieces[i].bytes[n];
            ++*size;
        }
    }
    return *size > 0 ? GOIPC_ERROR_OK : GOIPC_ERROR_WOULD_BLOCK;
}

static void memory_finish(goipci_stream *stream)
{
    line.to[1 - ((memory_stream *)stream)->side].finished = true;
}

static void memory_close(goipci_stream *stream)
{
    memory_stream *self = (memory_stream *)stream;

    memory_finish(stream);
    line.to[self->side].closed = true;
    close((int)stream->handle);
    close(self->unused_end);
    line.open_count--;
}

static const goipci_stream_functions memory_functions = {memory_read, memory_write, memory_finish,
                                                         memory_close};

static goipci_stream *new_stream(int side)
{
    static memory_stream streams[SIDE_COUNT];
    memory_stream *made = &streams[side];
    int ends[2];

    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    *made = (memory_stream){.stream.functions = &memory_functions};
    made->stream.handle = ends[0];
    made->unused_end = ends[1];
    made->side = side;
    line.open_count++;
    return &made->stream;
}

/* --- memory that is counted ------------------------------------------------------------------- */

static long live_count;

static void *count_allocation(void *context, size_t size)
{
    (void)context;
    live_count++;
    return malloc(size);
}

static void count_release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    live_count--;
    free(memory);
}

static const goipc_allocator counting_allocator = {NULL, count_allocation, count_release};

/* --- one life of a pair ----------------------------------------------------------------------- */

/* The fourth is large enough to be written from its owner's memory. */
static size_t sizes[] = {0, 1, 700, 20000, 3};
enum { LARGE = 3, MESSAGE_COUNT = sizeof sizes / sizeof sizes[0], ROUND_COUNT_MAX = 400000 };

static uint8_t data[20000];

typedef struct peer {
    goipci_endpoint endpoint;
    goipci_connection *connection;
    bool is_open, is_leaving;
    size_t sent, received;
    goipc_error error; /* what ended it */
    int system_error;
} peer;

static void end(peer *self, goipc_error error, int system_error)
{
    EXPECT(self->error == GOIPC_ERROR_OK); /* once */
    self->error = error;
    self->system_error = system_error;
}

static void take_event(peer *self, const goipc_event *event)
{
    switch (event->type) {
    case GOIPC_EVENT_CONNECTED:
        EXPECT(!self->is_open);
        goipci_connection_open(self->connection, 1);
        self->is_open = true;
        return;
    case GOIPC_EVENT_MESSAGE:
        EXPECT(self->received < MESSAGE_COUNT && event->data_size == sizes[self->received]);
        EXPECT(event->message_type == self->received + 1);
        EXPECT(memcmp(event->data, data, event->data_size) == 0);
        self->received++;
        return;
    case GOIPC_EVENT_CLOSED:
        end(self, GOIPC_ERROR_DISCONNECTED, 0);
        return;
    case GOIPC_EVENT_NEED_INPUT:
    case GOIPC_EVENT_CONTROL:
        return;
    }
}

static void send_next(peer *self)
{
    const goipc_outgoing message = {(uint32_t)self->sent + 1, data, sizes[self->sent]};
    size_t taken;
    const goipc_error error =
        goipci_connection_send(self->connection, &message, 1, GOIPC_NO_WAIT, false, &taken);

    EXPECT(taken == 1 || (taken == 0 && error != GOIPC_ERROR_OK));
    self->sent += taken;
    if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_WOULD_BLOCK) {
        /* What came before it is still to be read, and then its end. */
        EXPECT(error == goipci_connection_end(self->connection));
    }
}

static void move(peer *self)
{
    goipc_event event;
    goipc_error error;
    int system_error;

    if (self->error != GOIPC_ERROR_OK) {
        return;
    }
    goipci_connection_notice(self->connection, GOIPCI_READABLE | GOIPCI_WRITABLE);
    error = goipci_connection_next_event(self->connection, &event, &system_error);
    if (error != GOIPC_ERROR_OK) {
        end(self, error, system_error);
        return;
    }
    take_event(self, &event);
    if (self->is_open && self->error == GOIPC_ERROR_OK && self->sent < MESSAGE_COUNT &&
        goipci_connection_end(self->connection) == GOIPC_ERROR_OK) {
        send_next(self);
    }
}

static bool is_done(const peer *self)
{
    return self->error != GOIPC_ERROR_OK ||
           (self->sent == MESSAGE_COUNT && self->received == MESSAGE_COUNT);
}

static void start(peer *self, int side, goipc_encryption encryption)
{
    const goipc_options options = {.encryption = encryption, .allocator = &counting_allocator};
    goipc_failure failure;

    *self = (peer){.error = GOIPC_ERROR_OK};
    EXPECT(goipci_endpoint_init(&self->endpoint,
                                side == SERVER ? GOIPC_ROLE_SERVER : GOIPC_ROLE_CLIENT, "t-memory",
                                &options, &failure) == GOIPC_ERROR_OK);
    EXPECT(goipci_connection_new(&self->endpoint, new_stream(side), &self->connection) ==
           GOIPC_ERROR_OK);
}

static void leave(peer *self)
{
    if (!self->is_leaving) {
        self->is_leaving = true;
        goipci_connection_leave(self->connection, GOIPC_ERROR_CLOSED, INT64_MAX);
    }
}

/* Begins or goes on to leave, as the owner of a connection does. True when it is gone. */
static bool linger(peer *self)
{
    if (self->connection == NULL) {
        return true;
    }
    leave(self);
    if (!goipci_connection_linger(self->connection, 0)) {
        return false;
    }
    goipci_connection_forget(self->connection);
    goipci_connection_drop(self->connection);
    goipci_endpoint_wipe(&self->endpoint);
    self->connection = NULL;
    return true;
}

static void live(goipc_encryption encryption, peer peers[SIDE_COUNT])
{
    long rounds = 0;

    for (int side = 0; side < SIDE_COUNT; side++) {
        start(&peers[side], side, encryption);
    }
    while (!is_done(&peers[SERVER]) || !is_done(&peers[CLIENT])) {
        EXPECT(++rounds < ROUND_COUNT_MAX);
        for (int side = 0; side < SIDE_COUNT; side++) {
            move(&peers[side]);
            if (peers[side].error != GOIPC_ERROR_OK) {
                linger(&peers[side]);
            }
        }
    }
    /* Both are asked each time: each waits for the end of the other. */
    while ((int)linger(&peers[SERVER]) + (int)linger(&peers[CLIENT]) < SIDE_COUNT) {
        EXPECT(++rounds < ROUND_COUNT_MAX);
    }
    EXPECT(line.open_count == 0 && live_count == 0);
}

static void set_line(size_t chunk_size, bool blocks_often)
{
    memset(&line, 0, sizeof line);
    line.chunk_size = chunk_size;
    line.blocks_often = blocks_often;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_all_arrives(goipc_encryption encryption, size_t chunk_size, bool blocks_often)
{
    peer peers[SIDE_COUNT];

    set_line(chunk_size, blocks_often);
    live(encryption, peers);
    for (int side = 0; side < SIDE_COUNT; side++) {
        EXPECT(peers[side].error == GOIPC_ERROR_OK);
        EXPECT(peers[side].sent == MESSAGE_COUNT && peers[side].received == MESSAGE_COUNT);
    }
}

static void test_each_call_fails_once(goipc_encryption encryption, goipc_error error)
{
    peer peers[SIDE_COUNT];
    long runs = 0, told = 0;

    do {
        set_line(WINDOW_SIZE, false);
        line.fails_at = ++runs;
        line.error = error;
        live(encryption, peers);
        for (int side = 0; side < SIDE_COUNT; side++) {
            const peer *self = &peers[side];

            EXPECT(self->received <= peers[1 - side].sent);
            if (self->error == GOIPC_ERROR_SYSTEM) {
                EXPECT(line.has_failed && error == GOIPC_ERROR_SYSTEM && self->system_error == EIO);
                told++;
            }
        }
        /* Who was done before the failure, or met it only on leaving, has seen nothing of it. */
        EXPECT(line.has_failed || (is_done(&peers[SERVER]) && is_done(&peers[CLIENT])));
    } while (line.has_failed);
    EXPECT(runs > 20);
    EXPECT(error != GOIPC_ERROR_SYSTEM || told > 5);
}

int main(void)
{
    static const goipc_encryption encryptions[] = {GOIPC_ENCRYPTION_REQUIRE, GOIPC_ENCRYPTION_OFF};

    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
    }
    sizes[LARGE] = (size_t)test_amount("bytes of the largest message", sizeof data, 6000);
    for (size_t i = 0; i < 2; i++) {
        test_all_arrives(encryptions[i], WINDOW_SIZE, false);
        test_all_arrives(encryptions[i], WINDOW_SIZE, true);
        test_all_arrives(encryptions[i], 1, false);
        test_all_arrives(encryptions[i], 1, true);
        test_each_call_fails_once(encryptions[i], GOIPC_ERROR_SYSTEM);
        test_each_call_fails_once(encryptions[i], GOIPC_ERROR_WOULD_BLOCK);
        test_each_call_fails_once(encryptions[i], GOIPC_ERROR_DISCONNECTED);
    }
    printf("ok %d checks\n", test_checks);
    return 0;
}
