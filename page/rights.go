package page

import "net/http"

// Rights are what the sender of a request may do on the page.
type Rights int

// Each of the rights includes those before it.
const (
	// ReadOnly is to read the page.
	ReadOnly Rights = iota
	// MayDeny is to turn telemetry, health reports and the update check off as
	// well.
	MayDeny
	// MayChange is to do all that the page offers: also to grant, to send, to
	// reset the ID, and to have the installation forgotten.
	MayChange
)

// BehindLogin returns [MayChange] for every request. It is the
// [Options].Rights of a page that only the operator can reach, because the host
// has a login in front of it.
func BehindLogin(*http.Request) Rights { return MayChange }

// rights returns the rights of a request.
func (p *operatorPage) rights(r *http.Request) Rights {
	if p.opts.Rights == nil {
		return ReadOnly
	}
	return p.opts.Rights(r)
}

// refuse refuses what a request has no right to.
func (p *operatorPage) refuse(w http.ResponseWriter) {
	text := "Only the operator may change this."
	if p.opts.SignIn != "" {
		text += " " + plain(p.opts.SignIn)
	}
	http.Error(w, text, http.StatusForbidden)
}

// limitedTo returns the view without what the rights do not include, and with
// the reason.
func (v view) limitedTo(r Rights, signIn string) view {
	if r >= MayChange || !v.Running {
		return v
	}
	v.Limit = "Here you can turn telemetry off. Only the operator can change more."
	if r < MayDeny {
		v.Limit = "You can only read this page. Only the operator can change something."
		v.Telemetry.CanDeny, v.Health.CanDeny, v.Updates.CanDeny = false, false, false
	}
	if signIn != "" {
		v.Limit += " " + plain(signIn)
	}
	v.CanSend, v.CanReset, v.CanForget, v.NoReset = false, false, false, ""
	v.Telemetry.Blocked, v.Health.Blocked, v.Updates.Blocked = "", "", ""
	v.Telemetry.CanGrant, v.Health.CanGrant, v.Updates.CanGrant, v.Telemetry.CanAdd = false, false, false, false
	return v
}
