package kmod

import (
	"context"
	"fmt"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winsys"
)

const system = "windows"

// here asks the kernel what is loaded into it.
func here(_ context.Context, _ string, o *facts.Out) error {
	a, err := winsys.System{}.Modules()
	if err != nil {
		return fmt.Errorf("read drivers: %w", err)
	}
	list, err := winbytes.Drivers(a)
	o.Miss(err)
	for i := range list {
		if err := o.Write(driver(&list[i])); err != nil {
			return err
		}
	}
	return nil
}
