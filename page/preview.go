package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/rollcall-dev/rollcall/report"
)

type previewView struct {
	Error     string // why there is no preview
	TimedOut  bool
	WithoutID bool
	Heartbeat reportView
	Fields    []fieldView
	Health    *reportView // nil without faults
	// HealthFields are the fields that a health report can contain.
	HealthFields []report.Field
}

// A reportView is a report as it would be sent, indented and exact.
type reportView struct {
	Pretty, Exact string
	Size          int
}

type fieldView struct {
	Name, Value, Reason string
	// Added says that the field was added after the operator agreed.
	Added bool
}

func newPreviewView(g glance) previewView {
	v := previewView{HealthFields: report.HealthFields(), WithoutID: g.preview.WithoutID}
	if g.previewError != nil {
		v.Error = plain(g.previewError.Error())
		v.TimedOut = errors.Is(g.previewError, context.DeadlineExceeded)
		return v
	}
	v.Heartbeat = newReportView(g.preview.Heartbeat)
	if g.preview.Health != nil {
		health := newReportView(g.preview.Health)
		v.Health = &health
	}
	for _, f := range g.preview.Fields {
		v.Fields = append(v.Fields, fieldView{
			Name: visible(f.Name), Value: visible(f.Value), Reason: visible(f.Reason), Added: g.isAdded(f),
		})
	}
	return v
}

func newReportView(body []byte) reportView {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, body, "", "  "); err != nil {
		pretty.Write(body) // shown as it is
	}
	return reportView{Pretty: pretty.String(), Exact: string(body), Size: len(body)}
}
