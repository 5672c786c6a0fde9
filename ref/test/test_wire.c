/* SPDX-License-Identifier: MIT */
/* Goal: integers and frames have the layout of the specification, every prefix of a frame asks for
 * more, the whole frame is accepted, and a length outside the bounds is refused as soon as its
 * fourth byte is known. Method: literals, tables of boundaries, and exact-size heap copies, so that
 * AddressSanitizer sees an access of even one byte too many. */
#include "goipc.h"
#include "test.h"

static const uint8_t frame[] = {0, 0, 0, 6, 0, 0, 0, 1, 'h', 'i'};

/* req: FR-001 */
static void test_integers_are_big_endian(void)
{
    static const struct {
        uint32_t value;
        uint8_t bytes[4];
    } rows[] = {
        {0, {0x00, 0x00, 0x00, 0x00}},          {1, {0x00, 0x00, 0x00, 0x01}},
        {0x01020304, {0x01, 0x02, 0x03, 0x04}}, {0x80000000u, {0x80, 0x00, 0x00, 0x00}},
        {3145728, {0x00, 0x30, 0x00, 0x00}},    {UINT32_MAX, {0xff, 0xff, 0xff, 0xff}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *bytes = test_copy("\xaa\xaa\xaa\xaa", 4);

        goipc_wire_put_u32(bytes, rows[i].value);
        EXPECT(memcmp(bytes, rows[i].bytes, 4) == 0);
        EXPECT(goipc_wire_get_u32(bytes) == rows[i].value);
        free(bytes);
    }
}

/* req: LM-013, LM-014 */
static void test_frame_size(void)
{
    size_t size = 7;

    EXPECT(goipc_wire_frame_size(false, 0, &size) == GOIPC_ERROR_OK && size == 8);
    EXPECT(goipc_wire_frame_size(true, 0, &size) == GOIPC_ERROR_OK && size == 36);
    EXPECT(goipc_wire_frame_size(false, 3145728, &size) == GOIPC_ERROR_OK && size == 3145736);
    EXPECT(goipc_wire_frame_size(true, 3145728, &size) == GOIPC_ERROR_OK && size == 3145764);
    size = 7;
    EXPECT(goipc_wire_frame_size(false, SIZE_MAX, &size) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_wire_frame_size(true, SIZE_MAX - 35, &size) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(size == 7);
}

/* The largest frames can be counted only where size_t is wider than the length on the wire. */
static void test_frame_size_ceiling(void)
{
#if SIZE_MAX > UINT32_MAX
    const size_t ceiling = 4294967263u;
    size_t size;

    EXPECT(goipc_wire_frame_size(true, ceiling, &size) == GOIPC_ERROR_OK);
    EXPECT(size == (size_t)UINT32_MAX + 4);
    EXPECT(goipc_wire_frame_size(true, ceiling + 1, &size) == GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_wire_frame_size(false, ceiling, &size) == GOIPC_ERROR_OK);
    EXPECT(size == ceiling + 8);
    EXPECT(goipc_wire_frame_size(false, ceiling + 1, &size) == GOIPC_ERROR_MESSAGE_SIZE);
#else
    size_t size;

    /* 36 bytes are the most that go around data: nothing may wrap. */
    EXPECT(goipc_wire_frame_size(true, SIZE_MAX - 36, &size) == GOIPC_ERROR_OK);
    EXPECT(size == SIZE_MAX);
    EXPECT(goipc_wire_frame_size(true, SIZE_MAX - 35, &size) == GOIPC_ERROR_MESSAGE_SIZE);
#endif
}

/* req: FR-002, MT-001 */
static void test_encode(void)
{
    uint8_t *out = test_copy(frame, sizeof frame);
    size_t size = 7;

    memset(out, 0xaa, sizeof frame);
    EXPECT(goipc_wire_encode_plain(1, "hi", 2, out, sizeof frame, &size) == GOIPC_ERROR_OK);
    EXPECT(size == sizeof frame && memcmp(out, frame, size) == 0);

    EXPECT(goipc_wire_encode_plain(UINT32_MAX, NULL, 0, out, 8, &size) == GOIPC_ERROR_OK);
    EXPECT(size == 8 && memcmp(out, "\0\0\0\4\xff\xff\xff\xff", 8) == 0);
    free(out);
}

static void test_encode_refuses(void)
{
    uint8_t out[sizeof frame];
    size_t size = 7;

    memset(out, 0xaa, sizeof out);
    EXPECT(goipc_wire_encode_plain(0, "hi", 2, out, sizeof out, &size) ==
           GOIPC_ERROR_TYPE_RESERVED);
    EXPECT(goipc_wire_encode_plain(1, "hi", SIZE_MAX, out, sizeof out, &size) ==
           GOIPC_ERROR_MESSAGE_SIZE);
    EXPECT(goipc_wire_encode_plain(1, "hi", 2, out, sizeof out - 1, &size) == GOIPC_ERROR_CAPACITY);
    EXPECT(goipc_wire_encode_plain(1, "hi", 2, out, 0, &size) == GOIPC_ERROR_CAPACITY);
    EXPECT(size == 7);
    for (size_t i = 0; i < sizeof out; i++) {
        EXPECT(out[i] == 0xaa);
    }
}

static goipc_error decode_copy(const uint8_t *bytes, size_t size, goipc_decode *result,
                               size_t *needed, goipc_frame_header *header)
{
    uint8_t *exact = test_copy(bytes, size);
    const goipc_error error =
        goipc_wire_decode_header(exact, size, 4, 1028, result, needed, header);

    free(exact);
    return error;
}

static void test_every_prefix(void)
{
    goipc_decode result;
    goipc_frame_header header;
    size_t needed;

    for (size_t size = 0; size < sizeof frame; size++) {
        EXPECT(decode_copy(frame, size, &result, &needed, &header) == GOIPC_ERROR_OK);
        EXPECT(result == GOIPC_DECODE_MORE);
        EXPECT(needed == (size < 4 ? 4 : sizeof frame));
    }
    EXPECT(decode_copy(frame, sizeof frame, &result, &needed, &header) == GOIPC_ERROR_OK);
    EXPECT(result == GOIPC_DECODE_DONE && needed == sizeof frame && header.body_size == 6);
    EXPECT(goipc_wire_decode_header(NULL, 0, 4, 8, &result, &needed, &header) == GOIPC_ERROR_OK);
    EXPECT(result == GOIPC_DECODE_MORE && needed == 4);
}

static void test_more_than_a_frame(void)
{
    static const uint8_t two[] = {0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 4, 0};
    goipc_decode result;
    goipc_frame_header header;
    size_t needed;

    EXPECT(decode_copy(two, sizeof two, &result, &needed, &header) == GOIPC_ERROR_OK);
    EXPECT(result == GOIPC_DECODE_DONE && needed == 8 && header.body_size == 4);
}

/* req: FR-004, FR-006, FR-007 */
static void test_length_bounds(void)
{
    static const struct {
        uint32_t body_size;
        goipc_error error;
    } rows[] = {
        {0, GOIPC_ERROR_FRAME_SIZE},
        {3, GOIPC_ERROR_FRAME_SIZE},
        {4, GOIPC_ERROR_OK},
        {1028, GOIPC_ERROR_OK},
        {1029, GOIPC_ERROR_FRAME_SIZE},
        {UINT32_MAX, GOIPC_ERROR_FRAME_SIZE},
    };
    goipc_decode result;
    goipc_frame_header header;
    size_t needed;
    uint8_t bytes[4];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        goipc_wire_put_u32(bytes, rows[i].body_size);
        EXPECT(decode_copy(bytes, 4, &result, &needed, &header) == rows[i].error);
        EXPECT(header.body_size == rows[i].body_size);
        /* Three bytes of the same length are no reason to judge yet. */
        EXPECT(decode_copy(bytes, 3, &result, &needed, &header) == GOIPC_ERROR_OK);
    }
}

/* req: LM-013 */
static void test_length_of_the_whole_range(void)
{
    static const uint8_t largest[] = {0xff, 0xff, 0xff, 0xff};
    goipc_decode result;
    goipc_frame_header header;
    size_t needed;
    const goipc_error error =
        goipc_wire_decode_header(largest, 4, 0, UINT32_MAX, &result, &needed, &header);

    /* Where size_t has 32 bits, 4 + length would wrap to 3: refused. */
    EXPECT(error == (SIZE_MAX > UINT32_MAX ? GOIPC_ERROR_OK : GOIPC_ERROR_FRAME_SIZE));
    EXPECT(result == GOIPC_DECODE_MORE);
    EXPECT(header.body_size == UINT32_MAX);
    EXPECT(error != GOIPC_ERROR_OK || needed - 4 == UINT32_MAX);
}

int main(void)
{
    test_integers_are_big_endian();
    test_frame_size();
    test_frame_size_ceiling();
    test_encode();
    test_encode_refuses();
    test_every_prefix();
    test_more_than_a_frame();
    test_length_bounds();
    test_length_of_the_whole_range();
    printf("ok %d checks\n", test_checks);
    return 0;
}
