/* SPDX-License-Identifier: MIT */
/* Sends one message and prints the answer: echo_client [NAME] [TEXT] */
#include <goipc.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "demo";
    const char *text = argc > 2 ? argv[2] : "hello";
    const goipc_client_config config = {.timeout_ms = 5000};
    goipc_client *client;
    goipc_message message;
    goipc_error error = goipc_client_start(name, &config, &client);

    if (error == GOIPC_ERROR_OK) {
        error = goipc_client_write(client, 1, text, strlen(text)); /* connects first */
    }
    message.type = GOIPC_MESSAGE_STATUS;
    while (error == GOIPC_ERROR_OK && message.type == GOIPC_MESSAGE_STATUS) {
        error = goipc_client_read(client, 5000, &message); /* status changes come first */
    }
    if (error == GOIPC_ERROR_OK) {
        printf("%.*s\n", (int)message.data_size, (const char *)message.data);
    } else {
        fprintf(stderr, "%s: %s\n", name, goipc_error_text(error));
    }
    goipc_client_close(client);
    return error == GOIPC_ERROR_OK ? 0 : 1;
}
