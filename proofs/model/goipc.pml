/* SPDX-License-Identifier: MIT */
/*
 * Handshake, close and reconnect of goipc, for both roles, as a model for spin.
 *
 * WHAT IS MODELLED
 *
 * One server endpoint (the poll loop of the reference: every connection that is ready gets one step,
 * then one peer is accepted), CLIENTS clients that dial again after every loss until ROUNDS requests
 * were answered, and one stranger that connects, says whatever it likes and leaves or stalls. Between
 * them are connections of two byte streams each, cut into messages; a message that a fault has
 * touched, or that means nothing, is BAD. Faults are budgets, so that a run can end:
 *
 *   CORRUPT   messages that become BAD on their way          DROPS     clients that die and come back
 *   NAPS      clients that stop for longer than a deadline   RESTARTS  servers that close and start
 *   VISITS    connections of the stranger
 *
 * Time is a process that moves only when nothing else can (`timeout`), and counts the timers down.
 *
 * WHAT IS CLAIMED
 *
 *   no process is stuck in the middle (spin's invalid end states), and every assertion below holds;
 *   served:    every client finishes its requests, or was refused for good with a reason;
 *   listens:   a server that was started and not closed listens;
 *   both ends: where both are connected, both think the same about sealing, never more than SLOTS
 *              peers are served, nothing BAD is delivered, a connection reports one error at most.
 *
 * VARIANTS that must fail, each one behaviour of deployed implementations, show that the model can:
 *
 *   STATUS_RACE         the accept loop writes "connected" after it started the reader, whose
 *                       "disconnected" it may overwrite: nobody is served any more
 *   DEAF_CLIENT         a client that stops reading after a bad frame, without closing
 *   LISTENER_DIES       a failed handshake closes the listener
 *   NO_DEADLINE         a peer that is silent in its handshake keeps its place for ever
 *   REFUSED_HANGS       a peer for whom there is no place is neither served nor closed, and clients
 *                       do not limit the wait for HELLO
 */

#ifndef CLIENTS
#define CLIENTS 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef CORRUPT
#define CORRUPT 0
#endif
#ifndef DROPS
#define DROPS 0
#endif
#ifndef NAPS
#define NAPS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef VISITS
#define VISITS 0
#endif

#define CONNECTIONS 3
#define CLIENTS_MOST 2
/* The stranger's naps are longer than any deadline, a deadline is longer than a retry. */
#define RETRY_TICKS 1
#define DEADLINE_TICKS 2
#define NAP_TICKS 3

mtype:message = { HELLO_PLAIN, HELLO_SEALED, REPLY_OK, REPLY_REFUSED, KEY, LIMIT, LIMIT_REPLY,
                  REQUEST, ANSWER, BAD };
mtype:step = { CLOSED, AWAIT_REPLY, AWAIT_KEY, AWAIT_LIMIT_REPLY, FRAMES };
mtype:encryption = { REQUIRE, OPTIONAL, OFF };

/* A connection: two directions, and whether each end still holds its descriptor. */
chan to_server[CONNECTIONS] = [4] of { mtype:message };
chan to_client[CONNECTIONS] = [4] of { mtype:message };
bool client_holds[CONNECTIONS];
bool server_holds[CONNECTIONS]; /* from the dial on: the kernel's queue holds it for the server */
chan backlog = [CONNECTIONS] of { byte };

/* What the ends believe, for the assertions. */
bool server_connected[CONNECTIONS];
bool client_connected[CONNECTIONS];
bool client_sealed[CONNECTIONS];
byte server_errors[CONNECTIONS];

/* Timers that run down to 0. */
byte server_timer[CONNECTIONS];
byte client_timer[CLIENTS_MOST];
byte stranger_timer;

bool server_sealed;
bool listening;
bool started; /* the application has started the server and not asked it to close */
mtype:step step[CONNECTIONS];
byte served_now;
byte finished;

byte corrupt = CORRUPT;
byte drops = DROPS;
byte naps = NAPS;
byte restarts = RESTARTS;

#define FREE(c) (!client_holds[c] && !server_holds[c])

inline dial(c)
{
    d_step {
        do
        :: len(to_server[c]) > 0 -> to_server[c]?_
        :: len(to_client[c]) > 0 -> to_client[c]?_
        :: else -> break
        od;
        client_holds[c] = true;
        server_holds[c] = true;
        server_connected[c] = false;
        client_connected[c] = false;
        server_errors[c] = 0;
        backlog!c
    }
}

/* A write to a peer that is gone is lost; one on its way may be touched. */
inline put(channel, message, reader_holds)
{
    if
    :: !reader_holds -> skip
    :: reader_holds && nfull(channel) ->
        if
        :: channel!message
        :: corrupt > 0 -> corrupt--; channel!BAD
        fi
    :: reader_holds && full(channel) -> skip /* waits in the writer's own queue */
    fi
}

/* --- the server ------------------------------------------------------------------------------- */

inline server_forget(c)
{
    if
    :: step[c] != CLOSED -> step[c] = CLOSED; served_now--
    :: else
    fi;
    server_holds[c] = false;
    server_connected[c] = false;
    server_timer[c] = 0
}

inline server_fail(c)
{
    server_errors[c]++;
    assert(server_errors[c] == 1);
#ifdef LISTENER_DIES
    if
    :: step[c] != FRAMES -> listening = false
    :: else
    fi;
#endif
    server_forget(c)
}

inline server_receive(c, message)
{
    if
    :: step[c] == AWAIT_REPLY && message == REPLY_OK && server_sealed ->
        put(to_client[c], KEY, client_holds[c]);
        step[c] = AWAIT_KEY
    :: (step[c] == AWAIT_REPLY && message == REPLY_OK && !server_sealed) ||
       (step[c] == AWAIT_KEY && message == KEY) ->
        put(to_client[c], LIMIT, client_holds[c]);
        step[c] = AWAIT_LIMIT_REPLY
    :: step[c] == AWAIT_LIMIT_REPLY -> /* its value means nothing */
        step[c] = FRAMES;
        server_connected[c] = true;
        server_timer[c] = 0;
        assert(!client_connected[c] || client_sealed[c] == server_sealed)
    :: step[c] == FRAMES && message == REQUEST ->
        put(to_client[c], ANSWER, client_holds[c])
    :: else -> server_fail(c)
    fi
}

#ifdef NO_DEADLINE
#define LATE(c) false
#else
#define LATE(c) (step[c] != FRAMES && server_timer[c] == 0)
#endif
#define READY(c) (step[c] != CLOSED && (len(to_server[c]) > 0 || !client_holds[c] || LATE(c)))

inline server_step(c, message)
{
    atomic {
        if
        :: step[c] != CLOSED && len(to_server[c]) > 0 ->
            to_server[c]?message;
            server_receive(c, message)
        :: step[c] != CLOSED && len(to_server[c]) == 0 && !client_holds[c] ->
            if
            :: step[c] == FRAMES -> server_forget(c) /* an orderly close */
            :: else -> server_fail(c)
            fi
        :: step[c] != CLOSED && len(to_server[c]) == 0 && client_holds[c] && LATE(c) ->
            server_fail(c)
        :: else
        fi
    }
}

inline server_accept(c)
{
    atomic {
        if
        :: len(backlog) > 0 ->
            backlog?c;
            if
            :: served_now < SLOTS ->
                served_now++;
                assert(served_now <= SLOTS);
                step[c] = AWAIT_REPLY;
                server_timer[c] = DEADLINE_TICKS;
                if
                :: server_sealed -> put(to_client[c], HELLO_SEALED, client_holds[c])
                :: else -> put(to_client[c], HELLO_PLAIN, client_holds[c])
                fi
            :: else ->
#ifdef REFUSED_HANGS
                skip
#else
                server_holds[c] = false
#endif
            fi
        :: else
        fi;
        c = 0
    }
}

inline server_stop(c)
{
    d_step {
        started = false;
        listening = false;
        do
        :: len(backlog) > 0 -> backlog?c; server_holds[c] = false
        :: else -> break
        od;
        c = 0;
        do
        :: c < CONNECTIONS -> server_forget(c); c++
        :: else -> break
        od;
        c = 0
    }
}

#define WORK (READY(0) || READY(1) || READY(2) || len(backlog) > 0)

#ifndef STATUS_RACE
proctype server()
{
    byte c;
    mtype:message message;

    atomic {
        if
        :: server_sealed = true
        :: server_sealed = false
        fi;
        started = true;
        listening = true
    }
end:
    do
    :: WORK ->
        server_step(0, message);
        server_step(1, message);
        server_step(2, message);
        if
        :: listening -> server_accept(c)
        :: else
        fi;
#ifdef LISTENER_DIES
        atomic {
            if
            :: !listening ->
                do
                :: len(backlog) > 0 -> backlog?c; server_holds[c] = false
                :: else -> break
                od
            :: else
            fi
        }
#endif
    :: restarts > 0 ->
        restarts--;
        server_stop(c);
        atomic { started = true; listening = true }
    od
}
#else
/* golang-ipc's server: an accept loop that does the handshake itself, a reader of its own for the
 * connection, and one status that both write. */
mtype:status = { LISTENING, CONNECTED, DISCONNECTED };
mtype:status status = LISTENING;

proctype reader(byte c)
{
    mtype:message message;

end:
    do
    :: to_server[c]?message -> put(to_client[c], ANSWER, client_holds[c])
    :: len(to_server[c]) == 0 && !client_holds[c] -> break
    od;
    status = DISCONNECTED;
    d_step { server_holds[c] = false; step[c] = CLOSED }
}

proctype server()
{
    byte c;
    mtype:message message;

    d_step { started = true; listening = true; server_sealed = true }
end:
    do
    :: backlog?c ->
        if
        :: status == LISTENING || status == DISCONNECTED ->
            put(to_client[c], HELLO_SEALED, client_holds[c]);
            to_server[c]?message;
            put(to_client[c], KEY, client_holds[c]);
            to_server[c]?message;
            put(to_client[c], LIMIT, client_holds[c]);
            to_server[c]?message;
            run reader(c);
            status = CONNECTED
        :: else /* neither served nor closed */
        fi
    od
}
#endif

/* --- a client --------------------------------------------------------------------------------- */

#if defined(DEAF_CLIENT)
#define AFTER_BAD_FRAME goto deaf
#else
#define AFTER_BAD_FRAME goto lost
#endif

#ifdef REFUSED_HANGS
#define EXPIRED(self) false
#else
#define EXPIRED(self) (client_timer[self] == 0)
#endif

/* What can happen to a client that waits. */
inline await(self, c, message, handshaking)
{
    if
    :: to_client[c]?message
    :: len(to_client[c]) == 0 && !server_holds[c] -> goto lost
    :: handshaking && EXPIRED(self) -> goto lost
    :: drops > 0 -> drops--; goto lost
    :: naps > 0 ->
        atomic { naps--; client_timer[self] = NAP_TICKS }
        client_timer[self] == 0;
        goto lost
    fi
}

proctype client(byte self)
{
    byte c;
    byte left = ROUNDS;
    mtype:message message;
    mtype:encryption wanted;

    if
    :: wanted = REQUIRE
    :: wanted = OPTIONAL
    :: wanted = OFF
    fi;

again:
    if
    :: left == 0 -> goto done
    :: else
    fi;
    atomic {
        if
        :: listening && FREE(0) -> c = 0
        :: listening && !FREE(0) && FREE(1) -> c = 1
        :: listening && !FREE(0) && !FREE(1) && FREE(2) -> c = 2
        :: !listening -> goto pause
        fi;
        dial(c);
        client_timer[self] = DEADLINE_TICKS
    }
    await(self, c, message, true);
    atomic {
        if
        :: message == HELLO_SEALED && wanted != OFF ->
            client_sealed[c] = true;
            put(to_server[c], REPLY_OK, server_holds[c])
        :: message == HELLO_PLAIN && wanted != REQUIRE ->
            client_sealed[c] = false;
            put(to_server[c], REPLY_OK, server_holds[c])
        :: else -> /* another version, or the other setting: it would be the same next time */
            put(to_server[c], REPLY_REFUSED, server_holds[c]);
            goto refused
        fi
    }
    if
    :: client_sealed[c] ->
        await(self, c, message, true);
        atomic {
            if
            :: message == KEY -> put(to_server[c], KEY, server_holds[c])
            :: else -> goto refused /* not a point: PUBLIC_KEY ends the client */
            fi
        }
    :: else
    fi;
    await(self, c, message, true);
    atomic {
        if
        :: message == LIMIT ->
            put(to_server[c], LIMIT_REPLY, server_holds[c]);
            client_connected[c] = true;
            client_timer[self] = 0;
            assert(!server_connected[c] || client_sealed[c] == server_sealed)
        :: else -> goto lost
        fi
    }
    do
    :: left > 0 ->
        atomic { put(to_server[c], REQUEST, server_holds[c]) }
        await(self, c, message, false);
        if
        :: message == ANSWER -> left--
        :: else -> AFTER_BAD_FRAME
        fi
    :: left == 0 -> break
    :: drops > 0 -> drops--; break /* connects and closes at once */
    od;
    goto lost;

lost:
    skip;
    d_step { client_holds[c] = false; client_connected[c] = false }
pause:
    skip;
    atomic {
        if
        :: left > 0 -> client_timer[self] = RETRY_TICKS
        :: else
        fi
    }
    client_timer[self] == 0;
    goto again;

#ifdef DEAF_CLIENT
deaf:
    false; /* holds its descriptor, says "connected", reads nothing */
#endif

refused:
    skip;
    d_step { client_holds[c] = false; client_connected[c] = false; client_timer[self] = 0 }
done:
    finished++
}

/* --- the stranger ----------------------------------------------------------------------------- */

#if VISITS > 0
proctype stranger()
{
    byte c;
    byte visits = VISITS;
    byte words;

    do
    :: visits > 0 && listening ->
        atomic {
            visits--;
            if
            :: FREE(2) -> c = 2
            :: !FREE(2) && FREE(1) -> c = 1
            :: !FREE(2) && !FREE(1) && FREE(0) -> c = 0
            fi;
            dial(c)
        }
        /* It says a right beginning of any length, at once or after a nap, then perhaps BAD: any other
         * message in that place has the same effect. It never reads. */
        if
        :: words = 0
        :: words = 1
        :: words = 3
        :: words = 4
        fi;
        if
        :: skip
        :: stranger_timer = NAP_TICKS; stranger_timer == 0
        fi;
        atomic {
            if
            :: words > 0 -> to_server[c]!REPLY_OK
            :: else
            fi;
            if
            :: words > 1 && server_sealed -> to_server[c]!KEY
            :: else
            fi;
            if
            :: words > 1 -> to_server[c]!LIMIT_REPLY
            :: else
            fi;
            if
            :: words > 3 -> to_server[c]!REQUEST
            :: skip
            fi;
            if
            :: nfull(to_server[c]) -> to_server[c]!BAD
            :: skip
            fi;
            words = 0
        }
        if
        :: client_holds[c] = false
        :: step[c] != FRAMES -> /* silent for ever, as long as it is let; a peer that is connected
                                   and idle is in its right, so that one leaves in the end */
            !server_holds[c] || step[c] == FRAMES || !listening;
            client_holds[c] = false
        fi
    :: else -> break
    od
}
#endif

/* --- time ------------------------------------------------------------------------------------- */

#define RUNS(timer) (timer > 0)
#define TICK(timer) timer = (timer > 0 -> timer - 1 : 0)

proctype clock()
{
end:
    do
    :: timeout && (RUNS(server_timer[0]) || RUNS(server_timer[1]) || RUNS(server_timer[2]) ||
                   RUNS(client_timer[0]) || RUNS(client_timer[1]) || RUNS(stranger_timer)) ->
        d_step {
            TICK(server_timer[0]);
            TICK(server_timer[1]);
            TICK(server_timer[2]);
            TICK(client_timer[0]);
            TICK(client_timer[1]);
            TICK(stranger_timer)
        }
    od
}

init
{
    /* Arrays of mtype start at 0, which is no value of theirs. */
    atomic {
        byte c = 0;
        do
        :: c < CONNECTIONS -> step[c] = CLOSED; c++
        :: else -> break
        od;
        c = 0;
        run clock();
        run server();
#if VISITS > 0
        run stranger();
#endif
        do
        :: c < CLIENTS -> run client(c); c++
        :: else -> break
        od
    }
}

ltl served { <> (finished == CLIENTS) }
ltl listens { [] (started -> listening) }
