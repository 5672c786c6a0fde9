/* SPDX-License-Identifier: MIT */
/* From the words of a command line to settings. */
#define _POSIX_C_SOURCE 200809L

#include "console.h"
#include "table.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_COUNT_MAX = 64, SIZE_DEFAULT = 64 };

/* --- values ----------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && '0' <= text[0] && text[0] <= '9' && *end == '\0' && *value >= min &&
           *value <= max;
}

static int take_encryption(cli_settings *settings)
{
    static const struct {
        const char *name;
        goipc_encryption value;
    } rows[] = {
        {"required", GOIPC_ENCRYPTION_REQUIRE},
        {"optional", GOIPC_ENCRYPTION_OPTIONAL},
        {"off", GOIPC_ENCRYPTION_OFF},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(optarg, rows[i].name) == 0) {
            settings->options.encryption = rows[i].value;
            return CLI_EXIT_OK;
        }
    }
    return cli_usage_error(settings, "--encryption takes required, optional or off, not \"%s\"",
                           optarg);
}

static int take_crypto(cli_settings *settings)
{
    settings->options.crypto = goipc_crypto_by_name(optarg);
    return settings->options.crypto != NULL
               ? CLI_EXIT_OK
               : cli_usage_error(
                     settings,
                     "no crypto back end \"%s\" can be used: it is not built in, or the "
                     "configuration of its library turns its ciphers off",
                     optarg);
}

static int take_from(cli_settings *settings)
{
    settings->from = strcmp(optarg, "server") == 0 ? CLI_FROM_SERVER : CLI_FROM_CLIENT;
    if (settings->from == CLI_FROM_SERVER || strcmp(optarg, "client") == 0) {
        return CLI_EXIT_OK;
    }
    return cli_usage_error(settings, "--from takes server or client, not \"%s\"", optarg);
}

static int take_key(cli_settings *settings)
{
    uint8_t digits[2 * GOIPC_KEY_SIZE];
    size_t size = strlen(optarg);

    if (size == sizeof digits) {
        memcpy(digits, optarg, size);
        settings->has_key = text_decode_hex(digits, &size);
        memcpy(settings->key, digits, sizeof settings->key);
    }
    return settings->has_key ? CLI_EXIT_OK
                             : cli_usage_error(settings, "--key takes 64 hexadecimal digits");
}

static int take_format(cli_settings *settings, cli_format format)
{
    if (settings->format != CLI_FORMAT_LINES && settings->format != format) {
        return cli_usage_error(settings, "--hex, --quoted, --json and --raw exclude each other");
    }
    settings->format = format;
    return CLI_EXIT_OK;
}

static int take_number(const table_option *option, cli_settings *settings)
{
    uint64_t value;

    if (!parse_number(optarg, option->min, option->max, &value)) {
        return cli_usage_error(settings, "--%s takes a number from %llu to %llu, not \"%s\"",
                               option->name, (unsigned long long)option->min,
                               (unsigned long long)option->max, optarg);
    }
    switch (option->id) {
    case 't':
        settings->type = (uint32_t)value;
        break;
    case 'c':
        settings->clients_max = (uint32_t)value;
        break;
    case 'n':
        settings->count = value;
        break;
    case 'i':
        settings->interval_ms = (int32_t)value;
        break;
    case OPTION_SIZE:
        settings->size = (uint32_t)value;
        break;
    case OPTION_MESSAGE_SIZE_MAX:
        settings->options.message_size_max = (uint32_t)value;
        break;
    case OPTION_HANDSHAKE_TIMEOUT:
        settings->options.handshake_timeout_ms = (int32_t)value;
        break;
    case OPTION_TIMEOUT:
        settings->timeout_ms = (int32_t)value;
        break;
    default: /* OPTION_LINGER */
        settings->linger_ms = (int32_t)value;
        break;
    }
    return CLI_EXIT_OK;
}

static int take_option(const table_option *option, cli_settings *settings)
{
    if (option->value == TABLE_NUMBER) {
        return take_number(option, settings);
    }
    switch (option->id) {
    case 'e':
        settings->echo = true;
        break;
    case 'T':
        settings->show_types = true;
        break;
    case 'd':
        settings->options.directory = optarg;
        break;
    case 'q':
        settings->quiet = true;
        break;
    case 'r':
        settings->reconnect = true;
        break;
    case 'D':
        settings->data = optarg;
        break;
    case 'F':
        settings->file = optarg;
        break;
    case 'x':
        return take_format(settings, CLI_FORMAT_HEX);
    case OPTION_QUOTED:
        return take_format(settings, CLI_FORMAT_QUOTED);
    case OPTION_JSON:
        return take_format(settings, CLI_FORMAT_JSON);
    case OPTION_RAW:
        return take_format(settings, CLI_FORMAT_RAW);
    case OPTION_ENCRYPTION:
        return take_encryption(settings);
    case OPTION_NO_ENCRYPTION:
        settings->options.encryption = GOIPC_ENCRYPTION_OFF;
        break;
    case OPTION_CRYPTO:
        return take_crypto(settings);
    case OPTION_ABSTRACT:
        settings->options.abstract = true;
        break;
    case OPTION_ANY_USER:
        settings->options.peers = GOIPC_PEERS_ANY;
        break;
    case OPTION_FROM:
        return take_from(settings);
    case OPTION_KEY:
        return take_key(settings);
    default: /* OPTION_UNMASK */
        settings->unmask = true;
        break;
    }
    return CLI_EXIT_OK;
}

/* --- the command line ------------------------------------------------------------------------- */

/* The table in the words of getopt_long. ':' first: it reports a missing value as ':'. */
static void make_getopt_tables(struct option *long_options, char *letters)
{
    *letters++ = ':';
    for (size_t i = 0; i < table_option_count && i < OPTION_COUNT_MAX - 1; i++) {
        const table_option *option = &table_options[i];
        const bool takes = option->value != TABLE_NONE;

        *long_options++ = (struct option){option->name, takes ? required_argument : no_argument,
                                          NULL, option->id};
        if (table_letter(option) != '\0') {
            *letters++ = table_letter(option);
            if (takes) {
                *letters++ = ':';
            }
        }
    }
    *letters = '\0';
    *long_options = (struct option){NULL, 0, NULL, 0};
}

static int refuse_option(const cli_settings *settings, int result, const char *word)
{
    const table_option *option = table_find_option(optopt);

    if (result == ':' && option != NULL) {
        return cli_usage_error(settings, "--%s needs a value", option->name);
    }
    if (optopt != 0 && strncmp(word, "--", 2) == 0) {
        return cli_usage_error(settings, "%s takes no value", word);
    }
    if (optopt != 0) {
        return cli_usage_error(settings, "there is no option -%c", optopt);
    }
    return cli_usage_error(settings, "there is no option %s, or it is cut short and not unique",
                           word);
}

static int refuse_foreign(const cli_settings *settings, const table_option *option)
{
    char takers[128];
    size_t used = 0;

    for (size_t i = 0; i < table_command_count; i++) {
        if ((table_commands[i].bit & option->commands) != 0 && used < sizeof takers) {
            used += (size_t)snprintf(takers + used, sizeof takers - used, "%s%s",
                                     used == 0 ? "" : ", ", table_commands[i].name);
        }
    }
    return cli_usage_error(settings, "--%s is an option of %s, not of %s", option->name, takers,
                           settings->command);
}

/* What options say together. */
static int check_settings(const cli_settings *settings)
{
    if (settings->data != NULL && settings->file != NULL) {
        return cli_usage_error(settings, "--data and --file exclude each other");
    }
    if (settings->format == CLI_FORMAT_RAW && settings->show_types) {
        return cli_usage_error(settings, "--raw and --show-types exclude each other");
    }
    if (settings->format == CLI_FORMAT_RAW && console_out_is_terminal()) {
        return cli_usage_error(settings, "--raw would let a peer control this terminal: redirect "
                                         "standard output, or use --quoted");
    }
    if (strcmp(settings->command, "tap") == 0 && settings->options.abstract &&
        settings->target == NULL) {
        return cli_usage_error(settings, "an abstract socket cannot be renamed: have the server "
                                         "listen at OTHER, and run tap NAME OTHER");
    }
    return CLI_EXIT_OK;
}

static int take_operands(const table_command *command, int argc, char **argv,
                         cli_settings *settings)
{
    if (optind >= argc) {
        return cli_usage_error(settings, "%s needs %s", command->name, command->operands);
    }
    if (argc - optind > command->operand_count_max) {
        return cli_usage_error(settings, "\"%s\" is one word too many for %s",
                               argv[optind + command->operand_count_max], command->name);
    }
    settings->name = argv[optind];
    settings->target = argc - optind == 2 ? argv[optind + 1] : NULL;
    return CLI_EXIT_OK;
}

static void log_line(void *context, goipc_log_level level, const char *text)
{
    (void)context;
    (void)level;
    cli_say("%s", text);
}

int cli_parse(int argc, char **argv, cli_settings *settings, bool *done)
{
    const table_command *command = table_find_command(argv[0]);
    struct option long_options[OPTION_COUNT_MAX];
    char letters[2 * OPTION_COUNT_MAX + 1];
    int id, result;

    *settings = (cli_settings){
        .type = 1,
        .clients_max = 1,
        .size = SIZE_DEFAULT,
        .linger_ms = GOIPC_FOREVER,
        .command = argv[0],
    };
    make_getopt_tables(long_options, letters);
    opterr = 0;
    while ((id = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
        const table_option *option = table_find_option(id);

        if (option == NULL) {
            return refuse_option(settings, id, argv[optind - 1]);
        }
        if ((option->commands & command->bit) == 0) {
            return refuse_foreign(settings, option);
        }
        if (id == 'h') {
            table_put_help(console_out(), command);
            *done = true;
            return console_flush() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
        }
        result = take_option(option, settings);
        if (result != CLI_EXIT_OK) {
            return result;
        }
    }
    result = take_operands(command, argc, argv, settings);
    settings->options.log = settings->quiet ? NULL : log_line;
    /* A person who stops the program does not want to wait for a peer that hangs. */
    settings->options.close_timeout_ms = 250;
    return result != CLI_EXIT_OK ? result : check_settings(settings);
}
