/* SPDX-License-Identifier: MIT */
/*
 * What is small enough to try out whole.
 *
 * 1. put_u32 and get_u32, for all 2^32 values: the bytes are the base-256 digits, most significant
 *    first, and reading gives back what was written.
 * 2. Every sequence of up to DEPTH buffer operations from the list below, with the allocation that
 *    each may make succeeding or failing: the invariant holds, the contents are those of a plain
 *    queue, no call fails without cause, and what is released was wiped.
 *
 * Built with AddressSanitizer and UndefinedBehaviorSanitizer, so that undefined behaviour on any of
 * these paths ends the run. Prints the counts; any violation aborts.
 */
#include "core/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* --- 1 -------------------------------------------------------------------------------------- */

static void try_all_integers(void)
{
    uint32_t value = 0;

    do {
        uint8_t out[4];

        goipc_wire_put_u32(out, value);
        REQUIRE(out[0] * UINT64_C(16777216) + out[1] * UINT64_C(65536) + out[2] * UINT64_C(256) +
                    out[3] ==
                value);
        REQUIRE(goipc_wire_get_u32(out) == value);
    } while (value++ != UINT32_MAX);
    printf("put_u32, get_u32: 4294967296 values\n");
}

/* --- 2 -------------------------------------------------------------------------------------- */

enum { DEPTH_MAX = 8, CAPACITY_MAX = 640, QUEUE_ROOM = 4096 };

typedef enum operation { RESERVE, RESERVE_STARVED, WRITE, CONSUME, SHRINK } operation;

typedef struct step {
    operation what;
    size_t size;
} step;

/* Sizes around what the code decides by: nothing, one byte, its first capacity (256), the next one
 * (512), the maximum, and more than that. */
static const step choices[] = {
    {RESERVE, 1},           {RESERVE, 200},         {RESERVE, 256},
    {RESERVE, 300},         {RESERVE, 640},         {RESERVE, 641},
    {RESERVE, SIZE_MAX},    {RESERVE_STARVED, 1},   {RESERVE_STARVED, 200},
    {RESERVE_STARVED, 300}, {RESERVE_STARVED, 640}, {WRITE, 1},
    {WRITE, 128},           {WRITE, 640},           {CONSUME, 1},
    {CONSUME, 129},         {CONSUME, 640},         {SHRINK, 0},
    {SHRINK, 256},
};
enum { CHOICE_COUNT = sizeof choices / sizeof choices[0] };

/* The oracle: what waits, as a plain array. */
typedef struct queue {
    uint8_t bytes[QUEUE_ROOM];
    size_t size;
    uint8_t next; /* of the pattern that is written */
} queue;

static bool memory_is_gone;
static size_t blocks;
static unsigned long long sequences, calls;

static void *allocate(void *context, size_t size)
{
    (void)context;
    REQUIRE(size > 0);
    if (memory_is_gone) {
        return NULL;
    }
    blocks++;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    for (size_t i = 0; i < size; i++) {
        REQUIRE(((const uint8_t *)block)[i] == 0);
    }
    blocks--;
    free(block);
}

static const goipc_allocator allocator = {NULL, allocate, release};

static void check(const goipci_buffer *buffer, const queue *expected)
{
    REQUIRE(goipci_buffer_valid(buffer));
    REQUIRE(goipci_buffer_size(buffer) == expected->size);
    REQUIRE(expected->size == 0 ||
            memcmp(goipci_buffer_bytes(buffer), expected->bytes, expected->size) == 0);
}

static void reserve(goipci_buffer *buffer, const queue *expected, size_t size, bool starved)
{
    const size_t room = buffer->capacity - buffer->write_at;
    size_t capacity;
    goipc_error error;

    memory_is_gone = starved;
    error = goipci_buffer_reserve(buffer, size);
    memory_is_gone = false;
    if (size > buffer->capacity_max - expected->size) {
        REQUIRE(error == (size <= room ? GOIPC_ERROR_OK : GOIPC_ERROR_CAPACITY));
    } else {
        REQUIRE(error == GOIPC_ERROR_OK || (starved && error == GOIPC_ERROR_MEMORY));
        /* Without new memory it still succeeds where moving is enough. */
        REQUIRE(error == GOIPC_ERROR_OK || expected->size + size > buffer->capacity);
    }
    (void)goipci_buffer_room(buffer, &capacity); /* only the size is of interest */
    REQUIRE(error != GOIPC_ERROR_OK || capacity >= size);
}

static void write_bytes(goipci_buffer *buffer, queue *expected, size_t size)
{
    size_t capacity;
    uint8_t *room = goipci_buffer_room(buffer, &capacity);

    size = size < capacity ? size : capacity;
    for (size_t i = 0; i < size; i++) {
        room[i] = expected->bytes[expected->size++] = expected->next++;
    }
    goipci_buffer_commit(buffer, size);
}

static void consume(goipci_buffer *buffer, queue *expected, size_t size)
{
    size = size < expected->size ? size : expected->size;
    goipci_buffer_consume(buffer, size);
    memmove(expected->bytes, expected->bytes + size, expected->size - size);
    expected->size -= size;
}

static void run(const step *steps, size_t count)
{
    static queue expected;
    goipci_buffer buffer;

    expected.size = 0;
    expected.next = 1;
    goipci_buffer_init(&buffer, &allocator, CAPACITY_MAX);
    for (size_t i = 0; i < count; i++) {
        switch (steps[i].what) {
        case RESERVE:
        case RESERVE_STARVED:
            reserve(&buffer, &expected, steps[i].size, steps[i].what == RESERVE_STARVED);
            break;
        case WRITE:
            write_bytes(&buffer, &expected, steps[i].size);
            break;
        case CONSUME:
            consume(&buffer, &expected, steps[i].size);
            break;
        case SHRINK:
            goipci_buffer_shrink(&buffer, steps[i].size);
            break;
        }
        calls++;
        check(&buffer, &expected);
    }
    goipci_buffer_wipe(&buffer);
    REQUIRE(blocks == 0);
    sequences++;
}

/* All sequences of exactly `count` operations: a counter in base CHOICE_COUNT. */
static void try_all_sequences(size_t count)
{
    size_t digits[DEPTH_MAX] = {0};
    step steps[DEPTH_MAX];

    REQUIRE(count <= DEPTH_MAX);
    for (;;) {
        size_t place = 0;

        for (size_t i = 0; i < count; i++) {
            steps[i] = choices[digits[i]];
        }
        run(steps, count);
        while (place < count && ++digits[place] == CHOICE_COUNT) {
            digits[place++] = 0;
        }
        if (place == count) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "integers") == 0) {
        try_all_integers();
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "buffer") == 0) {
        const size_t depth = strtoul(argv[2], NULL, 10);

        for (size_t count = 1; count <= depth; count++) {
            try_all_sequences(count);
        }
        printf("buffer: %llu sequences of at most %zu operations, %llu calls\n", sequences, depth,
               calls);
        return 0;
    }
    fprintf(stderr, "usage: exhaustive integers | buffer DEPTH\n");
    return 2;
}
