/* SPDX-License-Identifier: MIT */
/* Goal: all back ends compute what the specification says and the same as each other, the parts
 * that are common to them are right at every boundary, every combination of a curve and a cipher
 * can be had by its name, and the self-test notices every function that is broken. Method: literals
 * made with the Python package "cryptography", the back ends against each other, and tables in
 * which one function is replaced. */
#include "crypto_tables.h"

static crypto_tables backends;

/* --- choosing --------------------------------------------------------------------------------- */

static bool is_built_in(const char *name)
{
    return goipc_crypto_by_name(name) != NULL;
}

static void test_tables(void)
{
    const goipc_crypto *tomcrypt = goipc_crypto_tomcrypt();
    const goipc_crypto *openssl = goipc_crypto_openssl();
    const crypto_tables all = every_combination();

    EXPECT(tomcrypt != NULL && strcmp(tomcrypt->name, "tomcrypt") == 0);
    EXPECT(openssl == NULL || strcmp(openssl->name, "openssl") == 0);
    EXPECT(goipc_crypto_default() == all.at[0] && all.at[all.count - 1] == tomcrypt);
    EXPECT(goipc_crypto_by_name("tomcrypt") == tomcrypt);
    EXPECT(goipc_crypto_by_name("openssl") == openssl);
    EXPECT(!is_built_in("none") && !is_built_in("") && !is_built_in("ipsec-mb"));
    EXPECT(!is_built_in("tomcrypt+tomcrypt") && !is_built_in("tomcrypt+") && !is_built_in("+"));
    EXPECT(!is_built_in("ipsec-mb+tomcrypt"));
    for (size_t i = 0; i < all.count; i++) {
        EXPECT(goipc_crypto_by_name(all.at[i]->name) == all.at[i]);
    }
}

/* Curve and cipher are chosen apart: each from the best library that is there. */
static void test_choice(void)
{
    const bool has_nettle = is_built_in("nettle"), has_openssl = goipc_crypto_openssl() != NULL;
    const char *curve = has_nettle ? "nettle" : has_openssl ? "openssl" : "tomcrypt";
    const char *cipher = is_built_in("tomcrypt+ipsec-mb") ? "ipsec-mb"
                         : has_openssl                    ? "openssl"
                                                          : curve;
    char name[64];

    snprintf(name, sizeof name, strcmp(curve, cipher) == 0 ? "%s" : "%s+%s", curve, cipher);
    EXPECT(strcmp(goipc_crypto_default()->name, name) == 0);
}

/* A combination has the functions of both its halves, and none of its own. */
static void test_combinations(void)
{
    const crypto_tables all = every_combination();

    for (size_t i = 0; i < all.count; i++) {
        const char *plus = strchr(all.at[i]->name, '+');
        char curve_name[64], cipher_name[64];
        const goipc_crypto *curve, *cipher;

        if (plus == NULL) {
            continue;
        }
        snprintf(curve_name, sizeof curve_name, "%.*s", (int)(plus - all.at[i]->name),
                 all.at[i]->name);
        snprintf(cipher_name, sizeof cipher_name, "%s%s",
                 strcmp(plus, "+ipsec-mb") == 0 ? "tomcrypt+" : "", plus + 1);
        curve = goipc_crypto_by_name(curve_name);
        cipher = goipc_crypto_by_name(cipher_name);
        EXPECT(curve != NULL && cipher != NULL);
        EXPECT(all.at[i]->random == curve->random && all.at[i]->sha256 == curve->sha256);
        EXPECT(all.at[i]->p384_public == curve->p384_public);
        EXPECT(all.at[i]->p384_shared == curve->p384_shared);
        EXPECT(all.at[i]->aead_new == cipher->aead_new &&
               all.at[i]->aead_free == cipher->aead_free);
        EXPECT(all.at[i]->aead_seal == cipher->aead_seal);
        EXPECT(all.at[i]->aead_open == cipher->aead_open);
        EXPECT(all.at[i]->aead_start == cipher->aead_start);
        EXPECT(goipc_crypto_self_test(all.at[i]) == GOIPC_ERROR_OK);
    }
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void test_wipe(void)
{
    for (size_t size = 0; size < 70; size++) {
        uint8_t *bytes = malloc(size + 1);

        EXPECT(bytes != NULL);
        memset(bytes, 0xaa, size + 1);
        goipc_wipe(bytes, size);
        for (size_t i = 0; i < size; i++) {
            EXPECT(bytes[i] == 0);
        }
        EXPECT(bytes[size] == 0xaa);
        free(bytes);
    }
    goipc_wipe(NULL, 0);
}

static void test_equal(void)
{
    uint8_t left[48], right[48];

    memset(left, 0x5a, sizeof left);
    memset(right, 0x5a, sizeof right);
    for (size_t size = 0; size <= sizeof left; size++) {
        EXPECT(goipci_equal(left, right, size));
        for (size_t bit = 0; bit < size * 8; bit++) {
            right[bit / 8] ^= (uint8_t)(1 << bit % 8);
            EXPECT(!goipci_equal(left, right, size));
            EXPECT(goipci_equal(left, right, bit / 8)); /* what lies behind is not looked at */
            right[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* --- scalars and coordinates ------------------------------------------------------------------ */

#define ORDER_HEAD                                                                                 \
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77a"
#define PRIME_HEAD                                                                                 \
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff00000000"
#define ZEROS_40 "00000000000000000000000000000000000000000000000000000000000000000000000000000000"

static void from_hex(const char *hex, uint8_t *out, size_t size)
{
    EXPECT(test_from_hex(hex, out, size) == size);
}

static const struct {
    const char *scalar;
    bool valid;
} scalars[] = {
    {ZEROS_40 "0000000000000000", false},
    {ZEROS_40 "0000000000000001", true},
    {ZEROS_40 "0000000000000100", true},
    {"80" ZEROS_40 "00000000000000", true},
    {ORDER_HEAD "ecec196accc52971", true},
    {ORDER_HEAD "ecec196accc52873", true}, /* a borrow decides, not the last byte */
    {ORDER_HEAD "ecec196accc52a72", false},
    {ORDER_HEAD "ececf96accc52973", false},
    {ORDER_HEAD "ecec196accc52972", true},  /* n - 1 */
    {ORDER_HEAD "ecec196accc52973", false}, /* n */
    {ORDER_HEAD "ecec196accc52974", false},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a779"
     "ffffffffffffffff",
     true},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "ffffffffffffffff",
     false},
};

/* req: KD-002 */
static void test_scalars(void)
{
    uint8_t scalar[48], public_key[97], shared_x[48];

    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        from_hex(scalars[i].scalar, scalar, sizeof scalar);
        EXPECT(goipci_private_key_valid(scalar) == scalars[i].valid);
        for (size_t b = 0; b < backends.count; b++) {
            const goipc_crypto *crypto = backends.at[b];
            const goipc_error expected = scalars[i].valid ? GOIPC_ERROR_OK : GOIPC_ERROR_ARGUMENT;

            EXPECT(crypto->p384_public(crypto->context, scalar, public_key) == expected);
            EXPECT(crypto->p384_shared(crypto->context, scalar, goipci_p384_generator, shared_x) ==
                   expected);
        }
    }
}

/* req: KD-006, KD-007 */
static void test_range_of_coordinates(void)
{
    static const struct {
        const char *coordinate;
        bool below;
    } rows[] = {
        {ZEROS_40 "0000000000000000", true},    {PRIME_HEAD "00000000fffffffe", true},
        {PRIME_HEAD "00000000ffffffff", false}, /* p */
        {PRIME_HEAD "0000000100000000", false}, {PRIME_HEAD "ffffffffffffffff", false},
    };
    uint8_t public_key[97] = {4};

    for (size_t x = 0; x < sizeof rows / sizeof rows[0]; x++) {
        from_hex(rows[x].coordinate, public_key + 1, 48);
        for (size_t y = 0; y < sizeof rows / sizeof rows[0]; y++) {
            from_hex(rows[y].coordinate, public_key + 49, 48);
            EXPECT(goipci_public_key_in_range(public_key) == (rows[x].below && rows[y].below));
        }
    }
    memset(public_key, 0, sizeof public_key);
    for (unsigned first = 0; first < 256; first++) {
        public_key[0] = (uint8_t)first;
        EXPECT(goipci_public_key_in_range(public_key) == (first == 4));
    }
}

/* A random source that gives the bytes of `scalars`, one value per call. */
typedef struct random_script {
    const uint8_t (*values)[48];
    size_t count;
    size_t calls;
} random_script;

static goipc_error give_scripted(void *context, uint8_t *out, size_t size)
{
    random_script *script = context;

    if (script->calls == script->count) {
        return GOIPC_ERROR_RANDOM;
    }
    EXPECT(size <= 48);
    memcpy(out, script->values[script->calls++], size);
    return GOIPC_ERROR_OK;
}

static void test_draw(void)
{
    uint8_t values[70][48] = {{0}};
    random_script source = {(const uint8_t(*)[48])values, 3, 0};
    const goipc_crypto crypto = {.context = &source, .random = give_scripted};
    uint8_t private_key[48];

    /* Refused twice, then taken as it is. */
    from_hex(ORDER_HEAD "ecec196accc52973", values[1], 48);
    from_hex(ORDER_HEAD "ecec196accc52972", values[2], 48);
    EXPECT(goipci_private_key_draw(&crypto, private_key) == GOIPC_ERROR_OK);
    EXPECT(source.calls == 3 && memcmp(private_key, values[2], 48) == 0);

    /* A source that ends. */
    source.calls = 3;
    EXPECT(goipci_private_key_draw(&crypto, private_key) == GOIPC_ERROR_RANDOM);

    /* A source that gives nothing usable: no endless loop. */
    memset(values, 0xff, sizeof values);
    source.calls = 0;
    source.count = 70;
    EXPECT(goipci_private_key_draw(&crypto, private_key) == GOIPC_ERROR_RANDOM);
    EXPECT(source.calls == 64);
    for (size_t i = 0; i < sizeof private_key; i++) {
        EXPECT(private_key[i] == 0);
    }
}

/* --- P-384 ------------------------------------------------------------------------------------ */

static const struct {
    const char *scalar;
    const char *x;
    const char *y;
} multiples[] = {
    {ZEROS_40 "0000000000000001",
     "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760"
     "ab7",
     "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0"
     "e5f"},
    {ZEROS_40 "0000000000000002",
     "08d999057ba3d2d969260045c55b97f089025959a6f434d651d207d19fb96e9e4fe0e86ebe0e64f85b96a9c75295d"
     "f61",
     "8e80f1fa5b1b3cedb7bfe8dffd6dba74b275d875bc6cc43e904e505f256ab4255ffd43e94d39e22d61501e700a940"
     "e80"},
    {ZEROS_40 "0000000000000003",
     "077a41d4606ffa1464793c7e5fdc7d98cb9d3910202dcd06bea4f240d3566da6b408bbae5026580d02d7e5c70500c"
     "831",
     "c995f7ca0b0c42837d0bbe9602a9fc998520b41c85115aa5f7684c0edc111eacc24abd6be4b5d298b65f28600a2f1"
     "df1"},
    {ORDER_HEAD "ecec196accc52972",
     "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760"
     "ab7",
     "c9e821b569d9d390a26167406d6d23d6070be242d765eb831625ceec4a0f473ef59f4e30e2817e6285bce2846f15f"
     "1a0"},
    {ORDER_HEAD "ecec196accc52971",
     "08d999057ba3d2d969260045c55b97f089025959a6f434d651d207d19fb96e9e4fe0e86ebe0e64f85b96a9c75295d"
     "f61",
     "717f0e05a4e4c312484017200292458b4d8a278a43933bc16fb1afa0da954bd9a002bc15b2c61dd29eafe190f56bf"
     "17f"},
};

/* req: KD-004 */
static void test_multiples_of_the_generator(const goipc_crypto *crypto)
{
    for (size_t i = 0; i < sizeof multiples / sizeof multiples[0]; i++) {
        uint8_t scalar[48], expected[97] = {4}, public_key[97], shared_x[48];

        from_hex(multiples[i].scalar, scalar, 48);
        from_hex(multiples[i].x, expected + 1, 48);
        from_hex(multiples[i].y, expected + 49, 48);
        EXPECT(crypto->p384_public(crypto->context, scalar, public_key) == GOIPC_ERROR_OK);
        EXPECT(memcmp(public_key, expected, 97) == 0);
        EXPECT(crypto->p384_shared(crypto->context, scalar, goipci_p384_generator, shared_x) ==
               GOIPC_ERROR_OK);
        EXPECT(memcmp(shared_x, expected + 1, 48) == 0);
    }
}

/* Every draw of either back end means the same to the other. */
static void test_agreement(const goipc_crypto *one, const goipc_crypto *other)
{
    for (int round = 0; round < 8; round++) {
        uint8_t private_keys[2][48], public_keys[2][97], check[97], shared[2][48];

        EXPECT(goipci_private_key_draw(one, private_keys[0]) == GOIPC_ERROR_OK);
        EXPECT(goipci_private_key_draw(other, private_keys[1]) == GOIPC_ERROR_OK);
        EXPECT(memcmp(private_keys[0], private_keys[1], 48) != 0);
        EXPECT(one->p384_public(one->context, private_keys[0], public_keys[0]) == GOIPC_ERROR_OK);
        EXPECT(other->p384_public(other->context, private_keys[1], public_keys[1]) ==
               GOIPC_ERROR_OK);
        EXPECT(other->p384_public(other->context, private_keys[0], check) == GOIPC_ERROR_OK);
        EXPECT(memcmp(public_keys[0], check, 97) == 0);
        EXPECT(one->p384_shared(one->context, private_keys[0], public_keys[1], shared[0]) ==
               GOIPC_ERROR_OK);
        EXPECT(other->p384_shared(other->context, private_keys[1], public_keys[0], shared[1]) ==
               GOIPC_ERROR_OK);
        EXPECT(memcmp(shared[0], shared[1], 48) == 0);
    }
}

/* --- key -------------------------------------------------------------------------------------- */

/* req: KD-011, KD-012 */
static void test_derive_key(const goipc_crypto *crypto)
{
    static const struct {
        size_t zeros;
        const char *minimal;
        const char *fixed;
    } rows[] = {
        /* X is `zeros` zero bytes, then 1, 2, 3, ... */
        {0, "c4b9c926a389c4515e375cd4d7a4c86179d7d6e4a02386648e106f139f516858",
         "c4b9c926a389c4515e375cd4d7a4c86179d7d6e4a02386648e106f139f516858"},
        {1, "0c6e46306dab1ca057e56dde63f35d8738e60ed5ddf808b0846e176fb7ed593f",
         "4dbdc2b2b62cb00749785bc84202236dbc3777d74660611b8e58812f0cfde6c3"},
        {20, "6a24d10306ff3e5f1348a13a11fdc9ef9c40f2d4be7a77b7fced9962dcce8348",
         "ca83f26247057780fc7cae81ccc7c96e7ad497f1e2cc345aec9a846e5161c03f"},
        {47, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a",
         "86f77354f38f799c3e3d853dec927db2d921a6d80cc206b01b9d0cf485324fce"},
        {48, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "17b0761f87b081d5cf10757ccc89f12be355c70e2e29df288b65b30710dcbcd1"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t shared_x[48] = {0}, key[32], expected[32];

        for (size_t at = rows[i].zeros; at < sizeof shared_x; at++) {
            shared_x[at] = (uint8_t)(at - rows[i].zeros + 1);
        }
        from_hex(rows[i].minimal, expected, 32);
        EXPECT(goipc_crypto_derive_key(crypto, shared_x, GOIPC_KEY_FORM_MINIMAL, key) ==
               GOIPC_ERROR_OK);
        EXPECT(memcmp(key, expected, 32) == 0);
        from_hex(rows[i].fixed, expected, 32);
        EXPECT(goipc_crypto_derive_key(crypto, shared_x, GOIPC_KEY_FORM_FIXED, key) ==
               GOIPC_ERROR_OK);
        EXPECT(memcmp(key, expected, 32) == 0);
    }
}

/* Only leading zero bytes are stripped. */
static void test_derive_key_keeps_other_zeros(const goipc_crypto *crypto)
{
    uint8_t shared_x[48] = {0}, key[32], expected[32];

    shared_x[3] = 7;
    EXPECT(crypto->sha256(crypto->context, shared_x + 3, 45, expected) == GOIPC_ERROR_OK);
    EXPECT(goipc_crypto_derive_key(crypto, shared_x, GOIPC_KEY_FORM_MINIMAL, key) ==
           GOIPC_ERROR_OK);
    EXPECT(memcmp(key, expected, 32) == 0);
}

static void test_sha256(const goipc_crypto *crypto)
{
    static const struct {
        const char *text;
        const char *hash;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    uint8_t hash[32], expected[32];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t size = strlen(rows[i].text);
        uint8_t *exact = test_copy(rows[i].text, size);

        from_hex(rows[i].hash, expected, 32);
        EXPECT(crypto->sha256(crypto->context, exact, size, hash) == GOIPC_ERROR_OK);
        EXPECT(memcmp(hash, expected, 32) == 0);
        free(exact);
    }
    EXPECT(crypto->sha256(crypto->context, NULL, 0, hash) == GOIPC_ERROR_OK);
    from_hex(rows[0].hash, expected, 32);
    EXPECT(memcmp(hash, expected, 32) == 0);
}

/* --- nonces ----------------------------------------------------------------------------------- */

/* req: SE-004, SE-005, SE-008, SE-013 */
static void test_nonces(void)
{
    static const uint8_t bits[2][48] = {{0x00, 1, 2, 3, 4, 5, 6, 7}, {0xff, 1, 2, 3, 4, 5, 6, 7}};
    random_script source = {bits, 2, 0};
    const goipc_crypto crypto = {.context = &source, .random = give_scripted};
    goipci_nonces server, client;
    uint8_t nonce[12];

    EXPECT(goipci_nonces_init(&server, &crypto, GOIPC_ROLE_SERVER) == GOIPC_ERROR_OK);
    EXPECT(goipci_nonces_init(&client, &crypto, GOIPC_ROLE_CLIENT) == GOIPC_ERROR_OK);
    EXPECT(goipci_nonces_next(&server, nonce) == GOIPC_ERROR_OK);
    EXPECT(memcmp(nonce, "\x80\1\2\3\4\5\6\7\0\0\0\0", 12) == 0);
    EXPECT(goipci_nonces_is_ours(&server, nonce) && !goipci_nonces_is_ours(&client, nonce));
    EXPECT(goipci_nonces_next(&server, nonce) == GOIPC_ERROR_OK);
    EXPECT(memcmp(nonce, "\x80\1\2\3\4\5\6\7\0\0\0\1", 12) == 0);
    EXPECT(goipci_nonces_next(&client, nonce) == GOIPC_ERROR_OK);
    EXPECT(memcmp(nonce, "\x7f\1\2\3\4\5\6\7\0\0\0\0", 12) == 0);
    EXPECT(goipci_nonces_is_ours(&client, nonce) && !goipci_nonces_is_ours(&server, nonce));

    /* The counter does not count, the role and every other bit of the prefix do. */
    EXPECT(goipci_nonces_is_ours(&client, (const uint8_t *)"\x7f\1\2\3\4\5\6\7\xff\xff\xff\xff"));
    EXPECT(!goipci_nonces_is_ours(&client, (const uint8_t *)"\x7f\1\2\3\4\5\6\6\0\0\0\0"));

    /* The last one has the counter 2^32 - 2, so that there are 2^32 - 1 of them. */
    server.next = UINT32_MAX - 1;
    EXPECT(goipci_nonces_next(&server, nonce) == GOIPC_ERROR_OK);
    EXPECT(memcmp(nonce, "\x80\1\2\3\4\5\6\7\xff\xff\xff\xfe", 12) == 0);
    for (int i = 0; i < 3; i++) {
        EXPECT(goipci_nonces_next(&server, nonce) == GOIPC_ERROR_MESSAGE_LIMIT);
    }
    EXPECT(goipci_nonces_init(&server, &crypto, GOIPC_ROLE_SERVER) == GOIPC_ERROR_RANDOM);
}

/* --- AES-256-GCM ------------------------------------------------------------------------------ */

static const uint8_t test_key[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                     11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                     22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
static const uint8_t test_nonce[12] = {0x40, 0x41, 0x42, 0x43, 0x44, 0x45,
                                       0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b};
static const char frame_hex[] =
    "00000022404142434445464748494a4be2b9ae244e556791c363d74e6f8412027c2a68f5ab73";

static void *new_aead(const goipc_crypto *crypto)
{
    void *aead = NULL;

    EXPECT(crypto->aead_new(crypto->context, goipci_allocator_or_default(NULL), test_key, &aead) ==
           GOIPC_ERROR_OK);
    EXPECT(aead != NULL);
    return aead;
}

static void free_aead(const goipc_crypto *crypto, void *aead)
{
    crypto->aead_free(crypto->context, goipci_allocator_or_default(NULL), aead);
}

static uint8_t *pattern(size_t size)
{
    uint8_t *bytes = malloc(size > 0 ? size : 1);

    EXPECT(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    return bytes;
}

/* What one back end seals, the other opens; apart and in place, in exact memory. */
static void check_seal_and_open(const goipc_crypto *one, void *sealer, const goipc_crypto *other,
                                void *opener, size_t size)
{
    static const uint8_t head[4] = {1, 2, 3, 4};
    uint8_t *data = pattern(size), *sealed = malloc(size + 4), *in_place = malloc(size + 4);
    uint8_t *opened = malloc(size + 4), tag[16], tag_in_place[16];

    EXPECT(sealed != NULL && in_place != NULL && opened != NULL);
    EXPECT(one->aead_seal(one->context, sealer, test_nonce, head, data, size, sealed, tag) ==
           GOIPC_ERROR_OK);
    memcpy(in_place + 4, data, size);
    EXPECT(one->aead_seal(one->context, sealer, test_nonce, head, in_place + 4, size, in_place,
                          tag_in_place) == GOIPC_ERROR_OK);
    EXPECT(memcmp(sealed, in_place, size + 4) == 0 && memcmp(tag, tag_in_place, 16) == 0);

    EXPECT(other->aead_open(other->context, opener, test_nonce, sealed, size + 4, tag, opened) ==
           GOIPC_ERROR_OK);
    EXPECT(memcmp(opened, head, 4) == 0 && memcmp(opened + 4, data, size) == 0);
    EXPECT(other->aead_open(other->context, opener, test_nonce, in_place, size + 4, tag,
                            in_place) == GOIPC_ERROR_OK);
    EXPECT(memcmp(opened, in_place, size + 4) == 0);
    free(data);
    free(sealed);
    free(in_place);
    free(opened);
}

static void test_seal_and_open(const goipc_crypto *one, const goipc_crypto *other)
{
    static const size_t large[] = {255, 256, 1000, 4095, 65535, 65536, 1048577};
    void *sealer = new_aead(one), *opener = new_aead(other);

    for (size_t size = 0; size <= 100; size++) {
        check_seal_and_open(one, sealer, other, opener, size);
    }
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        check_seal_and_open(one, sealer, other, opener, large[i]);
    }
    free_aead(one, sealer);
    free_aead(other, opener);
    free_aead(one, NULL);
}

/* Cut at every block, parts make the same as the whole, in place, and open again. */
static void check_parts(const goipc_crypto *crypto, void *aead, size_t size, size_t cut)
{
    uint8_t *data = pattern(size), *whole = malloc(size), *parts = pattern(size);
    uint8_t tag[16], parts_tag[16];

    EXPECT(whole != NULL);
    EXPECT(crypto->aead_seal(crypto->context, aead, test_nonce, data, data + 4, size - 4, whole,
                             tag) == GOIPC_ERROR_OK);
    EXPECT(crypto->aead_start(crypto->context, aead, test_nonce, false) == GOIPC_ERROR_OK);
    EXPECT(crypto->aead_update(crypto->context, aead, parts, cut, parts) == GOIPC_ERROR_OK);
    EXPECT(crypto->aead_update(crypto->context, aead, parts + cut, size - cut, parts + cut) ==
           GOIPC_ERROR_OK);
    EXPECT(crypto->aead_finish_seal(crypto->context, aead, parts_tag) == GOIPC_ERROR_OK);
    EXPECT(memcmp(whole, parts, size) == 0 && memcmp(tag, parts_tag, 16) == 0);

    /* Whatever bit of the tag is wrong. */
    for (size_t bit = 0; bit <= 128; bit += 9) {
        tag[bit / 8 % 16] ^= (uint8_t)(bit < 128 ? 1 << bit % 8 : 0);
        memcpy(parts, whole, size);
        EXPECT(crypto->aead_start(crypto->context, aead, test_nonce, true) == GOIPC_ERROR_OK);
        EXPECT(crypto->aead_update(crypto->context, aead, parts, cut, parts) == GOIPC_ERROR_OK);
        EXPECT(crypto->aead_update(crypto->context, aead, parts + cut, size - cut, parts + cut) ==
               GOIPC_ERROR_OK);
        EXPECT(crypto->aead_finish_open(crypto->context, aead, tag) ==
               (bit < 128 ? GOIPC_ERROR_DECRYPT : GOIPC_ERROR_OK));
        EXPECT(memcmp(parts, data, size) == 0);
        memcpy(tag, parts_tag, 16);
    }
    free(data);
    free(whole);
    free(parts);
}

static void test_parts(const goipc_crypto *crypto)
{
    void *aead = new_aead(crypto);

    for (size_t size = 4; size <= 100; size += 3) {
        for (size_t cut = 0; cut <= size; cut += 16) {
            check_parts(crypto, aead, size, cut);
        }
        check_parts(crypto, aead, size, size);
    }
    check_parts(crypto, aead, 1048577, 65536);
    /* A message that was not finished is forgotten. */
    EXPECT(crypto->aead_start(crypto->context, aead, test_nonce, false) == GOIPC_ERROR_OK);
    check_seal_and_open(crypto, aead, crypto, aead, 40);
    free_aead(crypto, aead);
}

/* One object seals and opens by turns, whatever its last use was. */
static void test_one_object_for_both_directions(const goipc_crypto *crypto)
{
    void *aead = new_aead(crypto);

    for (size_t size = 0; size < 40; size++) {
        check_seal_and_open(crypto, aead, crypto, aead, size);
    }
    free_aead(crypto, aead);
}

/* A frame without any text: no message of the protocol, but the table allows it. */
static void test_open_nothing(const goipc_crypto *crypto)
{
    static const char tag_hex[] = "c9b3c23ebecd69c4c2d87bc27ee34810";
    uint8_t tag[16];
    void *aead = new_aead(crypto);

    from_hex(tag_hex, tag, 16);
    EXPECT(crypto->aead_open(crypto->context, aead, test_nonce, NULL, 0, tag, NULL) ==
           GOIPC_ERROR_OK);
    tag[0] ^= 1;
    EXPECT(crypto->aead_open(crypto->context, aead, test_nonce, NULL, 0, tag, NULL) ==
           GOIPC_ERROR_DECRYPT);
    free_aead(crypto, aead);
}

/* --- frames ----------------------------------------------------------------------------------- */

static void test_seal_frame(const goipc_crypto *crypto)
{
    uint8_t expected[38], *out = malloc(38);
    size_t size = 7;

    EXPECT(out != NULL);
    from_hex(frame_hex, expected, 38);
    EXPECT(goipc_crypto_seal_frame(crypto, test_key, test_nonce, 7, "hi", 2, out, 38, &size) ==
           GOIPC_ERROR_OK);
    EXPECT(size == 38 && memcmp(out, expected, 38) == 0);
    EXPECT(goipc_crypto_seal_frame(crypto, test_key, test_nonce, 0, NULL, 0, out, 36, &size) ==
           GOIPC_ERROR_OK);
    EXPECT(size == 36 && goipc_wire_get_u32(out) == 32);

    size = 7;
    EXPECT(goipc_crypto_seal_frame(crypto, test_key, test_nonce, 7, "hi", 2, out, 37, &size) ==
           GOIPC_ERROR_CAPACITY);
    EXPECT(goipc_crypto_seal_frame(crypto, test_key, test_nonce, 7, "hi", SIZE_MAX, out, 38,
                                   &size) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(size == 7);
    free(out);
}

/* req: FR-005, SE-010 */
static void test_open_frame(const goipc_crypto *crypto)
{
    uint8_t frame[38], *body;
    const uint8_t *data;
    uint32_t type;
    size_t size;

    from_hex(frame_hex, frame, 38);
    body = test_copy(frame + 4, 34);
    EXPECT(goipc_crypto_open_frame(crypto, test_key, body, 34, &type, &data, &size) ==
           GOIPC_ERROR_OK);
    EXPECT(type == 7 && size == 2 && data == body + 16 && memcmp(data, "hi", 2) == 0);

    for (size_t short_size = 0; short_size < 32; short_size++) {
        EXPECT(goipc_crypto_open_frame(crypto, test_key, body, short_size, &type, &data, &size) ==
               GOIPC_ERROR_FRAME_SIZE);
    }
#if SIZE_MAX > UINT32_MAX
    EXPECT(goipc_crypto_open_frame(crypto, test_key, body, (size_t)UINT32_MAX + 1, &type, &data,
                                   &size) == GOIPC_ERROR_FRAME_SIZE);
#endif

    data = NULL;
    memcpy(body, frame + 4, 34);
    body[33] ^= 1;
    EXPECT(goipc_crypto_open_frame(crypto, test_key, body, 34, &type, &data, &size) ==
           GOIPC_ERROR_DECRYPT);
    EXPECT(data == NULL && memcmp(body + 12, "\0\0\0\0\0\0", 6) == 0);
    free(body);
}

static goipc_error fail_new(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                            void **aead)
{
    (void)context;
    (void)allocator;
    (void)key;
    (void)aead;
    return GOIPC_ERROR_MEMORY;
}

static goipc_error fail_seal(void *context, void *aead, const uint8_t nonce[12],
                             const uint8_t head[4], const uint8_t *data, size_t data_size,
                             uint8_t *out, uint8_t tag[16])
{
    (void)context;
    (void)aead;
    (void)nonce;
    (void)head;
    (void)data;
    (void)data_size;
    (void)out;
    (void)tag;
    return GOIPC_ERROR_CRYPTO;
}

static void test_frame_that_cannot_be_sealed(void)
{
    goipc_crypto crypto = *backends.at[0];
    uint8_t out[40];
    size_t size = 7;

    crypto.aead_seal = fail_seal;
    EXPECT(goipc_crypto_seal_frame(&crypto, test_key, test_nonce, 7, "hi", 2, out, 40, &size) ==
           GOIPC_ERROR_CRYPTO);
    EXPECT(size == 7);
}

static void test_frames_without_memory(void)
{
    goipc_crypto crypto = *backends.at[0];
    uint8_t body[40] = {0};
    const uint8_t *data;
    uint32_t type;
    size_t size;

    crypto.aead_new = fail_new;
    EXPECT(goipc_crypto_seal_frame(&crypto, test_key, test_nonce, 7, "hi", 2, body, 40, &size) ==
           GOIPC_ERROR_MEMORY);
    EXPECT(goipc_crypto_open_frame(&crypto, test_key, body, 40, &type, &data, &size) ==
           GOIPC_ERROR_MEMORY);
}

/* --- self-test -------------------------------------------------------------------------------- */

/* Back ends that are wrong in one way each: what the real one gives, with one bit flipped, or an
 * error, at the call whose turn it is. */
static const goipc_crypto *real;
static int turn;
static goipc_error failure;

static bool is_turn(void)
{
    return turn-- == 0;
}

static goipc_error spoil(goipc_error error, uint8_t *out)
{
    if (!is_turn()) {
        return error;
    }
    if (failure == GOIPC_ERROR_OK) {
        out[0] ^= 1;
    }
    return failure;
}

static goipc_error bad_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 1, size);
    out[0] = (uint8_t)turn; /* differs from call to call, unless spoilt */
    return spoil(GOIPC_ERROR_OK, out);
}

static goipc_error same_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 1, size);
    return GOIPC_ERROR_OK;
}

static goipc_error bad_public(void *context, const uint8_t private_key[48], uint8_t public_key[97])
{
    return spoil(real->p384_public(context, private_key, public_key), public_key);
}

static goipc_error bad_shared(void *context, const uint8_t private_key[48],
                              const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    return spoil(real->p384_shared(context, private_key, peer_public_key, shared_x), shared_x);
}

static goipc_error bad_hash(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    return spoil(real->sha256(context, in, in_size, out), out);
}

static goipc_error bad_new(void *context, const goipc_allocator *allocator, const uint8_t key[32],
                           void **aead)
{
    return is_turn() ? GOIPC_ERROR_MEMORY : real->aead_new(context, allocator, key, aead);
}

static goipc_error bad_seal(void *context, void *aead, const uint8_t nonce[12],
                            const uint8_t head[4], const uint8_t *data, size_t data_size,
                            uint8_t *out, uint8_t tag[16])
{
    return spoil(real->aead_seal(context, aead, nonce, head, data, data_size, out, tag), out);
}

static goipc_error bad_tag(void *context, void *aead, const uint8_t nonce[12],
                           const uint8_t head[4], const uint8_t *data, size_t data_size,
                           uint8_t *out, uint8_t tag[16])
{
    return spoil(real->aead_seal(context, aead, nonce, head, data, data_size, out, tag), tag);
}

static goipc_error bad_open(void *context, void *aead, const uint8_t nonce[12], const uint8_t *in,
                            size_t in_size, const uint8_t tag[16], uint8_t *out)
{
    return spoil(real->aead_open(context, aead, nonce, in, in_size, tag, out), out);
}

static goipc_error bad_start(void *context, void *aead, const uint8_t nonce[12], bool opens)
{
    return is_turn() ? failure : real->aead_start(context, aead, nonce, opens);
}

static goipc_error bad_update(void *context, void *aead, const uint8_t *in, size_t in_size,
                              uint8_t *out)
{
    return spoil(real->aead_update(context, aead, in, in_size, out), out);
}

static goipc_error bad_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    return spoil(real->aead_finish_seal(context, aead, tag), tag);
}

/* Spoilt, it accepts every tag. */
static goipc_error bad_finish_open(void *context, void *aead, const uint8_t tag[16])
{
    const goipc_error error = real->aead_finish_open(context, aead, tag);

    return is_turn() ? failure : error;
}

static goipc_error self_test(const goipc_crypto *crypto, int bad_turn, goipc_error error)
{
    turn = bad_turn;
    failure = error;
    return goipc_crypto_self_test(crypto);
}

/* Wrong at the given call: the self-test says CRYPTO. Failing there: it passes the error on. */
static void check_self_test(const goipc_crypto *crypto, int bad_turn)
{
    EXPECT(self_test(crypto, -1, GOIPC_ERROR_OK) == GOIPC_ERROR_OK);
    EXPECT(self_test(crypto, bad_turn, GOIPC_ERROR_OK) == GOIPC_ERROR_CRYPTO);
    EXPECT(self_test(crypto, bad_turn, GOIPC_ERROR_MEMORY) == GOIPC_ERROR_MEMORY);
}

static goipc_error default_public(void *context, const uint8_t private_key[48],
                                  uint8_t public_key[97])
{
    const goipc_crypto *crypto = goipc_crypto_default();

    (void)context;
    return crypto->p384_public(crypto->context, private_key, public_key);
}

static goipc_error default_shared(void *context, const uint8_t private_key[48],
                                  const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    const goipc_crypto *crypto = goipc_crypto_default();

    (void)context;
    return crypto->p384_shared(crypto->context, private_key, peer_public_key, shared_x);
}

static void test_self_test_notices(const goipc_crypto *whole)
{
    goipc_crypto table = *whole, bad;
    const goipc_crypto *crypto = &table;

    real = whole;
    EXPECT(goipc_crypto_self_test(whole) == GOIPC_ERROR_OK);
    if (test_is_slow()) { /* what multiplies is not what is noticed from here on */
        printf("slow: self-tests of %s multiply with %s\n", whole->name,
               goipc_crypto_default()->name);
        table.p384_public = default_public;
        table.p384_shared = default_shared;
    }

    bad = *crypto, bad.random = bad_random;
    EXPECT(self_test(&bad, 0, GOIPC_ERROR_RANDOM) == GOIPC_ERROR_RANDOM);
    EXPECT(self_test(&bad, 1, GOIPC_ERROR_RANDOM) == GOIPC_ERROR_RANDOM);
    bad.random = same_random;
    EXPECT(self_test(&bad, -1, GOIPC_ERROR_OK) == GOIPC_ERROR_CRYPTO);

    bad = *crypto, bad.p384_public = bad_public;
    check_self_test(&bad, 0);
    bad = *crypto, bad.p384_shared = bad_shared;
    check_self_test(&bad, 0);
    bad = *crypto, bad.sha256 = bad_hash;
    check_self_test(&bad, 0);
    bad = *crypto, bad.aead_new = bad_new;
    EXPECT(self_test(&bad, 0, GOIPC_ERROR_OK) == GOIPC_ERROR_MEMORY);
    bad = *crypto, bad.aead_seal = bad_seal;
    check_self_test(&bad, 0);
    bad = *crypto, bad.aead_seal = bad_tag;
    check_self_test(&bad, 0);
    bad = *crypto, bad.aead_open = bad_open;
    check_self_test(&bad, 0);

    bad = *crypto, bad.aead_start = bad_start;
    for (int call = 0; call < 3; call++) { /* to seal, to open, to open what is forged */
        EXPECT(self_test(&bad, call, GOIPC_ERROR_MEMORY) == GOIPC_ERROR_MEMORY);
    }
    EXPECT(self_test(&bad, 3, GOIPC_ERROR_MEMORY) == GOIPC_ERROR_OK);
    bad = *crypto, bad.aead_update = bad_update;
    for (int call = 0; call < 4; call++) {
        check_self_test(&bad, call);
    }
    bad = *crypto, bad.aead_finish_seal = bad_finish_seal;
    check_self_test(&bad, 0);
    bad = *crypto, bad.aead_finish_open = bad_finish_open;
    EXPECT(self_test(&bad, 0, GOIPC_ERROR_DECRYPT) == GOIPC_ERROR_DECRYPT);
    EXPECT(self_test(&bad, 1, GOIPC_ERROR_OK) == GOIPC_ERROR_CRYPTO);
    bad = *crypto, bad.aead_start = NULL; /* a table that does not work in parts */
    EXPECT(goipc_crypto_self_test(&bad) == GOIPC_ERROR_OK);

    /* Accepting what has to be refused: the second call gets the forged point, the forged tag. */
    bad = *crypto, bad.p384_shared = bad_shared;
    EXPECT(self_test(&bad, 1, GOIPC_ERROR_OK) == GOIPC_ERROR_CRYPTO);
    bad = *crypto, bad.aead_open = bad_open;
    EXPECT(self_test(&bad, 1, GOIPC_ERROR_OK) == GOIPC_ERROR_CRYPTO);
}

static void test_one_back_end(const goipc_crypto *crypto)
{
    test_multiples_of_the_generator(crypto);
    test_derive_key(crypto);
    test_derive_key_keeps_other_zeros(crypto);
    test_sha256(crypto);
    test_one_object_for_both_directions(crypto);
    test_parts(crypto);
    test_open_nothing(crypto);
    test_seal_frame(crypto);
    test_open_frame(crypto);
    test_self_test_notices(crypto);
}

int main(void)
{
    backends = each_library();
    test_tables();
    test_choice();
    test_combinations();
    test_wipe();
    test_equal();
    test_scalars();
    test_range_of_coordinates();
    test_draw();
    test_nonces();
    test_frames_without_memory();
    test_frame_that_cannot_be_sealed();
    for (size_t one = 0; one < backends.count; one++) {
        test_one_back_end(backends.at[one]);
        for (size_t other = 0; other < backends.count; other++) {
            test_agreement(backends.at[one], backends.at[other]);
            test_seal_and_open(backends.at[one], backends.at[other]);
        }
    }
    printf("ok %d checks\n", test_checks);
    return 0;
}
