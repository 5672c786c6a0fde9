/* SPDX-License-Identifier: MIT */
/* Goal: pauses, jitter, the end of trying and the reset after a useful connection are as retry.h
 * says. Method: tables, with a clock and a random number that the test chooses. */
#include "endpoint/retry.h"
#include "test.h"

static void test_pauses_double_up_to_the_interval(void)
{
    static const int32_t intervals[] = {1, 2, 3, 50, 1000, INT32_MAX};

    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
        goipci_retry retry;
        int64_t expected = 2;

        goipci_retry_init(&retry, 0, intervals[i]);
        goipci_retry_begin(&retry, 100);
        EXPECT(retry.dial_at_ms == 100);
        for (int attempt = 0; attempt < 40; attempt++) {
            const int64_t pause = expected < intervals[i] ? expected : intervals[i];
            const int64_t now_ms = 1000 * attempt;

            goipci_retry_failed(&retry, now_ms, 0, false);
            EXPECT(retry.dial_at_ms == now_ms + pause);
            expected *= expected < INT32_MAX ? 2 : 1;
        }
    }
}

static void test_jitter_takes_up_to_half(void)
{
    static const uint32_t numbers[] = {0, 1, 255, 256, 257, 0x7fffffff, UINT32_MAX};
    bool early = false;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        goipci_retry retry;

        goipci_retry_init(&retry, 0, 512);
        for (int attempt = 0; attempt < 12; attempt++) {
            goipci_retry_failed(&retry, 0, numbers[i], false);
        }
        EXPECT(retry.dial_at_ms >= 256 && retry.dial_at_ms <= 512);
        early = early || retry.dial_at_ms == 256;
    }
    EXPECT(early);
}

static void test_what_is_due(void)
{
    static const struct {
        int64_t dial_at_ms, give_up_ms, handshake_ms, now_ms, due_ms;
        goipci_retry_action action;
    } rows[] = {
        {100, INT64_MAX, 0, 99, 100, GOIPCI_RETRY_WAIT},
        {100, INT64_MAX, 0, 100, 100, GOIPCI_RETRY_DIAL},
        {100, 50, 0, 49, 50, GOIPCI_RETRY_WAIT},
        {100, 50, 0, 50, 50, GOIPCI_RETRY_GIVE_UP},
        {100, 100, 0, 100, 100, GOIPCI_RETRY_GIVE_UP}, /* not one attempt more */
        {100, INT64_MAX, 200, 199, 200, GOIPCI_RETRY_WAIT},
        {100, INT64_MAX, 200, 200, 200, GOIPCI_RETRY_ABORT},
        {100, 150, 200, 149, 150, GOIPCI_RETRY_WAIT},
        {100, 150, 200, 150, 150, GOIPCI_RETRY_GIVE_UP}, /* in the middle of a handshake, too */
        {100, INT64_MAX, INT64_MAX, 1000000, INT64_MAX, GOIPCI_RETRY_WAIT},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const goipci_retry retry = {.dial_at_ms = rows[i].dial_at_ms,
                                    .give_up_ms = rows[i].give_up_ms};

        EXPECT(goipci_retry_due_ms(&retry, rows[i].handshake_ms) == rows[i].due_ms);
        EXPECT(goipci_retry_next(&retry, rows[i].handshake_ms, rows[i].now_ms) == rows[i].action);
    }
}

static void test_after_a_connection(void)
{
    static const struct {
        int64_t lost_ms;
        uint64_t traffic;
        int64_t dial_at_ms;
    } rows[] = {
        {5001, 7, 5001 + 8}, /* dropped at once: as a failed attempt, after pauses of 2 and 4 */
        {5999, 7, 5999 + 8}, /* almost an interval */
        {6000, 7, 6000},     /* it lived for an interval */
        {5001, 8, 5001},     /* it carried a message */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        goipci_retry retry;

        goipci_retry_init(&retry, 300, 1000);
        goipci_retry_failed(&retry, 0, 0, false);
        goipci_retry_failed(&retry, 0, 0, false);
        goipci_retry_opened(&retry, 5000, 7);
        goipci_retry_lost(&retry, rows[i].lost_ms, rows[i].traffic, 0);
        EXPECT(retry.dial_at_ms == rows[i].dial_at_ms);
        EXPECT(retry.give_up_ms == rows[i].lost_ms + 300); /* the time begins anew */
        goipci_retry_failed(&retry, 0, 0, false);
        EXPECT(retry.dial_at_ms == (rows[i].dial_at_ms == rows[i].lost_ms ? 2 : 16));
    }
}

static void test_defaults(void)
{
    static const int32_t values[] = {0, -1, INT32_MIN};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        goipci_retry retry;

        goipci_retry_init(&retry, values[i], values[i]);
        goipci_retry_begin(&retry, 1);
        EXPECT(retry.give_up_ms == INT64_MAX && retry.interval_ms == 1000);
    }
}

static void test_errors_that_end_it(void)
{
    static const goipc_error pointless[] = {
        GOIPC_ERROR_VERSION,     GOIPC_ERROR_ENCRYPTION,         GOIPC_ERROR_REPLY,
        GOIPC_ERROR_DECRYPT,     GOIPC_ERROR_PUBLIC_KEY,         GOIPC_ERROR_REFLECTED,
        GOIPC_ERROR_CREDENTIALS, GOIPC_ERROR_CRYPTO_UNAVAILABLE,
    };
    static const goipc_error worth_it[] = {
        GOIPC_ERROR_NOT_FOUND, GOIPC_ERROR_DISCONNECTED, GOIPC_ERROR_HANDSHAKE_TIMEOUT,
        GOIPC_ERROR_RESOURCES, GOIPC_ERROR_PERMISSION,   GOIPC_ERROR_TRUNCATED,
    };

    for (size_t i = 0; i < sizeof pointless / sizeof pointless[0]; i++) {
        EXPECT(goipci_retry_is_pointless(pointless[i]));
    }
    for (size_t i = 0; i < sizeof worth_it / sizeof worth_it[0]; i++) {
        EXPECT(!goipci_retry_is_pointless(worth_it[i]));
    }
}

/* A server that is only busy is asked again soon, however often. */
static void test_busy_server(void)
{
    goipci_retry retry;

    goipci_retry_init(&retry, 0, 0);
    goipci_retry_begin(&retry, 0);
    for (int i = 0; i < 20; i++) {
        goipci_retry_failed(&retry, 0, 0, true);
        EXPECT(retry.dial_at_ms <= 20);
    }
    EXPECT(retry.dial_at_ms == 20);
    goipci_retry_failed(&retry, 0, 0, false);
    EXPECT(retry.dial_at_ms == 40);
}

int main(void)
{
    test_busy_server();
    test_pauses_double_up_to_the_interval();
    test_jitter_takes_up_to_half();
    test_what_is_due();
    test_after_a_connection();
    test_defaults();
    test_errors_that_end_it();
    printf("ok %d checks\n", test_checks);
    return 0;
}
