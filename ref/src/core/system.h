/* SPDX-License-Identifier: MIT */
/* What the core needs from the system: randomness, one-time set-up, notice of a fork, and a flag
 * between two threads. One file for each family of systems fulfils it: platform/unix/system.c,
 * platform/windows/system.c, or that of a program without either. */
#ifndef GOIPC_SYSTEM_H
#define GOIPC_SYSTEM_H

#include "core/internal.h"

/* Fills `out` from the kernel's random source without using a descriptor, in pieces where the
 * source has a limit, again after EINTR. Errors: RANDOM; `out` then holds zeros. */
GOIPC_MUST_USE goipc_error goipci_system_random(uint8_t *out, size_t size);

/* The identity of this process. Endpoints compare it to detect use in a child after fork; it
 * changes with every fork after the first watch_forks. One relaxed load; async-signal-safe. */
void goipci_system_watch_forks(void);
int64_t goipci_system_process(void);

/* Runs `action` once in the life of the process; every caller returns only after it has run. */
void goipci_system_register_once(void (*action)(void));

/* A one-way flag between threads: set has release semantics, is_set has acquire semantics. */
typedef struct goipci_flag {
    volatile long value;
} goipci_flag;
void goipci_flag_set(goipci_flag *flag);
bool goipci_flag_is_set(const goipci_flag *flag);

#endif
