/* SPDX-License-Identifier: MIT */
/* choose.h */
#include "endpoint/choose.h"

/* Whether `other` is resumed before `chosen`, by the order in admission.h. `draw` breaks ties. */
static bool goes_before(const goipc_server *server, const goipci_connection *other,
                        const goipci_connection *chosen, uint32_t draw)
{
    const uint32_t pending = server->shares.pending[other->share];
    const uint32_t chosen_pending = server->shares.pending[chosen->share];
    const bool has_paid = goipci_handshake_has_key_pair(other->session);

    if (pending != chosen_pending) {
        return pending < chosen_pending;
    }
    if (has_paid != goipci_handshake_has_key_pair(chosen->session)) {
        return has_paid;
    }
    return draw == 0;
}

goipci_connection *goipci_choose_paused(const goipc_server *server)
{
    goipci_connection *chosen = server->paused.first;
    uint32_t seen = 1;
    uint8_t random[4] = {0};
    bool newest;

    /* Among equals, the newest every other time, else a random one. Always the newest would starve
     * the waiting ones; always a random one would favour an attacker with many connections. */
    (void)!goipci_system_random(random, sizeof random); /* if the random source fails: the newest */
    newest = random[0] % 2 == 0;
    for (goipci_connection *at = chosen->links[GOIPCI_LIST_PAUSED].next; at != NULL;
         at = at->links[GOIPCI_LIST_PAUSED].next) {
        seen++;
        if (goes_before(server, at, chosen, newest ? 0 : goipc_wire_get_u32(random) % seen)) {
            chosen = at;
        }
    }
    return chosen;
}

goipci_connection *goipci_choose_victim(const goipc_server *server, unsigned share)
{
    const unsigned largest = goipci_share_largest(&server->shares);
    goipci_connection *oldest = NULL;

    for (goipci_connection *at = server->handshaking.first; at != NULL;
         at = at->links[GOIPCI_LIST_PHASE].next) {
        if (at->share == largest && !goipci_handshake_has_key_pair(at->session)) {
            return at;
        }
        oldest = oldest == NULL && at->share == largest ? at : oldest;
    }
    return server->shares.pending[largest] > server->shares.pending[share] ? oldest : NULL;
}
