/* SPDX-License-Identifier: MIT */
/* Stands in for crypto_ipsec_mb.c where IPSec MB was not found or not wanted. */
#include "core/crypto_backend.h"

void goipci_ipsec_mb_register(void)
{
}

const goipc_crypto *goipci_ipsec_mb_table(void)
{
    return NULL;
}
