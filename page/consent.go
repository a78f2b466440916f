package page

import "github.com/rollcall-dev/rollcall"

// A consentView is a switch and what decided its state.
type consentView struct {
	Granted, Denied bool // neither if nobody has decided
	// Cause continues "turned on" or "turned off", such as "by the config key
	// telemetry.enabled".
	Cause string
	// Overruler is what takes precedence over the config, such as "The policy";
	// empty for nothing.
	Overruler string
	// Elsewhere says that the host keeps the decision, and only the host can
	// change it.
	Elsewhere bool

	CanGrant, CanDeny bool
	// Added are the fields that the consent does not cover, because they were
	// added later.
	Added []string
}

func newConsentView(d rollcall.Decision) consentView {
	c := consentView{
		Granted:   d.State == rollcall.Granted,
		Denied:    d.State == rollcall.Denied,
		Cause:     plain(cause(d.Source)),
		Elsewhere: d.Source.Kind == rollcall.SourceHost,
	}
	switch d.Source.Kind {
	case rollcall.SourcePolicy:
		c.Overruler = "The policy"
	case rollcall.SourceEnvironment:
		c.Overruler = "The environment variable"
	}
	switch {
	case c.Elsewhere:
	case overrules(d.Source):
		c.CanDeny = d.Setting == rollcall.Granted
	default:
		c.CanGrant = !c.Granted
		// Another denial would change nothing if one is saved as such.
		saved := d.Source.Kind == rollcall.SourceConfig || d.Source.Kind == rollcall.SourceConsentFile
		c.CanDeny = !c.Denied || !saved || d.Source.Problem != ""
	}
	return c
}

// overrules reports whether a source takes precedence over the config.
func overrules(s rollcall.Source) bool {
	return s.Kind == rollcall.SourcePolicy || s.Kind == rollcall.SourceEnvironment
}

// cause says how a source decides, as a continuation of "turned off".
func cause(s rollcall.Source) string {
	name := decider(s)
	switch {
	case s.Problem == rollcall.ProblemUnreadable:
		return "because " + name + " could not be read"
	case s.Problem == rollcall.ProblemNotRead:
		return "because " + name + " has not been read yet"
	case s.Problem == rollcall.ProblemInvalid:
		return "because " + name + " is neither true nor false"
	case s.Kind == rollcall.SourceProcess:
		return "in this process only, because the decision could not be saved"
	}
	return "by " + name
}

// decider names a source within a sentence.
func decider(s rollcall.Source) string {
	name, known := map[rollcall.SourceKind]string{
		rollcall.SourcePolicy: "the policy file ", rollcall.SourceEnvironment: "the environment variable ",
		rollcall.SourceConsentFile: "the consent file ", rollcall.SourceConfig: "the config key ",
	}[s.Kind]
	switch {
	case s.Kind == rollcall.SourceHost:
		return "this program's settings"
	case !known || s.Kind == rollcall.SourceConfig && s.Name == "":
		return "the config"
	}
	return name + s.Name
}
