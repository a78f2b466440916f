package replica

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Messages between replicas are in the wire format of protobuf
// (https://protobuf.dev/programming-guides/encoding/), with fields in the order of
// their numbers, and with groups for messages within others, whose length nobody
// has to know first. Zero values are left out.
//
// Replicas of two versions understand each other because a reader skips the fields
// that it does not know, and leaves those that are missing at zero. So a number keeps
// its meaning for good: later versions add numbers, and never use one anew.

// A coder writes a message, or reads one, so that one function describes both. A
// link has one for each direction.
type coder struct {
	reading bool
	data    []byte            // what was written, or what is left to read
	broken  bool              // what was read is no message
	texts   map[string]string // that were read before, because most are repeated
}

// maxTexts bounds the texts that a coder keeps, and maxTextLen each of them. Longer
// ones, such as the IDs of events, are rarely repeated.
const (
	maxTexts   = 4096
	maxTextLen = 32
)

func (c *coder) writeTag(field protowire.Number, kind protowire.Type) {
	c.data = protowire.AppendTag(c.data, field, kind)
}

// took skips n bytes that were read; a negative n means that they are malformed.
func (c *coder) took(n int) {
	if n < 0 {
		c.broken, c.data = true, nil
		return
	}
	c.data = c.data[n:]
}

// readBytes returns bytes that are valid until the next message is read.
func (c *coder) readBytes() []byte {
	b, n := protowire.ConsumeBytes(c.data)
	c.took(n)
	return b
}

func (c *coder) readNumber() uint64 {
	v, n := protowire.ConsumeVarint(c.data)
	c.took(n)
	return v
}

// comes reports whether a field comes next, and reads its tag. It skips unknown
// fields before it.
func (c *coder) comes(field protowire.Number, kind protowire.Type) bool {
	for len(c.data) > 0 {
		next, nextKind, n := protowire.ConsumeTag(c.data)
		switch {
		case n > 0 && next == field && nextKind == kind:
			c.took(n)
			return true
		case n > 0 && (next > field || nextKind == protowire.EndGroupType):
			return false
		}
		c.skip()
	}
	return false
}

// skip skips a field, with all that it contains.
func (c *coder) skip() {
	_, _, n := protowire.ConsumeField(c.data)
	c.took(n)
}

// end ends a group. A reader skips the rest of it.
func (c *coder) end(field protowire.Number) {
	if !c.reading {
		c.writeTag(field, protowire.EndGroupType)
		return
	}
	for len(c.data) > 0 {
		next, kind, n := protowire.ConsumeTag(c.data)
		if n > 0 && kind == protowire.EndGroupType {
			c.took(n)
			c.broken = c.broken || next != field
			return
		}
		c.skip()
	}
	c.broken = true
}

func number[N ~int | ~int64 | ~uint64](c *coder, field protowire.Number, v *N) {
	switch {
	case c.reading:
		if c.comes(field, protowire.VarintType) {
			*v = N(c.readNumber())
		}
	case *v != 0:
		c.writeTag(field, protowire.VarintType)
		c.data = protowire.AppendVarint(c.data, uint64(*v))
	}
}

func flag(c *coder, field protowire.Number, v *bool) {
	n := 0
	if *v {
		n = 1
	}
	number(c, field, &n)
	*v = n != 0
}

func text[S ~string](c *coder, field protowire.Number, v *S) {
	switch {
	case c.reading:
		if c.comes(field, protowire.BytesType) {
			*v = S(c.intern(c.readBytes()))
		}
	case *v != "":
		c.writeTag(field, protowire.BytesType)
		c.data = protowire.AppendString(c.data, string(*v))
	}
}

// intern returns bytes as a string, without making one that was made before.
func (c *coder) intern(b []byte) string {
	if s, ok := c.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) <= maxTextLen {
		if c.texts == nil || len(c.texts) >= maxTexts {
			c.texts = make(map[string]string)
		}
		c.texts[s] = s
	}
	return s
}

// fixed is a field of as many bytes as v has.
func fixed(c *coder, field protowire.Number, v []byte) {
	if !c.reading {
		c.writeTag(field, protowire.BytesType)
		c.data = protowire.AppendBytes(c.data, v)
	} else if c.comes(field, protowire.BytesType) {
		b := c.readBytes()
		c.broken = c.broken || len(b) != len(v)
		copy(v, b)
	}
}

// instant is a time, in UTC.
func instant(c *coder, field protowire.Number, v *time.Time) {
	if !c.reading && v.IsZero() {
		return
	}
	one(c, field, func() {
		seconds, nanos := v.Unix(), int64(v.Nanosecond())
		if c.reading {
			seconds, nanos = 0, 0
		}
		number(c, 1, &seconds)
		number(c, 2, &nanos)
		if c.reading {
			*v = time.Unix(seconds, nanos).UTC()
		}
	})
}

// one is a message within another. A writer that does not call one leaves it
// out.
func one(c *coder, field protowire.Number, fields func()) {
	if !c.reading {
		c.writeTag(field, protowire.StartGroupType)
	} else if !c.comes(field, protowire.StartGroupType) {
		return
	}
	fields()
	c.end(field)
}

// list is any number of messages.
func list[T any](c *coder, field protowire.Number, items *[]T, fields func(*coder, *T)) {
	for i := range *items {
		if !c.reading {
			c.writeTag(field, protowire.StartGroupType)
			fields(c, &(*items)[i])
			c.end(field)
		}
	}
	for c.reading && c.comes(field, protowire.StartGroupType) {
		var item T
		*items = append(*items, item)
		fields(c, &(*items)[len(*items)-1])
		c.end(field)
	}
}

// maxFrame bounds a message as it is sent, with its length in front: maxBatch of the
// largest reports fit. Buffers of up to keepBuffer are used again.
const (
	maxFrame   = 128 << 20
	keepBuffer = 1 << 20
)

var errMessage = errors.New("malformed message of a replica")

// frame returns a message as it is sent. It is valid until the next one.
func (c *coder) frame(fields func(*coder)) []byte {
	if cap(c.data) > keepBuffer {
		c.data = nil
	}
	c.data = append(c.data[:0], 0, 0, 0, 0)
	fields(c)
	binary.BigEndian.PutUint32(c.data, uint32(len(c.data)-4))
	return c.data
}

// A frameReader reads messages.
type frameReader struct {
	from io.Reader
	buf  []byte
	coder
}

func newFrameReader(from io.Reader) *frameReader {
	return &frameReader{from: from, coder: coder{reading: true}}
}

func (r *frameReader) read(fields func(*coder)) error {
	var length [4]byte
	if _, err := io.ReadFull(r.from, length[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(length[:]))
	if n > maxFrame {
		return errMessage
	}
	if n > cap(r.buf) || cap(r.buf) > keepBuffer {
		r.buf = make([]byte, n)
	}
	r.data, r.broken = r.buf[:n], false
	if _, err := io.ReadFull(r.from, r.data); err != nil {
		return err
	}
	fields(&r.coder)
	for len(r.data) > 0 {
		r.skip()
	}
	if r.broken {
		return errMessage
	}
	return nil
}
