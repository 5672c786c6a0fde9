/* SPDX-License-Identifier: MIT */
/* Goal: a server takes its name without ever deleting, replacing or exposing what it should not,
 * and says clearly why it cannot. Method: every kind of thing in the way, in a directory of our
 * own. */
#define _GNU_SOURCE /* unshare */

#include "endpoint_pair.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>

enum { PATH_MAX_HERE = sizeof((struct sockaddr_un *)NULL)->sun_path - 1 };

static char directory[64];

static void path_of(const char *name, char out[108])
{
    snprintf(out, 108, "%s/%s.sock", directory, name);
}

static goipc_error start(const char *name, goipc_server **server, goipc_failure *failure)
{
    goipc_server_config config = {.options = {.directory = directory, .failure = failure}};

    *failure = (goipc_failure){.error = GOIPC_ERROR_OK};
    return goipc_server_start(name, &config, server);
}

/* Nothing private is left behind, whatever happened. */
static void expect_entries(size_t expected)
{
    EXPECT(access(directory, X_OK) == 0 && test_count_entries(directory) == expected);
}

static void expect_refused(const char *name, goipc_error error)
{
    goipc_server *server;
    goipc_failure failure;

    EXPECT(start(name, &server, &failure) == error);
    EXPECT(server == NULL);
    EXPECT(failure.error == error);
    EXPECT(strstr(failure.text, name) != NULL);
}

static void expect_started(const char *name)
{
    goipc_server *server;
    goipc_failure failure;
    char path[108];
    struct stat status;

    path_of(name, path);
    EXPECT(start(name, &server, &failure) == GOIPC_ERROR_OK);
    EXPECT(lstat(path, &status) == 0 && S_ISSOCK(status.st_mode));
    EXPECT((status.st_mode & 07777) == 0600);
    goipc_server_close(server);
    EXPECT(lstat(path, &status) != 0);
}

static int bind_raw(const char *path)
{
    const struct sockaddr_un address = raw_address(path);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);

    EXPECT(descriptor >= 0);
    EXPECT(bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0);
    return descriptor;
}

static void test_name_and_mode(void)
{
    static const struct {
        goipc_server_config config;
        mode_t mode;
    } rows[] = {
        {{.clients_max = 1}, 0600},
        {{.unmask_permissions = true}, 0777},
        {{.socket_mode = 0660}, 0660},
        {{.socket_mode = 0606, .unmask_permissions = true}, 0606},
    };
    static const mode_t masks[] = {0, 022, 077, 0177, 0777}; /* must not matter, nor change */
    const mode_t before = umask(0);
    char path[108];

    path_of("mode", path);
    for (size_t i = 0; i < 5 * (sizeof rows / sizeof rows[0]); i++) {
        goipc_server_config config = rows[i / 5].config;
        goipc_server *server;
        struct stat status;

        (void)umask(masks[i % 5]);
        config.options.directory = directory;
        EXPECT(goipc_server_start("mode", &config, &server) == GOIPC_ERROR_OK);
        EXPECT(lstat(path, &status) == 0 && (status.st_mode & 07777) == rows[i / 5].mode);
        expect_entries(1);
        goipc_server_close(server);
        expect_entries(0);
        EXPECT(umask(before) == masks[i % 5]);
    }
}

static void test_stale_socket_is_replaced(void)
{
    char path[108];

    path_of("stale", path);
    close(bind_raw(path));
    expect_entries(1);
    expect_started("stale");
    expect_entries(0);
}

static void test_things_in_the_way_are_left_alone(void)
{
    char path[108], inside[128], target[108];
    struct stat status;

    path_of("blocked", path);
    EXPECT(mkdir(path, 0700) == 0);
    snprintf(inside, sizeof inside, "%s/precious", path);
    close(open(inside, O_CREAT | O_WRONLY, 0600));
    expect_refused("blocked", GOIPC_ERROR_PATH_BLOCKED);
    EXPECT(access(inside, F_OK) == 0);
    EXPECT(unlink(inside) == 0 && rmdir(path) == 0);

    close(open(path, O_CREAT | O_WRONLY, 0600));
    expect_refused("blocked", GOIPC_ERROR_PATH_BLOCKED);
    EXPECT(unlink(path) == 0);

    /* A link to a dead socket of ours, and one to nothing: neither is followed. */
    path_of("target", target);
    close(bind_raw(target));
    EXPECT(symlink(target, path) == 0);
    expect_refused("blocked", GOIPC_ERROR_PATH_BLOCKED);
    EXPECT(lstat(target, &status) == 0 && lstat(path, &status) == 0 && S_ISLNK(status.st_mode));
    EXPECT(unlink(target) == 0);
    expect_refused("blocked", GOIPC_ERROR_PATH_BLOCKED);
    EXPECT(lstat(target, &status) != 0);
    EXPECT(unlink(path) == 0);
    expect_entries(0);
}

static void test_live_server_is_left_alone(void)
{
    goipc_server_config config = {.options.directory = directory};
    goipc_client_config client_config = {.options.directory = directory};
    test_pair pair = {.id = 0};
    goipc_message message;
    const int64_t before = test_clock_ms();

    EXPECT(goipc_server_start("live", &config, &pair.server) == GOIPC_ERROR_OK);
    expect_refused("live", GOIPC_ERROR_ADDRESS_IN_USE);
    EXPECT(test_clock_ms() - before < PATIENCE_MS);
    /* It goes on as if nothing had been, except that somebody came and did not stay. */
    EXPECT(goipc_client_start("live", &client_config, &pair.client) == GOIPC_ERROR_OK);
    pair_connect(&pair);
    expect_refused("live", GOIPC_ERROR_ADDRESS_IN_USE);
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "x", 1));
    expect_entries(1);
    goipc_client_close(pair.client);
    goipc_server_close(pair.server);
    expect_entries(0);
}

/* golang-ipc (1.2.4) stops listening for good when a client connects and goes without a handshake,
 * so asking whether a server lives must not connect. A full queue of clients is no sign of
 * death. */
static void test_live_server_is_not_disturbed(void)
{
    char path[108];
    int listener, waiting;

    path_of("polite", path);
    listener = bind_raw(path);
    expect_refused("polite", GOIPC_ERROR_ADDRESS_IN_USE); /* bound, and about to listen */
    EXPECT(listen(listener, 0) == 0);
    expect_refused("polite", GOIPC_ERROR_ADDRESS_IN_USE);
    EXPECT(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    EXPECT(accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
    waiting = raw_try_connect(path); /* the queue is full now */
    EXPECT(waiting >= 0);
    expect_refused("polite", GOIPC_ERROR_ADDRESS_IN_USE);
    close(waiting);
    close(listener);
    EXPECT(unlink(path) == 0);
}

static void test_close_removes_only_its_own(void)
{
    goipc_server *server;
    goipc_failure failure;
    char path[108];
    int other;
    struct stat status;

    path_of("stolen", path);
    EXPECT(start("stolen", &server, &failure) == GOIPC_ERROR_OK);
    EXPECT(unlink(path) == 0); /* as golang-ipc does to whoever has the name */
    other = bind_raw(path);
    goipc_server_close(server);
    EXPECT(lstat(path, &status) == 0);
    close(other);
    EXPECT(unlink(path) == 0);
    expect_entries(0);
}

static void test_names(void)
{
    char name[300];
    goipc_server *server;
    goipc_client *client;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    goipc_server_config config = {.options.failure = &failure};
    goipc_client_config client_config = {.options.failure = &failure};
    static const char *const bad[] = {"", "/", "a/b", "../x", "a/"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT(goipc_server_start(bad[i], &config, &server) == GOIPC_ERROR_NAME);
        EXPECT(failure.error == GOIPC_ERROR_NAME && strstr(failure.text, bad[i]) != NULL);
        EXPECT(goipc_client_start(bad[i], &client_config, &client) == GOIPC_ERROR_NAME);
    }
    /* The longest name with the default directory: "/tmp/" and ".sock" and a NUL fit sun_path. */
    snprintf(name, sizeof name, "%ld-%0110d", (long)getpid(), 0);
    name[sizeof((struct sockaddr_un *)NULL)->sun_path - 11] = '\0';
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_OK);
    goipc_server_close(server);
    snprintf(name, sizeof name, "%ld-%0110d", (long)getpid(), 0);
    name[sizeof((struct sockaddr_un *)NULL)->sun_path - 10] = '\0';
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_NAME);
    snprintf(name, sizeof name, "%0290d", 0);
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_NAME);
}

static void test_directories(void)
{
    goipc_failure failure;
    goipc_server_config config = {.options.failure = &failure};
    goipc_server *server;
    char long_directory[108];

    config.options.directory = "/nonexistent-goipc";
    EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_NOT_FOUND);
    EXPECT(strstr(failure.text, "/nonexistent-goipc") != NULL);
    config.options.directory = "";
    EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_NAME);
    EXPECT(chmod(directory, 0777) == 0);
    config.options.directory = directory;
    EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_PERMISSION);
    EXPECT(strstr(failure.text, "sticky") != NULL);
    EXPECT(chmod(directory, 01777) == 0);
    EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_OK);
    goipc_server_close(server);
    EXPECT(chmod(directory, 0700) == 0);
    if (geteuid() != 0) { /* root may write everywhere */
        EXPECT(chmod(directory, 0500) == 0);
        EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_PERMISSION);
        EXPECT(chmod(directory, 0700) == 0);
    }
    /* The longest path that the system takes, and one byte more. */
    snprintf(long_directory, sizeof long_directory, "%s/%0*d", directory,
             (int)(PATH_MAX_HERE - strlen("/x.sock") - strlen(directory) - 1), 0);
    EXPECT(mkdir(long_directory, 0700) == 0);
    config.options.directory = long_directory;
    EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_OK);
    goipc_server_close(server);
    EXPECT(goipc_server_start("xy", &config, &server) == GOIPC_ERROR_NAME);
    EXPECT(strstr(failure.text, long_directory) != NULL);
    EXPECT(rmdir(long_directory) == 0);
    expect_entries(0);
}

/* Another user could replace the socket there. */
static void test_directories_of_others(void)
{
    goipc_failure failure;
    goipc_server_config config = {.options = {.directory = directory, .failure = &failure}};
    goipc_server *server;

    EXPECT(chmod(directory, 0770) == 0);
    EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_PERMISSION);
    EXPECT(strstr(failure.text, "0770") != NULL && strstr(failure.text, directory) != NULL);
    EXPECT(chmod(directory, 01770) == 0);
    EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_OK);
    goipc_server_close(server);
    EXPECT(chmod(directory, 0700) == 0);
    if (geteuid() == 0) {
        EXPECT(chown(directory, 1234, 1234) == 0);
        EXPECT(goipc_server_start("x", &config, &server) == GOIPC_ERROR_PERMISSION);
        EXPECT(strstr(failure.text, "1234") != NULL);
        EXPECT(chown(directory, 0, 0) == 0);
    }
    expect_entries(0);
}

/* The address of both sides stays where it was when the process goes elsewhere. */
static void test_relative_directory(void)
{
    goipc_server_config config = {.options.directory = "."};
    goipc_client_config client_config = {.options.directory = "."};
    test_pair pair = {.id = 0};
    char before[512];

    EXPECT(getcwd(before, sizeof before) != NULL && chdir(directory) == 0);
    EXPECT(goipc_server_start("here", &config, &pair.server) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_start("here", &client_config, &pair.client) == GOIPC_ERROR_OK);
    expect_entries(1);
    EXPECT(chdir("/") == 0);
    pair_connect(&pair);
    goipc_client_close(pair.client);
    goipc_server_close(pair.server);
    expect_entries(0);
    EXPECT(chdir(before) == 0);
}

/* A cleaner of temporary files, or another server, takes the name away: it is reported once. */
static void test_lost_name_is_reported(void)
{
    char path[108], elsewhere[128];
    goipc_server *server;
    goipc_failure failure;
    goipc_message message;
    int other;

    path_of("lost", path);
    for (int i = 0; i < 3; i++) {
        EXPECT(start("lost", &server, &failure) == GOIPC_ERROR_OK);
        snprintf(elsewhere, sizeof elsewhere, "%s-moved", path);
        EXPECT(i == 0 ? unlink(path) == 0 : rename(path, elsewhere) == 0);
        other = i == 2 ? bind_raw(path) : -1;
        message = server_expect_status(server, GOIPC_STATUS_ERROR);
        EXPECT(message.error == GOIPC_ERROR_NAME_LOST && message.client == 0);
        goipc_server_failure(server, &failure);
        EXPECT(failure.error == GOIPC_ERROR_NAME_LOST && strstr(failure.text, path) != NULL);
        EXPECT(goipc_server_read(server, 1200, &message) == GOIPC_ERROR_TIMEOUT);
        goipc_server_close(server);
        if (other >= 0) {
            EXPECT(unlink(path) == 0); /* still the other's */
            close(other);
        }
        (void)unlink(elsewhere);
        expect_entries(0);
    }
}

/* The server binds again when it may and the name is free. Its clients stay. */
static void test_lost_name_is_bound_again(void)
{
    goipc_server_config config = {.options.directory = directory, .rebind_name = true};
    goipc_client_config client_config = {.options.directory = directory};
    test_pair pair = {.id = 0};
    goipc_message message;
    char path[108];
    int other;

    config.clients_max = 2;
    path_of("again", path);
    EXPECT(goipc_server_start("again", &config, &pair.server) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_start("again", &client_config, &pair.client) == GOIPC_ERROR_OK);
    pair_connect(&pair);
    EXPECT(unlink(path) == 0);
    other = bind_raw(path); /* in the way */
    message = server_expect_status(pair.server, GOIPC_STATUS_ERROR);
    EXPECT(message.error == GOIPC_ERROR_NAME_LOST);
    EXPECT(goipc_server_read(pair.server, 1200, &message) == GOIPC_ERROR_TIMEOUT);
    EXPECT(unlink(path) == 0);
    close(other);
    message = server_expect_status(pair.server, GOIPC_STATUS_LISTENING);
    EXPECT(message.client == 0);
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "x", 1));
    EXPECT(raw_try_connect(path) >= 0);
    goipc_client_close(pair.client);
    goipc_server_close(pair.server);
    expect_entries(0);
}

/* Other programs find a server by the path that clients use. */
static void test_name_is_shown_by_the_system(void)
{
    char path[108], line[512];
    goipc_server *server;
    goipc_failure failure;
    FILE *table;
    bool shown = false;

    path_of("shown", path);
    EXPECT(start("shown", &server, &failure) == GOIPC_ERROR_OK);
    table = fopen("/proc/net/unix", "re");
    while (table != NULL && fgets(line, sizeof line, table) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        shown = shown || (strlen(line) > strlen(path) &&
                          strcmp(line + strlen(line) - strlen(path), path) == 0);
    }
    EXPECT(table == NULL || shown);
    if (table != NULL) {
        fclose(table);
    }
    goipc_server_close(server);
}

enum { RACER_COUNT = 8 };

typedef struct race {
    _Atomic int ready;
    _Atomic int wins;
    _Atomic int losses;
} race;

/* The winner reads until the others have gone: they take leave of a live server in an orderly way,
 * which takes both. */
static void *run_race(void *context)
{
    race *self = context;
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    const goipc_server_config config = {.options = {.directory = directory,
                                                    .encryption = GOIPC_ENCRYPTION_OFF,
                                                    .failure = &failure}};
    goipc_server *server;
    goipc_message message;
    goipc_error error;

    self->ready++;
    while (self->ready < RACER_COUNT) {
        sched_yield();
    }
    error = goipc_server_start("race", &config, &server);
    if (error != GOIPC_ERROR_OK) {
        EXPECT(error == GOIPC_ERROR_ADDRESS_IN_USE);
        self->losses++;
        return NULL;
    }
    self->wins++;
    while (self->wins + self->losses < RACER_COUNT) {
        error = goipc_server_read(server, 1, &message);
        EXPECT(error == GOIPC_ERROR_OK || error == GOIPC_ERROR_TIMEOUT);
    }
    return server;
}

/* The losers may still be on their way out at the server. */
static void expect_answers_at_race(goipc_server *server, uint32_t type)
{
    const goipc_client_config config = {
        .options = {.directory = directory, .encryption = GOIPC_ENCRYPTION_OFF}};
    const int64_t until = test_clock_ms() + PATIENCE_MS;
    goipc_client *client;
    goipc_message message = {.type = GOIPC_MESSAGE_STATUS};
    goipc_error error;

    EXPECT(goipc_client_start("race", &config, &client) == GOIPC_ERROR_OK);
    while (message.type == GOIPC_MESSAGE_STATUS) {
        EXPECT(test_clock_ms() < until);
        error = goipc_client_read(client, 0, &message);
        if (error == GOIPC_ERROR_OK && message.status == GOIPC_STATUS_CONNECTED) {
            EXPECT(goipc_client_write(client, type, "x", 1) == GOIPC_ERROR_OK);
        }
        if (goipc_server_read(server, 1, &message) != GOIPC_ERROR_OK) {
            message.type = GOIPC_MESSAGE_STATUS;
        }
    }
    EXPECT(message_is(&message, type, "x", 1));
    goipc_client_close(client);
}

/* Eight servers want the name of a dead one at the same moment: one gets it, and has it. */
static void test_race_for_a_name(void)
{
    const long rounds = test_amount("races for a name", 40, 4);
    char path[108];

    path_of("race", path);
    for (long round = 1; round <= rounds; round++) {
        pthread_t threads[RACER_COUNT];
        race state = {.ready = 0};
        goipc_server *server = NULL;

        close(bind_raw(path));
        for (size_t i = 0; i < RACER_COUNT; i++) {
            EXPECT(pthread_create(&threads[i], NULL, run_race, &state) == 0);
        }
        for (size_t i = 0; i < RACER_COUNT; i++) {
            void *result;

            pthread_join(threads[i], &result);
            server = result != NULL ? result : server;
        }
        EXPECT(state.wins == 1);
        expect_answers_at_race(server, (uint32_t)round);
        goipc_server_close(server);
        expect_entries(0);
    }
}

/* The lock that keeps takeovers apart is nobody's means to keep a server from starting. */
static void test_lock_of_somebody_else(void)
{
    const int lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int64_t before = test_clock_ms();
    char path[108];

    EXPECT(lock >= 0 && flock(lock, LOCK_EX) == 0);
    path_of("locked", path);
    close(bind_raw(path));
    expect_started("locked");
    EXPECT(test_clock_ms() - before < PATIENCE_MS);
    EXPECT(flock(lock, LOCK_UN) == 0);
    expect_started("locked");
    EXPECT(flock(lock, LOCK_EX | LOCK_NB) == 0); /* it was given back */
    close(lock);
    expect_entries(0);
}

static void test_abstract(void)
{
    goipc_failure failure;
    goipc_server_config config = {.options = {.abstract = true, .failure = &failure}};
    goipc_client_config client_config = {.options.abstract = true};
    char name[64];
    test_pair pair = {.id = 0};
    goipc_server *second;
    goipc_message message;
    const goipc_error error = goipc_server_start(test_name(name), &config, &pair.server);

    if (error == GOIPC_ERROR_ARGUMENT) {
        EXPECT(strstr(failure.text, "abstract") != NULL); /* not on this system */
        return;
    }
    EXPECT(error == GOIPC_ERROR_OK);
    EXPECT(goipc_server_start(name, &config, &second) == GOIPC_ERROR_ADDRESS_IN_USE);
    EXPECT(strstr(failure.text, name) != NULL);
    EXPECT(goipc_client_start(name, &client_config, &pair.client) == GOIPC_ERROR_OK);
    pair_connect(&pair);
    EXPECT(goipc_client_write(pair.client, 1, "x", 1) == GOIPC_ERROR_OK);
    message = server_expect_data(pair.server);
    EXPECT(message_is(&message, 1, "x", 1));
    goipc_client_close(pair.client);
    goipc_server_close(pair.server);
}

/* --- users, as root only ---------------------------------------------------------------------- */

enum { STRANGER = 65534, NAMESPACES_FORBIDDEN = 254 };

/* A child that is somebody else; its exit status is what `act` returns. */
static int as_stranger(uid_t user, int (*act)(const char *name), const char *name)
{
    const pid_t child = fork();
    int status;

    EXPECT(child >= 0);
    if (child == 0) {
        EXPECT(setgid(user) == 0 && setuid(user) == 0);
        _exit(act(name));
    }
    EXPECT(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Who is to be let in may be slow; who is not need not wait for ever. */
static int32_t stranger_patience_ms;

static int connect_and_write(const char *name)
{
    const goipc_client_config config = {.timeout_ms = stranger_patience_ms,
                                        .retry_interval_ms = 50};
    goipc_client *client;
    goipc_error error;

    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    error = goipc_client_write(client, 1, "x", 1);
    goipc_client_close(client);
    return (int)error % 256;
}

static void *read_until_interrupted(void *context)
{
    goipc_message message;
    goipc_error error;
    size_t data_count = 0;

    while ((error = goipc_server_read(context, GOIPC_FOREVER, &message)) == GOIPC_ERROR_OK) {
        data_count += message.type > 0 ? 1 : 0;
    }
    EXPECT(error == GOIPC_ERROR_INTERRUPTED);
    return (void *)data_count;
}

static void test_strangers_as_clients(void)
{
    static const uint32_t friends[] = {7, STRANGER};
    static const struct {
        goipc_server_config config;
        bool welcome;
        goipc_error error;
    } rows[] = {
        {{.clients_max = 1}, false, GOIPC_ERROR_TIMEOUT}, /* the mode keeps them out */
        {{.socket_mode = 0777}, false, GOIPC_ERROR_TIMEOUT},
        {{.unmask_permissions = true}, true, GOIPC_ERROR_OK},
        {{.socket_mode = 0777, .options.peers = GOIPC_PEERS_ANY}, true, GOIPC_ERROR_OK},
        {{.socket_mode = 0777,
          .options = {.peers = GOIPC_PEERS_LIST, .peer_users = friends, .peer_user_count = 2}},
         true,
         GOIPC_ERROR_OK},
        {{.socket_mode = 0777,
          .options = {.peers = GOIPC_PEERS_LIST, .peer_users = friends, .peer_user_count = 1}},
         false,
         GOIPC_ERROR_TIMEOUT},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[64];
        goipc_server *server;
        pthread_t thread;
        void *data_count;
        goipc_counters counters;

        test_name(name);
        EXPECT(goipc_server_start(name, &rows[i].config, &server) == GOIPC_ERROR_OK);
        EXPECT(pthread_create(&thread, NULL, read_until_interrupted, server) == 0);
        stranger_patience_ms = rows[i].welcome ? PATIENCE_MS : 300;
        EXPECT(as_stranger(STRANGER, connect_and_write, name) == (int)rows[i].error % 256);
        do {
            goipc_server_counters(server, &counters);
        } while (rows[i].welcome && counters.messages_in == 0);
        goipc_server_interrupt(server);
        pthread_join(thread, &data_count);
        EXPECT((size_t)data_count == (rows[i].welcome ? 1u : 0u));
        EXPECT(counters.connects == (rows[i].welcome ? 1u : 0u));
        EXPECT(i == 0 || rows[i].welcome || counters.refusals > 0);
        goipc_server_close(server);
    }
}

/* In a user namespace without a map every user has one number, this process as well, so that it
 * names nobody. Returns what a client of the namespace makes of a server outside of it. */
static int connect_from_namespace(const char *name)
{
    return unshare(CLONE_NEWUSER) == 0 ? connect_and_write(name) : NAMESPACES_FORBIDDEN;
}

/* Serves in such a namespace until a client has come or time is over: how many became clients. */
static int serve_in_namespace(const char *name)
{
    const goipc_server_config config = {.options.abstract = true};
    const goipc_server_config at_path = {.options.directory = directory};
    goipc_server *server;
    goipc_message message;
    goipc_failure failure;
    goipc_error error;

    if (unshare(CLONE_NEWUSER) != 0) {
        return NAMESPACES_FORBIDDEN;
    }
    EXPECT(goipc_server_start(name, &at_path, &server) == GOIPC_ERROR_PERMISSION);
    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_OK);
    do {
        error = goipc_server_read(server, 50, &message);
        goipc_server_failure(server, &failure);
    } while (error == GOIPC_ERROR_TIMEOUT && failure.error == GOIPC_ERROR_TIMEOUT);
    EXPECT(error == GOIPC_ERROR_OK || failure.error == GOIPC_ERROR_CREDENTIALS);
    goipc_server_close(server);
    return error == GOIPC_ERROR_OK ? 1 : 0;
}

/* "Same user" is not known where the kernel reports the overflow user: refused on both sides. */
static void test_unknown_users_are_refused(void)
{
    const goipc_server_config config = {.socket_mode = 0777};
    const goipc_client_config client_config = {
        .options.abstract = true, .timeout_ms = 2000, .retry_interval_ms = 50};
    char name[64];
    goipc_server *server;
    goipc_client *client;
    pid_t child;
    int status;

    stranger_patience_ms = 2000;
    EXPECT(goipc_server_start(test_name(name), &config, &server) == GOIPC_ERROR_OK);
    status = as_stranger(geteuid(), connect_from_namespace, name);
    goipc_server_close(server);
    if (status == NAMESPACES_FORBIDDEN) {
        printf("SKIP user namespaces are forbidden here\n");
        return;
    }
    EXPECT(status == GOIPC_ERROR_CREDENTIALS % 256);
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        _exit(serve_in_namespace(name));
    }
    EXPECT(goipc_client_start(name, &client_config, &client) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_write(client, 1, "x", 1) == GOIPC_ERROR_TIMEOUT);
    goipc_client_close(client);
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Ends with how many bytes a server says to somebody whom it does not let in. */
static int listen_to_server(const char *name)
{
    uint8_t bytes[100];
    const int peer = raw_connect(name);
    const ssize_t size = recv(peer, bytes, sizeof bytes, 0);

    EXPECT(send(peer, "x", 1, MSG_NOSIGNAL) <= 1); /* whatever it says to that */
    return size < 0 ? 0 : (int)size;
}

/* Before the first byte: not even the greeting. */
static void test_stranger_is_told_nothing(void)
{
    static const goipc_encryption encryptions[] = {GOIPC_ENCRYPTION_REQUIRE, GOIPC_ENCRYPTION_OFF};

    for (size_t i = 0; i < 2; i++) {
        const goipc_server_config config = {.socket_mode = 0777,
                                            .options.encryption = encryptions[i]};
        goipc_counters counters;
        goipc_server *server;
        pthread_t thread;
        char name[64];

        EXPECT(goipc_server_start(test_name(name), &config, &server) == GOIPC_ERROR_OK);
        EXPECT(pthread_create(&thread, NULL, read_until_interrupted, server) == 0);
        EXPECT(as_stranger(STRANGER, listen_to_server, name) == 0);
        EXPECT(as_stranger(0, listen_to_server, name) == 2); /* where it would have been heard */
        goipc_server_interrupt(server);
        EXPECT(pthread_join(thread, NULL) == 0);
        goipc_server_counters(server, &counters);
        EXPECT(counters.connects == 0 && counters.refusals > 0);
        goipc_server_close(server);
    }
}

/* A server that greets whoever comes, and ends with how many bytes it was answered. */
static int squat_and_greet(const char *name)
{
    static const uint8_t greeting[2] = {GOIPC_PROTOCOL_VERSION, 0};
    char path[108];
    struct sockaddr_un address;
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    uint8_t bytes[100];
    ssize_t size;
    int peer;

    test_path(name, path);
    address = raw_address(path);
    EXPECT(listener >= 0);
    EXPECT(bind(listener, (const struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(chmod(path, 0777) == 0 && listen(listener, 1) == 0);
    peer = accept(listener, NULL, NULL);
    EXPECT(peer >= 0);
    raw_send(peer, greeting, sizeof greeting);
    size = recv(peer, bytes, sizeof bytes, 0);
    return size < 0 ? 0 : (int)size;
}

/* How much a client says to a squatter that is `user`, and how it ends. */
static int said_to(uid_t user, goipc_error *error)
{
    const goipc_client_config config = {
        .retry_interval_ms = 10, .reconnect_off = true, .options.encryption = GOIPC_ENCRYPTION_OFF};
    char name[64], path[108];
    goipc_client *client;
    goipc_message message;
    pid_t child;
    int status;

    test_path(test_name(name), path);
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        EXPECT(setgid(user) == 0 && setuid(user) == 0);
        _exit(squat_and_greet(name));
    }
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    do { /* until the squatter is there, and has had enough */
        *error = goipc_client_read(client, 10, &message);
    } while ((*error == GOIPC_ERROR_OK || *error == GOIPC_ERROR_TIMEOUT) &&
             waitpid(child, &status, WNOHANG) == 0);
    if (*error != GOIPC_ERROR_OK && *error != GOIPC_ERROR_TIMEOUT) {
        EXPECT(waitpid(child, &status, 0) == child);
    } else if (user != 0) { /* it went before the client said why */
        while ((*error = goipc_client_read(client, 10000, &message)) == GOIPC_ERROR_OK) {
        }
    }
    goipc_client_close(client);
    EXPECT(WIFEXITED(status) && unlink(path) == 0);
    return WEXITSTATUS(status);
}

static void test_squatter_is_told_nothing(void)
{
    goipc_error error;

    EXPECT(said_to(STRANGER, &error) == 0);
    EXPECT(error == GOIPC_ERROR_CREDENTIALS);
    EXPECT(said_to(0, &error) == 1); /* where the reply would have been heard */
}

static int squat(const char *name)
{
    const goipc_server_config config = {.unmask_permissions = true};
    goipc_server *server;
    goipc_message message;

    EXPECT(goipc_server_start(name, &config, &server) == GOIPC_ERROR_OK);
    for (;;) { /* until killed */
        if (goipc_server_read(server, GOIPC_FOREVER, &message) == GOIPC_ERROR_OK &&
            message.status == GOIPC_STATUS_CONNECTED) {
            _exit(1);
        }
    }
}

/* Somebody else has the name: our client says nothing to them, and our server leaves them alone. */
static void test_squatter(void)
{
    char name[64], path[108];
    const goipc_client_config config = {.retry_interval_ms = 10};
    goipc_client *client;
    goipc_server *server;
    goipc_failure failure;
    goipc_server_config server_config = {.options.failure = &failure};
    goipc_message message;
    goipc_error error;
    pid_t child;
    int status;

    test_path(test_name(name), path);
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        EXPECT(setgid(STRANGER) == 0 && setuid(STRANGER) == 0);
        _exit(squat(name));
    }
    EXPECT(goipc_client_start(name, &config, &client) == GOIPC_ERROR_OK);
    do { /* until the squatter is there */
        error = goipc_client_read(client, PATIENCE_MS, &message);
    } while (error == GOIPC_ERROR_OK);
    EXPECT(error == GOIPC_ERROR_CREDENTIALS);
    goipc_client_failure(client, &failure);
    EXPECT(strstr(failure.text, name) != NULL);
    goipc_client_close(client);
    EXPECT(goipc_server_start(name, &server_config, &server) == GOIPC_ERROR_PATH_BLOCKED);
    EXPECT(strstr(failure.text, "65534") != NULL);
    kill(child, SIGKILL);
    EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    EXPECT(goipc_server_start(name, &server_config, &server) == GOIPC_ERROR_PATH_BLOCKED);
    EXPECT(access(path, F_OK) == 0 && unlink(path) == 0);
}

int main(void)
{
    snprintf(directory, sizeof directory, "/tmp/t-listener-%ld", (long)getpid());
    EXPECT(mkdir(directory, 0700) == 0);
    test_name_and_mode();
    test_stale_socket_is_replaced();
    test_things_in_the_way_are_left_alone();
    test_live_server_is_left_alone();
    test_live_server_is_not_disturbed();
    test_close_removes_only_its_own();
    test_names();
    test_directories();
    test_directories_of_others();
    test_relative_directory();
    test_name_is_shown_by_the_system();
    test_lost_name_is_reported();
    test_lost_name_is_bound_again();
    test_race_for_a_name();
    test_lock_of_somebody_else();
    test_abstract();
    test_unknown_users_are_refused();
    if (geteuid() == 0) {
        test_strangers_as_clients();
        test_stranger_is_told_nothing();
        test_squatter();
        test_squatter_is_told_nothing();
    } else {
        printf("SKIP ref.listener.users: only root can be two users\n");
    }
    EXPECT(rmdir(directory) == 0);
    printf("ok %d checks\n", test_checks);
    return 0;
}
