// Package listen opens the addresses that an operator configures: TCP ones, and
// Unix sockets.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// ErrAddress is the error of an address that is malformed or cannot be opened.
var ErrAddress = errors.New("listen")

// lookupTimeout bounds the lookup of a host name.
const lookupTimeout = 5 * time.Second

// TCP opens a TCP address of the form host:port. Its errors wrap [ErrAddress]
// and name the address and the cause, each once. It returns within 5 seconds.
func TCP(ctx context.Context, address string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		return listener, nil
	}
	return nil, fmt.Errorf("%w on %s: %w", ErrAddress, address, Cause(err))
}

// Cause strips the names of operations from an error of package net, because
// they repeat the address.
func Cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}

// Host checks an address of the form host:port, with a numeric port, and
// returns its host. The host is empty if the address stands for all addresses
// of the machine. Errors wrap [ErrAddress].
func Host(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%w on %q: not host:port, such as 127.0.0.1:8946", ErrAddress, address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%w on %q: not a port between 0 and 65535", ErrAddress, address)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = ""
	}
	return host, nil
}

// ChoosesPort reports whether the address leaves the port to the system.
func ChoosesPort(address string) bool {
	_, port, _ := net.SplitHostPort(address)
	return port == "" || port == "0"
}
