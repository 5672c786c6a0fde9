/* SPDX-License-Identifier: MIT */
/* One session joined to one stream: what server.c and client.c drive and write to. */
#ifndef GOIPC_CONNECTION_H
#define GOIPC_CONNECTION_H

#include "endpoint/endpoint.h"

/* A connection goes through these in order, and may skip any. */
typedef enum goipci_phase {
    GOIPCI_PHASE_HANDSHAKE,
    GOIPCI_PHASE_OPEN,
    GOIPCI_PHASE_FLUSHING, /* leaving: what is queued is being sent */
    GOIPCI_PHASE_DRAINING, /* leaving: the peer was told, input is read to its end */
    GOIPCI_PHASE_OVER,
} goipci_phase;

typedef struct goipci_link {
    goipci_connection *next;
    goipci_connection *previous;
    bool is_on;
} goipci_link;

struct goipci_connection {
    goipci_endpoint *endpoint;
    goipci_stream *stream;
    goipc_session *session;
    goipc_client_id id; /* 0 until OPEN, and on a client */
    goipc_credentials credentials;
    goipci_link links[GOIPCI_LIST_COUNT];
    atomic_uint references;

    /* The driving thread's. */
    int64_t deadline_ms; /* of the handshake, or of leaving */
    bool readable;       /* the poller said so and no read has found otherwise */
    bool input_ended;    /* the end was read */
    bool peer_ended;     /* the poller says that the peer has gone; unread input may be left */
    bool awaits_place;   /* connected, and a client that has gone still has the place */
    bool may_work;       /* in its next turn, although others have to wait */
    bool is_held;        /* its handshake is to cost nothing for a while, and it is not watched */

    /* Under `lock`; the driving thread, which alone changes the phase, may look at it without. */
    goipci_lock lock;
    goipci_phase phase;
    _Atomic goipc_error end; /* not OK: why nothing can be written any more; read without, too */
    atomic_bool leave_requested; /* by goipc_server_disconnect */
    bool known;                  /* to the poller */
    unsigned watched_events;
    bool is_queued; /* on the endpoint's list, whose links other threads change to take turns */
    uint64_t corked_count; /* messages that are not in the endpoint's counters yet */
    uint64_t corked_size;
};

/* --- lists ------------------------------------------------------------------------------------ */

void goipci_list_append(goipci_list *list, goipci_connection *connection);
/* Does nothing when it is not on the list. */
void goipci_list_remove(goipci_list *list, goipci_connection *connection);

/* --- life ------------------------------------------------------------------------------------- */

/* A connection in its handshake, watched for reading, with one reference. Takes the stream, also on
 * failure. Errors: MEMORY, RESOURCES, SYSTEM, those of goipc_session_new. */
GOIPC_MUST_USE goipc_error goipci_connection_new(goipci_endpoint *endpoint, goipci_stream *stream,
                                                 goipci_connection **connection);
void goipci_connection_hold(goipci_connection *connection);
/* Gives one reference back; the last one closes the stream and frees. */
void goipci_connection_drop(goipci_connection *connection);

/* --- the driving thread ----------------------------------------------------------------------- */

/* Notes what the poller told; sends what is queued if there is room for it now. */
void goipci_connection_notice(goipci_connection *connection, unsigned events);

/* The session's next event, reading from the stream at most once. NEED_INPUT: nothing now, although
 * `readable` may say that another turn will have something. Errors: those of the session, and
 * SYSTEM with *system_error. */
GOIPC_MUST_USE goipc_error goipci_connection_next_event(goipci_connection *connection,
                                                        goipc_event *event, int *system_error);

/* Puts off what its handshake would cost next, and whatever the stream may tell, or ends that. */
void goipci_connection_hold_back(goipci_connection *connection, bool on);

/* From HANDSHAKE to OPEN: writers may come. */
void goipci_connection_open(goipci_connection *connection, goipc_client_id id);

/* Why the sending half has ended or is to end, or OK. */
goipc_error goipci_connection_end(goipci_connection *connection);

/* Begins to leave: `why` is what writers are told from now on; what is queued still goes out until
 * the deadline, then the stream is finished and read to its end (see finish in transport.h). */
void goipci_connection_leave(goipci_connection *connection, goipc_error why, int64_t deadline_ms);
/* Goes on with that. True when it is over, by success or by the clock. */
bool goipci_connection_linger(goipci_connection *connection, int64_t now_ms);
/* Takes it from the poller for good, after which only references keep it. */
void goipci_connection_forget(goipci_connection *connection);

/* Gives back memory; nothing that was lent from this session may be in use. */
void goipci_connection_trim(goipci_connection *connection);

/* --- any thread ------------------------------------------------------------------------------- */

/* Hands messages over in order, waiting for room until the deadline; *taken says how many.
 * `through`: also waits until the system has them all, which is no failure when it does not come to
 * pass. deadline_ms 0 does not wait. Errors: those of goipc_server_write. */
GOIPC_MUST_USE goipc_error goipci_connection_send(goipci_connection *connection,
                                                  const goipc_outgoing *messages, size_t count,
                                                  int32_t timeout_ms, bool through, size_t *taken);
/* Sends what is queued and waits for it. Errors: TIMEOUT, INTERRUPTED, why it ended. */
GOIPC_MUST_USE goipc_error goipci_connection_flush(goipci_connection *connection,
                                                   int64_t deadline_ms);
/* Ends the cork, and does this for all connections of the endpoint. Returns the first error. */
GOIPC_MUST_USE goipc_error goipci_endpoint_flush(goipci_endpoint *endpoint, int32_t timeout_ms);
/* Asks the driving thread to end it. */
void goipci_connection_request_leave(goipci_connection *connection);

#endif
