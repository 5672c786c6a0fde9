/* SPDX-License-Identifier: MIT */
/* `goipc serve` and `goipc connect`: lines in, messages out, in one loop. */
#include "console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_SIZE_FIRST = 64 * 1024 };

/* One of the two is NULL, and in the end both. Static, because the signal handler has to find
 * them. */
static goipc_server *_Atomic the_server;
static goipc_client *_Atomic the_client;

typedef struct talk {
    const cli_settings *settings;
    uint8_t *input; /* what of standard input is not sent yet */
    size_t input_size;
    size_t input_capacity;
    bool input_ended;
    int64_t input_ended_ms;
    int exit_status;
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

/* --- out -------------------------------------------------------------------------------------- */

static void print_message(const talk *self, const goipc_message *message)
{
    if (self->settings->show_types) {
        printf("%lld\t", (long long)message->type);
    }
    if (self->settings->hex) {
        for (size_t i = 0; i < message->data_size; i++) {
            printf("%02x", message->data[i]);
        }
    } else {
        fwrite(message->data, 1, message->data_size, stdout);
    }
    putchar('\n');
}

static goipc_error send_message(goipc_client_id to, uint32_t type, const void *data, size_t size)
{
    return the_server != NULL ? goipc_server_write(the_server, to, type, data, size)
                              : goipc_client_write(the_client, type, data, size);
}

static void echo_message(const goipc_message *message)
{
    const goipc_error error =
        send_message(message->client, (uint32_t)message->type, message->data, message->data_size);

    if (error == GOIPC_ERROR_OK || goipc_error_classify(error) == GOIPC_ERROR_CLASS_PEER ||
        error == GOIPC_ERROR_NOT_CONNECTED || error == GOIPC_ERROR_INTERRUPTED) {
        return; /* whatever ended it is told by a status change */
    }
    cli_say("cannot echo %zu bytes: %s", message->data_size, goipc_error_text(error));
    if (error == GOIPC_ERROR_TIMEOUT && the_server != NULL) {
        /* A client that does not read its answers must not hold up the others for ever. */
        if (goipc_server_disconnect(the_server, message->client) == GOIPC_ERROR_OK) {
            cli_say("client %llu does not read; disconnected", (unsigned long long)message->client);
        }
    }
}

/* --- in --------------------------------------------------------------------------------------- */

/* Decodes in place; false for anything but pairs of digits. */
static bool decode_hex(uint8_t *line, size_t *size)
{
    if (*size % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < *size; i += 2) {
        const int high = cli_hex_digit(line[i]);
        const int low = cli_hex_digit(line[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        line[i / 2] = (uint8_t)(high * 16 + low);
    }
    *size /= 2;
    return true;
}

static void send_line(talk *self, uint8_t *line, size_t size)
{
    goipc_error error;

    if (self->settings->hex && !decode_hex(line, &size)) {
        cli_say("not hexadecimal, not sent: \"%.*s\"", (int)(size < 60 ? size : 60),
                (const char *)line);
        self->exit_status = CLI_EXIT_FAILED;
        return;
    }
    error = send_message(GOIPC_CLIENT_ALL, self->settings->type, line, size);
    if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_INTERRUPTED) {
        cli_say("cannot send %zu bytes: %s", size, goipc_error_text(error));
        self->exit_status = CLI_EXIT_FAILED;
    }
}

static void send_lines(talk *self)
{
    uint8_t *at = self->input;
    uint8_t *end = self->input + self->input_size;
    uint8_t *newline;

    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        send_line(self, at, (size_t)(newline - at));
        at = newline + 1;
    }
    if (self->input_ended && at < end) {
        send_line(self, at, (size_t)(end - at)); /* a last line without its end */
        at = end;
    }
    self->input_size = (size_t)(end - at);
    if (self->input_size > 0) {
        memmove(self->input, at, self->input_size);
    }
}

static bool read_input(talk *self)
{
    size_t size;

    if (self->input_size == self->input_capacity) {
        const size_t capacity =
            self->input_capacity == 0 ? INPUT_SIZE_FIRST : self->input_capacity * 2;
        uint8_t *grown = realloc(self->input, capacity);

        if (grown == NULL) {
            cli_say("a line of input is too long for memory");
            return false;
        }
        self->input = grown;
        self->input_capacity = capacity;
    }
    switch (console_read(self->input + self->input_size, self->input_capacity - self->input_size,
                         &size)) {
    case CONSOLE_INPUT_NONE:
        return true;
    case CONSOLE_INPUT_END:
        self->input_ended = true;
        self->input_ended_ms = console_clock_ms();
        break;
    case CONSOLE_INPUT_SOME:
        self->input_size += size;
        break;
    }
    send_lines(self);
    return true;
}

/* --- the loop --------------------------------------------------------------------------------- */

/* True when the loop is to end. */
static bool handle_message(talk *self, const goipc_message *message)
{
    if (message->type == GOIPC_MESSAGE_STATUS) {
        return false; /* the log has told it */
    }
    if (self->settings->echo) {
        echo_message(message);
    } else {
        print_message(self, message);
    }
    return false;
}

static goipc_error read_message(goipc_message *message)
{
    return the_server != NULL ? goipc_server_read(the_server, 0, message)
                              : goipc_client_read(the_client, 0, message);
}

/* Why the loop ends, in words and as an exit status. */
static int judge_end(goipc_error error)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};

    if (error == GOIPC_ERROR_INTERRUPTED) {
        return CLI_EXIT_OK; /* stopped by a signal, as people stop it */
    }
    if (error == GOIPC_ERROR_DISCONNECTED) {
        return CLI_EXIT_OK; /* the server closed the connection */
    }
    if (the_server != NULL) {
        goipc_server_failure(the_server, &failure);
    } else {
        goipc_client_failure(the_client, &failure);
    }
    cli_say("%s", failure.error == error ? failure.text : goipc_error_text(error));
    return CLI_EXIT_FAILED;
}

static int32_t poll_timeout(const talk *self)
{
    const int32_t timer_ms = the_server != NULL ? goipc_server_poll_timeout_ms(the_server)
                                                : goipc_client_poll_timeout_ms(the_client);
    int64_t left;

    if (!self->input_ended || self->settings->linger_ms == GOIPC_FOREVER || the_server != NULL) {
        return timer_ms;
    }
    left = self->input_ended_ms + self->settings->linger_ms - console_clock_ms();
    left = left < 0 ? 0 : left;
    return timer_ms == GOIPC_FOREVER || left < timer_ms ? (int32_t)left : timer_ms;
}

static bool lingered_enough(const talk *self)
{
    return self->input_ended && the_client != NULL && self->settings->linger_ms != GOIPC_FOREVER &&
           console_clock_ms() >= self->input_ended_ms + self->settings->linger_ms;
}

/* Handles all that is there. False when it is over; *error says why. */
static bool handle_all(talk *self, goipc_error *error)
{
    goipc_message message;

    while ((*error = read_message(&message)) == GOIPC_ERROR_OK) {
        handle_message(self, &message);
    }
    if (fflush(stdout) != 0) {
        cli_say("cannot write to standard output: %s", strerror(errno));
        self->exit_status = CLI_EXIT_FAILED;
        *error = GOIPC_ERROR_INTERRUPTED;
        return false;
    }
    return *error == GOIPC_ERROR_WOULD_BLOCK;
}

static bool is_ready_for_input(const talk *self)
{
    /* A client's lines wait until there is somebody to send them to. */
    return !self->settings->echo && !self->input_ended &&
           (the_server != NULL || goipc_client_status(the_client) == GOIPC_STATUS_CONNECTED);
}

static int run(talk *self)
{
    const intptr_t endpoint_fd =
        the_server != NULL ? goipc_server_poll_fd(the_server) : goipc_client_poll_fd(the_client);
    goipc_error error;

    while (handle_all(self, &error) && !lingered_enough(self)) {
        if (console_wait(endpoint_fd, is_ready_for_input(self), poll_timeout(self)) &&
            !read_input(self)) {
            return CLI_EXIT_FAILED;
        }
    }
    if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_WOULD_BLOCK) {
        const int status = judge_end(error);

        return status != CLI_EXIT_OK ? status : self->exit_status;
    }
    return self->exit_status;
}

/* --- commands --------------------------------------------------------------------------------- */

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
    char path[512];
    int status;

    config.options.failure = &failure;
    if (goipc_server_start(settings->name, &config, &server) != GOIPC_ERROR_OK) {
        cli_say("%s", failure.text[0] != '\0' ? failure.text : goipc_error_text(failure.error));
        return CLI_EXIT_FAILED;
    }
    the_server = server;
    console_on_stop(stop);
    if (!settings->quiet) {
        console_path(settings, path, sizeof path);
        cli_say("listening at %s (%s)", path,
                settings->options.encryption == GOIPC_ENCRYPTION_OFF ? "plain" : "encrypted");
    }
    status = run(&self);
    the_server = NULL; /* before it is freed: a signal may come at any moment */
    goipc_server_close(server);
    free(self.input);
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
    char path[512];
    int status;

    config.options.failure = &failure;
    if (goipc_client_start(settings->name, &config, &client) != GOIPC_ERROR_OK) {
        cli_say("%s", failure.text[0] != '\0' ? failure.text : goipc_error_text(failure.error));
        return CLI_EXIT_FAILED;
    }
    the_client = client;
    console_on_stop(stop);
    if (!settings->quiet) {
        console_path(settings, path, sizeof path);
        cli_say("connecting to %s", path);
    }
    status = run(&self);
    the_client = NULL; /* before it is freed: a signal may come at any moment */
    goipc_client_close(client);
    free(self.input);
    return status;
}
