/* SPDX-License-Identifier: MIT */
/*
 * Addresses, streams, listeners and the poller: the system interface of endpoints, implemented by
 * platform/unix and platform/windows.
 *
 * The model is readiness: a read or write returns WOULD_BLOCK when it cannot proceed, and the
 * poller reports when to try again. Windows pipes complete operations instead. There each watched
 * stream has one small pending read, whose completion means readable. A write copies a bounded
 * number of bytes into a pending operation, whose completion means writable.
 *
 * Only goipci_poller_wait and goipci_stream_wait wait, and goipci_listener_open for its lock, at
 * most half a second. Every descriptor or handle is closed on exec and never inherited.
 * *system_error is written on every return: errno or GetLastError() of a failed system call, else
 * 0.
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

/* The address of the endpoint NAME: directory/NAME.sock ("/tmp" when directory is NULL), the
 * abstract socket goipc/NAME, or \\.\pipe\NAME. Errors: NAME (empty, too long for the system's
 * addresses, or with a character that would leave the directory), ARGUMENT (abstract sockets are
 * not supported). text is written in any case, truncated if necessary, for the failure's text. */
GOIPC_MUST_USE goipc_error goipci_address_init(goipci_address *address, const char *name,
                                               const char *directory, bool abstract);

/* --- streams ---------------------------------------------------------------------------------- */

typedef struct goipci_bytes {
    const uint8_t *bytes;
    size_t size;
} goipci_bytes;

typedef struct goipci_stream goipci_stream;

/* The functions of a stream; tests supply streams of their own. One thread may read while another
 * writes or finishes. close is called only when no thread is inside the other three. */
typedef struct goipci_stream_functions {
    /* Reads at least one byte and at most `capacity` (at least 1). OK with *size 0 is the end
     * of the stream: the peer finished, closed or crashed. A reset counts as the end, too.
     * Errors: WOULD_BLOCK, SYSTEM. */
    goipc_error (*read)(goipci_stream *stream, uint8_t *out, size_t capacity, size_t *size,
                        int *system_error);
    /* Writes the pieces in sequence, in one system call if possible. *size is the number of bytes
     * written, at least one on OK. Errors: WOULD_BLOCK (none was written), DISCONNECTED (the peer
     * has disconnected), SYSTEM. Never raises a signal. */
    goipc_error (*write)(goipci_stream *stream, const goipci_bytes *pieces, size_t piece_count,
                         size_t *size, int *system_error);
    /* Half-closes. Afterwards read returns the remaining input, then end of stream; from then on
     * the stream can be closed without losing sent data or resetting the peer. */
    void (*finish)(goipci_stream *stream);
    /* Closes and frees. The stream must not be registered with the poller any more. */
    void (*close)(goipci_stream *stream);
} goipci_stream_functions;

struct goipci_stream {
    const goipci_stream_functions *functions;
    intptr_t handle; /* for the poller: a descriptor, or the address of a pipe */
};

/* Connects to a listener without waiting. The stream may not be connected yet: it is usable when
 * the server's first bytes arrive. Errors: NOT_FOUND (no server listens), WOULD_BLOCK (the listener
 * has no room now: try again), PERMISSION, RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_stream_dial(const goipc_allocator *allocator,
                                              const goipci_address *address, goipci_stream **stream,
                                              int *system_error);

/* Reads the peer's credentials from the kernel, and checks them against `options`; peers DEFAULT
 * means SAME_USER here. For a client they are those of the process that called listen. Fields that
 * the system does not report are -1. A user that the system does not know is refused. Errors:
 * CREDENTIALS (*credentials is written), SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_stream_check_peer(goipci_stream *stream,
                                                    const goipc_options *options, goipc_peers peers,
                                                    goipc_credentials *credentials);

/* --- listeners -------------------------------------------------------------------------------- */

typedef struct goipci_listener goipci_listener;

/* Binds and listens. Removes only a dead socket of this user, and at no moment lets more users
 * connect than `mode` permits. On failure *failure has the operation, the path, the cause and the
 * remedy. Errors: ADDRESS_IN_USE, PATH_BLOCKED, PERMISSION, NOT_FOUND (the directory),
 * RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_listener_open(const goipc_allocator *allocator,
                                                const goipci_address *address, uint32_t mode,
                                                goipci_listener **listener, goipc_failure *failure);

/* Whether clients still find this listener by its name. False when the name was removed or
 * replaced. Always true where names cannot go before the listener does. */
bool goipci_listener_has_name(const goipci_listener *listener);

/* Takes one waiting connection. Errors: WOULD_BLOCK (none), RESOURCES (no descriptor was free; the
 * connection was closed at once, so that it neither hangs nor keeps the listener ready), SYSTEM
 * (the connection could not be closed either, or another failure: stop accepting for a while),
 * MEMORY (the connection was closed). */
GOIPC_MUST_USE goipc_error goipci_listener_accept(goipci_listener *listener, goipci_stream **stream,
                                                  int *system_error);

/* Stops listening; removes what was bound if it is still ours and `remove` says so (a forked child
 * leaves it to its parent). Frees; NULL is allowed. */
void goipci_listener_close(goipci_listener *listener, bool remove);

/* --- poller ----------------------------------------------------------------------------------- */

/* A poller waits for the listener, all streams, an interrupt and a kick. The cost of a wait depends
 * on the number of ready items, not of watched ones. watch, forget, interrupt and kick
 * may be called from any thread while another is in wait, and take effect there. */
typedef struct goipci_poller goipci_poller;

enum {
    GOIPCI_READABLE = 1, /* also: ended, failed */
    GOIPCI_WRITABLE = 2,
    GOIPCI_ENDED = 4, /* reported without being requested: the peer has disconnected */
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

/* Watches a stream for `events`, or changes the events; 0 keeps it registered without events.
 * Readiness is level-triggered: reported by every wait while it lasts. *known is whether the stream
 * is registered, initially false. Errors: RESOURCES, MEMORY, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_poller_watch(goipci_poller *poller, goipci_stream *stream,
                                               unsigned events, void *context, bool *known);
void goipci_poller_forget(goipci_poller *poller, goipci_stream *stream, bool *known);
/* The same for a listener: readable when a connection waits for accept. */
GOIPC_MUST_USE goipc_error goipci_poller_watch_listener(goipci_poller *poller,
                                                        goipci_listener *listener, bool on,
                                                        void *context, bool *known);
/* Call it before the listener is closed: if a forked child keeps the socket open, the system would
 * still report its events. */
void goipci_poller_forget_listener(goipci_poller *poller, goipci_listener *listener, bool *known);

/* Waits up to `timeout_ms` (0: only polls; GOIPC_FOREVER: no limit) until something is ready, and
 * reports at most `capacity` items. OK with *count 0: a timeout or a kick.
 * Errors: INTERRUPTED (the interrupt is set; it stays set), SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_poller_wait(goipci_poller *poller, int32_t timeout_ms,
                                              goipci_ready *ready, size_t capacity, size_t *count);
/* A descriptor that is readable when wait would return at once, or -1. */
intptr_t goipci_poller_descriptor(const goipci_poller *poller);

/* Sets the interrupt: every wait with this poller, present and future, returns INTERRUPTED until
 * resume. Async-signal-safe, and leaves errno alone. */
void goipci_poller_interrupt(goipci_poller *poller);
void goipci_poller_resume(goipci_poller *poller);
/* Ends the current wait, or the next one. */
void goipci_poller_kick(goipci_poller *poller);

/* Waits for one stream, independently of the poller: for a writer while another thread reads.
 * Errors: TIMEOUT, INTERRUPTED, SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_stream_wait(goipci_stream *stream, const goipci_poller *poller,
                                              unsigned events, int32_t timeout_ms);

/* --- words ------------------------------------------------------------------------------------ */

/* The system's text for an error number. */
void goipci_system_error_text(int system_error, char *out, size_t capacity);

#endif
