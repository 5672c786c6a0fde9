/* SPDX-License-Identifier: MIT */
#include "codec.h"

#include <stdlib.h>
#include <string.h>

/* One frame at `in`; *used is how many bytes it took, 0 when it is not whole yet. */
static goipc_error decode_one(const goipc_crypto *crypto, const uint8_t *key, uint32_t size_max,
                              uint8_t *in, size_t in_size, cJSON *frames, size_t *used)
{
    const uint32_t overhead = GOIPC_FRAME_TYPE_SIZE + (key != NULL ? GOIPC_SEAL_OVERHEAD : 0);
    uint8_t *body = in + GOIPC_FRAME_LENGTH_SIZE;
    const uint8_t *data;
    size_t needed, data_size;
    goipc_decode result;
    goipc_frame_header header;
    uint32_t type;
    cJSON *frame;
    goipc_error error = goipc_wire_decode_header(in, in_size, overhead, overhead + size_max,
                                                 &result, &needed, &header);

    *used = 0;
    if (error != GOIPC_ERROR_OK || result == GOIPC_DECODE_MORE) {
        return error;
    }
    if (key != NULL) {
        error =
            goipc_crypto_open_frame(crypto, key, body, header.body_size, &type, &data, &data_size);
        if (error != GOIPC_ERROR_OK) {
            return error;
        }
    } else {
        type = goipc_wire_get_u32(body);
        data = body + GOIPC_FRAME_TYPE_SIZE;
        data_size = header.body_size - GOIPC_FRAME_TYPE_SIZE;
    }
    *used = needed;
    if (type == 0) {
        return GOIPC_ERROR_OK;
    }
    frame = cJSON_CreateObject();
    cJSON_AddNumberToObject(frame, "type", type);
    add_hex(frame, "data", data, data_size);
    cJSON_AddItemToArray(frames, frame);
    return GOIPC_ERROR_OK;
}

void codec_decode(const cJSON *request, const goipc_crypto *crypto)
{
    const bool sealed = cJSON_HasObjectItem(request, "key");
    const double size_max = field_number(request, "max", GOIPC_MESSAGE_SIZE_DEFAULT);
    uint8_t key[GOIPC_KEY_SIZE];
    uint8_t *in;
    size_t in_size, at = 0, used;
    goipc_error error;
    cJSON *reply, *frames;

    if (!field_bytes(request, "hex", &in, &in_size) ||
        (sealed && !field_exact(request, "key", key, sizeof key)) || size_max < 0 ||
        size_max > GOIPC_MESSAGE_SIZE_CEILING) {
        free(in);
        reply_error(request, "other", "hex, key or max is not usable");
        return;
    }
    reply = reply_new(request, true);
    frames = cJSON_AddArrayToObject(reply, "frames");
    do {
        error = decode_one(crypto, sealed ? key : NULL, (uint32_t)size_max, in + at, in_size - at,
                           frames, &used);
        at += used;
    } while (error == GOIPC_ERROR_OK && used > 0);
    cJSON_AddNumberToObject(reply, "rest", error == GOIPC_ERROR_OK ? (double)(in_size - at) : 0);
    if (error != GOIPC_ERROR_OK) {
        cJSON_AddStringToObject(cJSON_AddObjectToObject(reply, "error"), "class",
                                error_class(error));
    }
    line_write(reply);
    free(in);
}

static goipc_error encode(const cJSON *request, const goipc_crypto *crypto, uint32_t type,
                          const uint8_t *data, size_t data_size, uint8_t *out, size_t *out_size)
{
    const size_t capacity = data_size + 64;
    uint8_t key[GOIPC_KEY_SIZE], nonce[GOIPC_NONCE_SIZE];
    goipc_error error = GOIPC_ERROR_OK;

    if (type == 0) {
        return GOIPC_ERROR_TYPE_RESERVED;
    }
    if ((double)data_size > field_number(request, "max", GOIPC_MESSAGE_SIZE_CEILING)) {
        return GOIPC_ERROR_MESSAGE_SIZE;
    }
    if (!field_exact(request, "key", key, sizeof key)) {
        return goipc_wire_encode_plain(type, data, data_size, out, capacity, out_size);
    }
    if (!field_exact(request, "nonce", nonce, sizeof nonce)) {
        error = crypto->random(crypto->context, nonce, sizeof nonce);
    }
    return error != GOIPC_ERROR_OK ? error
                                   : goipc_crypto_seal_frame(crypto, key, nonce, type, data,
                                                             data_size, out, capacity, out_size);
}

void codec_encode(const cJSON *request, const goipc_crypto *crypto)
{
    const double type = field_number(request, "type", -1);
    uint8_t *data, *out;
    size_t data_size, out_size = 0;
    goipc_error error = GOIPC_ERROR_ARGUMENT;

    (void)field_bytes(request, "data", &data, &data_size); /* absent: no data */
    out = malloc(data_size + 64);
    if (out != NULL && type >= 0 && type <= UINT32_MAX) {
        error = encode(request, crypto, (uint32_t)type, data, data_size, out, &out_size);
    }
    if (error != GOIPC_ERROR_OK) {
        reply_goipc(request, error);
    } else {
        cJSON *reply = reply_new(request, true);

        add_hex(reply, "hex", out, out_size);
        line_write(reply);
    }
    free(out);
    free(data);
}

void codec_kdf(const cJSON *request, const goipc_crypto *crypto)
{
    uint8_t private_key[GOIPC_P384_PRIVATE_SIZE], x[GOIPC_P384_SHARED_SIZE], key[GOIPC_KEY_SIZE];
    uint8_t *peer;
    size_t peer_size;
    goipc_error error = GOIPC_ERROR_OK;

    if (!field_exact(request, "x", x, sizeof x)) {
        const bool given = field_bytes(request, "peer", &peer, &peer_size) &&
                           field_exact(request, "priv", private_key, sizeof private_key);

        error = GOIPC_ERROR_PUBLIC_KEY; /* also for a key of another size than a message holds */
        if (given && peer_size == GOIPC_P384_PUBLIC_SIZE) {
            error = crypto->p384_shared(crypto->context, private_key, peer, x);
        }
        free(peer);
    }
    if (error == GOIPC_ERROR_OK) {
        error = goipc_crypto_derive_key(crypto, x, GOIPC_KEY_FORM_MINIMAL, key);
    }
    if (error != GOIPC_ERROR_OK) {
        reply_goipc(request, error);
    } else {
        cJSON *reply = reply_new(request, true);

        add_hex(reply, "key", key, sizeof key);
        line_write(reply);
    }
}
