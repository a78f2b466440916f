package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/spf13/pflag"
)

const (
	defaultListen = "127.0.0.1:8946"
	listenOff     = "off"
)

// listenValue is a list of addresses. The first one given replaces the default,
// and further ones add to it. The list is empty for "off".
func listenValue(target *[]string) pflag.Value {
	*target = []string{defaultListen}
	var given []string
	parse := func(text string) ([]string, error) {
		for _, address := range splitList(text) {
			if address != listenOff {
				given = append(given, address)
			}
		}
		return given, nil
	}
	format := func(list []string) string { return cmp.Or(strings.Join(list, ","), listenOff) }
	return &flagValue[[]string]{target, "addresses", parse, format}
}

// modeValue is the mode of a file.
func modeValue(target *fs.FileMode, value fs.FileMode) pflag.Value {
	parse := func(text string) (fs.FileMode, error) {
		mode, err := strconv.ParseUint(text, 8, 9)
		if err != nil || mode == 0 {
			return 0, errors.New("not a mode such as 0660")
		}
		return fs.FileMode(mode), nil
	}
	return newValue(target, "mode", value, parse, func(mode fs.FileMode) string { return fmt.Sprintf("%04o", uint32(mode)) })
}

// agentAddresses returns where the agent listens, by the variable of --listen.
func agentAddresses() []string {
	var addresses []string
	value := listenValue(&addresses)
	if text := os.Getenv(variable("listen")); text != "" {
		_ = value.Set(text) // which accepts everything
	}
	return addresses
}

// agentURL returns the URL at which the agent on this machine can be asked, or
// else its Unix socket, or "" with --listen off.
func agentURL(addresses []string) string {
	socket := ""
	for _, address := range addresses {
		if _, ok := listen.UnixPath(address); ok {
			socket = cmp.Or(socket, address)
		} else if url := urlOf(address); url != "" {
			return url
		}
	}
	return socket
}

// urlOf returns the URL of a TCP address that an agent on this machine listens
// on, or "" for what is not one.
func urlOf(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
