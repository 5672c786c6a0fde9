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
    };

    return bench_main(argc, argv, &contestant);
}
