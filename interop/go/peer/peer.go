// SPDX-License-Identifier: MIT

// Package peer is one side of an interoperability run, whatever library does the talking. Both sides know the
// plan and make the expected content themselves, so that every message is checked by its receiver:
//
//	PEER server|client NAME on|optional|off MAX exchange SIZE:TYPE,...
//	PEER server|client NAME on|optional|off MAX handshakes COUNT fresh|same
//	PEER server|client NAME on|optional|off MAX burst COUNT
//	PEER server|client NAME on|optional|off MAX refusal
//
// exchange: one connection. First this side tries a message of MAX + 1, which its library has to refuse. Then,
// for every size and type in turn, the client sends, the server checks and echoes, the client checks; and the
// same with the server beginning.
//
// burst: one connection. The client sends COUNT messages of many sizes without waiting for anything, the server
// checks them and their order; then the other way round.
//
// handshakes: COUNT connections one after the other, one message there and back on each. With "fresh" every
// connection has an endpoint of its own, NAME.0, NAME.1, ...: the library golang-ipc may stop serving when a
// client leaves soon after its handshake.
//
// refusal: the handshake has to fail, and the library has to say so.
//
// Results go to standard output, one JSON object per line. A server begins with {"ready":true}. The same
// program for the C library is interop/c/interop_peer.c.
package peer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Message is what a library's Read gives. Type is negative for a change of status.
type Message struct {
	Type   int
	Data   []byte
	Status string
}

// Endpoint is a started server or client of the library.
type Endpoint interface {
	Read() (Message, error)
	Write(messageType int, data []byte) error
	Close()
}

// Library starts endpoints. A library that knows only "encrypted or not" takes optional for not.
type Library struct {
	StartServer func(name, encryption string, messageSizeMax int) (Endpoint, error)
	StartClient func(name, encryption string) (Endpoint, error)
}

type result map[string]interface{}

type run struct {
	library        Library
	isServer       bool
	name           string
	encryption     string
	messageSizeMax int
	output         *json.Encoder
}

// Main runs the program and does not return.
func Main(library Library) {
	r := run{library: library, output: json.NewEncoder(os.Stdout)}
	os.Stdout = os.Stderr // a library that logs there must not spoil the results
	if err := r.start(os.Args[1:]); err != nil {
		r.say(result{"error": err.Error()})
		os.Exit(1)
	}
	r.say(result{"done": true})
	os.Exit(0)
}

func (r *run) say(what result) {
	if err := r.output.Encode(what); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (r *run) start(arguments []string) error {
	if len(arguments) < 5 {
		return errors.New("usage: server|client NAME on|optional|off MAX exchange|burst|handshakes|refusal ...")
	}
	var err error
	r.isServer, r.name, r.encryption = arguments[0] == "server", arguments[1], arguments[2]
	if r.messageSizeMax, err = strconv.Atoi(arguments[3]); err != nil {
		return err
	}
	rest := arguments[5:]
	switch task := arguments[4]; {
	case task == "exchange" && len(rest) == 1:
		return r.exchange(rest[0])
	case task == "burst" && len(rest) == 1:
		count, err := strconv.Atoi(rest[0])
		if err != nil {
			return err
		}
		return r.burst(count)
	case task == "handshakes" && len(rest) == 2:
		count, err := strconv.Atoi(rest[0])
		if err != nil {
			return err
		}
		if r.isServer {
			return r.serveHandshakes(count, rest[1] == "fresh")
		}
		return r.makeHandshakes(count, rest[1] == "fresh")
	case task == "refusal":
		return r.refusal()
	}
	return errors.New("no such task, or wrong arguments: " + strings.Join(arguments[4:], " "))
}

// open starts this side's endpoint.
func (r *run) open(name string) (*inbox, error) {
	var endpoint Endpoint
	var err error
	if r.isServer {
		if endpoint, err = r.library.StartServer(name, r.encryption, r.messageSizeMax); err == nil {
			afterStart(name)
		}
	} else {
		endpoint, err = r.library.StartClient(name, r.encryption)
	}
	return &inbox{Endpoint: endpoint}, err
}

// inbox sorts what Read gives into status changes and messages.
type inbox struct {
	Endpoint
	early []Message // messages that came before the status said "Connected", as golang-ipc may have it
}

func (in *inbox) awaitConnected() error {
	for {
		message, err := in.Read()
		switch {
		case err != nil:
			return err
		case message.Type > 0:
			in.early = append(in.early, message)
		case message.Status == "Connected":
			return nil
		}
	}
}

func (in *inbox) receive() (Message, error) {
	if len(in.early) > 0 {
		message := in.early[0]
		in.early = in.early[1:]
		return message, nil
	}
	for {
		message, err := in.Read()
		if err != nil || message.Type > 0 {
			return message, err
		}
		switch message.Status {
		case "Disconnected", "Reconnecting", "Closed", "Timeout", "Error":
			return message, errors.New("connection lost: " + message.Status)
		}
	}
}

// awaitEnd reads until the other side has closed the connection.
func (in *inbox) awaitEnd() error {
	message, err := in.receive()
	if err == nil {
		return fmt.Errorf("a message of type %d and %d bytes that nobody sent", message.Type, len(message.Data))
	}
	return nil
}

func (in *inbox) expect(messageType int, data []byte) error {
	message, err := in.receive()
	switch {
	case err != nil:
		return err
	case message.Type != messageType:
		return fmt.Errorf("type %d arrived, not %d", message.Type, messageType)
	case len(message.Data) != len(data):
		return fmt.Errorf("%d bytes arrived, not %d", len(message.Data), len(data))
	case !bytes.Equal(message.Data, data):
		return fmt.Errorf("the %d bytes arrived changed", len(data))
	}
	return nil
}

// content is what a message of this size and type holds, by who sends it first.
func content(size, messageType int, fromServer bool) []byte {
	state := uint32(size)*2654435761 ^ uint32(messageType)*40503
	if fromServer {
		state ^= 0x5bd1e995
	}
	data := make([]byte, size)
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = byte(state >> 24)
	}
	return data
}

// cell is one size and type; sent and received count this side's messages.
type cell struct{ size, messageType, sent, received int }

func (c *cell) begin(in *inbox, fromServer bool) error {
	data := content(c.size, c.messageType, fromServer)
	if err := in.Write(c.messageType, data); err != nil {
		return err
	}
	c.sent++
	if err := in.expect(c.messageType, data); err != nil {
		return err
	}
	c.received++
	return nil
}

func (c *cell) answer(in *inbox, fromServer bool) error {
	data := content(c.size, c.messageType, fromServer)
	if err := in.expect(c.messageType, data); err != nil {
		return err
	}
	c.received++
	if err := in.Write(c.messageType, data); err != nil {
		return err
	}
	c.sent++
	return nil
}

func (c *cell) trade(in *inbox, isServer bool) error {
	if isServer {
		if err := c.answer(in, false); err != nil {
			return err
		}
		return c.begin(in, true)
	}
	if err := c.begin(in, false); err != nil {
		return err
	}
	return c.answer(in, true)
}

func (r *run) exchange(plan string) error {
	in, err := r.open(r.name)
	if err != nil {
		return err
	}
	if r.isServer {
		r.say(result{"ready": true})
	}
	if err := in.awaitConnected(); err != nil {
		return err
	}
	tooLarge := in.Write(1, make([]byte, r.messageSizeMax+1))
	r.say(result{"size": r.messageSizeMax + 1, "type": 1, "refused": tooLarge != nil, "text": fmt.Sprint(tooLarge)})
	for _, part := range strings.Split(plan, ",") {
		var c cell
		if _, err := fmt.Sscanf(part, "%d:%d", &c.size, &c.messageType); err != nil {
			return fmt.Errorf("plan: %q: %w", part, err)
		}
		err := c.trade(in, r.isServer)
		told := result{"size": c.size, "type": c.messageType, "sent": c.sent, "received": c.received, "ok": err == nil}
		if err != nil {
			told["error"] = err.Error()
		}
		r.say(told)
		if err != nil {
			return err
		}
	}
	return r.end(in)
}

// end lets the server, which has everything, end the connection: a client that left now might take its last
// message with it.
func (r *run) end(in *inbox) error {
	if !r.isServer {
		return in.awaitEnd()
	}
	in.Close()
	return nil
}

// burstSize spreads sizes from nothing to two frames' worth of a socket buffer, large ones here and there.
func burstSize(index int) int {
	if index%50 == 49 {
		return 65536 + index
	}
	return index * 7919 % 5000
}

func (r *run) burst(count int) error {
	in, err := r.open(r.name)
	if err != nil {
		return err
	}
	if r.isServer {
		r.say(result{"ready": true})
	}
	if err := in.awaitConnected(); err != nil {
		return err
	}
	sent, received := 0, 0
	for _, fromServer := range []bool{false, true} {
		for i := 0; i < count; i++ {
			data := content(burstSize(i), 1+i, fromServer)
			if fromServer == r.isServer {
				err = in.Write(1+i, data)
				sent++
			} else {
				err = in.expect(1+i, data)
				received++
			}
			if err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
	}
	if !r.isServer {
		// The last message was the server's. This one tells it that all of them are here.
		if err := in.Write(1, nil); err != nil {
			return err
		}
	} else if err := in.expect(1, nil); err != nil {
		return err
	}
	r.say(result{"burst": count, "sent": sent, "received": received, "ok": true})
	return r.end(in)
}

// nameOf is the endpoint of one of many connections.
func (r *run) nameOf(index int, fresh bool) string {
	if fresh {
		return fmt.Sprintf("%s.%d", r.name, index)
	}
	return r.name
}

func (r *run) serveHandshakes(count int, fresh bool) error {
	in, err := r.open(r.nameOf(0, fresh))
	if err != nil {
		return err
	}
	r.say(result{"ready": true})
	var c cell
	for i := 0; i < count; i++ {
		if err := in.awaitConnected(); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		data := content(5, 1+i, false)
		if err := in.expect(1+i, data); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		c.received++
		// The next endpoint is there before this echo, so the client never comes too early.
		next := in
		if fresh && i+1 < count {
			if next, err = r.open(r.nameOf(i+1, fresh)); err != nil {
				return err
			}
		}
		if err := in.Write(1+i, data); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		c.sent++
		if err := in.awaitEnd(); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if fresh || i+1 == count {
			in.Close()
		}
		in = next
	}
	r.say(result{"handshakes": count, "sent": c.sent, "received": c.received, "ok": true})
	return nil
}

func (r *run) makeHandshakes(count int, fresh bool) error {
	var c cell
	for i := 0; i < count; i++ {
		in, err := r.open(r.nameOf(i, fresh))
		if err == nil {
			err = in.awaitConnected()
		}
		if err == nil {
			c.size, c.messageType = 5, 1+i
			err = c.begin(in, false)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		in.Close()
	}
	r.say(result{"handshakes": count, "sent": c.sent, "received": c.received, "ok": true})
	return nil
}

func (r *run) refusal() error {
	in, err := r.open(r.name)
	if err == nil {
		if r.isServer {
			r.say(result{"ready": true})
		}
		err = in.awaitConnected()
	}
	if err == nil {
		return errors.New("connected, although the two sides do not agree on encryption")
	}
	r.say(result{"refused": true, "text": err.Error()})
	return nil
}
