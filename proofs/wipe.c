/* SPDX-License-Identifier: MIT */
/* The one function of crypto.c that buffer.c needs, so that exhaustive.c needs no crypto
 * library. */
#include "goipc.h"

#include <string.h>

void goipc_wipe(void *bytes, size_t size)
{
    if (size > 0) {
        memset(bytes, 0, size);
    }
}
