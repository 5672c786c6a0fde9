/* SPDX-License-Identifier: MIT */
/* The protocol without the library's endpoints: two sessions of goipc::core on a pair of pipes,
 * with no socket, thread or clock. The client sends the text, the server sends it back:
 * session_on_pipes [TEXT] */
#include <goipc.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Writes all that the session has to say. */
static goipc_error write_output(goipc_session *session, int descriptor)
{
    const uint8_t *out;
    size_t size;

    for (goipc_session_output(session, &out, &size); size > 0;
         goipc_session_output(session, &out, &size)) {
        const ssize_t written = write(descriptor, out, size);

        if (written < 0) {
            return GOIPC_ERROR_SYSTEM;
        }
        goipc_session_output_consume(session, (size_t)written);
    }
    return GOIPC_ERROR_OK;
}

/* Reads once into the room that the session gives. */
static goipc_error read_input(goipc_session *session, int descriptor)
{
    uint8_t *in;
    size_t capacity;
    ssize_t size;
    goipc_error error = goipc_session_input(session, &in, &capacity);

    if (error != GOIPC_ERROR_OK) {
        return error;
    }
    size = read(descriptor, in, capacity);
    if (size < 0) {
        return GOIPC_ERROR_SYSTEM;
    }
    return size == 0 ? goipc_session_input_end(session)
                     : goipc_session_input_commit(session, (size_t)size);
}

/* The client speaks first once the handshake is done; the server sends back what it receives. */
static goipc_error react(goipc_session *session, const goipc_event *event, goipc_role role,
                         const char *text)
{
    if (event->type == GOIPC_EVENT_CONNECTED && role == GOIPC_ROLE_CLIENT) {
        return goipc_session_send(session, 1, text, strlen(text));
    }
    if (event->type == GOIPC_EVENT_MESSAGE && role == GOIPC_ROLE_SERVER) {
        return goipc_session_send(session, event->message_type, event->data, event->data_size);
    }
    if (event->type == GOIPC_EVENT_MESSAGE) {
        printf("%.*s\n", (int)event->data_size, (const char *)event->data);
    }
    return GOIPC_ERROR_OK;
}

/* Runs one end until the peer closes, or the client has its answer. */
static goipc_error run(goipc_role role, int from, int to, const char *text)
{
    const goipc_session_config config = {.role = role};
    goipc_event event = {.type = GOIPC_EVENT_NEED_INPUT};
    goipc_session *session;
    goipc_error error = goipc_session_new(&config, &session);

    while (error == GOIPC_ERROR_OK && event.type != GOIPC_EVENT_CLOSED &&
           !(event.type == GOIPC_EVENT_MESSAGE && role == GOIPC_ROLE_CLIENT)) {
        goipc_error written;

        error = goipc_session_next_event(session, &event);
        if (error == GOIPC_ERROR_OK) {
            error = react(session, &event, role, text);
        }
        written = write_output(session, to); /* also after an error: it may tell the peer why */
        error = error == GOIPC_ERROR_OK ? written : error;
        if (error == GOIPC_ERROR_OK && event.type == GOIPC_EVENT_NEED_INPUT) {
            error = read_input(session, from);
        }
    }
    goipc_session_free(session);
    close(from);
    close(to);
    if (error != GOIPC_ERROR_OK) {
        fprintf(stderr, "%s: %s\n", role == GOIPC_ROLE_SERVER ? "server" : "client",
                goipc_error_text(error));
    }
    return error;
}

int main(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "hello";
    int to_server[2], to_client[2];
    int status = 1;
    pid_t client;

    if (pipe(to_server) != 0 || pipe(to_client) != 0 || (client = fork()) < 0) {
        perror("session_on_pipes");
        return 1;
    }
    if (client == 0) {
        close(to_server[0]);
        close(to_client[1]);
        return run(GOIPC_ROLE_CLIENT, to_client[0], to_server[1], text) == GOIPC_ERROR_OK ? 0 : 1;
    }
    close(to_server[1]);
    close(to_client[0]);
    if (run(GOIPC_ROLE_SERVER, to_server[0], to_client[1], "") != GOIPC_ERROR_OK) {
        return 1;
    }
    return waitpid(client, &status, 0) == client && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
