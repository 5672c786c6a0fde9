/* SPDX-License-Identifier: MIT */
/* The physical limit: the bare Unix domain socket carrying exactly the bytes that the protocol
 * would, plain (8 bytes before each message) or sealed (36 more bytes, not computed), as fast as
 * they can be handed over: small messages are gathered by copying, which costs less than a vector,
 * large ones go from where the caller has them. One write per message, or as many messages as are
 * worth it per write. Mode epoll (Linux) is one write per message, and a wait with epoll before
 * each read: the limit of whoever can be interrupted, or serves many clients. */
#define _DEFAULT_SOURCE
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    GATHER_SIZE = 64 * 1024,         /* of copied messages, by write */
    GATHER_LARGE_SIZE = 1024 * 1024, /* of all messages, by write */
    COPY_MAX = 4096,                 /* a larger message is not copied */
    VECTOR_COUNT = 64,
    PLAIN_OVERHEAD = 8,
    SEALED_OVERHEAD = 36
};

struct end {
    int socket;
    int listener;
    int epoll;   /* -1: reads wait by themselves */
    bool crowds; /* epoll has the listener and all connections, `socket` is the last that spoke */
    bool gathers;
    size_t overhead;
    uint8_t *out; /* heads, and messages that are copied */
    size_t out_size;
    struct iovec vectors[VECTOR_COUNT];
    int vector_count;
    size_t pending_size; /* in the vectors */
    uint8_t *in;
    size_t in_at, in_size, in_capacity;
    char path[108];
};

static void address_of(const bench_options *options, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "/tmp/%s.bare", options->name);
}

#ifdef __linux__
static void watch(int epoll, int socket)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = socket};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) != 0) {
        bench_fail("epoll");
    }
}

static int open_epoll(int socket)
{
    const int made = epoll_create1(0);

    if (made < 0) {
        bench_fail("epoll");
    }
    watch(made, socket);
    return made;
}

/* Lets in who comes, until one of those that are there says something. */
static void wait_for_any(struct end *end)
{
    for (;;) {
        struct epoll_event event;
        int accepted;

        if (epoll_wait(end->epoll, &event, 1, -1) != 1) {
            bench_fail("epoll");
        }
        if (event.data.fd != end->listener) {
            end->socket = event.data.fd;
            return;
        }
        accepted = accept(end->listener, NULL, NULL);
        if (accepted < 0) {
            bench_fail("accept");
        }
        watch(end->epoll, accepted);
    }
}

static void wait_for_input(struct end *end)
{
    struct epoll_event event;

    if (end->crowds) {
        if (end->in_size == end->in_at) { /* otherwise the rest of a message is on its way */
            wait_for_any(end);
        }
    } else if (end->epoll >= 0 && epoll_wait(end->epoll, &event, 1, -1) != 1) {
        bench_fail("epoll");
    }
}
#else
static int open_epoll(int socket)
{
    (void)socket;
    errno = ENOSYS;
    bench_fail("epoll");
}

static void wait_for_input(struct end *end)
{
    (void)end;
}
#endif

static struct end *end_new(const bench_options *options, int socket)
{
    const bool waits = strcmp(options->mode, "epoll") == 0;
    struct end *made = bench_allocate(sizeof *made);

    made->socket = socket;
    made->listener = -1;
    made->epoll = waits ? open_epoll(socket) : -1;
    made->gathers = strcmp(options->mode, "batch") == 0;
    made->overhead = options->encrypted ? SEALED_OVERHEAD : PLAIN_OVERHEAD;
    made->in_capacity = GATHER_SIZE + options->size_max + 2 * made->overhead;
    made->out = malloc(GATHER_SIZE + COPY_MAX + made->overhead);
    made->in = malloc(made->in_capacity);
    if (made->out == NULL || made->in == NULL) {
        bench_fail("memory");
    }
    return made;
}

static int listen_at(const struct sockaddr_un *address)
{
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    if (listener < 0 || bind(listener, (const struct sockaddr *)address, sizeof *address) != 0 ||
        listen(listener, 64) != 0) {
        bench_fail("listen");
    }
    return listener;
}

static void *serve(const bench_options *options)
{
    struct sockaddr_un address;
    int listener, accepted;
    struct end *made;

    address_of(options, &address);
    listener = listen_at(&address);
    if (options->clients > 1) {
        made = end_new(options, listener);
        made->crowds = true;
    } else {
        accepted = accept(listener, NULL, NULL);
        if (accepted < 0) {
            bench_fail("accept");
        }
        made = end_new(options, accepted);
    }
    made->listener = listener;
    memcpy(made->path, address.sun_path, sizeof made->path);
    return made;
}

static int dial(const bench_options *options)
{
    const struct timespec pause = {0, 1000000};
    struct sockaddr_un address;
    const int made = socket(AF_UNIX, SOCK_STREAM, 0);

    address_of(options, &address);
    while (connect(made, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno != ENOENT && errno != ECONNREFUSED) {
            bench_fail("connect");
        }
        nanosleep(&pause, NULL); /* the other process has not bound it yet */
    }
    return made;
}

static void *connect_to(const bench_options *options)
{
    for (size_t i = 0; i < options->idle; i++) {
        (void)dial(options); /* lives as long as the process */
    }
    return end_new(options, dial(options));
}

static void flush(void *context)
{
    struct end *end = context;
    struct iovec *at = end->vectors;
    const struct iovec *const last = at + end->vector_count;

    while (at < last) {
        ssize_t written = last - at == 1 ? write(end->socket, at->iov_base, at->iov_len)
                                         : writev(end->socket, at, (int)(last - at));

        if (written < 0) {
            bench_fail("write");
        }
        while (at < last && (size_t)written >= at->iov_len) {
            written -= (ssize_t)at->iov_len;
            at++;
        }
        if (at < last) {
            at->iov_base = (uint8_t *)at->iov_base + written;
            at->iov_len -= (size_t)written;
        }
    }
    end->vector_count = 0;
    end->pending_size = end->out_size = 0;
}

static void append(struct end *end, const uint8_t *data, size_t size)
{
    struct iovec *last = end->vectors + end->vector_count - 1;

    if (end->vector_count > 0 && (const uint8_t *)last->iov_base + last->iov_len == data) {
        last->iov_len += size;
    } else {
        end->vectors[end->vector_count++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)data, size};
    }
    end->pending_size += size;
}

static void send_message(void *context, const uint8_t *data, size_t size)
{
    struct end *end = context;
    const uint32_t length = (uint32_t)(size + end->overhead - 4);
    const size_t copied_size = end->overhead + (size <= COPY_MAX ? size : 0);
    uint8_t *out = end->out + end->out_size;

    memset(out, 0, end->overhead);
    out[0] = (uint8_t)(length >> 24);
    out[1] = (uint8_t)(length >> 16);
    out[2] = (uint8_t)(length >> 8);
    out[3] = (uint8_t)length;
    memcpy(out + end->overhead, data, copied_size - end->overhead);
    append(end, out, copied_size);
    end->out_size += copied_size;
    if (size > COPY_MAX) {
        append(end, data, size);
    }
    /* Room for one more message of either kind stays. */
    if (!end->gathers || end->out_size >= GATHER_SIZE || end->pending_size >= GATHER_LARGE_SIZE ||
        end->vector_count > VECTOR_COUNT - 2) {
        flush(end);
    }
}

/* A large message is read without what comes behind it but a head: nothing that would have to be
 * moved to the front afterwards. */
static void fill(struct end *end, size_t needed)
{
    const bool large = needed > GATHER_SIZE / 2;

    if (end->in_at > 0 && end->in_at + needed + end->overhead > end->in_capacity) {
        memmove(end->in, end->in + end->in_at, end->in_size - end->in_at);
        end->in_size -= end->in_at;
        end->in_at = 0;
    }
    while (end->in_size - end->in_at < needed) {
        const size_t until = large ? end->in_at + needed + end->overhead : end->in_capacity;
        ssize_t got;

        wait_for_input(end);
        got = read(end->socket, end->in + end->in_size, until - end->in_size);
        if (got <= 0) {
            bench_fail("read");
        }
        end->in_size += (size_t)got;
    }
}

static size_t receive(void *context, size_t wanted, size_t *size)
{
    struct end *end = context;
    size_t taken = 0;

    do {
        uint32_t length;
        const uint8_t *in;

        fill(end, 4);
        in = end->in + end->in_at;
        length = (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
        fill(end, 4 + (size_t)length);
        end->in_at += 4 + (size_t)length;
        *size = 4 + (size_t)length - end->overhead;
        taken++;
        if (end->in_at == end->in_size) {
            end->in_at = end->in_size = 0;
        }
    } while (taken < wanted && end->in_size - end->in_at >= 4);
    return taken;
}

static void close_end(void *context)
{
    struct end *end = context;

    if (end->epoll >= 0) {
        close(end->epoll);
    }
    close(end->socket);
    if (end->listener >= 0) {
        close(end->listener);
        unlink(end->path);
    }
    free(end->out);
    free(end->in);
    free(end);
}

static void connect_once(const bench_options *options)
{
    const int made = dial(options);
    uint8_t byte;

    if (read(made, &byte, 1) != 1) {
        bench_fail("read");
    }
    close(made);
}

static void serve_many(const bench_options *options)
{
    struct sockaddr_un address;
    int listener;

    address_of(options, &address);
    listener = listen_at(&address);
    for (;;) {
        const int accepted = accept(listener, NULL, NULL);

        if (accepted < 0 || write(accepted, "", 1) != 1) {
            bench_fail("accept");
        }
        close(accepted);
    }
}

int main(int argc, char **argv)
{
    static const bench_contestant contestant = {
        .suffix = ".bare",
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
