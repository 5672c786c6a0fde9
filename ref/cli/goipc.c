/* SPDX-License-Identifier: MIT */
/* goipc: talk the golang-ipc protocol from a shell. A thin layer over the public header. */
#include "console.h"
#include "table.h"

#include <string.h>

static int print_version(void)
{
    const goipc_crypto *crypto = goipc_crypto_default();

    fprintf(console_out(), "goipc %s (crypto: %s)\n", goipc_version(),
            crypto != NULL ? crypto->name
                           : "none: none is built in, or OpenSSL is configured for FIPS and its "
                             "FIPS provider is not there");
    return console_flush() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

static int print_help(const char *about)
{
    const table_command *command = about == NULL ? NULL : table_find_command(about);

    if (about != NULL && command == NULL) {
        return cli_usage_error(NULL, "there is no command \"%s\"", about);
    }
    table_put_help(console_out(), command);
    return console_flush() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

/* For the manual page in the source tree. */
static int print_manual(void)
{
    table_put_manual(console_out());
    return console_flush() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

static bool is_one_of(const char *word, const char *first, const char *second, const char *third)
{
    return strcmp(word, first) == 0 || strcmp(word, second) == 0 || strcmp(word, third) == 0;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const table_command *command = table_find_command(word);
    cli_settings settings;
    bool done = false;
    int status;

    console_begin();
    if (is_one_of(word, "version", "--version", "-V")) {
        return print_version();
    }
    if (is_one_of(word, "help", "--help", "-h")) {
        return print_help(argc > 2 ? argv[2] : NULL);
    }
    if (strcmp(word, "--manual") == 0) {
        return print_manual();
    }
    if (command == NULL) {
        return word[0] == '\0' ? cli_usage_error(NULL, "a command is missing")
                               : cli_usage_error(NULL, "there is no command \"%s\"", word);
    }
    status = cli_parse(argc - 1, argv + 1, &settings, &done);
    return status != CLI_EXIT_OK || done ? status : command->run(&settings);
}
