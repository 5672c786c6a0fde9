/* SPDX-License-Identifier: MIT */
/* Goal: private keys, shared secrets and message keys are nowhere in memory once a call that used
 * them has returned, in none of the forms that the back ends compute with. Method: this process
 * reads all of its own writable memory through /proc, the freed parts too, and searches for 16
 * bytes from the middle of each secret. A control shows that the search finds what is not wiped. */
#define _GNU_SOURCE

#include "crypto_tables.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/wait.h>
#include <unistd.h>

#define LTM_DESC
#include <tomcrypt.h>
#include <tommath.h>

/* Patterns are kept masked, so that the search does not find them here. */
enum { PATTERN_SIZE = 16, PATTERNS_MAX = 5, MASK = 0x5a };

typedef struct form_of_secret {
    const char *form;
    uint8_t masked[PATTERN_SIZE];
} form_of_secret;

typedef struct secret_forms {
    const char *name;
    form_of_secret patterns[PATTERNS_MAX];
    size_t pattern_count;
} secret_forms;

/* --- patterns --------------------------------------------------------------------------------- */

/* Byte `at` of a number of 48 bytes that is written in hexadecimal, masked. */
static uint8_t masked_at(const char *hex, size_t at)
{
    return (uint8_t)((test_hex_digit(hex[2 * at]) << 4 | test_hex_digit(hex[2 * at + 1])) ^ MASK);
}

static bool bit_at(const char *hex, size_t size, size_t bit)
{
    return ((masked_at(hex, size - 1 - bit / 8) ^ MASK) >> bit % 8 & 1) != 0;
}

static form_of_secret *add_pattern(secret_forms *secret, const char *form)
{
    form_of_secret *added = &secret->patterns[secret->pattern_count++];

    EXPECT(secret->pattern_count <= PATTERNS_MAX);
    *added = (form_of_secret){.form = form};
    return added;
}

/* As it stands on the wire, as little-endian words, and as words of four bytes. */
static void add_byte_patterns(secret_forms *secret, const char *hex, size_t size)
{
    const size_t from = size / 2 - PATTERN_SIZE / 2;
    form_of_secret *big = add_pattern(secret, "big-endian");
    form_of_secret *little = add_pattern(secret, "little-endian");
    form_of_secret *words = add_pattern(secret, "words");

    for (size_t i = 0; i < PATTERN_SIZE; i++) {
        big->masked[i] = masked_at(hex, from + i);
        little->masked[PATTERN_SIZE - 1 - i] = big->masked[i];
        words->masked[i / 4 * 4 + 3 - i % 4] = big->masked[i];
    }
}

/* One byte of a digit of libtommath, which has MP_DIGIT_BIT bits and stands in a word of its own;
 * on little-endian machines. */
static uint8_t masked_digit_at(const char *hex, size_t size, size_t digit, size_t at)
{
    uint8_t masked = MASK;

    for (size_t bit = at * 8; bit < at * 8 + 8 && bit < MP_DIGIT_BIT; bit++) {
        if (bit_at(hex, size, digit * MP_DIGIT_BIT + bit)) {
            masked ^= (uint8_t)(1 << bit % 8);
        }
    }
    return masked;
}

/* Digits as they stand in a number, and as they stand in the double words of a multiplication. */
static void add_digit_patterns(secret_forms *secret, const char *hex, size_t size)
{
    form_of_secret *digits = add_pattern(secret, "digits");
    form_of_secret *columns = add_pattern(secret, "columns");
    const size_t digit_size = sizeof(mp_digit);

    for (size_t i = 0; i < PATTERN_SIZE; i++) {
        const size_t at = i % digit_size;

        digits->masked[i] = masked_digit_at(hex, size, 2 + i / digit_size, at);
        columns->masked[i] =
            i / digit_size % 2 == 0 ? masked_digit_at(hex, size, 2 + i / digit_size / 2, at) : MASK;
    }
}

/* --- search ----------------------------------------------------------------------------------- */

enum { WINDOW_SIZE = 1 << 16 };

static uint8_t window[WINDOW_SIZE + PATTERN_SIZE - 1];

static const form_of_secret *search_window(size_t size, const secret_forms *secret)
{
    bool may_begin[256] = {false};

    for (size_t i = 0; i < secret->pattern_count; i++) {
        may_begin[secret->patterns[i].masked[0] ^ MASK] = true;
    }
    for (size_t at = 0; at + PATTERN_SIZE <= size; at++) {
        if (!may_begin[window[at]]) {
            continue;
        }
        for (size_t i = 0; i < secret->pattern_count; i++) {
            size_t same = 0;

            while (same < PATTERN_SIZE &&
                   (window[at + same] ^ MASK) == secret->patterns[i].masked[same]) {
                same++;
            }
            if (same == PATTERN_SIZE) {
                return &secret->patterns[i];
            }
        }
    }
    return NULL;
}

/* Whether any page of the window at `from` has ever been written to, as far as the kernel says. */
static bool is_present(int pagemap, uint64_t from)
{
    const uint64_t present_or_swapped = UINT64_C(3) << 62;
    const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    const size_t count = page_size < WINDOW_SIZE ? WINDOW_SIZE / page_size : 1;
    uint64_t entries[WINDOW_SIZE / 4096], bits = 0;

    if (pread(pagemap, entries, count * sizeof entries[0],
              (off_t)(from / page_size * sizeof entries[0])) !=
        (ssize_t)(count * sizeof entries[0])) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        bits |= entries[i];
    }
    return (bits & present_or_swapped) != 0;
}

typedef struct process {
    int memory, pagemap;
} process;

static const form_of_secret *search_region(const process *self, uint64_t from, uint64_t to,
                                           const secret_forms *secret)
{
    for (; from < to; from += WINDOW_SIZE) {
        const size_t want = to - from < sizeof window ? (size_t)(to - from) : sizeof window;
        const form_of_secret *found;
        ssize_t got;

        if (!is_present(self->pagemap, from)) {
            continue;
        }
        got = pread(self->memory, window, want, (off_t)from);
        found = got > 0 ? search_window((size_t)got, secret) : NULL;
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* The first form of the secret that is found, or NULL; `where` says in what kind of memory. */
static const form_of_secret *search_memory(const secret_forms *secret, char *where,
                                           size_t where_size)
{
    const uint64_t region_size_max = UINT64_C(1) << 26; /* more is a sanitizer's reservation */
    FILE *maps = fopen("/proc/self/maps", "r");
    const process self = {open("/proc/self/mem", O_RDONLY | O_CLOEXEC),
                          open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
    const form_of_secret *found = NULL;
    char line[512];

    EXPECT(maps != NULL && self.memory >= 0 && self.pagemap >= 0);
    while (found == NULL && fgets(line, sizeof line, maps) != NULL) {
        uint64_t from, to;
        char permissions[5];

        EXPECT(sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, permissions) == 3);
        if (permissions[0] == 'r' && permissions[1] == 'w' && to - from <= region_size_max) {
            found = search_region(&self, from, to, secret);
            snprintf(where, where_size, "%s", line);
        }
    }
    close(self.memory);
    close(self.pagemap);
    fclose(maps);
    goipc_wipe(window, sizeof window);
    return found;
}

static void expect_nowhere(const goipc_crypto *crypto, const secret_forms *secret)
{
    char where[512];
    const form_of_secret *found = search_memory(secret, where, sizeof where);

    if (found != NULL) {
        fprintf(stderr, "%s leaves the %s (%s) in %s", crypto->name, secret->name, found->form,
                where);
    }
    EXPECT(found == NULL);
}

/* --- secrets ---------------------------------------------------------------------------------- */

static const char private_hex[] = "8a83afd7c1e4ec61fe0667addcb7c2cb04e50e1707a182e063dd172bf3d73285"
                                  "a4c41afda9c7c4fe1adf8360cbb28f9"
                                  "6";
/* Twice the generator: a peer's public key. */
static const char peer_hex[] =
    "04"
    "08d999057ba3d2d969260045c55b97f089025959a6f434d651d207d19fb96e9e4fe0e86ebe0e64f85b96a9c75295d"
    "f61"
    "8e80f1fa5b1b3cedb7bfe8dffd6dba74b275d875bc6cc43e904e505f256ab4255ffd43e94d39e22d61501e700a940"
    "e80";
/* The private key times that point, its x; made with the Python package "cryptography". */
static const char shared_hex[] = "b17452f50b0737b7f3715438a0aa23a278f51f891884f0ce396c96e7140601b6"
                                 "b27c45669b9ae274089dba2b482f7249";
static const char key_hex[] = "6512b3c3ebc25fd69f2ad365c45d1b416db638d30522f80642fd1cd0de8e3301";

static secret_forms private_secret, shared_secret, key_secret;

static void make_secrets(void)
{
    private_secret.name = "private key";
    add_byte_patterns(&private_secret, private_hex, 48);
    add_digit_patterns(&private_secret, private_hex, 48);
    shared_secret.name = "shared secret";
    add_byte_patterns(&shared_secret, shared_hex, 48);
    add_digit_patterns(&shared_secret, shared_hex, 48);
    key_secret.name = "message key";
    add_byte_patterns(&key_secret, key_hex, 32);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void make_public(const goipc_crypto *crypto)
{
    uint8_t private_key[48], public_key[97];

    EXPECT(test_from_hex(private_hex, private_key, 48) == 48);
    EXPECT(crypto->p384_public(crypto->context, private_key, public_key) == GOIPC_ERROR_OK);
    goipc_wipe(private_key, sizeof private_key);
}

static void make_shared(const goipc_crypto *crypto)
{
    uint8_t private_key[48], peer[97], shared_x[48];

    EXPECT(test_from_hex(private_hex, private_key, 48) == 48);
    EXPECT(test_from_hex(peer_hex, peer, 97) == 97);
    EXPECT(crypto->p384_shared(crypto->context, private_key, peer, shared_x) == GOIPC_ERROR_OK);
    EXPECT((uint8_t)(shared_x[20] ^ MASK) ==
           masked_at(shared_hex, 20)); /* it is the right secret */
    goipc_wipe(private_key, sizeof private_key);
    goipc_wipe(shared_x, sizeof shared_x);
}

static void derive_key(const goipc_crypto *crypto)
{
    uint8_t shared_x[48], key[32];

    EXPECT(test_from_hex(shared_hex, shared_x, 48) == 48);
    EXPECT(goipc_crypto_derive_key(crypto, shared_x, GOIPC_KEY_FORM_MINIMAL, key) ==
           GOIPC_ERROR_OK);
    goipc_wipe(shared_x, sizeof shared_x);
    goipc_wipe(key, sizeof key);
}

static void use_key(const goipc_crypto *crypto)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    const uint8_t nonce[12] = {0}, data[100] = {0};
    uint8_t key[32], sealed[104], tag[16];
    void *aead;

    EXPECT(test_from_hex(key_hex, key, 32) == 32);
    EXPECT(crypto->aead_new(crypto->context, allocator, key, &aead) == GOIPC_ERROR_OK);
    goipc_wipe(key, sizeof key);
    EXPECT(crypto->aead_seal(crypto->context, aead, nonce, data, data, sizeof data, sealed, tag) ==
           GOIPC_ERROR_OK);
    EXPECT(crypto->aead_open(crypto->context, aead, nonce, sealed, sizeof sealed, tag, sealed) ==
           GOIPC_ERROR_OK);
    crypto->aead_free(crypto->context, allocator, aead);
}

static const struct {
    void (*call)(const goipc_crypto *crypto);
    const secret_forms *secrets[2];
} calls[] = {
    {make_public, {&private_secret, NULL}},
    {make_shared, {&private_secret, &shared_secret}},
    {derive_key, {&shared_secret, NULL}},
    {use_key, {&key_secret, NULL}},
};

static void test_nothing_is_left(const goipc_crypto *crypto)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        calls[i].call(crypto);
        for (size_t j = 0; j < 2 && calls[i].secrets[j] != NULL; j++) {
            expect_nowhere(crypto, calls[i].secrets[j]);
        }
    }
}

/* --- control ---------------------------------------------------------------------------------- */

/* Runs in a process of its own, because it leaves what the others must not find. */
static void in_child(void (*test)(void))
{
    const pid_t child = fork();
    int status;

    EXPECT(child >= 0);
    if (child == 0) {
        test();
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool is_found(const secret_forms *secret)
{
    char where[512];

    return search_memory(secret, where, sizeof where) != NULL;
}

/* Every form of every secret is found in memory that was freed as it was. */
static void control_search(void)
{
    uint8_t *copy = malloc(4096);

    EXPECT(copy != NULL);
    for (size_t i = 0; i < shared_secret.pattern_count; i++) {
        const secret_forms one = {.patterns = {shared_secret.patterns[i]}, .pattern_count = 1};

        EXPECT(!is_found(&one));
        for (size_t at = 0; at < PATTERN_SIZE; at++) {
            copy[2000 + at] = one.patterns[0].masked[at] ^ MASK;
        }
        EXPECT(is_found(&one));
        goipc_wipe(copy, 4096);
        EXPECT(!is_found(&one));
    }
    free(copy);
}

/* What libtommath leaves when it frees numbers its own way; a build that wipes is none the worse.
 */
static void control_libtommath(void)
{
    ltc_mp.deinit = ltm_desc.deinit;
    make_shared(goipc_crypto_tomcrypt());
    printf("libtommath alone %s\n", is_found(&shared_secret) && is_found(&private_secret)
                                        ? "leaves its numbers in freed memory"
                                        : "wipes its numbers");
    fflush(stdout);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER true
#elif defined(__has_feature)
#define UNDER_SANITIZER (__has_feature(thread_sanitizer) || __has_feature(address_sanitizer))
#else
#define UNDER_SANITIZER false
#endif

int main(void)
{
    crypto_tables backends;

    if (UNDER_SANITIZER) {
        /* One sanitizer's memory takes too long to search, another's frames are deeper than what a
         * call overwrites of the stack. */
        printf("SKIP crypto_wipe: a sanitizer's memory and stack are not the program's\n");
        return TEST_SKIPPED;
    }
    if (test_is_slow()) {
        printf("SKIP crypto_wipe: what slows it has memory of its own here, too much to search\n");
        return TEST_SKIPPED;
    }
    make_secrets();
    (void)goipc_crypto_default(); /* registers the back ends */
    in_child(control_search);
    in_child(control_libtommath);
    backends = each_library();
    for (size_t i = 0; i < backends.count; i++) {
        test_nothing_is_left(backends.at[i]);
    }
    printf("ok %d checks\n", test_checks);
    return 0;
}
