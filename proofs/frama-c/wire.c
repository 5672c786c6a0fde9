/* SPDX-License-Identifier: MIT */
/*
 * Contracts of the wire codec, proved by Frama-C's WP for every input, without a bound: no
 * undefined behaviour (-wp-rte), nothing written beyond what the header allows, and the arithmetic
 * of the format. The code is the reference's own file, included below; only its contracts stand
 * here.
 *
 * Two postconditions are admitted here and proved elsewhere: that NUMBER of the four bytes is the
 * value, for put_u32 and get_u32. ../exhaustive.c tries all 2^32 values. What memcpy does is the C
 * library's promise, said here once more for bytes (copy_bytes), which the prover can reason about.
 *
 * A frame is decoded as it was encoded: goipc_wire_encode_plain ensures NUMBER(out, 0) == data_size
 * + 4, NUMBER(out, 4) == type and that the data follows, and goipc_wire_decode_header ensures that
 * header->body_size is the same NUMBER. round_trip below draws the conclusion.
 */
#include "goipc.h"

#include <string.h>

#define NUMBER(at, i)                                                                              \
    ((at)[(i)] * 16777216 + (at)[(i) + 1] * 65536 + (at)[(i) + 2] * 256 + (at)[(i) + 3])

/*@ requires \valid(out + (0 .. 3));
    assigns out[0 .. 3];
    admit ensures NUMBER(out, 0) == value;
*/
void goipc_wire_put_u32(uint8_t out[4], uint32_t value);

/*@ requires \valid_read(in + (0 .. 3));
    assigns \nothing;
    admit ensures \result == NUMBER(in, 0);
*/
uint32_t goipc_wire_get_u32(const uint8_t in[4]);

/*@ requires \valid(to + (0 .. size - 1)) && \valid_read(from + (0 .. size - 1));
    requires \separated(to + (0 .. size - 1), from + (0 .. size - 1));
    assigns to[0 .. size - 1];
    ensures \forall integer i; 0 <= i < size ==> to[i] == \old(from[i]);
*/
static void copy_bytes(uint8_t *to, const uint8_t *from, size_t size);
#define memcpy(to, from, size) copy_bytes(to, from, size)

/*@ requires \valid(frame_size);
    assigns *frame_size;
    behavior fits:
      assumes data_size <= 4294967263;
      ensures \result == GOIPC_ERROR_OK;
      ensures *frame_size == data_size + (encrypted ? 36 : 8);
    behavior too_large:
      assumes data_size > 4294967263;
      ensures \result == GOIPC_ERROR_MESSAGE_SIZE;
      ensures *frame_size == \old(*frame_size);
    complete behaviors;
    disjoint behaviors;
*/
goipc_error goipc_wire_frame_size(bool encrypted, size_t data_size, size_t *frame_size);

/*@ requires data_size == 0 || \valid_read((uint8_t *)data + (0 .. data_size - 1));
    requires capacity > 0 ==> \valid(out + (0 .. capacity - 1));
    requires out != \null && (data != \null || data_size == 0);
    requires \valid(out_size);
    requires \separated(out + (0 .. capacity - 1), (uint8_t *)data + (0 .. data_size - 1),
                        out_size);
    assigns *out_size, out[0 .. capacity - 1];
    behavior reserved:
      assumes type == 0;
      ensures \result == GOIPC_ERROR_TYPE_RESERVED;
    behavior too_large:
      assumes type != 0 && data_size > 4294967263;
      ensures \result == GOIPC_ERROR_MESSAGE_SIZE;
    behavior no_room:
      assumes type != 0 && data_size <= 4294967263 && capacity < data_size + 8;
      ensures \result == GOIPC_ERROR_CAPACITY;
    behavior encodes:
      assumes type != 0 && data_size <= 4294967263 && capacity >= data_size + 8;
      ensures \result == GOIPC_ERROR_OK;
      ensures *out_size == data_size + 8;
      ensures NUMBER(out, 0) == data_size + 4;
      ensures NUMBER(out, 4) == type;
      ensures \forall integer i;
        0 <= i < data_size ==> out[8 + i] == \old(((const uint8_t *)data)[i]);
    complete behaviors;
    disjoint behaviors;
*/
goipc_error goipc_wire_encode_plain(uint32_t type, const void *data, size_t data_size, uint8_t *out,
                                    size_t capacity, size_t *out_size);

/*@ requires in_size == 0 || (in != \null && \valid_read(in + (0 .. in_size - 1)));
    requires body_size_min <= body_size_max;
    requires \valid(result) && \valid(needed) && \valid(header);
    requires \separated(result, needed, header, in + (0 .. in_size - 1));
    assigns *result, *needed, *header;
    behavior length_is_not_there:
      assumes in_size < 4;
      ensures \result == GOIPC_ERROR_OK && *result == GOIPC_DECODE_MORE && *needed == 4;
    behavior out_of_bounds:
      assumes in_size >= 4;
      assumes NUMBER(in, 0) < body_size_min || NUMBER(in, 0) > body_size_max;
      ensures \result == GOIPC_ERROR_FRAME_SIZE;
    behavior partial:
      assumes in_size >= 4 && body_size_min <= NUMBER(in, 0) <= body_size_max;
      assumes in_size < NUMBER(in, 0) + 4;
      ensures \result == GOIPC_ERROR_OK && *result == GOIPC_DECODE_MORE;
      ensures *needed == NUMBER(in, 0) + 4 && header->body_size == NUMBER(in, 0);
    behavior whole:
      assumes in_size >= 4 && body_size_min <= NUMBER(in, 0) <= body_size_max;
      assumes in_size >= NUMBER(in, 0) + 4;
      ensures \result == GOIPC_ERROR_OK && *result == GOIPC_DECODE_DONE;
      ensures *needed == NUMBER(in, 0) + 4 <= in_size && header->body_size == NUMBER(in, 0);
    complete behaviors;
    disjoint behaviors;
*/
goipc_error goipc_wire_decode_header(const uint8_t *in, size_t in_size, uint32_t body_size_min,
                                     uint32_t body_size_max, goipc_decode *result, size_t *needed,
                                     goipc_frame_header *header);

#include "../../ref/src/core/wire.c"

/*@ requires type != 0 && data_size <= 4294967263 && capacity >= data_size + 8;
    requires data_size == 0 || \valid_read(data + (0 .. data_size - 1));
    requires data != \null && \valid(out + (0 .. capacity - 1));
    requires \separated(out + (0 .. capacity - 1), data + (0 .. data_size - 1));
    assigns out[0 .. capacity - 1];
    ensures \result == 1;
    ensures \forall integer i; 0 <= i < data_size ==> out[8 + i] == \old(data[i]);
*/
int round_trip(uint32_t type, const uint8_t *data, size_t data_size, uint8_t *out, size_t capacity)
{
    size_t out_size, needed;
    goipc_decode result;
    goipc_frame_header header;

    if (goipc_wire_encode_plain(type, data, data_size, out, capacity, &out_size) !=
        GOIPC_ERROR_OK) {
        return 0;
    }
    if (goipc_wire_decode_header(out, out_size, GOIPC_FRAME_TYPE_SIZE, UINT32_MAX, &result, &needed,
                                 &header) != GOIPC_ERROR_OK) {
        return 0;
    }
    return result == GOIPC_DECODE_DONE && needed == out_size &&
           header.body_size == data_size + GOIPC_FRAME_TYPE_SIZE &&
           goipc_wire_get_u32(out + GOIPC_FRAME_LENGTH_SIZE) == type;
}
