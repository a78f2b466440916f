package rollcall

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/report"
)

// The lines that mark the section of [Config.PrivacySection] in a document.
const (
	PrivacyBegin = "<!-- what this program sends: begin. Written by rollcall from the program's declarations. -->\n"
	PrivacyEnd   = "<!-- what this program sends: end -->\n"
)

// PrivacySection returns the section "What this program sends" for the host's
// own documentation, in Markdown, between [PrivacyBegin] and [PrivacyEnd]: where
// reports go, every field and declared fact with its reason, and how the
// operator decides. It follows from App, Endpoint, ConfigPath, Facts, and the
// groups Consent, Reporting and Updates; whatever else c has does not matter. Run it
// again when these change, and let rollcalltest.CheckPrivacy see to that. It
// fails for what [New] would refuse in Facts and Consent.Key.
func (c Config) PrivacySection() (string, error) {
	declaration, err := c.Declaration()
	if err != nil {
		return "", err
	}
	key, err := parseKey("Consent.Key", cmp.Or(c.Consent.Key, DefaultConsentKey))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(PrivacyBegin)
	b.WriteString("## What this program sends\n\n")
	fmt.Fprintf(&b, "Nothing, unless you turn it on. Then %s sends one small report a day, a heartbeat, to %s. If you turn that on\n"+
		"as well, a health report with codes of what went wrong follows it. Both hold these fields and no others, and no free text.\n\n",
		cmp.Or(inCode(c.App), "this program"), cmp.Or(inCode(c.Endpoint), "a collector that you configure"))
	b.WriteString("### Heartbeat\n\n")
	writeFields(&b, fieldsWith(declaration))
	b.WriteString("\n### Health report\n\n")
	writeFields(&b, report.HealthFields())
	if keys := c.Reporting.FaultContext; len(keys) > 0 {
		fmt.Fprintf(&b, "\nThe keys of `faults[].context` are %s.\n", inCode(strings.Join(keys, "`, `")))
	}
	if c.Updates.URLPrefix != "" {
		c.writeUpdates(&b)
	}
	b.WriteString("\n### Who decides\n\n")
	c.writeDecisions(&b, consent.NewKeys(key))
	b.WriteString(PrivacyEnd)
	return b.String(), nil
}

// writeUpdates describes the update check.
func (c Config) writeUpdates(b *strings.Builder) {
	c.Updates.Channel = cmp.Or(c.Updates.Channel, report.StableChannel)
	request := "/v1/releases/" + c.App + "?channel=" + c.Updates.Channel
	if c.Endpoint != "" {
		request = c.updateRequest()
	}
	fmt.Fprintf(b, "\n### Update check\n\nNothing, unless you turn this on too; it does not need the heartbeat. Then once a day, at a random time of day, one\n"+
		"request asks which releases there are: `GET %s`.\n"+
		"It holds no ID, no version, and no cookie, and says no more about who asks than which library or agent that is. A link to a release leads only to a page below %s.\n", request, inCode(c.Updates.URLPrefix))
}

func (c Config) writeDecisions(b *strings.Builder, keys consent.Keys) {
	switch {
	case c.Consent.Where != "":
		fmt.Fprintf(b, "- You do, in %s.\n", cell(c.Consent.Where))
	case c.Consent.Load != nil:
		b.WriteString("- You do, in this program's settings.\n")
	default:
		place := "consent.json in the state directory"
		if c.ConfigPath != "" {
			place = "the config"
		}
		more := ""
		if c.Updates.URLPrefix != "" {
			more = fmt.Sprintf(", and for the update check `%v`,", keys.UpdateCheck)
		}
		fmt.Fprintf(b, "- You do, in %s: `%v` and, for health reports, `%v`%s are `true` or `false`.\n", place, keys.Telemetry, keys.Health, more)
	}
	b.WriteString("- Until you decide, nothing is sent. Turning it off takes effect at once.\n")
	variables := "`DO_NOT_TRACK=1`"
	if own := c.Consent.DenyVariable; own != "" {
		variables += " and " + inCode(own+"=0")
	}
	fmt.Fprintf(b, "- In the environment, %s turn%s it off whatever the settings say. So can an administrator, for every program: `%s` with\n"+
		"  `{\"telemetry\": {\"enabled\": false}}`.\n", variables, map[bool]string{true: "s"}[c.Consent.DenyVariable == ""], policyOnUnix)
	b.WriteString("- Fields that a later version adds are withheld until you agree again.\n")
}

// writeFields writes a table of fields.
func writeFields(b *strings.Builder, fields []report.Field) {
	b.WriteString("| field | what it can be | why it is sent |\n|---|---|---|\n")
	for _, f := range fields {
		bound := f.Type + ": " + f.Bound
		if f.Optional {
			bound += "; may be left out"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Name, cell(bound), cell(f.Reason))
	}
}

// cell returns a text for Markdown on one line, also in a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ", "`", "'").Replace(text)
}

// inCode returns a text as code in Markdown; empty for nothing.
func inCode(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
