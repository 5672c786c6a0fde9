/* SPDX-License-Identifier: MIT */
/* Stands in for crypto_tomcrypt.c where libtomcrypt was not found or not wanted. */
#include "core/crypto_backend.h"

void goipci_tomcrypt_register(void)
{
}

const goipc_crypto *goipci_tomcrypt_table(void)
{
    return NULL;
}
