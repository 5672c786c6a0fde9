/* SPDX-License-Identifier: MIT */
/* What endpoints need from the system to wait: a clock, and whether polling can pay. One file for
 * each family of systems: platform/unix/clock.c, platform/windows/clock.c. */
#ifndef GOIPC_CLOCK_H
#define GOIPC_CLOCK_H

#include "core/internal.h"

/* Milliseconds on a clock that never goes back and that setting the time does not move. */
int64_t goipci_system_clock_ms(void);
/* Microseconds on the same clock. */
int64_t goipci_system_clock_us(void);

/* Whether this process may use more than one processor; false where that cannot be known. */
bool goipci_system_is_parallel(void);

#endif
