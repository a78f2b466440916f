//go:build !rollcall_nosend

package sender

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// The types of the HTTP/2 frames below (RFC 9113, section 6).
const (
	frameRST      = 3
	frameSettings = 4
	frameGoAway   = 7
	frameContinue = 9
)

// frame returns an HTTP/2 frame, whose payload is numbers of 32 bits.
func frame(kind, flags byte, stream uint32, payload ...uint32) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)*4)<<8|uint32(kind))
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	for _, n := range payload {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return string(b)
}

// retries are what a server can say so that a client tries again, at once.
var retries = map[string]string{
	"REFUSED_STREAM":       frame(frameSettings, 0, 0) + frame(frameRST, 0, 1, 7),
	"ENHANCE_YOUR_CALM":    frame(frameSettings, 0, 0) + frame(frameRST, 0, 1, 11),
	"HTTP_1_1_REQUIRED":    frame(frameSettings, 0, 0) + frame(frameRST, 0, 1, 13),
	"GOAWAY before all":    frame(frameSettings, 0, 0) + frame(frameGoAway, 0, 0, 0, 0),
	"GOAWAY, calm":         frame(frameSettings, 0, 0) + frame(frameGoAway, 0, 0, 0, 11),
	"GOAWAY, HTTP/1.1":     frame(frameSettings, 0, 0) + frame(frameGoAway, 0, 0, 0, 13),
	"GOAWAY at once":       frame(frameGoAway, 0, 0, 0, 0),
	"GOAWAY after stream":  frame(frameSettings, 0, 0) + frame(frameGoAway, 0, 0, 1, 0) + frame(frameRST, 0, 1, 7),
	"settings only":        frame(frameSettings, 0, 0) + frame(frameSettings, 1, 0),
	"unexpected frame":     frame(frameContinue, 0, 1),
	"421":                  "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
	"408":                  "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
	"425":                  "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n",
	"429":                  "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
	"503":                  "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
	"426 to HTTP/2":        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
	"401 with a challenge": "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
	"another service":      "HTTP/1.1 503 Service Unavailable\r\nAlt-Svc: h2=\":10000\"\r\nContent-Length: 0\r\n\r\n",
}

// TestOneAttemptWhateverIsAnswered is N11: a server that asks for another
// attempt gets none, whether it speaks TLS or not, and even if it speaks HTTP/2
// only. It may hang up at any byte of what it says.
func TestOneAttemptWhateverIsAnswered(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	for name, says := range retries {
		for _, over := range []struct {
			scheme    string
			protocols []string
		}{{"http", nil}, {"https", nil}, {"https", []string{"h2", "http/1.1"}}, {"https", []string{"h2"}}} {
			run(t, name+" over "+over.scheme+" "+strings.Join(over.protocols, " "), func(t *testing.T, r *rig, m *memoryNet) {
				for n := range len(says) + 1 {
					var connections, requests atomic.Int32
					serve := func(conn net.Conn) {
						connections.Add(1)
						if over.scheme == "https" {
							server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: over.protocols})
							if server.Handshake() != nil {
								return
							}
							conn = server
						}
						readRequest(conn)
						requests.Add(1)
						io.WriteString(conn, says[:n])
					}
					s := r.onNet(m, over.scheme+"://"+m.listen(serve), func(c *Config) { c.CAFile = ca.file })
					if _, failed := s.SendNow(t.Context()).(*Error); !failed {
						t.Errorf("%d bytes: no failure", n)
					}
					if c, q := connections.Load(), requests.Load(); c != 1 || q != 1 {
						t.Errorf("%d bytes: %d connections and %d requests, want one of each", n, c, q)
					}
				}
			})
		}
	}
}
