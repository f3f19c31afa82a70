package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

type isolationSettingsView struct {
	Form form
	May  bool      // change them
	Ends time.Time // when switching the second person off takes effect; zero: it is not on its way
	// ShareEnds is when the stricter share for groups ends, and ShareNow that share.
	ShareEnds time.Time
	ShareNow  int
}

// isolationSettingsForm shows how the organisation isolates.
func (s *server) isolationSettingsForm(v *visit) error {
	i, err := s.settings.IsolationSettings(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	f := form{Values: map[string]string{"notice": i.NoticeText, "phone": i.NoticePhone, "lease": strconv.Itoa(int(i.Lease / time.Hour)), "max_share": strconv.Itoa(i.MaxShare),
		"two_share": strconv.Itoa(i.TwoShare), "drill_days": strconv.Itoa(i.DrillDays), "drill_hour": strconv.Itoa(i.DrillHour)}}
	if i.TwoPersons {
		f.Values["two_persons"] = "1"
	}
	return s.showIsolationSettings(v, f, http.StatusOK)
}

func (s *server) showIsolationSettings(v *visit, f form, status int) error {
	may := v.operator.Role == operator.Owner || v.operator.Role == operator.Responsible
	view := isolationSettingsView{Form: f, May: may}
	i, err := s.settings.IsolationSettings(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	if i.TwoPersonsUntil.After(v.now) {
		view.Ends = i.TwoPersonsUntil
	}
	if view.ShareNow = i.TwoShareNow(v.now); view.ShareNow != i.TwoShare {
		view.ShareEnds = i.TwoShareUntil
	}
	p := s.page(v, "isolation_settings", v.text.Text("title.isolation_settings"))
	p.Here = "/settings/isolation"
	return s.showStatus(v, status, p, view)
}

func (s *server) isolationSettings(v *visit) error {
	f, err := readForm(v,
		field{name: "two_persons", max: 1, empty: true},
		field{name: "notice", kind: manyLines, max: 1024, empty: true},
		field{name: "phone", max: 64, empty: true},
		field{name: "lease", max: 8}, field{name: "max_share", max: 8}, field{name: "two_share", max: 8, empty: true},
		field{name: "drill_days", max: 8}, field{name: "drill_hour", max: 8})
	if err != nil {
		return err
	}
	whole := func(name string, least, most int) int {
		n, err := strconv.Atoi(f.Values[name])
		if (err != nil || n < least || n > most) && f.Errors[name] == "" {
			f.Errors[name] = v.text.Text("invalid.range")
		}
		return n
	}
	i := organisation.Isolation{TwoPersons: f.Values["two_persons"] == "1", NoticeText: f.Values["notice"], NoticePhone: f.Values["phone"],
		Lease: time.Duration(whole("lease", 1, 366*24)) * time.Hour, MaxShare: whole("max_share", 1, 100),
		DrillDays: whole("drill_days", 0, 366), DrillHour: whole("drill_hour", 0, 23)}
	if f.Values["two_share"] != "" {
		i.TwoShare = whole("two_share", 0, 100)
	} else { // a form of before it was there says nothing of it
		was, err := s.settings.IsolationSettings(v.ctx(), v.actor)
		if err != nil {
			return err
		}
		i.TwoShare = was.TwoShare
	}
	if !f.ok() {
		return s.showIsolationSettings(v, f, http.StatusUnprocessableEntity)
	}
	if err := s.settings.SetIsolationSettings(v.ctx(), v.actor, i); err != nil {
		if f.refuse(v, err) {
			return s.showIsolationSettings(v, f, http.StatusUnprocessableEntity)
		}
		return err
	}
	return s.done(v, "isolation.settings.saved", "/settings/isolation")
}

// endpointPlace says where an endpoint stands, what it is, and what it belongs to.
func (s *server) endpointPlace(v *visit) error {
	f, err := readForm(v, field{name: "site", max: endpoint.MaxSite, empty: true}, field{name: "purpose", max: 16, empty: true},
		field{name: "tags", max: endpoint.MaxTags * (endpoint.MaxTag + 2), empty: true})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if f.ok() {
		err := s.settings.PlaceEndpoint(v.ctx(), v.actor, id, act.Place{Site: f.Values["site"], Purpose: endpoint.Purpose(f.Values["purpose"]), Tags: tagsOf(f.Values["tags"])})
		if err == nil {
			return s.done(v, "endpoint.placed", "/endpoints/"+id+"#place")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	view, err := s.endpointShowView(v)
	if err != nil {
		return err
	}
	view.Place = f
	return s.showStatus(v, http.StatusUnprocessableEntity, s.page(v, "endpoint_show", plain(view.Endpoint.Name, 80)), view)
}

// tagsOf reads tags as people write them, with any comma between.
func tagsOf(text string) []string {
	var tags []string
	for t := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(",、，;\n", r) }) {
		if t = strings.TrimSpace(t); t != "" {
			tags = append(tags, t)
		}
	}
	return tags
}

// placeForm fills the form of an endpoint's place. Tags are known to those alone who may
// order, and only they may change them.
func (s *server) placeForm(v *visit, e endpoint.Endpoint) (form, error) {
	f := form{Values: map[string]string{"site": e.Site, "purpose": string(e.Purpose), "tags": ""}}
	if !abilitiesOf(v.operator.Role).Run || !e.RevokedAt.IsZero() || v.r.Header.Get(liveHeader) != "" {
		return f, nil // a page that renews itself leaves forms as they are
	}
	members, err := s.everybody(v, act.Selection{Names: []string{e.ID}})
	if err != nil {
		return f, err
	}
	for _, m := range members {
		if m.Endpoint.ID == e.ID {
			f.Values["tags"] = strings.Join(m.Endpoint.Tags, ", ")
		}
	}
	return f, nil
}
