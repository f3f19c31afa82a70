package main

import (
	"context"
	"strings"

	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/internal/winapi/folder"
	"hozen/internal/winapi/winboot"
)

// system adds how the service is set up, how Windows starts, and who may use the agent's
// folder.
func (t *selfTest) system(context.Context) {
	for _, r := range osservice.Look() {
		t.trait(r)
	}
	start, err := winboot.Read()
	k := localapi.Check{Check: "fast_startup", Outcome: checkUnknown}
	switch {
	case start.FastStartupKnown && start.FastStartup:
		// It is Windows' default and no fault; but whoever reads the results is to know it.
		k.Outcome, k.Got, k.Detail = checkWarn, "on", `"Shut down" hibernates the kernel: the service is not told of a shutdown, the helper in the session is`
	case start.FastStartupKnown:
		k.Outcome, k.Got = checkOK, "off"
	case err != nil:
		k.Detail = err.Error()
	}
	t.add(k)
	b := localapi.Check{Check: "boot", Outcome: checkOK, Got: winboot.ID()}
	if b.Got == "" {
		b.Outcome, b.Detail = checkUnknown, "this start of Windows has no name yet; the service gives it one"
	}
	t.add(b)
	f := localapi.Check{Check: "folder", Outcome: checkOK, Want: folder.Closed}
	if f.Got, err = rightsOf(t.c.folder()); err != nil {
		f.Outcome, f.Detail = checkUnknown, err.Error()
	} else if open := openTo(f.Got); len(open) > 0 {
		f.Outcome, f.Detail = checkBad, "open to "+strings.Join(open, ", ")
	} else if err := folder.Own(t.c.folder()); err != nil {
		f.Outcome, f.Detail = checkBad, err.Error()
	}
	t.add(f)
}

// trait adds what the service manager knows of the service.
func (t *selfTest) trait(r osservice.Trait) {
	t.add(localapi.Check{Check: "service_" + r.ID, Outcome: string(r.Level), Want: r.Want, Got: r.Got, Detail: r.Detail})
}
