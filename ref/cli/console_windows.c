/* SPDX-License-Identifier: MIT */
/* console.h for Windows. Neither a console, a file nor a pipe can be waited for together with
 * something else, so a thread reads standard input ahead; and an endpoint gives no handle to wait
 * for, so it is looked at every TICK_MS. */
#include "console.h"

#include <windows.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <stdio.h>
#include <string.h>

enum { TICK_MS = 5, PIECE_SIZE = 64 * 1024 };

static void (*stop_now)(void);
static volatile LONG stopped;

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
    (void)InterlockedExchange(&stopped, 1);
    if (stop_now != NULL) {
        stop_now();
    }
    return TRUE;
}

void console_begin(void)
{
    (void)_setmode(_fileno(stdout), _O_BINARY);
}

bool console_on_stop(void (*stop)(void))
{
    stop_now = stop;
    return SetConsoleCtrlHandler(handle_control, TRUE) != 0;
}

bool console_is_stopped(void)
{
    return InterlockedCompareExchange(&stopped, 0, 0) != 0;
}

int64_t console_clock_ns(void)
{
    LARGE_INTEGER frequency, now;

    (void)QueryPerformanceFrequency(&frequency);
    (void)QueryPerformanceCounter(&now);
    return (int64_t)((double)now.QuadPart * 1e9 / (double)frequency.QuadPart);
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

unsigned console_wait(const intptr_t *fds, size_t count, unsigned watched, int32_t timeout_ms)
{
    const DWORD wait_ms = timeout_ms < 0 || timeout_ms > TICK_MS ? TICK_MS : (DWORD)timeout_ms;
    unsigned happened = 0;

    (void)fds;
    (void)count;
    if ((watched & CONSOLE_INPUT) == 0) {
        Sleep(wait_ms);
    } else {
        if (input_ahead.full == NULL) {
            start_reading();
        }
        if (WaitForSingleObject(input_ahead.full, wait_ms) == WAIT_OBJECT_0) {
            happened |= CONSOLE_INPUT;
        }
    }
    return happened | (console_is_stopped() ? CONSOLE_STOPPED : 0u);
}

console_input console_read(uint8_t *out, size_t capacity, size_t *size)
{
    const size_t left = input_ahead.size - input_ahead.at;

    *size = left < capacity ? left : capacity;
    if (*size == 0) {
        return CONSOLE_READ_END;
    }
    memcpy(out, input_ahead.bytes + input_ahead.at, *size);
    input_ahead.at += (DWORD)*size;
    if (input_ahead.at == input_ahead.size) {
        (void)ResetEvent(input_ahead.full);
        (void)SetEvent(input_ahead.taken);
    }
    return CONSOLE_READ_SOME;
}

void console_path(const cli_settings *settings, char *out, size_t capacity)
{
    snprintf(out, capacity, "\\\\.\\pipe\\%s", settings->name);
}

/* A server's pipe ends with its process, however that ends. */
bool console_name_is_left(const cli_settings *settings)
{
    (void)settings;
    return false;
}

/* --- output ----------------------------------------------------------------------------------- */

FILE *console_out(void)
{
    return stdout;
}

bool console_flush(void)
{
    static bool lost;

    if (!lost && (fflush(stdout) != 0 || ferror(stdout))) {
        cli_say("cannot write to standard output: %s", strerror(errno));
        lost = true;
    }
    return !lost;
}

void console_error(const char *text, size_t size)
{
    (void)fwrite(text, 1, size, stderr);
    (void)fflush(stderr);
}

bool console_out_is_terminal(void)
{
    return _isatty(_fileno(stdout)) != 0;
}

bool console_is_unicode(void)
{
    return GetConsoleOutputCP() == CP_UTF8 || !console_out_is_terminal();
}

size_t console_error_width(void)
{
    CONSOLE_SCREEN_BUFFER_INFO screen;

    return GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &screen)
               ? (size_t)screen.dwSize.X
               : 0;
}
