/* SPDX-License-Identifier: MIT */
/*
 * What endpoints need from the system to talk: addresses, streams, listeners, a poller. Fulfilled
 * by platform/unix and platform/windows; endpoints know nothing else of the system they run on.
 *
 * The model is readiness: a stream is asked to read or write and says WOULD_BLOCK when it cannot;
 * the poller then says when to ask again. A system whose natural model is completion (overlapped
 * pipes) keeps one small read outstanding per watched stream, whose completion is "readable", and
 * copies what write takes into an outstanding write of bounded size, whose completion is
 * "writable".
 *
 * Nothing here waits except goipci_poller_wait and goipci_stream_wait, and goipci_listener_open for
 * its lock, half a second at most. Every descriptor or handle is closed on exec and never
 * inherited. Failures that have a cause in the system give it through *system_error (errno or
 * GetLastError()), which is written on every return.
 */
#ifndef GOIPC_TRANSPORT_H
#define GOIPC_TRANSPORT_H

#include "core/internal.h"

/* --- addresses -------------------------------------------------------------------------------- */

enum { GOIPCI_ADDRESS_SIZE = 320 };

typedef struct goipci_address {
    char
        text[GOIPCI_ADDRESS_SIZE]; /* the path, for people and for the system; "@..." if abstract */
    bool abstract;
} goipci_address;

/* Where the endpoint NAME lives: directory/NAME.sock ("/tmp" when directory is NULL), the abstract
 * socket goipc/NAME, or \\.\pipe\NAME. Errors: NAME (empty, too long for the system's addresses,
 * or holding a character that would leave the directory), ARGUMENT (abstract where there is no such
 * thing). text is written even then, as far as it fits, for the failure's words. */
GOIPC_MUST_USE goipc_error goipci_address_init(goipci_address *address, const char *name,
                                               const char *directory, bool abstract);

/* --- streams ---------------------------------------------------------------------------------- */

typedef struct goipci_bytes {
    const uint8_t *bytes;
    size_t size;
} goipci_bytes;

typedef struct goipci_stream goipci_stream;

/* A stream is what has these four functions; tests have streams of their own. One thread may read
 * while another writes or finishes. close is called when no thread is inside the other three. */
typedef struct goipci_stream_functions {
    /* Reads at least one byte and at most `capacity` (at least 1). OK with *size 0 is the end: the
     * peer finished, closed or died; a reset counts as that, since all bytes before it were given.
     * Errors: WOULD_BLOCK, SYSTEM. */
    goipc_error (*read)(goipci_stream *stream, uint8_t *out, size_t capacity, size_t *size,
                        int *system_error);
    /* Writes some of the pieces, in order, as one piece as far as the system can; *size is how much
     * it took, at least one byte on OK. Errors: WOULD_BLOCK (nothing was taken), DISCONNECTED (the
     * peer is gone), SYSTEM. Never raises a signal. */
    goipc_error (*write)(goipci_stream *stream, const goipci_bytes *pieces, size_t piece_count,
                         size_t *size, int *system_error);
    /* Half-closes. Afterwards read returns the remaining input, then end of stream; from then on
     * the stream can be closed without losing sent data or resetting the peer. */
    void (*finish)(goipci_stream *stream);
    /* Closes and frees. The poller has forgotten the stream. */
    void (*close)(goipci_stream *stream);
} goipci_stream_functions;

struct goipci_stream {
    const goipci_stream_functions *functions;
    intptr_t handle; /* what the poller watches: a descriptor, or the HANDLE of a pipe */
};

/* Connects to a listener without waiting. The stream may still be on its way: it is usable when the
 * server's first bytes arrive. Errors: NOT_FOUND (nobody listens), WOULD_BLOCK (the listener has no
 * room now: try again), PERMISSION, RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_stream_dial(const goipc_allocator *allocator,
                                              const goipci_address *address, goipci_stream **stream,
                                              int *system_error);

/* Asks the kernel who is at the other end, and compares with whom `options` allows; peers DEFAULT
 * means SAME_USER here. On a dialled stream the answer is whoever called listen. Fields that the
 * system does not tell are -1; a user that the system does not know is refused. Errors:
 * CREDENTIALS (*credentials is written), SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_stream_check_peer(goipci_stream *stream,
                                                    const goipc_options *options, goipc_peers peers,
                                                    goipc_credentials *credentials);

/* --- listeners -------------------------------------------------------------------------------- */

typedef struct goipci_listener goipci_listener;

/* Binds and listens. Never deletes or takes over what is not a dead socket of this user, and at no
 * moment lets more users connect than `mode` allows. On failure *failure says what, where, why and
 * what to do. Errors: ADDRESS_IN_USE, PATH_BLOCKED, PERMISSION, NOT_FOUND (the directory),
 * RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_listener_open(const goipc_allocator *allocator,
                                                const goipci_address *address, uint32_t mode,
                                                goipci_listener **listener, goipc_failure *failure);

/* Whether clients still find this listener by its name. False when the name was removed or
 * replaced. Always true where names cannot go before the listener does. */
bool goipci_listener_has_name(const goipci_listener *listener);

/* Takes one waiting connection. Errors: WOULD_BLOCK (none), RESOURCES (no descriptor was free, and
 * the connection was closed at once so that it neither hangs nor keeps the listener ready),
 * SYSTEM (no descriptor, and not even that worked, or worse: leave the listener alone for a while),
 * MEMORY (the connection was closed). */
GOIPC_MUST_USE goipc_error goipci_listener_accept(goipci_listener *listener, goipci_stream **stream,
                                                  int *system_error);

/* Stops listening; removes what was bound if it is still ours and `remove` says so (a forked child
 * leaves it to its parent). Frees; NULL is allowed. */
void goipci_listener_close(goipci_listener *listener, bool remove);

/* --- poller ----------------------------------------------------------------------------------- */

/* What an endpoint waits with: its listener, all its streams, an interrupt and a kick. The cost of
 * a wait depends on what is ready, not on how much is watched. watch, forget, interrupt and kick
 * may be called from any thread while another is in wait, and take effect there. */
typedef struct goipci_poller goipci_poller;

enum {
    GOIPCI_READABLE = 1, /* also: ended, failed */
    GOIPCI_WRITABLE = 2,
    GOIPCI_ENDED =
        4, /* told without being asked for, where the system knows it: the peer has gone */
};

typedef struct goipci_ready {
    void *context;
    unsigned events;
} goipci_ready;

/* Errors: MEMORY, RESOURCES, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_poller_new(const goipc_allocator *allocator,
                                             goipci_poller **poller, int *system_error);
void goipci_poller_free(goipci_poller *poller);
/* In a child after fork: afterwards forget does not change the parent's poller, and only free is
 * called. */
void goipci_poller_abandon(goipci_poller *poller);

/* Begins to watch a stream, or changes what it is watched for; 0 keeps it known and silent.
 * Readiness is level-triggered: told again and again while it lasts. *known is the caller's note of
 * whether this poller knows the stream, false at first. Errors: RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_poller_watch(goipci_poller *poller, goipci_stream *stream,
                                               unsigned events, void *context, bool *known);
void goipci_poller_forget(goipci_poller *poller, goipci_stream *stream, bool *known);
/* The same for a listener: readable when accept would find something. */
GOIPC_MUST_USE goipc_error goipci_poller_watch_listener(goipci_poller *poller,
                                                        goipci_listener *listener, bool on,
                                                        void *context, bool *known);
/* Before the listener is closed: a forked child may keep it open, and then it would be told of. */
void goipci_poller_forget_listener(goipci_poller *poller, goipci_listener *listener, bool *known);

/* Waits up to `timeout_ms` (0: looks only; GOIPC_FOREVER: without end) until something is ready,
 * and tells of at most `capacity` things. OK with *count 0: the time is over, or it was kicked.
 * Errors: INTERRUPTED (the interrupt is set; it stays set), SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_poller_wait(goipci_poller *poller, int32_t timeout_ms,
                                              goipci_ready *ready, size_t capacity, size_t *count);
/* A descriptor that polls readable when wait would not wait, or -1. */
intptr_t goipci_poller_descriptor(const goipci_poller *poller);

/* Sets the interrupt: every wait with this poller, present and future, returns INTERRUPTED until
 * resume. Async-signal-safe, and leaves errno alone. */
void goipci_poller_interrupt(goipci_poller *poller);
void goipci_poller_resume(goipci_poller *poller);
/* Ends one wait, now or the next one. */
void goipci_poller_kick(goipci_poller *poller);

/* Waits for one stream, apart from the poller: what a writing thread does while another reads.
 * Errors: TIMEOUT, INTERRUPTED, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_stream_wait(goipci_stream *stream, const goipci_poller *poller,
                                              unsigned events, int32_t timeout_ms);

/* --- words ------------------------------------------------------------------------------------ */

/* The system's text for an error number. */
void goipci_system_error_text(int system_error, char *out, size_t capacity);

#endif
