// Package rawhttp is the client with which benchmarks put load on a
// collector that runs on the same machine. It writes HTTP/1.1 itself:
// a request is one write and an answer one read, without the
// goroutines, headers and contexts of net/http, so that it takes as
// little from the server as it can.
package rawhttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
)

// A Conn sends reports over one connection that is kept alive, one
// after the other. It is not safe for concurrent use.
type Conn struct {
	ctx     context.Context // bounds connecting
	base    *url.URL
	from    net.IP            // nil is any
	heads   map[string][]byte // of requests, up to the length, by path
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

var _ simulate.Client = (*Conn)(nil)

// requestTimeout bounds one request.
const requestTimeout = 30 * time.Second

// Connect is for [simulate.Sending.Connect]. It prepares a connection
// to an endpoint, which has to be http; the first report opens it,
// unless ctx has ended by then.
func Connect(ctx context.Context, endpoint string) (simulate.Client, error) {
	return ConnectFrom(ctx, endpoint, nil)
}

// ConnectFrom is Connect from an address of this machine. A collector bounds the
// requests of an address.
func ConnectFrom(ctx context.Context, endpoint string, from net.IP) (simulate.Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" || u.Port() == "" {
		return nil, fmt.Errorf("endpoint %q is not an http URL with a port", endpoint)
	}
	return &Conn{ctx: ctx, base: u, from: from, heads: make(map[string][]byte)}, nil
}

// Close closes the connection; the next report opens it again.
func (c *Conn) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// Send implements [simulate.Client]. After an error the connection is
// closed.
func (c *Conn) Send(path string, body []byte) (simulate.Answer, error) {
	if c.conn == nil {
		dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: c.from}}
		conn, err := dialer.DialContext(c.ctx, "tcp", c.base.Host)
		if err != nil {
			return simulate.Answer{}, err
		}
		c.conn, c.reader = conn, bufio.NewReaderSize(conn, 4096)
	}
	answer, err := c.exchange(path, body)
	if err != nil {
		c.Close()
	}
	return answer, err
}

func (c *Conn) exchange(path string, body []byte) (simulate.Answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return simulate.Answer{}, err
	}
	if c.heads[path] == nil {
		c.heads[path] = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rollcall-simulate\r\nContent-Type: application/json\r\nContent-Length: ",
			strings.TrimSuffix(c.base.EscapedPath(), "/")+path, c.base.Host)
	}
	c.request = append(c.request[:0], c.heads[path]...)
	c.request = strconv.AppendInt(c.request, int64(len(body)), 10)
	c.request = append(c.request, "\r\n\r\n"...)
	c.request = append(c.request, body...)
	if _, err := c.conn.Write(c.request); err != nil {
		return simulate.Answer{}, err
	}
	return c.answer()
}

var errAnswer = errors.New("the answer is not HTTP/1.1")

// answer reads a whole answer, so that the next one can follow.
func (c *Conn) answer() (a simulate.Answer, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, errAnswer
	}
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, errAnswer
	}
	length, chunked, last := int64(0), false, false
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil || length < 0 {
				return a, errAnswer
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Retry-After")):
			seconds, _ := strconv.Atoi(string(value)) // 0 for a date, which a collector never sends
			a.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	if err := c.skip(length, chunked); err != nil {
		return a, err
	}
	if last {
		c.Close()
	}
	return a, nil
}

// skip reads past the body of an answer.
func (c *Conn) skip(length int64, chunked bool) error {
	if chunked {
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(c.reader)); err != nil {
			return err
		}
		length = 2 // the line that ends the trailer
	}
	_, err := c.reader.Discard(int(length))
	return err
}
