/* SPDX-License-Identifier: MIT */
/* goipc: talk the golang-ipc protocol from a shell. A thin layer over the public header. */
#define _POSIX_C_SOURCE 200809L

#include <goipc.h>

#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "usage: goipc serve NAME [OPTION]...    listen, and print what arrives\n"
    "       goipc connect NAME [OPTION]...  connect, and print what arrives\n"
    "       goipc tap NAME [OTHER]          stand between clients and the server, and print both\n"
    "       goipc decode FILE [OPTION]...   explain recorded bytes of one direction (- for stdin)\n"
    "       goipc version | help\n"
    "\n"
    "Each line of standard input is sent as one message; a server sends it to every client.\n"
    "Each message that arrives is printed as one line.\n"
    "\n"
    "  -e, --echo                   send every message back instead of printing it\n"
    "  -x, --hex                    lines are hexadecimal, both ways\n"
    "  -t, --type TYPE              type of the messages sent, 1 to 4294967295 (default 1)\n"
    "  -T, --show-types             print the type and a tab before each message\n"
    "      --encryption MODE        required (default), off, or for connect optional: as the "
    "server\n"
    "                               says\n"
    "      --no-encryption          the same as --encryption off\n"
    "      --max-message-size SIZE  most bytes of data of one message (default 3145728)\n"
    "      --crypto BACKEND         openssl or tomcrypt (default: the best that is built in)\n"
    "  -d, --directory DIRECTORY    where the socket is (default /tmp)\n"
    "      --abstract               Linux: an abstract socket instead of a file\n"
    "      --any-user               talk to peers of every user (default: this one, or root)\n"
    "      --handshake-timeout MS   (default 10000)\n"
    "  -q, --quiet                  say nothing but errors on standard error\n"
    "serve:\n"
    "  -c, --clients-max COUNT      clients served at once (default 1)\n"
    "      --unmask                 let every user connect (socket mode 0777)\n"
    "connect:\n"
    "      --timeout MS             give up connecting after that time (default: never)\n"
    "  -r, --reconnect              connect again when the connection is lost\n"
    "      --linger MS              how long to go on after the end of input (default: until the\n"
    "                               server closes)\n"
    "tap:\n"
    "  without OTHER the server's socket is moved to NAME-tapped as long as the tap runs; with "
    "it,\n"
    "  the server has to listen at OTHER. The tap reads encrypted messages, too, because the\n"
    "  protocol authenticates nobody.\n"
    "decode:\n"
    "      --from SIDE              server or client: the bytes start with that side's handshake\n"
    "      --key HEX                the session key: opens sealed frames\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

enum {
    OPTION_ENCRYPTION = 256,
    OPTION_NO_ENCRYPTION,
    OPTION_MESSAGE_SIZE_MAX,
    OPTION_CRYPTO,
    OPTION_ABSTRACT,
    OPTION_ANY_USER,
    OPTION_HANDSHAKE_TIMEOUT,
    OPTION_UNMASK,
    OPTION_TIMEOUT,
    OPTION_LINGER,
    OPTION_FROM,
    OPTION_KEY,
};

static const struct option long_options[] = {
    {"echo", no_argument, NULL, 'e'},
    {"hex", no_argument, NULL, 'x'},
    {"type", required_argument, NULL, 't'},
    {"show-types", no_argument, NULL, 'T'},
    {"encryption", required_argument, NULL, OPTION_ENCRYPTION},
    {"no-encryption", no_argument, NULL, OPTION_NO_ENCRYPTION},
    {"max-message-size", required_argument, NULL, OPTION_MESSAGE_SIZE_MAX},
    {"crypto", required_argument, NULL, OPTION_CRYPTO},
    {"directory", required_argument, NULL, 'd'},
    {"abstract", no_argument, NULL, OPTION_ABSTRACT},
    {"any-user", no_argument, NULL, OPTION_ANY_USER},
    {"handshake-timeout", required_argument, NULL, OPTION_HANDSHAKE_TIMEOUT},
    {"quiet", no_argument, NULL, 'q'},
    {"clients-max", required_argument, NULL, 'c'},
    {"unmask", no_argument, NULL, OPTION_UNMASK},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"reconnect", no_argument, NULL, 'r'},
    {"linger", required_argument, NULL, OPTION_LINGER},
    {"from", required_argument, NULL, OPTION_FROM},
    {"key", required_argument, NULL, OPTION_KEY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* --- words ------------------------------------------------------------------------------------ */

void cli_say(const char *format, ...)
{
    va_list arguments;

    fputs("goipc: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int cli_usage_error(const char *format, ...)
{
    va_list arguments;

    fputs("goipc: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("; see goipc help\n", stderr);
    return CLI_EXIT_USAGE;
}

static void log_line(void *context, goipc_log_level level, const char *text)
{
    (void)context;
    (void)level;
    cli_say("%s", text);
}

/* --- options ---------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *value >= min &&
           *value <= max;
}

static int take_number(const char *option, uint64_t min, uint64_t max, uint64_t *value)
{
    if (parse_number(optarg, min, max, value)) {
        return 0;
    }
    return cli_usage_error("%s takes a number from %llu to %llu, not \"%s\"", option,
                           (unsigned long long)min, (unsigned long long)max, optarg);
}

static int take_encryption(goipc_encryption *encryption)
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
            *encryption = rows[i].value;
            return 0;
        }
    }
    return cli_usage_error("--encryption takes required, optional or off, not \"%s\"", optarg);
}

static int take_crypto(const goipc_crypto **crypto)
{
    *crypto = goipc_crypto_by_name(optarg);
    return *crypto != NULL ? 0 : cli_usage_error("no crypto back end \"%s\" is built in", optarg);
}

static int take_from(cli_from *from)
{
    *from = strcmp(optarg, "server") == 0 ? CLI_FROM_SERVER : CLI_FROM_CLIENT;
    if (*from == CLI_FROM_SERVER || strcmp(optarg, "client") == 0) {
        return 0;
    }
    return cli_usage_error("--from takes server or client, not \"%s\"", optarg);
}

static int take_key(cli_settings *settings)
{
    for (size_t i = 0; i < GOIPC_KEY_SIZE && strlen(optarg) == 2 * (size_t)GOIPC_KEY_SIZE; i++) {
        const int high = cli_hex_digit((uint8_t)optarg[2 * i]);
        const int low = cli_hex_digit((uint8_t)optarg[2 * i + 1]);

        if (high < 0 || low < 0) {
            break;
        }
        settings->key[i] = (uint8_t)(high * 16 + low);
        settings->has_key = i + 1 == GOIPC_KEY_SIZE;
    }
    return settings->has_key ? 0 : cli_usage_error("--key takes 64 hexadecimal digits");
}

/* Options with a number. */
static int take_numeric_option(int option, cli_settings *settings)
{
    uint64_t value = 0;
    int result;

    switch (option) {
    case 't':
        result = take_number("--type", 1, UINT32_MAX, &value);
        settings->type = (uint32_t)value;
        return result;
    case 'c':
        result = take_number("--clients-max", 1, 1000000, &value);
        settings->clients_max = (uint32_t)value;
        return result;
    case OPTION_MESSAGE_SIZE_MAX:
        result = take_number("--max-message-size", 0, GOIPC_MESSAGE_SIZE_CEILING, &value);
        settings->options.message_size_max = (uint32_t)value;
        return result;
    case OPTION_HANDSHAKE_TIMEOUT:
        result = take_number("--handshake-timeout", 1, INT32_MAX, &value);
        settings->options.handshake_timeout_ms = (int32_t)value;
        return result;
    case OPTION_TIMEOUT:
        result = take_number("--timeout", 1, INT32_MAX, &value);
        settings->timeout_ms = (int32_t)value;
        return result;
    default: /* OPTION_LINGER */
        result = take_number("--linger", 0, INT32_MAX, &value);
        settings->linger_ms = (int32_t)value;
        return result;
    }
}

static int take_option(int option, cli_settings *settings)
{
    switch (option) {
    case 'e':
        settings->echo = true;
        return 0;
    case 'x':
        settings->hex = true;
        return 0;
    case 'T':
        settings->show_types = true;
        return 0;
    case 'd':
        settings->options.directory = optarg;
        return 0;
    case 'q':
        settings->quiet = true;
        return 0;
    case 'r':
        settings->reconnect = true;
        return 0;
    case OPTION_ENCRYPTION:
        return take_encryption(&settings->options.encryption);
    case OPTION_NO_ENCRYPTION:
        settings->options.encryption = GOIPC_ENCRYPTION_OFF;
        return 0;
    case OPTION_CRYPTO:
        return take_crypto(&settings->options.crypto);
    case OPTION_ABSTRACT:
        settings->options.abstract = true;
        return 0;
    case OPTION_ANY_USER:
        settings->options.peers = GOIPC_PEERS_ANY;
        return 0;
    case OPTION_FROM:
        return take_from(&settings->from);
    case OPTION_KEY:
        return take_key(settings);
    case OPTION_UNMASK:
        settings->unmask = true;
        return 0;
    case 'h':
    case '?':
        return CLI_EXIT_USAGE;
    default:
        return take_numeric_option(option, settings);
    }
}

/* argv[0] is the command. */
static int parse_settings(int argc, char **argv, cli_settings *settings)
{
    int option;

    *settings =
        (cli_settings){.type = 1, .clients_max = 1, .linger_ms = GOIPC_FOREVER, .command = argv[0]};
    while ((option = getopt_long(argc, argv, "exTd:qrt:c:h", long_options, NULL)) != -1) {
        const int result = take_option(option, settings);

        if (option == '?') {
            fputs("goipc: see goipc help\n", stderr);
        }
        if (option == 'h') {
            fputs(usage_text, stdout);
            exit(CLI_EXIT_OK);
        }
        if (result != 0) {
            return result;
        }
    }
    if (optind + 2 == argc && strcmp(argv[0], "tap") == 0) {
        settings->target = argv[optind + 1];
    } else if (optind + 1 != argc) {
        return cli_usage_error("%s takes one name", argv[0]);
    }
    settings->name = argv[optind];
    settings->options.log = settings->quiet ? NULL : log_line;
    /* A person who stops the program does not want to wait for a peer that hangs. */
    settings->options.close_timeout_ms = 250;
    return CLI_EXIT_OK;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const cli_settings *settings);
    } commands[] = {
        {"serve", cli_serve},
        {"connect", cli_connect},
        {"tap", cli_tap},
        {"decode", cli_decode},
    };
    const char *command = argc > 1 ? argv[1] : "";
    cli_settings settings;
    int result;

    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        printf("goipc %s (crypto: %s)\n", goipc_version(), goipc_crypto_default()->name);
        return CLI_EXIT_OK;
    }
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 ||
        strcmp(command, "-h") == 0) {
        fputs(usage_text, stdout);
        return CLI_EXIT_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(command, commands[i].name) == 0) {
            result = parse_settings(argc - 1, argv + 1, &settings);
            return result != CLI_EXIT_OK ? result : commands[i].run(&settings);
        }
    }
    return command[0] == '\0' ? cli_usage_error("a command is missing")
                              : cli_usage_error("no command \"%s\"", command);
}
