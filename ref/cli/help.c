/* SPDX-License-Identifier: MIT */
/* The table as help and as a part of the manual page. */
#include "table.h"

#include <ctype.h>
#include <string.h>

enum { WIDTH = 79, OPTION_INDENT = 29 };

/* --- help ------------------------------------------------------------------------------------- */

/* Continues a line that has `column` columns, and starts each further line with `indent` blanks. */
static void put_wrapped(FILE *out, const char *text, size_t column, size_t indent)
{
    const char *between = "";

    while (*text != '\0') {
        const size_t size = strcspn(text, " ");

        if (column > indent && column + strlen(between) + size > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
            between = "";
        }
        fprintf(out, "%s%.*s", between, (int)size, text);
        column += strlen(between) + size;
        between = " ";
        text += size + strspn(text + size, " ");
    }
    fputc('\n', out);
}

static void put_option(FILE *out, const table_option *option)
{
    char head[64];
    const char letter = table_letter(option);
    int size;

    if (letter != '\0') {
        size = snprintf(head, sizeof head, "  -%c, --%s%s%s", letter, option->name,
                        option->argument == NULL ? "" : " ",
                        option->argument == NULL ? "" : option->argument);
    } else {
        size = snprintf(head, sizeof head, "      --%s%s%s", option->name,
                        option->argument == NULL ? "" : " ",
                        option->argument == NULL ? "" : option->argument);
    }
    if (size + 2 <= OPTION_INDENT) {
        fprintf(out, "%-*s", OPTION_INDENT, head);
    } else {
        fprintf(out, "%s\n%*s", head, OPTION_INDENT, "");
    }
    put_wrapped(out, option->text, OPTION_INDENT, OPTION_INDENT);
}

static void put_program_help(FILE *out)
{
    fputs("usage: goipc COMMAND [OPTION]...\n"
          "Talks the golang-ipc protocol from a shell.\n\n",
          out);
    for (size_t i = 0; i < table_command_count; i++) {
        const table_command *command = &table_commands[i];
        char head[40];
        const int size = snprintf(head, sizeof head, "  %s %s", command->name, command->operands);

        fprintf(out, "%-22s", head);
        put_wrapped(out, command->summary, size > 22 ? (size_t)size : 22, 22);
    }
    fputs("  version             print the version and the crypto back end\n"
          "  help [COMMAND]      print this, or the options of a command\n"
          "\n"
          "goipc COMMAND --help shows the options of a command.\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
          out);
}

void table_put_help(FILE *out, const table_command *command)
{
    if (command == NULL) {
        put_program_help(out);
        return;
    }
    fprintf(out, "usage: goipc %s %s [OPTION]...\n", command->name, command->operands);
    fputc(toupper((unsigned char)command->summary[0]), out);
    fprintf(out, "%s.\n\n", command->summary + 1);
    put_wrapped(out, command->text, 0, 0);
    fputc('\n', out);
    for (size_t i = 0; i < table_option_count; i++) {
        if ((table_options[i].commands & command->bit) != 0) {
            put_option(out, &table_options[i]);
        }
    }
}

/* --- manual ----------------------------------------------------------------------------------- */

/* roff reads a hyphen as a hyphen of prose, and a backslash as an escape. */
static void put_roff(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-') {
            fputs("\\-", out);
        } else if (*text == '\\') {
            fputs("\\e", out);
        } else {
            fputc(*text, out);
        }
    }
}

static void put_roff_line(FILE *out, const char *start, const char *text, const char *end)
{
    fputs(start, out);
    put_roff(out, text);
    fputs(end, out);
}

static void put_takers(FILE *out, const table_option *option)
{
    bool first = true;

    fputs("(", out);
    for (size_t i = 0; i < table_command_count; i++) {
        if ((table_commands[i].bit & option->commands) != 0) {
            fprintf(out, "%s%s", first ? "" : ", ", table_commands[i].name);
            first = false;
        }
    }
    fputs(")\n", out);
}

static int capital(const char *text)
{
    return toupper((unsigned char)text[0]);
}

void table_put_manual(FILE *out)
{
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < table_command_count; i++) {
        const table_command *command = &table_commands[i];

        fprintf(out, ".TP\n.BI \"%s \" \"%s\"\n%c", command->name, command->operands,
                capital(command->summary));
        put_roff_line(out, "", command->summary + 1, ".\n");
        put_roff_line(out, "", command->text, "\n");
    }
    fputs(".TP\n.B version\nPrint the version and the crypto back end.\n"
          ".TP\n.BI \"help \" [COMMAND]\nPrint the commands, or the options of one.\n"
          ".SH OPTIONS\nThe commands that take an option stand in parentheses.\n",
          out);
    for (size_t i = 0; i < table_option_count; i++) {
        const table_option *option = &table_options[i];

        fputs(".TP\n", out);
        if (table_letter(option) != '\0') {
            fprintf(out, ".BR \\-%c \", \" ", table_letter(option));
        } else {
            fputs(".BR ", out);
        }
        put_roff_line(out, "\\-\\-", option->name, "");
        fprintf(out, "%s%s%s\n", option->argument == NULL ? "" : " \" \\fI",
                option->argument == NULL ? "" : option->argument,
                option->argument == NULL ? "" : "\\fR\"");
        put_roff_line(out, "", option->text, "\n");
        put_takers(out, option);
    }
}
