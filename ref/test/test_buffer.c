/* SPDX-License-Identifier: MIT */
/* Goal: a buffer gives out the bytes it was given, in order, whatever the sizes; never holds more
 * than its maximum; loses nothing when memory runs out; wipes what it releases; and does not move
 * its contents more often than they grow. Method: an allocator that counts, fails on demand and
 * looks at what it gets back; a long run of random operations against a plain queue of numbers. */
#include "core/internal.h"
#include "test.h"

/* An allocator that fails from its `left`-th call on and checks what comes back. */
typedef struct account {
    size_t left; /* allocations still granted */
    size_t live; /* blocks not released yet */
    size_t live_size;
    size_t allocation_count;
} account;

static void *take(void *context, size_t size)
{
    account *ledger = context;
    void *memory;

    EXPECT(size > 0);
    if (ledger->left == 0) {
        return NULL;
    }
    ledger->left--;
    ledger->live++;
    ledger->live_size += size;
    ledger->allocation_count++;
    memory = malloc(size);
    EXPECT(memory != NULL);
    memset(memory, 0xaa, size); /* what is not zeroed on purpose must not look zeroed */
    return memory;
}

static void give_back(void *context, void *memory, size_t size)
{
    account *ledger = context;
    const uint8_t *bytes = memory;

    EXPECT(memory != NULL && size > 0);
    EXPECT(ledger->live > 0 && ledger->live_size >= size);
    for (size_t i = 0; i < size; i++) {
        EXPECT(bytes[i] == 0);
    }
    ledger->live--;
    ledger->live_size -= size;
    free(memory);
}

static goipc_allocator allocator_of(account *ledger)
{
    return (goipc_allocator){ledger, take, give_back};
}

static void append(goipci_buffer *buffer, const char *text)
{
    size_t capacity;
    uint8_t *room;

    EXPECT(goipci_buffer_reserve(buffer, strlen(text)) == GOIPC_ERROR_OK);
    room = goipci_buffer_room(buffer, &capacity);
    EXPECT(capacity >= strlen(text));
    memcpy(room, text, strlen(text));
    goipci_buffer_commit(buffer, strlen(text));
}

static bool holds(const goipci_buffer *buffer, const char *text)
{
    const uint8_t *bytes = goipci_buffer_bytes(buffer);

    return bytes != NULL && goipci_buffer_size(buffer) == strlen(text) &&
           memcmp(bytes, text, strlen(text)) == 0;
}

static void test_allocator_default(void)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    account ledger = {.left = 1};
    const goipc_allocator own = allocator_of(&ledger);
    uint8_t *memory = goipci_allocate_zeroed(allocator, 100);

    EXPECT(goipci_allocator_or_default(&own) == &own);
    EXPECT(memory != NULL);
    for (size_t i = 0; i < 100; i++) {
        EXPECT(memory[i] == 0);
    }
    goipci_release(allocator, memory, 100);
    goipci_release(allocator, NULL, 0);

    memory = goipci_allocate_zeroed(&own, 3);
    EXPECT(memory != NULL && memory[0] == 0 && memory[2] == 0);
    EXPECT(goipci_allocate_zeroed(&own, 3) == NULL);
    memset(memory, 1, 3);
    goipci_release(&own, memory, 3);
    EXPECT(ledger.live == 0);
}

static void test_empty_buffer_owns_nothing(void)
{
    account ledger = {.left = 0};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;
    size_t capacity;

    goipci_buffer_init(&buffer, &allocator, 1000);
    EXPECT(goipci_buffer_size(&buffer) == 0);
    EXPECT(goipci_buffer_bytes(&buffer) == NULL);
    EXPECT(goipci_buffer_room(&buffer, &capacity) == NULL && capacity == 0);
    EXPECT(goipci_buffer_reserve(&buffer, 0) == GOIPC_ERROR_OK);
    goipci_buffer_commit(&buffer, 0);
    goipci_buffer_consume(&buffer, 0);
    goipci_buffer_shrink(&buffer, 0);
    goipci_buffer_wipe(&buffer);
    EXPECT(ledger.allocation_count == 0);
}

static void test_bytes_come_out_in_order(void)
{
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;

    goipci_buffer_init(&buffer, &allocator, 1000);
    append(&buffer, "one");
    append(&buffer, "two");
    EXPECT(holds(&buffer, "onetwo"));
    goipci_buffer_consume(&buffer, 2);
    EXPECT(holds(&buffer, "etwo"));
    append(&buffer, "three");
    EXPECT(holds(&buffer, "etwothree"));
    goipci_buffer_consume(&buffer, 9);
    EXPECT(holds(&buffer, "") && buffer.read_at == 0 && buffer.write_at == 0);
    goipci_buffer_wipe(&buffer);
    EXPECT(ledger.live == 0);
    append(&buffer, "again");
    EXPECT(holds(&buffer, "again"));
    goipci_buffer_wipe(&buffer);
    EXPECT(ledger.live == 0);
}

/* What was consumed stays readable until the next write: events lend it out. */
static void test_consumed_bytes_stay_in_place(void)
{
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    const uint8_t *bytes;
    goipci_buffer buffer;

    goipci_buffer_init(&buffer, &allocator, 1000);
    append(&buffer, "lent");
    bytes = goipci_buffer_bytes(&buffer);
    goipci_buffer_consume(&buffer, 4);
    EXPECT(bytes != NULL && memcmp(bytes, "lent", 4) == 0);
    goipci_buffer_wipe(&buffer);
}

static void test_maximum(void)
{
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;
    size_t capacity;

    goipci_buffer_init(&buffer, &allocator, 300);
    append(&buffer, "0123456789");
    EXPECT(goipci_buffer_reserve(&buffer, 291) == GOIPC_ERROR_CAPACITY);
    EXPECT(goipci_buffer_reserve(&buffer, SIZE_MAX) == GOIPC_ERROR_CAPACITY);
    EXPECT(holds(&buffer, "0123456789"));
    EXPECT(goipci_buffer_reserve(&buffer, 290) == GOIPC_ERROR_OK);
    (void)goipci_buffer_room(&buffer, &capacity); /* only the size is looked at */
    EXPECT(capacity == 290 && ledger.live_size == 300);
    goipci_buffer_commit(&buffer, 0);
    goipci_buffer_wipe(&buffer);

    goipci_buffer_init(&buffer, &allocator, 0);
    EXPECT(goipci_buffer_reserve(&buffer, 1) == GOIPC_ERROR_CAPACITY);
    EXPECT(ledger.live == 0);
}

/* The smallest capacity is 256, then it doubles, at least to what is needed, at most to the cap. */
static void test_growth(void)
{
    static const struct {
        size_t reserve;
        size_t capacity;
    } rows[] = {{1, 256},     {256, 256},   {257, 512},  {1025, 1025},
                {1026, 2050}, {4101, 4101}, {4102, 5000}};
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;

    goipci_buffer_init(&buffer, &allocator, 5000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        EXPECT(goipci_buffer_reserve(&buffer, rows[i].reserve) == GOIPC_ERROR_OK);
        EXPECT(buffer.capacity == rows[i].capacity && ledger.live == 1);
    }
    goipci_buffer_wipe(&buffer);

    goipci_buffer_init(&buffer, &allocator, 100);
    EXPECT(goipci_buffer_reserve(&buffer, 1) == GOIPC_ERROR_OK && buffer.capacity == 100);
    goipci_buffer_wipe(&buffer);
}

static void test_no_memory_loses_nothing(void)
{
    account ledger = {.left = 0};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;

    goipci_buffer_init(&buffer, &allocator, 100000);
    EXPECT(goipci_buffer_reserve(&buffer, 1) == GOIPC_ERROR_MEMORY);
    EXPECT(goipci_buffer_size(&buffer) == 0);
    ledger.left = 1;
    append(&buffer, "kept");
    EXPECT(goipci_buffer_reserve(&buffer, 1000) == GOIPC_ERROR_MEMORY);
    EXPECT(holds(&buffer, "kept"));
    append(&buffer, " whole");
    EXPECT(holds(&buffer, "kept whole"));
    goipci_buffer_wipe(&buffer);
    EXPECT(ledger.live == 0);
}

/* Fills 256 bytes, of which 100 are consumed: 156 wait, and 50 more would fit after a move. */
static void fill_two_thirds(goipci_buffer *buffer)
{
    size_t capacity;

    EXPECT(goipci_buffer_reserve(buffer, 256) == GOIPC_ERROR_OK);
    for (size_t i = 0; i < 256; i++) {
        goipci_buffer_room(buffer, &capacity)[0] = (uint8_t)i;
        goipci_buffer_commit(buffer, 1);
    }
    goipci_buffer_consume(buffer, 100);
}

static bool counts_up(const goipci_buffer *buffer, size_t size, uint8_t first)
{
    const uint8_t *bytes = goipci_buffer_bytes(buffer);

    EXPECT(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (uint8_t)(first + i)) {
            return false;
        }
    }
    return goipci_buffer_size(buffer) == size;
}

static void test_moving_and_growing(void)
{
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;

    /* Less consumed than waits: it grows rather than moves. */
    goipci_buffer_init(&buffer, &allocator, 100000);
    fill_two_thirds(&buffer);
    EXPECT(goipci_buffer_reserve(&buffer, 50) == GOIPC_ERROR_OK);
    EXPECT(buffer.capacity == 512 && counts_up(&buffer, 156, 100));
    goipci_buffer_wipe(&buffer);

    /* More consumed than waits: it moves. */
    goipci_buffer_init(&buffer, &allocator, 100000);
    fill_two_thirds(&buffer);
    goipci_buffer_consume(&buffer, 100);
    EXPECT(goipci_buffer_reserve(&buffer, 150) == GOIPC_ERROR_OK);
    EXPECT(buffer.capacity == 256 && buffer.read_at == 0 && counts_up(&buffer, 56, 200));
    goipci_buffer_wipe(&buffer);

    /* No memory to grow: it moves all the same. */
    goipci_buffer_init(&buffer, &allocator, 100000);
    fill_two_thirds(&buffer);
    ledger.left = 0;
    EXPECT(goipci_buffer_reserve(&buffer, 50) == GOIPC_ERROR_OK);
    EXPECT(buffer.capacity == 256 && buffer.read_at == 0 && counts_up(&buffer, 156, 100));
    goipci_buffer_wipe(&buffer);

    /* At the cap: it moves. */
    ledger.left = SIZE_MAX;
    goipci_buffer_init(&buffer, &allocator, 256);
    fill_two_thirds(&buffer);
    EXPECT(goipci_buffer_reserve(&buffer, 100) == GOIPC_ERROR_OK);
    EXPECT(buffer.capacity == 256 && buffer.read_at == 0 && counts_up(&buffer, 156, 100));
    goipci_buffer_wipe(&buffer);
    EXPECT(ledger.live == 0);
}

static void test_shrink(void)
{
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;

    goipci_buffer_init(&buffer, &allocator, 100000);
    EXPECT(goipci_buffer_reserve(&buffer, 1000) == GOIPC_ERROR_OK);
    goipci_buffer_commit(&buffer, 1);
    goipci_buffer_shrink(&buffer, 999);
    EXPECT(buffer.capacity == 1000); /* not empty */
    goipci_buffer_consume(&buffer, 1);
    goipci_buffer_shrink(&buffer, 1000);
    EXPECT(buffer.capacity == 1000); /* not larger */
    goipci_buffer_shrink(&buffer, 999);
    EXPECT(buffer.capacity == 0 && ledger.live == 0);
}

static void test_invariant(void)
{
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    uint8_t bytes[4];
    const goipci_buffer good = {&allocator, bytes, 4, 8, 1, 2};
    goipci_buffer bad;

    EXPECT(goipci_buffer_valid(&good));
    bad = good, bad.allocator = NULL;
    EXPECT(!goipci_buffer_valid(&bad));
    bad = good, bad.read_at = 3;
    EXPECT(!goipci_buffer_valid(&bad));
    bad = good, bad.write_at = 5;
    EXPECT(!goipci_buffer_valid(&bad));
    bad = good, bad.capacity_max = 3;
    EXPECT(!goipci_buffer_valid(&bad));
    bad = good, bad.bytes = NULL;
    EXPECT(!goipci_buffer_valid(&bad));
}

/* A fixed generator, so that a failure can be repeated. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void test_random_operations_keep_the_order(void)
{
    account ledger = {.left = SIZE_MAX};
    const goipc_allocator allocator = allocator_of(&ledger);
    goipci_buffer buffer;
    uint32_t state = 1, written = 0, read = 0;
    size_t capacity;

    goipci_buffer_init(&buffer, &allocator, 4096);
    for (int round = 0; round < 20000; round++) {
        const size_t size = next_random(&state) % 700;
        const size_t take_size = next_random(&state) % (goipci_buffer_size(&buffer) + 1);
        const bool fits = size <= 4096 - goipci_buffer_size(&buffer);

        ledger.left = next_random(&state) % 4; /* sometimes no memory */
        if (goipci_buffer_reserve(&buffer, size) == GOIPC_ERROR_OK) {
            uint8_t *room = goipci_buffer_room(&buffer, &capacity);

            EXPECT(fits && capacity >= size);
            for (size_t i = 0; i < size; i++) {
                room[i] = (uint8_t)written++;
            }
            goipci_buffer_commit(&buffer, size);
        }
        EXPECT(counts_up(&buffer, written - read, (uint8_t)read));
        goipci_buffer_consume(&buffer, take_size);
        read += (uint32_t)take_size;
        EXPECT(goipci_buffer_valid(&buffer));
    }
    EXPECT(written > 1000000);
    goipci_buffer_wipe(&buffer);
    EXPECT(ledger.live == 0 && ledger.live_size == 0);
}

int main(void)
{
    test_allocator_default();
    test_empty_buffer_owns_nothing();
    test_bytes_come_out_in_order();
    test_consumed_bytes_stay_in_place();
    test_maximum();
    test_growth();
    test_no_memory_loses_nothing();
    test_moving_and_growing();
    test_shrink();
    test_invariant();
    test_random_operations_keep_the_order();
    printf("ok %d checks\n", test_checks);
    return 0;
}
