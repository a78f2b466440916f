package metrics_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/metrics"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	registry := prometheus.NewRegistry()
	observer, err := metrics.New(registry)
	if err != nil {
		panic(err)
	}
	service, err := rollcall.New(rollcall.Config{
		ConfigPath: filepath.Join(dir, "config.json"),
		Observer:   observer,
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	service.Start(ctx)
	defer service.Stop(ctx)

	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		if family.GetName() == "rollcall_installation_id_persisted" {
			fmt.Println(family.GetName(), family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output: rollcall_installation_id_persisted 1
}
