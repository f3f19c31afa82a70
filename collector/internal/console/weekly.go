package console

import (
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/notify"
)

// weeklyView is when the week is told, by what, and what would be told now.
type weeklyView struct {
	notify.Weekly
	Days  []time.Weekday
	Hours []int
	By    []string // names of the channels in use that carry it
	Now   notify.Message
}

func (s *server) viewWeekly(v *visit, channels []notify.Channel) (weeklyView, error) {
	settings, err := s.weekly.WeeklySettings(v.ctx(), v.actor)
	if err != nil {
		return weeklyView{}, err
	}
	view := weeklyView{Weekly: settings}
	for day := range 7 {
		view.Days = append(view.Days, time.Weekday((day+1)%7)) // Monday first
	}
	for hour := range 24 {
		view.Hours = append(view.Hours, hour)
	}
	for _, c := range channels {
		if c.Enabled && slices.Contains(c.Kinds, notify.WeeklySummary) {
			view.By = append(view.By, c.Name)
		}
	}
	view.Now, err = s.weekly.WeeklyPreview(v.ctx(), v.actor, v.text.Language())
	return view, err
}

// weeklySave says when the week is told.
func (s *server) weeklySave(v *visit) error {
	f, err := readForm(v, field{name: "enabled", max: 1, empty: true}, field{name: "weekday", max: 1}, field{name: "hour", max: 2})
	if err != nil {
		return err
	}
	w := notify.Weekly{Enabled: f.Values["enabled"] == "1", Weekday: -1, Hour: -1} // what is no number is refused as out of range
	if n, err := strconv.Atoi(f.Values["weekday"]); err == nil {
		w.Weekday = time.Weekday(n)
	}
	if n, err := strconv.Atoi(f.Values["hour"]); err == nil {
		w.Hour = n
	}
	if err := s.weekly.SetWeeklySettings(v.ctx(), v.actor, w); err != nil {
		return err
	}
	return s.done(v, "weekly.saved", "/settings/notifications#weekly")
}
