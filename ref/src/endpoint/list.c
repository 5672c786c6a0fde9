/* SPDX-License-Identifier: MIT */
/* Lists of connections; see connection.h. */
#include "endpoint/connection.h"

#include <assert.h>

void goipci_list_append(goipci_list *list, goipci_connection *connection)
{
    goipci_link *link = &connection->links[list->kind];

    assert(link->list == NULL);
    *link = (goipci_link){.previous = list->last, .list = list};
    if (list->last == NULL) {
        list->first = connection;
    } else {
        list->last->links[list->kind].next = connection;
    }
    list->last = connection;
    list->count++;
}

void goipci_list_remove(goipci_list *list, goipci_connection *connection)
{
    goipci_link *link = &connection->links[list->kind];

    if (link->list == NULL) {
        return;
    }
    assert(link->list == list && list->count > 0);
    if (link->previous == NULL) {
        list->first = link->next;
    } else {
        link->previous->links[list->kind].next = link->next;
    }
    if (link->next == NULL) {
        list->last = link->previous;
    } else {
        link->next->links[list->kind].previous = link->previous;
    }
    *link = (goipci_link){.list = NULL};
    list->count--;
}
