/* SPDX-License-Identifier: MIT */
/* What the back ends share, and how crypto.c reaches them. A back end is one file that fills in a
 * goipc_crypto; everything that a peer or a test could tell apart stays in crypto.c. */
#ifndef GOIPC_CRYPTO_BACKEND_H
#define GOIPC_CRYPTO_BACKEND_H

#include "core/internal.h"

/* The first bytes that are fed to the cipher: type and as much data as fills one block, so that all
 * that follows is read at a block boundary, straight from the caller's memory. */
enum {
    GOIPCI_AES_BLOCK_SIZE = 16,
    GOIPCI_BLOCK_DATA_SIZE = GOIPCI_AES_BLOCK_SIZE - (int)GOIPC_FRAME_TYPE_SIZE,
};

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

/* The table of a back end, or NULL where it is not built in or could not be set up. */
const goipc_crypto *goipci_tomcrypt_table(void);
const goipc_crypto *goipci_openssl_table(void);
/* What a back end has to do once per process, before its table is asked for. */
void goipci_tomcrypt_register(void);
void goipci_openssl_register(void);

#endif
