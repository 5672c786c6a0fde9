/* SPDX-License-Identifier: MIT */
/* admission.h */
#include "endpoint/admission.h"

enum {
    PENDING_MAX = 128,    /* handshakes at once, in addition to one for each free slot */
    SCORE_LIMITING = 8,   /* from this score on handshakes pause */
    SCORE_MAX = 64,       /* 15 new clients bring it below SCORE_LIMITING */
    HANDSHAKE_FAILED = 1, /* after a curve operation */
    CLIENT_CAME = 4,
    CLIENT_FAILED = 6,    /* cancels the credit of a new client, and adds its handshake */
    SCORE_FALL_MS = 1000, /* for each point */
    RESUME_MESSAGES = 256,
    RESUME_MS = 50,
};

bool goipci_admission_has_slot(const goipci_admission *admission, size_t client_count)
{
    return client_count < admission->clients_max;
}

goipci_decision goipci_admission_begin(const goipci_admission *admission, size_t client_count,
                                       size_t pending_count, bool slot_is_ending)
{
    if (!goipci_admission_has_slot(admission, client_count) && !slot_is_ending) {
        return GOIPCI_REFUSE;
    }
    return pending_count >= (size_t)admission->clients_max + PENDING_MAX ? GOIPCI_ADMIT_FOR_ANOTHER
                                                                         : GOIPCI_ADMIT;
}

goipci_decision goipci_admission_complete(const goipci_admission *admission, size_t client_count,
                                          bool slot_is_ending)
{
    if (goipci_admission_has_slot(admission, client_count)) {
        return GOIPCI_ADMIT;
    }
    return slot_is_ending ? GOIPCI_WAIT : GOIPCI_REFUSE;
}

static void raise_score(goipci_admission *admission, unsigned amount)
{
    admission->score += amount;
    admission->score = admission->score < SCORE_MAX ? admission->score : SCORE_MAX;
}

void goipci_admission_tick(goipci_admission *admission, int64_t now_ms)
{
    const int64_t points = (now_ms - admission->score_ms) / SCORE_FALL_MS;

    if (admission->score_ms == 0 || points < 0) {
        admission->score_ms = now_ms;
    } else if (points > 0) {
        admission->score -= points < admission->score ? (unsigned)points : admission->score;
        admission->score_ms += points * SCORE_FALL_MS;
    }
}

void goipci_admission_handshake_failed(goipci_admission *admission)
{
    raise_score(admission, HANDSHAKE_FAILED);
}

void goipci_admission_client_failed(goipci_admission *admission)
{
    raise_score(admission, CLIENT_FAILED);
}

void goipci_admission_client_came(goipci_admission *admission)
{
    admission->score -= admission->score < CLIENT_CAME ? admission->score : CLIENT_CAME;
}

bool goipci_admission_is_limiting(const goipci_admission *admission, size_t client_count)
{
    return admission->score >= SCORE_LIMITING && client_count > 0;
}

bool goipci_admission_is_due(const goipci_admission *admission, size_t client_count,
                             uint64_t messages, int64_t now_ms)
{
    return !goipci_admission_is_limiting(admission, client_count) ||
           messages >= admission->due_messages || now_ms >= admission->due_ms;
}

void goipci_admission_resumed(goipci_admission *admission, uint64_t messages, int64_t now_ms)
{
    admission->due_messages = messages + RESUME_MESSAGES;
    admission->due_ms = now_ms + RESUME_MS;
}

goipci_curve_policy goipci_admission_step(goipci_admission *admission, size_t client_count,
                                          bool peer_has_gone, bool resumed)
{
    if (peer_has_gone) {
        admission->due_ms = resumed ? 0 : admission->due_ms; /* the next handshake gets the turn */
        return GOIPCI_CURVE_NEVER;
    }
    return !resumed && goipci_admission_is_limiting(admission, client_count) ? GOIPCI_CURVE_LATER
                                                                             : GOIPCI_CURVE_ONCE;
}
