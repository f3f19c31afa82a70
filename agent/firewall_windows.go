package main

import (
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/beyond"
	"hozen/agent/internal/isolate/wfp"
	"hozen/agent/internal/osservice"
)

func firewall() isolate.Firewall {
	return wfp.New(wfp.Config{Service: osservice.Name, Limits: new(beyond.Looker).Limits})
}
