// The application that the conformance kit of pullproxy asks for, and a WebSocket echo by hand.
package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	linker "pullproxy.dev/linker"
)

var running, most atomic.Int64

func serve(w http.ResponseWriter, r *http.Request) {
	now := running.Add(1)
	defer running.Add(-1)
	for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
	}
	what, count, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	number, _ := strconv.Atoi(count)
	switch what {
	case "hello":
		io.WriteString(w, "hello")
	case "bytes":
		w.Header().Set("Content-Length", strconv.Itoa(number))
		w.Write(make([]byte, number))
	case "most":
		fmt.Fprint(w, most.Load())
	case "wait":
		time.Sleep(time.Duration(number) * time.Millisecond)
		io.WriteString(w, "waited")
	case "echo":
		if body, err := io.ReadAll(r.Body); err == nil {
			w.Write(body)
		}
	case "socket":
		echo(w, r)
	default:
		http.NotFound(w, r)
	}
}

// echo sends back the frames of a WebSocket (RFC 6455) as they come, short ones only.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, stream, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	digest := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	accept := base64.StdEncoding.EncodeToString(digest[:])
	fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept)
	for stream.Flush() == nil {
		kind, payload, err := readShort(stream.Reader)
		if err != nil {
			return
		}
		stream.Write([]byte{0x80 | kind, byte(len(payload))})
		stream.Write(payload)
		if kind == 8 {
			stream.Flush()
			return
		}
	}
}

func readShort(from *bufio.Reader) (byte, []byte, error) {
	var head [6]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return 0, nil, err
	}
	payload := make([]byte, head[1]&127)
	if len(payload) > 125 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	if _, err := io.ReadFull(from, payload); err != nil {
		return 0, nil, err
	}
	mask := binary.BigEndian.Uint32(head[2:])
	for at := range payload {
		payload[at] ^= byte(mask >> (24 - 8*(at%4)))
	}
	return head[0] & 15, payload, nil
}

func main() {
	concurrency := flag.Int("concurrency", 10, "requests that it gets at once")
	idle := flag.Duration("idle", 300*time.Second, "without a request for so long it leaves")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := linker.Serve(ctx, http.HandlerFunc(serve), linker.Options{Concurrency: *concurrency, IdleTimeout: *idle}); err != nil {
		log.Fatal(err)
	}
}
