/* SPDX-License-Identifier: MIT */
/*
 * Joins named pipes to loopback TCP, so that a program outside Wine can talk to one inside. It
 * prints `control PORT` and takes lines on connections to that port:
 *
 *     forward NAME          -> `port P`: whoever connects to P is joined to \\.\pipe\NAME
 *     reverse NAME P        -> `open`: whoever opens \\.\pipe\NAME is joined to port P
 *     hold NAME             -> `held`: keeps one connection to \\.\pipe\NAME and does nothing with
 * it
 *
 * What a control connection asked for ends with it. An end of one side becomes the end of the
 * other. A pipe cannot be closed by half: after the end of the TCP side it is closed once nothing
 * has come out of it for QUIET_MS. A tool for tests: it ends with the process that started it (end
 * of standard input), and it gives up at the first surprise.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <windows.h>

#include <process.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_SIZE = 64 * 1024,
    LINE_SIZE = 512,
    QUIET_MS = 100,
    BUSY_MS = 5000,
    SERVICES_MAX = 16,
};

/* One joined pair. Two threads each hold a reference; the last one closes. */
typedef struct pair {
    SOCKET tcp;
    HANDLE pipe;
    volatile LONG references;
    volatile LONG tcp_ended;
} pair;

/* What one control line started. */
typedef struct service {
    char name[LINE_SIZE];
    SOCKET listener;     /* forward */
    unsigned short port; /* reverse */
    HANDLE held;         /* hold, or the instance of reverse that waits */
    HANDLE stop;         /* reverse: event */
    HANDLE thread;
} service;

static void give_up(const char *what)
{
    fprintf(stderr, "relay: %s: %lu\n", what, GetLastError());
    exit(1);
}

static HANDLE new_event(void)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);

    if (event == NULL) {
        give_up("event");
    }
    return event;
}

static void start_thread(unsigned(__stdcall *run)(void *), void *parameter, HANDLE *thread)
{
    HANDLE made = (HANDLE)_beginthreadex(NULL, 0, run, parameter, 0, NULL);

    if (made == NULL) {
        give_up("thread");
    }
    if (thread != NULL) {
        *thread = made;
    } else {
        (void)CloseHandle(made);
    }
}

/* --- one pair --------------------------------------------------------------------------------- */

static void drop_pair(pair *joined)
{
    if (InterlockedDecrement(&joined->references) == 0) {
        (void)closesocket(joined->tcp);
        if (joined->pipe != INVALID_HANDLE_VALUE) {
            (void)CloseHandle(joined->pipe);
        }
        free(joined);
    }
}

/* How a read or write of the pipe ended: its size, or 0. `joined` may ask it to end when quiet. */
static DWORD finish_operation(pair *joined, OVERLAPPED *overlapped, BOOL started, bool reading)
{
    DWORD size = 0;

    if (!started && GetLastError() != ERROR_IO_PENDING) {
        return 0;
    }
    while (WaitForSingleObject(overlapped->hEvent, QUIET_MS) == WAIT_TIMEOUT) {
        if (reading && joined->tcp_ended) {
            (void)CancelIoEx(joined->pipe, overlapped);
            break;
        }
    }
    return GetOverlappedResult(joined->pipe, overlapped, &size, TRUE) ? size : 0;
}

static bool send_all(SOCKET tcp, const char *bytes, DWORD size)
{
    while (size > 0) {
        const int sent = send(tcp, bytes, (int)size, 0);

        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        size -= (DWORD)sent;
    }
    return true;
}

static unsigned __stdcall pipe_to_tcp(void *parameter)
{
    pair *joined = (pair *)parameter;
    char *bytes = malloc(PIECE_SIZE);
    HANDLE event = new_event();

    for (;;) {
        OVERLAPPED overlapped;
        BOOL started;
        DWORD size;

        memset(&overlapped, 0, sizeof overlapped);
        overlapped.hEvent = event;
        started = ReadFile(joined->pipe, bytes, PIECE_SIZE, NULL, &overlapped);
        size = finish_operation(joined, &overlapped, started, true);
        if (size == 0 || !send_all(joined->tcp, bytes, size)) {
            break;
        }
    }
    if (InterlockedCompareExchange(&joined->references, 1, 1) == 1) {
        /* Nobody else uses the pipe. Who sees the end of the socket finds the pipe closed, too. */
        (void)CloseHandle(joined->pipe);
        joined->pipe = INVALID_HANDLE_VALUE;
    }
    /* Both ways: the reader of this socket sees the end, and the other thread wakes up. */
    (void)shutdown(joined->tcp, SD_BOTH);
    (void)CloseHandle(event);
    free(bytes);
    drop_pair(joined);
    return 0;
}

static unsigned __stdcall tcp_to_pipe(void *parameter)
{
    pair *joined = (pair *)parameter;
    char *bytes = malloc(PIECE_SIZE);
    HANDLE event = new_event();

    for (;;) {
        const int size = recv(joined->tcp, bytes, PIECE_SIZE, 0);
        OVERLAPPED overlapped;
        BOOL started;

        if (size <= 0) {
            break;
        }
        memset(&overlapped, 0, sizeof overlapped);
        overlapped.hEvent = event;
        started = WriteFile(joined->pipe, bytes, (DWORD)size, NULL, &overlapped);
        if (finish_operation(joined, &overlapped, started, false) != (DWORD)size) {
            break;
        }
    }
    (void)InterlockedExchange(&joined->tcp_ended, 1);
    (void)CloseHandle(event);
    free(bytes);
    drop_pair(joined);
    return 0;
}

static void join_pair(SOCKET tcp, HANDLE pipe)
{
    pair *joined = calloc(1, sizeof *joined);
    const int on = 1;

    if (joined == NULL) {
        give_up("memory");
    }
    (void)setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    joined->tcp = tcp;
    joined->pipe = pipe;
    joined->references = 2;
    start_thread(pipe_to_tcp, joined, NULL);
    start_thread(tcp_to_pipe, joined, NULL);
}

/* --- pipes ------------------------------------------------------------------------------------ */

static void pipe_path(const char *name, wchar_t out[LINE_SIZE + 16])
{
    static const wchar_t prefix[] = L"\\\\.\\pipe\\";

    memcpy(out, prefix, sizeof prefix);
    if (MultiByteToWideChar(CP_UTF8, 0, name, -1, out + 9, LINE_SIZE) == 0) {
        give_up("name");
    }
}

static HANDLE dial_pipe(const char *name)
{
    const ULONGLONG start_ms = GetTickCount64();
    wchar_t path[LINE_SIZE + 16];

    pipe_path(name, path);
    for (;;) {
        HANDLE pipe = CreateFileW(
            path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
            FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);

        if (pipe != INVALID_HANDLE_VALUE || GetLastError() != ERROR_PIPE_BUSY ||
            GetTickCount64() - start_ms > BUSY_MS) {
            return pipe;
        }
        (void)WaitNamedPipeW(path, 20);
    }
}

static HANDLE open_instance(const char *name)
{
    wchar_t path[LINE_SIZE + 16];
    HANDLE pipe;

    pipe_path(name, path);
    pipe = CreateNamedPipeW(path, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED,
                            PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, PIPE_UNLIMITED_INSTANCES,
                            PIECE_SIZE, PIECE_SIZE, 0, NULL);
    if (pipe == INVALID_HANDLE_VALUE) {
        give_up("pipe");
    }
    return pipe;
}

/* --- TCP -------------------------------------------------------------------------------------- */

static SOCKET listen_anywhere(unsigned short *port)
{
    SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    struct sockaddr_in address;
    int size = sizeof address;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener == INVALID_SOCKET ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        give_up("listen");
    }
    *port = ntohs(address.sin_port);
    return listener;
}

static SOCKET dial_port(unsigned short port)
{
    SOCKET tcp = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    struct sockaddr_in address;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (tcp != INVALID_SOCKET && connect(tcp, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)closesocket(tcp);
        return INVALID_SOCKET;
    }
    return tcp;
}

/* --- services --------------------------------------------------------------------------------- */

static unsigned __stdcall run_forward(void *parameter)
{
    const service *forward = (const service *)parameter;

    for (;;) {
        SOCKET tcp = accept(forward->listener, NULL, NULL);
        HANDLE pipe;

        if (tcp == INVALID_SOCKET) {
            return 0;
        }
        pipe = dial_pipe(forward->name);
        if (pipe == INVALID_HANDLE_VALUE) {
            (void)closesocket(tcp); /* nobody is there */
        } else {
            join_pair(tcp, pipe);
        }
    }
}

/* Waits for a client at the instance. False when the service is to stop. */
static bool await_client(const service *reverse)
{
    OVERLAPPED overlapped;
    HANDLE events[2];
    DWORD size;
    bool connected = true;

    memset(&overlapped, 0, sizeof overlapped);
    overlapped.hEvent = new_event();
    if (!ConnectNamedPipe(reverse->held, &overlapped) && GetLastError() == ERROR_IO_PENDING) {
        events[0] = overlapped.hEvent;
        events[1] = reverse->stop;
        connected = WaitForMultipleObjects(2, events, FALSE, INFINITE) == WAIT_OBJECT_0;
        if (!connected) {
            (void)CancelIoEx(reverse->held, &overlapped);
        }
        (void)GetOverlappedResult(reverse->held, &overlapped, &size, TRUE);
    }
    (void)CloseHandle(overlapped.hEvent);
    return connected;
}

static unsigned __stdcall run_reverse(void *parameter)
{
    service *reverse = (service *)parameter;

    while (await_client(reverse)) {
        HANDLE pipe = reverse->held;
        SOCKET tcp = dial_port(reverse->port);

        reverse->held = open_instance(reverse->name);
        if (tcp == INVALID_SOCKET) {
            (void)CloseHandle(pipe);
        } else {
            join_pair(tcp, pipe);
        }
    }
    return 0;
}

static bool answer(SOCKET control, const char *line)
{
    return send_all(control, line, (DWORD)strlen(line));
}

static bool start_forward(SOCKET control, service *made)
{
    char line[64];
    unsigned short port;

    made->listener = listen_anywhere(&port);
    start_thread(run_forward, made, &made->thread);
    (void)snprintf(line, sizeof line, "port %u\n", (unsigned)port);
    return answer(control, line);
}

static bool start_hold(SOCKET control, service *made)
{
    made->held = dial_pipe(made->name);
    return answer(control, made->held == INVALID_HANDLE_VALUE ? "nobody\n" : "held\n");
}

static bool start_reverse(SOCKET control, service *made)
{
    made->stop = new_event();
    made->held = open_instance(made->name);
    start_thread(run_reverse, made, &made->thread);
    return answer(control, "open\n");
}

static bool obey(SOCKET control, const char *line, service *made)
{
    unsigned port = 0;

    made->listener = INVALID_SOCKET;
    made->held = INVALID_HANDLE_VALUE;
    if (sscanf(line, "forward %511s", made->name) == 1) {
        return start_forward(control, made);
    }
    if (sscanf(line, "hold %511s", made->name) == 1) {
        return start_hold(control, made);
    }
    if (sscanf(line, "reverse %511s %u", made->name, &port) == 2 && port <= 65535) {
        made->port = (unsigned short)port;
        return start_reverse(control, made);
    }
    return false;
}

static void stop_service(service *ending)
{
    if (ending->listener != INVALID_SOCKET) {
        (void)closesocket(ending->listener);
    }
    if (ending->stop != NULL) {
        (void)SetEvent(ending->stop);
    }
    if (ending->thread != NULL) {
        (void)WaitForSingleObject(ending->thread, INFINITE);
        (void)CloseHandle(ending->thread);
    }
    if (ending->stop != NULL) {
        (void)CloseHandle(ending->stop);
    }
    if (ending->held != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(ending->held);
    }
}

/* --- control ---------------------------------------------------------------------------------- */

static unsigned __stdcall run_control(void *parameter)
{
    const SOCKET control = (SOCKET)(uintptr_t)parameter;
    service *services = calloc(SERVICES_MAX, sizeof *services);
    size_t count = 0;
    char line[LINE_SIZE];
    size_t size = 0;

    while (services != NULL && count < SERVICES_MAX && size + 1 < sizeof line &&
           recv(control, line + size, 1, 0) == 1) {
        if (line[size++] != '\n') {
            continue;
        }
        line[size] = '\0';
        size = 0;
        if (!obey(control, line, &services[count++])) {
            break;
        }
    }
    while (count > 0) {
        stop_service(&services[--count]);
    }
    free(services);
    (void)closesocket(control);
    return 0;
}

static unsigned __stdcall end_with_parent(void *parameter)
{
    (void)parameter;
    while (getchar() != EOF) {
    }
    ExitProcess(0);
}

int main(void)
{
    WSADATA data;
    unsigned short port;
    SOCKET listener;

    if (WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        give_up("sockets");
    }
    listener = listen_anywhere(&port);
    printf("control %u\n", (unsigned)port);
    fflush(stdout);
    start_thread(end_with_parent, NULL, NULL);
    for (;;) {
        SOCKET control = accept(listener, NULL, NULL);

        if (control == INVALID_SOCKET) {
            give_up("accept");
        }
        start_thread(run_control, (void *)(uintptr_t)control, NULL);
    }
}
