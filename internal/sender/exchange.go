//go:build !rollcall_nosend

package sender

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// An exchange sends requests and reads answers, each over a connection of its
// own, in HTTP/1.1. An attempt therefore makes one connection and one request
// for each hop, whatever a server answers. Writing and parsing is done by
// package net/http; its Transport, which pools connections, repeats requests
// and speaks HTTP/2, would add 450 kB to a host that does not use it
// otherwise.
type exchange struct {
	client *client
	open   *conns
	cancel context.CancelCauseFunc
}

var errAnswerTooLarge = errors.New("the answer is too large")

func (x *exchange) roundTrip(req *http.Request) (*http.Response, error) {
	conn, err := x.connect(req)
	if err != nil {
		return nil, err
	}
	req.Close = true
	written := make(chan error, 1)
	go func() { written <- req.Write(conn) }() // a server may answer before it has read everything
	resp, err := readAnswer(conn, req)
	if err == nil {
		return resp, nil
	}
	select {
	case writeErr := <-written:
		return nil, cmp.Or(writeErr, err)
	default:
		return nil, err
	}
}

// readAnswer returns the answer, whose body is limited.
func readAnswer(conn net.Conn, req *http.Request) (*http.Response, error) {
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	in := bufio.NewReader(limited)
	for {
		resp, err := http.ReadResponse(in, req)
		switch {
		case err != nil && limited.N <= 0:
			return nil, errAnswerTooLarge
		case err != nil:
			return nil, err
		case resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols:
			limited.N = maxBody
			return resp, nil
		}
		// Only information: the answer follows.
	}
}

// connect returns a connection to the server of a request, or to a proxy that
// leads there.
func (x *exchange) connect(req *http.Request) (net.Conn, error) {
	defer time.AfterFunc(connectTimeout, func() { x.cancel(errConnectTimeout) }).Stop()
	ctx, target := req.Context(), req.URL
	proxy, err := x.client.proxy(req)
	if err != nil {
		return nil, err
	}
	dial := x.client.network.dial
	if dial == nil {
		dial = x.open.dialer(connectTimeout, cmp.Or(x.client.network.resolver, net.DefaultResolver)).DialContext
	}
	dial = x.open.bind(dial)
	var conn net.Conn
	if proxy == nil {
		conn, err = dial(ctx, "tcp", addressOf(target))
	} else if conn, err = dial(ctx, "tcp", addressOf(proxy)); err == nil {
		conn, err = x.throughProxy(ctx, conn, proxy, addressOf(target))
	}
	switch {
	case err != nil && proxy != nil:
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	case err != nil || target.Scheme != "https":
		return conn, err
	}
	return x.secure(ctx, conn, target.Hostname())
}

// secure returns a TLS connection to a host.
func (x *exchange) secure(ctx context.Context, conn net.Conn, host string) (net.Conn, error) {
	secured := tls.Client(conn, &tls.Config{
		ServerName: host,
		RootCAs:    x.client.roots,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
	})
	return secured, secured.HandshakeContext(ctx)
}

// addressOf returns the host and the port of a URL.
func addressOf(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme]))
}

var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
