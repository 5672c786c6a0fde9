/* SPDX-License-Identifier: MIT */
/* Goal: what the header promises of time, loss, silence and interruption, where a wrong answer
 * would be easy to overlook: how long a client pauses before it tries again, when it gives up, what
 * becomes of messages that were not sent, what a log never says, what ends a write that waits.
 * Method: endpoints that one thread moves along, so that every step is seen; raw peers; a crypto
 * table that remembers what is secret. */
#define _GNU_SOURCE

#include "endpoint_pair.h"

#include <fcntl.h>

/* --- pauses between attempts ------------------------------------------------------------------ */

enum { PAUSE_FIRST_MS = 2, PAUSE_LONGEST_MS = 100, GROWTH_COUNT = 12, DIFFERENCE_COUNT = 100 };

/* A listener that lets nobody in, and its client. */
typedef struct refused {
    int listener;
    char path[108];
    goipc_client *client;
    int32_t shortest_ms; /* the last pause took from this */
    int32_t longest_ms;  /* to this */
} refused;

static int raw_listen(const char *path)
{
    const struct sockaddr_un address = raw_address(path);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);

    EXPECT(descriptor >= 0);
    EXPECT(fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0);
    EXPECT(bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(listen(descriptor, 4) == 0);
    return descriptor;
}

static void refuse_start(refused *self)
{
    const goipc_client_config config = {.retry_interval_ms = PAUSE_LONGEST_MS};
    char name[64];

    test_path(test_name(name), self->path);
    self->listener = raw_listen(self->path);
    EXPECT(goipc_client_start(name, &config, &self->client) == GOIPC_ERROR_OK);
}

static void refuse_end(refused *self)
{
    goipc_client_close(self->client);
    close(self->listener);
    EXPECT(unlink(self->path) == 0);
}

/* Lets one attempt fail and looks how long the client wants to pause. False when it did not, since
 * the pause was over before it could be asked. */
static bool refuse_once(refused *self)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_message message;
    goipc_error error = GOIPC_ERROR_OK;
    int64_t before;
    int peer;

    while ((peer = accept(self->listener, NULL, NULL)) < 0) {
        EXPECT(test_clock_ms() < until);
        error = goipc_client_read(self->client, 1, &message);
        EXPECT(error == GOIPC_ERROR_TIMEOUT || message.status == GOIPC_STATUS_CONNECTING);
    }
    close(peer);
    before = test_clock_ms();
    do {
        error = goipc_client_read(self->client, 0, &message);
        EXPECT(error == GOIPC_ERROR_WOULD_BLOCK || message.status == GOIPC_STATUS_CONNECTING);
    } while (error != GOIPC_ERROR_WOULD_BLOCK);
    self->shortest_ms = goipc_client_poll_timeout_ms(self->client);
    self->longest_ms = self->shortest_ms + (int32_t)(test_clock_ms() - before) + 1;
    return self->shortest_ms <= 2 * PAUSE_LONGEST_MS; /* else that is a handshake's time */
}

/* req: CN-012: the first pause is at most 2 ms, each next one twice as long up to the longest, and
 * up to half of it is left to chance. */
static void test_pauses_grow_and_differ(void)
{
    refused both[2];
    int32_t pause_ms = PAUSE_FIRST_MS;
    bool differ = false;
    int seen = 0;

    refuse_start(&both[0]);
    refuse_start(&both[1]);
    for (int attempt = 0; attempt < GROWTH_COUNT || !differ; attempt++) {
        const bool paused[2] = {refuse_once(&both[0]), refuse_once(&both[1])};

        EXPECT(attempt < DIFFERENCE_COUNT);
        for (int i = 0; i < 2; i++) {
            EXPECT(!paused[i] || both[i].shortest_ms <= pause_ms);
            EXPECT(!paused[i] || both[i].longest_ms >= pause_ms - pause_ms / 2);
            seen += paused[i] ? 1 : 0;
        }
        differ = differ || (pause_ms == PAUSE_LONGEST_MS && paused[0] && paused[1] &&
                            (both[0].shortest_ms > both[1].longest_ms ||
                             both[1].shortest_ms > both[0].longest_ms));
        pause_ms = pause_ms * 2 < PAUSE_LONGEST_MS ? pause_ms * 2 : PAUSE_LONGEST_MS;
    }
    EXPECT(seen > GROWTH_COUNT); /* most of them could be measured */
    refuse_end(&both[0]);
    refuse_end(&both[1]);
}

/* The same where there is no server at all. */
static void test_first_pause_without_a_server(void)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    int64_t before, after;
    int32_t left_ms;

    do { /* until no time has passed in which there could have been a second attempt */
        char name[64];
        goipc_client *client;
        goipc_message message;

        EXPECT(goipc_client_start(test_name(name), NULL, &client) == GOIPC_ERROR_OK);
        before = test_clock_ms();
        EXPECT(before < until);
        EXPECT(goipc_client_read(client, 0, &message) == GOIPC_ERROR_OK);
        EXPECT(message.status == GOIPC_STATUS_CONNECTING);
        EXPECT(goipc_client_read(client, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
        left_ms = goipc_client_poll_timeout_ms(client);
        after = test_clock_ms();
        goipc_client_close(client);
    } while (after > before);
    EXPECT(left_ms >= 0 && left_ms <= PAUSE_FIRST_MS);
}

/* The total time counts for each reconnecting anew, and is kept. */
static void test_reconnecting_gives_up(void)
{
    enum { TOTAL_MS = 1500 };
    const goipc_server_config server_config = {.options.encryption = GOIPC_ENCRYPTION_OFF};
    const goipc_client_config client_config = {.timeout_ms = TOTAL_MS, .retry_interval_ms = 20};
    goipc_failure failure;
    goipc_message message;
    int64_t before;
    test_pair pair;

    pair_start(&pair, server_config, client_config);
    before = test_clock_ms();
    goipc_server_close(pair.server);
    (void)client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    (void)client_expect_status(pair.client, GOIPC_STATUS_RECONNECTING);
    message = client_expect_status(pair.client, GOIPC_STATUS_TIMEOUT);
    EXPECT(test_clock_ms() - before >= TOTAL_MS - 1); /* coarse clocks */
    EXPECT(message.error == GOIPC_ERROR_OK);
    EXPECT(goipc_client_status(pair.client) == GOIPC_STATUS_TIMEOUT);
    goipc_client_failure(pair.client, &failure);
    EXPECT(failure.error == GOIPC_ERROR_TIMEOUT && strstr(failure.text, pair.name) != NULL);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_TIMEOUT); /* for good */
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_TIMEOUT);
    goipc_client_close(pair.client);
}

/* --- what was not sent ------------------------------------------------------------------------ */

enum { OLD_SIZE = 50000, OLD_TYPE = 66, NEW_TYPE = 77 };

/* Messages that the connection does not take any more; how many were handed over. */
static size_t leave_unsent(test_pair *pair, bool corked)
{
    static const uint8_t old[OLD_SIZE] = {6};
    goipc_error error = GOIPC_ERROR_OK;
    size_t count = 0;

    if (corked) {
        goipc_client_cork(pair->client);
    }
    while (error == GOIPC_ERROR_OK && (!corked || count < 3)) {
        error = goipc_client_write(pair->client, OLD_TYPE, old, sizeof old);
        count += error == GOIPC_ERROR_OK ? 1 : 0;
        EXPECT(count < 10000);
    }
    EXPECT(error == (corked ? GOIPC_ERROR_OK : GOIPC_ERROR_WOULD_BLOCK));
    return count;
}

/* Of what was corked or queued when a connection is lost, the next server gets nothing, not even
 * the end of a message whose beginning was sent; what is written afterwards, it gets. */
static void test_unsent_is_dropped(goipc_encryption encryption, bool corked)
{
    const goipc_server_config server_config = {
        .options = {.encryption = encryption, .close_timeout_ms = GOIPC_NO_WAIT}};
    const goipc_client_config client_config = {
        .retry_interval_ms = 5,
        .options = {.encryption = encryption, .write_timeout_ms = GOIPC_NO_WAIT}};
    goipc_counters counters;
    goipc_message message;
    test_pair pair;

    pair_start(&pair, server_config, client_config);
    EXPECT(leave_unsent(&pair, corked) > 2);
    goipc_server_close(pair.server);
    (void)client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    (void)client_expect_status(pair.client, GOIPC_STATUS_RECONNECTING);
    EXPECT(goipc_server_start(pair.name, &server_config, &pair.server) == GOIPC_ERROR_OK);
    pair_connect(&pair);
    EXPECT(goipc_client_write(pair.client, NEW_TYPE, "new", 3) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_flush(pair.client, PATIENCE_MS) == GOIPC_ERROR_OK);
    EXPECT(goipc_server_read(pair.server, PATIENCE_MS, &message) == GOIPC_ERROR_OK);
    EXPECT(message_is(&message, NEW_TYPE, "new", 3));
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_WOULD_BLOCK);
    goipc_server_counters(pair.server, &counters);
    EXPECT(counters.messages_in == 1 && counters.failures == 0);
    pair_close(&pair);
}

/* --- what a log never says -------------------------------------------------------------------- */

enum { SECRET_COUNT = 64, SECRET_SIZE = 48, TOLD_SIZE = 65536, WINDOW_SIZE = 6 };

static const char marked[] = "Kx7!wq0#Zv9%jY4^hT2&bN6*pL1";

/* Everything secret that the library handled, and everything that it said. */
static struct {
    uint8_t secrets[SECRET_COUNT][SECRET_SIZE];
    size_t sizes[SECRET_COUNT];
    size_t count;
    char told[TOLD_SIZE];
    size_t told_size;
    size_t line_count;
} spy;

static void remember(const void *secret, size_t size)
{
    EXPECT(spy.count < SECRET_COUNT && size <= SECRET_SIZE);
    memcpy(spy.secrets[spy.count], secret, size);
    spy.sizes[spy.count++] = size;
}

static goipc_error spy_public(void *context, const uint8_t private_key[48], uint8_t public_key[97])
{
    remember(private_key, 48);
    return goipc_crypto_default()->p384_public(context, private_key, public_key);
}

static goipc_error spy_shared(void *context, const uint8_t private_key[48],
                              const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    const goipc_error error =
        goipc_crypto_default()->p384_shared(context, private_key, peer_public_key, shared_x);

    if (error == GOIPC_ERROR_OK) {
        remember(shared_x, 48);
    }
    return error;
}

static goipc_error spy_aead_new(void *context, const goipc_allocator *allocator,
                                const uint8_t key[32], void **aead)
{
    remember(key, 32);
    return goipc_crypto_default()->aead_new(context, allocator, key, aead);
}

static void note(const char *text)
{
    const size_t size = strlen(text) + 1;

    EXPECT(size > 1 && spy.told_size + size <= sizeof spy.told);
    memcpy(spy.told + spy.told_size, text, size);
    spy.told_size += size;
    spy.line_count++;
}

static void spy_log(void *context, goipc_log_level level, const char *text)
{
    (void)context;
    (void)level;
    note(text);
}

static bool is_told(const void *bytes, size_t size)
{
    return memmem(spy.told, spy.told_size, bytes, size) != NULL;
}

/* Whether any piece of a secret was told, as it is or in hexadecimal of either case. */
static bool is_leaked(const uint8_t *secret, size_t size)
{
    for (size_t at = 0; at + WINDOW_SIZE <= size; at++) {
        char lower[2 * WINDOW_SIZE + 1], upper[2 * WINDOW_SIZE + 1];

        for (size_t i = 0; i < WINDOW_SIZE; i++) {
            snprintf(lower + 2 * i, 3, "%02x", (unsigned)secret[at + i]);
            snprintf(upper + 2 * i, 3, "%02X", (unsigned)secret[at + i]);
        }
        if (is_told(secret + at, WINDOW_SIZE) || is_told(lower, 2 * WINDOW_SIZE) ||
            is_told(upper, 2 * WINDOW_SIZE)) {
            return true;
        }
    }
    return false;
}

/* A server that is spied on, and what a hostile peer does to it: the peer has seen HELLO. */
typedef struct spied {
    char name[64];
    goipc_server *server;
    int peer;
} spied;

static goipc_crypto spy_crypto;

static goipc_options spied_options(goipc_encryption encryption)
{
    return (goipc_options){.encryption = encryption, .crypto = &spy_crypto, .log = spy_log};
}

/* Reads the server until it has turned away or lost whom it was attacked by. */
static void expect_rejection(spied *self, goipc_error wanted)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_counters counters;
    goipc_failure failure;
    goipc_message message;

    do {
        EXPECT(test_clock_ms() < until);
        (void)!goipc_server_read(self->server, 1, &message);
        goipc_server_counters(self->server, &counters);
    } while (counters.refusals + counters.failures == 0);
    goipc_server_failure(self->server, &failure);
    EXPECT(failure.error == wanted);
    note(failure.text);
    close(self->peer);
    goipc_server_close(self->server);
}

static void attack_start(spied *self, goipc_encryption encryption)
{
    const goipc_server_config config = {.options = spied_options(encryption)};
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_message message;
    uint8_t hello[2];

    test_name(self->name);
    EXPECT(goipc_server_start(self->name, &config, &self->server) == GOIPC_ERROR_OK);
    self->peer = raw_connect(self->name);
    while (recv(self->peer, hello, 2, MSG_DONTWAIT) != 2) {
        EXPECT(test_clock_ms() < until);
        EXPECT(goipc_server_read(self->server, 1, &message) == GOIPC_ERROR_TIMEOUT);
    }
}

/* An encrypting server meets a key that is none, then data where a reply is due. */
static void tell_of_handshakes(void)
{
    uint8_t bytes[1 + GOIPC_P384_PUBLIC_SIZE] = {0, 4};
    spied self;

    memcpy(bytes + 20, marked, sizeof marked);
    attack_start(&self, GOIPC_ENCRYPTION_REQUIRE);
    raw_send(self.peer, bytes, sizeof bytes);
    expect_rejection(&self, GOIPC_ERROR_PUBLIC_KEY);
    attack_start(&self, GOIPC_ENCRYPTION_REQUIRE);
    raw_send(self.peer, marked, sizeof marked);
    expect_rejection(&self, GOIPC_ERROR_REPLY);
}

/* A plain server meets a frame that is too large, and one that breaks off. */
static void tell_of_frames(void)
{
    uint8_t bytes[2 + 8 + sizeof marked] = {0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1};
    spied self;

    memcpy(bytes + 10, marked, sizeof marked);
    attack_start(&self, GOIPC_ENCRYPTION_OFF);
    raw_send(self.peer, bytes, sizeof bytes);
    expect_rejection(&self, GOIPC_ERROR_FRAME_SIZE);
    attack_start(&self, GOIPC_ENCRYPTION_OFF);
    bytes[2] = bytes[3] = 0;
    raw_send(self.peer, bytes, sizeof bytes);
    EXPECT(shutdown(self.peer, SHUT_WR) == 0);
    expect_rejection(&self, GOIPC_ERROR_TRUNCATED);
}

/* The client's side of a connection between sessions, up to a forged frame. */
static void run_forger(spied *self, goipc_session *session)
{
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_event event = {.type = GOIPC_EVENT_NEED_INPUT};
    uint8_t hello[2] = {GOIPC_PROTOCOL_VERSION, 1}, frame[100];
    const uint8_t *out;
    uint8_t *in;
    size_t capacity, size;
    ssize_t got = 2;

    EXPECT(goipc_session_input(session, &in, &capacity) == GOIPC_ERROR_OK && capacity >= 2);
    memcpy(in, hello, 2); /* attack_start has taken it */
    while (event.type != GOIPC_EVENT_CONNECTED) {
        goipc_message message;

        EXPECT(test_clock_ms() < until);
        if (got > 0) {
            EXPECT(goipc_session_input_commit(session, (size_t)got) == GOIPC_ERROR_OK);
        }
        do {
            EXPECT(goipc_session_next_event(session, &event) == GOIPC_ERROR_OK);
            goipc_session_output(session, &out, &size);
            raw_send(self->peer, out, size);
            goipc_session_output_consume(session, size);
        } while (size > 0 && event.type != GOIPC_EVENT_CONNECTED);
        (void)!goipc_server_read(self->server, 1, &message);
        EXPECT(goipc_session_input(session, &in, &capacity) == GOIPC_ERROR_OK);
        got = recv(self->peer, in, capacity, MSG_DONTWAIT);
    }
    EXPECT(goipc_session_send(session, 1, marked, sizeof marked) == GOIPC_ERROR_OK);
    goipc_session_output(session, &out, &size);
    EXPECT(size <= sizeof frame);
    memcpy(frame, out, size);
    frame[size - 1] ^= 1;
    raw_send(self->peer, frame, size);
}

static void tell_of_forgery(void)
{
    const goipc_session_config config = {.role = GOIPC_ROLE_CLIENT, .crypto = &spy_crypto};
    goipc_session *session;
    spied self;

    attack_start(&self, GOIPC_ENCRYPTION_REQUIRE);
    EXPECT(goipc_session_new(&config, &session) == GOIPC_ERROR_OK);
    run_forger(&self, session);
    expect_rejection(&self, GOIPC_ERROR_DECRYPT);
    goipc_session_free(session);
}

/* A good connection with marked data both ways, from its beginning to its end. */
static void tell_of_a_good_connection(goipc_encryption encryption)
{
    const goipc_server_config server_config = {.options = spied_options(encryption)};
    const goipc_client_config client_config = {.reconnect_off = true,
                                               .options = spied_options(encryption)};
    goipc_failure failure;
    goipc_message message;
    test_pair pair;

    pair_start(&pair, server_config, client_config);
    EXPECT(goipc_client_write(pair.client, 1, marked, sizeof marked) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, marked, sizeof marked));
    EXPECT(goipc_server_write(pair.server, pair.id, 1, marked, sizeof marked) == GOIPC_ERROR_OK);
    message = client_expect_data(pair.client);
    EXPECT(message_is(&message, 1, marked, sizeof marked));
    EXPECT(goipc_client_write(pair.client, 0, marked, sizeof marked) != GOIPC_ERROR_OK);
    EXPECT(goipc_client_write(pair.client, 1, marked, SIZE_MAX) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_server_disconnect(pair.server, pair.id) == GOIPC_ERROR_OK);
    message = server_expect_status(pair.server, GOIPC_STATUS_DISCONNECTED);
    (void)client_expect_status(pair.client, GOIPC_STATUS_DISCONNECTED);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_DISCONNECTED);
    goipc_client_failure(pair.client, &failure);
    EXPECT(failure.text[0] == 0 || strlen(failure.text) > 0);
    pair_close(&pair);
}

/* req: KD-019 */
static void test_log_keeps_secrets(void)
{
    spy_crypto = *goipc_crypto_default();
    spy_crypto.p384_public = spy_public;
    spy_crypto.p384_shared = spy_shared;
    spy_crypto.aead_new = spy_aead_new;
    tell_of_a_good_connection(GOIPC_ENCRYPTION_REQUIRE);
    tell_of_a_good_connection(GOIPC_ENCRYPTION_OFF);
    tell_of_handshakes();
    tell_of_frames();
    tell_of_forgery();
    EXPECT(spy.line_count >= 18 && spy.count >= 12); /* there was something to see */
    for (size_t i = 0; i < spy.count; i++) {
        EXPECT(!is_leaked(spy.secrets[i], spy.sizes[i]));
    }
    EXPECT(!is_leaked((const uint8_t *)marked, sizeof marked - 1));
}

/* --- writes that wait, interrupted ------------------------------------------------------------ */

typedef struct waiting {
    test_pair pair;
    bool by_server;
    bool flushes;           /* else it writes */
    _Atomic uint64_t calls; /* that have returned */
    goipc_error error;      /* the last one's */
} waiting;

static const uint8_t filling[2000000];

static goipc_error write_as(waiting *self, size_t size)
{
    return self->by_server ? goipc_server_write(self->pair.server, self->pair.id, 1, filling, size)
                           : goipc_client_write(self->pair.client, 1, filling, size);
}

static goipc_error flush_as(waiting *self, int32_t timeout_ms)
{
    return self->by_server ? goipc_server_flush(self->pair.server, timeout_ms)
                           : goipc_client_flush(self->pair.client, timeout_ms);
}

static void *wait_to_send(void *context)
{
    waiting *self = context;

    do {
        self->error = self->flushes ? flush_as(self, GOIPC_FOREVER) : write_as(self, OLD_SIZE);
        self->calls++;
    } while (self->error == GOIPC_ERROR_OK);
    return NULL;
}

/* Nothing was lost but the patience: what was handed over arrives, and what comes after it. */
static void resume_and_go_on(waiting *self)
{
    goipc_message message = {.type = 0};
    goipc_error error = GOIPC_ERROR_WOULD_BLOCK;
    bool written = false;

    goipc_server_resume(self->pair.server);
    goipc_client_resume(self->pair.client);
    while (message.data_size != 2) {
        if (error != GOIPC_ERROR_OK) {
            error = flush_as(self, 0);
            EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_WOULD_BLOCK);
        } else if (!written) {
            written = true;
            EXPECT(write_as(self, 2) == GOIPC_ERROR_OK);
        }
        message.data_size = 0;
        (void)!(self->by_server ? goipc_client_read(self->pair.client, 0, &message)
                                : goipc_server_read(self->pair.server, 0, &message));
        EXPECT(message.type != GOIPC_MESSAGE_STATUS);
    }
    EXPECT(goipc_client_status(self->pair.client) == GOIPC_STATUS_CONNECTED);
}

/* A write that waits for room, or a flush, ends with INTERRUPTED. Only a write whose message is on
 * its way cannot, and is followed by one that does. */
static void test_interrupted_sending(bool by_server, bool flushes, bool corked)
{
    const goipc_options options = {.encryption = GOIPC_ENCRYPTION_OFF,
                                   .write_timeout_ms = GOIPC_FOREVER};
    const goipc_server_config server_config = {.options = options};
    const goipc_client_config client_config = {.options = options};
    waiting self = {.by_server = by_server, .flushes = flushes};
    pthread_t thread;
    uint64_t calls;

    pair_start(&self.pair, server_config, client_config);
    if (corked && by_server) {
        goipc_server_cork(self.pair.server);
    } else if (corked) {
        goipc_client_cork(self.pair.client);
    }
    if (flushes) {
        EXPECT(write_as(&self, sizeof filling) == GOIPC_ERROR_OK);
    }
    EXPECT(pthread_create(&thread, NULL, wait_to_send, &self) == 0);
    test_let_wait(1);
    calls = self.calls;
    if (by_server) {
        goipc_server_interrupt(self.pair.server);
    } else {
        goipc_client_interrupt(self.pair.client);
    }
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(self.error == GOIPC_ERROR_INTERRUPTED);
    EXPECT(self.calls == calls + 1 || (!corked && !by_server) || !test_can_see_waiting());
    EXPECT(flush_as(&self, GOIPC_FOREVER) == GOIPC_ERROR_INTERRUPTED); /* it is sticky */
    resume_and_go_on(&self);
    pair_close(&self.pair);
}

int main(void)
{
    test_pauses_grow_and_differ();
    test_first_pause_without_a_server();
    test_reconnecting_gives_up();
    for (int corked = 0; corked < 2; corked++) {
        test_unsent_is_dropped(GOIPC_ENCRYPTION_OFF, corked != 0);
        test_unsent_is_dropped(GOIPC_ENCRYPTION_REQUIRE, corked != 0);
    }
    test_log_keeps_secrets();
    for (int side = 0; side < 2; side++) {
        test_interrupted_sending(side != 0, false, false);
        test_interrupted_sending(side != 0, false, true);
        test_interrupted_sending(side != 0, true, true);
    }
    printf("ok %d checks\n", test_checks);
    return 0;
}
