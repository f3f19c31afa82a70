package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/phone"
)

type linkShowView struct {
	Link     act.ShownLink
	Good     bool
	Incident incident.Incident // of a link for photographs
	URL      string
	Picture  qrPicture
	// Alone means that a phone cannot reach the address: it is one of this machine alone.
	Alone bool
	// Print is the SHA-256 of the certificate that the phone is shown, in pairs; empty: unknown.
	// Until is when the certificate ends.
	Print string
	Until time.Time
}

// linkShow is the page with the QR code, to be shown or printed.
func (s *server) linkShow(v *visit) error {
	l, err := s.links.ShowLink(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := linkShowView{Link: l, Good: l.Good(v.now)}
	title := v.text.Text("title.phone_report")
	if l.Kind == phone.Photos {
		if view.Incident, err = s.incidents.Incident(v.ctx(), v.actor, l.IncidentID); err != nil {
			return err
		}
		title = v.text.Text("title.phone_photo") + " " + view.Incident.Number
	}
	if l.Token != "" {
		base := l.Base
		if base == "" {
			base = s.address(v.r)
		}
		view.URL, view.Alone = base+"/r/"+l.Token, onlyHere(base)
		if view.Picture, err = makeQR(view.URL); err != nil {
			return err
		}
		if cert := s.certificate(); strings.HasPrefix(base, "https:") && cert != nil {
			view.Print, view.Until = pairs(sha256.Sum256(cert.Raw)), cert.NotAfter
		}
	}
	p := s.page(v, "link_show", title)
	p.Here = "/links/" + l.ID
	return s.showStatus(v, 200, p, view)
}

// onlyHere reports whether an address leads nowhere from another machine.
func onlyHere(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return true
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return a.IsLoopback() || a.IsUnspecified()
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// pairs writes a digest as browsers show it: AB:CD:…
func pairs(sum [sha256.Size]byte) string {
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	var b strings.Builder
	for i := 0; i < len(text); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(text[i : i+2])
	}
	return b.String()
}

func (s *server) linkRevoke(v *visit) error {
	id := v.r.PathValue("id")
	if err := s.links.RevokeLink(v.ctx(), v.actor, id); err != nil {
		return err
	}
	return s.done(v, "link.revoked", "/links/"+id)
}
