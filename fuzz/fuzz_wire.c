/* SPDX-License-Identifier: MIT */
/* Property: for any bytes, bounds and sizes the wire codec agrees with a second one written in wide
 * arithmetic, never touches a byte that it was not given, and decode(encode(x)) = x. */
#include "fuzz.h"

static void check_decode(fuzz_bytes bytes)
{
    uint32_t body_size_min = fuzz_take_u32(&bytes);
    uint32_t body_size_max = fuzz_take_u32(&bytes);
    const uint64_t body_size = bytes.size < 4 ? 0
                                              : bytes.at[0] * (uint64_t)16777216 +
                                                    bytes.at[1] * (uint64_t)65536 +
                                                    bytes.at[2] * (uint64_t)256 + bytes.at[3];
    goipc_decode result = GOIPC_DECODE_DONE;
    goipc_frame_header header = {0};
    size_t needed = 0;
    goipc_error error;

    if (body_size_min > body_size_max) {
        const uint32_t swapped = body_size_min;

        body_size_min = body_size_max;
        body_size_max = swapped;
    }
    error = goipc_wire_decode_header(bytes.at, bytes.size, body_size_min, body_size_max, &result,
                                     &needed, &header);
    if (bytes.size < 4) {
        FUZZ_REQUIRE(error == GOIPC_ERROR_OK && result == GOIPC_DECODE_MORE && needed == 4);
        return;
    }
    FUZZ_REQUIRE(header.body_size == body_size);
    if (body_size < body_size_min || body_size > body_size_max || body_size > SIZE_MAX - 4) {
        FUZZ_REQUIRE(error == GOIPC_ERROR_FRAME_SIZE);
        return;
    }
    FUZZ_REQUIRE(error == GOIPC_ERROR_OK && needed == body_size + 4);
    FUZZ_REQUIRE((result == GOIPC_DECODE_DONE) == (bytes.size >= body_size + 4));
}

static void check_round_trip(fuzz_bytes bytes)
{
    const uint32_t type = fuzz_take_u32(&bytes);
    const size_t capacity = fuzz_take_u8(&bytes) * (size_t)16;
    uint8_t *out = malloc(capacity + 1);
    size_t out_size = 0, needed;
    goipc_decode result;
    goipc_frame_header header;
    goipc_error error;

    FUZZ_REQUIRE(out != NULL);
    error = goipc_wire_encode_plain(type, bytes.size == 0 ? NULL : bytes.at, bytes.size, out,
                                    capacity, &out_size);
    if (type == 0) {
        FUZZ_REQUIRE(error == GOIPC_ERROR_TYPE_RESERVED && out_size == 0);
    } else if (capacity < bytes.size + 8) {
        FUZZ_REQUIRE(error == GOIPC_ERROR_CAPACITY && out_size == 0);
    } else {
        FUZZ_REQUIRE(error == GOIPC_ERROR_OK && out_size == bytes.size + 8);
        error = goipc_wire_decode_header(out, out_size, 4, UINT32_MAX, &result, &needed, &header);
        FUZZ_REQUIRE(error == GOIPC_ERROR_OK && result == GOIPC_DECODE_DONE && needed == out_size);
        FUZZ_REQUIRE(header.body_size == bytes.size + 4 && goipc_wire_get_u32(out + 4) == type);
        FUZZ_REQUIRE(bytes.size == 0 || memcmp(out + 8, bytes.at, bytes.size) == 0);
    }
    free(out);
}

static void check_sizes(fuzz_bytes bytes)
{
    const uint64_t wide = (uint64_t)fuzz_take_u32(&bytes) << 32 | fuzz_take_u32(&bytes);
    const bool encrypted = fuzz_take_u8(&bytes) & 1;
    const size_t data_size = (size_t)wide; /* a 32-bit size_t keeps the lower half */
    const unsigned overhead = encrypted ? 36 : 8;
    const size_t countable_max = SIZE_MAX - 36; /* less than the format's bound on 32 bits */
    size_t frame_size = 0, out_size = 0;
    uint8_t out[1], data[1] = {0};
    goipc_error error = goipc_wire_frame_size(encrypted, data_size, &frame_size);

    if (data_size > 4294967263u || data_size > countable_max) {
        FUZZ_REQUIRE(error == GOIPC_ERROR_MESSAGE_SIZE && frame_size == 0);
        /* Nothing is read or written for it: one byte of each is enough. */
        error = goipc_wire_encode_plain(1, data, data_size, out, SIZE_MAX, &out_size);
        FUZZ_REQUIRE(error == GOIPC_ERROR_MESSAGE_SIZE && out_size == 0);
    } else {
        FUZZ_REQUIRE(error == GOIPC_ERROR_OK && frame_size == data_size + overhead);
    }
}

static void check_integers(fuzz_bytes bytes)
{
    const uint32_t value = fuzz_take_u32(&bytes);
    uint8_t out[4];

    goipc_wire_put_u32(out, value);
    FUZZ_REQUIRE(goipc_wire_get_u32(out) == value && out[0] == value >> 24);
}

static void check_errors(fuzz_bytes bytes)
{
    const goipc_error error = (goipc_error)(fuzz_take_u32(&bytes) % 512);

    FUZZ_REQUIRE(goipc_error_name(error)[0] != '\0' && goipc_error_text(error)[0] != '\0');
    FUZZ_REQUIRE((int)goipc_error_classify(error) <= 3);
    FUZZ_REQUIRE(goipc_status_text((goipc_status)((int)error % 16))[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(fuzz_bytes bytes) = {
        check_decode, check_round_trip, check_sizes, check_integers, check_errors,
    };
    fuzz_bytes bytes = {data, size};
    const size_t which = fuzz_take_u8(&bytes) % (sizeof checks / sizeof checks[0]);

    checks[which](bytes);
    return 0;
}
