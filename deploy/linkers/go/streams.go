package linker

import (
	"fmt"
	"time"
)

func (i *Instance) open(at *linked, id uint32, flags byte, payload []byte) error {
	if at.streams[id] != nil {
		return protocolError(fmt.Sprintf("stream %d opened twice", id))
	}
	if at.inUse >= at.lent {
		return protocolError(fmt.Sprintf("stream %d opened without an idle slot", id))
	}
	made := &stream{linked: at, id: id, credit: windowBytes}
	at.streams[id] = made
	at.inUse++
	i.inUse++
	i.waiting = append(i.waiting, made)
	if err := i.receive(made, payload); err != nil {
		return err
	}
	i.serveNext(flags&flagFresh != 0)
	return nil
}

// serveNext gives streams that wait to connections that are idle, or new. One waits while the code behind the last response still runs.
func (i *Instance) serveNext(fresh bool) {
	for len(i.waiting) > 0 {
		hasRoom := len(i.conns) < i.options.Concurrency
		var to *conn
		if last := len(i.idle) - 1; last >= 0 && !(fresh && hasRoom) {
			to = i.idle[last]
			i.idle = i.idle[:last]
		} else if hasRoom {
			to = newConn(i)
			i.conns[to] = true
			i.accepted <- to
		} else {
			return
		}
		next := i.waiting[0]
		i.waiting = i.waiting[1:]
		to.stream = next
		next.conn = to
		to.changed.Broadcast()
	}
}

func (i *Instance) receive(s *stream, payload []byte) error {
	if s.unread+s.untold+len(payload) > windowBytes {
		return protocolError(fmt.Sprintf("stream %d exceeds its window", s.id))
	}
	s.unread += len(payload)
	if len(payload) == 0 || s.isOver {
		return nil
	}
	if s.conn != nil && s.conn.isClosed {
		// As a kernel's RST: the application has closed both directions.
		i.free(s, resetAppClosed)
		return nil
	}
	s.chunks = append(s.chunks, payload)
	if s.conn != nil {
		s.conn.changed.Broadcast()
	}
	return nil
}

// nodeIsDone takes DONE and RESET. taken: how many bytes of the response the node took, -1: it does not say.
func (i *Instance) nodeIsDone(at *linked, id uint32, keeps bool, taken int) {
	s := at.streams[id]
	if s == nil || s.isOver {
		return
	}
	c := s.conn
	if keeps {
		i.gone(s)
		if c == nil || c.isClosed {
			return
		}
		c.stream = nil
		if taken == s.sent && len(s.chunks) == 0 && !s.saidEnd {
			i.idle = append(i.idle, c)
		} else {
			i.endConn(c)
		}
		i.serveNext(false)
		return
	}
	s.isOver = true
	s.chunks = nil
	if c == nil {
		i.stopWaiting(s)
	}
	if c == nil || c.isClosed {
		i.free(s, resetClosed)
		return
	}
	i.endConn(c)
}

func (i *Instance) endConn(c *conn) {
	c.isClosing = true
	c.changed.Broadcast()
}

func (i *Instance) stopWaiting(s *stream) {
	for at, each := range i.waiting {
		if each == s {
			i.waiting = append(i.waiting[:at:at], i.waiting[at+1:]...)
			return
		}
	}
}

// connClosed: the server is done with it, and with its request.
func (i *Instance) connClosed(c *conn) {
	delete(i.conns, c)
	for at, each := range i.idle {
		if each == c {
			i.idle = append(i.idle[:at:at], i.idle[at+1:]...)
			break
		}
	}
	s := c.stream
	switch {
	case s == nil:
	case s.isLost:
		i.orphaned--
		i.inUse--
		i.lend()
	case s.isOver:
		i.free(s, resetClosed)
	case !s.isRead && s.sent == 0 && !s.saidEnd:
		// The server closed it at the very moment of its reuse: another one serves.
		s.conn = nil
		i.waiting = append([]*stream{s}, i.waiting...)
	default:
		c.sayEnd()
	}
	i.serveNext(false)
	i.tell()
}

// free says that the stream is over, after which its slot is idle at the node.
func (i *Instance) free(s *stream, code int) {
	i.gone(s)
	s.linked.link.send(fReset, flagReached, s.id, number(code))
}

func (i *Instance) gone(s *stream) {
	delete(s.linked.streams, s.id)
	s.linked.inUse--
	i.inUse--
	i.quiet = time.Now()
	i.tell()
}
