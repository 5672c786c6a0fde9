// SPDX-License-Identifier: MIT

//go:build !windows

package main

// afterStart has work only under Wine, see wine_windows.go.
func afterStart(string) {}
