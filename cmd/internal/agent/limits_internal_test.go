package agent

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// pipeListener accepts pipes, on which virtual time has an effect.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// serveConn returns a connection to an agent's server.
func serveConn(t *testing.T) net.Conn {
	t.Helper()
	service, err := rollcall.New(rollcall.Config{ConfigPath: "config.json"}) // not started
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(service, Options{Listen: []string{"127.0.0.1:8946"}})
	if err != nil {
		t.Fatal(err)
	}
	listener := &pipeListener{make(chan net.Conn), make(chan struct{})}
	server := a.newServer()
	go server.Serve(listener)
	client, conn := net.Pipe()
	listener.conns <- conn
	t.Cleanup(func() {
		client.Close()
		server.Close()
		time.Sleep(time.Second) // the server lets a refused connection linger for half a second
	})
	return client
}

func TestSlowClients(t *testing.T) {
	tests := []struct {
		name, send string
		limit      time.Duration
	}{
		{"silent", "", 5 * time.Second},
		{"half a request line", "GET /heal", 5 * time.Second},
		{"no end of header", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", 5 * time.Second},
		{"no next request", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", time.Minute},
		{"no body", "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := serveConn(t)
				begin := time.Now()
				go io.WriteString(client, tt.send)
				io.Copy(io.Discard, client) // until the server ends the connection
				if took := time.Since(begin); took > tt.limit+time.Second {
					t.Errorf("the connection lasted %v, want at most about %v", took, tt.limit)
				}
			})
		})
	}
}

func TestLargeHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serveConn(t)
		go fmt.Fprintf(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 32<<10))
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d, want 431", response.StatusCode)
		}
	})
}
