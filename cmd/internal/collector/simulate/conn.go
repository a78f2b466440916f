package simulate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Conn sends reports over one connection that is kept alive, one after the other. It writes HTTP/1.1 itself: a request is
// one write and an answer one read, without the goroutines, headers and contexts of net/http, so that a load that is
// measured on the machine of its server takes as little from it as it can. It is not safe for concurrent use.
type Conn struct {
	endpoint *url.URL
	paths    [2][]byte // the head of a request but for its length, by what is sent
	conn     net.Conn
	reader   *bufio.Reader
	request  []byte
}

// requestTimeout bounds one request.
const requestTimeout = 30 * time.Second

// An Answer is the status of a report, and how long the server asks to wait before it comes again; 0 if it does not.
type Answer struct {
	Status     int
	RetryAfter time.Duration
}

// NewConn prepares a connection to an endpoint, http or https, and opens it with the first report.
func NewConn(endpoint string) (*Conn, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("endpoint %q is not a URL of http or https", endpoint)
	}
	c := &Conn{endpoint: u}
	for i, path := range []string{"v1/heartbeat", "v1/health"} {
		c.paths[i] = fmt.Appendf(nil, "POST /%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rollcall-simulate\r\nContent-Type: application/json\r\nContent-Length: ",
			strings.TrimPrefix(u.JoinPath(path).EscapedPath(), "/"), u.Host)
	}
	return c, nil
}

// Close ends the connection; the next report opens it again.
func (c *Conn) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *Conn) open(ctx context.Context) (err error) {
	host := c.endpoint.Host
	if c.endpoint.Port() == "" {
		host = net.JoinHostPort(c.endpoint.Hostname(), map[string]string{"http": "80", "https": "443"}[c.endpoint.Scheme])
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if c.endpoint.Scheme == "https" {
		c.conn, err = (&tls.Dialer{NetDialer: dialer}).DialContext(ctx, "tcp", host)
	} else {
		c.conn, err = dialer.DialContext(ctx, "tcp", host)
	}
	if err != nil {
		c.conn = nil // and not a nil of another type
		return err
	}
	c.reader = bufio.NewReaderSize(c.conn, 4096)
	return nil
}

// Send sends a heartbeat, or a health report, and waits for the answer, at most 30 seconds. After an error it is not known
// whether the report was counted, and the connection is closed.
func (c *Conn) Send(ctx context.Context, health bool, body []byte) (Answer, error) {
	if c.conn == nil {
		if err := c.open(ctx); err != nil {
			return Answer{}, fmt.Errorf("%w: %w", errNotSent, err)
		}
	}
	answer, err := c.exchange(health, body)
	if err != nil {
		c.Close()
	}
	return answer, err
}

func (c *Conn) exchange(health bool, body []byte) (Answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return Answer{}, err
	}
	head := c.paths[0]
	if health {
		head = c.paths[1]
	}
	c.request = append(c.request[:0], head...)
	c.request = strconv.AppendInt(c.request, int64(len(body)), 10)
	c.request = append(c.request, "\r\n\r\n"...)
	c.request = append(c.request, body...)
	if _, err := c.conn.Write(c.request); err != nil {
		return Answer{}, err
	}
	return c.answer()
}

var errNotSent = errors.New("the connection cannot be opened")

var errAnswer = errors.New("the answer is not one of HTTP/1.1")

// answer reads an answer whole, so that the next one can follow.
func (c *Conn) answer() (Answer, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return Answer{}, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return Answer{}, errAnswer
	}
	var a Answer
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return Answer{}, errAnswer
	}
	length, chunked, last := int64(0), false, false
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return Answer{}, err
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
				return Answer{}, errAnswer
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Retry-After")):
			seconds, _ := strconv.Atoi(string(value)) // a date counts as none: a collector sends seconds
			a.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	if err := c.skip(length, chunked); err != nil {
		return Answer{}, err
	}
	if last {
		c.Close()
	}
	return a, nil
}

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
