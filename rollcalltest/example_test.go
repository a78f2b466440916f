package rollcalltest_test

import (
	"context"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// hostFacts are the facts of the host that these examples test.
var hostFacts = []rollcall.Fact{{
	Declaration: report.EnumFact("store", "Shows which stores to support.", "sqlite", "postgres"),
	Value:       func(context.Context) (any, error) { return "sqlite", nil },
}}

// A host tests that it reports what it means to, and only after consent. In its
// own tests, this function is TestTelemetry.
func Example() {
	_ = func(t *testing.T) {
		collector := rollcalltest.NewCollector(t)
		config := rollcalltest.Config(t)
		config.Endpoint, config.Facts = collector.URL, hostFacts
		rollcalltest.CheckFacts(t, config) // none is left out

		service := rollcalltest.Start(t, config)
		if err := service.SetConsent(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if err := service.SendNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if store, _ := collector.Heartbeats()[0].Facts.Get("store"); store != "sqlite" {
			t.Errorf("reported store %q", store)
		}
	}
}

// With a fast clock, a test waits for the report that the service sends by
// itself.
func ExampleFastClock() {
	_ = func(t *testing.T) {
		collector, config := rollcalltest.NewCollector(t), rollcalltest.Config(t)
		config.Endpoint = collector.URL
		rollcalltest.FastClock(t, func(t *testing.T) {
			service := rollcalltest.Start(t, config)
			service.SetConsent(t.Context(), true)
			time.Sleep(10 * time.Minute) // takes no time
			if len(collector.Heartbeats()) != 1 {
				t.Error("no report")
			}
		})
	}
}
