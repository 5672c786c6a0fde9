/* SPDX-License-Identifier: MIT */
/* Goal: a read looks again before it sleeps, as long as spin_us says, within its timeout, and gives
 * that up where it finds nothing; nobody spins on a single processor; timeouts and interrupts stay
 * what they are. Method: the processor time of the reading thread, since that is what spinning
 * costs and sleeping does not, and the calls that wait, counted on their way to the system. */
#define _GNU_SOURCE
#include "endpoint/endpoint.h"
#include "endpoint_pair.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>

/* Calls of epoll_wait that do not wait, and whom to interrupt at the first that does. */
static int look_count;
static goipc_server *waiting;

/* What is found, where this test alone decides it and nobody waits for anything. */
static enum { AS_IT_IS, NOTHING, SOMETHING } found;

int __real_epoll_wait(int queue, struct epoll_event *events, int capacity, int timeout_ms);
int __wrap_epoll_wait(int queue, struct epoll_event *events, int capacity, int timeout_ms);
int __wrap_epoll_wait(int queue, struct epoll_event *events, int capacity, int timeout_ms)
{
    if (timeout_ms == 0) {
        look_count++;
    } else if (waiting != NULL) {
        goipc_server_interrupt(waiting);
    }
    if (found != AS_IT_IS) {
        events[0] = (struct epoll_event){.events = EPOLLIN, .data = {.ptr = &found}};
        return found == SOMETHING;
    }
    return __real_epoll_wait(queue, events, capacity, timeout_ms);
}

/* What the system says of the processors: how many, or an error. */
static unsigned processor_count = 2;
static int processor_error;

int __wrap_sched_getaffinity(pid_t process, size_t size, cpu_set_t *usable);
int __wrap_sched_getaffinity(pid_t process, size_t size, cpu_set_t *usable)
{
    (void)process;
    CPU_ZERO_S(size, usable);
    for (unsigned i = 0; i < processor_count; i++) {
        CPU_SET_S(i, size, usable);
    }
    errno = processor_error;
    return processor_error == 0 ? 0 : -1;
}

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
    server = start_spinning(name, GOIPC_NO_WAIT);
    without = cost_of_empty_read(server, TIMEOUT_MS);
    goipc_server_close(server);
    printf("a read of %d ms that finds nothing: %.2f ms spinning, %.2f after that, %.2f without\n",
           TIMEOUT_MS, spun, rested, without);
    EXPECT(spun > 4 * rested && spun > 4 * without);
}

/* How many times a read looks before it waits. */
static int looks_before_waiting(int32_t spin_us)
{
    char name[64];
    goipc_server *server = start_spinning(name, spin_us);
    goipc_message message;
    int count;

    look_count = 0;
    waiting = server;
    EXPECT(goipc_server_read(server, GOIPC_FOREVER, &message) == GOIPC_ERROR_INTERRUPTED);
    waiting = NULL;
    count = look_count;
    goipc_server_close(server);
    return count;
}

static void test_spins_by_default_where_somebody_else_can_work(void)
{
    static const struct {
        unsigned count;
        int error;
        bool spins;
    } rows[] = {
        {.count = 2, .spins = true},
        {.count = 64, .spins = true},
        {.count = 1, .spins = false},
        {.error = EINVAL, .spins = true}, /* more processors than fit into the set */
        {.error = EPERM, .spins = false}, /* a filter of system calls */
    };

    EXPECT(looks_before_waiting(GOIPC_NO_WAIT) == 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        processor_count = rows[i].count;
        processor_error = rows[i].error;
        EXPECT((looks_before_waiting(0) > 0) == rows[i].spins);
        EXPECT(looks_before_waiting(1) > 0); /* who asks for it knows why */
    }
    processor_count = 2;
    processor_error = 0;
}

/* How many waits go without a spin until the next one, which finds what `found` says. */
static int waits_until_spin(goipci_endpoint *endpoint)
{
    goipci_ready ready;
    size_t count;
    int waits = -1;

    look_count = 0;
    do {
        EXPECT(goipci_endpoint_wait(endpoint, 1000, &ready, 1, &count) == GOIPC_ERROR_OK);
        EXPECT(count == (found == SOMETHING));
        waits++;
    } while (look_count == 0);
    return waits;
}

static void test_spins_are_rarer_where_they_do_not_help(void)
{
    static const int waits[] = {0, 1, 3, 7, 15, 31, 63, 127, 255, 255};
    enum { LAST = sizeof waits / sizeof waits[0] - 1 };
    const goipc_options options = {.spin_us = 1};
    goipci_endpoint endpoint = {.process = 0};
    goipc_failure failure;
    char name[64];

    EXPECT(goipci_endpoint_init(&endpoint, GOIPC_ROLE_SERVER, test_name(name), &options,
                                &failure) == GOIPC_ERROR_OK);
    found = NOTHING;
    for (size_t i = 0; i <= LAST; i++) {
        EXPECT(waits_until_spin(&endpoint) == waits[i]);
    }
    found = SOMETHING;
    for (size_t i = LAST - 1; i > 0; i--) {
        EXPECT(waits_until_spin(&endpoint) == waits[i]);
    }
    EXPECT(waits_until_spin(&endpoint) == 0);
    found = AS_IT_IS;
    goipci_endpoint_wipe(&endpoint);
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
    test_spins_by_default_where_somebody_else_can_work();
    test_spins_are_rarer_where_they_do_not_help();
    test_interrupt_ends_a_spin();
    test_messages_come_as_always();
    printf("ok %d checks\n", test_checks);
    return 0;
}
