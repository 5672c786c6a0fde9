/* SPDX-License-Identifier: MIT */
/* Goal: named pipes keep the promises of transport.h. Method: a listener, dialled streams and one
 * poller in this process; every wait has a limit that fails the test, none is a pause. */
#include "endpoint/clock.h"
#include "endpoint/transport.h"
#include "test.h"

#include <windows.h>

enum { LIMIT_MS = 20000, MANY = 100, BIG_SIZE = 3 * 1024 * 1024 };

static goipci_address address;
static goipci_poller *poller;
static goipci_listener *listener;
static bool listener_known;

/* --- helpers ---------------------------------------------------------------------------------- */

static void name_endpoint(const char *what)
{
    char name[64];
    uint8_t random[4];

    EXPECT(goipci_system_random(random, sizeof random) == GOIPC_ERROR_OK);
    (void)snprintf(name, sizeof name, "goipc-test-%s-%lld-%02x%02x%02x%02x", what,
                   (long long)goipci_system_process(), random[0], random[1], random[2], random[3]);
    EXPECT(goipci_address_init(&address, name, NULL, false) == GOIPC_ERROR_OK);
}

static void open_all(const char *what, uint32_t mode)
{
    goipc_failure failure;
    int system_error;

    name_endpoint(what);
    EXPECT(goipci_poller_new(goipci_allocator_or_default(NULL), &poller, &system_error) ==
           GOIPC_ERROR_OK);
    EXPECT(goipci_listener_open(goipci_allocator_or_default(NULL), &address, mode, &listener,
                                &failure) == GOIPC_ERROR_OK);
    listener_known = false;
    EXPECT(goipci_poller_watch_listener(poller, listener, true, &listener, &listener_known) ==
           GOIPC_ERROR_OK);
}

static void close_all(void)
{
    goipci_listener_close(listener, true);
    goipci_poller_free(poller);
}

static goipci_stream *dial(void)
{
    goipci_stream *stream;
    int system_error;

    EXPECT(goipci_stream_dial(goipci_allocator_or_default(NULL), &address, &stream,
                              &system_error) == GOIPC_ERROR_OK);
    return stream;
}

/* Waits until the poller tells of `context`. */
static void await(void *context, unsigned events)
{
    for (;;) {
        goipci_ready ready[8];
        size_t count, i;

        EXPECT(goipci_poller_wait(poller, LIMIT_MS, ready, 8, &count) == GOIPC_ERROR_OK);
        EXPECT(count > 0);
        for (i = 0; i < count; i++) {
            if (ready[i].context == context && (ready[i].events & events) != 0) {
                return;
            }
        }
    }
}

static goipci_stream *accept_one(void)
{
    goipci_stream *stream;
    int system_error;

    await(&listener, GOIPCI_READABLE);
    EXPECT(goipci_listener_accept(listener, &stream, &system_error) == GOIPC_ERROR_OK);
    return stream;
}

static void watch(goipci_stream *stream, unsigned events, bool *known)
{
    EXPECT(goipci_poller_watch(poller, stream, events, stream, known) == GOIPC_ERROR_OK);
}

static void leave(goipci_stream *stream, bool *known)
{
    goipci_poller_forget(poller, stream, known);
    stream->functions->close(stream);
}

static goipc_error read_some(goipci_stream *stream, uint8_t *out, size_t capacity, size_t *size)
{
    int system_error;

    return stream->functions->read(stream, out, capacity, size, &system_error);
}

static goipc_error write_some(goipci_stream *stream, const void *bytes, size_t in_size,
                              size_t *size)
{
    const goipci_bytes piece = {(const uint8_t *)bytes, in_size};
    int system_error;

    return stream->functions->write(stream, &piece, 1, size, &system_error);
}

/* Reads exactly what is expected, waiting with the poller. */
static void expect_bytes(goipci_stream *stream, const char *expected)
{
    const size_t expected_size = strlen(expected);
    uint8_t in[64];
    size_t done = 0;

    while (done < expected_size) {
        size_t size;
        const goipc_error error = read_some(stream, in + done, expected_size - done, &size);

        if (error == GOIPC_ERROR_WOULD_BLOCK) {
            await(stream, GOIPCI_READABLE);
            continue;
        }
        EXPECT(error == GOIPC_ERROR_OK && size > 0);
        done += size;
    }
    EXPECT(memcmp(in, expected, expected_size) == 0);
}

static void expect_end(goipci_stream *stream)
{
    uint8_t in[16];
    size_t size;
    goipc_error error;

    while ((error = read_some(stream, in, sizeof in, &size)) == GOIPC_ERROR_WOULD_BLOCK) {
        await(stream, GOIPCI_READABLE);
    }
    EXPECT(error == GOIPC_ERROR_OK && size == 0);
}

/* --- addresses -------------------------------------------------------------------------------- */

static void test_address_names(void)
{
    static const char *const refused[] = {"", ".", "..", "a/b", "a\\b", "\\", "\xff", "a\xc3"};
    char name[400];
    size_t i;

    for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        EXPECT(goipci_address_init(&address, refused[i], NULL, false) == GOIPC_ERROR_NAME);
    }
    EXPECT(goipci_address_init(&address, "n", NULL, true) == GOIPC_ERROR_ARGUMENT);
    EXPECT(goipci_address_init(&address, "gr\xc3\xbc\xc3\x9f", "x", false) == GOIPC_ERROR_OK);
    EXPECT(strcmp(address.text, "\\\\.\\pipe\\gr\xc3\xbc\xc3\x9f") == 0);
    memset(name, 'n', sizeof name);
    name[247] = '\0';
    EXPECT(goipci_address_init(&address, name, NULL, false) == GOIPC_ERROR_OK);
    name[247] = 'n';
    name[248] = '\0';
    EXPECT(goipci_address_init(&address, name, NULL, false) == GOIPC_ERROR_NAME);
}

static void test_dial_without_server(void)
{
    goipci_stream *stream;
    int system_error;

    name_endpoint("nobody");
    EXPECT(goipci_stream_dial(goipci_allocator_or_default(NULL), &address, &stream,
                              &system_error) == GOIPC_ERROR_NOT_FOUND);
    EXPECT(system_error == ERROR_FILE_NOT_FOUND && stream == NULL);
}

static void test_name_in_use(void)
{
    goipci_listener *second;
    goipc_failure failure;

    open_all("in-use", 0600);
    EXPECT(goipci_listener_open(goipci_allocator_or_default(NULL), &address, 0600, &second,
                                &failure) == GOIPC_ERROR_ADDRESS_IN_USE);
    EXPECT(failure.error == GOIPC_ERROR_ADDRESS_IN_USE &&
           strstr(failure.text, address.text) != NULL);
    goipci_listener_close(listener, true);
    EXPECT(goipci_listener_open(goipci_allocator_or_default(NULL), &address, 0600, &listener,
                                &failure) == GOIPC_ERROR_OK);
    close_all();
}

/* --- streams ---------------------------------------------------------------------------------- */

static void test_both_directions(void)
{
    goipci_stream *client, *server;
    bool client_known = false, server_known = false;
    size_t size;
    uint8_t in[8];

    open_all("both", 0600);
    client = dial();
    server = accept_one();
    watch(client, GOIPCI_READABLE, &client_known);
    watch(server, GOIPCI_READABLE, &server_known);
    EXPECT(read_some(client, in, sizeof in, &size) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(write_some(server, "\x02\x01", 2, &size) == GOIPC_ERROR_OK && size == 2);
    expect_bytes(client, "\x02\x01");
    EXPECT(write_some(client, "hello", 5, &size) == GOIPC_ERROR_OK && size == 5);
    expect_bytes(server, "he");     /* what is left of a read is given by the next */
    await(server, GOIPCI_READABLE); /* and it stays readable */
    expect_bytes(server, "llo");
    leave(client, &client_known);
    expect_end(server);
    leave(server, &server_known);
    close_all();
}

/* A stream is of use before any poller knows it, and what began then is not lost afterwards. */
static void test_use_before_watching(void)
{
    goipci_stream *client, *server;
    bool known = false;
    uint8_t in[8];
    size_t size;

    open_all("before", 0600);
    client = dial();
    server = accept_one();
    EXPECT(read_some(client, in, sizeof in, &size) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipci_stream_wait(client, poller, GOIPCI_READABLE, 0) == GOIPC_ERROR_TIMEOUT);
    EXPECT(goipci_stream_wait(client, poller, GOIPCI_READABLE, 10) == GOIPC_ERROR_TIMEOUT);
    EXPECT(write_some(server, "abc", 3, &size) == GOIPC_ERROR_OK);
    EXPECT(goipci_stream_wait(client, poller, GOIPCI_READABLE, LIMIT_MS) == GOIPC_ERROR_OK);
    EXPECT(read_some(client, in, sizeof in, &size) == GOIPC_ERROR_OK && size == 3);
    EXPECT(read_some(client, in, sizeof in, &size) == GOIPC_ERROR_WOULD_BLOCK);
    watch(client, GOIPCI_READABLE, &known);
    EXPECT(write_some(server, "def", 3, &size) == GOIPC_ERROR_OK);
    expect_bytes(client, "def");
    leave(client, &known);
    server->functions->close(server);
    close_all();
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 12));
}

/* More than the pipe holds, so that writing has to wait for reading. */
static void test_large_amount_arrives_whole(void)
{
    static uint8_t out[BIG_SIZE];
    static uint8_t in[BIG_SIZE];
    goipci_stream *client, *server;
    bool client_known = false, server_known = false, blocked = false;
    size_t sent = 0, received = 0, i;

    for (i = 0; i < BIG_SIZE; i++) {
        out[i] = pattern(i);
    }
    open_all("large", 0600);
    client = dial();
    server = accept_one();
    watch(server, GOIPCI_WRITABLE, &server_known);
    watch(client, GOIPCI_READABLE, &client_known);
    while (received < BIG_SIZE) {
        size_t size;
        goipc_error error = GOIPC_ERROR_OK;

        while (sent < BIG_SIZE && error == GOIPC_ERROR_OK) {
            const goipci_bytes pieces[2] = {
                {out + sent, (BIG_SIZE - sent) / 2},
                {out + sent + (BIG_SIZE - sent) / 2, BIG_SIZE - sent - (BIG_SIZE - sent) / 2}};
            int system_error;

            error = server->functions->write(server, pieces, 2, &size, &system_error);
            sent += size;
        }
        EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_WOULD_BLOCK);
        blocked = blocked || error == GOIPC_ERROR_WOULD_BLOCK;
        if (sent == BIG_SIZE) {
            watch(server, 0, &server_known);
        }
        await(client, GOIPCI_READABLE);
        while ((error = read_some(client, in + received,
                                  BIG_SIZE - received + (received == BIG_SIZE), &size)) ==
               GOIPC_ERROR_OK) {
            received += size;
            if (received == BIG_SIZE) {
                break;
            }
        }
    }
    EXPECT(blocked && sent == BIG_SIZE);
    EXPECT(memcmp(in, out, BIG_SIZE) == 0);
    leave(client, &client_known);
    leave(server, &server_known);
    close_all();
}

/* What was written before the end arrives before the end, on either side. */
static void test_bytes_survive_close(void)
{
    goipci_stream *client, *server;
    bool client_known = false, server_known = false;
    size_t size;

    open_all("survive", 0600);
    client = dial();
    server = accept_one();
    watch(client, GOIPCI_READABLE, &client_known);
    EXPECT(write_some(server, "last", 4, &size) == GOIPC_ERROR_OK);
    server->functions->finish(server);
    leave(server, &server_known);
    expect_bytes(client, "last");
    expect_end(client);
    EXPECT(write_some(client, "x", 1, &size) == GOIPC_ERROR_DISCONNECTED);
    leave(client, &client_known);

    client = dial();
    server = accept_one();
    EXPECT(write_some(client, "words", 5, &size) == GOIPC_ERROR_OK);
    client->functions->finish(client);
    client_known = false;
    leave(client, &client_known);
    server_known = false;
    watch(server, GOIPCI_READABLE, &server_known);
    expect_bytes(server, "words");
    expect_end(server);
    leave(server, &server_known);
    close_all();
}

/* That the peer has gone is told together with what it left behind. */
static void test_end_is_told_early(void)
{
    goipci_stream *client, *server;
    bool client_known = false, server_known = false;
    size_t size;

    open_all("early", 0600);
    client = dial();
    server = accept_one();
    EXPECT(write_some(client, "left", 4, &size) == GOIPC_ERROR_OK);
    leave(client, &client_known);
    watch(server, GOIPCI_READABLE, &server_known);
    await(server, GOIPCI_ENDED);
    expect_bytes(server, "left");
    expect_end(server);
    leave(server, &server_known);
    close_all();
}

/* There is no half-close: who has finished need not wait for the peer. */
static void test_finish_ends_reading(void)
{
    goipci_stream *client, *server;
    bool known = false;
    size_t size;
    uint8_t in[4];

    open_all("finish", 0600);
    client = dial();
    server = accept_one();
    watch(client, GOIPCI_READABLE, &known);
    EXPECT(read_some(client, in, sizeof in, &size) == GOIPC_ERROR_WOULD_BLOCK);
    client->functions->finish(client);
    await(client, GOIPCI_READABLE);
    EXPECT(read_some(client, in, sizeof in, &size) == GOIPC_ERROR_OK && size == 0);
    leave(client, &known);
    server->functions->close(server);
    close_all();
}

/* The end of a peer that leaves while much is on its way to it, and memory that outlives packets.
 */
static void test_peer_leaves_full_pipe(void)
{
    static const uint8_t zeros[256 * 1024];
    goipci_stream *client, *server;
    bool server_known = false;
    goipc_error error;
    size_t size;

    open_all("full", 0600);
    client = dial();
    server = accept_one();
    watch(server, GOIPCI_READABLE | GOIPCI_WRITABLE, &server_known);
    while ((error = write_some(server, zeros, sizeof zeros, &size)) == GOIPC_ERROR_OK) {
    }
    EXPECT(error == GOIPC_ERROR_WOULD_BLOCK);
    client->functions->close(client);
    await(server, GOIPCI_WRITABLE);
    while ((error = write_some(server, zeros, sizeof zeros, &size)) == GOIPC_ERROR_OK) {
    }
    EXPECT(error == GOIPC_ERROR_DISCONNECTED);
    leave(server, &server_known);

    client = dial(); /* and one that is closed with a write under way */
    server = accept_one();
    server_known = false;
    watch(server, GOIPCI_WRITABLE, &server_known);
    while (write_some(server, zeros, sizeof zeros, &size) == GOIPC_ERROR_OK) {
    }
    leave(server, &server_known);
    client->functions->close(client);
    close_all();
}

/* --- many ------------------------------------------------------------------------------------- */

static void test_many_clients(void)
{
    static goipci_stream *clients[MANY], *servers[MANY];
    static bool client_known[MANY], server_known[MANY];
    size_t accepted = 0, i;

    open_all("many", 0600);
    for (i = 0; i < MANY; i++) {
        int system_error;
        goipc_error error;

        while ((error = goipci_stream_dial(goipci_allocator_or_default(NULL), &address, &clients[i],
                                           &system_error)) == GOIPC_ERROR_WOULD_BLOCK) {
            servers[accepted] = accept_one(); /* the door is full: let somebody in */
            accepted++;
        }
        EXPECT(error == GOIPC_ERROR_OK);
    }
    while (accepted < MANY) {
        servers[accepted] = accept_one();
        accepted++;
    }
    for (i = 0; i < MANY; i++) {
        char text[16];
        size_t size;

        watch(clients[i], GOIPCI_READABLE, &client_known[i]);
        watch(servers[i], GOIPCI_READABLE, &server_known[i]);
        (void)snprintf(text, sizeof text, "%05u", (unsigned)i);
        EXPECT(write_some(servers[i], text, 5, &size) == GOIPC_ERROR_OK && size == 5);
    }
    for (i = MANY; i-- > 0;) { /* who answers whom is between the two of them */
        uint8_t in[5];
        size_t size;

        await(clients[i], GOIPCI_READABLE);
        EXPECT(read_some(clients[i], in, 5, &size) == GOIPC_ERROR_OK && size == 5);
        EXPECT(write_some(clients[i], in, 5, &size) == GOIPC_ERROR_OK && size == 5);
    }
    for (i = 0; i < MANY; i++) {
        char text[16];

        (void)snprintf(text, sizeof text, "%05u", (unsigned)i);
        expect_bytes(servers[i], text);
        leave(clients[i], &client_known[i]);
        expect_end(servers[i]);
        leave(servers[i], &server_known[i]);
    }
    close_all();
}

/* --- the poller ------------------------------------------------------------------------------- */

static DWORD WINAPI interrupt_later(LPVOID parameter)
{
    (void)parameter;
    goipci_poller_interrupt(poller);
    return 0;
}

static DWORD WINAPI kick_later(LPVOID parameter)
{
    (void)parameter;
    goipci_poller_kick(poller);
    return 0;
}

static void in_thread(LPTHREAD_START_ROUTINE run, HANDLE *thread)
{
    *thread = CreateThread(NULL, 0, run, NULL, 0, NULL);
    EXPECT(*thread != NULL);
}

static void join(HANDLE thread)
{
    EXPECT(WaitForSingleObject(thread, LIMIT_MS) == WAIT_OBJECT_0);
    EXPECT(CloseHandle(thread));
}

static void test_interrupt_lasts(void)
{
    goipci_stream *client, *server;
    goipci_ready ready[1];
    HANDLE thread;
    size_t count;

    open_all("interrupt", 0600);
    client = dial();
    server = accept_one();
    in_thread(interrupt_later, &thread);
    EXPECT(goipci_poller_wait(poller, LIMIT_MS, ready, 1, &count) == GOIPC_ERROR_INTERRUPTED);
    join(thread);
    EXPECT(goipci_poller_wait(poller, GOIPC_FOREVER, ready, 1, &count) == GOIPC_ERROR_INTERRUPTED);
    EXPECT(goipci_stream_wait(client, poller, GOIPCI_READABLE, LIMIT_MS) ==
           GOIPC_ERROR_INTERRUPTED);
    goipci_poller_resume(poller);
    EXPECT(goipci_poller_wait(poller, 0, ready, 1, &count) == GOIPC_ERROR_OK && count == 0);
    in_thread(interrupt_later, &thread);
    EXPECT(goipci_stream_wait(client, poller, GOIPCI_READABLE, LIMIT_MS) ==
           GOIPC_ERROR_INTERRUPTED);
    join(thread);
    client->functions->close(client);
    server->functions->close(server);
    close_all();
}

static void test_kick_ends_one_wait(void)
{
    goipci_ready ready[1];
    HANDLE thread;
    size_t count;
    int64_t start_ms;

    open_all("kick", 0600);
    in_thread(kick_later, &thread);
    EXPECT(goipci_poller_wait(poller, LIMIT_MS, ready, 1, &count) == GOIPC_ERROR_OK && count == 0);
    join(thread);
    start_ms = goipci_system_clock_ms();
    EXPECT(goipci_poller_wait(poller, 50, ready, 1, &count) == GOIPC_ERROR_OK && count == 0);
    EXPECT(goipci_system_clock_ms() - start_ms >= 30); /* timers may be coarse, not absent */
    goipci_poller_kick(poller);
    EXPECT(goipci_poller_wait(poller, LIMIT_MS, ready, 1, &count) == GOIPC_ERROR_OK && count == 0);
    close_all();
}

static goipci_stream *thread_stream;
static bool thread_known;

static DWORD WINAPI watch_later(LPVOID parameter)
{
    (void)parameter;
    watch(thread_stream, GOIPCI_WRITABLE, &thread_known);
    return 0;
}

/* What another thread begins to watch is told by the wait that is under way. */
static void test_watch_reaches_waiting_thread(void)
{
    goipci_stream *server;
    HANDLE thread;

    open_all("watch", 0600);
    thread_stream = dial();
    thread_known = false;
    server = accept_one();
    in_thread(watch_later, &thread);
    await(thread_stream, GOIPCI_WRITABLE);
    join(thread);
    leave(thread_stream, &thread_known);
    server->functions->close(server);
    close_all();
}

static DWORD WINAPI begin_and_die(LPVOID parameter)
{
    goipci_stream *stream = (goipci_stream *)parameter;
    uint8_t in[1];
    size_t size;

    EXPECT(read_some(stream, in, 1, &size) == GOIPC_ERROR_WOULD_BLOCK);
    return 0;
}

/* Windows cancels what a thread has under way when it ends; the stream lives on. */
static void test_reader_thread_may_end(void)
{
    goipci_stream *client, *server;
    bool known = false;
    HANDLE thread;
    size_t size;

    open_all("thread", 0600);
    client = dial();
    server = accept_one();
    thread = CreateThread(NULL, 0, begin_and_die, client, 0, NULL);
    EXPECT(thread != NULL);
    join(thread);
    watch(client, GOIPCI_READABLE, &known);
    EXPECT(write_some(server, "on", 2, &size) == GOIPC_ERROR_OK);
    expect_bytes(client, "on");
    leave(client, &known);
    server->functions->close(server);
    close_all();
}

/* --- who is there ----------------------------------------------------------------------------- */

static void check_credentials(goipci_stream *stream, goipc_peers peers)
{
    const goipc_options options = {.peers = peers};
    goipc_credentials credentials = {0};

    EXPECT(goipci_stream_check_peer(stream, &options, peers, &credentials) == GOIPC_ERROR_OK);
    EXPECT(credentials.user == -1 && credentials.group == -1);
    EXPECT(credentials.process == -1 || credentials.process == goipci_system_process());
}

static void test_own_user_is_trusted(void)
{
    static const uint32_t modes[] = {0600, 0777};
    size_t i;

    for (i = 0; i < 2; i++) {
        goipci_stream *client, *server;

        open_all("user", modes[i]);
        client = dial();
        server = accept_one();
        check_credentials(client, GOIPC_PEERS_SAME_USER);
        check_credentials(client, GOIPC_PEERS_ANY);
        check_credentials(server, modes[i] == 0600 ? GOIPC_PEERS_SAME_USER : GOIPC_PEERS_ANY);
        client->functions->close(client);
        server->functions->close(server);
        close_all();
    }
}

static void test_error_text(void)
{
    char text[128];

    goipci_system_error_text(ERROR_FILE_NOT_FOUND, text, sizeof text);
    EXPECT(text[0] != '\0' && text[strlen(text) - 1] != '.' && text[strlen(text) - 1] != '\n');
    goipci_system_error_text(0x7ffffff0, text, sizeof text);
    EXPECT(strcmp(text, "error 2147483632") == 0);
}

int main(void)
{
    test_address_names();
    test_dial_without_server();
    test_name_in_use();
    test_both_directions();
    test_use_before_watching();
    test_large_amount_arrives_whole();
    test_bytes_survive_close();
    test_end_is_told_early();
    test_finish_ends_reading();
    test_peer_leaves_full_pipe();
    test_many_clients();
    test_interrupt_lasts();
    test_kick_ends_one_wait();
    test_watch_reaches_waiting_thread();
    test_reader_thread_may_end();
    test_own_user_is_trusted();
    test_error_text();
    printf("%d checks\n", test_checks);
    return 0;
}
