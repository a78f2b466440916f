package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/BurntSushi/toml"
	"github.com/rollcall-dev/rollcall"
)

// settings are a file that the operator edits and the program only reads.
type settings struct{ path string }

func (s settings) consents(context.Context) (rollcall.Consents, error) {
	var file struct {
		Telemetry struct{ Enabled, Health *bool }
	}
	_, err := toml.DecodeFile(s.path, &file)
	if errors.Is(err, fs.ErrNotExist) {
		return rollcall.Consents{}, nil
	}
	return rollcall.Consents{Telemetry: consent(file.Telemetry.Enabled), Health: consent(file.Telemetry.Health)}, err
}

func consent(granted *bool) rollcall.Consent {
	switch {
	case granted == nil:
		return rollcall.Unset
	case *granted:
		return rollcall.Granted
	default:
		return rollcall.Denied
	}
}
