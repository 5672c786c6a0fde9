/* SPDX-License-Identifier: MIT */
/* A mutator that knows frames, for the targets whose input is a setup and then what the peer sends.
 * It finds the frames behind the handshake and changes one as a whole: its length alone, its type,
 * its data with a length that fits, its place; or puts in a new one, sealed with the key that fits.
 * Every third time it leaves the input to libFuzzer's own mutations. */
#include "fuzz.h"
#include "keys.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

enum { FRAMES_MAX = 64, NEW_DATA_MAX = 40 };

/* Set by CMakeLists.txt: whether a byte that chooses the role stands before the setup, and the role
 * where none does. */
#ifndef FUZZ_ROLE_BYTE
#define FUZZ_ROLE_BYTE 0
#endif
#ifndef FUZZ_IS_CLIENT
#define FUZZ_IS_CLIENT 0
#endif

typedef struct input {
    uint8_t *bytes;
    size_t size;
    size_t size_max;
    size_t setup_at;
    bool is_client;
    bool sealed;
    size_t frame_at[FRAMES_MAX + 1]; /* the last one is the end */
    size_t frame_count;
    uint32_t random;
} input;

static uint32_t next_random(input *in)
{
    in->random = in->random * 1664525u + 1013904223u;
    return in->random >> 8;
}

static size_t handshake_size(const input *in)
{
    if (in->is_client) {
        return 2 + (in->sealed ? 97u + 36u : 8u);
    }
    return 1 + (in->sealed ? 97u : 0u) + 1;
}

static void find_frames(input *in)
{
    size_t at = in->setup_at + FUZZ_SETUP_SIZE + handshake_size(in);

    in->frame_count = 0;
    while (in->frame_count < FRAMES_MAX && at + 4 <= in->size) {
        const uint32_t body_size = goipc_wire_get_u32(in->bytes + at);

        in->frame_at[in->frame_count++] = at;
        if (body_size > in->size - at - 4) {
            at = in->size;
            break;
        }
        at += 4 + body_size;
    }
    in->frame_at[in->frame_count] = at < in->size ? at : in->size;
}

/* Replaces bytes[at .. at + old_size) by new_size bytes of room. */
static bool splice(input *in, size_t at, size_t old_size, size_t new_size)
{
    if (at > in->size || in->size - old_size + new_size > in->size_max) {
        return false;
    }
    memmove(in->bytes + at + new_size, in->bytes + at + old_size, in->size - at - old_size);
    in->size = in->size - old_size + new_size;
    return true;
}

static void change_length(input *in, size_t frame)
{
    static const uint32_t lengths[] = {0,    3,    4,    5,       31,      32,      33,        1028,
                                       1029, 1056, 1057, 3145732, 3145733, 3145760, UINT32_MAX};
    uint8_t *at = in->bytes + in->frame_at[frame];
    const uint32_t choice = next_random(in) % (sizeof lengths / sizeof lengths[0] + 2);
    const uint32_t length = goipc_wire_get_u32(at);

    if (choice < 2) {
        goipc_wire_put_u32(at, choice == 0 ? length + 1 : length - 1);
    } else {
        goipc_wire_put_u32(at, lengths[choice - 2]);
    }
}

static void change_type(input *in, size_t frame)
{
    static const uint32_t types[] = {0, 1, 7, 0x7fffffff, 0x80000000, UINT32_MAX};
    const size_t at = in->frame_at[frame] + 4;

    if (at + 4 <= in->frame_at[frame + 1]) {
        goipc_wire_put_u32(in->bytes + at,
                           types[next_random(in) % (sizeof types / sizeof types[0])]);
    }
}

static void change_data(input *in, size_t frame)
{
    const size_t at = in->frame_at[frame] + 8, end = in->frame_at[frame + 1];
    uint8_t data[NEW_DATA_MAX * 2];
    size_t data_size;

    if (at > end || end - at > NEW_DATA_MAX) {
        return;
    }
    memcpy(data, in->bytes + at, end - at);
    data_size = LLVMFuzzerMutate(data, end - at, sizeof data);
    if (splice(in, at, end - at, data_size)) {
        memcpy(in->bytes + at, data, data_size);
        goipc_wire_put_u32(in->bytes + at - 8, (uint32_t)data_size + 4);
    }
}

static void double_frame(input *in, size_t frame)
{
    const size_t at = in->frame_at[frame], size = in->frame_at[frame + 1] - at;

    if (splice(in, at, 0, size)) {
        memcpy(in->bytes + at, in->bytes + at + size, size);
    }
}

static void drop_frame(input *in, size_t frame)
{
    (void)splice(in, in->frame_at[frame], in->frame_at[frame + 1] - in->frame_at[frame], 0);
}

static void cut_frame(input *in, size_t frame)
{
    const size_t size = in->frame_at[frame + 1] - in->frame_at[frame];

    in->size = in->frame_at[frame] + (size == 0 ? 0 : next_random(in) % size);
}

static size_t make_frame(input *in, uint8_t *out, size_t capacity)
{
    static const uint32_t types[] = {1, 2, 0, 7, UINT32_MAX};
    const uint32_t type = types[next_random(in) % (sizeof types / sizeof types[0])];
    const size_t data_size = next_random(in) % NEW_DATA_MAX;
    const bool zero_x = (in->bytes[in->setup_at] & FUZZ_FLAG_ZERO_X) != 0;
    uint8_t data[NEW_DATA_MAX], key[32], nonce[12];
    size_t size = 0;

    memset(data, (int)(next_random(in) & 0xff), sizeof data);
    memset(nonce, (int)(next_random(in) & 0xff), sizeof nonce);
    if (!in->sealed) {
        goipc_wire_put_u32(out, (uint32_t)data_size + 4);
        goipc_wire_put_u32(out + 4, type);
        memcpy(out + 8, data, data_size);
        return data_size + 8;
    }
    if (goipc_crypto_derive_key(goipc_crypto_default(), zero_x ? fuzz_zero_shared_x : fuzz_shared_x,
                                next_random(in) % 4 == 0 ? GOIPC_KEY_FORM_FIXED
                                                         : GOIPC_KEY_FORM_MINIMAL,
                                key) != GOIPC_ERROR_OK ||
        goipc_crypto_seal_frame(goipc_crypto_default(), key, nonce, type, data, data_size, out,
                                capacity, &size) != GOIPC_ERROR_OK) {
        return 0;
    }
    return size;
}

static void insert_frame(input *in, size_t frame)
{
    uint8_t made[NEW_DATA_MAX + 36];
    const size_t size = make_frame(in, made, sizeof made);
    const size_t at = in->frame_at[frame];

    if (splice(in, at, 0, size)) {
        memcpy(in->bytes + at, made, size);
    }
}

static void (*const changes[])(input *in, size_t frame) = {
    change_length, change_type, change_data, double_frame, drop_frame, cut_frame, insert_frame,
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    input in = {.bytes = data, .size = size, .size_max = size_max, .random = seed};

    in.setup_at = FUZZ_ROLE_BYTE;
    if (next_random(&in) % 3 == 0 || size < in.setup_at + FUZZ_SETUP_SIZE) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    in.is_client = FUZZ_ROLE_BYTE ? (data[0] & 1) != 0 : FUZZ_IS_CLIENT != 0;
    in.sealed = (data[in.setup_at] & FUZZ_FLAG_PLAIN) == 0;
    find_frames(&in);
    if (in.frame_count == 0) {
        if (size < in.setup_at + FUZZ_SETUP_SIZE + handshake_size(&in)) {
            return LLVMFuzzerMutate(data, size, size_max);
        }
        insert_frame(&in, 0);
        return in.size;
    }
    if (next_random(&in) % (in.frame_count + 1) == 0) {
        insert_frame(&in, in.frame_count);
    } else {
        const size_t frame = next_random(&in) % in.frame_count;

        changes[next_random(&in) % (sizeof changes / sizeof changes[0])](&in, frame);
    }
    return in.size;
}
