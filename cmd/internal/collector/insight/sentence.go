package insight

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Quiet is the sentence of a week without findings.
const Quiet = "Nothing unusual this week"

// NoComparison is the sentence of a week that cannot be compared.
const NoComparison = "The collector did not run on all days of these two weeks, so they cannot be compared"

// Sentences returns the sentences of a report, at least one. The address of the
// page that shows it goes with each finding; the others have none.
func (r Report) Sentences() (texts, pages []string) {
	for _, f := range r.Findings {
		texts, pages = append(texts, f.Sentence()), append(pages, f.Page(r))
	}
	switch {
	case r.Early != 0:
		texts, pages = append(texts, "Changes are shown from "+date(r.Early)+" on, when there are two weeks to compare"), append(pages, "")
	case r.Gap:
		texts, pages = append(texts, NoComparison), append(pages, "")
	case len(texts) == 0:
		texts, pages = append(texts, Quiet), append(pages, "")
	}
	return texts, pages
}

// Sentence returns the finding in plain English, without markup or a full stop.
// Names in it come from reports; see [Clean].
func (f Finding) Sentence() string {
	switch f.Kind {
	case Firing:
		return "Alert: " + Clean(f.Text)
	case Silent:
		if f.Dimension == "" {
			return "Reports stopped on " + date(f.Day)
		}
		return fmt.Sprintf("Reports from %s stopped on %s", f.value(), date(f.Day))
	case FaultNew:
		return fmt.Sprintf("%s is a new fault%s: it affects %s", f.fault(), in(f.Version), installations(f.Now))
	case FaultRose, FaultFell:
		return f.faultSentence()
	case ReleaseNew:
		verb := "was first seen"
		if f.Dated {
			verb = "came out"
		}
		return fmt.Sprintf("%s %s on %s and has reached %s", Clean(f.Version), verb, date(f.Day), percent(f.share()))
	case Adopted:
		return fmt.Sprintf("%s reached %s, from %s a week before", Clean(f.Version), percent(f.share()), percent(f.shareBefore()))
	case ActiveRose, ActiveFell:
		return fmt.Sprintf("Active installations %s by %s, from %s to %s", verb(f.Kind == ActiveRose), percent(f.ratio()), Grouped(f.Before), Grouped(f.Now))
	case NewRose, NewFell:
		if f.Before == 0 {
			return Grouped(f.Now) + " installations were new, and none in the week before"
		}
		return fmt.Sprintf("New installations %s by %s, from %s to %s", verb(f.Kind == NewRose), percent(f.ratio()), Grouped(f.Before), Grouped(f.Now))
	case ValueNew:
		return fmt.Sprintf("First reports from %s: %s", f.value(), installations(f.Now))
	case ShareRose, ShareFell:
		if fact, ok := strings.CutPrefix(f.Dimension, collector.FactDimension); ok {
			return fmt.Sprintf("%s = %s %s from %s to %s", Clean(fact), Clean(f.Value), verb(f.Kind == ShareRose), percent(f.shareBefore()), percent(f.share()))
		}
		return fmt.Sprintf("%s %s from %s to %s", f.value(), verb(f.Kind == ShareRose), percent(f.shareBefore()), percent(f.share()))
	}
	return string(f.Kind)
}

func (f Finding) faultSentence() string {
	if f.Before == 0 {
		return fmt.Sprintf("%s affects %s%s, and affected none a week before", f.fault(), installations(f.Now), of(f.Version))
	}
	if f.Now == 0 {
		return f.fault() + " was not reported any more"
	}
	ratio := math.Abs(f.share()/f.shareBefore() - 1)
	change := "by " + percent(ratio)
	if ratio >= 4 {
		change = fmt.Sprintf("%.0f-fold", ratio+1)
	}
	return fmt.Sprintf("%s %s %s%s", f.fault(), verb(f.Kind == FaultRose), change, in(f.Version))
}

func (f Finding) share() float64       { return part(f.Now, f.Of) }
func (f Finding) shareBefore() float64 { return part(f.Before, f.OfBefore) }
func (f Finding) ratio() float64       { return math.Abs(float64(f.Now)/float64(max(1, f.Before)) - 1) }

func part(n, of uint64) float64 { return min(1, float64(n)/float64(max(1, of))) }

func (f Finding) fault() string { return Clean(f.Component + ": " + f.Reason) }

// value returns the value as people call it.
func (f Finding) value() string {
	value := Clean(f.Value)
	switch f.Dimension {
	case collector.DimCountry:
		return "country " + value
	case collector.DimDeployment:
		return "deployment " + value
	}
	return value
}

func in(version string) string {
	if version == "" {
		return ""
	}
	return " in " + Clean(version)
}

func of(version string) string {
	if version == "" {
		return ""
	}
	return " of " + Clean(version)
}

func verb(rose bool) string {
	if rose {
		return "rose"
	}
	return "fell"
}

func date(day collector.Day) string { return day.Time().Format("2 January") }

func installations(n uint64) string {
	if n == 1 {
		return "1 installation"
	}
	return Grouped(n) + " installations"
}

// percent returns a share in percent, with a decimal below 10%.
func percent(share float64) string {
	if share *= 100; share < 9.95 && share != math.Trunc(share) {
		return strconv.FormatFloat(share, 'f', 1, 64) + "%"
	}
	return Grouped(uint64(math.Round(share))) + "%"
}

// Grouped returns a number with its digits in groups of three.
func Grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Clean returns a text from a report as one line of printable characters.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// Page returns where the dashboard shows what the finding says: the path of a page
// below that of the app, with the two weeks as its range, and a panel.
func (f Finding) Page(r Report) string {
	page, panel := f.place()
	values := url.Values{"from": {(r.Before - Days + 1).String()}, "to": {r.To.String()}}
	for name, value := range map[string]string{"trend": f.Dimension, "version": f.Version, "fault": f.Fault} {
		if value != "" && (name == page || name == "trend" && page == "features") {
			values.Set(name, value)
		}
	}
	return page + "?" + values.Encode() + "#" + panel
}

func (f Finding) place() (page, panel string) {
	kind := f.Kind
	if kind == Firing {
		kind = f.About
	}
	switch kind {
	case FaultNew, FaultRose, FaultFell:
		if f.Fault != "" {
			return "fault", "days"
		}
		return "health", "faults"
	case ReleaseNew, Adopted:
		if f.Version != "" {
			return "version", "running"
		}
		return "versions", "share"
	case NewRose, NewFell:
		return "overview", "growth"
	case ValueNew, ShareRose, ShareFell:
		return "features", "trend"
	case Silent:
		if f.Dimension != "" {
			return "features", "trend"
		}
	}
	return "overview", "active"
}
