/* SPDX-License-Identifier: MIT */
/* The nettle back end, and the only file that includes nettle, hogweed and GMP. Its scalar
 * multiplication is side-channel silent on every processor. Its AES is constant-time only if the
 * processor has AES instructions; otherwise it uses tables.
 *
 * This file adds what the libraries lack:
 * - Hogweed takes its scratch memory from GMP, which aborts the process without memory and frees it
 *   unwiped. So each multiplication supplies its own memory and wipes it.
 * - ecc_scalar_set compares a private key in variable time. So goipci_private_key_valid checks
 *   scalars, and this file converts them.
 * - gcm_aes256_digest does not compare tags. */
#include "core/crypto_backend.h"
#include "core/system.h"

#include <assert.h>
#include <string.h>

#include <gmp.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/gcm.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

#if NETTLE_USE_MINI_GMP
#error                                                                                             \
    "this nettle was built with mini-gmp: install one with GMP, or configure with GOIPC_NETTLE=OFF"
#endif

/* From version 4 on, digests have one size each. */
#if NETTLE_VERSION_MAJOR >= 4
#define DIGEST(function, state, size, out) function(state, out)
#else
#define DIGEST(function, state, size, out) function(state, size, out)
#endif

enum {
    LIMBS = GOIPC_P384_SHARED_SIZE / (int)sizeof(mp_limb_t), /* of one coordinate, or a scalar */
    /* Hogweed takes 2832 bytes for a product, and 600 to check a point (nettle 3.8, 64 bits). */
    SCRATCH_SIZE = 8 * 1024,
};

_Static_assert(GMP_NAIL_BITS == 0, "a limb is an unsigned integer with all of its bits");

static goipc_error fill_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    return goipci_system_random(out, size);
}

static goipc_error hash(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    struct sha256_ctx state;

    (void)context;
    assert(in != NULL || in_size == 0);
    assert(out != NULL);
    sha256_init(&state);
    if (in_size > 0) {
        sha256_update(&state, in_size, in);
    }
    DIGEST(sha256_digest, &state, GOIPC_SHA256_SIZE, out);
    goipc_wipe(&state, sizeof state);
    goipci_wipe_stack();
    return GOIPC_ERROR_OK;
}

/* --- GMP's memory ----------------------------------------------------------------------------- */

/* The numbers of one multiplication, and the memory that GMP gets while it runs. */
typedef struct multiplication {
    mp_limb_t scalar[LIMBS];
    mp_limb_t point[2 * LIMBS];
    mp_limb_t product[2 * LIMBS];
    size_t scratch_used;
    union {
        uint8_t bytes[SCRATCH_SIZE];
        uint64_t aligned;
    } scratch;
} multiplication;

/* The multiplication that this thread is in. While it is NULL, GMP's memory is the program's. */
static _Thread_local multiplication *running;

/* GMP's earlier functions. */
static void *(*allocate_before)(size_t size);
static void *(*reallocate_before)(void *memory, size_t old_size, size_t new_size);
static void (*release_before)(void *memory, size_t size);

static bool is_scratch(const void *memory)
{
    return running != NULL && (uintptr_t)memory >= (uintptr_t)running->scratch.bytes &&
           (uintptr_t)memory < (uintptr_t)running->scratch.bytes + SCRATCH_SIZE;
}

static void *allocate(size_t size)
{
    void *memory;

    if (running == NULL || size > SCRATCH_SIZE - running->scratch_used) {
        return allocate_before(size);
    }
    memory = running->scratch.bytes + running->scratch_used;
    running->scratch_used += (size + 7) & ~(size_t)7; /* SCRATCH_SIZE is a multiple of 8, too */
    return memory;
}

/* Scratch memory is released when the multiplication ends. */
static void release(void *memory, size_t size)
{
    if (is_scratch(memory)) {
        return;
    }
    if (running != NULL) {
        goipc_wipe(memory, size);
    }
    release_before(memory, size);
}

static void *reallocate(void *memory, size_t old_size, size_t new_size)
{
    void *moved;

    if (running == NULL) {
        return reallocate_before(memory, old_size, new_size);
    }
    moved = allocate(new_size);
    memcpy(moved, memory, old_size < new_size ? old_size : new_size);
    release(memory, old_size);
    return moved;
}

/* --- P-384 ------------------------------------------------------------------------------------ */

/* Converts big-endian bytes to limbs, the least significant first, in constant time. */
static void read_limbs(const uint8_t bytes[48], mp_limb_t limbs[LIMBS])
{
    for (size_t i = 0; i < LIMBS; i++) {
        const uint8_t *at = bytes + (LIMBS - 1 - i) * sizeof limbs[0];

        limbs[i] = 0;
        for (size_t j = 0; j < sizeof limbs[0]; j++) {
            limbs[i] = (limbs[i] << 8) | at[j];
        }
    }
}

static void write_limbs(const mp_limb_t limbs[LIMBS], uint8_t bytes[48])
{
    for (size_t i = 0; i < GOIPC_P384_SHARED_SIZE; i++) {
        const size_t from_end = GOIPC_P384_SHARED_SIZE - 1 - i;
        const size_t shift = from_end % sizeof limbs[0] * 8;

        bytes[i] = (uint8_t)(limbs[from_end / sizeof limbs[0]] >> shift);
    }
}

/* product = scalar * point; without a peer's key the point is the generator. */
static goipc_error multiply(multiplication *work, const uint8_t private_key[48],
                            const uint8_t *peer_public_key)
{
    const struct ecc_curve *curve = nettle_get_secp_384r1();
    struct ecc_scalar scalar = {curve, work->scalar};
    struct ecc_point point = {curve, work->point}, product = {curve, work->product};
    goipc_error error = GOIPC_ERROR_OK;
    mp_limb_t limbs[2][LIMBS];
    mpz_t x, y;

    work->scratch_used = 0;
    running = work;
    read_limbs(private_key, work->scalar);
    if (peer_public_key == NULL) {
        ecc_point_mul_g(&product, &scalar);
    } else {
        read_limbs(peer_public_key + 1, limbs[0]);
        read_limbs(peer_public_key + 1 + GOIPC_P384_SHARED_SIZE, limbs[1]);
        /* This checks that the point is on the curve. With cofactor 1 no other check is needed. */
        if (ecc_point_set(&point, mpz_roinit_n(x, limbs[0], LIMBS),
                          mpz_roinit_n(y, limbs[1], LIMBS)) == 1) {
            ecc_point_mul(&product, &scalar, &point);
        } else {
            error = GOIPC_ERROR_PUBLIC_KEY;
        }
    }
    running = NULL;
    return error;
}

static void work_wipe(multiplication *work)
{
    goipc_wipe(work, sizeof *work);
    goipci_wipe_stack();
}

static goipc_error make_public(void *context, const uint8_t private_key[48], uint8_t public_key[97])
{
    multiplication work;
    goipc_error error;

    (void)context;
    assert(private_key != NULL && public_key != NULL);
    if (!goipci_private_key_valid(private_key)) {
        return GOIPC_ERROR_ARGUMENT;
    }
    error = multiply(&work, private_key, NULL);
    public_key[0] = GOIPCI_P384_UNCOMPRESSED;
    write_limbs(work.product, public_key + 1);
    write_limbs(work.product + LIMBS, public_key + 1 + GOIPC_P384_SHARED_SIZE);
    work_wipe(&work);
    return error;
}

static goipc_error make_shared(void *context, const uint8_t private_key[48],
                               const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    multiplication work;
    goipc_error error;

    (void)context;
    assert(private_key != NULL && peer_public_key != NULL && shared_x != NULL);
    if (!goipci_private_key_valid(private_key)) {
        return GOIPC_ERROR_ARGUMENT;
    }
    if (!goipci_public_key_in_range(peer_public_key)) {
        return GOIPC_ERROR_PUBLIC_KEY;
    }
    error = multiply(&work, private_key, peer_public_key);
    if (error == GOIPC_ERROR_OK) {
        write_limbs(work.product, shared_x);
    }
    work_wipe(&work);
    return error;
}

/* --- AES-256-GCM ------------------------------------------------------------------------------ */

/* Key schedule, table of the hash (4 KiB) and the state of the current message. */
typedef struct aead_state {
    struct gcm_aes256_ctx gcm;
    bool opens;
} aead_state;

_Static_assert(_Alignof(aead_state) <= 2 * sizeof(void *), "what allocators promise");

static goipc_error aead_new(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                            void **aead)
{
    aead_state *state;

    (void)context;
    assert(allocator != NULL && key != NULL && aead != NULL);
    state = allocator->allocate(allocator->context, sizeof *state);
    if (state == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    gcm_aes256_set_key(&state->gcm, key);
    goipci_wipe_stack();
    *aead = state;
    return GOIPC_ERROR_OK;
}

static void aead_free(void *context, const goipc_allocator *allocator, void *aead)
{
    (void)context;
    goipci_release(allocator, aead, sizeof(aead_state));
}

static inline goipc_error aead_start(void *context, void *aead, const uint8_t nonce[12], bool opens)
{
    aead_state *state = aead;

    (void)context;
    assert(state != NULL && nonce != NULL);
    state->opens = opens;
    gcm_aes256_set_iv(&state->gcm, GOIPC_NONCE_SIZE, nonce);
    return GOIPC_ERROR_OK;
}

static inline goipc_error aead_update(void *context, void *aead, const uint8_t *in, size_t in_size,
                                      uint8_t *out)
{
    aead_state *state = aead;

    (void)context;
    assert(aead != NULL && ((in != NULL && out != NULL) || in_size == 0));
    if (in_size == 0) {
        return GOIPC_ERROR_OK;
    }
    if (state->opens) {
        gcm_aes256_decrypt(&state->gcm, in_size, out, in);
    } else {
        gcm_aes256_encrypt(&state->gcm, in_size, out, in);
    }
    return GOIPC_ERROR_OK;
}

static inline goipc_error aead_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    aead_state *state = aead;

    (void)context;
    assert(aead != NULL && tag != NULL);
    DIGEST(gcm_aes256_digest, &state->gcm, GOIPC_TAG_SIZE, tag);
    return GOIPC_ERROR_OK;
}

static inline goipc_error aead_finish_open(void *context, void *aead, const uint8_t tag[16])
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
    uint8_t first[GOIPCI_AES_BLOCK_SIZE];

    assert(head != NULL && out != NULL && tag != NULL && (data != NULL || data_size == 0));
    (void)aead_start(context, aead, nonce, false); /* none of these can fail */
    if (goipci_gather(head, data, data_size, out)) {
        (void)aead_update(context, aead, out, GOIPC_FRAME_TYPE_SIZE + data_size, out);
    } else {
        goipci_first_block(head, data, first);
        (void)aead_update(context, aead, first, sizeof first, out);
        (void)aead_update(context, aead, data + GOIPCI_BLOCK_DATA_SIZE,
                          data_size - GOIPCI_BLOCK_DATA_SIZE, out + sizeof first);
        goipc_wipe(first, sizeof first);
    }
    return aead_finish_seal(context, aead, tag);
}

static goipc_error aead_open(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                             size_t in_size, const uint8_t tag[16], uint8_t *out)
{
    goipc_error error;

    (void)aead_start(context, aead, nonce, true); /* neither of these can fail */
    (void)aead_update(context, aead, in, in_size, out);
    error = aead_finish_open(context, aead, tag);
    if (error != GOIPC_ERROR_OK) {
        goipc_wipe(out, in_size);
    }
    return error;
}

/* --- registration ----------------------------------------------------------------------------- */

static bool is_usable; /* set once, before the table is used */

/* Whether this nettle stores a scalar as read_limbs does, which its header does not guarantee. */
static bool scalar_is_limbs(void)
{
    const struct ecc_curve *curve = nettle_get_secp_384r1();
    mp_limb_t ours[LIMBS], theirs[LIMBS];
    struct ecc_scalar scalar = {curve, theirs};
    mpz_t number;

    read_limbs(goipci_p384_b, ours); /* any number that is below the order */
    return ecc_size(curve) == LIMBS &&
           ecc_scalar_set(&scalar, mpz_roinit_n(number, ours, LIMBS)) == 1 &&
           memcmp(ours, theirs, sizeof ours) == 0; /* public */
}

void goipci_nettle_register(void)
{
    /* GMP's memory functions are global: calls by the program are passed on to the functions that
     * were set before. */
    mp_get_memory_functions(&allocate_before, &reallocate_before, &release_before);
    mp_set_memory_functions(allocate, reallocate, release);
    is_usable = scalar_is_limbs();
}

const goipc_crypto *goipci_nettle_table(void)
{
    static const goipc_crypto table = {
        .name = "nettle",
        .random = fill_random,
        .p384_public = make_public,
        .p384_shared = make_shared,
        .sha256 = hash,
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
