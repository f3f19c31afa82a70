package act_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// link makes a link and returns it with its token.
func (x *fixture) link(n act.NewLink) (phone.Link, string) {
	x.t.Helper()
	if n.Life == 0 {
		n.Life = n.Kind.Lives()[0]
	}
	l, err := x.MakeLink(x.t.Context(), x.owner, n)
	ok(x.t, err)
	shown, err := x.ShowLink(x.t.Context(), x.owner, l.ID)
	ok(x.t, err)
	return l, shown.Token
}

func TestReportByLink(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		_, err := x.MakeLink(ctx, x.owner, act.NewLink{Kind: phone.Reports, Note: "受付", Life: 100 * 366 * 24 * time.Hour})
		wantInvalid(t, err, "life", "unknown")
		_, err = x.MakeLink(ctx, x.owner, act.NewLink{Kind: phone.Reports, Life: phone.Reports.Lives()[0]})
		wantInvalid(t, err, "note", "required")
		l, token := x.link(act.NewLink{Kind: phone.Reports, Note: "受付の掲示"})
		var stored, sealed string
		ok(t, x.db.Read().QueryRowContext(ctx, `SELECT token_sha256, token_sealed FROM phone_link WHERE id = $1`, l.ID).Scan(&stored, &sealed))
		if strings.Contains(stored+sealed, token) {
			t.Error("the token lies in the database in the clear")
		}
		page, err := x.OpenLink(ctx, token)
		if err != nil || page.Kind != phone.Reports || page.Organisation != "組織" || page.Number != "" {
			t.Errorf("%+v, %v", page, err)
		}
		for _, bad := range []string{"", "A", token + "A", strings.ToLower(token)} {
			if _, err := x.OpenLink(ctx, bad); !errors.Is(err, act.ErrNotFound) {
				t.Errorf("%q opens: %v", bad, err)
			}
		}
		report := func(text, from string) (string, error) {
			return x.ReportByLink(ctx, token, act.LinkReport{Text: text, Contact: "佐藤 内線123", Computer: "経理のノート", NoticedAt: x.clock.Add(-time.Minute)}, from)
		}
		_, err = report(" ", "192.0.2.9")
		wantInvalid(t, err, "what", "required")
		_, err = x.ReportByLink(ctx, token, act.LinkReport{Text: "w", Contact: "c", NoticedAt: x.clock.Add(time.Hour)}, "192.0.2.9")
		wantInvalid(t, err, "noticed", "range")
		number, err := report("変な画面が出た", "192.0.2.9")
		ok(t, err)
		inc, err := x.Incident(ctx, x.owner, number)
		if err != nil || inc.Title != "変な画面が出た" || inc.Reporter != "佐藤 内線123" || !inc.DiscoveredAt.Equal(x.clock.Add(-time.Minute)) || len(inc.EndpointIDs) != 0 {
			t.Errorf("%+v, %v", inc, err)
		}
		line, err := x.Timeline(ctx, x.owner, inc.ID)
		ok(t, err)
		last := line[len(line)-1]
		if last.Kind != incident.EntryAlert || last.Params["link"] != l.ID || last.Actor != "受付の掲示" || !strings.Contains(last.Text, "経理のノート") {
			t.Errorf("%+v", last)
		}
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: inc.ID})
		e := list[0]
		if err != nil || e.Act != "phone.report" || e.ActorKind != "link" || e.ActorID != l.ID || e.Details["remote_addr"] != "192.0.2.9" || e.Details["message"] != "変な画面が出た" {
			t.Errorf("%+v, %v", e, err)
		}
		// The same phone within half an hour joins; another one does not.
		if again, err := report("まだ出ている", "192.0.2.9"); err != nil || again != number {
			t.Errorf("%s, %v", again, err)
		}
		other, err := report("別の階も", "192.0.2.10")
		if err != nil || other == number {
			t.Errorf("%s, %v", other, err)
		}
		ok(t, x.CloseIncident(ctx, x.owner, inc.ID, "false alarm"))
		if fresh, err := report("また", "192.0.2.9"); err != nil || fresh == number {
			t.Errorf("a report joins a closed incident: %s, %v", fresh, err)
		}
		x.ledgerStands()

		// A flood opens few incidents, and is refused at last.
		seen := map[string]bool{}
		for i := range 70 {
			if number, err = report("flood", "198.51.100."+string(rune('0'+i%10))); err != nil {
				break
			}
			seen[number] = true
		}
		if !errors.Is(err, act.ErrTooMany) || len(seen) > 3 {
			t.Errorf("%d incidents, %v", len(seen), err)
		}
		x.clock = x.clock.Add(time.Hour + time.Second)
		if _, err := report("later", "198.51.100.1"); err != nil {
			t.Errorf("an hour later: %v", err)
		}
		// Withdrawn, and over.
		ok(t, x.RevokeLink(ctx, x.owner, l.ID))
		ok(t, x.RevokeLink(ctx, x.owner, l.ID))
		_, err = report("x", "192.0.2.9")
		wantErr(t, err, act.ErrNotFound)
		if shown, err := x.ShowLink(ctx, x.owner, l.ID); err != nil || shown.Token != "" {
			t.Errorf("a withdrawn link is shown: %v", err)
		}
		_, short := x.link(act.NewLink{Kind: phone.Reports, Note: "短い", Life: 7 * 24 * time.Hour})
		x.clock = x.clock.Add(7 * 24 * time.Hour)
		_, err = x.OpenLink(ctx, short)
		wantErr(t, err, act.ErrNotFound)
		// A person who lost the role makes none.
		v := x.person("viewer", operator.Viewer)
		_, err = x.MakeLink(ctx, v, act.NewLink{Kind: phone.Reports, Note: "n", Life: phone.Reports.Lives()[0]})
		wantErr(t, err, act.ErrForbidden)
		x.ledgerStands()
	})
}

const jpeg = "\xff\xd8\xff\xe1\x00\x20Exif\x00\x00MM\x00*GPS 35.6,139.7 and all the rest of it"

// A link that somebody wrote into the database opens nothing.
func TestForgedLink(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		l, token := x.link(act.NewLink{Kind: phone.Reports, Note: "受付の掲示"})
		_, err := x.OpenLink(ctx, token)
		ok(t, err)
		forged := phone.NewToken()
		for _, sealed := range []string{"token_sealed", "''"} { // that of another link, and none
			ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, `DELETE FROM phone_link WHERE id = 'lnk_x'`)
				ok(t, err)
				_, err = tx.ExecContext(ctx, `INSERT INTO phone_link (id, organisation_id, kind, incident_id, note, token_sha256, token_sealed, made_id, made_by, made_at, expires_at, revoked_at, revoked_by)
					SELECT 'lnk_x', organisation_id, kind, incident_id, note, $1, `+sealed+`, made_id, made_by, made_at, expires_at, revoked_at, revoked_by FROM phone_link WHERE id = $2`, phone.HashToken(forged), l.ID)
				return err
			}))
			_, err = x.OpenLink(ctx, forged)
			wantErr(t, err, act.ErrNotFound)
		}
	})
}

// A link whose row somebody changed opens nothing, not even with its own token.
func TestLinkThatWasChanged(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.uploading()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		other, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "u"})
		ok(t, err)
		l, token := x.link(act.NewLink{Kind: phone.Photos, IncidentID: inc.Number})
		set := func(column, value string) {
			ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE phone_link SET `+column+` = $1 WHERE id = $2`, value, l.ID)
				return err
			}))
		}
		for _, c := range []struct{ column, was, is string }{{"incident_id", inc.ID, other.ID}, {"kind", string(phone.Photos), string(phone.Reports)},
			{"expires_at", sqldb.FormatTime(l.ExpiresAt), sqldb.FormatTime(l.ExpiresAt.Add(time.Hour))}} {
			set(c.column, c.is)
			_, err = x.OpenLink(ctx, token)
			wantErr(t, err, act.ErrNotFound)
			set(c.column, c.was)
			_, err = x.OpenLink(ctx, token)
			ok(t, err)
		}
	})
}

func TestPhotoByLink(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		folder := x.uploading()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		l, token := x.link(act.NewLink{Kind: phone.Photos, IncidentID: inc.Number})
		if l.Note != inc.Number || l.IncidentID != inc.ID {
			t.Errorf("%+v", l)
		}
		send := func(name, content string) (record.Upload, error) {
			return x.PhotoByLink(ctx, token, act.LinkPhoto{Name: name, Person: "鈴木", About: "画面"}, strings.NewReader(content), "192.0.2.9")
		}
		u, err := send(`..\DCIM\IMG_1.JPG`, jpeg)
		ok(t, err)
		if u.Name != "IMG_1.JPG" || u.Link != l.ID || u.Exhibit == "" || u.SHA256 != digest.Of([]byte(jpeg)).String() || u.Source != record.Photo || u.Person != "鈴木" {
			t.Errorf("%+v", u)
		}
		_, r, err := x.OpenUpload(ctx, x.owner, u.ID)
		ok(t, err)
		if b, err := io.ReadAll(r); err != nil || string(b) != jpeg { // EXIF and all
			t.Errorf("%q, %v", b, err)
		}
		ok(t, r.Close())
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: u.ID})
		if e := list[0]; err != nil || e.Act != "record.upload" || e.ActorKind != "link" || e.ActorID != l.ID || !strings.Contains(e.Details["file"], l.ID) {
			t.Errorf("%+v, %v", list, err)
		}
		for name, content := range map[string]string{"page.html": "<html><script>", "virus.exe": "MZ\x90\x00", "empty.jpg": "", "movie.mp4": "\x00\x00\x00\x18ftypisom"} {
			_, err := send(name, content)
			wantInvalid(t, err, "file", "not_image")
		}
		_, err = x.PhotoByLink(ctx, token, act.LinkPhoto{Name: "a.jpg"}, strings.NewReader(jpeg), "192.0.2.9")
		wantInvalid(t, err, "person", "required")
		_, err = x.PhotoByLink(ctx, token, act.LinkPhoto{Name: "big.jpg", Person: "p"}, io.MultiReader(strings.NewReader(jpeg), io.LimitReader(zeros{}, phone.MaxPhoto)), "192.0.2.9")
		wantInvalid(t, err, "size", "range")
		if left, err := record.BeginningUploads(ctx, x.db.Read()); err != nil || len(left) != 0 {
			t.Errorf("rows of files that did not come: %v, %v", left, err)
		}
		if parts, err := folder.Untouched(time.Now().Add(time.Hour)); err != nil || len(parts) != 0 {
			t.Errorf("files that did not come: %v, %v", parts, err)
		}
		// Nothing else is opened by it.
		_, err = x.ReportByLink(ctx, token, act.LinkReport{Text: "t", Contact: "c"}, "192.0.2.9")
		wantErr(t, err, act.ErrNotFound)
		_, reports := x.link(act.NewLink{Kind: phone.Reports, Note: "r"})
		_, err = x.PhotoByLink(ctx, reports, act.LinkPhoto{Person: "p"}, strings.NewReader(jpeg), "192.0.2.9")
		wantErr(t, err, act.ErrNotFound)
		_, err = x.Incident(ctx, act.Actor{Kind: act.ByLink, ID: l.ID, OrganisationID: l.OrganisationID, Role: operator.Owner}, inc.ID)
		wantErr(t, err, act.ErrForbidden)
		// Too many from one place, then from all, then for good.
		for range 40 {
			if _, err = send("x.jpg", jpeg); err != nil {
				break
			}
		}
		wantErr(t, err, act.ErrTooMany)
		x.clock = x.clock.Add(time.Hour + time.Second)
		_, err = send("later.jpg", jpeg)
		ok(t, err)
		ok(t, x.CloseIncident(ctx, x.owner, inc.ID, "over"))
		_, err = send("late.jpg", jpeg)
		wantErr(t, err, act.ErrNotFound)
		_, err = x.MakeLink(ctx, x.owner, act.NewLink{Kind: phone.Photos, IncidentID: inc.ID, Life: phone.Photos.Lives()[0]})
		wantErr(t, err, act.ErrConflict)
		x.ledgerStands()
	})
}

// Photographs that break off leave entries in the ledger, and so they are as many as others.
func TestPhotosThatBreakOffCount(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.uploading()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		l, token := x.link(act.NewLink{Kind: phone.Photos, IncidentID: inc.Number})
		send := func(i int, rest io.Reader) error {
			_, err := x.PhotoByLink(ctx, token, act.LinkPhoto{Name: "IMG.JPG", Person: "鈴木"}, io.MultiReader(strings.NewReader(jpeg), rest), fmt.Sprintf("192.0.2.%d", i))
			return err
		}
		for i := range 60 {
			if err := send(i, iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d: %v", i, err)
			}
		}
		wantErr(t, send(60, iotest.ErrReader(io.ErrUnexpectedEOF)), act.ErrTooMany)
		wantErr(t, send(61, strings.NewReader("")), act.ErrTooMany)
		links, err := x.Links(ctx, x.owner, inc.ID)
		if err != nil || len(links) != 1 || links[0].Used != 0 || !links[0].UsedAt.IsZero() {
			t.Errorf("%+v, %v", links, err)
		}
		x.clock = x.clock.Add(time.Hour + time.Second)
		ok(t, send(1, strings.NewReader("whole")))
		if links, err = x.Links(ctx, x.owner, inc.ID); err != nil || links[0].ID != l.ID || links[0].Used != 1 || !links[0].UsedAt.Equal(x.clock) {
			t.Errorf("%+v, %v", links, err)
		}
		x.ledgerStands()
	})
}

// Somebody who floods a link hides no report of another person, and neither does an office
// behind one address.
func TestReportsThatJoinAreTold(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		l, token := x.link(act.NewLink{Kind: phone.Reports, Note: "受付の掲示"})
		ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return x.channel(ctx, tx, notify.Channel{ID: id.New(id.Channel), OrganisationID: l.OrganisationID, Kind: notify.Webhook, Name: "w", Language: "ja", Enabled: true, Kinds: []notify.Kind{notify.IncidentOpened}})
		}))
		x.clock = x.clock.Truncate(time.Hour)
		report := func(from string) string {
			t.Helper()
			number, err := x.ReportByLink(ctx, token, act.LinkReport{Text: "変", Contact: "佐藤"}, from)
			ok(t, err)
			return number
		}
		told := func(want int, number string) {
			t.Helper()
			list, err := notify.Newest(ctx, x.db.Read(), l.OrganisationID, 100)
			if err != nil || len(list) != want {
				t.Fatalf("told %d times, want %d: %v", len(list), want, err)
			}
			if !slices.ContainsFunc(list, func(d notify.Delivery) bool { return d.Event.Joined && d.Event.IncidentNumber == number }) {
				t.Errorf("nobody is told of the report that joined %s", number)
			}
		}
		var last string
		for i := range 5 {
			last = report(fmt.Sprintf("198.51.100.%d", i))
		}
		if n := report("192.0.2.1"); n != last {
			t.Fatalf("%s, want %s", n, last)
		}
		told(6, last)
		report("192.0.2.2") // once an hour is enough
		told(6, last)
		for range 2 { // an office behind one address: the half hour rolls
			x.clock = x.clock.Add(25 * time.Minute)
			report("192.0.2.2")
		}
		told(6, last)
		x.clock = x.clock.Add(25 * time.Minute)
		report("192.0.2.2")
		told(7, last)
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
