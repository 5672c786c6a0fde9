/* SPDX-License-Identifier: MIT */
/* Goal: slots, the limit of pending handshakes and the failure score are as admission.h says.
 * Method: tables of decisions; the score is observed through is_limiting. */
#include "endpoint/admission.h"
#include "test.h"

static void test_begin(void)
{
    static const struct {
        uint32_t clients_max;
        size_t client_count, pending_count;
        bool slot_is_ending;
        goipci_decision decision;
    } rows[] = {
        {1, 0, 0, false, GOIPCI_ADMIT},
        {1, 0, 128, false, GOIPCI_ADMIT},
        {1, 0, 129, false, GOIPCI_ADMIT_FOR_ANOTHER},
        {1, 1, 0, false, GOIPCI_REFUSE},
        {1, 1, 0, true, GOIPCI_ADMIT},
        {1, 1, 129, true, GOIPCI_ADMIT_FOR_ANOTHER},
        {100, 99, 227, false, GOIPCI_ADMIT},
        {100, 99, 228, false, GOIPCI_ADMIT_FOR_ANOTHER},
        {100, 100, 0, false, GOIPCI_REFUSE},
        {UINT32_MAX, 1000, 1000, false, GOIPCI_ADMIT},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const goipci_admission admission = {.clients_max = rows[i].clients_max};

        EXPECT(goipci_admission_begin(&admission, rows[i].client_count, rows[i].pending_count,
                                      rows[i].slot_is_ending) == rows[i].decision);
    }
}

static void test_complete(void)
{
    const goipci_admission admission = {.clients_max = 2};

    EXPECT(goipci_admission_complete(&admission, 1, false) == GOIPCI_ADMIT);
    EXPECT(goipci_admission_complete(&admission, 1, true) == GOIPCI_ADMIT);
    EXPECT(goipci_admission_complete(&admission, 2, true) == GOIPCI_WAIT);
    EXPECT(goipci_admission_complete(&admission, 2, false) == GOIPCI_REFUSE);
}

/* How many failed handshakes it takes until the server limits. */
static int failures_until_limited(goipci_admission admission)
{
    int count = 0;

    while (!goipci_admission_is_limiting(&admission, 1)) {
        EXPECT(count < 100);
        goipci_admission_handshake_failed(&admission);
        count++;
    }
    return count;
}

static void test_score(void)
{
    goipci_admission admission = {.clients_max = 1};
    int clients = 0;

    EXPECT(failures_until_limited(admission) == 8);
    goipci_admission_client_failed(&admission);
    EXPECT(failures_until_limited(admission) == 2);
    goipci_admission_client_came(&admission);
    EXPECT(failures_until_limited(admission) == 6);
    goipci_admission_client_came(&admission);
    EXPECT(failures_until_limited(admission) == 8); /* it does not fall below 0 */
    for (int i = 0; i < 1000; i++) {
        goipci_admission_handshake_failed(&admission);
    }
    EXPECT(!goipci_admission_is_limiting(&admission, 0)); /* nobody to protect */
    while (goipci_admission_is_limiting(&admission, 1)) {
        goipci_admission_client_came(&admission);
        clients++;
    }
    EXPECT(clients == 15); /* it does not rise above 64 */
    /* A client that comes and then breaks the protocol costs more than it brought. */
    admission.score = 0;
    for (int i = 0; i < 4; i++) {
        goipci_admission_client_came(&admission);
        goipci_admission_client_failed(&admission);
    }
    EXPECT(goipci_admission_is_limiting(&admission, 1));
}

static void test_resuming(void)
{
    goipci_admission calm = {.clients_max = 1};
    goipci_admission limiting = {.clients_max = 1, .score = 8};

    EXPECT(goipci_admission_is_due(&calm, 1, 0, 0));
    goipci_admission_resumed(&limiting, 1000, 5000);
    EXPECT(!goipci_admission_is_due(&limiting, 1, 1255, 5049));
    EXPECT(goipci_admission_is_due(&limiting, 1, 1256, 5049));
    EXPECT(goipci_admission_is_due(&limiting, 1, 1255, 5050));
    EXPECT(goipci_admission_is_due(&limiting, 0, 0, 0));
}

static void test_step(void)
{
    goipci_admission calm = {.clients_max = 1};
    goipci_admission limiting = {.clients_max = 1, .score = 8};

    EXPECT(goipci_admission_step(&calm, 1, false, false) == GOIPCI_CURVE_ONCE);
    EXPECT(goipci_admission_step(&limiting, 0, false, false) == GOIPCI_CURVE_ONCE);
    EXPECT(goipci_admission_step(&limiting, 1, false, false) == GOIPCI_CURVE_LATER);
    EXPECT(goipci_admission_step(&limiting, 1, false, true) == GOIPCI_CURVE_ONCE);
    goipci_admission_resumed(&limiting, 0, 5000);
    EXPECT(goipci_admission_step(&limiting, 1, true, false) == GOIPCI_CURVE_NEVER);
    EXPECT(!goipci_admission_is_due(&limiting, 1, 0, 5000));
    /* A resumed handshake whose peer has gone has used nothing: the next one may go on. */
    EXPECT(goipci_admission_step(&limiting, 1, true, true) == GOIPCI_CURVE_NEVER);
    EXPECT(goipci_admission_is_due(&limiting, 1, 0, 5000));
}

/* A point a second, and a clock that stands or goes back takes nothing. */
static void test_score_falls_with_time(void)
{
    goipci_admission admission = {.clients_max = 1, .score = 10};

    goipci_admission_tick(&admission, 5000);
    EXPECT(admission.score == 10);
    goipci_admission_tick(&admission, 5999);
    EXPECT(admission.score == 10);
    goipci_admission_tick(&admission, 6000);
    EXPECT(admission.score == 9);
    goipci_admission_tick(&admission, 8500);
    EXPECT(admission.score == 7);
    goipci_admission_tick(&admission, 9000);
    EXPECT(admission.score == 6);
    goipci_admission_tick(&admission, 100);
    EXPECT(admission.score == 6);
    goipci_admission_tick(&admission, INT64_MAX / 2);
    EXPECT(admission.score == 0);
}

int main(void)
{
    test_score_falls_with_time();
    test_begin();
    test_complete();
    test_score();
    test_resuming();
    test_step();
    printf("ok %d checks\n", test_checks);
    return 0;
}
