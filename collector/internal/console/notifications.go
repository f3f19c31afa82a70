package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"hozen/collector/internal/act"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
)

type notificationsView struct {
	Channels   []notify.Channel
	Kinds      []notify.ChannelKind // that can be added
	Deliveries []deliveryView
	Link       string // address of the console in notices; empty: they have none
	Weekly     weeklyView
}

type deliveryView struct {
	notify.Delivery
	Channel string
}

// notifications shows by what people are told, and what was sent.
func (s *server) notifications(v *visit) error {
	channels, err := s.notices.Channels(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	sent, err := s.notices.Deliveries(v.ctx(), v.actor, 50)
	if err != nil {
		return err
	}
	settings, err := s.guests.PeopleSettings(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := notificationsView{Channels: channels, Kinds: notify.ChannelKinds(), Link: settings.ConsoleURL}
	if view.Weekly, err = s.viewWeekly(v, channels); err != nil {
		return err
	}
	names := map[string]string{}
	for _, c := range channels {
		names[c.ID] = c.Name
	}
	p := s.page(v, "notifications", v.text.Text("title.notifications"))
	for _, d := range sent {
		view.Deliveries = append(view.Deliveries, deliveryView{d, names[d.ChannelID]})
		if d.State == notify.Waiting {
			p.Refresh = 10
		}
	}
	return s.showStatus(v, http.StatusOK, p, view)
}

type channelView struct {
	Form    form
	Kind    notify.ChannelKind
	ID      string // empty: a new one
	Kinds   []kindChoice
	Owner   bool   // who looks is one, and may let a channel inside
	HasKept bool   // a secret is kept, which is not shown
	Key     string // of a webhook's signature, made just now
}

type kindChoice struct {
	Kind   notify.Kind
	Chosen bool
}

func (s *server) channelNewForm(v *visit) error {
	kind := notify.ChannelKind(v.r.PathValue("kind"))
	if !slices.Contains(notify.ChannelKinds(), kind) {
		return act.ErrNotFound
	}
	if _, err := s.notices.Channels(v.ctx(), v.actor); err != nil {
		return err // who may not see them adds none either
	}
	f := form{Values: map[string]string{"security": string(notify.StartTLS), "language": string(v.text.Language()), "enabled": "1", "people": "1"}, Errors: map[string]string{}}
	return s.showChannel(v, notify.Channel{Kind: kind, Kinds: notify.Kinds()}, f, http.StatusOK)
}

func (s *server) channelForm(v *visit) error {
	c, err := s.notices.Channel(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	set := c.Settings
	f := form{Values: map[string]string{"name": c.Name, "language": c.Language, "host": set.Host, "security": string(set.Security), "user": set.User, "from": set.From, "to": strings.Join(set.To, "\n"), "room": set.Room}, Errors: map[string]string{}}
	if set.Port != 0 {
		f.Values["port"] = strconv.Itoa(set.Port)
	}
	for name, on := range map[string]bool{"people": set.People, "inside": set.Inside, "enabled": c.Enabled} {
		if on {
			f.Values[name] = "1"
		}
	}
	return s.showChannel(v, c, f, http.StatusOK)
}

func (s *server) showChannel(v *visit, c notify.Channel, f form, status int) error {
	view := channelView{Form: f, Kind: c.Kind, ID: c.ID, Owner: v.operator.Role == operator.Owner, HasKept: c.Sealed != ""}
	view.Key, _, _ = s.minted.get(v.now, v.operator.ID, v.r.URL.Query().Get("key"))
	for _, k := range notify.Kinds() {
		view.Kinds = append(view.Kinds, kindChoice{k, slices.Contains(c.Kinds, k)})
	}
	p := s.page(v, "notification_channel", v.text.Text("title.notification_channel"))
	p.Here = "/settings/new-notification/" + string(c.Kind)
	if c.ID != "" {
		p.Here = "/settings/notifications/" + c.ID
	}
	return s.showStatus(v, status, p, view)
}

// channelSave stores a new channel, or a known one.
func (s *server) channelSave(v *visit) error {
	f, err := readForm(v,
		field{name: "name", max: notify.MaxName}, field{name: "language", max: 2}, field{name: "enabled", max: 1, empty: true},
		field{name: "host", max: 253, empty: true}, field{name: "port", max: 5, empty: true}, field{name: "security", max: 16, empty: true},
		field{name: "user", max: 256, empty: true}, field{name: "password", kind: secretText, max: 256, empty: true}, field{name: "from", max: 254, empty: true},
		field{name: "to", kind: manyLines, max: 6000, empty: true}, field{name: "people", max: 1, empty: true}, field{name: "inside", max: 1, empty: true},
		field{name: "url", max: notify.MaxURL, empty: true}, field{name: "room", max: 20, empty: true}, field{name: "token", max: 128, empty: true}, field{name: "new_key", max: 1, empty: true})
	if err != nil {
		return err
	}
	c := notify.Channel{ID: v.r.PathValue("id"), Kind: notify.ChannelKind(v.r.PathValue("kind"))}
	if c.ID != "" {
		if c, err = s.notices.Channel(v.ctx(), v.actor, c.ID); err != nil {
			return err
		}
	}
	n := act.NewChannel{ID: c.ID, Kind: c.Kind, Name: f.Values["name"], Language: f.Values["language"], Enabled: f.Values["enabled"] == "1", NewKey: f.Values["new_key"] == "1",
		Secret: notify.Secret{URL: f.Values["url"], Password: f.Values["password"], Token: f.Values["token"]},
		Settings: notify.Settings{Host: f.Values["host"], Security: notify.Security(f.Values["security"]), User: f.Values["user"], From: f.Values["from"],
			To: addressesOf(f.Values["to"]), People: f.Values["people"] == "1", Room: f.Values["room"], Inside: f.Values["inside"] == "1"}}
	if c.Kind != notify.Mail {
		n.Settings = notify.Settings{Room: n.Settings.Room, Inside: n.Settings.Inside}
	}
	if p := f.Values["port"]; p != "" {
		if n.Settings.Port, err = strconv.Atoi(p); err != nil && f.Errors["port"] == "" {
			f.Errors["port"] = v.text.Text("invalid.range")
		}
	}
	for _, k := range notify.Kinds() {
		if v.r.PostForm.Get("kind_"+string(k)) == "1" {
			n.Kinds = append(n.Kinds, k)
		}
	}
	if f.ok() {
		saved, key, err := s.notices.SaveChannel(v.ctx(), v.actor, n)
		if err == nil {
			to := "/settings/notifications"
			if key != "" {
				to += "/" + saved.ID + "?key=" + s.minted.put(v.now, v.operator.ID, key, mintedAbout{})
			}
			return s.done(v, "notice.saved", to)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	for _, secret := range []string{"password", "url", "token"} {
		delete(f.Values, secret) // never sent back
	}
	c.Kinds = n.Kinds
	return s.showChannel(v, c, f, http.StatusUnprocessableEntity)
}

// addressesOf reads mail addresses with anything between that is none of them.
func addressesOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",、，;", r) })
}

func (s *server) channelTest(v *visit) error {
	if err := s.notices.TestChannel(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "notice.test.sent", "/settings/notifications#sent")
}

func (s *server) channelRemove(v *visit) error {
	if err := s.notices.RemoveChannel(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "notice.removed", "/settings/notifications")
}
