package legacy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

func heartbeatOf(o object, app, id string) (report.Heartbeat, report.Dropped) {
	facts, dropped := factsOf(o)
	return report.Heartbeat{
		Schema: report.SchemaVersion, App: app, InstallationID: id, IDPersistence: report.Persisted, SentAt: o.sentAt(),
		Version: report.NormalizeVersion(o.text("version")), Platform: platformOf(o.object("platform")),
		Deployment: report.DeploymentUnknown, Facts: facts,
	}, report.Dropped{Facts: dropped}
}

func platformOf(o object) report.Platform {
	valid := func(text string) string {
		if report.ValidPlatform(text) {
			return text
		}
		return ""
	}
	return report.Platform{
		System: valid(strings.ToLower(o.text("system"))), Release: valid(o.text("release")), Machine: valid(o.text("machine")),
	}
}

// InstallationID returns the ID under which the collector counts an ID of the
// format: a UUID in lower case, and for any other text, and for the UUIDs of only
// zeros or ones, a UUID of version 8 (RFC 9562) derived from all of it. Empty
// stays empty.
func InstallationID(text string) string {
	if text == "" {
		return ""
	}
	if lower := strings.ToLower(text); report.ValidID(lower) {
		return lower
	}
	sum := sha256.Sum256([]byte("rollcall legacy installation\x00" + text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// A field is a value in the nested groups of a heartbeat that becomes a fact,
// named group.key. Other values are not counted, so that nobody can add facts of
// their own to an app.
type field struct {
	group, key string
	format     format
	// olderGroup is the group in which older clients have the key. It counts if
	// the other group has no value.
	olderGroup string
}

func (f field) name() string { return f.group + "." + f.key }

type format struct {
	// text describes the format in docs/legacy.md.
	text string
	// value returns the value as it is counted, or "" if it is not.
	value func(any) string
}

// maxNumber bounds the numbers that are counted, so that all of them have a place
// and their sum is exact; see [collector.SummedFacts].
const maxNumber = 200

var (
	flag   = format{"`true` or `false`", flagValue}
	code   = format{"a code", codeValue}
	reason = format{"a code, if it has at most 64 characters of `a`-`z`, `0`-`9`, and `_`", reasonValue}
	number = format{"a whole number up to " + strconv.Itoa(maxNumber), numberValue}
)

func oneOf(codes ...string) format {
	return format{"`" + strings.Join(codes, "`, `") + "`", func(value any) string {
		if text := codeValue(value); slices.Contains(codes, text) {
			return text
		}
		return ""
	}}
}

// fields are in the order of the table in docs/legacy.md. They do not include
// deployment.git_hash, which describes one installation rather than many.
var fields, groups, known = func() (all []field, groups, known map[string]bool) {
	groups, known = map[string]bool{}, map[string]bool{} // known also has the names in older groups
	for _, row := range []struct {
		group  string
		format format
		older  string
		keys   string
	}{
		{"configuration", code, "", "model_type llm_provider"},
		{"configuration", flag, "", "llm_enabled media_cache_enabled media_cache_clips auto_video_classification"},
		{"integrations", flag, "configuration", "birdnet_enabled birdweather_enabled"},
		{"integrations", flag, "", "ebird_enabled inaturalist_enabled"},
		{"notifications", flag, "", "discord_enabled pushover_enabled telegram_enabled email_enabled"},
		{"notifications", code, "", "mode"},
		{"enrichment", code, "", "mode summary_source sightings_source taxonomy_source"},
		{"access", flag, "", "auth_enabled public_access_enabled"},
		{"runtime", code, "", "model_runtime inference_provider_configured inference_provider_active inference_backend_active " +
			"image_execution_mode bird_crop_detector_tier"},
		{"runtime", reason, "", "last_recovery_reason"},
		{"runtime", oneOf("ok", "degraded", "unhealthy"), "", "inference_health_status"},
		{"runtime", number, "", "inference_health_unhealthy_runtimes inference_health_degraded_runtimes " +
			"inference_health_total_runtimes"},
		{"runtime", oneOf("recovered", "failed"), "", "last_recovery_status"},
		{"hardware", flag, "", "cuda_available nvidia_gpu_detected openvino_available intel_gpu_available intel_npu_available " +
			"openvino_gpu_compile_ok openvino_gpu_fallback_active"},
		{"hardware", code, "", "openvino_gpu_compile_device"},
		{"deployment", code, "", "mode image_flavor image_arch app_branch"},
	} {
		for key := range strings.FieldsSeq(row.keys) {
			all = append(all, field{row.group, key, row.format, row.older})
			groups[row.group], known[row.group+"."+key], known[row.older+"."+key] = true, true, true
		}
	}
	known["deployment.git_hash"] = true // left out on purpose, so it is not missing
	return all, groups, known
}()

// factsOf returns the facts of a heartbeat, and how many values of its groups are
// not fields.
func factsOf(o object) (facts report.Facts, dropped int) {
	for _, f := range fields {
		value := o.object(f.group)[f.key]
		if value == nil && f.olderGroup != "" {
			value = o.object(f.olderGroup)[f.key]
		}
		if text := f.format.value(value); text != "" {
			facts = append(facts, report.FactValue{Name: f.name(), Value: text})
		}
	}
	if image := imageOf(o.object("deployment")); image != "" {
		facts = append(facts, report.FactValue{Name: imageFact, Value: image})
	}
	slices.SortFunc(facts, func(a, b report.FactValue) int { return cmp.Compare(a.Name, b.Name) })
	for group := range groups {
		for key := range o.object(group) {
			if !known[group+"."+key] {
				dropped++
			}
		}
	}
	return facts, dropped
}

// imageFact is the fact that combines three values of a heartbeat, so that images
// can be counted by all of them at once, as the worker's dashboard does.
const imageFact = "deployment.image"

// imageOf returns flavor, architecture, and mode as one code, or "" if none of them
// is known.
func imageOf(deployment object) string {
	parts := []string{codeValue(deployment["image_flavor"]), codeValue(deployment["image_arch"]), codeValue(deployment["mode"])}
	if strings.Join(parts, "") == "" {
		return ""
	}
	for i, part := range parts {
		parts[i] = cmp.Or(part, "unknown")
	}
	return codeOf(strings.Join(parts, "."), report.MaxFactValueLen)
}

func flagValue(value any) string {
	if b, ok := value.(bool); ok {
		return strconv.FormatBool(b)
	}
	return ""
}

func codeValue(value any) string {
	text, _ := value.(string)
	return codeOf(text, report.MaxFactValueLen)
}

var reasonPattern = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// reasonValue returns a code that is one already. Others may contain what a client
// should not send, so the worker drops them too.
func reasonValue(value any) string {
	text, _ := value.(string)
	if text = strings.ToLower(strings.TrimSpace(text)); !reasonPattern.MatchString(text) {
		return ""
	}
	return codeOf(text, report.MaxFactValueLen)
}

// codeOf converts a text to a code ([report.ValidCode]): in lower case, from the
// first letter or digit on, with '-' in place of invalid characters. It returns
// "" if nothing is left.
func codeOf(text string, maxLen int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(text)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() == 0:
			continue
		case r == '.' || r == '_':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
		if b.Len() == maxLen {
			break
		}
	}
	return b.String()
}

// numberValue returns a whole number. As in the worker, the number may be a text,
// and less than zero is zero.
func numberValue(value any) string {
	n, ok := value.(float64)
	if text, isText := value.(string); isText {
		var err error
		n, err = strconv.ParseFloat(strings.TrimSpace(text), 64)
		ok = err == nil
	}
	if n = math.Trunc(max(0, n)); !ok || math.IsNaN(n) || n > maxNumber {
		return ""
	}
	return strconv.Itoa(int(n))
}
