// SPDX-License-Identifier: MIT

// Upstream golang-ipc as a contestant of the benchmark: the workloads and the line of JSON of
// ref/bench/harness.c, in two processes as there.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	ipc "github.com/james-barrow/golang-ipc"
)

const messageType = 1

type usage struct {
	CPU      float64
	Switches int64
	RSS      int64
}

type report struct{ Before, After usage }

// end is what both sides have in common.
type end struct {
	read  func() (*ipc.Message, error)
	write func(int, []byte) error
}

type run struct {
	workload    string
	size, count int
	encrypted   bool
	name        string
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "bench: %s: %v\n", what, err)
	os.Exit(1)
}

func usageNow() usage {
	var spent syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &spent); err != nil {
		fail("getrusage", err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)*1e-6 }
	var total, resident int64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		fmt.Sscan(string(text), &total, &resident)
	}
	return usage{seconds(spent.Utime) + seconds(spent.Stime), spent.Nvcsw + spent.Nivcsw,
		resident * int64(os.Getpagesize()) / 1024}
}

// receive waits for one message of the application.
func (e end) receive() []byte {
	for {
		message, err := e.read()
		if err != nil {
			fail("read", err)
		}
		if message.MsgType > 0 {
			return message.Data
		}
	}
}

func (e end) send(data []byte) {
	if err := e.write(messageType, data); err != nil {
		fail("write", err)
	}
}

func (e end) awaitConnected() { e.awaitStatus("Connected") }

func (e end) awaitStatus(status string) {
	for {
		message, err := e.read()
		if err != nil {
			fail("connect", err)
		}
		if message.Status == status {
			return
		}
	}
}

// serve is the child: it reports its usage on standard output.
func serve(r run, data []byte) {
	server, err := ipc.StartServer(r.name, &ipc.ServerConfig{Encryption: r.encrypted, MaxMsgSize: maxSize(r.size)})
	if err != nil {
		fail("server", err)
	}
	e := end{server.Read, server.Write}
	fmt.Println("listening")
	if r.workload == "handshake" {
		serveHandshakes(r, e)
		return
	}
	e.awaitConnected()
	e.send(append([]byte{}, e.receive()...))
	told := report{Before: usageNow()}
	switch r.workload {
	case "oneway":
		for i := 0; i < r.count; i++ {
			e.receive()
		}
		e.send([]byte{0})
	case "back":
		for i := 0; i < r.count; i++ {
			e.send(data)
		}
		e.receive()
	default:
		for i := 0; i < r.count; i++ {
			e.send(e.receive())
		}
	}
	told.After = usageNow()
	json.NewEncoder(os.Stdout).Encode(told)
	e.receive()
}

// serveHandshakes tells of each client that it has come, and that it has left: whoever leaves before the
// first, or comes before the second, makes a server of upstream's deaf for ever. It reports after the first, which is not measured, and after the last.
func serveHandshakes(r run, e end) {
	told := report{}
	for i := 0; i <= r.count; i++ {
		e.awaitStatus("Connected")
		fmt.Println("here")
		e.awaitStatus("Disconnected")
		if i == 0 {
			told.Before = usageNow()
		}
		fmt.Println("left")
	}
	told.After = usageNow()
	json.NewEncoder(os.Stdout).Encode(told)
}

func measureHandshakes(r run, replies *bufio.Reader) {
	hearLine := func() {
		if _, err := replies.ReadString('\n'); err != nil {
			fail("handshake", err)
		}
	}
	// Upstream's server closes a connection once more after it has told so, and by then it may be the
	// next one. It gets the time for that, which is not counted.
	once := func() time.Duration {
		defer time.Sleep(time.Millisecond)
		start := time.Now()
		client, err := ipc.StartClient(r.name, &ipc.ClientConfig{Encryption: r.encrypted})
		if err != nil {
			fail("client", err)
		}
		end{client.Read, client.Write}.awaitStatus("Connected")
		hearLine()
		client.Close()
		hearLine()
		return time.Since(start)
	}
	once()
	mine := report{Before: usageNow()}
	seconds := 0.0
	for i := 0; i < r.count; i++ {
		seconds += once().Seconds()
	}
	mine.After = usageNow()
	json.NewEncoder(os.Stdout).Encode(result(r, seconds, mine, hear(replies)))
}

func hear(replies *bufio.Reader) report {
	var theirs report
	line, err := replies.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &theirs)
	}
	if err != nil {
		fail("report", err)
	}
	return theirs
}

func result(r run, seconds float64, mine, theirs report) map[string]interface{} {
	return map[string]interface{}{
		"messages": r.count, "seconds": seconds,
		"cpu_client_s": mine.After.CPU - mine.Before.CPU, "cpu_server_s": theirs.After.CPU - theirs.Before.CPU,
		"switches_client": mine.After.Switches - mine.Before.Switches,
		"switches_server": theirs.After.Switches - theirs.Before.Switches,
		"rss_client_kib":  mine.After.RSS, "rss_server_kib": theirs.After.RSS,
		"rss_server_before_kib": theirs.Before.RSS,
	}
}

func maxSize(size int) int {
	if size < 3145728 {
		return 3145728
	}
	return size
}

func measure(r run, data []byte, replies *bufio.Reader) {
	client, err := ipc.StartClient(r.name, &ipc.ClientConfig{Encryption: r.encrypted})
	if err != nil {
		fail("client", err)
	}
	e := end{client.Read, client.Write}
	e.awaitConnected()
	e.send(data)
	e.receive()
	latencies := make([]float64, 0, r.count)
	mine := report{Before: usageNow()}
	start := time.Now()
	switch r.workload {
	case "oneway":
		for i := 0; i < r.count; i++ {
			e.send(data)
		}
		e.receive()
	case "back":
		for i := 0; i < r.count; i++ {
			e.receive()
		}
		e.send([]byte{0})
	default:
		for i := 0; i < r.count; i++ {
			at := time.Now()
			e.send(data)
			e.receive()
			latencies = append(latencies, float64(time.Since(at).Nanoseconds())/1e3)
		}
	}
	seconds := time.Since(start).Seconds()
	mine.After = usageNow()
	told := result(r, seconds, mine, hear(replies))
	if len(latencies) > 0 {
		sort.Float64s(latencies)
		told["p50_us"] = latencies[len(latencies)/2]
		told["p99_us"] = latencies[len(latencies)*99/100]
	}
	json.NewEncoder(os.Stdout).Encode(told)
	e.send([]byte{0})
}

// startServing starts this program again as the serving process and waits until it listens.
func startServing(r run) (*exec.Cmd, *bufio.Reader) {
	child := exec.Command(os.Args[0], os.Args[1:]...)
	child.Env = append(os.Environ(), "GOIPC_BENCH_NAME="+r.name)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		fail("start", err)
	}
	replies := bufio.NewReader(output)
	if _, err := replies.ReadString('\n'); err != nil && err != io.EOF {
		fail("start", err)
	}
	return child, replies
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintf(os.Stderr, "usage: %s oneway|back|roundtrip|handshake SIZE COUNT [encrypted=0|1]\n", os.Args[0])
		os.Exit(2)
	}
	r := run{workload: os.Args[1], name: fmt.Sprintf("goipc-bench-%d", os.Getpid())}
	r.size, _ = strconv.Atoi(os.Args[2])
	r.count, _ = strconv.Atoi(os.Args[3])
	for _, argument := range os.Args[4:] {
		if strings.HasPrefix(argument, "encrypted=") {
			r.encrypted = argument == "encrypted=1"
		}
	}
	data := make([]byte, r.size)
	if name := os.Getenv("GOIPC_BENCH_NAME"); name != "" {
		r.name = name
		serve(r, data)
		return
	}
	child, replies := startServing(r)
	if r.workload == "handshake" {
		measureHandshakes(r, replies)
	} else {
		measure(r, data, replies)
	}
	child.Wait()
	os.Remove("/tmp/" + r.name + ".sock")
}
