package console

import (
	"errors"

	"hozen/collector/internal/act"
	"hozen/collector/internal/watch"
)

type watchListView struct {
	Concerns []watch.Concern
	Urgent   int
}

// watchList shows whether the watch itself is alive.
func (s *server) watchList(v *visit) error {
	list, err := s.watch.Watch(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	return s.show(v, "watch_list", watchListView{list, urgent(list)})
}

// concerns are those of the watch; roles that may not see them have none.
func (s *server) concerns(v *visit) ([]watch.Concern, error) {
	list, err := s.watch.Watch(v.ctx(), v.actor)
	if errors.Is(err, act.ErrForbidden) {
		return nil, nil
	}
	return list, err
}

func urgent(list []watch.Concern) (n int) {
	for _, c := range list {
		if c.Urgent {
			n++
		}
	}
	return n
}
