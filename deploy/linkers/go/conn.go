package linker

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// stream is one request of a node. All of it is guarded by the instance's mutex.
type stream struct {
	linked *linked
	id     uint32
	// The node needs no more of it, and its slot is in use until the application has closed the connection.
	isOver bool
	// Its link broke.
	isLost bool
	// The node has sent END.
	hasEnded bool
	saidEnd  bool
	// Received and not read; read and not told; what may be sent; what was sent.
	unread, untold, credit, sent int
	isRead                       bool
	chunks                       [][]byte
	conn                         *conn
}

// conn is a connection that an http.Server serves: it carries one stream after the other, and nothing between them. There are never more of them
// than slots, so the application never has more requests than that.
type conn struct {
	instance *Instance
	stream   *stream
	// No other stream comes: the server reads EOF.
	isClosing bool
	// The server has closed it.
	isClosed                    bool
	changed                     *sync.Cond
	readDeadline, writeDeadline deadline
}

func newConn(instance *Instance) *conn {
	return &conn{instance: instance, changed: sync.NewCond(&instance.mu)}
}

func (c *conn) Read(into []byte) (int, error) {
	c.instance.mu.Lock()
	defer c.instance.mu.Unlock()
	for {
		s := c.stream
		switch {
		case c.isClosed:
			return 0, net.ErrClosed
		case c.readDeadline.isPast():
			return 0, os.ErrDeadlineExceeded
		case len(into) == 0:
			return 0, nil
		case s != nil && len(s.chunks) > 0 && !c.isClosing:
			return c.take(s, into), nil
		case c.isClosing || (s != nil && s.hasEnded):
			return 0, io.EOF
		}
		c.changed.Wait()
	}
}

func (c *conn) take(s *stream, into []byte) int {
	count := copy(into, s.chunks[0])
	if s.chunks[0] = s.chunks[0][count:]; len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	s.isRead = true
	s.unread -= count
	if s.untold += count; s.untold >= windowBytes/2 {
		s.linked.link.send(fWindow, 0, s.id, number(s.untold))
		s.untold = 0
	}
	return count
}

func (c *conn) Write(data []byte) (int, error) {
	c.instance.mu.Lock()
	defer c.instance.mu.Unlock()
	written := 0
	for written < len(data) {
		s := c.stream
		switch {
		case c.isClosed:
			return written, net.ErrClosed
		case c.isClosing || s == nil || s.saidEnd:
			return written, syscall.EPIPE
		case c.writeDeadline.isPast():
			return written, os.ErrDeadlineExceeded
		case s.credit == 0:
			c.changed.Wait()
			continue
		}
		count := len(data) - written
		if count > s.credit {
			count = s.credit
		}
		if count > payloadBytesMax {
			count = payloadBytesMax
		}
		s.linked.link.send(fData, 0, s.id, data[written:written+count])
		s.credit -= count
		s.sent += count
		written += count
	}
	return written, nil
}

// CloseWrite says that the application sends no more.
func (c *conn) CloseWrite() error {
	c.instance.mu.Lock()
	defer c.instance.mu.Unlock()
	c.sayEnd()
	return nil
}

func (c *conn) sayEnd() {
	if s := c.stream; s != nil && !s.saidEnd && !s.isOver && !s.isLost {
		s.saidEnd = true
		s.linked.link.send(fEnd, 0, s.id, nil)
	}
}

func (c *conn) Close() error {
	c.instance.mu.Lock()
	defer c.instance.mu.Unlock()
	if c.isClosed {
		return net.ErrClosed
	}
	c.isClosed = true
	c.readDeadline.stop()
	c.writeDeadline.stop()
	c.changed.Broadcast()
	c.instance.connClosed(c)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return addr{} }
func (c *conn) RemoteAddr() net.Addr { return addr{} }

func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.setDeadline(&c.readDeadline, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeDeadline, t) }

func (c *conn) setDeadline(which *deadline, t time.Time) error {
	c.instance.mu.Lock()
	defer c.instance.mu.Unlock()
	if c.isClosed {
		return net.ErrClosed
	}
	which.stop()
	which.at = t
	if !t.IsZero() {
		which.timer = time.AfterFunc(time.Until(t), func() {
			c.instance.mu.Lock()
			defer c.instance.mu.Unlock()
			c.changed.Broadcast()
		})
	}
	c.changed.Broadcast()
	return nil
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) isPast() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// addr is the linker's, as an application beside a linker would see it. The client's is in X-Forwarded-For.
type addr struct{}

func (addr) Network() string { return "tcp" }
func (addr) String() string  { return "127.0.0.1:0" }
