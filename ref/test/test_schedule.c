/* SPDX-License-Identifier: MIT */
/* Goal: clients and the others share the loop as schedule.h says, and neither starves the other.
 * Method: a table of single decisions, then two floods in which every turn is counted. */
#include "endpoint/schedule.h"
#include "test.h"

static void test_decisions(void)
{
    static const struct {
        const char *what;
        goipci_schedule schedule;
        goipci_waiting waiting;
        int64_t now_ms;
        goipci_turn turn;
    } rows[] = {
        {"nothing waits", {.polled = true}, {0, 0, false}, 0, GOIPCI_TURN_CLIENTS},
        {"the poller comes first", {.polled = false}, {0, 1, true}, 0, GOIPCI_TURN_CLIENTS},
        {"others alone", {.polled = true}, {0, 1, false}, 0, GOIPCI_TURN_OTHER},
        {"the listener alone", {.polled = true}, {0, 0, true}, 0, GOIPCI_TURN_LISTENER},
        {"the listener, after a round of others",
         {.polled = true, .other_round_left = 0},
         {0, 3, true},
         0,
         GOIPCI_TURN_LISTENER},
        {"others, while their round lasts",
         {.polled = true, .other_round_left = 1},
         {0, 3, true},
         0,
         GOIPCI_TURN_OTHER},
        {"the listener does not wait for others that are gone",
         {.polled = true, .other_round_left = 1},
         {0, 0, true},
         0,
         GOIPCI_TURN_LISTENER},
        {"clients that were ready come first",
         {.polled = true, .client_round_left = 1},
         {5, 1, true},
         99,
         GOIPCI_TURN_CLIENTS},
        {"others are not due yet",
         {.polled = true, .other_due_ms = 100},
         {5, 1, false},
         99,
         GOIPCI_TURN_CLIENTS},
        {"others are due",
         {.polled = true, .other_due_ms = 100},
         {5, 1, false},
         100,
         GOIPCI_TURN_OTHER},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const goipci_turn turn =
            goipci_schedule_next(&rows[i].schedule, rows[i].waiting, rows[i].now_ms);

        if (turn != rows[i].turn) {
            printf("%s: turn %d\n", rows[i].what, (int)turn);
        }
        EXPECT(turn == rows[i].turn);
    }
}

/* Every client is always ready, and so is one handshake: each millisecond of turns, who is
 * served? */
static void test_flood_of_clients(void)
{
    enum { CLIENTS = 10, ROUNDS = 1000 };
    const goipci_waiting waiting = {CLIENTS, 1, false};
    goipci_schedule schedule = {.client_turns = 0};
    int64_t now_ms = 1000, last_ms = now_ms;
    size_t clients = 0, others = 0, since_other = 0;

    for (int i = 0; i < ROUNDS; i++) {
        goipci_schedule_polled(&schedule, CLIENTS);
        if (goipci_schedule_next(&schedule, waiting, now_ms) == GOIPCI_TURN_OTHER) {
            EXPECT(since_other >= CLIENTS);
            EXPECT(others == 0 || now_ms - last_ms <= 5);
            goipci_schedule_served_other(&schedule, GOIPCI_TURN_OTHER, 1, now_ms);
            last_ms = now_ms;
            others++;
            since_other = 0;
            continue;
        }
        while (goipci_schedule_may_serve(&schedule)) {
            goipci_schedule_served_client(&schedule);
            clients++;
            since_other++;
        }
        now_ms++;
    }
    EXPECT(others > ROUNDS / 8 && clients > 64 * ROUNDS / 2);
}

/* Handshakes without end: the poller is asked before each of their turns. */
static void test_flood_of_others(void)
{
    const goipci_waiting waiting = {0, 100, true};
    goipci_schedule schedule = {.client_turns = 0};
    size_t listener = 0;

    for (int i = 0; i < 1010; i++) {
        goipci_turn turn;

        EXPECT(goipci_schedule_next(&schedule, waiting, 0) == GOIPCI_TURN_CLIENTS);
        goipci_schedule_polled(&schedule, 0);
        turn = goipci_schedule_next(&schedule, waiting, 0);
        EXPECT(turn != GOIPCI_TURN_CLIENTS);
        listener += turn == GOIPCI_TURN_LISTENER ? 1 : 0;
        goipci_schedule_served_other(&schedule, turn, waiting.others, 0);
    }
    EXPECT(listener == 10); /* once in a round of 100 others */
}

static void test_time_is_asked_where_it_decides(void)
{
    const goipci_schedule open = {.polled = true};
    const goipci_schedule round = {.polled = true, .client_round_left = 1};
    const goipci_schedule blind = {.polled = false};

    EXPECT(goipci_schedule_needs_time(&open, (goipci_waiting){1, 1, false}));
    EXPECT(goipci_schedule_needs_time(&open, (goipci_waiting){1, 0, true}));
    EXPECT(!goipci_schedule_needs_time(&open, (goipci_waiting){1, 0, false}));
    EXPECT(!goipci_schedule_needs_time(&open, (goipci_waiting){0, 1, true}));
    EXPECT(!goipci_schedule_needs_time(&round, (goipci_waiting){1, 1, true}));
    EXPECT(!goipci_schedule_needs_time(&blind, (goipci_waiting){1, 1, true}));
}

int main(void)
{
    test_decisions();
    test_flood_of_clients();
    test_flood_of_others();
    test_time_is_asked_where_it_decides();
    printf("ok %d checks\n", test_checks);
    return 0;
}
