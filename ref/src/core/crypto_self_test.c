/* SPDX-License-Identifier: MIT */
/* Checks a table of cryptographic functions, built in or a program's own, against known answers. */
#include "core/crypto_backend.h"

#include <assert.h>
#include <string.h>

/* Known answers, made with the Python package "cryptography": the private keys are SHA-384 of
 * "goipc self-test private key A" and "... B" (only B's public half is here), key and nonce the
 * first bytes of SHA-256 of "goipc self-test key" and "goipc self-test nonce". */
static const uint8_t known_private[48] = {
    0x8a, 0x83, 0xaf, 0xfd, 0xb7, 0xe4, 0xec, 0x61, 0xfe, 0x06, 0x67, 0xad, 0xdc, 0xb7, 0xc2, 0xcb,
    0x04, 0xe5, 0x0e, 0x17, 0x07, 0xa1, 0x82, 0xe0, 0x63, 0xdd, 0x17, 0x2b, 0xf3, 0xd7, 0x32, 0x85,
    0xa4, 0xc4, 0x1a, 0xfd, 0xa9, 0xc7, 0xc4, 0xfe, 0x1a, 0xdf, 0x83, 0x60, 0xcb, 0xb2, 0x8f, 0x96,
};
static const uint8_t known_public[97] = {
    0x04, 0x74, 0xb4, 0xd0, 0x05, 0x79, 0xcc, 0x79, 0xfc, 0xf5, 0x39, 0xa3, 0x7c, 0x61,
    0x39, 0xa3, 0x20, 0x4b, 0x3c, 0x66, 0xc9, 0x86, 0x6f, 0xfd, 0x00, 0x69, 0xba, 0x38,
    0x3a, 0x4d, 0x63, 0xac, 0x9a, 0xa6, 0x35, 0xc9, 0x50, 0xf1, 0xe3, 0xc6, 0x89, 0x43,
    0x0c, 0x76, 0xb7, 0x60, 0x8f, 0xf8, 0xdf, 0x0e, 0xe4, 0xa0, 0x5d, 0xef, 0x58, 0xc7,
    0x33, 0xc5, 0x1d, 0x14, 0xa1, 0xac, 0x9f, 0xb8, 0x9c, 0xf1, 0x06, 0x15, 0x97, 0x75,
    0xef, 0x8c, 0x14, 0xef, 0xcb, 0x7c, 0x1c, 0xcd, 0x6d, 0xb7, 0x6c, 0xa5, 0xdc, 0x12,
    0x1c, 0xc9, 0x78, 0x3b, 0xad, 0xcd, 0xc7, 0x07, 0x75, 0x04, 0xfd, 0xfe, 0x57,
};
static const uint8_t known_peer[97] = {
    0x04, 0x16, 0x9f, 0x9e, 0x73, 0xd1, 0xbd, 0x8c, 0x0b, 0xa4, 0x95, 0x3c, 0xaa, 0x76,
    0x89, 0xb8, 0x7a, 0x9c, 0x79, 0xb7, 0xce, 0xe0, 0x5a, 0x62, 0x0b, 0xd9, 0x3d, 0xb2,
    0xdd, 0x36, 0x4f, 0x73, 0x02, 0x45, 0xa4, 0xbb, 0xf9, 0x0a, 0xb7, 0x6c, 0x76, 0x6b,
    0xf1, 0x7e, 0xbf, 0xfc, 0xed, 0x23, 0x63, 0xad, 0x52, 0x47, 0x3e, 0x60, 0x12, 0xe4,
    0x3a, 0xa0, 0x0b, 0xf5, 0x02, 0xaf, 0x79, 0x1f, 0xc7, 0x1f, 0x5e, 0xc6, 0xcc, 0x2e,
    0x00, 0x30, 0xc8, 0xa3, 0x18, 0x9b, 0x2a, 0xdd, 0x6f, 0xb4, 0x20, 0x6d, 0xb4, 0xda,
    0x99, 0x1b, 0x73, 0x8b, 0x08, 0xcd, 0xa6, 0x1f, 0x9d, 0x3e, 0x30, 0x22, 0xca,
};
static const uint8_t known_shared[48] = {
    0xb4, 0x26, 0xe7, 0x20, 0x1e, 0xc1, 0x4b, 0xfb, 0xd5, 0xe3, 0xad, 0x2b, 0x1a, 0x4c, 0x30, 0x50,
    0xd7, 0x17, 0x6f, 0x5f, 0x34, 0x01, 0xcd, 0xd5, 0x9b, 0x35, 0x88, 0xbb, 0xf6, 0xdf, 0x36, 0xa5,
    0xc3, 0x35, 0xbc, 0x23, 0xbf, 0x3d, 0xc1, 0x95, 0xef, 0xaa, 0x35, 0x04, 0x32, 0x80, 0xd2, 0x9e,
};
static const uint8_t known_hash[32] = {
    0x06, 0x21, 0x3a, 0x95, 0x65, 0x3c, 0x24, 0x1f, 0xf1, 0x01, 0x0d, 0x29, 0xa3, 0x5d, 0x46, 0xcc,
    0x2a, 0x23, 0x55, 0xc1, 0x4b, 0xb5, 0x9a, 0xe7, 0xcb, 0xa0, 0x94, 0x4b, 0x77, 0xb9, 0xe2, 0x99,
};
static const uint8_t known_key[32] = {
    0x65, 0x12, 0xb3, 0xc3, 0xeb, 0xc2, 0x5f, 0xd6, 0xf3, 0x9f, 0x2a, 0xd3, 0x65, 0xc4, 0x5d, 0x1b,
    0x41, 0x6d, 0xb6, 0x38, 0xd3, 0x05, 0x22, 0xf8, 0x06, 0x42, 0xfd, 0x1c, 0xd0, 0xde, 0x8e, 0x33,
};
static const uint8_t known_nonce[12] = {
    0x99, 0xb5, 0x1e, 0x03, 0xc4, 0x7f, 0xe0, 0xd2, 0x8f, 0xac, 0xa0, 0xdd,
};
static const uint8_t known_text[41] = {
    0x00, 0x00, 0x00, 0x07, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
    0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
    0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24,
};
static const uint8_t known_sealed[41] = {
    0xee, 0xac, 0x79, 0xa0, 0x6b, 0x4b, 0xdc, 0x0a, 0x68, 0x6f, 0xff, 0x34, 0x30, 0x19,
    0x39, 0xfe, 0x91, 0x96, 0xf2, 0x35, 0xc8, 0xac, 0x54, 0xb0, 0xef, 0xc0, 0xa0, 0xc9,
    0x3b, 0x57, 0x81, 0x1d, 0xe7, 0xa2, 0x51, 0xcd, 0x27, 0xe0, 0x8d, 0xa2, 0x61,
};
static const uint8_t known_tag[16] = {
    0x0a, 0xe6, 0x5c, 0xfb, 0x8d, 0x14, 0xd1, 0x27, 0x70, 0x8a, 0xde, 0xe9, 0x81, 0x72, 0x85, 0xe6,
};

static goipc_error answer_is(const uint8_t *got, const uint8_t *known, size_t size)
{
    return goipci_equal(got, known, size) ? GOIPC_ERROR_OK : GOIPC_ERROR_CRYPTO;
}

static goipc_error test_random(const goipc_crypto *crypto)
{
    uint8_t first[32], second[32];
    goipc_error error = crypto->random(crypto->context, first, sizeof first);

    if (error == GOIPC_ERROR_OK) {
        error = crypto->random(crypto->context, second, sizeof second);
    }
    if (error == GOIPC_ERROR_OK && goipci_equal(first, second, sizeof first)) {
        error = GOIPC_ERROR_CRYPTO;
    }
    goipc_wipe(first, sizeof first);
    goipc_wipe(second, sizeof second);
    return error;
}

static goipc_error test_public(const goipc_crypto *crypto)
{
    uint8_t public_key[GOIPC_P384_PUBLIC_SIZE];
    const goipc_error error = crypto->p384_public(crypto->context, known_private, public_key);

    return error != GOIPC_ERROR_OK ? error : answer_is(public_key, known_public, sizeof public_key);
}

static goipc_error test_shared(const goipc_crypto *crypto)
{
    uint8_t shared_x[GOIPC_P384_SHARED_SIZE];
    uint8_t off_curve[GOIPC_P384_PUBLIC_SIZE];
    goipc_error error = crypto->p384_shared(crypto->context, known_private, known_peer, shared_x);

    if (error == GOIPC_ERROR_OK) {
        error = answer_is(shared_x, known_shared, sizeof shared_x);
    }
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    memcpy(off_curve, known_peer, sizeof off_curve);
    off_curve[sizeof off_curve - 1] ^= 1;
    error = crypto->p384_shared(crypto->context, known_private, off_curve, shared_x);
    return error == GOIPC_ERROR_PUBLIC_KEY ? GOIPC_ERROR_OK : GOIPC_ERROR_CRYPTO;
}

static goipc_error test_hash(const goipc_crypto *crypto)
{
    uint8_t hash[GOIPC_SHA256_SIZE];
    const goipc_error error =
        crypto->sha256(crypto->context, known_shared, sizeof known_shared, hash);

    return error != GOIPC_ERROR_OK ? error : answer_is(hash, known_hash, sizeof hash);
}

static goipc_error test_seal(const goipc_crypto *crypto, void *aead)
{
    uint8_t sealed[sizeof known_sealed];
    uint8_t tag[GOIPC_TAG_SIZE];
    goipc_error error = crypto->aead_seal(crypto->context, aead, known_nonce, known_text,
                                          known_text + GOIPC_FRAME_TYPE_SIZE,
                                          sizeof known_text - GOIPC_FRAME_TYPE_SIZE, sealed, tag);

    if (error == GOIPC_ERROR_OK) {
        error = answer_is(sealed, known_sealed, sizeof sealed);
    }
    return error != GOIPC_ERROR_OK ? error : answer_is(tag, known_tag, sizeof tag);
}

static goipc_error test_open(const goipc_crypto *crypto, void *aead)
{
    uint8_t text[sizeof known_sealed];
    uint8_t forged_tag[GOIPC_TAG_SIZE];
    goipc_error error = crypto->aead_open(crypto->context, aead, known_nonce, known_sealed,
                                          sizeof known_sealed, known_tag, text);

    if (error == GOIPC_ERROR_OK) {
        error = answer_is(text, known_text, sizeof text);
    }
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    memcpy(forged_tag, known_tag, sizeof forged_tag);
    forged_tag[sizeof forged_tag - 1] ^= 1;
    error = crypto->aead_open(crypto->context, aead, known_nonce, known_sealed, sizeof known_sealed,
                              forged_tag, text);
    return error == GOIPC_ERROR_DECRYPT ? GOIPC_ERROR_OK : GOIPC_ERROR_CRYPTO;
}

/* Two parts: one block, and the rest. */
static goipc_error run_parts(const goipc_crypto *crypto, void *aead, bool opens, const uint8_t *in,
                             uint8_t *out)
{
    goipc_error error = crypto->aead_start(crypto->context, aead, known_nonce, opens);

    if (error == GOIPC_ERROR_OK) {
        error = crypto->aead_update(crypto->context, aead, in, GOIPCI_AES_BLOCK_SIZE, out);
    }
    if (error == GOIPC_ERROR_OK) {
        error = crypto->aead_update(crypto->context, aead, in + GOIPCI_AES_BLOCK_SIZE,
                                    sizeof known_text - GOIPCI_AES_BLOCK_SIZE,
                                    out + GOIPCI_AES_BLOCK_SIZE);
    }
    return error;
}

static goipc_error test_seal_parts(const goipc_crypto *crypto, void *aead)
{
    uint8_t sealed[sizeof known_sealed];
    uint8_t tag[GOIPC_TAG_SIZE];
    goipc_error error = run_parts(crypto, aead, false, known_text, sealed);

    if (error == GOIPC_ERROR_OK) {
        error = crypto->aead_finish_seal(crypto->context, aead, tag);
    }
    if (error == GOIPC_ERROR_OK) {
        error = answer_is(sealed, known_sealed, sizeof sealed);
    }
    return error != GOIPC_ERROR_OK ? error : answer_is(tag, known_tag, sizeof tag);
}

static goipc_error test_open_parts(const goipc_crypto *crypto, void *aead)
{
    uint8_t text[sizeof known_text];
    uint8_t forged_tag[GOIPC_TAG_SIZE];
    goipc_error error = run_parts(crypto, aead, true, known_sealed, text);

    if (error == GOIPC_ERROR_OK) {
        error = crypto->aead_finish_open(crypto->context, aead, known_tag);
    }
    if (error == GOIPC_ERROR_OK) {
        error = answer_is(text, known_text, sizeof text);
    }
    if (error == GOIPC_ERROR_OK) {
        error = run_parts(crypto, aead, true, known_sealed, text);
    }
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    memcpy(forged_tag, known_tag, sizeof forged_tag);
    forged_tag[sizeof forged_tag - 1] ^= 1;
    error = crypto->aead_finish_open(crypto->context, aead, forged_tag);
    return error == GOIPC_ERROR_DECRYPT ? GOIPC_ERROR_OK : GOIPC_ERROR_CRYPTO;
}

static goipc_error test_parts(const goipc_crypto *crypto, void *aead)
{
    goipc_error error;

    if (crypto->aead_start == NULL) {
        return GOIPC_ERROR_OK;
    }
    error = test_seal_parts(crypto, aead);
    return error != GOIPC_ERROR_OK ? error : test_open_parts(crypto, aead);
}

static goipc_error test_aead(const goipc_crypto *crypto)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    void *aead;
    goipc_error error = crypto->aead_new(crypto->context, allocator, known_key, &aead);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    error = test_seal(crypto, aead);
    if (error == GOIPC_ERROR_OK) {
        error = test_open(crypto, aead);
    }
    if (error == GOIPC_ERROR_OK) {
        error = test_parts(crypto, aead);
    }
    crypto->aead_free(crypto->context, allocator, aead);
    return error;
}

goipc_error goipc_crypto_self_test(const goipc_crypto *crypto)
{
    static goipc_error (*const tests[])(const goipc_crypto *crypto) = {
        test_random, test_public, test_shared, test_hash, test_aead,
    };

    assert(crypto != NULL);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        const goipc_error error = tests[i](crypto);

        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    }
    return GOIPC_ERROR_OK;
}
