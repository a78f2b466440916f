package faultfs

import (
	"fmt"
	"os"
	"strings"
)

// An Entry is an operation in the log.
type Entry struct {
	Proc string // the name of the process
	Op   Op
	Name string // as the caller passed it, with slashes; for an open file, the name that was opened
	To   string // the other name of a rename, link or exchange; the source of CopyAttributes
	Flag int    // of an open
	N    int    // bytes read or written
	Err  error
	Done bool // false while in flight
}

// Mutates reports whether the operation asked to change a file, a name or
// an attribute, or to open for writing.
func (e Entry) Mutates() bool {
	switch e.Op {
	case OpOpen:
		return e.Flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0
	case OpMkdir, OpRemove, OpRename, OpLink, OpExchange, OpWrite, OpWriteAt, OpAmend, OpCopyAttributes, OpChown, OpChmod:
		return true
	}
	return false
}

// String returns the operation on one line.
func (e Entry) String() string {
	var b strings.Builder
	if e.Proc != "" {
		b.WriteString(e.Proc + ": ")
	}
	b.WriteString(string(e.Op) + " " + e.Name)
	if e.To != "" {
		b.WriteString(" " + e.To)
	}
	if e.Op == OpOpen {
		b.WriteString(flagString(e.Flag))
	}
	if e.N != 0 {
		fmt.Fprintf(&b, " %d bytes", e.N)
	}
	switch {
	case !e.Done:
		b.WriteString(" (in flight)")
	case e.Err != nil:
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func flagString(flag int) string {
	s := " r"
	switch {
	case flag&os.O_RDWR != 0:
		s = " rw"
	case flag&os.O_WRONLY != 0:
		s = " w"
	}
	for _, f := range []struct {
		bit  int
		name string
	}{
		{os.O_CREATE, "create"}, {os.O_EXCL, "excl"}, {os.O_TRUNC, "trunc"}, {os.O_APPEND, "append"},
		{noFollow, "nofollow"}, {onlyDir, "dir"},
	} {
		if f.bit != 0 && flag&f.bit == f.bit {
			s += "," + f.name
		}
	}
	return s
}

// Log returns the operations of all processes in the order in which they
// started.
func (f *FS) Log() []Entry {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	log := make([]Entry, len(d.log))
	for i, e := range d.log {
		log[i] = *e
	}
	return log
}

// ResetLog empties the log. Operations in flight do not reappear in it.
func (f *FS) ResetLog() {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.log = nil
}

// InFlight returns how many operations of all processes have started and
// not finished.
func (f *FS) InFlight() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.inFlight
}
