// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ipc "github.com/james-barrow/golang-ipc"
)

// dataInFullMax is the longest message that an event carries as it is; of a longer one the digest is told.
const dataInFullMax = 1024

type object map[string]interface{}

type request struct {
	ID       json.RawMessage `json:"id"`
	Cmd      string          `json:"cmd"`
	HP       int             `json:"hp"`
	Endpoint struct {
		Transport string `json:"transport"`
		Name      string `json:"name"`
	} `json:"endpoint"`
	Encryption     string `json:"encryption"`
	Echo           bool   `json:"echo"`
	MessageSizeMax int    `json:"max_message_size"`
	TimeoutMS      int64  `json:"timeout_ms"`
	Type           int64  `json:"type"`
	Data           string `json:"data"`
	Repeat         *int   `json:"repeat"`
	On             bool   `json:"on"`
}

// controller is the state behind one HP/1 conversation: at most one endpoint at a time, as golang-ipc has it.
type controller struct {
	lock    sync.Mutex // of output
	output  *json.Encoder
	open    *session
	echoing int32
	numbers int32 // connections so far, of all endpoints
}

// session is one endpoint with its queue of messages to write.
type session struct {
	end      endpoint
	isServer bool
	queue    chan outgoing
}

func (c *controller) say(what object) {
	c.lock.Lock()
	defer c.lock.Unlock()
	_ = c.output.Encode(what) // when the runner is gone the end of the input says so
}

// answer replies to one request in one of the three forms.
func (c *controller) answer(r *request, fields object, err error) {
	reply := object{"id": r.ID, "ok": err == nil}
	var unsupported errUnsupported
	switch {
	case errors.As(err, &unsupported):
		reply["unsupported"], reply["reason"] = true, unsupported.Error()
	case err != nil:
		reply["error"] = failure(err)
	}
	for name, value := range fields {
		reply[name] = value
	}
	c.say(reply)
}

// control speaks HP/1 until "stop" or the end of the input.
func control(input io.Reader, output io.Writer) {
	c := &controller{output: json.NewEncoder(output)}
	c.output.SetEscapeHTML(false)
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			c.answer(&r, nil, err)
			continue
		}
		if r.Cmd == "stop" {
			c.closeEndpoint()
			c.answer(&r, nil, nil)
			return
		}
		c.obey(&r)
	}
	c.closeEndpoint()
}

func (c *controller) closeEndpoint() {
	if c.open != nil {
		c.open.end.Close()
		c.open = nil
	}
}

// obey carries one request out, or has it carried out and answered later where that can take long.
func (c *controller) obey(r *request) {
	var fields object
	var err error
	switch r.Cmd {
	case "hello":
		fields, err = hello(r)
	case "serve":
		fields, err = c.serve(r)
	case "connect":
		if err = c.connect(r); err == nil {
			return
		}
	case "send":
		if err = c.send(r); err == nil {
			return
		}
	case "echo":
		c.setEchoing(r.On)
	case "close":
		err = c.closeConnection()
	case "stats":
		fields, err = stats()
	default:
		err = errUnsupported("no such command here: " + strconv.Quote(r.Cmd))
	}
	c.answer(r, fields, err)
}

func (c *controller) setEchoing(on bool) {
	value := int32(0)
	if on {
		value = 1
	}
	atomic.StoreInt32(&c.echoing, value)
}

func hello(r *request) (object, error) {
	if r.HP != 1 {
		return nil, errUnsupported("this adapter speaks HP version 1")
	}
	return object{
		"hp": 1,
		"impl": object{
			"name": libraryName, "version": libraryVersion, "language": "go",
			"homepage": libraryPage,
			"issues":   libraryPage + "/issues",
			"os":       runtime.GOOS, "arch": runtime.GOARCH,
		},
		"roles":     []string{"server", "client"},
		"caps":      capabilities,
		"isolation": "process",
	}, nil
}

func (c *controller) serve(r *request) (object, error) {
	c.closeEndpoint()
	end, err := startServer(r.Endpoint.Name, r.Encryption, r.MessageSizeMax)
	if err != nil {
		return nil, err
	}
	c.begin(r, &session{end: end, isServer: true}, nil)
	return object{"endpoint": object{
		"transport": r.Endpoint.Transport, "name": r.Endpoint.Name, "path": socketPath(r.Endpoint.Name),
	}}, nil
}

func (c *controller) connect(r *request) error {
	c.closeEndpoint()
	limit := time.Duration(r.TimeoutMS) * time.Millisecond
	if limit <= 0 {
		limit = 10 * time.Second
	}
	end, err := startClient(r.Endpoint.Name, r.Encryption, limit)
	if err != nil {
		return err
	}
	outcome := make(chan error, 1)
	c.begin(r, &session{end: end}, outcome)
	go func() {
		select {
		case err := <-outcome:
			var fields object
			if err == nil {
				fields = object{"conn": atomic.LoadInt32(&c.numbers)}
			}
			c.answer(r, fields, err)
		case <-time.After(limit):
			// golang-ipc has no timeout for the handshake and cannot be told to stop waiting in it.
			end.Close()
			c.answer(r, nil, errors.New("timed out: no connection yet"))
		}
	}()
	return nil
}

func (c *controller) send(r *request) error {
	if c.open == nil {
		return errors.New("nothing is open")
	}
	data, err := hex.DecodeString(r.Data)
	if err != nil {
		return err
	}
	if r.Repeat != nil {
		data = bytes.Repeat(data, *r.Repeat)
	}
	c.open.queue <- outgoing{int(r.Type), data, func(err error) { c.answer(r, nil, err) }}
	return nil
}

func (c *controller) closeConnection() error {
	if c.open == nil {
		return errors.New("nothing is open")
	}
	if c.open.isServer {
		return errUnsupported("a golang-ipc server cannot close one connection")
	}
	c.closeEndpoint()
	return nil
}

// begin has the endpoint's events reported. How an attempt to connect ended goes to outcome instead.
func (c *controller) begin(r *request, s *session, outcome chan<- error) {
	c.setEchoing(r.Echo)
	c.open = s
	s.queue = make(chan outgoing, queueLength)
	connection, connected := atomic.LoadInt32(&c.numbers), false
	before := connection
	echoing := func() bool { return atomic.LoadInt32(&c.echoing) == 1 }
	go writeAll(s.end, s.queue)
	go readAll(s.end, s.isServer, s.queue, echoing, func(m *ipc.Message, err error) {
		if err == nil && m.MsgType < 0 {
			if connected = m.Status == "Connected"; connected {
				connection = atomic.AddInt32(&c.numbers, 1)
			}
		}
		if outcome != nil && (err != nil || connected) {
			outcome <- err
			outcome = nil
			if err != nil {
				return
			}
		}
		event := eventOf(m, err)
		event["conn"] = connection
		if connection == before || (err == nil && m.MsgType > 0 && !connected) {
			event["conn"] = connection + 1 // golang-ipc may deliver a message before it says "Connected"
		}
		c.say(event)
	})
}

func eventOf(m *ipc.Message, err error) object {
	if err != nil {
		e := failure(err)
		return object{"ev": "error", "class": e["class"], "message": e["message"]}
	}
	if m.MsgType < 0 {
		return object{"ev": "state", "state": stateOf(m.Status)}
	}
	event := object{"ev": "message", "type": m.MsgType, "len": len(m.Data)}
	if len(m.Data) <= dataInFullMax {
		event["data"] = hex.EncodeToString(m.Data)
	} else {
		event["sha256"] = fmt.Sprintf("%x", sha256.Sum256(m.Data))
	}
	return event
}

// stateOf translates golang-ipc's status texts into the words of HP/1.
func stateOf(status string) string {
	switch status {
	case "Listening":
		return "listening"
	case "Connecting":
		return "handshaking"
	case "Connected":
		return "connected"
	case "Disconnected", "Reconnecting":
		return "disconnected"
	case "Closing", "Closed":
		return "closed"
	}
	return "failed"
}

// failure puts golang-ipc's error texts, it has no error values, into the classes of HP/1.
func failure(err error) object {
	text := err.Error()
	class := "other"
	for _, known := range []struct{ part, class string }{
		{"is reserved", "reserved-type"},
		{"exceeds maximum message length", "too-large"},
		{"different version", "version"},
		{"without encryption", "encryption"},
		{"enforcing encryption", "encryption"},
		{"failed to get handshake reply", "reply"},
		{"other error - handshake failed", "reply"},
		{"valid public key", "key"},
		{"key received isn't valid length", "key"},
		{"authentication failed", "auth"},
		{"max message length 3", "auth"}, // the limit did not decrypt
		{"not enough data to decrypt", "framing"},
		{"failed to received", "framing"}, // the stream ended inside the handshake
		{"did not received", "framing"},
		{"didn't received public key", "framing"},
		{"timed out", "timeout"},
		{"cannot be an empty string", "name"},
		{"invalid argument", "name"}, // the path does not fit
		{"permission denied", "permission"},
		{"has closed the connection", "closed"},
		{"unable to send", "closed"},
		{"nothing is open", "closed"},
		{"Not Connected", "closed"}, {"Disconnected", "closed"}, {"Listening", "closed"},
		{"Closing", "closed"}, {"Closed", "closed"}, {"Reconnecting", "closed"}, {"Connecting", "closed"},
	} {
		if strings.Contains(text, known.part) {
			class = known.class
			break
		}
	}
	return object{"class": class, "message": text}
}

// stats reads what the system knows of this process; only Linux tells it through files.
func stats() (object, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, errUnsupported("no /proc here")
	}
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	field := func(name string) int {
		for _, line := range strings.Split(string(status), "\n") {
			if words := strings.Fields(line); len(words) > 1 && words[0] == name {
				number, _ := strconv.Atoi(words[1]) // 0 for what is not a number
				return number
			}
		}
		return 0
	}
	return object{
		"rss":     field("VmRSS:") * 1024,
		"fds":     len(descriptors) - 1, // less the one that reads the folder
		"threads": field("Threads:"),
	}, nil
}
