package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
)

const maxReply = 1 << 20

// A Reply is an agent's status, decoded and as the agent sent it, which may
// have fields of another version.
type Reply struct {
	Status

	Raw json.RawMessage `json:"-"`
}

// Ask asks the agent at a base URL, such as http://127.0.0.1:8946, or at a Unix
// socket, such as unix:/run/app.sock, for its status, until ctx ends. It uses no
// proxy and follows no redirect: the agent is on this machine, or where the
// operator said.
func Ask(ctx context.Context, base string) (Reply, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if path, ok := listen.UnixPath(base); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	target, err := url.Parse(base)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return Reply{}, errors.New("neither a URL such as http://127.0.0.1:8946 nor a socket such as unix:/run/app.sock")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath(PathStatus).String(), nil)
	if err != nil {
		return Reply{}, err
	}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL, which the caller names
		}
		return Reply{}, listen.Cause(err)
	}
	defer response.Body.Close()
	return readReply(response)
}

func readReply(response *http.Response) (Reply, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return Reply{}, fmt.Errorf("read response: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var refusal errorBody
		if json.Unmarshal(body, &refusal) == nil && refusal.Error != "" {
			return Reply{}, fmt.Errorf("%s: %s", strings.ToLower(http.StatusText(response.StatusCode)), refusal.Error)
		}
		return Reply{}, fmt.Errorf("not a rollcall agent: it answers %s", response.Status)
	}
	reply := Reply{Raw: body}
	if err := json.Unmarshal(body, &reply); err != nil {
		return Reply{}, fmt.Errorf("not a rollcall agent, or one of another version: %w", err)
	}
	if reply.Version == "" {
		return Reply{}, errors.New("not a rollcall agent: it answers something else")
	}
	return reply, nil
}
