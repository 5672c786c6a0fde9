/* SPDX-License-Identifier: MIT */
/* A client in libuv's loop: asks ten times a second, prints the answers, ends after COUNT of them,
 * or with an error. libuv_client [NAME] [COUNT] */
#include <goipc.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

typedef struct state {
    goipc_client *client;
    uv_poll_t readable; /* the client's descriptor */
    uv_timer_t due;     /* the client's own clock: retries and deadlines */
    uv_timer_t tick;
    long left;
    goipc_error error; /* what ended it */
} state;

static void step(state *self);

static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    step(handle->data);
}

static void on_due(uv_timer_t *timer)
{
    step(timer->data);
}

static void on_tick(uv_timer_t *timer)
{
    state *self = timer->data;

    /* With GOIPC_NO_WAIT this never waits; while there is no connection it says so. */
    if (goipc_client_status(self->client) == GOIPC_STATUS_CONNECTED &&
        goipc_client_write(self->client, 1, "tick", 4) != GOIPC_ERROR_OK) {
        fputs("a tick was not sent\n", stderr);
    }
}

/* Takes all that is there, then asks to be called when there may be more. */
static void step(state *self)
{
    goipc_message message;
    goipc_error error;
    int32_t due_ms;

    while ((error = goipc_client_read(self->client, 0, &message)) == GOIPC_ERROR_OK) {
        if (message.type == GOIPC_MESSAGE_STATUS) {
            printf("%s\n", goipc_status_text(message.status));
            continue;
        }
        printf("%.*s\n", (int)message.data_size, (const char *)message.data);
        if (--self->left == 0) {
            uv_stop(self->readable.loop);
        }
    }
    fflush(stdout);
    if (error != GOIPC_ERROR_WOULD_BLOCK) { /* a lost connection is none, it comes back by itself */
        self->error = error;
        uv_stop(self->readable.loop);
        return;
    }
    due_ms = goipc_client_poll_timeout_ms(self->client);
    uv_timer_stop(&self->due);
    if (due_ms != GOIPC_FOREVER) {
        uv_timer_start(&self->due, on_due, (uint64_t)due_ms, 0);
    }
}

int main(int argc, char **argv)
{
    const goipc_client_config config = {.options.write_timeout_ms = GOIPC_NO_WAIT};
    uv_loop_t *loop = uv_default_loop();
    goipc_failure failure;
    state self = {.left = argc > 2 ? strtol(argv[2], NULL, 10) : 3};

    if (goipc_client_start(argc > 1 ? argv[1] : "demo", &config, &self.client) != GOIPC_ERROR_OK) {
        return 1;
    }
    self.readable.data = self.due.data = self.tick.data = &self;
    uv_poll_init(loop, &self.readable, (int)goipc_client_poll_fd(self.client));
    uv_timer_init(loop, &self.due);
    uv_timer_init(loop, &self.tick);
    uv_poll_start(&self.readable, UV_READABLE, on_readable);
    uv_timer_start(&self.tick, on_tick, 0, 100);
    step(&self);
    uv_run(loop, UV_RUN_DEFAULT);
    if (self.error != GOIPC_ERROR_OK) {
        goipc_client_failure(self.client, &failure);
        fprintf(stderr, "%s\n", failure.text);
    }
    uv_poll_stop(&self.readable);
    goipc_client_close(self.client);
    return self.error == GOIPC_ERROR_OK ? 0 : 1;
}
