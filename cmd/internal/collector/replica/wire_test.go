package replica

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/report"
)

// fill sets every field to a value other than zero.
func fill(v reflect.Value, n *int) {
	*n++
	if t, ok := v.Addr().Interface().(*time.Time); ok {
		*t = time.Unix(int64(*n)*1e8, int64(*n%2)*7).UTC()
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{fmt.Sprint(*n): "a", fmt.Sprint(*n + 1): "b"}))
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n) & 255)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n) << (v.Type().Size() * 4))
	default:
		panic(v.Kind())
	}
}

// example is a batch with everything that one could have in version 0.1.
func example() batch {
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	key := collector.Key{1, 2, 3}
	return batch{ID: 7, Refused: []refusal{{"app", "busy", 3}}, Reports: []counter.Report{
		{Heartbeat: &collector.Received{
			Key: key, Country: "DE", Legacy: true, Exported: true, Prefix: 1 << 63, Dropped: report.Dropped{Fields: 1, Facts: 2},
			Heartbeat: report.Heartbeat{
				Schema: 1, App: "app", IDPersistence: report.Persisted, SentAt: at, Version: "1.2.3",
				Platform: report.Platform{System: "linux", Release: "6.12", Machine: "amd64"}, Deployment: report.DeploymentBare,
				Client: report.Client{Name: "rollcall-go", Version: "0.1.0"}, Facts: report.Facts{{Name: "tls", Value: "true"}},
			},
		}},
		{Health: &collector.ReceivedHealth{
			Key: key, Legacy: true, Prefix: 5, Events: [][]string{{"a", "b"}}, Batch: "c",
			Report: report.HealthReport{
				Schema: 1, App: "app", IDPersistence: report.Persisted, SentAt: at, Version: "1.2.3",
				Faults: []report.Fault{{Source: "log", Component: "storage", Reason: "disk-full", Severity: "error", Count: 2, Since: at, First: at, Last: at, Context: map[string]string{"disk": "ssd"}}},
			},
		}},
	}}
}

// copyOf writes a message and reads it back.
func copyOf(t *testing.T, write, read func(*coder)) {
	t.Helper()
	if err := newFrameReader(bytes.NewReader(new(coder).frame(write))).read(read); err != nil {
		t.Fatal(err)
	}
}

// Every field of a report reaches the counter: a new field has to be added to
// the wire, too.
func TestEverythingIsSent(t *testing.T) {
	t.Parallel()
	var b, gotBatch batch
	var r, gotReply reply
	n := 0
	fill(reflect.ValueOf(&b).Elem(), &n)
	fill(reflect.ValueOf(&r).Elem(), &n)
	b.Reports[0].Health, b.Reports[1].Heartbeat = nil, nil
	h, f := b.Reports[0].Heartbeat, b.Reports[1].Health
	h.App, f.App = 0, 0                                          // which the counter knows
	h.Heartbeat.InstallationID, f.Report.InstallationID = "", "" // the key replaces them
	copyOf(t, b.fields, gotBatch.fields)
	copyOf(t, r.fields, gotReply.fields)
	if !reflect.DeepEqual(gotBatch, b) {
		t.Errorf("got %+v, want %+v", gotBatch, b)
	}
	if !reflect.DeepEqual(gotReply, r) {
		t.Errorf("got %+v, want %+v", gotReply, r)
	}
	var empty batch // a reader invents nothing
	copyOf(t, (&batch{ID: 1}).fields, empty.fields)
	if !reflect.DeepEqual(empty, batch{ID: 1}) {
		t.Errorf("got %+v from an empty batch", empty)
	}
}

// During a rolling update, replicas of two versions talk to each other: a newer
// one understands what an older one sends. Write a new file for a new version,
// and keep the older ones: ROLLCALL_UPDATE=1 go test -run TestOlderMessages.
func TestOlderMessages(t *testing.T) {
	t.Parallel()
	want := example()
	if os.Getenv("ROLLCALL_UPDATE") != "" {
		if err := os.WriteFile("testdata/batch-0.1", new(coder).frame(want.fields), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("testdata/batch-*")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got batch
		if err := newFrameReader(bytes.NewReader(data)).read(got.fields); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", file, got, want)
		}
	}
}

// What a newer version adds is skipped, wherever it is.
func TestNewerMessages(t *testing.T) {
	t.Parallel()
	more := func(c *coder, from protowire.Number) {
		n, s := 1<<40, "more"
		number(c, from, &n)
		one(c, from+1, func() {
			text(c, 1, &s)
			one(c, 2, func() { number(c, 1, &n) })
			one(c, 3, func() {})
		})
		text(c, from+2, &s)
	}
	want := example()
	var got batch
	copyOf(t, func(c *coder) {
		number(c, 1, &want.ID)
		list(c, 2, &want.Refused, func(c *coder, r *refusal) {
			text(c, 1, &r.App)
			text(c, 2, &r.Reason)
			number(c, 3, &r.N)
			more(c, 4)
		})
		list(c, 3, &want.Reports, func(c *coder, r *counter.Report) {
			if r.Heartbeat != nil {
				one(c, 1, func() { heartbeatFields(c, r.Heartbeat); more(c, 100) })
			} else {
				one(c, 2, func() { healthFields(c, r.Health); more(c, 1000) })
			}
			more(c, 3)
		})
		more(c, 4)
	}, got.fields)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A broken replica may send anything.
func FuzzMessages(f *testing.F) {
	whole := new(coder).frame(new(example()).fields)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(new(coder).frame((&reply{ID: 1, Outcomes: []outcome{{Code: codeLimit, Reason: "busy", Wait: 1}}}).fields))
	f.Add([]byte{0, 0, 0, 2, 1<<3 | byte(protowire.BytesType), 200})
	f.Fuzz(func(t *testing.T, data []byte) {
		var b, again batch
		if newFrameReader(bytes.NewReader(data)).read(b.fields) == nil {
			copyOf(t, b.fields, again.fields)
			if !reflect.DeepEqual(again, b) {
				t.Errorf("got %+v, want %+v", again, b)
			}
		}
		var r reply
		_ = newFrameReader(bytes.NewReader(data)).read(r.fields)
	})
}

// BenchmarkMessages writes and reads batches of the usual heartbeats.
func BenchmarkMessages(b *testing.B) {
	sent := batch{ID: 1}
	for range 100 {
		sent.Reports = append(sent.Reports, example().Reports[0])
	}
	var c coder
	var in bytes.Reader
	from := newFrameReader(&in)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(c.frame(sent.fields))
		var got batch
		if err := from.read(got.fields); err != nil || len(got.Reports) != len(sent.Reports) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(sent.Reports)), "ns/report")
}

// Errors keep their meaning on the way.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	receipt := collector.Receipt{New: true, Counted: 3}
	for _, err := range []error{
		nil, collector.ErrUnknownApp, collector.ErrGone, collector.ErrRefusedID, collector.ErrNewLimit, collector.ErrBusy, collector.ErrUnavailable,
	} {
		var got reply
		copyOf(t, (&reply{Outcomes: []outcome{outcomeOf(counter.Outcome{Receipt: receipt, Err: err})}}).fields, got.fields)
		if o := got.Outcomes[0]; !errors.Is(o.err(), err) || o.Receipt != receipt {
			t.Errorf("%v: got %v, %+v", err, o.err(), o.Receipt)
		}
	}
	limited := outcomeOf(counter.Outcome{Err: &collector.LimitError{Reason: "new_limited", Wait: time.Minute}})
	if err, ok := errors.AsType[*collector.LimitError](limited.err()); !ok || err.Reason != "new_limited" || err.Wait != time.Minute {
		t.Errorf("got %v", limited.err())
	}
	for _, err := range []error{collector.ErrClosed, collector.ErrLost, errors.Join(collector.ErrUnavailable, collector.ErrLost)} {
		if o := outcomeOf(counter.Outcome{Err: err}); o.err() != errMoved {
			t.Errorf("%v: got %v, want another counter", err, o.err())
		}
	}
}

// Strangers name apps as they like, and take up no memory by it.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	var r refusals
	for i := range 10 * maxRefusals {
		r.add(strings.Repeat("x", i%5000), "busy")
	}
	total, list := 0, r.take()
	for _, refused := range list {
		total += refused.N
	}
	if len(list) > maxRefusals+1 || total != 10*maxRefusals {
		t.Errorf("got %d entries with %d refusals", len(list), total)
	}
	if r.take() != nil {
		t.Error("they are sent twice")
	}
}
