/* SPDX-License-Identifier: MIT */
/* The table as completions of shells, and the command that prints them. */
#include "console.h"
#include "table.h"

#include <string.h>

/* The words of all commands, and the two that are not in the table. */
static void put_commands(FILE *out)
{
    for (size_t i = 0; i < table_command_count; i++) {
        fprintf(out, "%s ", table_commands[i].name);
    }
    fputs("version help", out);
}

/* In a shell's single quotes. */
static void put_single_quoted(FILE *out, const char *text, const char *quote)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs(quote, out);
        } else {
            fputc(*text, out);
        }
    }
    fputc('\'', out);
}

/* --- bash ------------------------------------------------------------------------------------- */

static void put_bash_value(FILE *out, table_value value, const char *words)
{
    static const char *const actions[] = {
        [TABLE_NONE] = "COMPREPLY=()",
        [TABLE_TEXT] = "COMPREPLY=()",
        [TABLE_NUMBER] = "COMPREPLY=()",
        [TABLE_WORD] = NULL,
        [TABLE_FILE] = "mapfile -t COMPREPLY < <(compgen -f -- \"$current\")",
        [TABLE_DIRECTORY] = "mapfile -t COMPREPLY < <(compgen -d -- \"$current\")",
        [TABLE_ENDPOINT_NAME] = ("mapfile -t COMPREPLY < <(compgen -W \"$(_goipc_names)\" -- "
                                 "\"$current\")"),
    };

    if (value == TABLE_WORD) {
        fprintf(out, "mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$current\")", words);
    } else {
        fputs(actions[value], out);
    }
}

static void put_bash(FILE *out)
{
    fputs("# Completion of goipc for bash.\n"
          "_goipc_names() {\n"
          "    local directory=/tmp at name\n"
          "    for ((at = 1; at < COMP_CWORD; at++)); do\n"
          "        case ${COMP_WORDS[at]} in\n"
          "        -d | --directory) directory=${COMP_WORDS[at + 1]} ;;\n"
          "        esac\n"
          "    done\n"
          "    for name in \"$directory\"/*.sock; do\n"
          "        name=${name##*/} name=${name%.sock}\n"
          "        [[ $name == *[!A-Za-z0-9._-]* ]] || echo \"$name\"\n"
          "    done\n"
          "}\n"
          "_goipc() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    if ((COMP_CWORD == 1)) || [[ $COMP_CWORD == 2 && $previous == help ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W '",
          out);
    put_commands(out);
    fputs("' -- \"$current\")\n        return\n    fi\n    case $previous in\n", out);
    for (size_t i = 0; i < table_option_count; i++) {
        const table_option *option = &table_options[i];

        if (option->value == TABLE_NONE) {
            continue;
        }
        fprintf(out, "    --%s", option->name);
        if (table_letter(option) != '\0') {
            fprintf(out, " | -%c", table_letter(option));
        }
        fputs(")\n        ", out);
        put_bash_value(out, option->value, option->words);
        fputs("\n        return\n        ;;\n", out);
    }
    fputs("    esac\n    case ${COMP_WORDS[1]}$current in\n", out);
    for (size_t i = 0; i < table_command_count; i++) {
        const table_command *command = &table_commands[i];

        fprintf(out, "    %s-*)\n        mapfile -t COMPREPLY < <(compgen -W '", command->name);
        for (size_t j = 0; j < table_option_count; j++) {
            if ((table_options[j].commands & command->bit) != 0) {
                fprintf(out, "--%s ", table_options[j].name);
            }
        }
        fprintf(out, "' -- \"$current\")\n        ;;\n    %s*)\n        ", command->name);
        put_bash_value(out, command->operand, command->words);
        fputs("\n        ;;\n", out);
    }
    fputs("    esac\n}\ncomplete -F _goipc goipc\n", out);
}

/* --- zsh -------------------------------------------------------------------------------------- */

static void put_zsh_value(FILE *out, const char *title, table_value value, const char *words)
{
    static const char *const actions[] = {
        [TABLE_NONE] = " ",
        [TABLE_TEXT] = " ",
        [TABLE_NUMBER] = " ",
        [TABLE_WORD] = NULL,
        [TABLE_FILE] = "_files",
        [TABLE_DIRECTORY] = "_files -/",
        [TABLE_ENDPOINT_NAME] = "_goipc_names",
    };

    if (value == TABLE_WORD) {
        fprintf(out, ":%s:(%s)", title, words);
    } else {
        fprintf(out, ":%s:%s", title, actions[value]);
    }
}

/* The text between brackets, in which brackets, colons and backslashes have a meaning. */
static void put_zsh_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("[]:\\", *text) != NULL) {
            fputc('\\', out);
        }
        if (*text == '\'') {
            fputs("'\\''", out);
        } else {
            fputc(*text, out);
        }
    }
}

static void put_zsh_option(FILE *out, const table_option *option)
{
    const char letter = table_letter(option);

    if (letter != '\0') {
        fprintf(out, "            '(-%c --%s)'{-%c,--%s}'[", letter, option->name, letter,
                option->name);
    } else {
        fprintf(out, "            '--%s[", option->name);
    }
    put_zsh_text(out, option->text);
    fputc(']', out);
    if (option->value != TABLE_NONE) {
        put_zsh_value(out, option->argument, option->value, option->words);
    }
    fputs("' \\\n", out);
}

static void put_zsh(FILE *out)
{
    fputs("#compdef goipc\n# Completion of goipc for zsh.\n"
          "_goipc_names() {\n"
          "    local directory=${opt_args[-d]:-${opt_args[--directory]:-/tmp}}\n"
          "    local -a names=(${directory}/*.sock(N:t:r))\n"
          "    compadd -a names\n"
          "}\n"
          "_goipc() {\n"
          "    local context state line\n"
          "    typeset -A opt_args\n"
          "    if ((CURRENT == 2)); then\n"
          "        local -a commands=(",
          out);
    for (size_t i = 0; i < table_command_count; i++) {
        fprintf(out, "'%s:", table_commands[i].name);
        put_zsh_text(out, table_commands[i].summary);
        fputs("' ", out);
    }
    fputs("version help)\n        _describe command commands\n        return\n    fi\n"
          "    shift words\n    ((CURRENT--))\n    case $words[1] in\n",
          out);
    for (size_t i = 0; i < table_command_count; i++) {
        const table_command *command = &table_commands[i];

        fprintf(out, "    %s)\n        _arguments -s \\\n", command->name);
        for (size_t j = 0; j < table_option_count; j++) {
            if ((table_options[j].commands & command->bit) != 0) {
                put_zsh_option(out, &table_options[j]);
            }
        }
        for (int operand = 1; operand <= command->operand_count_max; operand++) {
            fprintf(out, "            '%d", operand);
            put_zsh_value(out, command->operands, command->operand, command->words);
            fputs(operand < command->operand_count_max ? "' \\\n" : "'\n", out);
        }
        fputs("        ;;\n", out);
    }
    fputs("    help)\n        compadd ", out);
    put_commands(out);
    fputs("\n        ;;\n    esac\n}\n_goipc \"$@\"\n", out);
}

/* --- fish ------------------------------------------------------------------------------------- */

static void put_fish_value(FILE *out, table_value value, const char *words)
{
    static const char *const actions[] = {
        [TABLE_NONE] = "",
        [TABLE_TEXT] = " -x",
        [TABLE_NUMBER] = " -x",
        [TABLE_WORD] = NULL,
        [TABLE_FILE] = " -r -F",
        [TABLE_DIRECTORY] = " -x -a '(__fish_complete_directories)'",
        [TABLE_ENDPOINT_NAME] = " -a '(__goipc_names)'",
    };

    if (value == TABLE_WORD) {
        fprintf(out, " -x -a '%s'", words);
    } else {
        fputs(actions[value], out);
    }
}

static void put_fish(FILE *out)
{
    fputs("# Completion of goipc for fish.\n"
          "function __goipc_names\n"
          "    for path in /tmp/*.sock\n"
          "        string replace -r '.*/(.*)\\.sock$' '$1' -- $path\n"
          "    end\n"
          "end\n"
          "complete -c goipc -f\n",
          out);
    for (size_t i = 0; i < table_command_count; i++) {
        const table_command *command = &table_commands[i];

        fprintf(out, "complete -c goipc -n __fish_use_subcommand -a %s -d ", command->name);
        put_single_quoted(out, command->summary, "\\'");
        fprintf(out, "\ncomplete -c goipc -n '__fish_seen_subcommand_from %s'", command->name);
        put_fish_value(out, command->operand, command->words);
        fputc('\n', out);
    }
    fputs("complete -c goipc -n __fish_use_subcommand -a 'version help'\n"
          "complete -c goipc -n '__fish_seen_subcommand_from help' -a '",
          out);
    put_commands(out);
    fputs("'\n", out);
    for (size_t i = 0; i < table_option_count; i++) {
        const table_option *option = &table_options[i];

        fputs("complete -c goipc -n '__fish_seen_subcommand_from", out);
        for (size_t j = 0; j < table_command_count; j++) {
            if ((table_commands[j].bit & option->commands) != 0) {
                fprintf(out, " %s", table_commands[j].name);
            }
        }
        fputs("'", out);
        if (table_letter(option) != '\0') {
            fprintf(out, " -s %c", table_letter(option));
        }
        fprintf(out, " -l %s", option->name);
        put_fish_value(out, option->value, option->words);
        fputs(" -d ", out);
        put_single_quoted(out, option->text, "\\'");
        fputc('\n', out);
    }
}

/* --- the command ------------------------------------------------------------------------------ */

bool table_put_completion(FILE *out, const char *shell)
{
    static const struct {
        const char *shell;
        void (*put)(FILE *out);
    } rows[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].shell, shell) == 0) {
            rows[i].put(out);
            return true;
        }
    }
    return false;
}

int cli_completion(const cli_settings *settings)
{
    if (!table_put_completion(console_out(), settings->name)) {
        return cli_usage_error(settings, "no completion for \"%s\": bash, zsh or fish",
                               settings->name);
    }
    return console_flush() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}
