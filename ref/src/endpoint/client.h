/* SPDX-License-Identifier: MIT */
/* The memory of a client, and its loop. */
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

    /* The loop thread's. */
    goipci_stage stage;
    unsigned reads_left; /* until the poller is asked even though there are messages */
    goipci_retry retry;
    goipci_connection *connection; /* in HANDSHAKE and OPEN */
    goipc_error last_attempt;      /* why the last one failed, since the last success */
    bool has_stash;                /* an event that a writer met while it looked for unread input */
    goipc_event stash;
    goipci_connection *lender; /* in whose session the messages of the last read lie */
    goipci_buffer kept;        /* or this is where they lie, apart from it */

    /* Under endpoint.lock; the loop thread changes them. */
    goipci_connection *open; /* what writers use */
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
/* At the start of a read, and at the close. */
void goipci_connect_return_messages(goipc_client *client);

#endif
