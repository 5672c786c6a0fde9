/* SPDX-License-Identifier: MIT */
/* The AES-256-GCM of Intel's Multi-Buffer Crypto for IPsec library (x86-64 only), and the only file
 * that includes it. It has no curve, and its hash is not used: crypto_choose.c combines this table
 * with another. Only the single-buffer GCM calls are used. They keep all state in the key and in
 * the message, so threads may use different ones at the same time. They share only the library's
 * error variable, which they set to 0 and which is not read after registration. AES and carry-less
 * multiplication instructions make them constant-time. The library is not used if the processor
 * lacks these, if its own self-test failed, or if it was built without SAFE_DATA: it then leaves
 * keys in registers and on the stack. */
#include "core/crypto_backend.h"

#include <assert.h>
#include <string.h>

#include <intel-ipsec-mb.h>

/* Some versions do not define these. */
#ifndef IMB_FEATURE_AESNI_EMU
#define IMB_FEATURE_AESNI_EMU 0
#endif
#ifndef IMB_FEATURE_SELF_TEST
#define IMB_FEATURE_SELF_TEST 0
#define IMB_FEATURE_SELF_TEST_PASS 0
#endif

/* The functions for this processor: set once, before the table is used. */
static struct {
    aes_gcm_pre_t set_key;
    aes_gcm_enc_dec_t seal;
    aes_gcm_enc_dec_t open;
    aes_gcm_init_t start;
    aes_gcm_enc_dec_update_t seal_update;
    aes_gcm_enc_dec_update_t open_update;
    aes_gcm_enc_dec_finalize_t finish; /* the same for both directions, as the tag is */
} gcm;
static bool is_usable;

/* A small message is assembled on the stack: reading it back from the place of its ciphertext would
 * be slower, since that memory is not in the first-level cache. */
enum { NEAR_SIZE_MAX = 256 };

/* An aead object, aligned to 64 bytes in an allocation that is up to 63 bytes larger. */
typedef struct aead_state {
    struct gcm_key_data key;
    struct gcm_context_data message;
    void *allocated;
    bool opens; /* the message that was started in parts */
} aead_state;

enum {
    KEY_ALIGNMENT = 64, /* the library reads its keys with aligned loads */
    ALLOCATED_SIZE = (int)sizeof(aead_state) + KEY_ALIGNMENT - 1,
};

/* The library's pointer is not const; without associated data it is never read. */
static const uint8_t no_data[1];

static goipc_error aead_new(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                            void **aead)
{
    aead_state *state;
    uint8_t *allocated;

    (void)context;
    assert(allocator != NULL && key != NULL && aead != NULL);
    allocated = allocator->allocate(allocator->context, ALLOCATED_SIZE);
    if (allocated == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    state = (void *)(allocated + (-(uintptr_t)allocated & (KEY_ALIGNMENT - 1)));
    state->allocated = allocated;
    gcm.set_key(key, &state->key);
    goipci_wipe_stack();
    *aead = state;
    return GOIPC_ERROR_OK;
}

static void aead_free(void *context, const goipc_allocator *allocator, void *aead)
{
    aead_state *state = aead;

    (void)context;
    if (state != NULL) {
        goipci_release(allocator, state->allocated, ALLOCATED_SIZE);
    }
}

static goipc_error aead_start(void *context, void *aead, const uint8_t nonce[12], bool opens)
{
    aead_state *state = aead;

    (void)context;
    assert(state != NULL && nonce != NULL);
    state->opens = opens;
    gcm.start(&state->key, &state->message, nonce, no_data, 0);
    return GOIPC_ERROR_OK;
}

static goipc_error aead_update(void *context, void *aead, const uint8_t *in, size_t in_size,
                               uint8_t *out)
{
    aead_state *state = aead;

    (void)context;
    assert(aead != NULL && ((in != NULL && out != NULL) || in_size == 0));
    if (in_size > 0) {
        (state->opens ? gcm.open_update : gcm.seal_update)(&state->key, &state->message, out, in,
                                                           in_size);
    }
    return GOIPC_ERROR_OK;
}

static goipc_error aead_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    aead_state *state = aead;

    (void)context;
    assert(aead != NULL && tag != NULL);
    gcm.finish(&state->key, &state->message, tag, GOIPC_TAG_SIZE);
    return GOIPC_ERROR_OK;
}

static goipc_error aead_finish_open(void *context, void *aead, const uint8_t tag[16])
{
    uint8_t expected[GOIPC_TAG_SIZE];

    assert(tag != NULL);
    (void)aead_finish_seal(context, aead, expected); /* cannot fail */
    return goipci_tag_verdict(expected, tag);
}

static goipc_error aead_seal(void *context, void *aead, const uint8_t nonce[12],
                             const uint8_t head[4], const uint8_t *data, size_t data_size,
                             uint8_t *out, uint8_t tag[16])
{
    aead_state *state = aead;
    uint8_t first[GOIPCI_AES_BLOCK_SIZE];

    (void)context;
    assert(aead != NULL && nonce != NULL && head != NULL && out != NULL && tag != NULL);
    assert(data != NULL || data_size == 0);
    if (data_size <= NEAR_SIZE_MAX) {
        uint8_t text[GOIPC_FRAME_TYPE_SIZE + NEAR_SIZE_MAX];

        (void)goipci_gather(head, data, data_size, text); /* never in place, and small */
        gcm.seal(&state->key, &state->message, out, text, GOIPC_FRAME_TYPE_SIZE + data_size, nonce,
                 no_data, 0, tag, GOIPC_TAG_SIZE);
        goipc_wipe(text, GOIPC_FRAME_TYPE_SIZE + data_size);
        return GOIPC_ERROR_OK;
    }
    if (goipci_gather(head, data, data_size, out)) {
        gcm.seal(&state->key, &state->message, out, out, GOIPC_FRAME_TYPE_SIZE + data_size, nonce,
                 no_data, 0, tag, GOIPC_TAG_SIZE);
        return GOIPC_ERROR_OK;
    }
    goipci_first_block(head, data, first);
    gcm.start(&state->key, &state->message, nonce, no_data, 0);
    gcm.seal_update(&state->key, &state->message, out, first, sizeof first);
    gcm.seal_update(&state->key, &state->message, out + sizeof first, data + GOIPCI_BLOCK_DATA_SIZE,
                    data_size - GOIPCI_BLOCK_DATA_SIZE);
    gcm.finish(&state->key, &state->message, tag, GOIPC_TAG_SIZE);
    goipc_wipe(first, sizeof first);
    return GOIPC_ERROR_OK;
}

static goipc_error aead_open(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                             size_t in_size, const uint8_t tag[16], uint8_t *out)
{
    aead_state *state = aead;
    uint8_t expected[GOIPC_TAG_SIZE];
    uint8_t none[1];
    goipc_error error;

    (void)context;
    assert(aead != NULL && nonce != NULL && tag != NULL);
    assert((in != NULL && out != NULL) || in_size == 0);
    /* The library requires pointers that are not NULL, even for no bytes. */
    gcm.open(&state->key, &state->message, in_size > 0 ? out : none, in_size > 0 ? in : no_data,
             in_size, nonce, no_data, 0, expected, GOIPC_TAG_SIZE);
    error = goipci_tag_verdict(expected, tag);
    if (error != GOIPC_ERROR_OK) {
        goipc_wipe(out, in_size);
    }
    return error;
}

/* --- registration ----------------------------------------------------------------------------- */

static bool is_safe(uint64_t features)
{
    const uint64_t needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SAFE_DATA;
    const bool self_test_failed =
        (features & IMB_FEATURE_SELF_TEST) != 0 && (features & IMB_FEATURE_SELF_TEST_PASS) == 0;

    return (features & needed) == needed && (features & IMB_FEATURE_AESNI_EMU) == 0 &&
           !self_test_failed;
}

/* The manager (200 KB) is for multi-buffer jobs: only its functions for this processor are kept. */
void goipci_ipsec_mb_register(void)
{
    IMB_MGR *manager = alloc_mb_mgr(0);
    IMB_ARCH architecture;

    if (manager == NULL) {
        return;
    }
    init_mb_mgr_auto(manager, &architecture);
    if (imb_get_errno(manager) == 0 && is_safe(manager->features)) {
        gcm.set_key = manager->gcm256_pre;
        gcm.seal = manager->gcm256_enc;
        gcm.open = manager->gcm256_dec;
        gcm.start = manager->gcm256_init;
        gcm.seal_update = manager->gcm256_enc_update;
        gcm.open_update = manager->gcm256_dec_update;
        gcm.finish = manager->gcm256_enc_finalize;
        is_usable = true;
    }
    free_mb_mgr(manager);
}

const goipc_crypto *goipci_ipsec_mb_table(void)
{
    static const goipc_crypto table = {
        .name = "ipsec-mb",
        .aead_new = aead_new,
        .aead_seal = aead_seal,
        .aead_open = aead_open,
        .aead_free = aead_free,
        .aead_start = aead_start,
        .aead_update = aead_update,
        .aead_finish_seal = aead_finish_seal,
        .aead_finish_open = aead_finish_open,
    };

    return is_usable ? &table : NULL;
}
