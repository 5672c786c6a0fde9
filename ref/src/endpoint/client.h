/* SPDX-License-Identifier: MIT */
/* The fields of a client, and its loop. */
#ifndef GOIPC_CLIENT_H
#define GOIPC_CLIENT_H

#include "endpoint/driver.h"
#include "endpoint/report.h"
#include "endpoint/retry.h"
#include "endpoint/status_queue.h"

typedef enum goipci_stage {
    GOIPCI_STAGE_IDLE,  /* never asked to connect */
    GOIPCI_STAGE_PAUSE, /* until the next attempt */
    GOIPCI_STAGE_HANDSHAKE,
    GOIPCI_STAGE_OPEN,
    GOIPCI_STAGE_ENDED, /* permanently: `ended` says why */
} goipci_stage;

struct goipc_client {
    goipci_endpoint endpoint; /* first: see driver.h */
    bool reconnect_off;

    atomic_bool has_runner; /* a thread runs the loop */
    atomic_uint waiting;    /* threads that wait for `changed` */

    /* Used by the loop thread only. */
    goipci_stage stage;
    unsigned reads_left; /* reads until the next poll, even if messages are waiting */
    goipci_retry retry;
    goipci_connection *connection; /* in HANDSHAKE and OPEN */
    goipc_error last_attempt;      /* error of the last failed attempt since the last success */
    bool has_stash; /* an event that a writer read while it checked for unread input */
    goipc_event stash;
    goipci_connection *lender; /* its session holds the messages of the last read, */
    goipci_buffer kept;        /* or this buffer holds them, detached from the session */

    /* Under endpoint.lock; only the loop thread changes them. */
    goipci_connection *open; /* the connection for writers, or NULL */
    goipci_status_queue changes;
    atomic_size_t change_count; /* of `changes`, read without the lock */
    atomic_int ended;           /* goipc_error */
    atomic_int status;
    atomic_int_fast64_t wake_at_ms; /* when the loop is due without input; INT64_MAX: never */
};

/* Waits at most `timeout_ms` for input or for a deadline, and acts on it. Errors: INTERRUPTED,
 * SYSTEM. */
GOIPC_MUST_USE goipc_error goipci_connect_run_once(goipc_client *client, int32_t timeout_ms);
/* The open connection has ended. */
void goipci_connect_lose(goipc_client *client, goipc_error error, int system_error);
/* Takes the oldest status change. False when there is none. */
bool goipci_connect_take_change(goipc_client *client, goipc_message *message);
/* Wakes threads that wait to run the loop, or for a connection. */
void goipci_connect_wake(goipc_client *client);

/* Messages of the last read stay valid until the next read. They lie in the input buffer of
 * `lender`. Before a writer runs the loop, it moves that buffer to `kept`. Errors: MEMORY. */
GOIPC_MUST_USE goipc_error goipci_connect_detach_messages(goipc_client *client);
/* Called at the start of a read and on close: the messages of the last read become invalid. */
void goipci_connect_return_messages(goipc_client *client);

#endif
