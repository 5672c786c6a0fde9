/* SPDX-License-Identifier: MIT */
/* Goal: spin_us makes a read look again before it sleeps, within its timeout, and gives that up
 * where it finds nothing; timeouts and interrupts stay what they are. Method: the processor time of
 * the reading thread, since that is what spinning costs and sleeping does not. */
#include "endpoint_pair.h"

static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* What one read that finds nothing costs this thread. */
static double cost_of_empty_read(goipc_server *server, int32_t timeout_ms)
{
    const int64_t before = test_clock_ms();
    const double cpu_before = cpu_ms();
    goipc_message message;

    EXPECT(goipc_server_read(server, timeout_ms, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(test_clock_ms() - before >= timeout_ms);
    return cpu_ms() - cpu_before;
}

static goipc_server *start_spinning(char name[64], int32_t spin_us)
{
    const goipc_server_config config = {.options = {.spin_us = spin_us}};
    goipc_server *server;

    EXPECT(goipc_server_start(test_name(name), &config, &server) == GOIPC_ERROR_OK);
    return server;
}

static void test_spins_within_its_timeout_and_gives_up(void)
{
    enum { TIMEOUT_MS = 40 };
    char name[64];
    goipc_server *server = start_spinning(name, 1000000);
    const double spun = cost_of_empty_read(server, TIMEOUT_MS);
    const double rested = cost_of_empty_read(server, TIMEOUT_MS);
    double without;

    goipc_server_close(server);
    server = start_spinning(name, 0);
    without = cost_of_empty_read(server, TIMEOUT_MS);
    goipc_server_close(server);
    printf("a read of %d ms that finds nothing: %.2f ms spinning, %.2f after that, %.2f without\n",
           TIMEOUT_MS, spun, rested, without);
    EXPECT(spun > 4 * rested && spun > 4 * without);
}

static void *interrupt_it(void *server)
{
    goipc_server_interrupt(server);
    return NULL;
}

static void test_interrupt_ends_a_spin(void)
{
    char name[64];
    goipc_server *server = start_spinning(name, 1000000);
    goipc_message message;
    pthread_t thread;

    EXPECT(pthread_create(&thread, NULL, interrupt_it, server) == 0);
    EXPECT(goipc_server_read(server, GOIPC_FOREVER, &message) == GOIPC_ERROR_INTERRUPTED);
    pthread_join(thread, NULL);
    goipc_server_close(server);
}

static void test_messages_come_as_always(void)
{
    enum { ROUND_COUNT = 200 };
    const goipc_server_config server_config = {.options.spin_us = 50};
    const goipc_client_config client_config = {.options.spin_us = 50};
    test_pair pair;

    pair_start(&pair, server_config, client_config);
    for (uint32_t i = 1; i <= ROUND_COUNT; i++) {
        goipc_message message;

        EXPECT(goipc_client_write(pair.client, i, &i, sizeof i) == GOIPC_ERROR_OK);
        message = server_expect_data(pair.server);
        EXPECT(message_is(&message, i, &i, sizeof i));
        EXPECT(goipc_server_write(pair.server, pair.id, i, message.data, message.data_size) ==
               GOIPC_ERROR_OK);
        message = client_expect_data(pair.client);
        EXPECT(message_is(&message, i, &i, sizeof i));
    }
    pair_close(&pair);
}

int main(void)
{
    test_spins_within_its_timeout_and_gives_up();
    test_interrupt_ends_a_spin();
    test_messages_come_as_always();
    printf("ok %d checks\n", test_checks);
    return 0;
}
