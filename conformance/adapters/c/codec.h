/* SPDX-License-Identifier: MIT */
/* The codec role: no sockets. Each answers one request. */
#ifndef ADAPTER_CODEC_H
#define ADAPTER_CODEC_H

#include "json.h"

void codec_decode(const cJSON *request, const goipc_crypto *crypto);
void codec_encode(const cJSON *request, const goipc_crypto *crypto);
void codec_kdf(const cJSON *request, const goipc_crypto *crypto);

#endif
