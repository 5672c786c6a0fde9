/* SPDX-License-Identifier: MIT */
/* Goal: an endpoint ends safely whatever its threads and signal handlers do. _stop ends every call
 * with CLOSED, _interrupt and _stop are harmless during and after _close, an interrupt during a
 * close loses nothing that is queued, and every error that a call returns has a text. */
#include "endpoint_pair.h"

#include <signal.h>
#include <sys/time.h>

/* --- stop, join, close ------------------------------------------------------------------------ */

static void *read_until_closed(void *context)
{
    const test_pair *pair = context;
    goipc_message message;
    goipc_error error;

    while ((error = goipc_server_read(pair->server, GOIPC_FOREVER, &message)) == GOIPC_ERROR_OK) {
    }
    EXPECT(error == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_server_read(pair->server, 0, &message) == GOIPC_ERROR_CLOSED);
    return NULL;
}

static void *write_until_closed(void *context)
{
    const test_pair *pair = context;
    goipc_error error;

    do {
        error = goipc_client_write(pair->client, 1, "x", 1);
    } while (error == GOIPC_ERROR_OK);
    EXPECT(error == GOIPC_ERROR_CLOSED);
    return NULL;
}

static void test_stop_ends_every_call(void)
{
    test_pair pair;
    pthread_t reader, writer;
    goipc_message message;
    goipc_failure failure;

    pair_start(&pair, (goipc_server_config){.clients_max = 1},
               (goipc_client_config){.timeout_ms = 0});
    EXPECT(pthread_create(&reader, NULL, read_until_closed, &pair) == 0);
    EXPECT(pthread_create(&writer, NULL, write_until_closed, &pair) == 0);
    goipc_client_stop(pair.client);
    goipc_server_stop(pair.server);
    pthread_join(reader, NULL);
    pthread_join(writer, NULL);
    goipc_server_resume(pair.server); /* a stop is for ever */
    EXPECT(goipc_server_read(pair.server, 0, &message) == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_server_write(pair.server, 1, 1, "x", 1) == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_server_flush(pair.server, 0) == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_client_read(pair.client, 0, &message) == GOIPC_ERROR_CLOSED);
    EXPECT(goipc_server_status(pair.server) == GOIPC_STATUS_CLOSED);
    EXPECT(goipc_client_status(pair.client) == GOIPC_STATUS_CLOSED);
    goipc_server_failure(pair.server, &failure);
    EXPECT(failure.text[0] != '\0');
    pair_close(&pair);
    goipc_server_stop(pair.server); /* closed by now: ignored */
    goipc_client_interrupt(pair.client);
    goipc_server_stop(NULL);
    goipc_client_stop(NULL);
}

/* --- a signal handler during close ------------------------------------------------------------ */

static goipc_server *volatile handled_server;
static volatile sig_atomic_t closing;
static volatile sig_atomic_t inside_count;

static void interrupt_handled(int number)
{
    const int saved = errno;

    (void)number;
    goipc_server_interrupt(handled_server); /* closed or not */
    inside_count += closing ? 1 : 0;
    errno = saved;
}

static void test_signals_during_close(void)
{
    const struct sigaction action = {.sa_handler = interrupt_handled, .sa_flags = SA_RESTART};
    const struct itimerval every = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    const int wanted = test_is_slow() ? 20 : 200;
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    struct sigaction before;

    EXPECT(sigaction(SIGALRM, &action, &before) == 0);
    EXPECT(setitimer(ITIMER_REAL, &every, NULL) == 0);
    while (inside_count < wanted) {
        char name[64];
        goipc_server *server;

        EXPECT(test_clock_ms() < until);
        EXPECT(goipc_server_start(test_name(name), NULL, &server) == GOIPC_ERROR_OK);
        handled_server = server;
        closing = 1;
        goipc_server_close(server);
        closing = 0; /* handled_server dangles on purpose until the next round */
    }
    EXPECT(setitimer(ITIMER_REAL, &never, NULL) == 0);
    EXPECT(sigaction(SIGALRM, &before, NULL) == 0);
}

/* --- an interrupt during close ---------------------------------------------------------------- */

typedef struct slow_reader {
    char name[64];
    atomic_bool may_read;
    size_t received;
} slow_reader;

static void *read_slowly(void *context)
{
    slow_reader *self = context;
    const goipc_client_config config = {.reconnect_off = true};
    goipc_client *client;
    goipc_message message;

    EXPECT(goipc_client_start(self->name, &config, &client) == GOIPC_ERROR_OK);
    client_expect_status(client, GOIPC_STATUS_CONNECTING);
    client_expect_status(client, GOIPC_STATUS_CONNECTED);
    while (!atomic_load(&self->may_read)) {
        (void)!poll(NULL, 0, 1);
    }
    while (goipc_client_read(client, PATIENCE_MS, &message) == GOIPC_ERROR_OK) {
        self->received += message.type > 0 ? message.data_size : 0;
    }
    goipc_client_close(client);
    return NULL;
}

static void *interrupt_often(void *context)
{
    slow_reader *self = context;

    for (int i = 0; i < 50; i++) {
        goipc_server_interrupt(handled_server);
        (void)!poll(NULL, 0, 1);
        atomic_store(&self->may_read, i >= 10);
    }
    return NULL;
}

static void test_interrupt_during_close_loses_nothing(void)
{
    static const uint8_t bytes[100000];
    const goipc_server_config config = {.options.close_timeout_ms = PATIENCE_MS};
    slow_reader self = {.received = 0};
    goipc_server *server;
    goipc_message message;
    pthread_t reader, interrupter;
    size_t sent = 0;

    EXPECT(goipc_server_start(test_name(self.name), &config, &server) == GOIPC_ERROR_OK);
    handled_server = server;
    EXPECT(pthread_create(&reader, NULL, read_slowly, &self) == 0);
    message = server_expect_status(server, GOIPC_STATUS_CONNECTED);
    for (int i = 0; i < 30; i++) {
        EXPECT(goipc_server_write(server, message.client, 1, bytes, sizeof bytes) ==
               GOIPC_ERROR_OK);
        sent += sizeof bytes;
    }
    EXPECT(pthread_create(&interrupter, NULL, interrupt_often, &self) == 0);
    goipc_server_close(server);
    pthread_join(interrupter, NULL);
    pthread_join(reader, NULL);
    EXPECT(self.received == sent);
}

/* --- every error has a text ------------------------------------------------------------------- */

static void expect_server_text(goipc_server *server, goipc_error returned, goipc_error wanted)
{
    goipc_failure failure;

    EXPECT(returned == wanted);
    goipc_server_failure(server, &failure);
    EXPECT(failure.error == wanted && strlen(failure.text) > 10);
}

static void expect_client_text(goipc_client *client, goipc_error returned, goipc_error wanted)
{
    goipc_failure failure;

    EXPECT(returned == wanted);
    goipc_client_failure(client, &failure);
    EXPECT(failure.error == wanted && strlen(failure.text) > 10);
}

static void test_every_error_has_a_text(void)
{
    const goipc_server_config server_config = {.options.message_size_max = 1024};
    const goipc_client_config client_config = {.options.message_size_max = 1024};
    const goipc_client_config lonely_config = {.options.write_timeout_ms = 20};
    static uint8_t large[2000];
    test_pair pair;
    goipc_client *lonely;
    goipc_credentials credentials;
    goipc_message message;
    char name[64];

    pair_start(&pair, server_config, client_config);
    expect_server_text(pair.server, goipc_server_read(pair.server, 1, &message),
                       GOIPC_ERROR_TIMEOUT);
    expect_server_text(pair.server, goipc_server_write(pair.server, 77, 1, "x", 1),
                       GOIPC_ERROR_NOT_CONNECTED);
    expect_server_text(pair.server, goipc_server_credentials(pair.server, 77, &credentials),
                       GOIPC_ERROR_NOT_CONNECTED);
    expect_server_text(pair.server, goipc_server_disconnect(pair.server, 77),
                       GOIPC_ERROR_NOT_CONNECTED);
    expect_server_text(pair.server, goipc_server_write(pair.server, pair.id, 0, "x", 1),
                       GOIPC_ERROR_TYPE_RESERVED);
    expect_server_text(pair.server,
                       goipc_server_write(pair.server, GOIPC_CLIENT_ALL, 1, large, sizeof large),
                       GOIPC_ERROR_MESSAGE_SIZE);
    expect_server_text(pair.server, goipc_server_read(pair.server, -9, &message),
                       GOIPC_ERROR_ARGUMENT);
    expect_server_text(pair.server, goipc_server_flush(pair.server, -9), GOIPC_ERROR_ARGUMENT);
    goipc_server_interrupt(pair.server);
    expect_server_text(pair.server, goipc_server_read(pair.server, 0, &message),
                       GOIPC_ERROR_INTERRUPTED);
    goipc_server_resume(pair.server);
    expect_client_text(pair.client, goipc_client_write(pair.client, 1, large, sizeof large),
                       GOIPC_ERROR_MESSAGE_SIZE);
    expect_client_text(pair.client, goipc_client_write(pair.client, 0, "x", 1),
                       GOIPC_ERROR_TYPE_RESERVED);
    pair_close(&pair);
    /* The text of a wait in vain for a server says what was tried. */
    EXPECT(goipc_client_start(test_name(name), &lonely_config, &lonely) == GOIPC_ERROR_OK);
    expect_client_text(lonely, goipc_client_write(lonely, 1, "x", 1), GOIPC_ERROR_TIMEOUT);
    goipc_client_close(lonely);
}

int main(void)
{
    test_stop_ends_every_call();
    test_signals_during_close();
    test_interrupt_during_close_loses_nothing();
    test_every_error_has_a_text();
    printf("ok %d checks\n", test_checks);
    return 0;
}
