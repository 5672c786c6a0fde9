/* SPDX-License-Identifier: MIT */
/* Stands in for crypto_openssl.c where OpenSSL 3 was not found or not wanted. */
#include "core/crypto_backend.h"

void goipci_openssl_register(void)
{
}

const goipc_crypto *goipci_openssl_table(void)
{
    return NULL;
}

const goipc_crypto *goipci_openssl_fips_table(void)
{
    return NULL;
}

goipc_error goipci_openssl_fips_generate(uint8_t private_key[48], uint8_t public_key[97])
{
    (void)private_key;
    (void)public_key;
    return GOIPC_ERROR_CRYPTO_UNAVAILABLE;
}

bool goipci_openssl_fips_asked(void)
{
    return false;
}
