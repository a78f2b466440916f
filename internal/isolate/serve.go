package isolate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

type request struct {
	Op       string
	Location idstore.Location
	ID       installid.ID
	Old      installid.ID
	Subject  idstore.Subject
	Denial   idstore.Denial
	Keys     []jsonedit.Key
	Literal  string
	Note     idstore.Note
	Content  string
}

// The operations of a request.
const (
	opLoad        = "load"
	opSave        = "save"
	opReplace     = "replace"
	opMaintain    = "maintain"
	opRecover     = "recover"
	opReadConfig  = "read settings"
	opReadPolicy  = "read policy"
	opWriteValue  = "write setting"
	opCheckWrite  = "check setting"
	opWithdrawals = "read withdrawals"
	opDeny        = "record denial"
	opGrant       = "end denial"
	opRetire      = "retire"
	opLoadNote    = "load note"
	opSaveNote    = "save note"
	opOperator    = "read token"
	opToken       = "create token"
	opDiagnose    = "diagnose"
)

// An answer is a result, and an error with the properties that callers branch
// on.
type answer struct {
	result
	Error                                                  string
	NotFound, NotExist, Empty, Retired, NoPlace, Permanent bool
}

// A result is what an operation returned, in one of the fields.
type result struct {
	Record      keeper.Record
	Values      []jsonedit.Value
	Content     string
	Operator    idstore.Operator
	Withdrawals idstore.Withdrawals
	Findings    []diagnose.Finding
}

func newAnswer(r result, err error) answer {
	if err == nil {
		return answer{result: r}
	}
	return answer{
		result:    r,
		Error:     err.Error(),
		NotFound:  errors.Is(err, keeper.ErrNotFound),
		NotExist:  errors.Is(err, fs.ErrNotExist),
		Empty:     errors.Is(err, jsonedit.ErrEmpty),
		Retired:   errors.Is(err, keeper.ErrRetired),
		NoPlace:   errors.Is(err, idstore.ErrNoPlace),
		Permanent: configfile.Permanent(err),
	}
}

func (a answer) err() error {
	if a.Error == "" {
		return nil
	}
	return &remoteError{a}
}

// A remoteError is an error that a child returned.
type remoteError struct{ answer answer }

func (e *remoteError) Error() string { return e.answer.Error }

func (e *remoteError) Is(target error) bool {
	switch target {
	case keeper.ErrNotFound:
		return e.answer.NotFound
	case keeper.ErrRetired:
		return e.answer.Retired
	case idstore.ErrNoPlace:
		return e.answer.NoPlace
	case jsonedit.ErrEmpty:
		return e.answer.Empty
	case fs.ErrNotExist:
		return e.answer.NotExist
	}
	return false
}

// Permanent reports what configfile.Permanent reported in the child.
func (e *remoteError) Permanent() bool { return e.answer.Permanent }

type operation func(context.Context, request) (result, error)

// serve answers requests until in ends, and returns the exit code. The end of
// in, when the parent gives up or is killed, cancels the operation in progress.
func serve(in io.Reader, out io.Writer, perform operation) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	requests := make(chan request)
	var broken error // set before requests is closed
	go func() {
		defer cancel()
		defer close(requests)
		for {
			var req request
			if err := readMessage(in, &req); err != nil {
				if err != io.EOF {
					broken = err
				}
				return
			}
			requests <- req
		}
	}()
	for req := range requests {
		a := newAnswer(perform(ctx, req))
		if err := writeMessage(out, &a); err != nil {
			return 1
		}
	}
	if broken != nil {
		return 2
	}
	return 0
}

// perform does what is requested. An operation that it left behind would end
// with this process, so it waits until none is in flight.
func perform(ctx context.Context, req request) (r result, err error) {
	if req.Op == opDiagnose {
		r.Findings, err = req.Location.Diagnose(ctx, fsys.OS{})
		return r, err
	}
	store, err := req.Location.Open(fsys.OS{})
	if err != nil {
		return r, err
	}
	records, err := req.Location.OpenRecords(fsys.OS{}, store)
	if err != nil {
		return r, err
	}
	defer drain(store)
	defer drain(records)
	switch req.Op {
	case opLoad:
		r.Record, err = store.Load(ctx)
	case opSave:
		r.Record, err = store.Save(ctx, req.ID)
	case opReplace:
		r.Record, err = store.Replace(ctx, req.Old, req.ID)
	case opMaintain:
		r.Record, err = store.Maintain(ctx, req.ID)
	case opRecover:
		err = store.Recover(ctx)
	case opReadConfig:
		d := records.ReadDecisions(ctx, req.Keys, nil)
		r.Values, err = d.Config, d.ConfigErr
	case opReadPolicy:
		d := records.ReadDecisions(ctx, nil, req.Keys)
		r.Values, err = d.Policy, d.PolicyErr
	case opWriteValue, opCheckWrite:
		switch {
		case len(req.Keys) != 1:
			err = errors.New("not one key")
		case req.Op == opCheckWrite:
			err = records.CheckWrite(ctx, req.Keys[0])
		default:
			err = records.WriteValue(ctx, req.Keys[0], req.Literal)
		}
	case opWithdrawals:
		r.Withdrawals, err = records.ReadWithdrawals(ctx, req.ID)
	case opDeny:
		err = records.Deny(ctx, req.Subject, req.Denial)
	case opGrant:
		err = records.Grant(ctx, req.Subject, req.Denial)
	case opRetire:
		err = records.Retire(ctx, req.ID)
	case opLoadNote:
		var content []byte
		content, err = records.LoadNote(ctx, req.Note)
		r.Content = string(content)
	case opSaveNote:
		err = records.SaveNote(ctx, req.Note, []byte(req.Content))
	case opOperator:
		r.Operator, err = records.ReadOperator(ctx)
	case opToken:
		r.Operator, err = records.CreateToken(ctx)
	default:
		err = fmt.Errorf("unknown request %q", req.Op)
	}
	return r, err
}

// drain waits until no operation is in flight.
func drain(files interface{ Running() (string, time.Time) }) {
	for op, _ := files.Running(); op != ""; op, _ = files.Running() {
		time.Sleep(10 * time.Millisecond)
	}
}
