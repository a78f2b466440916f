package lab

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort returns a loopback port on which nothing listens. It lies outside the
// range from which systems assign ports, where another program could take it.
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
