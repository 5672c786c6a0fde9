/* SPDX-License-Identifier: MIT */
/* Finds a server's client by its number. A hash table with open addressing, at most half full. */
#ifndef GOIPC_CLIENT_TABLE_H
#define GOIPC_CLIENT_TABLE_H

#include "core/internal.h"

typedef struct goipci_client_entry {
    goipc_client_id id; /* 0: free */
    void *client;
} goipci_client_entry;

typedef struct goipci_client_table {
    goipci_client_entry *entries;
    size_t size; /* a power of two, or 0 */
    size_t count;
} goipci_client_table;

/* Makes room for one more. Errors: MEMORY; then nothing has changed. */
GOIPC_MUST_USE goipc_error goipci_client_table_reserve(goipci_client_table *table,
                                                       const goipc_allocator *allocator);
/* Inserts a client. `id` is not 0 and not in the table, and reserve has made room. */
void goipci_client_table_put(goipci_client_table *table, goipc_client_id id, void *client);
/* The client, or NULL. */
void *goipci_client_table_find(const goipci_client_table *table, goipc_client_id id);
/* Removes a client. `id` is in the table. */
void goipci_client_table_remove(goipci_client_table *table, goipc_client_id id);
void goipci_client_table_wipe(goipci_client_table *table, const goipc_allocator *allocator);

#endif
