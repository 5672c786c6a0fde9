/* SPDX-License-Identifier: MIT */
/* clock.h for Windows 7 and later. */
#include "endpoint/clock.h"

#include <windows.h>

#include <assert.h>

/* The performance counter, which cannot fail since Windows XP. GetTickCount64 has steps of up to
 * 16 ms, longer than the first retry pauses of a client. */
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
    /* A mask of 0 means that the process runs in several processor groups. Otherwise more than one
     * bit must be set. */
    return process == 0 || (process & (process - 1)) != 0;
}
