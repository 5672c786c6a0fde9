/* SPDX-License-Identifier: MIT */
/* Answers every message with itself: echo_server [NAME] */
#include <goipc.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "demo";
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    const goipc_server_config config = {.clients_max = 16, .options.failure = &failure};
    goipc_server *server;
    goipc_message message;

    if (goipc_server_start(name, &config, &server) != GOIPC_ERROR_OK) {
        fprintf(stderr, "%s\n", failure.text);
        return 1;
    }
    while (goipc_server_read(server, GOIPC_FOREVER, &message) == GOIPC_ERROR_OK) {
        if (message.type == GOIPC_MESSAGE_STATUS) {
            printf("client %d: %s\n", (int)message.client, goipc_status_text(message.status));
        } else if (goipc_server_write(server, message.client, (uint32_t)message.type, message.data,
                                      message.data_size) != GOIPC_ERROR_OK) {
            goipc_server_failure(server, &failure);
            fprintf(stderr, "client %d: %s\n", (int)message.client, failure.text);
        }
    }
    goipc_server_close(server);
    return 0;
}
