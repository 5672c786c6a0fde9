/* SPDX-License-Identifier: MIT */
/* Chooses the back end: curve and cipher separately. Every back end is set up once per process. */
#include "core/crypto_backend.h"
#include "core/system.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { CURVES = 3, CIPHERS = 4, NAME_SIZE = 24 };

_Static_assert(CURVES *CIPHERS == GOIPCI_CRYPTO_TABLES_MAX, "every pair");

/* A table for every pair of a curve (with hash) and a cipher, the best first in both dimensions.
 * NULL if one half is not available. Set once, then constant. */
static const goipc_crypto *tables[CURVES][CIPHERS];

/* The curve's table with the cipher of another. */
static void combine(const goipc_crypto *curve, const goipc_crypto *cipher, char name[NAME_SIZE],
                    goipc_crypto *combined)
{
    /* The functions of both get the same context, which is NULL in every built-in table. */
    assert(curve->context == NULL && cipher->context == NULL);
    (void)snprintf(name, NAME_SIZE, "%s+%s", curve->name, cipher->name);
    *combined = *cipher;
    combined->name = name;
    combined->random = curve->random;
    combined->p384_public = curve->p384_public;
    combined->p384_shared = curve->p384_shared;
    combined->sha256 = curve->sha256;
}

/* In the order of preference.
 * Curve: nettle's takes a fourth of OpenSSL's time; libtomcrypt's is not constant-time.
 * Cipher: IPSec MB's is the fastest at every size. OpenSSL's comes before nettle's, which is faster
 * up to 1.5 KiB, but half as fast for large messages, twice as large (4.4 KB) for an idle
 * connection, and not constant-time on a processor without AES instructions. */
static void register_back_ends(void)
{
    static goipc_crypto combined[CURVES][CIPHERS];
    static char names[CURVES][CIPHERS][NAME_SIZE];
    const goipc_crypto *curves[CURVES], *ciphers[CIPHERS];

    goipci_tomcrypt_register();
    goipci_openssl_register();
    goipci_nettle_register();
    goipci_ipsec_mb_register();
    curves[0] = goipci_nettle_table();
    curves[1] = goipci_openssl_table();
    curves[2] = goipci_tomcrypt_table();
    ciphers[0] = goipci_ipsec_mb_table();
    ciphers[1] = goipci_openssl_table();
    ciphers[2] = goipci_nettle_table();
    ciphers[3] = goipci_tomcrypt_table();
    for (size_t i = 0; i < CURVES; i++) {
        for (size_t j = 0; j < CIPHERS; j++) {
            if (curves[i] == NULL || ciphers[j] == NULL) {
                continue;
            }
            tables[i][j] = curves[i];
            if (curves[i] != ciphers[j]) {
                combine(curves[i], ciphers[j], names[i][j], &combined[i][j]);
                tables[i][j] = &combined[i][j];
            }
        }
    }
}

size_t goipci_crypto_tables(const goipc_crypto *found[GOIPCI_CRYPTO_TABLES_MAX])
{
    size_t count = 0;

    goipci_system_register_once(register_back_ends);
    if (goipci_openssl_fips_asked()) {
        found[0] = goipci_openssl_fips_table();
        return found[0] != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < (size_t)CURVES * CIPHERS; i++) {
        if (tables[i / CIPHERS][i % CIPHERS] != NULL) {
            found[count++] = tables[i / CIPHERS][i % CIPHERS];
        }
    }
    return count;
}

const goipc_crypto *goipc_crypto_tomcrypt(void)
{
    goipci_system_register_once(register_back_ends);
    return goipci_tomcrypt_table();
}

const goipc_crypto *goipc_crypto_openssl(void)
{
    goipci_system_register_once(register_back_ends);
    return goipci_openssl_table();
}

const goipc_crypto *goipc_crypto_default(void)
{
    const goipc_crypto *found[GOIPCI_CRYPTO_TABLES_MAX];

    return goipci_crypto_tables(found) > 0 ? found[0] : NULL;
}

const goipc_crypto *goipc_crypto_by_name(const char *name)
{
    const goipc_crypto *found[GOIPCI_CRYPTO_TABLES_MAX];
    const size_t count = goipci_crypto_tables(found);

    assert(name != NULL);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, found[i]->name) == 0) {
            return found[i];
        }
    }
    return strcmp(name, "openssl-fips") == 0 ? goipci_openssl_fips_table() : NULL;
}

const goipc_crypto *goipci_crypto_of(const goipc_crypto *configured, goipc_encryption encryption)
{
    const goipc_crypto *chosen = configured != NULL ? configured : goipc_crypto_default();

    return chosen == NULL && encryption == GOIPC_ENCRYPTION_OFF ? goipc_crypto_tomcrypt() : chosen;
}

/* req: KD-001, KD-002, KD-003, KD-004 */
goipc_error goipci_key_pair(const goipc_crypto *crypto, uint8_t private_key[48],
                            uint8_t public_key[97])
{
    goipc_error error;

    assert(crypto != NULL && private_key != NULL && public_key != NULL);
    if (crypto == goipci_openssl_fips_table()) {
        return goipci_openssl_fips_generate(private_key, public_key);
    }
    error = goipci_private_key_draw(crypto, private_key);
    return error == GOIPC_ERROR_OK ? crypto->p384_public(crypto->context, private_key, public_key)
                                   : error;
}
