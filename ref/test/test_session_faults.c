/* SPDX-License-Identifier: MIT */
/* Goal: whichever single allocation or crypto call fails in the life of two connected sessions, the
 * failure is reported as what it is, nothing wrong or partial is delivered, nothing leaks, what is
 * given back was wiped, and where the header says that the session is as it was, it is. Method: the
 * same conversation again and again, with the Nth call failing, until one runs through
 * untouched. */
#include "crypto_tables.h"
#include "session_peer.h"

/* One count for both ends, so that every N hits one call of the whole conversation. */
typedef struct faults {
    goipc_allocator allocator;
    size_t live;
    size_t allocations;
    size_t allocation_fails; /* counted from 1; 0: none */
    const goipc_crypto *real;
    size_t calls;
    size_t call_fails;
    bool leading_zero; /* the shared X starts with a zero byte: both key forms are kept */
} faults;

/* --- the scripted allocator and crypto table -------------------------------------------------- */

static void *allocate(void *context, size_t size)
{
    faults *f = context;

    f->allocations++;
    if (f->allocations == f->allocation_fails) {
        return NULL;
    }
    f->live += size;
    return malloc(size);
}

static void release(void *context, void *memory, size_t size)
{
    faults *f = context;

    for (size_t i = 0; i < size; i++) {
        EXPECT(((const uint8_t *)memory)[i] == 0);
    }
    f->live -= size;
    free(memory);
}

static bool fails(faults *f)
{
    f->calls++;
    return f->calls == f->call_fails;
}

static goipc_error failing_random(void *context, uint8_t *out, size_t size)
{
    faults *f = context;

    if (fails(f)) {
        memset(out, 0, size);
        return GOIPC_ERROR_RANDOM;
    }
    return f->real->random(f->real->context, out, size);
}

static goipc_error failing_public(void *context, const uint8_t private_key[48],
                                  uint8_t public_key[97])
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO
                    : f->real->p384_public(f->real->context, private_key, public_key);
}

static goipc_error failing_shared(void *context, const uint8_t private_key[48],
                                  const uint8_t peer_public_key[97], uint8_t shared_x[48])
{
    faults *f = context;
    goipc_error error = GOIPC_ERROR_CRYPTO;

    if (!fails(f)) {
        error = f->real->p384_shared(f->real->context, private_key, peer_public_key, shared_x);
    }
    if (f->leading_zero) {
        shared_x[0] = 0;
        shared_x[1] |= 1;
    }
    return error;
}

static goipc_error failing_sha256(void *context, const uint8_t *in, size_t in_size, uint8_t out[32])
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO : f->real->sha256(f->real->context, in, in_size, out);
}

static goipc_error failing_aead_new(void *context, const goipc_allocator *allocator,
                                    const uint8_t key[32], void **aead)
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO
                    : f->real->aead_new(f->real->context, allocator, key, aead);
}

static goipc_error failing_aead_seal(void *context, void *aead, const uint8_t nonce[12],
                                     const uint8_t head[4], const uint8_t *data, size_t data_size,
                                     uint8_t *out, uint8_t tag[16])
{
    faults *f = context;

    return fails(f)
               ? GOIPC_ERROR_CRYPTO
               : f->real->aead_seal(f->real->context, aead, nonce, head, data, data_size, out, tag);
}

static goipc_error failing_aead_open(void *context, void *aead, const uint8_t nonce[12],
                                     const uint8_t *in, size_t in_size, const uint8_t tag[16],
                                     uint8_t *out)
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO
                    : f->real->aead_open(f->real->context, aead, nonce, in, in_size, tag, out);
}

static void passing_aead_free(void *context, const goipc_allocator *allocator, void *aead)
{
    faults *f = context;

    f->real->aead_free(f->real->context, allocator, aead);
}

static goipc_error failing_aead_start(void *context, void *aead, const uint8_t nonce[12],
                                      bool opens)
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO
                    : f->real->aead_start(f->real->context, aead, nonce, opens);
}

static goipc_error failing_aead_update(void *context, void *aead, const uint8_t *in, size_t in_size,
                                       uint8_t *out)
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO
                    : f->real->aead_update(f->real->context, aead, in, in_size, out);
}

static goipc_error failing_aead_finish_seal(void *context, void *aead, uint8_t tag[16])
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO : f->real->aead_finish_seal(f->real->context, aead, tag);
}

static goipc_error failing_aead_finish_open(void *context, void *aead, const uint8_t tag[16])
{
    faults *f = context;

    return fails(f) ? GOIPC_ERROR_CRYPTO : f->real->aead_finish_open(f->real->context, aead, tag);
}

/* --- one conversation ------------------------------------------------------------------------- */

enum { MESSAGE_COUNT = 4 };
static size_t sizes[MESSAGE_COUNT] = {0, 5, 3000, 100000};

typedef struct end {
    goipc_session *session;
    bool connected;
    size_t sent;
    size_t received;
    bool broken; /* a sticky error: its connection is over */
} end;

/* What a scripted failure may show as. */
static void expect_our_fault(const faults *f, goipc_error error)
{
    if (f->allocation_fails != 0) {
        EXPECT(error == GOIPC_ERROR_MEMORY);
    } else {
        EXPECT(f->call_fails != 0);
        EXPECT(error == GOIPC_ERROR_RANDOM || error == GOIPC_ERROR_CRYPTO);
    }
}

static bool faulted(const faults *f)
{
    return (f->allocation_fails != 0 && f->allocations >= f->allocation_fails) ||
           (f->call_fails != 0 && f->calls >= f->call_fails);
}

static void send_next(faults *f, end *e)
{
    static uint8_t data[100000];
    const size_t size = sizes[e->sent];
    size_t queued;
    goipc_error error;

    memset(data, (int)e->sent + 1, size);
    queued = goipci_session_output_size(e->session);
    error = goipc_session_send(e->session, (uint32_t)e->sent + 1, data, size);
    if (error != GOIPC_ERROR_OK) {
        /* Not sent at all, and the session is as it was: the second try succeeds. */
        expect_our_fault(f, error);
        EXPECT(goipci_session_output_size(e->session) == queued);
        EXPECT(goipc_session_error(e->session) == GOIPC_ERROR_OK);
        EXPECT(goipc_session_send(e->session, (uint32_t)e->sent + 1, data, size) == GOIPC_ERROR_OK);
    }
    e->sent++;
}

static void take_event(end *e, const goipc_event *event)
{
    switch (event->type) {
    case GOIPC_EVENT_CONNECTED:
        EXPECT(!e->connected);
        e->connected = true;
        break;
    case GOIPC_EVENT_MESSAGE:
        EXPECT(e->connected && e->received < MESSAGE_COUNT);
        EXPECT(event->message_type == e->received + 1 && event->data_size == sizes[e->received]);
        for (size_t i = 0; i < event->data_size; i++) {
            if (event->data[i] != e->received + 1) {
                EXPECT(event->data[i] == e->received + 1);
            }
        }
        e->received++;
        break;
    case GOIPC_EVENT_NEED_INPUT:
    case GOIPC_EVENT_CONTROL:
    case GOIPC_EVENT_CLOSED:
        EXPECT(event->type == GOIPC_EVENT_NEED_INPUT);
        break;
    }
}

static void take_events(const faults *f, end *e)
{
    goipc_event event = {.type = GOIPC_EVENT_CONNECTED};

    while (!e->broken && event.type != GOIPC_EVENT_NEED_INPUT) {
        goipc_error error = goipc_session_next_event(e->session, &event);

        if (error == GOIPC_ERROR_OK) {
            take_event(e, &event);
            continue;
        }
        expect_our_fault(f, error);
        EXPECT(goipc_session_next_event(e->session, &event) == error); /* sticky */
        e->broken = true;
    }
}

/* Moves what `from` has to say into `to`; how much that was. */
static size_t carry(const faults *f, end *from, end *to)
{
    const uint8_t *out;
    uint8_t *in;
    size_t size, room, moved = 0;

    goipc_session_output(from->session, &out, &size);
    while (moved < size && !to->broken) {
        goipc_error error = goipc_session_input(to->session, &in, &room);

        if (error != GOIPC_ERROR_OK) {
            expect_our_fault(f, error);
            EXPECT(goipc_session_error(to->session) == GOIPC_ERROR_OK);
            EXPECT(goipc_session_input(to->session, &in, &room) == GOIPC_ERROR_OK);
        }
        room = room < size - moved ? room : size - moved;
        memcpy(in, out + moved, room);
        EXPECT(goipc_session_input_commit(to->session, room) == GOIPC_ERROR_OK);
        moved += room;
        take_events(f, to);
    }
    goipc_session_output_consume(from->session, size);
    return size;
}

static void talk(faults *f, end *server, end *client)
{
    size_t moved;

    do {
        moved = carry(f, server, client) + carry(f, client, server);
        for (int i = 0; i < 2; i++) {
            end *e = i == 0 ? server : client;

            if (e->connected && !e->broken && e->sent < MESSAGE_COUNT) {
                send_next(f, e);
                moved++;
            }
        }
    } while (moved > 0 && !server->broken && !client->broken);
}

static bool start(const faults *f, goipc_role role, const goipc_crypto *crypto, end *e)
{
    const goipc_session_config config = {
        .role = role, .crypto = crypto, .allocator = &f->allocator};
    goipc_error error = goipc_session_new(&config, &e->session);

    if (error != GOIPC_ERROR_OK) {
        expect_our_fault(f, error);
        EXPECT(e->session == NULL);
    }
    return error == GOIPC_ERROR_OK;
}

/* Whether the fault was reached at all. */
static bool converse(faults *f)
{
    const goipc_crypto crypto = {
        .name = "failing",
        .context = f,
        .random = failing_random,
        .p384_public = failing_public,
        .p384_shared = failing_shared,
        .sha256 = failing_sha256,
        .aead_new = failing_aead_new,
        .aead_seal = failing_aead_seal,
        .aead_open = failing_aead_open,
        .aead_free = passing_aead_free,
        .aead_start = failing_aead_start,
        .aead_update = failing_aead_update,
        .aead_finish_seal = failing_aead_finish_seal,
        .aead_finish_open = failing_aead_finish_open,
    };
    end server = {.received = 0}, client = {.received = 0};

    f->allocator = (goipc_allocator){f, allocate, release};
    if (start(f, GOIPC_ROLE_SERVER, &crypto, &server) &&
        start(f, GOIPC_ROLE_CLIENT, &crypto, &client)) {
        talk(f, &server, &client);
        if (!server.broken && !client.broken) {
            EXPECT(server.received == MESSAGE_COUNT && client.received == MESSAGE_COUNT);
        } else {
            EXPECT(faulted(f));
        }
    }
    goipc_session_free(server.session);
    goipc_session_free(client.session);
    EXPECT(f->live == 0);
    return faulted(f);
}

/* --- all of them ------------------------------------------------------------------------------ */

static void test_every_allocation_fails_once(const goipc_crypto *crypto, bool leading_zero)
{
    size_t n = 1;

    for (;; n++) {
        faults f = {.real = crypto, .allocation_fails = n, .leading_zero = leading_zero};

        EXPECT(n < 1000);
        if (!converse(&f)) {
            break;
        }
    }
    EXPECT(n > 5); /* two sessions and four buffers at least */
}

static void test_every_crypto_call_fails_once(const goipc_crypto *crypto, bool leading_zero)
{
    size_t n = 1;

    for (;; n++) {
        faults f = {.real = crypto, .call_fails = n, .leading_zero = leading_zero};

        EXPECT(n < 1000);
        if (!converse(&f)) {
            break;
        }
    }
    EXPECT(n > 2 * 8); /* each end: two draws, two points, a hash, two keys, a frame */
}

int main(void)
{
    const crypto_tables back_ends = each_library();
    const size_t last = back_ends.count - 1;

    sizes[MESSAGE_COUNT - 1] = (size_t)test_amount("bytes of the largest message", 100000, 10000);
    for (size_t i = 0; i <= last; i++) {
        /* What a leading zero changes is done by the session, whatever computes for it. */
        const int forms = i > 0 ? 2 : (int)test_amount("key forms with tomcrypt", 2, 1);

        for (int leading_zero = 0; leading_zero < forms; leading_zero++) {
            test_every_allocation_fails_once(back_ends.at[i], leading_zero);
            /* The calls that fail are the table's, whatever is behind it; memory is the back
             * end's. */
            if (i > 0 || !test_is_slow()) {
                test_every_crypto_call_fails_once(back_ends.at[i], leading_zero);
            } else {
                printf("slow: no failing calls with tomcrypt\n");
            }
        }
    }
    return 0;
}
