/* SPDX-License-Identifier: MIT */
/* Functions that are the same for every back end: keys, nonces, single sealed frames. */
#include "core/crypto_backend.h"

#include <assert.h>
#include <string.h>

/* 1 if left < right as big-endian numbers of 48 bytes, else 0: the borrow of left - right. */
static unsigned is_below(const uint8_t left[48], const uint8_t right[48])
{
    unsigned borrow = 0;

    for (size_t i = 48; i-- > 0;) {
        borrow = ((unsigned)left[i] - right[i] - borrow) >> 8 & 1;
    }
    return borrow;
}

/* --- P-384 ------------------------------------------------------------------------------------ */

static const uint8_t p384_order[48] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
};
const uint8_t goipci_p384_prime[48] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
};
const uint8_t goipci_p384_b[48] = {
    0xb3, 0x31, 0x2f, 0xa7, 0xe2, 0x3e, 0xe7, 0xe4, 0x98, 0x8e, 0x05, 0x6b, 0xe3, 0xf8, 0x2d, 0x19,
    0x18, 0x1d, 0x9c, 0x6e, 0xfe, 0x81, 0x41, 0x12, 0x03, 0x14, 0x08, 0x8f, 0x50, 0x13, 0x87, 0x5a,
    0xc6, 0x56, 0x39, 0x8d, 0x8a, 0x2e, 0xd1, 0x9d, 0x2a, 0x85, 0xc8, 0xed, 0xd3, 0xec, 0x2a, 0xef,
};
const uint8_t goipci_p384_generator[97] = {
    0x04, 0xaa, 0x87, 0xca, 0x22, 0xbe, 0x8b, 0x05, 0x37, 0x8e, 0xb1, 0xc7, 0x1e, 0xf3,
    0x20, 0xad, 0x74, 0x6e, 0x1d, 0x3b, 0x62, 0x8b, 0xa7, 0x9b, 0x98, 0x59, 0xf7, 0x41,
    0xe0, 0x82, 0x54, 0x2a, 0x38, 0x55, 0x02, 0xf2, 0x5d, 0xbf, 0x55, 0x29, 0x6c, 0x3a,
    0x54, 0x5e, 0x38, 0x72, 0x76, 0x0a, 0xb7, 0x36, 0x17, 0xde, 0x4a, 0x96, 0x26, 0x2c,
    0x6f, 0x5d, 0x9e, 0x98, 0xbf, 0x92, 0x92, 0xdc, 0x29, 0xf8, 0xf4, 0x1d, 0xbd, 0x28,
    0x9a, 0x14, 0x7c, 0xe9, 0xda, 0x31, 0x13, 0xb5, 0xf0, 0xb8, 0xc0, 0x0a, 0x60, 0xb1,
    0xce, 0x1d, 0x7e, 0x81, 0x9d, 0x7a, 0x43, 0x1d, 0x7c, 0x90, 0xea, 0x0e, 0x5f,
};

bool goipci_private_key_valid(const uint8_t private_key[48])
{
    unsigned bits = 0;

    assert(private_key != NULL);
    for (size_t i = 0; i < GOIPC_P384_PRIVATE_SIZE; i++) {
        bits |= private_key[i];
    }
    /* Combines both conditions without a branch: (bits + 255) >> 8 is 1 unless all bits are 0. */
    return (is_below(private_key, p384_order) & (bits + 255) >> 8) != 0;
}

/* req: KD-006, KD-007 */
bool goipci_public_key_in_range(const uint8_t public_key[97])
{
    assert(public_key != NULL);
    return public_key[0] == GOIPCI_P384_UNCOMPRESSED &&
           is_below(public_key + 1, goipci_p384_prime) &&
           is_below(public_key + 1 + GOIPC_P384_SHARED_SIZE, goipci_p384_prime);
}

/* req: KD-002, KD-003 */
goipc_error goipci_private_key_draw(const goipc_crypto *crypto, uint8_t private_key[48])
{
    /* A good source fails this check once in 2^190 draws; a source that fails it often is
     * broken. */
    enum { DRAWS_MAX = 64 };

    assert(crypto != NULL && private_key != NULL);
    for (int draw = 0; draw < DRAWS_MAX; draw++) {
        const goipc_error error =
            crypto->random(crypto->context, private_key, GOIPC_P384_PRIVATE_SIZE);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
        if (goipci_private_key_valid(private_key)) {
            return GOIPC_ERROR_OK;
        }
    }
    goipc_wipe(private_key, GOIPC_P384_PRIVATE_SIZE);
    return GOIPC_ERROR_RANDOM;
}

/* --- key -------------------------------------------------------------------------------------- */

/* req: KD-011, KD-012 */
goipc_error goipc_crypto_derive_key(const goipc_crypto *crypto, const uint8_t shared_x[48],
                                    goipc_key_form form, uint8_t key[32])
{
    size_t zeros = 0;

    assert(crypto != NULL && shared_x != NULL && key != NULL);
    assert(form == GOIPC_KEY_FORM_MINIMAL || form == GOIPC_KEY_FORM_FIXED);
    if (form == GOIPC_KEY_FORM_MINIMAL) {
        /* The time of hashing depends on the number of leading zero bytes: the protocol requires
         * that. If X is 0, no byte is hashed. */
        while (zeros < GOIPC_P384_SHARED_SIZE && shared_x[zeros] == 0) {
            zeros++;
        }
    }
    return crypto->sha256(crypto->context, shared_x + zeros, GOIPC_P384_SHARED_SIZE - zeros, key);
}

/* --- nonces ----------------------------------------------------------------------------------- */

_Static_assert(GOIPC_NONCE_SIZE == sizeof((goipci_nonces *)0)->prefix + 4, "prefix and counter");

goipc_error goipci_nonces_init(goipci_nonces *nonces, const goipc_crypto *crypto, goipc_role role)
{
    const uint8_t role_bit = 0x80;
    goipc_error error;

    assert(nonces != NULL && crypto != NULL);
    assert(role == GOIPC_ROLE_SERVER || role == GOIPC_ROLE_CLIENT);
    nonces->next = 0;
    error = crypto->random(crypto->context, nonces->prefix, sizeof nonces->prefix);
    nonces->prefix[0] =
        (uint8_t)((nonces->prefix[0] & ~role_bit) | (role == GOIPC_ROLE_SERVER ? role_bit : 0));
    return error;
}

/* req: SE-004, SE-005, SE-008 */
goipc_error goipci_nonces_next(goipci_nonces *nonces, uint8_t nonce[12])
{
    assert(nonces != NULL && nonce != NULL);
    if (nonces->next == UINT32_MAX) {
        return GOIPC_ERROR_MESSAGE_LIMIT;
    }
    memcpy(nonce, nonces->prefix, sizeof nonces->prefix);
    goipc_wire_put_u32(nonce + sizeof nonces->prefix, nonces->next);
    nonces->next++;
    return GOIPC_ERROR_OK;
}

bool goipci_nonces_is_ours(const goipci_nonces *nonces, const uint8_t nonce[12])
{
    assert(nonces != NULL && nonce != NULL);
    return memcmp(nonce, nonces->prefix, sizeof nonces->prefix) == 0; /* nonces are public */
}

/* --- one sealed frame ------------------------------------------------------------------------- */

goipc_error goipc_crypto_seal_frame(const goipc_crypto *crypto, const uint8_t key[32],
                                    const uint8_t nonce[12], uint32_t type, const void *data,
                                    size_t data_size, uint8_t *out, size_t capacity,
                                    size_t *out_size)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    uint8_t head[GOIPC_FRAME_TYPE_SIZE];
    uint8_t *body;
    size_t frame_size;
    void *aead;
    goipc_error error;

    assert(crypto != NULL && key != NULL && nonce != NULL && out != NULL && out_size != NULL);
    assert(data != NULL || data_size == 0);
    body = out + GOIPC_FRAME_LENGTH_SIZE;
    error = goipc_wire_frame_size(true, data_size, &frame_size);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (capacity < frame_size) {
        return GOIPC_ERROR_CAPACITY;
    }
    error = crypto->aead_new(crypto->context, allocator, key, &aead);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    goipc_wire_put_u32(head, type);
    goipc_wire_put_u32(out, (uint32_t)(frame_size - GOIPC_FRAME_LENGTH_SIZE));
    memcpy(body, nonce, GOIPC_NONCE_SIZE);
    error = crypto->aead_seal(crypto->context, aead, nonce, head, data, data_size,
                              body + GOIPC_NONCE_SIZE, out + frame_size - GOIPC_TAG_SIZE);
    crypto->aead_free(crypto->context, allocator, aead);
    if (error == GOIPC_ERROR_OK) {
        *out_size = frame_size;
    }
    return error;
}

goipc_error goipc_crypto_open_frame(const goipc_crypto *crypto, const uint8_t key[32],
                                    uint8_t *body, size_t body_size, uint32_t *type,
                                    const uint8_t **data, size_t *data_size)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    uint8_t *text;
    size_t text_size;
    void *aead;
    goipc_error error;

    assert(crypto != NULL && key != NULL && body != NULL);
    assert(type != NULL && data != NULL && data_size != NULL);
    text = body + GOIPC_NONCE_SIZE;
    /* The second condition is a body larger than any length prefix. It is written so that it is no
     * constant if size_t has 32 bits. */
    if (body_size < GOIPC_SEAL_OVERHEAD + GOIPC_FRAME_TYPE_SIZE || body_size >> 31 > 1) {
        return GOIPC_ERROR_FRAME_SIZE;
    }
    text_size = body_size - GOIPC_SEAL_OVERHEAD;
    error = crypto->aead_new(crypto->context, allocator, key, &aead);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = crypto->aead_open(crypto->context, aead, body, text, text_size, text + text_size, text);
    crypto->aead_free(crypto->context, allocator, aead);
    if (error == GOIPC_ERROR_OK) {
        *type = goipc_wire_get_u32(text);
        *data = text + GOIPC_FRAME_TYPE_SIZE;
        *data_size = text_size - GOIPC_FRAME_TYPE_SIZE;
    }
    return error;
}
