/* SPDX-License-Identifier: MIT */
/* The porting contract for what is neither protocol nor transport: one file per platform
 * (system_unix.c, system_windows.c), no #ifdef anywhere else. */
#ifndef GOIPC_SYSTEM_H
#define GOIPC_SYSTEM_H

#include "internal.h"

/* Fills `out` from the kernel's random source without using a descriptor, in pieces where the
 * source has a limit, again after EINTR. Errors: RANDOM; `out` then holds zeros. */
GOIPC_MUST_USE goipc_error goipci_system_random(uint8_t *out, size_t size);

/* Milliseconds on a clock that never goes back and that setting the time does not move. */
int64_t goipci_system_clock_ms(void);
/* Microseconds on the same clock. */
int64_t goipci_system_clock_us(void);

/* Whether this process may use more than one processor; false where that cannot be known. */
bool goipci_system_is_parallel(void);

/* The identity of this process, compared to notice the forks that come after watch_forks, which may
 * be called again and again. process is nothing but a load: every call asks it, also in a signal
 * handler. */
void goipci_system_watch_forks(void);
int64_t goipci_system_process(void);

/* Runs `action` once in the life of the process; every caller returns only after it has run. */
void goipci_system_register_once(void (*action)(void));

/* A flag that one thread sets and others look at; what was written before the set is seen after the
 * look. */
typedef struct goipci_flag {
    volatile long value;
} goipci_flag;
void goipci_flag_set(goipci_flag *flag);
bool goipci_flag_is_set(const goipci_flag *flag);

#endif
