//go:build !rollcall_nosend

package sender

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An attempt is one connection and one request, wherever a server hangs up.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	answer := accepted + "Connection: close\r\nContent-Length: 2\r\n\r\nok"
	for _, scheme := range []string{"http", "https"} {
		for n := range len(answer) {
			onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
				var connections atomic.Int32
				serve := func(conn net.Conn) {
					req, err := http.ReadRequest(bufio.NewReader(conn))
					if err == nil {
						io.Copy(io.Discard, req.Body)
						io.WriteString(conn, answer[:n])
					}
				}
				if scheme == "https" {
					serve = overTLS(cert, serve)
				}
				address := m.listen(func(conn net.Conn) {
					connections.Add(1)
					serve(conn)
				})
				err := r.onNet(m, scheme+"://"+address, func(c *Config) { c.CAFile = ca.file }).SendNow(t.Context())
				if whole := n >= strings.Index(answer, "ok"); (err == nil) != whole {
					t.Errorf("%s, %d bytes of the answer: got %v", scheme, n, err)
				}
				if got := connections.Load(); got != 1 {
					t.Errorf("%s, %d bytes of the answer: %d connections", scheme, n, got)
				}
			})
		}
	}
}

// A server that hangs up during the handshake, or before it has read the
// request, gets no second one.
func TestOneConnectionAtOnce(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		for n := range 120 { // less than a request, and than the beginning of a handshake
			onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
				var connections atomic.Int32
				address := m.listen(func(conn net.Conn) {
					connections.Add(1)
					io.ReadFull(conn, make([]byte, n))
				})
				r.fails(r.onNet(m, scheme+"://"+address, nil), "no answer from the collector: ")
				if got := connections.Load(); got != 1 {
					t.Errorf("%s, %d bytes read: %d connections", scheme, n, got)
				}
			})
		}
	}
}

// A connection that is cut anywhere in a handshake or in the answer over TLS is
// the only one.
func TestOneConnectionCut(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	const stride = 13 // each byte would take many handshakes
	for n := 0; ; n += stride {
		whole := false
		onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
			var connections, requests atomic.Int32
			server := m.serve(&cert, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
			address := m.listen(func(conn net.Conn) {
				connections.Add(1)
				onward, err := m.connect("tcp", server.Listener.Addr().String())
				if err != nil {
					return
				}
				defer onward.Close()
				go io.Copy(onward, conn)
				io.CopyN(conn, onward, int64(n))
			})
			err := r.onNet(m, "https://"+address, func(c *Config) { c.CAFile = ca.file }).SendNow(t.Context())
			if c, q := connections.Load(), requests.Load(); c != 1 || q > 1 {
				t.Errorf("cut after %d bytes: %d connections and %d requests: %v", n, c, q, err)
			}
			whole = err == nil
		})
		if whole || t.Failed() {
			if n < 500 {
				t.Errorf("a whole answer within %d bytes", n)
			}
			return
		}
	}
}

// The answer counts even if the server has not read all of the request.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		r.heartbeat = func(context.Context) ([]byte, error) { return make([]byte, 8<<20), nil }
		address := m.listen(func(conn net.Conn) {
			io.ReadFull(conn, make([]byte, 1)) // the client ignores an answer that precedes its request
			io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
			time.Sleep(500 * time.Millisecond)
		})
		began := time.Now()
		r.fails(r.onNet(m, "http://"+address, nil), "the collector answered 413")
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Information that precedes the answer is skipped.
func TestInformation(t *testing.T) {
	t.Parallel()
	onNet(t, func(_ *testing.T, r *rig, m *memoryNet) {
		r.succeeds(r.onNet(m, "http://"+m.listen(says(
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+accepted+"Content-Length: 0\r\n\r\n", 0, "")), nil))
	})
	onNet(t, func(_ *testing.T, r *rig, m *memoryNet) {
		r.fails(r.onNet(m, "http://"+m.listen(says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 0, "")), nil),
			"the collector answered 101")
	})
}

// The status line and the header of an answer have 16 KiB at most.
func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{16384, 16385} {
		onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
			head := accepted + "Content-Length: 0\r\nX: "
			head += strings.Repeat("y", size-len(head)-4) + "\r\n\r\n"
			err := r.onNet(m, "http://"+m.listen(says(head, 0, "")), nil).SendNow(t.Context())
			if (err == nil) != (size == 16384) {
				t.Errorf("%d bytes: got %v", size, err)
			}
		})
	}
}

// The request is written as HTTP/1.1, and says that it is the only one.
func TestRequestBytes(t *testing.T) {
	t.Parallel()
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		var got atomic.Value
		address := m.listen(func(conn net.Conn) {
			buf := make([]byte, 4<<10)
			n := 0
			for !strings.HasSuffix(string(buf[:n]), "heartbeat") {
				more, err := conn.Read(buf[n:])
				if n += more; err != nil {
					break
				}
			}
			got.Store(string(buf[:n]))
			io.WriteString(conn, accepted+"Content-Length: 0\r\n\r\n")
		})
		r.succeeds(r.onNet(m, "http://"+address, nil))
		want := fmt.Sprintf("POST /v1/heartbeat HTTP/1.1\r\nHost: %s\r\nUser-Agent: test\r\nContent-Length: 9\r\n"+
			"Accept: application/json\r\nContent-Type: application/json\r\nConnection: close\r\n\r\nheartbeat", address)
		if got.Load() != want {
			t.Errorf("got %q, want %q", got.Load(), want)
		}
	})
}
