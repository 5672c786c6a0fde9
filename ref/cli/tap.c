/* SPDX-License-Identifier: MIT */
/* `goipc tap`: stands between clients and a server, and prints what they say to each other. */
#define _POSIX_C_SOURCE 200809L

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAIR_COUNT_MAX = 64, CONNECT_TIMEOUT_MS = 5000 };

static const char warning_text[] =
    "WARNING: this prints, in clear, messages that others believe to be encrypted. It can do so "
    "because the protocol authenticates nobody: whoever takes the name is the server. Clients that "
    "check the user at the other end see yours.";

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

/* A signal writes one byte to stop_pipe[1]. The byte stays there, so that a poll that begins after
 * the signal returns as well. */
static int stop_pipe[2] = {-1, -1};

static void stop(int number)
{
    const int saved_errno = errno;

    (void)number;
    (void)!write(stop_pipe[1], "", 1); /* a full pipe says the same */
    errno = saved_errno;
}

static bool stop_on_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    struct sigaction action = {.sa_handler = stop};

    if (pipe(stop_pipe) != 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        (void)!fcntl(stop_pipe[i], F_SETFL, O_NONBLOCK);
        (void)!fcntl(stop_pipe[i], F_SETFD, FD_CLOEXEC);
    }
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], &action, NULL);
    }
    action.sa_handler = SIG_IGN; /* writing to a closed standard output fails instead */
    sigaction(SIGPIPE, &action, NULL);
    return true;
}

static bool is_stopped(void)
{
    struct pollfd look = {.fd = stop_pipe[0], .events = POLLIN};

    return poll(&look, 1, 0) > 0;
}

static void print_time(void)
{
    struct timespec now;
    struct tm parts;
    char text[16];

    clock_gettime(CLOCK_REALTIME, &now);
    if (localtime_r(&now.tv_sec, &parts) != NULL &&
        strftime(text, sizeof text, "%H:%M:%S", &parts) > 0) {
        printf("%s.%06ld  ", text, now.tv_nsec / 1000);
    }
}

static void tell(goipc_client_id id, const char *arrow, const goipc_message *message)
{
    print_time();
    printf("client %llu %s server  type %lld, %zu bytes", (unsigned long long)id, arrow,
           (long long)message->type, message->data_size);
    cli_show_data(stdout, message->data, message->data_size);
}

static void tell_event(goipc_client_id id, const char *what)
{
    print_time();
    printf("client %llu %s\n", (unsigned long long)id, what);
}

/* A connection to the real server that is through its handshake, or NULL. */
static goipc_client *connect_to_target(const tap *self)
{
    goipc_client_config config = {.options = self->settings->options,
                                  .timeout_ms = CONNECT_TIMEOUT_MS,
                                  .reconnect_off = true};
    goipc_client *client;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_message message = {.type = 0};
    goipc_error error;

    config.options.encryption = GOIPC_ENCRYPTION_OPTIONAL;
    config.options.failure = &failure;
    error = goipc_client_start(self->target, &config, &client);
    while (error == GOIPC_ERROR_OK && goipc_client_status(client) != GOIPC_STATUS_CONNECTED) {
        error = goipc_client_read(client, CONNECT_TIMEOUT_MS, &message);
        if (error != GOIPC_ERROR_OK) {
            goipc_client_failure(client, &failure);
            goipc_client_close(client);
        }
    }
    if (error != GOIPC_ERROR_OK) {
        cli_say("%s", failure.text[0] != '\0' ? failure.text : goipc_error_text(error));
        return NULL;
    }
    return client;
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

    tell_event(id, "connected");
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
        tell(message->client, "->", message);
        if (pair == NULL || goipc_client_write(pair->client, (uint32_t)message->type, message->data,
                                               message->data_size) != GOIPC_ERROR_OK) {
            tell_event(message->client, "could not be passed on");
        }
        return;
    }
    if (message->status == GOIPC_STATUS_CONNECTED) {
        begin_pair(self, message->client);
    } else if (message->status == GOIPC_STATUS_DISCONNECTED) {
        tell_event(message->client, "left");
        if (pair != NULL) {
            end_pair(pair);
        }
    }
}

/* All that the server says to this client. */
static void pass_to_client(tap *self, tapped *pair)
{
    goipc_message message;
    goipc_error error;

    while ((error = goipc_client_read(pair->client, 0, &message)) == GOIPC_ERROR_OK) {
        if (message.type == GOIPC_MESSAGE_STATUS) {
            continue;
        }
        tell(pair->id, "<-", &message);
        if (goipc_server_write(self->server, pair->id, (uint32_t)message.type, message.data,
                               message.data_size) != GOIPC_ERROR_OK) {
            tell_event(pair->id, "could not be answered");
        }
    }
    if (error != GOIPC_ERROR_WOULD_BLOCK) {
        tell_event(pair->id, "was left by the server");
        (void)!goipc_server_disconnect(self->server, pair->id); /* it may have left already */
        end_pair(pair);
    }
}

/* Ends at a signal, or when standard output is closed. */
static void run(tap *self)
{
    goipc_message message;

    while (!is_stopped()) {
        struct pollfd looks[PAIR_COUNT_MAX + 3] = {
            {.fd = (int)goipc_server_poll_fd(self->server), .events = POLLIN}};

        while (goipc_server_read(self->server, 0, &message) == GOIPC_ERROR_OK) {
            pass_to_server(self, &message);
        }
        for (size_t i = 0; i < PAIR_COUNT_MAX; i++) {
            if (self->pairs[i].id != 0) {
                pass_to_client(self, &self->pairs[i]);
            }
            looks[i + 1].fd =
                self->pairs[i].id == 0 ? -1 : (int)goipc_client_poll_fd(self->pairs[i].client);
            looks[i + 1].events = POLLIN;
        }
        looks[PAIR_COUNT_MAX + 1] = (struct pollfd){.fd = stop_pipe[0], .events = POLLIN};
        looks[PAIR_COUNT_MAX + 2] = (struct pollfd){.fd = STDOUT_FILENO, .events = 0};
        if (fflush(stdout) != 0) {
            return;
        }
        (void)poll(looks, PAIR_COUNT_MAX + 3, goipc_server_poll_timeout_ms(self->server));
        if ((looks[PAIR_COUNT_MAX + 2].revents & POLLERR) != 0) {
            return;
        }
    }
}

/* Serves NAME the way the target does. */
static int serve(tap *self)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server_config config = {.options = self->settings->options,
                                  .clients_max = PAIR_COUNT_MAX,
                                  .unmask_permissions = self->settings->unmask};

    self->pairs[0].client = connect_to_target(self);
    if (self->pairs[0].client == NULL) {
        return CLI_EXIT_FAILED;
    }
    config.options.failure = &failure;
    config.options.message_size_max = goipc_client_send_size_max(self->pairs[0].client);
    config.options.encryption = goipc_client_is_encrypted(self->pairs[0].client)
                                    ? GOIPC_ENCRYPTION_REQUIRE
                                    : GOIPC_ENCRYPTION_OFF;
    if (goipc_server_start(self->settings->name, &config, &self->server) != GOIPC_ERROR_OK) {
        cli_say("%s", failure.text);
        goipc_client_close(self->pairs[0].client);
        return CLI_EXIT_FAILED;
    }
    cli_say("tapping %s -> %s (%s, messages of at most %lu bytes)", self->settings->name,
            self->target, config.options.encryption == GOIPC_ENCRYPTION_OFF ? "plain" : "encrypted",
            (unsigned long)config.options.message_size_max);
    run(self);
    for (size_t i = 0; i < PAIR_COUNT_MAX; i++) {
        end_pair(&self->pairs[i]);
    }
    goipc_server_close(self->server);
    return CLI_EXIT_OK;
}

/* Without a second name, the live server's socket is moved to NAME-tapped while the tap runs. It
 * stays reachable there, since a socket is its inode. */
int cli_tap(const cli_settings *settings)
{
    const char *directory =
        settings->options.directory != NULL ? settings->options.directory : "/tmp";
    tap self = {.settings = settings, .target = settings->target};
    char name[128], path[512], moved[512];
    struct stat status;
    int result;

    cli_say("%s", warning_text);
    if (!stop_on_signals()) {
        cli_say("cannot watch for signals: %s", strerror(errno));
        return CLI_EXIT_FAILED;
    }
    if (self.target != NULL) {
        return serve(&self);
    }
    snprintf(name, sizeof name, "%.100s-tapped", settings->name);
    snprintf(path, sizeof path, "%.200s/%.100s.sock", directory, settings->name);
    snprintf(moved, sizeof moved, "%.200s/%s.sock", directory, name);
    if (lstat(moved, &status) == 0) {
        cli_say("%s is in the way: another tap runs, or one was killed (then move it back to %s)",
                moved, path);
        return CLI_EXIT_FAILED;
    }
    if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode) || rename(path, moved) != 0) {
        cli_say("cannot take the place of %s: %s", path, strerror(errno));
        return CLI_EXIT_FAILED;
    }
    self.target = name;
    result = serve(&self);
    if (lstat(path, &status) == 0 || rename(moved, path) != 0) {
        cli_say("the server's socket stays at %s: somebody else has %s", moved, path);
        return CLI_EXIT_FAILED;
    }
    return result;
}
