// Rollcall keeps an anonymous ID for one installation of a self-hosted program.
// The ID survives restarts, and keeping it never hangs, slows or surprises the
// program. The agent serves hosts in any language; a host in Go can embed the
// library instead.
//
// Start the agent beside the host, and let the host ask it for the ID:
//
//	rollcall agent --config config/config.json
//	curl http://127.0.0.1:8946/v1/installation
//
// The ID is in the host's JSON config, at telemetry.installation_id. No other
// byte of the config changes. A small file beside the config, the anchor, holds
// the ID too, and restores it if the host overwrites it. For a host without a
// JSON config, --no-config keeps the ID in a state file instead.
//
// Nothing is sent unless an endpoint is configured and the operator has granted
// telemetry. "rollcall preview" shows what would be sent, "enable" and
// "disable" decide, "send" and "export" report by hand, and "forget" asks the
// collector to delete the installation. "rollcall page" prints a link to a page
// in the browser that shows and does the same, and "rollcall privacy" prints
// what is sent for the documentation of the host.
//
// On the other side, "rollcall collector" counts the installations that report,
// and serves the dashboard. "rollcall up" runs an agent and a collector
// together, to try everything on one machine.
//
// Most flags can also be set by an environment variable, which the help names
// in brackets: ROLLCALL_ATTEMPT_TIMEOUT sets --attempt-timeout, and the
// variables of the collector start with ROLLCALL_COLLECTOR_. A flag takes
// precedence over its variable, and a variable over the default. An empty
// variable counts as unset. Three more variables have no flag:
// ROLLCALL_INSTALLATION_ID sets the ID itself, so that no ID is read or
// written; DO_NOT_TRACK=1 and ROLLCALL_TELEMETRY=off deny telemetry, whatever
// the config says.
//
// Results go to standard output, log lines and errors to standard error. The
// exit code is
//
//	0  on success, and when a signal stopped an agent or a collector
//	1  after an error, when "id" finds no ID, and when the collector did not
//	   accept what "send" sent
//	2  when "doctor" or "collector check" finds a problem
//	3  when "status" finds no agent, or an ID that is not settled or only in
//	   memory, and when a policy or the environment overrides "enable"
package main
