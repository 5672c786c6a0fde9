/* SPDX-License-Identifier: MIT */
/* share.h */
#include "endpoint/share.h"

/* The finalizer of SplitMix64: every bit of the input changes half of the output. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

unsigned goipci_share_of(const goipci_shares *shares, int64_t user, int64_t process)
{
    const uint64_t mixed = mix(mix(shares->key ^ (uint64_t)user) ^ (uint64_t)process);

    return (unsigned)(mixed % GOIPCI_SHARE_COUNT);
}

void goipci_share_joined(goipci_shares *shares, unsigned share)
{
    assert(share < GOIPCI_SHARE_COUNT);
    shares->pending[share]++;
}

void goipci_share_left(goipci_shares *shares, unsigned share)
{
    assert(share < GOIPCI_SHARE_COUNT && shares->pending[share] > 0);
    shares->pending[share]--;
}

unsigned goipci_share_largest(const goipci_shares *shares)
{
    unsigned largest = 0;

    for (unsigned i = 1; i < GOIPCI_SHARE_COUNT; i++) {
        largest = shares->pending[i] > shares->pending[largest] ? i : largest;
    }
    return largest;
}
