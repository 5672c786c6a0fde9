// SPDX-License-Identifier: MIT

// Command goipc-interop-joe-at-startupmedia is one side of an interoperability run by this fork of golang-ipc,
// unmodified. Its client sends its public key without waiting for the server's. Package peer says what the
// program does.
package main

import (
	ipc "github.com/joe-at-startupmedia/golang-ipc"

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
	server, err := ipc.StartServer(&ipc.ServerConfig{
		Name: name, Encryption: encryption == "on", MaxMsgSize: messageSizeMax, LogLevel: "error",
	})
	return endpoint{server}, err
}

func startClient(name, encryption string) (peer.Endpoint, error) {
	client, err := ipc.StartClient(&ipc.ClientConfig{Name: name, Encryption: encryption == "on", LogLevel: "error"})
	return endpoint{client}, err
}

func main() {
	peer.Main(peer.Library{StartServer: startServer, StartClient: startClient})
}
