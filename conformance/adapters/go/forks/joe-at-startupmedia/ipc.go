// SPDX-License-Identifier: MIT

// Package ipc offers the fork joe-at-startupmedia/golang-ipc under the names of the library it comes from, so that
// the adapter is the same for both, see joe-at-startupmedia.mod. It mends nothing; it waits in the background where
// the fork waits in the foreground, leaves out a status that is older than the connection, and keeps the fork's log,
// which goes to standard output, out of the replies.
package ipc

import (
	"errors"
	"os"
	"time"

	fork "github.com/joe-at-startupmedia/golang-ipc"
)

// Message is what Read gives; the fork's type has the same fields.
type Message = fork.Message

// ServerConfig holds those settings of golang-ipc that the adapter uses.
type ServerConfig struct {
	Encryption bool
	MaxMsgSize int
}

// ClientConfig holds those settings of golang-ipc that the adapter uses.
type ClientConfig struct {
	Encryption bool
	Timeout    float64       // seconds; 0 for none
	RetryTimer time.Duration // counts seconds
}

// errNoConfig stands for the nil pointer panic with which the fork answers a missing configuration.
var errNoConfig = errors.New("the fork does not start without a configuration")

// StartServer opens a server.
func StartServer(name string, config *ServerConfig) (*fork.Server, error) {
	os.Stdout = os.Stderr
	if config == nil {
		return nil, errNoConfig
	}
	return fork.StartServer(&fork.ServerConfig{
		Name: name, Encryption: config.Encryption, MaxMsgSize: config.MaxMsgSize, LogLevel: "error",
	})
}

// Client is a client that may still be connecting.
type Client struct {
	started chan struct{} // closed when the fork has connected or given up
	client  *fork.Client
	err     error
}

// StartClient returns at once, as golang-ipc does; the fork connects meanwhile.
func StartClient(name string, config *ClientConfig) (*Client, error) {
	os.Stdout = os.Stderr
	if name == "" {
		return nil, errors.New("ipcName cannot be an empty string") // the fork says so, too, but only later
	}
	if config == nil {
		return nil, errNoConfig
	}
	c := &Client{started: make(chan struct{})}
	go func() {
		defer close(c.started)
		c.client, c.err = fork.StartClient(&fork.ClientConfig{
			Name: name, Encryption: config.Encryption, LogLevel: "error",
			Timeout:    time.Duration(config.Timeout * float64(time.Second)),
			RetryTimer: config.RetryTimer * time.Second,
		})
	}()
	return c, nil
}

// Read waits for the connection first. The fork reports every change of its status from a goroutine of its own, so
// that "Connecting" may come after "Connected"; by the time StartClient has returned it is old news and left out.
func (c *Client) Read() (*Message, error) {
	<-c.started
	if c.err != nil {
		return nil, c.err
	}
	for {
		message, err := c.client.Read()
		if err != nil || message.MsgType >= 0 || message.Status != fork.Connecting.String() {
			return message, err
		}
	}
}

// Write waits for the connection first.
func (c *Client) Write(messageType int, message []byte) error {
	<-c.started
	if c.err != nil {
		return c.err
	}
	return c.client.Write(messageType, message)
}

// Close ends the connection. The fork cannot be told to stop connecting; its timeout ends that.
func (c *Client) Close() {
	select {
	case <-c.started:
		if c.err == nil {
			c.client.Close()
		}
	default:
	}
}
