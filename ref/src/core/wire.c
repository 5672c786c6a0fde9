/* SPDX-License-Identifier: MIT */
/* The layout of frames: no state, no allocation. */
#include "goipc.h"

#include <assert.h>
#include <string.h>

_Static_assert(GOIPC_FRAME_LENGTH_SIZE == 4 && GOIPC_FRAME_TYPE_SIZE == 4, "wire format 2");
_Static_assert(GOIPC_SEAL_OVERHEAD == GOIPC_NONCE_SIZE + GOIPC_TAG_SIZE, "what sealing adds");
_Static_assert(GOIPC_MESSAGE_SIZE_CEILING ==
                   UINT32_MAX - GOIPC_FRAME_TYPE_SIZE - GOIPC_SEAL_OVERHEAD,
               "the largest sealed body has the length 2^32 - 1");

/* The maxima of the wire format. They are smaller if size_t has 32 bits, so that the size of a
 * complete frame does not overflow. */
#define FRAME_OVERHEAD_MAX (GOIPC_FRAME_LENGTH_SIZE + GOIPC_FRAME_TYPE_SIZE + GOIPC_SEAL_OVERHEAD)
#define DATA_SIZE_MAX                                                                              \
    (GOIPC_MESSAGE_SIZE_CEILING < SIZE_MAX - FRAME_OVERHEAD_MAX ? GOIPC_MESSAGE_SIZE_CEILING       \
                                                                : SIZE_MAX - FRAME_OVERHEAD_MAX)
#define BODY_SIZE_MAX                                                                              \
    (UINT32_MAX < SIZE_MAX - GOIPC_FRAME_LENGTH_SIZE                                               \
         ? UINT32_MAX                                                                              \
         : (uint32_t)(SIZE_MAX - GOIPC_FRAME_LENGTH_SIZE))

/* req: FR-001 */
void goipc_wire_put_u32(uint8_t out[4], uint32_t value)
{
    assert(out != NULL);
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

uint32_t goipc_wire_get_u32(const uint8_t in[4])
{
    assert(in != NULL);
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

/* req: FR-002, LM-001, LM-014 */
goipc_error goipc_wire_frame_size(bool encrypted, size_t data_size, size_t *frame_size)
{
    assert(frame_size != NULL);
    if (data_size > DATA_SIZE_MAX) {
        return GOIPC_ERROR_MESSAGE_SIZE;
    }
    *frame_size = GOIPC_FRAME_LENGTH_SIZE + GOIPC_FRAME_TYPE_SIZE + data_size +
                  (encrypted ? GOIPC_SEAL_OVERHEAD : 0);
    return GOIPC_ERROR_OK;
}

/* req: FR-002, MT-001 */
goipc_error goipc_wire_encode_plain(uint32_t type, const void *data, size_t data_size, uint8_t *out,
                                    size_t capacity, size_t *out_size)
{
    size_t frame_size;
    goipc_error error;

    assert(data != NULL || data_size == 0);
    assert(out != NULL && out_size != NULL);
    if (type == 0) {
        return GOIPC_ERROR_TYPE_RESERVED;
    }
    error = goipc_wire_frame_size(false, data_size, &frame_size);
    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    if (capacity < frame_size) {
        return GOIPC_ERROR_CAPACITY;
    }
    goipc_wire_put_u32(out, (uint32_t)(frame_size - GOIPC_FRAME_LENGTH_SIZE));
    goipc_wire_put_u32(out + GOIPC_FRAME_LENGTH_SIZE, type);
    if (data_size > 0) {
        memcpy(out + GOIPC_FRAME_LENGTH_SIZE + GOIPC_FRAME_TYPE_SIZE, data, data_size);
    }
    *out_size = frame_size;
    return GOIPC_ERROR_OK;
}

/* req: FR-004, FR-005, FR-006, FR-007 */
goipc_error goipc_wire_decode_header(const uint8_t *in, size_t in_size, uint32_t body_size_min,
                                     uint32_t body_size_max, goipc_decode *result, size_t *needed,
                                     goipc_frame_header *header)
{
    const uint32_t size_max = body_size_max < BODY_SIZE_MAX ? body_size_max : BODY_SIZE_MAX;
    uint32_t body_size;

    assert(in != NULL || in_size == 0);
    assert(body_size_min <= body_size_max);
    assert(result != NULL && needed != NULL && header != NULL);

    *result = GOIPC_DECODE_MORE;
    *needed = GOIPC_FRAME_LENGTH_SIZE;
    if (in_size < GOIPC_FRAME_LENGTH_SIZE) {
        return GOIPC_ERROR_OK;
    }

    /* Check the length before waiting for the body: a hostile length must fail at byte 4, not after
     * the body was buffered. */
    body_size = goipc_wire_get_u32(in);
    header->body_size = body_size;
    if (body_size < body_size_min || body_size > size_max) {
        return GOIPC_ERROR_FRAME_SIZE;
    }

    *needed = GOIPC_FRAME_LENGTH_SIZE + (size_t)body_size;
    if (in_size >= *needed) {
        *result = GOIPC_DECODE_DONE;
    }
    return GOIPC_ERROR_OK;
}
