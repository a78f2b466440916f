package legacy

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

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

// A format converts a value.
type format struct {
	// text describes the format in docs/legacy.md.
	text string
	// value returns the value as it is counted, or "" if it is not.
	value func(any) string
}

var (
	flag   = format{"`true` or `false`", flagValue}
	code   = format{"a code", codeValue}
	number = format{"`" + strings.Join(report.Bucketed{Bounds: numberBounds}.Choices(), "`, `") + "`", numberValue}
)

// oneOf is a code from a list.
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
var fields = []field{
	{"configuration", "model_type", code, ""},
	{"configuration", "llm_enabled", flag, ""},
	{"configuration", "llm_provider", code, ""},
	{"configuration", "media_cache_enabled", flag, ""},
	{"configuration", "media_cache_clips", flag, ""},
	{"configuration", "auto_video_classification", flag, ""},
	{"integrations", "birdnet_enabled", flag, "configuration"},
	{"integrations", "birdweather_enabled", flag, "configuration"},
	{"integrations", "ebird_enabled", flag, ""},
	{"integrations", "inaturalist_enabled", flag, ""},
	{"notifications", "discord_enabled", flag, ""},
	{"notifications", "pushover_enabled", flag, ""},
	{"notifications", "telegram_enabled", flag, ""},
	{"notifications", "email_enabled", flag, ""},
	{"notifications", "mode", code, ""},
	{"enrichment", "mode", code, ""},
	{"enrichment", "summary_source", code, ""},
	{"enrichment", "sightings_source", code, ""},
	{"enrichment", "taxonomy_source", code, ""},
	{"access", "auth_enabled", flag, ""},
	{"access", "public_access_enabled", flag, ""},
	{"runtime", "model_runtime", code, ""},
	{"runtime", "inference_provider_configured", code, ""},
	{"runtime", "inference_provider_active", code, ""},
	{"runtime", "inference_backend_active", code, ""},
	{"runtime", "image_execution_mode", code, ""},
	{"runtime", "bird_crop_detector_tier", code, ""},
	{"runtime", "inference_health_status", oneOf("ok", "degraded", "unhealthy"), ""},
	{"runtime", "inference_health_unhealthy_runtimes", number, ""},
	{"runtime", "inference_health_degraded_runtimes", number, ""},
	{"runtime", "inference_health_total_runtimes", number, ""},
	{"runtime", "last_recovery_reason", code, ""},
	{"runtime", "last_recovery_status", oneOf("recovered", "failed"), ""},
	{"hardware", "cuda_available", flag, ""},
	{"hardware", "nvidia_gpu_detected", flag, ""},
	{"hardware", "openvino_available", flag, ""},
	{"hardware", "intel_gpu_available", flag, ""},
	{"hardware", "intel_npu_available", flag, ""},
	{"hardware", "openvino_gpu_compile_ok", flag, ""},
	{"hardware", "openvino_gpu_compile_device", code, ""},
	{"hardware", "openvino_gpu_fallback_active", flag, ""},
	{"deployment", "mode", code, ""},
	{"deployment", "image_flavor", code, ""},
	{"deployment", "image_arch", code, ""},
	{"deployment", "app_branch", code, ""},
}

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

// groups are the groups of the fields, and known the names of the fields,
// including those with an older group.
var groups, known = func() (map[string]bool, map[string]bool) {
	groups, known := map[string]bool{}, map[string]bool{}
	for _, f := range fields {
		groups[f.group], known[f.name()], known[f.olderGroup+"."+f.key] = true, true, true
	}
	return groups, known
}()

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

var (
	numberBounds  = []int64{1, 2, 10, 100}
	numberBuckets = report.Bucketed{Bounds: numberBounds}.Choices()
)

// numberValue returns the range of a number. As in the worker, the number may be a
// text, and less than zero is zero.
func numberValue(value any) string {
	if text, ok := value.(string); ok {
		value = json.Number(strings.TrimSpace(text))
	}
	var n float64
	switch v := value.(type) {
	case float64:
		n = v
	case json.Number:
		var err error
		if n, err = v.Float64(); err != nil {
			return ""
		}
	default:
		return ""
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return ""
	}
	bucket := 0
	for bucket < len(numberBounds) && n >= float64(numberBounds[bucket]) {
		bucket++
	}
	return numberBuckets[bucket]
}
