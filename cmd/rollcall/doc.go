// Rollcall gives one installation of a self-hosted program an anonymous ID that survives restarts, and never hangs,
// slows or surprises the program. It is for hosts in any language; those in Go can embed the library instead.
//
// Start the agent beside the host, and let the host ask it for the ID:
//
//	rollcall agent --config config/config.json
//	curl http://127.0.0.1:8946/v1/installation
//
// The ID lives in the host's JSON config at telemetry.installation_id, of which every other byte stays as it is, and in
// a small file beside the config, from which it comes back should the host overwrite it. For a host without a JSON
// config, --no-config keeps it in a state file instead.
//
// Nothing is ever sent unless an endpoint is configured and the operator has granted telemetry: "rollcall preview" shows
// what would be, "enable" and "disable" decide, "send" and "export" do it by hand, and "forget" asks the collector to
// delete the installation.
//
// On the other side, "rollcall collector" counts the installations that report, and shows the dashboard. "rollcall up" runs
// an agent and a collector together on this machine, to see the whole of it.
//
// Every setting is a flag and an environment variable: that of --attempt-timeout is ROLLCALL_ATTEMPT_TIMEOUT, and those of
// the collector begin with ROLLCALL_COLLECTOR_. A flag goes before its variable, and a variable before the default; an
// empty variable counts as not set. Three more variables have no flag: ROLLCALL_INSTALLATION_ID gives the ID itself, and
// then nothing is read or written; DO_NOT_TRACK=1 and ROLLCALL_TELEMETRY=off deny telemetry, whatever the config says.
//
// Data goes to standard output, log lines and errors to standard error. The exit code is
//
//	0  when all is well, also when a signal ended the agent
//	1  after an error, after wrong usage, when "id" finds no ID, and when "send" was not accepted
//	2  when "doctor" or "collector check" finds a problem
//	3  when "status" finds an ID that is not settled or only in memory, or no agent, and when what "enable" grants is
//	   denied by a policy or the environment
package main
