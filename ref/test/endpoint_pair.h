/* SPDX-License-Identifier: MIT */
/* What tests of endpoints share: names nobody else uses, a server and a client moved along by one
 * thread, and a raw peer for what no well-behaved library would send. */
#ifndef GOIPC_TEST_ENDPOINT_PAIR_H
#define GOIPC_TEST_ENDPOINT_PAIR_H

#include "goipc.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Long enough for the slowest machine; reached only by a failure. */
enum { PATIENCE_MS = 60000 };

static inline int64_t test_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The process whose sockets are to be removed, however its test ends. */
static _Atomic long test_owner;

static inline void test_remove_sockets(void)
{
    char pattern[64];
    glob_t found;

    if (test_owner != (long)getpid()) {
        return; /* a child, whose parent goes on */
    }
    snprintf(pattern, sizeof pattern, "/tmp/t-%ld-*", (long)test_owner);
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            (void)unlink(found.gl_pathv[i]);
        }
        globfree(&found);
    }
}

/* "t-PID-N": a name that no other process and no other call uses. */
static inline const char *test_name(char out[64])
{
    static _Atomic int count;
    long nobody = 0;

    if (atomic_compare_exchange_strong(&test_owner, &nobody, (long)getpid())) {
        EXPECT(atexit(test_remove_sockets) == 0);
    }
    snprintf(out, 64, "t-%ld-%lld-%d", (long)getpid(), (long long)(test_clock_ms() % 100000),
             ++count);
    return out;
}

static inline void test_path(const char *name, char out[108])
{
    snprintf(out, 108, "/tmp/%.90s.sock", name);
}

typedef struct test_pair {
    char name[64];
    goipc_server *server;
    goipc_client *client;
    goipc_client_id id;
} test_pair;

/* Reads both sides in turn until the client is CONNECTED and the server has said so, too. */
static inline void pair_connect(test_pair *pair)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    bool client_knows = false;
    bool server_knows = false;
    goipc_message message;

    while (!client_knows || !server_knows) {
        EXPECT(test_clock_ms() < until);
        if (!server_knows && goipc_server_read(pair->server, 1, &message) == GOIPC_ERROR_OK) {
            EXPECT(message.type == GOIPC_MESSAGE_STATUS);
            server_knows = message.status == GOIPC_STATUS_CONNECTED;
            pair->id = message.client;
        }
        if (!client_knows && goipc_client_read(pair->client, 1, &message) == GOIPC_ERROR_OK) {
            EXPECT(message.type == GOIPC_MESSAGE_STATUS);
            client_knows = message.status == GOIPC_STATUS_CONNECTED;
        }
    }
}

static inline void pair_start(test_pair *pair, goipc_server_config server,
                              goipc_client_config client)
{
    goipc_failure failure;
    goipc_error error;

    *pair = (test_pair){.server = NULL};
    test_name(pair->name);
    server.options.failure = &failure;
    if (server.options.encryption != GOIPC_ENCRYPTION_REQUIRE) {
        client.options.encryption = server.options.encryption;
    }
    error = goipc_server_start(pair->name, &server, &pair->server);
    if (error != GOIPC_ERROR_OK) {
        fprintf(stderr, "%s\n", failure.text);
        EXPECT(error == GOIPC_ERROR_OK);
    }
    EXPECT(goipc_client_start(pair->name, &client, &pair->client) == GOIPC_ERROR_OK);
    pair_connect(pair);
}

static inline void pair_close(test_pair *pair)
{
    char path[108];

    test_path(pair->name, path);
    goipc_client_close(pair->client);
    goipc_server_close(pair->server);
    EXPECT(access(path, F_OK) != 0);
}

/* The next message that is not a status change. */
static inline goipc_message server_expect_data(goipc_server *server)
{
    goipc_message message;

    do {
        EXPECT(goipc_server_read(server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    } while (message.type == GOIPC_MESSAGE_STATUS);
    return message;
}

static inline goipc_message server_expect_status(goipc_server *server, goipc_status status)
{
    goipc_message message;

    EXPECT(goipc_server_read(server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message.type == GOIPC_MESSAGE_STATUS);
    EXPECT(message.status == status);
    return message;
}

static inline goipc_message client_expect_data(goipc_client *client)
{
    goipc_message message;

    do {
        EXPECT(goipc_client_read(client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    } while (message.type == GOIPC_MESSAGE_STATUS);
    return message;
}

static inline goipc_message client_expect_status(goipc_client *client, goipc_status status)
{
    goipc_message message;

    EXPECT(goipc_client_read(client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message.type == GOIPC_MESSAGE_STATUS);
    EXPECT(message.status == status);
    return message;
}

static inline bool message_is(const goipc_message *message, uint32_t type, const void *data,
                              size_t size)
{
    return message->type == type && message->data_size == size &&
           (size == 0 || memcmp(message->data, data, size) == 0);
}

/* --- threads that wait ------------------------------------------------------------------------ */

static inline bool test_can_see_waiting(void)
{
    return access("/proc/self/task", X_OK) == 0;
}

/* Whether a thread of this process sleeps; how often it has gone to sleep is added to *count. */
static inline bool test_thread_sleeps(const char *path, uint64_t *count)
{
    FILE *file = fopen(path, "r");
    bool sleeps = false;
    char line[128];

    if (file == NULL) {
        return true; /* it has ended */
    }
    while (fgets(line, sizeof line, file) != NULL) {
        sleeps = sleeps || strncmp(line, "State:\tS", 8) == 0;
        if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0) {
            *count += strtoull(line + 24, NULL, 10);
        }
    }
    fclose(file);
    return sleeps;
}

/* Called by the first thread: returns when all others, at least `wanted`, wait in the kernel and
 * did so a moment ago, without having been awake meanwhile. Where the system does not tell, a
 * moment makes it likely. */
static inline void test_let_wait(size_t wanted)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    char self[64];
    uint64_t before, count = UINT64_MAX;
    bool all_sleep;

    snprintf(self, sizeof self, "/proc/self/task/%ld", (long)getpid());
    do {
        glob_t tasks = {.gl_pathc = 0};

        (void)!poll(NULL, 0, test_can_see_waiting() ? 1 : 20);
        before = count;
        count = 0;
        all_sleep =
            glob("/proc/self/task/*", GLOB_NOSORT, NULL, &tasks) != 0 || tasks.gl_pathc > wanted;
        for (size_t i = 0; i < tasks.gl_pathc; i++) {
            char path[128];

            snprintf(path, sizeof path, "%s/status", tasks.gl_pathv[i]);
            all_sleep =
                (strcmp(tasks.gl_pathv[i], self) == 0 || test_thread_sleeps(path, &count)) &&
                all_sleep;
        }
        globfree(&tasks);
        EXPECT(test_clock_ms() < until);
    } while (test_can_see_waiting() && (!all_sleep || count != before));
}

/* How many entries a folder has; 0 too where it does not exist, as /proc on some systems. */
static inline size_t test_count_entries(const char *path)
{
    DIR *listing = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 ? 1 : 0;
    }
    if (listing != NULL) {
        closedir(listing);
    }
    return count;
}

/* --- a raw peer ------------------------------------------------------------------------------- */

static inline struct sockaddr_un raw_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

/* -1 with errno when nobody listens. */
static inline int raw_try_connect(const char *path)
{
    const struct sockaddr_un address = raw_address(path);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    int saved;

    EXPECT(descriptor >= 0);
    if (connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0) {
        return descriptor;
    }
    saved = errno;
    close(descriptor);
    errno = saved;
    return -1;
}

static inline int raw_connect(const char *name)
{
    char path[108];
    int descriptor;

    test_path(name, path);
    descriptor = raw_try_connect(path);
    EXPECT(descriptor >= 0);
    return descriptor;
}

static inline void raw_send(int descriptor, const void *bytes, size_t size)
{
    /* The peer may have had enough of it: that is for the caller to find out by reading. */
    (void)!send(descriptor, bytes, size, MSG_NOSIGNAL);
}

/* Reads exactly `size` bytes; false at the end of the stream. */
static inline bool raw_receive(int descriptor, void *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        const ssize_t result = recv(descriptor, (char *)bytes + done, size - done, 0);

        if (result <= 0) {
            return false;
        }
        done += (size_t)result;
    }
    return true;
}

#endif
