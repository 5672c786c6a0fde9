/* SPDX-License-Identifier: MIT */
/*
 * Counts the pending handshakes of each process. It works on numbers only.
 *
 * One process may open many connections. So processes, not connections, get equal shares: the
 * process with the fewest pending handshakes is served first, and the one with the most loses one
 * when there are too many. Processes are counted in buckets chosen by a keyed hash, so that memory
 * and time do not depend on their number and no process can choose to share a bucket.
 */
#ifndef GOIPC_SHARE_H
#define GOIPC_SHARE_H

#include "core/internal.h"

enum { GOIPCI_SHARE_COUNT = 256 };

typedef struct goipci_shares {
    uint64_t key; /* random */
    uint32_t pending[GOIPCI_SHARE_COUNT];
} goipci_shares;

/* The bucket of a process. All processes whose ID the system does not report (-1) share one. */
unsigned goipci_share_of(const goipci_shares *shares, int64_t user, int64_t process);
/* A handshake of this share has started, or has ended in any way. */
void goipci_share_joined(goipci_shares *shares, unsigned share);
void goipci_share_left(goipci_shares *shares, unsigned share);
/* The share with the most pending handshakes. */
unsigned goipci_share_largest(const goipci_shares *shares);

#endif
