/* SPDX-License-Identifier: MIT */
/* What tests of the back ends run with: every combination, or each library once. */
#ifndef GOIPC_CRYPTO_TABLES_H
#define GOIPC_CRYPTO_TABLES_H

#include "core/crypto_backend.h"
#include "test.h"

typedef struct crypto_tables {
    const goipc_crypto *at[GOIPCI_CRYPTO_TABLES_MAX];
    size_t count;
} crypto_tables;

/* Every pair of a curve and a cipher that is built in and that this processor can run. */
static inline crypto_tables every_combination(void)
{
    crypto_tables all;

    all.count = goipci_crypto_tables(all.at);
    return all;
}

/* Tables in which every curve and every cipher comes once, libtomcrypt's first. */
static inline crypto_tables each_library(void)
{
    static const char *const names[] = {"tomcrypt", "openssl", "nettle", "tomcrypt+ipsec-mb"};
    crypto_tables some = {.count = 0};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const goipc_crypto *crypto = goipc_crypto_by_name(names[i]);

        if (crypto != NULL) {
            some.at[some.count++] = crypto;
        }
    }
    return some;
}

#endif
