/* SPDX-License-Identifier: MIT */
/* Property: whatever a middle does to the bytes between two sessions (hold back, cut, change,
 * double, drop, send back, end), neither crashes; sealed, each delivers only what the other sealed;
 * and an honest middle loses nothing: all that was sent is delivered, in its order, and both ends
 * agree on everything.
 *
 * What the format itself cannot tell, and what is therefore allowed: whole frames that were dropped
 * or doubled, and among the doubled ones the server's LIMIT, which then reads as an empty message
 * whose type is the limit. */
#include "fuzz.h"
#include "keys.h"

enum {
    WIRE_ROOM = 1 << 16,
    SENT_MAX = 256,
    SMALL_SIZE_END = 700,
    LARGE_SIZE = 40 * 1000, /* sealed and opened part by part */
};

typedef struct end {
    fuzz_setup setup;
    goipc_session *session;
    uint8_t wire[WIRE_ROOM]; /* on its way to this end */
    size_t wire_size;
    bool connected;
    bool closed;   /* CLOSED, or an error */
    bool wire_end; /* the middle has closed it */
    size_t sent_count;
    size_t delivered_count;
    uint8_t data[LARGE_SIZE]; /* of the last message, which may be lent */
} end;

typedef struct world {
    end ends[2];
    bool touched; /* the middle was not honest */
} world;

/* The Nth message of an end is known from N alone. */
static uint32_t type_of(size_t which, size_t n)
{
    return (uint32_t)(1 + which * 1000000 + n);
}

static size_t size_of(const end *e, size_t n)
{
    const bool is_large = n % 8 == 5 && (e->setup.flags & FUZZ_FLAG_SMALL) == 0;

    return is_large ? LARGE_SIZE : n * 37 % SMALL_SIZE_END;
}

static uint8_t byte_of(size_t which, size_t n, size_t at)
{
    return (uint8_t)(which * 131 + n * 7 + at * 3);
}

static void start(world *w, size_t which, fuzz_bytes setup)
{
    end *e = &w->ends[which];

    fuzz_setup_read(&e->setup, &setup, which == 0 ? GOIPC_ROLE_SERVER : GOIPC_ROLE_CLIENT);
    e->setup.memory.fail_at = 0;
    e->setup.script.fail_at = 0;
    e->setup.script.bad_draws = 0;
    e->session = fuzz_setup_session(&e->setup);
    FUZZ_REQUIRE(e->session != NULL);
}

static void check_message(world *w, size_t which, const goipc_event *event)
{
    end *e = &w->ends[which];
    const size_t n = (size_t)event->message_type - type_of(1 - which, 0);

    if (!goipc_session_is_encrypted(e->session) && w->touched) {
        return; /* plain text may be anything */
    }
    if (w->touched && which == 1 && event->data_size == 0 &&
        event->message_type == w->ends[0].session->message_size_max) {
        return; /* LIMIT, a second time */
    }
    FUZZ_REQUIRE(event->message_type >= type_of(1 - which, 0));
    FUZZ_REQUIRE(n < w->ends[1 - which].sent_count && event->data_size == size_of(e, n));
    for (size_t i = 0; i < event->data_size; i++) {
        FUZZ_REQUIRE(event->data[i] == byte_of(1 - which, n, i));
    }
    FUZZ_REQUIRE(w->touched || n == e->delivered_count);
    e->delivered_count++;
}

static void drain_events(world *w, size_t which)
{
    end *e = &w->ends[which];
    goipc_event event;

    while (!e->closed) {
        goipc_error error = goipc_session_next_event(e->session, &event);

        if (error != GOIPC_ERROR_OK) {
            FUZZ_REQUIRE(w->touched || e->wire_end ||
                         error == GOIPC_ERROR_ENCRYPTION); /* settings that do not match */
            e->closed = true;
            return;
        }
        switch (event.type) {
        case GOIPC_EVENT_NEED_INPUT:
            return;
        case GOIPC_EVENT_CONNECTED:
            FUZZ_REQUIRE(!e->connected);
            e->connected = true;
            break;
        case GOIPC_EVENT_MESSAGE:
            check_message(w, which, &event);
            break;
        case GOIPC_EVENT_CONTROL:
            FUZZ_REQUIRE(w->touched && !goipc_session_is_encrypted(e->session));
            break;
        case GOIPC_EVENT_CLOSED:
            e->closed = true;
            break;
        }
    }
}

/* From an end onto the wire, as much as fits. */
static void move_out(world *w, size_t which, size_t size_max)
{
    goipc_session *session = w->ends[which].session;
    end *to = &w->ends[1 - which];
    const uint8_t *pieces[2];
    size_t sizes[2], moved = 0;

    FUZZ_REQUIRE(goipci_session_output_pieces(session, pieces, sizes) == GOIPC_ERROR_OK);
    for (int i = 0; i < 2; i++) {
        const size_t room = WIRE_ROOM - to->wire_size;
        size_t size = sizes[i] < size_max - moved ? sizes[i] : size_max - moved;

        size = size < room ? size : room;
        if (size > 0) {
            memcpy(to->wire + to->wire_size, pieces[i], size);
        }
        to->wire_size += size;
        moved += size;
        if (size < sizes[i]) {
            break; /* the second piece follows the first */
        }
    }
    goipci_session_output_sent(session, moved);
}

static void take_from_wire(end *e, size_t size)
{
    memmove(e->wire, e->wire + size, e->wire_size - size);
    e->wire_size -= size;
}

static void move_in(world *w, size_t which, size_t size_max)
{
    end *e = &w->ends[which];
    const size_t size = e->wire_size < size_max ? e->wire_size : size_max;
    size_t done = 0;

    while (done < size && !e->closed && !e->wire_end) {
        uint8_t *in;
        size_t room;

        FUZZ_REQUIRE(goipc_session_input(e->session, &in, &room) == GOIPC_ERROR_OK && room > 0);
        room = room < size - done ? room : size - done;
        memcpy(in, e->wire + done, room);
        FUZZ_REQUIRE(goipc_session_input_commit(e->session, room) == GOIPC_ERROR_OK);
        done += room;
        drain_events(w, which); /* so that there is room again */
    }
    take_from_wire(e, size);
    drain_events(w, which);
}

/* The data of the end's next message; what was lent before is the session's own from now on. */
static size_t next_data(world *w, size_t which)
{
    end *e = &w->ends[which];
    const size_t size = size_of(e, e->sent_count);

    FUZZ_REQUIRE(goipci_session_copy_pending_write(e->session) == GOIPC_ERROR_OK);
    FUZZ_REQUIRE(!goipci_session_has_lent(e->session));
    for (size_t i = 0; i < size; i++) {
        e->data[i] = byte_of(which, e->sent_count, i);
    }
    return size;
}

static void send_next(world *w, size_t which)
{
    end *e = &w->ends[which];
    const size_t size = next_data(w, which);
    const goipc_error error =
        goipc_session_send(e->session, type_of(which, e->sent_count), e->data, size);

    if (!e->connected) {
        FUZZ_REQUIRE(error == GOIPC_ERROR_STATE);
    } else if (error == GOIPC_ERROR_OK) {
        e->sent_count++;
        FUZZ_REQUIRE(e->sent_count <= SENT_MAX);
    } else {
        FUZZ_REQUIRE(error == GOIPC_ERROR_WOULD_BLOCK ||
                     (error == GOIPC_ERROR_MESSAGE_SIZE && w->touched));
    }
}

/* A message that is sent from its owner's memory: its start is queued, the rest follows. */
static void lend_next(world *w, size_t which)
{
    end *e = &w->ends[which];
    const size_t size = next_data(w, which);

    if (size <= GOIPC_NONCE_SIZE) {
        return; /* too small to be lent where it is sealed */
    }
    if (goipci_session_lend(e->session, type_of(which, e->sent_count), e->data, size) ==
        GOIPC_ERROR_OK) {
        FUZZ_REQUIRE(goipci_session_has_lent(e->session));
        e->sent_count++;
    }
}

static void tamper(world *w, size_t which, fuzz_bytes *bytes)
{
    end *e = &w->ends[which];
    const uint8_t how = fuzz_take_u8(bytes) % 4;
    const size_t at = e->wire_size == 0 ? 0 : fuzz_take_u32(bytes) % e->wire_size;
    const size_t size = fuzz_take_u8(bytes);

    if (e->wire_size == 0 || e->wire_size + size > WIRE_ROOM) {
        return;
    }
    w->touched = true;
    switch (how) {
    case 0: /* change */
        e->wire[at] ^= (uint8_t)(1u << size % 8);
        break;
    case 1: /* drop */
        e->wire_size = at + (e->wire_size - at > size ? e->wire_size - at - size : 0);
        break;
    case 2: /* insert what is there already */
        if (at + size <= e->wire_size) {
            memmove(e->wire + at + size, e->wire + at, e->wire_size - at);
            e->wire_size += size;
        }
        break;
    default: { /* send back where it came from */
        end *other = &w->ends[1 - which];
        const size_t back = e->wire_size < WIRE_ROOM - other->wire_size
                                ? e->wire_size
                                : WIRE_ROOM - other->wire_size;

        memcpy(other->wire + other->wire_size, e->wire, back);
        other->wire_size += back;
        break;
    }
    }
}

static void close_wire(world *w, size_t which)
{
    end *e = &w->ends[which];

    if (!e->closed && !e->wire_end) {
        e->wire_end = true;
        FUZZ_REQUIRE(goipc_session_input_end(e->session) == GOIPC_ERROR_OK);
        drain_events(w, which);
        FUZZ_REQUIRE(e->closed);
    }
}

static void step(world *w, fuzz_bytes *bytes)
{
    const uint8_t operation = fuzz_take_u8(bytes);
    const size_t which = operation >> 7;
    const size_t size = fuzz_take_u8(bytes);

    switch (operation % 8) {
    case 0:
    case 1:
        move_out(w, which, size == 0 ? SIZE_MAX : size);
        break;
    case 2:
    case 3:
        move_in(w, which, size == 0 ? SIZE_MAX : size);
        break;
    case 4:
        if (w->ends[which].sent_count < SENT_MAX) {
            send_next(w, which);
        }
        break;
    case 5:
        if (w->ends[which].sent_count < SENT_MAX) {
            lend_next(w, which);
        }
        break;
    case 6:
        if (size < 250) {
            tamper(w, which, bytes);
        } else {
            close_wire(w, which);
        }
        break;
    default:
        if (w->ends[which].setup.chunk != SIZE_MAX) {
            goipci_session_trim(w->ends[which].session);
        }
        break;
    }
}

/* Everything that is under way arrives. */
static void settle(world *w)
{
    for (int turns_left = 64;; turns_left--) {
        size_t moving = 0;

        FUZZ_REQUIRE(turns_left > 0); /* the two come to rest */
        for (size_t which = 0; which < 2; which++) {
            move_out(w, which, SIZE_MAX);
            moving += w->ends[1 - which].wire_size;
            move_in(w, 1 - which, SIZE_MAX);
        }
        if (moving == 0) {
            return;
        }
    }
}

static void check_agreement(world *w)
{
    const end *server = &w->ends[0], *client = &w->ends[1];

    if (w->touched || server->wire_end || client->wire_end) {
        return;
    }
    if (server->closed || client->closed) {
        FUZZ_REQUIRE(server->closed && client->closed && !server->connected && !client->connected);
        return;
    }
    FUZZ_REQUIRE(server->connected && client->connected);
    FUZZ_REQUIRE(goipc_session_is_encrypted(server->session) ==
                 goipc_session_is_encrypted(client->session));
    FUZZ_REQUIRE(server->delivered_count == client->sent_count);
    FUZZ_REQUIRE(client->delivered_count == server->sent_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w;
    fuzz_bytes bytes = {data, size};
    fuzz_bytes setup;
    size_t taken;

    memset(&w, 0, sizeof w);
    setup.at = fuzz_take(&bytes, FUZZ_SETUP_SIZE, &taken);
    setup.size = taken;
    start(&w, 0, setup);
    start(&w, 1, setup);
    while (bytes.size > 0) {
        step(&w, &bytes);
    }
    settle(&w);
    check_agreement(&w);
    fuzz_setup_end(&w.ends[0].setup, w.ends[0].session);
    fuzz_setup_end(&w.ends[1].setup, w.ends[1].session);
    return 0;
}
