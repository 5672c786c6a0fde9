/* SPDX-License-Identifier: MIT */
/* Goal: whatever single system call or allocation fails, nothing crashes, hangs or leaks, what
 * cannot go on says why, and what can go on recovers. Method: the linker puts __wrap_ functions in
 * the way (--wrap); one scenario runs again and again while the first, second, third ... call
 * fails, until a run meets no failure any more. Descriptors are counted after each run. */
#define _GNU_SOURCE

#include "endpoint_pair.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>

typedef enum fault_mode {
    FAULT_NONE,
    FAULT_ONCE,  /* the call with number `at` fails with `error` */
    FAULT_STORM, /* every second call that may be interrupted is */
} fault_mode;

static _Thread_local struct {
    fault_mode mode;
    long at;
    long count; /* of calls seen */
    int error;
    const char *fired; /* the function that failed, or NULL */
    bool one_byte;     /* reads and writes move one byte at a time */
    bool poor_system;  /* another process holds the directory's lock for a while */
    int lock_count;
    unsigned storm;
} fault;

static bool strikes(const char *function)
{
    if (fault.mode == FAULT_ONCE && ++fault.count == fault.at) {
        fault.fired = function;
        errno = fault.error;
        return true;
    }
    return false;
}

static bool interrupts(const char *function)
{
    if (fault.mode == FAULT_STORM && ++fault.storm % 2 == 1) {
        errno = EINTR;
        return true;
    }
    return strikes(function);
}

/* What fails whether or not it is its turn. */
static bool fails_always(bool condition, int error)
{
    if (condition) {
        errno = error;
    }
    return condition;
}

#define WRAP(result_type, name, parameters, arguments, struck, failure)                            \
    result_type __real_##name parameters;                                                          \
    result_type __wrap_##name parameters;                                                          \
    result_type __wrap_##name parameters                                                           \
    {                                                                                              \
        return struck(#name) ? failure : __real_##name arguments;                                  \
    }

WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), strikes, -1)
WRAP(int, bind, (int s, const struct sockaddr *a, socklen_t n), (s, a, n), strikes, -1)
WRAP(int, listen, (int s, int n), (s, n), strikes, -1)
WRAP(int, chmod, (const char *p, mode_t m), (p, m), strikes, -1)
WRAP(int, fchmod, (int d, mode_t m), (d, m), strikes, -1)
WRAP(int, fstat, (int d, struct stat *s), (d, s), strikes, -1)
WRAP(int, fstatat, (int d, const char *p, struct stat *s, int f), (d, p, s, f), strikes, -1)
WRAP(int, openat, (int d, const char *p, int f), (d, p, f), strikes, -1)
WRAP(int, fcntl, (int d, int c, int v), (d, c, v), strikes, -1)
WRAP(int, unlinkat, (int d, const char *p, int f), (d, p, f), strikes, -1)
WRAP(int, shutdown, (int s, int h), (s, h), strikes, -1)
WRAP(int, poll, (struct pollfd * p, nfds_t n, int t), (p, n, t), interrupts, -1)
WRAP(int, connect, (int s, const struct sockaddr *a, socklen_t n), (s, a, n), interrupts, -1)
WRAP(int, accept4, (int s, struct sockaddr *a, socklen_t *n, int f), (s, a, n, f), interrupts, -1)
WRAP(int, getsockopt, (int s, int l, int o, void *v, socklen_t *n), (s, l, o, v, n), strikes, -1)
WRAP(int, epoll_create1, (int f), (f), strikes, -1)
WRAP(int, epoll_ctl, (int e, int o, int d, struct epoll_event *v), (e, o, d, v), strikes, -1)
WRAP(int, epoll_wait, (int e, struct epoll_event *v, int n, int t), (e, v, n, t), interrupts, -1)
WRAP(int, eventfd, (unsigned c, int f), (c, f), strikes, -1)
WRAP(int, open, (const char *p, int f), (p, f), strikes, -1)

int __real_flock(int d, int o);
int __wrap_flock(int d, int o);
int __wrap_flock(int d, int o)
{
    return interrupts("flock") ||
                   fails_always(fault.poor_system && ++fault.lock_count < 3, EWOULDBLOCK)
               ? -1
               : __real_flock(d, o);
}

ssize_t __real_recv(int s, void *b, size_t n, int f);
ssize_t __wrap_recv(int s, void *b, size_t n, int f);
ssize_t __wrap_recv(int s, void *b, size_t n, int f)
{
    return interrupts("recv") ? -1 : __real_recv(s, b, fault.one_byte && n > 1 ? 1 : n, f);
}

ssize_t __real_send(int s, const void *b, size_t n, int f);
ssize_t __wrap_send(int s, const void *b, size_t n, int f);
ssize_t __wrap_send(int s, const void *b, size_t n, int f)
{
    return interrupts("send") ? -1 : __real_send(s, b, fault.one_byte && n > 1 ? 1 : n, f);
}

ssize_t __real_sendmsg(int s, const struct msghdr *m, int f);
ssize_t __wrap_sendmsg(int s, const struct msghdr *m, int f);
ssize_t __wrap_sendmsg(int s, const struct msghdr *m, int f)
{
    if (interrupts("sendmsg")) {
        return -1;
    }
    if (fault.one_byte) {
        for (size_t i = 0; i < m->msg_iovlen; i++) {
            if (m->msg_iov[i].iov_len > 0) {
                return __real_send(s, m->msg_iov[i].iov_base, 1, f);
            }
        }
    }
    return __real_sendmsg(s, m, f);
}

/* --- what is counted -------------------------------------------------------------------------- */

static struct {
    long at; /* 0: none fails */
    long count;
    long live;
    bool fired;
} allocation;

static void *allocate(void *context, size_t size)
{
    (void)context;
    if (++allocation.count == allocation.at) {
        allocation.fired = true;
        return NULL;
    }
    allocation.live++;
    return malloc(size);
}

static void release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    allocation.live--;
    free(memory);
}

static const goipc_allocator counting_allocator = {NULL, allocate, release};

/* --- a directory of our own ------------------------------------------------------------------- */

static char directory[64];

/* A dead socket to replace. No fault is meant for the test itself. */
static void begin_life(char path[108])
{
    const fault_mode mode = fault.mode;
    struct sockaddr_un address;
    int stale;

    fault.mode = FAULT_NONE;
    snprintf(path, 108, "%s/life.sock", directory);
    address = raw_address(path);
    stale = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(stale >= 0 && bind(stale, (const struct sockaddr *)&address, sizeof address) == 0);
    close(stale);
    fault.mode = mode;
}

static bool has_fired(const char *function)
{
    return fault.fired != NULL && strcmp(fault.fired, function) == 0;
}

/* No name is left after an orderly end, unless removing it was what failed. */
static void end_life(const char *path, bool started)
{
    fault.mode = FAULT_NONE;
    if (unlink(path) == 0) {
        EXPECT(!started || has_fired("fstatat") || has_fired("unlinkat"));
    }
    EXPECT(test_count_entries(directory) == 0);
}

/* --- the scenario ----------------------------------------------------------------------------- */

static goipc_options options_of(goipc_encryption encryption, goipc_failure *failure)
{
    return (goipc_options){
        .directory = directory,
        .encryption = encryption,
        .allocator = &counting_allocator,
        .failure = failure,
        .write_timeout_ms = GOIPC_NO_WAIT,
        .close_timeout_ms = 50,
        /* Every run that loses the start of a handshake waits this long; one that loses nothing
         * must be done by then, even with four multiplications under valgrind. */
        .handshake_timeout_ms = test_is_slow() ? 2000 : 200,
    };
}

/* What a loop that survives errors does with one. */
static bool is_survivable(goipc_error error)
{
    return error == GOIPC_ERROR_OK || error == GOIPC_ERROR_WOULD_BLOCK ||
           error == GOIPC_ERROR_TIMEOUT || error == GOIPC_ERROR_NOT_CONNECTED ||
           goipc_error_classify(error) != GOIPC_ERROR_CLASS_LOCAL;
}

/* Client asks, server echoes, until `wanted` answers have come. False when it would take too long.
 * */
static bool exchange(goipc_server *server, goipc_client *client, const uint8_t *data, size_t size,
                     int wanted)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    bool asked = false;
    int answers = 0;
    goipc_message message;
    goipc_error error;

    while (answers < wanted) {
        if (test_clock_ms() > until) {
            return false;
        }
        error = goipc_client_read(client, 0, &message);
        EXPECT(is_survivable(error));
        if (error == GOIPC_ERROR_OK && message.type > 0) {
            EXPECT(message_is(&message, 5, data, size));
            answers++;
            asked = false;
        } else if (error == GOIPC_ERROR_OK && message.status == GOIPC_STATUS_DISCONNECTED) {
            asked = false; /* question or answer may have been lost with the connection */
        }
        if (!asked) {
            error = goipc_client_write(client, 5, data, size);
            EXPECT(is_survivable(error));
            asked = error == GOIPC_ERROR_OK;
        }
        error = goipc_server_read(server, 1, &message);
        EXPECT(is_survivable(error));
        if (error == GOIPC_ERROR_OK && message.type > 0) {
            error = goipc_server_write(server, message.client, 5, message.data, message.data_size);
            EXPECT(is_survivable(error));
            asked = asked && error == GOIPC_ERROR_OK;
        }
        (void)!goipc_server_flush(server, 0);
        (void)!goipc_client_flush(client, 0);
    }
    return true;
}

static void expect_no_start(const goipc_server *server, goipc_error error,
                            const goipc_failure *failure, const char *path)
{
    EXPECT(server == NULL && failure->error == error);
    EXPECT(goipc_error_classify(error) == GOIPC_ERROR_CLASS_SYSTEM);
    EXPECT(allocation.fired || strstr(failure->text, path) != NULL);
    end_life(path, false);
}

/* One whole life. Whatever failed, it either did not start, and says why, or it works. */
static void live(goipc_encryption encryption, size_t size, int wanted)
{
    static uint8_t data[300000];
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server_config server_config = {.options = options_of(encryption, &failure)};
    goipc_client_config client_config = {.options = options_of(encryption, &failure),
                                         .retry_interval_ms = 5};
    goipc_server *server;
    goipc_client *client;
    char path[108];
    goipc_error error;

    begin_life(path);
    error = goipc_server_start("life", &server_config, &server);
    if (error != GOIPC_ERROR_OK) {
        expect_no_start(server, error, &failure, path);
        return;
    }
    error = goipc_client_start("life", &client_config, &client);
    if (error == GOIPC_ERROR_OK) {
        EXPECT(exchange(server, client, data, size, wanted));
        goipc_client_close(client);
    } else {
        EXPECT(goipc_error_classify(error) == GOIPC_ERROR_CLASS_SYSTEM);
    }
    goipc_server_close(server);
    end_life(path, true);
}

/* --- a crowd ---------------------------------------------------------------------------------- */

enum { CROWD_COUNT = 20 }; /* the server's table of clients grows twice */

typedef struct crowd {
    goipc_server *server;
    size_t at_server; /* how many it has, by what it told */
    bool asked;       /* it has written to all that there are */
    struct {
        goipc_client *client;
        bool connected;
        bool answered;
    } of[CROWD_COUNT];
} crowd;

static size_t read_crowd(crowd *self, const uint8_t *data, size_t size)
{
    size_t answered = 0;
    goipc_message message;
    goipc_error error;

    for (size_t i = 0; i < CROWD_COUNT; i++) {
        while ((error = goipc_client_read(self->of[i].client, 0, &message)) == GOIPC_ERROR_OK) {
            if (message.type > 0) {
                EXPECT(message_is(&message, 5, data, size));
                self->of[i].answered = true;
            } else {
                self->of[i].connected = message.status == GOIPC_STATUS_CONNECTED;
                self->asked = self->asked && self->of[i].connected;
            }
        }
        EXPECT(is_survivable(error));
        answered += self->of[i].answered ? 1 : 0;
    }
    return answered;
}

static void read_at_server(crowd *self)
{
    goipc_message message;
    goipc_error error;

    while ((error = goipc_server_read(self->server, 0, &message)) == GOIPC_ERROR_OK) {
        EXPECT(message.type == GOIPC_MESSAGE_STATUS);
        self->at_server += message.status == GOIPC_STATUS_CONNECTED ? 1 : 0;
        self->at_server -= message.status == GOIPC_STATUS_DISCONNECTED ? 1 : 0;
    }
    EXPECT(is_survivable(error));
}

/* Everybody is let in by name, all get one message, and nobody is lost for want of memory. */
static void live_as_crowd(size_t size)
{
    static uint8_t data[300000];
    const uint32_t friends[] = {(uint32_t)geteuid() + 1, (uint32_t)geteuid()};
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server_config config = {.options = options_of(GOIPC_ENCRYPTION_OFF, &failure),
                                  .clients_max = CROWD_COUNT + 4};
    goipc_client_config client_config = {.options = options_of(GOIPC_ENCRYPTION_OFF, &failure),
                                         .retry_interval_ms = 5};
    crowd self = {.asked = false};
    char path[108];
    goipc_error error;

    config.options.peers = GOIPC_PEERS_LIST;
    config.options.peer_users = friends;
    config.options.peer_user_count = 2;
    client_config.options.allocator = NULL; /* the server's allocations are those that fail */
    begin_life(path);
    error = goipc_server_start("life", &config, &self.server);
    if (error != GOIPC_ERROR_OK) {
        expect_no_start(self.server, error, &failure, path);
        return;
    }
    for (size_t i = 0; i < CROWD_COUNT; i++) {
        EXPECT(goipc_client_start("life", &client_config, &self.of[i].client) == GOIPC_ERROR_OK);
    }
    while (read_crowd(&self, data, size) < CROWD_COUNT) {
        EXPECT(test_clock_ms() < until);
        read_at_server(&self);
        if (!self.asked && self.at_server == CROWD_COUNT) {
            error = goipc_server_write(self.server, GOIPC_CLIENT_ALL, 5, data, size);
            EXPECT(is_survivable(error));
            self.asked = error == GOIPC_ERROR_OK;
        }
        (void)!goipc_server_flush(self.server, 0);
    }
    for (size_t i = 0; i < CROWD_COUNT; i++) {
        goipc_client_close(self.of[i].client);
    }
    goipc_server_close(self.server);
    end_life(path, true);
}

/* --- one after the other ---------------------------------------------------------------------- */

static void expect_clean(size_t descriptors)
{
    EXPECT(allocation.live == 0);
    EXPECT(test_count_entries("/proc/self/fd") == descriptors);
}

static void test_each_system_call(goipc_encryption encryption, int error, bool poor_system)
{
    const size_t descriptors = test_count_entries("/proc/self/fd");
    long runs = 0;

    do {
        memset(&fault, 0, sizeof fault);
        fault.mode = FAULT_ONCE;
        fault.at = ++runs;
        fault.error = error;
        fault.poor_system = poor_system;
        live(encryption, 20000, 2);
        fault.mode = FAULT_NONE;
        expect_clean(descriptors);
    } while (fault.fired != NULL);
    EXPECT(runs > 40); /* it did reach them */
}

static void test_each_allocation(goipc_encryption encryption)
{
    const size_t descriptors = test_count_entries("/proc/self/fd");
    long runs = 0;

    do {
        memset(&allocation, 0, sizeof allocation);
        allocation.at = ++runs;
        live(encryption, 20000, 2);
        expect_clean(descriptors);
    } while (allocation.fired);
    EXPECT(runs > 8);
    memset(&allocation, 0, sizeof allocation);
}

static void test_each_allocation_for_a_crowd(void)
{
    const size_t size = (size_t)test_amount("bytes for each of a crowd", 300000, 20000);
    const size_t descriptors = test_count_entries("/proc/self/fd");
    long runs = 0;

    do {
        memset(&allocation, 0, sizeof allocation);
        allocation.at = ++runs;
        live_as_crowd(size);
        expect_clean(descriptors);
    } while (allocation.fired);
    EXPECT(runs > 2 * CROWD_COUNT);
    memset(&allocation, 0, sizeof allocation);
}

static void test_storm_and_single_bytes(goipc_encryption encryption)
{
    memset(&fault, 0, sizeof fault);
    fault.mode = FAULT_STORM;
    live(encryption, (size_t)test_amount("bytes through a storm", 300000, 30000), 3);
    fault.mode = FAULT_NONE;
    fault.one_byte = true;
    live(encryption, (size_t)test_amount("bytes one by one", 3000, 600), 3);
    fault.mode = FAULT_STORM;
    live(encryption, (size_t)test_amount("bytes one by one through a storm", 1000, 200), 3);
    memset(&fault, 0, sizeof fault);
}

/* --- no descriptors left ---------------------------------------------------------------------- */

/* New connections are turned away one by one, the others go on, nothing spins, and there is room
 * again as soon as there are descriptors. */
static void test_out_of_descriptors(void)
{
    struct rlimit before, limit;
    test_pair pair;
    const goipc_server_config config = {.clients_max = 4};
    const goipc_client_config client_config = {.timeout_ms = 0};
    int dialled[8], fillers[64], last;
    size_t filler_count = 0;
    goipc_message message;
    goipc_counters counters;
    char byte;

    pair_start(&pair, config, client_config);
    for (size_t i = 0; i < 8; i++) {
        dialled[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        last = dialled[i];
    }
    EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = (rlim_t)last + 1;
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while ((fillers[filler_count] = dup(last)) >= 0) { /* what is free below the limit */
        EXPECT(++filler_count < 64);
    }
    for (size_t i = 0; i < 8; i++) {
        struct sockaddr_un address;
        char path[108];

        test_path(pair.name, path);
        address = raw_address(path);
        EXPECT(connect(dialled[i], (const struct sockaddr *)&address, sizeof address) == 0);
        EXPECT(goipc_server_read(pair.server, 20, &message) == GOIPC_ERROR_TIMEOUT);
        EXPECT(recv(dialled[i], &byte, 1, MSG_DONTWAIT) == 0);
    }
    goipc_server_counters(pair.server, &counters);
    /* Valgrind keeps the limit itself: it lets the system accept, closes what is too many and says
     * EMFILE, so that nothing is left for the server to refuse. */
    EXPECT(counters.refusals == 8 || test_leaves_out("refusals without a descriptor"));
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "x", 1));
    EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
    while (filler_count > 0) {
        close(fillers[--filler_count]);
    }
    for (size_t i = 0; i < 8; i++) {
        close(dialled[i]);
    }
    last = raw_connect(pair.name);
    EXPECT(goipc_server_read(pair.server, 20, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(recv(last, &byte, 1, MSG_DONTWAIT) == 1 && byte == 2); /* HELLO */
    close(last);
    pair_close(&pair);
}

int main(void)
{
    snprintf(directory, sizeof directory, "/tmp/t-fault-%ld", (long)getpid());
    EXPECT(mkdir(directory, 0700) == 0);
    test_each_system_call(GOIPC_ENCRYPTION_REQUIRE, ENOMEM, false);
    test_each_system_call(GOIPC_ENCRYPTION_OFF, EMFILE, false);
    test_each_system_call(GOIPC_ENCRYPTION_OFF, ENOSPC, false);
    test_each_system_call(GOIPC_ENCRYPTION_OFF, EIO, false);
    test_each_system_call(GOIPC_ENCRYPTION_OFF, EIO, true);
    test_each_allocation(GOIPC_ENCRYPTION_REQUIRE);
    test_each_allocation(GOIPC_ENCRYPTION_OFF);
    test_each_allocation_for_a_crowd();
    test_storm_and_single_bytes(GOIPC_ENCRYPTION_REQUIRE);
    test_storm_and_single_bytes(GOIPC_ENCRYPTION_OFF);
    EXPECT(rmdir(directory) == 0);
    test_out_of_descriptors();
    printf("ok %d checks\n", test_checks);
    return 0;
}
