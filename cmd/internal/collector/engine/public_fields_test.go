package engine_test

import (
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// What a field of a public answer is.
const (
	asked   = "what was asked for, or follows from the calendar"
	counted = "a rounded count, or made from rounded counts alone"
	named   = "the name of a group that is shown, or follows from it"
	said    = "what the maintainer said"
	hidden  = "not for the public: it has the zero value"
)

// publicFields has all fields of all public answers. A new field belongs here once
// it is clear what the public can learn from it.
var publicFields = map[string]string{
	"Meta.AsOf": asked, "Meta.Complete": asked, "Meta.DenominatorOf": asked, "Meta.Next": asked,
	"Meta.Denominator": counted, "Meta.Suppressed": counted, "Meta.Segment": hidden, "Meta.Reaches": hidden,
	"Range.From": asked, "Range.To": asked,

	"SeriesPoint.Day": asked, "SeriesPoint.Open": hidden, "SeriesPoint.Gap": hidden,
	"SeriesPoint.New": hidden, "SeriesPoint.Returning": hidden, "SeriesPoint.Lost": hidden, "SeriesPoint.Forgotten": hidden,
	"SeriesPoint.InMemory": hidden, "SeriesPoint.Excluded": hidden, "Series.MedianAge": hidden,
	"Active.Day": hidden, "Active.Week": hidden, "Active.Days28": counted, "Active.Days30": hidden,

	"Breakdown.Dimension": asked, "Breakdown.Window": asked, "Breakdown.To": asked,
	"Breakdown.Active": counted, "Breakdown.Reporting": counted,
	"Value.Value": named, "Value.Count": counted, "Value.Share": counted,

	"Trend.Dimension": asked, "Trend.Window": asked, "Trend.Values": named,
	"TrendPoint.Day": asked, "TrendPoint.Open": hidden, "TrendPoint.Gap": hidden, "TrendPoint.Active": counted, "TrendPoint.Counts": counted,

	"Release.Version": named, "Release.Pre": named, "Release.Doubtful": hidden, "Release.Released": said, "Release.Stated": said, "Release.Active": counted, "Release.HalfAfter": counted,
	"AdoptionPoint.Days": asked, "AdoptionPoint.Active": counted, "AdoptionPoint.Of": counted, "AdoptionPoint.Share": counted,
	"Move.From": hidden, "Move.To": hidden, "Move.Count": hidden, "Move.Up": hidden, "Versions.Upgrades": hidden, "Versions.Downgrades": hidden,

	"Floor.To": asked, "FloorStep.Version": named, "FloorStep.Kept": counted, "FloorStep.Share": counted,

	"FaultTotals.Affected": hidden, "FaultGroup.Name": hidden, "FaultGroup.Affected": hidden, "FaultGroup.Occurrences": hidden,
	"FaultDay.Day": hidden, "FaultDay.Open": hidden, "FaultDay.Affected": hidden, "FaultDay.Occurrences": hidden,
	"FactSum.Fact": hidden, "FactSum.Sum": hidden, "FactSum.Reporting": hidden,
	"Fault.ID": named, "Fault.Source": named, "Fault.Component": named, "Fault.Reason": named, "Fault.Stage": named, "Fault.Severity": named,
	"Fault.FirstSeen": hidden, "Fault.LastSeen": hidden, "Fault.Affected": counted, "Fault.Occurrences": hidden, "Fault.NewIn": hidden, "Fault.Sample": hidden,
	"Fault.Status": said, "Fault.FixedIn": said, "Fault.Note": hidden,
	"FaultVersion.Version": hidden, "FaultVersion.Affected": hidden, "FaultVersion.Active": hidden, "FaultVersion.PerThousand": hidden, "FaultVersion.Occurrences": hidden,

	"CoOccurrence.Row": asked, "CoOccurrence.Column": asked, "CoOccurrence.Window": asked, "CoOccurrence.To": asked,
	"CoOccurrence.Rows": named, "CoOccurrence.Columns": named, "CoOccurrence.Counts": counted,
}

// eachField calls use with every field of a type that is no struct of ours, and
// those of the types of its fields.
func eachField(t reflect.Type, use func(name string)) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for field := range t.Fields() {
		inner := field.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && strings.Contains(inner.PkgPath(), "/collector") {
			eachField(inner, use)
			continue
		}
		use(t.Name() + "." + field.Name)
	}
}

// hiddenValues returns the names of hidden fields that have a value.
func hiddenValues(v reflect.Value) (names []string) {
	switch v.Kind() {
	case reflect.Interface:
		return hiddenValues(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			names = append(names, hiddenValues(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			if publicFields[name] == hidden && !v.Field(i).IsZero() {
				names = append(names, name)
			}
			names = append(names, hiddenValues(v.Field(i))...)
		}
	}
	return names
}

// Every field of every public answer is known, and hidden ones are.
func TestPublicFields(t *testing.T) {
	t.Parallel()
	unused := make(map[string]bool)
	for name := range publicFields {
		unused[name] = true
	}
	for _, answer := range []any{
		figures.Series{}, figures.Breakdown{}, figures.Trend{}, figures.Versions{}, figures.Floor{}, figures.Faults{}, figures.CoOccurrence{},
	} {
		eachField(reflect.TypeOf(answer), func(name string) {
			if publicFields[name] == "" {
				t.Errorf("nobody has said what the public learns from %s", name)
			}
			delete(unused, name)
		})
	}
	for name := range unused {
		t.Errorf("no public answer has the field %s", name)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		w := newWorld(t)
		defer w.close()
		systems := make([]string, 23)
		faults := make(map[int]bool)
		for n := range systems {
			systems[n], faults[n] = "linux", true
		}
		for day := range 60 {
			w.acmeFleet(systems, faults)
			w.sends(100, 110, []string{"1.0", "1.1"}[day/30]) // they move
			w.nextDay()
		}
		if err := w.e.SetRelease(t.Context(), w.app.Num, "1.1", today()-60); err != nil {
			t.Fatal(err)
		}
		answers := w.answers(t, w.app, figures.View{Public: true, Pairs: true})
		for _, name := range hiddenValues(reflect.ValueOf(answers)) {
			t.Errorf("the public sees %s", name)
		}
		if len(hiddenValues(reflect.ValueOf(w.answers(t, w.app, figures.View{Pairs: true})))) == 0 {
			t.Error("the maintainer does not see what the public does not")
		}
		faultsShown, err := w.e.Faults(t.Context(), w.app.Num, collector.Range{From: today() - 27, To: today()}, figures.PublicView(w.app))
		if err != nil || len(faultsShown.Faults) != 1 {
			t.Errorf("got faults %+v, %v; want one", faultsShown, err)
		}
		versions, err := w.e.Versions(t.Context(), w.app.Num, collector.Range{From: today() - 89, To: today()}, figures.PublicView(w.app))
		if err != nil || len(versions.Releases) < 2 || len(versions.Releases[0].Adoption) == 0 {
			t.Errorf("got releases %+v, %v; want two, with adoption", versions.Releases, err)
		}
	})
}
