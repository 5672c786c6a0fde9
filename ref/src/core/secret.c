/* SPDX-License-Identifier: MIT */
/* Secrets in memory: wiping, and comparing in constant time. */
#include "core/crypto_backend.h"

#include <assert.h>
#include <string.h>

void goipc_wipe(void *bytes, size_t size)
{
    /* The compiler cannot remove a call through a volatile pointer. */
    static void *(*const volatile fill)(void *, int, size_t) = memset;

    assert(bytes != NULL || size == 0);
    if (size > 0) {
        (void)fill(bytes, 0, size); /* memset returns its first argument */
    }
}

static void wipe_frame(void)
{
    /* libtommath's products take 8 KiB, a hash or a key schedule less. */
    uint8_t frame[16 * 1024];

    goipc_wipe(frame, sizeof frame);
}

void goipci_wipe_stack(void)
{
    /* The volatile pointer prevents inlining: inlined, the buffer would lie in the frame of the
     * caller, above the stack that has to be overwritten. */
    static void (*const volatile wipe)(void) = wipe_frame;

    wipe();
}

/* req: SE-012 */
bool goipci_equal(const uint8_t *left, const uint8_t *right, size_t size)
{
    /* Volatile: the compiler cannot stop the comparison early. */
    volatile uint64_t verdict;
    uint64_t difference = 0, words[2];

    for (; size >= sizeof words[0]; size -= sizeof words[0]) {
        memcpy(&words[0], left, sizeof words[0]);
        memcpy(&words[1], right, sizeof words[1]);
        difference |= words[0] ^ words[1];
        left += sizeof words[0];
        right += sizeof words[1];
    }
    for (size_t i = 0; i < size; i++) {
        difference |= left[i] ^ right[i];
    }
    verdict = difference;
    return verdict == 0;
}

goipc_error goipci_tag_verdict(uint8_t expected[16], const uint8_t tag[16])
{
    const bool is_right = goipci_equal(expected, tag, GOIPC_TAG_SIZE);

    goipc_wipe(expected, GOIPC_TAG_SIZE);
    return is_right ? GOIPC_ERROR_OK : GOIPC_ERROR_DECRYPT;
}
