package isolate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// maxMessage is the greatest size of a request or an answer in bytes.
const maxMessage = 64 << 10

// A message is a request or an answer. Parent and child are the same program,
// so messages have no names and no version: only the fields, in the order of
// code. Package encoding/json would do the same, but its decoder adds 100 kB to
// a host that does not use it otherwise.
type message interface {
	// code writes the fields to c, or reads them from c.
	code(c *coder)
}

func writeMessage(w io.Writer, m message) error {
	c := &coder{data: make([]byte, 4)}
	m.code(c)
	size := len(c.data) - 4
	if size > maxMessage {
		return fmt.Errorf("message of %d bytes, more than %d", size, maxMessage)
	}
	binary.BigEndian.PutUint32(c.data, uint32(size))
	_, err := w.Write(c.data)
	return err
}

var errMessage = errors.New("message not understood")

// readMessage returns io.EOF if there is no further message.
func readMessage(r io.Reader, m message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMessage {
		return errMessage
	}
	c := &coder{data: make([]byte, size), reading: true}
	if _, err := io.ReadFull(r, c.data); err != nil {
		return errMessage
	}
	m.code(c)
	if c.bad || len(c.data) > 0 {
		return errMessage
	}
	return nil
}

// A coder appends fields to data, or reads them from it.
type coder struct {
	data    []byte
	reading bool
	bad     bool // a field could not be read
}

func (c *coder) number(n *int) {
	if !c.reading {
		c.data = binary.AppendUvarint(c.data, uint64(*n))
		return
	}
	v, size := binary.Uvarint(c.data)
	if size <= 0 || v > maxMessage {
		c.bad, c.data, v, size = true, nil, 0, 0
	}
	*n, c.data = int(v), c.data[size:]
}

func (c *coder) flag(b *bool) {
	var n int
	if *b {
		n = 1
	}
	c.number(&n)
	*b = n == 1
}

func (c *coder) text(s *string) {
	n := len(*s)
	c.number(&n)
	switch {
	case !c.reading:
		c.data = append(c.data, *s...)
	case n > len(c.data):
		c.bad, c.data = true, nil
	default:
		*s, c.data = string(c.data[:n]), c.data[n:]
	}
}

func (c *coder) id(id *installid.ID) {
	text := id.String()
	c.text(&text)
	if c.reading && id.UnmarshalText([]byte(text)) != nil {
		c.bad = true
	}
}

func (c *coder) key(k *jsonedit.Key) { list(c, (*[]string)(k), c.text) }

func (c *coder) value(v *jsonedit.Value) {
	c.number((*int)(&v.Kind))
	c.text(&v.Text)
	c.flag(&v.Long)
}

func (c *coder) record(r *keeper.Record) {
	c.id(&r.ID)
	c.text(&r.Place)
	c.text(&r.Reason)
	c.text(&r.Doubt)
	c.value(&r.Enabled)
	for _, b := range []*bool{&r.OnlyAnchor, &r.Incomplete, &r.Unsynced, &r.Written, &r.Invalid, &r.Unread, &r.Retired} {
		c.flag(b)
	}
}

func (c *coder) denial(d *idstore.Denial) {
	c.flag(&d.Denied)
	since, _ := d.Since.MarshalText()
	text := string(since)
	c.text(&text)
	if c.reading && d.Since.UnmarshalText([]byte(text)) != nil {
		c.bad = true
	}
	c.text(&d.By)
}

func (c *coder) finding(f *diagnose.Finding) {
	c.text(&f.Check)
	c.number((*int)(&f.Level))
	c.text(&f.Detail)
	c.text(&f.Hint)
}

// operator writes the owner as text, because it can be -1 or more than number
// takes.
func (c *coder) operator(o *idstore.Operator) {
	owner := strconv.Itoa(o.Owner)
	c.text(&owner)
	if c.reading {
		var err error
		o.Owner, err = strconv.Atoi(owner)
		c.bad = c.bad || err != nil
	}
	c.text(&o.Token)
	c.text(&o.TokenPath)
}

// list codes items one by one. Every item has at least one byte.
func list[T any](c *coder, items *[]T, code func(*T)) {
	n := len(*items)
	c.number(&n)
	if c.reading {
		if n > len(c.data) {
			c.bad, c.data = true, nil
			return
		}
		*items = nil
		if n > 0 {
			*items = make([]T, n)
		}
	}
	for i := range *items {
		code(&(*items)[i])
	}
}

func (r *request) code(c *coder) {
	c.text(&r.Op)
	l := &r.Location
	for _, path := range []*string{&l.ConfigPath, &l.AnchorDir, &l.StateFile, &l.PolicyPath} {
		c.text(path)
	}
	c.key(&l.Key)
	c.key(&l.EnabledKey)
	c.flag(&l.TrustDisk)
	c.id(&r.ID)
	c.id(&r.Old)
	c.number((*int)(&r.Subject))
	c.denial(&r.Denial)
	list(c, &r.Keys, c.key)
	c.text(&r.Literal)
	c.number((*int)(&r.Note))
	c.text(&r.Content)
}

func (a *answer) code(c *coder) {
	c.text(&a.Error)
	for _, b := range []*bool{&a.NotFound, &a.NotExist, &a.Empty, &a.Retired, &a.NoPlace, &a.Permanent} {
		c.flag(b)
	}
	c.record(&a.Record)
	list(c, &a.Values, c.value)
	c.text(&a.Content)
	c.operator(&a.Operator)
	for _, d := range []*idstore.Denial{&a.Withdrawals.Telemetry, &a.Withdrawals.Health, &a.Withdrawals.UpdateCheck} {
		c.denial(d)
	}
	c.flag(&a.Withdrawals.Retired)
	c.text(&a.Withdrawals.Unread)
	list(c, &a.Findings, c.finding)
}
