/* SPDX-License-Identifier: MIT */
/* Goal: no branch and no address of our own code depends on a secret, except the two that the
 * protocol makes inevitable: how many zero bytes the shared X starts with, and whether a tag fits
 * (and whether a drawn private key is below the order, which it is).
 * Method: memcheck tracks which bytes are undefined; secrets are declared undefined, and memcheck
 * counts every decision that rests on them. Controls show that it does: the zero stripping, and
 * libtomcrypt's AES, which looks up tables by key and is documented as not constant-time.
 *
 * Results that are meant to be known (a verdict, a tag, ciphertext) are declared defined before the
 * test looks at them.
 *
 * Of the back ends, what they promise is judged: that OpenSSL and IPSec MB set keys and seal, that
 * nettle seals, where the processor has AES instructions, and that nettle multiplies points,
 * without a branch or an address by a secret. Hogweed asserts that carries of secret numbers are 0.
 * memcheck cannot know that an assertion always holds: constant_time.supp hides decisions (not
 * addresses) in hogweed, and callgrind judges them instead. It counts how often each instruction
 * runs and each jump is taken, which must be equal for scalars of very different kinds. OpenSSL's
 * multiplication is not judged: it is blinded with random numbers.
 * Prints the tally of a check; run without valgrind, the program starts itself under it. */
#define _DEFAULT_SOURCE /* fork and the like, without compiler extensions */

#include "crypto_tables.h"
#include "session_peer.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/memcheck.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* Not 1, which is what valgrind ends with when it cannot start. */
enum { JUDGED_BAD = 2 };

static unsigned passed, failed;

static void make_secret(const void *bytes, size_t size)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(bytes, size); /* says whether it runs under valgrind */
}

static void make_public(const void *bytes, size_t size)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(bytes, size); /* as above */
}

/* --- our own code ----------------------------------------------------------------------------- */

static void compare(void)
{
    uint8_t left[16] = {1}, right[16] = {1};
    bool equal;

    make_secret(left, sizeof left);
    make_secret(right, sizeof right);
    equal = goipci_equal(left, right, sizeof left);
    make_public(&equal, sizeof equal);
    EXPECT(equal);
    right[15] ^= 1;
    equal = goipci_equal(left, right, sizeof left);
    make_public(&equal, sizeof equal);
    EXPECT(!equal);
}

static void judge_scalar(void)
{
    uint8_t private_key[48];
    bool valid;

    for (int first = 0; first < 256; first += 85) {
        memset(private_key, first, sizeof private_key);
        make_secret(private_key, sizeof private_key);
        valid = goipci_private_key_valid(private_key);
        make_public(&valid, sizeof valid);
        EXPECT(valid == (first != 0 && first != 255));
    }
}

/* Hashing all 48 bytes; what differs between keys is then only in the back end's SHA-256. */
static void derive_fixed(const goipc_crypto *crypto)
{
    uint8_t shared_x[48] = {0, 0, 7}, key[32];

    make_secret(shared_x, sizeof shared_x);
    EXPECT(goipc_crypto_derive_key(crypto, shared_x, GOIPC_KEY_FORM_FIXED, key) == GOIPC_ERROR_OK);
}

static void wipe(void)
{
    uint8_t key[32] = {1};

    make_secret(key, sizeof key);
    goipc_wipe(key, sizeof key);
    EXPECT(key[0] == 0); /* defined again: every byte was written */
}

/* The data of a message is the application's secret. */
static void encode_data(void)
{
    uint8_t data[100] = {0}, out[108];
    size_t out_size;

    make_secret(data, sizeof data);
    EXPECT(goipc_wire_encode_plain(1, data, sizeof data, out, sizeof out, &out_size) ==
           GOIPC_ERROR_OK);
    EXPECT(out_size == sizeof out);
}

/* A table that decides on nothing itself, so that whatever is counted is the session's. What stays
 * secret is what stays so in an attacker's view: the private keys, X but for its first byte, which
 * is not 0, the keys that come of it, and data. */
static goipc_error blind_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 3, size);
    if (size == GOIPC_P384_PRIVATE_SIZE) {
        make_secret(out, size);
    }
    return GOIPC_ERROR_OK;
}

static goipc_error blind_public(void *context, const uint8_t private_key[48],
                                uint8_t public_key[97])
{
    uint8_t *drawn = context; /* no two sides have the same */

    (void)private_key;
    memset(public_key, ++*drawn, 97);
    return GOIPC_ERROR_OK;
}

static goipc_error blind_shared(void *context, const uint8_t private_key[48],
                                const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    (void)context;
    (void)private_key;
    (void)peer_public_key;
    memset(shared_x, 7, 48);
    make_secret(shared_x + 1, 47);
    return GOIPC_ERROR_OK;
}

static goipc_error blind_sha256(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    (void)context;
    EXPECT(in_size == 48);
    memcpy(out, in + 1, 32);
    return GOIPC_ERROR_OK;
}

static goipc_error blind_new(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                             void **aead)
{
    (void)context;
    (void)allocator;
    *aead = malloc(32);
    EXPECT(*aead != NULL);
    memcpy(*aead, key, 32);
    return GOIPC_ERROR_OK;
}

static void blind_free(void *context, const goipc_allocator *allocator, void *aead)
{
    (void)context;
    (void)allocator;
    free(aead);
}

static void mix(const uint8_t *key, const uint8_t *in, size_t size, size_t at, uint8_t *out)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = in[i] ^ key[(at + i) % 32];
    }
}

static goipc_error blind_seal(void *context, void *aead, const uint8_t nonce[12],
                              const uint8_t head[4], const uint8_t *data, size_t data_size,
                              uint8_t *out, uint8_t tag[16])
{
    (void)context;
    (void)nonce;
    mix(aead, data, data_size, 4, out + 4);
    mix(aead, head, 4, 0, out);
    memset(tag, 9, 16);
    make_public(out, 4 + data_size);
    return GOIPC_ERROR_OK;
}

/* The type and the limit are no secrets of a peer that has the key. */
static goipc_error blind_open(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                              size_t in_size, const uint8_t tag[16], uint8_t *out)
{
    (void)context;
    (void)nonce;
    EXPECT(in_size >= 4 && tag[0] == 9);
    mix(aead, in, in_size, 0, out);
    make_public(out, 4);
    return GOIPC_ERROR_OK;
}

enum { SESSION_DECISIONS = 2 }; /* each side looks whether its private key is in range */

/* A handshake of both roles, and a message each way. */
static void whole_session(void)
{
    uint8_t drawn = 0, data[1000] = {1};
    const goipc_crypto crypto = {.name = "blind",
                                 .context = &drawn,
                                 .random = blind_random,
                                 .p384_public = blind_public,
                                 .p384_shared = blind_shared,
                                 .sha256 = blind_sha256,
                                 .aead_new = blind_new,
                                 .aead_seal = blind_seal,
                                 .aead_open = blind_open,
                                 .aead_free = blind_free};
    goipc_session *server = new_session(GOIPC_ROLE_SERVER, GOIPC_ENCRYPTION_REQUIRE, &crypto, 0);
    goipc_session *client = new_session(GOIPC_ROLE_CLIENT, GOIPC_ENCRYPTION_REQUIRE, &crypto, 0);

    make_secret(data, sizeof data);
    connect_pair(server, client, SIZE_MAX);
    for (int way = 0; way < 2; way++) {
        goipc_session *from = way == 0 ? client : server, *to = way == 0 ? server : client;
        goipc_event event;
        uint8_t first;

        EXPECT(goipc_session_send(from, 5, data, sizeof data) == GOIPC_ERROR_OK);
        EXPECT(pump(from, to, SIZE_MAX, &event) == GOIPC_ERROR_OK);
        EXPECT(event.type == GOIPC_EVENT_MESSAGE && event.data_size == sizeof data);
        EXPECT(VALGRIND_GET_VBITS(event.data, &first, 1) == 1 && first != 0);
        make_public(event.data, 1);
        EXPECT(*event.data == 1);
    }
    goipc_session_free(server);
    goipc_session_free(client);
}

/* --- the back ends ---------------------------------------------------------------------------- */

/* Seals and opens under a secret key; then a forgery, whose refusal must depend on no byte of
 * it. */
static void seal_and_forge(const goipc_crypto *crypto)
{
    const uint8_t nonce[12] = {9}, head[4] = {0, 0, 0, 1};
    uint8_t key[32] = {5}, data[64] = {6}, out[68], tag[16];
    void *aead;
    goipc_error error;

    make_secret(key, sizeof key);
    make_secret(data, sizeof data);
    EXPECT(crypto->aead_new(crypto->context, goipci_allocator_or_default(NULL), key, &aead) ==
           GOIPC_ERROR_OK);
    error = crypto->aead_seal(crypto->context, aead, nonce, head, data, sizeof data, out, tag);
    make_public(&error, sizeof error);
    EXPECT(error == GOIPC_ERROR_OK);
    make_public(out, sizeof out);
    make_public(tag, sizeof tag);
    tag[3] ^= 1;
    error = crypto->aead_open(crypto->context, aead, nonce, out, sizeof out, tag, out);
    make_public(&error, sizeof error);
    EXPECT(error == GOIPC_ERROR_DECRYPT);
    crypto->aead_free(crypto->context, goipci_allocator_or_default(NULL), aead);
}

static void *keyed; /* what set_key made for seal */

static void set_key(const goipc_crypto *crypto)
{
    uint8_t key[32] = {5};

    make_secret(key, sizeof key);
    EXPECT(crypto->aead_new(crypto->context, goipci_allocator_or_default(NULL), key, &keyed) ==
           GOIPC_ERROR_OK);
}

/* Sealing alone: opening decides on the tag, which is the one public outcome. */
static void seal(const goipc_crypto *crypto)
{
    const uint8_t nonce[12] = {9}, head[4] = {0, 0, 0, 1};
    uint8_t data[3000] = {6}, out[3004], tag[16];

    make_secret(data, sizeof data);
    for (size_t size = 64; size <= sizeof data; size += sizeof data - 64) {
        EXPECT(crypto->aead_seal(crypto->context, keyed, nonce, head, data, size, out, tag) ==
               GOIPC_ERROR_OK);
    }
    crypto->aead_free(crypto->context, goipci_allocator_or_default(NULL), keyed);
}

/* --- points ----------------------------------------------------------------------------------- */

enum {
    SCALARS = 4,
    ATTEMPTS = 3,
    MULTIPLY_DECISIONS = 2
}; /* each call looks whether the scalar is in range */

/* 1, one bit in the middle, all bits below the order, and bits by turns. */
static void make_scalar(int number, uint8_t scalar[48])
{
    memset(scalar, number == 2 ? 0xff : number == 3 ? 0x5a : 0, GOIPC_P384_PRIVATE_SIZE);
    scalar[number == 2 ? 24 : number == 1 ? 20 : 47] = 1;
}

/* Both operations; by this name callgrind knows what to count. The result is public, or wiped. */
void multiply_points(const goipc_crypto *crypto, const uint8_t private_key[48]);
void multiply_points(const goipc_crypto *crypto, const uint8_t private_key[48])
{
    uint8_t public_key[97], shared_x[48];
    goipc_error error = crypto->p384_public(crypto->context, private_key, public_key);

    make_public(&error, sizeof error);
    EXPECT(error == GOIPC_ERROR_OK);
    error = crypto->p384_shared(crypto->context, private_key, goipci_p384_generator, shared_x);
    make_public(&error, sizeof error);
    EXPECT(error == GOIPC_ERROR_OK);
}

static void multiply(const goipc_crypto *crypto)
{
    uint8_t private_key[48];

    make_scalar(3, private_key);
    make_secret(private_key, sizeof private_key);
    multiply_points(crypto, private_key);
}

/* What runs under callgrind. */
static int multiply_with(const char *crypto_name, const char *number)
{
    /* Called through a volatile pointer, it cannot become part of its caller. */
    static void (*const volatile call)(const goipc_crypto *, const uint8_t *) = multiply_points;
    const goipc_crypto *crypto = goipc_crypto_by_name(crypto_name);
    uint8_t private_key[48];

    EXPECT(crypto != NULL);
    make_scalar(number[0] - '0', private_key);
    call(crypto, private_key);
    return 0;
}

/* --- controls --------------------------------------------------------------------------------- */

/* Looks at nothing: what a back end does with a secret length is not what is counted. */
static goipc_error hash_nothing(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    (void)context;
    (void)in;
    (void)in_size;
    memset(out, 0, 32);
    return GOIPC_ERROR_OK;
}

/* One decision for each zero byte and one for the byte after them; any more would be a leak that
 * the protocol does not ask for. */
enum { MINIMAL_ZEROS = 2, MINIMAL_DECISIONS = MINIMAL_ZEROS + 1 };

static void derive_minimal(void)
{
    goipc_crypto crypto = *goipc_crypto_default();
    uint8_t shared_x[48] = {[MINIMAL_ZEROS] = 7}, key[32];

    crypto.sha256 = hash_nothing;
    make_secret(shared_x, sizeof shared_x);
    EXPECT(goipc_crypto_derive_key(&crypto, shared_x, GOIPC_KEY_FORM_MINIMAL, key) ==
           GOIPC_ERROR_OK);
}

/* What nobody should write. */
static void compare_carelessly(void)
{
    uint8_t left[16] = {1}, right[16] = {1};
    volatile size_t same = 0; /* keeps the branch where compilers optimise */

    make_secret(left, sizeof left);
    while (same < sizeof left && left[same] == right[same]) {
        same++;
    }
}

/* --- the front -------------------------------------------------------------------------------- */

enum { NONE = 0, SOME = -1 };

static void report(const char *name, unsigned long count, long wanted)
{
    printf("%-40s %lu decisions on secrets%s\n", name, count,
           wanted == NONE   ? ""
           : wanted == SOME ? " (control)"
                            : " (as many as the protocol asks for)");
    if (wanted == SOME ? count > 0 : count == (unsigned long)wanted) {
        passed++;
    } else {
        failed++;
        printf("FAIL %s\n", name);
    }
}

static void judge(const char *name, void (*action)(void), long wanted)
{
    const unsigned long before = VALGRIND_COUNT_ERRORS;

    action();
    report(name, VALGRIND_COUNT_ERRORS - before, wanted);
}

/* Where the back end is built in. */
static void judge_table(const char *what, const char *crypto_name,
                        void (*action)(const goipc_crypto *crypto), long wanted)
{
    const goipc_crypto *crypto = goipc_crypto_by_name(crypto_name);
    const unsigned long before = VALGRIND_COUNT_ERRORS;
    char name[64];

    if (crypto != NULL) {
        action(crypto);
        snprintf(name, sizeof name, "%s, %s", what, crypto_name);
        report(name, VALGRIND_COUNT_ERRORS - before, wanted);
    }
}

/* Where it is false, ciphers look up tables by key. */
static bool has_aes_instructions(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#else
    return false;
#endif
}

static int judge_all(bool with_controls)
{
    const crypto_tables back_ends = each_library();

    judge("goipci_equal", compare, NONE);
    judge("goipci_private_key_valid", judge_scalar, NONE);
    judge("goipc_wipe", wipe, NONE);
    judge("goipc_wire_encode_plain", encode_data, NONE);
    if (with_controls) {
        judge("sessions of both roles, encrypted", whole_session, SESSION_DECISIONS);
    }
    for (size_t i = 0; i < back_ends.count; i++) {
        judge_table("derive_key, fixed form", back_ends.at[i]->name, derive_fixed, NONE);
    }
    judge_table("aead_new", "openssl", set_key, NONE);
    judge_table("aead_seal", "openssl", seal, NONE);
    if (has_aes_instructions()) {
        judge_table("aead_new", "nettle", set_key, SOME); /* looks up the S-box by key */
        judge_table("aead_seal", "nettle", seal, NONE);
        judge_table("aead_new", "tomcrypt+ipsec-mb", set_key, NONE);
        judge_table("aead_seal", "tomcrypt+ipsec-mb", seal, NONE);
    }
    if (with_controls) {
        judge("derive_key, minimal form", derive_minimal, MINIMAL_DECISIONS);
        judge_table("aead_seal and aead_open", "tomcrypt", seal_and_forge, SOME);
        judge_table("p384_public and p384_shared", "nettle", multiply, MULTIPLY_DECISIONS);
        judge_table("p384_public and p384_shared", "tomcrypt", multiply, SOME);
        judge("a careless comparison", compare_carelessly, SOME);
    }
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed > 0 ? JUDGED_BAD : 0;
}

static int skip(const char *reason)
{
    printf("SKIP constant_time: %s\n0 passed, 0 failed, 1 skipped\n", reason);
    return TEST_SKIPPED;
}

/* Starts valgrind with these arguments; its exit code, or -1 where it could not start. */
static int run_valgrind(const char *const arguments[])
{
    const pid_t child = fork();
    int status = -1;

    if (child == 0) {
        /* Returns only where it is not installed. */
        (void)execvp("valgrind", (char *const *)(uintptr_t)arguments);
        _exit(1);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) != 1 ? WEXITSTATUS(status) : -1;
}

/* --- counts of instructions and jumps --------------------------------------------------------- */

/* A number for what a record of callgrind counts, whatever the order of its lines. The lines that
 * describe the process are left out. */
static uint64_t read_record(const char *path)
{
    FILE *record = fopen(path, "r");
    char line[4096];
    uint64_t sum = 0;
    size_t lines = 0;

    EXPECT(record != NULL);
    for (; fgets(line, sizeof line, record) != NULL; lines++) {
        uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

        if (strncmp(line, "pid:", 4) == 0 || strncmp(line, "cmd:", 4) == 0 ||
            strncmp(line, "desc:", 5) == 0) {
            continue;
        }
        for (const char *at = line; *at != '\0'; at++) {
            hash = (hash ^ (uint8_t)*at) * UINT64_C(1099511628211);
        }
        sum += hash;
    }
    fclose(record);
    EXPECT(lines > 1000); /* something was counted */
    return sum;
}

/* Whether multiplying runs the same instructions, and takes the same jumps, for every scalar. False
 * in `ran` where callgrind does not run. */
static bool runs_the_same(const char *program, const char *crypto_name, bool *ran)
{
    char directory[] = "/tmp/goipc-constant-time-XXXXXX", paths[SCALARS][48];
    bool same = true;

    EXPECT(mkdtemp(directory) != NULL);
    *ran = true;
    for (int i = 0; i < SCALARS; i++) {
        char number[] = {(char)('0' + i), '\0'}, out[sizeof paths + 24];
        const char *const arguments[] = {"valgrind",
                                         "--quiet",
                                         "--tool=callgrind",
                                         "--compress-pos=no",
                                         "--compress-strings=no",
                                         "--dump-instr=yes",
                                         "--collect-jumps=yes",
                                         "--toggle-collect=multiply_points",
                                         out,
                                         program,
                                         "--multiply",
                                         crypto_name,
                                         number,
                                         NULL};

        snprintf(paths[i], sizeof paths[i], "%s/%d", directory, i);
        snprintf(out, sizeof out, "--callgrind-out-file=%s", paths[i]);
        /* Counts differ now and then between two equal runs; those of other work do every time. */
        for (int attempt = 0; attempt < ATTEMPTS && same && *ran; attempt++) {
            *ran = run_valgrind(arguments) == 0;
            if (*ran && read_record(paths[0]) == read_record(paths[i])) {
                break;
            }
            same = attempt < ATTEMPTS - 1;
        }
    }
    for (int i = 0; i < SCALARS; i++) {
        (void)unlink(paths[i]); /* not there where callgrind did not run */
    }
    EXPECT(rmdir(directory) == 0);
    return same;
}

static int judge_runs(const char *program)
{
    static const struct {
        const char *crypto_name;
        bool same;
    } rows[] = {{"nettle", true}, {"tomcrypt", false}};
    int result = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool ran, same;

        if (goipc_crypto_by_name(rows[i].crypto_name) == NULL) {
            continue;
        }
        same = runs_the_same(program, rows[i].crypto_name, &ran);
        if (!ran) {
            printf("SKIP callgrind does not run\n");
            return 0;
        }
        printf("%s multiplies by %s instructions for every scalar%s\n", rows[i].crypto_name,
               same ? "the same" : "other", rows[i].same ? "" : " (control)");
        result = same == rows[i].same ? result : JUDGED_BAD;
    }
    return result;
}

int main(int argc, char **argv)
{
    char suppressions[1024];
    const char *const arguments[] = {
        "valgrind", "--quiet", "--log-file=/dev/null", suppressions, argv[0], "--controls", NULL};
    int result;

    if (argc == 4 && strcmp(argv[1], "--multiply") == 0) {
        return multiply_with(argv[2], argv[3]);
    }
    if (RUNNING_ON_VALGRIND) {
        /* Under somebody else's valgrind the controls would be their errors. */
        return judge_all(argc > 1 && strcmp(argv[1], "--controls") == 0);
    }
    if (IS_SANITIZED) {
        return skip("built with a sanitizer, which valgrind cannot run");
    }
    EXPECT(argc == 2); /* the file of suppressions */
    snprintf(suppressions, sizeof suppressions, "--suppressions=%s", argv[1]);
    result = run_valgrind(arguments);
    if (result != 0 && result != JUDGED_BAD) {
        return skip("valgrind is not installed, or cannot read this compiler's debug information");
    }
    return judge_runs(argv[0]) == 0 ? result : JUDGED_BAD;
}
