// SPDX-License-Identifier: MIT

//go:build !windows

package peer

// afterStart has work only under Wine, see wine_windows.go.
func afterStart(string) {}
