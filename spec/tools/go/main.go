// SPDX-License-Identifier: MIT

// Command govectors checks the vectors in spec/vectors with Go's own cryptography and the very calls
// that golang-ipc makes: elliptic.Unmarshal, ScalarMult, big.Int.Bytes, cipher.NewGCM. It shares
// nothing with the generator of the vectors. Standard library only.
//
// usage: govectors DIRECTORY
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
)

// hexBytes is a string of bytes as the files hold it.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(in []byte) error {
	var text string
	if err := json.Unmarshal(in, &text); err != nil {
		return err
	}
	out, err := hex.DecodeString(text)
	*h = out
	return err
}

type message struct {
	From  string
	Name  string
	Wire  hexBytes
	Nonce hexBytes
	Limit uint32
	Type  uint32
	Data  hexBytes
}

type side struct {
	Private hexBytes
	Public  hexBytes
}

type test struct {
	ID           string
	Private      hexBytes
	Public       hexBytes
	Peer         hexBytes
	X            hexBytes
	Key          hexBytes
	KeyFixed48   hexBytes `json:"key_fixed48"`
	Result       string
	Nonce        hexBytes
	Type         uint32
	Data         hexBytes
	Wire         hexBytes
	Sealed       bool
	Forms        struct{ Server, Client string }
	Server       side
	Client       side
	Messages     []message
	ServerStream hexBytes `json:"server_stream"`
	ClientStream hexBytes `json:"client_stream"`
	Count        int
	Digest       hexBytes
	Limit        uint32
	Consumed     int
	Error        string
}

type file struct {
	TestGroups []struct {
		Type  string
		Key   hexBytes
		Limit uint32
		Mode  string
		Tests []test
	}
}

var curve = elliptic.P384()

var passed, failed int

func check(id string, ok bool, what string) {
	if ok {
		passed++
		return
	}
	failed++
	fmt.Printf("FAIL %s: %s\n", id, what)
}

func u32(n uint32) []byte {
	out := make([]byte, 4)
	binary.BigEndian.PutUint32(out, n)
	return out
}

// sharedX is what golang-ipc hashes: the bytes of a big number, without leading zeros.
func sharedX(private, peer []byte) []byte {
	x, y := elliptic.Unmarshal(curve, peer)
	if x == nil {
		return nil
	}
	shared, _ := curve.ScalarMult(x, y, private)
	return append([]byte{}, shared.Bytes()...)
}

func publicKey(private []byte) []byte {
	x, y := curve.ScalarBaseMult(private)
	return elliptic.Marshal(curve, x, y)
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

func sum(in []byte) []byte {
	out := sha256.Sum256(in)
	return out[:]
}

func frame(body []byte) []byte {
	return append(u32(uint32(len(body))), body...)
}

func seal(key, nonce, text []byte) []byte {
	return frame(newGCM(key).Seal(append([]byte{}, nonce...), nonce, text, nil))
}

// open gives the text of a sealed frame, length included, or nil.
func open(key, wire []byte) []byte {
	body := wire[4:]
	if len(body) < 32 {
		return nil
	}
	text, err := newGCM(key).Open(nil, body[:12], body[12:], nil)
	if err != nil {
		return nil
	}
	return text
}

func checkKDF(t test) {
	stripped := sharedX(t.Private, t.Peer)
	padded := new(big.Int).SetBytes(stripped).FillBytes(make([]byte, 48))
	check(t.ID, stripped != nil && bytes.Equal(padded, t.X), "x")
	check(t.ID, bytes.Equal(sum(stripped), t.Key), "key")
	check(t.ID, bytes.Equal(sum(padded), t.KeyFixed48), "key_fixed48")
	check(t.ID, bytes.Equal(publicKey(t.Private), t.Public), "public")
}

func checkPoint(t test) {
	x, _ := elliptic.Unmarshal(curve, t.Peer)
	check(t.ID, (x != nil) == (t.Result == "valid"), "validity")
}

func checkSeal(t test) {
	text := open(t.Key, t.Wire)
	if t.Result != "valid" {
		check(t.ID, text == nil, "opens")
		return
	}
	want := append(u32(t.Type), t.Data...)
	check(t.ID, bytes.Equal(text, want), "open")
	check(t.ID, bytes.Equal(seal(t.Key, t.Nonce, want), t.Wire), "seal")
}

func checkFrame(t test) {
	if t.Result != "message" && t.Result != "discard" {
		return
	}
	wire := frame(append(u32(t.Type), t.Data...))
	check(t.ID, len(wire) == t.Consumed && bytes.HasPrefix(t.Wire, wire), "encoding")
}

func checkLimit(key []byte, t test) {
	if t.Result != "limit" {
		return
	}
	text := []byte(t.Wire[4:])
	if key != nil {
		text = open(key, t.Wire)
	}
	check(t.ID, bytes.Equal(text, u32(t.Limit)), "limit")
}

// checkTranscript derives the keys from the private keys and opens or builds every message.
func checkTranscript(t test) {
	var server, client []byte
	for _, m := range t.Messages {
		if m.From == "server" {
			server = append(server, m.Wire...)
		} else {
			client = append(client, m.Wire...)
		}
	}
	check(t.ID, bytes.Equal(server, t.ServerStream), "server_stream")
	check(t.ID, bytes.Equal(client, t.ClientStream), "client_stream")
	keys := map[string][]byte{}
	if t.Key != nil {
		stripped := sharedX(t.Server.Private, t.Client.Public)
		check(t.ID, bytes.Equal(stripped, sharedX(t.Client.Private, t.Server.Public)), "agreement")
		for role, form := range map[string]string{"server": t.Forms.Server, "client": t.Forms.Client} {
			keys[role] = sum(stripped)
			if form == "fixed-48" {
				keys[role] = sum(new(big.Int).SetBytes(stripped).FillBytes(make([]byte, 48)))
			}
		}
	}
	for _, m := range t.Messages {
		switch m.Name {
		case "SERVER_KEY":
			check(t.ID, bytes.Equal(publicKey(t.Server.Private), m.Wire), m.Name)
		case "CLIENT_KEY":
			check(t.ID, bytes.Equal(publicKey(t.Client.Private), m.Wire), m.Name)
		case "LIMIT", "FRAME":
			text := u32(m.Limit)
			if m.Name == "FRAME" {
				text = append(u32(m.Type), m.Data...)
			}
			wire := frame(text)
			if t.Sealed {
				wire = seal(keys[m.From], m.Nonce, text)
			}
			check(t.ID, bytes.Equal(wire, m.Wire), m.Name)
			// Whoever hashes 48 bytes wins: the other side follows.
			if t.Sealed && m.From == "server" && t.Forms.Server == "fixed-48" {
				keys["client"] = keys["server"]
			}
			if t.Sealed && m.From == "client" {
				keys["server"] = keys["client"]
			}
		}
	}
}

func accumulatedBytes(i int, label string, size int) []byte {
	var out []byte
	for counter := uint32(0); len(out) < size; counter++ {
		in := append([]byte("goipc accumulated 1"+label), u32(uint32(i))...)
		out = append(out, sum(append(in, u32(counter)...))...)
	}
	return out[:size]
}

func accumulate(count int) []byte {
	digest := make([]byte, 32)
	for i := 0; i < count; i++ {
		x := accumulatedBytes(i, "x", 48)
		copy(x, make([]byte, i%49))
		if i%100 == 99 {
			a, b := accumulatedBytes(i, "a", 48), accumulatedBytes(i, "b", 48)
			a[0] &= 0x7f
			b[0] &= 0x7f
			x = sharedX(a, publicKey(b))
		}
		key := sum(new(big.Int).SetBytes(x).Bytes())
		kind := binary.BigEndian.Uint32(accumulatedBytes(i, "t", 4))
		if kind == 0 {
			kind = 1
		}
		size := binary.BigEndian.Uint32(accumulatedBytes(i, "s", 4)) % 300
		text := append(u32(kind), accumulatedBytes(i, "d", int(size))...)
		all := append(append(append([]byte{}, digest...), key...), frame(text)...)
		digest = sum(append(all, seal(key, accumulatedBytes(i, "n", 12), text)...))
	}
	return digest
}

func load(directory, name string) file {
	var out file
	in, err := os.ReadFile(filepath.Join(directory, name+".json"))
	if err == nil {
		err = json.Unmarshal(in, &out)
	}
	if err != nil {
		check(name, false, err.Error())
	}
	return out
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: govectors DIRECTORY")
		os.Exit(2)
	}
	for _, name := range []string{"kdf", "point", "seal", "frame", "limit", "transcript", "accumulated"} {
		for _, group := range load(os.Args[1], name).TestGroups {
			for _, t := range group.Tests {
				switch group.Type {
				case "KdfTest":
					checkKDF(t)
				case "PointTest":
					checkPoint(t)
				case "SealTest":
					checkSeal(t)
				case "FrameTest":
					checkFrame(t)
				case "LimitTest":
					checkLimit(group.Key, t)
				case "TranscriptTest":
					checkTranscript(t)
				case "AccumulatedTest":
					check(t.ID, bytes.Equal(accumulate(t.Count), t.Digest), "digest")
				}
			}
		}
	}
	if passed == 0 {
		check("all", false, "nothing was checked")
	}
	fmt.Printf("%d passed, %d failed, 0 skipped\n", passed, failed)
	if failed != 0 {
		os.Exit(1)
	}
}
