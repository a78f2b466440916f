package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// The limits of the server. A response that waits on purpose moves its write deadline.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 10 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10

	// listenTimeout bounds the look-up of a host name given as the address to listen on.
	listenTimeout = 5 * time.Second
)

// ErrListen says that the server's address could not be opened.
var ErrListen = errors.New("listen")

func (a *Agent) newServer() *http.Server {
	return &http.Server{
		Handler:                      a.Handler(),
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" goes through the guard like all else
		ErrorLog:                     slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// listen opens a TCP address. Its errors are [ErrListen] and say the address and the cause and no more.
func listen(ctx context.Context, address string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", ErrListen, address, rootCause(err))
	}
	return listener, nil
}

// rootCause takes the names of operations off an error of package net, which repeat the address.
func rootCause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}

func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// choosesPort tells whether the system is to choose the port.
func choosesPort(address string) bool {
	_, port, _ := net.SplitHostPort(address)
	return port == "" || port == "0"
}

// splitListen checks an address to listen on and gives its host, empty for all addresses.
func splitListen(address string) (host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", errors.New("not host:port, such as 127.0.0.1:8946")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errors.New("not a port between 0 and 65535")
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = ""
	}
	return host, nil
}
