package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/report"
)

type alertsData struct {
	Status  []string
	Config  alert.Config
	Forms   []ruleForm
	MaxText int
	Days    []alert.Weekday
	Firing  map[string]string // since when rules fire, by their key
}

// A ruleForm adds a rule of one kind.
type ruleForm struct {
	Kind   alert.Kind
	Title  string
	Fields []ruleField
}

type ruleField struct {
	Name, Label, Value string
	Min, Max           int // of a number; Max is 0 for a text
}

func ruleForms() []ruleForm {
	percent := func(label, value string, most int) ruleField {
		return ruleField{Name: "percent", Label: label, Value: value, Min: 1, Max: most}
	}
	least := ruleField{Name: "least", Label: "Min. installations", Value: strconv.Itoa(alert.DefaultLeast), Min: 1, Max: alert.MaxLeast}
	return []ruleForm{
		{alert.ActiveDrop, "Active installations drop", []ruleField{percent("By (%)", "30", 100), least}},
		{alert.FaultRate, "A fault is more frequent in the newest release", []ruleField{percent("By (%)", "50", alert.MaxPercent), least}},
		{alert.Adoption, "Version adoption reaches", []ruleField{{Name: "version", Label: "Version"}, percent("Share (%)", "50", 100)}},
		{alert.Silence, "Reports stop", []ruleField{{Name: "hours", Label: "For (hours)", Value: "12", Min: 1, Max: alert.MaxHours}}},
		{alert.NewBurst, "More new installations than usual", []ruleField{percent("By (%)", "300", alert.MaxPercent), least}},
	}
}

// ruleText says when a rule fires.
func ruleText(r alert.Rule) string {
	var text string
	switch r.Kind {
	case alert.ActiveDrop:
		text = fmt.Sprintf("Active installations are %g%% below their average on that weekday in the past four weeks", r.Percent)
	case alert.FaultRate:
		text = fmt.Sprintf("A fault affects %g%% more installations of the newest release than of the one before", r.Percent)
	case alert.Adoption:
		text = fmt.Sprintf("%g%% of installations run %s or newer", r.Percent, r.Version)
	case alert.Silence:
		text = fmt.Sprintf("No reports for %g hours", r.Hours)
	case alert.NewBurst:
		text = fmt.Sprintf("New installations are %g%% above their average of the past 14 days", r.Percent)
	default:
		text = string(r.Kind)
	}
	if r.Least > 0 && r.Least != alert.DefaultLeast {
		text += fmt.Sprintf(", for at least %d installations", r.Least)
	}
	return text
}

// alerts returns what the settings page shows, or nil if there are no alerts.
func (d *dashboard) alerts(ctx context.Context, app collector.AppNum) (*alertsData, error) {
	if d.opts.Alerts == nil {
		return nil, nil
	}
	config, err := d.opts.Alerts.Config(ctx, app)
	if err != nil {
		return nil, err
	}
	status, err := d.opts.Alerts.Status(ctx, app)
	if err != nil {
		return nil, err
	}
	rules, err := d.opts.Alerts.FiringRules(ctx, app)
	firing := make(map[string]string, len(rules))
	for key, since := range rules {
		firing[key] = since.Format("2006-01-02 15:04 UTC")
	}
	return &alertsData{status, config, ruleForms(), alert.MaxTextLen, alert.Weekdays(), firing}, err
}

// changeAlerts changes one thing about the alerts of an app, or sends a test.
func (d *dashboard) changeAlerts(r *http.Request, do string, app collector.AppNum) error {
	unknown := errors.New("unknown action")
	switch {
	case d.opts.Alerts == nil:
		return unknown
	case do == "test":
		return d.opts.Alerts.Test(r.Context(), app)
	}
	return d.opts.Alerts.Change(r.Context(), app, func(c *alert.Config) error {
		switch do {
		case "rule":
			return addRule(r, c)
		case "rule-remove":
			c.Rules = slices.DeleteFunc(c.Rules, func(rule alert.Rule) bool { return rule.Key() == r.PostFormValue("rule") })
		case "webhook":
			c.Webhooks = append(c.Webhooks, alert.Webhook{URL: formText(r, "url"), Secret: r.PostFormValue("secret")})
		case "webhook-remove":
			c.Webhooks = slices.DeleteFunc(c.Webhooks, func(w alert.Webhook) bool { return w.URL == r.PostFormValue("url") })
		case "email":
			c.Email = emailOf(r, c.Email)
		case "email-remove":
			c.Email = nil
		case "weekly":
			c.Weekly = alert.Weekday(r.PostFormValue("weekly"))
		default:
			return unknown
		}
		return nil
	})
}

func addRule(r *http.Request, c *alert.Config) error {
	rule := alert.Rule{Kind: alert.Kind(r.PostFormValue("kind")), Version: report.NormalizeVersion(formText(r, "version"))}
	for name, field := range map[string]*float64{"percent": &rule.Percent, "hours": &rule.Hours} {
		if text := formText(r, name); text != "" {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("%s: not a number", name)
			}
			*field = n
		}
	}
	if text := formText(r, "least"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("min. installations: not a whole number")
		}
		rule.Least = n
	}
	c.Rules = append(c.Rules, rule)
	return nil
}

// emailOf reads the email form. An empty password keeps the stored one, unless
// there is no user.
func emailOf(r *http.Request, stored *alert.Email) *alert.Email {
	e := &alert.Email{
		Server: formText(r, "server"), TLS: r.PostFormValue("tls") != "", User: formText(r, "user"), Password: r.PostFormValue("password"),
		From: formText(r, "from"), To: []string{},
	}
	for to := range strings.SplitSeq(r.PostFormValue("to"), ",") {
		if to = strings.TrimSpace(to); to != "" {
			e.To = append(e.To, to)
		}
	}
	if e.Password == "" && e.User != "" && stored != nil {
		e.Password = stored.Password
	}
	return e
}

// formText returns a value of a form without the space around it.
func formText(r *http.Request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }

// weekday returns the name of a day with a capital letter.
func weekday(day alert.Weekday) string { return strings.ToUpper(string(day[:1])) + string(day[1:]) }
