/* SPDX-License-Identifier: MIT */
/* `goipc serve` and `goipc connect`: one loop that sends what the feed has and prints what arrives.
 */
#include "console.h"
#include "feed.h"

#include <errno.h>
#include <string.h>

enum {
    FLUSH_SIZE = 32 * 1024,
    FLUSH_TIMEOUT_MS = 10000, /* for a server that does not read */
};

/* One of the two is NULL, and in the end both. Static, because the signal handler has to find
 * them. */
static goipc_server *_Atomic the_server;
static goipc_client *_Atomic the_client;

typedef struct talk {
    const cli_settings *settings;
    feed feed;
    message_line waiting; /* taken from the feed, and no room for it yet */
    bool has_waiting;
    uint64_t arrived_count;
    int64_t progress_ms; /* when it was connected, or a message arrived */
    int exit_status;
    bool done; /* COUNT messages have arrived, or standard output is lost */
} talk;

/* Also called by a signal handler. */
static void stop(void)
{
    goipc_server *server = the_server;
    goipc_client *client = the_client;

    if (server != NULL) {
        goipc_server_interrupt(server);
    }
    if (client != NULL) {
        goipc_client_interrupt(client);
    }
}

/* --- messages --------------------------------------------------------------------------------- */

static goipc_error send_message(goipc_client_id to, uint32_t type, const void *data, size_t size)
{
    return the_server != NULL ? goipc_server_write(the_server, to, type, data, size)
                              : goipc_client_write(the_client, type, data, size);
}

/* False when there is no room for it now. */
static bool send_line(talk *self, goipc_client_id to, const message_line *line)
{
    const goipc_error error = send_message(to, line->type, line->data, line->size);

    if (error == GOIPC_ERROR_WOULD_BLOCK) {
        return false;
    }
    if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_INTERRUPTED) {
        cli_say("cannot send %zu bytes: %s", line->size, goipc_error_text(error));
        self->exit_status = CLI_EXIT_FAILED;
    }
    return true;
}

static void echo_message(const goipc_message *message)
{
    const goipc_error error =
        send_message(message->client, (uint32_t)message->type, message->data, message->data_size);

    if (error == GOIPC_ERROR_OK || goipc_error_classify(error) == GOIPC_ERROR_CLASS_PEER ||
        error == GOIPC_ERROR_NOT_CONNECTED || error == GOIPC_ERROR_INTERRUPTED) {
        return; /* a status change tells why the connection ended */
    }
    cli_say("cannot echo %zu bytes: %s", message->data_size, goipc_error_text(error));
    if (error == GOIPC_ERROR_TIMEOUT && the_server != NULL) {
        /* A client that does not read its answers must not hold up the others for ever. */
        if (goipc_server_disconnect(the_server, message->client) == GOIPC_ERROR_OK) {
            cli_say("client %llu does not read; disconnected", (unsigned long long)message->client);
        }
    }
}

static void handle_status(talk *self, const goipc_message *message)
{
    if (message->status != GOIPC_STATUS_CONNECTED) {
        return; /* the log has told it */
    }
    self->progress_ms = console_clock_ms();
    if (the_server != NULL && feed_is_fixed(&self->feed) && self->settings->interval_ms == 0) {
        const message_line line = feed_fixed_message(&self->feed);

        (void)send_line(self, message->client, &line);
    }
}

static void handle_message(talk *self, const goipc_message *message)
{
    if (message->type == GOIPC_MESSAGE_STATUS) {
        handle_status(self, message);
        return;
    }
    self->progress_ms = console_clock_ms();
    self->arrived_count++;
    if (self->settings->echo) {
        echo_message(message);
    } else {
        message_put(console_out(), self->settings, message);
    }
    self->done = self->arrived_count == self->settings->count;
}

static goipc_error read_message(goipc_message *message)
{
    return the_server != NULL ? goipc_server_read(the_server, 0, message)
                              : goipc_client_read(the_client, 0, message);
}

static bool flush(talk *self)
{
    if (!console_flush()) {
        self->exit_status = console_is_stopped() ? self->exit_status : CLI_EXIT_FAILED;
        self->done = true;
    }
    return !self->done;
}

/* Handles all that is there. False when it is over; *error says why. */
static bool handle_all(talk *self, goipc_error *error)
{
    goipc_message message;

    while (!self->done && (*error = read_message(&message)) == GOIPC_ERROR_OK) {
        handle_message(self, &message);
        if (ftell(console_out()) > FLUSH_SIZE) {
            (void)flush(self);
        }
    }
    return flush(self) && *error == GOIPC_ERROR_WOULD_BLOCK;
}

/* --- the loop --------------------------------------------------------------------------------- */

static bool is_connected(void)
{
    return the_server != NULL || goipc_client_status(the_client) == GOIPC_STATUS_CONNECTED;
}

/* A client's messages wait until there is a server to send them to, and has room. */
static void send_feed(talk *self)
{
    const bool at_connect =
        the_server != NULL && self->settings->interval_ms == 0 && feed_is_fixed(&self->feed);

    while (!at_connect && is_connected() && !console_is_stopped() &&
           (self->has_waiting || feed_next(&self->feed, &self->waiting))) {
        self->has_waiting = !send_line(self, self->waiting.to, &self->waiting);
        if (self->has_waiting) {
            return;
        }
    }
}

static int32_t sooner(int32_t left_ms, int32_t right_ms)
{
    return right_ms != GOIPC_FOREVER && (left_ms == GOIPC_FOREVER || right_ms < left_ms) ? right_ms
                                                                                         : left_ms;
}

/* Milliseconds from now until `start_ms` and `length_ms`. */
static int32_t until(int64_t start_ms, int32_t length_ms)
{
    const int64_t left_ms = start_ms + length_ms - console_clock_ms();

    return left_ms < 0 ? 0 : (int32_t)left_ms;
}

static bool lingers(const talk *self)
{
    return the_client != NULL && self->feed.over && !self->has_waiting && !self->settings->echo &&
           self->settings->linger_ms != GOIPC_FOREVER;
}

/* Whether a message has to come in time. */
static bool is_awaiting(const talk *self)
{
    return self->settings->count > 0 && self->settings->timeout_ms > 0 && is_connected();
}

static int32_t wait_ms(const talk *self)
{
    int32_t result = the_server != NULL ? goipc_server_poll_timeout_ms(the_server)
                                        : goipc_client_poll_timeout_ms(the_client);

    if (is_connected() && !self->has_waiting) {
        result = sooner(result, feed_timeout_ms(&self->feed));
    }
    if (lingers(self)) {
        result = sooner(result, until(self->feed.over_ms, self->settings->linger_ms));
    }
    if (is_awaiting(self)) {
        result = sooner(result, until(self->progress_ms, self->settings->timeout_ms));
    }
    return result;
}

/* True when time has ended the loop. */
static bool is_time_over(talk *self)
{
    if (is_awaiting(self) && until(self->progress_ms, self->settings->timeout_ms) == 0) {
        cli_say("no message for %ld ms; %llu of %llu have arrived",
                (long)self->settings->timeout_ms, (unsigned long long)self->arrived_count,
                (unsigned long long)self->settings->count);
        self->exit_status = CLI_EXIT_FAILED;
        return true;
    }
    return lingers(self) && until(self->feed.over_ms, self->settings->linger_ms) == 0;
}

/* Whether the input has ended and all of it is sent. Where it has not been looked at since the
 * connection was made, it may have ended long ago. */
static bool is_all_sent(talk *self)
{
    message_line line;

    if (!self->feed.over && feed_wants_input(&self->feed) &&
        (console_wait(NULL, 0, CONSOLE_INPUT, 0) & CONSOLE_INPUT) != 0 &&
        !feed_read_input(&self->feed)) {
        return false;
    }
    return !self->has_waiting && !feed_next(&self->feed, &line) && self->feed.over;
}

/* The server has closed the connection: whether that is what was waited for. */
static int judge_close(talk *self)
{
    if (self->settings->count > 0) {
        cli_say("the server closed the connection; %llu of %llu messages have arrived",
                (unsigned long long)self->arrived_count, (unsigned long long)self->settings->count);
        return CLI_EXIT_FAILED;
    }
    if (!is_all_sent(self)) {
        cli_say("the server closed the connection before the input ended");
        return CLI_EXIT_FAILED;
    }
    if (console_name_is_left(self->settings)) {
        cli_say("the server was killed, or closed this connection alone: its socket is still "
                "there");
        return CLI_EXIT_FAILED;
    }
    return CLI_EXIT_OK;
}

/* Why the loop ended, in words and as an exit status. */
static int judge_end(talk *self, goipc_error error)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};

    if (self->done || error == GOIPC_ERROR_OK || error == GOIPC_ERROR_WOULD_BLOCK ||
        error == GOIPC_ERROR_INTERRUPTED) { /* stopped by a signal, as people stop it */
        return self->exit_status;
    }
    if (error == GOIPC_ERROR_DISCONNECTED) {
        const int status = judge_close(self);

        return status != CLI_EXIT_OK ? status : self->exit_status;
    }
    if (the_server != NULL) {
        goipc_server_failure(the_server, &failure);
    } else {
        goipc_client_failure(the_client, &failure);
    }
    cli_say_failure(&failure, error);
    return CLI_EXIT_FAILED;
}

/* Sends what is queued, when the loop has ended in order. */
static void finish_sending(talk *self)
{
    const goipc_error error = the_client == NULL || !is_connected()
                                  ? GOIPC_ERROR_OK
                                  : goipc_client_flush(the_client, FLUSH_TIMEOUT_MS);

    if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_INTERRUPTED) {
        cli_say("cannot send all of it: %s", goipc_error_text(error));
        self->exit_status = CLI_EXIT_FAILED;
    }
}

static int run(talk *self)
{
    const intptr_t endpoint_fd =
        the_server != NULL ? goipc_server_poll_fd(the_server) : goipc_client_poll_fd(the_client);
    goipc_error error = GOIPC_ERROR_OK;

    self->progress_ms = console_clock_ms();
    while (handle_all(self, &error)) {
        bool input;

        send_feed(self);
        input = is_connected() && !self->has_waiting && feed_wants_input(&self->feed);
        if (is_time_over(self)) {
            finish_sending(self);
            break;
        }
        if ((console_wait(&endpoint_fd, 1, input ? CONSOLE_INPUT : 0, wait_ms(self)) &
             CONSOLE_INPUT) != 0 &&
            !feed_read_input(&self->feed)) {
            return CLI_EXIT_FAILED;
        }
        send_feed(self);
    }
    self->exit_status = self->feed.failed ? CLI_EXIT_FAILED : self->exit_status;
    return judge_end(self, error);
}

/* --- commands --------------------------------------------------------------------------------- */

static void say_start(const cli_settings *settings, const char *what, const char *how)
{
    char path[512];

    if (!settings->quiet) {
        console_path(settings, path, sizeof path);
        cli_say("%s %s%s", what, path, how);
    }
}

int cli_serve(const cli_settings *settings)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server_config config = {
        .options = settings->options,
        .clients_max = settings->clients_max,
        .unmask_permissions = settings->unmask,
    };
    talk self = {.settings = settings};
    goipc_server *server;
    goipc_error error;
    int status;

    if (!feed_begin(&self.feed, settings)) {
        return CLI_EXIT_FAILED;
    }
    config.options.failure = &failure;
    (void)console_on_stop(stop); /* first: a signal may come as soon as the socket is there */
    error = goipc_server_start(settings->name, &config, &server);
    if (error != GOIPC_ERROR_OK) {
        cli_say_failure(&failure, error);
        feed_end(&self.feed);
        return CLI_EXIT_FAILED;
    }
    the_server = server;
    if (console_is_stopped()) {
        stop();
    }
    say_start(settings, "listening at",
              settings->options.encryption == GOIPC_ENCRYPTION_OFF ? " (plain)" : " (encrypted)");
    status = run(&self);
    the_server = NULL; /* before it is freed: a signal may come at any moment */
    goipc_server_close(server);
    feed_end(&self.feed);
    return status;
}

int cli_connect(const cli_settings *settings)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_client_config config = {
        .options = settings->options,
        .timeout_ms = settings->timeout_ms,
        .reconnect_off = !settings->reconnect,
    };
    talk self = {.settings = settings};
    goipc_client *client;
    goipc_error error;
    int status;

    if (!feed_begin(&self.feed, settings)) {
        return CLI_EXIT_FAILED;
    }
    config.options.failure = &failure;
    /* A server that is slow to read has its messages sent as it reads, and is listened to. */
    config.options.write_timeout_ms = settings->echo ? 0 : GOIPC_NO_WAIT;
    (void)console_on_stop(stop);
    error = goipc_client_start(settings->name, &config, &client);
    if (error != GOIPC_ERROR_OK) {
        cli_say_failure(&failure, error);
        feed_end(&self.feed);
        return CLI_EXIT_FAILED;
    }
    the_client = client;
    if (console_is_stopped()) {
        stop();
    }
    say_start(settings, "connecting to", "");
    status = run(&self);
    the_client = NULL; /* before it is freed: a signal may come at any moment */
    goipc_client_close(client);
    feed_end(&self.feed);
    return status;
}
