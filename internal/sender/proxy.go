//go:build !rollcall_nosend

package sender

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
)

// throughProxy asks the proxy at the other end of conn to lead to an address.
func (x *exchange) throughProxy(ctx context.Context, conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	switch proxy.Scheme {
	case "https":
		secured, err := x.secure(ctx, conn, proxy.Hostname())
		if err != nil {
			return nil, err
		}
		return secured, askHTTP(ctx, secured, proxy.User, address)
	case "http":
		return conn, askHTTP(ctx, conn, proxy.User, address)
	case "socks5", "socks5h":
		return conn, askSOCKS(conn, proxy.User, address)
	}
	return nil, errors.New("unknown kind of proxy")
}

// askHTTP asks an HTTP proxy. The error repeats only the status of its answer:
// the proxy was told a password.
func askHTTP(ctx context.Context, conn net.Conn, user *url.Userinfo, address string) error {
	req := (&http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: address},
		Host:   address,
		Header: http.Header{"User-Agent": {"rollcall"}},
	}).WithContext(ctx)
	if user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
		req.Header["Proxy-Authorization"] = req.Header["Authorization"]
		delete(req.Header, "Authorization")
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	// Nothing that belongs to the target can be lost in the buffer: there the
	// client speaks first.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxHeader)), req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return proxyError(resp.StatusCode)
	}
	return nil
}

var errSOCKS = errors.New("the SOCKS proxy refuses")

// askSOCKS asks a SOCKS 5 proxy (RFC 1928), which looks up the name.
func askSOCKS(conn net.Conn, user *url.Userinfo, address string) error {
	const version, noPassword, withPassword = 5, 0, 2
	methods := []byte{version, 1, noPassword}
	if user != nil {
		methods = []byte{version, 2, noPassword, withPassword}
	}
	if _, err := conn.Write(methods); err != nil {
		return err
	}
	var chosen [2]byte
	if _, err := io.ReadFull(conn, chosen[:]); err != nil {
		return err
	}
	switch {
	case chosen[0] != version:
		return errSOCKS
	case chosen[1] == withPassword && user != nil:
		if err := tellPassword(conn, user); err != nil {
			return err
		}
	case chosen[1] != noPassword:
		return errSOCKS
	}
	request, err := connectRequest(address)
	if err != nil {
		return err
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	return readSOCKSReply(conn)
}

// tellPassword authenticates (RFC 1929).
func tellPassword(conn net.Conn, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) > 255 || len(password) > 255 {
		return errSOCKS
	}
	const version = 1
	message := append([]byte{version, byte(len(name))}, name...)
	message = append(append(message, byte(len(password))), password...)
	if _, err := conn.Write(message); err != nil {
		return err
	}
	var reply [2]byte
	if _, err := io.ReadFull(conn, reply[:]); err != nil {
		return err
	}
	if reply != [2]byte{version, 0} {
		return errSOCKS
	}
	return nil
}

// The types of an address in SOCKS.
const (
	socksIPv4 = 1
	socksName = 3
	socksIPv6 = 4
)

// connectRequest returns the request for a connection to an address.
func connectRequest(address string) ([]byte, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	request := []byte{5, 1, 0}
	switch ip, err := netip.ParseAddr(host); {
	case err == nil && ip.Is4():
		request = append(append(request, socksIPv4), ip.AsSlice()...)
	case err == nil:
		request = append(append(request, socksIPv6), ip.AsSlice()...)
	case len(host) > 255:
		return nil, errSOCKS
	default:
		request = append(append(request, socksName, byte(len(host))), host...)
	}
	return append(request, byte(port>>8), byte(port)), nil
}

// readSOCKSReply reads the answer to a request: a status, and an address that
// does not matter.
func readSOCKSReply(conn net.Conn) error {
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	rest := 0
	switch head[3] {
	case socksIPv4:
		rest = 4
	case socksName:
		rest = 1 + int(head[4])
	case socksIPv6:
		rest = 16
	}
	if head[0] != 5 || head[1] != 0 || rest == 0 {
		return errSOCKS
	}
	_, err := io.CopyN(io.Discard, conn, int64(rest-1+2)) // one byte is read; the port follows
	return err
}
