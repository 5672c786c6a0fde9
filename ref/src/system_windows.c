/* SPDX-License-Identifier: MIT */
/* system.h for Windows 7 and later. */
#include "system.h"

#include <windows.h>

#include <bcrypt.h>

#include <assert.h>

/* BCryptGenRandom takes a ULONG; pieces far below its end keep the arithmetic plain. */
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

/* GetTickCount64 steps by up to 16 ms, longer than the first retries of a client wait: the
 * performance counter it is, which cannot fail since Windows XP. */
int64_t goipci_system_clock_us(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    const BOOL has_frequency = QueryPerformanceFrequency(&frequency);
    const BOOL has_now = QueryPerformanceCounter(&now);

    assert(has_frequency && has_now && frequency.QuadPart > 0);
    (void)has_frequency;
    (void)has_now;
    /* In two parts: the counter times 1,000,000 would overflow after 11 days at 10 MHz. */
    return now.QuadPart / frequency.QuadPart * 1000000 +
           now.QuadPart % frequency.QuadPart * 1000000 / frequency.QuadPart;
}

int64_t goipci_system_clock_ms(void)
{
    return goipci_system_clock_us() / 1000;
}

bool goipci_system_is_parallel(void)
{
    DWORD_PTR process, machine;

    if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &machine)) {
        return false;
    }
    /* None: it is in several groups of processors. Otherwise whether one is left without the
     * first. */
    return process == 0 || (process & (process - 1)) != 0;
}

void goipci_system_watch_forks(void)
{
    /* There are none. */
}

int64_t goipci_system_process(void)
{
    return (int64_t)GetCurrentProcessId();
}

/* The function pointer travels in a struct: a pointer to it is a pointer to an object. */
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
