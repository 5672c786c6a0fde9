/* SPDX-License-Identifier: MIT */
/* One session joined to one stream. */
#ifndef GOIPC_CONNECTION_H
#define GOIPC_CONNECTION_H

#include "endpoint/endpoint.h"

/* A connection passes through these in sequence, and may skip any. */
typedef enum goipci_phase {
    GOIPCI_PHASE_HANDSHAKE,
    GOIPCI_PHASE_OPEN,
    GOIPCI_PHASE_FLUSHING, /* closing: the queue is being sent */
    GOIPCI_PHASE_DRAINING, /* closing: our direction has ended, input is read to its end */
    GOIPCI_PHASE_OVER,
} goipci_phase;

typedef struct goipci_link {
    goipci_connection *next;
    goipci_connection *previous;
    goipci_list *list; /* the list that it is on, or NULL */
} goipci_link;

struct goipci_connection {
    goipci_endpoint *endpoint;
    goipci_stream *stream;
    goipc_session *session;
    goipc_client_id id; /* 0 until OPEN, and on a client */
    goipc_credentials credentials;
    _Atomic(void *) user; /* pointer of the application */
    goipci_link links[GOIPCI_LIST_COUNT];
    atomic_uint references;

    /* Used by the loop thread only. */
    int64_t deadline_ms; /* of the handshake, or of the close */
    bool readable;       /* reported by the poller; cleared by a read that found less */
    bool input_ended;    /* end of stream was read */
    bool peer_ended; /* the poller reported that the peer has disconnected; input may be unread */
    bool waits_for_slot; /* handshake complete; a disconnected client still has the slot */
    bool may_use_curve;  /* its handshake was paused and may do one curve operation now */
    unsigned share;      /* its process's share, while its handshake is pending */
    bool is_paused;      /* its handshake waits before a curve operation; it is not watched */

    /* Under `lock`. Only the loop thread changes the phase, and reads it without the lock. */
    goipci_lock lock;
    goipci_phase phase;
    _Atomic goipc_error end; /* OK, or why writes fail; may be read without the lock */
    atomic_int leave_reason; /* goipc_error: why a thread wants to end it; OK: none does */
    bool known;              /* registered with the poller */
    unsigned watched_events;
    bool is_queued;        /* on the endpoint's list `queued` */
    uint64_t corked_count; /* messages that are not in the endpoint's counters yet */
    uint64_t corked_size;
};

/* --- lists ------------------------------------------------------------------------------------ */

void goipci_list_append(goipci_list *list, goipci_connection *connection);
/* Does nothing if it is not on the list. */
void goipci_list_remove(goipci_list *list, goipci_connection *connection);

/* --- life ------------------------------------------------------------------------------------- */

/* A connection in its handshake, watched for reading, with one reference. Takes the stream, also on
 * failure. Errors: MEMORY, RESOURCES, SYSTEM, those of goipc_session_new. */
GOIPC_MUST_USE goipc_error goipci_connection_new(goipci_endpoint *endpoint, goipci_stream *stream,
                                                 goipci_connection **connection);
void goipci_connection_hold(goipci_connection *connection);
/* Releases one reference; the last one closes the stream and frees the connection. */
void goipci_connection_drop(goipci_connection *connection);

/* --- the loop thread -------------------------------------------------------------------------- */

/* Records an event of the poller; sends queued output if the stream is writable. */
void goipci_connection_notice(goipci_connection *connection, unsigned events);

/* The session's next event; reads from the stream at most once. NEED_INPUT: no event now. If
 * `readable` is still set, call again in another turn. Errors: those of the session, and SYSTEM
 * with *system_error. */
GOIPC_MUST_USE goipc_error goipci_connection_next_event(goipci_connection *connection,
                                                        goipc_event *event, int *system_error);

/* Stops watching a stream whose handshake pauses, or watches it again. */
void goipci_connection_pause(goipci_connection *connection, bool on);

/* Changes the phase from HANDSHAKE to OPEN. From now on threads may write. */
void goipci_connection_open(goipci_connection *connection, goipc_client_id id);

/* OK, or why the connection takes no more messages. */
goipc_error goipci_connection_end(goipci_connection *connection);

/* Begins the close. Writes fail with `why` from now on. Queued output is still sent until the
 * deadline; then the stream is finished and read to its end (see finish in transport.h). */
void goipci_connection_leave(goipci_connection *connection, goipc_error why, int64_t deadline_ms);
/* Continues the close. True when it is complete, or its deadline has passed. */
bool goipci_connection_linger(goipci_connection *connection, int64_t now_ms);
/* Unregisters from the poller, permanently. The memory is freed with the last reference. */
void goipci_connection_forget(goipci_connection *connection);
/* Removes it from every list and from the poller, and releases the loop thread's reference. */
void goipci_connection_destroy(goipci_connection *connection);

/* Releases buffers that are empty. No message of this session may be borrowed. */
void goipci_connection_trim(goipci_connection *connection);

/* --- any thread ------------------------------------------------------------------------------- */

/* Asks the loop thread to end it: CLOSED after what is queued was sent, else at once. */
void goipci_connection_request_leave(goipci_connection *connection, goipc_error why);

#endif
