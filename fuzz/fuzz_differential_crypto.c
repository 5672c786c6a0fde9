/* SPDX-License-Identifier: MIT */
/* Property: all back ends give the same answer, byte for byte and error for error, to every
 * question that the protocol asks; what one seals the other opens, and neither opens what was
 * changed or leaves bytes of it behind. Each is compared with the next: libtomcrypt, OpenSSL,
 * nettle, IPSec MB. */
#include "fuzz.h"
#include "keys.h"

enum { BACK_ENDS_MAX = 4 };

static const goipc_crypto *back_ends[BACK_ENDS_MAX];
static size_t back_end_count;
static const goipc_crypto *left; /* the two whose turn it is */
static const goipc_crypto *right;

static void take_into(fuzz_bytes *bytes, uint8_t *out, size_t size)
{
    size_t taken;
    const uint8_t *at = fuzz_take(bytes, size, &taken);

    memset(out, 0, size);
    if (taken > 0) {
        memcpy(out, at, taken);
    }
}

static void check_public(fuzz_bytes bytes)
{
    uint8_t private_key[48], public_left[97] = {0}, public_right[97] = {0};
    goipc_error error;

    take_into(&bytes, private_key, sizeof private_key);
    error = left->p384_public(left->context, private_key, public_left);
    FUZZ_REQUIRE(error == right->p384_public(right->context, private_key, public_right));
    FUZZ_REQUIRE(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_ARGUMENT);
    FUZZ_REQUIRE(error != GOIPC_ERROR_OK ||
                 memcmp(public_left, public_right, sizeof public_left) == 0);
}

static void check_shared(fuzz_bytes bytes)
{
    uint8_t private_key[48], public_key[97], shared_left[48] = {0}, shared_right[48] = {0};
    const uint8_t how = fuzz_take_u8(&bytes);
    goipc_error error;

    take_into(&bytes, private_key, sizeof private_key);
    if (how & 1) {
        memcpy(private_key, fuzz_server_private, sizeof private_key);
    }
    take_into(&bytes, public_key, sizeof public_key);
    if (how & 2) {
        /* A point of the curve with one byte changed: random ones are never on it. */
        memcpy(public_key, how & 4 ? fuzz_zero_public : fuzz_client_public, sizeof public_key);
        public_key[how >> 3] ^= fuzz_take_u8(&bytes);
    }
    error = left->p384_shared(left->context, private_key, public_key, shared_left);
    FUZZ_REQUIRE(error ==
                 right->p384_shared(right->context, private_key, public_key, shared_right));
    FUZZ_REQUIRE(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_ARGUMENT ||
                 error == GOIPC_ERROR_PUBLIC_KEY);
    FUZZ_REQUIRE(error != GOIPC_ERROR_OK ||
                 memcmp(shared_left, shared_right, sizeof shared_left) == 0);
}

static void check_derive(fuzz_bytes bytes)
{
    const goipc_key_form form =
        fuzz_take_u8(&bytes) & 1 ? GOIPC_KEY_FORM_FIXED : GOIPC_KEY_FORM_MINIMAL;
    const size_t zeros = fuzz_take_u8(&bytes) % 49;
    uint8_t shared_x[48], key_left[32], key_right[32];

    take_into(&bytes, shared_x, sizeof shared_x);
    memset(shared_x, 0, zeros);
    FUZZ_REQUIRE(goipc_crypto_derive_key(left, shared_x, form, key_left) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(goipc_crypto_derive_key(right, shared_x, form, key_right) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(memcmp(key_left, key_right, sizeof key_left) == 0);
}

static void check_hash(fuzz_bytes bytes)
{
    uint8_t hash_left[32], hash_right[32];

    FUZZ_REQUIRE(left->sha256(left->context, bytes.at, bytes.size, hash_left) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(right->sha256(right->context, bytes.at, bytes.size, hash_right) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(memcmp(hash_left, hash_right, sizeof hash_left) == 0);
}

/* One opens what the other sealed; then a changed copy, which must fail and leave nothing. */
static void check_open(const goipc_crypto *opener, const uint8_t key[32], const uint8_t *frame,
                       size_t frame_size, uint32_t type_sealed, fuzz_bytes data, size_t change_at,
                       uint8_t change)
{
    const size_t body_size = frame_size - 4;
    uint8_t *body = malloc(body_size);
    uint32_t type;
    const uint8_t *opened;
    size_t opened_size;
    goipc_error error;

    FUZZ_REQUIRE(body != NULL);
    memcpy(body, frame + 4, body_size);
    error = goipc_crypto_open_frame(opener, key, body, body_size, &type, &opened, &opened_size);
    FUZZ_REQUIRE(error == GOIPC_ERROR_OK && type == type_sealed && opened_size == data.size);
    FUZZ_REQUIRE(data.size == 0 || memcmp(opened, data.at, data.size) == 0);

    memcpy(body, frame + 4, body_size);
    body[change_at % body_size] ^= change;
    error = goipc_crypto_open_frame(opener, key, body, body_size, &type, &opened, &opened_size);
    FUZZ_REQUIRE(error == (change == 0 ? GOIPC_ERROR_OK : GOIPC_ERROR_DECRYPT));
    for (size_t i = 12; change != 0 && i < body_size - 16; i++) {
        FUZZ_REQUIRE(body[i] == 0);
    }
    free(body);
}

static void check_seal(fuzz_bytes bytes)
{
    uint8_t key[32], nonce[12];
    const uint32_t type = fuzz_take_u32(&bytes);
    const size_t change_at = fuzz_take_u32(&bytes);
    const uint8_t change = fuzz_take_u8(&bytes);
    const size_t capacity_missing = fuzz_take_u8(&bytes) & 1;
    size_t size_left = 0, size_right = 0, capacity;
    uint8_t *frame_left, *frame_right;
    goipc_error error;

    take_into(&bytes, key, sizeof key);
    take_into(&bytes, nonce, sizeof nonce);
    capacity = bytes.size + 36 - capacity_missing;
    frame_left = malloc(capacity);
    frame_right = malloc(capacity);
    FUZZ_REQUIRE(frame_left != NULL && frame_right != NULL);
    error = goipc_crypto_seal_frame(left, key, nonce, type, bytes.at, bytes.size, frame_left,
                                    capacity, &size_left);
    FUZZ_REQUIRE(error == goipc_crypto_seal_frame(right, key, nonce, type, bytes.at, bytes.size,
                                                  frame_right, capacity, &size_right));
    FUZZ_REQUIRE(error == (capacity_missing ? GOIPC_ERROR_CAPACITY : GOIPC_ERROR_OK));
    if (error == GOIPC_ERROR_OK) {
        FUZZ_REQUIRE(size_left == capacity && size_right == capacity);
        FUZZ_REQUIRE(memcmp(frame_left, frame_right, capacity) == 0);
        check_open(left, key, frame_right, capacity, type, bytes, change_at, change);
        check_open(right, key, frame_left, capacity, type, bytes, change_at, change);
    }
    free(frame_left);
    free(frame_right);
}

/* Anything at all as the body of a sealed frame. */
static void check_open_raw(fuzz_bytes bytes)
{
    uint8_t key[32];
    uint8_t *body;
    uint32_t type;
    const uint8_t *data;
    size_t data_size;

    take_into(&bytes, key, sizeof key);
    body = malloc(bytes.size + 1);
    FUZZ_REQUIRE(body != NULL);
    for (int i = 0; i < 2; i++) {
        const goipc_error expected = bytes.size < 32 ? GOIPC_ERROR_FRAME_SIZE : GOIPC_ERROR_DECRYPT;

        if (bytes.size > 0) {
            memcpy(body, bytes.at, bytes.size);
        }
        FUZZ_REQUIRE(goipc_crypto_open_frame(i == 0 ? left : right, key, body, bytes.size, &type,
                                             &data, &data_size) == expected);
    }
    free(body);
}

/* A table that fails at the Nth call makes everything above it say so, and leave nothing. */
static void check_failing(fuzz_bytes bytes)
{
    fuzz_script script;
    const uint8_t key[32] = {0}, nonce[12] = {0};
    uint8_t frame[64], changed[64];
    size_t size;
    uint32_t type;
    const uint8_t *data;
    size_t data_size;
    goipc_error error;

    fuzz_script_init(&script, right, fuzz_server_private, 1);
    script.fail_at = fuzz_take_u8(&bytes) % 16;
    /* Its random bytes are always the same, which the self-test takes for a broken source. */
    error = goipc_crypto_self_test(&script.table);
    FUZZ_REQUIRE(error == GOIPC_ERROR_CRYPTO || error == GOIPC_ERROR_RANDOM);

    script.count = 0;
    error = goipc_crypto_seal_frame(&script.table, key, nonce, 1, "data", 4, frame, sizeof frame,
                                    &size);
    FUZZ_REQUIRE(error == (script.fail_at == 1 || script.fail_at == 2 ? GOIPC_ERROR_CRYPTO
                                                                      : GOIPC_ERROR_OK));
    FUZZ_REQUIRE(goipc_crypto_seal_frame(right, key, nonce, 1, "data", 4, frame, sizeof frame,
                                         &size) == GOIPC_ERROR_OK);
    memcpy(changed, frame, sizeof changed);
    script.count = 0;
    error = goipc_crypto_open_frame(&script.table, key, changed + 4, size - 4, &type, &data,
                                    &data_size);
    FUZZ_REQUIRE(error == (script.fail_at == 1 || script.fail_at == 2 ? GOIPC_ERROR_CRYPTO
                                                                      : GOIPC_ERROR_OK));
}

/* The real random bytes and one other function that lies: the self-test must notice. */
static uint8_t lie_at;

static goipc_error lying_sha256(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    const goipc_error error = right->sha256(right->context, in, in_size, out);

    (void)context;
    out[lie_at % 32] ^= 1;
    return error;
}

static goipc_error lying_public(void *context, const uint8_t private_key[48],
                                uint8_t public_key[97])
{
    const goipc_error error = right->p384_public(right->context, private_key, public_key);

    (void)context;
    public_key[lie_at % 97] ^= 1;
    return error;
}

static goipc_error lying_shared(void *context, const uint8_t private_key[48],
                                const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    const goipc_error error =
        right->p384_shared(right->context, private_key, peer_public_key, shared_x);

    (void)context;
    if (lie_at & 1) {
        return GOIPC_ERROR_OK; /* takes every point */
    }
    shared_x[lie_at % 48] ^= 1;
    return error;
}

static goipc_error lying_open(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                              size_t in_size, const uint8_t tag[16], uint8_t *out)
{
    const goipc_error error = right->aead_open(right->context, aead, nonce, in, in_size, tag, out);

    (void)context;
    if (lie_at & 1) {
        return GOIPC_ERROR_OK; /* takes every tag */
    }
    out[lie_at % in_size] ^= 1;
    return error;
}

static goipc_error lying_seal(void *context, void *aead, const uint8_t nonce[12],
                              const uint8_t head[4], const uint8_t *data, size_t data_size,
                              uint8_t *out, uint8_t tag[16])
{
    const goipc_error error =
        right->aead_seal(right->context, aead, nonce, head, data, data_size, out, tag);

    (void)context;
    *(lie_at & 1 ? &tag[lie_at % 16] : &out[lie_at % (4 + data_size)]) ^= 1;
    return error;
}

static void check_liar(fuzz_bytes bytes)
{
    const uint8_t which = fuzz_take_u8(&bytes) % 5;
    goipc_crypto liar = *right;

    lie_at = fuzz_take_u8(&bytes);
    switch (which) {
    case 0:
        liar.sha256 = lying_sha256;
        break;
    case 1:
        liar.p384_public = lying_public;
        break;
    case 2:
        liar.p384_shared = lying_shared;
        break;
    case 3:
        liar.aead_open = lying_open;
        break;
    default:
        liar.aead_seal = lying_seal;
        break;
    }
    FUZZ_REQUIRE(goipc_crypto_self_test(&liar) == GOIPC_ERROR_CRYPTO);
}

static void add_back_end(const char *name)
{
    const goipc_crypto *crypto = goipc_crypto_by_name(name);

    if (crypto == NULL) {
        fprintf(stderr, "built without %s, which is not compared\n", name);
        return;
    }
    FUZZ_REQUIRE(goipc_crypto_self_test(crypto) == GOIPC_ERROR_OK);
    back_ends[back_end_count++] = crypto;
}

static void start(void)
{
    char name[32];

    add_back_end("tomcrypt");
    FUZZ_REQUIRE(back_end_count == 1 && goipc_crypto_by_name("none") == NULL);
    add_back_end("openssl");
    add_back_end("nettle");
    /* It has no curve: the one before it computes for both. */
    (void)snprintf(name, sizeof name, "%s+ipsec-mb", back_ends[back_end_count - 1]->name);
    add_back_end(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(fuzz_bytes bytes) = {
        check_public, check_shared,   check_derive,  check_hash,
        check_seal,   check_open_raw, check_failing, check_liar,
    };
    fuzz_bytes bytes = {data, size};
    const size_t which = fuzz_take_u8(&bytes) % (sizeof checks / sizeof checks[0]);

    if (back_end_count == 0) {
        start();
    }
    left = back_ends[0];
    right = back_ends[back_end_count > 1 ? 1 : 0]; /* libtomcrypt alone, with itself */
    checks[which](bytes);
    for (size_t i = 2; i < back_end_count; i++) {
        left = back_ends[i - 1];
        right = back_ends[i];
        checks[which](bytes);
    }
    return 0;
}
