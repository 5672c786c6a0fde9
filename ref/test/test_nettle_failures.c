/* SPDX-License-Identifier: MIT */
/* Goal: the nettle back end needs no memory but its own for a multiplication, so that GMP never
 * ends the process for lack of it and leaves no secret in freed memory; a program that uses GMP
 * itself keeps its own memory functions; nettle's checks of points and scalars hold; and a nettle
 * that is not as expected is not used. Method: the program sets GMP's memory functions first and
 * counts what reaches them; the linker puts the functions below in front of nettle's (--wrap). */
#define _GNU_SOURCE

#include "crypto_tables.h"

#include <sys/wait.h>
#include <unistd.h>

#include <gmp.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>

static const goipc_crypto *crypto;

static const uint8_t scalar[48] = {[47] = 2};

/* --- the program's memory functions ----------------------------------------------------------- */

static long program_calls;  /* of all three functions */
static bool released_zeros; /* whether the last memory was wiped when it was released */

static void *program_allocate(size_t size)
{
    program_calls++;
    return malloc(size);
}

static void *program_reallocate(void *memory, size_t old_size, size_t new_size)
{
    (void)old_size;
    program_calls++;
    return realloc(memory, new_size);
}

static void program_release(void *memory, size_t size)
{
    const uint8_t *bytes = memory;

    program_calls++;
    released_zeros = true;
    for (size_t i = 0; i < size; i++) {
        released_zeros = released_zeros && bytes[i] == 0;
    }
    free(memory);
}

/* --- in front of nettle ----------------------------------------------------------------------- */

enum { FAULT_NONE, FAULT_SIZE, FAULT_SCALAR_REFUSED, FAULT_SCALAR_LAYOUT };

static int fault;
static void (*inside)(void); /* called while a multiplication runs */

mp_size_t __real_nettle_ecc_size(const struct ecc_curve *curve);
mp_size_t __wrap_nettle_ecc_size(const struct ecc_curve *curve);
mp_size_t __wrap_nettle_ecc_size(const struct ecc_curve *curve)
{
    return __real_nettle_ecc_size(curve) + (fault == FAULT_SIZE);
}

int __real_nettle_ecc_scalar_set(struct ecc_scalar *to, const mpz_t from);
int __wrap_nettle_ecc_scalar_set(struct ecc_scalar *to, const mpz_t from);
int __wrap_nettle_ecc_scalar_set(struct ecc_scalar *to, const mpz_t from)
{
    const int result = __real_nettle_ecc_scalar_set(to, from);

    to->p[0] ^= fault == FAULT_SCALAR_LAYOUT;
    return fault == FAULT_SCALAR_REFUSED ? 0 : result;
}

void __real_nettle_ecc_point_mul(struct ecc_point *product, const struct ecc_scalar *factor,
                                 const struct ecc_point *point);
void __wrap_nettle_ecc_point_mul(struct ecc_point *product, const struct ecc_scalar *factor,
                                 const struct ecc_point *point);
void __wrap_nettle_ecc_point_mul(struct ecc_point *product, const struct ecc_scalar *factor,
                                 const struct ecc_point *point)
{
    if (inside != NULL) {
        inside();
    }
    __real_nettle_ecc_point_mul(product, factor, point);
}

/* --- registration ----------------------------------------------------------------------------- */

/* In processes of their own, because registration happens once. */
static void test_a_nettle_that_is_not_as_expected(void)
{
    for (int one = FAULT_SIZE; one <= FAULT_SCALAR_LAYOUT; one++) {
        const pid_t child = fork();
        int status;

        EXPECT(child >= 0);
        if (child == 0) {
            fault = one;
            EXPECT(goipc_crypto_by_name("nettle") == NULL);
            EXPECT(goipc_crypto_by_name("tomcrypt+nettle") == NULL);
            EXPECT(strstr(goipc_crypto_default()->name, "nettle") == NULL);
            EXPECT(goipc_crypto_self_test(goipc_crypto_default()) == GOIPC_ERROR_OK);
            exit(0);
        }
        EXPECT(waitpid(child, &status, 0) == child);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static goipc_error make_shared(void)
{
    uint8_t shared_x[48];

    return crypto->p384_shared(crypto->context, scalar, goipci_p384_generator, shared_x);
}

/* GMP in the program's own hands, before, between and after ours. */
static void expect_the_programs_memory(void)
{
    const long before = program_calls;
    mpz_t number;

    mpz_init_set_ui(number, 7);
    EXPECT(program_calls > before);
    mpz_mul_2exp(number, number, 1000); /* grows */
    mpz_clear(number);
    EXPECT(program_calls >= before + 3);
}

static void test_multiplications_take_no_memory(void)
{
    uint8_t public_key[97];
    long before = program_calls;

    EXPECT(crypto->p384_public(crypto->context, scalar, public_key) == GOIPC_ERROR_OK);
    EXPECT(make_shared() == GOIPC_ERROR_OK);
    EXPECT(program_calls == before);
    memcpy(public_key, goipci_p384_generator, sizeof public_key);
    public_key[96] ^= 1;
    EXPECT(crypto->p384_shared(crypto->context, scalar, public_key, public_key) ==
           GOIPC_ERROR_PUBLIC_KEY);
    EXPECT(program_calls == before);
    expect_the_programs_memory();
}

/* What a later GMP could ask for: more than is there, and more of it. */
static void ask_for_much(void)
{
    void *(*allocate)(size_t);
    void *(*reallocate)(void *, size_t, size_t);
    void (*release)(void *, size_t);
    uint8_t *small, *grown, *huge;

    mp_get_memory_functions(&allocate, &reallocate, &release);
    small = allocate(100);
    memset(small, 1, 100);
    grown = reallocate(small, 100, 200);
    EXPECT(grown != small && grown[0] == 1 && grown[99] == 1);
    grown = reallocate(grown, 200, 50);
    EXPECT(grown[0] == 1 && grown[49] == 1);
    EXPECT(program_calls == 0);
    huge = allocate(1 << 20);
    memset(huge, 2, 1 << 20);
    EXPECT(program_calls == 1);
    huge = reallocate(huge, 1 << 20, 2 << 20);
    EXPECT(released_zeros && huge[0] == 2 && huge[(1 << 20) - 1] == 2);
    memset(huge, 3, 2 << 20);
    released_zeros = false;
    release(huge, 2 << 20);
    EXPECT(released_zeros);
    release(grown, 50);
}

static void test_more_memory_than_is_there(void)
{
    const long before = program_calls;

    program_calls = 0;
    inside = ask_for_much;
    EXPECT(make_shared() == GOIPC_ERROR_OK);
    inside = NULL;
    EXPECT(program_calls == 4); /* two were got and two released */
    program_calls += before;
    expect_the_programs_memory();
}

/* --- nettle's own checks ---------------------------------------------------------------------- */

static void read_number(mpz_t number, const uint8_t bytes[48])
{
    mpz_import(number, 48, 1, 1, 1, 0, bytes);
}

static int set_point(const uint8_t x_bytes[48], const uint8_t y_bytes[48], int negative)
{
    struct ecc_point point;
    mpz_t x, y;
    int result;

    ecc_point_init(&point, nettle_get_secp_384r1());
    mpz_init(x);
    mpz_init(y);
    read_number(x, x_bytes);
    read_number(y, y_bytes);
    if (negative) {
        mpz_neg(y, y);
    }
    result = ecc_point_set(&point, x, y);
    mpz_clear(x);
    mpz_clear(y);
    ecc_point_clear(&point);
    return result;
}

static void test_ecc_point_set(void)
{
    const uint8_t *x = goipci_p384_generator + 1, *y = x + 48;
    const uint8_t zeros[48] = {0};
    uint8_t changed[48];

    EXPECT(set_point(x, y, 0) == 1);
    EXPECT(set_point(x, y, 1) == 0);
    EXPECT(set_point(y, x, 0) == 0);
    EXPECT(set_point(zeros, zeros, 0) == 0);
    EXPECT(set_point(goipci_p384_prime, y, 0) == 0);
    EXPECT(set_point(x, goipci_p384_prime, 0) == 0);
    for (size_t bit = 0; bit < 384; bit++) {
        memcpy(changed, y, sizeof changed);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT(set_point(x, changed, 0) == 0);
        memcpy(changed, x, sizeof changed);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT(set_point(changed, y, 0) == 0);
    }
}

/* The same verdict as ours, around both ends of the range. */
static void test_ecc_scalar_set(void)
{
    static const uint8_t order_tail[8] = {0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};
    struct ecc_scalar set;
    uint8_t bytes[48];
    mpz_t number;

    ecc_scalar_init(&set, nettle_get_secp_384r1());
    mpz_init(number);
    for (int step = -2; step <= 2; step++) {
        EXPECT(test_from_hex("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf"
                             "581a0db248b0a77a",
                             bytes, 40) == 40);
        memcpy(bytes + 40, order_tail, 8);
        bytes[47] = (uint8_t)(bytes[47] + step);
        read_number(number, bytes);
        EXPECT((ecc_scalar_set(&set, number) == 1) == goipci_private_key_valid(bytes));
        EXPECT(goipci_private_key_valid(bytes) == (step < 0));
        mpz_set_si(number, step); /* and -2 to 2 */
        EXPECT((ecc_scalar_set(&set, number) == 1) == (step > 0));
    }
    mpz_clear(number);
    ecc_scalar_clear(&set);
}

/* --- AES-256-GCM ------------------------------------------------------------------------------ */

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

int main(void)
{
    mp_set_memory_functions(program_allocate, program_reallocate, program_release);
    test_a_nettle_that_is_not_as_expected();
    crypto = goipc_crypto_by_name("nettle");
    EXPECT(crypto != NULL);
    test_multiplications_take_no_memory();
    test_more_memory_than_is_there();
    test_ecc_point_set();
    test_ecc_scalar_set();
    test_allocator_that_fails();
    printf("ok %d checks\n", test_checks);
    return 0;
}
