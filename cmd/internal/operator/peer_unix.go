//go:build linux || darwin || freebsd

package operator

import "net"

// peerUser returns the user that connected.
func peerUser(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var user uint32
	if controlErr := raw.Control(func(fd uintptr) { user, err = socketUser(int(fd)) }); controlErr != nil {
		return 0, controlErr
	}
	return int(user), err
}
