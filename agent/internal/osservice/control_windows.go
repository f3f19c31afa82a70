package osservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// stopPatience is how long a service may take to stop; it is longer than what the agent
// may take before a shutdown.
const stopPatience = PreshutdownNeeded + 30*time.Second

// stop orders the end and waits for it. kardianos's own waits for ever for a service that
// never stops.
func stop(service.Service) error {
	_, err := order(context.Background(), windows.SERVICE_STOP, svc.Stop, nil)
	return err
}

// Rehearse has the service do all that it does when the PC goes down, and returns how
// long that took and how often it showed meanwhile that it lives. The service is stopped
// then; the caller starts it again. Only administrators may.
func Rehearse(ctx context.Context) (Rehearsal, error) {
	r := Rehearsal{}
	took, err := order(ctx, windows.SERVICE_USER_DEFINED_CONTROL, RehearsalCode, func(s svc.Status) {
		r.Signs = max(r.Signs, s.CheckPoint)
	})
	r.Took = took
	return r, err
}

// order sends a control and waits until the service has stopped; see is shown every
// status on the way.
func order(ctx context.Context, access uint32, c svc.Cmd, see func(svc.Status)) (took time.Duration, err error) {
	m, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return 0, fmt.Errorf("open service control manager: %w", err)
	}
	defer windows.CloseServiceHandle(m)
	h, err := windows.OpenService(m, windows.StringToUTF16Ptr(Name), access|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return 0, fmt.Errorf("open service: %w", err)
	}
	defer windows.CloseServiceHandle(h)
	s := &mgr.Service{Name: Name, Handle: h}
	begun := time.Now()
	st, err := s.Control(c)
	if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) && c == svc.Stop {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("send control %d to service: %w", c, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for st.State != svc.Stopped {
		select {
		case <-look.C:
		case <-ctx.Done():
			return time.Since(begun), fmt.Errorf("wait until the service has stopped: %w", ctx.Err())
		}
		if st, err = s.Query(); err != nil {
			return time.Since(begun), fmt.Errorf("ask for the state of the service: %w", err)
		}
		if see != nil {
			see(st)
		}
	}
	return time.Since(begun), nil
}
