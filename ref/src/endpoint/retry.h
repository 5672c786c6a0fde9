/* SPDX-License-Identifier: MIT */
/* Decides when a client connects and when it gives up. It works on times and numbers only. */
#ifndef GOIPC_RETRY_H
#define GOIPC_RETRY_H

#include "core/internal.h"

typedef struct goipci_retry {
    int32_t timeout_ms;  /* from the first attempt on, or GOIPC_FOREVER */
    int32_t interval_ms; /* the longest pause */
    int32_t pause_ms;    /* the last pause; 0 after a success */
    int64_t dial_at_ms;
    int64_t give_up_ms;
    int64_t open_since_ms;
    uint64_t open_traffic; /* messages both ways when the connection opened */
} goipci_retry;

typedef enum goipci_retry_action {
    GOIPCI_RETRY_WAIT,
    GOIPCI_RETRY_DIAL,
    GOIPCI_RETRY_ABORT, /* the handshake has taken too long */
    GOIPCI_RETRY_GIVE_UP,
} goipci_retry_action;

/* Zeros and negative values choose the defaults: no timeout, and pauses of up to a second. */
void goipci_retry_init(goipci_retry *retry, int32_t timeout_ms, int32_t interval_ms);
/* A connection is wanted: the first attempt is due at once. */
void goipci_retry_begin(goipci_retry *retry, int64_t now_ms);
/* An attempt has failed. The first pause is 2 ms at most, each further one twice as long, up to the
 * interval; `random` shortens it by up to half, so that the clients of a restarted server do not
 * all connect at once. `busy`: the server runs but had no room for the attempt. It will have room
 * soon, so pauses stay short. */
void goipci_retry_failed(goipci_retry *retry, int64_t now_ms, uint32_t random, bool busy);
/* The connection is open; `traffic` counts all messages up to now. */
void goipci_retry_opened(goipci_retry *retry, int64_t now_ms, uint64_t traffic);
/* The connection has ended. The next attempt is due at once if the connection carried a message or
 * lasted for an interval. Otherwise it counts as a failed attempt. */
void goipci_retry_lost(goipci_retry *retry, int64_t now_ms, uint64_t traffic, uint32_t random);

/* What is due now. `handshake_deadline_ms` is 0 without a pending handshake. */
goipci_retry_action goipci_retry_next(const goipci_retry *retry, int64_t handshake_deadline_ms,
                                      int64_t now_ms);
/* The next time at which something is due. */
int64_t goipci_retry_due_ms(const goipci_retry *retry, int64_t handshake_deadline_ms);

/* Whether another attempt would fail, too, or would only help an attacker. */
bool goipci_retry_is_pointless(goipc_error error);

#endif
