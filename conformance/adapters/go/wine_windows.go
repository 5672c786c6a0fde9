// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"syscall"
)

// afterStart works around a difference between Wine and Windows. The listener that golang-ipc uses first makes
// an instance of the pipe that it never serves. Windows lets nobody connect to that one; Wine does, and such a
// client waits for ever. So under Wine this opens it first and holds it until the process ends.
func afterStart(name string) {
	if syscall.NewLazyDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil {
		return // this is Windows
	}
	if pipe, err := os.OpenFile(`\\.\pipe\`+name, os.O_RDWR, 0); err == nil {
		held = append(held, pipe)
	}
}

var held []*os.File
