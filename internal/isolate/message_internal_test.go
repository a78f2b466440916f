package isolate

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
)

const id = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"

// fill sets every field below v to something that is not its zero value.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[installid.ID]() {
		known, _ := installid.Parse(id)
		v.Set(reflect.ValueOf(known))
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.String:
		v.SetString("text \xff\x00" + v.Type().Name())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(2)
	default:
		t.Fatalf("no value for a %v", v.Type())
	}
}

func encode(t *testing.T, m message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeMessage(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMessages sends every field of requests and answers, and no field.
func TestMessages(t *testing.T) {
	for _, full := range []bool{true, false} {
		var req, gotReq request
		var a, gotAnswer answer
		if full {
			fill(t, reflect.ValueOf(&req).Elem())
			fill(t, reflect.ValueOf(&a).Elem())
		}
		in := bytes.NewReader(append(encode(t, &req), encode(t, &a)...))
		if err := errors.Join(readMessage(in, &gotReq), readMessage(in, &gotAnswer)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(gotReq, req) {
			t.Errorf("got %+v, want %+v", gotReq, req)
		}
		if !reflect.DeepEqual(gotAnswer, a) {
			t.Errorf("got %+v, want %+v", gotAnswer, a)
		}
		if err := readMessage(in, &gotReq); err != io.EOF {
			t.Errorf("got %v at the end, want EOF", err)
		}
	}
}

// TestBadMessages: whatever is not a message is an error and never a panic.
func TestBadMessages(t *testing.T) {
	var req request
	fill(t, reflect.ValueOf(&req).Elem())
	good := encode(t, &req)
	for n := 1; n < len(good); n++ {
		if err := readMessage(bytes.NewReader(good[:n]), new(request)); err == nil || err == io.EOF {
			t.Fatalf("the first %d bytes: got %v", n, err)
		}
	}
	for n := 4; n < len(good); n++ { // a message of fewer bytes
		short := append([]byte{0, 0, byte((n - 4) >> 8), byte(n - 4)}, good[4:n]...)
		if err := readMessage(bytes.NewReader(short), new(request)); !errors.Is(err, errMessage) {
			t.Fatalf("cut off after %d bytes: got %v", n, err)
		}
	}
	for i := 4; i < len(good); i++ { // any error will do, and no error
		for _, b := range []byte{0, 1, 0x7f, 0xff} {
			bad := bytes.Clone(good)
			bad[i] = b
			_ = readMessage(bytes.NewReader(bad), new(request))
			_ = readMessage(bytes.NewReader(bad), new(answer))
		}
	}
	longer := append(bytes.Clone(good), 0)
	longer[3]++
	if err := readMessage(bytes.NewReader(longer), new(request)); !errors.Is(err, errMessage) {
		t.Errorf("with one byte more: got %v", err)
	}
	noID := bytes.Replace(good, []byte(id), []byte(strings.Repeat("x", len(id))), 1)
	if err := readMessage(bytes.NewReader(noID), new(request)); !errors.Is(err, errMessage) {
		t.Errorf("with no ID: got %v", err)
	}
	if err := writeMessage(io.Discard, &request{Literal: strings.Repeat("x", 65536)}); err == nil {
		t.Error("wrote more than 64 KiB")
	}
	if err := readMessage(strings.NewReader("\x00\x01\x00\x01"), new(request)); !errors.Is(err, errMessage) {
		t.Errorf("more than 64 KiB: got %v", err)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = readMessage(bytes.NewReader(data), new(request))
		_ = readMessage(bytes.NewReader(data), new(answer))
	})
}
