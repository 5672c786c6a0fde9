/* SPDX-License-Identifier: MIT */
/* ZeroMQ PAIR over ipc. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

struct end {
    void *context;
    void *socket;
    zmq_msg_t message;
};

static struct end *open_end(const bench_options *options, int (*join)(void *, const char *))
{
    struct end *made = bench_allocate(sizeof *made);
    const int unlimited = 0;
    char address[128];

    snprintf(address, sizeof address, "ipc:///tmp/%s.zmq", options->name);
    made->context = zmq_ctx_new();
    made->socket = zmq_socket(made->context, ZMQ_PAIR);
    zmq_setsockopt(made->socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(made->socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    if (made->socket == NULL || join(made->socket, address) != 0) {
        bench_fail("zmq socket");
    }
    return made;
}

static void *serve(const bench_options *options)
{
    return open_end(options, zmq_bind);
}

static void *connect_to(const bench_options *options)
{
    return open_end(options, zmq_connect);
}

static void send_message(void *context, const uint8_t *data, size_t size)
{
    struct end *end = context;

    if (zmq_send(end->socket, data, size, 0) < 0) {
        bench_fail("zmq_send");
    }
}

static void flush(void *context)
{
    (void)context; /* its thread has the message already */
}

static size_t receive(void *context, size_t wanted, size_t *size)
{
    struct end *end = context;

    (void)wanted;
    zmq_msg_init(&end->message);
    if (zmq_msg_recv(&end->message, end->socket, 0) < 0) {
        bench_fail("zmq_msg_recv");
    }
    *size = zmq_msg_size(&end->message);
    zmq_msg_close(&end->message);
    return 1;
}

static void close_end(void *context)
{
    struct end *end = context;

    zmq_close(end->socket);
    zmq_ctx_term(end->context);
    free(end);
}

/* A pair takes one peer at a time and drops whoever comes before it has noticed that the last one
 * left, with what that one had sent: so it is said again until there is an answer. */
static void connect_once(const bench_options *options)
{
    struct end *end = open_end(options, zmq_connect);
    const int retry_ms = 1, patience_ms = 5, at_once = 0;
    char answer;

    zmq_setsockopt(end->socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    zmq_setsockopt(end->socket, ZMQ_RECONNECT_IVL, &retry_ms, sizeof retry_ms);
    zmq_setsockopt(end->socket, ZMQ_LINGER, &at_once, sizeof at_once);
    do {
        send_message(end, (const uint8_t *)"?", 1);
    } while (zmq_recv(end->socket, &answer, 1, 0) != 1);
    close_end(end);
}

static void serve_many(const bench_options *options)
{
    struct end *end = open_end(options, zmq_bind);
    char question;

    for (;;) {
        if (zmq_recv(end->socket, &question, 1, 0) == 1) {
            /* Not waiting: who asked may have left. */
            (void)zmq_send(end->socket, "!", 1, ZMQ_DONTWAIT);
        }
    }
}

int main(int argc, char **argv)
{
    static const bench_contestant contestant = {
        .suffix = ".zmq",
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
