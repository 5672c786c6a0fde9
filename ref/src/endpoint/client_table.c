/* SPDX-License-Identifier: MIT */
/* client_table.h */
#include "endpoint/client_table.h"

enum { SIZE_FIRST = 16 };

/* The entry with this id, or the free entry where it would be inserted. */
static goipci_client_entry *entry_of(const goipci_client_table *table, goipc_client_id id)
{
    const size_t mask = table->size - 1;
    size_t at = (size_t)id & mask; /* ids are consecutive, so they need no hash */

    while (table->entries[at].id != 0 && table->entries[at].id != id) {
        at = (at + 1) & mask;
    }
    return &table->entries[at];
}

goipc_error goipci_client_table_reserve(goipci_client_table *table,
                                        const goipc_allocator *allocator)
{
    goipci_client_table larger = {.size = table->size == 0 ? SIZE_FIRST : table->size * 2};

    if ((table->count + 1) * 2 <= table->size) {
        return GOIPC_ERROR_OK;
    }
    larger.entries = goipci_allocate_zeroed(allocator, larger.size * sizeof larger.entries[0]);
    if (larger.entries == NULL) {
        return GOIPC_ERROR_MEMORY;
    }
    for (size_t i = 0; i < table->size; i++) {
        if (table->entries[i].id != 0) {
            goipci_client_table_put(&larger, table->entries[i].id, table->entries[i].client);
        }
    }
    goipci_client_table_wipe(table, allocator);
    *table = larger;
    return GOIPC_ERROR_OK;
}

void goipci_client_table_put(goipci_client_table *table, goipc_client_id id, void *client)
{
    assert(id != 0 && table->count < table->size);
    *entry_of(table, id) = (goipci_client_entry){id, client};
    table->count++;
}

void *goipci_client_table_find(const goipci_client_table *table, goipc_client_id id)
{
    return table->size == 0 || id == 0 ? NULL : entry_of(table, id)->client;
}

void goipci_client_table_remove(goipci_client_table *table, goipc_client_id id)
{
    const size_t mask = table->size - 1;
    goipci_client_entry *gap = entry_of(table, id);
    size_t at = (size_t)(gap - table->entries);

    assert(id != 0 && gap->id == id);
    *gap = (goipci_client_entry){0, NULL};
    table->count--;
    /* Move up the entries after the gap that would not be found any more. */
    for (at = (at + 1) & mask; table->entries[at].id != 0; at = (at + 1) & mask) {
        const goipci_client_entry moved = table->entries[at];

        table->entries[at] = (goipci_client_entry){0, NULL};
        *entry_of(table, moved.id) = moved;
    }
}

void goipci_client_table_wipe(goipci_client_table *table, const goipc_allocator *allocator)
{
    goipci_release(allocator, table->entries, table->size * sizeof table->entries[0]);
    *table = (goipci_client_table){.size = 0};
}
