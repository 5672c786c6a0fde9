/* SPDX-License-Identifier: MIT */
/* Goal: hostile, broken and vanishing peers cost the server nothing but a status message: a good
 * client loses no message and no more than time, and memory and descriptors stay flat. Method: a
 * good client echoes in a thread of its own while peers of every kind come and go. Arguments: how
 * many hostile connections, reconnects, kills and clients; the defaults are for every day. */
#define _GNU_SOURCE

#include "endpoint_pair.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

/* Sanitizers keep freed memory and add to each allocation. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TEST_INSTRUMENTED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
enum { TEST_INSTRUMENTED = 1 };
#else
enum { TEST_INSTRUMENTED = 0 };
#endif
#else
enum { TEST_INSTRUMENTED = 0 };
#endif

static size_t count_entries(const char *path)
{
    DIR *listing = opendir(path);
    size_t count = 0;

    if (listing == NULL) {
        return 0; /* no /proc here */
    }
    while (readdir(listing) != NULL) {
        count++;
    }
    closedir(listing);
    return count;
}

static long resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    if (file != NULL) {
        EXPECT(fscanf(file, "%*s %ld", &pages) == 1);
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* --- a server that echoes --------------------------------------------------------------------- */

typedef struct echo {
    goipc_server *server;
    char name[64];
    pthread_t thread;
} echo;

static void *run_echo(void *context)
{
    echo *self = context;
    goipc_message message;
    goipc_error error;

    while ((error = goipc_server_read(self->server, GOIPC_FOREVER, &message)) == GOIPC_ERROR_OK) {
        if (message.type > 0) {
            error = goipc_server_write(self->server, message.client, (uint32_t)message.type,
                                       message.data, message.data_size);
            EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_NOT_CONNECTED ||
                   goipc_error_classify(error) == GOIPC_ERROR_CLASS_PEER);
        }
    }
    EXPECT(error == GOIPC_ERROR_INTERRUPTED);
    return NULL;
}

static void echo_start(echo *self, const goipc_server_config *config)
{
    test_name(self->name);
    EXPECT(goipc_server_start(self->name, config, &self->server) == GOIPC_ERROR_OK);
    EXPECT(pthread_create(&self->thread, NULL, run_echo, self) == 0);
}

static void echo_stop(echo *self)
{
    goipc_server_interrupt(self->server);
    pthread_join(self->thread, NULL);
    goipc_server_close(self->server);
}

/* --- the good client -------------------------------------------------------------------------- */

typedef struct good {
    goipc_client *client;
    _Atomic bool stop;
    uint64_t rounds;
    double quiet_p99_ms, worst_p99_ms;
} good;

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void ask(good *self)
{
    uint8_t data[64] = {0};
    goipc_message message;

    memcpy(data, &self->rounds, sizeof self->rounds);
    EXPECT(goipc_client_write(self->client, 9, data, sizeof data) == GOIPC_ERROR_OK);
    do {
        EXPECT(goipc_client_read(self->client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
        EXPECT(message.type > 0 || message.status == GOIPC_STATUS_CONNECTING ||
               message.status == GOIPC_STATUS_CONNECTED);
    } while (message.type == GOIPC_MESSAGE_STATUS);
    EXPECT(message_is(&message, 9, data, sizeof data));
    self->rounds++;
}

static int compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;

    return a < b ? -1 : a > b;
}

enum { SAMPLE_COUNT = 1000 };

static double sample_p99(good *self)
{
    static double samples[SAMPLE_COUNT];
    size_t count = 0;

    while (count < SAMPLE_COUNT && (count == 0 || !self->stop)) {
        const double before = now_ms();

        ask(self);
        samples[count++] = now_ms() - before;
    }
    qsort(samples, count, sizeof samples[0], compare);
    return samples[count * 99 / 100 < count ? count * 99 / 100 : count - 1];
}

static void *run_good(void *context)
{
    good *self = context;

    while (!self->stop) {
        const double p99 = sample_p99(self);

        self->worst_p99_ms = p99 > self->worst_p99_ms ? p99 : self->worst_p99_ms;
    }
    return NULL;
}

/* --- hostile peers ---------------------------------------------------------------------------- */

static bool receive_hello(int peer)
{
    uint8_t hello[2];

    return raw_receive(peer, hello, 2);
}

/* Plain handshake to its end; false when the server had no place. */
static bool shake_hands(int peer)
{
    uint8_t limit[8];

    if (!receive_hello(peer)) {
        return false;
    }
    raw_send(peer, "\0", 1);
    if (!raw_receive(peer, limit, sizeof limit)) {
        return false;
    }
    raw_send(peer, "\0", 1);
    return true;
}

static void behave_badly(int peer, unsigned kind)
{
    static const uint8_t garbage[512] = {0xff, 1, 0xff, 2, 0, 0, 0};
    static const struct {
        const char *bytes;
        size_t size;
    } after_handshake[] = {
        {"\0\0\0\0", 4}, /* shorter than a type */
        {"\0\0\0\3abc", 7},
        {"\xff\xff\xff\xff", 4},       /* 4 GiB */
        {"\0\x30\0\5", 4},             /* one more than the maximum */
        {"\0\0", 2},                   /* half a length */
        {"\0\0\0\x14\0\0\0\1abc", 11}, /* half a frame */
        {"\0\0\0\4\0\0\0\0", 8},       /* control */
        {"\0\0\0\4\0\0\0\1", 8},       /* a message, and gone before the answer */
        {"", 0},
    };
    enum { AFTER_COUNT = sizeof after_handshake / sizeof after_handshake[0] };

    switch (kind % (AFTER_COUNT + 6)) {
    case 0:
        return; /* connects and goes */
    case 1:
        raw_send(peer, garbage, sizeof garbage); /* does not even listen */
        return;
    case 2:
        (void)receive_hello(peer);
        return;
    case 3:
        (void)receive_hello(peer);
        raw_send(peer, "\1", 1);
        return;
    case 4:
        (void)receive_hello(peer);
        raw_send(peer, "\xee", 1);
        return;
    case 5:
        (void)receive_hello(peer);
        raw_send(peer, garbage, 97); /* a key that is none, or replies that are none */
        return;
    default:
        if (shake_hands(peer)) {
            const size_t i = kind % (AFTER_COUNT + 6) - 6;

            raw_send(peer, after_handshake[i].bytes, after_handshake[i].size);
        }
        return;
    }
}

/* Waits until the server has let go of what it was attacked with. */
static void wait_until_alone(goipc_server *server, size_t clients, size_t descriptors)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;

    while (goipc_server_client_count(server) > clients ||
           count_entries("/proc/self/fd") > descriptors) {
        EXPECT(test_clock_ms() < until);
        (void)!poll(NULL, 0, 5);
    }
}

static void test_hostile_connections(goipc_encryption encryption, long count)
{
    const goipc_server_config config = {
        .clients_max = 8,
        .options = {.encryption = encryption, .handshake_timeout_ms = 500},
    };
    const goipc_client_config client_config = {.options.encryption = encryption,
                                               .reconnect_off = true};
    good well = {.rounds = 0};
    echo server;
    pthread_t thread;
    goipc_counters counters;
    size_t descriptors;
    long before_kib;

    echo_start(&server, &config);
    EXPECT(goipc_client_start(server.name, &client_config, &well.client) == GOIPC_ERROR_OK);
    well.quiet_p99_ms = sample_p99(&well);
    descriptors = count_entries("/proc/self/fd");
    before_kib = resident_kib();
    EXPECT(pthread_create(&thread, NULL, run_good, &well) == 0);
    for (long i = 0; i < count; i++) {
        const int peer = raw_connect(server.name);

        behave_badly(peer, (unsigned)i);
        close(peer);
    }
    well.stop = true;
    pthread_join(thread, NULL);
    ask(&well);
    wait_until_alone(server.server, 1, descriptors);
    goipc_server_counters(server.server, &counters);
    printf("%ld hostile connections (%s): %llu echoes, p99 quiet %.2f ms, worst %.2f ms, "
           "%llu refused, resident %+ld KiB\n",
           count, encryption == GOIPC_ENCRYPTION_OFF ? "plain" : "encrypted",
           (unsigned long long)well.rounds, well.quiet_p99_ms, well.worst_p99_ms,
           (unsigned long long)counters.refusals, resident_kib() - before_kib);
    EXPECT(counters.refusals + counters.connects > (uint64_t)count / 4);
    EXPECT(resident_kib() - before_kib < 16 * 1024 || TEST_INSTRUMENTED);
    goipc_client_close(well.client);
    echo_stop(&server);
}

/* --- reconnects ------------------------------------------------------------------------------- */

static void test_reconnects_are_flat(long count)
{
    const goipc_server_config config = {.clients_max = 2};
    const goipc_client_config client_config = {.reconnect_off = true};
    echo server;
    size_t descriptors = 0, threads = 0;
    long before_kib = 0;

    echo_start(&server, &config);
    for (long i = 0; i < count; i++) {
        good well = {.rounds = (uint64_t)i};

        if (i == count / 10) {
            wait_until_alone(server.server, 0, SIZE_MAX);
            descriptors = count_entries("/proc/self/fd");
            threads = count_entries("/proc/self/task");
            before_kib = resident_kib();
        }
        EXPECT(goipc_client_start(server.name, &client_config, &well.client) == GOIPC_ERROR_OK);
        ask(&well);
        goipc_client_close(well.client);
    }
    wait_until_alone(server.server, 0, descriptors);
    printf("%ld reconnects: resident %+ld KiB after the first tenth\n", count,
           resident_kib() - before_kib);
    EXPECT(count_entries("/proc/self/task") == threads);
    EXPECT(resident_kib() - before_kib < 8 * 1024 || TEST_INSTRUMENTED);
    echo_stop(&server);
}

/* --- kill ------------------------------------------------------------------------------------- */

static void be_killed_as_client(const char *name)
{
    const goipc_client_config config = {.retry_interval_ms = 5};
    goipc_client *client;
    static uint8_t data[40000];

    if (goipc_client_start(name, &config, &client) != GOIPC_ERROR_OK) {
        _exit(1);
    }
    for (;;) {
        (void)!goipc_client_write(client, 1, data, sizeof data);
    }
}

/* Each client that was ever connected is told of once as connected and once as gone. */
static void test_killed_clients(long count)
{
    const goipc_server_config config = {.clients_max = 2};
    char name[64];
    goipc_server *server;
    goipc_message message;
    goipc_error error;
    long connects = 0, disconnects = 0;
    goipc_client_id present = 0;
    unsigned random = 1;

    test_name(name);
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_OK);
    for (long i = 0; i < count; i++) {
        const pid_t child = fork();
        const double until =
            now_ms() + (double)((random = random * 1103515245u + 12345u) % 30000) / 1e3;
        int status;

        if (child == 0) {
            be_killed_as_client(name);
        }
        EXPECT(child > 0);
        do {
            error = goipc_server_read(server, now_ms() < until ? 1 : 0, &message);
            if (error == GOIPC_ERROR_OK && message.type == GOIPC_MESSAGE_STATUS) {
                connects += message.status == GOIPC_STATUS_CONNECTED ? 1 : 0;
                disconnects += message.status == GOIPC_STATUS_DISCONNECTED ? 1 : 0;
                EXPECT(message.status != GOIPC_STATUS_DISCONNECTED || message.client == present);
                EXPECT(message.status != GOIPC_STATUS_DISCONNECTED ||
                       message.error == GOIPC_ERROR_DISCONNECTED ||
                       message.error == GOIPC_ERROR_TRUNCATED);
                present = message.client;
            }
        } while (now_ms() < until);
        EXPECT(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
        do { /* all that is left of it */
            error = goipc_server_read(server, 5, &message);
            if (error == GOIPC_ERROR_OK && message.type == GOIPC_MESSAGE_STATUS) {
                connects += message.status == GOIPC_STATUS_CONNECTED ? 1 : 0;
                disconnects += message.status == GOIPC_STATUS_DISCONNECTED ? 1 : 0;
                present = message.client;
            }
        } while (error == GOIPC_ERROR_OK || goipc_server_client_count(server) > 0);
    }
    printf("%ld clients killed: %ld had connected, %ld were told as gone\n", count, connects,
           disconnects);
    EXPECT(connects == disconnects);
    EXPECT(goipc_server_client_count(server) == 0);
    goipc_server_close(server);
}

static void be_killed_as_server(const char *name)
{
    goipc_server *server;
    echo self;

    if (goipc_server_start(name, NULL, &server) != GOIPC_ERROR_OK) {
        _exit(1);
    }
    self.server = server;
    run_echo(&self);
}

/* The client reports each loss once and comes back by itself; so does the name of a dead server. */
static void test_killed_servers(long count)
{
    const goipc_client_config config = {.retry_interval_ms = 5};
    char name[64], path[108];
    goipc_client *client;
    goipc_message message;
    goipc_error error;

    test_path(test_name(name), path);
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    for (long i = 0; i < count; i++) {
        const pid_t child = fork();
        int connects = 0, disconnects = 0, status;
        bool asked = false;

        if (child == 0) {
            be_killed_as_server(name);
        }
        EXPECT(child > 0);
        do {
            EXPECT(goipc_client_read(client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
            connects += message.type < 0 && message.status == GOIPC_STATUS_CONNECTED ? 1 : 0;
            if (connects == 1 && !asked) {
                asked = true;
                EXPECT(goipc_client_write(client, 1, "x", 1) == GOIPC_ERROR_OK);
            }
        } while (message.type < 0);
        EXPECT(message_is(&message, 1, "x", 1) && connects == 1);
        EXPECT(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
        while (disconnects == 0) {
            error = goipc_client_read(client, PATIENCE_MS, &message);
            EXPECT(error == GOIPC_ERROR_OK && message.type < 0);
            disconnects += message.status == GOIPC_STATUS_DISCONNECTED ? 1 : 0;
        }
        EXPECT(goipc_client_read(client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
        EXPECT(message.status == GOIPC_STATUS_RECONNECTING);
    }
    printf("%ld servers killed: the client told each once and came back\n", count);
    goipc_client_close(client);
    (void)unlink(path);
}

/* --- a thousand clients ----------------------------------------------------------------------- */

static void test_idle_clients(long count)
{
    const goipc_server_config config = {.clients_max = (uint32_t)count + 1,
                                        .options.encryption = GOIPC_ENCRYPTION_OFF};
    struct rlimit limit;
    echo server;
    int *peers = calloc((size_t)count, sizeof *peers);
    long before_kib, per_client;
    good well = {.rounds = 0};
    const goipc_client_config client_config = {.options.encryption = GOIPC_ENCRYPTION_OFF};

    EXPECT(peers != NULL && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < (rlim_t)count * 2 + 50) {
        printf("SKIP ref.hostile.idle: %ld clients need more descriptors than are allowed\n",
               count);
        free(peers);
        return;
    }
    echo_start(&server, &config);
    EXPECT(goipc_client_start(server.name, &client_config, &well.client) == GOIPC_ERROR_OK);
    ask(&well);
    before_kib = resident_kib();
    for (long i = 0; i < count; i++) {
        uint8_t answer[8];

        peers[i] = raw_connect(server.name);
        EXPECT(shake_hands(peers[i]));
        raw_send(peers[i], "\0\0\0\4\0\0\0\1", 8); /* not quite idle from birth */
        EXPECT(raw_receive(peers[i], answer, 8));
    }
    EXPECT(goipc_server_client_count(server.server) == (size_t)count + 1);
    per_client = (resident_kib() - before_kib) * 1024 / count;
    well.quiet_p99_ms = sample_p99(&well);
    printf("%ld idle clients: %ld bytes each, p99 of another client %.2f ms\n", count, per_client,
           well.quiet_p99_ms);
    EXPECT(per_client <= 4096 || TEST_INSTRUMENTED);
    for (long i = 0; i < count; i++) {
        close(peers[i]);
    }
    goipc_client_close(well.client);
    wait_until_alone(server.server, 0, SIZE_MAX);
    echo_stop(&server);
    free(peers);
}

static long argument(int argc, char **argv, int index, long otherwise)
{
    return argc > index ? strtol(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const long hostile = argument(argc, argv, 1, 600);
    const long reconnects = argument(argc, argv, 2, 200);
    const long kills = argument(argc, argv, 3, 15);
    const long clients = argument(argc, argv, 4, 1000);

    /* Before there are threads: the children of these tests go on in C, not only exec. */
    test_killed_clients(kills);
    test_killed_servers(kills);
    test_hostile_connections(GOIPC_ENCRYPTION_OFF, hostile);
    test_hostile_connections(GOIPC_ENCRYPTION_REQUIRE, hostile);
    test_reconnects_are_flat(reconnects);
    test_idle_clients(clients);
    printf("ok %d checks\n", test_checks);
    return 0;
}
