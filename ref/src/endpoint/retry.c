/* SPDX-License-Identifier: MIT */
/* retry.h */
#include "endpoint/retry.h"

enum {
    INTERVAL_DEFAULT_MS = 1000,
    PAUSE_BUSY_MS = 20,
    PAUSE_FIRST_MS = 2,
};

void goipci_retry_init(goipci_retry *retry, int32_t timeout_ms, int32_t interval_ms)
{
    *retry = (goipci_retry){
        .timeout_ms = timeout_ms <= 0 ? GOIPC_FOREVER : timeout_ms,
        .interval_ms = interval_ms <= 0 ? INTERVAL_DEFAULT_MS : interval_ms,
    };
}

void goipci_retry_begin(goipci_retry *retry, int64_t now_ms)
{
    retry->dial_at_ms = now_ms;
    retry->give_up_ms = retry->timeout_ms == GOIPC_FOREVER ? INT64_MAX : now_ms + retry->timeout_ms;
}

void goipci_retry_failed(goipci_retry *retry, int64_t now_ms, uint32_t random, bool busy)
{
    const int32_t longest_ms =
        busy && retry->interval_ms > PAUSE_BUSY_MS ? PAUSE_BUSY_MS : retry->interval_ms;
    int32_t pause_ms = PAUSE_FIRST_MS;

    if (retry->pause_ms > longest_ms / 2) {
        pause_ms = longest_ms;
    } else if (retry->pause_ms > 0) {
        pause_ms = retry->pause_ms * 2;
    }
    retry->pause_ms = pause_ms < longest_ms ? pause_ms : longest_ms;
    retry->dial_at_ms =
        now_ms + retry->pause_ms - (int32_t)(random % ((uint32_t)retry->pause_ms / 2 + 1));
}

void goipci_retry_opened(goipci_retry *retry, int64_t now_ms, uint64_t traffic)
{
    retry->open_since_ms = now_ms;
    retry->open_traffic = traffic;
}

void goipci_retry_lost(goipci_retry *retry, int64_t now_ms, uint64_t traffic, uint32_t random)
{
    goipci_retry_begin(retry, now_ms);
    if (traffic != retry->open_traffic || now_ms - retry->open_since_ms >= retry->interval_ms) {
        retry->pause_ms = 0;
    } else {
        goipci_retry_failed(retry, now_ms, random, false);
    }
}

goipci_retry_action goipci_retry_next(const goipci_retry *retry, int64_t handshake_deadline_ms,
                                      int64_t now_ms)
{
    if (retry->give_up_ms <= now_ms) {
        return GOIPCI_RETRY_GIVE_UP;
    }
    if (handshake_deadline_ms != 0) {
        return handshake_deadline_ms <= now_ms ? GOIPCI_RETRY_ABORT : GOIPCI_RETRY_WAIT;
    }
    return retry->dial_at_ms <= now_ms ? GOIPCI_RETRY_DIAL : GOIPCI_RETRY_WAIT;
}

int64_t goipci_retry_due_ms(const goipci_retry *retry, int64_t handshake_deadline_ms)
{
    const int64_t due_ms = handshake_deadline_ms != 0 ? handshake_deadline_ms : retry->dial_at_ms;

    return due_ms < retry->give_up_ms ? due_ms : retry->give_up_ms;
}

/* req: CN-014 */
bool goipci_retry_is_pointless(goipc_error error)
{
    return error == GOIPC_ERROR_VERSION || error == GOIPC_ERROR_ENCRYPTION ||
           error == GOIPC_ERROR_REPLY || error == GOIPC_ERROR_PUBLIC_KEY ||
           error == GOIPC_ERROR_DECRYPT || error == GOIPC_ERROR_REFLECTED ||
           error == GOIPC_ERROR_CREDENTIALS || error == GOIPC_ERROR_CRYPTO_UNAVAILABLE;
}
