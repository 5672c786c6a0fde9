/* SPDX-License-Identifier: MIT */
/*
 * Decides which handshake may begin, continue, or become a client. It works on numbers only.
 *
 * Slots. A pending handshake does not use a client's slot, so that a silent peer keeps no client
 * out. When all slots are taken, a new connection is closed at once, unless a client has
 * disconnected whose last messages are still unread. Then the new connection does its handshake and
 * waits for that slot. This covers a program that restarts and connects again at once. With too
 * many pending handshakes, one of the process that has the most of them is refused (share.h): the
 * oldest that no curve operation was done for, else the oldest. If no process has more than that of
 * the new connection, the new one is refused.
 *
 * Curve operations. One costs the server as much as a thousand messages. None is done for a peer
 * that has disconnected. The server keeps a failure score. While it has clients and the score is
 * high, it pauses handshakes before a curve operation and resumes one every 256 messages or 50 ms.
 * The next one belongs to the process with the fewest pending handshakes, so that a new client is
 * not queued behind an attacker's backlog. Among equals, one that has done its first operation goes
 * first; then the newest every other time, else any. The score falls by one a second.
 */
#ifndef GOIPC_ADMISSION_H
#define GOIPC_ADMISSION_H

#include "core/internal.h"

typedef struct goipci_admission {
    uint32_t clients_max;
    unsigned score;        /* of failures */
    int64_t score_ms;      /* the time up to which it has fallen */
    int64_t due_ms;        /* when the next paused handshake is resumed, */
    uint64_t due_messages; /* or when so many messages have been received */
} goipci_admission;

/* What to do with a connection that was accepted, or whose handshake is complete. */
typedef enum goipci_decision {
    GOIPCI_ADMIT,
    GOIPCI_ADMIT_FOR_ANOTHER, /* if another pending handshake is refused for it */
    GOIPCI_WAIT,              /* until a slot is free */
    GOIPCI_REFUSE,
} goipci_decision;

bool goipci_admission_has_slot(const goipci_admission *admission, size_t client_count);
/* Whether a handshake may begin. `slot_is_ending`: a client has disconnected, but has unread
 * input. */
goipci_decision goipci_admission_begin(const goipci_admission *admission, size_t client_count,
                                       size_t pending_count, bool slot_is_ending);
/* Whether a connection whose handshake is complete may become a client. */
goipci_decision goipci_admission_complete(const goipci_admission *admission, size_t client_count,
                                          bool slot_is_ending);

/* Lets the score fall with the time. */
void goipci_admission_tick(goipci_admission *admission, int64_t now_ms);
/* A handshake has failed after a curve operation. */
void goipci_admission_handshake_failed(goipci_admission *admission);
/* An encrypted client has broken the protocol. */
void goipci_admission_client_failed(goipci_admission *admission);
/* There is a new client. */
void goipci_admission_client_came(goipci_admission *admission);

/* Whether handshakes pause before a curve operation. */
bool goipci_admission_is_limiting(const goipci_admission *admission, size_t client_count);
/* Whether the next paused handshake may be resumed. */
bool goipci_admission_is_due(const goipci_admission *admission, size_t client_count,
                             uint64_t messages, int64_t now_ms);
/* A paused handshake was resumed: sets the time of the next one. */
void goipci_admission_resumed(goipci_admission *admission, uint64_t messages, int64_t now_ms);
/* The curve policy of the next step of a handshake. `resumed`: it was paused before. */
goipci_curve_policy goipci_admission_step(goipci_admission *admission, size_t client_count,
                                          bool peer_has_gone, bool resumed);

#endif
