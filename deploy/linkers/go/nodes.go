package linker

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"time"
)

const (
	linksMax     = 64
	moveTime     = 5 * time.Second
	dialTime     = handshakeTime
	backoffMin   = 50 * time.Millisecond
	backoffMax   = 5 * time.Second
	settledAfter = time.Second
)

// linked is a node as this instance counts it.
type linked struct {
	link        *link
	addresses   map[string]bool
	lent, inUse int
	isLeaving   bool
	isDismissed bool
	isDown      bool
	streams     map[uint32]*stream
	idleSince   time.Time
}

func (l *linked) takeBack(count int) error {
	if count < 1 || count > l.lent-l.inUse {
		return protocolError(fmt.Sprintf("%d slots returned, %d are idle there", count, l.lent-l.inUse))
	}
	l.lent -= count
	l.idleSince = time.Now()
	return nil
}

// search dials the operator's addresses whenever there is no home, with a growing and random delay.
func (i *Instance) search(ctx context.Context) {
	for ctx.Err() == nil {
		i.mu.Lock()
		has, rounds := i.home != nil, i.rounds
		if !has {
			i.rounds++
		}
		i.mu.Unlock()
		if has {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		if rounds > 0 {
			delay := backoffMax
			if rounds < 8 {
				delay = backoffMin << (rounds - 1)
			}
			pause(ctx, delay/2+time.Duration(rand.Int63n(int64(delay/2))))
		}
		for _, at := range rand.Perm(len(i.proxies)) {
			if i.hasHome() || ctx.Err() != nil {
				break
			}
			if _, err := i.dial(ctx, i.proxies[at], false, dialTime); err != nil {
				i.options.Logf("pullproxy: no link to %s: %v", i.proxies[at], err)
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (i *Instance) hasHome() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.home != nil
}

func (i *Instance) dial(ctx context.Context, address string, learnt bool, within time.Duration) (*linked, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	i.mu.Lock()
	said := i.hello
	i.mu.Unlock()
	if learnt {
		said.At = address
	}
	made, err := dial(ctx, address, said, i.options.Secret, i.options.TLS)
	if err != nil {
		return nil, err
	}
	return i.up(made)
}

func (i *Instance) up(made *link) (*linked, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, each := range i.links {
		if each.link.node == made.node && !each.isDismissed {
			each.addresses[made.address] = true
			made.conn.Close()
			if each.isLeaving {
				return nil, fmt.Errorf("node %s is leaving", made.node)
			}
			return each, nil
		}
	}
	at := &linked{link: made, addresses: map[string]bool{made.address: true}, streams: map[uint32]*stream{}, idleSince: time.Now()}
	i.links = append(i.links, at)
	i.options.Logf("pullproxy: linked to node %s at %s", made.node, made.address)
	if i.home == nil && !i.isLeaving {
		i.settle(at)
	} else {
		i.sendState(at, false)
	}
	go func() {
		err := made.run(func(got frame) error { return i.received(at, got) })
		i.down(at, err)
	}()
	return at, nil
}

func (i *Instance) down(at *linked, reason error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.options.Logf("pullproxy: the link to node %s is over: %v", at.link.node, reason)
	at.isDown = true
	for n, each := range i.links {
		if each == at {
			i.links = append(i.links[:n:n], i.links[n+1:]...)
			break
		}
	}
	for _, s := range at.streams {
		s.isOver, s.isLost, s.chunks = true, true, nil
		if s.conn == nil || s.conn.isClosed {
			i.stopWaiting(s)
			i.inUse--
			continue
		}
		// The application still has it.
		i.orphaned++
		i.endConn(s.conn)
	}
	at.lent, at.inUse = 0, 0
	i.rehome(at)
	i.lend()
}

func (i *Instance) rehome(from *linked) {
	if from != i.home {
		return
	}
	i.home = nil
	i.asked = time.Time{}
	// One that was lost at once does not count as found: the search goes on as slowly as it was.
	if time.Since(i.homeSince) >= settledAfter {
		i.rounds = 0
	}
	if i.isLeaving {
		return
	}
	var best *linked
	for _, each := range i.links {
		if !each.isLeaving && (best == nil || each.lent > best.lent) {
			best = each
		}
	}
	if best != nil {
		i.settle(best)
	}
}

func (i *Instance) settle(at *linked) {
	i.home = at
	i.homeSince = time.Now()
	if i.firstHome.IsZero() {
		i.firstHome = i.homeSince
	}
	i.report()
	i.lend()
}

// lend gives what lies at home to the home node.
func (i *Instance) lend() {
	i.tell()
	if i.home == nil || i.isLeaving {
		return
	}
	atHome := i.options.Concurrency - i.moving - i.orphaned
	for _, each := range i.links {
		atHome -= each.lent
	}
	i.grant(i.home, atHome)
}

func (i *Instance) grant(to *linked, count int) {
	if count > 0 && !to.isDown {
		to.lent += count
		to.link.send(fGrant, 0, 0, number(count))
	}
}

// ── what a node says ──

func (i *Instance) received(at *linked, got frame) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := at.streams[got.stream]
	switch got.kind {
	case fOpen:
		return i.open(at, got.stream, got.flags, got.payload)
	case fData:
		if s != nil {
			return i.receive(s, got.payload)
		}
	case fEnd:
		if s != nil {
			s.hasEnded = true
			if s.conn != nil {
				s.conn.changed.Broadcast()
			}
		}
	case fDone:
		taken := -1
		if len(got.payload) == 4 {
			taken = int(binary.BigEndian.Uint32(got.payload))
		}
		if s != nil && taken == s.sent%(1<<32) {
			taken = s.sent
		}
		i.nodeIsDone(at, got.stream, got.flags&flagKeep != 0, taken)
	case fNewest:
		i.isNewest = got.flags&flagYes != 0
		if len(got.payload) == 8 {
			i.hello.Order = int64(binary.BigEndian.Uint64(got.payload))
		}
	case fRetireAnswer:
		i.retireAnswer(got.flags&flagYes != 0)
	case fGoaway:
		i.goAway(at, got.flags)
	case fMove:
		return i.move(at, got.payload)
	case fReset, fWindow, fReturn:
		count, err := readNumber(got.payload)
		if err != nil {
			return protocolError(err.Error())
		}
		return i.counted(at, s, got, count)
	default:
		return protocolError(fmt.Sprintf("frame type %d from a node", got.kind))
	}
	return nil
}

func (i *Instance) counted(at *linked, s *stream, got frame, count int) error {
	switch got.kind {
	case fReset:
		i.nodeIsDone(at, got.stream, false, -1)
	case fReturn:
		if err := at.takeBack(count); err != nil {
			return err
		}
		i.lend()
	case fWindow:
		if s == nil {
			return nil
		}
		if s.credit += count; s.credit > windowBytes {
			return protocolError(fmt.Sprintf("stream %d was given more credit than its window", s.id))
		}
		if s.conn != nil {
			s.conn.changed.Broadcast()
		}
	}
	return nil
}

func (i *Instance) retireAnswer(yes bool) {
	if i.asked.IsZero() {
		return
	}
	i.asked, i.refused = time.Time{}, time.Now()
	if yes {
		i.leave()
	}
}

func (i *Instance) goAway(at *linked, flags byte) {
	if flags&flagTooLate != 0 {
		if i.hello.StartID != "" && time.Since(i.firstHome) < turnAwayWithin {
			i.leave()
		}
		return
	}
	at.isLeaving = true
	at.isDismissed = flags&flagAnew != 0
	i.rehome(at)
}

// ── moves ──

func (i *Instance) move(from *linked, payload []byte) error {
	count, address, err := readMove(payload)
	if err != nil {
		return protocolError(err.Error())
	}
	if err := from.takeBack(count); err != nil {
		return err
	}
	if i.isLeaving {
		i.lend()
		return nil
	}
	i.moving += count
	for _, each := range i.links {
		if each.addresses[address] {
			i.arrive(from, each, count, payload)
			return nil
		}
	}
	if len(i.links) >= linksMax {
		i.arrive(from, nil, count, payload)
		return nil
	}
	go func() {
		to, err := i.dial(context.Background(), address, true, moveTime)
		if err != nil {
			i.options.Logf("pullproxy: no link to %s: %v", address, err)
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.arrive(from, to, count, payload)
	}()
	return nil
}

func (i *Instance) arrive(from, to *linked, count int, payload []byte) {
	i.moving -= count
	if !i.isLeaving {
		if to != nil && !to.isDown {
			i.grant(to, count)
		} else if !from.isDown {
			from.link.send(fMoveFailed, 0, 0, payload)
			if !from.isLeaving {
				i.grant(from, count)
			}
		}
	}
	i.lend()
}
