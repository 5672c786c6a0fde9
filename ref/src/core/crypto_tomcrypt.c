/* SPDX-License-Identifier: MIT */
/* The libtomcrypt back end, and the only file that includes libtomcrypt. It is the reference:
 * always built, portable, not constant-time (AES by tables, scalars through general arithmetic).
 *
 * This file adds what libtomcrypt 1.18 lacks:
 * - It imports any bytes as a point, so the curve equation is checked below.
 * - It does not compare tags, so they are compared below.
 * - Its random source silently degrades when no descriptor is free, so it is never used.
 * - Its registries are not thread-safe, so registration happens once.
 * - It frees numbers unwiped, so they are wiped below.
 */
#include "core/crypto_backend.h"
#include "core/system.h"

#include <assert.h>
#include <string.h>

#define LTM_DESC /* to declare ltm_desc, which the library always contains */
#include <tomcrypt.h>
#include <tommath.h>

/* Set once, before the table is used, then constant. */
static int aes_index = -1;

static void (*deinit_unwiped)(void *number);

/* libtommath's mp_clear frees digits unwiped, including private scalars and shared secrets. */
static void deinit_wiped(void *number)
{
    mp_int *integer = number;

    if (integer->dp != NULL) {
        goipc_wipe(integer->dp, (size_t)integer->alloc * sizeof *integer->dp);
    }
    deinit_unwiped(number);
}

void goipci_tomcrypt_register(void)
{
    /* ltc_mp is global: if the program has chosen a provider, keep it. */
    if (ltc_mp.name == NULL) {
        ltc_mp = ltm_desc;
        deinit_unwiped = ltc_mp.deinit;
        ltc_mp.deinit = deinit_wiped;
    }
    aes_index = register_cipher(&aes_desc);
}

static goipc_error translate(int result)
{
    if (result == CRYPT_OK) {
        return GOIPC_ERROR_OK;
    }
    return result == CRYPT_MEM ? GOIPC_ERROR_MEMORY : GOIPC_ERROR_CRYPTO;
}

static goipc_error fill_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    return goipci_system_random(out, size);
}

static goipc_error hash(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    const size_t piece_max = (size_t)1 << 30; /* unsigned long has 32 bits on some systems */
    hash_state state;
    int result;

    (void)context;
    assert(in != NULL || in_size == 0);
    assert(out != NULL);
    result = sha256_init(&state);
    while (result == CRYPT_OK && in_size > 0) {
        const size_t piece = in_size < piece_max ? in_size : piece_max;

        result = sha256_process(&state, in, (unsigned long)piece);
        in += piece;
        in_size -= piece;
    }
    if (result == CRYPT_OK) {
        result = sha256_done(&state, out);
    }
    goipc_wipe(&state, sizeof state);
    goipci_wipe_stack();
    return translate(result);
}

/* --- P-384 ------------------------------------------------------------------------------------ */

/* The numbers of one multiplication. */
typedef struct multiplication {
    void *prime;
    void *b;
    void *scalar;
    void *left;
    void *right;
    ecc_point *point;
    ecc_point *product;
} multiplication;

/* Frees the numbers, and wipes the stack that the computation has used. */
static void work_wipe(multiplication *work)
{
    void *const numbers[] = {work->prime, work->b, work->scalar, work->left, work->right};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] != NULL) {
            ltc_mp.deinit(numbers[i]);
        }
    }
    if (work->point != NULL) {
        ltc_ecc_del_point(work->point);
    }
    if (work->product != NULL) {
        ltc_ecc_del_point(work->product);
    }
    goipci_wipe_stack();
}

static int work_init(multiplication *work)
{
    void **const numbers[] = {&work->prime, &work->b, &work->scalar, &work->left, &work->right};

    *work = (multiplication){0};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        void *number;
        const int result = ltc_mp.init(&number);

        if (result != CRYPT_OK) {
            return result;
        }
        *numbers[i] = number;
    }
    work->point = ltc_ecc_new_point();
    work->product = ltc_ecc_new_point();
    return work->point != NULL && work->product != NULL ? CRYPT_OK : CRYPT_MEM;
}

/* Reads 48 big-endian bytes. libtomcrypt takes them without const and does not write to them. */
static int read_number(void *number, const uint8_t bytes[48])
{
    return ltc_mp.unsigned_read(number, (unsigned char *)(uintptr_t)bytes, GOIPC_P384_SHARED_SIZE);
}

/* Writes 48 big-endian bytes, padded with zeros at the front. */
static int write_number(void *number, uint8_t bytes[48])
{
    const unsigned long size = ltc_mp.unsigned_size(number);

    if (size > GOIPC_P384_SHARED_SIZE) {
        return CRYPT_ERROR;
    }
    memset(bytes, 0, GOIPC_P384_SHARED_SIZE);
    return ltc_mp.unsigned_write(number, bytes + GOIPC_P384_SHARED_SIZE - size);
}

static int read_point(multiplication *work, const uint8_t public_key[97])
{
    int result = read_number(work->point->x, public_key + 1);

    if (result == CRYPT_OK) {
        result = read_number(work->point->y, public_key + 1 + GOIPC_P384_SHARED_SIZE);
    }
    return result != CRYPT_OK ? result : ltc_mp.set_int(work->point->z, 1);
}

/* Whether y^2 = x (x^2 - 3) + b modulo the prime. */
static int check_on_curve(multiplication *work, bool *on_curve)
{
    void *x = work->point->x, *y = work->point->y, *prime = work->prime;
    void *left = work->left, *right = work->right;
    int result;

    *on_curve = false;
    if ((result = ltc_mp.sqrmod(y, prime, left)) != CRYPT_OK ||
        (result = ltc_mp.sqrmod(x, prime, right)) != CRYPT_OK ||
        /* The prime is added, so that subtracting 3 does not go below 0. */
        (result = ltc_mp.add(right, prime, right)) != CRYPT_OK ||
        (result = ltc_mp.subi(right, 3, right)) != CRYPT_OK ||
        (result = ltc_mp.mulmod(right, x, prime, right)) != CRYPT_OK ||
        (result = ltc_mp.add(right, work->b, right)) != CRYPT_OK ||
        (result = ltc_mp.mpdiv(right, prime, NULL, right)) != CRYPT_OK) {
        return result;
    }
    *on_curve = ltc_mp.compare(left, right) == LTC_MP_EQ;
    return CRYPT_OK;
}

/* product = scalar * point, in affine coordinates, for a point that is on the curve. */
static goipc_error multiply(multiplication *work, const uint8_t private_key[48],
                            const uint8_t public_key[97])
{
    bool on_curve;
    int result = work_init(work);

    if (result == CRYPT_OK) {
        result = read_number(work->prime, goipci_p384_prime);
    }
    if (result == CRYPT_OK) {
        result = read_number(work->b, goipci_p384_b);
    }
    if (result == CRYPT_OK) {
        result = read_number(work->scalar, private_key);
    }
    if (result == CRYPT_OK) {
        result = read_point(work, public_key);
    }
    if (result == CRYPT_OK) {
        result = check_on_curve(work, &on_curve);
    }
    if (result != CRYPT_OK) {
        return translate(result);
    }
    if (!on_curve) {
        return GOIPC_ERROR_PUBLIC_KEY;
    }
    return translate(ltc_mp.ecc_ptmul(work->scalar, work->point, work->product, work->prime, 1));
}

static goipc_error make_public(void *context, const uint8_t private_key[48], uint8_t public_key[97])
{
    goipc_error error;
    multiplication work;

    (void)context;
    assert(private_key != NULL && public_key != NULL);
    if (!goipci_private_key_valid(private_key)) {
        return GOIPC_ERROR_ARGUMENT;
    }
    error = multiply(&work, private_key, goipci_p384_generator);
    if (error == GOIPC_ERROR_OK) {
        error = translate(write_number(work.product->x, public_key + 1));
    }
    if (error == GOIPC_ERROR_OK) {
        error = translate(write_number(work.product->y, public_key + 1 + GOIPC_P384_SHARED_SIZE));
        public_key[0] = GOIPCI_P384_UNCOMPRESSED;
    }
    work_wipe(&work);
    return error;
}

static goipc_error make_shared(void *context, const uint8_t private_key[48],
                               const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    goipc_error error;
    multiplication work;

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
        error = translate(write_number(work.product->x, shared_x));
    }
    work_wipe(&work);
    return error;
}

/* --- AES-256-GCM ------------------------------------------------------------------------------ */

/* Setting a key builds 64 KiB of tables in 60 microseconds: one state (70 KB) lives as long as its
 * key, and each message only resets it. */
typedef struct aead_state {
    gcm_state gcm;
    int direction; /* of the message that was started in parts */
} aead_state;

/* Every malloc aligns to twice the size of a pointer; MSVC has no max_align_t in C. */
_Static_assert(_Alignof(aead_state) <= 2 * sizeof(void *), "what allocators promise");

static goipc_error aead_new(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                            void **aead)
{
    aead_state *state;
    goipc_error error;

    (void)context;
    assert(allocator != NULL && key != NULL && aead != NULL);
    state = allocator->allocate(allocator->context, sizeof *state);
    if (state == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    error = translate(gcm_init(&state->gcm, aes_index, key, GOIPC_KEY_SIZE));
    goipci_wipe_stack();
    if (error != GOIPC_ERROR_OK) {
        goipci_release(allocator, state, sizeof *state);
        return error;
    }
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
    int result;

    (void)context;
    assert(aead != NULL && nonce != NULL);
    state->direction = opens ? GCM_DECRYPT : GCM_ENCRYPT;
    result = gcm_reset(&state->gcm);
    if (result == CRYPT_OK) {
        result = gcm_add_iv(&state->gcm, nonce, GOIPC_NONCE_SIZE);
    }
    if (result == CRYPT_OK) {
        /* Without associated data, this only ends the nonce. */
        result = gcm_add_aad(&state->gcm, NULL, 0);
    }
    return translate(result);
}

static inline goipc_error aead_update(void *context, void *aead, const uint8_t *in, size_t in_size,
                                      uint8_t *out)
{
    aead_state *state = aead;
    uint8_t none[1] = {0};
    /* The call is needed even for no bytes, and its pointers must not be NULL. The library's input
     * pointer is not const, but the input is not changed. */
    unsigned char *const from = in_size > 0 ? (unsigned char *)(uintptr_t)in : none;
    unsigned char *const to = in_size > 0 ? out : none;
    const bool opens = state->direction == GCM_DECRYPT;

    (void)context;
    assert((in != NULL && out != NULL) || in_size == 0);
    return translate(gcm_process(&state->gcm, opens ? to : from, (unsigned long)in_size,
                                 opens ? from : to, state->direction));
}

static inline goipc_error aead_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    aead_state *state = aead;
    unsigned long tag_size = GOIPC_TAG_SIZE;
    const int result = gcm_done(&state->gcm, tag, &tag_size);

    (void)context;
    return translate(result == CRYPT_OK && tag_size != GOIPC_TAG_SIZE ? CRYPT_ERROR : result);
}

static inline goipc_error aead_finish_open(void *context, void *aead, const uint8_t tag[16])
{
    uint8_t expected[GOIPC_TAG_SIZE];
    const goipc_error error = aead_finish_seal(context, aead, expected);

    assert(tag != NULL);
    return error == GOIPC_ERROR_OK ? goipci_tag_verdict(expected, tag) : error;
}

static goipc_error aead_seal(void *context, void *aead, const uint8_t nonce[12],
                             const uint8_t head[4], const uint8_t *data, size_t data_size,
                             uint8_t *out, uint8_t tag[16])
{
    const size_t first_size =
        data_size < GOIPCI_BLOCK_DATA_SIZE ? data_size : GOIPCI_BLOCK_DATA_SIZE;
    uint8_t first[GOIPCI_AES_BLOCK_SIZE];
    goipc_error error;

    assert(aead != NULL && nonce != NULL && head != NULL && out != NULL && tag != NULL);
    assert(data != NULL || data_size == 0);
    /* The first block is assembled separately: if the caller seals in place, its ciphertext
     * overwrites the first bytes of data. */
    memcpy(first, head, GOIPC_FRAME_TYPE_SIZE);
    if (first_size > 0) {
        memcpy(first + GOIPC_FRAME_TYPE_SIZE, data, first_size);
    }
    error = aead_start(context, aead, nonce, false);
    if (error == GOIPC_ERROR_OK) {
        error = aead_update(context, aead, first, GOIPC_FRAME_TYPE_SIZE + first_size, out);
    }
    if (error == GOIPC_ERROR_OK && data_size > first_size) {
        error = aead_update(context, aead, data + first_size, data_size - first_size,
                            out + GOIPCI_AES_BLOCK_SIZE);
    }
    if (error == GOIPC_ERROR_OK) {
        error = aead_finish_seal(context, aead, tag);
    }
    goipc_wipe(first, sizeof first);
    return error;
}

static goipc_error aead_open(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                             size_t in_size, const uint8_t tag[16], uint8_t *out)
{
    goipc_error error;

    assert(aead != NULL && nonce != NULL && tag != NULL);
    assert((in != NULL && out != NULL) || in_size == 0);
    error = aead_start(context, aead, nonce, true);
    if (error == GOIPC_ERROR_OK) {
        error = aead_update(context, aead, in, in_size, out);
    }
    if (error == GOIPC_ERROR_OK) {
        error = aead_finish_open(context, aead, tag);
    }
    if (error != GOIPC_ERROR_OK) {
        goipc_wipe(out, in_size);
    }
    return error;
}

const goipc_crypto *goipci_tomcrypt_table(void)
{
    static const goipc_crypto table = {
        .name = "tomcrypt",
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

    return &table;
}
