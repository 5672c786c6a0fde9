/* SPDX-License-Identifier: MIT */
/* Goal: a crowd that never becomes clients keeps nobody out, costs the clients that are there next
 * to nothing, and does not outlive the server. Method: raw peers that say nothing, go too early or
 * make the server compute for nothing, one thread that runs server and clients in turn, and a
 * crypto table that counts the operations on the curve. */
#include "endpoint_pair.h"

/* --- what handshakes cost --------------------------------------------------------------------- */

/* The library's own numbers, from server.c. */
enum { DISTRUST_MIN = 8, PACE_MESSAGES = 256, PACE_MS = 50, PENDING_MAX = 128 };

typedef struct counted {
    goipc_crypto crypto;
    unsigned steps; /* operations on the curve that were begun */
} counted;

static goipc_error count_public(void *context, const uint8_t private_key[48],
                                uint8_t public_key[97])
{
    counted *self = context;

    self->steps++;
    return goipc_crypto_default()->p384_public(NULL, private_key, public_key);
}

static goipc_error count_shared(void *context, const uint8_t private_key[48],
                                const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    counted *self = context;

    self->steps++;
    return goipc_crypto_default()->p384_shared(NULL, private_key, peer_public_key, shared_x);
}

/* A server that counts, and a client. */
static void start_counted(counted *self, test_pair *pair, uint32_t clients_max)
{
    const goipc_client_config client = {.reconnect_off = true};
    goipc_server_config config = {.clients_max = clients_max, .options.crypto = &self->crypto};

    *self = (counted){.crypto = *goipc_crypto_default()};
    EXPECT(self->crypto.context == NULL); /* the library's tables need none: this one may have it */
    self->crypto.context = self;
    self->crypto.p384_public = count_public;
    self->crypto.p384_shared = count_shared;
    pair_start(pair, config, client);
    self->steps = 0;
}

static uint64_t refusals_of(goipc_server *server)
{
    goipc_counters counters;

    goipc_server_counters(server, &counters);
    return counters.refusals;
}

/* Lets the server do all that it can do now. */
static void settle(goipc_server *server)
{
    goipc_message message;

    for (int i = 0; i < 20; i++) {
        EXPECT(goipc_server_read(server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    }
}

static void wait_for_refusals(goipc_server *server, uint64_t wanted)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_message message;

    while (refusals_of(server) < wanted) {
        EXPECT(test_clock_ms() < until);
        EXPECT(goipc_server_read(server, 1, &message) == GOIPC_ERROR_TIMEOUT);
    }
}

static int peer_that_agrees(const char *name)
{
    const int peer = raw_connect(name);

    raw_send(peer, "\0", 1);
    return peer;
}

/* Costs the server one operation, and is refused. */
static void waste_one(test_pair *pair)
{
    const uint8_t no_key[GOIPC_P384_PUBLIC_SIZE] = {0};
    const int peer = peer_that_agrees(pair->name);

    raw_send(peer, no_key, sizeof no_key);
    wait_for_refusals(pair->server, refusals_of(pair->server) + 1);
    close(peer);
}

static void make_distrustful(counted *self, test_pair *pair)
{
    for (int i = 0; i < DISTRUST_MIN; i++) {
        const unsigned steps = self->steps;

        waste_one(pair);
        EXPECT(self->steps > steps);
    }
}

/* --- tests ------------------------------------------------------------------------------------ */

/* More than are let wait: the oldest go, and whoever speaks gets in long before the others' time is
 * over. */
static void test_silent_crowd_keeps_nobody_out(void)
{
    enum { SILENT_COUNT = PENDING_MAX + 40 };
    int silent[SILENT_COUNT];
    goipc_client *client;
    goipc_message message;
    test_pair pair;
    const goipc_server_config config = {.clients_max = 2,
                                        .options.handshake_timeout_ms = PATIENCE_MS};
    const goipc_client_config client_config = {.reconnect_off = true};

    pair_start(&pair, config, client_config);
    for (int i = 0; i < SILENT_COUNT; i++) {
        silent[i] = raw_connect(pair.name);
        settle(pair.server);
    }
    EXPECT(refusals_of(pair.server) == SILENT_COUNT - PENDING_MAX - config.clients_max);
    EXPECT(goipc_client_start(pair.name, &client_config, &client) == GOIPC_ERROR_OK);
    while (goipc_client_status(client) != GOIPC_STATUS_CONNECTED) {
        const goipc_error error = goipc_client_read(client, 1, &message);

        EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_TIMEOUT);
        (void)!goipc_server_read(pair.server, 1, &message);
    }
    for (int i = 0; i < SILENT_COUNT; i++) {
        close(silent[i]);
    }
    goipc_client_close(client);
    pair_close(&pair);
}

/* What was sent by a peer that has gone is read, but nothing is computed for it. */
static void test_who_has_gone_costs_nothing(void)
{
    enum { GONE_COUNT = 20 };
    test_pair pair;
    counted self;

    start_counted(&self, &pair, 4);
    for (int i = 0; i < GONE_COUNT; i++) {
        close(peer_that_agrees(pair.name));
    }
    wait_for_refusals(pair.server, GONE_COUNT);
    EXPECT(self.steps == 0);
    pair_close(&pair);
}

/* How many operations the server begins for one peer while its client sends `count` messages. */
static unsigned steps_beside_messages(counted *self, test_pair *pair, int count)
{
    const unsigned before = self->steps;

    for (int i = 0; i < count; i++) {
        goipc_message message;

        EXPECT(goipc_client_write(pair->client, 1, "x", 1) == GOIPC_ERROR_OK);
        message = server_expect_data(pair->server);
        EXPECT(message_is(&message, 1, "x", 1));
    }
    return self->steps - before;
}

/* After some operations in vain the next ones wait for messages or for time, as long as there is a
 * client to be spared. */
static void test_handshakes_are_paced(void)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    test_pair pair;
    goipc_message message;
    counted self;
    int64_t paced_ms, begun_ms = 0;
    unsigned steps;
    int peer;

    start_counted(&self, &pair, 4);
    make_distrustful(&self, &pair);
    paced_ms = test_clock_ms(); /* not after the one that is done next, from which on is counted */
    waste_one(&pair);
    peer = peer_that_agrees(pair.name);
    steps = self.steps;
    settle(pair.server);
    EXPECT(self.steps == steps || test_clock_ms() - paced_ms >= PACE_MS);
    EXPECT(goipc_server_poll_timeout_ms(pair.server) <= PACE_MS);
    while (self.steps == steps) { /* time alone is enough */
        begun_ms = test_clock_ms();
        EXPECT(begun_ms < until);
        EXPECT(goipc_server_read(pair.server, 1, &message) == GOIPC_ERROR_TIMEOUT);
    }
    EXPECT(test_clock_ms() - paced_ms >= PACE_MS);
    close(peer);
    wait_for_refusals(pair.server, DISTRUST_MIN + 2);

    peer = peer_that_agrees(pair.name);
    steps = steps_beside_messages(&self, &pair, PACE_MESSAGES / 2);
    EXPECT(steps == 0 || test_clock_ms() - begun_ms >= PACE_MS);
    steps += steps_beside_messages(&self, &pair, PACE_MESSAGES); /* and messages alone are, too */
    EXPECT(steps == 1);
    close(peer);
    pair_close(&pair);
}

/* A newcomer gets in beside a crowd that came first, and takes some of the distrust away. */
static void test_newcomer_goes_first(void)
{
    enum { HELD_COUNT = 40 };
    const goipc_client_config config = {.reconnect_off = true};
    goipc_client *newcomer;
    int held[HELD_COUNT];
    unsigned steps;
    goipc_message message;
    test_pair pair;
    counted self;

    start_counted(&self, &pair, 4);
    make_distrustful(&self, &pair);
    for (int i = 0; i < HELD_COUNT; i++) {
        held[i] = peer_that_agrees(pair.name);
    }
    settle(pair.server);
    steps = self.steps;
    EXPECT(goipc_client_start(pair.name, &config, &newcomer) == GOIPC_ERROR_OK);
    while (goipc_server_client_count(pair.server) < 2) {
        (void)!goipc_client_read(newcomer, 1, &message);
        (void)!goipc_server_read(pair.server, 1, &message);
    }
    EXPECT(self.steps - steps < HELD_COUNT / 2); /* two are its own */
    steps = self.steps;
    settle(pair.server);
    EXPECT(self.steps - steps >= 10); /* one by one, but not paced any more */
    for (int i = 0; i < HELD_COUNT; i++) {
        close(held[i]);
    }
    goipc_client_close(newcomer);
    pair_close(&pair);
}

/* Those that were held back when the last client went are served like any others. */
static void test_nobody_to_be_spared(void)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_message message;
    test_pair pair;
    counted self;
    unsigned steps;
    int peers[4];

    start_counted(&self, &pair, 4);
    make_distrustful(&self, &pair);
    steps = self.steps;
    for (int i = 0; i < 4; i++) {
        peers[i] = peer_that_agrees(pair.name);
    }
    waste_one(&pair); /* so that the next is due only in a while */
    goipc_client_close(pair.client);
    pair.client = NULL;
    (void)server_expect_status(pair.server, GOIPC_STATUS_DISCONNECTED);
    while (self.steps < steps + 4) { /* each of them has its turn, before or now */
        EXPECT(test_clock_ms() < until);
        (void)!goipc_server_read(pair.server, 1, &message);
    }
    for (int i = 0; i < 4; i++) {
        close(peers[i]);
    }
    pair_close(&pair);
}

/* The server closes while a client's queue is full, connections wait to be accepted or are held
 * back, and a child that was forked keeps all its descriptors. */
static void test_close_amid_a_crowd(void)
{
    static const uint8_t data[100000];
    const goipc_client_config client = {.reconnect_off = true};
    const goipc_server_config config = {
        .clients_max = 4,
        .options = {.write_timeout_ms = GOIPC_NO_WAIT, .close_timeout_ms = 100},
    };
    int hold[2], peers[4], status;
    test_pair pair;
    pid_t child;
    char byte;

    pair_start(&pair, config, client);
    for (int i = 0; i < 2; i++) {
        peers[i] = peer_that_agrees(pair.name);
    }
    settle(pair.server);
    while (goipc_server_write(pair.server, pair.id, 1, data, sizeof data) == GOIPC_ERROR_OK) {
    }
    EXPECT(pipe(hold) == 0);
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1); /* until the parent lets go */
    }
    close(hold[0]);
    for (int i = 2; i < 4; i++) {
        peers[i] = raw_connect(pair.name);
    }
    goipc_server_close(pair.server);
    pair.server = NULL;
    close(hold[1]);
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < 4; i++) {
        close(peers[i]);
    }
    pair_close(&pair);
}

int main(void)
{
    /* Before there is more to inherit than it is about. */
    test_close_amid_a_crowd();
    test_silent_crowd_keeps_nobody_out();
    test_who_has_gone_costs_nothing();
    test_handshakes_are_paced();
    test_newcomer_goes_first();
    test_nobody_to_be_spared();
    printf("ok %d checks\n", test_checks);
    return 0;
}
