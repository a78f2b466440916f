package agent

import (
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A manager tells the service manager (systemd's notify protocol, sd_notify(3)) how the agent is. Without one, all of
// it does nothing.
//
// A message is a write to a socket that blocks while its reader does not read. So a goroutine of its own sends them, and
// what does not fit into its short queue is dropped.
type manager struct {
	log   *slog.Logger
	queue chan string
	done  chan struct{}
	every time.Duration
}

// queueLen is far more than a manager that reads lets come together.
const queueLen = 16

func newManager(log *slog.Logger) *manager {
	m := &manager{log: log, queue: make(chan string, queueLen), done: make(chan struct{})}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("Watchdog not used", "error", err.Error())
	}
	m.every = interval / 2 // as sd_watchdog_enabled(3) recommends
	go m.send()
	return m
}

func (m *manager) send() {
	defer close(m.done)
	failed := false
	for message := range m.queue {
		_, err := daemon.SdNotify(false, message)
		if err != nil && !failed {
			m.log.Warn("Service manager not informed", "error", err.Error())
		}
		failed = err != nil
	}
}

func (m *manager) tell(message string) {
	select {
	case m.queue <- message:
	default:
	}
}

// pingEvery is how often ping is to be called.
func (m *manager) pingEvery() time.Duration {
	if m.every <= 0 {
		return math.MaxInt64
	}
	return m.every
}

func (m *manager) ping() { m.tell(daemon.SdNotifyWatchdog) }

// ready says that the agent serves.
func (m *manager) ready(text string) { m.tell(daemon.SdNotifyReady + "\n" + statusLine(text)) }

// status gives the line that the manager shows.
func (m *manager) status(text string) { m.tell(statusLine(text)) }

// stopping says that the agent ends.
func (m *manager) stopping() { m.tell(daemon.SdNotifyStopping) }

// close waits until all is sent, no longer than d. Nothing may be told afterwards.
func (m *manager) close(d time.Duration) {
	close(m.queue)
	select {
	case <-m.done:
	case <-time.After(d):
	}
}

// statusLine makes an assignment of text, which must not begin another one.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}
