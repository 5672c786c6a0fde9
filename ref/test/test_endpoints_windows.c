/* SPDX-License-Identifier: MIT */
/* Goal: servers and clients do over named pipes what goipc.h says. Method: both in this process,
 * moved along by one thread, or by two where that is the point. What is the same on every system is
 * tested by test_endpoints.c; here is what threads, waits and ends of pipes have part in. */
#include "goipc.h"
#include "test.h"

#include <windows.h>

enum { LIMIT_MS = 30000, CLIENTS = 40, BURST = 500, BIG_SIZE = GOIPC_MESSAGE_SIZE_DEFAULT };

typedef struct pair {
    char name[64];
    goipc_server *server;
    goipc_client *client;
    goipc_client_id id;
} pair;

/* --- helpers ---------------------------------------------------------------------------------- */

static void make_name(char out[64])
{
    static int count;

    count++;
    (void)snprintf(out, 64, "goipc-test-%lu-%llu-%d", GetCurrentProcessId(),
                   (unsigned long long)GetTickCount64(), count);
}

static void connect_pair(pair *both)
{
    const ULONGLONG start_ms = GetTickCount64();
    bool client_knows = false, server_knows = false;
    goipc_message message;

    while (!client_knows || !server_knows) {
        EXPECT(GetTickCount64() - start_ms < LIMIT_MS);
        if (!server_knows && goipc_server_read(both->server, 1, &message) == GOIPC_ERROR_OK) {
            server_knows = message.status == GOIPC_STATUS_CONNECTED;
            both->id = message.client;
        }
        if (!client_knows && goipc_client_read(both->client, 1, &message) == GOIPC_ERROR_OK) {
            client_knows = message.status == GOIPC_STATUS_CONNECTED;
        }
    }
}

static void start_pair(pair *both, goipc_encryption encryption)
{
    const goipc_server_config server = {.options = {.encryption = encryption},
                                        .clients_max = CLIENTS};
    const goipc_client_config client = {.options = {.encryption = encryption}};

    make_name(both->name);
    EXPECT(goipc_server_start(both->name, &server, &both->server) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_start(both->name, &client, &both->client) == GOIPC_ERROR_OK);
    connect_pair(both);
}

static void close_pair(pair *both)
{
    goipc_client_close(both->client);
    goipc_server_close(both->server);
}

/* The next data, past changes of status. */
static goipc_message server_data(goipc_server *server)
{
    goipc_message message;

    do {
        EXPECT(goipc_server_read(server, LIMIT_MS, &message) == GOIPC_ERROR_OK);
    } while (message.type == GOIPC_MESSAGE_STATUS);
    return message;
}

static goipc_message client_data(goipc_client *client)
{
    goipc_message message;

    do {
        EXPECT(goipc_client_read(client, LIMIT_MS, &message) == GOIPC_ERROR_OK);
    } while (message.type == GOIPC_MESSAGE_STATUS);
    return message;
}

static goipc_message client_status(goipc_client *client, goipc_status status)
{
    goipc_message message;

    do {
        EXPECT(goipc_client_read(client, LIMIT_MS, &message) == GOIPC_ERROR_OK);
    } while (message.type != GOIPC_MESSAGE_STATUS || message.status != status);
    return message;
}

static goipc_message server_status(goipc_server *server, goipc_status status)
{
    goipc_message message;

    do {
        EXPECT(goipc_server_read(server, LIMIT_MS, &message) == GOIPC_ERROR_OK);
    } while (message.type != GOIPC_MESSAGE_STATUS || message.status != status);
    return message;
}

static HANDLE run(LPTHREAD_START_ROUTINE routine, void *parameter)
{
    HANDLE thread = CreateThread(NULL, 0, routine, parameter, 0, NULL);

    EXPECT(thread != NULL);
    return thread;
}

static DWORD join(HANDLE thread)
{
    DWORD result = 0;

    EXPECT(WaitForSingleObject(thread, LIMIT_MS) == WAIT_OBJECT_0);
    EXPECT(GetExitCodeThread(thread, &result));
    EXPECT(CloseHandle(thread));
    return result;
}

/* --- messages --------------------------------------------------------------------------------- */

static void test_messages_both_ways(goipc_encryption encryption)
{
    goipc_message message;
    pair both;

    start_pair(&both, encryption);
    EXPECT(goipc_client_is_encrypted(both.client) == (encryption == GOIPC_ENCRYPTION_REQUIRE));
    EXPECT(goipc_client_write(both.client, 7, "hello", 5) == GOIPC_ERROR_OK);
    message = server_data(both.server);
    EXPECT(message.type == 7 && message.data_size == 5 && memcmp(message.data, "hello", 5) == 0);
    EXPECT(message.client == both.id);
    EXPECT(goipc_server_write(both.server, both.id, UINT32_MAX, NULL, 0) == GOIPC_ERROR_OK);
    message = client_data(both.client);
    EXPECT(message.type == UINT32_MAX && message.data_size == 0);
    EXPECT(goipc_client_write(both.client, 0, "x", 1) == GOIPC_ERROR_TYPE_RESERVED);
    close_pair(&both);
}

static HANDLE all_arrived;

/* Writes BURST small messages and one of the largest size, and no thread but the reader moves. */
static DWORD WINAPI write_burst(LPVOID parameter)
{
    const pair *both = (const pair *)parameter;
    uint8_t *big = calloc(1, BIG_SIZE);
    uint32_t i;

    EXPECT(big != NULL);
    for (i = 1; i <= BURST; i++) {
        EXPECT(goipc_client_write(both->client, i, &i, sizeof i) == GOIPC_ERROR_OK);
    }
    big[BIG_SIZE - 1] = 0x5a;
    EXPECT(goipc_client_write(both->client, BURST + 1, big, BIG_SIZE) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_write(both->client, 1, big, (size_t)BIG_SIZE + 1) ==
           GOIPC_ERROR_MESSAGE_SIZE);
    free(big);
    /* Wine cancels what a thread has under way when it ends, Windows does not for a handle with a
     * completion port: the thread stays until all has arrived. */
    EXPECT(WaitForSingleObject(all_arrived, LIMIT_MS) == WAIT_OBJECT_0);
    return 0;
}

static void test_writer_beside_reader(goipc_encryption encryption)
{
    goipc_message message;
    HANDLE thread;
    uint32_t i;
    pair both;

    start_pair(&both, encryption);
    all_arrived = CreateEventW(NULL, TRUE, FALSE, NULL);
    EXPECT(all_arrived != NULL);
    thread = run(write_burst, &both);
    for (i = 1; i <= BURST; i++) {
        message = server_data(both.server);
        EXPECT(message.type == i && message.data_size == sizeof i);
    }
    message = server_data(both.server);
    EXPECT(message.type == BURST + 1 && message.data_size == BIG_SIZE);
    EXPECT(message.data[BIG_SIZE - 1] == 0x5a);
    EXPECT(SetEvent(all_arrived));
    EXPECT(join(thread) == 0);
    EXPECT(CloseHandle(all_arrived));
    close_pair(&both);
}

static void test_many_clients_keep_apart(void)
{
    static goipc_client *clients[CLIENTS];
    const goipc_server_config config = {.clients_max = CLIENTS};
    goipc_server *server;
    goipc_message message;
    char name[64];
    uint32_t i;

    make_name(name);
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_OK);
    for (i = 0; i < CLIENTS; i++) {
        pair both = {.server = server};

        EXPECT(goipc_client_start(name, NULL, &clients[i]) == GOIPC_ERROR_OK);
        both.client = clients[i];
        connect_pair(&both);
    }
    EXPECT(goipc_server_client_count(server) == CLIENTS);
    for (i = 0; i < CLIENTS; i++) {
        EXPECT(goipc_client_write(clients[i], i + 1, NULL, 0) == GOIPC_ERROR_OK);
    }
    for (i = 0; i < CLIENTS; i++) {
        message = server_data(server);
        EXPECT(goipc_server_write(server, message.client, (uint32_t)message.type, NULL, 0) ==
               GOIPC_ERROR_OK);
    }
    for (i = 0; i < CLIENTS; i++) {
        EXPECT(client_data(clients[i]).type == (int64_t)i + 1);
        goipc_client_close(clients[i]);
        message = server_status(server, GOIPC_STATUS_DISCONNECTED);
        EXPECT(message.error == GOIPC_ERROR_DISCONNECTED);
    }
    EXPECT(goipc_server_client_count(server) == 0);
    goipc_server_close(server);
}

/* --- beginnings and ends ---------------------------------------------------------------------- */

static void test_client_waits_for_server(void)
{
    const goipc_client_config config = {.timeout_ms = LIMIT_MS, .retry_interval_ms = 50};
    goipc_message message;
    pair both;

    make_name(both.name);
    EXPECT(goipc_client_start(both.name, &config, &both.client) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_read(both.client, 0, &message) == GOIPC_ERROR_OK);
    EXPECT(message.status == GOIPC_STATUS_CONNECTING);
    EXPECT(goipc_client_read(both.client, 30, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(goipc_server_start(both.name, NULL, &both.server) == GOIPC_ERROR_OK);
    connect_pair(&both);
    close_pair(&both);
}

static void test_client_gives_up(void)
{
    const goipc_client_config config = {.timeout_ms = 100};
    goipc_client *client;
    goipc_message message;
    char name[64];

    make_name(name);
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    (void)client_status(client, GOIPC_STATUS_TIMEOUT);
    EXPECT(goipc_client_read(client, LIMIT_MS, &message) == GOIPC_ERROR_TIMEOUT);
    goipc_client_close(client);
}

static void test_reconnect(void)
{
    goipc_message message;
    pair both;

    start_pair(&both, GOIPC_ENCRYPTION_REQUIRE);
    EXPECT(goipc_server_disconnect(both.server, both.id) == GOIPC_ERROR_OK);
    (void)server_status(both.server, GOIPC_STATUS_DISCONNECTED);
    message = client_status(both.client, GOIPC_STATUS_DISCONNECTED);
    EXPECT(message.error == GOIPC_ERROR_DISCONNECTED);
    connect_pair(&both);
    EXPECT(goipc_client_write(both.client, 3, "again", 5) == GOIPC_ERROR_OK);
    EXPECT(server_data(both.server).type == 3);
    close_pair(&both);
}

/* What was written before a close is delivered after it. */
static void test_last_words_arrive(void)
{
    goipc_message message;
    pair both;
    uint32_t i;

    start_pair(&both, GOIPC_ENCRYPTION_REQUIRE);
    for (i = 1; i <= BURST; i++) {
        EXPECT(goipc_client_write(both.client, i, &i, sizeof i) == GOIPC_ERROR_OK);
    }
    goipc_client_close(both.client);
    for (i = 1; i <= BURST; i++) {
        EXPECT(server_data(both.server).type == i);
    }
    message = server_status(both.server, GOIPC_STATUS_DISCONNECTED);
    EXPECT(message.error == GOIPC_ERROR_DISCONNECTED);
    EXPECT(goipc_server_status(both.server) == GOIPC_STATUS_LISTENING);
    goipc_server_close(both.server);
}

static void test_name_in_use(void)
{
    goipc_failure failure;
    const goipc_server_config config = {.options = {.failure = &failure}};
    goipc_server *second;
    pair both;

    start_pair(&both, GOIPC_ENCRYPTION_REQUIRE);
    EXPECT(goipc_server_start(both.name, &config, &second) == GOIPC_ERROR_ADDRESS_IN_USE);
    EXPECT(strstr(failure.text, both.name) != NULL);
    EXPECT(goipc_client_write(both.client, 1, "unharmed", 8) == GOIPC_ERROR_OK);
    EXPECT(server_data(both.server).data_size == 8);
    close_pair(&both);
}

static void test_disagreement_about_encryption(void)
{
    const goipc_server_config plain = {.options = {.encryption = GOIPC_ENCRYPTION_OFF}};
    goipc_server *server;
    goipc_client *client;
    goipc_message message;
    goipc_error error;
    char name[64];

    make_name(name);
    EXPECT(goipc_server_start(name, &plain, &server) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_start(name, NULL, &client) == GOIPC_ERROR_OK);
    do {
        (void)!goipc_server_read(server, 1, &message);
        error = goipc_client_read(client, 1, &message);
    } while (error == GOIPC_ERROR_OK || error == GOIPC_ERROR_TIMEOUT);
    EXPECT(error == GOIPC_ERROR_ENCRYPTION);
    goipc_client_close(client);
    goipc_server_close(server);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static DWORD WINAPI read_server(LPVOID parameter)
{
    goipc_message message;
    goipc_error error;

    do { /* STATE: somebody else is looking just now */
        error = goipc_server_read((goipc_server *)parameter, GOIPC_FOREVER, &message);
    } while (error == GOIPC_ERROR_STATE);
    return (DWORD)error;
}

static void test_interrupt_and_resume(void)
{
    goipc_message message;
    HANDLE thread;
    pair both;

    start_pair(&both, GOIPC_ENCRYPTION_REQUIRE);
    thread = run(read_server, both.server);
    goipc_server_interrupt(both.server);
    EXPECT(join(thread) == GOIPC_ERROR_INTERRUPTED);
    EXPECT(goipc_server_read(both.server, GOIPC_FOREVER, &message) == GOIPC_ERROR_INTERRUPTED);
    goipc_server_resume(both.server);
    EXPECT(goipc_server_read(both.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    EXPECT(goipc_client_write(both.client, 1, NULL, 0) == GOIPC_ERROR_OK);
    EXPECT(server_data(both.server).type == 1);
    close_pair(&both);
}

static void test_close_ends_a_read(void)
{
    HANDLE thread;
    pair both;

    start_pair(&both, GOIPC_ENCRYPTION_REQUIRE);
    thread = run(read_server, both.server);
    /* The reader is inside when it has taken this message's turn: its read returns, and the next
     * one cannot begin before the close. */
    EXPECT(goipc_client_write(both.client, 1, NULL, 0) == GOIPC_ERROR_OK);
    EXPECT(join(thread) == GOIPC_ERROR_OK);
    thread = run(read_server, both.server);
    while (goipc_server_read(both.server, 0, &(goipc_message){.type = 0}) != GOIPC_ERROR_STATE) {
        SwitchToThread(); /* until the other thread is inside */
    }
    goipc_server_close(both.server);
    EXPECT(join(thread) == GOIPC_ERROR_CLOSED);
    goipc_client_close(both.client);
}

/* A peer that does not read holds up its own messages and nobody else. */
static void test_write_times_out(void)
{
    const goipc_server_config config = {
        .options = {.write_timeout_ms = 200, .queue_size_max = 64 * 1024}};
    static const uint8_t zeros[256 * 1024];
    goipc_error error;
    pair both;

    make_name(both.name);
    EXPECT(goipc_server_start(both.name, &config, &both.server) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_start(both.name, NULL, &both.client) == GOIPC_ERROR_OK);
    connect_pair(&both);
    do {
        error = goipc_server_write(both.server, both.id, 1, zeros, sizeof zeros);
    } while (error == GOIPC_ERROR_OK);
    EXPECT(error == GOIPC_ERROR_TIMEOUT);
    close_pair(&both);
}

static void test_credentials(void)
{
    goipc_credentials credentials;
    pair both;

    start_pair(&both, GOIPC_ENCRYPTION_REQUIRE);
    EXPECT(goipc_server_credentials(both.server, both.id, &credentials) == GOIPC_ERROR_OK);
    EXPECT(credentials.user == -1);
    EXPECT(credentials.process == -1 || credentials.process == (int64_t)GetCurrentProcessId());
    EXPECT(goipc_server_poll_fd(both.server) == -1);
    close_pair(&both);
}

int main(void)
{
    test_messages_both_ways(GOIPC_ENCRYPTION_REQUIRE);
    test_messages_both_ways(GOIPC_ENCRYPTION_OFF);
    test_writer_beside_reader(GOIPC_ENCRYPTION_REQUIRE);
    test_writer_beside_reader(GOIPC_ENCRYPTION_OFF);
    test_many_clients_keep_apart();
    test_client_waits_for_server();
    test_client_gives_up();
    test_reconnect();
    test_last_words_arrive();
    test_name_in_use();
    test_disagreement_about_encryption();
    test_interrupt_and_resume();
    test_close_ends_a_read();
    test_write_times_out();
    test_credentials();
    printf("%d checks\n", test_checks);
    return 0;
}
