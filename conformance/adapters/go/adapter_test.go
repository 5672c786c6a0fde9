// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"os"
	"testing"
	"time"
)

// conversation is one HP/1 adapter that runs inside the test and answers over pipes.
type conversation struct {
	t       *testing.T
	input   *io.PipeWriter
	output  *json.Decoder
	answers chan object
	events  chan object
}

func converse(t *testing.T) *conversation {
	inputRead, inputWrite := io.Pipe()
	outputRead, outputWrite := io.Pipe()
	c := &conversation{t: t, input: inputWrite, output: json.NewDecoder(outputRead),
		answers: make(chan object, 64), events: make(chan object, 64)}
	go func() {
		control(inputRead, outputWrite)
	}()
	go func() {
		for {
			var line object
			if c.output.Decode(&line) != nil {
				return
			}
			if _, isEvent := line["ev"]; isEvent {
				c.events <- line
			} else {
				c.answers <- line
			}
		}
	}()
	return c
}

func (c *conversation) ask(format string, values ...interface{}) object {
	c.t.Helper()
	fmt.Fprintf(c.input, format+"\n", values...)
	select {
	case answer := <-c.answers:
		return answer
	case <-time.After(10 * time.Second):
		c.t.Fatalf("no answer to "+format, values...)
	}
	return nil
}

func (c *conversation) demand(format string, values ...interface{}) object {
	c.t.Helper()
	answer := c.ask(format, values...)
	if answer["ok"] != true {
		c.t.Fatalf("%s: %v", fmt.Sprintf(format, values...), answer)
	}
	return answer
}

func (c *conversation) await(kind string) object {
	c.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case event := <-c.events:
			if event["ev"] == kind {
				return event
			}
		case <-deadline:
			c.t.Fatalf("no event %q", kind)
		}
	}
}

func freshName() string {
	return fmt.Sprintf("goipc-adapter-%d-%d", os.Getpid(), rand.New(rand.NewSource(time.Now().UnixNano())).Int31())
}

func TestUnknownCommandIsUnsupported(t *testing.T) {
	answer := converse(t).ask(`{"id":"x","cmd":"no-such-command"}`)
	if answer["ok"] != false || answer["unsupported"] != true || answer["id"] != "x" {
		t.Fatal(answer)
	}
}

func TestWhatUpstreamCannotDoIsUnsupported(t *testing.T) {
	c := converse(t)
	for _, line := range []string{
		`{"id":1,"cmd":"serve","endpoint":{"name":"x"},"encryption":"optional"}`,
		`{"id":1,"cmd":"decode","hex":""}`,
	} {
		if answer := c.ask("%s", line); answer["unsupported"] != true {
			t.Fatal(line, answer)
		}
	}
}

func TestServerEchoesToClient(t *testing.T) {
	for _, encryption := range []string{"required", "off"} {
		t.Run(encryption, func(t *testing.T) {
			name := freshName()
			server, client := converse(t), converse(t)
			answer := server.demand(`{"id":1,"cmd":"serve","endpoint":{"transport":"unix","name":"%s"},"encryption":"%s"}`,
				name, encryption)
			if path := answer["endpoint"].(map[string]interface{})["path"]; path != socketPath(name) {
				t.Fatal(path)
			}
			server.demand(`{"id":2,"cmd":"echo","on":true}`)
			wanted := map[string]string{"required": "required", "off": "optional"}[encryption]
			client.demand(`{"id":1,"cmd":"connect","endpoint":{"transport":"unix","name":"%s"},"encryption":"%s"}`, name, wanted)
			for _, size := range []int{0, 5, dataInFullMax, dataInFullMax + 1} {
				data := bytes.Repeat([]byte{0xa5}, size)
				client.demand(`{"id":2,"cmd":"send","type":2147483647,"data":"%s"}`, hex.EncodeToString(data))
				event := client.await("message")
				if event["type"] != 2147483647.0 || event["len"] != float64(size) {
					t.Fatal(event["type"], event["len"])
				}
				if size <= dataInFullMax && event["data"] != hex.EncodeToString(data) {
					t.Fatal("the data came back changed")
				}
				if _, digested := event["sha256"]; digested != (size > dataInFullMax) {
					t.Fatal("digest and data mixed up at", size)
				}
			}
			if answer := client.ask(`{"id":3,"cmd":"send","type":0,"data":""}`); answer["error"].(map[string]interface{})["class"] != "reserved-type" {
				t.Fatal(answer)
			}
			if answer := server.ask(`{"id":4,"cmd":"close"}`); answer["unsupported"] != true {
				t.Fatal(answer)
			}
			client.demand(`{"id":4,"cmd":"stats"}`)
			client.demand(`{"id":5,"cmd":"stop"}`)
			for event := server.await("state"); event["state"] != "disconnected"; {
				event = server.await("state")
			}
			server.demand(`{"id":5,"cmd":"stop"}`)
		})
	}
}

func TestConnectReportsARefusal(t *testing.T) {
	name := freshName()
	server, client := converse(t), converse(t)
	server.demand(`{"id":1,"cmd":"serve","endpoint":{"transport":"unix","name":"%s"},"encryption":"off"}`, name)
	answer := client.ask(`{"id":1,"cmd":"connect","endpoint":{"transport":"unix","name":"%s"},"encryption":"required"}`, name)
	if answer["ok"] != false || answer["error"].(map[string]interface{})["class"] != "encryption" {
		t.Fatal(answer)
	}
	server.demand(`{"id":2,"cmd":"stop"}`)
}
