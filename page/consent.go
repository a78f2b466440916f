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
	// change it, where the text says; empty if that is not known.
	Elsewhere bool
	Where     string

	CanGrant, CanDeny bool
	// Blocked says why a grant could not be saved; empty if it could.
	Blocked string
	// Added are the fields that the consent does not cover, because they were
	// added later. CanAdd says that the page offers to send them.
	Added  []string
	CanAdd bool
}

// newConsentView returns the view of a decision, which the verb grants.
func newConsentView(d rollcall.Decision, verb string) consentView {
	c := consentView{
		Granted:   d.State == rollcall.Granted,
		Denied:    d.State == rollcall.Denied,
		Cause:     plain(cause(d.Source, verb)),
		Elsewhere: d.CannotGrant || d.CannotDeny,
		Where:     plain(d.Where),
	}
	switch d.Source.Kind {
	case rollcall.SourcePolicy:
		c.Overruler = "The policy"
	case rollcall.SourceEnvironment:
		c.Overruler = "The environment variable"
	}
	switch {
	case overrules(d.Source):
		c.CanDeny = d.Setting == rollcall.Granted && !d.CannotDeny
	case d.CannotGrant: // and so denied or undecided
	case d.CannotDeny:
	default:
		c.CanGrant = !c.Granted
		// Another denial would change nothing if one is saved as such.
		saved := d.Source.Kind == rollcall.SourceConfig || d.Source.Kind == rollcall.SourceConsentFile ||
			d.Source.Kind == rollcall.SourceHost || d.Source.Kind == rollcall.SourceWithdrawal
		c.CanDeny = !c.Denied || !saved || d.Source.Problem != ""
	}
	return c
}

// overrules reports whether a source takes precedence over the config.
func overrules(s rollcall.Source) bool {
	return s.Kind == rollcall.SourcePolicy || s.Kind == rollcall.SourceEnvironment
}

// cause says how a source decides, as a continuation of "turned off". The verb
// grants again.
func cause(s rollcall.Source, verb string) string {
	name := decider(s)
	switch {
	case s.Problem == rollcall.ProblemRetired:
		return "because the installation ID was reset or forgotten: " + s.Name
	case s.Problem == rollcall.ProblemUnreadable:
		return "because " + name + " could not be read"
	case s.Problem == rollcall.ProblemNotRead:
		return "because " + name + " has not been read yet"
	case s.Problem == rollcall.ProblemInvalid:
		return "because " + name + " is neither true nor false"
	case s.Kind == rollcall.SourceProcess:
		return "in this process only, because the decision could not be saved"
	case s.Kind == rollcall.SourceWithdrawal:
		return withdrawal(s, verb)
	}
	return "by " + name
}

// withdrawal says who withdrew, when, and how to grant again.
func withdrawal(s rollcall.Source, verb string) string {
	who := "through Rollcall"
	if s.By != "" {
		who = "by " + s.By
	}
	if !s.Since.IsZero() {
		who += " on " + momentOf(s.Since, s.Since).Text
	}
	return who + ". It stays off, whatever the settings say. To turn it on again, use this page or " + verb + ", or remove the file " + s.Name
}

// decider names a source within a sentence.
func decider(s rollcall.Source) string {
	name, known := map[rollcall.SourceKind]string{
		rollcall.SourcePolicy: "the policy file ", rollcall.SourceEnvironment: "the environment variable ",
		rollcall.SourceConsentFile: "the consent file ", rollcall.SourceWithdrawal: "the file ", rollcall.SourceConfig: "the config key ",
	}[s.Kind]
	switch {
	case s.Kind == rollcall.SourceHost:
		if s.Name != "" {
			return "this program's settings, " + s.Name
		}
		return "this program's settings"
	case !known || s.Kind == rollcall.SourceConfig && s.Name == "":
		return "the config"
	}
	return name + s.Name
}
