// SPDX-License-Identifier: MIT

// Command goipc-adapter-go puts the upstream library golang-ipc, as it is, under the conformance suite.
//
//	goipc-adapter-go server|client NAME required|optional|off MAX   level 0: echo every message
//	goipc-adapter-go                                                level 1: JSON lines HP/1 on stdin and stdout
//
// Nothing here mends what upstream does: a panic of the library is a crash of this program, a library that
// goes deaf leaves this program deaf. Only what any careful user of the library has to do is done: one
// goroutine reads all the time, another writes.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	ipc "github.com/james-barrow/golang-ipc"
)

// endpoint is what upstream's Server and Client have in common.
type endpoint interface {
	Read() (*ipc.Message, error)
	Write(messageType int, data []byte) error
	Close()
}

// errUnsupported marks what golang-ipc has no way to do, as opposed to what it fails to do.
type errUnsupported string

func (reason errUnsupported) Error() string { return string(reason) }

// queueLength is how far the reader may be ahead of the writer before it waits.
const queueLength = 4096

func startServer(name, encryption string, messageSizeMax int) (endpoint, error) {
	if encryption == "optional" {
		return nil, errUnsupported("a golang-ipc server decides alone whether a connection is encrypted")
	}
	if encryption == "default" {
		server, err := ipc.StartServer(name, nil)
		if err == nil {
			afterStart(name)
		}
		return server, err
	}
	server, err := ipc.StartServer(name, &ipc.ServerConfig{
		Encryption: encryption == "required",
		MaxMsgSize: messageSizeMax,
	})
	if err == nil {
		afterStart(name)
	}
	return server, err
}

// startClient knows two settings as well: "off" and "optional" are the same to golang-ipc, whose client cannot
// insist on plain text but follows the server.
func startClient(name, encryption string, timeout time.Duration) (endpoint, error) {
	if encryption == "default" {
		return ipc.StartClient(name, nil)
	}
	// RetryTimer counts seconds although its type is time.Duration; 1 is the least it takes.
	return ipc.StartClient(name, &ipc.ClientConfig{
		Encryption: encryption == "required",
		Timeout:    timeout.Seconds(),
		RetryTimer: 1,
	})
}

// socketPath tells where upstream puts the endpoint; the directory is not configurable.
func socketPath(name string) string {
	if runtime.GOOS == "windows" {
		return `\\.\pipe\` + name
	}
	return "/tmp/" + name + ".sock"
}

// outgoing is a message on its way to Write; done, where there is one, is told how that went.
type outgoing struct {
	messageType int
	data        []byte
	done        func(error)
}

// writeAll hands queued messages to an endpoint, so that its reader never waits for its writer.
func writeAll(end endpoint, queue <-chan outgoing) {
	for message := range queue {
		err := end.Write(message.messageType, message.data)
		if message.done != nil {
			message.done(err)
		}
	}
}

// readAll reads an endpoint until reading it further makes no sense, tells observe everything that was read
// and, while echoing() holds, queues each message to be written back.
func readAll(end endpoint, isServer bool, queue chan<- outgoing, echoing func() bool, observe func(*ipc.Message, error)) {
	// A server's first message may arrive before the status "Connected", and Write refuses until then.
	var early []outgoing
	connected := false
	for {
		message, err := end.Read()
		observe(message, err)
		switch {
		case err != nil:
			// A client closes its channels at the first error and would return errors for ever. A server
			// goes on unless it was closed.
			if !isServer || strings.Contains(err.Error(), "has closed the connection") {
				return
			}
		case message.MsgType < 0:
			connected = message.Status == "Connected"
			for _, waiting := range early {
				if connected {
					queue <- waiting
				}
			}
			early = nil
		case !echoing():
		case connected:
			queue <- outgoing{messageType: message.MsgType, data: message.Data}
		default:
			early = append(early, outgoing{messageType: message.MsgType, data: message.Data})
		}
	}
}

func echo(role, name, encryption string, messageSizeMax int) error {
	var end endpoint
	var err error
	switch role {
	case "server":
		end, err = startServer(name, encryption, messageSizeMax)
	case "client":
		end, err = startClient(name, encryption, 0)
	default:
		return errors.New("the role is server or client")
	}
	if err != nil {
		return err
	}
	queue := make(chan outgoing, queueLength)
	go writeAll(end, queue)
	var last error
	readAll(end, role == "server", queue, func() bool { return true }, func(message *ipc.Message, err error) {
		if err != nil {
			last = err
			fmt.Fprintln(os.Stderr, "golang-ipc:", err)
		} else if message.MsgType < 0 {
			fmt.Fprintln(os.Stderr, "golang-ipc:", message.Status)
		}
	})
	return last
}

func main() {
	if len(os.Args) == 1 {
		control(os.Stdin, os.Stdout)
		return
	}
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: goipc-adapter-go [server|client NAME required|optional|off MAX]")
		os.Exit(64)
	}
	messageSizeMax, err := strconv.Atoi(os.Args[4])
	if err == nil {
		err = echo(os.Args[1], os.Args[2], os.Args[3], messageSizeMax)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "goipc-adapter-go:", err)
		os.Exit(1)
	}
}
