package console

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/internal/i18n"
)

// isolationForm is the folded part of a form that orders isolation: how much stays open,
// until when, and what the person at the PC is told.
type isolationForm struct {
	form
	Modes    []dispatch.Mode
	Lasts    []string
	Confirms []string
	Rows     []permitRow
	Open     bool // something in it is not as usual
}

// permitRow is one line of permits; its fields are named by N.
type permitRow struct {
	N                                    int
	Target, Protocol, Ports, Reason, End string
	Error                                string
}

const (
	maxPermitRows = 64
	freeRows      = 3 // that are shown empty after the filled ones
	lastsAt       = "at"
	permitFor     = 8 * time.Hour // that a new permit is proposed to last
)

func modes() []dispatch.Mode {
	return []dispatch.Mode{dispatch.Standard, dispatch.Selective, dispatch.Full}
}

// lasts are the ends that are offered; the first means none.
func lasts() []string { return []string{"", "30m", "4h", "24h", lastsAt} }

// confirms are the times for the way home that are offered; the first means none.
func confirms() []string { return []string{"", "20s", "1m", "5m", "10m"} }

// isolationFields are the fields of the form beside its permits.
func isolationFields() []field {
	return []field{
		{name: "mode", max: 16, empty: true}, {name: "lasts", max: 8, empty: true}, {name: "until", max: 32, empty: true},
		{name: "confirm", max: 8, empty: true}, {name: "fallback", max: 16, empty: true},
		{name: "notice", kind: manyLines, max: 1024, empty: true}, {name: "phone", max: 64, empty: true}, {name: "isolate_first", max: 8, empty: true},
		{name: "rows", max: 4, empty: true},
	}
}

// permitFields are the fields of n lines of permits.
func permitFields(n int) []field {
	var fields []field
	for i := 1; i <= n; i++ {
		for _, name := range []string{"target", "protocol", "ports", "reason", "end"} {
			fields = append(fields, field{name: permitField(name, i), max: 256, empty: true})
		}
	}
	return fields
}

func permitField(name string, n int) string { return fmt.Sprintf("permit_%s_%d", name, n) }

// takePermits adds the lines of permits to a form that was read.
func (f form) takePermits(v *visit) {
	n, _ := strconv.Atoi(f.Values["rows"])
	f.take(v, permitFields(min(n, maxPermitRows))...)
}

// rows are the lines that a form has, and some free ones.
func (f form) rows(now time.Time) []permitRow {
	var rows []permitRow
	n, _ := strconv.Atoi(f.Values["rows"])
	end := now.Add(permitFor).In(jst()).Format(localInput)
	for i := 1; i <= min(n, maxPermitRows); i++ {
		at := func(name string) string { return f.Values[permitField(name, i)] }
		r := permitRow{Target: at("target"), Protocol: at("protocol"), Ports: at("ports"), Reason: at("reason"), End: at("end"), Error: f.Errors["permits."+strconv.Itoa(i)]}
		if r.filled() || r.Error != "" {
			rows = append(rows, r)
		}
	}
	for range min(freeRows, maxPermitRows-len(rows)) {
		rows = append(rows, permitRow{End: end})
	}
	for i := range rows {
		rows[i].N = i + 1
	}
	return rows
}

func (r permitRow) filled() bool { return r.Target != "" || r.Ports != "" || r.Reason != "" }

// viewIsolationForm shows f.
func viewIsolationForm(f form, now time.Time) isolationForm {
	v := isolationForm{form: f, Modes: modes(), Lasts: lasts(), Confirms: confirms(), Rows: f.rows(now)}
	for _, name := range []string{"lasts", "confirm", "notice", "phone", "until", "isolate_first"} {
		v.Open = v.Open || f.Values[name] != "" || f.Errors[name] != ""
	}
	if m := f.Values["mode"]; m != "" && m != string(dispatch.Standard) {
		v.Open = true
	}
	for name := range f.Errors {
		v.Open = v.Open || strings.HasPrefix(name, "permits") || name == "mode" || name == "confirm_within" || name == "fallback" || name == "isolation"
	}
	return v
}

// closeUp moves the filled lines of permits together, with what is wrong with them.
func (f form) closeUp() {
	n, _ := strconv.Atoi(f.Values["rows"])
	kept := 0
	for i := 1; i <= min(n, maxPermitRows); i++ {
		values := map[string]string{}
		filled, wrong := false, ""
		for _, name := range []string{"target", "protocol", "ports", "reason", "end"} {
			values[name] = f.Values[permitField(name, i)]
			filled = filled || values[name] != "" && name != "protocol" && name != "end"
			if e := f.Errors[permitField(name, i)]; e != "" {
				wrong = e
			}
			delete(f.Values, permitField(name, i))
			delete(f.Errors, permitField(name, i))
		}
		if !filled && wrong == "" {
			continue
		}
		kept++
		for name, value := range values {
			f.Values[permitField(name, kept)] = value
		}
		if wrong != "" {
			f.Errors["permits."+strconv.Itoa(kept)] = wrong
		}
	}
	f.Values["rows"] = strconv.Itoa(kept)
}

// refuseIsolation is [form.refuse] of an order whose permits came from lines.
func (f form) refuseIsolation(v *visit, err error, lines []int) bool {
	invalid, ok := errors.AsType[*act.Invalid](err)
	if !ok {
		return false
	}
	moved := *invalid
	if n, isPermit := strings.CutPrefix(invalid.Field, "permits."); isPermit {
		if at, err := strconv.Atoi(n); err == nil && at >= 1 && at <= len(lines) {
			moved.Field = "permits." + strconv.Itoa(lines[at-1])
		}
	}
	return f.refuse(v, &moved)
}

// isolationOrdered reads what a form says of an isolation, and which line each permit came
// from. What is wrong stands in f; the error is of something else.
func (s *server) isolationOrdered(v *visit, f form) (dispatch.Isolation, []int, error) {
	f.closeUp()
	var lines []int
	i := dispatch.Isolation{Mode: dispatch.Mode(f.Values["mode"]), Notice: dispatch.Notice{Text: f.Values["notice"], Phone: f.Values["phone"]}}
	wrong := func(field, code string) { f.Errors[field] = v.text.Text("invalid." + code) }
	if i.Mode == "" {
		i.Mode = dispatch.Standard
	}
	if !slices.Contains(modes(), i.Mode) {
		wrong("mode", "unknown")
	}
	switch l := f.Values["lasts"]; {
	case l == lastsAt:
		until, err := parseLocal(f.Values["until"])
		if err != nil {
			wrong("until", "time")
		}
		i.Until = until
	case !slices.Contains(lasts(), l):
		wrong("lasts", "unknown")
	case f.Values["until"] != "":
		wrong("lasts", "until_alone") // else it would silently not count
	case l != "":
		d, _ := time.ParseDuration(l)
		i.Until = v.now.Add(d)
	}
	if c := f.Values["confirm"]; !slices.Contains(confirms(), c) {
		wrong("confirm", "unknown")
	} else if c != "" {
		i.ConfirmWithin, _ = time.ParseDuration(c)
		i.Fallback = dispatch.Fallback(f.Values["fallback"])
	}
	if i.Mode == dispatch.Selective {
		var err error
		if lines, err = s.permitsOrdered(v, f, &i); err != nil {
			return i, nil, err
		}
		if len(i.Permits) == 0 && f.ok() {
			wrong("permits", "no_permits")
		}
	} else if slices.ContainsFunc(f.rows(v.now), permitRow.filled) {
		wrong("mode", "permits_alone")
	}
	return i, lines, nil
}

// permitsOrdered reads the permits, one line at a time, so that each tells its own error.
func (s *server) permitsOrdered(v *visit, f form, i *dispatch.Isolation) (lines []int, err error) {
	for _, r := range f.rows(v.now) {
		if !r.filled() {
			continue
		}
		key := "permits." + strconv.Itoa(r.N)
		end, err := parseLocal(r.End)
		switch {
		case err != nil:
			f.Errors[key] = v.text.Text("invalid.permit_end")
			continue
		case r.Reason == "":
			f.Errors[key] = v.text.Text("invalid.permit_reason")
			continue
		}
		permits, err := s.isolation.Permits(v.ctx(), []act.PermitCall{{Target: r.Target, Protocol: r.Protocol, Ports: r.Ports, Reason: r.Reason, Expires: end}})
		if invalid, ok := errors.AsType[*act.Invalid](err); ok {
			code := "permit_ports"
			if invalid.Code == "unresolved" {
				code = "permit_target"
			}
			f.Errors[key] = v.text.Text("invalid." + code)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, p := range permits {
			i.Permits, lines = append(i.Permits, p), append(lines, r.N)
		}
	}
	return lines, nil
}

// fromIsolation fills a form with what an order says, so that it can be changed.
func fromIsolation(values map[string]string, i dispatch.Isolation, now time.Time) {
	values["mode"], values["notice"], values["phone"] = string(i.Mode), i.Notice.Text, i.Notice.Phone
	if !i.Until.IsZero() && i.Until.After(now) {
		values["lasts"], values["until"] = lastsAt, i.Until.In(jst()).Format(localInput)
	}
	if c := shortSpan(i.ConfirmWithin); slices.Contains(confirms(), c) {
		values["confirm"], values["fallback"] = c, string(i.Fallback)
	}
	n := 0
	seen := map[string]bool{}
	for _, p := range i.Permits {
		target := p.Host // its addresses are looked up anew
		if target == "" {
			target = permitTarget(p.Network)
		}
		ports := permitPorts(p)
		key := strings.Join([]string{target, p.Protocol, ports, p.Reason, p.ExpiresAt.String()}, "\x00")
		if seen[key] || !p.ExpiresAt.After(now) {
			continue
		}
		seen[key] = true
		n++
		maps.Copy(values, map[string]string{permitField("target", n): target, permitField("protocol", n): p.Protocol, permitField("ports", n): ports,
			permitField("reason", n): p.Reason, permitField("end", n): p.ExpiresAt.In(jst()).Format(localInput)})
	}
	values["rows"] = strconv.Itoa(n)
}

// shortSpan writes a length of time as the choices do, or as nothing.
func shortSpan(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return strconv.Itoa(int(d/time.Second)) + "s"
}

// permitTarget writes one address as such and a network with its length.
func permitTarget(n netip.Prefix) string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.String()
}

func permitPorts(p dispatch.Permit) string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// isolationOrderFacts says in sentences how an order to isolate differs from the usual
// one, and who agreed to an order to release.
func isolationOrderFacts(p i18n.Printer, f map[string]string) []string {
	var out []string
	if f["drill"] != "" {
		out = append(out, p.Text("drill.mark"))
	}
	if m := f["mode"]; m != "" && m != string(dispatch.Standard) {
		out = append(out, p.Text("isolation.mode")+": "+optional(p, "isolation.mode.", m))
	}
	if u := f["until"]; u != "" {
		out = append(out, p.Text("isolation.until")+": "+moment(u))
	}
	for n := 1; n <= maxPermitRows && f["permit_"+strconv.Itoa(n)] != ""; n++ {
		out = append(out, p.Text("isolation.permit")+": "+own(f["permit_"+strconv.Itoa(n)], 200))
	}
	if by := f["asked_name"]; by != "" {
		out = append(out, p.Text("release.asked_by", "name", own(by, 80)))
	}
	return out
}
