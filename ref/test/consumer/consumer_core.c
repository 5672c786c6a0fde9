/* SPDX-License-Identifier: MIT */
/* Two sessions of goipc::core exchange a message; what is moved between them is memory. */
#include <goipc.h>
#include <stdio.h>
#include <string.h>

/* Gives `to` all that `from` has to say. */
static goipc_error move(goipc_session *from, goipc_session *to)
{
    const uint8_t *out;
    uint8_t *in;
    size_t size, capacity;
    goipc_error error = GOIPC_ERROR_OK;

    for (goipc_session_output(from, &out, &size); error == GOIPC_ERROR_OK && size > 0;
         goipc_session_output(from, &out, &size)) {
        error = goipc_session_input(to, &in, &capacity);
        if (error == GOIPC_ERROR_OK) {
            size = size < capacity ? size : capacity;
            memcpy(in, out, size);
            error = goipc_session_input_commit(to, size);
            goipc_session_output_consume(from, size);
        }
    }
    return error;
}

/* One step of each side. The client sends a message as soon as it may. */
static goipc_error step(goipc_session *server, goipc_session *client, goipc_event *event)
{
    goipc_event client_event;
    goipc_error error = move(server, client);

    if (error == GOIPC_ERROR_OK) {
        error = goipc_session_next_event(client, &client_event);
    }
    if (error == GOIPC_ERROR_OK && client_event.type == GOIPC_EVENT_CONNECTED) {
        error = goipc_session_send(client, 7, "hello", 5);
    }
    if (error == GOIPC_ERROR_OK) {
        error = move(client, server);
    }
    return error == GOIPC_ERROR_OK ? goipc_session_next_event(server, event) : error;
}

int main(void)
{
    enum { STEPS_MAX = 20 };
    const goipc_session_config server_config = {.role = GOIPC_ROLE_SERVER};
    const goipc_session_config client_config = {.role = GOIPC_ROLE_CLIENT};
    goipc_event event = {.type = GOIPC_EVENT_NEED_INPUT};
    goipc_session *server = NULL;
    goipc_session *client = NULL;
    goipc_error error = goipc_session_new(&server_config, &server);

    if (error == GOIPC_ERROR_OK) {
        error = goipc_session_new(&client_config, &client);
    }
    for (int i = 0; i < STEPS_MAX && error == GOIPC_ERROR_OK && event.type != GOIPC_EVENT_MESSAGE;
         i++) {
        error = step(server, client, &event);
    }
    if (error != GOIPC_ERROR_OK || event.message_type != 7 || event.data_size != 5) {
        fprintf(stderr, "consumer_core: %s\n", goipc_error_text(error));
        return 1;
    }
    goipc_session_free(client);
    goipc_session_free(server);
    return 0;
}
