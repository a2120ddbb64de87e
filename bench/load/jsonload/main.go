// Load on a JSON gateway over keep-alive connections: one request at a time on each, from one thread over
// epoll, so that it costs as little as a generator can on a machine that it shares with the servers.
//
//	GO111MODULE=off go build -o /tmp/jsonload bench/load/jsonload/main.go
//	/tmp/jsonload -endpoints 127.0.0.1:2379 -pids 4711 -mode put -callers 100 -total 100000
//
// Prints one line of JSON: rate, latencies in milliseconds, CPU in microseconds for each request.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

var (
	endpoints = flag.String("endpoints", "127.0.0.1:2379", "host:port,...; connection i goes to i mod N")
	pids      = flag.String("pids", "", "of the servers, for their CPU")
	mode      = flag.String("mode", "put", "put, range, serializable or txn")
	callers   = flag.Int("callers", 100, "connections, each with one request under way")
	total     = flag.Int("total", 100000, "requests that are measured")
	warmup    = flag.Int("warmup", 10000, "requests before them")
	keys      = flag.Int("keys", 10000, "different keys of 8 bytes")
	valueSize = flag.Int("value-size", 256, "bytes")
	label     = flag.String("label", "", "is printed")
	seed      = flag.Int64("seed", 1, "of keys and values")
)

type conn struct {
	fd     int
	in     []byte
	length int
	sentAt time.Time
}

type load struct {
	epoll     int
	conns     []*conn // by fd; most are nil
	requests  [][]byte
	random    *rand.Rand
	sent      int
	done      int
	want      int
	failed    int
	bytes     int
	latencies []time.Duration
}

func main() {
	flag.Parse()
	l := &load{random: rand.New(rand.NewSource(*seed))}
	must(l.connect())
	l.requests = requestsOf("put")
	l.run(*keys, true)
	l.requests = requestsOf(*mode)
	l.run(*warmup, false)
	before, own := cpu(*pids), cpu(strconv.Itoa(os.Getpid()))
	begin := time.Now()
	l.run(*total, false)
	took := time.Since(begin).Seconds()
	perCall := func(after, before float64) float64 { return (after - before) * 1e6 / float64(*total) }
	sort.Slice(l.latencies, func(i, j int) bool { return l.latencies[i] < l.latencies[j] })
	at := func(share float64) float64 {
		return float64(l.latencies[int(share*float64(len(l.latencies)-1))]) / 1e6
	}
	out, err := json.Marshal(map[string]any{
		"label": *label, "mode": *mode, "callers": *callers, "total": *total, "failed": l.failed,
		"perSec": int(float64(*total) / took), "p50Ms": at(0.5), "p99Ms": at(0.99),
		"serverCpuUs":    perCall(cpu(*pids), before),
		"generatorCpuUs": perCall(cpu(strconv.Itoa(os.Getpid())), own),
		"answerBytes":    l.bytes / *total,
	})
	must(err)
	fmt.Println(string(out))
	if l.failed > 0 {
		os.Exit(1)
	}
}

// Every request is made before the clock runs.
func requestsOf(mode string) [][]byte {
	random := rand.New(rand.NewSource(*seed))
	value := make([]byte, *valueSize)
	requests := make([][]byte, *keys)
	for i := range requests {
		random.Read(value)
		key := base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("k%07d", i)))
		text := base64.StdEncoding.EncodeToString(value)
		path, body := "/v3/kv/range", fmt.Sprintf(`{"key":"%s"}`, key)
		switch mode {
		case "put":
			path, body = "/v3/kv/put", fmt.Sprintf(`{"key":"%s","value":"%s"}`, key, text)
		case "serializable":
			body = fmt.Sprintf(`{"key":"%s","serializable":true}`, key)
		case "txn":
			path = "/v3/kv/txn"
			body = fmt.Sprintf(`{"compare":[{"key":"%s","target":"VERSION","result":"GREATER","version":"0"}],`+
				`"success":[{"request_put":{"key":"%s","value":"%s"}}]}`, key, key, text)
		}
		requests[i] = []byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: jsonload\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body))
	}
	return requests
}

func (l *load) connect() error {
	var err error
	if l.epoll, err = syscall.EpollCreate1(0); err != nil {
		return err
	}
	hosts := strings.Split(*endpoints, ",")
	for i := 0; i < *callers; i++ {
		address, err := net.ResolveTCPAddr("tcp4", hosts[i%len(hosts)])
		if err != nil {
			return err
		}
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		to := syscall.SockaddrInet4{Port: address.Port}
		copy(to.Addr[:], address.IP.To4())
		if err = syscall.Connect(fd, &to); err != nil {
			return err
		}
		if err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
			return err
		}
		if err = syscall.SetNonblock(fd, true); err != nil {
			return err
		}
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
		if err = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
			return err
		}
		for len(l.conns) <= fd {
			l.conns = append(l.conns, nil)
		}
		l.conns[fd] = &conn{fd: fd, in: make([]byte, 1<<16)}
	}
	return nil
}

// In order: each key once, by number; otherwise at random.
func (l *load) run(count int, inOrder bool) {
	l.sent, l.done, l.want, l.bytes = 0, 0, count, 0
	l.latencies = make([]time.Duration, 0, count)
	now := time.Now()
	for _, c := range l.conns {
		if c != nil {
			l.send(c, now, inOrder)
		}
	}
	events := make([]syscall.EpollEvent, *callers)
	for l.done < l.want {
		n, err := syscall.EpollWait(l.epoll, events, 10_000)
		if err == syscall.EINTR {
			continue
		}
		must(err)
		if n == 0 {
			panic("nothing came for ten seconds")
		}
		for _, event := range events[:n] {
			c := l.conns[event.Fd]
			if l.receive(c) {
				now := time.Now()
				l.latencies = append(l.latencies, now.Sub(c.sentAt))
				l.send(c, now, inOrder)
			}
		}
	}
}

func (l *load) send(c *conn, now time.Time, inOrder bool) {
	if l.sent == l.want {
		return
	}
	which := l.sent % len(l.requests)
	if !inOrder {
		which = l.random.Intn(len(l.requests))
	}
	l.sent++
	c.sentAt = now
	n := call(syscall.SYS_WRITE, c.fd, l.requests[which])
	if n != len(l.requests[which]) {
		panic("a request did not fit the socket's buffer")
	}
}

// No socket blocks, so Go's scheduler need not hear of the call.
func call(trap uintptr, fd int, bytes []byte) int {
	at := uintptr(unsafe.Pointer(&bytes[0]))
	n, _, errno := syscall.RawSyscall(trap, uintptr(fd), at, uintptr(len(bytes)))
	if errno != 0 {
		panic(errno)
	}
	return int(n)
}

var (
	headEnd = []byte("\r\n\r\n")
	// Of Content-Length in any spelling that servers use; of no other field that they send.
	lengthName = []byte("ength: ")
	ok         = []byte("HTTP/1.1 200 ")
)

// Answers have a length; true when one is complete.
func (l *load) receive(c *conn) bool {
	if c.length == len(c.in) {
		panic("an answer is larger than the room for it")
	}
	n := call(syscall.SYS_READ, c.fd, c.in[c.length:])
	if n == 0 {
		panic("the server closed a connection")
	}
	c.length += n
	end := bytes.Index(c.in[:c.length], headEnd)
	if end < 0 {
		return false
	}
	at := bytes.Index(c.in[:end], lengthName)
	if at < 0 {
		panic("an answer without a length: " + string(c.in[:c.length]))
	}
	length := 0
	for _, digit := range c.in[at+len(lengthName) : end+1] {
		if digit == '\r' {
			break
		}
		length = length*10 + int(digit-'0')
	}
	if c.length < end+4+length {
		return false
	}
	if !bytes.HasPrefix(c.in, ok) {
		if l.failed++; l.failed < 5 {
			fmt.Fprintln(os.Stderr, string(c.in[:c.length]))
		}
	}
	l.bytes += c.length
	c.length = 0
	l.done++
	return true
}

// User and system seconds of all threads.
func cpu(pids string) float64 {
	ticks := 0
	for _, pid := range strings.Split(pids, ",") {
		if pid == "" {
			continue
		}
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		must(err)
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
		for _, field := range fields[11:13] {
			n, err := strconv.Atoi(field)
			must(err)
			ticks += n
		}
	}
	return float64(ticks) / 100
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
