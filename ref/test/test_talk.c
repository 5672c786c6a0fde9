/* SPDX-License-Identifier: MIT */
/* Goal: a signal ends `goipc serve` and `goipc connect` in order, also one that comes when the
 * endpoint has just been freed. Method: the linker puts __wrap_ functions in the way (--wrap),
 * which raise it right then. */
#include "../cli/cli.h"

#include "endpoint_pair.h"

#include <signal.h>

static const void *closed; /* the endpoint that is no more */
static int interrupts;

#define WRAP_ENDPOINT(type)                                                                        \
    goipc_error __real_##type##_read(type *endpoint, int32_t timeout_ms, goipc_message *message);  \
    goipc_error __wrap_##type##_read(type *endpoint, int32_t timeout_ms, goipc_message *message);  \
    goipc_error __wrap_##type##_read(type *endpoint, int32_t timeout_ms, goipc_message *message)   \
    {                                                                                              \
        raise(SIGTERM);                                                                            \
        return __real_##type##_read(endpoint, timeout_ms, message);                                \
    }                                                                                              \
    void __real_##type##_interrupt(type *endpoint);                                                \
    void __wrap_##type##_interrupt(type *endpoint);                                                \
    void __wrap_##type##_interrupt(type *endpoint)                                                 \
    {                                                                                              \
        EXPECT(endpoint != closed);                                                                \
        interrupts++;                                                                              \
        __real_##type##_interrupt(endpoint);                                                       \
    }                                                                                              \
    void __real_##type##_close(type *endpoint);                                                    \
    void __wrap_##type##_close(type *endpoint);                                                    \
    void __wrap_##type##_close(type *endpoint)                                                     \
    {                                                                                              \
        closed = endpoint;                                                                         \
        __real_##type##_close(endpoint);                                                           \
        raise(SIGTERM);                                                                            \
    }

WRAP_ENDPOINT(goipc_server)
WRAP_ENDPOINT(goipc_client)

static void test_signal_after_close(int (*run)(const cli_settings *settings))
{
    char name[64];
    const cli_settings settings = {
        .name = test_name(name),
        .options.encryption = GOIPC_ENCRYPTION_OFF,
        .linger_ms = GOIPC_FOREVER,
        .echo = true, /* no input */
        .quiet = true,
    };

    closed = NULL;
    interrupts = 0;
    EXPECT(run(&settings) == CLI_EXIT_OK);
    EXPECT(closed != NULL && interrupts > 0);
}

int main(void)
{
    test_signal_after_close(cli_serve);
    test_signal_after_close(cli_connect);
    printf("ok %d checks\n", test_checks);
    return 0;
}
