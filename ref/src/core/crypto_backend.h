/* SPDX-License-Identifier: MIT */
/* What the back ends share, and how crypto.c reaches them. A back end is one file that fills in a
 * goipc_crypto; everything that a peer or a test could tell apart stays in crypto.c. */
#ifndef GOIPC_CRYPTO_BACKEND_H
#define GOIPC_CRYPTO_BACKEND_H

#include "core/internal.h"

#include <string.h>

/* The first bytes that are fed to the cipher: type and as much data as fills one block, so that all
 * that follows is read at a block boundary, straight from the caller's memory. */
enum {
    GOIPCI_AES_BLOCK_SIZE = 16,
    GOIPCI_BLOCK_DATA_SIZE = GOIPCI_AES_BLOCK_SIZE - (int)GOIPC_FRAME_TYPE_SIZE,
    GOIPCI_GATHERED_SIZE_MAX = 2048, /* larger data is not copied to save a call of the cipher */
};

/* Puts the plaintext together where the ciphertext is to be, for a cipher that works in place: for
 * a small message a second call of the cipher costs more than copying it. False, and nothing done,
 * where the data is large and lies elsewhere: the first block then goes through memory of its
 * own. */
static inline bool goipci_gather(const uint8_t head[4], const uint8_t *data, size_t data_size,
                                 uint8_t *out)
{
    const bool is_in_place = data == out + GOIPC_FRAME_TYPE_SIZE;

    if (data_size > GOIPCI_GATHERED_SIZE_MAX && !is_in_place) {
        return false;
    }
    memcpy(out, head, GOIPC_FRAME_TYPE_SIZE);
    if (data_size > 0 && !is_in_place) {
        memcpy(out + GOIPC_FRAME_TYPE_SIZE, data, data_size);
    }
    return true;
}

/* Puts the first block of a large message together. */
static inline void goipci_first_block(const uint8_t head[4], const uint8_t *data,
                                      uint8_t block[GOIPCI_AES_BLOCK_SIZE])
{
    memcpy(block, head, GOIPC_FRAME_TYPE_SIZE);
    memcpy(block + GOIPC_FRAME_TYPE_SIZE, data, GOIPCI_BLOCK_DATA_SIZE);
}

/* OK where the tags are equal, else DECRYPT, in the same time for every tag. Wipes `expected`: the
 * right tag of a forged message must not leak. */
goipc_error goipci_tag_verdict(uint8_t expected[16], const uint8_t tag[16]);

enum { GOIPCI_P384_UNCOMPRESSED = 4 }; /* the first byte of an uncompressed point (SEC 1) */

/* P-384 (SEC 2, secp384r1), big-endian. */
extern const uint8_t goipci_p384_prime[GOIPC_P384_SHARED_SIZE];
extern const uint8_t goipci_p384_b[GOIPC_P384_SHARED_SIZE];
extern const uint8_t goipci_p384_generator[GOIPC_P384_PUBLIC_SIZE];

/* Whether the scalar is in 1..n-1. Takes the same time for every scalar. */
bool goipci_private_key_valid(const uint8_t private_key[48]);
/* Whether it is 04, X < p, Y < p. That the point is on the curve is the back end's to check. */
bool goipci_public_key_in_range(const uint8_t public_key[97]);

/* Overwrites what the calls before it have left on the stack: libraries compute with secrets there
 * and do not clean up. */
void goipci_wipe_stack(void);

/* The table of a back end, or NULL where it is not built in or could not be set up. The one of
 * IPSec MB has no curve, no hash and no random source. */
const goipc_crypto *goipci_tomcrypt_table(void);
const goipc_crypto *goipci_openssl_table(void);
const goipc_crypto *goipci_nettle_table(void);
const goipc_crypto *goipci_ipsec_mb_table(void);
/* What a back end has to do once per process, before its table is asked for. */
void goipci_tomcrypt_register(void);
void goipci_openssl_register(void);
void goipci_nettle_register(void);
void goipci_ipsec_mb_register(void);

/* Every table that goipc_crypto_by_name knows here, the best first; says how many there are. */
enum { GOIPCI_CRYPTO_TABLES_MAX = 12 };
size_t goipci_crypto_tables(const goipc_crypto *tables[GOIPCI_CRYPTO_TABLES_MAX]);

#endif
