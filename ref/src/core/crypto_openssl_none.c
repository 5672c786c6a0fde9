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
