/* SPDX-License-Identifier: MIT */
/* Which back end is used. Every back end is set up once in the life of the process. */
#include "core/crypto_backend.h"
#include "core/system.h"

#include <assert.h>
#include <string.h>

static void register_back_ends(void)
{
    goipci_tomcrypt_register();
    goipci_openssl_register();
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
    const goipc_crypto *openssl = goipc_crypto_openssl();

    return openssl != NULL ? openssl : goipc_crypto_tomcrypt();
}

const goipc_crypto *goipc_crypto_by_name(const char *name)
{
    assert(name != NULL);
    if (strcmp(name, "tomcrypt") == 0) {
        return goipc_crypto_tomcrypt();
    }
    return strcmp(name, "openssl") == 0 ? goipc_crypto_openssl() : NULL;
}
