/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <string.h>

const table_command table_commands[] = {
    {"serve", TABLE_SERVE, "NAME", TABLE_ENDPOINT_NAME, NULL, 1,
     "listen at NAME, print what clients send, and send lines to every client",
     "Each line of standard input is sent to every client as one message. Each message that "
     "arrives is printed as one line. On a terminal, characters that would control it are "
     "escaped.",
     cli_serve},
    {"connect", TABLE_CONNECT, "NAME", TABLE_ENDPOINT_NAME, NULL, 1,
     "connect to the server NAME, send lines, and print what it sends",
     "Each line of standard input is sent as one message. Each message that arrives is printed as "
     "one line. On a terminal, characters that would control it are escaped. The exit status is 1 "
     "when the server closes before the input has ended or COUNT messages have come, or dies.",
     cli_connect},
    {"tap", TABLE_TAP, "NAME [OTHER]", TABLE_ENDPOINT_NAME, NULL, 2,
     "stand between clients and the server NAME, and print what they say",
     "Without OTHER, the server's socket is called NAME-tapped while the tap runs, and gets its "
     "name back at the end, also when the tap is killed. With OTHER, the server has to listen at "
     "OTHER. The tap reads encrypted messages as well: the protocol does not authenticate a "
     "server, so a client believes any process that has taken the name.",
     cli_tap},
    {"bench", TABLE_BENCH, "NAME", TABLE_ENDPOINT_NAME, NULL, 1,
     "measure round trips and the one-way rate of a server that echoes",
     "The server NAME has to send every message back, as goipc serve NAME --echo does. The first "
     "part waits for each echo before it sends the next message. The second sends messages as "
     "fast as the server takes them, and reads echoes meanwhile.",
     cli_bench},
    {"decode", TABLE_DECODE, "FILE", TABLE_FILE, NULL, 1,
     "explain recorded bytes of one direction (- for standard input)",
     "The file holds the bytes, or their hexadecimal digits with any white space.", cli_decode},
    {"completion", TABLE_COMPLETION, "SHELL", TABLE_WORD, "bash zsh fish", 1,
     "print the completion of commands and options for a shell",
     "For bash: . <(goipc completion bash). For fish: goipc completion fish | source. For zsh, "
     "save it as _goipc in a folder of $fpath.",
     cli_completion},
};
const size_t table_command_count = sizeof table_commands / sizeof table_commands[0];

const table_option table_options[] = {
    {'e', "echo", TABLE_TALK, TABLE_NONE, NULL, NULL, 0, 0,
     "Send every message back instead of printing it. Standard input is not read."},
    {'t', "type", TABLE_TALK | TABLE_BENCH, TABLE_NUMBER, "TYPE", NULL, 1, UINT32_MAX,
     "Type of the messages sent, 1 to 4294967295. Default 1."},
    {'T', "show-types", TABLE_TALK, TABLE_NONE, NULL, NULL, 0, 0,
     "Print the type and a tab before each message. Newlines and control characters of a message "
     "are escaped, so that no message looks like two."},
    {'x', "hex", TABLE_TALK, TABLE_NONE, NULL, NULL, 0, 0,
     "Lines are hexadecimal digits, in and out."},
    {OPTION_QUOTED, "quoted", TABLE_TALK, TABLE_NONE, NULL, NULL, 0, 0,
     "Lines are strings in double quotes, in and out, with the escapes \\n, \\t, \\r, \\\\, \\\" "
     "and \\xNN."},
    {OPTION_JSON, "json", TABLE_TALK | TABLE_TAP | TABLE_BENCH, TABLE_NONE, NULL, NULL, 0, 0,
     "Lines are JSON objects, in and out: {\"type\":1,\"data\":\"text\"}, or \"hex\" instead of "
     "\"data\" where the data is not UTF-8. A server adds \"client\", and sends to one client "
     "where a line names it."},
    {OPTION_RAW, "raw", TABLE_TALK, TABLE_NONE, NULL, NULL, 0, 0,
     "Print the bytes of messages and nothing else. Not on a terminal."},
    {'D', "data", TABLE_TALK, TABLE_TEXT, "TEXT", NULL, 0, 0,
     "Send TEXT as one message instead of lines of standard input; serve: to each client that "
     "connects."},
    {'F', "file", TABLE_TALK, TABLE_FILE, "FILE", NULL, 0, 0,
     "Send the bytes of FILE as one message, like --data (- for standard input)."},
    {'n', "count", TABLE_TALK | TABLE_BENCH, TABLE_NUMBER, "COUNT", NULL, 1, 100000000,
     "End when COUNT messages have arrived; with --interval, send no more than COUNT. bench: "
     "messages of each part. Default 10000 there, else no end."},
    {'i', "interval", TABLE_TALK, TABLE_NUMBER, "MS", NULL, 1, INT32_MAX,
     "Wait so many milliseconds between two messages. With --data or --file, send that message "
     "again and again."},
    {OPTION_TIMEOUT, "timeout", TABLE_TALK | TABLE_BENCH, TABLE_NUMBER, "MS", NULL, 1, INT32_MAX,
     "Fail after so many milliseconds without a connection, and with --count also without a "
     "message. Default: never; bench: 5000."},
    {'r', "reconnect", TABLE_CONNECT, TABLE_NONE, NULL, NULL, 0, 0,
     "Connect again when the connection is lost."},
    {OPTION_LINGER, "linger", TABLE_CONNECT, TABLE_NUMBER, "MS", NULL, 0, INT32_MAX,
     "Go on for so many milliseconds after the end of input. Default: until the server closes."},
    {'c', "clients-max", TABLE_SERVE, TABLE_NUMBER, "COUNT", NULL, 1, 1000000,
     "Clients served at once; one more is turned away. Default 1."},
    {OPTION_UNMASK, "unmask", TABLE_SERVE | TABLE_TAP, TABLE_NONE, NULL, NULL, 0, 0,
     "Let every user connect (socket mode 0777)."},
    {OPTION_SIZE, "size", TABLE_BENCH, TABLE_NUMBER, "BYTES", NULL, 0, GOIPC_MESSAGE_SIZE_CEILING,
     "Data of one message. Default 64."},
    {OPTION_ENCRYPTION, "encryption", TABLE_TALK | TABLE_BENCH, TABLE_WORD, "MODE",
     "required optional off", 0, 0,
     "required (default), off, or for a client optional: as the server wants."},
    {OPTION_NO_ENCRYPTION, "no-encryption", TABLE_TALK | TABLE_BENCH, TABLE_NONE, NULL, NULL, 0, 0,
     "The same as --encryption off."},
    {OPTION_MESSAGE_SIZE_MAX, "max-message-size", TABLE_TALK | TABLE_BENCH, TABLE_NUMBER, "BYTES",
     NULL, 0, GOIPC_MESSAGE_SIZE_CEILING,
     "Most data that an arriving message may have. Default, and meaning of values below 1024: "
     "3145728."},
    {OPTION_CRYPTO, "crypto", TABLE_ENDPOINT | TABLE_DECODE, TABLE_TEXT, "CURVE+CIPHER", NULL, 0, 0,
     "The crypto libraries: nettle, openssl or tomcrypt, as cipher also ipsec-mb; one name for "
     "both. "
     "Default: the best that are there, see goipc version."},
    {'d', "directory", TABLE_ENDPOINT, TABLE_DIRECTORY, "DIRECTORY", NULL, 0, 0,
     "Where the socket is. Default /tmp."},
    {OPTION_ABSTRACT, "abstract", TABLE_ENDPOINT, TABLE_NONE, NULL, NULL, 0, 0,
     "Linux: an abstract socket instead of a file."},
    {OPTION_ANY_USER, "any-user", TABLE_ENDPOINT, TABLE_NONE, NULL, NULL, 0, 0,
     "Talk to peers of every user, instead of this user and root."},
    {OPTION_HANDSHAKE_TIMEOUT, "handshake-timeout", TABLE_ENDPOINT, TABLE_NUMBER, "MS", NULL, 1,
     INT32_MAX, "How long a handshake may take. Default 10000."},
    {OPTION_FROM, "from", TABLE_DECODE, TABLE_WORD, "SIDE", "server client", 0, 0,
     "The bytes begin with the handshake of server or client. Default: they are frames."},
    {OPTION_KEY, "key", TABLE_DECODE, TABLE_TEXT, "HEX", NULL, 0, 0,
     "The session key, to open sealed frames."},
    {'q', "quiet", TABLE_ENDPOINT, TABLE_NONE, NULL, NULL, 0, 0,
     "Say nothing but errors on standard error."},
    {'h', "help", TABLE_ENDPOINT | TABLE_DECODE | TABLE_COMPLETION, TABLE_NONE, NULL, NULL, 0, 0,
     "Print the options of the command."},
};
const size_t table_option_count = sizeof table_options / sizeof table_options[0];

const table_command *table_find_command(const char *name)
{
    for (size_t i = 0; i < table_command_count; i++) {
        if (strcmp(table_commands[i].name, name) == 0) {
            return &table_commands[i];
        }
    }
    return NULL;
}

const table_option *table_find_option(int id)
{
    for (size_t i = 0; i < table_option_count; i++) {
        if (table_options[i].id == id) {
            return &table_options[i];
        }
    }
    return NULL;
}

char table_letter(const table_option *option)
{
    if (option->id < OPTION_QUOTED) {
        return (char)option->id;
    }
    return '\0';
}
