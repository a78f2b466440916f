package replica

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// The paths of a replica for other replicas. Requests of clients have all others,
// below clientPath.
const (
	linkPath   = "/replica/link"
	askPath    = "/replica/ask"
	verbsPath  = "/replica/verbs"
	clientPath = "/client"
)

// The headers between replicas.
const (
	// clientHeader says who the client is: what stands for its network, and
	// whether it uses TLS.
	clientHeader = "Rollcall-Client"
	// movedHeader says that the replica does not count, and has done nothing.
	movedHeader = "Rollcall-Moved"
)

// newPeerServer returns a server for replicas, behind a [guard]. They are trusted,
// and may be broken.
func newPeerServer(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler: handler, Protocols: &protocols, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// serve answers other replicas while this one leads.
func (r *Replica) serve() http.Handler {
	leading := func(handle func(t *local, w http.ResponseWriter, req *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			t, ok := r.current.now().(*local)
			if !ok || !t.lease.valid() {
				w.Header().Set(movedHeader, "1")
				http.Error(w, "this replica does not count", http.StatusMisdirectedRequest)
				return
			}
			handle(t, w, req)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+linkPath, leading(r.serveLink))
	mux.Handle("POST "+askPath, leading(serveQuestion))
	mux.Handle(verbsPath+"/", http.StripPrefix(verbsPath, leading(func(t *local, w http.ResponseWriter, req *http.Request) {
		t.lead.Verbs.ServeHTTP(w, req)
	})))
	clients := http.StripPrefix(clientPath, leading(serveClient))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// Not by the mux, which would clean the path of a client.
		if len(req.URL.Path) > len(clientPath) && req.URL.Path[:len(clientPath)+1] == clientPath+"/" {
			clients.ServeHTTP(w, req)
			return
		}
		mux.ServeHTTP(w, req)
	})
}

// serveClient answers the request of a client that another replica received.
func serveClient(t *local, w http.ResponseWriter, r *http.Request) {
	var c server.Client
	if _, err := fmt.Sscanf(r.Header.Get(clientHeader), "%x %t", &c.Prefix, &c.TLS); err != nil {
		http.Error(w, "not from a replica", http.StatusBadRequest)
		return
	}
	if t.forward(w, asClient(r, c)) != nil {
		w.Header().Set(movedHeader, "1")
		w.WriteHeader(http.StatusMisdirectedRequest)
	}
}

// asClient returns a request as the counter sees it: without an address, and with
// the client's TLS in place of a replica's.
func asClient(r *http.Request, c server.Client) *http.Request {
	r = server.WithClient(r, c)
	r.TLS, r.RemoteAddr = nil, ""
	r.Header.Del(clientHeader)
	return r
}

// serveQuestion answers a question. An error of the counter is an outcome.
func serveQuestion(t *local, w http.ResponseWriter, r *http.Request) {
	var q question
	if err := json.NewDecoder(io.LimitReader(r.Body, maxQuestion)).Decode(&q); err != nil {
		http.Error(w, "malformed question", http.StatusBadRequest)
		return
	}
	a, err := t.ask(r.Context(), q)
	if errors.Is(err, errMoved) {
		w.Header().Set(movedHeader, "1")
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(answered{a, outcomeOfError(err)}) // fails only if the replica is gone
}

// maxQuestion bounds a question, and maxAnswer its answer.
const (
	maxQuestion = 64 << 10
	maxAnswer   = 64 << 20
)

type answered struct {
	Answer  answer  `json:"answer"`
	Outcome outcome `json:"outcome"`
}

// ask implements target.
func (l *link) ask(ctx context.Context, q question) (a answer, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	text, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+l.address+askPath, bytes.NewReader(text))
	if err != nil {
		return a, err
	}
	response, err := l.replica.client.Do(request)
	if err != nil {
		return a, errMoved
	}
	defer response.Body.Close()
	var result answered
	if response.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&result) != nil {
		return a, errMoved
	}
	return result.Answer, result.Outcome.err()
}

const (
	// batchTimeout bounds the counting of a batch, and replyTimeout the sending of
	// its outcomes.
	batchTimeout = 15 * time.Second
	replyTimeout = 5 * time.Second
	// maxBatches bounds the batches of a receiver that are being counted. The rest
	// waits on the network.
	maxBatches = 64
	// maxQuiet is the longest silence on a link before the counter ends it. A
	// receiver sends something every pingEvery, so it is gone or paused.
	maxQuiet = 3 * maxSilence
)

// links holds the links of receivers to this counter, one for each receiver. It
// is safe for concurrent use.
type links struct {
	mu   sync.Mutex
	open map[string]net.Conn // by receiver
}

// enter registers a link, and closes the receiver's earlier one, which the
// receiver has given up. The caller calls leave at the end.
func (l *links) enter(receiver string, conn net.Conn) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if earlier := l.open[receiver]; earlier != nil {
		earlier.Close()
	}
	if l.open == nil {
		l.open = make(map[string]net.Conn)
	}
	l.open[receiver] = conn
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.open[receiver] == conn {
			delete(l.open, receiver)
		}
	}
}

func (l *links) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) > 0
}

// serveLink counts the batches of a receiver until the lease ends.
func (r *Replica) serveLink(t *local, w http.ResponseWriter, request *http.Request) {
	if request.Header.Get("Upgrade") != upgradeTo {
		http.Error(w, "this replica has no such link", http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(t.lease.ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Time{}) // fails only if it is closed
	// The link is registered before the receiver learns of it: it may open the next
	// one at once.
	defer r.links.enter(replicaOf(*request.TLS), conn)()
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgradeTo)
	if buffered.Flush() != nil {
		return
	}
	answers := &replies{conn: conn}
	from := newFrameReader(buffered.Reader)
	places := make(chan struct{}, maxBatches)
	var counting sync.WaitGroup
	defer counting.Wait()
	for {
		var b batch
		_ = conn.SetReadDeadline(time.Now().Add(maxQuiet)) // fails only if it is closed
		if from.read(b.fields) != nil || len(b.Reports) > maxBatch {
			return
		}
		for _, refused := range b.Refused {
			t.lead.Counter.RefuseMany(refused.App, refused.Reason, refused.N)
		}
		if len(b.Reports) == 0 {
			answers.send(reply{ID: b.ID})
			continue
		}
		places <- struct{}{}
		counting.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
			defer cancel()
			outcomes := t.countAll(ctx, b.Reports)
			answer := reply{b.ID, make([]outcome, len(outcomes))}
			for i, o := range outcomes {
				answer.Outcomes[i] = outcomeOf(o)
			}
			answers.send(answer)
		})
	}
}

// replies sends replies over a link. It is safe for concurrent use.
type replies struct {
	mu   sync.Mutex
	conn net.Conn
	coder
}

// send closes the connection if the reply cannot be sent: the receiver then asks
// again.
func (r *replies) send(message reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.conn.SetWriteDeadline(time.Now().Add(replyTimeout)) // fails only if it is closed
	if _, err := r.conn.Write(r.frame(message.fields)); err != nil {
		r.conn.Close()
	}
}

// clientOf is the header for a client.
func clientOf(c server.Client) string {
	return strconv.FormatUint(c.Prefix, 16) + " " + strconv.FormatBool(c.TLS)
}
