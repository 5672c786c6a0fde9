/* SPDX-License-Identifier: MIT */
/* Goal: the table finds every client that is in it and no other; the queue of status changes keeps
 * the newest, in order. Method: 20,000 random operations against an array; exact boundaries. */
#include "endpoint/client_table.h"
#include "endpoint/status_queue.h"
#include "test.h"

enum { IDS = 64 };

/* A fixed sequence (SplitMix64), so that a failure repeats. */
static uint64_t next_number(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* Ids that fall on the same places: many chains, and gaps within them. */
static goipc_client_id id_of(size_t number)
{
    return (goipc_client_id)(1 + number % 8 + number / 8 * 1024);
}

static void test_against_an_array(void)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    goipci_client_table table = {.size = 0};
    int clients[IDS];
    bool is_in[IDS] = {false};
    uint64_t state = 1;
    size_t count = 0;

    EXPECT(goipci_client_table_find(&table, 1) == NULL);
    for (int step = 0; step < 20000; step++) {
        const size_t number = (size_t)(next_number(&state) % IDS);

        if (is_in[number]) {
            goipci_client_table_remove(&table, id_of(number));
            count--;
        } else {
            EXPECT(goipci_client_table_reserve(&table, allocator) == GOIPC_ERROR_OK);
            goipci_client_table_put(&table, id_of(number), &clients[number]);
            count++;
        }
        is_in[number] = !is_in[number];
        EXPECT(table.count == count);
        for (size_t i = 0; i < IDS; i++) {
            EXPECT(goipci_client_table_find(&table, id_of(i)) == (is_in[i] ? &clients[i] : NULL));
        }
    }
    EXPECT(goipci_client_table_find(&table, 0) == NULL);
    EXPECT(table.size == 128); /* at most half full, and no larger */
    goipci_client_table_wipe(&table, allocator);
    EXPECT(table.size == 0 && table.count == 0);
}

static void *allocate_nothing(void *context, size_t size)
{
    (void)context;
    (void)size;
    return NULL;
}

static void test_without_memory(void)
{
    const goipc_allocator *allocator = goipci_allocator_or_default(NULL);
    const goipc_allocator none = {.allocate = allocate_nothing, .release = allocator->release};
    goipci_client_table table = {.size = 0};
    int client;

    EXPECT(goipci_client_table_reserve(&table, &none) == GOIPC_ERROR_MEMORY);
    for (goipc_client_id id = 1; id <= 8; id++) {
        EXPECT(goipci_client_table_reserve(&table, allocator) == GOIPC_ERROR_OK);
        goipci_client_table_put(&table, id, &client);
    }
    EXPECT(goipci_client_table_reserve(&table, &none) == GOIPC_ERROR_MEMORY);
    for (goipc_client_id id = 1; id <= 8; id++) {
        EXPECT(goipci_client_table_find(&table, id) == &client);
    }
    goipci_client_table_wipe(&table, allocator);
}

static void test_status_queue(void)
{
    goipci_status_queue queue = {.count = 0};
    goipci_status_change change;

    EXPECT(!goipci_status_queue_take(&queue, &change));
    for (int round = 0; round < 3; round++) { /* it wraps round */
        for (int i = 0; i < GOIPCI_STATUS_COUNT_MAX + 5; i++) {
            goipci_status_queue_put(&queue, GOIPC_STATUS_CONNECTED, (goipc_error)i);
        }
        EXPECT(queue.count == GOIPCI_STATUS_COUNT_MAX);
        for (int i = 5; i < GOIPCI_STATUS_COUNT_MAX + 5; i++) {
            EXPECT(goipci_status_queue_take(&queue, &change) && (int)change.error == i);
            EXPECT(change.status == GOIPC_STATUS_CONNECTED);
        }
        EXPECT(!goipci_status_queue_take(&queue, &change));
    }
}

int main(void)
{
    test_against_an_array();
    test_without_memory();
    test_status_queue();
    printf("ok %d checks\n", test_checks);
    return 0;
}
