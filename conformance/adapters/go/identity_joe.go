// SPDX-License-Identifier: MIT

//go:build joe

package main

const (
	libraryName    = "golang-ipc joe-at-startupmedia"
	libraryVersion = "1.3.5"
	libraryPage    = "https://github.com/joe-at-startupmedia/golang-ipc"
)

// Without encryption this client takes no notice of the server's flag, so that it cannot follow the server;
// and without any configuration the fork does not start.
var capabilities = []string{"enc", "plain", "reconnect"}
