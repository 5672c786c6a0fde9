/* SPDX-License-Identifier: MIT */
/* What servers and clients have in common: options, threads inside calls, interrupt, waiting. */
#ifndef GOIPC_ENDPOINT_H
#define GOIPC_ENDPOINT_H

#include "core/system.h"
#include "endpoint/clock.h"
#include "endpoint/deadline.h"
#include "endpoint/lock.h"
#include "endpoint/transport.h"

#include <stdatomic.h>

typedef struct goipci_connection goipci_connection;
typedef struct goipci_role goipci_role; /* driver.h */

/* The lists a connection can be on, each at most once at a time. */
typedef enum goipci_list_kind {
    GOIPCI_LIST_PHASE,        /* handshaking, open or leaving */
    GOIPCI_LIST_READY_CLIENT, /* open, and waits for a turn of the reading thread */
    GOIPCI_LIST_READY_OTHER,  /* not open, and waits for a turn */
    GOIPCI_LIST_PAUSED,       /* its handshake waits before a curve operation */
    GOIPCI_LIST_WARM,         /* holds memory that an idle connection does not need */
    GOIPCI_LIST_QUEUED,       /* has output that waits; under the endpoint's lock */
    GOIPCI_LIST_COUNT,
} goipci_list_kind;

typedef struct goipci_list {
    goipci_list_kind kind;
    goipci_connection *first;
    goipci_connection *last;
    size_t count;
} goipci_list;

typedef struct goipci_counters {
    atomic_uint_fast64_t messages_in, messages_out, bytes_in, bytes_out;
    atomic_uint_fast64_t connects, refusals, failures;
} goipci_counters;

/*
 * Which thread may touch what:
 * - `lock` guards `failure`, the list `queued`, and what server.h and client.h name under it.
 * - The loop thread (a server's reader; a client's reader, or a writer that connects) owns the
 *   receiving halves, the phases, and all lists but `queued`.
 * - Each connection's lock guards its sending half. A thread that holds one may take `lock`, never
 *   the reverse.
 */
typedef struct goipci_endpoint {
    const goipci_role *role_functions;
    const goipc_allocator *allocator;
    goipc_options options; /* defaults filled in; peer_users is a copy, directory is not kept */
    goipc_peers peers;
    goipc_role role;
    goipci_address address;
    goipci_poller *poller;
    int64_t process;

    goipci_lock lock;
    goipci_condition changed;
    goipc_failure failure; /* the last failure that has a text */
    goipci_list queued;
    atomic_int last_error; /* of the last failed call, or failure.error */

    atomic_uint inside;  /* threads in calls */
    atomic_bool stopped; /* by _stop: every call ends with CLOSED */
    atomic_bool closing;
    atomic_bool reading;
    atomic_bool interrupted;
    atomic_bool corked;
    atomic_bool leave_pending; /* a connection has a leave_reason; the loop has to search for it */
    /* Used by the loop thread only. */
    uint32_t spin_pause;  /* waits to skip after a spin: doubles if it found nothing, else halves */
    uint32_t spin_rest;   /* how many of these are left */
    goipc_error repeated; /* the last read's error: a loop that ignores it is slowed down */
    goipci_list leaving;  /* connections that are being closed */
    goipci_counters counters;
} goipci_endpoint;

#define GOIPCI_RESERVED_TEXT                                                                       \
    "reserved of the configuration is not zero, as if set by a later version of the header, for "  \
    "\"%.100s\""

/* Initialises the fields. On failure *failure has the reason, and wipe must not be called. Errors:
 * ARGUMENT, NAME, MEMORY, RESOURCES, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_endpoint_init(goipci_endpoint *endpoint, goipc_role role,
                                                const char *name, const goipc_options *options,
                                                goipc_failure *failure);
void goipci_endpoint_wipe(goipci_endpoint *endpoint);

/* Use around every public call that is not read-only. Refuses a child after fork, which would read
 * its parent's input, repeat its nonces and change its poller. Errors: FORKED, CLOSED. */
GOIPC_MUST_USE goipc_error goipci_endpoint_enter(goipci_endpoint *endpoint);
void goipci_endpoint_exit(goipci_endpoint *endpoint);
/* The same for calls that may have waited. Returns `error`, or CLOSED if the close interrupted it.
 */
goipc_error goipci_endpoint_exit_wait(goipci_endpoint *endpoint, goipc_error error);
/* The same for reads; STATE while another thread is inside a read. Errors: FORKED, CLOSED,
 * STATE. */
GOIPC_MUST_USE goipc_error goipci_endpoint_enter_read(goipci_endpoint *endpoint);
/* Returns `error`, after a pause if it is permanent and the last read returned it as well. */
goipc_error goipci_endpoint_exit_read(goipci_endpoint *endpoint, goipc_error error,
                                      int32_t timeout_ms);
/* Use around read-only calls. They are allowed while the endpoint closes, and close waits for them.
 */
void goipci_endpoint_enter_look(goipci_endpoint *endpoint);
/* Interrupts all calls and returns when no thread is inside. Queries may still start afterwards:
 * call it a second time before freeing anything that they read. */
void goipci_endpoint_evict(goipci_endpoint *endpoint);

/* goipci_poller_wait for the loop thread, after a spin if the options ask for one. */
GOIPC_MUST_USE goipc_error goipci_endpoint_wait(goipci_endpoint *endpoint, int32_t timeout_ms,
                                                goipci_ready *ready, size_t capacity,
                                                size_t *count);

/* FORKED if this process is a fork of the one that made the endpoint. */
GOIPC_MUST_USE goipc_error goipci_endpoint_check_process(const goipci_endpoint *endpoint);

/* Whether every further call ends with CLOSED. */
bool goipci_endpoint_is_stopped(const goipci_endpoint *endpoint);
/* Records the error of a call for goipci_endpoint_get_failure. Returns `error`. */
goipc_error goipci_endpoint_note(goipci_endpoint *endpoint, goipc_error error);

void goipci_endpoint_stop(goipci_endpoint *endpoint);
void goipci_endpoint_interrupt(goipci_endpoint *endpoint);
void goipci_endpoint_resume(goipci_endpoint *endpoint);
void goipci_endpoint_cork(goipci_endpoint *endpoint);
intptr_t goipci_endpoint_poll_fd(goipci_endpoint *endpoint);

#endif
