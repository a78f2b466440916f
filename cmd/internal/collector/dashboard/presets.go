package dashboard

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// presets returns links to the latest whole week, month, and quarter. The public
// has windows instead.
func (v view) presets(public bool) []link {
	if public {
		return nil
	}
	monday, month := v.today.Week(), v.today.Month()
	quarter := month
	for quarter.Time().Month()%3 != 1 {
		quarter = (quarter - 1).Month()
	}
	before := quarter
	for range 3 {
		before = (before - 1).Month()
	}
	var links []link
	for _, preset := range []struct {
		name string
		days collector.Range
	}{
		{"Last week", collector.Range{From: monday - 7, To: monday - 1}},
		{"Last month", collector.Range{From: (month - 1).Month(), To: month - 1}},
		{"Last quarter", collector.Range{From: before, To: quarter - 1}},
	} {
		links = append(links, link{
			preset.name + " (" + v.days(preset.days) + ")",
			v.with("days", "", "from", preset.days.From.String(), "to", preset.days.To.String()), v.length == 0 && v.span == preset.days,
		})
	}
	return links
}
