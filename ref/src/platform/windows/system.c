/* SPDX-License-Identifier: MIT */
/* system.h for Windows 7 and later. */
#include "core/system.h"

#include <windows.h>

#include <bcrypt.h>

#include <assert.h>

/* BCryptGenRandom takes a ULONG as size: larger requests are split into pieces. */
enum { ENTROPY_SIZE_MAX = 1 << 20 };

goipc_error goipci_system_random(uint8_t *out, size_t size)
{
    size_t done = 0;

    assert(out != NULL || size == 0);
    while (done < size) {
        const size_t left = size - done;
        const size_t piece = left < ENTROPY_SIZE_MAX ? left : ENTROPY_SIZE_MAX;

        if (BCryptGenRandom(NULL, out + done, (ULONG)piece, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0) {
            goipc_wipe(out, size);
            return GOIPC_ERROR_RANDOM;
        }
        done += piece;
    }
    return GOIPC_ERROR_OK;
}

void goipci_system_watch_forks(void)
{
    /* Windows has no fork. */
}

int64_t goipci_system_process(void)
{
    return (int64_t)GetCurrentProcessId();
}

/* A struct holds the function pointer, since only pointers to objects convert to void *. */
typedef struct once_action {
    void (*run)(void);
} once_action;

static BOOL CALLBACK run_once(PINIT_ONCE once, PVOID parameter, PVOID *context)
{
    const once_action *action = (const once_action *)parameter;

    (void)once;
    (void)context;
    action->run();
    return TRUE;
}

void goipci_system_register_once(void (*action)(void))
{
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    once_action parameter = {action};
    const BOOL done = InitOnceExecuteOnce(&once, run_once, &parameter, NULL);

    assert(done); /* it fails only when run_once returns FALSE */
    (void)done;
}

void goipci_flag_set(goipci_flag *flag)
{
    (void)InterlockedExchange(&flag->value, 1);
}

bool goipci_flag_is_set(const goipci_flag *flag)
{
    /* A read with a full barrier; the compare-exchange changes nothing, so the cast away of const
     * is one of type only. */
    return InterlockedCompareExchange((volatile LONG *)(uintptr_t)&flag->value, 0, 0) != 0;
}
