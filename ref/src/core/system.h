/* SPDX-License-Identifier: MIT */
/* The system interface of the core: randomness, one-time set-up, detection of a fork, and a flag
 * between two threads. It is implemented by platform/unix/system.c, platform/windows/system.c, or a
 * file of a program without either. */
#ifndef GOIPC_SYSTEM_H
#define GOIPC_SYSTEM_H

#include "core/internal.h"

/* Fills `out` from the kernel's random source without using a descriptor. Splits requests above the
 * source's limit, and retries after EINTR. Errors: RANDOM; then `out` is filled with zeros. */
GOIPC_MUST_USE goipc_error goipci_system_random(uint8_t *out, size_t size);

/* The identity of this process. Endpoints compare it to detect use in a child after fork; it
 * changes with every fork after the first watch_forks. One relaxed load; async-signal-safe. */
void goipci_system_watch_forks(void);
int64_t goipci_system_process(void);

/* Runs `action` once per process; every caller returns only after it has run. */
void goipci_system_register_once(void (*action)(void));

/* A one-way flag between threads: set has release semantics, is_set has acquire semantics. */
typedef struct goipci_flag {
    volatile long value;
} goipci_flag;
void goipci_flag_set(goipci_flag *flag);
bool goipci_flag_is_set(const goipci_flag *flag);

#endif
