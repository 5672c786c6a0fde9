/* SPDX-License-Identifier: MIT */
/* Goal: the known traps of the libraries underneath are closed: registration from several threads
 * at once, randomness when no descriptor is free, public keys that are no points, tags that are
 * nearly right. Method: provoke each of them with every back end. */
#define _DEFAULT_SOURCE

#include "crypto_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

static crypto_tables backends;

/* --- registration ----------------------------------------------------------------------------- */

enum { THREADS = 8 };

static _Atomic int threads_ready;

/* The very first use of the library in this process, by all threads at the same moment. */
static void *use_first(void *context)
{
    const int number = *(const int *)context;

    threads_ready++;
    while (threads_ready < THREADS) {
    }
    if (number % 2 == 0) {
        EXPECT(goipc_crypto_self_test(goipc_crypto_tomcrypt()) == GOIPC_ERROR_OK);
    }
    EXPECT(goipc_crypto_self_test(goipc_crypto_default()) == GOIPC_ERROR_OK);
    return NULL;
}

static void test_first_use_from_many_threads(void)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];

    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        EXPECT(pthread_create(&threads[i], NULL, use_first, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
}

/* --- randomness ------------------------------------------------------------------------------- */

static unsigned count_bits(const uint8_t *bytes, size_t size)
{
    unsigned count = 0;

    for (size_t i = 0; i < size * 8; i++) {
        count += (unsigned)bytes[i / 8] >> i % 8 & 1u;
    }
    return count;
}

/* Unbiased bits are half ones: of 98304, 49152, and 1000 more or less are six deviations. */
static void check_bits(const goipc_crypto *crypto)
{
    static uint8_t keys[256][48];

    for (size_t i = 0; i < 256; i++) {
        EXPECT(goipci_private_key_draw(crypto, keys[i]) == GOIPC_ERROR_OK);
        for (size_t other = 0; other < i; other++) {
            EXPECT(memcmp(keys[i], keys[other], 48) != 0);
        }
    }
    EXPECT(count_bits(keys[0], sizeof keys) > 49152 - 1000);
    EXPECT(count_bits(keys[0], sizeof keys) < 49152 + 1000);
}

/* req: KD-002, KD-003 */
static void test_no_free_descriptor(void)
{
    struct rlimit limit, none;

    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 0;
    EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
    EXPECT(open("/dev/null", O_RDONLY) == -1 && errno == EMFILE); /* the trap is set */
    for (size_t i = 0; i < backends.count; i++) {
        EXPECT(goipc_crypto_self_test(backends.at[i]) == GOIPC_ERROR_OK);
        check_bits(backends.at[i]);
    }
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* --- public keys ------------------------------------------------------------------------------ */

#define P_HEX                                                                                      \
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffff" \
    "ffff"
#define ZERO_HEX                                                                                   \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000"
#define ALL_HEX                                                                                    \
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" \
    "ffff"
/* The generator, and the y of the point whose x is 0. */
#define GX_HEX                                                                                     \
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e387276" \
    "0ab7"
#define GY_HEX                                                                                     \
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea" \
    "0e5f"
#define Y0_HEX                                                                                     \
    "c306610fb0ae5a159cf45c06069f22a6c5eb3641c602d42dea2c4b4f75550793406d80d2b91ad54f9048bd487af1" \
    "ade1"

static const struct {
    const char *what;
    const char *public_key;
    goipc_error error;
} points[] = {
    {"generator", "04" GX_HEX GY_HEX, GOIPC_ERROR_OK},
    {"x is 0 on the curve", "04" ZERO_HEX Y0_HEX, GOIPC_ERROR_OK},
    {"x is p, the same point unreduced", "04" P_HEX Y0_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"0, 0", "04" ZERO_HEX ZERO_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"all bits", "04" ALL_HEX ALL_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"x is p", "04" P_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"y is p", "04" GX_HEX P_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"y is 0", "04" GX_HEX ZERO_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"x above p", "04" ALL_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"y above p", "04" GX_HEX ALL_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"swapped", "04" GY_HEX GX_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"infinity", "00" ZERO_HEX ZERO_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"prefix 00", "00" GX_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"prefix 02", "02" GX_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"prefix 03", "03" GX_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"prefix 05", "05" GX_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"hybrid of the wrong parity", "06" GX_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"hybrid of the right parity", "07" GX_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
    {"prefix ff", "ff" GX_HEX GY_HEX, GOIPC_ERROR_PUBLIC_KEY},
};

static goipc_error shared_with(const goipc_crypto *crypto, const uint8_t public_key[97],
                               uint8_t shared_x[48])
{
    const uint8_t two[48] = {[47] = 2};
    uint8_t *exact = test_copy(public_key, 97);
    const goipc_error error = crypto->p384_shared(crypto->context, two, exact, shared_x);

    free(exact);
    return error;
}

/* req: KD-006, KD-007, KD-008, KD-010 */
static void test_points(const goipc_crypto *crypto)
{
    static const char shared_hex[] =
        "e4e7e016520123e12ff7f1681c4cbde6d59bc7d5f5eafbe9a2b16ba000df18cd02f115da375615bcfdd3019154"
        "164f90"; /* X of twice the point whose x is 0 */
    uint8_t public_key[97], shared_x[48], expected[48];

    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        goipc_error error;

        EXPECT(test_from_hex(points[i].public_key, public_key, 97) == 97);
        error = shared_with(crypto, public_key, shared_x);
        if (error != points[i].error) {
            fprintf(stderr, "%s: %s: %s\n", crypto->name, points[i].what, goipc_error_name(error));
        }
        EXPECT(error == points[i].error);
    }
    EXPECT(test_from_hex(points[1].public_key, public_key, 97) == 97);
    EXPECT(shared_with(crypto, public_key, shared_x) == GOIPC_ERROR_OK);
    EXPECT(test_from_hex(shared_hex, expected, 48) == 48);
    EXPECT(memcmp(shared_x, expected, 48) == 0);
}

/* A point with one bit flipped is off the curve: the curve has no two points that differ so little,
 * but for the sign of y, which flips more than one bit. */
static void test_every_flipped_bit_of_a_point(const goipc_crypto *crypto)
{
    uint8_t public_key[97], shared_x[48];

    for (size_t bit = 0; bit < 97 * 8; bit++) {
        EXPECT(test_from_hex(points[0].public_key, public_key, 97) == 97);
        public_key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT(shared_with(crypto, public_key, shared_x) == GOIPC_ERROR_PUBLIC_KEY);
    }
}

/* --- tags ------------------------------------------------------------------------------------- */

typedef struct sealed_message {
    uint8_t nonce[12];
    uint8_t text[37];
    uint8_t tag[16];
} sealed_message;

static void check_refused(const goipc_crypto *crypto, void *aead, const sealed_message *message)
{
    uint8_t opened[sizeof message->text], in_place[sizeof message->text];
    size_t i;

    memset(opened, 0xaa, sizeof opened);
    memcpy(in_place, message->text, sizeof in_place);
    EXPECT(crypto->aead_open(crypto->context, aead, message->nonce, message->text,
                             sizeof message->text, message->tag, opened) == GOIPC_ERROR_DECRYPT);
    EXPECT(crypto->aead_open(crypto->context, aead, message->nonce, in_place, sizeof in_place,
                             message->tag, in_place) == GOIPC_ERROR_DECRYPT);
    for (i = 0; i < sizeof opened && opened[i] == 0 && in_place[i] == 0; i++) {
    }
    EXPECT(i == sizeof opened);
}

/* req: SE-010, SE-011 */
static void test_every_flipped_bit_of_a_message(const goipc_crypto *crypto)
{
    const uint8_t key[32] = {1, 2, 3};
    const uint8_t data[33] = "thirty-three bytes of some text.";
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    sealed_message message = {.nonce = "nonce nonce"};
    uint8_t opened[sizeof message.text];
    uint8_t *parts[] = {message.nonce, message.text, message.tag};
    const size_t sizes[] = {sizeof message.nonce, sizeof message.text, sizeof message.tag};
    void *aead;

    EXPECT(crypto->aead_new(crypto->context, allocator, key, &aead) == GOIPC_ERROR_OK);
    EXPECT(crypto->aead_seal(crypto->context, aead, message.nonce, (const uint8_t *)"type", data,
                             sizeof data, message.text, message.tag) == GOIPC_ERROR_OK);
    for (size_t part = 0; part < 3; part++) {
        for (size_t bit = 0; bit < sizes[part] * 8; bit++) {
            parts[part][bit / 8] ^= (uint8_t)(1 << bit % 8);
            check_refused(crypto, aead, &message);
            parts[part][bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    /* After all that, the same object still opens what is right. */
    EXPECT(crypto->aead_open(crypto->context, aead, message.nonce, message.text,
                             sizeof message.text, message.tag, opened) == GOIPC_ERROR_OK);
    EXPECT(memcmp(opened, "type", 4) == 0 && memcmp(opened + 4, data, sizeof data) == 0);
    crypto->aead_free(crypto->context, allocator, aead);
}

int main(void)
{
    test_first_use_from_many_threads();
    backends = each_library();
    test_no_free_descriptor();
    for (size_t i = 0; i < backends.count; i++) {
        test_points(backends.at[i]);
        test_every_flipped_bit_of_a_point(backends.at[i]);
        test_every_flipped_bit_of_a_message(backends.at[i]);
    }
    printf("ok %d checks\n", test_checks);
    return 0;
}
