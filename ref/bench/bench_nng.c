/* SPDX-License-Identifier: MIT */
/* nng pair0 over ipc. */
#include "harness.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdio.h>
#include <stdlib.h>

struct end {
    nng_socket socket;
};

static void check(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "bench: %s: %s\n", what, nng_strerror(result));
        exit(1);
    }
}

static struct end *open_end(const bench_options *options, char *address, size_t address_size)
{
    struct end *made = bench_allocate(sizeof *made);

    snprintf(address, address_size, "ipc:///tmp/%s.nng", options->name);
    check(nng_pair0_open(&made->socket), "socket");
    check(nng_socket_set_size(made->socket, NNG_OPT_RECVMAXSZ, 0), "no limit");
    return made;
}

static void *serve(const bench_options *options)
{
    char address[128];
    struct end *made = open_end(options, address, sizeof address);

    check(nng_listen(made->socket, address, NULL, 0), "listen");
    return made;
}

static void *connect_to(const bench_options *options)
{
    char address[128];
    struct end *made = open_end(options, address, sizeof address);

    check(nng_socket_set_ms(made->socket, NNG_OPT_RECONNMINT, 1), "retry");
    check(nng_dial(made->socket, address, NULL, NNG_FLAG_NONBLOCK), "dial");
    return made;
}

static void send_message(void *context, const uint8_t *data, size_t size)
{
    struct end *end = context;
    nng_msg *message;

    check(nng_msg_alloc(&message, 0), "message");
    check(nng_msg_append(message, data, size), "message");
    check(nng_sendmsg(end->socket, message, 0), "send");
}

static void flush(void *context)
{
    (void)context; /* its threads have the message already */
}

static size_t receive(void *context, size_t wanted, size_t *size)
{
    struct end *end = context;
    nng_msg *message;

    (void)wanted;
    check(nng_recvmsg(end->socket, &message, 0), "receive");
    *size = nng_msg_len(message);
    nng_msg_free(message);
    return 1;
}

static void close_end(void *context)
{
    struct end *end = context;

    nng_close(end->socket);
    free(end);
}

/* A pair takes one peer at a time and drops whoever comes before it has noticed that the last one
 * left, with what that one had sent: so it is said again until there is an answer. */
static void connect_once(const bench_options *options)
{
    struct end *end = connect_to(options);
    nng_msg *answer;

    check(nng_socket_set_ms(end->socket, NNG_OPT_RECVTIMEO, 5), "patience");
    do {
        send_message(end, (const uint8_t *)"?", 1);
    } while (nng_recvmsg(end->socket, &answer, 0) != 0);
    nng_msg_free(answer);
    close_end(end);
}

static void serve_many(const bench_options *options)
{
    struct end *end = serve(options);
    nng_msg *question;

    for (;;) {
        check(nng_recvmsg(end->socket, &question, 0), "receive");
        /* Not waiting: who asked may have left. */
        if (nng_sendmsg(end->socket, question, NNG_FLAG_NONBLOCK) != 0) {
            nng_msg_free(question);
        }
    }
}

int main(int argc, char **argv)
{
    static const bench_contestant contestant = {
        .suffix = ".nng",
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
