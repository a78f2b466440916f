package collector

// Limits of settings.
const (
	// MaxSettingName bounds the name of a setting, which is not empty and does not begin with a dot.
	MaxSettingName = 200
	// MaxSettingBytes bounds its data.
	MaxSettingBytes = 1 << 20
)
