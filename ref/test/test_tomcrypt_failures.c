/* SPDX-License-Identifier: MIT */
/* Goal: whatever call into libtomcrypt fails, the back end reports MEMORY or CRYPTO, gives nothing
 * out, and frees everything. Method: the linker puts the functions below in front of libtomcrypt's
 * (--wrap), the table of number functions is replaced in the same way, and each call in turn fails;
 * LeakSanitizer and valgrind see what is left. */
#define _GNU_SOURCE

#include "core/crypto_backend.h"
#include "test.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LTM_DESC
#include <tomcrypt.h>
#include <tommath.h>

static const goipc_crypto *crypto;

/* How many calls still succeed, and what the next one gives. Negative: none fails. */
static long calls_left = -1;
static int failure = CRYPT_ERROR;

static bool fails(void)
{
    if (calls_left < 0) {
        return false;
    }
    return calls_left-- == 0;
}

/* --- in front of the functions ---------------------------------------------------------------- */

#define WRAP(name, parameters, arguments)                                                          \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return fails() ? failure : __real_##name arguments;                                        \
    }

WRAP(sha256_init, (hash_state * state), (state))
WRAP(sha256_done, (hash_state * state, unsigned char *out), (state, out))
WRAP(gcm_init, (gcm_state * gcm, int cipher, const unsigned char *key, int key_size),
     (gcm, cipher, key, key_size))
WRAP(gcm_reset, (gcm_state * gcm), (gcm))
WRAP(gcm_add_iv, (gcm_state * gcm, const unsigned char *nonce, unsigned long size),
     (gcm, nonce, size))
WRAP(gcm_add_aad, (gcm_state * gcm, const unsigned char *data, unsigned long size),
     (gcm, data, size))
WRAP(gcm_process,
     (gcm_state * gcm, unsigned char *text, unsigned long size, unsigned char *sealed,
      int direction),
     (gcm, text, size, sealed, direction))

int __real_gcm_done(gcm_state *gcm, unsigned char *tag, unsigned long *size);
int __wrap_gcm_done(gcm_state *gcm, unsigned char *tag, unsigned long *size);

static bool tag_is_short;

int __wrap_gcm_done(gcm_state *gcm, unsigned char *tag, unsigned long *size)
{
    const int result = fails() ? failure : __real_gcm_done(gcm, tag, size);

    *size = tag_is_short ? 12 : *size;
    return result;
}

int __real_sha256_process(hash_state *state, const unsigned char *in, unsigned long size);
int __wrap_sha256_process(hash_state *state, const unsigned char *in, unsigned long size);

static bool only_count;
static unsigned long long counted, largest;

int __wrap_sha256_process(hash_state *state, const unsigned char *in, unsigned long size)
{
    if (only_count) {
        counted += size;
        largest = size > largest ? size : largest;
        return CRYPT_OK;
    }
    return fails() ? failure : __real_sha256_process(state, in, size);
}

/* --- in front of the number functions --------------------------------------------------------- */

static ltc_math_descriptor real_math;

#define NUMBERS(name, parameters, arguments)                                                       \
    static int failing_##name parameters                                                           \
    {                                                                                              \
        return fails() ? failure : real_math.name arguments;                                       \
    }

NUMBERS(init, (void **number), (number))
NUMBERS(set_int, (void *number, ltc_mp_digit value), (number, value))
NUMBERS(unsigned_read, (void *number, unsigned char *in, unsigned long size), (number, in, size))
NUMBERS(unsigned_write, (void *number, unsigned char *out), (number, out))
NUMBERS(sqrmod, (void *a, void *modulus, void *out), (a, modulus, out))
NUMBERS(mulmod, (void *a, void *b, void *modulus, void *out), (a, b, modulus, out))
NUMBERS(add, (void *a, void *b, void *out), (a, b, out))
NUMBERS(subi, (void *a, ltc_mp_digit b, void *out), (a, b, out))
NUMBERS(mpdiv, (void *a, void *b, void *quotient, void *rest), (a, b, quotient, rest))

static unsigned long huge_size(void *number)
{
    (void)number;
    return 49;
}

/* What happens inside of the multiplication is libtomcrypt's own: it counts as one call. */
static int failing_ptmul(void *scalar, ecc_point *point, ecc_point *product, void *modulus, int map)
{
    ltc_math_descriptor failing = ltc_mp;
    int result;

    if (fails()) {
        return failure;
    }
    ltc_mp = real_math;
    result = real_math.ecc_ptmul(scalar, point, product, modulus, map);
    ltc_mp = failing;
    return result;
}

static void set_failing_math(void)
{
    ltc_mp.init = failing_init;
    ltc_mp.set_int = failing_set_int;
    ltc_mp.unsigned_read = failing_unsigned_read;
    ltc_mp.unsigned_write = failing_unsigned_write;
    ltc_mp.sqrmod = failing_sqrmod;
    ltc_mp.mulmod = failing_mulmod;
    ltc_mp.add = failing_add;
    ltc_mp.subi = failing_subi;
    ltc_mp.mpdiv = failing_mpdiv;
    ltc_mp.ecc_ptmul = failing_ptmul;
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

static goipc_error seal(void)
{
    const uint8_t data[40] = {1, 2, 3};

    return crypto->aead_seal(crypto->context, aead, nonce, data, data, sizeof data, sealed, tag);
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

/* Lets the first, the second, the third call fail, until there are no more. */
static void test_each_call(goipc_error (*operation)(void), long calls_expected)
{
    static const struct {
        int failure;
        goipc_error error;
    } rows[] = {{CRYPT_MEM, GOIPC_ERROR_MEMORY}, {CRYPT_ERROR, GOIPC_ERROR_CRYPTO}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        long call = 0;
        goipc_error error;

        failure = rows[i].failure;
        for (;; call++) {
            calls_left = call;
            error = operation();
            if (calls_left >= 0) {
                break; /* the failure was not reached */
            }
            /* Points are made of three numbers in one call, which says MEMORY whatever it was. */
            EXPECT(error == rows[i].error || error == GOIPC_ERROR_MEMORY);
        }
        calls_left = -1;
        EXPECT(error == GOIPC_ERROR_OK);
        EXPECT(call == calls_expected);
    }
    EXPECT(operation() == GOIPC_ERROR_OK);
}

static void test_short_tag(void)
{
    EXPECT(seal() == GOIPC_ERROR_OK);
    tag_is_short = true;
    EXPECT(seal() == GOIPC_ERROR_CRYPTO);
    EXPECT(open() == GOIPC_ERROR_CRYPTO);
    tag_is_short = false;
    EXPECT(seal() == GOIPC_ERROR_OK && open() == GOIPC_ERROR_OK);
}

static void test_number_that_is_too_large(void)
{
    ltc_mp.unsigned_size = huge_size;
    EXPECT(make_public() == GOIPC_ERROR_CRYPTO);
    EXPECT(make_shared() == GOIPC_ERROR_CRYPTO);
    ltc_mp.unsigned_size = real_math.unsigned_size;
}

/* A number whose digits are gone already is still freed. */
static void test_number_without_digits(void)
{
    void *number;

    EXPECT(real_math.init(&number) == CRYPT_OK);
    mp_clear(number);
    ltc_mp.deinit(number);
}

/* In a process of its own, because registration happens once: a program that has chosen its
 * provider of numbers keeps it, and its way to free them. */
static void test_choice_of_the_program(void)
{
    const pid_t child = fork();
    int status;

    EXPECT(child >= 0);
    if (child == 0) {
        ltc_mp = ltm_desc;
        EXPECT(goipc_crypto_self_test(goipc_crypto_tomcrypt()) == GOIPC_ERROR_OK);
        EXPECT(ltc_mp.deinit == ltm_desc.deinit);
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *no_memory(void *context, size_t size)
{
    (void)context;
    (void)size;
    return NULL;
}

static void test_allocator_that_fails(void)
{
    const goipc_allocator allocator = {NULL, no_memory, NULL};
    const uint8_t key[32] = {1};
    void *made = NULL;

    EXPECT(crypto->aead_new(crypto->context, &allocator, key, &made) == GOIPC_ERROR_MEMORY);
    EXPECT(made == NULL);
}

/* Lengths are unsigned long there, which may have 32 bits: the input is cut. */
static void test_hash_of_much(void)
{
#if SIZE_MAX > UINT32_MAX
    const size_t size = ((size_t)5 << 30) + 17;
    uint8_t *much = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t out[32];

    EXPECT(much != MAP_FAILED);
    only_count = true;
    EXPECT(crypto->sha256(crypto->context, much, size, out) == GOIPC_ERROR_OK);
    only_count = false;
    EXPECT(counted == size && largest == (unsigned long long)1 << 30);
    EXPECT(munmap(much, size) == 0);
#endif
}

int main(void)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    const uint8_t key[32] = {1};

    test_choice_of_the_program();
    crypto = goipc_crypto_tomcrypt();
    EXPECT(ltc_mp.deinit != ltm_desc.deinit);
    real_math = ltc_mp;
    EXPECT(crypto->aead_new(crypto->context, allocator, key, &aead) == GOIPC_ERROR_OK);
    test_each_call(make_hash, 3);
    test_each_call(make_aead, 1);
    test_each_call(seal, 6);
    test_each_call(open, 5);
    test_each_call(seal_in_parts, 5);
    test_each_call(open_in_parts, 5);
    set_failing_math();
    test_each_call(make_public, 27);
    test_each_call(make_shared, 26);
    test_number_that_is_too_large();
    test_number_without_digits();
    test_short_tag();
    test_allocator_that_fails();
    test_hash_of_much();
    crypto->aead_free(crypto->context, allocator, aead);
    printf("ok %d checks\n", test_checks);
    return 0;
}
