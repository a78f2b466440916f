package rollcall

import "github.com/rollcall-dev/rollcall/internal/idstore"

// Files names the files of a [Service], as absolute paths. They need not exist. One is empty if there is no such file, because the
// host keeps this itself or the ID is in the environment.
type Files struct {
	// ID is the anchor or the state file. A config holds a copy.
	ID string
	// Decisions is the config or the consent file.
	Decisions string
	// Denial records what the operator denied through Rollcall, and Retired
	// the IDs that were reset or forgotten.
	Denial, Retired string
	// State records when reports were sent, Host what [Service.SaveHostValues]
	// keeps, and Updates what the update check learnt.
	State, Host, Updates string
}

// Files returns the names of the service's files. It reads none of them.
func (s *Service) Files() Files {
	if s == nil {
		return Files{}
	}
	return s.files
}

func (s *Service) filesAt(l idstore.Location) Files {
	f := Files{
		ID: l.IDPath(), Decisions: l.DecisionsPath(), Denial: l.DenialsPath(), Retired: l.RetiredPath(),
		State: l.NotePath(idstore.StateNote), Host: l.NotePath(idstore.HostNote), Updates: l.NotePath(idstore.UpdateNote),
	}
	if s.config.ID.Load != nil || s.idVariable != "" {
		f.ID = ""
	}
	if s.config.Consent.Load != nil {
		f.Decisions = ""
	}
	return f
}
