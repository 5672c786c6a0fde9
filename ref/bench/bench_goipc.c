/* SPDX-License-Identifier: MIT */
/* libgoipc through its public interface: single writes (also with reads that sleep), corked writes,
 * or batches of 512. */
#include "harness.h"

#include <goipc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_COUNT = 512, CORKED_COUNT = 512, CLIENTS_MAX = 2000 };

struct end {
    goipc_server *server;
    goipc_client *client;
    goipc_client_id peer;
    bool corks, batches;
    goipc_outgoing outgoing[BATCH_COUNT];
    size_t outgoing_count; /* of the batch, or written since the cork */
    goipc_message messages[BATCH_COUNT];
    size_t message_at, message_count;
};

static void check(goipc_error error, const char *what)
{
    if (error != GOIPC_ERROR_OK) {
        fprintf(stderr, "bench: %s: %s\n", what, goipc_error_text(error));
        exit(1);
    }
}

static goipc_options options_of(const bench_options *options)
{
    const goipc_options made = {
        .encryption = options->encrypted ? GOIPC_ENCRYPTION_REQUIRE : GOIPC_ENCRYPTION_OFF,
        .message_size_max = (uint32_t)options->size_max,
        .spin_us = strcmp(options->mode, "sleep") == 0 ? GOIPC_NO_WAIT : 0,
        .crypto = options->crypto != NULL ? goipc_crypto_by_name(options->crypto) : NULL,
    };

    if (options->crypto != NULL && made.crypto == NULL) {
        fprintf(stderr, "bench: %s is not built in\n", options->crypto);
        exit(1);
    }
    return made;
}

static struct end *end_new(const bench_options *options)
{
    struct end *made = bench_allocate(sizeof *made);

    made->corks = strcmp(options->mode, "cork") == 0;
    made->batches = strcmp(options->mode, "batch") == 0;
    return made;
}

static void *serve(const bench_options *options)
{
    const goipc_server_config config = {.options = options_of(options), .clients_max = CLIENTS_MAX};
    struct end *made = end_new(options);

    check(goipc_server_start(options->name, &config, &made->server), "server");
    return made;
}

static goipc_client *connected_client(const bench_options *options)
{
    const goipc_client_config config = {.options = options_of(options)};
    goipc_client *client;
    goipc_message message;

    check(goipc_client_start(options->name, &config, &client), "client");
    do {
        check(goipc_client_read(client, GOIPC_FOREVER, &message), "connect");
    } while (message.status != GOIPC_STATUS_CONNECTED);
    return client;
}

static void *connect_to(const bench_options *options)
{
    struct end *made = end_new(options);

    /* The idle ones live as long as the process. */
    for (size_t i = 0; i < options->idle; i++) {
        (void)connected_client(options);
    }
    made->client = connected_client(options);
    return made;
}

static void flush(void *context)
{
    struct end *end = context;
    size_t taken;

    if (end->batches && end->outgoing_count > 0) {
        check(end->server != NULL ? goipc_server_write_batch(end->server, end->peer, end->outgoing,
                                                             end->outgoing_count, &taken)
                                  : goipc_client_write_batch(end->client, end->outgoing,
                                                             end->outgoing_count, &taken),
              "write");
    }
    if (end->server != NULL || end->corks) {
        check(end->server != NULL ? goipc_server_flush(end->server, GOIPC_FOREVER)
                                  : goipc_client_flush(end->client, GOIPC_FOREVER),
              "flush");
    }
    end->outgoing_count = 0;
}

static void send_message(void *context, const uint8_t *data, size_t size)
{
    struct end *end = context;

    if (end->batches) {
        end->outgoing[end->outgoing_count++] = (goipc_outgoing){1, data, size};
        if (end->outgoing_count == BATCH_COUNT) {
            flush(end);
        }
        return;
    }
    if (end->corks && end->outgoing_count++ == 0) {
        if (end->server != NULL) {
            goipc_server_cork(end->server);
        } else {
            goipc_client_cork(end->client);
        }
    }
    check(end->server != NULL ? goipc_server_write(end->server, end->peer, 1, data, size)
                              : goipc_client_write(end->client, 1, data, size),
          "write");
    if (end->corks && (end->outgoing_count == CORKED_COUNT || size > 65536)) {
        flush(end);
    }
}

static void fill(struct end *end)
{
    end->message_at = 0;
    check(end->server != NULL ? goipc_server_read_batch(end->server, GOIPC_FOREVER, end->messages,
                                                        BATCH_COUNT, &end->message_count)
                              : goipc_client_read_batch(end->client, GOIPC_FOREVER, end->messages,
                                                        BATCH_COUNT, &end->message_count),
          "read");
}

static size_t receive(void *context, size_t wanted, size_t *size)
{
    struct end *end = context;
    size_t taken = 0;

    while (taken == 0) {
        if (end->message_at == end->message_count) {
            fill(end);
        }
        while (end->message_at < end->message_count && taken < wanted) {
            const goipc_message *message = &end->messages[end->message_at++];

            if (message->type != GOIPC_MESSAGE_STATUS) {
                end->peer = message->client;
                *size = message->data_size;
                taken++;
            } else if (message->error != GOIPC_ERROR_OK) {
                check(message->error, "connection");
            }
        }
    }
    return taken;
}

static void close_end(void *context)
{
    struct end *end = context;

    goipc_server_close(end->server);
    goipc_client_close(end->client);
    free(end);
}

static void connect_once(const bench_options *options)
{
    goipc_client_close(connected_client(options));
}

static void serve_many(const bench_options *options)
{
    struct end *end = serve(options);
    goipc_message message;

    for (;;) {
        check(goipc_server_read(end->server, GOIPC_FOREVER, &message), "read");
    }
}

int main(int argc, char **argv)
{
    static const bench_contestant contestant = {
        .suffix = ".sock",
        .serve = serve,
        .connect = connect_to,
        .send = send_message,
        .flush = flush,
        .receive = receive,
        .close = close_end,
        .connect_once = connect_once,
        .serve_many = serve_many,
    };

    return bench_main(argc, argv, &contestant);
}
