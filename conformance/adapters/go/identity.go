// SPDX-License-Identifier: MIT

//go:build !joe

package main

// What the library is called, and what it can do; identity_joe.go says so of a fork.
const (
	libraryName    = "golang-ipc"
	libraryVersion = "1.2.4"
	libraryPage    = "https://github.com/james-barrow/golang-ipc"
)

// The client takes whatever the server offers when it does not insist on encryption.
var capabilities = []string{"enc", "plain", "enc-optional", "enc-default", "reconnect"}
