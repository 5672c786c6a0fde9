/* SPDX-License-Identifier: MIT */
/* Goal: hostile, broken and vanishing peers cost the server nothing but a status message: a good
 * client loses no message and waits for at most one step of a handshake, and memory and descriptors
 * stay flat. Method: a good client echoes in a thread of its own while peers of every kind come and
 * go, many at once. Since a loaded machine delays everybody, what is judged is not the clock but
 * how many steps were begun, in all and between the writing of a message and its delivery.
 * Arguments: how many hostile connections, reconnects, kills and clients; the defaults are for
 * every day; only with the long ones, on a machine that is quiet, is the clock judged, too. */
#define _GNU_SOURCE

#include "endpoint_pair.h"

#ifdef __linux__
#include <sched.h>
#endif
#include <signal.h>
#include <stdatomic.h>
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

/* --- what handshakes cost: a crypto table that counts their steps ----------------------------- */

/* server.c paces them once there were a few in vain; a burst may begin before. */
enum { PACE_MESSAGES = 256, PACE_MS = 50, STEPS_UNPACED = 40 };

static atomic_ulong steps_begun;
static goipc_crypto counting_crypto;

static goipc_error count_public(void *context, const uint8_t private_key[48],
                                uint8_t public_key[97])
{
    steps_begun++;
    return goipc_crypto_default()->p384_public(context, private_key, public_key);
}

static goipc_error count_shared(void *context, const uint8_t private_key[48],
                                const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    steps_begun++;
    return goipc_crypto_default()->p384_shared(context, private_key, peer_public_key, shared_x);
}

static void make_counting_crypto(void)
{
    counting_crypto = *goipc_crypto_default();
    counting_crypto.p384_public = count_public;
    counting_crypto.p384_shared = count_shared;
}

/* --- a server that echoes --------------------------------------------------------------------- */

typedef struct echo {
    goipc_server *server;
    char name[64];
    pthread_t thread;
} echo;

/* The answer tells how many steps had begun when the question was delivered. */
static void note_steps(uint8_t answer[64])
{
    const unsigned long steps = atomic_load(&steps_begun);

    memcpy(answer + 32, &steps, sizeof steps);
}

static unsigned long steps_at_delivery(const uint8_t answer[64])
{
    unsigned long steps;

    memcpy(&steps, answer + 32, sizeof steps);
    return steps;
}

static void *run_echo(void *context)
{
    echo *self = context;
    goipc_message message;
    goipc_error error;

    while ((error = goipc_server_read(self->server, GOIPC_FOREVER, &message)) == GOIPC_ERROR_OK) {
        if (message.type > 0) {
            uint8_t answer[64];
            const bool is_question = message.data_size == sizeof answer;

            if (is_question) {
                memcpy(answer, message.data, sizeof answer);
                note_steps(answer);
            }
            error = goipc_server_write(self->server, message.client, (uint32_t)message.type,
                                       is_question ? answer : message.data, message.data_size);
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

/* --- times ------------------------------------------------------------------------------------ */

/* Times of up to 100 ms in steps of 1 us; longer ones count as that. */
enum { TIME_MAX_US = 100000 };

typedef struct times {
    uint64_t count;
    uint32_t at[TIME_MAX_US + 1];
} times;

static void times_add(times *self, double ms)
{
    const double us = ms * 1e3;

    self->at[us < (double)TIME_MAX_US ? (size_t)us : TIME_MAX_US]++;
    self->count++;
}

/* What `share` (0 to 1) of all do not exceed, in milliseconds. */
static double times_quantile(const times *self, double share)
{
    uint64_t left = (uint64_t)((double)(self->count - 1) * share);
    size_t us = 0;

    while (us < TIME_MAX_US && left >= self->at[us]) {
        left -= self->at[us++];
    }
    return (double)(us + 1) / 1e3;
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* --- the good client -------------------------------------------------------------------------- */

typedef struct good {
    goipc_client *client;
    _Atomic bool stop;
    uint64_t rounds;
    times waited;
    unsigned long steps_max; /* of handshakes, begun while one message waited for delivery */
} good;

static void ask(good *self)
{
    uint8_t data[64] = {0};
    const uint64_t round = self->rounds++;
    const double before = now_ms();
    goipc_message message;
    unsigned long steps;

    memcpy(data, &round, sizeof round);
    EXPECT(goipc_client_write(self->client, 9, data, sizeof data) == GOIPC_ERROR_OK);
    /* Read when the message is on its way: late, it finds too little, never too much. */
    steps = atomic_load(&steps_begun);
    do {
        EXPECT(goipc_client_read(self->client, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
        EXPECT(message.type > 0 || message.status == GOIPC_STATUS_CONNECTING ||
               message.status == GOIPC_STATUS_CONNECTED);
    } while (message.type == GOIPC_MESSAGE_STATUS);
    times_add(&self->waited, now_ms() - before);
    EXPECT(message.type == 9 && message.data_size == sizeof data);
    EXPECT(memcmp(message.data, &round, sizeof round) == 0);
    memcpy(&data, message.data, sizeof data);
    steps = steps_at_delivery(data) > steps ? steps_at_delivery(data) - steps : 0;
    self->steps_max = steps > self->steps_max ? steps : self->steps_max;
}

static void *run_good(void *context)
{
    good *self = context;

    while (!self->stop) {
        ask(self);
    }
    return NULL;
}

/* A good client that has echoed `count` messages while it was alone. */
static good *good_start(const char *name, const goipc_client_config *config, int count)
{
    good *self = calloc(1, sizeof *self);

    EXPECT(self != NULL);
    EXPECT(goipc_client_start(name, config, &self->client) == GOIPC_ERROR_OK);
    ask(self); /* connects */
    for (int i = 0; i < count; i++) {
        ask(self);
    }
    return self;
}

static void good_close(good *self)
{
    goipc_client_close(self->client);
    free(self);
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

static uint8_t peer_key[GOIPC_P384_PUBLIC_SIZE];

static void choose_peer_key(void)
{
    static const uint8_t private_key[48] = {[47] = 7};
    const goipc_crypto *crypto = goipc_crypto_default();

    EXPECT(crypto->p384_public(crypto->context, private_key, peer_key) == GOIPC_ERROR_OK);
}

/* Everything that makes an encrypting server compute, at once, without listening. */
static void demand_work(int peer, unsigned kind)
{
    uint8_t bytes[1 + GOIPC_P384_PUBLIC_SIZE + 1 + 40] = {0};

    memcpy(bytes + 1, peer_key, sizeof peer_key);
    if (kind % 4 == 0) {
        bytes[1 + GOIPC_P384_PUBLIC_SIZE - 1] ^= 1; /* not on the curve */
    }
    /* Without or with the last reply and a frame that is none. */
    raw_send(peer, bytes, kind % 4 < 2 ? 1 + sizeof peer_key : sizeof bytes);
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

/* --- hostile peers that know the protocol ----------------------------------------------------- */

/* Moves bytes both ways until the session has another event than NEED_INPUT; false at the end. */
static bool run_session(goipc_session *session, int peer, goipc_event *event)
{
    while (goipc_session_next_event(session, event) == GOIPC_ERROR_OK) {
        uint8_t *in;
        const uint8_t *out;
        size_t capacity, size;
        ssize_t got;

        goipc_session_output(session, &out, &size);
        raw_send(peer, out, size);
        goipc_session_output_consume(session, size);
        if (event->type != GOIPC_EVENT_NEED_INPUT) {
            return true;
        }
        EXPECT(goipc_session_input(session, &in, &capacity) == GOIPC_ERROR_OK);
        got = recv(peer, in, capacity, 0);
        if (got <= 0) {
            return false;
        }
        EXPECT(goipc_session_input_commit(session, (size_t)got) == GOIPC_ERROR_OK);
    }
    return false;
}

/* A frame that is right but for what `kind` does to it. */
static void send_forged(goipc_session *session, int peer, unsigned kind)
{
    uint8_t frame[4 + GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE + 5];
    const uint8_t *out;
    size_t size;

    EXPECT(goipc_session_send(session, 1, "hello", 5) == GOIPC_ERROR_OK);
    goipc_session_output(session, &out, &size);
    EXPECT(size == sizeof frame);
    memcpy(frame, out, size);
    switch (kind % 5) {
    case 0:
        frame[size - 1] ^= 1; /* its tag */
        break;
    case 1:
        frame[4 + GOIPC_NONCE_SIZE] ^= 1; /* its ciphertext */
        break;
    case 2:
        frame[3] = GOIPC_SEAL_OVERHEAD; /* no room for a type */
        break;
    case 3:
        size -= 3; /* and goes in the middle of it */
        break;
    default:
        raw_send(peer, frame, size); /* twice, which the protocol cannot tell */
        break;
    }
    raw_send(peer, frame, size);
}

/* Waits for every answer, so that the server has to give it. */
static void insist(int peer, unsigned kind)
{
    const goipc_session_config config = {.role = GOIPC_ROLE_CLIENT};
    uint8_t answer[2 + GOIPC_P384_PUBLIC_SIZE];
    goipc_session *session;
    goipc_event event;

    if (kind % 2 == 0) {
        const uint8_t no_key[GOIPC_P384_PUBLIC_SIZE] = {4};

        raw_send(peer, "", 1);
        if (raw_receive(peer, answer, sizeof answer)) {
            raw_send(peer, no_key, sizeof no_key);
            (void)raw_receive(peer, answer, 1);
        }
        return;
    }
    EXPECT(goipc_session_new(&config, &session) == GOIPC_ERROR_OK);
    if (run_session(session, peer, &event)) {
        EXPECT(event.type == GOIPC_EVENT_CONNECTED);
        send_forged(session, peer, kind / 2);
    }
    goipc_session_free(session);
}

/* --- processors ------------------------------------------------------------------------------- */

/* The good client and its server share a processor, and who attacks has another. Else the system
 * moves the two apart and together again as it likes: where each wake-up crosses processors, a
 * virtual machine takes 0.3 to 0.5 ms for a round trip instead of 0.03, for dozens of them in a row
 * and whether or not there is an attack, which hides what the server does about one. */
typedef enum share { SHARE_ALL, SHARE_GOOD, SHARE_HOSTILE } share;

/* Keeps this thread, and those that it creates, to its share; false where there is only one. */
static bool keep_to(share wanted)
{
#ifdef __linux__
    static cpu_set_t all;
    cpu_set_t set;
    bool is_first = true;

    if (CPU_COUNT(&all) == 0) {
        EXPECT(sched_getaffinity(0, sizeof all, &all) == 0);
    }
    CPU_ZERO(&set);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all)) {
            if (wanted == SHARE_ALL || is_first == (wanted == SHARE_GOOD)) {
                CPU_SET(i, &set);
            }
            is_first = false;
        }
    }
    return CPU_COUNT(&all) > 1 && sched_setaffinity(0, sizeof set, &set) == 0;
#else
    (void)wanted;
    return false;
#endif
}

/* --- the attack ------------------------------------------------------------------------------- */

/* Waits until the server has let go of what it was attacked with. */
static void wait_until_alone(goipc_server *server, size_t clients, size_t descriptors)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;

    while (goipc_server_client_count(server) > clients ||
           test_count_entries("/proc/self/fd") > descriptors) {
        EXPECT(test_clock_ms() < until);
        (void)!poll(NULL, 0, 5);
    }
}

static void attack(const char *name, goipc_encryption encryption, long count)
{
    enum { WAVE_COUNT = 32 };
    int peers[WAVE_COUNT];

    for (long wave = 0; wave < count / WAVE_COUNT; wave++) {
        const bool demands = encryption == GOIPC_ENCRYPTION_REQUIRE && wave % 2 == 0;

        for (long i = 0; i < WAVE_COUNT; i++) {
            peers[i] = raw_connect(name);
            if (demands && i > 0) {
                demand_work(peers[i], (unsigned)i);
            }
        }
        if (demands) {
            insist(peers[0], (unsigned)(wave / 2));
        }
        for (long i = 0; i < WAVE_COUNT; i++) {
            if (!demands) {
                behave_badly(peers[i], (unsigned)(wave * WAVE_COUNT + i));
            }
            close(peers[i]);
        }
    }
}

/* From so many connections on the clock is judged: p99 against that of the quiet time before. */
enum { JUDGED_COUNT = 20000, SLOWER_MAX = 5 };

static void test_hostile_connections(goipc_encryption encryption, long count, int quiet_count)
{
    const goipc_server_config config = {
        .clients_max = 8,
        .options = {.encryption = encryption,
                    /* Nobody here waits for its end: peers go by themselves. */
                    .handshake_timeout_ms = test_is_slow() ? PATIENCE_MS : 500,
                    .crypto = &counting_crypto},
    };
    const goipc_client_config client_config = {.options.encryption = encryption,
                                               .reconnect_off = true};
    unsigned long steps_before, steps;
    double begun_ms, pace;
    bool apart;
    echo server;
    pthread_t thread;
    goipc_counters counters;
    good *well;
    double quiet_ms;
    size_t descriptors;
    long before_kib;

    (void)!keep_to(SHARE_GOOD);
    echo_start(&server, &config);
    well = good_start(server.name, &client_config, quiet_count);
    quiet_ms = times_quantile(&well->waited, 0.99);
    well->waited = (times){.count = 0};
    descriptors = test_count_entries("/proc/self/fd");
    before_kib = resident_kib();
    steps_before = steps_begun;
    begun_ms = now_ms();
    EXPECT(pthread_create(&thread, NULL, run_good, well) == 0);
    apart = keep_to(SHARE_HOSTILE);
    attack(server.name, encryption, count);
    (void)!keep_to(SHARE_ALL);
    well->stop = true;
    pthread_join(thread, NULL);
    ask(well);
    steps = steps_begun - steps_before;
    pace = (double)well->waited.count / (double)PACE_MESSAGES +
           (now_ms() - begun_ms) / (double)PACE_MS;
    wait_until_alone(server.server, 1, descriptors);
    goipc_server_counters(server.server, &counters);
    printf("%ld hostile connections (%s): %llu echoes in p50 %.3f, p99 %.3f, p99.9 %.3f ms (quiet "
           "p99 %.3f ms), at most %lu of %lu steps of handshakes during one, %llu refused, %.1f s, "
           "resident %+ld KiB\n",
           count, encryption == GOIPC_ENCRYPTION_OFF ? "plain" : "encrypted",
           (unsigned long long)well->waited.count, times_quantile(&well->waited, 0.5),
           times_quantile(&well->waited, 0.99), times_quantile(&well->waited, 0.999), quiet_ms,
           well->steps_max, steps, (unsigned long long)counters.refusals,
           (now_ms() - begun_ms) / 1e3, resident_kib() - before_kib);
    EXPECT(counters.refusals + counters.connects > (uint64_t)count / 4);
    EXPECT(resident_kib() - before_kib < 16 * 1024 || TEST_INSTRUMENTED ||
           test_leaves_out("memory"));
    EXPECT(encryption == GOIPC_ENCRYPTION_OFF || steps > (uint64_t)count / 80);
    EXPECT((double)steps < pace + (double)STEPS_UNPACED);
    EXPECT(well->steps_max <= 1);
    if (apart && count >= JUDGED_COUNT) {
        EXPECT(times_quantile(&well->waited, 0.99) <= (double)SLOWER_MAX * quiet_ms);
    }
    good_close(well);
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
        if (i == count / 10) {
            wait_until_alone(server.server, 0, SIZE_MAX);
            descriptors = test_count_entries("/proc/self/fd");
            threads = test_count_entries("/proc/self/task");
            before_kib = resident_kib();
        }
        good_close(good_start(server.name, &client_config, 0));
    }
    wait_until_alone(server.server, 0, descriptors);
    printf("%ld reconnects: resident %+ld KiB after the first tenth\n", count,
           resident_kib() - before_kib);
    EXPECT(test_count_entries("/proc/self/task") == threads);
    EXPECT(resident_kib() - before_kib < 8 * 1024 || TEST_INSTRUMENTED ||
           test_leaves_out("memory"));
    echo_stop(&server);
}

/* Bytes that are allocated now, by both sides of a connection. */
static atomic_long live_size;

static void *count_allocation(void *context, size_t size)
{
    (void)context;
    live_size += (long)size;
    return malloc(size);
}

static void count_release(void *context, void *memory, size_t size)
{
    (void)context;
    live_size -= (long)size;
    free(memory);
}

static const goipc_allocator counting_allocator = {NULL, count_allocation, count_release};

/* One client that is sent away and comes back, time and again: with every return there is exactly
 * as much memory in use as the first time, and in the end none. */
static void test_one_client_reconnects_flat(long count)
{
    const goipc_server_config config = {.options.allocator = &counting_allocator};
    const goipc_client_config client_config = {.retry_interval_ms = 5,
                                               .options.allocator = &counting_allocator};
    long before_size = 0;
    test_pair pair;

    pair_start(&pair, config, client_config);
    for (long i = 0; i < count; i++) {
        goipc_message message;

        EXPECT(goipc_client_write(pair.client, 1, "ask", 3) == GOIPC_ERROR_OK);
        message = server_expect_data(pair.server);
        EXPECT(goipc_server_write(pair.server, message.client, 1, "answer", 6) == GOIPC_ERROR_OK);
        message = client_expect_data(pair.client);
        EXPECT(message_is(&message, 1, "answer", 6));
        /* One more look each, at what leaves and has left. */
        EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
        EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
        before_size = i == 1 ? live_size : before_size;
        EXPECT(i < 2 || live_size == before_size);
        EXPECT(goipc_server_disconnect(pair.server, pair.id) == GOIPC_ERROR_OK);
        (void)server_expect_status(pair.server, GOIPC_STATUS_DISCONNECTED);
        (void)client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
        (void)client_expect_status(pair.client, GOIPC_STATUS_RECONNECTING);
        pair_connect(&pair);
    }
    pair_close(&pair);
    EXPECT(live_size == 0);
    printf("%ld returns of one client: %ld bytes in use each time\n", count, before_size);
}

/* --- kill ------------------------------------------------------------------------------------- */

/* The child of the moment: a failed check must not leave it behind. */
static pid_t victim;

static void kill_victim(void)
{
    if (victim > 0) {
        (void)kill(victim, SIGKILL);
    }
}

static void kill_and_wait(void)
{
    int status;

    EXPECT(kill(victim, SIGKILL) == 0 && waitpid(victim, &status, 0) == victim);
    victim = 0;
}

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

        if (child == 0) {
            be_killed_as_client(name);
        }
        EXPECT(child > 0);
        victim = child;
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
        kill_and_wait();
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

/* What a client was told, which is to be in order: connected, gone, reconnecting. */
typedef struct told {
    long connects;
    long disconnects;
    long answers;
    goipc_status last;
} told;

/* One step: a question on its way, and what has come. */
static void talk_once(goipc_client *client, told *seen)
{
    static const uint8_t data[40000];
    goipc_message message;

    (void)!goipc_client_write(client, 1, data, sizeof data);
    if (goipc_client_read(client, 1, &message) != GOIPC_ERROR_OK) {
        return;
    }
    if (message.type > 0) {
        EXPECT(message_is(&message, 1, data, sizeof data));
        seen->answers++;
        return;
    }
    if (message.status == GOIPC_STATUS_CONNECTED) {
        EXPECT(seen->last == GOIPC_STATUS_CONNECTING || seen->last == GOIPC_STATUS_RECONNECTING);
        seen->connects++;
    } else if (message.status == GOIPC_STATUS_DISCONNECTED) {
        EXPECT(seen->last == GOIPC_STATUS_CONNECTED);
        EXPECT(message.error == GOIPC_ERROR_DISCONNECTED || message.error == GOIPC_ERROR_TRUNCATED);
        seen->disconnects++;
    } else if (message.status == GOIPC_STATUS_RECONNECTING) {
        EXPECT(seen->last == GOIPC_STATUS_DISCONNECTED);
    } else {
        EXPECT(message.status == GOIPC_STATUS_CONNECTING && seen->connects == 0);
    }
    seen->last = message.status;
}

/* The client reports each loss once and comes back by itself; so does the name of a dead server.
 * Every second server is killed at any moment of its start and its handshake, the others while
 * messages of many reads go both ways. */
static void test_killed_servers(long count)
{
    const goipc_client_config config = {.retry_interval_ms = 5,
                                        .options.write_timeout_ms = GOIPC_NO_WAIT};
    char name[64], path[108];
    goipc_client *client;
    told seen = {.last = GOIPC_STATUS_CONNECTING};
    unsigned random = 1;

    test_path(test_name(name), path);
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    for (long i = 0; i <= count; i++) { /* and one more, which has to answer */
        const double limit = now_ms() + (double)PATIENCE_MS;
        const long answers = seen.answers;
        const double delay =
            (double)((random = random * 1103515245u + 12345u) / 65536 % 20000) / 1e3;
        double until = now_ms() + delay;
        const pid_t child = fork();

        if (child == 0) {
            be_killed_as_server(name);
        }
        EXPECT(child > 0);
        victim = child;
        while (now_ms() < until || ((i % 2 != 0 || i == count) && seen.answers == answers)) {
            EXPECT(now_ms() < limit);
            talk_once(client, &seen);
            if (i % 2 != 0 && seen.answers == answers) {
                until = now_ms() + delay; /* from the first answer on */
            }
        }
        kill_and_wait();
        while (seen.connects != seen.disconnects) { /* until it knows */
            EXPECT(now_ms() < limit);
            talk_once(client, &seen);
        }
        EXPECT(seen.connects <= i + 1); /* once to each; it may hear of it when that has gone */
    }
    printf("%ld servers killed: the client had connected to %ld, was told so once and came back\n",
           count + 1, seen.connects);
    EXPECT(seen.connects > count / 2);
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
    good *well;
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
    well = good_start(server.name, &client_config, 0);
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
    for (int i = 0; i < 1000; i++) {
        ask(well);
    }
    printf("%ld idle clients: %ld bytes each, p99 of another client %.3f ms\n", count, per_client,
           times_quantile(&well->waited, 0.99));
    EXPECT(per_client <= 4096 || TEST_INSTRUMENTED || test_leaves_out("memory"));
    for (long i = 0; i < count; i++) {
        close(peers[i]);
    }
    good_close(well);
    wait_until_alone(server.server, 0, SIZE_MAX);
    echo_stop(&server);
    free(peers);
}

/* Many clients with keys of their own, which all have messages under way at once: each gets its own
 * answers, in order. */
static void test_talking_clients(long count)
{
    enum { ROUND_COUNT = 3, AT_ONCE = 4 };
    const goipc_server_config config = {.clients_max = (uint32_t)count};
    goipc_client **clients = calloc((size_t)count, sizeof(goipc_client *));
    struct rlimit limit;
    double begun_ms;
    echo server;

    EXPECT(clients != NULL && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < (rlim_t)count * 8 + 50) {
        printf("SKIP ref.hostile.talking: %ld clients need more descriptors than are allowed\n",
               count);
        free(clients);
        return;
    }
    echo_start(&server, &config);
    begun_ms = now_ms();
    for (long i = 0; i < count; i++) {
        const goipc_client_config client_config = {.reconnect_off = true,
                                                   .options.write_timeout_ms = PATIENCE_MS};

        EXPECT(goipc_client_start(server.name, &client_config, &clients[i]) == GOIPC_ERROR_OK);
        EXPECT(goipc_client_write(clients[i], 1, "first", 5) == GOIPC_ERROR_OK);
    }
    for (long i = 0; i < count; i++) {
        const goipc_message message = client_expect_data(clients[i]);

        EXPECT(message_is(&message, 1, "first", 5) && goipc_client_is_encrypted(clients[i]));
    }
    EXPECT(goipc_server_client_count(server.server) == (size_t)count);
    for (long round = 0; round < ROUND_COUNT; round++) {
        for (long i = 0; i < count * AT_ONCE; i++) {
            const long data[2] = {i, round};

            EXPECT(goipc_client_write(clients[i % count], 2, data, sizeof data) == GOIPC_ERROR_OK);
        }
        for (long i = 0; i < count * AT_ONCE; i++) {
            const long data[2] = {i, round};
            const goipc_message message = client_expect_data(clients[i % count]);

            EXPECT(message_is(&message, 2, data, sizeof data));
        }
    }
    printf("%ld encrypted clients talked: %.1f s\n", count, (now_ms() - begun_ms) / 1e3);
    for (long i = 0; i < count; i++) {
        goipc_client_close(clients[i]);
    }
    wait_until_alone(server.server, 0, SIZE_MAX);
    echo_stop(&server);
    free(clients);
}

static long argument(int argc, char **argv, int index, long otherwise)
{
    return argc > index ? strtol(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const long hostile = argument(argc, argv, 1, test_amount("hostile connections", 600, 100));
    const long reconnects = argument(argc, argv, 2, test_amount("reconnects", 200, 40));
    const long kills = argument(argc, argv, 3, test_amount("killed peers", 15, 5));
    const long clients = argument(argc, argv, 4, test_amount("idle clients", 1000, 100));
    const int quiet = hostile >= JUDGED_COUNT ? 20000 : 1000;

    make_counting_crypto();
    choose_peer_key();
    /* Before there are threads: the children of these tests go on in C, not only exec. */
    EXPECT(atexit(kill_victim) == 0);
    test_killed_clients(kills);
    test_killed_servers(kills);
    test_hostile_connections(GOIPC_ENCRYPTION_OFF, hostile, quiet);
    test_hostile_connections(GOIPC_ENCRYPTION_REQUIRE, hostile, quiet);
    test_reconnects_are_flat(reconnects);
    test_one_client_reconnects_flat(reconnects);
    test_idle_clients(clients);
    test_talking_clients(hostile > 10000 ? clients : clients / 10);
    printf("ok %d checks\n", test_checks);
    return 0;
}
