/* SPDX-License-Identifier: MIT */
/* Lines on standard error. */
#include "console.h"
#include "text.h"

#include <stdarg.h>
#include <string.h>

enum { LINE_SIZE = 2048, INDENT = 7 };

static const char prefix[] = "goipc: ";

/* Breaks the text at blanks, so that a terminal of `width` columns breaks no word; 0: one line. */
static void wrap(const char *text, size_t width, char *out, size_t capacity)
{
    const char *word = text;
    size_t column = INDENT, used = (size_t)snprintf(out, capacity, "%s", prefix);

    while (*word != '\0' && used + INDENT + 2 < capacity) {
        const size_t size = strcspn(word, " ");
        const size_t fits = capacity - used - INDENT - 2;

        if (width > 0 && column > INDENT && column + size >= width) {
            out[used - 1] = '\n'; /* instead of the blank */
            used += (size_t)snprintf(out + used, capacity - used, "%*s", INDENT, "");
            column = INDENT;
        }
        memcpy(out + used, word, size < fits ? size : fits);
        used += size < fits ? size : fits;
        column += size + 1;
        word += size;
        if (*word == ' ') {
            out[used++] = ' ';
            word++;
        }
    }
    out[used++] = '\n';
    console_error(out, used);
}

static void say(const char *format, va_list arguments) CLI_PRINTF(1, 0);

static void say(const char *format, va_list arguments)
{
    static char last[LINE_SIZE];
    static const char joint[] = "; the last attempt: ";
    char text[LINE_SIZE], line[2 * LINE_SIZE];
    char *again;

    vsnprintf(text, sizeof text, format, arguments);
    text_clean(text, console_error_width() == 0 || console_is_unicode());
    if (strcmp(text, last) == 0) {
        return;
    }
    again = strstr(text, joint);
    if (again != NULL && strcmp(again + strlen(joint), last) != 0) {
        again = NULL;
    }
    snprintf(last, sizeof last, "%s", text);
    if (again != NULL) {
        *again = '\0'; /* what it repeats stands on the line above */
    }
    wrap(text, console_error_width(), line, sizeof line);
}

void cli_say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

int cli_usage_error(const cli_settings *settings, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cli_say("%s; see goipc %s%s--help", text, settings == NULL ? "" : settings->command,
            settings == NULL ? "" : " ");
    return CLI_EXIT_USAGE;
}

void cli_say_failure(const goipc_failure *failure, goipc_error error)
{
    cli_say("%s", failure->error == error && failure->text[0] != '\0' ? failure->text
                                                                      : goipc_error_text(error));
}
