/* SPDX-License-Identifier: MIT */
/* The OpenSSL 3 back end, and the only file that includes OpenSSL. Its AES and its scalar
 * multiplication are constant-time. OpenSSL allocates its objects with its own allocator. Its
 * failures are MEMORY or CRYPTO, and the thread's error queue stays unchanged. */
#include "core/crypto_backend.h"
#include "core/system.h"

#include <assert.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>

/* Lengths of EVP calls are int, and a frame may have 4 GiB. A multiple of the block size. */
enum { CHUNK_SIZE_MAX = 1 << 30 };

/* Set once, before the table is used, then constant. */
static EVP_CIPHER *cipher;
static EVP_MD *digest;
static EC_GROUP *group;

/* The same of the FIPS provider; NULL if it is not loaded. */
#define FIPS_PROPERTIES "fips=yes"
static EVP_CIPHER *fips_cipher;
static EVP_MD *fips_digest;
static EVP_KEYEXCH *fips_exchange;

void goipci_openssl_register(void)
{
    ERR_set_mark();
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    fips_cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", FIPS_PROPERTIES);
    fips_digest = EVP_MD_fetch(NULL, "SHA256", FIPS_PROPERTIES);
    fips_exchange = EVP_KEYEXCH_fetch(NULL, "ECDH", FIPS_PROPERTIES);
    ERR_pop_to_mark();
}

bool goipci_openssl_fips_asked(void)
{
    return EVP_default_properties_is_fips_enabled(NULL) == 1;
}

/* The error for the failure of the last call. */
static goipc_error failure(void)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE ? GOIPC_ERROR_MEMORY
                                                                         : GOIPC_ERROR_CRYPTO;
}

static goipc_error fill_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    return goipci_system_random(out, size);
}

static goipc_error hash_by(const EVP_MD *by, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    goipc_error error = GOIPC_ERROR_OK;

    assert(in != NULL || in_size == 0);
    assert(out != NULL);
    ERR_set_mark();
    if (EVP_Digest(in, in_size, out, NULL, by, NULL) != 1) {
        error = failure();
    }
    ERR_pop_to_mark();
    goipci_wipe_stack();
    return error;
}

static goipc_error hash(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    (void)context;
    return hash_by(digest, in, in_size, out);
}

/* --- P-384 ------------------------------------------------------------------------------------ */

/* The objects of one multiplication; those with a secret are cleared when they are freed. */
typedef struct multiplication {
    BN_CTX *scratch;
    BIGNUM *scalar;
    BIGNUM *x;
    EC_POINT *point;
    EC_POINT *product;
} multiplication;

static bool work_init(multiplication *work, const uint8_t private_key[48])
{
    work->scratch = BN_CTX_secure_new();
    work->scalar = BN_secure_new();
    work->x = BN_secure_new();
    work->point = EC_POINT_new(group);
    work->product = EC_POINT_new(group);
    if (work->scratch == NULL || work->scalar == NULL || work->x == NULL || work->point == NULL ||
        work->product == NULL) {
        return false;
    }
    BN_set_flags(work->scalar, BN_FLG_CONSTTIME);
    return BN_bin2bn(private_key, GOIPC_P384_PRIVATE_SIZE, work->scalar) != NULL;
}

static void work_wipe(multiplication *work)
{
    EC_POINT_clear_free(work->product);
    EC_POINT_clear_free(work->point);
    BN_clear_free(work->x);
    BN_clear_free(work->scalar);
    BN_CTX_free(work->scratch);
}

static goipc_error multiply_generator(multiplication *work, uint8_t public_key[97])
{
    if (EC_POINT_mul(group, work->product, work->scalar, NULL, NULL, work->scratch) != 1 ||
        EC_POINT_point2oct(group, work->product, POINT_CONVERSION_UNCOMPRESSED, public_key,
                           GOIPC_P384_PUBLIC_SIZE, work->scratch) != GOIPC_P384_PUBLIC_SIZE) {
        return failure();
    }
    return GOIPC_ERROR_OK;
}

static goipc_error multiply_point(multiplication *work, const uint8_t peer_public_key[97],
                                  uint8_t shared_x[48])
{
    /* This checks that the point is on the curve. With cofactor 1 no other check is needed. */
    if (EC_POINT_oct2point(group, work->point, peer_public_key, GOIPC_P384_PUBLIC_SIZE,
                           work->scratch) != 1) {
        return ERR_GET_REASON(ERR_peek_last_error()) == EC_R_POINT_IS_NOT_ON_CURVE
                   ? GOIPC_ERROR_PUBLIC_KEY
                   : failure();
    }
    if (EC_POINT_mul(group, work->product, NULL, work->point, work->scalar, work->scratch) != 1 ||
        EC_POINT_get_affine_coordinates(group, work->product, work->x, NULL, work->scratch) != 1 ||
        BN_bn2binpad(work->x, shared_x, GOIPC_P384_SHARED_SIZE) != GOIPC_P384_SHARED_SIZE) {
        return failure();
    }
    return GOIPC_ERROR_OK;
}

/* Both operations: with a peer's key, X of the shared point into `out`; without, our public key. */
static goipc_error multiply(const uint8_t private_key[48], const uint8_t *peer_public_key,
                            uint8_t *out)
{
    goipc_error error;
    multiplication work;

    ERR_set_mark();
    if (!work_init(&work, private_key)) {
        error = GOIPC_ERROR_MEMORY;
    } else if (peer_public_key == NULL) {
        error = multiply_generator(&work, out);
    } else {
        error = multiply_point(&work, peer_public_key, out);
    }
    work_wipe(&work);
    ERR_pop_to_mark();
    goipci_wipe_stack();
    return error;
}

static goipc_error make_public(void *context, const uint8_t private_key[48], uint8_t public_key[97])
{
    (void)context;
    assert(private_key != NULL && public_key != NULL);
    if (!goipci_private_key_valid(private_key)) {
        return GOIPC_ERROR_ARGUMENT;
    }
    return multiply(private_key, NULL, public_key);
}

static goipc_error make_shared(void *context, const uint8_t private_key[48],
                               const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    (void)context;
    assert(private_key != NULL && peer_public_key != NULL && shared_x != NULL);
    if (!goipci_private_key_valid(private_key)) {
        return GOIPC_ERROR_ARGUMENT;
    }
    /* EC_POINT_oct2point alone would also accept the hybrid forms 06 and 07. */
    if (!goipci_public_key_in_range(peer_public_key)) {
        return GOIPC_ERROR_PUBLIC_KEY;
    }
    return multiply(private_key, peer_public_key, shared_x);
}

/* --- AES-256-GCM ------------------------------------------------------------------------------ */

/* The object is OpenSSL's context itself, about 1 KB, keyed once for both directions. */
static goipc_error aead_new_by(const EVP_CIPHER *by, const uint8_t key[32], void **aead)
{
    EVP_CIPHER_CTX *keyed;
    goipc_error error = GOIPC_ERROR_OK;

    assert(key != NULL && aead != NULL);
    ERR_set_mark();
    keyed = EVP_CIPHER_CTX_new();
    if (keyed == NULL) {
        error = GOIPC_ERROR_MEMORY;
    } else if (EVP_EncryptInit_ex2(keyed, by, key, NULL, NULL) != 1) {
        error = failure();
    }
    if (error != GOIPC_ERROR_OK) {
        EVP_CIPHER_CTX_free(keyed);
        keyed = NULL;
    }
    ERR_pop_to_mark();
    goipci_wipe_stack();
    if (error == GOIPC_ERROR_OK) {
        *aead = keyed;
    }
    return error;
}

static goipc_error aead_new(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                            void **aead)
{
    (void)context;
    (void)allocator;
    return aead_new_by(cipher, key, aead);
}

static void aead_free(void *context, const goipc_allocator *allocator, void *aead)
{
    (void)context;
    (void)allocator;
    EVP_CIPHER_CTX_free(aead); /* it wipes the key schedule; NULL is allowed */
}

/* Used around the calls for every message. A mark costs as much as a tenth of sealing a small
 * message, so the second call is omitted if it has no effect: ERR_set_mark fails for an empty
 * queue, and a successful call leaves it empty. */
static inline bool begin_quietly(void)
{
    return ERR_set_mark() == 1;
}

static inline goipc_error end_quietly(bool is_marked, goipc_error error)
{
    if (is_marked || error != GOIPC_ERROR_OK) {
        ERR_pop_to_mark();
    }
    return error;
}

/* The parameter that EVP_CIPHER_CTX_ctrl would pass on for a tag, without its look-up. */
#define THE_TAG(tag)                                                                               \
    {                                                                                              \
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, GOIPC_TAG_SIZE), OSSL_PARAM_END   \
    }

/* The steps of one message, between begin_quietly and end_quietly. */
static inline goipc_error start(EVP_CIPHER_CTX *keyed, const uint8_t nonce[12], bool opens)
{
    const int result = opens ? EVP_DecryptInit_ex2(keyed, NULL, NULL, nonce, NULL)
                             : EVP_EncryptInit_ex2(keyed, NULL, NULL, nonce, NULL);

    return result == 1 ? GOIPC_ERROR_OK : failure();
}

/* Runs `in_size` bytes through the cipher, in pieces that an int can count. */
static inline goipc_error update(EVP_CIPHER_CTX *keyed, const uint8_t *in, size_t in_size,
                                 uint8_t *out)
{
    while (in_size > 0) {
        const size_t piece = in_size < CHUNK_SIZE_MAX ? in_size : CHUNK_SIZE_MAX;
        int out_size;

        if (EVP_CipherUpdate(keyed, out, &out_size, in, (int)piece) != 1) {
            return failure();
        }
        in += piece;
        out += piece;
        in_size -= piece;
    }
    return GOIPC_ERROR_OK;
}

static inline goipc_error finish_seal(EVP_CIPHER_CTX *keyed, uint8_t tag[16])
{
    OSSL_PARAM wanted[] = THE_TAG(tag);
    int final_size;

    if (EVP_EncryptFinal_ex(keyed, tag, &final_size) != 1 ||
        EVP_CIPHER_CTX_get_params(keyed, wanted) != 1) {
        return failure();
    }
    return GOIPC_ERROR_OK;
}

static inline goipc_error finish_open(EVP_CIPHER_CTX *keyed, const uint8_t tag[16])
{
    uint8_t expected[GOIPC_TAG_SIZE];
    uint8_t none[1];
    const OSSL_PARAM given[] = THE_TAG(expected);
    int final_size;

    memcpy(expected, tag, sizeof expected); /* the call below takes it without const */
    if (EVP_CIPHER_CTX_set_params(keyed, given) != 1) {
        return failure();
    }
    return EVP_DecryptFinal_ex(keyed, none, &final_size) == 1 ? GOIPC_ERROR_OK
                                                              : GOIPC_ERROR_DECRYPT;
}

/* If the cipher fails, none of the assembled plaintext may stay there. */
static goipc_error seal_gathered(EVP_CIPHER_CTX *keyed, size_t size, uint8_t *out)
{
    const goipc_error error = update(keyed, out, size, out);

    if (error != GOIPC_ERROR_OK) {
        goipc_wipe(out, size);
    }
    return error;
}

static goipc_error seal_large(EVP_CIPHER_CTX *keyed, const uint8_t head[4], const uint8_t *data,
                              size_t data_size, uint8_t *out)
{
    uint8_t first[GOIPCI_AES_BLOCK_SIZE];
    goipc_error error;

    goipci_first_block(head, data, first);
    error = update(keyed, first, sizeof first, out);
    if (error == GOIPC_ERROR_OK) {
        error = update(keyed, data + GOIPCI_BLOCK_DATA_SIZE, data_size - GOIPCI_BLOCK_DATA_SIZE,
                       out + GOIPCI_AES_BLOCK_SIZE);
    }
    goipc_wipe(first, sizeof first);
    return error;
}

static goipc_error aead_seal(void *context, void *aead, const uint8_t nonce[12],
                             const uint8_t head[4], const uint8_t *data, size_t data_size,
                             uint8_t *out, uint8_t tag[16])
{
    goipc_error error;
    bool is_marked;

    (void)context;
    assert(aead != NULL && nonce != NULL && head != NULL && out != NULL && tag != NULL);
    assert(data != NULL || data_size == 0);
    is_marked = begin_quietly();
    error = start(aead, nonce, false);
    if (error == GOIPC_ERROR_OK) {
        error = goipci_gather(head, data, data_size, out)
                    ? seal_gathered(aead, GOIPC_FRAME_TYPE_SIZE + data_size, out)
                    : seal_large(aead, head, data, data_size, out);
    }
    if (error == GOIPC_ERROR_OK) {
        error = finish_seal(aead, tag);
    }
    return end_quietly(is_marked, error);
}

static goipc_error aead_open(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                             size_t in_size, const uint8_t tag[16], uint8_t *out)
{
    goipc_error error;
    bool is_marked;

    (void)context;
    assert(aead != NULL && nonce != NULL && tag != NULL);
    assert((in != NULL && out != NULL) || in_size == 0);
    is_marked = begin_quietly();
    error = start(aead, nonce, true);
    if (error == GOIPC_ERROR_OK) {
        error = update(aead, in, in_size, out);
    }
    if (error == GOIPC_ERROR_OK) {
        error = finish_open(aead, tag);
    }
    if (error != GOIPC_ERROR_OK) {
        goipc_wipe(out, in_size);
    }
    return end_quietly(is_marked, error);
}

static goipc_error aead_start(void *context, void *aead, const uint8_t nonce[12], bool opens)
{
    goipc_error error;
    bool is_marked;

    (void)context;
    assert(aead != NULL && nonce != NULL);
    is_marked = begin_quietly();
    error = start(aead, nonce, opens);
    return end_quietly(is_marked, error);
}

static goipc_error aead_update(void *context, void *aead, const uint8_t *in, size_t in_size,
                               uint8_t *out)
{
    goipc_error error;
    bool is_marked;

    (void)context;
    assert(aead != NULL && ((in != NULL && out != NULL) || in_size == 0));
    is_marked = begin_quietly();
    error = update(aead, in, in_size, out);
    return end_quietly(is_marked, error);
}

static goipc_error aead_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    goipc_error error;
    bool is_marked;

    (void)context;
    assert(aead != NULL && tag != NULL);
    is_marked = begin_quietly();
    error = finish_seal(aead, tag);
    return end_quietly(is_marked, error);
}

static goipc_error aead_finish_open(void *context, void *aead, const uint8_t tag[16])
{
    goipc_error error;
    bool is_marked;

    (void)context;
    assert(aead != NULL && tag != NULL);
    is_marked = begin_quietly();
    error = finish_open(aead, tag);
    return end_quietly(is_marked, error);
}

const goipc_crypto *goipci_openssl_table(void)
{
    static const goipc_crypto table = {
        .name = "openssl",
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

    /* An OpenSSL without one of these is not used. */
    return cipher != NULL && digest != NULL && group != NULL ? &table : NULL;
}

/* --- FIPS ------------------------------------------------------------------------------------- */

static goipc_error fips_hash(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    (void)context;
    return hash_by(fips_digest, in, in_size, out);
}

static goipc_error fips_aead_new(void *context, const goipc_allocator *allocator,
                                 const uint8_t key[32], void **aead)
{
    (void)context;
    (void)allocator;
    return aead_new_by(fips_cipher, key, aead);
}

/* The key pair comes from the provider's own generator, and its numbers leave the provider. */
goipc_error goipci_openssl_fips_generate(uint8_t private_key[48], uint8_t public_key[97])
{
    BIGNUM *scalar = NULL;
    EVP_PKEY *pair;
    size_t size = 0;
    goipc_error error = GOIPC_ERROR_OK;

    assert(private_key != NULL && public_key != NULL);
    ERR_set_mark();
    pair = EVP_PKEY_Q_keygen(NULL, FIPS_PROPERTIES, "EC", "P-384");
    if (pair == NULL || EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) != 1 ||
        BN_bn2binpad(scalar, private_key, GOIPC_P384_PRIVATE_SIZE) != GOIPC_P384_PRIVATE_SIZE ||
        EVP_PKEY_get_octet_string_param(pair, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, public_key,
                                        GOIPC_P384_PUBLIC_SIZE, &size) != 1 ||
        size != GOIPC_P384_PUBLIC_SIZE) {
        error = failure();
    }
    BN_clear_free(scalar);
    EVP_PKEY_free(pair);
    ERR_pop_to_mark();
    goipci_wipe_stack();
    return error;
}

/* The provider's object for a key: ours by its scalar, or the peer's by its point. */
static EVP_PKEY *import_key(int selection, OSSL_PARAM *half)
{
    char name[] = "P-384";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof name - 1),
        *half,
        OSSL_PARAM_END,
    };
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", FIPS_PROPERTIES);
    EVP_PKEY *key = NULL;

    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, selection, parameters) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *import_private(const uint8_t private_key[48])
{
    uint8_t native[GOIPC_P384_PRIVATE_SIZE]; /* parameters are in the processor's order of bytes */
    OSSL_PARAM half = OSSL_PARAM_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof native);
    BIGNUM *scalar = BN_bin2bn(private_key, GOIPC_P384_PRIVATE_SIZE, NULL);
    EVP_PKEY *key = NULL;

    if (scalar != NULL && BN_bn2nativepad(scalar, native, sizeof native) > 0) {
        key = import_key(EVP_PKEY_KEYPAIR, &half);
    }
    BN_clear_free(scalar);
    goipc_wipe(native, sizeof native);
    return key;
}

static EVP_PKEY *import_public(const uint8_t public_key[97])
{
    OSSL_PARAM half = OSSL_PARAM_octet_string(
        OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)public_key, GOIPC_P384_PUBLIC_SIZE);

    return import_key(EVP_PKEY_PUBLIC_KEY, &half);
}

static goipc_error fips_agree(EVP_PKEY *own, EVP_PKEY *peer, uint8_t shared_x[48])
{
    EVP_PKEY_CTX *exchange = EVP_PKEY_CTX_new_from_pkey(NULL, own, FIPS_PROPERTIES);
    size_t size = GOIPC_P384_SHARED_SIZE;
    const bool ready = exchange != NULL && EVP_PKEY_derive_init(exchange) == 1;
    goipc_error error = GOIPC_ERROR_OK;

    if (ready && EVP_PKEY_derive_set_peer(exchange, peer) != 1) {
        error = GOIPC_ERROR_PUBLIC_KEY; /* it validates the point once more */
    } else if (!ready || EVP_PKEY_derive(exchange, shared_x, &size) != 1 ||
               size != GOIPC_P384_SHARED_SIZE) {
        error = failure();
    }
    EVP_PKEY_CTX_free(exchange);
    return error;
}

static goipc_error fips_shared(void *context, const uint8_t private_key[48],
                               const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    EVP_PKEY *own, *peer;
    goipc_error error;

    (void)context;
    assert(private_key != NULL && peer_public_key != NULL && shared_x != NULL);
    if (!goipci_private_key_valid(private_key)) {
        return GOIPC_ERROR_ARGUMENT;
    }
    if (!goipci_public_key_in_range(peer_public_key)) {
        return GOIPC_ERROR_PUBLIC_KEY;
    }
    ERR_set_mark();
    own = import_private(private_key);
    peer = own != NULL ? import_public(peer_public_key) : NULL;
    if (own == NULL) {
        error = failure();
    } else if (peer == NULL) {
        error = GOIPC_ERROR_PUBLIC_KEY; /* importing checks that the point is on the curve */
    } else {
        error = fips_agree(own, peer, shared_x);
    }
    EVP_PKEY_free(peer);
    EVP_PKEY_free(own);
    ERR_pop_to_mark();
    goipci_wipe_stack();
    return error;
}

const goipc_crypto *goipci_openssl_fips_table(void)
{
    static const goipc_crypto table = {
        .name = "openssl-fips",
        .random = fill_random,
        .p384_public = make_public,
        .p384_shared = fips_shared,
        .sha256 = fips_hash,
        .aead_new = fips_aead_new,
        .aead_seal = aead_seal,
        .aead_open = aead_open,
        .aead_free = aead_free,
        .aead_start = aead_start,
        .aead_update = aead_update,
        .aead_finish_seal = aead_finish_seal,
        .aead_finish_open = aead_finish_open,
    };

    return fips_cipher != NULL && fips_digest != NULL && fips_exchange != NULL && group != NULL
               ? &table
               : NULL;
}
