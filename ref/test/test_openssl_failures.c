/* SPDX-License-Identifier: MIT */
/* Goal: whatever call into OpenSSL fails, the back end reports MEMORY or CRYPTO, gives nothing out,
 * frees everything and leaves OpenSSL's error queue as it was; and frames too large for an int are
 * cut. Method: the linker puts the functions below in front of OpenSSL's (--wrap), and each call in
 * turn fails; then each allocation of OpenSSL's own fails. LeakSanitizer and valgrind see what is
 * left. */
#define _GNU_SOURCE

#include "core/crypto_backend.h"
#include "test.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

static const goipc_crypto *crypto;

/* How many calls still succeed, and whether the next one fails for lack of memory. Negative: none
 * fails. */
static long calls_left = -1;
static bool for_memory;

static bool fails(void)
{
    if (calls_left < 0 || calls_left-- > 0) {
        return false;
    }
    ERR_raise(ERR_LIB_USER, for_memory ? ERR_R_MALLOC_FAILURE : ERR_R_INTERNAL_ERROR);
    return true;
}

/* --- in front of the functions ---------------------------------------------------------------- */

#define WRAP(type, failure, name, parameters, arguments)                                           \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails() ? (failure) : __real_##name arguments;                                      \
    }

/* The default provider stands in for the FIPS provider, which few systems have. */
static bool has_fips;
static int asks_for_fips;

static const char *stand_in(const char *properties)
{
    return has_fips && properties != NULL && strcmp(properties, "fips=yes") == 0 ? NULL
                                                                                 : properties;
}

WRAP(EVP_CIPHER *, NULL, EVP_CIPHER_fetch,
     (OSSL_LIB_CTX * library, const char *algorithm, const char *properties),
     (library, algorithm, stand_in(properties)))
WRAP(EVP_MD *, NULL, EVP_MD_fetch,
     (OSSL_LIB_CTX * library, const char *algorithm, const char *properties),
     (library, algorithm, stand_in(properties)))
WRAP(EVP_KEYEXCH *, NULL, EVP_KEYEXCH_fetch,
     (OSSL_LIB_CTX * library, const char *algorithm, const char *properties),
     (library, algorithm, stand_in(properties)))
WRAP(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_new_from_name,
     (OSSL_LIB_CTX * library, const char *name, const char *properties),
     (library, name, stand_in(properties)))
WRAP(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_new_from_pkey,
     (OSSL_LIB_CTX * library, EVP_PKEY *key, const char *properties),
     (library, key, stand_in(properties)))
WRAP(int, 0, EVP_PKEY_get_bn_param, (const EVP_PKEY *key, const char *name, BIGNUM **number),
     (key, name, number))
WRAP(int, 0, EVP_PKEY_get_octet_string_param,
     (const EVP_PKEY *key, const char *name, unsigned char *out, size_t capacity, size_t *size),
     (key, name, out, capacity, size))
WRAP(int, -1, BN_bn2nativepad, (const BIGNUM *number, unsigned char *out, int size),
     (number, out, size))
WRAP(int, 0, EVP_PKEY_fromdata_init, (EVP_PKEY_CTX * context), (context))
WRAP(int, 0, EVP_PKEY_fromdata,
     (EVP_PKEY_CTX * context, EVP_PKEY **key, int selection, OSSL_PARAM parameters[]),
     (context, key, selection, parameters))
WRAP(int, 0, EVP_PKEY_derive_init, (EVP_PKEY_CTX * context), (context))
WRAP(int, 0, EVP_PKEY_derive_set_peer, (EVP_PKEY_CTX * context, EVP_PKEY *peer), (context, peer))
WRAP(int, 0, EVP_PKEY_derive, (EVP_PKEY_CTX * context, unsigned char *out, size_t *size),
     (context, out, size))

EVP_PKEY *__real_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *library, const char *properties, const char *type,
                                   ...);
EVP_PKEY *__wrap_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *library, const char *properties, const char *type,
                                   ...);
EVP_PKEY *__wrap_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *library, const char *properties, const char *type,
                                   ...)
{
    return fails() ? NULL : __real_EVP_PKEY_Q_keygen(library, stand_in(properties), type, "P-384");
}

int __wrap_EVP_default_properties_is_fips_enabled(OSSL_LIB_CTX *library);
int __wrap_EVP_default_properties_is_fips_enabled(OSSL_LIB_CTX *library)
{
    (void)library;
    return asks_for_fips;
}

WRAP(EC_GROUP *, NULL, EC_GROUP_new_by_curve_name, (int id), (id))
WRAP(int, 0, EVP_Digest,
     (const void *in, size_t in_size, unsigned char *out, unsigned *out_size, const EVP_MD *digest,
      ENGINE *engine),
     (in, in_size, out, out_size, digest, engine))
WRAP(BN_CTX *, NULL, BN_CTX_secure_new, (void), ())
WRAP(BIGNUM *, NULL, BN_secure_new, (void), ())
WRAP(EC_POINT *, NULL, EC_POINT_new, (const EC_GROUP *group), (group))
WRAP(BIGNUM *, NULL, BN_bin2bn, (const unsigned char *in, int size, BIGNUM *number),
     (in, size, number))
WRAP(int, 0, EC_POINT_mul,
     (const EC_GROUP *group, EC_POINT *product, const BIGNUM *scalar, const EC_POINT *point,
      const BIGNUM *factor, BN_CTX *scratch),
     (group, product, scalar, point, factor, scratch))
WRAP(size_t, 0, EC_POINT_point2oct,
     (const EC_GROUP *group, const EC_POINT *point, point_conversion_form_t form,
      unsigned char *out, size_t size, BN_CTX *scratch),
     (group, point, form, out, size, scratch))
WRAP(int, 0, EC_POINT_oct2point,
     (const EC_GROUP *group, EC_POINT *point, const unsigned char *in, size_t size,
      BN_CTX *scratch),
     (group, point, in, size, scratch))
WRAP(int, 0, EC_POINT_get_affine_coordinates,
     (const EC_GROUP *group, const EC_POINT *point, BIGNUM *x, BIGNUM *y, BN_CTX *scratch),
     (group, point, x, y, scratch))
WRAP(int, -1, BN_bn2binpad, (const BIGNUM *number, unsigned char *out, int size),
     (number, out, size))
WRAP(EVP_CIPHER_CTX *, NULL, EVP_CIPHER_CTX_new, (void), ())
WRAP(int, 0, EVP_EncryptInit_ex2,
     (EVP_CIPHER_CTX * keyed, const EVP_CIPHER *cipher, const unsigned char *key,
      const unsigned char *nonce, const OSSL_PARAM *parameters),
     (keyed, cipher, key, nonce, parameters))
WRAP(int, 0, EVP_DecryptInit_ex2,
     (EVP_CIPHER_CTX * keyed, const EVP_CIPHER *cipher, const unsigned char *key,
      const unsigned char *nonce, const OSSL_PARAM *parameters),
     (keyed, cipher, key, nonce, parameters))
WRAP(int, 0, EVP_EncryptFinal_ex, (EVP_CIPHER_CTX * keyed, unsigned char *out, int *size),
     (keyed, out, size))
WRAP(int, 0, EVP_CIPHER_CTX_get_params, (EVP_CIPHER_CTX * keyed, OSSL_PARAM *parameters),
     (keyed, parameters))
WRAP(int, 0, EVP_CIPHER_CTX_set_params, (EVP_CIPHER_CTX * keyed, const OSSL_PARAM *parameters),
     (keyed, parameters))

int __real_EVP_CipherUpdate(EVP_CIPHER_CTX *keyed, unsigned char *out, int *out_size,
                            const unsigned char *in, int size);
int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *keyed, unsigned char *out, int *out_size,
                            const unsigned char *in, int size);

static bool only_count;
static size_t counted;
static int largest;
static const unsigned char *next_in, *next_out;

int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *keyed, unsigned char *out, int *out_size,
                            const unsigned char *in, int size)
{
    if (!only_count) {
        return fails() ? 0 : __real_EVP_CipherUpdate(keyed, out, out_size, in, size);
    }
    EXPECT(size > 0 && out == next_out); /* pieces follow one another */
    EXPECT(in == next_in || counted == 0 || counted == 16);
    next_in = in + size;
    next_out = out + size;
    if (counted > 0) { /* the first block comes from memory of its own */
        largest = size > largest ? size : largest;
    }
    counted += (size_t)size;
    return 1;
}

/* --- operations ------------------------------------------------------------------------------- */

static const uint8_t scalar[48] = {[47] = 2};

static goipc_error make_public(void)
{
    uint8_t public_key[97];

    return crypto->p384_public(crypto->context, scalar, public_key);
}

static goipc_error make_shared(void)
{
    uint8_t shared_x[48];

    return crypto->p384_shared(crypto->context, scalar, goipci_p384_generator, shared_x);
}

static goipc_error make_hash(void)
{
    uint8_t out[32];

    return crypto->sha256(crypto->context, scalar, sizeof scalar, out);
}

static void *aead;

static goipc_error make_aead(void)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    const uint8_t key[32] = {1};
    void *made = NULL;
    const goipc_error error = crypto->aead_new(crypto->context, allocator, key, &made);

    EXPECT((error == GOIPC_ERROR_OK) == (made != NULL));
    crypto->aead_free(crypto->context, allocator, made);
    return error;
}

static const uint8_t nonce[12] = {3};
static uint8_t sealed[44], tag[16];

/* The plaintext is laid where the ciphertext goes: none of it may stay there. */
static goipc_error seal(void)
{
    const uint8_t data[40] = {1, 2, 3};
    goipc_error error;

    memset(sealed, 0xaa, sizeof sealed);
    error = crypto->aead_seal(crypto->context, aead, nonce, data, data, sizeof data, sealed, tag);
    EXPECT(memcmp(sealed + 4, data, sizeof data) != 0);
    return error;
}

/* Beyond what is gathered for one call of the cipher. */
static goipc_error seal_large(void)
{
    static const uint8_t data[3000] = {1, 2, 3};
    static uint8_t large[4 + sizeof data];
    uint8_t large_tag[16];

    return crypto->aead_seal(crypto->context, aead, nonce, data, data, sizeof data, large,
                             large_tag);
}

static goipc_error open(void)
{
    uint8_t opened[sizeof sealed];
    goipc_error error;

    memset(opened, 0xaa, sizeof opened);
    error = crypto->aead_open(crypto->context, aead, nonce, sealed, sizeof sealed, tag, opened);
    for (size_t i = 0; error != GOIPC_ERROR_OK && i < sizeof opened; i++) {
        EXPECT(opened[i] == 0);
    }
    return error;
}

static goipc_error seal_in_parts(void)
{
    const uint8_t text[44] = {1, 2, 3};
    goipc_error error = crypto->aead_start(crypto->context, aead, nonce, false);

    if (error == GOIPC_ERROR_OK) {
        error = crypto->aead_update(crypto->context, aead, text, sizeof text, sealed);
    }
    return error == GOIPC_ERROR_OK ? crypto->aead_finish_seal(crypto->context, aead, tag) : error;
}

static goipc_error open_in_parts(void)
{
    uint8_t opened[sizeof sealed];
    goipc_error error = crypto->aead_start(crypto->context, aead, nonce, true);

    if (error == GOIPC_ERROR_OK) {
        error = crypto->aead_update(crypto->context, aead, sealed, sizeof sealed, opened);
    }
    return error == GOIPC_ERROR_OK ? crypto->aead_finish_open(crypto->context, aead, tag) : error;
}

/* What the application has in OpenSSL's queue stays there, alone, and so does its mark. */
static void expect_queue_kept(goipc_error (*operation)(void), long call_count)
{
    for (long call = 0; call <= call_count; call++) {
        ERR_raise(ERR_LIB_USER, 77);
        EXPECT(ERR_set_mark() == 1);
        calls_left = call;
        EXPECT((operation() == GOIPC_ERROR_OK) == (call == call_count));
        calls_left = -1;
        EXPECT(ERR_GET_REASON(ERR_peek_last_error()) == 77);
        ERR_raise(ERR_LIB_USER, 78);
        EXPECT(ERR_pop_to_mark() == 1);
        EXPECT(ERR_GET_REASON(ERR_get_error()) == 77);
        EXPECT(ERR_get_error() == 0);
    }
}

/* Lets the first, the second, the third call fail, until there are no more. The first `allocations`
 * of them can fail for nothing but memory. */
static void test_each_call(goipc_error (*operation)(void), long calls_expected, long allocations)
{
    for (int round = 0; round < 2; round++) {
        long call = 0;
        goipc_error error;

        for_memory = round == 0;
        for (;; call++) {
            calls_left = call;
            error = operation();
            if (calls_left >= 0) {
                break; /* the failure was not reached */
            }
            EXPECT(error ==
                   (for_memory || call < allocations ? GOIPC_ERROR_MEMORY : GOIPC_ERROR_CRYPTO));
            EXPECT(ERR_peek_error() == 0);
        }
        calls_left = -1;
        EXPECT(error == GOIPC_ERROR_OK);
        EXPECT(call == calls_expected);
    }
    EXPECT(operation() == GOIPC_ERROR_OK);
    expect_queue_kept(operation, calls_expected);
}

/* --- registration ----------------------------------------------------------------------------- */

/* Without the cipher, the hash or the curve there is no such back end, and another one serves. */
static void expect_the_other(long missing)
{
    calls_left = missing;
    EXPECT(goipc_crypto_openssl() == NULL);
    EXPECT(calls_left < 0); /* the failure was reached */
    EXPECT(ERR_peek_error() == 0);
    EXPECT(goipc_crypto_by_name("openssl") == NULL);
    EXPECT(goipc_crypto_by_name("openssl+tomcrypt") == NULL);
    EXPECT(goipc_crypto_by_name("tomcrypt+openssl") == NULL);
    EXPECT(strstr(goipc_crypto_default()->name, "openssl") == NULL);
}

/* In processes of their own, because registration happens once. */
static void test_failed_registration(void)
{
    for (long missing = 0; missing < 3; missing++) {
        const pid_t child = fork();
        int status;

        EXPECT(child >= 0);
        if (child == 0) {
            expect_the_other(missing);
            exit(0);
        }
        EXPECT(waitpid(child, &status, 0) == child);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* --- FIPS ------------------------------------------------------------------------------------- */

static const goipc_crypto *fips;

static goipc_error fips_generate(void)
{
    uint8_t private_key[48], public_key[97];

    return goipci_key_pair(fips, private_key, public_key);
}

static goipc_error fips_shared(void)
{
    uint8_t shared_x[48];

    return fips->p384_shared(fips->context, scalar, goipci_p384_generator, shared_x);
}

/* Whatever call fails: nothing is given out, and the queue stays as it was. */
static void test_each_call_of_fips(goipc_error (*operation)(void), long calls_expected)
{
    for (long call = 0; call < calls_expected; call++) {
        goipc_error error;

        calls_left = call;
        error = operation();
        EXPECT(calls_left < 0);
        EXPECT(error == GOIPC_ERROR_CRYPTO || error == GOIPC_ERROR_MEMORY ||
               error == GOIPC_ERROR_PUBLIC_KEY);
        EXPECT(ERR_peek_error() == 0);
    }
    calls_left = calls_expected;
    EXPECT(operation() == GOIPC_ERROR_OK);
    EXPECT(calls_left == 0);
    calls_left = -1;
}

/* Its pairs are drawn inside the provider, and agree with any other back end. */
static void test_fips_computes(void)
{
    const goipc_crypto *other = goipc_crypto_tomcrypt();
    uint8_t private_keys[2][48], public_keys[2][97], check[97], shared[2][48];

    EXPECT(goipc_crypto_self_test(fips) == GOIPC_ERROR_OK);
    for (int i = 0; i < 2; i++) {
        EXPECT(goipci_key_pair(fips, private_keys[i], public_keys[i]) == GOIPC_ERROR_OK);
        EXPECT(other->p384_public(NULL, private_keys[i], check) == GOIPC_ERROR_OK);
        EXPECT(memcmp(check, public_keys[i], sizeof check) == 0);
    }
    EXPECT(memcmp(private_keys[0], private_keys[1], 48) != 0);
    EXPECT(fips->p384_shared(NULL, private_keys[0], public_keys[1], shared[0]) == GOIPC_ERROR_OK);
    EXPECT(other->p384_shared(NULL, private_keys[1], public_keys[0], shared[1]) == GOIPC_ERROR_OK);
    EXPECT(memcmp(shared[0], shared[1], 48) == 0);
    public_keys[0][60] ^= 1;
    EXPECT(fips->p384_shared(NULL, private_keys[0], public_keys[0], check) ==
           GOIPC_ERROR_PUBLIC_KEY);
    public_keys[0][0] = 6;
    EXPECT(fips->p384_shared(NULL, private_keys[0], public_keys[0], check) ==
           GOIPC_ERROR_PUBLIC_KEY);
    memset(private_keys[0], 0, 48);
    EXPECT(fips->p384_shared(NULL, private_keys[0], public_keys[1], check) == GOIPC_ERROR_ARGUMENT);
}

/* Asked for and not there: nothing encrypts, and nothing else is used instead. */
static void expect_no_crypto(void)
{
    const goipc_session_config encrypted = {.role = GOIPC_ROLE_CLIENT};
    const goipc_session_config plain = {.role = GOIPC_ROLE_CLIENT,
                                        .encryption = GOIPC_ENCRYPTION_OFF};
    goipc_session *session;
    goipc_server *server;

    EXPECT(goipc_crypto_default() == NULL);
    EXPECT(goipc_crypto_by_name("tomcrypt") == NULL && goipc_crypto_by_name("openssl") == NULL);
    EXPECT(goipc_crypto_by_name("openssl-fips") == NULL);
    EXPECT(goipc_session_new(&encrypted, &session) == GOIPC_ERROR_CRYPTO_UNAVAILABLE);
    EXPECT(goipc_server_start("fips", NULL, &server) == GOIPC_ERROR_CRYPTO_UNAVAILABLE);
    EXPECT(goipc_session_new(&plain, &session) == GOIPC_ERROR_OK);
    goipc_session_free(session);
}

static void expect_fips(void)
{
    fips = goipc_crypto_by_name("openssl-fips");
    EXPECT(fips != NULL && strcmp(goipc_crypto_default()->name, "openssl-fips") != 0);
    test_fips_computes();
    test_each_call_of_fips(fips_generate, 4);
    test_each_call_of_fips(fips_shared, 12);
    asks_for_fips = 1;
    EXPECT(goipc_crypto_default() == fips && goipc_crypto_by_name("openssl-fips") == fips);
    EXPECT(goipc_crypto_by_name("tomcrypt") == NULL && goipc_crypto_by_name("openssl") == NULL);
}

static void in_child(void (*test)(void))
{
    const pid_t child = fork();
    int status;

    EXPECT(child >= 0);
    if (child == 0) {
        test();
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void expect_fips_missing(void)
{
    asks_for_fips = 1;
    expect_no_crypto();
}

/* Each of the three algorithms is needed. */
static void expect_fips_incomplete(void)
{
    static const long order[] = {3, 4, 5};

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const pid_t child = fork();
        int status;

        EXPECT(child >= 0);
        if (child == 0) {
            calls_left = order[i];
            EXPECT(goipc_crypto_by_name("openssl-fips") == NULL);
            EXPECT(calls_left < 0 && goipc_crypto_openssl() != NULL);
            exit(0);
        }
        EXPECT(waitpid(child, &status, 0) == child);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void test_fips(void)
{
    in_child(expect_fips_missing);
    has_fips = true;
    in_child(expect_fips);
    in_child(expect_fips_incomplete);
    has_fips = false;
}

/* --- allocations of OpenSSL's own ------------------------------------------------------------- */

static long allocations_left = -1;

static bool may_allocate(void)
{
    return allocations_left < 0 || allocations_left-- > 0;
}

static void *allocate(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return may_allocate() ? malloc(size) : NULL;
}

static void *reallocate(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return may_allocate() ? realloc(memory, size) : NULL;
}

static void release(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

static void test_each_allocation(goipc_error (*operation)(void))
{
    enum { ALLOCATIONS_MAX = 1000 };
    long count;

    for (count = 0; count < ALLOCATIONS_MAX; count++) {
        goipc_error error;

        allocations_left = count;
        error = operation();
        if (allocations_left >= 0) {
            EXPECT(error == GOIPC_ERROR_OK);
            break;
        }
        allocations_left = -1;
        /* OpenSSL says of a point that it is not on the curve, too, when it lacks the memory to
         * find out: refused all the same. */
        EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_MEMORY ||
               error == GOIPC_ERROR_CRYPTO ||
               (operation == make_shared && error == GOIPC_ERROR_PUBLIC_KEY));
        EXPECT(operation() == GOIPC_ERROR_OK); /* nothing is broken for the next one */
    }
    allocations_left = -1;
    EXPECT(count < ALLOCATIONS_MAX);
}

/* --- lengths ---------------------------------------------------------------------------------- */

/* EVP counts in int: 3 GiB and some go in pieces of at most 1 GiB. */
static void test_large_messages(void)
{
#if SIZE_MAX > UINT32_MAX
    const size_t size = ((size_t)3 << 30) + 33;
    uint8_t *much = mmap(NULL, size + 4, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    EXPECT(much != MAP_FAILED);
    only_count = true;
    next_out = much;
    EXPECT(crypto->aead_seal(crypto->context, aead, nonce, scalar, much + 4, size, much, tag) ==
           GOIPC_ERROR_OK);
    EXPECT(counted == size + 4 && largest == 1 << 30);

    /* To OpenSSL both messages were empty, so that this one opens. */
    counted = 0;
    largest = 0;
    next_out = much;
    EXPECT(crypto->aead_open(crypto->context, aead, nonce, much, size, tag, much) ==
           GOIPC_ERROR_OK);
    EXPECT(counted == size && largest == 1 << 30);
    only_count = false;
    EXPECT(munmap(much, size + 4) == 0);
#endif
}

int main(void)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    const uint8_t key[32] = {1};

    /* Before OpenSSL allocates anything. */
    EXPECT(CRYPTO_set_mem_functions(allocate, reallocate, release) == 1);
    test_failed_registration();
    test_fips();
    crypto = goipc_crypto_openssl();
    EXPECT(crypto != NULL);
    EXPECT(crypto->aead_new(crypto->context, allocator, key, &aead) == GOIPC_ERROR_OK);
    test_each_call(make_hash, 1, 0);
    test_each_call(make_public, 8, 6);
    test_each_call(make_shared, 10, 6);
    test_each_call(make_aead, 2, 1);
    test_each_call(seal, 4, 0);
    test_each_call(seal_large, 5, 0);
    test_each_call(open, 3, 0);
    test_each_call(seal_in_parts, 4, 0);
    test_each_call(open_in_parts, 3, 0);
    test_large_messages();
    EXPECT(seal() == GOIPC_ERROR_OK && open() == GOIPC_ERROR_OK);
    test_each_allocation(make_hash);
    test_each_allocation(make_public);
    test_each_allocation(make_shared);
    test_each_allocation(make_aead);
    test_each_allocation(seal);
    test_each_allocation(seal_large);
    test_each_allocation(open);
    test_each_allocation(seal_in_parts);
    test_each_allocation(open_in_parts);
    crypto->aead_free(crypto->context, allocator, aead);
    printf("ok %d checks\n", test_checks);
    return 0;
}
