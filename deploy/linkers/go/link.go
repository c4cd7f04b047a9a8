package linker

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	handshakeTime = 5 * time.Second
	pingAfter     = time.Second
	deadAfter     = 3 * time.Second
	// A node that does not read fills no memory: payloads are bound by windows, and all else is small.
	queuedBytesMax = 64 << 20
)

// link is one connection to a node that has proved the secret. Frames are queued and leave together.
type link struct {
	conn    net.Conn
	reader  *bufio.Reader
	node    string
	address string

	mu      sync.Mutex
	queued  []byte
	wake    chan struct{}
	isDown  bool
	done    chan struct{}
	heardAt atomic.Int64
	saidAt  atomic.Int64
}

func dial(ctx context.Context, address string, said hello, secret string, secure *tls.Config) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-ctx.Done():
			conn.SetDeadline(time.Unix(1, 0))
		case <-stop:
		}
	}()
	made, err := shake(conn, address, said, secret, secure)
	if err != nil {
		var wrong protocolError
		if errors.As(err, &wrong) {
			conn.Write(appendFrame(nil, fRefuse, 0, 0, jsonOf(refusal{err.Error()})))
		}
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return made, nil
}

func shake(conn net.Conn, address string, said hello, secret string, secure *tls.Config) (*link, error) {
	var channel []byte
	if secure != nil {
		config := secure.Clone()
		config.MinVersion = tls.VersionTLS13
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
		client := tls.Client(conn, config)
		if err := client.Handshake(); err != nil {
			return nil, err
		}
		exporter := client.ConnectionState()
		var err error
		if channel, err = exporter.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32); err != nil {
			return nil, err
		}
		conn = client
	}
	made := &link{conn: conn, reader: bufio.NewReaderSize(conn, 65_536), address: address, wake: make(chan struct{}, 1), done: make(chan struct{})}
	said.Nonce = random(24)
	helloBytes := jsonOf(said)
	if _, err := conn.Write(appendFrame(nil, fHello, 0, 0, helloBytes)); err != nil {
		return nil, err
	}
	challengeBytes, err := made.expect(fChallenge)
	if err != nil {
		return nil, err
	}
	var asked challenge
	if err := json.Unmarshal(challengeBytes, &asked); err != nil || asked.V != 2 || asked.Node == "" {
		return nil, protocolError("CHALLENGE without a protocol version that this linker knows")
	}
	made.node = asked.Node
	shown := jsonOf(proof{prove(secret, "linker", helloBytes, challengeBytes, channel)})
	if _, err := conn.Write(appendFrame(nil, fProof, 0, 0, shown)); err != nil {
		return nil, err
	}
	welcome, err := made.expect(fWelcome)
	if err != nil {
		return nil, err
	}
	var answer proof
	json.Unmarshal(welcome, &answer)
	if !hmac.Equal([]byte(answer.Proof), []byte(prove(secret, "node", helloBytes, challengeBytes, channel))) {
		return nil, protocolError("the node does not know the secret")
	}
	return made, nil
}

func (l *link) expect(kind byte) ([]byte, error) {
	read, err := readFrame(l.reader, handshakePayloadBytesMax)
	if err != nil {
		return nil, err
	}
	if read.kind == fRefuse {
		return nil, refused(read.payload)
	}
	if read.kind != kind {
		return nil, protocolError(fmt.Sprintf("frame type %d in the handshake", read.kind))
	}
	return read.payload, nil
}

func refused(payload []byte) error {
	var said refusal
	json.Unmarshal(payload, &said)
	return fmt.Errorf("refused by the node: %.200s", said.Reason)
}

// run reads frames until the link ends, and says why it did.
func (l *link) run(take func(frame) error) error {
	now := time.Now().UnixNano()
	l.heardAt.Store(now)
	l.saidAt.Store(now)
	go l.write()
	go l.watch()
	err := l.read(take)
	var wrong protocolError
	if errors.As(err, &wrong) {
		l.send(fRefuse, 0, 0, jsonOf(refusal{err.Error()}))
	}
	l.close()
	return err
}

func (l *link) read(take func(frame) error) error {
	for {
		got, err := readFrame(l.reader, payloadBytesMax)
		if err != nil {
			return err
		}
		l.heardAt.Store(time.Now().UnixNano())
		switch got.kind {
		case fPing:
			l.mu.Lock()
			reads := len(l.queued) < payloadBytesMax
			l.mu.Unlock()
			if reads {
				l.send(fPong, 0, 0, nil)
			}
		case fPong:
		case fRefuse:
			return refused(got.payload)
		default:
			if err := take(got); err != nil {
				return err
			}
		}
	}
}

// send queues a frame; it never waits.
func (l *link) send(kind, flags byte, stream uint32, payload []byte) {
	l.mu.Lock()
	if !l.isDown {
		l.queued = appendFrame(l.queued, kind, flags, stream, payload)
	}
	tooMuch := len(l.queued) > queuedBytesMax
	l.mu.Unlock()
	if tooMuch {
		l.conn.Close()
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *link) write() {
	var spare []byte
	for {
		select {
		case <-l.wake:
		case <-l.done:
			return
		}
		l.mu.Lock()
		out := l.queued
		l.queued = spare[:0]
		l.mu.Unlock()
		if len(out) > 0 {
			l.saidAt.Store(time.Now().UnixNano())
			if _, err := l.conn.Write(out); err != nil {
				l.conn.Close()
			}
		}
		if spare = out; cap(spare) > 1<<20 {
			spare = nil
		}
	}
}

func (l *link) watch() {
	const step = 250 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	ticked := time.Now()
	for {
		select {
		case <-l.done:
			return
		case <-ticker.C:
		}
		now := time.Now()
		// A pause of this process says nothing about the node.
		if late := now.Sub(ticked) - step; late > step {
			l.heardAt.Add(int64(late))
		}
		ticked = now
		if now.UnixNano()-l.heardAt.Load() >= int64(deadAfter) {
			l.conn.Close()
		} else if now.UnixNano()-l.saidAt.Load() >= int64(pingAfter) {
			l.send(fPing, 0, 0, nil)
		}
	}
}

// close ends the link; what was queued still leaves.
func (l *link) close() {
	l.mu.Lock()
	if l.isDown {
		l.mu.Unlock()
		return
	}
	l.isDown = true
	out := l.queued
	l.queued = nil
	l.mu.Unlock()
	close(l.done)
	go func() {
		l.conn.SetWriteDeadline(time.Now().Add(time.Second))
		l.conn.Write(out)
		l.conn.Close()
	}()
}
