/* SPDX-License-Identifier: MIT */
/*
 * The users of pipes: the part of transport.h that identifies peers and limits access.
 *
 * A SERVER is identified by the owner of the pipe object: the user who created the first instance
 * of the name. Only administrators can change the owner. A client trusts a pipe that belongs to its
 * own user, to the administrators or to the system.
 *
 * A CLIENT is checked by Windows when it connects: the pipe's access list permits only our user,
 * administrators and the system, unless the server's options permit all users. The library also
 * reads the user of the client's process. If Windows denies that, the access list decides alone. If
 * the list permits all users, the client's user is unknown.
 */
#include "platform/windows/pipe.h"

#include <aclapi.h>
#include <sddl.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum {
    TOKEN_SIZE_MAX = 16 * 1024, /* a user in a thousand groups */
    SDDL_UNITS = 512,
};

/* --- errors ----------------------------------------------------------------------------------- */

bool goipci_is_disconnect(DWORD error)
{
    switch (error) {
    case ERROR_BROKEN_PIPE:        /* the other end was closed */
    case ERROR_NO_DATA:            /* the same, for a writer */
    case ERROR_PIPE_NOT_CONNECTED: /* the server disconnected us */
    case ERROR_PIPE_LISTENING:
    case ERROR_BAD_PIPE:
    case ERROR_HANDLE_EOF:
    case ERROR_OPERATION_ABORTED: /* Windows cancelled the write because its thread has ended */
        return true;
    default:
        return false;
    }
}

goipc_error goipci_error_of_windows(DWORD error)
{
    switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        return GOIPC_ERROR_NOT_FOUND;
    case ERROR_PIPE_BUSY:
        return GOIPC_ERROR_WOULD_BLOCK;
    case ERROR_ACCESS_DENIED:
        return GOIPC_ERROR_PERMISSION;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
        return GOIPC_ERROR_MEMORY;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_QUOTA:
    case ERROR_COMMITMENT_LIMIT:
        return GOIPC_ERROR_RESOURCES;
    default:
        return GOIPC_ERROR_SYSTEM;
    }
}

void goipci_system_error_text(int system_error, char *out, size_t capacity)
{
    wchar_t wide[256];
    DWORD units;

    assert(capacity > 0);
    units = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                           (DWORD)system_error, 0, wide, 256, NULL);
    while (units > 0 && (wide[units - 1] <= L' ' || wide[units - 1] == L'.')) {
        units--;
    }
    wide[units < 255 ? units : 255] = L'\0';
    if (units == 0 || capacity > 4096 ||
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, out, (int)capacity, NULL, NULL) == 0) {
        (void)snprintf(out, capacity, "error %d", system_error);
    }
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* One class of information of a token. The union aligns it for every structure. */
typedef union token_information {
    uint8_t bytes[TOKEN_SIZE_MAX];
    TOKEN_USER user;
    TOKEN_GROUPS groups;
    TOKEN_OWNER owner;
} token_information;

static bool read_token(HANDLE token, TOKEN_INFORMATION_CLASS what, token_information *information)
{
    DWORD size;

    return GetTokenInformation(token, what, information, sizeof *information, &size) != 0;
}

static bool is_well_known(PSID sid, WELL_KNOWN_SID_TYPE type)
{
    return IsWellKnownSid(sid, type) != 0;
}

static bool is_trusted_authority(PSID sid)
{
    return is_well_known(sid, WinLocalSystemSid) || is_well_known(sid, WinBuiltinAdministratorsSid);
}

/* Copies one class of information of our own token. */
static bool read_own_token(TOKEN_INFORMATION_CLASS what, token_information *information)
{
    HANDLE token;
    bool read;

    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) {
        return false;
    }
    read = read_token(token, what, information);
    (void)CloseHandle(token);
    return read;
}

/* Copies the user of a process's token. */
static bool read_user(HANDLE process, token_information *user)
{
    HANDLE token;
    bool read;

    if (!OpenProcessToken(process, TOKEN_QUERY, &token)) {
        return false;
    }
    read = read_token(token, TokenUser, user);
    (void)CloseHandle(token);
    return read;
}

/* Whether an elevated administrator runs the process. */
static bool is_administrator(HANDLE process, token_information *groups)
{
    HANDLE token;
    bool found = false;
    DWORD i;

    if (!OpenProcessToken(process, TOKEN_QUERY, &token)) {
        return false;
    }
    if (read_token(token, TokenGroups, groups)) {
        for (i = 0; i < groups->groups.GroupCount && !found; i++) {
            const SID_AND_ATTRIBUTES *group = &groups->groups.Groups[i];

            found = (group->Attributes & SE_GROUP_ENABLED) != 0 &&
                    is_well_known(group->Sid, WinBuiltinAdministratorsSid);
        }
    }
    (void)CloseHandle(token);
    return found;
}

/* --- who may come ----------------------------------------------------------------------------- */

PSECURITY_DESCRIPTOR goipci_security_new(bool everyone)
{
    token_information user;
    wchar_t text[SDDL_UNITS];
    wchar_t *sid;
    PSECURITY_DESCRIPTOR security = NULL;
    int units;

    if (!read_user(GetCurrentProcess(), &user) ||
        !ConvertSidToStringSidW(user.user.User.Sid, &sid)) {
        return NULL;
    }
    /* Owned by our user, also when the process is elevated. Protected from inheritance. SY is the
     * system, BA the administrators, AU every authenticated user. All may read and write:
     * golang-ipc's client opens the pipe with GENERIC_WRITE. */
    units = swprintf(text, SDDL_UNITS, L"O:%lsD:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;%ls)%ls", sid,
                     sid, everyone ? L"(A;;GRGW;;;AU)" : L"");
    (void)LocalFree(sid);
    if (units < 0 || !ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1,
                                                                           &security, NULL)) {
        return NULL;
    }
    return security;
}

/* --- who is there ----------------------------------------------------------------------------- */

typedef enum verdict {
    VERDICT_UNKNOWN = 0,
    VERDICT_TRUSTED = 1,
    VERDICT_STRANGER = 2,
} verdict;

static verdict check_user(PSID sid)
{
    token_information ours;

    if (!read_own_token(TokenUser, &ours)) {
        return VERDICT_UNKNOWN;
    }
    return EqualSid(sid, ours.user.User.Sid) || is_trusted_authority(sid) ? VERDICT_TRUSTED
                                                                          : VERDICT_STRANGER;
}

/* Our token's default owner is trusted, too. Usually this is our user; for an elevated
 * administrator it is the administrators group, and under Wine a group. */
static verdict check_owner_sid(PSID sid)
{
    token_information ours;

    if (read_own_token(TokenOwner, &ours) && EqualSid(sid, ours.owner.Owner)) {
        return VERDICT_TRUSTED;
    }
    return check_user(sid);
}

static verdict check_process(ULONG id)
{
    token_information information;
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, id);
    verdict result = VERDICT_UNKNOWN;

    if (process == NULL) {
        return VERDICT_UNKNOWN;
    }
    if (read_user(process, &information)) {
        result = check_user(information.user.User.Sid);
        if (result == VERDICT_STRANGER && is_administrator(process, &information)) {
            result = VERDICT_TRUSTED;
        }
    }
    (void)CloseHandle(process);
    return result;
}

/* Checks the owner of a pipe that we connected to. */
static verdict check_owner(HANDLE pipe)
{
    PSID owner = NULL;
    PSECURITY_DESCRIPTOR security = NULL;
    verdict result = VERDICT_UNKNOWN;

    if (GetSecurityInfo(pipe, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL, NULL,
                        NULL, &security) != ERROR_SUCCESS) {
        return VERDICT_UNKNOWN;
    }
    if (owner != NULL) {
        result = check_owner_sid(owner);
    }
    (void)LocalFree(security);
    return result;
}

static bool server_is_trusted(HANDLE pipe, verdict process)
{
    const verdict owner = check_owner(pipe);

    /* Check the owner and the process if both are known: another user may have added an instance to
     * a pipe that is open to all. Wine does not report owners. */
    return owner != VERDICT_STRANGER && process != VERDICT_STRANGER &&
           (owner == VERDICT_TRUSTED || process == VERDICT_TRUSTED);
}

static bool client_is_trusted(const goipci_pipe *pipe, verdict process)
{
    return process == VERDICT_TRUSTED || (process == VERDICT_UNKNOWN && pipe->restricted);
}

goipc_error goipci_stream_check_peer(goipci_stream *stream, const goipc_options *options,
                                     goipc_peers peers, goipc_credentials *credentials)
{
    const goipci_pipe *pipe = goipci_pipe_of_stream(stream);
    ULONG id = 0;
    verdict process;
    bool trusted;

    (void)options; /* Windows users have no numeric IDs to compare with peer_users */
    credentials->user = -1;
    credentials->group = -1;
    credentials->process = -1;
    if (pipe->is_server_end ? GetNamedPipeClientProcessId(pipe->handle, &id)
                            : GetNamedPipeServerProcessId(pipe->handle, &id)) {
        credentials->process = (int64_t)id;
    }
    if (peers == GOIPC_PEERS_ANY) {
        return GOIPC_ERROR_OK;
    }
    process = credentials->process < 0 ? VERDICT_UNKNOWN : check_process(id);
    trusted = pipe->is_server_end ? client_is_trusted(pipe, process)
                                  : server_is_trusted(pipe->handle, process);
    return trusted ? GOIPC_ERROR_OK : GOIPC_ERROR_CREDENTIALS;
}
