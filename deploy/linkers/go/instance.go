// Package linker lets an http.Handler pull its requests from pullproxy's nodes: no port, no sidecar, standard library only.
package linker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Options of an instance. What is empty is taken from PULLPROXY_PROXY, PULLPROXY_ROUTE, PULLPROXY_SECRET and PULLPROXY_START_ID.
type Options struct {
	// Proxy has HOST:PORT of a node's backend port, or several with commas.
	Proxy string
	Route string
	// Secret is shared with the nodes.
	Secret string
	// StartID is what the startup command has passed on.
	StartID string
	// Concurrency is how many requests the handler gets at once: 10 by default.
	Concurrency int
	// IdleTimeout is how long the newest instance stays without a request (300 s), OldIdleTimeout the others (10 s).
	IdleTimeout, OldIdleTimeout time.Duration
	// DrainTimeout is how long running requests have when the instance leaves: 30 s.
	DrainTimeout time.Duration
	// TLS to nodes; nil: none.
	TLS *tls.Config
	// Logf is log.Printf by default.
	Logf func(format string, args ...any)
}

const (
	idleLinkTime    = 30 * time.Second
	retireAnswerMax = 5 * time.Second
	turnAwayWithin  = 10 * time.Second
	concurrencyMax  = 1_000_000
)

// Instance has the slots. It is the listener of an http.Server: each connection has one request at a time.
type Instance struct {
	options Options
	hello   hello
	proxies []string

	mu        sync.Mutex
	links     []*linked
	home      *linked
	homeSince time.Time
	firstHome time.Time
	rounds    int
	moving    int
	orphaned  int
	conns     map[*conn]bool
	idle      []*conn
	waiting   []*stream
	isLeaving bool
	isNewest  bool
	inUse     int
	reported  int
	quiet     time.Time
	asked     time.Time
	refused   time.Time

	accepted chan *conn
	changed  chan struct{}
	closed   chan struct{}
	closing  sync.Once
}

// New checks the options. Nothing is dialled before Run.
func New(options Options) (*Instance, error) {
	for _, each := range []struct {
		value *string
		name  string
	}{{&options.Proxy, "PROXY"}, {&options.Route, "ROUTE"}, {&options.Secret, "SECRET"}} {
		if *each.value == "" {
			*each.value = os.Getenv("PULLPROXY_" + each.name)
		}
		if *each.value == "" {
			return nil, fmt.Errorf("%s: expected a value, or PULLPROXY_%s in the environment", strings.ToLower(each.name), each.name)
		}
	}
	if options.StartID == "" {
		options.StartID = os.Getenv("PULLPROXY_START_ID")
	}
	if options.Concurrency == 0 {
		options.Concurrency = 10
	}
	if options.Concurrency < 1 || options.Concurrency > concurrencyMax {
		return nil, fmt.Errorf("concurrency: %d: expected 1 to %d", options.Concurrency, concurrencyMax)
	}
	for _, each := range []struct {
		value   *time.Duration
		usually time.Duration
	}{{&options.IdleTimeout, 300 * time.Second}, {&options.OldIdleTimeout, 10 * time.Second}, {&options.DrainTimeout, 30 * time.Second}} {
		if *each.value == 0 {
			*each.value = each.usually
		}
	}
	if options.Logf == nil {
		options.Logf = log.Printf
	}
	made := &Instance{
		options: options, conns: map[*conn]bool{}, isNewest: true, quiet: time.Now(), reported: -1,
		accepted: make(chan *conn, options.Concurrency), changed: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	for _, address := range strings.Split(options.Proxy, ",") {
		made.proxies = append(made.proxies, strings.TrimSpace(address))
	}
	made.hello = hello{
		V: 2, Max: 2, Can: []string{}, Route: options.Route, Instance: newInstanceID(), Seq: time.Now().UnixMilli(), TakesOrder: true,
		Concurrency: options.Concurrency, StartID: options.StartID, Version: "go",
	}
	return made, nil
}

// Serve serves the handler until ctx ends, or the instance may leave because it is idle. Running requests have the drain timeout.
func Serve(ctx context.Context, handler http.Handler, options Options) error {
	instance, err := New(options)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(instance) }()
	err = instance.Run(ctx)
	server.Close()
	if serveErr := <-served; err == nil && !errors.Is(serveErr, http.ErrServerClosed) && !errors.Is(serveErr, net.ErrClosed) {
		err = serveErr
	}
	return err
}

// ── a listener ──

// Accept returns the next connection for an http.Server.
func (i *Instance) Accept() (net.Conn, error) {
	select {
	case made := <-i.accepted:
		return made, nil
	case <-i.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. Run ends the instance.
func (i *Instance) Close() error {
	i.closing.Do(func() { close(i.closed) })
	return nil
}

func (i *Instance) Addr() net.Addr { return addr{} }

// InUse counts the requests that the application has.
func (i *Instance) InUse() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.inUse
}

// ── its life ──

// Run links to the nodes and serves until ctx ends or the instance may leave.
func (i *Instance) Run(ctx context.Context) error {
	search, stop := context.WithCancel(context.Background())
	defer stop()
	go i.search(search)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var drained <-chan time.Time
	for {
		i.mu.Lock()
		isOver := i.isLeaving && i.isEmpty()
		i.mu.Unlock()
		if isOver {
			break
		}
		select {
		case <-ctx.Done():
			ctx = context.Background()
			i.Leave()
			continue
		case <-drained:
			i.options.Logf("pullproxy: requests are still running after %s", i.options.DrainTimeout)
			isOver = true
		case <-ticker.C:
			i.look()
		case <-i.changed:
		}
		if isOver {
			break
		}
		i.mu.Lock()
		if i.isLeaving && drained == nil {
			stop()
			drained = time.After(i.options.DrainTimeout)
		}
		i.mu.Unlock()
	}
	i.mu.Lock()
	i.isLeaving = true
	links := append([]*linked{}, i.links...)
	i.mu.Unlock()
	for _, each := range links {
		each.link.close()
	}
	return i.Close()
}

func (i *Instance) isEmpty() bool {
	for _, each := range i.links {
		if each.lent > 0 {
			return false
		}
	}
	return i.moving == 0 && i.orphaned == 0 && i.inUse == 0
}

// Leave takes no more requests, serves those that it has, and lets Run return.
func (i *Instance) Leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.leave()
}

func (i *Instance) leave() {
	if i.isLeaving {
		return
	}
	i.isLeaving = true
	i.report()
	for _, each := range i.links {
		if each.lent > 0 {
			each.link.send(fRecall, 0, 0, number(each.lent))
		}
	}
	i.tell()
}

func (i *Instance) tell() {
	select {
	case i.changed <- struct{}{}:
	default:
	}
}

// look is done once a second: reports, links that are not needed, and whether the instance may retire.
func (i *Instance) look() {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.inUse != i.reported {
		i.report()
	}
	for _, each := range i.links {
		if each != i.home && each.lent == 0 && now.Sub(each.idleSince) > idleLinkTime {
			each.link.conn.Close()
		}
	}
	if i.inUse > 0 {
		i.quiet = now
	}
	limit := i.options.OldIdleTimeout
	if i.isNewest {
		limit = i.options.IdleTimeout
	}
	again := limit / 2
	if again < time.Second {
		again = time.Second
	}
	switch {
	case i.isLeaving || i.home == nil:
	case !i.asked.IsZero():
		if now.Sub(i.asked) > retireAnswerMax {
			i.asked, i.refused = time.Time{}, now
		}
	case now.Sub(i.quiet) >= limit && now.Sub(i.refused) >= again:
		i.asked = now
		i.home.link.send(fRetire, 0, 0, nil)
	}
}

func (i *Instance) report() {
	if i.home != nil {
		i.reported = i.inUse
		i.sendState(i.home, true)
	}
}

func (i *Instance) sendState(to *linked, home bool) {
	said := state{Home: home, State: "ready", Active: i.inUse, Order: i.hello.Order}
	if i.isLeaving {
		said.State = "draining"
	}
	to.link.send(fState, 0, 0, jsonOf(said))
}
