/* SPDX-License-Identifier: MIT */
/* Goal: all back ends give the right answer to every vector of the Wycheproof project and of NIST
 * that applies: P-384 points in 97 bytes, AES-256-GCM with 12-byte nonces and 16-byte tags, as a
 * whole and in parts, SHA-256, and the session keys that golang-ipc derives. Method: files of
 * space-separated hexadecimal fields in the directory that the first argument names ("-" is an
 * empty field); skipped where there are none. nist.py makes such files from a Python package. */
#include "crypto_tables.h"

enum { LINE_SIZE = 4096, FIELDS_MAX = 10, BYTES_MAX = 1024 };

static crypto_tables backends;
static const char *directory;
static long step = 1; /* every so many lines are checked */

/* --- lines ------------------------------------------------------------------------------------ */

typedef struct vector_line {
    char text[LINE_SIZE];
    char *fields[FIELDS_MAX];
    size_t field_count;
} vector_line;

static void split(vector_line *line)
{
    char *at = line->text;

    line->field_count = 0;
    for (at += strspn(at, " \r\n"); *at != '\0'; at += strspn(at, " \r\n")) {
        EXPECT(line->field_count < FIELDS_MAX);
        line->fields[line->field_count++] = at;
        at += strcspn(at, " \r\n");
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
}

static size_t bytes_of(const vector_line *line, size_t field, uint8_t out[BYTES_MAX])
{
    const char *hex = line->fields[field];
    size_t size;

    EXPECT(field < line->field_count);
    size = test_from_hex(strcmp(hex, "-") == 0 ? "" : hex, out, BYTES_MAX);
    EXPECT(size != SIZE_MAX);
    return size;
}

/* Runs `check` on every line of a file but comments; how many there were, or 0 without the file. */
static int for_each_line(const char *name, void (*check)(const goipc_crypto *, const vector_line *))
{
    static vector_line current;
    char path[1024];
    FILE *file;
    int count = 0;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    while (fgets(current.text, sizeof current.text, file) != NULL) {
        EXPECT(strchr(current.text, '\n') != NULL || feof(file));
        if (current.text[0] == '#' || current.text[0] == '\n') {
            continue;
        }
        if (count++ % step != 0) {
            continue;
        }
        split(&current);
        for (size_t i = 0; i < backends.count; i++) {
            check(backends.at[i], &current);
        }
    }
    fclose(file);
    return count;
}

/* Ends the test with the number of the vector, where EXPECT would tell only the line here. */
static void expect(const goipc_crypto *crypto, const vector_line *line, bool condition)
{
    if (!condition) {
        fprintf(stderr, "%s: wrong answer to vector %s\n", crypto->name, line->fields[0]);
    }
    EXPECT(condition);
}

/* --- vectors ---------------------------------------------------------------------------------- */

/* number, valid|invalid|acceptable, public key, private key, shared X, flags */
static void check_ecdh(const goipc_crypto *crypto, const vector_line *line)
{
    uint8_t public_key[BYTES_MAX], private_key[BYTES_MAX], expected[BYTES_MAX], shared_x[48];
    const bool valid = strcmp(line->fields[1], "valid") == 0;
    goipc_error error;

    /* Keys of another size cannot come up: the protocol reads 97 bytes. */
    if (bytes_of(line, 2, public_key) != GOIPC_P384_PUBLIC_SIZE) {
        expect(crypto, line, !valid);
        return;
    }
    EXPECT(bytes_of(line, 3, private_key) == GOIPC_P384_PRIVATE_SIZE);
    error = crypto->p384_shared(crypto->context, private_key, public_key, shared_x);
    expect(crypto, line, error == (valid ? GOIPC_ERROR_OK : GOIPC_ERROR_PUBLIC_KEY));
    if (valid) {
        EXPECT(bytes_of(line, 4, expected) == GOIPC_P384_SHARED_SIZE);
        expect(crypto, line, memcmp(shared_x, expected, sizeof shared_x) == 0);
    }
}

/* number, private key, public key */
static void check_public(const goipc_crypto *crypto, const vector_line *line)
{
    uint8_t private_key[BYTES_MAX], expected[BYTES_MAX], public_key[97];

    EXPECT(bytes_of(line, 1, private_key) == GOIPC_P384_PRIVATE_SIZE);
    EXPECT(bytes_of(line, 2, expected) == GOIPC_P384_PUBLIC_SIZE);
    expect(crypto, line,
           crypto->p384_public(crypto->context, private_key, public_key) == GOIPC_ERROR_OK);
    expect(crypto, line, memcmp(public_key, expected, sizeof public_key) == 0);
}

/* number, message, hash */
static void check_hash(const goipc_crypto *crypto, const vector_line *line)
{
    uint8_t message[BYTES_MAX], expected[BYTES_MAX], hash[32];
    const size_t size = bytes_of(line, 1, message);

    EXPECT(bytes_of(line, 2, expected) == sizeof hash);
    expect(crypto, line, crypto->sha256(crypto->context, message, size, hash) == GOIPC_ERROR_OK);
    expect(crypto, line, memcmp(hash, expected, sizeof hash) == 0);
}

/* number, public key, private key, minimal X, session key */
static void check_session_key(const goipc_crypto *crypto, const vector_line *line)
{
    uint8_t public_key[BYTES_MAX], private_key[BYTES_MAX], minimal[BYTES_MAX], expected[BYTES_MAX];
    uint8_t shared_x[48], key[32];
    size_t size, zeros;

    EXPECT(bytes_of(line, 1, public_key) == GOIPC_P384_PUBLIC_SIZE);
    EXPECT(bytes_of(line, 2, private_key) == GOIPC_P384_PRIVATE_SIZE);
    size = bytes_of(line, 3, minimal);
    EXPECT(bytes_of(line, 4, expected) == GOIPC_KEY_SIZE && size <= sizeof shared_x);
    expect(crypto, line,
           crypto->p384_shared(crypto->context, private_key, public_key, shared_x) ==
               GOIPC_ERROR_OK);
    zeros = sizeof shared_x - size;
    expect(crypto, line, memcmp(shared_x + zeros, minimal, size) == 0);
    expect(crypto, line,
           goipc_crypto_derive_key(crypto, shared_x, GOIPC_KEY_FORM_MINIMAL, key) ==
               GOIPC_ERROR_OK);
    expect(crypto, line, memcmp(key, expected, sizeof key) == 0);
}

typedef struct gcm_vector {
    uint8_t text[BYTES_MAX], sealed[BYTES_MAX], tag[BYTES_MAX], nonce[BYTES_MAX];
    size_t size;
    bool valid;
    bool has_text; /* of what is forged it may not be known */
} gcm_vector;

static void check_open(const goipc_crypto *crypto, void *aead, const vector_line *line,
                       const gcm_vector *vector)
{
    uint8_t opened[BYTES_MAX];
    const goipc_error error = crypto->aead_open(crypto->context, aead, vector->nonce,
                                                vector->sealed, vector->size, vector->tag, opened);

    expect(crypto, line, error == (vector->valid ? GOIPC_ERROR_OK : GOIPC_ERROR_DECRYPT));
    expect(crypto, line, !vector->valid || memcmp(opened, vector->text, vector->size) == 0);
}

static void check_seal(const goipc_crypto *crypto, void *aead, const vector_line *line,
                       const gcm_vector *vector)
{
    uint8_t out[BYTES_MAX], tag[16];

    /* The first four bytes are the message type: a shorter text cannot be sealed. */
    if (vector->size < GOIPC_FRAME_TYPE_SIZE || !vector->has_text) {
        return;
    }
    expect(crypto, line,
           crypto->aead_seal(crypto->context, aead, vector->nonce, vector->text, vector->text + 4,
                             vector->size - 4, out, tag) == GOIPC_ERROR_OK);
    expect(crypto, line, memcmp(out, vector->sealed, vector->size) == 0);
    expect(crypto, line, (memcmp(tag, vector->tag, sizeof tag) == 0) == vector->valid);
}

/* The same in two parts, cut at every block. */
static void check_parts(const goipc_crypto *crypto, void *aead, const vector_line *line,
                        const gcm_vector *vector)
{
    for (size_t cut = 0; cut <= vector->size; cut += 16) {
        uint8_t out[BYTES_MAX], tag[16];

        expect(crypto, line,
               crypto->aead_start(crypto->context, aead, vector->nonce, true) == GOIPC_ERROR_OK);
        expect(crypto, line,
               crypto->aead_update(crypto->context, aead, vector->sealed, cut, out) ==
                   GOIPC_ERROR_OK);
        expect(crypto, line,
               crypto->aead_update(crypto->context, aead, vector->sealed + cut, vector->size - cut,
                                   out + cut) == GOIPC_ERROR_OK);
        expect(crypto, line,
               crypto->aead_finish_open(crypto->context, aead, vector->tag) ==
                   (vector->valid ? GOIPC_ERROR_OK : GOIPC_ERROR_DECRYPT));
        if (!vector->has_text) {
            continue;
        }
        expect(crypto, line, memcmp(out, vector->text, vector->size) == 0);
        expect(crypto, line,
               crypto->aead_start(crypto->context, aead, vector->nonce, false) == GOIPC_ERROR_OK);
        expect(crypto, line,
               crypto->aead_update(crypto->context, aead, out, cut, out) == GOIPC_ERROR_OK);
        expect(crypto, line,
               crypto->aead_update(crypto->context, aead, out + cut, vector->size - cut,
                                   out + cut) == GOIPC_ERROR_OK);
        expect(crypto, line,
               crypto->aead_finish_seal(crypto->context, aead, tag) == GOIPC_ERROR_OK);
        expect(crypto, line, memcmp(out, vector->sealed, vector->size) == 0);
        expect(crypto, line, (memcmp(tag, vector->tag, sizeof tag) == 0) == vector->valid);
    }
}

/* number, valid|invalid|forged, key, nonce, associated data, text (none if forged), sealed text,
 * tag */
static void check_gcm(const goipc_crypto *crypto, const vector_line *line)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    static gcm_vector vector;
    uint8_t key[BYTES_MAX], none[BYTES_MAX];
    void *aead;

    EXPECT(bytes_of(line, 2, key) == GOIPC_KEY_SIZE);
    EXPECT(bytes_of(line, 3, vector.nonce) == GOIPC_NONCE_SIZE);
    if (bytes_of(line, 4, none) > 0) {
        return; /* the protocol has no associated data, and so the table has none */
    }
    vector.valid = strcmp(line->fields[1], "valid") == 0;
    vector.has_text = strcmp(line->fields[1], "forged") != 0;
    vector.size = bytes_of(line, 6, vector.sealed);
    EXPECT(bytes_of(line, 5, vector.text) == (vector.has_text ? vector.size : 0));
    EXPECT(bytes_of(line, 7, vector.tag) == GOIPC_TAG_SIZE);
    EXPECT(crypto->aead_new(crypto->context, allocator, key, &aead) == GOIPC_ERROR_OK);
    check_open(crypto, aead, line, &vector);
    check_seal(crypto, aead, line, &vector);
    check_parts(crypto, aead, line, &vector);
    crypto->aead_free(crypto->context, allocator, aead);
}

int main(int argc, char **argv)
{
    int ecdh, gcm, keys, others;

    if (argc != 2) {
        printf("SKIP wycheproof: no folder; configure with -DGOIPC_WYCHEPROOF_DIR=FOLDER\n");
        return TEST_SKIPPED;
    }
    directory = argv[1];
    backends = each_library();
    gcm = for_each_line("gcm.txt", check_gcm);
    others = for_each_line("hash.txt", check_hash);
    step = test_amount("vectors of the curve: every", 1, 16);
    keys = for_each_line("session_keys.txt", check_session_key);
    ecdh = for_each_line("ecdh.txt", check_ecdh);
    others += for_each_line("public.txt", check_public);
    if (ecdh == 0 || gcm == 0 || keys + others == 0) {
        printf("SKIP wycheproof: no vectors in %s\n", directory);
        return TEST_SKIPPED;
    }
    printf("ok %d checks: %d ecdh, %d session keys, %d gcm, %d others, %d back ends\n", test_checks,
           ecdh, keys, gcm, others, (int)backends.count);
    return 0;
}
