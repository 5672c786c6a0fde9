/* SPDX-License-Identifier: MIT */
/* `goipc tap`: stands between clients and a server, and prints what they say to each other. */
#define _POSIX_C_SOURCE 200809L

#include "console.h"
#include "message.h"
#include "tap_name.h"

#include <time.h>

enum {
    PAIR_COUNT_MAX = CONSOLE_WAIT_MAX - 1,
    CONNECT_TIMEOUT_MS = 5000,
    WRITE_TIMEOUT_MS = 1000, /* so that a signal is soon obeyed */
};

static const char warning_text[] =
    "WARNING: this prints messages in clear that both sides believe to be encrypted. That is "
    "possible because the protocol does not authenticate the server. Clients that check the user "
    "of the server see the user of the tap.";

typedef struct tapped {
    goipc_client_id id; /* 0: free, or a connection in store for the next client */
    goipc_client *client;
} tapped;

typedef struct tap {
    const cli_settings *settings;
    const char *target;
    goipc_server *server;
    tapped pairs[PAIR_COUNT_MAX];
} tap;

/* --- printing --------------------------------------------------------------------------------- */

/* The time of day to `text`. */
static void format_time(char *text, size_t capacity)
{
    struct timespec now;
    struct tm parts;
    char seconds[16];

    clock_gettime(CLOCK_REALTIME, &now);
    if (localtime_r(&now.tv_sec, &parts) == NULL ||
        strftime(seconds, sizeof seconds, "%H:%M:%S", &parts) == 0) {
        seconds[0] = '\0';
    }
    snprintf(text, capacity, "%s.%06ld", seconds, now.tv_nsec / 1000);
}

static void put_message(const tap *self, goipc_client_id id, bool from_client,
                        const goipc_message *message)
{
    FILE *out = console_out();
    char time[32];

    format_time(time, sizeof time);
    if (self->settings->format == CLI_FORMAT_JSON) {
        fprintf(out, "{\"time\":\"%s\",\"client\":%llu,\"from\":\"%s\",\"type\":%lld,", time,
                (unsigned long long)id, from_client ? "client" : "server",
                (long long)message->type);
        message_put_json_data(out, message->data, message->data_size);
        fputs("}\n", out);
        return;
    }
    fprintf(out, "%s  client %llu %s server  type %lld, %zu bytes", time, (unsigned long long)id,
            from_client ? "->" : "<-", (long long)message->type, message->data_size);
    cli_show_data(out, message->data, message->data_size);
}

static void put_event(const tap *self, goipc_client_id id, const char *what)
{
    char time[32];

    format_time(time, sizeof time);
    fprintf(console_out(),
            self->settings->format == CLI_FORMAT_JSON
                ? "{\"time\":\"%s\",\"client\":%llu,\"event\":\"%s\"}\n"
                : "%s  client %llu %s\n",
            time, (unsigned long long)id, what);
}

/* --- pairs ------------------------------------------------------------------------------------ */

/* Waits until the client is through its handshake. */
static goipc_error await_connection(goipc_client *client)
{
    const intptr_t fd = goipc_client_poll_fd(client);
    goipc_message message;
    goipc_error error;

    while (goipc_client_status(client) != GOIPC_STATUS_CONNECTED) {
        error = goipc_client_read(client, 0, &message);
        if (error == GOIPC_ERROR_WOULD_BLOCK) {
            (void)console_wait(&fd, 1, 0, goipc_client_poll_timeout_ms(client));
            error = console_is_stopped() ? GOIPC_ERROR_INTERRUPTED : GOIPC_ERROR_OK;
        }
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    return GOIPC_ERROR_OK;
}

/* A connection to the real server that is through its handshake, or NULL. */
static goipc_client *connect_to_target(const tap *self)
{
    goipc_client_config config = {.options = self->settings->options,
                                  .timeout_ms = CONNECT_TIMEOUT_MS,
                                  .reconnect_off = true};
    goipc_client *client;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_error error;

    config.options.encryption = GOIPC_ENCRYPTION_OPTIONAL;
    config.options.write_timeout_ms = WRITE_TIMEOUT_MS;
    config.options.failure = &failure;
    error = goipc_client_start(self->target, &config, &client);
    if (error == GOIPC_ERROR_OK) {
        error = await_connection(client);
        if (error == GOIPC_ERROR_OK) {
            return client;
        }
        goipc_client_failure(client, &failure);
        goipc_client_close(client);
    }
    if (error != GOIPC_ERROR_INTERRUPTED) {
        cli_say_failure(&failure, error);
    }
    return NULL;
}

static tapped *find(tap *self, goipc_client_id id)
{
    for (size_t i = 0; i < PAIR_COUNT_MAX; i++) {
        if (self->pairs[i].id == id && (id != 0 || self->pairs[i].client == NULL)) {
            return &self->pairs[i];
        }
    }
    return NULL;
}

static void begin_pair(tap *self, goipc_client_id id)
{
    tapped *pair = NULL;

    put_event(self, id, "connected");
    for (size_t i = 0; i < PAIR_COUNT_MAX && pair == NULL; i++) {
        if (self->pairs[i].id == 0 && self->pairs[i].client != NULL) {
            pair = &self->pairs[i]; /* the one in store */
        }
    }
    if (pair == NULL) {
        pair = find(self, 0);
        if (pair != NULL) {
            pair->client = connect_to_target(self);
        }
    }
    if (pair == NULL || pair->client == NULL) {
        (void)!goipc_server_disconnect(self->server, id); /* it may have left already */
        return;
    }
    pair->id = id;
}

static void end_pair(tapped *pair)
{
    goipc_client_close(pair->client);
    *pair = (tapped){.id = 0};
}

static void pass_to_server(tap *self, const goipc_message *message)
{
    tapped *pair = find(self, message->client);

    if (message->type != GOIPC_MESSAGE_STATUS) {
        put_message(self, message->client, true, message);
        if (pair == NULL || goipc_client_write(pair->client, (uint32_t)message->type, message->data,
                                               message->data_size) != GOIPC_ERROR_OK) {
            put_event(self, message->client, "could not be passed on");
        }
        return;
    }
    if (message->status == GOIPC_STATUS_CONNECTED) {
        begin_pair(self, message->client);
    } else if (message->status == GOIPC_STATUS_DISCONNECTED) {
        put_event(self, message->client, "left");
        if (pair != NULL) {
            end_pair(pair);
        }
    }
}

/* All that the server says to this client. */
static void pass_to_client(tap *self, tapped *pair)
{
    goipc_message message;
    goipc_error error = GOIPC_ERROR_WOULD_BLOCK;

    while (!console_is_stopped() &&
           (error = goipc_client_read(pair->client, 0, &message)) == GOIPC_ERROR_OK) {
        if (message.type == GOIPC_MESSAGE_STATUS) {
            continue;
        }
        put_message(self, pair->id, false, &message);
        if (goipc_server_write(self->server, pair->id, (uint32_t)message.type, message.data,
                               message.data_size) != GOIPC_ERROR_OK) {
            put_event(self, pair->id, "could not be answered");
        }
    }
    if (error != GOIPC_ERROR_WOULD_BLOCK && error != GOIPC_ERROR_OK) {
        put_event(self, pair->id, "was left by the server");
        (void)!goipc_server_disconnect(self->server, pair->id); /* it may have left already */
        end_pair(pair);
    }
}

/* Ends at a signal, or when standard output is closed. */
static int run(tap *self)
{
    goipc_message message;

    while (!console_is_stopped()) {
        intptr_t fds[PAIR_COUNT_MAX + 1] = {goipc_server_poll_fd(self->server)};

        while (!console_is_stopped() &&
               goipc_server_read(self->server, 0, &message) == GOIPC_ERROR_OK) {
            pass_to_server(self, &message);
        }
        for (size_t i = 0; i < PAIR_COUNT_MAX; i++) {
            if (self->pairs[i].id != 0) {
                pass_to_client(self, &self->pairs[i]);
            }
            fds[i + 1] = self->pairs[i].id == 0 ? -1 : goipc_client_poll_fd(self->pairs[i].client);
        }
        if (!console_flush()) {
            return console_is_stopped() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
        }
        if ((console_wait(fds, PAIR_COUNT_MAX + 1, CONSOLE_CLOSED,
                          goipc_server_poll_timeout_ms(self->server)) &
             CONSOLE_CLOSED) != 0) {
            cli_say("standard output was closed");
            return CLI_EXIT_FAILED;
        }
    }
    return CLI_EXIT_OK;
}

/* Serves NAME the way the target does. */
static int serve(tap *self)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server_config config = {.options = self->settings->options,
                                  .clients_max = PAIR_COUNT_MAX,
                                  .unmask_permissions = self->settings->unmask};
    goipc_error error;
    int status;

    self->pairs[0].client = connect_to_target(self);
    if (self->pairs[0].client == NULL) {
        return console_is_stopped() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
    }
    config.options.failure = &failure;
    config.options.write_timeout_ms = WRITE_TIMEOUT_MS;
    config.options.message_size_max = goipc_client_send_size_max(self->pairs[0].client);
    config.options.encryption = goipc_client_is_encrypted(self->pairs[0].client)
                                    ? GOIPC_ENCRYPTION_REQUIRE
                                    : GOIPC_ENCRYPTION_OFF;
    error = goipc_server_start(self->settings->name, &config, &self->server);
    if (error != GOIPC_ERROR_OK) {
        cli_say_failure(&failure, error);
        goipc_client_close(self->pairs[0].client);
        return CLI_EXIT_FAILED;
    }
    cli_say("tapping %s -> %s (%s, messages of at most %lu bytes)", self->settings->name,
            self->target, config.options.encryption == GOIPC_ENCRYPTION_OFF ? "plain" : "encrypted",
            (unsigned long)config.options.message_size_max);
    status = run(self);
    for (size_t i = 0; i < PAIR_COUNT_MAX; i++) {
        end_pair(&self->pairs[i]);
    }
    goipc_server_close(self->server);
    return status;
}

int cli_tap(const cli_settings *settings)
{
    tap self = {.settings = settings, .target = settings->target};
    tap_name name;
    int status;

    cli_say("%s", warning_text);
    if (!console_on_stop(NULL)) {
        cli_say("cannot watch for signals");
        return CLI_EXIT_FAILED;
    }
    if (self.target != NULL) {
        return serve(&self);
    }
    if (!tap_name_take(&name, settings)) {
        return CLI_EXIT_FAILED;
    }
    self.target = name.target;
    status = serve(&self);
    return tap_name_give_back(&name) ? status : CLI_EXIT_FAILED;
}
