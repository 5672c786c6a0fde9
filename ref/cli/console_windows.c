/* SPDX-License-Identifier: MIT */
/* console.h for Windows. Neither a console, a file nor a pipe can be waited for together with
 * something else, so a thread reads standard input ahead; and an endpoint gives no handle to wait
 * for, so it is looked at every TICK_MS. */
#include "console.h"

#include <windows.h>

#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <stdio.h>
#include <string.h>

enum { TICK_MS = 5, PIECE_SIZE = 64 * 1024 };

static void (*stop_now)(void);

/* Filled by the thread while `full` is not set, taken by the program while it is. */
static struct {
    HANDLE full;
    HANDLE taken;
    DWORD size;
    DWORD at;
    uint8_t bytes[PIECE_SIZE];
} input_ahead;

static BOOL WINAPI handle_control(DWORD what)
{
    (void)what;
    stop_now();
    return TRUE;
}

void console_on_stop(void (*stop)(void))
{
    stop_now = stop;
    (void)SetConsoleCtrlHandler(handle_control, TRUE);
    (void)_setmode(_fileno(stdout), _O_BINARY);
}

int64_t console_clock_ms(void)
{
    return (int64_t)GetTickCount64();
}

static unsigned __stdcall read_ahead(void *parameter)
{
    const HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    BOOL more = TRUE;

    (void)parameter;
    while (more) {
        input_ahead.size = 0;
        more = ReadFile(input, input_ahead.bytes, PIECE_SIZE, &input_ahead.size, NULL) &&
               input_ahead.size > 0;
        input_ahead.at = 0;
        (void)SetEvent(input_ahead.full);
        (void)WaitForSingleObject(input_ahead.taken, INFINITE);
    }
    return 0;
}

static void start_reading(void)
{
    uintptr_t thread;

    input_ahead.full = CreateEventW(NULL, TRUE, FALSE, NULL);
    input_ahead.taken = CreateEventW(NULL, FALSE, FALSE, NULL);
    thread = _beginthreadex(NULL, 0, read_ahead, NULL, 0, NULL);
    if (input_ahead.full == NULL || input_ahead.taken == NULL || thread == 0) {
        cli_say("cannot read standard input");
        ExitProcess(CLI_EXIT_FAILED);
    }
    (void)CloseHandle((HANDLE)thread);
}

bool console_wait(intptr_t endpoint_fd, bool input, int32_t timeout_ms)
{
    const DWORD wait_ms = timeout_ms < 0 || timeout_ms > TICK_MS ? TICK_MS : (DWORD)timeout_ms;

    (void)endpoint_fd;
    if (!input) {
        Sleep(wait_ms);
        return false;
    }
    if (input_ahead.full == NULL) {
        start_reading();
    }
    return WaitForSingleObject(input_ahead.full, wait_ms) == WAIT_OBJECT_0;
}

console_input console_read(uint8_t *out, size_t capacity, size_t *size)
{
    const size_t left = input_ahead.size - input_ahead.at;

    *size = left < capacity ? left : capacity;
    if (*size == 0) {
        return CONSOLE_INPUT_END;
    }
    memcpy(out, input_ahead.bytes + input_ahead.at, *size);
    input_ahead.at += (DWORD)*size;
    if (input_ahead.at == input_ahead.size) {
        (void)ResetEvent(input_ahead.full);
        (void)SetEvent(input_ahead.taken);
    }
    return CONSOLE_INPUT_SOME;
}

void console_path(const cli_settings *settings, char *out, size_t capacity)
{
    snprintf(out, capacity, "\\\\.\\pipe\\%s", settings->name);
}
