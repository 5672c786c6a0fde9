/* SPDX-License-Identifier: MIT */
/* One contestant of the benchmark: two processes that exchange messages in one way, measured the
 * same way for all. A contestant fills in the table and calls bench_main; bench.py runs the
 * programs side by side and compares. */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bench_options {
    const char *name; /* a name or path that no other run uses */
    const char *mode; /* "single", "cork" or "batch": how messages are handed over */
    const char *crypto;
    bool encrypted;
    size_t size_max; /* bytes of the largest message */
    size_t clients;  /* connections that the server has in all, at least 1 */
    size_t idle;     /* how many of them the first connect makes besides its own */
} bench_options;

typedef struct bench_contestant {
    const char *suffix; /* its socket is /tmp/NAME and this */
    /* The side that listens; it may be opened before or after the other. Both end the process with
     * a message on failure: a benchmark has nothing to recover. */
    void *(*serve)(const bench_options *options);
    void *(*connect)(const bench_options *options);
    /* Hands one message over; in the gathering modes it may stay behind until flush. */
    void (*send)(void *end, const uint8_t *data, size_t size);
    void (*flush)(void *end);
    /* Waits for at least one message; how many were taken, at most `wanted`. *size is the last
     * one's. */
    size_t (*receive)(void *end, size_t wanted, size_t *size);
    void (*close)(void *end);
    /* NULL where it has no such thing: opens and closes one connection, after which the server has
     * seen it. The serving side runs serve_many until the process is ended. */
    void (*connect_once)(const bench_options *options);
    void (*serve_many)(const bench_options *options);
} bench_contestant;

/* PROGRAM WORKLOAD SIZE COUNT [mode=M] [crypto=C] [encrypted=0|1] [clients=N]
 * WORKLOAD: oneway (client to server), back (server to client), roundtrip, each with N - 1 idle
 * clients; turns (round trips, of N clients in turn); handshake; idle (COUNT clients that have sent
 * and received one message and then do nothing). Prints one line of JSON. */
int bench_main(int argc, char **argv, const bench_contestant *contestant);

/* Zeroed memory; without it the process ends. */
void *bench_allocate(size_t size);

/* Ends the process, naming what failed. */
_Noreturn void bench_fail(const char *what);

#endif
