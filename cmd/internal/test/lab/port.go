package lab

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort returns a port of loopback at which nobody listens now. It is none of
// those that systems hand out: another program would get it before long.
func FreePort(t testing.TB) (port int) {
	t.Helper()
	for range 100 {
		port = 10_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("lab: no port is free")
	return 0
}
