/* SPDX-License-Identifier: MIT */
/* deadline.h */
#include "endpoint/deadline.h"
#include "endpoint/clock.h"

int64_t goipci_deadline_after(int32_t timeout_ms)
{
    if (timeout_ms == GOIPC_FOREVER) {
        return INT64_MAX;
    }
    return goipci_system_clock_ms() + (timeout_ms > 0 ? timeout_ms : 0);
}

int32_t goipci_deadline_left(int64_t deadline_ms)
{
    int64_t left;

    if (deadline_ms == INT64_MAX) {
        return GOIPC_FOREVER;
    }
    left = deadline_ms - goipci_system_clock_ms();
    if (left < 0) {
        return 0;
    }
    return left < INT32_MAX ? (int32_t)left : INT32_MAX;
}

int32_t goipci_timeout_min(int32_t left_ms, int32_t right_ms)
{
    if (left_ms == GOIPC_FOREVER) {
        return right_ms;
    }
    return right_ms == GOIPC_FOREVER || left_ms < right_ms ? left_ms : right_ms;
}
