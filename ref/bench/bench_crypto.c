/* SPDX-License-Identifier: MIT */
/* The limit that the ciphers set, without any protocol: OpenSSL's EVP or libtomcrypt called
 * directly by the shortest way each has, or "best": the functions that an endpoint of libgoipc
 * calls by default. WORKLOAD oneway, back: seals and opens SIZE bytes COUNT times; roundtrip,
 * turns: each of them twice, there and back; handshake: key generation and agreement for both
 * sides, COUNT times; of "best" for one side, as both sides compute at once. */
#include <goipc.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define LTM_DESC
#include <tomcrypt.h>

enum { TAG_SIZE = 16, NONCE_SIZE = 12, KEY_SIZE = 32, P384_SIZE = 48 };

static const uint8_t key[KEY_SIZE] = {1};

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench: %s failed\n", what);
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + (double)spent.tv_nsec * 1e-9;
}

/* --- seal and open ------------------------------------------------------------------------------
 */

static void evp_run(uint8_t *data, int size, size_t count, double *seal_s, double *open_s)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *seal = EVP_CIPHER_CTX_new(), *open = EVP_CIPHER_CTX_new();
    uint8_t nonce[NONCE_SIZE] = {0}, tag[TAG_SIZE];
    OSSL_PARAM the_tag[] = {
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, TAG_SIZE),
        OSSL_PARAM_END,
    };
    int done;

    *seal_s = *open_s = 0;
    check(EVP_EncryptInit_ex2(seal, cipher, key, NULL, NULL), "key");
    check(EVP_DecryptInit_ex2(open, cipher, key, NULL, NULL), "key");
    for (size_t block = 0; block < count; block++) {
        double start = now_s(), middle;

        nonce[0]++;
        check(EVP_EncryptInit_ex2(seal, NULL, NULL, nonce, NULL), "nonce");
        check(EVP_EncryptUpdate(seal, data, &done, data, size), "seal");
        check(EVP_EncryptFinal_ex(seal, tag, &done), "seal");
        check(EVP_CIPHER_CTX_get_params(seal, the_tag), "tag");
        middle = now_s();
        check(EVP_DecryptInit_ex2(open, NULL, NULL, nonce, NULL), "nonce");
        check(EVP_DecryptUpdate(open, data, &done, data, size), "open");
        check(EVP_CIPHER_CTX_set_params(open, the_tag), "tag");
        check(EVP_DecryptFinal_ex(open, tag, &done), "open");
        *open_s += now_s() - middle;
        *seal_s += middle - start;
    }
    EVP_CIPHER_CTX_free(seal);
    EVP_CIPHER_CTX_free(open);
    EVP_CIPHER_free(cipher);
}

static void tomcrypt_one(gcm_state *state, const uint8_t *nonce, uint8_t *data, size_t size,
                         uint8_t *tag, int direction)
{
    unsigned long tag_size = TAG_SIZE;

    check(gcm_reset(state) == CRYPT_OK && gcm_add_iv(state, nonce, NONCE_SIZE) == CRYPT_OK &&
              gcm_add_aad(state, NULL, 0) == CRYPT_OK &&
              gcm_process(state, data, size, data, direction) == CRYPT_OK &&
              gcm_done(state, tag, &tag_size) == CRYPT_OK,
          "gcm");
}

static void tomcrypt_run(uint8_t *data, int size, size_t count, double *seal_s, double *open_s)
{
    gcm_state *state = malloc(sizeof *state);
    uint8_t nonce[NONCE_SIZE] = {0}, tag[TAG_SIZE], opened_tag[TAG_SIZE];

    *seal_s = *open_s = 0;
    check(register_cipher(&aes_desc) >= 0 && state != NULL, "cipher");
    check(gcm_init(state, find_cipher("aes"), key, KEY_SIZE) == CRYPT_OK, "key");
    for (size_t block = 0; block < count; block++) {
        double start = now_s(), middle;

        nonce[0]++;
        tomcrypt_one(state, nonce, data, (size_t)size, tag, GCM_ENCRYPT);
        middle = now_s();
        tomcrypt_one(state, nonce, data, (size_t)size, opened_tag, GCM_DECRYPT);
        check(mem_neq(tag, opened_tag, TAG_SIZE) == 0, "tag");
        *open_s += now_s() - middle;
        *seal_s += middle - start;
    }
    free(state);
}

static void *default_allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void default_release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static void best_run(uint8_t *data, int size, size_t count, double *seal_s, double *open_s)
{
    const goipc_crypto *best = goipc_crypto_default();
    const goipc_allocator allocator = {NULL, default_allocate, default_release};
    const size_t text_size = (size_t)size + 4;
    uint8_t *text = calloc(1, text_size);
    uint8_t nonce[NONCE_SIZE] = {0}, tag[TAG_SIZE];
    void *aead;

    (void)data;
    *seal_s = *open_s = 0;
    check(best != NULL && text != NULL, "memory");
    check(best->aead_new(best->context, &allocator, key, &aead) == GOIPC_ERROR_OK, "key");
    for (size_t block = 0; block < count; block++) {
        double start = now_s(), middle;

        nonce[0]++;
        check(best->aead_seal(best->context, aead, nonce, nonce, text + 4, (size_t)size, text,
                              tag) == GOIPC_ERROR_OK,
              "seal");
        middle = now_s();
        check(best->aead_open(best->context, aead, nonce, text, text_size, tag, text) ==
                  GOIPC_ERROR_OK,
              "open");
        *open_s += now_s() - middle;
        *seal_s += middle - start;
    }
    best->aead_free(best->context, &allocator, aead);
    free(text);
}

/* --- key generation and agreement ---------------------------------------------------------------
 */

static void evp_agree(void)
{
    EVP_PKEY *pairs[2] = {EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"),
                          EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384")};
    uint8_t secrets[2][P384_SIZE];

    for (int i = 0; i < 2; i++) {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pairs[i], NULL);
        size_t size = P384_SIZE;

        /* Without the second check, which a cofactor of 1 makes useless. */
        check(EVP_PKEY_derive_init(context) > 0 &&
                  EVP_PKEY_derive_set_peer_ex(context, pairs[1 - i], 0) > 0 &&
                  EVP_PKEY_derive(context, secrets[i], &size) > 0,
              "agreement");
        EVP_PKEY_CTX_free(context);
    }
    check(memcmp(secrets[0], secrets[1], P384_SIZE) == 0, "same secret");
    EVP_PKEY_free(pairs[0]);
    EVP_PKEY_free(pairs[1]);
}

static void tomcrypt_agree(void)
{
    ecc_key pairs[2];
    uint8_t secrets[2][P384_SIZE];

    check(register_prng(&sprng_desc) >= 0, "prng");
    for (int i = 0; i < 2; i++) {
        check(ecc_make_key(NULL, find_prng("sprng"), P384_SIZE, &pairs[i]) == CRYPT_OK, "key");
    }
    for (int i = 0; i < 2; i++) {
        unsigned long size = P384_SIZE;

        check(ecc_shared_secret(&pairs[i], &pairs[1 - i], secrets[i], &size) == CRYPT_OK,
              "agreement");
    }
    check(memcmp(secrets[0], secrets[1], P384_SIZE) == 0, "same secret");
    ecc_free(&pairs[0]);
    ecc_free(&pairs[1]);
}

static void best_agree(void)
{
    const goipc_crypto *best = goipc_crypto_default();
    uint8_t private_key[P384_SIZE], public_key[97], secret[P384_SIZE];

    check(best->random(best->context, private_key, P384_SIZE) == GOIPC_ERROR_OK &&
              best->p384_public(best->context, private_key, public_key) == GOIPC_ERROR_OK &&
              best->p384_shared(best->context, private_key, public_key, secret) == GOIPC_ERROR_OK,
          "agreement");
}

/* What crypto= names. */
static const struct way {
    const char *name;
    void (*run)(uint8_t *data, int size, size_t count, double *seal_s, double *open_s);
    void (*agree)(void);
} ways[] = {
    {"crypto=openssl", evp_run, evp_agree},
    {"crypto=tomcrypt", tomcrypt_run, tomcrypt_agree},
    {"crypto=best", best_run, best_agree},
};

int main(int argc, char **argv)
{
    int size;
    size_t count;
    const struct way *way = NULL;
    double seal_s = 0, open_s = 0, start;
    uint8_t *data;

    for (size_t i = 0; argc > 4 && i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(argv[4], ways[i].name) == 0) {
            way = &ways[i];
        }
    }
    if (way == NULL) {
        fprintf(stderr, "usage: %s WORKLOAD SIZE COUNT crypto=openssl|tomcrypt|best\n", argv[0]);
        return 2;
    }
    size = atoi(argv[2]);
    count = strtoul(argv[3], NULL, 10);
    (void)goipc_crypto_default();
    ltc_mp = ltm_desc;
    data = calloc(1, (size_t)size + 1);
    check(data != NULL, "memory");
    start = now_s();
    if (strcmp(argv[1], "handshake") != 0) {
        const bool there_and_back =
            strcmp(argv[1], "roundtrip") == 0 || strcmp(argv[1], "turns") == 0;
        const double cpu_start = cpu_s();
        double used;

        way->run(data, size, there_and_back ? 2 * count : count, &seal_s, &open_s);
        /* The time of the processor, without what others took of it meanwhile. */
        used = (cpu_s() - cpu_start) / (now_s() - start);
        seal_s *= used;
        open_s *= used;
    } else {
        for (size_t i = 0; i < count; i++) {
            way->agree();
        }
    }
    printf("{\"messages\": %zu, \"seconds\": %.9f, \"seal_s\": %.9f, \"open_s\": %.9f}\n", count,
           now_s() - start, seal_s, open_s);
    free(data);
    return 0;
}
