package rollcall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/rollcall-dev/rollcall/internal/idstore"
)

// MaxHostValues is the greatest length of what [Service.SaveHostValues] keeps,
// in bytes.
const MaxHostValues = idstore.MaxHost

// LoadHostValues returns what [Service.SaveHostValues] kept, or nil if there is
// nothing. It waits no longer than ctx.
func (s *Service) LoadHostValues(ctx context.Context) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	values, err := s.records.LoadNote(ctx, idstore.HostNote)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load the host's values: %w", err)
	}
	return values, nil
}

// SaveHostValues keeps a line of JSON durably, in place of the last one. It is
// for a program that runs beside its host, such as an agent, and keeps over
// restarts what the host told it. It waits no longer than ctx.
func (s *Service) SaveHostValues(ctx context.Context, values []byte) error {
	if s == nil {
		return fmt.Errorf("save the host's values: %w", ErrNoService)
	}
	if err := s.records.SaveNote(ctx, idstore.HostNote, values); err != nil {
		return fmt.Errorf("save the host's values: %w", err)
	}
	return nil
}

// SetVersion changes Config.Version, for a program that outlives the version of
// its host, such as an agent. It is safe at any time.
func (s *Service) SetVersion(version string) {
	if s == nil {
		return
	}
	c := s.config
	c.Version = version
	s.version.Store(&hostVersion{version, notCounted(c)})
	if s.keeper == nil {
		return // in New
	}
	if st := s.keeper.Status(); st.Settled {
		s.logReporting(s.known(st).Telemetry.State == Granted)
	}
}

// A hostVersion is the version of the host, and why a process of that version
// is no installation to count; nil if it is one.
type hostVersion struct {
	text       string
	notCounted *NotCountedError
}
