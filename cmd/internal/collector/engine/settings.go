package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Setting reads a setting that PutSetting stored: what belongs to the collector's server and pages, such as tokens and
// alerts. App is 0 for settings of the whole collector.
func (c *Engine) Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error) {
	return c.store.Record(ctx, collector.RecordKey{Kind: kindSetting, App: app, Name: name})
}

// PutSetting stores a setting, durably; nil deletes it.
func (c *Engine) PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error {
	switch {
	case name == "" || len(name) > collector.MaxSettingName || strings.HasPrefix(name, "."):
		return fmt.Errorf("name %q of the setting is not 1 to %d bytes, the first not a dot", name, collector.MaxSettingName)
	case len(data) > collector.MaxSettingBytes:
		return fmt.Errorf("setting %s has %d bytes, and not at most %d", name, len(data), collector.MaxSettingBytes)
	}
	return c.exec(ctx, func(ctx context.Context) error {
		return c.commit(ctx, &collector.Batch{Records: []collector.Record{{RecordKey: collector.RecordKey{Kind: kindSetting, App: app, Name: name}, Data: data}}})
	})
}
