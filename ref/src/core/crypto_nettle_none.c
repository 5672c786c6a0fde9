/* SPDX-License-Identifier: MIT */
/* Stands in for crypto_nettle.c where nettle, hogweed and GMP were not found or not wanted. */
#include "core/crypto_backend.h"

void goipci_nettle_register(void)
{
}

const goipc_crypto *goipci_nettle_table(void)
{
    return NULL;
}
