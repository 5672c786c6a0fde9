/* SPDX-License-Identifier: MIT */
/* Secrets in memory: wiping, and comparing in constant time. */
#include "core/crypto_backend.h"

#include <assert.h>
#include <string.h>

void goipc_wipe(void *bytes, size_t size)
{
    /* Called through a volatile pointer, memset may be anything, so the call must stay. */
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
    /* Through a volatile pointer it cannot become part of its caller, whose frame would then begin
     * above what is to be overwritten. */
    static void (*const volatile wipe)(void) = wipe_frame;

    wipe();
}

/* req: SE-012 */
bool goipci_equal(const uint8_t *left, const uint8_t *right, size_t size)
{
    volatile uint8_t difference = 0; /* volatile: looked at for every byte, also once it is set */

    for (size_t i = 0; i < size; i++) {
        difference |= left[i] ^ right[i];
    }
    return difference == 0;
}

goipc_error goipci_tag_verdict(uint8_t expected[16], const uint8_t tag[16])
{
    const bool is_right = goipci_equal(expected, tag, GOIPC_TAG_SIZE);

    goipc_wipe(expected, GOIPC_TAG_SIZE);
    return is_right ? GOIPC_ERROR_OK : GOIPC_ERROR_DECRYPT;
}
