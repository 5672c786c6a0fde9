/* SPDX-License-Identifier: MIT */
/* schedule.h */
#include "endpoint/schedule.h"

enum {
    CLIENT_TURNS_MAX = 64, /* then the loop polls: for new clients, deadlines, an interrupt */
    OTHER_PAUSE_MS = 4,
};

static bool has_other(goipci_waiting waiting)
{
    return waiting.others > 0 || waiting.listener;
}

bool goipci_schedule_needs_time(const goipci_schedule *schedule, goipci_waiting waiting)
{
    return schedule->polled && has_other(waiting) && waiting.clients > 0 &&
           schedule->client_round_left == 0;
}

goipci_turn goipci_schedule_next(const goipci_schedule *schedule, goipci_waiting waiting,
                                 int64_t now_ms)
{
    if (!schedule->polled || !has_other(waiting)) {
        return GOIPCI_TURN_CLIENTS;
    }
    if (waiting.clients > 0 &&
        (schedule->client_round_left > 0 || schedule->other_due_ms > now_ms)) {
        return GOIPCI_TURN_CLIENTS;
    }
    return waiting.listener && (schedule->other_round_left == 0 || waiting.others == 0)
               ? GOIPCI_TURN_LISTENER
               : GOIPCI_TURN_OTHER;
}

bool goipci_schedule_may_serve(const goipci_schedule *schedule)
{
    return schedule->client_turns < CLIENT_TURNS_MAX;
}

void goipci_schedule_served_client(goipci_schedule *schedule)
{
    schedule->client_turns++;
    schedule->client_round_left -= schedule->client_round_left > 0 ? 1 : 0;
}

void goipci_schedule_served_other(goipci_schedule *schedule, goipci_turn turn, size_t others,
                                  int64_t now_ms)
{
    assert(turn != GOIPCI_TURN_CLIENTS);
    if (turn == GOIPCI_TURN_LISTENER) {
        schedule->other_round_left = others;
    } else {
        schedule->other_round_left -= schedule->other_round_left > 0 ? 1 : 0;
    }
    schedule->polled = false;
    schedule->other_due_ms = now_ms + OTHER_PAUSE_MS;
}

void goipci_schedule_polled(goipci_schedule *schedule, size_t clients)
{
    schedule->client_turns = 0;
    if (!schedule->polled) {
        schedule->polled = true;
        schedule->client_round_left = clients;
    }
}
