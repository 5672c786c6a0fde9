/* SPDX-License-Identifier: MIT */
/* A program as it was compiled when the header was frozen. It fills every structure that it hands
 * to the library, has the library fill every structure that it owns, and sees whether a byte behind
 * one of them changes. It runs with today's library and with one that has grown. */
#include "goipc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);               \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { GUARD = 64, MARK = 0xA5 };

/* Each structure with a guard behind it. */
static struct {
    goipc_server_config server_config;
    uint8_t guard_1[GUARD];
    goipc_client_config client_config;
    uint8_t guard_2[GUARD];
    goipc_message messages[4];
    uint8_t guard_3[GUARD];
    goipc_counters counters;
    uint8_t guard_4[GUARD];
    goipc_failure failure;
    uint8_t guard_5[GUARD];
    goipc_credentials credentials;
    uint8_t guard_6[GUARD];
    goipc_event event;
    uint8_t guard_7[GUARD];
} all;

static void set_guards(void)
{
    memset(all.guard_1, MARK, GUARD);
    memset(all.guard_2, MARK, GUARD);
    memset(all.guard_3, MARK, GUARD);
    memset(all.guard_4, MARK, GUARD);
    memset(all.guard_5, MARK, GUARD);
    memset(all.guard_6, MARK, GUARD);
    memset(all.guard_7, MARK, GUARD);
}

static void check_guard(const uint8_t *guard)
{
    for (size_t i = 0; i < GUARD; i++) {
        CHECK(guard[i] == MARK);
    }
}

static void echo_once(goipc_server *server, goipc_client *client)
{
    const goipc_outgoing out[2] = {{.type = 5, .data = "ab", .data_size = 2},
                                   {.type = 6, .data = "c", .data_size = 1}};
    size_t taken, count, data_count = 0;
    goipc_client_id id = 0;
    bool written = false;

    while (data_count < 2) {
        if (!written && goipc_client_status(client) == GOIPC_STATUS_CONNECTED) {
            CHECK(goipc_client_write_batch(client, out, 2, &taken) == GOIPC_ERROR_OK && taken == 2);
            written = true;
        }
        if (goipc_client_read_batch(client, 1, all.messages, 4, &count) == GOIPC_ERROR_OK) {
            CHECK(all.messages[0].type == GOIPC_MESSAGE_STATUS);
        }
        if (goipc_server_read_batch(server, 1, all.messages, 4, &count) == GOIPC_ERROR_OK) {
            for (size_t i = 0; i < count; i++) {
                id = all.messages[i].client;
                data_count += all.messages[i].type > 0 ? 1 : 0;
                CHECK(all.messages[i].type < 0 || all.messages[i].type == 4 + (int)data_count);
            }
        }
    }
    CHECK(goipc_server_credentials(server, id, &all.credentials) == GOIPC_ERROR_OK);
    goipc_server_counters(server, &all.counters);
    CHECK(all.counters.messages_in == 2 && all.counters.bytes_in == 3);
}

static void check_session(void)
{
    const goipc_session_config config = {.role = GOIPC_ROLE_CLIENT};
    goipc_session *session;

    CHECK(goipc_session_new(&config, &session) == GOIPC_ERROR_OK);
    CHECK(goipc_session_next_event(session, &all.event) == GOIPC_ERROR_OK);
    CHECK(all.event.type == GOIPC_EVENT_NEED_INPUT);
    goipc_session_free(session);
}

int main(int argc, char **argv)
{
    goipc_server *server;
    goipc_client *client;

    CHECK(argc == 2);
    set_guards();
    all.server_config.options.directory = argv[1];
    all.server_config.options.failure = &all.failure;
    all.server_config.clients_max = 2;
    all.client_config.options.directory = argv[1];
    all.client_config.timeout_ms = 20000;
    CHECK(goipc_server_start("", &all.server_config, &server) == GOIPC_ERROR_NAME);
    CHECK(all.failure.error == GOIPC_ERROR_NAME && all.failure.text[0] != '\0');
    CHECK(goipc_server_start("abi", &all.server_config, &server) == GOIPC_ERROR_OK);
    CHECK(goipc_client_start("abi", &all.client_config, &client) == GOIPC_ERROR_OK);
    echo_once(server, client);
    check_session();
    goipc_client_close(client);
    goipc_server_close(server);
    check_guard(all.guard_1);
    check_guard(all.guard_2);
    check_guard(all.guard_3);
    check_guard(all.guard_4);
    check_guard(all.guard_5);
    check_guard(all.guard_6);
    check_guard(all.guard_7);
    puts("ok");
    return 0;
}
