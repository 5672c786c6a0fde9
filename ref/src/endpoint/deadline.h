/* SPDX-License-Identifier: MIT */
/* Deadlines: a time of goipci_system_clock_ms, INT64_MAX for none. */
#ifndef GOIPC_DEADLINE_H
#define GOIPC_DEADLINE_H

#include "core/internal.h"

/* GOIPC_FOREVER gives none, a negative timeout the present. */
int64_t goipci_deadline_after(int32_t timeout_ms);
/* Milliseconds that are left: GOIPC_FOREVER for none, 0 when it has passed. */
int32_t goipci_deadline_left(int64_t deadline_ms);
/* The shorter of two timeouts, each in milliseconds or GOIPC_FOREVER. */
int32_t goipci_timeout_min(int32_t left_ms, int32_t right_ms);

#endif
