/* SPDX-License-Identifier: MIT */
/*
 * Decides the order of turns in a server. It works on numbers only: queue lengths and the time.
 *
 * Connections that are clients take turns: one message each, or a few in a batch read. Everything
 * else (accepting, a step of a handshake, a step of a close) may take a thousand times as long as a
 * message. So it runs one step at a time, while no client is ready, and the loop polls for
 * clients before each step. While clients are always ready, the others still get a step every
 * 4 ms, after every client that was ready has had a turn. So neither side can starve the other.
 */
#ifndef GOIPC_SCHEDULE_H
#define GOIPC_SCHEDULE_H

#include "core/internal.h"

typedef struct goipci_schedule {
    unsigned client_turns;    /* since the last poll */
    bool polled;              /* since the last turn of the others */
    size_t client_round_left; /* turns of clients until the others may get one */
    size_t other_round_left;  /* turns of the others until the listener gets one */
    int64_t other_due_ms;     /* when the others get a turn although clients are ready */
} goipci_schedule;

/* What is ready now. */
typedef struct goipci_waiting {
    size_t clients;
    size_t others;
    bool listener;
} goipci_waiting;

typedef enum goipci_turn {
    GOIPCI_TURN_CLIENTS, /* of clients, while goipci_schedule_may_serve is true; or none */
    GOIPCI_TURN_OTHER,   /* of one connection that is not a client */
    GOIPCI_TURN_LISTENER,
} goipci_turn;

/* Whether goipci_schedule_next uses the time. */
bool goipci_schedule_needs_time(const goipci_schedule *schedule, goipci_waiting waiting);
goipci_turn goipci_schedule_next(const goipci_schedule *schedule, goipci_waiting waiting,
                                 int64_t now_ms);
/* Whether a client may have a turn before the next poll. */
bool goipci_schedule_may_serve(const goipci_schedule *schedule);

/* Call it after a turn of a client. */
void goipci_schedule_served_client(goipci_schedule *schedule);
/* Call it after a turn of the others; `others` is how many of them are ready now. */
void goipci_schedule_served_other(goipci_schedule *schedule, goipci_turn turn, size_t others,
                                  int64_t now_ms);
/* Call it after a poll. */
void goipci_schedule_polled(goipci_schedule *schedule, size_t clients);

#endif
