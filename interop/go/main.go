// SPDX-License-Identifier: MIT

// Command goipc-interop-golang-ipc is one side of an interoperability run by upstream golang-ipc, unmodified.
// Package peer says what it does.
package main

import (
	ipc "github.com/james-barrow/golang-ipc"

	"goipc-interop/peer"
)

type actor interface {
	Read() (*ipc.Message, error)
	Write(messageType int, data []byte) error
	Close()
}

type endpoint struct{ actor }

func (e endpoint) Read() (peer.Message, error) {
	message, err := e.actor.Read()
	if err != nil {
		return peer.Message{}, err
	}
	return peer.Message{Type: message.MsgType, Data: message.Data, Status: message.Status}, nil
}

func startServer(name, encryption string, messageSizeMax int) (peer.Endpoint, error) {
	server, err := ipc.StartServer(name, &ipc.ServerConfig{Encryption: encryption == "on", MaxMsgSize: messageSizeMax})
	return endpoint{server}, err
}

func startClient(name, encryption string) (peer.Endpoint, error) {
	// RetryTimer counts seconds although its type is time.Duration.
	client, err := ipc.StartClient(name, &ipc.ClientConfig{Encryption: encryption == "on", RetryTimer: 1})
	return endpoint{client}, err
}

func main() {
	peer.Main(peer.Library{StartServer: startServer, StartClient: startClient})
}
