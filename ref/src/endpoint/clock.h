/* SPDX-License-Identifier: MIT */
/* The clock of endpoints, and whether spinning is useful. Implemented by platform/unix/clock.c and
 * platform/windows/clock.c. */
#ifndef GOIPC_CLOCK_H
#define GOIPC_CLOCK_H

#include "core/internal.h"

/* Milliseconds of a monotonic clock. */
int64_t goipci_system_clock_ms(void);
/* Microseconds of the same clock. */
int64_t goipci_system_clock_us(void);

/* Whether this process may use more than one processor; false if that is not known. */
bool goipci_system_is_parallel(void);

#endif
