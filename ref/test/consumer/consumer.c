/* SPDX-License-Identifier: MIT */
/* What a program that links goipc does first. C99, C11 and C++17 alike. */
#include <goipc.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    goipc_server *server = NULL;
    goipc_error error;
    char version[32];

    snprintf(version, sizeof version, "%d.%d.%d", GOIPC_VERSION_MAJOR, GOIPC_VERSION_MINOR,
             GOIPC_VERSION_PATCH);
    if (strcmp(version, goipc_version()) != 0 || argc < 2) {
        return 1;
    }
    if (goipc_crypto_self_test(goipc_crypto_default()) != GOIPC_ERROR_OK) {
        return 2;
    }
    error = goipc_server_start(argv[1], NULL, &server);
    if (error != GOIPC_ERROR_OK) {
        fprintf(stderr, "%s\n", goipc_error_text(error));
        return 3;
    }
    goipc_server_close(server);
    return 0;
}
